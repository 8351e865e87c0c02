//! ExplainAccess: whether a caller would be shown a value, and why not, without showing anything.

use std::{path::Path, sync::Arc, time::Duration};

use tonic::Code;
use vault_domain::ManualClock;
use vault_proto::v1::{self, RevealLevel};
use vault_tests::{
    issuer::{SigningKey, jwks},
    requests::{by, detokenize, email, explain, query, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::{DISK, vault, vault_and_clock};

/// A change to a question that would be answered with yes, and the reason that it is answered with.
type Row = (fn(&mut v1::ExplainedCall), &'static str, &'static [&'static str]);

/// A change that makes a question one of the wrong form, and the field that the answer names.
type Wrong = (fn(&mut v1::ExplainAccessRequest), &'static str);

fn caller(explained: &mut v1::ExplainedCall) -> &mut v1::ExplainedCaller {
    explained.caller.as_mut().unwrap()
}

/// Asks about another account of the tests in the place of `payments`.
fn another(call: &mut v1::ExplainedCall, name: &str) {
    let caller = caller(call);
    caller.principal = caller.principal.replace("payments", name);
}

/// The token with its check characters changed.
fn one_changed(token: &str) -> String {
    let last = if token.ends_with('7') { '8' } else { '7' };
    format!("{}{last}", &token[..token.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_what_the_log_would_say_with_the_policies_that_decide() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let auditor = vault.caller(Role::Auditor).await;
    let yes = auditor.explain(explain("payments", "email", &token)).await.unwrap();
    assert!(yes.revealed && yes.level() == RevealLevel::Full && yes.reason.is_empty(), "{yes:?}");
    assert_eq!(yes.policies, ["grant"]);
    let rows: [Row; 10] = [
        (|call| call.purpose.clear(), "PURPOSE_REQUIRED", &["purpose_required"]),
        (|call| "curiosity".clone_into(&mut call.purpose), "PURPOSE_UNKNOWN", &[]),
        (|call| "analysis".clone_into(&mut call.purpose), "ACCESS_DENIED", &[]),
        (|call| "support".clone_into(&mut call.audience), "AUDIENCE_NOT_OWN", &["own_audience"]),
        (|call| "dns:nobody.example".clone_into(&mut caller(call).principal), "PRINCIPAL_UNKNOWN", &[]),
        (|call| another(call, "globex-payments"), "PRINCIPAL_UNKNOWN", &[]),
        (|call| another(call, "loader"), "AUDIENCE_NOT_OWN", &["own_audience"]),
        // Who is named by an issuer comes with an access token; of this one none is believed here.
        (|call| "idp:payments".clone_into(&mut caller(call).principal), "ACCESS_TOKEN_REQUIRED", &[]),
        (
            |call| {
                "idp:payments".clone_into(&mut caller(call).principal);
                caller(call).access_token = true;
            },
            "ACCESS_TOKEN_ISSUER_UNKNOWN",
            &[],
        ),
        // Its certificate alone does not let it in.
        (|call| another(call, "careful"), "ACCESS_TOKEN_REQUIRED", &[]),
    ];
    for (change, reason, policies) in rows {
        let mut question = explain("payments", "email", &token);
        change(question.explained.as_mut().unwrap());
        let no = auditor.explain(question).await.unwrap();
        assert!(!no.revealed && !no.text.is_empty() && !no.remedy.is_empty(), "{no:?}");
        assert_eq!(
            (no.reason.as_str(), no.policies.iter().map(String::as_str).collect::<Vec<_>>()),
            (reason, policies.to_vec())
        );
    }
    // Of the token itself it tells what the log alone would know; of another tenant's, as of one that never was.
    let globex = vault.caller(Role::GlobexLoader).await.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens();
    let session = vault.give("session", ["a"]).await;
    for (token, reason) in [
        (globex[0].as_str(), "TOKEN_UNKNOWN"),
        (&one_changed(&globex[0]), "TOKEN_UNKNOWN"),
        (&one_changed(&session[0]), "TOKEN_OF_ANOTHER_CLASS"),
        (&session[0], "TOKEN_OF_ANOTHER_CLASS"),
        ("tok_eu_but_not_really", "TOKEN_MALFORMED"),
    ] {
        let no = auditor.explain(explain("payments", "email", token)).await.unwrap();
        assert_eq!((no.revealed, no.reason.as_str()), (false, reason));
    }
    // Every question is an entry under an action of its own.
    let asked =
        v1::QueryAccessLogRequest { filter: by(|filter| filter.action = "explain_access".to_owned()), ..query("eu") };
    let entries = auditor.query(asked).await.unwrap().entries;
    assert_eq!(entries.len(), 16);
    // Each says about whom it was; that of another tenant's token no more than the answer did.
    let about = |principal: &str| entries.iter().filter(|entry| entry.explained_principal == principal).count();
    assert_eq!((about("spiffe://test.tokenvault/payments"), about("idp:payments")), (10, 2));
    assert!(entries.iter().all(|entry| !entry.explained_principal.is_empty()));
    let outcomes = || entries.iter().flat_map(|entry| &entry.items);
    assert!(outcomes().all(|items| items.outcome != "TOKEN_OF_ANOTHER_TENANT"));
    let unknown: Vec<_> = outcomes().filter(|items| items.outcome == "TOKEN_UNKNOWN").collect();
    assert_eq!(unknown.len(), 2);
    assert!(unknown.iter().all(|items| items.record_numbers.is_empty() && items.token_hashes.len() == 1));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_may_ask_about_its_own_call_and_is_answered_as_detokenize_answers() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let globex = vault.caller(Role::GlobexLoader).await.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens();
    let payments = vault.caller(Role::Payments).await;
    let own = |token: &str| {
        let mut question = explain("payments", "email", token);
        let explained = question.explained.as_mut().unwrap();
        (explained.caller, explained.purpose) = (None, String::new());
        v1::ExplainAccessRequest { purpose: "settlement".to_owned(), ..question }
    };
    let yes = payments.explain(own(&token)).await.unwrap();
    assert!(yes.revealed && yes.policies.is_empty(), "{yes:?}");
    for token in [globex[0].as_str(), "tok_eu_but_not_really"] {
        let no = payments.explain(own(token)).await.unwrap();
        let refused = payments.detokenize(detokenize("email", [token])).await.unwrap().results.remove(0).unwrap_err();
        assert_eq!((no.revealed, no.reason.as_str()), (false, refused.reason.as_str()));
        assert_eq!(no.reason, "TOKEN_NOT_FOUND");
    }
    let loader = vault.caller(Role::Loader).await.explain(own(&token)).await.unwrap();
    assert_eq!((loader.revealed, loader.reason.as_str()), (false, "ACCESS_DENIED"));
    // Others are nobody's business without the permission for it.
    let about_others = explain("support", "email", &token);
    payments.explain(about_others).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn step_up_and_references_are_explained_and_asked_for() {
    let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(ManualClock::at(BEGINNING)));
    vault.set_issuers(
        "[issuers.idp]\nissuer = \"https://idp.test.tokenvault\"\naudiences = [\"https://vault.test.tokenvault\"]\n\
         algorithms = [\"ES256\"]\njwks_file = \"idp.json\"\n",
    );
    vault.replace("idp.json", jwks(&[&SigningKey::ec("one")]));
    vault.edit("catalog.toml", "classes = [\"email\", \"customer_id\"] }]", "classes = [\"email\", \"salary\"] }]");
    vault.start_again().await;
    let token = vault.give("salary", ["52000"]).await.remove(0);
    let auditor = vault.caller(Role::Auditor).await;
    let ask = async |change: fn(&mut v1::ExplainedCall)| {
        let mut question = explain("payments", "salary", &token);
        let explained = question.explained.as_mut().unwrap();
        "idp:payments".clone_into(&mut caller(explained).principal);
        "T-1".clone_into(&mut explained.reference);
        caller(explained).access_token = true;
        (caller(explained).assurance, caller(explained).authenticated_seconds) = (2, Some(900));
        change(explained);
        let answer = auditor.explain(question).await.unwrap();
        if answer.revealed { "yes".to_owned() } else { answer.reason }
    };
    assert_eq!(ask(|_| ()).await, "yes");
    assert_eq!(ask(|call| caller(call).authenticated_seconds = Some(901)).await, "STEP_UP_REQUIRED");
    assert_eq!(ask(|call| caller(call).authenticated_seconds = None).await, "STEP_UP_REQUIRED");
    assert_eq!(ask(|call| caller(call).assurance = 1).await, "STEP_UP_REQUIRED");
    assert_eq!(ask(|call| caller(call).clearance = vec!["us".to_owned()]).await, "ACCESS_DENIED");
    assert_eq!(ask(|call| caller(call).access_token = false).await, "ACCESS_TOKEN_REQUIRED");
    let alone: fn(&mut v1::ExplainedCall) = |call| {
        let principal = "spiffe://test.tokenvault/payments".to_owned();
        call.caller = Some(v1::ExplainedCaller { principal, ..Default::default() });
    };
    assert_eq!(ask(alone).await, "STEP_UP_REQUIRED");
    assert_eq!(ask(|call| call.reference.clear()).await, "REFERENCE_REQUIRED");

    // A certificate alone proves no strength, and the caller is told what is missing.
    let payments = vault.caller(Role::Payments).await;
    let request = v1::DetokenizeRequest { reference: "T-1".to_owned(), ..detokenize("salary", [&token]) };
    let refused = payments.detokenize(request).await.unwrap().results.remove(0).unwrap_err();
    refused.is(Code::PermissionDenied, "STEP_UP_REQUIRED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_told_from_one_that_never_was() {
    let (vault, clock) = vault_and_clock().await;
    let token = vault.give("session", ["a"]).await.remove(0);
    let auditor = vault.caller(Role::Auditor).await;
    assert!(auditor.explain(explain("payments", "session", &token)).await.unwrap().revealed);
    clock.advance(Duration::from_secs(60));
    assert_eq!(auditor.explain(explain("payments", "session", &token)).await.unwrap().reason, "TOKEN_EXPIRED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_of_the_wrong_form_is_refused_by_name() {
    let vault = vault().await;
    let auditor = vault.caller(Role::Auditor).await;
    let rows: [Wrong; 9] = [
        (|question| question.explained = None, "explained"),
        (|question| question.explained.as_mut().unwrap().item = None, "explained.item"),
        (|question| question.explained.as_mut().unwrap().caller = None, "explained.purpose"),
        (|question| caller(question.explained.as_mut().unwrap()).principal.clear(), "principal"),
        (|question| caller(question.explained.as_mut().unwrap()).assurance = 4, "explained.caller.assurance"),
        (|question| caller(question.explained.as_mut().unwrap()).access_token = true, "explained.caller.access_token"),
        (|question| caller(question.explained.as_mut().unwrap()).roles = vec!["A B".to_owned()], "role"),
        (
            |question| "here".clone_into(&mut caller(question.explained.as_mut().unwrap()).source),
            "explained.caller.source",
        ),
        (|question| question.explained.as_mut().unwrap().level = 99, "level"),
    ];
    for (change, field) in rows {
        let mut question = explain("payments", "email", "t");
        change(&mut question);
        let refusal = auditor.explain(question).await.unwrap_err();
        refusal.is(Code::InvalidArgument, "FIELD_INVALID");
        let named: Vec<&str> = refusal.fields.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(named, [field]);
    }
    vault.finish().await;
}
