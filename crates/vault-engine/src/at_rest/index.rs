//! The index of a log at rest, held against the log's entries, and built again from them.

use std::path::Path;

use vault_journal::summarize;
use vault_ledger::{Entry, SUMMARY_ENTRIES, Summary};
use vault_store::{
    Memory, Options, ReadError, Store,
    table::{RunNumber, Summaries},
    wait,
};

use super::LogAtRest;
use crate::OpenError;

/// What is wrong with a row of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFault {
    /// It conceals this entry of its run from questions about this field of it.
    Hides {
        /// The entry's index.
        index: u64,
        /// The field.
        field: &'static str,
    },
    /// It counts what is not there, or not what is.
    Miscounts,
    /// It says of its run that more could be in it than is: questions read the run in vain.
    Wide,
    /// It does not decode: questions read the run.
    Unreadable,
    /// There is none, though there are rows behind it: questions read the run.
    Missing,
    /// It is about entries that the log does not have.
    Beyond,
}

impl RowFault {
    /// Whether answers can be wrong by it. All else costs time.
    #[must_use]
    pub fn is_harmful(self) -> bool {
        matches!(self, Self::Hides { .. } | Self::Miscounts)
    }
}

/// A row that is not what its entries make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its run: entries from 256 times this on.
    pub run: u64,
    /// What is wrong with it.
    pub fault: RowFault,
}

/// What was found in an index.
#[derive(Debug, Default)]
pub struct IndexChecked {
    /// Rows that were held against their entries.
    pub rows: u64,
    /// Rows of an older version, which the next start builds again.
    pub older: u64,
    /// Entries behind the last row: the next start goes on there.
    pub behind: u64,
}

impl LogAtRest {
    /// Holds each row of the index against its entries, and shows those that are wrong to `bad`, by rising run.
    ///
    /// # Errors
    /// When the store can't be read, or an entry is missing or does not decode.
    pub fn check_index(&self, mut bad: impl FnMut(BadRow)) -> Result<IndexChecked, IndexError> {
        let reader = &self.store.reader;
        let snapshot = reader.snapshot();
        let (size, run_entries) = (self.size()?, u64::from(SUMMARY_ENTRIES));
        let rows = wait(snapshot.last_key(Summaries))?.map_or(0, |run| run.0.saturating_add(1));
        let runs = size / run_entries;
        let mut checked = IndexChecked::default();
        // Of entries that were pruned there are no rows; one that is there is about entries that are not.
        let pruned = self.minimum_index()? / run_entries;
        for run in 0..pruned.min(rows) {
            if wait(snapshot.get(Summaries, &RunNumber(run)))?.is_some() {
                bad(BadRow { run, fault: RowFault::Beyond });
            }
        }
        for run in pruned..rows.min(runs) {
            let row = wait(snapshot.get(Summaries, &RunNumber(run)))?;
            match row.as_deref() {
                Some(row) if Summary::is_current(row) => {
                    checked.rows += 1;
                    if let Some(fault) = fault(reader, run, row)? {
                        bad(BadRow { run, fault });
                    }
                }
                Some([version, ..]) if *version < Summary::VERSION && *version > 0 => checked.older += 1,
                Some(_) => bad(BadRow { run, fault: RowFault::Unreadable }),
                None => bad(BadRow { run, fault: RowFault::Missing }),
            }
        }
        if rows > runs {
            bad(BadRow { run: runs, fault: RowFault::Beyond });
        }
        checked.behind = size.saturating_sub(rows.min(runs).saturating_mul(run_entries));
        Ok(checked)
    }
}

/// What is wrong with a row of the current version.
fn fault(reader: &vault_store::Reader, run: u64, row: &[u8]) -> Result<Option<RowFault>, IndexError> {
    let mut entries: Vec<Entry> = Vec::new();
    let truth = summarize(reader, run, |entry| entries.push(entry.clone()))?;
    let Ok(found) = Summary::decode(row) else { return Ok(Some(RowFault::Unreadable)) };
    if found == truth {
        return Ok(None);
    }
    let first = run.saturating_mul(u64::from(SUMMARY_ENTRIES));
    let hidden = (first..).zip(&entries).find_map(|(index, entry)| found.hides(entry).map(|field| (index, field)));
    Ok(Some(match hidden {
        Some((index, field)) => RowFault::Hides { index, field },
        None if !found.counts_like(&truth) => RowFault::Miscounts,
        None => RowFault::Wide,
    }))
}

/// Drops the index of a store that nobody serves from and builds it again from the entries; gives the number of rows.
/// Nothing else is written.
///
/// # Errors
/// When the store is not there, in use or damaged, or an entry is missing or does not decode.
pub fn rebuild_index(path: &Path, memory: &Memory) -> Result<u64, IndexError> {
    let at_rest = LogAtRest::open(path, memory)?;
    if at_rest.torn().is_some() {
        return Err(IndexError::Torn);
    }
    let identity = at_rest.store.identity.clone();
    let runs = at_rest.size()? / u64::from(SUMMARY_ENTRIES);
    let pruned = at_rest.minimum_index()? / u64::from(SUMMARY_ENTRIES);
    drop(at_rest);
    // No ballast is asked for: that which is there stays.
    let options = Options { create: false, identity, memory: memory.clone(), ballast_bytes: 0 };
    let Store { reader, mut summaries, .. } = Store::open(path, &options).map_err(OpenError::from)?;
    summaries.clear()?;
    for run in pruned..runs {
        let row = summarize(&reader, run, |_| ())?;
        summaries.put(RunNumber(run), &row.encode()?)?;
    }
    Ok(runs.saturating_sub(pruned))
}

/// Why an index could not be checked or built.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The store can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry is missing or damaged.
    #[error("{0}; `tokenvault audit verify` tells what else is wrong with the log")]
    Log(#[from] vault_journal::JournalError),
    /// A row can't be written as bytes.
    #[error(transparent)]
    Row(#[from] vault_ledger::LedgerError),
    /// The store can't be written.
    #[error(transparent)]
    Write(#[from] vault_store::WriteError),
    /// The write-ahead log ends in the middle of a write.
    #[error("the end of the write-ahead log is torn, as after a crash: let the vault start once, which settles it")]
    Torn,
}
