//! Tokens that are compared and never revealed.

use tonic::Code;
use vault_domain::Action;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, email, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn equal_values_have_equal_tokens_inside_one_audience_alone() {
    let mut vault = vault().await;
    let values = [email(1), email(2), email(1), "ada@EXAMPLE.com".to_owned(), "ada@example.com".to_owned()];
    let tokens = vault.give("fingerprint", &values).await;
    assert_eq!(tokens[0], tokens[2]);
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(tokens[3], tokens[4], "equal by the rule of the class");
    for token in &tokens {
        let digits = token.strip_prefix("one_eu_").unwrap();
        assert!(digits.len() == 23 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{token}");
    }
    let loader = vault.caller(Role::Loader).await;
    let elsewhere = [("eu", "analytics"), ("us", "payments")];
    for (region, audience) in elsewhere {
        let request = v1::TokenizeRequest {
            region: region.to_owned(),
            audience: audience.to_owned(),
            ..tokenize("fingerprint", &values)
        };
        let others = loader.tokenize(request).await.unwrap().tokens();
        assert!(others.iter().zip(&tokens).all(|(other, token)| other[7..] != token[7..]), "{region}, {audience}");
        assert_eq!(others[0], others[2]);
    }
    vault.stop().await;
    vault.start_again().await;
    assert_eq!(vault.give("fingerprint", &values).await, tokens, "the same after a restart");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_way_token_is_never_revealed() {
    let vault = vault().await;
    let token = vault.give("fingerprint", [email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    for presented in [token.as_str(), "one_eu_10000000000000000000000", "junk"] {
        let refused = payments.detokenize(detokenize("fingerprint", [presented])).await.unwrap().results.remove(0);
        refused.unwrap_err().is(Code::FailedPrecondition, "TOKEN_ONE_WAY");
    }
    // To every other class it is nobody's token.
    let refused = payments.detokenize(detokenize("email", [&token])).await.unwrap().results.remove(0);
    refused.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_and_the_log_names_the_token_by_its_hash() {
    let mut vault = vault().await;
    let mark = vault.mark("eu").await;
    let key = "one-way-request-00000001".to_owned();
    let request = || v1::TokenizeRequest {
        idempotency_key: key.clone(),
        ..tokenize("fingerprint", [email(1), "no address".to_owned()])
    };
    let loader = vault.caller(Role::Loader).await;
    let first = loader.tokenize(request()).await.unwrap();
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.items[0].outcome.as_str(), entry.items[0].token_hashes.len()), ("ok", 1));
    // A repeat under the same key is answered the same way.
    let again = loader.tokenize(request()).await.unwrap();
    assert_eq!(again.results, first.results);
    assert!(again.results[0].is_ok() && again.results[1].is_err());
    vault.stop().await;
    let log = vault.stored_log("eu");
    let entries = log.decoded();
    let of_tokenize = entries.iter().filter(|entry| entry.head.action == Action::Tokenize);
    assert!(of_tokenize.flat_map(|entry| &entry.groups).all(|group| group.numbers.total() == 0), "no record was made");
}
