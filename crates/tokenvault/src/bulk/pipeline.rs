//! Rows through the vault: several calls at once, results in the order of the rows, memory bounded by the calls that
//! are open.

use std::{
    collections::BTreeMap,
    future::Future,
    io::{Read, Write},
    sync::Arc,
};

use csv::ByteRecord;
use tokio::task::JoinSet;
use vault_client::{CallMade, ClientError};
use vault_domain::Clock;
use zeroize::Zeroizing;

use crate::{
    bulk::{
        rows::{Batch, Item, Row, Rows},
        statistics::Statistics,
    },
    exit::{Exit, Failure},
};

/// The columns of the file of rejects. `row` counts from 1 without the row of names, `line` is where the row begins.
const REJECT_COLUMNS: [&str; 8] = ["row", "line", "column", "reason", "rule", "remedy", "request_id", "others"];

/// What stands in a cell's place.
pub(crate) struct Replacement {
    pub(crate) cell: Zeroizing<Vec<u8>>,
    /// Whether it is a token that is new.
    pub(crate) created: bool,
}

/// The results of the items of one batch, and the calls that were made for it.
pub(crate) struct Exchanged {
    pub(crate) results: Vec<Result<Replacement, ClientError>>,
    pub(crate) calls: Vec<CallMade>,
    /// Calls before these that were refused because others got in between.
    pub(crate) conflicts: u64,
}

/// A file on its way.
pub(crate) struct Pipeline<R, F> {
    pub(crate) rows: Rows<R>,
    pub(crate) in_flight_max: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// Sends the items of one batch.
    pub(crate) exchange: F,
}

/// The calls that are open, and those that are finished before their turn.
struct Open {
    calls: JoinSet<(u64, Result<Exchanged, ClientError>)>,
    rows: BTreeMap<u64, Vec<Row>>,
    early: BTreeMap<u64, Result<Exchanged, ClientError>>,
    /// The next batch to be sent, and the next to be written.
    next_sent: u64,
    next_written: u64,
}

impl<R, F, Fut> Pipeline<R, F>
where
    R: Read,
    F: Fn(Vec<Item>) -> Fut,
    Fut: Future<Output = Result<Exchanged, ClientError>> + Send + 'static,
{
    /// Reads all rows, writes each to `output` or to `rejects`, and tells of calls and of progress.
    pub(crate) async fn run(
        mut self,
        output: &mut csv::Writer<impl Write>,
        rejects: &mut csv::Writer<impl Write>,
        mut on_calls: impl FnMut(&[CallMade]) -> Result<(), Failure>,
        on_progress: impl Fn(&Statistics),
    ) -> Result<Statistics, Failure> {
        let begun = self.clock.monotonic();
        let mut statistics = Statistics::default();
        output.write_byte_record(self.rows.header()).map_err(unwritable)?;
        rejects.write_record(REJECT_COLUMNS).map_err(unwritable)?;
        let mut open = Open {
            calls: JoinSet::new(),
            rows: BTreeMap::new(),
            early: BTreeMap::new(),
            next_sent: 0,
            next_written: 0,
        };
        let mut all_read = false;
        while !all_read || !open.rows.is_empty() {
            while !all_read && open.rows.len() < self.in_flight_max {
                let batch = self.rows.next_batch()?;
                all_read = batch.rows.is_empty();
                if !all_read {
                    open.send(batch, &self.exchange);
                }
            }
            let Some((rows, exchanged)) = open.next_in_order().await? else { continue };
            statistics.count_calls(&exchanged.calls);
            statistics.conflicts += exchanged.conflicts;
            on_calls(&exchanged.calls)?;
            self.write(rows, exchanged, &mut statistics, output, rejects)?;
            statistics.took = self.clock.monotonic().saturating_sub(begun);
            on_progress(&statistics);
        }
        output.flush()?;
        rejects.flush()?;
        Ok(statistics)
    }

    /// Writes the rows of one batch.
    fn write(
        &self,
        rows: Vec<Row>,
        exchanged: Exchanged,
        statistics: &mut Statistics,
        output: &mut csv::Writer<impl Write>,
        rejects: &mut csv::Writer<impl Write>,
    ) -> Result<(), Failure> {
        let mut results = exchanged.results.into_iter();
        let mut replaced = ByteRecord::new();
        for row in rows {
            statistics.rows_in += 1;
            let mut replacements = Vec::new();
            let mut refusals = Vec::new();
            for (column, _) in self.rows.sent(&row) {
                match results.next() {
                    Some(Ok(replacement)) => replacements.push((column.index, replacement)),
                    Some(Err(error)) if error.is_denial() => return Err(denied(&column.name, error)),
                    Some(Err(error)) => refusals.push((column.name.as_str(), error)),
                    None => return Err(Failure::new(Exit::Failure, "the vault answered fewer items than were sent")),
                }
            }
            let whole = self.rows.is_whole(&row);
            if !whole || !refusals.is_empty() {
                statistics.rows_rejected += 1;
                rejects.write_record(reject(&row, whole, &refusals)).map_err(unwritable)?;
                continue;
            }
            replace(&row.cells, &replacements, &mut replaced);
            output.write_byte_record(&replaced).map_err(unwritable)?;
            statistics.rows_out += 1;
            for (_, replacement) in &replacements {
                statistics.values += 1;
                statistics.created += u64::from(replacement.created);
            }
        }
        Ok(())
    }
}

