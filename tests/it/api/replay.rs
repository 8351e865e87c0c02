//! Calls that come again as they were: a nonce counts once, and old calls are refused by their time.

use std::{fs, time::Duration};

use tonic::{Code, Request, metadata::MetadataMap};
use vault_domain::{Action, Clock, ManualClock, Millis};
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    connection::freshness_of,
    refusal::Refusal,
    requests::{change, describe, detokenize, detokenize_item, email, query, tokenize},
    roles::Role,
    stream::{DetokenizeStream, settling, tokens},
    vault::{BEGINNING, TestVault},
};

use crate::vault_and_clock;

/// Half of what a window spans, unless it is configured.
const WINDOW: Duration = Duration::from_secs(120);
const MS: Duration = Duration::from_millis(1);

/// A request that says of itself just this.
pub(crate) fn said<T>(message: T, nonce: u128, sent: Millis) -> Request<T> {
    said_as(message, &format!("{nonce:032x}"), &sent.to_string())
}

fn said_as<T>(message: T, nonce: &str, timestamp: &str) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(freshness_of(nonce, timestamp));
    request
}

/// A vault on a clock of its own, a caller, and the token of `email(1)`.
async fn with_a_token() -> (TestVault, ManualClock, Caller, String) {
    let (vault, clock) = vault_and_clock().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    (vault, clock, payments, token)
}

#[track_caller]
pub(crate) fn assert_replayed(refusal: &Refusal) {
    refusal.is(Code::FailedPrecondition, "NONCE_REPLAYED");
}

