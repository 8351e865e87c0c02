//! Rows through the vault: several calls at once, results in the order of the rows, memory bounded by the calls that
//! are open.

use std::{collections::BTreeMap, future::Future, io::Read, sync::Arc};

use tokio::task::JoinSet;
use vault_client::{CallMade, ClientError};
use vault_domain::{Clock, Reason};
use vault_ledger::TreeHash;

use crate::{
    bulk::{
        exchange::Exchanged,
        rejects,
        rows::{Batch, Item, Place, Row, Rows, replace},
        statistics::Statistics,
        targets::{Targets, is_same},
    },
    exit::{Exit, Failure},
};

/// A file on its way.
pub(crate) struct Pipeline<R, F> {
    pub(crate) rows: Rows<R>,
    pub(crate) in_flight_max: usize,
    pub(crate) clock: Arc<dyn Clock>,
    /// Sends the items of one batch under its number.
    pub(crate) exchange: F,
}

/// What stays of a batch while its values are away.
struct Kept {
    rows: Vec<Row>,
    digest: TreeHash,
    is_last: bool,
}

/// The calls that are open, and those that are finished before their turn.
struct Open {
    calls: JoinSet<(u64, Result<Exchanged, ClientError>)>,
    rows: BTreeMap<u64, Kept>,
    early: BTreeMap<u64, Result<Exchanged, ClientError>>,
    /// The next batch to be sent, and the next to be written.
    next_sent: u64,
    next_written: u64,
}

impl<R, F, Fut> Pipeline<R, F>
where
    R: Read,
    F: Fn(u64, Vec<Item>) -> Fut,
    Fut: Future<Output = Result<Exchanged, ClientError>> + Send + 'static,
{
    /// Reads all rows, writes or rejects each that is not done yet, and tells of calls and of progress. Gives what
    /// stands for all that was read as well.
    pub(crate) async fn run(
        &mut self,
        targets: &mut Targets<'_>,
        mut on_calls: impl FnMut(&[CallMade]) -> Result<(), Failure>,
        on_progress: impl Fn(&Statistics),
    ) -> Result<(Statistics, TreeHash), Failure> {
        let mut statistics = targets.statistics();
        let next = self.skip(targets)?;
        if next == 0 {
            statistics.bytes_in = self.rows.head().len() as u64;
            statistics.bytes_out = statistics.bytes_in;
        }
        let begun = self.clock.monotonic();
        let mut open = Open {
            calls: JoinSet::new(),
            rows: BTreeMap::new(),
            early: BTreeMap::new(),
            next_sent: next,
            next_written: next,
        };
        let mut all_read = false;
        let mut unread = None;
        while !all_read || !open.rows.is_empty() {
            // The first one goes alone: if it is refused as a whole, nothing was done.
            let room = if open.next_written == 0 { 1 } else { self.in_flight_max };
            while !all_read && open.rows.len() < room {
                match self.rows.next_batch() {
                    Ok(batch) => {
                        all_read = batch.is_last;
                        let number = open.next_sent;
                        targets.sends(number);
                        open.send(batch, |items| (self.exchange)(number, items));
                    }
                    // What was sent before is written before the job ends.
                    Err(failure) => {
                        all_read = true;
                        unread = Some(failure);
                    }
                }
            }
            let Some((kept, exchanged)) = open.next_in_order().await? else { continue };
            let Kept { rows, digest, is_last } = kept;
            let exchanged = exchanged.map_err(|error| {
                if matches!(error.reason(), Some(Reason::WrongRegion | Reason::RegionUnknown)) {
                    targets.did_nothing();
                }
                failed(error)
            })?;
            targets.check_origin(&exchanged.calls)?;
            statistics.count_calls(&exchanged.calls);
            on_calls(&exchanged.calls)?;
            let denied = |result: &&Result<_, ClientError>| result.as_ref().is_err_and(ClientError::is_denial);
            match exchanged.results.iter().filter(denied).count() {
                0 => {}
                denials => targets.is_denied(denials == exchanged.results.len()),
            }
            self.write(rows, exchanged, &mut statistics, targets)?;
            statistics.took = self.clock.monotonic().saturating_sub(begun);
            if !is_last {
                targets.reached(open.next_written, &digest, &statistics)?;
            }
            on_progress(&statistics);
        }
        match unread {
            Some(failure) => {
                targets.save()?;
                Err(failure)
            }
            None => Ok((statistics, self.rows.digest())),
        }
    }

    /// Reads what an earlier run has done, and makes sure that it is the same.
    fn skip(&mut self, targets: &Targets<'_>) -> Result<u64, Failure> {
        let (done, kept) = targets.done();
        let others = |why: &str| {
            Failure::usage(format!(
                "the input is not the one that the job began with: the rows that are done are others now{why}. Give \
                 the same file to go on with it"
            ))
        };
        for _ in 0..done {
            let batch = self.rows.next_batch().map_err(|failure| others(&format!(" ({})", failure.message())))?;
            if batch.is_last {
                break;
            }
        }
        if !is_same(kept, &self.rows.digest()) {
            return Err(others(""));
        }
        Ok(done)
    }

    /// Writes the rows of one batch.
    fn write(
        &self,
        rows: Vec<Row>,
        exchanged: Exchanged,
        statistics: &mut Statistics,
        targets: &mut Targets<'_>,
    ) -> Result<(), Failure> {
        let shape = self.rows.shape();
        let mut results = exchanged.results.into_iter();
        let mut replaced = zeroize::Zeroizing::new(Vec::new());
        for row in rows {
            statistics.bytes_in += row.raw.len() as u64;
            statistics.rows_in += u64::from(!row.blank);
            let places = match &row.places {
                Ok(places) => places.as_slice(),
                Err(fault) => {
                    statistics.count_rejected(fault.reason);
                    targets.reject(&rejects::faulty(&row, fault, &shape.columns))?;
                    continue;
                }
            };
            let mut replacements = Vec::with_capacity(places.len());
            let mut refusals = Vec::new();
            for place in places {
                match results.next() {
                    Some(Ok(replacement)) => replacements.push((place, replacement)),
                    Some(Err(error)) if error.is_denial() => return Err(denied(&self.name(place), error)),
                    Some(Err(error)) => {
                        statistics.column(place.column, |column| column.refused += 1);
                        refusals.push((place.column, error));
                    }
                    None => return Err(Failure::new(Exit::Failure, "the vault answered fewer items than were sent")),
                }
            }
            if let Some((_, first)) = refusals.first() {
                statistics.count_rejected(&rejects::reason(first));
                statistics.unused += replacements.len() as u64;
                targets.reject(&rejects::refused(&row, &refusals, &shape.columns))?;
                continue;
            }
            replaced.clear();
            let values = replacements.iter().map(|(place, replacement)| (*place, replacement.value.as_slice()));
            if let Err(fault) = replace(&row, shape, values, &mut replaced) {
                statistics.count_rejected(fault.reason);
                targets.reject(&rejects::faulty(&row, &fault, &shape.columns))?;
                continue;
            }
            targets.write(&replaced)?;
            statistics.bytes_out += replaced.len() as u64;
            statistics.rows_out += u64::from(!row.blank);
            for (place, replacement) in &replacements {
                statistics.values += 1;
                statistics.created += u64::from(replacement.created);
                statistics.column(place.column, |column| {
                    column.values += 1;
                    column.created += u64::from(replacement.created);
                    column.masked += u64::from(replacement.masked);
                });
            }
        }
        Ok(())
    }

    fn name(&self, place: &Place) -> String {
        self.rows.shape().columns.get(place.column).map(|rule| rule.name.clone()).unwrap_or_default()
    }
}

