//! TailAccessLog: the log as it grows, none left out and none twice.

use std::time::Duration;

use tokio::time::timeout;
use tonic::{Code, Streaming};
use vault_client::AccessLogQuery;
use vault_domain::{Clock, Purpose, Region};
use vault_ledger::{Entry, SealedPart};
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{self, by, card, detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
    wire::Wire,
};

use super::client_stream::{config, connect};
use crate::{vault, vault_and_clock};

/// Longer than any news takes.
const SOON: Duration = Duration::from_secs(20);

fn from(index: Option<u64>) -> v1::TailAccessLogRequest {
    v1::TailAccessLogRequest {
        region: "eu".to_owned(),
        purpose: "audit".to_owned(),
        from_index: index,
        ..Default::default()
    }
}

async fn tail(
    caller: &Caller,
    request: v1::TailAccessLogRequest,
) -> Result<Streaming<v1::TailAccessLogResponse>, Refusal> {
    let opened = caller.audit().tail_access_log(request).await;
    opened.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

async fn next(stream: &mut Streaming<v1::TailAccessLogResponse>) -> Result<v1::TailAccessLogResponse, Refusal> {
    let message = timeout(SOON, stream.message()).await.expect("news in time");
    message.map(|message| message.expect("a message")).map_err(|status| Refusal::of_call(&status))
}

/// Reads until the log was looked at up to an index; the indexes of the entries that matched.
async fn up_to(stream: &mut Streaming<v1::TailAccessLogResponse>, end: u64) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let message = next(stream).await.unwrap();
        found.extend(message.entries.iter().map(|entry| entry.receipt.as_ref().unwrap().index));
        if message.next_index >= end {
            return found;
        }
    }
}

