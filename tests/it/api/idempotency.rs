//! Requests that come again under the same idempotency key.

use std::time::Duration;

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{card, customer, detokenize, email, tokenize, tokenize_item},
    roles::Role,
};

use crate::{vault, vault_and_clock};

/// A request with a key: of two new values, one known and one that is refused.
fn keyed(key: &str) -> v1::TokenizeRequest {
    let items = vec![
        tokenize_item("email", email(1)),
        tokenize_item("card_number", card(1)),
        tokenize_item("card_number", "4111111111111112"),
        tokenize_item("customer_id", customer(1)),
        tokenize_item("customer_id", customer(1)),
    ];
    let reference = "ORDER-1".to_owned();
    v1::TokenizeRequest { items, idempotency_key: key.to_owned(), reference, ..tokenize("", [""; 0]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_gives_the_same_tokens_and_is_an_entry_of_its_own() {
    let mut vault = vault().await;
    let mark = vault.mark("eu").await;
    let request = || v1::TokenizeRequest {
        idempotency_key: "order-1".to_owned(),
        ..tokenize("email", [email(1), email(2), email(1)])
    };
    let first = vault.caller(Role::Loader).await.tokenize(request()).await.unwrap();
    let again = vault.caller(Role::Loader).await.tokenize(request()).await.unwrap();
    assert_eq!(first.tokens(), again.tokens());
    assert_ne!(first.receipt, again.receipt);
    let entries = vault.entries_since(&mark, 2).await;
    assert_eq!(entries[0].items, entries[1].items, "the same records");

    vault.stop().await;
    vault.start_again().await;
    let later = vault.caller(Role::Loader).await.tokenize(request()).await.unwrap();
    assert_eq!(first.tokens(), later.tokens(), "a restart forgets no key");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_the_first_time() {
    let vault = vault().await;
    vault.give("card_number", [card(1)]).await;
    let loader = vault.caller(Role::Loader).await;
    let first = loader.tokenize(keyed("k")).await.unwrap();
    let again = loader.tokenize(keyed("k")).await.unwrap();
    assert_eq!(first.results, again.results);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_other_content_is_refused() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let first = loader.tokenize(keyed("k")).await.unwrap();
    let changed: [fn(&mut v1::TokenizeRequest); 6] = [
        |request| request.items[0].value = email(2).into_bytes(),
        |request| request.items[0].data_class = "session".to_owned(),
        |request| request.items.swap(0, 1),
        |request| drop(request.items.pop()),
        |request| request.audience = "analytics".to_owned(),
        |request| request.reference = "ORDER-2".to_owned(),
    ];
    for change in changed {
        let mark = vault.mark("eu").await;
        let mut request = keyed("k");
        change(&mut request);
        let refusal = loader.tokenize(request).await.unwrap_err();
        refusal.is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
        let entry = vault.entry_since(&mark).await;
        assert_eq!((entry.decision.as_str(), entry.reason.as_str()), ("failed", "IDEMPOTENCY_KEY_REUSED"));
        assert_eq!(Some(entry.request_id), refusal.request_id);
    }
    assert_eq!(loader.tokenize(keyed("k")).await.unwrap().results.len(), first.results.len());
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_caller_and_its_method() {
    let vault = vault().await;
    let key = || "k".to_owned();
    let ask = |n| v1::TokenizeRequest { idempotency_key: key(), ..tokenize("email", [email(n)]) };
    let loader = vault.caller(Role::Loader).await.tokenize(ask(1)).await.unwrap().tokens();
    let regional = vault.caller(Role::Regional).await;
    let own = regional.tokenize(ask(2)).await.unwrap().tokens();
    let globex = vault.caller(Role::GlobexLoader).await.tokenize(ask(3)).await.unwrap().tokens();
    assert!(loader != own && own != globex);
    let reveal = v1::DetokenizeRequest { idempotency_key: key(), ..detokenize("email", own) };
    assert_eq!(regional.detokenize(reveal).await.unwrap().values(), [email(2).into_bytes()]);
    let us = v1::TokenizeRequest { region: "us".to_owned(), ..ask(4) };
    vault.caller(Role::Loader).await.tokenize(us).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_reveal_is_authorized_and_recorded_anew() {
    let vault = vault().await;
    let tokens = vault.give("email", [email(1), email(2)]).await;
    let mark = vault.mark("eu").await;
    let payments = vault.caller(Role::Payments).await;
    let ask = |token: &String| v1::DetokenizeRequest {
        idempotency_key: "reveal-1".to_owned(),
        ..detokenize("email", [token])
    };
    for _ in 0..2 {
        let revealed = payments.detokenize(ask(&tokens[0])).await.unwrap();
        assert_eq!(revealed.values(), [email(1).into_bytes()]);
    }
    let refusal = payments.detokenize(ask(&tokens[1])).await.unwrap_err();
    refusal.is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    let decisions: Vec<_> = vault.entries_since(&mark, 3).await.into_iter().map(|entry| entry.decision).collect();
    assert_eq!(decisions, ["allowed", "allowed", "failed"]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_remembered_for_a_day_to_the_millisecond() {
    let (vault, clock) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let day = Duration::from_secs(24 * 3600);
    // From noon to noon, so that a midnight lies between.
    clock.advance(day / 2);
    let ask = || v1::TokenizeRequest { idempotency_key: "k".to_owned(), ..tokenize("email", [email(1)]) };
    let first = loader.tokenize(ask()).await.unwrap().tokens();
    clock.advance(day - Duration::from_millis(1));
    assert_eq!(loader.tokenize(ask()).await.unwrap().tokens(), first);
    clock.advance(Duration::from_millis(1));
    let fresh = loader.tokenize(ask()).await.unwrap().tokens();
    assert_ne!(fresh, first, "forgotten");
    assert_eq!(loader.tokenize(ask()).await.unwrap().tokens(), fresh, "and remembered anew");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_does_not_bring_back_what_has_expired() {
    let (vault, clock) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let ask = || v1::TokenizeRequest { idempotency_key: "k".to_owned(), ..tokenize("session", ["session of a user"]) };
    let first = loader.tokenize(ask()).await.unwrap().tokens();
    clock.advance(Duration::from_millis(59_999));
    assert_eq!(loader.tokenize(ask()).await.unwrap().tokens(), first);
    clock.advance(Duration::from_millis(1));
    let mut repeated = loader.tokenize(ask()).await.unwrap().results;
    repeated.remove(0).unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_that_race_under_one_key_one_makes_the_tokens() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let mark = vault.mark("eu").await;
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let loader = loader.clone();
            let ask =
                v1::TokenizeRequest { idempotency_key: "race".to_owned(), ..tokenize("email", (0..5).map(email)) };
            tokio::spawn(async move { loader.tokenize(ask).await.unwrap().tokens() })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    vault.entries_since(&mark, 16).await;
    vault.finish().await;
}
