//! When the same value has the same token: inside of what, for whom, and for how long.

use std::{fs, time::Duration};

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, tokenize, tokenize_item},
    roles::Role,
};

use crate::{vault, vault_and_clock};

/// Values about persons, to be tokenized for an audience.
fn about(class: &str, audience: &str, items: &[(&str, &str)]) -> v1::TokenizeRequest {
    let items = items.iter().map(|(subject, value)| item_about(class, subject, value));
    v1::TokenizeRequest { audience: audience.to_owned(), items: items.collect(), ..tokenize(class, [""; 0]) }
}

fn item_about(class: &str, subject: &str, value: &str) -> v1::TokenizeItem {
    let mut item = tokenize_item(class, value);
    subject.clone_into(&mut item.subject);
    item
}

#[tokio::test(flavor = "multi_thread")]
async fn per_subject_a_value_has_one_token_for_each_person_and_audience() {
    let mut vault = vault().await;
    let people = [("jane@example.com", "E11"), ("joe@example.com", "E11"), ("jane@example.com", "E11")];
    for class in ["diagnosis", "diagnosis_mark"] {
        let loader = vault.caller(Role::Loader).await;
        let tokens = loader.tokenize(about(class, "payments", &people)).await.unwrap().tokens();
        assert_eq!(tokens[0], tokens[2], "{class}: one person, one value");
        assert_ne!(tokens[0], tokens[1], "{class}: persons can't be compared");
        let others = loader.tokenize(about(class, "analytics", &people)).await.unwrap().tokens();
        assert!(others[0] == others[2] && !tokens.contains(&others[0]), "{class}: nor audiences");
        let globex = vault.caller(Role::GlobexLoader).await;
        let theirs = globex.tokenize(about(class, "payments", &people)).await.unwrap().tokens();
        assert!(!tokens.contains(&theirs[0]), "{class}: nor tenants");
        drop((loader, globex));
        vault.stop().await;
        vault.start_again().await;
        let loader = vault.caller(Role::Loader).await;
        let again = loader.tokenize(about(class, "payments", &people)).await.unwrap();
        assert!(again.results.iter().all(|result| !result.as_ref().unwrap().created));
        assert_eq!(again.tokens(), tokens, "{class}: the same after a restart");
    }
    let token = vault.caller(Role::Loader).await.tokenize(about("diagnosis", "payments", &people)).await.unwrap();
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("diagnosis", token.tokens())).await;
    assert_eq!(revealed.unwrap().values(), [b"E11"; 3], "who reveals need not name the person");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_asked_for_where_it_counts_and_refused_where_it_does_not() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let long = "s".repeat(129);
    let items = [("", "E11"), ("two words", "E11"), (long.as_str(), "E11"), ("Zoë", "E11"), ("jane", "E11")];
    let answer = loader.tokenize(about("diagnosis", "payments", &items)).await.unwrap().results;
    answer[0].as_ref().unwrap_err().is(Code::InvalidArgument, "SUBJECT_REQUIRED");
    for refused in &answer[1..4] {
        let refused = refused.as_ref().unwrap_err();
        refused.is(Code::InvalidArgument, "FIELD_INVALID");
        assert!(refused.message.contains("subject"), "{}", refused.message);
    }
    assert!(answer[4].is_ok(), "the others go on");
    let unasked = about("email", "payments", &[("jane", "jane@example.com"), ("", "jane@example.com")]);
    let answer = loader.tokenize(unasked).await.unwrap().results;
    answer[0].as_ref().unwrap_err().is(Code::InvalidArgument, "SUBJECT_UNEXPECTED");
    assert!(answer[1].is_ok());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_person_is_another_request() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let named = |subject| v1::TokenizeRequest {
        idempotency_key: "one-key".to_owned(),
        ..about("diagnosis", "payments", &[(subject, "E11")])
    };
    let first = loader.tokenize(named("jane")).await.unwrap().tokens();
    assert_eq!(loader.tokenize(named("jane")).await.unwrap().tokens(), first);
    loader.tokenize(named("joe")).await.unwrap_err().is(Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn per_class_a_value_has_one_token_for_all_audiences_that_share_the_class() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    for class in ["account", "account_opaque", "account_mark", "account_vaultless"] {
        let give = async |audience: &str| {
            let request = v1::TokenizeRequest { audience: audience.to_owned(), ..tokenize(class, ["9081726354"]) };
            loader.tokenize(request).await.unwrap()
        };
        let tokens = give("payments").await.tokens();
        let same = give("analytics").await;
        assert!(!same.results[0].as_ref().unwrap().created, "{class}");
        assert_eq!(same.tokens(), tokens, "{class}");
        // An audience that does not share the class is kept away from it as a whole, before its tokens are looked at.
        let refused = give("support").await.results.remove(0).unwrap_err();
        refused.is(Code::PermissionDenied, "ACCESS_DENIED");
        let analytics = v1::DetokenizeRequest {
            purpose: "analysis".to_owned(),
            audience: "analytics".to_owned(),
            ..detokenize(class, tokens.clone())
        };
        let support = v1::DetokenizeRequest {
            purpose: "support_case".to_owned(),
            audience: "support".to_owned(),
            ..analytics.clone()
        };
        let refused = vault.caller(Role::Support).await.detokenize(support).await.unwrap().results.remove(0);
        refused.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
        let revealed = vault.caller(Role::Analytics).await.detokenize(analytics).await.unwrap();
        if class == "account_mark" {
            revealed.results[0].as_ref().unwrap_err().is(Code::FailedPrecondition, "TOKEN_ONE_WAY");
        } else {
            assert_eq!(revealed.values(), [b"9081726354"], "{class}");
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_token_is_given_again_as_it_is_and_an_expired_one_is_replaced() {
    let (vault, clock) = vault_and_clock().await;
    let loader = vault.caller(Role::Loader).await;
    let give = async |class: &str| {
        let item = item_about(class, if class == "visit" { "jane" } else { "" }, "9081726354");
        let request = v1::TokenizeRequest { items: vec![item], ..tokenize(class, [""; 0]) };
        loader.tokenize(request).await.unwrap().results.remove(0).unwrap()
    };
    for class in ["voucher", "account", "visit"] {
        let first = give(class).await;
        assert!(first.created, "{class}");
        clock.advance(Duration::from_secs(59));
        let again = give(class).await;
        assert!(!again.created && again.token == first.token, "{class}");
        assert_eq!(again.expires_at_ms, first.expires_at_ms, "{class}: its lifetime is unchanged");
        clock.advance(Duration::from_secs(1));
        let replaced = give(class).await;
        assert!(replaced.created && replaced.token != first.token, "{class}");
        let payments = vault.caller(Role::Payments).await;
        let both = payments.detokenize(detokenize(class, [first.token, replaced.token])).await.unwrap().results;
        both[0].as_ref().unwrap_err().is(Code::NotFound, "TOKEN_NOT_FOUND");
        assert_eq!(both[1].as_deref(), Ok(b"9081726354".as_slice()), "{class}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_with_tokens_keeps_what_they_rest_on() {
    let mut vault = vault().await;
    let catalog = vault.directory().join("catalog.toml");
    let text = fs::read_to_string(&catalog).unwrap();
    // With a token each, but for one class.
    let classes = [
        ("account", "9081726354", "keep_last = 0", "keep_last = 2"),
        ("account_vaultless", "9081726354", "alphabet = \"digits\"", "alphabet = \"alphanumeric\""),
        ("account_mark", "9081726354", "format = \"one_way\"", "format = \"uuid\""),
        ("customer_id", "12", "determinism = \"per_audience\"", "determinism = \"none\""),
        ("unused", "", "format = \"uuid\"", "format = \"opaque\""),
    ];
    for (class, value, ..) in classes.iter().filter(|(class, ..)| *class != "unused") {
        vault.give(class, [value]).await;
    }
    vault.stop().await;
    for (class, _, before, after) in classes {
        let section = text.find(&format!("[classes.{class}]")).unwrap();
        let (head, tail) = text.split_at(section);
        assert!(tail.contains(before), "{class}");
        fs::write(&catalog, format!("{head}{}", tail.replacen(before, after, 1))).unwrap();
        if class == "unused" {
            vault.try_start().await.unwrap().shutdown().await;
            continue;
        }
        let refused = vault.refused_start().await;
        let (setting, was) = before.split_once(" = ").unwrap();
        let (_, is) = after.split_once(" = ").unwrap();
        let bare = |value: &str| value.trim_matches('"').to_owned();
        for part in [format!("{class:?}"), "\"eu\"".to_owned(), setting.to_owned(), bare(was), bare(is)] {
            assert!(refused.contains(&part), "{refused} does not name {part}");
        }
    }
    // What tokens do not rest on may change.
    fs::write(&catalog, text.replacen("length_bytes_max = 12", "length_bytes_max = 11", 1)).unwrap();
    vault.start_again().await;
    vault.finish().await;
}