async fn reveal_some(vault: &TestVault, count: u64) {
    for n in 0..count {
        let tokens = vault.give("card_number", [card(n)]).await;
        vault.caller(Role::Payments).await.detokenize(detokenize("card_number", tokens)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_was_and_what_comes_in_order_and_each_entry_once() {
    let vault = vault().await;
    reveal_some(&vault, 3).await;
    let auditor = vault.caller(Role::Auditor).await;
    let mut stream = tail(&auditor, from(Some(0))).await.unwrap();
    let first = next(&mut stream).await.unwrap();
    let own = first.receipt.expect("the first message has the receipt of the question");
    assert_eq!(own.index, 7, "the start and six calls");
    let mut seen: Vec<u64> = first.entries.iter().map(|entry| entry.receipt.as_ref().unwrap().index).collect();
    if first.next_index < 8 {
        seen.extend(up_to(&mut stream, 8).await);
    }
    // The start is no tenant's.
    assert_eq!(seen, (1..=7).collect::<Vec<_>>());
    for round in 1..=3 {
        reveal_some(&vault, 2).await;
        assert_eq!(up_to(&mut stream, 8 + 4 * round).await, (4 + 4 * round..8 + 4 * round).collect::<Vec<_>>());
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_without_an_index_begins_behind_its_own_entry_and_goes_on_where_it_was_cut() {
    let mut vault = vault().await;
    reveal_some(&vault, 2).await;
    let auditor = vault.caller(Role::Auditor).await;
    let mut stream = tail(&auditor, from(None)).await.unwrap();
    let first = next(&mut stream).await.unwrap();
    assert!(first.entries.is_empty());
    let own = first.receipt.unwrap().index;
    assert_eq!(first.next_index, own + 1);
    reveal_some(&vault, 1).await;
    let seen = up_to(&mut stream, own + 3).await;
    assert_eq!(seen, [own + 1, own + 2]);
    // The vault stops, and says so; what comes next begins where the last message ended.
    drop(auditor);
    vault.stop().await;
    let ended = loop {
        match next(&mut stream).await {
            Ok(message) => assert!(message.entries.is_empty()),
            Err(ended) => break ended,
        }
    };
    assert!(matches!(ended.code, Code::Unavailable | Code::Unknown), "{ended:?}");
    vault.start_again().await;
    reveal_some(&vault, 1).await;
    let auditor = vault.caller(Role::Auditor).await;
    let mut stream = tail(&auditor, from(Some(own + 3))).await.unwrap();
    // A stop, a start, two calls, and the entry of this question.
    assert_eq!(up_to(&mut stream, own + 8).await, [own + 5, own + 6, own + 7]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_its_filters_ask_for_of_its_own_tenant_alone() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    loader.tokenize(tokenize("email", [email(1)])).await.unwrap();
    loader.tokenize(tokenize("card_number", [card(1)])).await.unwrap();
    let globex = vault.caller(Role::GlobexLoader).await;
    globex.tokenize(tokenize("email", [email(2)])).await.unwrap();
    let refused = vault.caller(Role::Support).await.tokenize(tokenize("email", [email(3)])).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.results.iter().all(Result::is_err)));
    let auditor = vault.caller(Role::Auditor).await;
    let of = |filter| v1::TailAccessLogRequest { filter, ..from(Some(0)) };
    for (request, expected) in [
        (of(by(|filter| filter.data_class = "email".to_owned())), vec![1, 4]),
        (of(by(|filter| filter.decision = "denied".to_owned())), vec![]),
        (of(by(|filter| filter.principal = Role::Loader.principal().to_owned())), vec![1, 2]),
        (of(by(|filter| filter.action = "detokenize".to_owned())), vec![]),
    ] {
        let size = vault.checkpoint("eu").await.head.size.0;
        let mut stream = tail(&auditor, request.clone()).await.unwrap();
        let found = up_to(&mut stream, size).await;
        let found: Vec<u64> = found.into_iter().filter(|index| *index < 5).collect();
        // Whether a refused item denies the call is the matter of other tests.
        let of_denied = request.filter.as_ref().is_some_and(|filter| filter.decision == "denied");
        assert!(of_denied || found == expected, "{request:?}: {found:?}");
        assert!(!found.contains(&3), "another tenant's");
    }
    let other = vault.caller(Role::GlobexAuditor).await;
    let size = vault.checkpoint("eu").await.head.size.0;
    assert_eq!(up_to(&mut tail(&other, from(Some(0))).await.unwrap(), size).await[0], 3);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_begins_at_the_time_or_the_index_that_is_asked_for_whichever_is_later() {
    let (vault, clock) = vault_and_clock().await;
    for n in 0..3 {
        clock.advance(Duration::from_secs(60));
        vault.give("email", [email(n)]).await;
    }
    let auditor = vault.caller(Role::Auditor).await;
    let entries = auditor.query(requests::query("eu")).await.unwrap().entries;
    // Entry 0 is the start, 1 to 3 are the calls, newest first.
    let second = entries[1].log_time_ms;
    let tailed = async |index, from_ms| {
        let request = v1::TailAccessLogRequest { filter: by(|filter| filter.from_ms = from_ms), ..from(index) };
        let mut stream = tail(&auditor, request).await.unwrap();
        let found = up_to(&mut stream, 4).await;
        found.into_iter().filter(|index| *index < 4).collect::<Vec<_>>()
    };
    assert_eq!(tailed(None, second).await, [2, 3]);
    assert_eq!(tailed(None, second + 1).await, [3]);
    assert_eq!(tailed(Some(1), second).await, [2, 3]);
    assert_eq!(tailed(Some(3), second).await, [3]);
    assert_eq!(tailed(Some(0), 1).await, [1, 2, 3]);
    // A time that is not yet: what comes before it is left out.
    let then = clock.wall().0 + 60_000;
    let request = v1::TailAccessLogRequest { filter: by(|filter| filter.from_ms = then), ..from(None) };
    let mut stream = tail(&auditor, request).await.unwrap();
    vault.give("email", [email(4)]).await;
    clock.advance(Duration::from_secs(61));
    let own = vault.caller(Role::Loader).await.tokenize(tokenize("email", [email(5)])).await.unwrap().receipt;
    assert_eq!(up_to(&mut stream, own.index + 1).await, [own.index]);
    // It has no end.
    let request = v1::TailAccessLogRequest { filter: by(|filter| filter.until_ms = then), ..from(None) };
    let refused = tail(&auditor, request).await.unwrap_err();
    refused.is(Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(refused.fields[0].0, "filter.until_ms");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_may_not_be_is_refused_and_stands_in_the_log() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let payments = vault.caller(Role::Payments).await;
    tail(&payments, from(Some(0))).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let auditor = vault.caller(Role::Auditor).await;
    tail(&auditor, from(Some(1_000_000))).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
    let bad = v1::TailAccessLogRequest { filter: by(|filter| filter.action = "no such".to_owned()), ..from(None) };
    tail(&auditor, bad).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
    let entries = vault.entries_since(&mark, 3).await;
    assert!(entries.iter().all(|entry| entry.action == "query_access_log" && entry.decision != "allowed"));
    // So many at once and no more.
    let mut open = Vec::new();
    let refused = loop {
        match tail(&auditor, from(None)).await {
            Ok(stream) => open.push(stream),
            Err(refused) => break refused,
        }
        assert!(open.len() <= 16);
    };
    refused.is(Code::Unavailable, "BUSY");
    assert_eq!(open.len(), 16);
    drop(open);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_that_nobody_reads_holds_nothing_up() {
    let vault = vault().await;
    let auditor = vault.caller(Role::Auditor).await;
    let mut unread = tail(&auditor, from(Some(0))).await.unwrap();
    let values = || (0..1000).map(email);
    for _ in 0..30 {
        vault.caller(Role::Loader).await.tokenize(tokenize("email", values())).await.unwrap();
    }
    let size = vault.checkpoint("eu").await.head.size.0;
    assert_eq!(up_to(&mut unread, size).await.len() as u64, size - 1);
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_goes_on_with_a_tail_that_is_cut_again_and_again() {
    let mut vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let client = connect(config(&vault, Role::Auditor, wire.address())).await;
    let purpose = Purpose::parse("audit").ok();
    let query = AccessLogQuery { purpose, ..AccessLogQuery::all(Region::parse("eu").unwrap()) };
    let mut tail = client.tail_access_log(query, Some(0));
    let mut seen = Vec::new();
    for _ in 0..6 {
        reveal_some(&vault, 1).await;
        let enough = seen.len() + 2;
        while seen.len() < enough {
            let step = timeout(SOON, tail.next()).await.expect("in time").unwrap();
            seen.extend(step.entries.iter().map(|entry| entry.receipt.as_ref().unwrap().index));
        }
        wire.cut();
    }
    drop(client);
    vault.stop().await;
    let newest = usize::try_from(*seen.last().unwrap()).unwrap();
    let log = vault.stored_log("eu").decoded();
    let sealed = |entry: &Entry| matches!(entry.people, SealedPart::Sealed(_));
    let expected: Vec<u64> =
        (0..=newest as u64).zip(&log).filter(|(_, entry)| sealed(entry)).map(|(at, _)| at).collect();
    assert_eq!(seen, expected, "each once, in order, and none left out");
    vault.finish().await;
}
