//! What the index of the log says of a run before it is read: by the rows of its span, then by its own.

use std::ops::Range;

use vault_journal::{Journal, span_row};
use vault_ledger::{Runs, SPAN_RUNS, SpanKinds, SpanPart, Summary};
use vault_store::{
    table::{RunNumber, Summaries},
    wait,
};

use super::{Finder, RUN, SPAN};
use crate::error::Error;

/// Runs of a span that are read before it is asked where in it single entries stand: those of a question that is met
/// often fill a page before.
const RUNS_READ_FIRST: u32 = 2;
/// So many runs of a span, or fewer, are read faster than its row of kinds.
const RUNS_FEW: u32 = 8;

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

    /// Whether a span has rows.
    pub(super) fn has_span(self, span: u64) -> bool {
        span < self.spans
    }
}

/// What the rows of a span said, kept while a search is in that span.
#[derive(Debug, Default)]
pub(super) struct InSpan {
    span: Option<u64>,
    /// Runs that could hold what is asked for; `None` if that can't be told.
    runs: Option<Runs>,
    /// Runs of it that were to be read.
    read: u32,
    places: Places,
}

/// Where in a span there are entries of the kinds that are asked for.
#[derive(Debug, Default)]
enum Places {
    #[default]
    Unread,
    Untold,
    At(Vec<u16>),
}

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
        if indexed.has_span(span) {
            if seen.span != Some(span) {
                let runs = self.span(span, &mut rows)?;
                *seen = InSpan { span: Some(span), runs, ..InSpan::default() };
            }
            if let Some(runs) = seen.runs {
                let skips = !u8::try_from(place).is_ok_and(|place| runs.has(place));
                return Ok(Glance { skips, rows });
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
            *rows += 1;
            let snapshot = self.reader.snapshot();
            let told = wait(snapshot.look(Summaries, &span_row(span, part), |row| part.runs(row, &self.query)))?;
            let Some(Ok(told)) = told else { return Ok(None) };
            runs = runs.and(told);
            if runs == Runs::NONE {
                return Ok(Some(runs));
            }
        }
        if self.query.items.is_none() && self.query.request_id.is_none() {
            return Ok(Some(runs));
        }
        // Single items and requests are told to be in the span. Its runs' rows are read at once.
        let first = span.saturating_mul(SPAN_RUNS.into());
        let range = RunNumber(first)..RunNumber(first.saturating_add(SPAN_RUNS.into()));
        let mut seen = Runs::ALL;
        wait(self.reader.snapshot().walk(Summaries, range, |run, row| {
            *rows += 1;
            let place = u8::try_from(run.0.saturating_sub(first));
            if let (Ok(false), Ok(place)) = (Summary::may_hold_rare(row, &self.query), place) {
                seen.remove(place);
            }
        }))?;
        Ok(Some(runs.and(seen)))
    }

    /// The summary of a run, if it is there and decodes.
    pub(super) fn summary(&self, run: RunNumber) -> Result<Option<Summary>, Error> {
        let summary = wait(self.reader.snapshot().get(Summaries, &run))?;
        Ok(summary.and_then(|row| Summary::decode(&row).ok()))
    }

    /// Of which kinds the entries of a span are, if its row is there, decodes and tells it.
    pub(super) fn span_kinds(&self, span: u64) -> Result<Option<SpanKinds>, Error> {
        let snapshot = self.reader.snapshot();
        let kinds =
            wait(snapshot.look(Summaries, &span_row(span, SpanPart::Kinds), |row| SpanKinds::decode(row).ok()))?;
        Ok(kinds.flatten().flatten())
    }

    /// The entries of a part of a run that could be asked for, rising, and the rows that were read to tell. `None` if
    /// that is not known: then all of them.
    pub(super) fn places(
        &self,
        part: &Range<u64>,
        indexed: Indexed,
        seen: &mut InSpan,
    ) -> Result<(Option<Vec<u64>>, u64), Error> {
        let span = part.start / SPAN;
        if !indexed.has_span(span) || seen.span != Some(span) {
            return Ok((None, 0));
        }
        seen.read += 1;
        let is_rare = self.query.items.is_some() || self.query.request_id.is_some();
        let is_few = seen.runs.is_some_and(|runs| runs.count() <= RUNS_FEW);
        if is_rare || is_few || seen.read <= RUNS_READ_FIRST {
            return Ok((None, 0));
        }
        let mut rows = 0;
        if let Places::Unread = seen.places {
            rows = KINDS_ROWS;
            let kinds = self.span_kinds(span)?;
            let places = kinds.and_then(|kinds| kinds.places(&self.query));
            seen.places = places.map_or(Places::Untold, Places::At);
        }
        let Places::At(places) = &seen.places else { return Ok((None, rows)) };
        let begin = span.saturating_mul(SPAN);
        let at = |index: u64| places.partition_point(|place| begin.saturating_add(u64::from(*place)) < index);
        let of_part = places.get(at(part.start)..at(part.end)).unwrap_or_default();
        Ok((Some(of_part.iter().map(|place| begin.saturating_add(u64::from(*place))).collect()), rows))
    }
}

/// What a row of kinds costs, in rows of runs.
pub(super) const KINDS_ROWS: u64 = 512;
