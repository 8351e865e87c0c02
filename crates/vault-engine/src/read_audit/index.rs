//! What the index of the log says of a run before it is read: by the rows of its span, then by its own.

use vault_journal::{Journal, span_row};
use vault_ledger::{Runs, SPAN_RUNS, SpanPart, Summary};
use vault_store::{
    table::{RunNumber, Summaries},
    wait,
};

use super::{Finder, RUN};
use crate::error::Error;

/// How far the index has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexed {
    /// Entries whose runs have rows.
    entries: u64,
    /// Spans that have rows.
    spans: u64,
}

impl Indexed {
    pub(super) fn now(journal: &Journal) -> Self {
        let progress = journal.index_progress();
        Self { entries: progress.entries(), spans: progress.spans() }
    }

    /// Whether a run has a row.
    pub(super) fn has(self, run: RunNumber) -> bool {
        run.0.saturating_add(1).saturating_mul(RUN) <= self.entries
    }
}

/// What the rows of a span said, kept while a search is in that span.
#[derive(Debug, Default)]
pub(super) struct InSpan(Option<(u64, Option<Runs>)>);

/// What the index says of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Glance {
    /// Whether nothing in it is asked for.
    pub(super) skips: bool,
    /// Rows that were read to tell.
    pub(super) rows: u64,
}

impl Finder {
    /// Whether a run has to be read. The index is derived: what is missing or does not decode skips nothing.
    pub(super) fn glance(&self, run: RunNumber, indexed: Indexed, seen: &mut InSpan) -> Result<Glance, Error> {
        let (span, place) = (run.0 / u64::from(SPAN_RUNS), run.0 % u64::from(SPAN_RUNS));
        let mut rows = 0;
        if span < indexed.spans {
            let runs = match seen.0 {
                Some((seen, runs)) if seen == span => runs,
                _ => self.span(span, &mut rows)?,
            };
            seen.0 = Some((span, runs));
            if let Some(runs) = runs {
                if !u8::try_from(place).is_ok_and(|place| runs.has(place)) {
                    return Ok(Glance { skips: true, rows });
                }
                // Of all else the row of the run says the same again.
                if self.query.items.is_none() && self.query.request_id.is_none() {
                    return Ok(Glance { skips: false, rows });
                }
            }
        }
        if !indexed.has(run) {
            return Ok(Glance { skips: false, rows });
        }
        let skips = self.summary(run)?.is_some_and(|summary| !summary.may_match(&self.query));
        Ok(Glance { skips, rows: rows + 1 })
    }

    /// Runs of a span that could hold what is asked for; `None` if a row is missing or does not decode.
    fn span(&self, span: u64, rows: &mut u64) -> Result<Option<Runs>, Error> {
        let mut runs = Runs::ALL;
        for part in SpanPart::ALL.into_iter().filter(|part| part.is_about(&self.query)) {
            if runs == Runs::NONE {
                break;
            }
            *rows += 1;
            let row = wait(self.reader.snapshot().get(Summaries, &span_row(span, part)))?;
            let Some(told) = row.and_then(|row| part.runs(&row, &self.query).ok()) else { return Ok(None) };
            runs = runs.and(told);
        }
        Ok(Some(runs))
    }

    /// The summary of a run, if it is there and decodes.
    pub(super) fn summary(&self, run: RunNumber) -> Result<Option<Summary>, Error> {
        let summary = wait(self.reader.snapshot().get(Summaries, &run))?;
        Ok(summary.and_then(|row| Summary::decode(&row).ok()))
    }
}
