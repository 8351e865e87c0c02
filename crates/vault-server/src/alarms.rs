//! What goes wrong without a call that fails, looked at every few seconds: a disk that runs full, a log whose
//! checkpoints or whose index stay behind, a clock that jumps. Each is told once when it begins, again while it lasts,
//! and once when it is over (PCI DSS 10.7.2); docs/AUDIT.md says what to do. What goes out of the machine has its own
//! [`Standing`](vault_engine::Standing).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use vault_domain::{Clock, SteadyTime};
use vault_engine::{Engine, OutsideLog};

/// How often is looked.
const INTERVAL: Duration = Duration::from_secs(5);
/// How often what lasts is told of again.
const REMINDER: Duration = Duration::from_secs(15 * 60);
/// Checkpoints are signed every second.
const CHECKPOINT_LATE: Duration = Duration::from_secs(10);
/// The index is not waited for; so far behind, questions to the log read this much for nothing.
const INDEX_BEHIND: u64 = 100_000;
/// So long after the last item that was refused for want of budget, that counts as over.
const BUDGET_QUIET: Duration = Duration::from_secs(5 * 60);
/// So far apart, wall clock and monotonic clock have not both gone well since the start.
const CLOCK_DRIFT: u64 = 5;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    DiskLow,
    CheckpointLate,
    IndexBehind,
    LogTimeAhead,
    ClockDrift,
    PruningFailed,
    PurgeBehind,
    BudgetSpent,
}

impl Kind {
    /// What it is called in measurements and in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DiskLow => "disk_low",
            Self::CheckpointLate => "checkpoint_late",
            Self::IndexBehind => "index_behind",
            Self::LogTimeAhead => "log_time_ahead",
            Self::ClockDrift => "clock_drift",
            Self::PruningFailed => "pruning_failed",
            Self::PurgeBehind => "purge_behind",
            Self::BudgetSpent => "budget_spent",
        }
    }

    /// The unit of its measure.
    fn unit(self) -> &'static str {
        match self {
            Self::DiskLow => "bytes free",
            Self::IndexBehind => "entries",
            Self::PruningFailed => "failures in a row",
            Self::PurgeBehind => "records",
            Self::BudgetSpent => "items refused since the start",
            Self::CheckpointLate | Self::LogTimeAhead | Self::ClockDrift => "seconds",
        }
    }
}

/// One thing that is watched, of one log; of no log for the clock.
pub(crate) type Watched = (Kind, String);

/// How it stands with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    /// Bytes, entries or seconds.
    pub(crate) value: u64,
    /// Whether that is too much, or too little.
    pub(crate) is_wrong: bool,
    /// When the log of the process was last told of it.
    told: Option<Duration>,
}

/// All that is watched.
pub(crate) struct Alarms {
    levels: Mutex<BTreeMap<Watched, Level>>,
    clock: Arc<dyn Clock>,
    steady: SteadyTime,
    free_bytes_min: u64,
}

impl Alarms {
    pub(crate) fn new(clock: Arc<dyn Clock>, free_bytes_min: u64) -> Self {
        let steady = SteadyTime::from_now(&*clock);
        Self { levels: Mutex::default(), clock, steady, free_bytes_min }
    }

