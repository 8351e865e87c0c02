//! Tokens that were changed, or belong elsewhere.

use std::collections::BTreeSet;

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{card, customer, detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use super::assert_item_refused;
use crate::vault;

const NOT_FOUND: (Code, &str) = (Code::NotFound, "TOKEN_NOT_FOUND");

/// Texts that differ from a token in one place: a character changed, left out, put in or swapped with its neighbour.
fn changed(token: &str, characters: &str) -> BTreeSet<String> {
    let letters: Vec<char> = token.chars().collect();
    let mut all = BTreeSet::new();
    for at in 0..letters.len() {
        for character in characters.chars() {
            let mut text = letters.clone();
            text[at] = character;
            all.insert(text.iter().collect());
        }
        let mut shorter = letters.clone();
        shorter.remove(at);
        all.insert(shorter.iter().collect());
        let mut longer = letters.clone();
        longer.insert(at, letters[at]);
        all.insert(longer.iter().collect());
        if at > 0 {
            let mut swapped = letters.clone();
            swapped.swap(at - 1, at);
            all.insert(swapped.iter().collect());
        }
    }
    all.extend([
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}{token}"),
        String::new(),
    ]);
    all.insert(token.to_lowercase());
    all.insert(token.to_uppercase());
    all.remove(token);
    all
}

