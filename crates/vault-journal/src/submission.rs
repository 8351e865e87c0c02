//! What a call hands to the journal, and what it gets back.

use vault_domain::{LogIndex, Millis};
use vault_ledger::TreeHash;
use vault_store::{Batch, Table};

use crate::changes::Position;

/// One call's rows and entry: committed together or not at all.
#[derive(Debug, Default)]
pub struct Submission {
    /// The rows. Rows of `records` are new ones: a record that exists is never put again.
    pub batch: Batch,
    /// What must still hold.
    pub conditions: Vec<Condition>,
    /// The time at which this must not be committed any more: the earliest expiry among the records revealed.
    pub valid_until: Option<Millis>,
    /// The entry, encoded, its log time still open.
    pub entry: Vec<u8>,
}

/// A row has not changed since the journal stood at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The row's table.
    pub table: Table,
    /// The row's key.
    pub key: RowKey,
    /// Where the journal stood before the row was read.
    pub since: Position,
}

/// The key of a row that can be a condition: at most 20 bytes, kept without an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    bytes: [u8; 20],
    length: u8,
}

impl RowKey {
    /// The key, if it is not too long to be a condition.
    #[must_use]
    pub fn new(key: &[u8]) -> Option<Self> {
        let mut bytes = [0; 20];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { bytes, length: u8::try_from(key.len()).ok()? })
    }
}

/// The proof of a commit: where the log holds its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The index.
    pub index: LogIndex,
    /// `SHA-256(0x00 ‖ entry)`.
    pub leaf: TreeHash,
    /// The log time that the entry got.
    pub log_time: Millis,
}
