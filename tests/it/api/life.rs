//! The life of tokens: what their makers ask of it, and what changes it afterwards.

use std::time::Duration;

use tonic::Code;
use vault_domain::{Action, Clock};
use vault_proto::v1::{self, TokenState};
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{card, change, customer, describe, detokenize, email, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::{vault, vault_and_clock};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const NOT_FOUND: (Code, &str) = (Code::NotFound, "TOKEN_NOT_FOUND");

/// A request for the token of one value, whose life is what `put` makes of it.
pub(super) fn with_life(class: &str, value: &str, put: impl FnOnce(&mut v1::TokenizeItem)) -> v1::TokenizeRequest {
    let mut request = tokenize(class, [value]);
    put(&mut request.items[0]);
    request
}

pub(super) async fn made(vault: &TestVault, request: v1::TokenizeRequest) -> Result<v1::TokenIssued, Refusal> {
    vault.caller(Role::Loader).await.tokenize(request).await.unwrap().results.remove(0)
}

/// What became of a change to one token.
pub(super) async fn changed(
    steward: &Caller,
    action: Action,
    class: &str,
    token: &str,
) -> Result<v1::TokenLife, Refusal> {
    steward.change(action, change(class, [token])).await.unwrap().only()
}

/// Whether the token leads to this value; who may not know is told what everybody is told.
async fn leads_to(payments: &Caller, class: &str, token: &str, value: &str) -> bool {
    match payments.detokenize(detokenize(class, [token])).await.unwrap().results.remove(0) {
        Ok(revealed) => {
            assert_eq!(revealed, value.as_bytes());
            true
        }
        Err(refusal) => {
            refusal.is(NOT_FOUND.0, NOT_FOUND.1);
            false
        }
    }
}

/// The reason for the last reveal's refusal that the log has.
async fn logged(vault: &TestVault) -> String {
    let newest = vault.caller(Role::Auditor).await.query(vault_tests::requests::query("eu")).await.unwrap();
    let reveal = newest.entries.iter().find(|entry| entry.action == "detokenize").unwrap();
    reveal.items[0].outcome.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lives_as_long_as_its_maker_asks_within_what_its_class_allows() {
    let (vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    let asked = [("ticket", "a ticket", 300), ("ticket", "a ticket", 1), ("email", "ada@example.org", 7)];
    for (class, value, seconds) in asked {
        let issued = made(&vault, with_life(class, value, |item| item.ttl_seconds = seconds)).await.unwrap();
        assert_eq!(issued.expires_at_ms, clock.wall().0 + 1000 * seconds);
        clock.advance(Duration::from_secs(seconds) - MS);
        assert!(leads_to(&payments, class, &issued.token, value).await, "{class} {seconds}");
        clock.advance(MS);
        assert!(!leads_to(&payments, class, &issued.token, value).await, "{class} {seconds}: on the very millisecond");
        assert_eq!(logged(&vault).await, "TOKEN_EXPIRED");
    }
    let issued = made(&vault, tokenize("ticket", ["a ticket"])).await.unwrap();
    assert_eq!(issued.expires_at_ms, clock.wall().0 + 60_000, "the class's own lifetime");
    let century = 100 * 365 * 24 * 3600;
    for (class, value, seconds) in [("ticket", "a ticket", 301), ("email", "ada@example.org", century + 1)] {
        let refused = made(&vault, with_life(class, value, |item| item.ttl_seconds = seconds)).await.unwrap_err();
        refused.is(Code::InvalidArgument, "LIFETIME_TOO_LONG");
    }
    let longest = made(&vault, with_life("email", "ada@example.org", |item| item.ttl_seconds = century)).await.unwrap();
    assert_eq!(longest.expires_at_ms, clock.wall().0 + 1000 * century);
    let endless = made(&vault, with_life("email", "ada@example.org", |item| item.ttl_seconds = u64::MAX)).await;
    endless.unwrap_err().is(Code::InvalidArgument, "LIFETIME_TOO_LONG");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_nowhere_before_its_time() {
    let (vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    let from = clock.wall().0 + 10_000;
    let issued = made(&vault, with_life("ticket", "a ticket", |item| item.not_before_ms = from)).await.unwrap();
    clock.advance(10 * SECOND - MS);
    assert!(!leads_to(&payments, "ticket", &issued.token, "a ticket").await);
    assert_eq!(logged(&vault).await, "TOKEN_NOT_YET_VALID");
    clock.advance(MS);
    assert!(leads_to(&payments, "ticket", &issued.token, "a ticket").await);
    // A deterministic class gives it again, though it can't be revealed yet.
    let from = clock.wall().0 + 10_000;
    let later = |item: &mut v1::TokenizeItem| item.not_before_ms = from;
    let first = made(&vault, with_life("customer_id", "4711", later)).await.unwrap();
    let again = made(&vault, tokenize("customer_id", ["4711"])).await.unwrap();
    assert!(!again.created && again.token == first.token, "nobody gets past its time by asking anew");
    assert!(!leads_to(&payments, "customer_id", &again.token, "4711").await);
    // What would begin after its end, or nobody will live to see.
    for (class, value, not_before) in [
        ("ticket", "a ticket", clock.wall().0 + 60_000),
        ("email", "ada@example.org", clock.wall().0 + 1000 * 100 * 365 * 24 * 3600),
        ("email", "ada@example.org", u64::MAX),
    ] {
        let refused = made(&vault, with_life(class, value, |item| item.not_before_ms = not_before)).await.unwrap_err();
        refused.is(Code::InvalidArgument, "LIFETIME_EMPTY");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_computed_have_no_life() {
    let vault = vault().await;
    let asked: [fn(&mut v1::TokenizeItem); 3] =
        [|item| item.ttl_seconds = 60, |item| item.not_before_ms = 1, |item| item.max_uses = 1];
    for (class, value) in [("card_vaultless", card(1)), ("fingerprint", email(1))] {
        for put in asked {
            let refused = made(&vault, with_life(class, &value, put)).await.unwrap_err();
            refused.is(Code::FailedPrecondition, "TOKEN_NOT_STORED");
        }
        let token = vault.give(class, [&value]).await.remove(0);
        let steward = vault.caller(Role::Steward).await;
        for action in [Action::Renew, Action::Suspend, Action::Resume, Action::Revoke] {
            let mark = vault.mark("eu").await;
            for text in [token.as_str(), "no token of this class"] {
                let refused = changed(&steward, action, class, text).await.unwrap_err();
                refused.is(Code::FailedPrecondition, "TOKEN_NOT_STORED");
            }
            for entry in vault.entries_since(&mark, 2).await {
                assert_eq!((entry.action.as_str(), entry.decision.as_str()), (action.name(), "failed"));
                assert!(entry.items[0].token_hashes.is_empty(), "no token was looked at");
            }
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_token_leads_nowhere_until_it_is_resumed_and_a_revoked_one_never_again() {
    let mut vault = vault().await;
    let rows = [("email", email(1)), ("customer_id", customer(1)), ("card_number", card(1)), ("device", customer(2))];
    for (class, value) in &rows {
        let token = vault.give(class, [value]).await.remove(0);
        let (payments, steward) = (vault.caller(Role::Payments).await, vault.caller(Role::Steward).await);
        let mark = vault.mark("eu").await;
        for _ in 0..2 {
            let life = changed(&steward, Action::Suspend, class, &token).await.unwrap();
            assert_eq!(life.state(), TokenState::Suspended);
            assert!(!leads_to(&payments, class, &token, value).await);
        }
        let told = payments.describe(describe(class, [&token])).await.unwrap().remove(0).unwrap_err();
        told.is(NOT_FOUND.0, NOT_FOUND.1);
        changed(&steward, Action::Renew, class, &token).await.unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
        for _ in 0..2 {
            let life = changed(&steward, Action::Resume, class, &token).await.unwrap();
            assert_eq!(life.state(), TokenState::Active);
            assert!(leads_to(&payments, class, &token, value).await);
        }
        changed(&steward, Action::Suspend, class, &token).await.unwrap();
        let life = changed(&steward, Action::Revoke, class, &token).await.unwrap();
        assert_eq!(life.state(), TokenState::Revoked);
        assert!(!leads_to(&payments, class, &token, value).await);
        assert_eq!(logged(&vault).await, "TOKEN_REVOKED");
        for action in [Action::Renew, Action::Suspend, Action::Resume, Action::Revoke] {
            changed(&steward, action, class, &token).await.unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
        }
        let entries = vault.entries_since(&mark, 18).await;
        let told: Vec<(&str, &str)> = entries
            .iter()
            .filter(|entry| entry.principal == Role::Steward.principal())
            .map(|entry| (entry.action.as_str(), entry.items[0].outcome.as_str()))
            .collect();
        let mut expected = vec![("suspend", "ok"), ("suspend", "ok"), ("renew", "TOKEN_SUSPENDED")];
        expected.extend([("resume", "ok"), ("resume", "ok"), ("suspend", "ok"), ("revoke", "ok")]);
        expected.extend(["renew", "suspend", "resume", "revoke"].map(|action| (action, "TOKEN_REVOKED")));
        assert_eq!(told, expected, "{class}");
        let mut of_tokens = entries.iter().filter(|entry| entry.action != "query_access_log");
        assert!(of_tokens.all(|entry| entry.items[0].record_numbers.len() == 1), "each names the record");
        drop((payments, steward));
    }
    // It is on the disk.
    let tokens: Vec<String> = {
        let mut tokens = Vec::new();
        for (class, value) in &rows {
            let token = vault.give(class, [value]).await.remove(0);
            let steward = vault.caller(Role::Steward).await;
            changed(&steward, Action::Revoke, class, &token).await.unwrap();
            tokens.push(token);
        }
        tokens
    };
    vault.stop().await;
    vault.start_again().await;
    for ((class, value), token) in rows.iter().zip(&tokens) {
        let payments = vault.caller(Role::Payments).await;
        assert!(!leads_to(&payments, class, token, value).await, "{class}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_whose_token_was_revoked_gets_another_and_one_that_is_suspended_does_not() {
    let vault = vault().await;
    let steward = vault.caller(Role::Steward).await;
    for (class, value) in [("customer_id", customer(7)), ("card_number", card(7))] {
        let first = made(&vault, tokenize(class, [&value])).await.unwrap();
        changed(&steward, Action::Suspend, class, &first.token).await.unwrap();
        let again = made(&vault, tokenize(class, [&value])).await.unwrap();
        assert!(!again.created && again.token == first.token, "{class}: nobody gets past a suspension by asking anew");
        changed(&steward, Action::Revoke, class, &first.token).await.unwrap();
        let next = made(&vault, tokenize(class, [&value])).await.unwrap();
        assert!(next.created && next.token != first.token, "{class}");
        assert_eq!(made(&vault, tokenize(class, [&value])).await.unwrap().token, next.token);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_token_lives_longer_and_never_past_what_its_class_allows() {
    let (vault, clock) = vault_and_clock().await;
    let (payments, steward) = (vault.caller(Role::Payments).await, vault.caller(Role::Steward).await);
    let token = vault.give("ticket", ["a ticket"]).await.remove(0);
    let renew = async |seconds| {
        let request = v1::ChangeTokensRequest { ttl_seconds: seconds, ..change("ticket", [&token]) };
        steward.change(Action::Renew, request).await.unwrap().only()
    };
    clock.advance(60 * SECOND - MS);
    let now = clock.wall().0;
    assert_eq!(renew(0).await.unwrap().expires_at_ms, now + 60_000, "the default, from now on");
    clock.advance(60 * SECOND - MS);
    assert!(leads_to(&payments, "ticket", &token, "a ticket").await);
    let told = payments.describe(describe("ticket", [&token])).await.unwrap().remove(0).unwrap();
    assert_eq!(told.expires_at_ms, now + 60_000);
    // Five minutes after it was made is the longest that it may live.
    let latest = BEGINNING.0 + 300_000;
    let left = (latest - clock.wall().0) / 1000;
    renew(left + 1).await.unwrap_err().is(Code::InvalidArgument, "LIFETIME_TOO_LONG");
    assert!(renew(left).await.unwrap().expires_at_ms <= latest);
    clock.advance(Duration::from_secs(left) - MS);
    let last = renew(0).await.unwrap();
    assert_eq!(last.expires_at_ms, latest, "the default ends where the class's longest lifetime does");
    clock.advance(Duration::from_millis(latest - clock.wall().0) - MS);
    assert!(leads_to(&payments, "ticket", &token, "a ticket").await);
    clock.advance(MS);
    renew(0).await.unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    assert!(!leads_to(&payments, "ticket", &token, "a ticket").await);
    // A class without lifetimes: what was given one can lose it again.
    let issued = made(&vault, with_life("email", &email(1), |item| item.ttl_seconds = 5)).await.unwrap();
    assert_eq!(changed(&steward, Action::Renew, "email", &issued.token).await.unwrap().expires_at_ms, 0);
    clock.advance(Duration::from_secs(24 * 3600));
    assert!(leads_to(&payments, "email", &issued.token, &email(1)).await);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_again_under_its_key_changes_nothing_more() {
    let (vault, clock) = vault_and_clock().await;
    let steward = vault.caller(Role::Steward).await;
    let token = vault.give("ticket", ["a ticket"]).await.remove(0);
    let named = |key: &str| v1::ChangeTokensRequest { idempotency_key: key.to_owned(), ..change("ticket", [&token]) };
    clock.advance(10 * SECOND);
    let renewed = steward.change(Action::Renew, named("a")).await.unwrap().only().unwrap();
    clock.advance(10 * SECOND);
    assert_eq!(steward.change(Action::Renew, named("a")).await.unwrap().only(), Ok(renewed), "not from now on");
    let other = v1::ChangeTokensRequest { ttl_seconds: 90, ..named("a") };
    let reused = steward.change(Action::Renew, other).await.unwrap_err();
    reused.is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    steward.change(Action::Suspend, named("a")).await.unwrap().only().unwrap();
    changed(&steward, Action::Resume, "ticket", &token).await.unwrap();
    let late = steward.change(Action::Suspend, named("a")).await.unwrap().only().unwrap();
    assert_eq!(late.state(), TokenState::Active, "a late repeat does not suspend again what was resumed since");
    let revoked = steward.change(Action::Revoke, named("a")).await.unwrap().only().unwrap();
    clock.advance(Duration::from_secs(3600));
    assert_eq!(steward.change(Action::Revoke, named("a")).await.unwrap().only(), Ok(revoked), "is told that it did it");
    steward.change(Action::Revoke, named("b")).await.unwrap().only().unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    steward.change(Action::Renew, named("a")).await.unwrap().only().unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    // What was refused stays refused, though by now it would be done.
    let held = vault.give("ticket", ["another"]).await.remove(0);
    changed(&steward, Action::Suspend, "ticket", &held).await.unwrap();
    let renew = || v1::ChangeTokensRequest { idempotency_key: "c".to_owned(), ..change("ticket", [&held]) };
    steward.change(Action::Renew, renew()).await.unwrap().only().unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    changed(&steward, Action::Resume, "ticket", &held).await.unwrap();
    steward.change(Action::Renew, renew()).await.unwrap().only().unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_named_twice_in_a_call_is_changed_once_and_answered_twice() {
    let (vault, clock) = vault_and_clock().await;
    let (payments, steward) = (vault.caller(Role::Payments).await, vault.caller(Role::Steward).await);
    let tokens = vault.give("ticket", ["one", "two"]).await;
    clock.advance(SECOND);
    let request = || change("ticket", [&tokens[0], &tokens[1], &tokens[0], "tok_eu_any"]);
    for (action, state) in [
        (Action::Renew, TokenState::Active),
        (Action::Suspend, TokenState::Suspended),
        (Action::Resume, TokenState::Active),
        (Action::Revoke, TokenState::Revoked),
    ] {
        let results = steward.change(action, request()).await.unwrap().results;
        for at in [0, 1, 2] {
            let life = results[at].as_ref().unwrap();
            assert_eq!((life.state(), life.expires_at_ms), (state, BEGINNING.0 + 61_000), "{action} {at}");
        }
        results[3].as_ref().unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
    }
    assert!(!leads_to(&payments, "ticket", &tokens[0], "one").await);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_to_its_value_as_often_as_its_uses_say() {
    let (mut vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    for (class, value) in [("email", email(1)), ("device", customer(1)), ("voucher", "7031945286".to_owned())] {
        let issued = made(&vault, with_life(class, &value, |item| item.max_uses = 3)).await.unwrap();
        for uses in 0..3 {
            let told = payments.describe(describe(class, [&issued.token])).await.unwrap().remove(0).unwrap();
            assert_eq!((told.uses, told.max_uses), (uses, 3), "to be told of it is no use");
            assert!(leads_to(&payments, class, &issued.token, &value).await, "{class} {uses}");
        }
        assert!(!leads_to(&payments, class, &issued.token, &value).await, "{class}");
        assert_eq!(logged(&vault).await, "TOKEN_USED_UP");
        let told = payments.describe(describe(class, [&issued.token])).await.unwrap().remove(0).unwrap_err();
        told.is(NOT_FOUND.0, NOT_FOUND.1);
    }
    // Of five at once, for a token of three uses, three are shown; and the rest of a batch is not disturbed.
    let three = made(&vault, with_life("email", &email(2), |item| item.max_uses = 3)).await.unwrap().token;
    let other = vault.give("email", [email(3)]).await.remove(0);
    let batch = [&three, &three, &other, &three, &three, &three];
    let results = payments.detokenize(detokenize("email", batch)).await.unwrap().results;
    let shown: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(shown, [true, true, true, true, false, false]);
    // Masks are uses too.
    let masked = made(&vault, with_life("card_number", &card(9), |item| item.max_uses = 1)).await.unwrap().token;
    let desk = vault.caller(Role::Desk).await;
    let mask = || v1::DetokenizeRequest {
        purpose: "support_case".to_owned(),
        level: v1::RevealLevel::Masked.into(),
        ..detokenize("card_number", [&masked])
    };
    assert!(desk.detokenize(mask()).await.unwrap().results[0].is_ok());
    desk.detokenize(mask()).await.unwrap().refusal().is(NOT_FOUND.0, NOT_FOUND.1);
    assert!(!leads_to(&payments, "card_number", &masked, &card(9)).await);
    // A value whose token is used up gets another one.
    let again = made(&vault, tokenize("card_number", [card(9)])).await.unwrap();
    assert!(again.created && again.token != masked);
    // Uses are on the disk.
    drop((payments, desk));
    vault.stop().await;
    clock.advance(SECOND);
    vault.start_again().await;
    let payments = vault.caller(Role::Payments).await;
    assert!(!leads_to(&payments, "email", &three, &email(2)).await);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_use_is_safe_to_repeat_under_its_key_for_a_minute_and_gone_for_everybody_else() {
    let (vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    let token = made(&vault, with_life("email", &email(1), |item| item.max_uses = 1)).await.unwrap().token;
    let named = |key: &str| v1::DetokenizeRequest { idempotency_key: key.to_owned(), ..detokenize("email", [&token]) };
    assert_eq!(payments.detokenize(named("a")).await.unwrap().values(), [email(1).into_bytes()]);
    clock.advance(30 * SECOND);
    assert_eq!(payments.detokenize(named("a")).await.unwrap().values(), [email(1).into_bytes()], "the answer was lost");
    payments.detokenize(named("b")).await.unwrap().refusal().is(NOT_FOUND.0, NOT_FOUND.1);
    assert!(!leads_to(&payments, "email", &token, &email(1)).await, "without a key it is another call");
    clock.advance(30 * SECOND);
    assert_eq!(payments.detokenize(named("a")).await.unwrap().values(), [email(1).into_bytes()], "a minute");
    clock.advance(MS);
    payments.detokenize(named("a")).await.unwrap().refusal().is(NOT_FOUND.0, NOT_FOUND.1);
    // A repeat does not outlive a revocation.
    let token = made(&vault, with_life("email", &email(2), |item| item.max_uses = 1)).await.unwrap().token;
    let named = || v1::DetokenizeRequest { idempotency_key: "c".to_owned(), ..detokenize("email", [&token]) };
    assert!(payments.detokenize(named()).await.unwrap().results[0].is_ok());
    let steward = vault.caller(Role::Steward).await;
    changed(&steward, Action::Suspend, "email", &token).await.unwrap();
    payments.detokenize(named()).await.unwrap().refusal().is(NOT_FOUND.0, NOT_FOUND.1);
    changed(&steward, Action::Resume, "email", &token).await.unwrap();
    assert!(payments.detokenize(named()).await.unwrap().results[0].is_ok());
    changed(&steward, Action::Revoke, "email", &token).await.unwrap();
    payments.detokenize(named()).await.unwrap().refusal().is(NOT_FOUND.0, NOT_FOUND.1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_a_life_is_part_of_a_request_that_comes_again() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let named = |put: fn(&mut v1::TokenizeItem)| v1::TokenizeRequest {
        idempotency_key: "one".to_owned(),
        ..with_life("email", &email(1), put)
    };
    let first = loader.tokenize(named(|item| item.max_uses = 2)).await.unwrap().tokens();
    assert_eq!(loader.tokenize(named(|item| item.max_uses = 2)).await.unwrap().tokens(), first);
    let others: [fn(&mut v1::TokenizeItem); 4] =
        [|_| {}, |item| item.max_uses = 3, |item| item.ttl_seconds = 2, |item| item.not_before_ms = 2];
    for other in others {
        let refused = loader.tokenize(named(other)).await.unwrap_err();
        refused.is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_tokens_needs_no_audience_and_gets_no_value() {
    let vault = vault().await;
    let steward = vault.caller(Role::Steward).await;
    for audience in ["payments", "analytics", "support"] {
        let request = v1::TokenizeRequest { audience: audience.to_owned(), ..tokenize("email", [email(1)]) };
        let token = made(&vault, request).await.unwrap().token;
        for named in ["payments", "analytics", "support"] {
            let request = v1::ChangeTokensRequest { audience: named.to_owned(), ..change("email", [&token]) };
            let answer = steward.change(Action::Suspend, request).await.unwrap().only();
            match answer {
                Ok(_) => assert_eq!(named, audience),
                Err(refusal) => {
                    refusal.is(NOT_FOUND.0, NOT_FOUND.1);
                    assert_ne!(named, audience, "a token is found for its own audience alone");
                }
            }
        }
        steward
            .detokenize(detokenize("email", [&token]))
            .await
            .unwrap()
            .refusal()
            .is(Code::PermissionDenied, "ACCESS_DENIED");
    }
    // Of another tenant, of another class, unknown.
    let globex = vault.caller(Role::GlobexLoader).await;
    let theirs = globex.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens().remove(0);
    let customer = vault.give("customer_id", [customer(1)]).await.remove(0);
    for token in [theirs.as_str(), &customer, "tok_eu_any", "", "4111111111111111"] {
        for action in [Action::Renew, Action::Suspend, Action::Resume, Action::Revoke] {
            changed(&steward, action, "email", token).await.unwrap_err().is(NOT_FOUND.0, NOT_FOUND.1);
        }
    }
    assert!(
        leads_to(&vault.caller(Role::Payments).await, "customer_id", &customer, &vault_tests::requests::customer(1))
            .await
    );
    vault.finish().await;
}
