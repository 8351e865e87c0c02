//! What keeps entries longer than their log, pruning by the vault itself, and what speaks against a retention. Time
//! passes by a clock that the tests move.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tonic::{Code, Request};
use vault_domain::{Action, Decision, ManualClock};
use vault_proto::v1::{
    ApplyPoliciesRequest, CountAccessLogRequest, ListPolicyVersionsRequest, PolicyRules, QueryAccessLogRequest,
    admin_service_client::AdminServiceClient, apply_policies_request::Target,
};
use vault_tests::{
    metrics,
    refusal::Refusal,
    requests::{by, customer, detokenize, email, query, tokenize},
    roles::Role,
    stored_log,
    vault::{BEGINNING, TestVault},
};

use super::prune::{DAY, OPERATOR, addresses, prune, prune_to};
use crate::DISK;

/// How long something that the vault does by itself may take.
const LOOKS: usize = 600;
const LOOK: Duration = Duration::from_millis(50);

/// A vault with these lines of `[retention]` beside the folder of archives, and measurements.
async fn keeping(lines: &str) -> (TestVault, ManualClock) {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(clock.clone()));
    vault.configure("listen", "metrics = \"127.0.0.1:0\"");
    vault.add_to_configuration(&format!("[retention]\narchive_directory = \"archive\"\n{lines}"));
    vault.start_again().await;
    (vault, clock)
}

async fn minimum_index(vault: &TestVault, log: &str) -> u64 {
    vault.caller(Role::Auditor).await.checkpoint(log).await.unwrap().minimum_index
}

