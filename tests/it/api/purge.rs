//! What has ended is deleted, with all that led to it, a day later and not before; on a clock that the test moves.

use std::{path::Path, sync::Arc, time::Duration};

use tonic::Code;
use vault_domain::{Action, ManualClock, limits::PURGE_DELAY};
use vault_proto::v1;
use vault_tests::{
    metrics,
    requests::{by, change, detokenize, query, tokenize},
    roles::Role,
    stored_log::StoredRows,
    vault::{BEGINNING, TestVault},
};

use super::life::{changed, made, with_life};
use crate::{DISK, vault_and_clock};

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than a purge takes to come.
const SOON: Duration = Duration::from_secs(20);
/// A purge is looked for every second.
const A_WHILE: Duration = Duration::from_millis(2500);

/// The purges that the log tells a caller of, newest first.
async fn purges(vault: &TestVault, role: Role) -> Vec<v1::AccessLogEntry> {
    let filter = by(|filter| filter.action = "purge".to_owned());
    let asked = v1::QueryAccessLogRequest { filter, ..query("eu") };
    vault.caller(role).await.query(asked).await.unwrap().entries
}

fn purged(entries: &[v1::AccessLogEntry]) -> u32 {
    entries.iter().flat_map(|entry| &entry.items).map(|items| items.count).sum()
}

