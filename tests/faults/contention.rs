//! Clients that want the same thing at the same moment: all of them are answered, and alike.

use std::sync::Arc;

use tokio::{sync::Barrier, task::JoinSet};
use vault_proto::v1;
use vault_tests::requests;

use crate::{
    books::Books,
    load::{Client, fresh_value},
    site::{Settings, Site},
};

/// Clients at once.
const CLIENTS: usize = 24;
/// Times that they all want the same.
const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_race_for_the_same_values_and_the_same_request_all_get_the_same_tokens() {
    let site = Site::new(Settings::default());
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let named = |round| {
        let items = (0..100).map(|_| requests::tokenize_item("customer_id", fresh_value("customer_id"))).collect();
        let key = if round % 2 == 0 { String::new() } else { format!("round-{round}") };
        v1::TokenizeRequest { items, idempotency_key: key, ..requests::tokenize("email", [""; 0]) }
    };
    let requests: Arc<Vec<v1::TokenizeRequest>> = Arc::new((0..ROUNDS).map(named).collect());
    let start = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = Client::connect(&site, vault.address()).await.unwrap();
        let (books, requests, start) = (books.clone(), requests.clone(), start.clone());
        clients.spawn(async move {
            let mut tokens = Vec::new();
            for request in requests.iter() {
                start.wait().await;
                tokens.push(client.tokenize(&books, request.clone()).await.map_err(|refusal| refusal.reason));
            }
            tokens
        });
    }
    let answers = clients.join_all().await;
    let refused: Vec<_> = answers.iter().flatten().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(refused.is_empty(), "{} of {} calls refused: {refused:?}", refused.len(), CLIENTS * ROUNDS);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    vault.stop();
}
