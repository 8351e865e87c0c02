//! What it costs to pass over entries and runs that nobody asks for, by the ways that there are: the index of a stopped
//! vault's log, and entries in memory, on one thread.

use std::{hint::black_box, path::Path};

use vault_domain::{Clock, LogIndex, SystemClock};
use vault_journal::{index_rows, span_row};
use vault_ledger::{Entry, PrincipalTag, Query, SPAN_RUNS, SpanPart, Summary};
use vault_store::{
    Direction, Memory, Reader, StoreAtRest,
    table::{Entries, RunNumber, Summaries},
    wait,
};

use crate::{
    Failure,
    measure::{Spread, ratio},
    report::{Figure, Report},
};

/// Entries that are passed over in a round.
const ENTRIES: usize = 60_000;

/// Measures both, `rounds` times each in turn.
///
/// # Errors
/// When the store can't be read, or an entry or a row does not decode.
pub fn measure(store: &Path, rounds: usize, report: &mut Report) -> Result<(), Failure> {
    let reader = StoreAtRest::open(store, &Memory::new(512 << 20, 1 << 20))?.reader;
    let nobody = Query { principals: Some(vec![PrincipalTag([0xA5; 8])]), ..Query::default() };
    let found = wait(reader.snapshot().scan(Entries, LogIndex(0).., Direction::Forward, ENTRIES))?;
    let entries: Vec<Vec<u8>> = found.iter().map(|(_, bytes)| bytes.to_vec()).collect();
    let each = |seconds: f64| seconds * 1e9 / entries.len() as f64;
    let taken = compare(
        rounds,
        || {
            entries
                .iter()
                .try_for_each(|bytes| black_box(Entry::decode(bytes).map(|entry| nobody.matches(&entry))).map(drop))
        },
        || {
            entries.iter().try_for_each(|bytes| {
                black_box(nobody.may_match_bytes(bytes));
                Ok(())
            })
        },
    )?;
    report.add(taken.figure("pass over an entry: by its bytes, against decoded", each, "ns"));
    let (runs, spans) = index_rows(&reader)?;
    let runs = runs.min(spans * u64::from(SPAN_RUNS));
    if runs == 0 {
        return Ok(());
    }
    let taken = compare(rounds, || by_runs(&reader, runs, &nobody), || by_spans(&reader, spans, &nobody))?;
    let name = format!("pass over {runs} runs: by spans, against by runs");
    report.add(taken.figure(&name, |seconds| seconds * 1e3, "ms"));
    Ok(())
}

fn by_runs(reader: &Reader, runs: u64, query: &Query) -> Result<(), Failure> {
    for run in 0..runs {
        let row = wait(reader.snapshot().get(Summaries, &RunNumber(run)))?.ok_or("a row is missing")?;
        if Summary::decode(&row)?.may_match(query) {
            return Err("a row holds who is in no entry".into());
        }
    }
    Ok(())
}

fn by_spans(reader: &Reader, spans: u64, query: &Query) -> Result<(), Failure> {
    for span in 0..spans {
        let row = wait(reader.snapshot().get(Summaries, &span_row(span, SpanPart::Places)))?;
        let runs = SpanPart::Places.runs(&row.ok_or("a row is missing")?, query)?;
        if (0..=u8::MAX).any(|run| runs.has(run)) {
            return Err("a row holds who is in no entry".into());
        }
    }
    Ok(())
}

/// Seconds of the older way and of the newer one, round by round.
struct Taken(Vec<(f64, f64)>);

fn compare<E: Into<Failure>>(
    rounds: usize,
    mut older: impl FnMut() -> Result<(), E>,
    mut newer: impl FnMut() -> Result<(), Failure>,
) -> Result<Taken, Failure> {
    let clock = SystemClock::new();
    let mut taken = Vec::new();
    for _ in 0..rounds {
        let start = clock.monotonic();
        older().map_err(Into::into)?;
        let between = clock.monotonic();
        newer()?;
        let end = clock.monotonic();
        let seconds = [between.saturating_sub(start), end.saturating_sub(between)].map(|time| time.as_secs_f64());
        let [older, newer] = seconds;
        taken.push((older, newer));
    }
    Ok(Taken(taken))
}

impl Taken {
    fn figure(&self, name: &str, shown: impl Fn(f64) -> f64, unit: &'static str) -> Figure {
        let Self(rounds) = self;
        let newer = Spread::of(rounds.iter().map(|(_, newer)| shown(*newer))).median;
        let older = Spread::of(rounds.iter().map(|(older, _)| shown(*older))).median;
        let ratios = Spread::of(rounds.iter().map(|(older, newer)| ratio(*newer, *older)));
        Figure::new(name, newer, unit).against(older, ratios)
    }
}
