//! The index of a log at rest, held against the log's entries, and built again from them.

use std::path::Path;

use vault_journal::{IndexBuilder, index_rows, span_row, summarize};
use vault_ledger::{Entry, SPAN_RUNS, SUMMARY_ENTRIES, Span, SpanBuilder, SpanKinds, SpanPart, Summary};
use vault_store::{
    Direction, Memory, Options, ReadError, Reader, Store,
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
    /// Its run: entries from 256 times this on. Of a span's row the first, or the one that is wronged.
    pub run: u64,
    /// Which of a span's rows, if it is none of a run.
    pub part: Option<SpanPart>,
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
        let size = self.size()?;
        let (rows, spans) = index_rows(reader)?;
        let runs = size / u64::from(SUMMARY_ENTRIES);
        let whole_spans = runs / u64::from(SPAN_RUNS);
        let mut checked = IndexChecked::default();
        // Of entries that were pruned there are no rows; one that is there is about entries that are not.
        let pruned = self.minimum_index()? / u64::from(SUMMARY_ENTRIES);
        let of_pruned = wait(reader.snapshot().scan(Summaries, ..RunNumber(pruned), Direction::Forward, usize::MAX))?;
        of_pruned.iter().for_each(|(run, _)| bad(BadRow { run: run.0, part: None, fault: RowFault::Beyond }));
        for number in 0..spans.min(pruned.div_ceil(SPAN_RUNS.into())) {
            if wait(reader.snapshot().get(Summaries, &span_row(number, SpanPart::Places)))?.is_some() {
                let run = number.saturating_mul(SPAN_RUNS.into());
                bad(BadRow { run, part: Some(SpanPart::Places), fault: RowFault::Beyond });
            }
        }
        let mut span = SpanBuilder::default();
        for run in pruned..runs.min(rows.max(spans.saturating_mul(SPAN_RUNS.into()))) {
            let mut entries: Vec<Entry> = Vec::new();
            let truth = summarize(reader, run, |entry| entries.push(entry.clone()))?;
            if run >= pruned.next_multiple_of(SPAN_RUNS.into()) {
                entries.iter().try_for_each(|entry| span.push(entry))?;
            }
            let row = wait(reader.snapshot().get(Summaries, &RunNumber(run)))?;
            match row.as_deref() {
                Some(row) if Summary::is_current(row) => {
                    checked.rows += 1;
                    if let Some(fault) = fault(run, row, &truth, &entries) {
                        bad(BadRow { run, part: None, fault });
                    }
                }
                Some([version, ..]) if *version < Summary::VERSION && *version > 0 => checked.older += 1,
                Some(_) => bad(BadRow { run, part: None, fault: RowFault::Unreadable }),
                None => bad(BadRow { run, part: None, fault: RowFault::Missing }),
            }
            let number = run / u64::from(SPAN_RUNS);
            if (run + 1).is_multiple_of(SPAN_RUNS.into())
                && let Some(truth) = std::mem::take(&mut span).finish()?
                && number < spans
            {
                check_span(reader, number, &truth, &mut checked, &mut bad)?;
            }
        }
        if rows > runs {
            bad(BadRow { run: runs, part: None, fault: RowFault::Beyond });
        }
        if spans > whole_spans {
            let run = whole_spans.saturating_mul(SPAN_RUNS.into());
            bad(BadRow { run, part: Some(SpanPart::Places), fault: RowFault::Beyond });
        }
        checked.behind = size.saturating_sub(rows.min(runs).saturating_mul(u64::from(SUMMARY_ENTRIES)));
        Ok(checked)
    }
}

/// Holds the rows of a span against those that its entries make.
fn check_span(
    reader: &Reader,
    number: u64,
    truth: &Span,
    checked: &mut IndexChecked,
    bad: &mut impl FnMut(BadRow),
) -> Result<(), IndexError> {
    let first = number.saturating_mul(SPAN_RUNS.into());
    for part in SpanPart::ALL {
        let row = wait(reader.snapshot().get(Summaries, &span_row(number, part)))?;
        let (run, fault) = match row.as_deref() {
            Some(row) if row == truth.row(part) => {
                checked.rows += 1;
                continue;
            }
            Some(row) if SpanPart::is_current(row) => {
                checked.rows += 1;
                if part == SpanPart::Kinds {
                    mistaken(first, row, truth.row(part))
                } else {
                    hidden(reader, first, part, row)?
                }
            }
            Some(_) => (first, RowFault::Unreadable),
            None => (first, RowFault::Missing),
        };
        bad(BadRow { run, part: Some(part), fault });
    }
    Ok(())
}

/// What is wrong with a span's row that is not what it should be, and of which run.
fn hidden(reader: &Reader, first: u64, part: SpanPart, row: &[u8]) -> Result<(u64, RowFault), IndexError> {
    for place in 0..=u8::MAX {
        let run = first.saturating_add(place.into());
        let mut index = run.saturating_mul(SUMMARY_ENTRIES.into());
        let mut found = Ok(None);
        summarize(reader, run, |entry| {
            if let Ok(None) = found {
                found = part.hides(row, entry, place).map(|field| field.map(|field| (index, field)));
            }
            index = index.saturating_add(1);
        })?;
        match found {
            Err(_) => return Ok((first, RowFault::Unreadable)),
            Ok(Some((index, field))) => return Ok((run, RowFault::Hides { index, field })),
            Ok(None) => {}
        }
    }
    Ok((first, RowFault::Wide))
}

/// What is wrong with a span's row of kinds that is not what it should be, and of which run. An entry of which it has
/// another kind or hour is counted wrongly, and passed over by questions about its own.
fn mistaken(first: u64, row: &[u8], truth: &[u8]) -> (u64, RowFault) {
    let (Ok(found), Ok(truth)) = (SpanKinds::decode(row), SpanKinds::decode(truth)) else {
        return (first, RowFault::Unreadable);
    };
    let (Some(found), Some(truth)) = (found, truth) else { return (first, RowFault::Wide) };
    let Some(place) = found.first_difference(&truth) else { return (first, RowFault::Wide) };
    let index = first.saturating_mul(SUMMARY_ENTRIES.into()).saturating_add(place.into());
    (index / u64::from(SUMMARY_ENTRIES), RowFault::Hides { index, field: "kind" })
}

/// What is wrong with a row of the current version.
fn fault(run: u64, row: &[u8], truth: &Summary, entries: &[Entry]) -> Option<RowFault> {
    let Ok(found) = Summary::decode(row) else { return Some(RowFault::Unreadable) };
    if found == *truth {
        return None;
    }
    let first = run.saturating_mul(u64::from(SUMMARY_ENTRIES));
    let hidden = (first..).zip(entries).find_map(|(index, entry)| found.hides(entry).map(|field| (index, field)));
    Some(match hidden {
        Some((index, field)) => RowFault::Hides { index, field },
        None if !found.counts_like(truth) => RowFault::Miscounts,
        None => RowFault::Wide,
    })
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
    let Store { reader, summaries, .. } = Store::open(path, &options).map_err(OpenError::from)?;
    let mut builder = IndexBuilder::new(reader, summaries, 0, pruned);
    builder.clear(pruned)?;
    for run in pruned..runs {
        builder.build(run)?;
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