#[track_caller]
pub(crate) fn assert_late(refusal: &Refusal) {
    refusal.is(Code::FailedPrecondition, "TIMESTAMP_OUTSIDE_WINDOW");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_again_is_refused_and_both_are_in_the_log() {
    let (vault, clock, payments, token) = with_a_token().await;
    let other = vault.give("email", [email(2)]).await.remove(0);
    let mark = vault.mark("eu").await;
    let reveal = |sent| said(detokenize("email", [&token]), 7, sent);
    let revealed = payments.detokenize(reveal(clock.wall())).await.unwrap();
    assert_eq!(revealed.values(), [email(1).into_bytes()]);
    let again = payments.detokenize(reveal(clock.wall())).await.unwrap_err();
    assert_replayed(&again);
    // Nothing that is changed about a call makes its nonce new.
    assert_replayed(&payments.detokenize(said(detokenize("email", [other]), 7, clock.wall())).await.unwrap_err());
    for sent in [Millis(clock.wall().0 - 120_000), Millis(clock.wall().0 + 120_000)] {
        assert_replayed(&payments.detokenize(reveal(sent)).await.unwrap_err());
    }
    assert_replayed(&payments.describe(said(describe("email", [&token]), 7, clock.wall())).await.unwrap_err());
    let fresh = payments.detokenize(said(detokenize("email", [&token]), 8, clock.wall())).await.unwrap();
    assert_eq!(fresh.values(), [email(1).into_bytes()]);
    let entries = vault.entries_since(&mark, 7).await;
    let decided: Vec<_> = entries.iter().map(|entry| (entry.decision.as_str(), entry.reason.as_str())).collect();
    let replayed = ("denied", "NONCE_REPLAYED");
    assert_eq!(decided, [("allowed", ""), replayed, replayed, replayed, replayed, replayed, ("allowed", "")]);
    assert_eq!(Some(entries[1].request_id.clone()), again.request_id);
    assert_eq!(
        (entries[1].principal.as_str(), entries[1].purpose.as_str()),
        (payments.role().principal(), "settlement")
    );
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_nonce_is_remembered_across_a_restart() {
    let (mut vault, clock, payments, token) = with_a_token().await;
    let reveal = || said(detokenize("email", [&token]), 7, BEGINNING);
    payments.detokenize(reveal()).await.unwrap();
    drop(payments);
    vault.stop().await;
    clock.advance(WINDOW);
    vault.start_again().await;
    let payments = vault.caller(Role::Payments).await;
    assert_replayed(&payments.detokenize(reveal()).await.unwrap_err());
    clock.advance(MS);
    assert_late(&payments.detokenize(reveal()).await.unwrap_err());
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_equal_calls_at_once_exactly_one_passes() {
    let (vault, clock, _, token) = with_a_token().await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(vault.caller_on(Role::Payments, vault.try_connect(Role::Payments).await.unwrap()));
    }
    for round in 0..5 {
        let mark = vault.mark("eu").await;
        let calls: Vec<_> = (0..100)
            .map(|at| {
                let (caller, request) =
                    (callers[at % 4].clone(), said(detokenize("email", [&token]), round, clock.wall()));
                tokio::spawn(async move { caller.detokenize(request).await })
            })
            .collect();
        let mut passed = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(answer) => {
                    assert_eq!(answer.values(), [email(1).into_bytes()]);
                    passed += 1;
                }
                Err(refusal) => assert_replayed(&refusal),
            }
        }
        assert_eq!(passed, 1);
        let entries = vault.entries_since(&mark, 100).await;
        assert_eq!(entries.iter().filter(|entry| entry.decision == "allowed").count(), 1);
        assert_eq!(entries.iter().filter(|entry| entry.reason == "NONCE_REPLAYED").count(), 99);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timestamp_is_held_to_its_window_to_the_millisecond() {
    let (vault, clock, payments, token) = with_a_token().await;
    let now = clock.wall().0;
    let mut nonces = 1..;
    let mut send = async |sent| {
        payments.detokenize(said(detokenize("email", [&token]), nonces.next().unwrap(), Millis(sent))).await
    };
    for sent in [now, now - 120_000, now + 120_000] {
        assert!(send(sent).await.is_ok());
    }
    let mark = vault.mark("eu").await;
    let wrong = [now - 120_001, now + 120_001, 0, Millis::MAX.0];
    for sent in wrong {
        let refusal = send(sent).await.unwrap_err();
        assert_late(&refusal);
        assert!(refusal.message.contains("check the clock"), "{}", refusal.message);
    }
    for entry in vault.entries_since(&mark, wrong.len() as u64).await {
        assert_eq!((entry.decision.as_str(), entry.reason.as_str()), ("denied", "TIMESTAMP_OUTSIDE_WINDOW"));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_needs_a_nonce_and_what_is_none_is_refused() {
    let (vault, clock, _, token) = with_a_token().await;
    let bare = async |role| vault.caller_on(role, vault.try_connect(role).await.unwrap().without_nonces());
    let (payments, loader) = (bare(Role::Payments).await, bare(Role::Loader).await);
    let mark = vault.mark("eu").await;
    let reveal = || detokenize("email", [&token]);
    payments.detokenize(reveal()).await.unwrap_err().is(Code::InvalidArgument, "NONCE_REQUIRED");
    let (good, now) = ("0123456789abcdef0123456789abcdef", clock.wall().to_string());
    let malformed = [
        ("", now.as_str()),
        ("0123456789ABCDEF0123456789abcdef", &now),
        ("0123456789abcdef0123456789abcde", &now),
        ("0123456789abcdef0123456789abcdef00", &now),
        (good, ""),
        (good, "-1"),
        (good, "1.7e12"),
        (good, "99999999999999999999999"),
    ];
    for (nonce, timestamp) in malformed {
        let refusal = payments.detokenize(said_as(reveal(), nonce, timestamp)).await.unwrap_err();
        refusal.is(Code::InvalidArgument, "NONCE_MALFORMED");
        assert!(nonce.is_empty() || !refusal.message.contains(nonce), "nothing is repeated");
    }
    for one in ["tokenvault-nonce", "tokenvault-timestamp"] {
        let mut request = said_as(reveal(), good, &now);
        request.metadata_mut().remove(one);
        payments.detokenize(request).await.unwrap_err().is(Code::InvalidArgument, "NONCE_MALFORMED");
        let mut twice = said_as(reveal(), good, &now);
        twice.metadata_mut().append(one, "1".repeat(32).parse().unwrap());
        payments.detokenize(twice).await.unwrap_err().is(Code::InvalidArgument, "NONCE_MALFORMED");
    }
    let entries = vault.entries_since(&mark, 13).await;
    assert_eq!(entries[0].reason, "NONCE_REQUIRED");
    assert!(entries[1..].iter().all(|entry| entry.reason == "NONCE_MALFORMED" && entry.decision == "failed"));
    // None of these used it up.
    assert!(payments.detokenize(said_as(reveal(), good, &now)).await.is_ok());
    // What needs none is served without, and still not with a broken one.
    loader.tokenize(tokenize("email", [email(3)])).await.unwrap();
    payments.describe(describe("email", [&token])).await.unwrap();
    let refused = loader.tokenize(said_as(tokenize("email", [email(3)]), "x", &now)).await.unwrap_err();
    refused.is(Code::InvalidArgument, "NONCE_MALFORMED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_nonce_is_not_needed_it_is_honoured_and_it_belongs_to_its_caller() {
    let (vault, clock, payments, token) = with_a_token().await;
    let now = clock.wall();
    let loader = vault.caller(Role::Loader).await;
    let give = || said(tokenize("email", [email(5)]), 7, now);
    assert_eq!(loader.tokenize(give()).await.unwrap().tokens().len(), 1);
    assert_replayed(&loader.tokenize(give()).await.unwrap_err());
    let told = || said(describe("email", [&token]), 7, now);
    assert_eq!(payments.describe(told()).await.unwrap().len(), 1, "the loader's nonce is not this caller's");
    assert_replayed(&payments.describe(told()).await.unwrap_err());
    let auditor = vault.caller(Role::Auditor).await;
    let ask = || said(query("eu"), 7, now);
    assert!(!auditor.query(ask()).await.unwrap().entries.is_empty());
    assert_replayed(&auditor.query(ask()).await.unwrap_err());
    // Of another tenant, and in another region: each log has its own.
    let globex = vault.caller(Role::GlobexLoader).await;
    assert_eq!(globex.tokenize(give()).await.unwrap().tokens().len(), 1);
    let us = v1::TokenizeRequest { region: "us".to_owned(), ..tokenize("email", [email(5)]) };
    assert_eq!(loader.tokenize(said(us, 7, now)).await.unwrap().tokens().len(), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_attempt_uses_its_nonce_up() {
    let (vault, clock, payments, token) = with_a_token().await;
    let wrong = v1::DetokenizeRequest { purpose: "no_such".to_owned(), ..detokenize("email", [&token]) };
    let refused = payments.detokenize(said(wrong, 7, clock.wall())).await.unwrap_err();
    refused.is(Code::InvalidArgument, "PURPOSE_UNKNOWN");
    assert_replayed(&payments.detokenize(said(detokenize("email", [&token]), 7, clock.wall())).await.unwrap_err());
    let mut denied = payments.detokenize(said(detokenize("no_such_class", [&token]), 8, clock.wall())).await.unwrap();
    denied.results.remove(0).unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    assert_replayed(&payments.detokenize(said(detokenize("email", [&token]), 8, clock.wall())).await.unwrap_err());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_under_its_idempotency_key_is_a_new_attempt() {
    let (vault, clock) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let ask = |nonce| {
        let request = v1::TokenizeRequest { idempotency_key: "k".to_owned(), ..tokenize("email", [email(1)]) };
        said(request, nonce, clock.wall())
    };
    let first = loader.tokenize(ask(1)).await.unwrap().tokens();
    assert_replayed(&loader.tokenize(ask(1)).await.unwrap_err());
    assert_eq!(loader.tokenize(ask(2)).await.unwrap().tokens(), first);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_makes_no_old_call_new() {
    let (mut vault, clock, payments, token) = with_a_token().await;
    let reveal = |nonce| said(detokenize("email", [&token]), nonce, BEGINNING);
    payments.detokenize(reveal(7)).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    // The log goes on, and the nonces of an hour ago go.
    vault.still_serves().await;
    clock.set_wall(BEGINNING);
    for restart in [false, true] {
        if restart {
            vault.stop().await;
            vault.start_again().await;
        }
        let payments = vault.caller(Role::Payments).await;
        for nonce in [7, 8 + u128::from(restart)] {
            assert_late(&payments.detokenize(reveal(nonce)).await.unwrap_err());
        }
        vault.still_serves().await;
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonces_are_kept_for_two_windows_and_no_longer() {
    let (mut vault, clock, payments, token) = with_a_token().await;
    let mut nonce = 0;
    for _ in 0..48 {
        for _ in 0..5 {
            nonce += 1;
            payments.detokenize(said(detokenize("email", [&token]), nonce, clock.wall())).await.unwrap();
        }
        clock.advance(Duration::from_secs(150));
    }
    drop(payments);
    vault.stop().await;
    let kept = vault.stored_nonces("eu");
    // The widest window that there can be, and what lies in the same five minutes as its beginning.
    assert!((5 * 4..=5 * 7).contains(&kept), "{kept} of {nonce}");
    vault.start_again().await;
    vault.still_serves().await;
    vault.stop().await;
    assert!(vault.stored_nonces("eu") <= kept + 2);
    vault.finish().await;
}

/// Opens a stream as `payments` that says this of itself, and sends its first message.
async fn open(payments: &Caller, nonce: u128, sent: Millis, token: &str) -> DetokenizeStream {
    let stream = payments.detokenize_stream_saying(freshness_of(&format!("{nonce:032x}"), &sent.to_string())).await;
    let stream = stream.unwrap();
    let first =
        v1::DetokenizeStreamRequest { start: Some(settling()), ..tokens(1, vec![detokenize_item("email", token)]) };
    assert!(stream.send(first).await);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_one_nonce_for_as_long_as_it_lasts() {
    let (vault, clock, payments, token) = with_a_token().await;
    let mut stream = open(&payments, 7, BEGINNING, &token).await;
    for sequence in 2..20 {
        let (_, answer) = stream.answer().await.unwrap().unwrap();
        assert_eq!(answer.values(), [email(1).into_bytes()]);
        clock.advance(WINDOW / 2);
        assert!(stream.send(tokens(sequence, vec![detokenize_item("email", &token)])).await);
    }
    stream.half_close();
    while stream.answer().await.unwrap().is_some() {}
    // Its first message has to come in time.
    let mut late = open(&payments, 8, BEGINNING, &token).await;
    assert_late(&late.answer().await.unwrap_err());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_comes_again_reveals_nothing() {
    let (vault, clock, payments, token) = with_a_token().await;
    let mut stream = open(&payments, 7, clock.wall(), &token).await;
    assert!(stream.answer().await.unwrap().is_some());
    let mark = vault.mark("eu").await;
    let mut again = open(&payments, 7, clock.wall(), &token).await;
    for sequence in 2..200 {
        // It may have ended already.
        let _taken = again.send(tokens(sequence, vec![detokenize_item("email", &token)])).await;
    }
    assert_replayed(&again.answer().await.unwrap_err());
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.decision.as_str(), entry.reason.as_str()), ("denied", "NONCE_REPLAYED"));
    // The nonce of a call is not a stream's either.
    payments.detokenize(said(detokenize("email", [&token]), 8, clock.wall())).await.unwrap();
    assert_replayed(&open(&payments, 8, clock.wall(), &token).await.answer().await.unwrap_err());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_life_needs_a_nonce_and_counts_once() {
    let (vault, clock, _, token) = with_a_token().await;
    let steward = vault.caller(Role::Steward).await;
    let bare = vault.caller_on(Role::Steward, vault.try_connect(Role::Steward).await.unwrap().without_nonces());
    let actions = [Action::Renew, Action::Suspend, Action::Resume, Action::Revoke];
    for (nonce, action) in (20..).zip(actions) {
        let request = || change("email", [&token]);
        bare.change(action, request()).await.unwrap_err().is(Code::InvalidArgument, "NONCE_REQUIRED");
        steward.change(action, said(request(), nonce, clock.wall())).await.unwrap().only().unwrap();
        assert_replayed(&steward.change(action, said(request(), nonce, clock.wall())).await.unwrap_err());
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_calls_count_once_and_how_old_they_may_be_is_configured() {
    let (mut vault, clock, payments, token) = with_a_token().await;
    drop(payments);
    vault.stop().await;
    let file = vault.directory().join("vault.toml");
    let before = fs::read_to_string(&file).unwrap();
    let configure = |text: &str| fs::write(&file, format!("{before}\n[replay]\n{text}\n")).unwrap();
    configure("required_for = [\"tokenize\", \"query_access_log\"]\nwindow_seconds = 10");
    vault.start_again().await;
    let bare = async |role| vault.caller_on(role, vault.try_connect(role).await.unwrap().without_nonces());
    let refused = bare(Role::Loader).await.tokenize(tokenize("email", [email(2)])).await.unwrap_err();
    refused.is(Code::InvalidArgument, "NONCE_REQUIRED");
    bare(Role::Auditor).await.query(query("eu")).await.unwrap_err().is(Code::InvalidArgument, "NONCE_REQUIRED");
    let payments = bare(Role::Payments).await;
    assert!(payments.detokenize(detokenize("email", [&token])).await.is_ok());
    let sent = |ago| Millis(clock.wall().0 - ago);
    assert!(payments.detokenize(said(detokenize("email", [&token]), 1, sent(10_000))).await.is_ok());
    assert_late(&payments.detokenize(said(detokenize("email", [&token]), 2, sent(10_001))).await.unwrap_err());
    vault.stop().await;
    for wrong in
        ["window_seconds = 9", "window_seconds = 601", "required_for = [\"start\"]", "required_for = \"detokenize\""]
    {
        configure(wrong);
        assert!(vault.refused_start().await.contains("replay."), "{wrong}");
    }
    fs::write(&file, before).unwrap();
    vault.finish().await;
}
