//! One logical call: a deadline over all its attempts, and repeats only where a repeat can help and does no harm.

use std::{future::Future, time::Duration};

use vault_domain::{Clock, Entropy};

use crate::error::ClientError;

/// Attempts of one call, unless told otherwise.
pub const ATTEMPTS_DEFAULT: u32 = 4;
/// The most attempts of one call.
pub const ATTEMPTS_MAX: u32 = 10;
/// The pause before the second attempt; it doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// The longest pause, apart from what the vault asks for.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How finely pauses are spread, so that clients that were refused together do not come back together.
const SPREAD: u32 = 1024;

/// How long, and how often.
#[derive(Debug)]
pub(crate) struct Patience<'a> {
    pub(crate) clock: &'a dyn Clock,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) deadline: Duration,
    pub(crate) attempts_max: u32,
}

impl Patience<'_> {
    /// Calls `send` with the time that is left, until it succeeds, fails for good, or time or attempts are spent.
    /// `repeatable` says that a repeat does no harm. Returns the number of attempts as well.
    pub(crate) async fn attempt<T, F, Fut>(&self, repeatable: bool, mut send: F) -> (Result<T, ClientError>, u32)
    where
        F: FnMut(Duration) -> Fut,
        Fut: Future<Output = Result<T, ClientError>>,
    {
        let begun = self.clock.monotonic();
        let left = || self.deadline.saturating_sub(self.clock.monotonic().saturating_sub(begun));
        let mut attempts = 0;
        loop {
            attempts += 1;
            let now_left = left();
            let outcome = tokio::time::timeout(now_left, send(now_left)).await;
            let error = match outcome {
                Ok(Ok(answer)) => return (Ok(answer), attempts),
                Ok(Err(error)) => error,
                Err(_) => return (Err(ClientError::Deadline(self.deadline)), attempts),
            };
            if left().is_zero() && error.refusal().is_none() {
                return (Err(ClientError::Deadline(self.deadline)), attempts);
            }
            let pause = self.pause(attempts, error.retry_after());
            let harmless = repeatable || error.was_not_sent();
            if !harmless || !error.is_passing() || attempts >= self.attempts_max || pause >= left() {
                return (Err(error), attempts);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The pause after this many attempts: what the vault asks for, and between half and all of our own on top.
    pub(crate) fn pause(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        let half = PAUSE_FIRST.saturating_mul(1 << doublings).min(PAUSE_MAX) / 2;
        let mut drawn = [0; 4];
        // Without randomness the pause is simply the longest.
        let share = self.entropy.fill(&mut drawn).map_or(SPREAD, |()| u32::from_be_bytes(drawn) % SPREAD);
        asked.unwrap_or_default().saturating_add(half).saturating_add(half * share / SPREAD)
    }
}

#[cfg(test)]
mod tests;
