//! The follower: builds the derived index behind the log, on its own thread, never in the commit.
//!
//! One row sums up 256 entries (vault-ledger's `summary`). Entries behind the last full run are the unindexed tail,
//! which queries scan. The table can be dropped at any time; it is built again from the entries. Rows of an older
//! version are built again where they begin: rows are written in order alone, so that all before them are current.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use vault_domain::LogIndex;
use vault_ledger::{Entry, SUMMARY_ENTRIES, Summary, SummaryBuilder};
use vault_store::{
    Direction, Reader, SummaryWriter,
    table::{Entries, RunNumber, Summaries},
    wait,
};

use crate::{error::JournalError, log::minimum_index};

/// How long the follower sleeps when it has caught up.
const PAUSE: Duration = Duration::from_millis(100);

/// How far the derived index has come.
#[derive(Debug, Default)]
pub struct IndexProgress {
    entries: AtomicU64,
    stopped: AtomicBool,
}

impl IndexProgress {
    /// Entries that are summed up; those behind them are scanned.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Acquire)
    }

    /// Whether the follower met an entry or row that it could not read, and stopped: queries scan more from then on.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

pub(crate) struct Follower {
    reader: Reader,
    writer: SummaryWriter,
    size: Arc<AtomicU64>,
    progress: Arc<IndexProgress>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    pub(crate) fn new(
        reader: Reader,
        mut writer: SummaryWriter,
        size: Arc<AtomicU64>,
        progress: Arc<IndexProgress>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, JournalError> {
        let done = current_runs(&reader)?.saturating_mul(u64::from(SUMMARY_ENTRIES));
        // Summaries are not synced: after a crash they can only be behind the log, but an old copy may hold more.
        let size_now = size.load(Ordering::Acquire);
        if done > size_now {
            // Rows about entries of another history must not be met again once this one has grown.
            writer.clear()?;
        }
        let pruned = minimum_index(&reader)?;
        progress.entries.store(if done <= size_now { done } else { pruned }, Ordering::Release);
        Ok(Self { reader, writer, size, progress, stop })
    }

    pub(crate) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let done = self.progress.entries();
            let next = done.saturating_add(u64::from(SUMMARY_ENTRIES));
            if next > self.size.load(Ordering::Acquire) {
                std::thread::park_timeout(PAUSE);
                continue;
            }
            match self.sum_up(done) {
                Ok(()) => self.progress.entries.store(next, Ordering::Release),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the index of the log stopped");
                    self.progress.stopped.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    /// Sums up the run of entries that begins at `first`.
    fn sum_up(&mut self, first: u64) -> Result<(), JournalError> {
        let run = first / u64::from(SUMMARY_ENTRIES);
        let summary = summarize(&self.reader, run, |_| ())?;
        Ok(self.writer.put(RunNumber(run), &summary.encode()?)?)
    }
}

/// The row of a run of entries, made of the entries, which are shown to `each`.
///
/// # Errors
/// When an entry of the run is missing or does not decode.
pub fn summarize(reader: &Reader, run: u64, mut each: impl FnMut(&Entry)) -> Result<Summary, JournalError> {
    let mut summary = SummaryBuilder::new();
    let mut next = run.saturating_mul(u64::from(SUMMARY_ENTRIES));
    let end = next.saturating_add(u64::from(SUMMARY_ENTRIES));
    // A scan ends early when the entries are large.
    while next < end {
        let snapshot = reader.snapshot();
        let limit = usize::from(SUMMARY_ENTRIES);
        let rows = wait(snapshot.scan(Entries, LogIndex(next)..LogIndex(end), Direction::Forward, limit))?;
        for (index, bytes) in rows.iter() {
            if index.0 != next {
                return Err(JournalError::EntryMissing { index: next });
            }
            let entry = Entry::decode(bytes)?;
            each(&entry);
            summary.push(&entry)?;
            next = next.saturating_add(1);
        }
        if rows.is_empty() {
            return Err(JournalError::EntryMissing { index: next });
        }
    }
    summary.finish().ok_or(JournalError::EntryMissing { index: next })
}

/// How many runs at the log's beginning have rows of the version that is written now. Found by halving: a log of a
/// billion entries takes 22 looks.
fn current_runs(reader: &Reader) -> Result<u64, JournalError> {
    let snapshot = reader.snapshot();
    // There is nothing to sum up of entries that were pruned.
    let pruned = minimum_index(reader)? / u64::from(SUMMARY_ENTRIES);
    let Some(last) = wait(snapshot.last_key(Summaries))? else { return Ok(pruned) };
    let (mut current, mut unknown) = (pruned, last.0.saturating_add(1));
    while current < unknown {
        let middle = current + (unknown - current) / 2;
        // A row that is missing in between was lost or damaged by others: it is read around, not built again here.
        let row = wait(snapshot.get(Summaries, &RunNumber(middle)))?;
        if row.is_none_or(|row| Summary::is_current(&row)) { current = middle + 1 } else { unknown = middle }
    }
    Ok(current)
}
