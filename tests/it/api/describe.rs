//! What is told of a token beside its value.

use std::time::Duration;

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{card, describe, email, tokenize},
    roles::Role,
    vault::BEGINNING,
};

use crate::vault_and_clock;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_described_for_as_long_as_it_could_be_revealed() {
    let (vault, clock) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    clock.advance(Duration::from_secs(5));
    for (class, value, format, life) in [
        ("email", email(1), "opaque", 0),
        ("device", "0123456789".to_owned(), "uuid", 0),
        ("voucher", "9081726354".to_owned(), "format_preserving", 60_000),
    ] {
        let token = vault.give(class, [value]).await.remove(0);
        let made = payments.describe(describe(class, [&token])).await.unwrap().remove(0).unwrap();
        let created_at_ms = BEGINNING.0 + 5000;
        let expires_at_ms = if life == 0 { 0 } else { created_at_ms + life };
        let expected = v1::TokenDescription {
            format: format.to_owned(),
            stored: true,
            created_at_ms,
            expires_at_ms,
            ..Default::default()
        };
        assert_eq!(made, expected, "{class}");
    }
    let voucher = vault.give("voucher", ["1122334455"]).await.remove(0);
    clock.advance(Duration::from_secs(60));
    let ended = payments.describe(describe("voucher", [&voucher])).await.unwrap().remove(0);
    ended.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_computed_tokens_there_is_little_to_tell() {
    let (vault, _) = vault_and_clock().await;
    let payments = vault.caller(Role::Payments).await;
    let token = vault.give("card_vaultless", [card(1)]).await.remove(0);
    let told = payments.describe(describe("card_vaultless", [token.as_str(), "no card"])).await.unwrap();
    let expected = v1::TokenDescription { format: "ff1".to_owned(), ..Default::default() };
    assert_eq!(told[0].as_ref(), Ok(&expected));
    told[1].as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    let hash = vault.give("fingerprint", [email(1)]).await.remove(0);
    let told = payments.describe(describe("fingerprint", [hash])).await.unwrap().remove(0);
    told.unwrap_err().is(Code::FailedPrecondition, "TOKEN_ONE_WAY");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_revealed_is_not_described_and_the_log_tells_why() {
    let (vault, _) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let own = vault.give("email", [email(1)]).await.remove(0);
    let for_support = v1::TokenizeRequest { audience: "support".to_owned(), ..tokenize("email", [email(1)]) };
    let foreign = loader.tokenize(for_support).await.unwrap().tokens().remove(0);
    let mut changed = own.clone();
    changed.replace_range(10..11, if &own[10..11] == "x" { "y" } else { "x" });
    let payments = vault.caller(Role::Payments).await;
    let mark = vault.mark("eu").await;
    let told = payments.describe(describe("email", [own, foreign, changed])).await.unwrap();
    assert!(told[0].is_ok());
    for refused in &told[1..] {
        refused.as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("describe", "allowed"));
    let outcomes: Vec<_> = entry.items.iter().map(|items| items.outcome.as_str()).collect();
    assert_eq!(outcomes[..2], ["ok", "TOKEN_OF_ANOTHER_AUDIENCE"]);
    // Who may reveal a class may not be told of its tokens by that alone.
    let support = v1::DescribeTokensRequest {
        purpose: "support_case".to_owned(),
        audience: "support".to_owned(),
        ..describe("email", ["tok_eu_any"])
    };
    let refused = vault.caller(Role::Support).await.describe(support).await.unwrap().remove(0);
    refused.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    vault.finish().await;
}
