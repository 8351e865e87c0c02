//! Tokens that are computed by FF1 and kept nowhere.

use std::collections::HashSet;

use tonic::Code;
use vault_domain::Action;
use vault_proto::v1;
use vault_tests::{
    requests::{card, detokenize, tokenize},
    roles::Role,
};

use crate::vault;

/// The Luhn check, written down once more.
fn passes_luhn(text: &str) -> bool {
    let sum: u32 = text
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 })
        .map(|term| if term > 9 { term - 9 } else { term })
        .sum();
    sum.is_multiple_of(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computed_token_has_its_values_format_and_leads_back_also_after_a_restart() {
    let mut vault = vault().await;
    let cards: Vec<String> = (0..300).map(card).collect();
    let meters: Vec<String> = (0..300).map(|n| format!("DE-{:07}{}", n, "X7".repeat(n % 17))).collect();
    let mut given = Vec::new();
    for (class, values) in [("card_vaultless", &cards), ("meter", &meters)] {
        let tokens = vault.give(class, values).await;
        assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), tokens.len());
        assert_eq!(vault.give(class, values).await, tokens, "the same each time");
        for (token, value) in tokens.iter().zip(values) {
            assert!(token.len() == value.len() && token != value);
        }
        given.push((class, values, tokens));
    }
    for (token, value) in given[0].2.iter().zip(&cards) {
        assert!(token[..6] == value[..6] && token.bytes().all(|byte| byte.is_ascii_digit()) && !passes_luhn(token));
    }
    for token in &given[1].2 {
        let rest = token.strip_prefix("DE-").unwrap();
        assert!(rest.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()), "{token}");
    }
    vault.stop().await;
    vault.start_again().await;
    for (class, values, tokens) in &given {
        let revealed = vault.caller(Role::Payments).await.detokenize(detokenize(class, tokens)).await.unwrap();
        assert_eq!(revealed.values(), values.iter().map(String::as_bytes).collect::<Vec<_>>());
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_computed_token_is_another_one_for_another_audience_and_region() {
    let vault = vault().await;
    let (loader, value) = (vault.caller(Role::Loader).await, card(5));
    let mut tokens = HashSet::new();
    for (region, audience) in [("eu", "payments"), ("eu", "analytics"), ("us", "payments")] {
        let request = v1::TokenizeRequest {
            region: region.to_owned(),
            audience: audience.to_owned(),
            ..tokenize("card_vaultless", [&value])
        };
        tokens.insert(loader.tokenize(request).await.unwrap().tokens().remove(0));
    }
    assert_eq!(tokens.len(), 3);
    // Another audience's token is a text like any other: it stands for some value, and not for this one.
    for token in tokens {
        let answer = vault.caller(Role::Payments).await.detokenize(detokenize("card_vaultless", [&token])).await;
        let revealed = answer.unwrap().results.remove(0).unwrap();
        let own = vault.give("card_vaultless", [&value]).await.remove(0);
        assert_eq!(revealed == value.as_bytes(), token == own);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_computed_token_is_not_found_and_what_has_no_domain_is_refused() {
    let vault = vault().await;
    let token = vault.give("card_vaultless", [card(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let (head, last) = token.split_at(15);
    let other = format!("{head}{}", (last.parse::<u8>().unwrap() + 3) % 10);
    for presented in [other, token[..15].to_owned(), format!("{token}0"), card(1), "4111 1111".to_owned(), "x".into()] {
        let refused = payments.detokenize(detokenize("card_vaultless", [&presented])).await.unwrap().results.remove(0);
        refused.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    // A text of the domain that no value of the class has as its token: it lacks the hyphen that the rule asks for.
    let refused = payments.detokenize(detokenize("meter", ["DEX7X7X7X7X7"])).await.unwrap().results.remove(0);
    refused.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    let loader = vault.caller(Role::Loader).await;
    let short = loader.tokenize(tokenize("card_vaultless", ["501893123452"])).await.unwrap().results.remove(0);
    // 12 digits without their first six and the check digit leave five: fewer than a million texts.
    let refusal = short.unwrap_err();
    refusal.is(Code::InvalidArgument, "VALUE_REJECTED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reveals_of_computed_tokens_are_in_the_log_before_the_value_leaves() {
    let mut vault = vault().await;
    let token = vault.give("meter", ["DE-0000001"]).await;
    let mark = vault.mark("eu").await;
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("meter", &token)).await.unwrap();
    assert_eq!(revealed.results, [Ok(b"DE-0000001".to_vec())]);
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("detokenize", "allowed"));
    let items = &entry.items[0];
    assert_eq!((items.data_class.as_str(), items.outcome.as_str(), items.count), ("meter", "ok", 1));
    assert_eq!(items.token_hashes.len(), 1, "named by its keyed hash");
    vault.stop().await;
    let entries = vault.stored_log("eu").decoded();
    let of_both = entries.iter().filter(|entry| [Action::Tokenize, Action::Detokenize].contains(&entry.head.action));
    assert!(of_both.flat_map(|entry| &entry.groups).all(|group| group.numbers.total() == 0), "no record was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_as_the_first_time() {
    let vault = vault().await;
    let key = "computed-request-0000001".to_owned();
    let request =
        || v1::TokenizeRequest { idempotency_key: key.clone(), ..tokenize("card_vaultless", [card(1), card(2)]) };
    let first = vault.caller(Role::Loader).await.tokenize(request()).await.unwrap();
    let again = vault.caller(Role::Loader).await.tokenize(request()).await.unwrap();
    assert_eq!(again.tokens(), first.tokens());
    vault.finish().await;
}
