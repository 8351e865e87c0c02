//! What outlives the process: records, keys, numbers, the log.

use std::collections::BTreeSet;

use vault_domain::{Action, Decision};
use vault_tests::{
    requests::{card, customer, detokenize, email, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn tokens_survive_restarts_and_record_numbers_go_on() {
    let mut vault = vault().await;
    let mut given: Vec<(&str, String, String)> = Vec::new();
    for life in 0..3 {
        let values = [("card_number", card(life)), ("email", email(life)), ("customer_id", customer(life))];
        for (class, value) in values {
            let token = vault.give(class, [&value]).await.remove(0);
            given.push((class, value, token));
        }
        let payments = vault.caller(Role::Payments).await;
        for (class, value, token) in &given {
            let revealed = payments.detokenize(detokenize(class, [token])).await.unwrap();
            assert_eq!(revealed.values(), [value.as_bytes()]);
            if *class != "email" {
                assert_eq!(vault.give(class, [value]).await, [token.as_str()], "the same token as before");
            }
        }
        vault.stop().await;
        vault.start_again().await;
    }
    vault.stop().await;

    let log = vault.stored_log("eu");
    let created = log.decoded().into_iter().filter(|entry| entry.head.action == Action::Tokenize);
    let numbers: Vec<u64> =
        created.flat_map(|entry| entry.groups[0].numbers.numbers().map(|n| n.get()).collect::<Vec<_>>()).collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), 9, "one record for each value, none twice");
    let mut fresh = Vec::new();
    for number in numbers {
        if !fresh.contains(&number) {
            fresh.push(number);
        }
    }
    assert!(fresh.is_sorted(), "numbers rise through restarts");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_and_stop_stand_in_every_log() {
    let mut vault = vault().await;
    vault.give("email", [email(1)]).await;
    for _ in 0..2 {
        vault.stop().await;
        vault.start_again().await;
    }
    vault.stop().await;
    for scope in ["eu", "us", "node"] {
        let entries = vault.stored_log(scope).decoded();
        let lives: Vec<Action> = entries
            .iter()
            .filter(|entry| matches!(entry.head.action, Action::Start | Action::Stop))
            .map(|entry| entry.head.action)
            .collect();
        assert_eq!(lives, [Action::Start, Action::Stop].repeat(3), "{scope}");
        assert!(entries.iter().all(|entry| entry.head.decision == Decision::Allowed), "{scope}");
        assert_eq!(entries.last().map(|entry| entry.head.action), Some(Action::Stop), "{scope}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_many_tiles_goes_on_after_a_restart() {
    let mut vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let calls: Vec<_> = (0..600)
        .map(|n| {
            let loader = loader.clone();
            tokio::spawn(async move { loader.tokenize(tokenize("email", [email(n)])).await.unwrap().receipt.index })
        })
        .collect();
    let mut indexes = BTreeSet::new();
    for call in calls {
        indexes.insert(call.await.unwrap());
    }
    assert_eq!(indexes.len(), 600, "each has an entry of its own");
    vault.stop().await;
    vault.start_again().await;
    vault.give("email", [email(1)]).await;
    let checkpoint = vault.checkpoint("eu").await;
    vault.stop().await;
    let log = vault.stored_log("eu");
    assert_eq!(log.head(checkpoint.head.size.0), checkpoint.head);
    vault.finish().await;
}
