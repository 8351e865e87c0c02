//! A log as it lies on the disk, read without a vault: by the store and the ledger alone, as a third party would.

use std::path::Path;

use vault_domain::{LogIndex, Region, VaultId};
use vault_ledger::{Entry, Frontier, People, SealedPart, TreeHash, TreeHead, leaf_hash};
use vault_store::{
    Batch, Direction, Identity, Memory, OpenError, Options, Scope, Snapshot, Store, Table,
    table::{Budgets, Checkpoints, Entries, Expiry, Nonces, Records, States, Tokens, Values},
    wait,
};

/// Rows that are read at once.
const ROWS: usize = 1000;

/// All entries of a log, and its checkpoints.
#[derive(Debug)]
pub struct StoredLog {
    /// Each entry's bytes, by its index.
    pub entries: Vec<Vec<u8>>,
    /// Every checkpoint, oldest first: the size that it covers and the signed note.
    pub checkpoints: Vec<(u64, String)>,
}

impl StoredLog {
    /// Reads the log of the store in `directory`, which nobody may have open.
    #[must_use]
    pub fn read(directory: &Path, vault: &str, scope: &str) -> Self {
        let store = open(directory, vault, scope).expect("a store");
        let snapshot = store.reader.snapshot();
        let mut entries = Vec::new();
        loop {
            let from = LogIndex(entries.len() as u64);
            let rows = wait(snapshot.scan(Entries, from.., Direction::Forward, ROWS)).expect("entries");
            for (index, bytes) in rows.iter() {
                assert_eq!(index.0, entries.len() as u64, "no entry is missing");
                entries.push(bytes.to_vec());
            }
            if !rows.more() {
                break;
            }
        }
        let rows = wait(snapshot.scan(Checkpoints, .., Direction::Forward, ROWS)).expect("checkpoints");
        let text = |note: &[u8]| String::from_utf8(note.to_vec()).expect("text");
        let checkpoints = rows.iter().map(|(size, note)| (size.0, text(note))).collect();
        Self { entries, checkpoints }
    }

    /// The entries, decoded.
    #[must_use]
    pub fn decoded(&self) -> Vec<Entry> {
        self.entries.iter().map(|bytes| Entry::decode(bytes).expect("an entry")).collect()
    }

    /// The leaf hash of an entry.
    #[must_use]
    pub fn leaf(&self, index: u64) -> TreeHash {
        leaf_hash(&self.entries[usize::try_from(index).expect("an index")])
    }

    /// The head of the tree over the first `size` entries, from nothing but their bytes.
    #[must_use]
    pub fn head(&self, size: u64) -> TreeHead {
        let (mut frontier, mut tiles) = (Frontier::new(), Vec::new());
        (0..size).for_each(|index| frontier.append(self.leaf(index), &mut tiles));
        frontier.head()
    }
}

/// Opens a store that exists.
///
/// # Errors
/// When it can't be opened.
pub fn open(directory: &Path, vault: &str, scope: &str) -> Result<Store, OpenError> {
    let scope = if scope == "node" { Scope::Node } else { Scope::Region(Region::parse(scope).expect("a region")) };
    let identity = Identity { vault: VaultId::parse(vault).expect("a vault"), scope };
    Store::open(
        directory,
        &Options { create: false, identity, memory: Memory::new(8 << 20, 8 << 20), ballast_bytes: 0 },
    )
}

/// How many nonces a store holds.
#[must_use]
pub fn nonces(directory: &Path, vault: &str, scope: &str) -> usize {
    let store = open(directory, vault, scope).expect("a store");
    let rows = wait(store.reader.snapshot().scan(Nonces, .., Direction::Forward, ROWS)).expect("nonces");
    assert!(!rows.more(), "a test counts all of its nonces");
    rows.len()
}

/// The rows of all records of a store, by rising number.
#[must_use]
pub fn records(directory: &Path, vault: &str, scope: &str) -> Vec<Vec<u8>> {
    let store = open(directory, vault, scope).expect("a store");
    let rows = wait(store.reader.snapshot().scan(Records, .., Direction::Forward, ROWS)).expect("records");
    assert!(!rows.more(), "a test reads all of its records");
    rows.iter().map(|(_, row)| row.to_vec()).collect()
}

/// How many rows of each kind a store keeps for tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredRows {
    /// Values with their headers.
    pub records: usize,
    /// What changed about them.
    pub states: usize,
    /// Ways from tokens.
    pub tokens: usize,
    /// Ways from values.
    pub values: usize,
    /// What ends, and when.
    pub expiry: usize,
    /// What was spent of budgets.
    pub budgets: usize,
}

impl StoredRows {
    /// Those of a store.
    #[must_use]
    pub fn read(directory: &Path, vault: &str, scope: &str) -> Self {
        let store = open(directory, vault, scope).expect("a store");
        let snapshot = store.reader.snapshot();
        Self {
            records: count(&snapshot, Records),
            states: count(&snapshot, States),
            tokens: count(&snapshot, Tokens),
            values: count(&snapshot, Values),
            expiry: count(&snapshot, Expiry),
            budgets: count(&snapshot, Budgets),
        }
    }
}

fn count<T: Table>(snapshot: &Snapshot<'_>, table: T) -> usize {
    let rows = wait(snapshot.scan(table, .., Direction::Forward, ROWS)).expect("rows");
    assert!(!rows.more(), "a test counts all of them");
    rows.len()
}

/// Changes the first state row, as nobody should.
pub fn overwrite_first_state(directory: &Path, vault: &str, scope: &str, change: impl FnOnce(&mut [u8])) {
    let mut store = open(directory, vault, scope).expect("a store");
    let rows = wait(store.reader.snapshot().scan(States, .., Direction::Forward, 1)).expect("rows");
    let (number, row) = rows.iter().next().expect("a state row");
    let (number, mut row) = (*number, row.to_vec());
    change(&mut row);
    let mut batch = Batch::default();
    batch.put(States, &number, &row);
    store.writer.commit([&batch]).expect("a commit");
}

/// Puts other bytes in the place of an entry.
pub fn overwrite(directory: &Path, vault: &str, scope: &str, index: u64, entry: &[u8]) {
    let mut store = open(directory, vault, scope).expect("a store");
    let mut batch = Batch::default();
    batch.put(Entries, &LogIndex(index), entry);
    store.writer.commit([&batch]).expect("a commit");
}

/// Removes entries, as nobody should.
pub fn remove(directory: &Path, vault: &str, scope: &str, indexes: std::ops::Range<u64>) {
    let mut store = open(directory, vault, scope).expect("a store");
    let mut batch = Batch::default();
    indexes.for_each(|index| batch.delete(Entries, &LogIndex(index)));
    store.writer.commit([&batch]).expect("a commit");
}

/// Drops every row of the index: it is made anew from the entries.
pub fn clear_index(directory: &Path, vault: &str, scope: &str) {
    let mut store = open(directory, vault, scope).expect("a store");
    store.summaries.clear().expect("an index");
}

/// Who stands in an entry in the clear.
#[must_use]
pub fn people(entry: &Entry) -> Option<&People> {
    match &entry.people {
        SealedPart::Clear(people) => Some(people),
        SealedPart::None | SealedPart::Sealed(_) => None,
    }
}
