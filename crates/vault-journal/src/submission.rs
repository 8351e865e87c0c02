//! What a call hands to the journal, and what it gets back.

use vault_domain::{LogIndex, Millis};
use vault_ledger::TreeHash;
use vault_store::{Batch, Table, TableId, table::Key};

use crate::changes::{Position, RowKey, row_key};

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
    /// The minimum index from then on, of the entry of a pruning: the entries below it go in the same commit, with
    /// the rows of the index that are about them. Hashes stay.
    pub prune_to: Option<u64>,
}

/// A row has not changed since the journal stood at a position.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    pub(crate) table: TableId,
    /// `None` for a row that is never remembered: its condition never holds.
    pub(crate) key: Option<RowKey>,
    pub(crate) since: Position,
}

impl Condition {
    /// The condition on one row, read after the journal stood at `since`.
    #[must_use]
    pub fn unchanged<T: Table>(_: T, key: &T::Key, since: Position) -> Self {
        Self { table: T::ID, key: row_key(key.to_bytes().as_ref()), since }
    }
}

/// The proof of a commit: where the log holds its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The index.
    pub index: LogIndex,
    /// `SHA-256(0x00 ‖ entry)`.
    pub leaf: TreeHash,
    /// The same of the log's first entry, which tells it from every other log of its name: that entry holds a random
    /// salt.
    pub log_id: TreeHash,
    /// The log time that the entry got.
    pub log_time: Millis,
}
