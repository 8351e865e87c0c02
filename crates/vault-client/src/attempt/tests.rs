//! When a call is repeated, and when not.

use std::{cell::Cell, future::pending};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use vault_domain::{EntropyError, SystemClock, SystemEntropy};

use super::*;

fn refused(code: Code, retry_after: Option<Duration>) -> ClientError {
    let mut details = ErrorDetails::with_error_info("BUSY", "tokenvault", std::collections::HashMap::new());
    if retry_after.is_some() {
        details.set_retry_info(retry_after);
    }
    ClientError::of_call(&Status::with_error_details(code, "refused", details))
}

/// Attempts a call that fails with `error` before it succeeds on the attempt `succeeds_on`.
async fn attempt(error: ClientError, succeeds_on: u32, repeatable: bool, deadline: Duration) -> (bool, u32) {
    let clock = SystemClock::new();
    let patience = Patience { clock: &clock, entropy: &SystemEntropy, deadline, attempts_max: 3 };
    let sent = Cell::new(0);
    let (outcome, attempts) = patience
        .attempt(repeatable, |left| {
            assert!(left <= deadline);
            sent.set(sent.get() + 1);
            let outcome = if sent.get() < succeeds_on { Err(error.clone()) } else { Ok(()) };
            std::future::ready(outcome)
        })
        .await;
    assert_eq!(attempts, sent.get());
    (outcome.is_ok(), attempts)
}

const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn what_is_unavailable_is_tried_again_a_bounded_number_of_times() {
    assert_eq!(attempt(refused(Code::Unavailable, None), 1, true, LONG).await, (true, 1));
    assert_eq!(attempt(refused(Code::Unavailable, None), 3, true, LONG).await, (true, 3));
    assert_eq!(attempt(refused(Code::Unavailable, None), 4, true, LONG).await, (false, 3));
}

#[tokio::test]
async fn what_may_do_harm_is_not_tried_again() {
    assert_eq!(attempt(refused(Code::Unavailable, None), 2, false, LONG).await, (false, 1));
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    for code in [Code::PermissionDenied, Code::NotFound, Code::Aborted, Code::Internal, Code::DeadlineExceeded] {
        assert_eq!(attempt(refused(code, None), 2, true, LONG).await, (false, 1), "{code:?}");
    }
}

#[tokio::test]
async fn the_vaults_own_pause_is_kept_or_not_begun() {
    let asked = Duration::from_millis(300);
    let begun = SystemClock::new();
    assert_eq!(attempt(refused(Code::Unavailable, Some(asked)), 2, true, LONG).await, (true, 2));
    assert!(begun.monotonic() >= asked);
    let begun = SystemClock::new();
    let busy = refused(Code::Unavailable, Some(Duration::from_secs(60)));
    assert_eq!(attempt(busy, 2, true, LONG).await, (false, 1), "it would end after the deadline");
    assert!(begun.monotonic() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_deadline_ends_a_call_that_hangs() {
    let clock = SystemClock::new();
    let deadline = Duration::from_millis(50);
    let patience = Patience { clock: &clock, entropy: &SystemEntropy, deadline, attempts_max: 3 };
    let (outcome, attempts) = patience.attempt(true, |_| pending::<Result<(), ClientError>>()).await;
    assert!(matches!(outcome, Err(ClientError::Deadline(_))));
    assert_eq!(attempts, 1);
}

#[derive(Debug)]
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

#[test]
fn pauses_double_up_to_their_limit_and_are_spread() {
    let clock = SystemClock::new();
    let patience = |entropy| Patience { clock: &clock, entropy, deadline: LONG, attempts_max: 10 };
    let whole = patience(&NoEntropy as &dyn Entropy);
    assert_eq!(whole.pause(1, None), PAUSE_FIRST);
    assert_eq!(whole.pause(2, None), PAUSE_FIRST * 2);
    assert_eq!(whole.pause(u32::MAX, None), PAUSE_MAX);
    let spread = patience(&SystemEntropy as &dyn Entropy);
    let drawn: Vec<_> = (0..64).map(|_| spread.pause(3, None)).collect();
    assert!(drawn.iter().all(|pause| (PAUSE_FIRST * 2..=PAUSE_FIRST * 4).contains(pause)), "{drawn:?}");
    assert!(drawn.iter().any(|pause| *pause != drawn[0]), "all the same");
}
