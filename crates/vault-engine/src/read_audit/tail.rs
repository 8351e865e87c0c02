//! The log as it grows: entries that match, oldest first, from an index on, none left out and none twice.
//!
//! To begin is an entry. Each step is decided on anew, so that who loses the right to see the log sees no more of it.

use std::sync::Arc;

use tokio::sync::watch;
use vault_domain::{Action, LogIndex, Purpose, Reason, Reference, Region};
use vault_journal::{Receipt, SignedCheckpoint};
use vault_ledger::SUMMARY_ENTRIES;
use vault_policy::Log;
use vault_store::{Direction, table::Entries, wait};

use super::{
    AccessLogQuery, Finder, FoundEntry, Search,
    export::first_at,
    index::{InSpan, Indexed},
    run_end, run_number,
};
use crate::{Engine, authorize::authorize_log, call::Call, error::Error};

/// Entries that a step gives at most.
const STEP_ENTRIES_MAX: usize = 256;
/// Entries, and summaries of runs, that a step looks at: some tens of milliseconds, so that those who only look do not
/// hold up those who ask.
const STEP_LOOKS_MAX: u64 = 16_384;

/// A log that is followed.
pub struct Tail {
    /// What each step is decided on as.
    pub(super) action: Action,
    pub(super) region: Region,
    pub(super) purpose: Option<Purpose>,
    pub(super) reference: Option<Reference>,
    pub(super) search: Arc<Finder>,
    pub(super) next: u64,
    /// Where it ends although the log goes on.
    pub(super) end: Option<u64>,
    /// Every checkpoint: what is on disk is under one within a second.
    pub(super) checkpoints: watch::Receiver<Option<Arc<SignedCheckpoint>>>,
}

/// What a step came to.
#[derive(Debug)]
pub struct TailStep {
    /// Entries that match, oldest first.
    pub entries: Vec<FoundEntry>,
    /// Everything before this index was looked at.
    pub next_index: u64,
    /// The size of the log.
    pub log_size: u64,
}