/// Presents all the texts; gives the refusals with their texts.
async fn all_refused(vault: &TestVault, class: &str, texts: &BTreeSet<String>) -> Vec<(String, Refusal)> {
    let payments = vault.caller(Role::Payments).await;
    let mut refusals = Vec::new();
    for batch in texts.iter().collect::<Vec<_>>().chunks(1000) {
        let mark = vault.mark("eu").await;
        let revealed = payments.detokenize(detokenize(class, batch.iter().copied())).await.unwrap();
        for (text, result) in batch.iter().zip(revealed.results) {
            refusals.push(((*text).clone(), result.expect_err("a changed token reveals nothing")));
        }
        let entry = vault.entry_since(&mark).await;
        assert_eq!(entry.items.iter().map(|items| items.count).sum::<u32>(), u32::try_from(batch.len()).unwrap());
        assert!(entry.items.iter().all(|items| items.outcome != "ok"));
    }
    vault.still_serves().await;
    refusals
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opaque_token_with_any_one_character_changed_reveals_nothing() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let every: String = ('!'..='~').chain("äΩ\u{0}\u{7f}".chars()).collect();
    let texts = changed(&token, &every);
    assert!(texts.len() > 3000);
    for (_, refusal) in all_refused(&vault, "email", &texts).await {
        refusal.is(NOT_FOUND.0, NOT_FOUND.1);
    }
    let payments = vault.caller(Role::Payments).await;
    let revealed = payments.detokenize(detokenize("email", [&token])).await.unwrap();
    assert_eq!(revealed.values(), [email(1).into_bytes()], "the token itself does");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_format_preserving_token_with_any_one_character_changed_reveals_nothing() {
    let vault = vault().await;
    for (class, value) in [("card_number", card(1)), ("passport", "QZ7430921".to_owned())] {
        let token = vault.give(class, [&value]).await.remove(0);
        let mut texts = changed(&token, "0123456789AZaz-_ ä");
        // The value is not its own token.
        texts.insert(value);
        for (_, refusal) in all_refused(&vault, class, &texts).await {
            refusal.is(NOT_FOUND.0, NOT_FOUND.1);
        }
    }
    vault.finish().await;
}

async fn one(caller: &Caller, request: v1::DetokenizeRequest) -> Result<Result<Vec<u8>, Refusal>, Refusal> {
    Ok(caller.detokenize(request).await?.results.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_class_audience_or_tenant_is_not_found_and_the_log_tells_which() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let payments = vault.caller(Role::Payments).await;
    let own = vault.give("customer_id", [customer(1)]).await.remove(0);
    let request = v1::TokenizeRequest { audience: "analytics".to_owned(), ..tokenize("customer_id", [customer(1)]) };
    let audience = loader.tokenize(request).await.unwrap().tokens().remove(0);
    let globex = vault.caller(Role::GlobexLoader).await;
    let tenant = globex.tokenize(tokenize("customer_id", [customer(1)])).await.unwrap().tokens().remove(0);
    let denied = |outcome| ("denied", outcome);
    for (class, token, outcome) in [
        ("email", &own, "TOKEN_OF_ANOTHER_CLASS"),
        ("session", &own, "TOKEN_OF_ANOTHER_CLASS"),
        ("customer_id", &audience, "TOKEN_OF_ANOTHER_AUDIENCE"),
        ("customer_id", &tenant, "TOKEN_OF_ANOTHER_TENANT"),
    ] {
        let call = one(&payments, detokenize(class, [token]));
        let (_, entry) = assert_item_refused(&vault, call, NOT_FOUND, denied(outcome)).await;
        assert_eq!(entry.items[0].record_numbers.len(), 1, "the log knows the record");
    }
    // Format-preserving texts of other classes, audiences and tenants lead nowhere: their look-up is keyed by class.
    let cards = vault.give("card_number", [card(1)]).await;
    let request = v1::TokenizeRequest { audience: "analytics".to_owned(), ..tokenize("card_number", [card(1)]) };
    let audience = loader.tokenize(request).await.unwrap().tokens().remove(0);
    let tenant = globex.tokenize(tokenize("card_number", [card(1)])).await.unwrap().tokens().remove(0);
    let call = one(&payments, detokenize("card_number", [&audience]));
    assert_item_refused(&vault, call, NOT_FOUND, denied("TOKEN_OF_ANOTHER_AUDIENCE")).await;
    let call = one(&payments, detokenize("card_number", [&tenant]));
    assert_item_refused(&vault, call, NOT_FOUND, ("failed", "TOKEN_UNKNOWN")).await;
    let call = one(&payments, detokenize("passport", [&cards[0]]));
    assert_item_refused(&vault, call, NOT_FOUND, ("failed", "TOKEN_UNKNOWN")).await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_region_is_sent_there_or_not_found() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let payments = vault.caller(Role::Payments).await;
    let in_us = |class, value: String| v1::TokenizeRequest { region: "us".to_owned(), ..tokenize(class, [value]) };
    let opaque = loader.tokenize(in_us("email", email(1))).await.unwrap().tokens().remove(0);
    let preserving = loader.tokenize(in_us("card_number", card(1))).await.unwrap().tokens().remove(0);

    let wrong = (Code::FailedPrecondition, "WRONG_REGION");
    let call = one(&payments, detokenize("email", [&opaque]));
    let (refusal, _) = assert_item_refused(&vault, call, wrong, ("denied", "WRONG_REGION")).await;
    assert_eq!(refusal.metadata["region"], "us");
    let far = opaque.replacen("_us_", "_apac_", 1);
    let call = one(&payments, detokenize("email", [&far]));
    let (refusal, _) = assert_item_refused(&vault, call, wrong, ("denied", "WRONG_REGION")).await;
    assert_eq!(refusal.metadata["region"], "apac");
    assert_eq!(refusal.metadata["endpoint"], "https://vault-apac.example.com:8443");
    let moved = opaque.replacen("_us_", "_eu_", 1);
    let call = one(&payments, detokenize("email", [&moved]));
    assert_item_refused(&vault, call, NOT_FOUND, ("failed", "TOKEN_UNKNOWN")).await;
    let call = one(&payments, detokenize("card_number", [&preserving]));
    assert_item_refused(&vault, call, NOT_FOUND, ("failed", "TOKEN_UNKNOWN")).await;

    let there = v1::DetokenizeRequest { region: "us".to_owned(), ..detokenize("email", [&opaque]) };
    assert_eq!(payments.detokenize(there).await.unwrap().values(), [email(1).into_bytes()]);
    vault.finish().await;
}
