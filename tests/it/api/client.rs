//! The client library: regions that are served elsewhere, and a vault that is away.

use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

use vault_client::{
    CallContext, Client, ClientConfig, ClientError, Endpoint, FAILURES_MAX, FoundToken, HeldToken, Idempotency,
    IssuedToken, KnownValue, NewLife, NewValue,
};
use vault_domain::{DataClass, LevelAsked, Plaintext, Reason, Region, SystemClock, TokenText};
use vault_tests::{
    requests::{customer, email},
    roles::Role,
    vault::TestVault,
    wire::Wire,
};

use super::client_stream::{config, connect, context, held, values};
use crate::{DISK, vault};

fn region(name: &str) -> Region {
    Region::parse(name).unwrap()
}

fn for_region(name: &str, purpose: &str) -> CallContext {
    CallContext { region: region(name), ..context(purpose, Idempotency::Automatic) }
}

fn endpoint(vault: &TestVault) -> Endpoint {
    Endpoint::parse(&format!("https://localhost:{}", vault.address().port())).unwrap()
}

const APAC: &str = "https://vault-apac.example.com:8443";

/// A vault of `eu`, and one of `us` to which the first sends on, for `apac` too, which is not there.
async fn two_vaults() -> (TestVault, TestVault) {
    let prepare = || TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    let (mut eu, mut us) = (prepare(), prepare());
    us.join(&eu);
    us.edit("vault.toml", r#"["eu", "us"]"#, r#"["us"]"#);
    eu.edit("vault.toml", r#"["eu", "us"]"#, r#"["eu"]"#);
    us.start_again().await;
    let there = endpoint(&us).to_string();
    eu.edit("catalog.toml", "[regions.us]", &format!("[regions.us]\nendpoint = \"{there}\""));
    eu.edit("catalog.toml", APAC, &there);
    eu.start_again().await;
    (eu, us)
}

async fn give(client: &Client, region: &str, n: u64) -> Result<IssuedToken, ClientError> {
    let values = values("email", std::iter::once(email(n)));
    let answer = client.tokenize(&for_region(region, "bulk_load"), values).await?;
    answer.results.into_iter().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_another_region_follows_to_an_allowed_endpoint_and_to_no_other() {
    let (eu, us) = two_vaults().await;
    let loader = || config(&eu, Role::Loader, eu.address());
    let mark = us.mark("us").await;
    let elsewhere = Endpoint::parse("https://vault-us.example.org:8443").unwrap();
    for stays in [loader(), loader().following(elsewhere).unwrap()] {
        let refused = give(&connect(stays).await, "us", 1).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::WrongRegion), "{refused}");
    }
    us.entries_since(&mark, 0).await;
    let next = Endpoint::parse(APAC).unwrap();
    let follows = connect(loader().following(endpoint(&us)).unwrap().following(next).unwrap()).await;
    for n in 0..3 {
        let issued = give(&follows, "us", n).await.unwrap();
        assert!(issued.token.expose().starts_with("tok_us_"));
    }
    assert!(give(&follows, "eu", 1).await.unwrap().token.expose().starts_with("tok_eu_"), "the other stays");
    us.entries_since(&mark, 3).await;
    // It is sent on, and from there on again: one step is gone, and where that ends is the answer.
    for _ in 0..2 {
        let refused = give(&follows, "apac", 1).await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::WrongRegion), "{refused}");
    }
    eu.finish().await;
    us.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_for_another_region_follows_too() {
    let (eu, us) = two_vaults().await;
    let client = async |role| connect(config(&eu, role, eu.address()).following(endpoint(&us)).unwrap()).await;
    let loader = client(Role::Loader).await;
    let stream = loader.tokenize_stream(&for_region("us", "bulk_load")).unwrap();
    let answer = stream.tokenize(0, values("email", (0..10).map(email))).await.unwrap();
    let tokens: Vec<_> = answer.results.into_iter().map(|result| result.unwrap().token).collect();
    assert!(tokens.iter().all(|token| token.expose().starts_with("tok_us_")));
    let payments = client(Role::Payments).await;
    let stream = payments.detokenize_stream(&for_region("us", "settlement"), LevelAsked::FULL).unwrap();
    let answer = stream.detokenize(0, tokens.iter().map(held).collect()).await.unwrap();
    let revealed: Vec<_> = answer.results.into_iter().map(|result| result.unwrap().value.into_exposed()).collect();
    assert_eq!(revealed, (0..10).map(|n| email(n).into_bytes()).collect::<Vec<_>>());
    eu.finish().await;
    us.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_with_an_endpoint_of_its_own_has_a_connection_of_its_own() {
    let (mut eu, us) = two_vaults().await;
    let config = config(&eu, Role::Loader, eu.address()).with_region(region("us"), endpoint(&us)).unwrap();
    let client = connect(config.with_attempts_max(1)).await;
    assert!(give(&client, "eu", 1).await.unwrap().token.expose().starts_with("tok_eu_"));
    let node = eu.checkpoint("node").await.head.size;
    assert!(give(&client, "us", 1).await.unwrap().token.expose().starts_with("tok_us_"));
    assert_eq!(eu.checkpoint("node").await.head.size, node, "nobody was asked the way");
    eu.stop().await;
    assert!(give(&client, "eu", 2).await.is_err());
    assert!(give(&client, "us", 2).await.is_ok(), "the one is away, and the other is not");
    eu.finish().await;
    us.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_answers_nothing_is_sent_for_a_while_and_then_it_goes_on() {
    let vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let once = |config: ClientConfig| config.with_attempts_max(1);
    let client = connect(once(config(&vault, Role::Loader, wire.address()))).await;
    give(&client, "eu", 0).await.unwrap();
    wire.down();
    for _ in 0..FAILURES_MAX {
        let failed = give(&client, "eu", 1).await.unwrap_err();
        assert!(matches!(failed, ClientError::Transport { .. }), "{failed}");
    }
    let before = wire.came();
    for _ in 0..100 {
        let refused = give(&client, "eu", 1).await.unwrap_err();
        assert!(matches!(&refused, ClientError::Away { after, .. } if *after <= Duration::from_secs(1)), "{refused}");
    }
    assert_eq!(wire.came(), before, "nothing was sent");
    wire.up();
    // Whoever has attempts left waits as long as it takes; here it is the test.
    let mut waited = 0;
    while let Err(error) = give(&client, "eu", 2).await {
        assert!(matches!(error, ClientError::Away { .. } | ClientError::Transport { .. }), "{error}");
        waited += 1;
        assert!(waited < 200, "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    give(&client, "eu", 3).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_outlasts_a_vault_that_is_away_for_a_moment() {
    let vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let client = connect(config(&vault, Role::Loader, wire.address()).with_attempts_max(10)).await;
    wire.down();
    let calls: Vec<_> = (0..8)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { give(&client, "eu", n).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(700)).await;
    wire.up();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    vault.finish().await;
}

/// A token for one use, and a client behind a wire, which is connected.
async fn once(vault: &TestVault, wire: &Wire) -> (TokenText, Client) {
    let loader = connect(config(vault, Role::Loader, vault.address())).await;
    let life = NewLife { max_uses: NonZeroU32::new(1), ..NewLife::default() };
    let values = values("email", std::iter::once(email(7))).into_iter();
    let values = values.map(|value| NewValue { life, ..value }).collect();
    let answer = loader.tokenize(&for_region("eu", "bulk_load"), values).await.unwrap();
    let token = answer.results.into_iter().next().unwrap().unwrap().token;
    let payments = connect(config(vault, Role::Payments, wire.address())).await;
    payments.describe(&for_region("eu", "settlement"), vec![held(&token)]).await.unwrap();
    (token, payments)
}

/// Cuts the wire as soon as the vault has committed what it was asked.
async fn cut_when_committed(vault: &TestVault, wire: &Wire, size: u64) {
    while vault.checkpoint("eu").await.head.size.0 == size {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    wire.cut();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_use_whose_answer_is_lost_is_shown_by_the_repeat() {
    let vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let (token, payments) = once(&vault, &wire).await;
    let settlement = for_region("eu", "settlement");
    wire.lose_answers();
    let size = vault.checkpoint("eu").await.head.size.0;
    let reveal = payments.detokenize(&settlement, vec![held(&token)]);
    let (answer, ()) = tokio::join!(reveal, cut_when_committed(&vault, &wire, size));
    let mut answer = answer.unwrap();
    assert!(answer.calls.iter().any(|call| call.attempts > 1), "the first answer was lost");
    assert_eq!(answer.results.remove(0).unwrap().into_exposed(), email(7).into_bytes());
    let mut spent = payments.detokenize(&settlement, vec![held(&token)]).await.unwrap();
    assert_eq!(spent.results.remove(0).unwrap_err().reason(), Some(Reason::TokenNotFound));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_use_whose_answer_is_lost_on_a_stream_is_shown_by_the_repeat() {
    let vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let (token, payments) = once(&vault, &wire).await;
    let stream = payments.detokenize_stream(&for_region("eu", "settlement"), LevelAsked::FULL).unwrap();
    let nobodys = HeldToken { token: TokenText::new("tok_eu_none".to_owned()), ..held(&token) };
    assert!(stream.detokenize(0, vec![nobodys]).await.unwrap().results.remove(0).is_err(), "it is open");
    wire.lose_answers();
    let size = vault.checkpoint("eu").await.head.size.0;
    let reveal = stream.detokenize(1, vec![held(&token)]);
    let (answer, ()) = tokio::join!(reveal, cut_when_committed(&vault, &wire, size));
    let mut answer = answer.unwrap();
    assert_eq!(answer.results.remove(0).unwrap().value.into_exposed(), email(7).into_bytes());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_that_nothing_names_is_not_repeated() {
    let vault = vault().await;
    let wire = Wire::to(vault.address()).await;
    let (token, payments) = once(&vault, &wire).await;
    let unnamed = CallContext { idempotency: Idempotency::Off, ..for_region("eu", "settlement") };
    wire.lose_answers();
    let size = vault.checkpoint("eu").await.head.size.0;
    let reveal = payments.detokenize(&unnamed, vec![held(&token)]);
    let (answer, ()) = tokio::join!(reveal, cut_when_committed(&vault, &wire, size));
    let lost = answer.unwrap_err();
    assert!(matches!(lost, ClientError::Transport { .. }), "{lost}");
    assert_eq!(vault.checkpoint("eu").await.head.size.0, size + 1, "it was asked once");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_found_in_batches_of_any_size_and_what_is_over_budget_says_when_to_come_back() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    vault.add_to_catalog("[budgets.trials]\nactions = ['find']\nper_hour = 1502\n");
    vault.start_again().await;
    let class = DataClass::parse("customer_id").unwrap();
    let known = |n: u64| KnownValue { class: class.clone(), value: Plaintext::new(customer(n).into()), subject: None };
    let given = vault.give("customer_id", (0..3).map(customer)).await;
    let payments = connect(config(&vault, Role::Payments, vault.address())).await;
    let settlement = context("settlement", Idempotency::Automatic);
    let answer = payments.find(&settlement, (0..1500).map(known).collect()).await.unwrap();
    assert_eq!((answer.results.len(), answer.calls.len()), (1500, 2));
    for (result, token) in answer.results.iter().zip(&given) {
        let FoundToken { token: found, expires } = result.as_ref().unwrap();
        assert_eq!((found.expose(), *expires), (token.as_str(), None));
    }
    assert!(
        answer.results[3..]
            .iter()
            .all(|result| { result.as_ref().is_err_and(|refused| refused.reason() == Some(Reason::ValueNotFound)) })
    );
    let over = payments.find(&settlement, (0..3).map(known).collect()).await.unwrap().results;
    assert!(over[..2].iter().all(Result::is_ok));
    let refused = over[2].as_ref().unwrap_err().refusal().unwrap();
    assert_eq!(refused.reason, Some(Reason::BudgetSpent));
    let wait = refused.retry_after.unwrap();
    assert!(wait > Duration::from_secs(3590) && wait <= Duration::from_secs(63 * 60), "{wait:?}");
    vault.finish().await;
}
