//! Tokens in, values out.

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{card, customer, detokenize, detokenize_item, email, scattered, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn every_token_of_a_mixed_batch_has_its_own_answer_in_order() {
    let vault = vault().await;
    let cards = vault.give("card_number", [card(1), card(2)]).await;
    let emails = vault.give("email", [email(1)]).await;
    let mark = vault.mark("eu").await;
    let items = vec![
        detokenize_item("card_number", &cards[1]),
        detokenize_item("email", &emails[0]),
        detokenize_item("card_number", "4111111111111112"),
        detokenize_item("no_such_class", &cards[0]),
        detokenize_item("card_number", &cards[0]),
        detokenize_item("card_number", &cards[1]),
    ];
    let request = v1::DetokenizeRequest { items, ..detokenize("", [""; 0]) };
    let revealed = vault.caller(Role::Payments).await.detokenize(request).await.unwrap().results;
    assert_eq!(revealed[0], Ok(card(2).into_bytes()));
    assert_eq!(revealed[1], Ok(email(1).into_bytes()));
    revealed[2].as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    revealed[3].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    assert_eq!(revealed[4], Ok(card(1).into_bytes()));
    assert_eq!(revealed[5], Ok(card(2).into_bytes()));

    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("detokenize", "allowed"));
    let ok = &entry.items[0];
    assert_eq!((ok.data_class.as_str(), ok.outcome.as_str(), ok.count), ("card_number", "ok", 3));
    let unknown = &entry.items[2];
    assert_eq!((unknown.outcome.as_str(), unknown.token_hashes.len()), ("TOKEN_UNKNOWN", 1));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_audience_is_shown_its_own_tokens_alone() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let value = customer(5);
    let audiences = [(Role::Payments, "payments", "settlement"), (Role::Analytics, "analytics", "analysis")];
    let mut tokens = Vec::new();
    for (_, audience, _) in audiences {
        let request = v1::TokenizeRequest { audience: audience.to_owned(), ..tokenize("customer_id", [&value]) };
        tokens.extend(loader.tokenize(request).await.unwrap().tokens());
    }
    for (who, (role, audience, purpose)) in audiences.into_iter().enumerate() {
        let caller = vault.caller(role).await;
        for (whose, token) in tokens.iter().enumerate() {
            let request = v1::DetokenizeRequest {
                audience: audience.to_owned(),
                purpose: purpose.to_owned(),
                ..detokenize("customer_id", [token])
            };
            let mut revealed = caller.detokenize(request).await.unwrap().results;
            match revealed.remove(0) {
                Ok(revealed) => assert!(who == whose && revealed == value.as_bytes()),
                Err(refusal) => {
                    assert_ne!(who, whose);
                    refusal.is(Code::NotFound, "TOKEN_NOT_FOUND");
                }
            }
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_of_a_reveal_says_who_why_and_what() {
    let vault = vault().await;
    let token = vault.give("email", [email(9)]).await.remove(0);
    let mark = vault.mark("eu").await;
    let request = v1::DetokenizeRequest { reference: "CASE-4711/a#2".to_owned(), ..detokenize("email", [token]) };
    let revealed = vault.caller(Role::Payments).await.detokenize(request).await.unwrap();
    let entry = vault.entry_since(&mark).await;
    assert_eq!(entry.receipt.as_ref(), Some(&revealed.receipt));
    assert_eq!(entry.tenant, "acme");
    assert_eq!(entry.principal, Role::Payments.principal());
    assert_eq!(entry.certificate_sha256, vault.fingerprint(Role::Payments));
    assert_eq!(entry.source, "127.0.0.1");
    assert_eq!((entry.action.as_str(), entry.decision.as_str(), entry.reason.as_str()), ("detokenize", "allowed", ""));
    assert_eq!((entry.purpose.as_str(), entry.reference.as_str()), ("settlement", "CASE-4711/a#2"));
    assert_eq!(entry.audience, "payments");
    assert_eq!(entry.policy_ids, ["grant"]);
    assert!(entry.policy_version.len() == 16 && entry.request_id.len() == 32);
    assert_eq!(entry.count, 1);
    assert!(entry.log_time_ms >= entry.wall_time_ms);
    assert_eq!(entry.items.len(), 1);
    assert_eq!(entry.items[0].record_numbers.len(), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_of_the_longest_values_come_back_in_one_answer() {
    const LONGEST: usize = 65_536;
    let vault = vault().await;
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let value = |n: u64| -> Vec<u8> {
        (0..(LONGEST as u64 / 8)).flat_map(|word| scattered(n << 32 | word).to_le_bytes()).collect()
    };
    let mut tokens = Vec::new();
    for batch in 0..8_u64 {
        let given = loader.tokenize(tokenize("blob", (batch * 125..batch * 125 + 125).map(value))).await.unwrap();
        tokens.extend(given.tokens());
    }
    let values = payments.detokenize(detokenize("blob", tokens)).await.unwrap().values();
    assert!(values.into_iter().eq((0..1000).map(value)));
    vault.finish().await;
}
