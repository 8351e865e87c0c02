//! Requests that break a rule of their form, or name what is not there.

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    refusal::Refusal,
    requests::{by, card, describe, detokenize, detokenize_item, email, explain, query, tokenize, tokenize_item},
    roles::Role,
    vault::TestVault,
};

use super::{Refusals, assert_item_refused, assert_refused, assert_turned_away};
use crate::vault;

const INVALID: (Code, &str) = (Code::InvalidArgument, "FIELD_INVALID");
const UNKNOWN_REGION: (Code, &str) = (Code::InvalidArgument, "REGION_UNKNOWN");
const DENIED: (Code, &str) = (Code::PermissionDenied, "ACCESS_DENIED");

/// A change to a good request, what it is answered with, and the field that the answer names.
type Row<R> = (fn(&mut R), (Code, &'static str), &'static str);

fn of_classes(count: usize) -> Vec<v1::TokenizeItem> {
    (0..count).map(|n| tokenize_item(&format!("class{n}"), email(1))).collect()
}

/// The rows on fields that both verbs have.
macro_rules! common_rows {
    ($request:ty) => {{
        let rows: [Row<$request>; 10] = [
            (|request| request.items.clear(), (Code::InvalidArgument, "BATCH_EMPTY"), ""),
            (|request| request.audience.clear(), INVALID, "audience"),
            (|request| request.audience = "4929831700526640".to_owned(), INVALID, "audience"),
            (|request| request.purpose = "With Spaces".to_owned(), INVALID, "purpose"),
            (|request| request.purpose = "curiosity".to_owned(), (Code::InvalidArgument, "PURPOSE_UNKNOWN"), ""),
            (|request| request.reference = "x4929831700526".to_owned(), INVALID, "reference"),
            (|request| request.reference = "r".repeat(65), INVALID, "reference"),
            (|request| request.reference = "two words".to_owned(), INVALID, "reference"),
            (|request| request.idempotency_key = "two words".to_owned(), INVALID, "idempotency_key"),
            (|request| request.idempotency_key = "k".repeat(129), INVALID, "idempotency_key"),
        ];
        rows
    }};
}

fn assert_names(refusal: &Refusal, field: &str) {
    let named: Vec<&str> = refusal.fields.iter().map(|(field, _)| field.as_str()).collect();
    let expected: Vec<&str> = [field].into_iter().filter(|field| !field.is_empty()).collect();
    assert_eq!(named, expected, "{refusal:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_tokenize_of_the_wrong_form_is_refused_by_name() {
    let vault = vault().await;
    vault.secrets().plant(b"4929831700526640");
    let loader = vault.caller(Role::Loader).await;
    let own: [Row<v1::TokenizeRequest>; 2] = [
        (
            |request| request.items = vec![tokenize_item("email", email(1)); 1001],
            (Code::InvalidArgument, "BATCH_TOO_LARGE"),
            "",
        ),
        (|request| request.items = of_classes(33), INVALID, "items.data_class"),
    ];
    for (change, expected, field) in common_rows!(v1::TokenizeRequest).into_iter().chain(own) {
        let mut request = tokenize("email", [email(1)]);
        change(&mut request);
        let (refusal, entry) = assert_refused(&vault, loader.tokenize(request), expected).await;
        assert_names(&refusal, field);
        assert_eq!((entry.action.as_str(), entry.principal.as_str()), ("tokenize", Role::Loader.principal()));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_detokenize_of_the_wrong_form_is_refused_by_name() {
    let vault = vault().await;
    vault.secrets().plant(b"4929831700526640");
    let token = vault.give("email", [email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let own: [Row<v1::DetokenizeRequest>; 4] = [
        (|request| request.level = 4, INVALID, "level"),
        (|request| request.level = -1, INVALID, "level"),
        (
            |request| request.items = vec![request.items[0].clone(); 1001],
            (Code::InvalidArgument, "BATCH_TOO_LARGE"),
            "",
        ),
        (
            |request| request.items = (0..33).map(|n| detokenize_item(&format!("class{n}"), "tok")).collect(),
            INVALID,
            "items.data_class",
        ),
    ];
    for (change, expected, field) in common_rows!(v1::DetokenizeRequest).into_iter().chain(own) {
        let mut request = detokenize("email", [&token]);
        change(&mut request);
        let (refusal, entry) = assert_refused(&vault, payments.detokenize(request), expected).await;
        assert_names(&refusal, field);
        assert_eq!((entry.action.as_str(), entry.principal.as_str()), ("detokenize", Role::Payments.principal()));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_tokens_of_the_wrong_form_is_refused_by_name() {
    let vault = vault().await;
    vault.secrets().plant(b"4929831700526640");
    let token = vault.give("email", [email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let rows: [Row<v1::DescribeTokensRequest>; 8] = [
        (|request| request.items.clear(), (Code::InvalidArgument, "BATCH_EMPTY"), ""),
        (
            |request| request.items = vec![request.items[0].clone(); 1001],
            (Code::InvalidArgument, "BATCH_TOO_LARGE"),
            "",
        ),
        (
            |request| request.items = (0..33).map(|n| detokenize_item(&format!("class{n}"), "tok")).collect(),
            INVALID,
            "items.data_class",
        ),
        (|request| request.audience = "4929831700526640".to_owned(), INVALID, "audience"),
        (|request| request.audience.clear(), INVALID, "audience"),
        (|request| request.purpose = "With Spaces".to_owned(), INVALID, "purpose"),
        (|request| request.purpose = "curiosity".to_owned(), (Code::InvalidArgument, "PURPOSE_UNKNOWN"), ""),
        (|request| request.reference = "x4929831700526".to_owned(), INVALID, "reference"),
    ];
    for (change, expected, field) in rows {
        let mut request = describe("email", [&token]);
        change(&mut request);
        let (refusal, entry) = assert_refused(&vault, payments.describe(request), expected).await;
        assert_names(&refusal, field);
        assert_eq!((entry.action.as_str(), entry.principal.as_str()), ("describe", Role::Payments.principal()));
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_items_and_classes_as_the_limits_say_are_taken() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let given = loader.tokenize(v1::TokenizeRequest { items: of_classes(32), ..tokenize("", [""; 0]) }).await.unwrap();
    for result in given.results {
        result.unwrap_err().is(DENIED.0, DENIED.1);
    }
    let given = loader.tokenize(tokenize("email", (0..1000).map(email))).await.unwrap();
    assert_eq!(given.tokens().len(), 1000);
    vault.finish().await;
}

/// Calls every method in a region.
async fn in_region(vault: &TestVault, region: &str, expected: (Code, &str), refusals: &mut Refusals) -> Vec<Refusal> {
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let auditor = vault.caller(Role::Auditor).await;
    let region = region.to_owned();
    let give = v1::TokenizeRequest { region: region.clone(), ..tokenize("email", [email(1)]) };
    let reveal = v1::DetokenizeRequest { region: region.clone(), ..detokenize("email", ["tok_eu_any"]) };
    let tell = v1::DescribeTokensRequest { region: region.clone(), ..describe("email", ["tok_eu_any"]) };
    let why = v1::ExplainAccessRequest { region: region.clone(), ..explain("payments", "email", "tok_eu_any") };
    let reason = ["FIELD_INVALID", "REGION_UNKNOWN", "WRONG_REGION"].into_iter().find(|r| *r == expected.1).unwrap();
    for action in ["tokenize", "detokenize", "describe", "explain_access", "query_access_log", "get_checkpoint"] {
        refusals.expect(action, reason);
    }
    vec![
        assert_turned_away(vault, loader.tokenize(give), expected).await,
        assert_turned_away(vault, payments.detokenize(reveal), expected).await,
        assert_turned_away(vault, payments.describe(tell), expected).await,
        assert_turned_away(vault, auditor.explain(why), expected).await,
        assert_turned_away(vault, auditor.query(query(&region)), expected).await,
        assert_turned_away(vault, auditor.checkpoint(&region), expected).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_not_served_here_is_refused_before_anything_else_and_says_where_to_go() {
    let mut vault = vault().await;
    vault.secrets().plant(b"4929831700526640");
    let mut refusals = Refusals::default();
    for region in ["", "EU", "eu_1", "4929831700526640", "a2345678901234567"] {
        for refusal in in_region(&vault, region, INVALID, &mut refusals).await {
            assert_names(&refusal, "region");
        }
    }
    for refusal in in_region(&vault, "mars", UNKNOWN_REGION, &mut refusals).await {
        assert!(refusal.metadata.is_empty());
    }
    let wrong = (Code::FailedPrecondition, "WRONG_REGION");
    for refusal in in_region(&vault, "apac", wrong, &mut refusals).await {
        assert_eq!(refusal.metadata["region"], "apac");
        assert_eq!(refusal.metadata["endpoint"], "https://vault-apac.example.com:8443");
    }
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_nodes_log_is_no_region() {
    let vault = vault().await;
    let (loader, auditor) = (vault.caller(Role::Loader).await, vault.caller(Role::Auditor).await);
    let request = v1::TokenizeRequest { region: "node".to_owned(), ..tokenize("email", [email(1)]) };
    assert_names(&assert_turned_away(&vault, loader.tokenize(request), INVALID).await, "region");
    assert_names(&assert_turned_away(&vault, auditor.query(query("node")), INVALID).await, "region");
    vault.finish().await;
}

async fn one_token(caller: &Caller, request: v1::TokenizeRequest) -> Result<Result<v1::TokenIssued, Refusal>, Refusal> {
    Ok(caller.tokenize(request).await?.results.remove(0))
}

async fn one_value(caller: &Caller, request: v1::DetokenizeRequest) -> Result<Result<Vec<u8>, Refusal>, Refusal> {
    Ok(caller.detokenize(request).await?.results.remove(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalog_does_not_have_is_denied_like_what_is_not_granted() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let mut replies = Vec::new();
    // A card number put where the name of its class belongs: it must not get into the log.
    let misplaced = card(77);
    vault.secrets().plant(misplaced.as_bytes());
    for class in ["no_such_class", "Card Number", "", misplaced.as_str()] {
        let request = tokenize(class, [email(1)]);
        let outcome = ("denied", "DATA_CLASS_UNKNOWN");
        let (refusal, entry) = assert_item_refused(&vault, one_token(&loader, request), DENIED, outcome).await;
        assert_eq!(entry.items[0].data_class, "unknown");
        replies.push(refusal.bytes);
    }
    let request = v1::TokenizeRequest { audience: "nobody".to_owned(), ..tokenize("email", [email(1)]) };
    let outcome = ("denied", "AUDIENCE_UNKNOWN");
    replies.push(assert_item_refused(&vault, one_token(&loader, request), DENIED, outcome).await.0.bytes);
    let support = vault.caller(Role::Support).await;
    let outcome = ("denied", "ACCESS_DENIED");
    let request = tokenize("email", [email(1)]);
    replies.push(assert_item_refused(&vault, one_token(&support, request), DENIED, outcome).await.0.bytes);
    replies.dedup();
    assert_eq!(replies.len(), 1, "the answers are the same, byte for byte");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_purpose_is_told_to_whom_the_class_was_granted_and_denied_to_others() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let required = (Code::InvalidArgument, "PURPOSE_REQUIRED");
    for role in [Role::Loader, Role::Regional] {
        let caller = vault.caller(role).await;
        let request = v1::TokenizeRequest { purpose: String::new(), ..tokenize("email", [email(1)]) };
        let outcome = ("failed", "PURPOSE_REQUIRED");
        assert_item_refused(&vault, one_token(&caller, request), required, outcome).await;
    }
    let without = || v1::DetokenizeRequest { purpose: String::new(), ..detokenize("email", [&token]) };
    let payments = vault.caller(Role::Payments).await;
    let outcome = ("failed", "PURPOSE_REQUIRED");
    assert_item_refused(&vault, one_value(&payments, without()), required, outcome).await;
    let idle = vault.caller(Role::Idle).await;
    assert_item_refused(&vault, one_value(&idle, without()), DENIED, ("denied", "ACCESS_DENIED")).await;
    // A purpose that is registered, but not the caller's.
    let other = v1::DetokenizeRequest { purpose: "analysis".to_owned(), ..detokenize("email", [&token]) };
    assert_item_refused(&vault, one_value(&payments, other), DENIED, ("denied", "ACCESS_DENIED")).await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_the_wrong_form_is_refused_by_name() {
    let vault = vault().await;
    for n in 0..3 {
        vault.give("email", [email(n)]).await;
    }
    let auditor = vault.caller(Role::Auditor).await;
    let rows: [Row<v1::QueryAccessLogRequest>; 5] = [
        (|query| query.page_size = 1001, INVALID, "page_size"),
        (|query| query.page_size = u32::MAX, INVALID, "page_size"),
        (|query| query.purpose = "With Spaces".to_owned(), INVALID, "purpose"),
        (|query| query.purpose = "curiosity".to_owned(), (Code::InvalidArgument, "PURPOSE_UNKNOWN"), ""),
        (|query| query.reference = "x4929831700526".to_owned(), INVALID, "reference"),
    ];
    let of_filter: [Row<v1::AccessLogFilter>; 15] = [
        (|filter| filter.action = "steal".to_owned(), INVALID, "filter.action"),
        (|filter| filter.decision = "maybe".to_owned(), INVALID, "filter.decision"),
        (|filter| filter.data_class = "Card Number".to_owned(), INVALID, "filter.data_class"),
        (|filter| filter.principal = "two words".to_owned(), INVALID, "filter.principal"),
        (|filter| filter.principal = "p".repeat(257), INVALID, "filter.principal"),
        (|filter| filter.token = "tok_eu_any_at_all".to_owned(), INVALID, "filter.data_class"),
        (|filter| filter.token = "t".repeat(65_537), INVALID, "filter.token"),
        (|filter| filter.audience = "Payments".to_owned(), INVALID, "filter.audience"),
        (|filter| filter.purpose = "With Spaces".to_owned(), INVALID, "filter.purpose"),
        (|filter| filter.reference = "x4929831700526".to_owned(), INVALID, "filter.reference"),
        (|filter| filter.reason = "BECAUSE".to_owned(), INVALID, "filter.reason"),
        (|filter| filter.source = "192.0.2.1/24".to_owned(), INVALID, "filter.source"),
        (|filter| filter.source = "here".to_owned(), INVALID, "filter.source"),
        (|filter| filter.request_id = "AB".repeat(16), INVALID, "filter.request_id"),
        (|filter| filter.request_id = "12".to_owned(), INVALID, "filter.request_id"),
    ];
    for (change, expected, field) in of_filter {
        let ask = v1::QueryAccessLogRequest { filter: by(change), ..query("eu") };
        let (refusal, entry) = assert_refused(&vault, auditor.query(ask), expected).await;
        assert_names(&refusal, field);
        assert_eq!(entry.action, "query_access_log");
    }
    for (change, expected, field) in rows {
        let mut ask = query("eu");
        change(&mut ask);
        let (refusal, entry) = assert_refused(&vault, auditor.query(ask), expected).await;
        assert_names(&refusal, field);
        assert_eq!(entry.action, "query_access_log");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_good_for_its_own_question_alone() {
    let vault = vault().await;
    for n in 0..3 {
        vault.give("email", [email(n)]).await;
    }
    let auditor = vault.caller(Role::Auditor).await;
    let globex = vault.caller(Role::GlobexAuditor).await;
    let ask = v1::QueryAccessLogRequest { page_size: 1, ..query("eu") };
    let good = auditor.query(ask.clone()).await.unwrap().next_page_token;
    let next = |page_token: &str| v1::QueryAccessLogRequest { page_token: page_token.to_owned(), ..ask.clone() };
    assert_eq!(auditor.query(next(&good)).await.unwrap().entries.len(), 1);

    let invalid = (Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    let mut bad: Vec<String> = ["junk", "0", "ffffffffffffffffffffffffffffffff", "Ω"].map(str::to_owned).to_vec();
    bad.extend([good.to_uppercase(), format!("{good}0"), good[1..].to_owned(), format!(" {good}")]);
    bad.push(format!("{}{}", "7".repeat(16), &good[16..]));
    // Nothing left to look at, and more than there is.
    bad.push(format!("{}{}", "0".repeat(32), &good[32..]));
    bad.push(format!("{:016x}{:016x}{}", 0, 1_u64 << 40, &good[32..]));
    bad.push("0".repeat(100_000));
    for page_token in bad.iter().filter(|page_token| **page_token != good) {
        assert_refused(&vault, auditor.query(next(page_token)), invalid).await;
    }
    let other = v1::QueryAccessLogRequest { filter: by(|filter| filter.action = "tokenize".to_owned()), ..next(&good) };
    assert_refused(&vault, auditor.query(other), invalid).await;
    globex.query(next(&good)).await.unwrap_err().is(invalid.0, invalid.1);
    let elsewhere = v1::QueryAccessLogRequest { region: "us".to_owned(), ..next(&good) };
    auditor.query(elsewhere).await.unwrap_err().is(invalid.0, invalid.1);
    vault.finish().await;
}