impl Engine {
    /// Begins to follow a region's log: at an index, at the first entry of the filter's time or at the later of both,
    /// or behind the entry of this question.
    ///
    /// # Errors
    /// When the question is refused; the refusal is in the log then, if the log takes entries.
    pub async fn tail_access_log(
        &self,
        call: &Call,
        query: AccessLogQuery,
        from: Option<u64>,
    ) -> Result<(Tail, Receipt), Error> {
        let rules = self.rules();
        let AccessLogQuery { region, purpose, reference, .. } = &query;
        let (region, purpose, reference) = (region.clone(), purpose.clone(), reference.clone());
        let mut scope = self.enter(&rules, call, Action::QueryAccessLog, &region).await?;
        let mut asked = scope.evidence(call, Action::QueryAccessLog);
        (asked.purpose, asked.reference) = (purpose.as_ref(), reference.as_ref());
        let (tenant, deciding) = self.admit_to_log(&mut scope, &asked, &region).await?;
        asked.policies = &deciding;
        let begun = async || {
            let size = scope.vault.journal.size();
            if from.is_some_and(|from| from > size) {
                return Err(Error::field("from_index", "is beyond the end of the log"));
            }
            if query.filter.until.is_some() {
                return Err(Error::field("filter.until_ms", "a tail has no end: leave it out, or query or export"));
            }
            let minimum = scope.vault.journal.minimum_index();
            // From zero is from the first there is.
            if from.is_some_and(|from| from > 0 && from < minimum) {
                return Err(Error::pruned(minimum));
            }
            let from = match query.filter.from {
                Some(time) => Some(first_at(&scope.vault.reader, time, (from.unwrap_or(0).max(minimum), size)).await?),
                None => from,
            };
            let search = Search::new(&scope, tenant, query, None, (self.clock.clone(), call.deadline)).await?;
            Ok((search.finder, from))
        };
        let (finder, from) = match begun().await {
            Ok(begun) => begun,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        let receipt = self.record(&scope, &asked).await?;
        let next = from.unwrap_or_else(|| receipt.index.0.saturating_add(1));
        let next = next.max(scope.vault.journal.minimum_index());
        let search = Arc::new(finder);
        let checkpoints = scope.vault.journal.checkpoints();
        let action = Action::QueryAccessLog;
        Ok((Tail { action, region, purpose, reference, search, next, end: None, checkpoints }, receipt))
    }

    /// Goes on with a log that is followed, until entries are found, as many as one step may be are looked at, or its
    /// end is reached.
    ///
    /// # Errors
    /// When the caller may not see the log any more, which is in the log, or it can't be read.
    pub async fn tail_on(&self, call: &Call, tail: &mut Tail) -> Result<TailStep, Error> {
        let rules = self.rules();
        let scope = self.enter(&rules, call, tail.action, &tail.region).await?;
        let (policies, log, now) = (&rules.policies, Log::Region(&tail.region), self.clock.wall());
        let purpose = tail.purpose.as_ref();
        let (permit, deciding) = authorize_log(policies, call, scope.account, tail.action, log, purpose, now);
        let is_same = permit.and_then(|permit| {
            // Rules that came since can give the account to another tenant.
            let is_same = *permit.tenant() == tail.search.tenant;
            if is_same { Ok(()) } else { Err(Error::new(Reason::AccessDenied)) }
        });
        if let Err(error) = is_same {
            let mut asked = scope.evidence(call, tail.action);
            (asked.purpose, asked.reference, asked.policies) = (purpose, tail.reference.as_ref(), &deciding);
            return Err(self.refuse(&scope, &asked, error).await);
        }
        // News from here on is news to the caller, whatever this step will see.
        tail.checkpoints.borrow_and_update();
        let size = scope.vault.journal.size().min(tail.end.unwrap_or(u64::MAX));
        let indexed = Indexed::now(&scope.vault.journal);
        let slot = self.searches.clone().acquire_owned().await.map_err(|_| Reason::ShuttingDown)?;
        let (search, from) = (tail.search.clone(), tail.next);
        let stepping = move || {
            let step = search.step(from, size, indexed);
            drop(slot);
            step
        };
        let step = tokio::task::spawn_blocking(stepping).await;
        let step = step.map_err(|error| Error::because(Reason::Internal, error))??;
        tail.next = step.next_index;
        Ok(step)
    }
}

impl Tail {
    /// The region whose log it is.
    #[must_use]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Resolves when the log has grown since the last step, at most a second after it has.
    pub async fn grown(&mut self) {
        if self.checkpoints.changed().await.is_err() {
            // The journal has ended: nothing grows any more, and the stop ends whoever waits.
            std::future::pending::<()>().await;
        }
    }
}

impl Finder {
    fn step(&self, from: u64, size: u64, indexed: Indexed) -> Result<TailStep, Error> {
        let (mut entries, mut next, mut looked_at) = (Vec::new(), from, 0_u64);
        let mut in_span = InSpan::default();
        while next < size && entries.is_empty() && looked_at < STEP_LOOKS_MAX {
            let end = run_end(next);
            let glance = self.glance(run_number(next), indexed, &mut in_span)?;
            looked_at += glance.rows;
            if glance.skips {
                next = end;
                continue;
            }
            let snapshot = self.reader.snapshot();
            let range = LogIndex(next)..LogIndex(end.min(size));
            let rows = wait(snapshot.scan(Entries, range, Direction::Forward, usize::from(SUMMARY_ENTRIES)))?;
            looked_at += end - next;
            for (index, bytes) in rows.iter() {
                if entries.len() >= STEP_ENTRIES_MAX {
                    break;
                }
                next = index.0 + 1;
                entries.extend(self.take(*index, bytes)?);
            }
            if rows.is_empty() {
                next = end.min(size);
            }
        }
        Ok(TailStep { entries, next_index: next, log_size: size })
    }
}
