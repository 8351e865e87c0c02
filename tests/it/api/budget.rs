//! Budgets: how many items a caller may send in a time, whatever becomes of them.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use tonic::Code;
use vault_domain::{Action, ManualClock};
use vault_proto::v1;
use vault_server::{Config, Environment};
use vault_tests::{
    metrics,
    refusal::Refusal,
    requests::{card, change, describe, detokenize, detokenize_item, email, tokenize},
    roles::Role,
    stream::settling,
    vault::{BEGINNING, TestVault},
};

use crate::{DISK, vault_and_clock};

const MS: Duration = Duration::from_millis(1);
/// Room comes back within a twentieth of the time that the bound is over.
const LATEST: Duration = Duration::from_secs(63);

/// A vault whose catalog has these budgets, on a clock that the test moves.
async fn vault_with(budgets: &str) -> (TestVault, ManualClock) {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(clock.clone()));
    vault.add_to_catalog(budgets);
    vault.configure("listen", "metrics = \"127.0.0.1:0\"");
    vault.start_again().await;
    (vault, clock)
}

/// Checks that an item was refused for want of budget; the time after which there is room again.
#[track_caller]
fn spent(refused: &Refusal, budget: &str) -> Duration {
    refused.is(Code::ResourceExhausted, "BUDGET_SPENT");
    assert_eq!(refused.metadata, BTreeMap::from([("detail".to_owned(), format!("budget {budget}"))]));
    refused.retry_delay.expect("RetryInfo")
}

const CARDS: &str = "[budgets.cards]\nactions = ['detokenize']\nclasses = ['card_number']\nper_minute = 5\n";

