//! Calls that come too late, or whose caller is gone before the answer.

use std::{
    collections::VecDeque,
    iter,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status, body::Body};
use vault_domain::limits;
use vault_proto::v1;
use vault_tests::{
    connection::{WholeBody, frame},
    refusal::Refusal,
    requests::{card, detokenize, email, query, scattered, tokenize},
    roles::Role,
    vault::TestVault,
};

use super::{Refusals, assert_refused, assert_turned_away};
use crate::vault;

const LATE: (Code, &str) = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");

/// Sends a message with a deadline and nothing on this side that keeps it.
async fn send(vault: &TestVault, role: Role, path: &str, timeout: &str, body: Body) -> Result<(), Refusal> {
    let caller = vault.caller(role).await;
    let request = caller.connection().request(path).header("grpc-timeout", timeout).body(body).unwrap();
    let reply = caller.connection().send(request).await.expect("an answer");
    match reply.status() {
        status if status.code() == Code::Ok => Ok(()),
        status => Err(caller.refusal(&status)),
    }
}

fn whole(message: &impl Message) -> Body {
    Body::new(WholeBody(Some(frame(0, &message.encode_to_vec()))))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_deadline_has_passed_does_nothing_and_is_in_the_log() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    for timeout in ["1n", "0n", "0m"] {
        let give = whole(&tokenize("customer_id", ["123456789012"]));
        let call = send(&vault, Role::Loader, "/tokenvault.v1.TokenService/Tokenize", timeout, give);
        assert_refused(&vault, call, LATE).await;
        let reveal = whole(&detokenize("email", [&token]));
        let call = send(&vault, Role::Payments, "/tokenvault.v1.TokenService/Detokenize", timeout, reveal);
        assert_refused(&vault, call, LATE).await;
        let ask = whole(&query("eu"));
        let call = send(&vault, Role::Auditor, "/tokenvault.v1.AuditService/QueryAccessLog", timeout, ask);
        assert_refused(&vault, call, LATE).await;
    }
    let given = vault.caller(Role::Loader).await.tokenize(tokenize("customer_id", ["123456789012"])).await.unwrap();
    assert!(given.results[0].as_ref().unwrap().created, "the late calls have stored nothing");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_can_be_met_or_not_read_does_no_harm() {
    let vault = vault().await;
    for timeout in ["10S", "99999999H", "5000m", "soon", "", "1234567890S", "-1S"] {
        let give = whole(&tokenize("email", [email(1)]));
        send(&vault, Role::Loader, "/tokenvault.v1.TokenService/Tokenize", timeout, give).await.unwrap();
    }
    vault.finish().await;
}

/// A message that comes in pieces as it is read, and never to its end.
struct Unfinished {
    pieces: VecDeque<Bytes>,
    /// How many bytes of it, and of others, went out.
    sent: Arc<AtomicUsize>,
}

impl Unfinished {
    fn after(piece: Bytes) -> Self {
        Self { pieces: [piece].into(), sent: Arc::default() }
    }
}

impl http_body::Body for Unfinished {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let Some(piece) = self.pieces.pop_front() else { return Poll::Pending };
        self.sent.fetch_add(piece.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_comes_to_its_end_is_given_up() {
    let mut vault = vault().await;
    let message = frame(0, &tokenize("email", [email(1)]).encode_to_vec());
    vault.secrets().plant(email(1).as_bytes());
    let half = Body::new(Unfinished::after(message.slice(..message.len() / 2)));
    let call = send(&vault, Role::Loader, "/tokenvault.v1.TokenService/Tokenize", "100m", half);
    assert_turned_away(&vault, call, LATE).await;
    vault.stop().await;
    let mut refusals = Refusals::default();
    refusals.expect("call", "DEADLINE_EXCEEDED");
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_no_request_can_neither_fill_the_memory_nor_keep_others_from_being_served() {
    const MIB: usize = 1 << 20;
    const CALLS: usize = 128;
    const PIECE: Bytes = Bytes::from_static(&[0x0A; 64 * 1024]);
    let vault = vault().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let connection = vault.try_connect(Role::Loader).await.unwrap();
        for _ in 0..CALLS / 4 {
            // The frame's head promises 7 MiB; what follows is no message, but nobody gets to see that.
            let head = Bytes::from_static(&[0, 0, 0x70, 0, 0]);
            let pieces = iter::once(head).chain(iter::repeat_n(PIECE, 7 * MIB / PIECE.len() - 1)).collect();
            let body = Body::new(Unfinished { pieces, sent: sent.clone() });
            let path = "/tokenvault.v1.TokenService/Tokenize";
            let request = connection.request(path).header("grpc-timeout", "4S").body(body).unwrap();
            let connection = connection.clone();
            calls.spawn(async move { connection.send(request).await.unwrap().status().code() });
        }
    }
    // Until nothing moves any more, well before the first of them is cut off.
    let mut before = usize::MAX;
    while before != sent.load(Ordering::Relaxed) {
        before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    // What lies unread on either side comes on top.
    let on_its_way = CALLS * 2 * MIB;
    assert!(before > limits::INTAKE_BYTES_MAX, "{before} bytes went out");
    assert!(before < limits::INTAKE_BYTES_MAX + on_its_way, "{before} bytes went out");
    vault.still_serves().await;
    while let Some(code) = calls.join_next().await {
        assert_eq!(code.unwrap(), Code::DeadlineExceeded);
    }
    // Their room is free again.
    let values: Vec<Vec<u8>> = (0..100).map(|n| vec![n; 64 * 1024]).collect();
    let given = vault.caller(Role::Loader).await.tokenize(tokenize("blob", values)).await.unwrap();
    assert_eq!(given.tokens().len(), 100);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_disappear_leave_whole_entries_or_none_and_a_vault_that_serves() {
    let mut vault = vault().await;
    vault.give("card_number", (0..1000).map(card)).await;
    let mark = vault.mark("eu").await;
    let mut attempts = 0;
    for round in 0..40_u64 {
        let caller = vault.caller_on(Role::Loader, vault.try_connect(Role::Loader).await.unwrap());
        let request = tokenize("card_number", (0..500).map(|n| card(10_000 * round + n)));
        let call = tokio::spawn(async move { caller.tokenize(request).await });
        tokio::time::sleep(Duration::from_micros(scattered(round) % 20_000)).await;
        // With the call goes the only handle on its connection.
        call.abort();
        drop(call.await);
        attempts += 1;
        if round % 10 == 9 {
            vault.still_serves().await;
        }
    }
    let grown = vault.mark("eu").await.size() - mark.size();
    assert!(grown <= attempts + 8, "at most one entry for each attempt and for what came between");
    vault.stop().await;
    for entry in vault.stored_log("eu").decoded() {
        let count: u32 = entry.groups.iter().map(|group| group.items).sum();
        assert!([0, 1, 500, 1000].contains(&count), "an entry tells of all items of its call: {count}");
    }
    vault.start_again().await;
    vault.still_serves().await;
    let cards: Vec<String> = (0..1000).map(card).collect();
    let given = vault.caller(Role::Loader).await.tokenize(tokenize("card_number", cards)).await.unwrap();
    assert!(given.results.iter().all(|result| !result.as_ref().unwrap().created), "nothing is lost");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_in_a_message_harms_nobody() {
    let vault = vault().await;
    let other = vault.caller(Role::Payments).await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    for round in 0..10 {
        let connection = vault.try_connect(Role::Loader).await.unwrap();
        let message = frame(0, &tokenize("email", (0..1000).map(email)).encode_to_vec());
        let part = message.slice(..message.len() * round / 10);
        let request =
            connection.request("/tokenvault.v1.TokenService/Tokenize").body(Body::new(Unfinished::after(part)));
        let call = tokio::spawn({
            let connection = connection.clone();
            async move { connection.send(request.unwrap()).await.map(|reply| reply.http_status) }
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        call.abort();
        drop((call.await, connection));
        let revealed = other.detokenize(detokenize("email", [&token])).await.unwrap();
        assert_eq!(revealed.values(), [email(1).into_bytes()]);
    }
    let answer: v1::QueryAccessLogResponse = vault.caller(Role::Auditor).await.query(query("eu")).await.unwrap();
    assert_eq!(answer.entries.iter().filter(|entry| entry.action == "tokenize").count(), 1);
    vault.finish().await;
}
