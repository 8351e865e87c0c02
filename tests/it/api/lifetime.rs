//! Tokens that end, on a clock that the test moves.

use std::time::Duration;

use tonic::Code;
use vault_domain::Millis;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, tokenize},
    roles::Role,
    vault::BEGINNING,
};

use crate::vault_and_clock;

const MINUTE_MS: u64 = 60_000;
const MS: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_exactly_at_its_millisecond_and_only_the_log_says_so() {
    let (vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    for (class, value) in [("session", "the session of a user"), ("voucher", "7031945286")] {
        let given = vault.caller(Role::Loader).await.tokenize(tokenize(class, [value])).await.unwrap();
        let issued = given.results[0].as_ref().unwrap();
        assert_eq!(issued.expires_at_ms, vault_domain::Clock::wall(&clock).0 + MINUTE_MS);
        clock.advance(Duration::from_millis(MINUTE_MS) - MS);
        let reveal = || payments.detokenize(detokenize(class, [&issued.token]));
        assert_eq!(reveal().await.unwrap().values(), [value.as_bytes()]);
        clock.advance(MS);
        let mark = vault.mark("eu").await;
        reveal().await.unwrap().refusal().is(Code::NotFound, "TOKEN_NOT_FOUND");
        let entry = vault.entry_since(&mark).await;
        assert_eq!(entry.decision, "failed");
        assert_eq!((entry.items[0].outcome.as_str(), entry.items[0].record_numbers.len()), ("TOKEN_EXPIRED", 1));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_token_has_ended_gets_a_new_one() {
    let (vault, clock) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let give =
        || async { loader.tokenize(tokenize("voucher", ["1029384756"])).await.unwrap().results.remove(0).unwrap() };
    let first = give().await;
    clock.advance(Duration::from_millis(MINUTE_MS) - MS);
    let again = give().await;
    assert!(!again.created && again.token == first.token);
    assert_eq!(again.expires_at_ms, first.expires_at_ms, "to ask again does not lengthen a life");
    clock.advance(MS);
    let new = give().await;
    assert!(new.created && new.token != first.token && new.expires_at_ms == first.expires_at_ms + MINUTE_MS);
    let payments = vault.caller(Role::Payments).await;
    let request = detokenize("voucher", [&first.token, &new.token]);
    let revealed = payments.detokenize(request).await.unwrap().results;
    revealed[0].as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    assert_eq!(revealed[1], Ok(b"1029384756".to_vec()));
    assert_eq!(give().await.token, new.token);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_brings_no_token_back() {
    let (vault, clock) = vault_and_clock().await;
    let token = vault.give("session", ["the session of a user"]).await.remove(0);
    clock.advance(Duration::from_millis(MINUTE_MS));
    let payments = vault.caller(Role::Payments).await;
    let reveal = || payments.detokenize(detokenize("session", [&token]));
    reveal().await.unwrap().refusal().is(Code::NotFound, "TOKEN_NOT_FOUND");
    clock.set_wall(Millis(BEGINNING.0 + 1));
    reveal().await.unwrap().refusal().is(Code::NotFound, "TOKEN_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_the_log_never_runs_backwards() {
    let (mut vault, clock) = vault_and_clock().await;
    let value = "somebody.new@example.org";
    vault.give("email", [value]).await;
    clock.advance(Duration::from_secs(3600));
    vault.give("email", [value]).await;
    clock.set_wall(Millis(BEGINNING.0 - MINUTE_MS));
    let mark = vault.mark("eu").await;
    vault.give("email", [value]).await;
    let entry: v1::AccessLogEntry = vault.entry_since(&mark).await;
    assert_eq!(entry.wall_time_ms, BEGINNING.0 - MINUTE_MS, "the wall clock as it was");
    assert_eq!(entry.log_time_ms, BEGINNING.0 + 3_600_000, "the log's own");
    vault.stop().await;
    let times: Vec<Millis> = vault.stored_log("eu").decoded().iter().map(|entry| entry.log_time).collect();
    assert!(times.is_sorted());
    vault.finish().await;
}
