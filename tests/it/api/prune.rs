//! Entries whose retention is over go, whole bundles at a time, and everything that is said of a log says so. Time
//! passes by a clock that the tests move.

use std::{fs, time::Duration};

use tonic::{Code, Request};
use vault_domain::{Action, Decision, LogIndex, ManualClock};
use vault_ledger::{Entry, leaf_hash, verify_consistency, verify_inclusion};
use vault_proto::v1::{
    self, CountAccessLogRequest, ExportAccessLogRequest, PruneAccessLogRequest, PruneAccessLogResponse,
    QueryAccessLogRequest, TailAccessLogRequest, admin_service_client::AdminServiceClient,
};
use vault_tests::{
    refusal::Refusal,
    requests::{email, query, tokenize},
    roles::Role,
    stored_log,
    vault::{BEGINNING, TestVault},
};

use super::proofs::{consistency, entry, hash, hashes, inclusion};
use crate::vault_and_clock;

pub(super) const OPERATOR: Role = Role::Regional;
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
const ARCHIVE: &str = "[retention]\narchive_directory = \"archive\"";

/// Asks for a pruning of a log.
pub(super) async fn prune(
    vault: &TestVault,
    role: Role,
    log: &str,
    dry_run: bool,
) -> Result<PruneAccessLogResponse, Refusal> {
    let connection = vault.caller(role).await.connection().clone();
    let origin = connection.origin().clone();
    let request = PruneAccessLogRequest { region: log.to_owned(), dry_run, reference: "OPS-7".to_owned() };
    let answer = AdminServiceClient::with_origin(connection, origin).prune_access_log(Request::new(request)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

pub(super) fn addresses(n: u64) -> v1::TokenizeRequest {
    tokenize("email", [email(n)])
}

/// A vault with a folder for archives and `entries` entries in its log, all of a year and two days ago but the newest.
async fn aged(entries: u64) -> (TestVault, ManualClock) {
    let (mut vault, clock) = vault_and_clock().await;
    vault.stop().await;
    vault.add_to_configuration(ARCHIVE);
    vault.start_again().await;
    vault.fill(entries, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(1)]).await;
    (vault, clock)
}

/// Waits until the index has come as far as a pruning may go, and prunes up to there.
pub(super) async fn prune_to(vault: &TestVault, log: &str, minimum: u64) -> PruneAccessLogResponse {
    for _ in 0..200 {
        let planned = prune(vault, OPERATOR, log, true).await.unwrap();
        if planned.minimum_index == minimum {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pruned = prune(vault, OPERATOR, log, false).await.unwrap();
    assert_eq!(pruned.minimum_index, minimum, "{pruned:?}");
    pruned
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_before_its_time_and_then_whole_bundles_from_the_first_on() {
    let (mut vault, clock) = vault_and_clock().await;
    vault.stop().await;
    vault.add_to_configuration(ARCHIVE);
    vault.start_again().await;
    vault.fill(300, addresses).await;
    clock.advance(366 * DAY);
    vault.give("email", [email(1)]).await;
    // Longer than the index takes.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let early = prune(&vault, OPERATOR, "eu", false).await.unwrap();
    assert_eq!(
        (early.minimum_index_before, early.minimum_index, early.archive.as_str()),
        (0, 0, ""),
        "not a day early"
    );
    clock.advance(DAY);
    let still = prune(&vault, OPERATOR, "eu", true).await.unwrap();
    assert_eq!(still.minimum_index, 0, "what counts is the log's own time too: it has no entry of today");
    vault.give("email", [email(2)]).await;
    let pruned = prune_to(&vault, "eu", 256).await;
    assert_eq!(pruned.minimum_index_before, 0);
    assert!(fs::metadata(&pruned.archive).unwrap().is_dir(), "{}", pruned.archive);
    let again = prune(&vault, OPERATOR, "eu", false).await.unwrap();
    assert_eq!((again.minimum_index_before, again.minimum_index, again.archive.as_str()), (256, 256, ""));
    let us = prune(&vault, OPERATOR, "us", false).await.unwrap();
    assert_eq!(us.minimum_index, 0, "a bundle that is not full stays");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_takes_no_entry_before_its_time() {
    let (mut vault, clock) = vault_and_clock().await;
    vault.stop().await;
    vault.add_to_configuration(ARCHIVE);
    vault.start_again().await;
    vault.fill(300, addresses).await;
    clock.set_wall(BEGINNING.saturating_add(2 * 366 * DAY));
    // The log follows the clock: by both these entries are two years old.
    vault.give("email", [email(1)]).await;
    vault.indexed().await;
    let early = prune(&vault, OPERATOR, "eu", false).await.unwrap();
    assert_eq!((early.minimum_index, early.archive.as_str()), (0, ""), "two years have not passed");
    clock.advance(365 * DAY);
    assert_eq!(prune(&vault, OPERATOR, "eu", true).await.unwrap().minimum_index, 0);
    clock.advance(2 * DAY);
    prune_to(&vault, "eu", 256).await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_to_a_pruned_log_is_answered_by_what_is_there_and_says_from_where() {
    let (vault, _clock) = aged(600).await;
    let auditor = vault.caller(Role::Auditor).await;
    let before = vault.checkpoint("eu").await;
    let old = entry(&auditor, 5).await.unwrap();
    assert_eq!((old.entry_bytes.is_empty(), old.minimum_index), (false, 0));
    prune_to(&vault, "eu", 512).await;

    assert_eq!(auditor.checkpoint("eu").await.unwrap().minimum_index, 512);
    let page = auditor.query(QueryAccessLogRequest { page_size: 1000, ..query("eu") }).await.unwrap();
    let oldest = page.entries.last().unwrap().receipt.as_ref().unwrap().index;
    assert_eq!((page.minimum_index, oldest), (512, 512));
    let (region, purpose) = ("eu".to_owned(), "audit".to_owned());
    let count = CountAccessLogRequest { region: region.clone(), purpose: purpose.clone(), ..Default::default() };
    let counted = auditor.audit().count_access_log(count).await.unwrap().into_inner();
    assert_eq!(counted.minimum_index, 512);
    assert!(counted.entries < counted.log_size - 512, "{counted:?}");

    let tail = |from| {
        let (region, purpose, from_index) = (region.clone(), purpose.clone(), Some(from));
        TailAccessLogRequest { region, purpose, from_index, ..Default::default() }
    };
    let refused = auditor.audit().tail_access_log(tail(511)).await.unwrap_err();
    Refusal::of_call(&refused).is(Code::FailedPrecondition, "ENTRY_PRUNED");
    assert!(format!("{refused:?}").contains("the minimum index is 512"), "{refused:?}");
    for from in [0, 512] {
        let mut followed = auditor.audit().tail_access_log(tail(from)).await.unwrap().into_inner();
        let mut first = None;
        while first.is_none() {
            let message = followed.message().await.unwrap().unwrap();
            first = message.entries.first().map(|entry| entry.receipt.as_ref().unwrap().index);
        }
        assert_eq!(first, Some(512), "from {from}");
    }
    let export = |from_index| {
        let (region, purpose, format) = (region.clone(), purpose.clone(), "csv".to_owned());
        ExportAccessLogRequest { region, purpose, format, from_index, ..Default::default() }
    };
    let refused = auditor.audit().export_access_log(export(511)).await.unwrap_err();
    Refusal::of_call(&refused).is(Code::FailedPrecondition, "ENTRY_PRUNED");
    let mut exported = auditor.audit().export_access_log(export(0)).await.unwrap().into_inner();
    let mut manifest = String::new();
    while let Some(message) = exported.message().await.unwrap() {
        manifest.push_str(&message.manifest);
    }
    assert!(manifest.contains("512"), "the manifest says from where: {manifest}");

    // Of what is gone there is the hash, and every proof.
    let gone = entry(&auditor, 5).await.unwrap();
    assert!(gone.entry.is_none() && gone.entry_bytes.is_empty());
    assert_eq!((gone.leaf_hash.clone(), gone.minimum_index), (old.leaf_hash, 512));
    assert_eq!(hash(&gone.leaf_hash), leaf_hash(&old.entry_bytes), "it is the hash of the entry that there was");
    let now = vault.checkpoint("eu").await;
    for index in [0, 5, 255, 256, 511, 512] {
        let proof = inclusion(&auditor, "eu", index, now.head.size.0).await.unwrap();
        let (leaf, path) = (hash(&proof.leaf_hash), hashes(&proof.hashes));
        verify_inclusion(&now.head, LogIndex(index), &leaf, &path).unwrap();
    }
    let grown = consistency(&auditor, "eu", before.head.size.0, now.head.size.0).await.unwrap();
    verify_consistency(&before.head, &now.head, &hashes(&grown.hashes)).unwrap();
    let small = consistency(&auditor, "eu", 7, now.head.size.0).await.unwrap();
    assert_ne!(small.hashes, grown.hashes);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruning_is_an_entry_of_its_log_and_of_the_nodes_and_outlives_a_restart() {
    let (mut vault, clock) = aged(300).await;
    prune_to(&vault, "eu", 256).await;
    // A second one goes on where the first ended.
    vault.fill(300, addresses).await;
    clock.advance(368 * DAY);
    vault.give("email", [email(3)]).await;
    let second = prune_to(&vault, "eu", 512).await;
    assert_eq!(second.minimum_index_before, 256);
    vault.stop().await;
    vault.start_again().await;
    let auditor = vault.caller(Role::Auditor).await;
    assert_eq!(auditor.checkpoint("eu").await.unwrap().minimum_index, 512, "as it was before the restart");
    vault.still_serves().await;
    let size = vault.checkpoint("eu").await.head.size.0;
    let mut prunings = Vec::new();
    for index in 512..size {
        let found = entry(&auditor, index).await.unwrap();
        if found.entry.as_ref().is_some_and(|entry| entry.action == "prune_access_log") {
            prunings.push(Entry::decode(&found.entry_bytes).unwrap());
        }
    }
    vault.stop().await;
    let about = |entry: &Entry| {
        let pruning = stored_log::people(entry).unwrap().pruning().unwrap().clone();
        (pruning.log_name().to_owned(), pruning.from, pruning.until, pruning.archive.size.0 >= pruning.until)
    };
    let of = |from, until| ("eu".to_owned(), from, until, true);
    // The entry of the first one went with the second: the newest is always there.
    assert_eq!(prunings.iter().map(about).collect::<Vec<_>>(), [of(256, 512)]);
    let nodes = vault.stored_log("node").decoded();
    let told: Vec<_> = nodes
        .iter()
        .filter(|entry| entry.head.action == Action::PruneAccessLog && entry.head.decision == Decision::Allowed)
        .filter(|entry| stored_log::people(entry).unwrap().pruning().is_some())
        .collect();
    assert_eq!(told.iter().map(|entry| about(entry)).collect::<Vec<_>>(), [of(0, 256), of(256, 512)]);
    for entry in told {
        let people = stored_log::people(entry).unwrap();
        assert_eq!(people.principal.as_ref().unwrap().as_str(), OPERATOR.principal());
        assert_eq!(people.reference.as_ref().unwrap().as_str(), "OPS-7");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_the_node_is_pruned_too() {
    let (vault, clock) = aged(1).await;
    let operator = vault.caller(OPERATOR).await;
    for _ in 0..300 {
        let connection = operator.connection().clone();
        let origin = connection.origin().clone();
        let request = Request::new(v1::ListPolicyVersionsRequest::default());
        AdminServiceClient::with_origin(connection, origin).list_policy_versions(request).await.unwrap();
    }
    clock.advance(368 * DAY);
    prune(&vault, OPERATOR, "node", true).await.unwrap();
    let pruned = prune_to(&vault, "node", 256).await;
    assert_eq!(pruned.minimum_index_before, 0);
    let again = prune(&vault, OPERATOR, "node", false).await.unwrap();
    assert_eq!(again.minimum_index, 256);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruning_is_refused_to_who_may_not_and_without_a_folder_for_the_archive() {
    let (vault, _clock) = aged(300).await;
    for role in [Role::Auditor, Role::Loader, Role::Idle] {
        let refused = prune(&vault, role, "eu", false).await.unwrap_err();
        refused.is(Code::PermissionDenied, "ACCESS_DENIED");
    }
    let refused = prune(&vault, OPERATOR, "fr", false).await.unwrap_err();
    refused.is(Code::InvalidArgument, "REGION_UNKNOWN");
    // The place of the archive is taken by something else.
    let minimum = |vault: TestVault| async {
        let index = vault.caller(Role::Auditor).await.checkpoint("eu").await.unwrap().minimum_index;
        (vault, index)
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    fs::write(vault.directory().join("archive"), "no folder").unwrap();
    let refused = prune(&vault, OPERATOR, "eu", false).await.unwrap_err();
    refused.is(Code::FailedPrecondition, "ARCHIVE_FAILED");
    let (mut vault, index) = minimum(vault).await;
    assert_eq!(index, 0, "nothing is pruned that is not in an archive");
    vault.stop().await;
    vault.edit("vault.toml", ARCHIVE, "");
    vault.start_again().await;
    let refused = prune(&vault, OPERATOR, "eu", false).await.unwrap_err();
    refused.is(Code::FailedPrecondition, "ARCHIVE_UNSET");
    let (vault, index) = minimum(vault).await;
    assert_eq!(index, 0);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_than_twelve_months_are_refused_where_there_are_card_numbers() {
    let (mut vault, _clock) = vault_and_clock().await;
    vault.stop().await;
    for (lines, named) in
        [("days = 365", "eu"), ("log_days = [\"us=365\"]", "us"), ("log_days = [\"node=30\"]", "node")]
    {
        vault.add_to_configuration(&format!("[retention]\n{lines}"));
        let said = vault.refused_start().await;
        assert!(said.contains(named) && said.contains("12 months"), "{said}");
        vault.edit("vault.toml", &format!("[retention]\n{lines}"), "");
    }
    vault.add_to_configuration("[retention]\nlog_days = [\"fr=900\"]");
    assert!(vault.refused_start().await.contains("neither \"node\" nor a region"));
    vault.edit("vault.toml", "fr=900", "us=900");
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}