impl Open {
    fn send<Fut>(&mut self, batch: Batch, exchange: impl FnOnce(Vec<Item>) -> Fut)
    where
        Fut: Future<Output = Result<Exchanged, ClientError>> + Send + 'static,
    {
        let number = self.next_sent;
        self.next_sent += 1;
        self.rows.insert(number, Kept { rows: batch.rows, digest: batch.digest, is_last: batch.is_last });
        if batch.items.is_empty() {
            self.early.insert(number, Ok(Exchanged::default()));
            return;
        }
        let exchanged = exchange(batch.items);
        self.calls.spawn(async move { (number, exchanged.await) });
    }

    /// The batch whose turn it is, when it is finished; `None` when nothing is open.
    async fn next_in_order(&mut self) -> Result<Option<(Kept, Result<Exchanged, ClientError>)>, Failure> {
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
            (Some(kept), Some(exchanged)) => Ok(Some((kept, exchanged))),
            _ => Ok(None),
        }
    }
}

/// Why the job can't go on.
fn failed(error: ClientError) -> Failure {
    if error.reason() == Some(Reason::IdempotencyKeyReused) {
        return Failure::usage(
            "the input is not the one that the job began with: rows that were sent already are others now. Give the \
             same file to go on with it",
        );
    }
    Failure::from(error)
}

/// A class that the caller may not use fails for every row: there is no point in going on.
fn denied(column: &str, error: ClientError) -> Failure {
    let failure = Failure::from(error);
    Failure::new(failure.exit, format!("column {column}: {}", failure.message()))
}
