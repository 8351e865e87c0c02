//! FindTokens: the tokens that values have already, of classes where the same value has the same token.

use std::{path::Path, sync::Arc};

use tonic::Code;
use vault_domain::{Action, SystemClock};
use vault_proto::v1;
use vault_tests::{
    refusal::Refusal,
    requests::{by, card, change, customer, describe, detokenize, email, find, query, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::{DISK, vault, vault_and_clock};

/// The token of one value.
async fn found(vault: &TestVault, class: &str, value: &str) -> Result<String, Refusal> {
    let answer = vault.caller(Role::Payments).await.find(find(class, [value])).await?;
    answer.results.into_iter().next().unwrap().map(|found| found.token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_found_under_its_token_of_the_own_audience_and_nothing_is_made() {
    let mut vault = vault().await;
    let cards = vault.give("card_number", (0..40).map(card)).await;
    let customers = vault.give("customer_id", (0..40).map(customer)).await;
    let payments = vault.caller(Role::Payments).await;
    let mut ask = find("card_number", (0..50).map(card));
    ask.items.extend(find("customer_id", (0..50).map(customer)).items);
    let mark = vault.mark("eu").await;
    let answer = payments.find(ask).await.unwrap();
    let (of_cards, of_customers) = answer.results.split_at(50);
    for (given, results) in [(&cards, of_cards), (&customers, of_customers)] {
        for (result, token) in results.iter().zip(given) {
            assert_eq!(result.as_ref().unwrap(), &v1::TokenFound { token: token.clone(), expires_at_ms: 0 });
        }
        for unknown in &results[40..] {
            unknown.as_ref().unwrap_err().is(Code::NotFound, "VALUE_NOT_FOUND");
        }
    }
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("find", "allowed"));
    assert_eq!(entry.receipt, Some(answer.receipt));
    let told = |outcome: &str| {
        let items = entry.items.iter().filter(|items| items.outcome == outcome);
        let numbers = items.clone().map(|items| items.record_numbers.len()).sum::<usize>();
        (items.map(|items| items.count).sum::<u32>(), numbers)
    };
    assert_eq!((told("ok"), told("VALUE_NOT_FOUND")), ((80, 80), (20, 0)));
    // The log finds the question by the token that was given.
    let of_token = query("eu");
    let filter = by(|filter| {
        (filter.token, filter.action) = (cards[7].clone(), "find".to_owned());
        "card_number".clone_into(&mut filter.data_class);
    });
    let auditor = vault.caller(Role::Auditor).await;
    let asked = auditor.query(v1::QueryAccessLogRequest { filter, ..of_token }).await.unwrap().entries;
    assert_eq!(asked.len(), 1);
    vault.stop().await;
    assert_eq!(vault.stored_rows("eu").len(), 80);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_members_of_an_audience_find_its_tokens_and_no_tenant_those_of_another() {
    let vault = vault().await;
    let value = customer(1);
    let loader = vault.caller(Role::Loader).await;
    let for_analytics = v1::TokenizeRequest { audience: "analytics".to_owned(), ..tokenize("customer_id", [&value]) };
    assert!(loader.tokenize(for_analytics).await.unwrap().results[0].is_ok());
    found(&vault, "customer_id", &value).await.unwrap_err().is(Code::NotFound, "VALUE_NOT_FOUND");
    // The policies know that payments is no member; the loader may make tokens for all and find none.
    let payments = vault.caller(Role::Payments).await;
    let theirs = v1::FindTokensRequest { audience: "analytics".to_owned(), ..find("customer_id", [&value]) };
    payments.find(theirs).await.unwrap().results[0].clone().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let own = v1::FindTokensRequest { purpose: "bulk_load".to_owned(), ..find("customer_id", [&value]) };
    loader.find(own).await.unwrap().results[0].clone().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    // Another tenant's service was granted no such thing, and has another key if it were.
    let globex = vault.caller(Role::GlobexPayments).await;
    let refused = globex.find(find("customer_id", [&value])).await.unwrap().results.remove(0).unwrap_err();
    refused.is(Code::PermissionDenied, "ACCESS_DENIED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_of_an_audience_finds_and_describes_nothing_of_it_whatever_was_granted() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    // A grant that takes in tokenize may name any audience.
    let grant = "{ actions = [\"tokenize\"], purposes = [\"bulk_load\"], audiences = [\"payments\", \"analytics\"";
    vault.edit("catalog.toml", grant, &grant.replace("\"tokenize\"", "\"tokenize\", \"find\", \"describe\""));
    vault.start_again().await;
    let value = customer(1);
    let token = vault.give("customer_id", [&value]).await.remove(0);
    let loader = vault.caller(Role::Loader).await;
    let mark = vault.mark("eu").await;
    let purpose = || "bulk_load".to_owned();
    let asked = v1::FindTokensRequest { purpose: purpose(), ..find("customer_id", [&value]) };
    loader.find(asked).await.unwrap().results.remove(0).unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let asked = v1::DescribeTokensRequest { purpose: purpose(), ..describe("customer_id", [&token]) };
    loader.describe(asked).await.unwrap().remove(0).unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    for (entry, action) in vault.entries_since(&mark, 2).await.iter().zip(["find", "describe"]) {
        assert_eq!((entry.action.as_str(), entry.items[0].outcome.as_str()), (action, "AUDIENCE_NOT_OWN"));
    }
    assert_eq!(found(&vault, "customer_id", &value).await.unwrap(), token);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_not_found_and_what_is_suspended_is() {
    let (vault, clock) = vault_and_clock().await;
    let steward = vault.caller(Role::Steward).await;
    let value = customer(1);
    let token = vault.give("customer_id", [&value]).await.remove(0);
    let changed = async |action| {
        steward.change(action, change("customer_id", [&token])).await.unwrap().only().unwrap();
    };
    changed(Action::Suspend).await;
    assert_eq!(found(&vault, "customer_id", &value).await.unwrap(), token);
    changed(Action::Revoke).await;
    found(&vault, "customer_id", &value).await.unwrap_err().is(Code::NotFound, "VALUE_NOT_FOUND");
    let next = vault.give("customer_id", [&value]).await.remove(0);
    assert_eq!(found(&vault, "customer_id", &value).await.unwrap(), next);
    // With the end of its life, until that.
    let voucher = vault.give("voucher", ["7031945286"]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let answer = payments.find(find("voucher", ["7031945286"])).await.unwrap().results.remove(0).unwrap();
    let end = vault_domain::Clock::wall(&clock).0 + 60_000;
    assert_eq!(answer, v1::TokenFound { token: voucher, expires_at_ms: end });
    clock.advance(std::time::Duration::from_secs(60));
    found(&vault, "voucher", "7031945286").await.unwrap_err().is(Code::NotFound, "VALUE_NOT_FOUND");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_class_is_found_by_its_own_rule_or_says_that_it_can_not_be() {
    let vault = vault().await;
    let payments = vault.caller(Role::Payments).await;
    // Fresh each time; computed from the value, both ways and one way.
    found(&vault, "email", &email(1)).await.unwrap_err().is(Code::FailedPrecondition, "CLASS_NOT_DETERMINISTIC");
    for (class, value) in [("card_vaultless", card(1)), ("fingerprint", email(1))] {
        let given = vault.give(class, [&value]).await.remove(0);
        assert_eq!(found(&vault, class, &value).await.unwrap(), given, "{class}");
    }
    // Values that count as the same; a value that is none; one that stands twice.
    let card_token = vault.give("card_number", [card(3)]).await.remove(0);
    let twice = payments.find(find("card_number", [card(3), card(3)])).await.unwrap().results;
    assert!(twice.iter().all(|found| found.as_ref().unwrap().token == card_token));
    let bad = found(&vault, "card_number", "4111111111111112").await.unwrap_err();
    bad.is(Code::InvalidArgument, "VALUE_REJECTED");
    found(&vault, "no_such_class", "x").await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    // What is deterministic for each person is found for one.
    let of = |subject: &str| {
        let mut ask = find("diagnosis", ["J45"]);
        subject.clone_into(&mut ask.items[0].subject);
        ask
    };
    let mut made = tokenize("diagnosis", ["J45"]);
    "patient-1".clone_into(&mut made.items[0].subject);
    let made = vault.caller(Role::Loader).await.tokenize(made).await.unwrap().tokens().remove(0);
    assert_eq!(payments.find(of("patient-1")).await.unwrap().results[0].as_ref().unwrap().token, made);
    payments.find(of("patient-2")).await.unwrap().results[0].clone().unwrap_err().is(Code::NotFound, "VALUE_NOT_FOUND");
    let without = payments.find(of("")).await.unwrap().results.remove(0).unwrap_err();
    without.is(Code::InvalidArgument, "SUBJECT_REQUIRED");
    // Whole calls that are none.
    payments.find(find("email", [""; 0])).await.unwrap_err().is(Code::InvalidArgument, "BATCH_EMPTY");
    let elsewhere = v1::FindTokensRequest { region: "apac".to_owned(), ..find("customer_id", ["1"]) };
    payments.find(elsewhere).await.unwrap_err().is(Code::FailedPrecondition, "WRONG_REGION");
    assert_eq!(payments.detokenize(detokenize("card_number", [&card_token])).await.unwrap().values().len(), 1);
    vault.finish().await;
}
