//! Why something was refused: one list for errors, entries of the log and the user's error reference.
//!
//! Each reason has a number that is written into entries and never used again for anything else, a name that callers
//! match on (`ErrorInfo.reason`), a code, a text and a remedy. Some reasons are for the log alone: outside, they all
//! look like [`Reason::TokenNotFound`], so that a caller can't tell another's token from one that never was.

use std::fmt;

/// The kind of a refusal: what a caller can do about it. Doors translate it (gRPC: vault-server's `status.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The request is wrong in itself; the same request will never work.
    InvalidArgument,
    /// Nothing that this caller may see is there.
    NotFound,
    /// The caller is known and may not do this.
    Denied,
    /// The caller is not known.
    Unauthenticated,
    /// The request is right but not here or not now; repeating it blindly is useless.
    FailedPrecondition,
    /// Another call got in between; the whole call may be tried again.
    Conflict,
    /// A limit of size, space or budget is reached.
    LimitExceeded,
    /// The vault has more to do than it takes on; try again after the stated time.
    Busy,
    /// The log can't take entries, so nothing that needs one is done.
    AuditUnavailable,
    /// The caller's or the vault's deadline passed.
    DeadlineExceeded,
    /// The caller went away.
    Cancelled,
    /// There is no such method.
    Unimplemented,
    /// Stored data do not open or do not decode.
    Corrupt,
    /// A fault of the vault itself.
    Internal,
}

macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $number:literal, $name:literal, $code:ident, $outside:ident, $text:literal, $remedy:literal;
    )*) => {
        /// Why something was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Reason {
            $(#[doc = $text] $(#[$doc])* $variant = $number,)*
        }

        impl Reason {
            /// Every reason, by rising number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that callers match on.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of refusal.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)* }
            }

            /// What happened, for the caller.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }

            /// The reason as a caller gets to see it; the log keeps the precise one.
            #[must_use]
            pub const fn outside(self) -> Self {
                match self { $(Self::$variant => Self::$outside,)* }
            }

            /// The reason with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The reason with this number.
            #[must_use]
            pub fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    // 1–19: the request itself
    FieldInvalid = 1, "FIELD_INVALID", InvalidArgument, FieldInvalid,
        "a field of the request breaks its rule",
        "correct the field that BadRequest names";
    BatchEmpty = 2, "BATCH_EMPTY", InvalidArgument, BatchEmpty,
        "the request holds no item",
        "send 1 to 1000 items";
    BatchTooLarge = 3, "BATCH_TOO_LARGE", InvalidArgument, BatchTooLarge,
        "the request holds more than 1000 items",
        "split it into requests of at most 1000 items";
    ValueTooLarge = 4, "VALUE_TOO_LARGE", LimitExceeded, ValueTooLarge,
        "the value is longer than 65536 bytes",
        "store large data elsewhere, encrypted, and tokenize its key";
    RequestTooLarge = 5, "REQUEST_TOO_LARGE", LimitExceeded, RequestTooLarge,
        "the request is larger than 8 MiB",
        "send fewer items in a request";
    RequestMalformed = 6, "REQUEST_MALFORMED", InvalidArgument, RequestMalformed,
        "the request is not a valid message of this method",
        "generate the client from the current proto files; text fields must be UTF-8";
    ValueRejected = 7, "VALUE_REJECTED", InvalidArgument, ValueRejected,
        "the value is not a valid value of its data class",
        "correct the value; the metadata name the rule that it breaks";
    PurposeRequired = 8, "PURPOSE_REQUIRED", InvalidArgument, PurposeRequired,
        "the data class asks for a purpose and the request states none",
        "state one of the purposes in the catalog";
    PurposeUnknown = 9, "PURPOSE_UNKNOWN", InvalidArgument, PurposeUnknown,
        "the stated purpose is not registered",
        "state one of the purposes in the catalog";
    RegionUnknown = 10, "REGION_UNKNOWN", InvalidArgument, RegionUnknown,
        "no vault is known for this region",
        "check the region's name; the catalog lists every region with its endpoint";
    PageTokenInvalid = 11, "PAGE_TOKEN_INVALID", InvalidArgument, PageTokenInvalid,
        "the page token does not belong to this query",
        "repeat the query with the same filters and the page token as it was given, or start without one";
    MethodUnknown = 12, "METHOD_UNKNOWN", Unimplemented, MethodUnknown,
        "there is no such method",
        "compare the client's proto files with the server's version";
    SubjectRequired = 13, "SUBJECT_REQUIRED", InvalidArgument, SubjectRequired,
        "the data class is deterministic per subject and the item names none",
        "name the person that the value is about in the item's subject";
    SubjectUnexpected = 14, "SUBJECT_UNEXPECTED", InvalidArgument, SubjectUnexpected,
        "the item names a subject and its data class has no use for one",
        "leave the subject out, or use a class that is deterministic per subject";

    // 20–39: who may do what
    CertificateWithoutIdentity = 20, "CERTIFICATE_WITHOUT_IDENTITY", Unauthenticated, CertificateWithoutIdentity,
        "the client certificate names no principal",
        "issue it with exactly one SPIFFE URI or, without any URI, exactly one DNS name as subject alternative name";
    PrincipalUnknown = 21, "PRINCIPAL_UNKNOWN", Unauthenticated, PrincipalUnknown,
        "the catalog has no account for the client certificate's principal",
        "add a service account for it to the catalog, or use the certificate of one that is there";
    AccessDenied = 22, "ACCESS_DENIED", Denied, AccessDenied,
        "this caller may not do this: not with this data class, for this audience, purpose and region, or there is no \
         such class; or, where a call names no class, not to this log or node",
        "ask the vault's operators for a grant that names the action and, for data, class and audience; the log names \
         the policy that decided";
    DataClassUnknown = 23, "DATA_CLASS_UNKNOWN", Denied, AccessDenied,
        "the catalog has no such data class",
        "check the name of the data class";
    AudienceUnknown = 24, "AUDIENCE_UNKNOWN", Denied, AccessDenied,
        "the catalog has no such audience",
        "check the name of the audience";
    AudienceNotOwn = 25, "AUDIENCE_NOT_OWN", Denied, AccessDenied,
        "the caller is no member of the audience that it names",
        "name an audience that the account belongs to";

    // 40–59: the token, and what the log alone tells about it
    TokenNotFound = 40, "TOKEN_NOT_FOUND", NotFound, TokenNotFound,
        "there is no such token for this caller",
        "check data class, audience and region; the token may also have expired or been revoked, which only the log \
         tells";
    TokenMalformed = 41, "TOKEN_MALFORMED", NotFound, TokenNotFound,
        "the text is no token of this class's format",
        "send the token as it was issued";
    TokenCheckFailed = 42, "TOKEN_CHECK_FAILED", NotFound, TokenNotFound,
        "the token's check characters do not match",
        "send the token as it was issued";
    TokenUnknown = 43, "TOKEN_UNKNOWN", NotFound, TokenNotFound,
        "the token leads to no record",
        "send the token as it was issued";
    TokenOfAnotherClass = 44, "TOKEN_OF_ANOTHER_CLASS", NotFound, TokenNotFound,
        "the token was issued for another data class",
        "name the token's own data class";
    TokenOfAnotherTenant = 45, "TOKEN_OF_ANOTHER_TENANT", NotFound, TokenNotFound,
        "the token belongs to another tenant",
        "find out how the caller came by it";
    TokenOfAnotherAudience = 46, "TOKEN_OF_ANOTHER_AUDIENCE", NotFound, TokenNotFound,
        "the token was issued for another audience",
        "exchange it for a token of the own audience";
    TokenExpired = 47, "TOKEN_EXPIRED", NotFound, TokenNotFound,
        "the token's lifetime is over",
        "tokenize the value again";
    TokenNotYetValid = 48, "TOKEN_NOT_YET_VALID", NotFound, TokenNotFound,
        "the token's lifetime has not begun",
        "wait until it has";
    TokenSuspended = 49, "TOKEN_SUSPENDED", NotFound, TokenNotFound,
        "the token is suspended",
        "have it resumed";
    TokenRevoked = 50, "TOKEN_REVOKED", NotFound, TokenNotFound,
        "the token was revoked",
        "tokenize the value again";
    TokenUsedUp = 51, "TOKEN_USED_UP", NotFound, TokenNotFound,
        "the token's uses are spent",
        "tokenize the value again";
    TokenOneWay = 52, "TOKEN_ONE_WAY", FailedPrecondition, TokenOneWay,
        "tokens of this data class are hashes: they can be compared, never revealed",
        "compare tokens; where the value itself is needed, tokenize it under a data class of another format too";

    // 60–79: here and now
    WrongRegion = 60, "WRONG_REGION", FailedPrecondition, WrongRegion,
        "the data live in a region that is served elsewhere",
        "send the call to the region that the metadata name, at its endpoint where one is named";
    IdempotencyKeyReused = 61, "IDEMPOTENCY_KEY_REUSED", FailedPrecondition, IdempotencyKeyReused,
        "the idempotency key was used with another request in the last 24 hours",
        "use a fresh key for every new request";
    CommitConflict = 62, "COMMIT_CONFLICT", Conflict, CommitConflict,
        "other calls kept changing the same records",
        "try the whole call again";
    TokenSpaceExhausted = 63, "TOKEN_SPACE_EXHAUSTED", LimitExceeded, TokenSpaceExhausted,
        "the token space of this data class is nearly used up",
        "move the class to a format with more room, or keep fewer characters";
    RecordNumbersExhausted = 64, "RECORD_NUMBERS_EXHAUSTED", LimitExceeded, RecordNumbersExhausted,
        "the region has used all of its 2^56 record numbers",
        "open another region";
    DeadlineExceeded = 65, "DEADLINE_EXCEEDED", DeadlineExceeded, DeadlineExceeded,
        "the deadline passed before the answer was ready",
        "try again with a later deadline; the attempt may stand in the log";
    Cancelled = 66, "CANCELLED", Cancelled, Cancelled,
        "the caller went away before the answer was ready",
        "try again if the answer is still wanted; the attempt may stand in the log";
    Busy = 67, "BUSY", Busy, Busy,
        "the vault has more to do than it takes on",
        "try again after the time in RetryInfo";
    ShuttingDown = 68, "SHUTTING_DOWN", Busy, ShuttingDown,
        "the vault is shutting down",
        "try again; another node, or this one after its restart, will answer";
    AuditUnavailable = 69, "AUDIT_UNAVAILABLE", AuditUnavailable, AuditUnavailable,
        "the access log can't take entries, so nothing that needs one is done",
        "operators: see the log of the process; callers: try again later";
    EntropyUnavailable = 70, "ENTROPY_UNAVAILABLE", Internal, Internal,
        "the source of randomness is not available",
        "operators: see the log of the process";

    // 80–: faults
    RecordCorrupt = 80, "RECORD_CORRUPT", Corrupt, RecordCorrupt,
        "a stored record does not open or decode",
        "operators: restore the record from a backup; the log of the process names it by number";
    Internal = 81, "INTERNAL", Internal, Internal,
        "the vault met a fault of its own",
        "operators: look for the request id in the log of the process";
    HandshakeRefused = 82, "HANDSHAKE_REFUSED", Unauthenticated, HandshakeRefused,
        "the TLS handshake failed: no client certificate, or one that is not accepted",
        "connect with TLS 1.3 and a certificate of a client CA that the configuration names";

    // 90–99: access tokens; outside, all but the last look like the first
    AccessTokenInvalid = 90, "ACCESS_TOKEN_INVALID", Unauthenticated, AccessTokenInvalid,
        "the access token is not accepted",
        "get a fresh token for this vault, bound to the certificate or key that it is sent with; the node's log and \
         the log of the process say what was wrong";
    AccessTokenMalformed = 91, "ACCESS_TOKEN_MALFORMED", Unauthenticated, AccessTokenInvalid,
        "what came as an access token is none",
        "send one authorization header with a signed JWT of the type at+jwt (RFC 9068)";
    AccessTokenIssuerUnknown = 92, "ACCESS_TOKEN_ISSUER_UNKNOWN", Unauthenticated, AccessTokenInvalid,
        "the access token is of an issuer that the configuration does not name",
        "compare its iss with the file of issuers";
    AccessTokenSignatureInvalid = 93, "ACCESS_TOKEN_SIGNATURE_INVALID", Unauthenticated, AccessTokenInvalid,
        "the access token is not signed by a key of its issuer, by an algorithm that the issuer is configured with",
        "find out who made it; after a change of the issuer's keys, see how old those are that the vault has";
    AccessTokenExpired = 94, "ACCESS_TOKEN_EXPIRED", Unauthenticated, AccessTokenInvalid,
        "the access token has expired, has not begun, or lives longer than it may",
        "get a fresh one; compare the clocks of issuer and vault";
    AccessTokenClaimInvalid = 95, "ACCESS_TOKEN_CLAIM_INVALID", Unauthenticated, AccessTokenInvalid,
        "the access token is for another audience, or lacks a claim that it must have",
        "compare it with the file of issuers; `tokenvault config explain --token` shows what it becomes";
    AccessTokenUnbound = 96, "ACCESS_TOKEN_UNBOUND", Unauthenticated, AccessTokenInvalid,
        "the access token is not bound to the certificate or key that it came with",
        "have it issued for the caller's own certificate (RFC 8705) or key (RFC 9449), and send a fresh proof of the \
         key";
    AccessTokenDenied = 97, "ACCESS_TOKEN_DENIED", Unauthenticated, AccessTokenInvalid,
        "the access token is on the deny-list",
        "find out why; a fresh one is another token";
    AccessTokenKeysUnavailable = 98, "ACCESS_TOKEN_KEYS_UNAVAILABLE", Unauthenticated, AccessTokenInvalid,
        "the keys of the access token's issuer could not be had for longer than they may be used",
        "operators: see why the issuer can't be reached; tokens are accepted again as soon as its keys are there";
    AccessTokenRequired = 99, "ACCESS_TOKEN_REQUIRED", Unauthenticated, AccessTokenRequired,
        "the account is not let in by its certificate alone",
        "send an access token that is bound to the certificate";

    // 100–104: certificates, while their connections last
    CertificateRevoked = 100, "CERTIFICATE_REVOKED", Unauthenticated, CertificateRevoked,
        "the client certificate was revoked by its authority",
        "find out why it was; issue another one to whoever may go on";
    CertificateNotValid = 101, "CERTIFICATE_NOT_VALID", Unauthenticated, CertificateNotValid,
        "the client certificate has expired since its connection was opened, or the vault trusts its authority no more",
        "connect anew with a certificate that is valid now, of an authority that the configuration names";
    RevocationListExpired = 102, "REVOCATION_LIST_EXPIRED", Unauthenticated, RevocationListExpired,
        "the revocation list has expired, and with an old list no certificate can be told from a revoked one",
        "operators: put a fresh list where tls.client_crl says; callers: try again when they have";
    TrustDomainNotAllowed = 103, "TRUST_DOMAIN_NOT_ALLOWED", Unauthenticated, TrustDomainNotAllowed,
        "the client certificate's SPIFFE ID is of a trust domain that this vault does not take",
        "use a certificate of a trust domain that tls.spiffe_trust_domains names, or have it named there";
    ReloadRefused = 104, "RELOAD_REFUSED", Internal, Internal,
        "the changed files of TLS can't be used; those from before stay in use",
        "operators: the log of the process names the file and what is wrong with it, and so does `tokenvault config \
         check`";

    // 105–107: how much of a value is shown
    LevelNotPermitted = 105, "LEVEL_NOT_PERMITTED", Denied, LevelNotPermitted,
        "this caller may be shown values of this data class as masks, not in full",
        "ask for the level \"masked\" or \"best_permitted\", or ask the vault's operators for a grant of level \
         \"full\"";
    MaskUnavailable = 106, "MASK_UNAVAILABLE", FailedPrecondition, MaskUnavailable,
        "the data class has no mask",
        "ask for the level \"full\", or have a mask added to the class in the catalog";

    // 108–112: calls that count once
    NonceRequired = 108, "NONCE_REQUIRED", InvalidArgument, NonceRequired,
        "this call needs a nonce and a timestamp and has none",
        "send a fresh tokenvault-nonce and the current tokenvault-timestamp with every attempt; the client library \
         does it by itself";
    NonceMalformed = 109, "NONCE_MALFORMED", InvalidArgument, NonceMalformed,
        "the metadata hold no nonce with a timestamp",
        "send 16 random bytes as 32 lowercase hex digits in tokenvault-nonce and milliseconds since 1970 in \
         tokenvault-timestamp, both or neither, each once";
    TimestampOutsideWindow = 110, "TIMESTAMP_OUTSIDE_WINDOW", FailedPrecondition, TimestampOutsideWindow,
        "the call's timestamp is too far from the vault's time: the call is an old one, or a clock is wrong",
        "check the clock of the caller, then the vault's, and send the call anew";
    NonceReplayed = 111, "NONCE_REPLAYED", FailedPrecondition, NonceReplayed,
        "a call with this nonce was made before",
        "draw a fresh nonce for every attempt; if the caller did, find out who sent its call again";

    // 113–: what a class or a policy asks of a call beside a grant
    ReferenceRequired = 113, "REFERENCE_REQUIRED", InvalidArgument, ReferenceRequired,
        "the data class asks for a reference and the request carries none",
        "put what the call is for, such as the number of a ticket, into the request's reference";
    StepUpRequired = 114, "STEP_UP_REQUIRED", Denied, StepUpRequired,
        "the data class asks for a stronger or a fresher authentication than that of the caller",
        "authenticate again, as strongly as the class asks for, and call with the new access token";

    // 120–129: policies and catalog that are exchanged by a call
    RulesFromFiles = 120, "RULES_FROM_FILES", FailedPrecondition, RulesFromFiles,
        "this vault takes policies and catalog from its files, not from calls",
        "change the files and send SIGHUP to the process, or set rules_from = \"applied\" in its configuration and \
         restart it";
    RulesInvalid = 121, "RULES_INVALID", InvalidArgument, RulesInvalid,
        "catalog or policies do not read, or do not fit together",
        "see what `tokenvault config check` of the vault's own release says of them; the log of the process has it too";
    RulesTooLarge = 122, "RULES_TOO_LARGE", LimitExceeded, RulesTooLarge,
        "catalog and policies together are longer than 3 MiB",
        "keep rules of this size in files, with rules_from = \"files\"";
    RulesMovedOn = 123, "RULES_MOVED_ON", FailedPrecondition, RulesMovedOn,
        "other rules serve than those that the request goes from",
        "see what serves now (`tokenvault config history`), plan anew and look at that plan";
    RulesNotServable = 124, "RULES_NOT_SERVABLE", FailedPrecondition, RulesNotServable,
        "this vault can't go by these rules while it serves; the detail says why",
        "do what the detail says; nothing has changed";
    PolicyVersionUnknown = 125, "POLICY_VERSION_UNKNOWN", NotFound, PolicyVersionUnknown,
        "there is no such version, or it is older than those that are kept",
        "see which there are (`tokenvault config history`)";
    RulesLockOut = 126, "RULES_LOCK_OUT", FailedPrecondition, RulesLockOut,
        "under these rules the caller could not apply others any more",
        "keep the caller's account and its grant of apply_policies, and let another operator take them away";
    EntryNotFound = 127, "ENTRY_NOT_FOUND", NotFound, EntryNotFound,
        "the log holds no entry with this index",
        "take an index from a receipt, or one that is below the size of the newest checkpoint";

    // 128–131: entries that are kept no longer
    EntryPruned = 128, "ENTRY_PRUNED", FailedPrecondition, EntryPruned,
        "entries below the log's minimum index are kept in its archive alone, and the request begins there",
        "begin at the minimum index, which the detail names; for older entries ask for the archive";
    ArchiveUnset = 129, "ARCHIVE_UNSET", FailedPrecondition, ArchiveUnset,
        "nothing is pruned before it is in an archive, and this vault has no folder for one",
        "operators: set retention.archive_directory in the vault's configuration and restart it";
    ArchiveFailed = 130, "ARCHIVE_FAILED", FailedPrecondition, ArchiveFailed,
        "the archive could not be written, or did not verify; nothing was pruned",
        "operators: the log of the process says why; look at the folder retention.archive_directory and its disk, \
         then prune anew";

    // 131–133: the life of a token
    TokenNotStored = 131, "TOKEN_NOT_STORED", FailedPrecondition, TokenNotStored,
        "tokens of this data class are computed: nothing is stored of them that could end or be counted",
        "leave out lifetime and uses; where tokens must expire or be revoked, use a data class of another format";
    LifetimeTooLong = 132, "LIFETIME_TOO_LONG", InvalidArgument, LifetimeTooLong,
        "the lifetime would be longer than tokens of this data class may live, counted from when they were made",
        "ask for less, or leave it out for the default of the class; `ttl_seconds_max` in the catalog is the longest";
    LifetimeEmpty = 133, "LIFETIME_EMPTY", InvalidArgument, LifetimeEmpty,
        "the lifetime would end before it begins, or begin in more than a hundred years",
        "put not_before_ms, in milliseconds since 1970, before the end of the lifetime, which is counted from now";

    // 134–: how often
    BudgetSpent = 134, "BUDGET_SPENT", LimitExceeded, BudgetSpent,
        "the budget of this caller for this data class and purpose is spent; nothing was looked at",
        "wait for the time in RetryInfo, or ask the vault's operators whether so many are to be expected; the metadata \
         name the budget";

    // 135–136: the tokens that values have, 137: how often anything
    ValueNotFound = 135, "VALUE_NOT_FOUND", NotFound, ValueNotFound,
        "the value has no live token of this data class for this audience",
        "check data class, audience and region; tokenize the value if it shall have one";
    ClassNotDeterministic = 136, "CLASS_NOT_DETERMINISTIC", FailedPrecondition, ClassNotDeterministic,
        "tokens of this data class are fresh each time: values have no token that could be found",
        "keep the token where it was given; a class that values are to be found in has a determinism";
    RateLimited = 137, "RATE_LIMITED", LimitExceeded, RateLimited,
        "this caller, or its tenant, calls more often than the catalog allows; the call was not carried out",
        "try again after the time in RetryInfo; send more items in fewer calls, or ask the vault's operators for more; \
         the metadata name the rate";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_rise() {
        let mut names = std::collections::BTreeSet::new();
        for pair in Reason::ALL.windows(2) {
            assert!((pair[0] as u16) < pair[1] as u16, "{:?}", pair[1]);
        }
        for reason in Reason::ALL {
            assert!(names.insert(reason.name()), "{reason} twice");
            assert_eq!(Reason::from_number(*reason as u16), Some(*reason));
        }
    }

    #[test]
    fn what_is_shown_outside_is_final_and_of_the_same_kind() {
        for reason in Reason::ALL {
            let outside = reason.outside();
            assert_eq!(outside.outside(), outside, "{reason}");
            assert_eq!(outside.code(), reason.code(), "{reason}");
        }
    }
}