/// Waits until so many records were purged, and not one more.
async fn purged_are(vault: &TestVault, records: u32) -> Vec<v1::AccessLogEntry> {
    let waits = async {
        loop {
            let entries = purges(vault, Role::Auditor).await;
            if purged(&entries) >= records {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let entries = tokio::time::timeout(SOON, waits).await.expect("in time");
    assert_eq!(purged(&entries), records);
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_for_a_day_is_deleted_with_all_that_led_to_it() {
    let (mut vault, clock) = vault_and_clock().await;
    // One of each: opaque; format-preserving and deterministic for an audience, and for a class; a UUID for a person.
    let mut tokens = Vec::new();
    for (class, value) in [("ticket", "a ticket"), ("voucher", "7031945286"), ("account", "1029384756")] {
        tokens.push((class, value, made(&vault, tokenize(class, [value])).await.unwrap().token));
    }
    let of_a_person = |item: &mut v1::TokenizeItem| item.subject = "patient-7".to_owned();
    let visit = made(&vault, with_life("visit", "5647382910", of_a_person)).await.unwrap();
    tokens.push(("visit", "5647382910", visit.token));
    // These two stay: one that does not end, and one whose end was put off.
    let endless = made(&vault, tokenize("customer_id", ["4711"])).await.unwrap().token;
    let renewed = made(&vault, tokenize("voucher", ["1122334455"])).await.unwrap().token;
    let steward = vault.caller(Role::Steward).await;
    let request = v1::ChangeTokensRequest { ttl_seconds: 7 * 24 * 3600, ..change("voucher", [&renewed]) };
    steward.change(Action::Renew, request).await.unwrap().only().unwrap();

    clock.advance(MINUTE + PURGE_DELAY - MS);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(purges(&vault, Role::Auditor).await, [], "not a millisecond before");
    vault.stop().await;
    let all = vault.stored_rows_by_table("eu");
    assert_eq!(all, StoredRows { records: 6, states: 1, tokens: 4, values: 5, expiry: 5, budgets: 0 });
    clock.advance(MS);
    vault.start_again().await;

    let entries = purged_are(&vault, 4).await;
    let [entry] = entries.as_slice() else { panic!("one tenant, one entry: {entries:?}") };
    assert_eq!((entry.decision.as_str(), entry.tenant.as_str(), entry.principal.as_str()), ("allowed", "acme", ""));
    let mut classes: Vec<_> = entry.items.iter().map(|items| items.data_class.as_str()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["account", "ticket", "visit", "voucher"]);
    assert!(entry.items.iter().all(|items| items.record_numbers.len() == 1 && items.outcome == "ok"));
    assert_eq!(purges(&vault, Role::GlobexAuditor).await, [], "another tenant is not told");
    let payments = vault.caller(Role::Payments).await;
    for (class, _, token) in &tokens {
        let refused = payments.detokenize(detokenize(class, [token])).await.unwrap().results.remove(0).unwrap_err();
        refused.is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    for (class, value, token) in [("customer_id", "4711", endless), ("voucher", "1122334455", renewed)] {
        let revealed = payments.detokenize(detokenize(class, [token])).await.unwrap().values();
        assert_eq!(revealed, [value.as_bytes()]);
    }
    // What comes back is new.
    let again = made(&vault, tokenize("voucher", ["7031945286"])).await.unwrap();
    assert!(again.created && tokens.iter().all(|(_, _, token)| *token != again.token));
    vault.stop().await;
    let left = vault.stored_rows_by_table("eu");
    assert_eq!(left, StoredRows { records: 3, states: 1, tokens: 2, values: 3, expiry: 2, budgets: 0 });
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_or_used_up_is_deleted_a_day_after_that() {
    let (mut vault, clock) = vault_and_clock().await;
    let steward = vault.caller(Role::Steward).await;
    let payments = vault.caller(Role::Payments).await;
    let single = |item: &mut v1::TokenizeItem| item.max_uses = 1;
    let once = made(&vault, with_life("email", "ada@example.org", single)).await.unwrap().token;
    let revoked = made(&vault, tokenize("customer_id", ["4711"])).await.unwrap().token;
    let suspended = made(&vault, tokenize("customer_id", ["4712"])).await.unwrap().token;
    // Revoked long before it would have expired: it goes by that.
    let brief = made(&vault, with_life("email", "eve@example.org", |item| item.ttl_seconds = 7 * 24 * 3600));
    let brief = brief.await.unwrap().token;
    assert_eq!(payments.detokenize(detokenize("email", [&once])).await.unwrap().values().len(), 1);
    clock.advance(MINUTE);
    changed(&steward, Action::Revoke, "customer_id", &revoked).await.unwrap();
    changed(&steward, Action::Revoke, "email", &brief).await.unwrap();
    changed(&steward, Action::Suspend, "customer_id", &suspended).await.unwrap();

    clock.advance(PURGE_DELAY - MINUTE);
    purged_are(&vault, 1).await;
    clock.advance(MINUTE);
    purged_are(&vault, 3).await;
    clock.advance(30 * PURGE_DELAY);
    tokio::time::sleep(A_WHILE).await;
    purged_are(&vault, 3).await;
    changed(&vault.caller(Role::Steward).await, Action::Resume, "customer_id", &suspended).await.unwrap();
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("customer_id", [&suspended])).await;
    assert_eq!(revealed.unwrap().values(), [b"4712"], "what is suspended has not ended");
    vault.stop().await;
    let left = vault.stored_rows_by_table("eu");
    assert_eq!(left, StoredRows { records: 1, states: 1, tokens: 0, values: 1, expiry: 0, budgets: 0 });
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_of_the_same_value_survives_the_purge_of_the_old_one() {
    let (vault, clock) = vault_and_clock().await;
    let old = made(&vault, tokenize("voucher", ["1029384756"])).await.unwrap().token;
    clock.advance(MINUTE);
    let with_a_week = |item: &mut v1::TokenizeItem| item.ttl_seconds = 7 * 24 * 3600;
    let new = made(&vault, with_life("voucher", "1029384756", with_a_week)).await.unwrap();
    assert!(new.created && new.token != old);
    clock.advance(PURGE_DELAY);
    purged_are(&vault, 1).await;
    let again = made(&vault, tokenize("voucher", ["1029384756"])).await.unwrap();
    assert!(!again.created && again.token == new.token, "its row of values is its own");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_has_nothing_deleted_before_its_time() {
    let (mut vault, clock) = vault_and_clock().await;
    made(&vault, tokenize("voucher", ["7031945286"])).await.unwrap();
    let kept = made(&vault, tokenize("voucher", ["1122334455"])).await.unwrap().token;
    let steward = vault.caller(Role::Steward).await;
    let request = v1::ChangeTokensRequest { ttl_seconds: 7 * 24 * 3600, ..change("voucher", [&kept]) };
    steward.change(Action::Renew, request).await.unwrap().only().unwrap();

    let month = 30 * PURGE_DELAY;
    clock.set_wall(BEGINNING.saturating_add(month));
    // The log follows the clock.
    let late = made(&vault, tokenize("voucher", ["5647382910"])).await.unwrap().token;
    clock.advance(MINUTE);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(purges(&vault, Role::Auditor).await, [], "by a clock that was set");
    // Put right, and started again: the log is ahead of it.
    clock.set_wall(BEGINNING.saturating_add(MINUTE));
    vault.stop().await;
    vault.start_again().await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(purges(&vault, Role::Auditor).await, [], "by a log that is ahead");
    // Each goes when its own time has passed.
    clock.advance(PURGE_DELAY);
    purged_are(&vault, 1).await;
    clock.advance(7 * PURGE_DELAY);
    purged_are(&vault, 2).await;
    clock.advance(month);
    purged_are(&vault, 3).await;
    let payments = vault.caller(Role::Payments).await;
    for token in [&kept, &late] {
        let refused = payments.detokenize(detokenize("voucher", [token])).await.unwrap().results.remove(0).unwrap_err();
        refused.is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_go_in_steps_while_calls_go_on() {
    let (vault, clock) = vault_and_clock().await;
    for batch in 0..3 {
        let values: Vec<_> = (0..1000).map(|n| format!("ticket {batch}/{n}")).collect();
        vault.give("ticket", values).await;
    }
    let token = vault.give("email", ["ada@example.org"]).await.remove(0);
    clock.advance(MINUTE + PURGE_DELAY);
    let payments = vault.caller(Role::Payments).await;
    let calls = async {
        for _ in 0..100 {
            assert_eq!(payments.detokenize(detokenize("email", [&token])).await.unwrap().values().len(), 1);
        }
    };
    let (entries, ()) = tokio::join!(purged_are(&vault, 3000), calls);
    assert!(entries.len() >= 12, "no step is of more than 256 records: {}", entries.len());
    assert!(entries.iter().all(|entry| purged(std::slice::from_ref(entry)) <= 256));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_damaged_is_not_deleted_and_is_an_alarm() {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(clock.clone()));
    vault.configure("listen", "metrics = \"127.0.0.1:0\"");
    vault.start_again().await;
    let steward = vault.caller(Role::Steward).await;
    let tokens = vault.give("email", ["ada@example.org", "eve@example.org"]).await;
    for token in &tokens {
        changed(&steward, Action::Revoke, "email", token).await.unwrap();
    }
    vault.stop().await;
    // A revocation is undone behind the vault's back; who does so does not have the key of the row's tag.
    vault.overwrite_first_state("eu", |row| row[1] = 0);
    clock.advance(PURGE_DELAY);
    vault.start_again().await;
    purged_are(&vault, 1).await;
    let address = vault.server().metrics_address().unwrap();
    let waits = async {
        while metrics::alarm(address, "purge_behind", "eu") != Some(true) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, waits).await.expect("an alarm");
    vault.stop().await;
    assert_eq!(vault.stored_rows("eu").len(), 1);
    vault.finish().await;
}