fn metrics_of(vault: &TestVault) -> SocketAddr {
    vault.server().metrics_address().unwrap()
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    for _ in 0..LOOKS {
        if is().await {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("it did not come to this: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_kind_that_is_kept_longer_holds_back_all_behind_it_and_is_named() {
    let (vault, clock) = keeping("kind_days = [\"reveal=800\", \"operate=2555\"]").await;
    vault.fill(299, addresses).await;
    // The log's first entry is that of the start: this one has the index 300.
    let token = vault.give("email", [email(1)]).await;
    let mark = vault.mark("eu").await.size();
    vault.caller(Role::Payments).await.detokenize(detokenize("email", token)).await.unwrap();
    assert_eq!(mark, 301);
    vault.fill(300, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(2)]).await;
    vault.indexed().await;
    let planned = prune(&vault, OPERATOR, "eu", true).await.unwrap();
    assert_eq!((planned.held_by.as_str(), planned.held_index), ("reveal", mark), "{planned:?}");
    let pruned = prune_to(&vault, "eu", 256).await;
    assert_eq!((pruned.held_by.as_str(), pruned.held_index), ("reveal", mark), "what went was not held");
    assert_ne!(pruned.archive, "");
    let again = prune(&vault, OPERATOR, "eu", false).await.unwrap();
    assert_eq!((again.minimum_index, again.archive.as_str()), (256, ""), "held in the first bundle");
    assert_eq!((again.held_by.as_str(), again.held_index), ("reveal", mark));
    // A day before its time, and then: nothing behind it was kept for long enough to be held.
    clock.advance(431 * DAY);
    vault.give("email", [email(3)]).await;
    assert_eq!(prune(&vault, OPERATOR, "eu", true).await.unwrap().held_index, mark);
    clock.advance(2 * DAY);
    vault.give("email", [email(4)]).await;
    // The pruning's own entry, in the third bundle, is one of an operator's doing.
    let free = prune_to(&vault, "eu", 512).await;
    assert_eq!((free.minimum_index_before, free.held_by.as_str()), (256, ""));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_are_not_kept_and_kinds_of_other_entries_hold_nothing() {
    let (vault, clock) = keeping("kind_days = [\"reveal=800\", \"ask=800\", \"refuse=800\"]").await;
    vault.fill(600, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    let pruned = prune_to(&vault, "eu", 512).await;
    assert_eq!((pruned.held_by.as_str(), pruned.held_index), ("", 0));
    vault.finish().await;
    // The first entry of a log is that of a start.
    let (vault, clock) = keeping("kind_days = [\"vault=800\"]").await;
    vault.fill(300, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    vault.indexed().await;
    let pruned = prune(&vault, OPERATOR, "eu", false).await.unwrap();
    assert_eq!((pruned.minimum_index, pruned.held_by.as_str(), pruned.held_index), (0, "vault", 0));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_would_be_kept_for_less_than_its_log_or_that_is_none_is_refused() {
    let vault = TestVault::prepare(Path::new(DISK), Arc::new(ManualClock::at(BEGINNING)));
    let text = fs::read_to_string(vault.directory().join("vault.toml")).unwrap();
    for (lines, said) in [
        ("kind_days = [\"reveal=365\"]", "\"eu\" are all kept for 366"),
        ("kind_days = [\"operate=500\"]\nlog_days = [\"us=600\"]", "\"us\" are all kept for 600"),
        ("kind_days = [\"operate=500\"]\nlog_days = [\"node=600\"]", "\"node\" are all kept for 600"),
        ("kind_days = [\"reveal=700\", \"reveal=800\"]", "names a kind twice"),
        ("kind_days = [\"detokenize=800\"]", "(reveal|tokenize|change|refuse|ask|operate|vault)="),
        ("automatic = \"on\"", "nothing is pruned without an archive"),
        ("automatic = \"yes\"\narchive_directory = \"archive\"", "must be \"on\" or \"off\""),
    ] {
        vault.replace("vault.toml", format!("{text}\n[retention]\n{lines}\n"));
        let refused = vault.refused_start().await;
        assert!(refused.contains(said), "{lines}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_told_to_prunes_its_logs_by_itself_once_a_day_and_names_nobody() {
    let (mut vault, clock) = keeping("automatic = \"on\"").await;
    let address = metrics_of(&vault);
    vault.fill(600, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    vault.indexed().await;
    // When the first time came, and found nothing to do or all of it, is a matter of chance.
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        clock.advance(DAY);
        vault.give("email", [email(2)]).await;
    }
    until("the entries are gone", async || minimum_index(&vault, "eu").await == 512).await;
    assert_eq!(minimum_index(&vault, "us").await, 0);
    until("it is measured", async || metrics::alarm(address, "pruning_failed", "eu") == Some(false)).await;
    let text = metrics::ask(address, "GET /metrics");
    for (log, index) in [("eu", 512), ("us", 0), ("node", 0)] {
        let label = format!("log=\"{log}\"");
        assert_eq!(metrics::value(&text, "tokenvault_log_minimum_index{", &[&label]), index, "{log}");
    }
    assert!(vault.directory().join("archive/eu/000000000000-000000000512/checkpoint").is_file());
    // The same process, a year later.
    vault.fill(600, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(3)]).await;
    vault.indexed().await;
    until("a later day has its own", async || minimum_index(&vault, "eu").await == 1024).await;
    vault.stop().await;
    let nodes = vault.stored_log("node").decoded();
    let is_pruning = |entry: &&vault_ledger::Entry| entry.head.action == Action::PruneAccessLog;
    let told: Vec<_> = nodes.iter().filter(is_pruning).collect();
    assert_eq!(told.len(), 2, "where nothing goes, nothing is told");
    let people = stored_log::people(told[0]).unwrap();
    assert_eq!((told[0].head.decision, &people.principal, &people.source), (Decision::Allowed, &None, &None));
    let pruning = people.pruning().unwrap();
    assert_eq!((pruning.log_name(), pruning.from, pruning.until), ("eu", 0, 512));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruning_by_itself_that_fails_is_an_alarm_takes_nothing_and_is_tried_again() {
    let (vault, clock) = keeping("automatic = \"on\"").await;
    let (address, folder) = (metrics_of(&vault), vault.directory().join("archive"));
    fs::write(&folder, "no folder").unwrap();
    vault.fill(300, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    vault.indexed().await;
    until("an alarm", async || {
        clock.advance(DAY);
        vault.give("email", [email(2)]).await;
        metrics::alarm(address, "pruning_failed", "eu") == Some(true)
    })
    .await;
    assert_eq!(metrics::alarm(address, "pruning_failed", "us"), Some(false), "there was nothing to do");
    assert_eq!(minimum_index(&vault, "eu").await, 0);
    let told = |text: &str| vault.process_log().read(|log| String::from_utf8_lossy(log).contains(text));
    assert!(told("alarm=\"pruning_failed\" log=\"eu\""), "the log of the process says so");
    fs::remove_file(&folder).unwrap();
    until("it is over", async || {
        clock.advance(Duration::from_secs(3600));
        metrics::alarm(address, "pruning_failed", "eu") == Some(false)
    })
    .await;
    assert_eq!(minimum_index(&vault, "eu").await, 256);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_with_the_first_card_numbers_are_refused_where_logs_are_kept_for_less_than_twelve_months() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(ManualClock::at(BEGINNING)));
    vault.edit("vault.toml", "mode = \"dev\"", "mode = \"dev\"\nrules_from = \"applied\"");
    vault.add_to_configuration("[retention]\nlog_days = [\"us=90\"]");
    // Numbers of cards that nobody knows to be any.
    let catalog = fs::read_to_string(vault.directory().join("catalog.toml")).unwrap();
    let pan = "rule = \"pan\"";
    let without = catalog.replace(pan, "rule = \"digits\"\ndigits_min = 12\ndigits_max = 19");
    let without = without.replace("first6last4", "last4");
    assert_ne!(without, catalog);
    vault.replace("catalog.toml", &without);
    vault.start_again().await;
    let connection = vault.caller(OPERATOR).await.connection().clone();
    let mut admin = AdminServiceClient::with_origin(connection.clone(), connection.origin().clone());
    let listed = admin.list_policy_versions(Request::new(ListPolicyVersionsRequest::default())).await.unwrap();
    let serving = listed.into_inner();
    let request = |class: &str| ApplyPoliciesRequest {
        target: Some(Target::Rules(PolicyRules {
            catalog: format!("{without}\n[classes.late]\n{class}\n"),
            policies: Vec::new(),
        })),
        expected_fingerprint: serving.serving_fingerprint.clone(),
        expected_version: serving.serving_version,
        reference: "CASE-7".to_owned(),
        dry_run: false,
    };
    for dry_run in [true, false] {
        let asked = ApplyPoliciesRequest { dry_run, ..request(pan) };
        let refused = Refusal::of_call(&admin.apply_policies(Request::new(asked)).await.unwrap_err());
        refused.is(Code::FailedPrecondition, "RULES_NOT_SERVABLE");
        assert!(format!("{refused:?}").contains("12 months"), "{refused:?}");
    }
    admin.apply_policies(Request::new(request("rule = \"email\""))).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_span_of_the_index_is_pruned_and_what_is_left_is_asked_as_before() {
    let (vault, clock) = keeping("").await;
    // The same hundred customers over and over.
    vault.fill(66_600, |n| tokenize("customer_id", [customer(n % 100)])).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    let pruned = prune_to(&vault, "eu", 66_560).await;
    assert_eq!(pruned.minimum_index_before, 0);
    vault.fill(300, addresses).await;
    vault.indexed().await;
    // All but the first, that of the start, tokenized.
    let filter = by(|filter| filter.action = "tokenize".to_owned());
    let auditor = vault.caller(Role::Auditor).await;
    let question = CountAccessLogRequest { region: "eu".to_owned(), purpose: "audit".to_owned(), ..Default::default() };
    let question = CountAccessLogRequest { filter: filter.clone(), ..question };
    let counted = auditor.audit().count_access_log(question).await.unwrap().into_inner();
    assert_eq!((counted.entries, counted.minimum_index), (66_901 - 66_559, 66_560));
    let oldest = auditor.query(QueryAccessLogRequest { filter, oldest_first: true, ..query("eu") }).await.unwrap();
    assert_eq!(oldest.entries[0].receipt.as_ref().unwrap().index, 66_560);
    vault.finish().await;
}
