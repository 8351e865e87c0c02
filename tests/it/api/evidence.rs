//! Every attempt has its entry: one, and not two.

use vault_proto::v1;
use vault_tests::{
    requests::{card, detokenize, email, query, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_has_exactly_one_entry_whatever_becomes_of_it() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let (auditor, idle) = (vault.caller(Role::Auditor).await, vault.caller(Role::Idle).await);
    let mark = vault.mark("eu").await;
    let mut expected: Vec<(&str, &str, &str)> = Vec::new();

    assert!(loader.tokenize(tokenize("card_number", [card(1)])).await.is_ok());
    expected.push(("tokenize", "allowed", ""));
    assert!(loader.tokenize(tokenize("card_number", [card(1)])).await.is_ok());
    expected.push(("tokenize", "allowed", ""));
    assert!(loader.tokenize(tokenize("card_number", ["not a card"])).await.is_ok());
    expected.push(("tokenize", "failed", ""));
    assert!(loader.tokenize(tokenize("card_number", [""; 0])).await.is_err());
    expected.push(("tokenize", "failed", "BATCH_EMPTY"));
    assert!(idle.tokenize(tokenize("card_number", [card(1)])).await.is_ok());
    expected.push(("tokenize", "denied", ""));
    assert!(payments.detokenize(detokenize("email", [&token])).await.is_ok());
    expected.push(("detokenize", "allowed", ""));
    assert!(payments.detokenize(detokenize("email", ["tok_eu_nonsense"])).await.is_ok());
    expected.push(("detokenize", "failed", ""));
    assert!(payments.detokenize(detokenize("customer_id", [&token])).await.is_ok());
    expected.push(("detokenize", "denied", ""));
    assert!(idle.detokenize(detokenize("email", [&token])).await.is_ok());
    expected.push(("detokenize", "denied", ""));
    let unregistered = v1::DetokenizeRequest { purpose: "curiosity".to_owned(), ..detokenize("email", [&token]) };
    assert!(payments.detokenize(unregistered).await.is_err());
    expected.push(("detokenize", "failed", "PURPOSE_UNKNOWN"));
    assert!(auditor.query(query("eu")).await.is_ok());
    expected.push(("query_access_log", "allowed", ""));
    assert!(idle.query(query("eu")).await.is_err());
    expected.push(("query_access_log", "denied", "ACCESS_DENIED"));
    let junk = v1::QueryAccessLogRequest { page_token: "junk".to_owned(), ..query("eu") };
    assert!(auditor.query(junk).await.is_err());
    expected.push(("query_access_log", "failed", "PAGE_TOKEN_INVALID"));

    let entries = vault.entries_since(&mark, expected.len() as u64).await;
    let found: Vec<_> =
        entries.iter().map(|entry| (entry.action.as_str(), entry.decision.as_str(), entry.reason.as_str())).collect();
    assert_eq!(found, expected);
    let mut ids: Vec<_> = entries.iter().map(|entry| entry.request_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), expected.len(), "each call has an id of its own");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_at_once_have_their_entries_too() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let mark = vault.mark("eu").await;
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let loader = loader.clone();
            tokio::spawn(async move { loader.tokenize(tokenize("email", [email(n)])).await.unwrap() })
        })
        .collect();
    let mut receipts = Vec::new();
    for call in calls {
        receipts.push(call.await.unwrap().receipt);
    }
    receipts.sort_unstable_by_key(|receipt| receipt.index);
    let entries = vault.entries_since(&mark, 200).await;
    assert!(entries.into_iter().map(|entry| entry.receipt.unwrap()).eq(receipts));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_names_the_trace_that_its_call_belongs_to() {
    let mut vault = vault().await;
    let mut request = tonic::Request::new(tokenize("email", [email(1)]));
    let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
    request.metadata_mut().insert("traceparent", header);
    let given = vault.caller(Role::Loader).await.tokenize(request).await.unwrap();
    vault.stop().await;
    let entry = vault.stored_log("eu").decoded().remove(usize::try_from(given.receipt.index).unwrap());
    let trace = entry.head.trace_id.unwrap().get();
    assert_eq!(u128::from_be_bytes(trace), 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_names_the_request_that_the_log_knows_it_by() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let connection = vault.try_connect(Role::Loader).await.unwrap();
    let message = prost::Message::encode_to_vec(&tokenize("email", [email(1)]));
    let reply = connection.post("/tokenvault.v1.TokenService/Tokenize", &message).await.unwrap();
    assert_eq!(reply.status().code(), tonic::Code::Ok);
    let id = reply.headers["tokenvault-request-id"].to_str().unwrap().to_owned();
    assert_eq!(vault.entry_since(&mark).await.request_id, id);
    vault.finish().await;
}