impl Open {
    fn send<F, Fut>(&mut self, batch: Batch, exchange: &F)
    where
        F: Fn(Vec<Item>) -> Fut,
        Fut: Future<Output = Result<Exchanged, ClientError>> + Send + 'static,
    {
        let number = self.next_sent;
        self.next_sent += 1;
        self.rows.insert(number, batch.rows);
        let exchanged = exchange(batch.items);
        self.calls.spawn(async move { (number, exchanged.await) });
    }

    /// The batch whose turn it is, when it is finished; `None` when nothing is open.
    async fn next_in_order(&mut self) -> Result<Option<(Vec<Row>, Exchanged)>, Failure> {
        while !self.early.contains_key(&self.next_written) {
            match self.calls.join_next().await {
                Some(Ok((number, exchanged))) => self.early.insert(number, exchanged),
                Some(Err(error)) => {
                    return Err(Failure::new(Exit::Failure, format!("a call was interrupted: {error}")));
                }
                None => return Ok(None),
            };
        }
        let number = self.next_written;
        self.next_written += 1;
        match (self.rows.remove(&number), self.early.remove(&number)) {
            (Some(rows), Some(exchanged)) => Ok(Some((rows, exchanged?))),
            _ => Ok(None),
        }
    }
}

/// The row with its cells replaced.
fn replace(cells: &ByteRecord, replacements: &[(usize, Replacement)], replaced: &mut ByteRecord) {
    replaced.clear();
    let mut next = replacements.iter().peekable();
    for (index, cell) in cells.iter().enumerate() {
        match next.next_if(|(column, _)| *column == index) {
            Some((_, replacement)) => replaced.push_field(&replacement.cell),
            None => replaced.push_field(cell),
        }
    }
}

/// A line for the file of rejects: the first refused cell in full, the others by column and reason.
fn reject(row: &Row, whole: bool, refusals: &[(&str, ClientError)]) -> [String; 8] {
    let reason = |error: &ClientError| match error.refusal() {
        Some(refusal) if !refusal.reason_name.is_empty() => refusal.reason_name.clone(),
        _ => "NO_ANSWER".to_owned(),
    };
    let others: Vec<_> = refusals.iter().skip(1).map(|(column, error)| format!("{column}={}", reason(error))).collect();
    let place = [row.number.to_string(), row.line.to_string()];
    let why = match refusals.first() {
        Some((column, error)) if whole => {
            let refusal = error.refusal();
            let rule = refusal.and_then(|refusal| refusal.metadata.get("rule")).cloned().unwrap_or_default();
            let remedy = refusal.and_then(vault_client::Refusal::remedy);
            let id = error.request_id().map(|id| id.to_string()).unwrap_or_default();
            [(*column).to_owned(), reason(error), rule, remedy.map_or_else(|| error.to_string(), str::to_owned), id]
        }
        _ => {
            let remedy = "give the row as many cells as there are names in the first row";
            [String::new(), "ROW_MALFORMED".to_owned(), String::new(), remedy.to_owned(), String::new()]
        }
    };
    let ([number, line], [column, reason, rule, remedy, request_id]) = (place, why);
    [number, line, column, reason, rule, remedy, request_id, others.join(" ")]
}

/// A class that the caller may not use fails for every row: there is no point in going on.
fn denied(column: &str, error: ClientError) -> Failure {
    let failure = Failure::from(error);
    Failure::new(failure.exit, format!("column {column}: {}", failure.message()))
}

fn unwritable(error: csv::Error) -> Failure {
    Failure::new(Exit::Failure, format!("the output can't be written: {error}"))
}
