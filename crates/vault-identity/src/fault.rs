//! Why a token is not believed.

use thiserror::Error;
use vault_domain::Reason;

/// Why a token, or what came with it, is not believed. For the log of the process: no text holds a part of a token.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Fault {
    /// The headers are not one token, as RFC 6750 and RFC 9449 write it.
    #[error("the authorization header is not one `Bearer` or `DPoP` token")]
    Header,
    /// It is longer than any token.
    #[error("the token is longer than {} bytes", crate::TOKEN_BYTES_MAX)]
    TooLong,
    /// It is no JWS in compact form with JSON objects that hold each name once.
    #[error("the token is not a signed JWT in compact form, its JSON without repeated names")]
    NotCompact,
    /// Its header says something that has to be understood and is not (RFC 7515 section 4.1.11), or lacks what it
    /// needs.
    #[error("the token's header {0}")]
    HeaderField(&'static str),
    /// Nobody is configured with this `iss`.
    #[error("the token's iss is none of the configured issuers")]
    IssuerUnknown,
    /// Its algorithm is not among the issuer's.
    #[error("the token's alg is not one that its issuer is configured with")]
    Algorithm,
    /// The issuer has no such key.
    #[error("the issuer has no key with the token's kid for its alg")]
    KeyUnknown,
    /// The keys of the issuer are too old, or were never had.
    #[error("the issuer's keys could not be had for longer than they may be used")]
    KeysStale,
    /// The signature is not of that key.
    #[error("the token's signature is not its issuer's")]
    Signature,
    /// It is over.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet: compare the clocks of issuer and vault")]
    NotYet,
    /// It lives longer than tokens of this issuer may.
    #[error("the token's lifetime is longer than lifetime_seconds_max")]
    Overlong,
    /// A claim is missing or not of its type.
    #[error("the token's claim {0} is missing or not what it must be")]
    Claim(&'static str),
    /// A claim that the issuer's settings ask for is missing.
    #[error("the token lacks one of required_claims")]
    ClaimRequired,
    /// It is for others.
    #[error("the token's aud names none of the issuer's audiences")]
    Audience,
    /// A rule that has to give something gave nothing: without it, the token would reach further than it says.
    #[error("no rule could make a {0} of the token's claims")]
    Unmapped(&'static str),
    /// It has more roles, scopes or regions than any caller needs.
    #[error("the token has more than 128 roles, scopes or regions")]
    TooMany,
    /// It is bound to nothing that its issuer's settings ask for.
    #[error("the token is bound to neither a certificate nor a key as its issuer's settings ask (cnf)")]
    Unbound,
    /// It is bound to another certificate (RFC 8705 section 3).
    #[error("the token is bound to another client certificate (cnf.x5t#S256)")]
    Certificate,
    /// The proof that has to come with it is missing, or one came that has no place.
    #[error("a DPoP proof is missing, or came with a token that is bound to no key")]
    ProofMissing,
    /// The proof is not one (RFC 9449 section 4.3).
    #[error("the DPoP proof {0}")]
    Proof(&'static str),
    /// The proof was used before.
    #[error("the DPoP proof was used before")]
    ProofReplayed,
    /// There are more proofs in flight than are remembered.
    #[error("more DPoP proofs came within their window than are remembered")]
    ProofsFull,
    /// It is on the deny-list.
    #[error("the token is on the deny-list")]
    Denied,
}

impl Fault {
    /// The reason that the log of the node has.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Header | Self::TooLong | Self::NotCompact | Self::HeaderField(_) => Reason::AccessTokenMalformed,
            Self::IssuerUnknown => Reason::AccessTokenIssuerUnknown,
            Self::Algorithm | Self::KeyUnknown | Self::Signature => Reason::AccessTokenSignatureInvalid,
            Self::KeysStale => Reason::AccessTokenKeysUnavailable,
            Self::Expired | Self::NotYet | Self::Overlong => Reason::AccessTokenExpired,
            Self::Claim(_) | Self::ClaimRequired | Self::Audience | Self::Unmapped(_) | Self::TooMany => {
                Reason::AccessTokenClaimInvalid
            }
            Self::Unbound
            | Self::Certificate
            | Self::ProofMissing
            | Self::Proof(_)
            | Self::ProofReplayed
            | Self::ProofsFull => Reason::AccessTokenUnbound,
            Self::Denied => Reason::AccessTokenDenied,
        }
    }
}
