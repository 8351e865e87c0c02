//! Streams: a long row of values or tokens, answered in order, as fast as the caller takes the answers.

use std::time::Duration;

use tokio::time::timeout;
use tonic::Code;
use vault_domain::{Clock, Reason, SystemClock, limits};
use vault_ledger::Entry;
use vault_proto::v1;
use vault_tests::{
    refusal::Refusal,
    requests::{card, detokenize, detokenize_item, email, scattered, tokenize, tokenize_item},
    roles::Role,
    stream::{TokenizeStream, loading, settling, tokens, values},
    vault::TestVault,
};

use crate::vault;

/// What nothing in these tests should take.
const LONG: Duration = Duration::from_secs(60);

async fn loader_stream(vault: &TestVault, start: v1::StreamStart) -> TokenizeStream {
    let stream = vault.caller(Role::Loader).await.tokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(start), ..Default::default() }).await);
    stream
}

/// How a stream ends that is sent these messages and half-closed, and the numbers that were answered before.
async fn end_of(vault: &TestVault, messages: Vec<v1::TokenizeStreamRequest>) -> (Vec<u64>, Option<Refusal>) {
    let mut stream = vault.caller(Role::Loader).await.tokenize_stream(None).await.unwrap();
    for message in messages {
        // It may have ended already.
        let _taken = stream.send(message).await;
    }
    stream.half_close();
    let mut answered = Vec::new();
    loop {
        match timeout(LONG, stream.answer()).await.expect("an end") {
            Ok(Some((sequence, _))) => answered.push(sequence),
            Ok(None) => return (answered, None),
            Err(refusal) => return (answered, Some(refusal)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_answered_in_order_and_every_item_by_itself() {
    let vault = vault().await;
    let mut stream = loader_stream(&vault, loading()).await;
    let sender = stream.sender();
    let sizes = |n: u64| usize::try_from(scattered(n) % 40 + 1).unwrap();
    let sending = tokio::spawn(async move {
        for n in 0..400 {
            let item = |at| match scattered(n + at) % 4 {
                0 => tokenize_item("card_number", card(n + at)),
                1 => tokenize_item("email", email(n * 100 + at)),
                2 => tokenize_item("card_number", "4111111111111112"),
                _ => tokenize_item("no_such_class", "x"),
            };
            // Any rising numbers will do.
            sender.send(values(7 * n + 3, (0..sizes(n) as u64).map(item).collect())).await.unwrap();
        }
    });
    stream.half_close();
    let (mut revealed, mut held) = (Vec::new(), Vec::new());
    for n in 0..400 {
        let (sequence, answer) = timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap();
        assert_eq!((sequence, answer.results.len()), (7 * n + 3, sizes(n)));
        for (at, result) in (0..).zip(answer.results) {
            match (scattered(n + at) % 4, result) {
                (0, Ok(issued)) => held.push(("card_number", issued.token, card(n + at))),
                (1, Ok(issued)) => held.push(("email", issued.token, email(n * 100 + at))),
                (2, Err(refusal)) => drop(refusal.is(Code::InvalidArgument, "VALUE_REJECTED")),
                (3, Err(refusal)) => drop(refusal.is(Code::PermissionDenied, "ACCESS_DENIED")),
                (_, other) => panic!("{other:?}"),
            }
        }
    }
    assert!(timeout(LONG, stream.answer()).await.unwrap().unwrap().is_none(), "a good end");
    sending.await.unwrap();

    // And back.
    let mut stream = vault.caller(Role::Payments).await.detokenize_stream(None).await.unwrap();
    for (n, run) in (0..).zip(held.chunks(100)) {
        let items = run.iter().map(|(class, token, _)| detokenize_item(class, token)).collect();
        let start = (n == 0).then(settling);
        assert!(stream.send(v1::DetokenizeStreamRequest { start, ..tokens(n, items) }).await);
        let (sequence, answer) = timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap();
        assert_eq!(sequence, n);
        revealed.extend(answer.values());
    }
    assert_eq!(revealed, held.into_iter().map(|(.., value)| value.into_bytes()).collect::<Vec<_>>());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_arrive_together_are_committed_together_and_all_are_in_the_log() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let mut stream = loader_stream(&vault, loading()).await;
    let sender = stream.sender();
    let sending = tokio::spawn(async move {
        for n in 0..5000 {
            // The same card comes again and again: it has one token, in whichever commit.
            sender.send(values(n, vec![tokenize_item("card_number", card(n % 10))])).await.unwrap();
        }
    });
    stream.half_close();
    let mut given = vec![String::new(); 10];
    let mut receipts = std::collections::BTreeSet::new();
    for n in 0..5000_usize {
        let (_, answer) = timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap();
        receipts.insert(answer.receipt.index);
        let token = answer.tokens().remove(0);
        let known = &mut given[n % 10];
        assert!(known.is_empty() || *known == token);
        *known = token;
    }
    sending.await.unwrap();
    assert!(stream.answer().await.unwrap().is_none());
    let entries = vault.entries_since(&mark, receipts.len() as u64).await;
    assert!(entries.len() < 5000, "{} commits", entries.len());
    let counted: u32 = entries.iter().flat_map(|entry| &entry.items).map(|items| items.count).sum();
    assert_eq!(counted, 5000);
    let ids: std::collections::BTreeSet<_> = entries.iter().map(|entry| &entry.request_id).collect();
    assert_eq!(ids.len(), 1, "the entries of a stream share its request id");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_under_the_same_key_makes_no_token_twice() {
    let mut vault = vault().await;
    let start = || v1::StreamStart { idempotency_key: "job-1".to_owned(), ..loading() };
    let message = |n: u64| values(n, (0..20).map(|at| tokenize_item("email", email(n * 20 + at))).collect());
    // Cut in the middle: some messages are answered, some carried out and not answered, some not even read.
    let connection = vault.try_connect(Role::Loader).await.unwrap();
    let caller = vault.caller_on(Role::Loader, connection);
    let mut stream = caller.tokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(start()), ..message(0) }).await);
    let sender = stream.sender();
    let sending = tokio::spawn(async move {
        for n in 1..40 {
            if sender.send(message(n)).await.is_err() {
                break;
            }
        }
    });
    let mut first: Vec<Vec<String>> = Vec::new();
    for _ in 0..5 {
        first.push(timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap().1.tokens());
    }
    drop((stream, caller));
    sending.abort();

    // All of it again, in other company.
    let mut stream = loader_stream(&vault, start()).await;
    for n in 0..40 {
        assert!(stream.send(message(n)).await);
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    stream.half_close();
    let mut all: Vec<Vec<String>> = Vec::new();
    while let Some((_, answer)) = timeout(LONG, stream.answer()).await.unwrap().unwrap() {
        all.push(answer.tokens());
    }
    assert_eq!(all.len(), 40);
    assert_eq!(all[..5], first, "what was answered is answered again");
    let (_, refused) =
        end_of(&vault, vec![v1::TokenizeStreamRequest { start: Some(start()), ..values(3, message(4).items.clone()) }])
            .await;
    refused.unwrap().is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    // One call of the same key is another request than a message of a stream.
    let call = v1::TokenizeRequest { idempotency_key: "job-1".to_owned(), ..tokenize("email", [email(0)]) };
    assert!(vault.caller(Role::Loader).await.tokenize(call).await.unwrap().results[0].as_ref().unwrap().created);
    vault.stop().await;
    assert_eq!(vault.stored_rows("eu").len(), 40 * 20 + 1, "each value has one record");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_takes_no_answers_stops_its_own_stream_and_nobody_elses() {
    let vault = vault().await;
    let blob: Vec<u8> = (0..65_536_u64).map(|n| scattered(n).to_le_bytes()[1]).collect();
    let token = vault.give("blob", [&blob]).await.remove(0);
    let mut stream = vault.caller(Role::Payments).await.detokenize_stream(None).await.unwrap();
    let sender = stream.sender();
    // Each message asks for 16 MiB.
    let message = |n| tokens(n, vec![detokenize_item("blob", &token); 256]);
    assert!(sender.send(v1::DetokenizeStreamRequest { start: Some(settling()), ..message(0) }).await.is_ok());
    let mut taken = 1;
    while taken < 200 && timeout(Duration::from_secs(3), sender.send(message(taken))).await.is_ok() {
        taken += 1;
    }
    // What HTTP/2 lets through and what is under way; not 200 messages, which would be 3 GiB of answers.
    assert!(taken < 200, "the vault went on reading");
    vault.still_serves().await;
    drop(sender);
    stream.half_close();
    let mut answered = 0;
    while let Some((sequence, answer)) = timeout(LONG, stream.answer()).await.unwrap().unwrap() {
        assert_eq!(sequence, answered);
        assert!(answer.values().iter().all(|value| *value == blob));
        answered += 1;
    }
    assert_eq!(answered, taken, "nothing is lost");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_its_deadline_and_answers_what_came_before() {
    let vault = vault().await;
    let caller = vault.caller(Role::Loader).await;
    let mut stream = caller.tokenize_stream(Some(Duration::from_millis(500))).await.unwrap();
    let first = values(1, vec![tokenize_item("email", email(1))]);
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(loading()), ..first }).await);
    assert_eq!(timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap().0, 1);
    let refused = timeout(LONG, stream.answer()).await.unwrap().unwrap_err();
    refused.is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_told_when_the_vault_stops() {
    let mut vault = vault().await;
    let mut stream = loader_stream(&vault, loading()).await;
    assert!(stream.send(values(1, vec![tokenize_item("email", email(1))])).await);
    assert_eq!(timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap().0, 1);
    let clock = SystemClock::new();
    let (_, refused) = tokio::join!(vault.stop(), timeout(LONG, stream.answer()));
    refused.unwrap().unwrap_err().is(Code::Unavailable, "SHUTTING_DOWN");
    assert!(clock.monotonic() < limits::DRAIN_DEADLINE, "the stop does not wait for open streams");
    vault.start_again().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_leave_their_streams_harm_nothing() {
    let mut vault = vault().await;
    for n in 0..30 {
        let connection = vault.try_connect(Role::Loader).await.unwrap();
        let caller = vault.caller_on(Role::Loader, connection);
        let mut stream = caller.tokenize_stream(None).await.unwrap();
        let items = (0..200).map(|at| tokenize_item("card_number", card(n * 200 + at))).collect();
        assert!(stream.send(v1::TokenizeStreamRequest { start: Some(loading()), ..values(1, items) }).await);
        if n % 5 == 0 {
            timeout(LONG, stream.answer()).await.unwrap().unwrap();
        } else if n % 2 == 0 {
            tokio::time::sleep(Duration::from_millis(n)).await;
        }
        // The stream is cancelled, or its connection is gone altogether.
        drop(stream);
        if n % 3 == 0 {
            drop(caller);
        }
    }
    vault.still_serves().await;
    vault.stop().await;
    let log = vault.stored_log("eu");
    let entries = log.decoded();
    assert!(!entries.is_empty(), "every entry is whole");
    let malformed = |entry: &Entry| entry.head.reason == Some(Reason::RequestMalformed);
    assert!(!entries.iter().any(malformed), "who leaves has sent nothing wrong");
    vault.start_again().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_streams_than_a_caller_may_have_are_refused_until_one_ends() {
    let vault = vault().await;
    let mut open = Vec::new();
    for _ in 0..limits::PRINCIPAL_STREAMS_MAX {
        open.push(loader_stream(&vault, loading()).await);
    }
    let caller = vault.caller(Role::Loader).await;
    caller.tokenize_stream(None).await.unwrap_err().is(Code::Unavailable, "BUSY");
    // Others have theirs.
    assert!(vault.caller(Role::Payments).await.detokenize_stream(None).await.is_ok());
    let mut one = open.remove(0);
    one.half_close();
    assert!(timeout(LONG, one.answer()).await.unwrap().unwrap().is_none());
    let again = async {
        while caller.tokenize_stream(None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, again).await.expect("a place");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_message_ends_the_stream_by_name_after_the_answers_before() {
    let vault = vault().await;
    let item = || tokenize_item("email", email(1));
    let started = |start: v1::StreamStart| v1::TokenizeStreamRequest { start: Some(start), ..values(1, vec![item()]) };
    let large = || tokenize_item("blob", vec![7; 65_000]);
    let bad = |change: fn(&mut v1::StreamStart)| {
        let mut start = loading();
        change(&mut start);
        vec![started(start)]
    };
    let after = |message| vec![started(loading()), message];
    let invalid = (Code::InvalidArgument, "FIELD_INVALID");
    let cases = [
        ("no start", vec![values(1, vec![item()])], vec![], invalid),
        ("two starts", after(started(loading())), vec![1], invalid),
        ("the same number", after(values(1, vec![item()])), vec![1], invalid),
        ("a lower number", after(values(0, vec![item()])), vec![1], invalid),
        ("no item", after(values(2, vec![])), vec![1], (Code::InvalidArgument, "BATCH_EMPTY")),
        ("1001 items", after(values(2, vec![item(); 1001])), vec![1], (Code::InvalidArgument, "BATCH_TOO_LARGE")),
        (
            "more than 1 MiB",
            after(values(2, vec![large(); 17])),
            vec![1],
            (Code::ResourceExhausted, "REQUEST_TOO_LARGE"),
        ),
        ("a bad region", bad(|start| "EU".clone_into(&mut start.region)), vec![], invalid),
        ("a bad key", bad(|start| start.idempotency_key = "k".repeat(129)), vec![], invalid),
        (
            "an unknown region",
            bad(|start| "moon".clone_into(&mut start.region)),
            vec![],
            (Code::InvalidArgument, "REGION_UNKNOWN"),
        ),
        (
            "a region elsewhere",
            bad(|start| "apac".clone_into(&mut start.region)),
            vec![],
            (Code::FailedPrecondition, "WRONG_REGION"),
        ),
        (
            "an unknown purpose",
            bad(|start| "fun".clone_into(&mut start.purpose)),
            vec![],
            (Code::InvalidArgument, "PURPOSE_UNKNOWN"),
        ),
    ];
    for (what, messages, expected, (code, reason)) in cases {
        let (answered, refused) = end_of(&vault, messages).await;
        assert_eq!(answered, expected, "{what}");
        refused.unwrap_or_else(|| panic!("{what} was taken")).is(code, reason);
    }
    // Who half-closes at once has asked for nothing.
    assert_eq!(end_of(&vault, vec![]).await.1.map(|refusal| refusal.reason), None);
    // Messages that fit one commit each, but not together, go by themselves.
    let classes = |n: u64| {
        let items = (0..20).map(|at| tokenize_item(&format!("class{}", n * 20 + at), "x")).collect();
        v1::TokenizeStreamRequest { start: (n == 0).then(loading), ..values(n, items) }
    };
    let (answered, refused) = end_of(&vault, (0..6).map(classes).collect()).await;
    assert_eq!((answered, refused.map(|refusal| refusal.reason)), ((0..6).collect(), None));
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_shows_what_a_call_would_and_no_more() {
    let vault = vault().await;
    let card_token = vault.give("card_number", [card(1)]).await.remove(0);
    let mut stream = vault.caller(Role::Support).await.detokenize_stream(None).await.unwrap();
    let start = v1::StreamStart { purpose: "support_case".to_owned(), audience: "support".to_owned(), ..settling() };
    let mail = vault.give("email", [email(1)]).await.remove(0);
    let items = vec![detokenize_item("card_number", &card_token), detokenize_item("email", &mail)];
    assert!(stream.send(v1::DetokenizeStreamRequest { start: Some(start), ..tokens(1, items) }).await);
    let (_, answer) = timeout(LONG, stream.answer()).await.unwrap().unwrap().unwrap();
    answer.results[0].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    answer.results[1].as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("email", [mail])).await.unwrap();
    assert_eq!(revealed.values(), [email(1).into_bytes()]);
    vault.finish().await;
}
