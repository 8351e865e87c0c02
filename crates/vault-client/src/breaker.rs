//! The circuit breaker of one endpoint: while nobody answers there, calls are told so at once, and one at a time looks
//! whether somebody is back.
//!
//! Only the transport counts: no connection, one that broke, no answer in time. Whatever the vault itself says, and be
//! it that it is busy, shows that it is there.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use vault_domain::Clock;

/// Failures in a row after which calls are not sent any more.
pub const FAILURES_MAX: u32 = 5;
/// How long nothing is sent then, at first; it doubles with each call that finds nobody.
const REST_FIRST: Duration = Duration::from_millis(500);
/// The longest such rest.
pub const REST_MAX: Duration = Duration::from_secs(5);

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// Until when nothing is sent, on the monotonic clock, and how long that rest is.
    rest: Option<(Duration, Duration)>,
    /// Whether a call is out that looks whether somebody is back.
    probing: bool,
}

/// The leave to send one call. Dropped without a verdict before the call's time was over, it says nothing about the
/// endpoint.
#[must_use]
#[derive(Debug)]
pub(crate) struct Leave<'a> {
    breaker: &'a Breaker,
    clock: &'a dyn Clock,
    is_probe: bool,
    /// From when on it counts as a failure that there is no answer, on the monotonic clock; `None` once that is known.
    late_from: Option<Duration>,
}

impl Breaker {
    /// Asks for leave for a call that waits this long for its answer.
    ///
    /// # Errors
    /// With the time to wait, while nothing is sent.
    pub(crate) fn enter<'a>(&'a self, clock: &'a dyn Clock, patience: Duration) -> Result<Leave<'a>, Duration> {
        let now = clock.monotonic();
        let mut state = self.state();
        let is_probe = match state.rest {
            None => false,
            Some((until, _)) if now < until => return Err(until.saturating_sub(now)),
            Some(_) if state.probing => return Err(REST_FIRST),
            Some(_) => true,
        };
        state.probing |= is_probe;
        // Who waits and this do not begin at the very same moment.
        let late_from = now.saturating_add(patience.mul_f32(0.9));
        Ok(Leave { breaker: self, clock, is_probe, late_from: Some(late_from) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, now: Duration, was_probe: bool) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        match state.rest {
            // Calls that were sent before the rest began say nothing new.
            Some((_, rest)) if was_probe => {
                let rest = rest.saturating_mul(2).min(REST_MAX);
                (state.rest, state.probing) = (Some((now.saturating_add(rest), rest)), false);
            }
            None if state.failures >= FAILURES_MAX => {
                state.rest = Some((now.saturating_add(REST_FIRST), REST_FIRST));
            }
            _ => {}
        }
    }
}

impl Leave<'_> {
    /// Somebody answered.
    pub(crate) fn answered(mut self) {
        self.late_from = None;
        *self.breaker.state() = State::default();
    }

    /// Nobody did.
    pub(crate) fn failed(mut self) {
        self.late_from = None;
        self.breaker.failed(self.clock.monotonic(), self.is_probe);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let Some(late_from) = self.late_from else { return };
        let now = self.clock.monotonic();
        if now >= late_from {
            self.breaker.failed(now, self.is_probe);
        } else if self.is_probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use vault_domain::ManualClock;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const PATIENCE: Duration = Duration::from_secs(10);

    impl Breaker {
        fn asked<'a>(&'a self, clock: &'a ManualClock) -> Result<Leave<'a>, Duration> {
            self.enter(clock, PATIENCE)
        }
    }

    fn open(breaker: &Breaker, clock: &ManualClock) {
        for _ in 0..FAILURES_MAX {
            breaker.asked(clock).unwrap().failed();
        }
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_begins_anew() {
        let (breaker, clock) = (Breaker::default(), ManualClock::default());
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                breaker.asked(&clock).unwrap().failed();
            }
            breaker.asked(&clock).unwrap().answered();
        }
        open(&breaker, &clock);
        assert_eq!(breaker.asked(&clock).unwrap_err(), REST_FIRST);
        clock.advance(REST_FIRST - MS);
        assert_eq!(breaker.asked(&clock).unwrap_err(), MS);
    }

    #[test]
    fn one_call_at_a_time_looks_and_the_rests_grow_up_to_a_bound() {
        let (breaker, clock) = (Breaker::default(), ManualClock::default());
        open(&breaker, &clock);
        let mut rest = REST_FIRST;
        for _ in 0..10 {
            clock.advance(rest);
            let probe = breaker.asked(&clock).unwrap();
            assert!(breaker.asked(&clock).is_err(), "one is out");
            probe.failed();
            rest = (2 * rest).min(REST_MAX);
            assert_eq!(breaker.asked(&clock).unwrap_err(), rest);
        }
        assert_eq!(rest, REST_MAX);
        clock.advance(rest);
        // A call that was given up says nothing; the next one looks.
        drop(breaker.asked(&clock).unwrap());
        breaker.asked(&clock).unwrap().answered();
        let (one, other) = (breaker.asked(&clock).unwrap(), breaker.asked(&clock).unwrap());
        one.answered();
        other.answered();
    }

    #[test]
    fn calls_that_wait_in_vain_count_and_calls_that_are_given_up_do_not() {
        let (breaker, clock) = (Breaker::default(), ManualClock::default());
        for _ in 0..2 * FAILURES_MAX {
            drop(breaker.asked(&clock).unwrap());
        }
        let waiting: Vec<_> = (0..FAILURES_MAX).map(|_| breaker.asked(&clock).unwrap()).collect();
        clock.advance(PATIENCE);
        drop(waiting);
        assert!(breaker.asked(&clock).is_err());
    }

    #[test]
    fn calls_that_were_out_when_it_opened_do_not_lengthen_the_rest() {
        let (breaker, clock) = (Breaker::default(), ManualClock::default());
        let late: Vec<_> = (0..10).map(|_| breaker.asked(&clock).unwrap()).collect();
        open(&breaker, &clock);
        clock.advance(MS);
        late.into_iter().for_each(Leave::failed);
        clock.advance(REST_FIRST);
        assert!(breaker.asked(&clock).is_ok());
    }
}