    /// Looks until it is cut off. Holds the stores: to be ended before the engine.
    pub(crate) async fn watch(self: Arc<Self>, engine: Arc<Engine>) {
        let logs = engine.outside_logs();
        let mut signed: Vec<(u64, Duration)> = vec![(0, self.clock.monotonic()); logs.len()];
        loop {
            for (log, since) in logs.iter().zip(&mut signed) {
                self.look_at(log, since);
            }
            self.look_at_clock();
            for region in engine.regions() {
                let (refused, last) = engine.budget_refusals(region);
                let now = self.clock.wall();
                let is_wrong = last.is_some_and(|last| now < last.saturating_add(BUDGET_QUIET));
                self.note(Kind::BudgetSpent, region.as_str(), refused, is_wrong);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Takes note of how often in a row a log could not be pruned by the vault itself; 0 if it was.
    pub(crate) fn note_pruning(&self, log: &str, failures: u64) {
        self.note(Kind::PruningFailed, log, failures, failures > 0);
    }

    /// Takes note of how many records of a region are due to be deleted and could not be.
    pub(crate) fn note_purge(&self, region: &str, kept: u64) {
        self.note(Kind::PurgeBehind, region, kept, kept > 0);
    }

    /// How it stands with everything.
    pub(crate) fn levels(&self) -> BTreeMap<Watched, Level> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `signed` is the size that was signed over when it was looked last with nothing left to sign, or the newest that
    /// was signed since, and when.
    fn look_at(&self, log: &OutsideLog, signed: &mut (u64, Duration)) {
        let name = log.name();
        match log.free_bytes() {
            Ok(free) => self.note(Kind::DiskLow, name, free, free < self.free_bytes_min),
            Err(error) => {
                tracing::error!(log = name, %error, "the free space of a disk can't be found out");
                self.note(Kind::DiskLow, name, 0, true);
            }
        }
        let (size, now) = (log.size(), self.clock.monotonic());
        let newest = log.checkpoints().borrow().as_ref().map_or(0, |newest| newest.size);
        if newest > signed.0 || newest >= size {
            *signed = (newest, now);
        }
        let late = now.saturating_sub(signed.1);
        self.note(Kind::CheckpointLate, name, late.as_secs(), late > CHECKPOINT_LATE);
        let (behind, stopped) = (log.unindexed(), log.index_has_stopped());
        self.note(Kind::IndexBehind, name, behind, stopped || behind > INDEX_BEHIND);
        let ahead = log.time_ahead(self.clock.wall()).as_secs();
        self.note(Kind::LogTimeAhead, name, ahead, ahead > CLOCK_DRIFT);
    }

    /// The two clocks go side by side; a step of the wall clock, there or back, sets them apart.
    fn look_at_clock(&self) {
        let drift = self.clock.wall().0.abs_diff(self.steady.now(&*self.clock).0) / 1000;
        self.note(Kind::ClockDrift, "", drift, drift > CLOCK_DRIFT);
    }

    fn note(&self, kind: Kind, log: &str, value: u64, is_wrong: bool) {
        let now = self.clock.monotonic();
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let level = levels.entry((kind, log.to_owned())).or_default();
        let was_wrong = level.is_wrong;
        (level.value, level.is_wrong) = (value, is_wrong);
        let is_due = level.told.is_none_or(|told| now.saturating_sub(told) >= REMINDER);
        level.told = match (is_wrong, is_due) {
            (false, _) => None,
            (true, true) => Some(now),
            (true, false) => level.told,
        };
        drop(levels);
        let (alarm, unit) = (kind.name(), kind.unit());
        if is_wrong && is_due {
            tracing::error!(alarm, log, value, unit, "an alarm: see docs/AUDIT.md, Alarms");
        } else if was_wrong && !is_wrong {
            tracing::info!(alarm, log, value, unit, "an alarm is over");
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_domain::{ManualClock, Millis};

    use super::*;

    fn level(alarms: &Alarms, kind: Kind) -> (u64, bool) {
        let level = alarms.levels()[&(kind, String::new())];
        (level.value, level.is_wrong)
    }

    #[test]
    fn a_clock_that_is_set_is_told_there_and_back_and_one_that_goes_is_not() {
        let clock = ManualClock::at(Millis(1_790_000_000_000));
        let alarms = Alarms::new(Arc::new(clock.clone()), 0);
        clock.advance(Duration::from_secs(86_400));
        alarms.look_at_clock();
        assert_eq!(level(&alarms, Kind::ClockDrift), (0, false));
        let now = clock.wall();
        for (wall, drift) in [(now.0 + 60_000, 60), (now.0 - 3_600_000, 3600)] {
            clock.set_wall(Millis(wall));
            alarms.look_at_clock();
            assert_eq!(level(&alarms, Kind::ClockDrift), (drift, true));
        }
        clock.set_wall(now);
        alarms.look_at_clock();
        assert_eq!(level(&alarms, Kind::ClockDrift), (0, false));
    }

    #[test]
    fn what_lasts_is_told_of_again_and_not_each_time() {
        let clock = ManualClock::at(Millis(1_790_000_000_000));
        let alarms = Alarms::new(Arc::new(clock.clone()), 0);
        let told = || alarms.levels()[&(Kind::DiskLow, String::new())].told;
        alarms.note(Kind::DiskLow, "", 1, true);
        let first = told();
        clock.advance(INTERVAL);
        alarms.note(Kind::DiskLow, "", 1, true);
        assert!(first.is_some() && told() == first);
        clock.advance(REMINDER);
        alarms.note(Kind::DiskLow, "", 1, true);
        assert!(told() > first);
        alarms.note(Kind::DiskLow, "", 9, false);
        assert_eq!(told(), None);
    }
}
