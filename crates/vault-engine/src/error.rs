//! The vault's own error: what a caller is told, and what only the log of the process is told.

use std::{error::Error as StdError, fmt, time::Duration};

use vault_domain::{Code, EntropyError, IdError, Reason, Region};
use vault_format::Rejection;
use vault_journal::{CommitError, JournalError};
use vault_keys::KeysError;
use vault_ledger::LedgerError;
use vault_store::ReadError;

/// Why a call, or one item of it, was refused.
#[derive(Debug)]
pub struct Error {
    /// The precise reason: for the log. Doors show [`Error::outside`].
    reason: Reason,
    /// The field that breaks its rule, and the rule.
    field: Option<(&'static str, &'static str)>,
    /// The rule of the data class that a value breaks.
    rule: Option<&'static str>,
    /// Where the data are served, and the endpoint if one is known.
    elsewhere: Option<Box<(Region, Option<String>)>>,
    /// What exactly stands in the way, in the catalog's own words: for who may exchange it.
    detail: Option<Box<str>>,
    /// After how long it is worth another try, if that is known.
    retry_after: Option<Box<Duration>>,
    /// What went wrong inside: for the log of the process, never for the caller.
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error with nothing to add to its reason.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self { reason, field: None, rule: None, elsewhere: None, detail: None, retry_after: None, cause: None }
    }

    /// With the time after which it is worth another try.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(Box::new(time)), ..self }
    }

    /// After how long it is worth another try, if that is known.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.retry_after.as_deref().copied()
    }

    /// With what exactly stands in the way. It must hold no value and no token.
    pub(crate) fn with_detail(self, detail: String) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// What exactly stands in the way, if there is more to say than the reason does.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// A field that breaks its rule.
    #[must_use]
    pub fn field(field: &'static str, rule: &'static str) -> Self {
        Self { field: Some((field, rule)), ..Self::new(Reason::FieldInvalid) }
    }

    /// What is asked for begins below a log's minimum index.
    pub(crate) fn pruned(minimum_index: u64) -> Self {
        Self::new(Reason::EntryPruned).with_detail(format!("the minimum index is {minimum_index}"))
    }

    pub(crate) fn elsewhere(region: Region, endpoint: Option<&str>) -> Self {
        let elsewhere = Some(Box::new((region, endpoint.map(str::to_owned))));
        Self { elsewhere, ..Self::new(Reason::WrongRegion) }
    }

    /// With what went wrong inside, which goes to the log of the process. It must hold no value and no token.
    #[must_use]
    pub fn because(reason: Reason, cause: impl StdError + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(reason) }
    }

    /// The same refusal for another item, without what went wrong inside.
    pub(crate) fn repeated(&self) -> Self {
        let Self { reason, field, rule, elsewhere, .. } = self;
        let elsewhere = elsewhere.clone();
        Self { field: *field, rule: *rule, elsewhere, ..Self::new(*reason) }
    }

    /// The precise reason, for the log alone.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The reason that the caller gets to see.
    #[must_use]
    pub fn outside(&self) -> Reason {
        self.reason.outside()
    }

    /// The kind of refusal.
    #[must_use]
    pub fn code(&self) -> Code {
        self.reason.code()
    }

    /// Whether the log did not take the entry: the refusal can't be written down either.
    pub(crate) fn is_unrecorded(&self) -> bool {
        matches!(self.reason, Reason::Busy | Reason::AuditUnavailable)
    }

    /// The field that breaks its rule, and the rule.
    #[must_use]
    pub fn invalid_field(&self) -> Option<(&'static str, &'static str)> {
        self.field
    }

    /// The rule of the data class that the value breaks.
    #[must_use]
    pub fn rule(&self) -> Option<&'static str> {
        self.rule
    }

    /// The region where the data are served, and its endpoint if one is known.
    #[must_use]
    pub fn served_by(&self) -> Option<(&Region, Option<&str>)> {
        self.elsewhere.as_ref().map(|elsewhere| (&elsewhere.0, elsewhere.1.as_deref()))
    }

    /// What went wrong inside, for the log of the process.
    #[must_use]
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.outside().text())
    }
}

impl StdError for Error {}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Self::field(error.kind, error.rule)
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Self {
        Self { rule: Some(rejection.rule()), ..Self::new(rejection.reason()) }
    }
}

impl From<EntropyError> for Error {
    fn from(error: EntropyError) -> Self {
        Self::because(Reason::EntropyUnavailable, error)
    }
}

impl From<KeysError> for Error {
    fn from(error: KeysError) -> Self {
        let reason = match error {
            KeysError::RecordCorrupt { .. } | KeysError::KeyMissing { .. } | KeysError::EntryCorrupt => {
                Reason::RecordCorrupt
            }
            KeysError::Entropy(_) => Reason::EntropyUnavailable,
            KeysError::EpochUsedUp
            | KeysError::RootKeyFile { .. }
            | KeysError::Passphrase { .. }
            | KeysError::RootKeyParameters { .. }
            | KeysError::PassphraseWrong { .. }
            | KeysError::CheckKeyFile { .. }
            | KeysError::TooManyCheckKeys
            | KeysError::KeyDoesNotUnwrap { .. }
            | KeysError::KeyRowUnknown { .. }
            | KeysError::TooManyKeys
            | KeysError::Store(_)
            | KeysError::Layout(_) => Reason::Internal,
        };
        Self::because(reason, error)
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        Self::new(match error {
            CommitError::Conflict => Reason::CommitConflict,
            CommitError::Busy => Reason::Busy,
            CommitError::DiskLow | CommitError::Stopped => Reason::AuditUnavailable,
        })
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        Self::because(Reason::Internal, error)
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        let reason = if matches!(error, JournalError::Busy) { Reason::Busy } else { Reason::Internal };
        Self::because(reason, error)
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::because(Reason::Internal, error)
    }
}
