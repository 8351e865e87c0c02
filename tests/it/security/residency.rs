//! Data stay in their region, and callers in theirs.

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, email, query, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_works_only_in_the_regions_that_it_is_cleared_for() {
    let vault = vault().await;
    let regional = vault.caller(Role::Regional).await;
    let us = || "us".to_owned();
    assert_eq!(regional.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens().len(), 1);
    let mark = vault.mark("us").await;
    let give = v1::TokenizeRequest { region: us(), ..tokenize("email", [email(1)]) };
    let refused = regional.tokenize(give).await.unwrap().results.remove(0);
    refused.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let reveal = v1::DetokenizeRequest { region: us(), ..detokenize("email", ["tok_us_any"]) };
    regional.detokenize(reveal).await.unwrap().refusal().is(Code::PermissionDenied, "ACCESS_DENIED");
    regional.query(query("us")).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    regional.checkpoint("us").await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    for entry in vault.entries_since(&mark, 4).await {
        assert_eq!((entry.decision.as_str(), entry.principal.as_str()), ("denied", Role::Regional.principal()));
        assert_eq!(entry.policy_ids, ["residency"]);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_and_its_evidence_are_in_the_store_of_its_region_alone() {
    let mut vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    loader.tokenize(tokenize("email", (0..10).map(email))).await.unwrap();
    vault.stop().await;
    let actions = |scope: &str| -> Vec<&str> {
        vault.stored_log(scope).decoded().iter().map(|entry| entry.head.action.name()).collect()
    };
    assert_eq!(actions("eu"), ["start", "tokenize", "stop"]);
    assert_eq!(actions("us"), ["start", "stop"]);
    assert_eq!(actions("node"), ["start", "stop"]);
    vault.finish().await;
}
