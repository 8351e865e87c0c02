//! Tokens for columns that hold UUIDs and nothing else.

use std::collections::HashSet;

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, query, tokenize},
    roles::Role,
};

use crate::vault;

/// What a UUID column takes, and RFC 9562 says of version 4.
fn is_random_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && text.bytes().all(|byte| matches!(byte, b'-' | b'0'..=b'9' | b'a'..=b'f'))
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_uuid_token_is_a_random_uuid_and_reveals_its_value_in_either_case() {
    let vault = vault().await;
    let values: Vec<String> = (0..500).map(|n| format!("device {n}")).collect();
    let tokens = vault.give("device", &values).await;
    assert!(tokens.iter().all(|token| is_random_uuid(token)), "{tokens:?}");
    assert_eq!(tokens.iter().collect::<HashSet<_>>().len(), values.len());
    let upper: Vec<String> = tokens.iter().map(|token| token.to_uppercase()).collect();
    for presented in [tokens, upper] {
        let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("device", &presented)).await.unwrap();
        for (revealed, value) in revealed.results.into_iter().zip(&values) {
            assert_eq!(revealed.unwrap(), value.as_bytes());
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_has_its_uuid_again_also_after_a_restart() {
    let mut vault = vault().await;
    let first = vault.give("device", ["printer"]).await;
    vault.stop().await;
    vault.start_again().await;
    let answer = vault.caller(Role::Loader).await.tokenize(tokenize("device", ["printer"])).await.unwrap();
    assert_eq!(answer.tokens(), first);
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("device", &first)).await.unwrap();
    assert_eq!(revealed.results, [Ok(b"printer".to_vec())]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_uuid_token_of_the_class_is_not_found() {
    let vault = vault().await;
    let uuid = vault.give("device", ["printer"]).await.remove(0);
    let opaque = vault.give("email", ["ada@example.com"]).await.remove(0);
    let (head, last) = uuid.split_at(uuid.len() - 1);
    let changed = format!("{head}{}", if last == "0" { "1" } else { "0" });
    let nobodys = "919108f7-52d1-4320-9bac-f847db4148a8".to_owned();
    let presented = [changed, nobodys, uuid.replace('-', ""), format!("{{{uuid}}}"), opaque, String::from("printer")];
    let payments = vault.caller(Role::Payments).await;
    let refused = payments.detokenize(detokenize("device", &presented)).await.unwrap();
    for refused in refused.results {
        refused.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    }
    // And the other way round: another class knows nothing of it.
    let refused = payments.detokenize(detokenize("email", [&uuid])).await.unwrap().results.remove(0);
    refused.unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_finds_a_uuid_in_either_case() {
    let vault = vault().await;
    let payments = vault.caller(Role::Payments).await;
    let known = vault.give("device", ["printer"]).await.remove(0);
    let unknown = "919108f7-52d1-4320-9bac-f847db4148a8".to_owned();
    for token in [known, unknown] {
        payments.detokenize(detokenize("device", [&token.to_uppercase()])).await.unwrap();
        let mut found = Vec::new();
        for token in [token.clone(), token.to_uppercase()] {
            let ask = v1::QueryAccessLogRequest {
                filter: Some(v1::AccessLogFilter { data_class: "device".to_owned(), token, ..Default::default() }),
                ..query("eu")
            };
            found.push(vault.caller(Role::Auditor).await.query(ask).await.unwrap().entries.len());
        }
        assert!(found[0] >= 1 && found[0] == found[1], "{found:?}");
    }
    vault.finish().await;
}
