//! The rows of the derived index: where they stand, and how they are made of entries.
//!
//! Rows of runs stand under the run's number. Rows of spans stand in the same table, behind all runs: under 2^63 + 4
//! · span + part. Those of one span are written in the order items, requests, places: where places are, all are.

use std::ops::Range;

use vault_domain::LogIndex;
use vault_ledger::{Entry, LedgerError, SPAN_RUNS, SUMMARY_ENTRIES, SpanBuilder, SpanPart, Summary, SummaryBuilder};
use vault_store::{
    Direction, Reader, SummaryWriter,
    table::{Entries, RunNumber, Summaries},
    wait,
};

use crate::{error::JournalError, log::minimum_index};

/// The first key of rows of spans; all before it are of runs.
const SPANS: u64 = 1 << 63;
/// Keys of one span.
const SPAN_KEYS: u64 = 4;

/// The rows of all spans before this one.
pub(crate) fn spans_before(span: u64) -> Range<RunNumber> {
    RunNumber(SPANS)..RunNumber(SPANS.saturating_add(span.saturating_mul(SPAN_KEYS)))
}

/// Where a row of a span stands.
#[must_use]
pub fn span_row(span: u64, part: SpanPart) -> RunNumber {
    RunNumber(SPANS.saturating_add(span.saturating_mul(SPAN_KEYS)).saturating_add(part as u64))
}

/// How many rows of runs, and of whole spans, lie in the index, by the newest of each.
///
/// # Errors
/// When the store can't be read.
pub fn index_rows(reader: &Reader) -> Result<(u64, u64), JournalError> {
    let snapshot = reader.snapshot();
    let runs = wait(snapshot.scan(Summaries, ..RunNumber(SPANS), Direction::Backward, 1))?;
    let runs = runs.last_key().map_or(0, |run| run.0.saturating_add(1));
    let last = wait(snapshot.last_key(Summaries))?.map_or(0, |key| key.0);
    let span = last.saturating_sub(SPANS) / SPAN_KEYS;
    let is_whole = last >= SPANS && wait(snapshot.get(Summaries, &span_row(span, SpanPart::Places)))?.is_some();
    // A crash can have left the newest without its places.
    Ok((runs, span.saturating_add(is_whole.into())))
}

/// Makes rows, run by run from the log's beginning or from where it came before. After an error it is of no more use.
#[derive(Debug)]
pub struct IndexBuilder {
    reader: Reader,
    writer: SummaryWriter,
    span: SpanBuilder,
    /// Runs that are in rows of spans, or in the one that is being made.
    taken: u64,
}

impl IndexBuilder {
    /// Goes on behind so many whole spans, in a log of which so many runs were pruned. A span that they reach into gets
    /// no rows.
    #[must_use]
    pub fn new(reader: Reader, writer: SummaryWriter, spans: u64, pruned: u64) -> Self {
        let taken = spans.max(pruned.div_ceil(SPAN_RUNS.into())).saturating_mul(SPAN_RUNS.into());
        Self { reader, writer, span: SpanBuilder::default(), taken }
    }

    /// Runs that are in rows of spans, or in the one that is being made.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Spans that have their rows, or get none.
    #[must_use]
    pub fn spans(&self) -> u64 {
        self.taken / u64::from(SPAN_RUNS)
    }

    /// Drops all rows, of a log of which so many runs were pruned.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn clear(&mut self, pruned: u64) -> Result<(), JournalError> {
        (self.span, self.taken) = (SpanBuilder::default(), pruned.next_multiple_of(SPAN_RUNS.into()));
        Ok(self.writer.clear()?)
    }

    /// Makes the row of a run; those of its span too, if it is the run that comes next there.
    ///
    /// # Errors
    /// When an entry of the run is missing or does not decode, or the store can't be written.
    pub fn build(&mut self, run: u64) -> Result<(), JournalError> {
        let summary = if run == self.taken { self.take()? } else { summarize(&self.reader, run, |_| ())? };
        self.writer.put(RunNumber(run), &summary.encode()?)?;
        self.finish_span()
    }

    /// Takes one more run, which has its own row already, into the rows of its span. A span with an entry whose body is
    /// gone gets none: its runs have their own, for which each body was read once.
    ///
    /// # Errors
    /// When an entry of the run does not decode, or the store can't be read or written.
    pub fn catch_up(&mut self) -> Result<(), JournalError> {
        match self.take() {
            Ok(_) => self.finish_span(),
            Err(JournalError::EntryMissing { .. }) => {
                self.span = SpanBuilder::default();
                self.taken = self.spans().saturating_add(1).saturating_mul(SPAN_RUNS.into());
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn take(&mut self) -> Result<Summary, JournalError> {
        let Self { reader, span, .. } = self;
        let mut taken: Result<(), LedgerError> = Ok(());
        let summary = summarize(reader, self.taken, |entry| {
            if taken.is_ok() {
                taken = span.push(entry);
            }
        })?;
        taken?;
        self.taken = self.taken.saturating_add(1);
        Ok(summary)
    }

    fn finish_span(&mut self) -> Result<(), JournalError> {
        if self.span.entries() < u32::from(SUMMARY_ENTRIES) * u32::from(SPAN_RUNS) {
            return Ok(());
        }
        let number = self.spans().saturating_sub(1);
        // It may have been pruned meanwhile, and its rows are gone with it.
        let is_there = minimum_index(&self.reader)? / u64::from(SUMMARY_ENTRIES) <= number * u64::from(SPAN_RUNS);
        if let Some(span) = std::mem::take(&mut self.span).finish()?
            && is_there
        {
            for part in SpanPart::ALL.into_iter().rev() {
                self.writer.put(span_row(number, part), span.row(part))?;
            }
        }
        Ok(())
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
