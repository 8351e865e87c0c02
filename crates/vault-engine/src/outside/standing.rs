//! How it stands with one place outside the stores that checkpoints of one log go to: a file, a witness, a collector of
//! logs. Told once when it fails and once when it is well again, and measured at any time.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use vault_domain::{Clock, Millis};

/// How often a place that goes on failing is told of again.
const REMINDER: Duration = Duration::from_secs(15 * 60);

/// The standing of one place and one log. Shared by who writes there and who measures.
#[derive(Debug)]
pub struct Standing {
    kind: &'static str,
    place: String,
    log: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    measured: Measured,
    /// The largest size that was to go there.
    offered: u64,
    /// When the log of the process was last told of the failure that lasts.
    told: Option<Duration>,
}

/// What there is to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The size of the newest checkpoint that was taken there since the start.
    pub accepted_size: u64,
    /// When that was; again with every time that it is taken anew.
    pub accepted_at: Option<Millis>,
    /// Since when a newer one waits.
    pub waiting_since: Option<Millis>,
    /// Failures since the start.
    pub failures: u64,
    /// Whether the last attempt failed.
    pub is_failing: bool,
}

impl Standing {
    /// Nothing was offered yet. `kind` and `place` are words of the configuration, `log` is a region or `node`.
    #[must_use]
    pub fn new(kind: &'static str, place: &str, log: &str, clock: Arc<dyn Clock>) -> Self {
        Self { kind, place: place.to_owned(), log: log.to_owned(), clock, state: Mutex::default() }
    }

    /// What kind of place it is: `file`, `witness` or `syslog`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Which of its kind.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// What there is to measure now.
    #[must_use]
    pub fn measured(&self) -> Measured {
        self.lock().measured
    }

    /// A checkpoint of this size is to go there.
    pub fn offered(&self, size: u64) {
        let mut state = self.lock();
        state.offered = state.offered.max(size);
        let is_new = state.measured.accepted_at.is_none() || state.measured.accepted_size < size;
        if is_new && state.measured.waiting_since.is_none() {
            state.measured.waiting_since = Some(self.clock.wall());
        }
    }

    /// A checkpoint of this size was taken.
    pub fn accepted(&self, size: u64) {
        let mut state = self.lock();
        let now = self.clock.wall();
        let measured = &mut state.measured;
        measured.accepted_size = measured.accepted_size.max(size);
        measured.accepted_at = Some(now);
        let was_failing = std::mem::take(&mut measured.is_failing);
        // What is newer began to wait no earlier than now.
        let waits = state.offered > size;
        state.measured.waiting_since = waits.then_some(now);
        state.told = None;
        drop(state);
        if was_failing {
            let Self { kind, place, log, .. } = self;
            tracing::info!(kind, place, log, size, "checkpoints are taken outside again");
        }
    }

    /// An attempt failed, and why.
    pub fn failed(&self, problem: impl fmt::Display) {
        let mut state = self.lock();
        state.measured.failures = state.measured.failures.saturating_add(1);
        state.measured.is_failing = true;
        let now = self.clock.monotonic();
        let is_news = state.told.is_none_or(|told| now.saturating_sub(told) >= REMINDER);
        if !is_news {
            return;
        }
        state.told = Some(now);
        let (failures, accepted_size) = (state.measured.failures, state.measured.accepted_size);
        drop(state);
        let Self { kind, place, log, .. } = self;
        tracing::error!(kind, place, log, failures, accepted_size, %problem, "checkpoints are not taken outside");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers alone: none of them is worth a second panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use vault_domain::ManualClock;

    use super::*;

    #[test]
    fn what_waits_is_measured_from_when_it_was_first_not_taken() {
        let clock = ManualClock::at(Millis(1_000_000));
        let standing = Standing::new("witness", "w1", "eu", Arc::new(clock.clone()));
        assert_eq!(standing.measured(), Measured::default());
        standing.offered(5);
        clock.advance(Duration::from_secs(10));
        standing.offered(6);
        standing.failed("it is away");
        let measured = standing.measured();
        assert_eq!((measured.waiting_since, measured.failures), (Some(Millis(1_000_000)), 1));
        assert!(measured.is_failing);
        standing.accepted(6);
        let well = standing.measured();
        assert_eq!((well.accepted_size, well.accepted_at), (6, Some(Millis(1_010_000))));
        assert_eq!((well.waiting_since, well.is_failing, well.failures), (None, false, 1));
        clock.advance(Duration::from_secs(10));
        standing.offered(6);
        assert_eq!(standing.measured().waiting_since, None, "it was taken before");
    }
}