#[tokio::test(flavor = "multi_thread")]
async fn items_beyond_the_budget_are_refused_with_the_time_to_wait_and_are_not_looked_at() {
    let (vault, clock) = vault_with(CARDS).await;
    let payments = vault.caller(Role::Payments).await;
    let tokens = vault.give("card_number", [card(1), card(2)]).await;
    // What leads nowhere costs as much as what does.
    let asked = [&tokens[0], "4929831700526640", "no token", &tokens[1], &tokens[0], &tokens[1], "4929831700526640"];
    let mark = vault.mark("eu").await;
    let results = payments.detokenize(detokenize("card_number", asked)).await.unwrap().results;
    assert_eq!(
        [&results[0], &results[3], &results[4]],
        [&Ok(card(1).into()), &Ok(card(2).into()), &Ok(card(1).into())]
    );
    for missed in [&results[1], &results[2]] {
        missed.as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    let wait = spent(results[5].as_ref().unwrap_err(), "cards: 5 per minute");
    assert_eq!(wait, spent(results[6].as_ref().unwrap_err(), "cards: 5 per minute"));
    assert!(wait > Duration::from_secs(60) - MS && wait <= LATEST, "{wait:?}");
    let entry = vault.entry_since(&mark).await;
    assert_eq!(entry.decision, "allowed");
    let refused: Vec<_> = entry.items.iter().filter(|items| items.outcome == "BUDGET_SPENT").collect();
    assert_eq!(refused.iter().map(|items| items.count).sum::<u32>(), 2);
    assert!(refused.iter().all(|items| items.record_numbers.is_empty() && items.token_hashes.is_empty()));

    // Not a millisecond before it was said; a call of which nothing is done is a denial.
    clock.advance(wait - MS);
    let mark = vault.mark("eu").await;
    let one = || payments.detokenize(detokenize("card_number", [&tokens[0]]));
    assert_eq!(spent(&one().await.unwrap().refusal(), "cards: 5 per minute"), MS);
    assert_eq!(vault.entry_since(&mark).await.decision, "denied");
    clock.advance(MS);
    assert_eq!(one().await.unwrap().values(), [card(1).as_bytes()]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_caller_class_and_purpose_has_a_count_of_its_own_and_other_actions_none() {
    let budget = "[budgets.all]\nactions = ['detokenize']\nper_hour = 2\n";
    let (vault, _clock) = vault_with(budget).await;
    let payments = vault.caller(Role::Payments).await;
    let cards = vault.give("card_number", [card(1)]).await;
    let sessions = vault.give("session", ["the session of a user"]).await;
    let two = |class: &str, token: &str| detokenize(class, [token, token]);
    assert_eq!(payments.detokenize(two("card_number", &cards[0])).await.unwrap().values().len(), 2);
    let refused = payments.detokenize(detokenize("card_number", [&cards[0]])).await.unwrap().refusal();
    spent(&refused, "all: 2 per hour");
    // Another class; the same for another purpose, and for none.
    assert_eq!(payments.detokenize(two("session", &sessions[0])).await.unwrap().values().len(), 2);
    let without = v1::DetokenizeRequest { purpose: String::new(), ..two("session", &sessions[0]) };
    assert_eq!(payments.detokenize(without.clone()).await.unwrap().values().len(), 2);
    spent(&payments.detokenize(without).await.unwrap().results[0].clone().unwrap_err(), "all: 2 per hour");
    // Another caller.
    let desk = vault.caller(Role::Desk).await;
    let masked = v1::DetokenizeRequest { purpose: "support_case".to_owned(), ..two("card_number", &cards[0]) };
    let masked = v1::DetokenizeRequest { level: v1::RevealLevel::Masked.into(), ..masked };
    assert_eq!(desk.detokenize(masked.clone()).await.unwrap().values().len(), 2);
    spent(&desk.detokenize(masked).await.unwrap().results[0].clone().unwrap_err(), "all: 2 per hour");
    // What the budget does not name is free.
    for _ in 0..3 {
        payments.describe(describe("card_number", [&cards[0]])).await.unwrap().remove(0).unwrap();
    }
    // What policy refuses is not charged.
    let analytics = vault.caller(Role::Analytics).await;
    for _ in 0..3 {
        let refused = analytics.detokenize(detokenize("email", ["tok_eu_made_up"])).await.unwrap().refusal();
        refused.is(Code::PermissionDenied, "ACCESS_DENIED");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_by_any_verb_and_values_that_are_tried_run_out() {
    let budgets = "[budgets.guesses]\nactions = ['detokenize', 'describe']\nclasses = ['voucher']\nper_day = 6\n\
                   [budgets.stewards]\nactions = ['suspend', 'revoke']\nper_day = 2\n\
                   [budgets.equal]\nactions = ['tokenize']\nclasses = ['voucher']\nper_minute = 2\nper_day = 3\n";
    let (vault, clock) = vault_with(budgets).await;
    let (payments, loader) = (vault.caller(Role::Payments).await, vault.caller(Role::Loader).await);
    let steward = vault.caller(Role::Steward).await;
    let guesses = |n: u64| (0..n).map(move |n| format!("70319{:05}", n * 7919 % 100_000));
    let described = payments.describe(describe("voucher", guesses(4))).await.unwrap();
    assert!(described.iter().all(|guess| guess.as_ref().unwrap_err().reason == "TOKEN_NOT_FOUND"));
    let revealed = payments.detokenize(detokenize("voucher", guesses(4))).await.unwrap().results;
    assert!(revealed[..2].iter().all(|guess| guess.as_ref().unwrap_err().reason == "TOKEN_NOT_FOUND"));
    revealed[2..].iter().for_each(|guess| {
        spent(guess.as_ref().unwrap_err(), "guesses: 6 per day");
    });
    // To ask about a call of one's own would tell as much.
    let own = v1::ExplainAccessRequest {
        region: "eu".to_owned(),
        purpose: "settlement".to_owned(),
        explained: Some(v1::ExplainedCall {
            audience: "payments".to_owned(),
            item: Some(detokenize_item("voucher", "7031900000")),
            ..Default::default()
        }),
        ..Default::default()
    };
    let explained = payments.explain(own).await.unwrap();
    assert_eq!((explained.revealed, explained.reason.as_str()), (false, "BUDGET_SPENT"));
    let ended = steward.change(Action::Revoke, change("voucher", guesses(3))).await.unwrap().results;
    spent(ended[2].as_ref().unwrap_err(), "stewards: 2 per day");

    // A value whose token one gets is a value that is known: also the same one again, and whichever way.
    let ask = || loader.tokenize(tokenize("voucher", ["1029384756", "1029384756"]));
    let first = ask().await.unwrap().results;
    assert_eq!(first[0].as_ref().unwrap().token, first[1].as_ref().unwrap().token);
    let wait = spent(ask().await.unwrap().results[0].as_ref().unwrap_err(), "equal: 2 per minute");
    clock.advance(wait);
    let then = ask().await.unwrap().results;
    // Of several bounds the one that lasts longest is named.
    let wait = spent(then[1].as_ref().unwrap_err(), "equal: 3 per day");
    assert!(then[0].is_ok() && wait > Duration::from_secs(23 * 3600));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_spent_outlives_a_restart_and_rules_that_are_exchanged() {
    let (mut vault, clock) = vault_with(CARDS).await;
    let tokens = vault.give("card_number", (0..4).map(card)).await;
    let four = || detokenize("card_number", &tokens);
    let payments = vault.caller(Role::Payments).await;
    assert_eq!(payments.detokenize(four()).await.unwrap().values().len(), 4);
    vault.stop().await;
    vault.start_again().await;
    let payments = vault.caller(Role::Payments).await;
    let results = payments.detokenize(four()).await.unwrap().results;
    assert!(results[0].is_ok());
    spent(results[1].as_ref().unwrap_err(), "cards: 5 per minute");
    // Under a wider budget of the same name there is room for the rest of it, under a narrower one for nothing.
    let mut was = "per_minute = 5";
    for (now, room) in [("per_minute = 7", 2), ("per_minute = 3", 0), ("per_hour = 8", 1)] {
        vault.edit("catalog.toml", was, now);
        was = now;
        let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default());
        vault.server().apply(config.unwrap().policies().unwrap()).await.unwrap();
        let results = payments.detokenize(four()).await.unwrap().results;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), room, "{now}");
    }
    // Two days later nothing of it is left, and on the disk only what is spent then.
    let desk = vault.caller(Role::Desk).await;
    let masked =
        v1::DetokenizeRequest { purpose: "support_case".to_owned(), level: v1::RevealLevel::Masked.into(), ..four() };
    assert_eq!(desk.detokenize(masked).await.unwrap().values().len(), 4);
    vault.stop().await;
    assert_eq!(vault.stored_rows_by_table("eu").budgets, 2);
    clock.advance(Duration::from_secs(2 * 86_400));
    vault.start_again().await;
    assert_eq!(vault.caller(Role::Payments).await.detokenize(four()).await.unwrap().values().len(), 4);
    vault.stop().await;
    assert_eq!(vault.stored_rows_by_table("eu").budgets, 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_do_not_get_past_a_budget_and_none_of_it_is_lost() {
    let budget = "[budgets.cards]\nactions = ['detokenize']\nper_hour = 40\n";
    let (mut vault, _clock) = vault_with(budget).await;
    let token = vault.give("card_number", [card(1)]).await.remove(0);
    for room in [40, 0] {
        let payments = vault.caller(Role::Payments).await;
        let calls = (0..64).map(|_| {
            let (payments, token) = (payments.clone(), token.clone());
            tokio::spawn(async move { payments.detokenize(detokenize("card_number", [token])).await.unwrap() })
        });
        let mut shown = 0;
        for call in calls.collect::<Vec<_>>() {
            shown += usize::from(call.await.unwrap().results[0].is_ok());
        }
        assert_eq!(shown, room);
        vault.stop().await;
        vault.start_again().await;
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_charged_again_and_what_was_refused_for_want_of_budget_is_done_when_there_is_room() {
    let (vault, clock) = vault_with("[budgets.few]\nactions = ['detokenize', 'tokenize']\nper_minute = 2\n").await;
    let (payments, loader) = (vault.caller(Role::Payments).await, vault.caller(Role::Loader).await);
    let once = |value: &str| v1::TokenizeItem {
        data_class: "email".to_owned(),
        value: value.as_bytes().to_vec(),
        subject: String::new(),
        ttl_seconds: 0,
        not_before_ms: 0,
        max_uses: 1,
    };
    let items = [email(1), email(2), email(3)].map(|value| once(&value)).to_vec();
    let ask =
        || v1::TokenizeRequest { items: items.clone(), idempotency_key: "orders".to_owned(), ..tokenize("", [""; 0]) };
    let first = loader.tokenize(ask()).await.unwrap().results;
    let tokens: Vec<_> = first[..2].iter().map(|issued| issued.as_ref().unwrap().token.clone()).collect();
    let wait = spent(first[2].as_ref().unwrap_err(), "few: 2 per minute");
    spent(loader.tokenize(ask()).await.unwrap().results[0].as_ref().unwrap_err(), "few: 2 per minute");
    clock.advance(wait);
    let again = loader.tokenize(ask()).await.unwrap().results;
    let known: Vec<_> = again[..2].iter().map(|issued| issued.as_ref().unwrap().token.clone()).collect();
    assert_eq!(known, tokens, "what was done is not done again");
    spent(again[2].as_ref().unwrap_err(), "few: 2 per minute");

    // Of tokens for one use the repeat shows what it showed, while there is budget, and uses up nothing.
    let reveal = || v1::DetokenizeRequest { idempotency_key: "reveal".to_owned(), ..detokenize("email", &tokens[..1]) };
    assert_eq!(payments.detokenize(reveal()).await.unwrap().values(), [email(1).as_bytes()]);
    assert_eq!(payments.detokenize(reveal()).await.unwrap().values(), [email(1).as_bytes()]);
    spent(&payments.detokenize(reveal()).await.unwrap().refusal(), "few: 2 per minute");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_stream_are_charged_one_by_one() {
    let (vault, _clock) = vault_with(CARDS).await;
    let tokens = vault.give("card_number", (0..2).map(card)).await;
    let mut stream = vault.caller(Role::Payments).await.detokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::DetokenizeStreamRequest { start: Some(settling()), ..Default::default() }).await);
    let mut outcomes = Vec::new();
    for sequence in 1..5 {
        let items = tokens.iter().map(|token| detokenize_item("card_number", token)).collect();
        assert!(stream.send(v1::DetokenizeStreamRequest { sequence, items, ..Default::default() }).await);
        let (_, answer) = stream.answer().await.unwrap().unwrap();
        outcomes.extend(answer.results);
    }
    assert!(outcomes[..5].iter().all(Result::is_ok));
    outcomes[5..].iter().for_each(|refused| {
        spent(refused.as_ref().unwrap_err(), "cards: 5 per minute");
    });
    drop(stream);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_is_spent_is_an_alarm_until_it_is_quiet() {
    let (vault, clock) = vault_with(CARDS).await;
    let address = vault.server().metrics_address().unwrap();
    let becomes = |expected: bool| async move {
        let waits = async {
            while metrics::alarm(address, "budget_spent", "eu") != Some(expected) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waits).await.expect("an alarm that changes");
    };
    becomes(false).await;
    let guesses = (0..7).map(|n| format!("492983170052664{n}"));
    vault.caller(Role::Payments).await.detokenize(detokenize("card_number", guesses)).await.unwrap();
    becomes(true).await;
    clock.advance(Duration::from_secs(5 * 60));
    becomes(false).await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_budget_nothing_is_counted() {
    let (mut vault, _clock) = vault_and_clock().await;
    let tokens = vault.give("card_number", (0..8).map(card)).await;
    vault.caller(Role::Payments).await.detokenize(detokenize("card_number", &tokens)).await.unwrap();
    vault.stop().await;
    assert_eq!(vault.stored_rows_by_table("eu").budgets, 0);
    vault.finish().await;
}
