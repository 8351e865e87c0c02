//! Counts of the log, held against a naive count of all entries.

use std::{collections::BTreeMap, time::Duration};

use tonic::Code;
use vault_domain::Clock;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{by, email, query, tokenize},
    roles::Role,
};

use super::ask::{all, history, matches, question};
use crate::{vault, vault_and_clock};

const HOUR_MS: u64 = 3_600_000;

/// The same question for a count.
fn count(query: &v1::QueryAccessLogRequest, group_by: &str) -> v1::CountAccessLogRequest {
    let v1::QueryAccessLogRequest { region, purpose, reference, filter, .. } = query.clone();
    let (group_by, page_token) = (group_by.to_owned(), String::new());
    v1::CountAccessLogRequest { region, purpose, reference, filter, group_by, page_token }
}

async fn counted(caller: &Caller, request: v1::CountAccessLogRequest) -> Result<v1::CountAccessLogResponse, Refusal> {
    let answer = caller.audit().count_access_log(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| caller.refusal(&status))
}

/// How a count divides, by name or hour.
fn divided(answer: &v1::CountAccessLogResponse) -> BTreeMap<(String, u64), u64> {
    let counts = answer.counts.iter().map(|count| ((count.name.clone(), count.hour_ms), count.entries));
    counts.collect()
}

/// The same, of entries that were read.
fn naive(entries: &[&v1::AccessLogEntry], group_by: &str) -> BTreeMap<(String, u64), u64> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        let mut keys = match group_by {
            "decision" => vec![(entry.decision.clone(), 0)],
            "principal" => vec![(entry.principal.clone(), 0)],
            "action" => vec![(entry.action.clone(), 0)],
            "hour" => vec![(String::new(), entry.log_time_ms / HOUR_MS * HOUR_MS)],
            "data_class" => entry.items.iter().map(|items| (items.data_class.clone(), 0)).collect(),
            _ => vec![],
        };
        keys.sort();
        keys.dedup();
        keys.into_iter().for_each(|key| *counts.entry(key).or_insert(0) += 1);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_are_those_of_a_walk_over_all_entries() {
    let (vault, clock) = vault_and_clock().await;
    // Two runs of the index and more, on both sides of a full hour.
    let to_hour = HOUR_MS - clock.wall().0 % HOUR_MS;
    clock.advance(Duration::from_millis(to_hour - 5000));
    history(&vault, 400).await;
    let before = clock.wall().0;
    clock.advance(Duration::from_secs(6));
    history(&vault, 500).await;
    let auditor = vault.caller(Role::Auditor).await;
    clock.advance(Duration::from_secs(1));
    let until_ms = clock.wall().0;
    clock.advance(Duration::from_secs(1));
    let filter = by(|filter| filter.until_ms = until_ms);
    let known = all(&auditor, &v1::QueryAccessLogRequest { filter, page_size: 1000, ..query("eu") }).await;
    assert!(known.len() > 900);

    let (mut answered, mut by_rows) = (0, 0);
    for n in 0..200 {
        let ask = question(n, &known);
        let mut filter = ask.filter.clone().unwrap();
        filter.until_ms = if filter.until_ms == 0 { until_ms } else { filter.until_ms };
        let ask = v1::QueryAccessLogRequest { filter: Some(filter), ..ask };
        let expected: Vec<_> = known.iter().filter(|entry| matches(&ask, entry)).collect();
        for group_by in ["", "decision", "principal", "data_class", "action", "hour"] {
            let answer = counted(&auditor, count(&ask, group_by)).await.unwrap();
            assert_eq!(answer.entries, expected.len() as u64, "{ask:?}");
            assert_eq!(divided(&answer), naive(&expected, group_by), "{group_by}: {ask:?}");
            assert!(answer.next_page_token.is_empty() && answer.receipt.is_some());
            by_rows += usize::from(answer.entries > answer.entries_read);
        }
        answered += usize::from(!expected.is_empty());
    }
    assert!(answered > 25, "many questions had an answer: {answered}");
    assert!(by_rows > 50, "many were counted without reading them: {by_rows}");
    // All of the past but what no row covers yet was counted by rows, where nothing cuts an hour.
    let whole =
        v1::QueryAccessLogRequest { filter: by(|filter| filter.from_ms = before / HOUR_MS * HOUR_MS), ..query("eu") };
    let mut answer = counted(&auditor, count(&whole, "hour")).await.unwrap();
    for _ in 0..50 {
        // The index follows behind: a run that has just become full has no row for a moment.
        if answer.entries_read < 256 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = counted(&auditor, count(&whole, "hour")).await.unwrap();
    }
    assert!(answer.entries_read < 256, "{}", answer.entries_read);
    assert_eq!(answer.counts.len(), 2);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_counts_its_own_entries_alone() {
    let vault = vault().await;
    for n in 0..300 {
        vault.give("email", [email(n)]).await;
    }
    let globex = vault.caller(Role::GlobexLoader).await;
    for n in 0..3 {
        globex.tokenize(tokenize("email", [email(n)])).await.unwrap();
    }
    let sum = async |role, principal: &str| {
        let auditor = vault.caller(role).await;
        let (action, principal) = ("tokenize".to_owned(), principal.to_owned());
        let filter = by(|filter| (filter.action, filter.principal) = (action, principal));
        let ask = v1::QueryAccessLogRequest { filter, ..query("eu") };
        let answer = counted(&auditor, count(&ask, "principal")).await.unwrap();
        (answer.entries, answer.counts.into_iter().map(|count| count.name).collect::<Vec<_>>())
    };
    let [acme, theirs] = [Role::Loader, Role::GlobexLoader].map(|role| role.principal().to_owned());
    assert_eq!(sum(Role::Auditor, "").await, (300, vec![acme.clone()]));
    assert_eq!(sum(Role::GlobexAuditor, "").await, (3, vec![theirs.clone()]));
    assert_eq!(sum(Role::Auditor, &theirs).await, (0, vec![]));
    assert_eq!(sum(Role::GlobexAuditor, &acme).await, (0, vec![]));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_a_question_like_the_others() {
    let vault = vault().await;
    vault.give("email", [email(1)]).await;
    let auditor = vault.caller(Role::Auditor).await;
    let ask = v1::QueryAccessLogRequest { reference: "AUDIT-7".to_owned(), ..query("eu") };
    let receipt = counted(&auditor, count(&ask, "action")).await.unwrap().receipt;
    let entry = auditor.query(query("eu")).await.unwrap().entries.remove(0);
    assert_eq!(entry.receipt, receipt);
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("query_access_log", "allowed"));
    assert_eq!((entry.purpose.as_str(), entry.reference.as_str()), ("audit", "AUDIT-7"));
    // What it is counted by is refused by name, and so is a place that another question gave.
    let refused = counted(&auditor, count(&ask, "shoe_size")).await.unwrap_err();
    refused.is(Code::InvalidArgument, "FIELD_INVALID");
    let page = auditor.query(v1::QueryAccessLogRequest { page_size: 1, ..ask.clone() }).await.unwrap();
    assert!(!page.next_page_token.is_empty());
    let elsewhere = v1::CountAccessLogRequest { page_token: page.next_page_token, ..count(&ask, "") };
    counted(&auditor, elsewhere).await.unwrap_err().is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let loader = vault.caller(Role::Loader).await;
    counted(&loader, count(&ask, "action")).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let entry = auditor.query(query("eu")).await.unwrap().entries.remove(0);
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("query_access_log", "denied"));
    vault.finish().await;
}
