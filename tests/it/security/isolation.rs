//! Two vaults in one process have nothing in common.

use tonic::Code;
use vault_tests::{
    requests::{card, customer, detokenize, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn two_vaults_in_one_process_share_no_token_no_key_and_no_log() {
    let (one, other) = (vault().await, vault().await);
    for (class, value) in [("card_number", card(1)), ("customer_id", customer(1))] {
        let token = one.give(class, [&value]).await.remove(0);
        let of_other = other.give(class, [&value]).await.remove(0);
        assert_ne!(token, of_other, "{class}");
        let stranger = other.caller(Role::Payments).await;
        let refusal = stranger.detokenize(detokenize(class, [&token])).await.unwrap().refusal();
        refusal.is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    let keys = [
        one.caller(Role::Auditor).await.checkpoint("eu").await.unwrap().verifier_key,
        other.caller(Role::Auditor).await.checkpoint("eu").await.unwrap().verifier_key,
    ];
    assert_ne!(keys[0], keys[1]);
    assert_eq!(other.mark("eu").await.size(), one.mark("eu").await.size() + 2, "each log has its own calls");

    // Nor do they trust each other's callers.
    let names = Role::Payments.names();
    let foreign = one.authority().client(&names);
    let heard = match other.try_connect_with(Some(&foreign)).await {
        Ok(connection) => connection.post("/tokenvault.v1.TokenService/Detokenize", &[]).await.is_ok(),
        Err(_) => false,
    };
    assert!(!heard);

    one.finish().await;
    let given = other.caller(Role::Loader).await.tokenize(tokenize("card_number", [card(1)])).await.unwrap();
    assert!(!given.results[0].as_ref().unwrap().created, "the end of one is not the other's");
    other.finish().await;
}
