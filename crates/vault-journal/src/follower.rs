//! The follower: builds the derived index behind the log, on its own thread, never in the commit.
//!
//! One row sums up 256 entries, and three rows 256 runs of these (vault-ledger's `summary`). Entries behind the last
//! full run are the unindexed tail, which queries scan. The table can be dropped at any time; it is built again from
//! the entries. Rows of an older version are built again where they begin: rows are written in order alone, so that
//! all before them are current.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use vault_ledger::{SPAN_RUNS, SUMMARY_ENTRIES, SpanPart, Summary};
use vault_store::{
    Reader, SummaryWriter,
    table::{RunNumber, Summaries},
    wait,
};

use crate::{
    error::JournalError,
    index::{IndexBuilder, index_rows, span_row},
    log::minimum_index,
};

/// How long the follower sleeps when it has caught up.
const PAUSE: Duration = Duration::from_millis(100);

/// How far the derived index has come.
#[derive(Debug, Default)]
pub struct IndexProgress {
    entries: AtomicU64,
    spans: AtomicU64,
    stopped: AtomicBool,
}

impl IndexProgress {
    /// Entries that are summed up; those behind them are scanned.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Acquire)
    }

    /// Spans that have their rows, as far as they get any; runs behind them are skipped by their own rows alone.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.spans.load(Ordering::Acquire)
    }

    /// Whether the follower met an entry or row that it could not read, and stopped: queries scan more from then on.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

pub(crate) struct Follower {
    builder: IndexBuilder,
    size: Arc<AtomicU64>,
    progress: Arc<IndexProgress>,
    stop: Arc<AtomicBool>,
}

impl Follower {
    pub(crate) fn new(
        reader: Reader,
        writer: SummaryWriter,
        size: Arc<AtomicU64>,
        progress: Arc<IndexProgress>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, JournalError> {
        // There is nothing to sum up of entries that were pruned.
        let pruned = minimum_index(&reader)? / u64::from(SUMMARY_ENTRIES);
        let (runs, spans) = current_rows(&reader)?;
        let runs = runs.max(pruned);
        let done = runs.max(spans.saturating_mul(SPAN_RUNS.into())).saturating_mul(u64::from(SUMMARY_ENTRIES));
        // Summaries are not synced: after a crash they can only be behind the log, but an old copy may hold more.
        let is_of_this_log = done <= size.load(Ordering::Acquire);
        let mut builder = IndexBuilder::new(reader, writer, spans, pruned);
        if !is_of_this_log {
            // Rows about entries of another history must not be met again once this one has grown.
            builder.clear(pruned)?;
        }
        let runs = if is_of_this_log { runs } else { pruned };
        progress.entries.store(runs.saturating_mul(u64::from(SUMMARY_ENTRIES)), Ordering::Release);
        progress.spans.store(builder.spans(), Ordering::Release);
        Ok(Self { builder, size, progress, stop })
    }

    pub(crate) fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            match self.step() {
                Ok(true) => {}
                Ok(false) => std::thread::park_timeout(PAUSE),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the index of the log stopped");
                    self.progress.stopped.store(true, Ordering::Release);
                    return;
                }
            }
        }
    }

    /// Sums up the next run. If there is none, takes one into its span that has a row, but none of its span: of an
    /// index that has none yet, or when it goes on within one. `false` if there is nothing to do.
    fn step(&mut self) -> Result<bool, JournalError> {
        let done = self.progress.entries();
        let (run, next) = (done / u64::from(SUMMARY_ENTRIES), done.saturating_add(u64::from(SUMMARY_ENTRIES)));
        if next <= self.size.load(Ordering::Acquire) {
            self.builder.build(run)?;
            self.progress.entries.store(next, Ordering::Release);
        } else if self.builder.taken() < run {
            self.builder.catch_up()?;
        } else {
            return Ok(false);
        }
        self.progress.spans.store(self.builder.spans(), Ordering::Release);
        Ok(true)
    }
}

/// How many runs and whole spans at the log's beginning have rows of the versions that are written now.
fn current_rows(reader: &Reader) -> Result<(u64, u64), JournalError> {
    let (runs, spans) = index_rows(reader)?;
    let snapshot = reader.snapshot();
    // A row that is missing in between was lost or damaged by others: it is read around, not built again here.
    let is_current = |key, current: fn(&[u8]) -> bool| {
        Ok::<_, JournalError>(wait(snapshot.get(Summaries, &key))?.is_none_or(|row| current(&row)))
    };
    let runs = first_that_is_not(runs, |run| is_current(RunNumber(run), Summary::is_current))?;
    let places = |span| is_current(span_row(span, SpanPart::Places), SpanPart::is_current);
    Ok((runs, first_that_is_not(spans, places)?))
}

/// The first number below `end` of which it is not so; `end` if it is so of all. Found by halving: the rows of a log
/// of a billion entries take 22 looks.
fn first_that_is_not(end: u64, mut is: impl FnMut(u64) -> Result<bool, JournalError>) -> Result<u64, JournalError> {
    let (mut current, mut unknown) = (0, end);
    while current < unknown {
        let middle = current + (unknown - current) / 2;
        if is(middle)? { current = middle + 1 } else { unknown = middle }
    }
    Ok(current)
}
