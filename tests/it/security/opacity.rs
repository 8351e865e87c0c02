//! NOT_FOUND is all that a caller learns of a token that is not there for it.

use std::{collections::BTreeMap, time::Duration};

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{card, customer, detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::vault_and_clock;

/// Presents tokens of one class one by one; gives the bytes of each answer, and what the log says of it.
async fn present(vault: &TestVault, class: &str, tokens: &[String]) -> Vec<(Vec<u8>, String)> {
    let payments = vault.caller(Role::Payments).await;
    let mut answers = Vec::new();
    for token in tokens {
        let mark = vault.mark("eu").await;
        let refusal = payments.detokenize(detokenize(class, [token])).await.unwrap().refusal();
        refusal.is(Code::NotFound, "TOKEN_NOT_FOUND");
        assert_eq!(refusal.metadata, BTreeMap::new());
        assert_eq!(refusal.fields, []);
        answers.push((refusal.bytes, vault.entry_since(&mark).await.items.remove(0).outcome));
    }
    answers
}

/// The tokens of one value of a class for another tenant and another audience.
async fn of_others(vault: &TestVault, class: &str, value: &str) -> [String; 2] {
    let globex = vault.caller(Role::GlobexLoader).await;
    let tenant = globex.tokenize(tokenize(class, [value])).await.unwrap().tokens().remove(0);
    let request = v1::TokenizeRequest { audience: "analytics".to_owned(), ..tokenize(class, [value]) };
    let audience = vault.caller(Role::Loader).await.tokenize(request).await.unwrap().tokens().remove(0);
    [tenant, audience]
}

fn assert_alike(answers: &[(Vec<u8>, String)], outcomes: &[&str]) {
    let found: Vec<&str> = answers.iter().map(|(_, outcome)| outcome.as_str()).collect();
    assert_eq!(found, outcomes, "the log tells them apart");
    assert!(answers.windows(2).all(|pair| pair[0].0 == pair[1].0), "the answers are the same, byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_opaque_tokens_that_are_not_there_get_one_and_the_same_answer() {
    let (vault, clock) = vault_and_clock().await;
    let [tenant, audience] = of_others(&vault, "customer_id", &customer(1)).await;
    let own = vault.give("customer_id", [customer(1)]).await.remove(0);
    let mut check = own.clone();
    let last = check.pop().unwrap();
    check.push(if last == 'a' { 'b' } else { 'a' });
    let tokens = [
        vault.give("email", [email(1)]).await.remove(0),
        tenant,
        audience,
        check,
        format!("tok_eu_0{}", "0123456789ABCDEFGHIJKLMNOPQR"),
        own.replacen("tok_eu_0", "tok_eu_1", 1),
        own.replacen("tok_eu", "tok_mars", 1),
        own[..own.len() - 1].to_owned(),
        "no token at all".to_owned(),
        String::new(),
    ];
    let outcomes = [
        "TOKEN_OF_ANOTHER_CLASS",
        "TOKEN_OF_ANOTHER_TENANT",
        "TOKEN_OF_ANOTHER_AUDIENCE",
        "TOKEN_CHECK_FAILED",
        "TOKEN_UNKNOWN",
        "TOKEN_UNKNOWN",
        "TOKEN_MALFORMED",
        "TOKEN_MALFORMED",
        "TOKEN_MALFORMED",
        "TOKEN_MALFORMED",
    ];
    let mut answers = present(&vault, "customer_id", &tokens).await;
    let session = vault.give("session", ["the session of a user"]).await;
    clock.advance(Duration::from_secs(60));
    answers.extend(present(&vault, "session", &session).await);
    assert_alike(&answers, &[outcomes.as_slice(), &["TOKEN_EXPIRED"]].concat());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_format_preserving_tokens_that_are_not_there_get_one_and_the_same_answer() {
    let (vault, clock) = vault_and_clock().await;
    let [tenant, audience] = of_others(&vault, "card_number", &card(1)).await;
    let own = vault.give("card_number", [card(1)]).await.remove(0);
    let tokens = [tenant, audience, card(1), own[1..].to_owned(), "no token".to_owned(), String::new()];
    let mut answers = present(&vault, "card_number", &tokens).await;
    let voucher = vault.give("voucher", ["9081726354"]).await;
    clock.advance(Duration::from_secs(60));
    answers.extend(present(&vault, "voucher", &voucher).await);
    assert_eq!(answers.last().unwrap().1, "TOKEN_EXPIRED");
    assert_eq!(answers[1].1, "TOKEN_OF_ANOTHER_AUDIENCE");
    assert!(answers.windows(2).all(|pair| pair[0].0 == pair[1].0), "the answers are the same, byte for byte");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_use_a_class_learns_nothing_about_any_token_of_it() {
    let (vault, _) = vault_and_clock().await;
    let real = vault.give("card_number", [card(1)]).await.remove(0);
    let support = vault.caller(Role::Support).await;
    let mut answers = Vec::new();
    for token in [real.as_str(), "4929831700526640", "tok_us_0", "no token at all", ""] {
        let mark = vault.mark("eu").await;
        let request = v1::DetokenizeRequest {
            audience: "support".to_owned(),
            purpose: "support_case".to_owned(),
            ..detokenize("card_number", [token])
        };
        let refusal = support.detokenize(request).await.unwrap().refusal();
        refusal.is(Code::PermissionDenied, "ACCESS_DENIED");
        answers.push(refusal.bytes);
        let items = vault.entry_since(&mark).await.items.remove(0);
        assert_eq!(items.outcome, "ACCESS_DENIED");
        assert!(items.record_numbers.is_empty() && items.token_hashes.is_empty(), "the token was not looked at");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    vault.finish().await;
}
