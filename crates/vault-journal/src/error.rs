//! What can go wrong with the journal.

use thiserror::Error;
use vault_ledger::LedgerError;

/// Why a journal could not be opened.
#[derive(Debug, Error)]
pub enum JournalError {
    /// The store could not be read.
    #[error("the log can't be read: {0}")]
    Read(#[from] vault_store::ReadError),
    /// The store could not be written.
    #[error("the log can't be written: {0}")]
    Write(#[from] vault_store::WriteError),
    /// The free space of the disk is not known.
    #[error("the disk's free space can't be found out: {0}")]
    Space(#[from] std::io::Error),
    /// A checkpoint, tile or entry is not what the log's formats allow.
    #[error("the log does not decode: {0}")]
    Ledger(#[from] LedgerError),
    /// The log has fewer entries than a checkpoint that was signed over it.
    #[error(
        "the log {origin} holds {size} entries, but {whose} checkpoint covers {known}: entries are lost, or the data \
         directory is an old copy; restore the newest one instead of serving this one"
    )]
    Behind {
        /// The log.
        origin: String,
        /// Entries that are there.
        size: u64,
        /// Entries that were signed over.
        known: u64,
        /// `the newest stored` or `the newest outside`.
        whose: &'static str,
    },
    /// The log's entries are not those that a checkpoint was signed over.
    #[error(
        "the first {known} entries of the log {origin} are not those that {whose} checkpoint was signed over: the data \
         directory was changed, or belongs to another history"
    )]
    Forked {
        /// The log.
        origin: String,
        /// Entries that were signed over.
        known: u64,
        /// `the newest stored` or `the newest outside`.
        whose: &'static str,
    },
    /// An entry below the log's end is missing.
    #[error("entry {index} of the log is missing")]
    EntryMissing {
        /// Where.
        index: u64,
    },
    /// The journal's queue is full: nothing can be asked of it now.
    #[error("the journal has more to do than it takes on")]
    Busy,
    /// A thread could not be started.
    #[error("a thread can't be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// Why a submission was not committed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CommitError {
    /// A condition does not hold any more.
    #[error("a row changed since it was read")]
    Conflict,
    /// The queue is full.
    #[error("the journal has more to do than it takes on")]
    Busy,
    /// The disk is nearly full; what has to be audited is refused before it is.
    #[error("the disk is nearly full")]
    DiskLow,
    /// The journal has ended. After a failed write, whether the submission is on disk is not known.
    #[error("the journal has stopped")]
    Stopped,
}
