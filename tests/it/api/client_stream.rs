//! The client's streams over a connection that breaks: what was not answered is sent again, and nothing is made twice.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use vault_client::{CallContext, Client, ClientConfig, Endpoint, HeldToken, Idempotency, NewValue};
use vault_domain::{
    Audience, DataClass, IdempotencyKey, LevelAsked, Plaintext, Purpose, Region, SystemClock, SystemEntropy, TokenText,
};
use vault_tests::{
    requests::{card, email},
    roles::Role,
    vault::TestVault,
    wire::Wire,
};
use zeroize::Zeroizing;

use crate::vault;

/// What a client of this role is made of that goes to this address.
pub(crate) fn config(vault: &TestVault, role: Role, address: SocketAddr) -> ClientConfig {
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", address.port())).unwrap();
    let identity = vault.identity(role);
    let (certificate, key) = (identity.certificate_pem(), Zeroizing::new(identity.key_pem().into_bytes()));
    let authority = vault.authority().certificate_pem();
    ClientConfig::new(endpoint, authority.as_bytes(), certificate.as_bytes(), &key).unwrap()
}

pub(crate) async fn connect(config: ClientConfig) -> Client {
    Client::connect(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await.unwrap()
}

async fn client(vault: &TestVault, role: Role, address: SocketAddr) -> Client {
    connect(config(vault, role, address)).await
}

pub(super) fn context(purpose: &str, idempotency: Idempotency) -> CallContext {
    CallContext {
        region: Region::parse("eu").unwrap(),
        audience: Audience::parse("payments").unwrap(),
        purpose: Some(Purpose::parse(purpose).unwrap()),
        reference: None,
        idempotency,
    }
}

pub(super) fn values(class: &str, values: impl Iterator<Item = String>) -> Vec<NewValue> {
    let class = DataClass::parse(class).unwrap();
    let value = |value: String| NewValue::new(class.clone(), Plaintext::new(value.into_bytes()));
    values.map(value).collect()
}

pub(super) fn held(token: &TokenText) -> HeldToken {
    HeldToken { class: DataClass::parse("email").unwrap(), token: TokenText::new(token.expose().to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_cut_again_and_again_ends_as_one_that_was_not() {
    let mut vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let loader = client(&vault, Role::Loader, wire.address()).await;
    let stream = loader.tokenize_stream(&context("bulk_load", Idempotency::Automatic)).unwrap();
    let mut tokens = Vec::new();
    for round in 0..8 {
        let batches: Vec<_> = (0..10)
            .map(|at| {
                stream.tokenize(round * 10 + at, values("email", (0..10).map(|n| email((round * 10 + at) * 10 + n))))
            })
            .collect();
        // In the middle of them, and sometimes twice.
        for _ in 0..round % 3 {
            tokio::time::sleep(Duration::from_millis(round)).await;
            wire.cut();
        }
        for batch in batches {
            let answer = batch.await.unwrap();
            tokens.extend(answer.results.into_iter().map(|result| result.unwrap().token));
        }
    }
    drop(stream);
    assert_eq!(tokens.len(), 800);
    let payments = client(&vault, Role::Payments, wire.address()).await;
    let stream = payments.detokenize_stream(&context("settlement", Idempotency::Automatic), LevelAsked::FULL).unwrap();
    let batches: Vec<_> =
        (0..).zip(tokens.chunks(100)).map(|(n, run)| stream.detokenize(n, run.iter().map(held).collect())).collect();
    wire.cut();
    let mut revealed = Vec::new();
    for batch in batches {
        let answer = batch.await.unwrap();
        revealed.extend(answer.results.into_iter().map(|result| result.unwrap().value.into_exposed()));
    }
    assert_eq!(revealed, (0..800).map(|n| email(n).into_bytes()).collect::<Vec<_>>());
    drop((stream, loader, payments));
    vault.stop().await;
    assert_eq!(vault.stored_rows("eu").len(), 800, "each value has one record");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_one_number_on_every_stream_of_the_same_key() {
    let vault = vault().await;
    let loader = client(&vault, Role::Loader, vault.address()).await;
    let named = context("bulk_load", Idempotency::Key(IdempotencyKey::parse("job-7").unwrap()));
    let cards = || values("email", (0..1500).map(email));
    let give = async |number| {
        let stream = loader.tokenize_stream(&named).unwrap();
        let answer = stream.tokenize(number, cards()).await.unwrap();
        assert_eq!(answer.calls.len(), 2, "more than a message holds");
        let token = |result: Result<vault_client::IssuedToken, _>| result.unwrap().token.expose().to_owned();
        answer.results.into_iter().map(token).collect::<Vec<_>>()
    };
    let first = give(5).await;
    assert_eq!(give(5).await, first);
    assert_ne!(give(6).await, first);
    let stream = loader.tokenize_stream(&named).unwrap();
    assert!(stream.tokenize(5, cards()).await.is_ok());
    let other = stream.tokenize(5, values("email", [card(1)].into_iter())).await;
    assert!(other.unwrap_err().to_string().contains("higher number"));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_as_a_whole_is_told_to_every_batch_and_the_stream_goes_on() {
    let vault = vault().await;
    let loader = client(&vault, Role::Loader, vault.address()).await;
    let stream = loader.tokenize_stream(&context("no_such_purpose", Idempotency::Automatic)).unwrap();
    for number in 0..3 {
        let refused = stream.tokenize(number, values("email", [email(number)].into_iter())).await.unwrap_err();
        assert_eq!(refused.reason(), Some(vault_domain::Reason::PurposeUnknown));
    }
    vault.finish().await;
}
