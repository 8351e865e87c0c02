//! The deny-list of access tokens, by AdminService: who may write it, what it does, and where that stands.

use std::time::Duration;

use serde_json::json;
use tonic::{Code, Request};
use vault_domain::{Action, Clock, Decision, Millis};
use vault_ledger::Entry;
use vault_proto::v1::{
    DeniedAccessToken, DenyAccessTokensRequest, ListDeniedAccessTokensRequest, admin_service_client::AdminServiceClient,
};
use vault_tests::{connection::Connection, refusal::Refusal, roles::Role, stored_log::people};

use super::access_token::Scene;
use crate::{
    api::replay::{assert_late, assert_replayed, said},
    bad_input::Refusals,
};

/// The operator of the tests' catalog.
const OPERATOR: Role = Role::Regional;

impl Scene {
    async fn admin(&self, role: Role) -> AdminServiceClient<Connection> {
        let connection = self.vault.caller(role).await.connection().clone();
        let origin = connection.origin().clone();
        AdminServiceClient::with_origin(connection, origin)
    }

    async fn deny(&self, role: Role, tokens: Vec<DeniedAccessToken>) -> Result<(), Refusal> {
        let request = Request::new(DenyAccessTokensRequest { tokens });
        let answer = self.admin(role).await.deny_access_tokens(request).await;
        answer.map(drop).map_err(|status| Refusal::of_call(&status))
    }

    async fn denied(&self, role: Role, page_token: &str) -> Result<Vec<DeniedAccessToken>, Refusal> {
        let request = Request::new(ListDeniedAccessTokensRequest { page_token: page_token.to_owned() });
        let answer = self.admin(role).await.list_denied_access_tokens(request).await;
        answer.map(|answer| answer.into_inner().tokens).map_err(|status| Refusal::of_call(&status))
    }
}

fn named(issuer: &str, jti: &str) -> DeniedAccessToken {
    DeniedAccessToken { issuer: issuer.to_owned(), jti: jti.to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_an_operator_denies_is_refused_at_once_and_after_a_restart() {
    let mut scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let stolen = scene.token(|claims| claims["jti"] = json!("stolen"));
    let other = scene.token(|claims| claims["jti"] = json!("mine"));
    assert!(scene.bring(&stolen).await.is_ok());
    let until_ms = vault_tests::vault::BEGINNING.0 + 200_000;
    let reference = "CASE-7".to_owned();
    let denial = DeniedAccessToken { until_ms, reference, ..named("idp", "stolen") };
    scene.deny(OPERATOR, vec![denial.clone(), named("other", "mine")]).await.unwrap();
    // A second denial makes the first no shorter; one that is over before it begins is a mistake.
    let shorter = DeniedAccessToken { until_ms: until_ms - 100_000, ..denial.clone() };
    scene.deny(OPERATOR, vec![shorter]).await.unwrap();
    let over = DeniedAccessToken { until_ms: vault_tests::vault::BEGINNING.0, ..denial.clone() };
    scene.deny(OPERATOR, vec![over]).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
    refusals.expect("deny_access_token", "FIELD_INVALID");
    for restart in [false, true] {
        if restart {
            scene.vault.stop().await;
            scene.vault.start_again().await;
        }
        scene.bring(&stolen).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", "ACCESS_TOKEN_DENIED");
        assert!(scene.bring(&other).await.is_ok());
        let listed = scene.denied(OPERATOR, "").await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0], denial);
        assert_eq!(scene.denied(OPERATOR, "idp stolen").await.unwrap().len(), 1);
    }
    // When it would have expired by itself, it is dropped.
    scene.clock.advance(Duration::from_secs(201));
    assert_eq!(scene.denied(OPERATOR, "").await.unwrap().len(), 1);
    scene.vault.stop().await;
    let log = scene.vault.stored_log("node").decoded();
    let denied: Vec<_> = log.iter().filter(|Entry { head, .. }| head.action == Action::DenyAccessToken).collect();
    let named: Vec<_> = denied.iter().filter_map(|entry| people(entry).unwrap().reference.clone()).collect();
    assert_eq!(
        named.iter().map(vault_domain::Reference::as_str).collect::<Vec<_>>(),
        ["idp:stolen", "other:mine", "idp:stolen"]
    );
    assert_eq!(people(denied[0]).unwrap().principal.as_ref().unwrap().as_str(), OPERATOR.principal());
    assert_eq!(Refusals::stored(&scene.vault), refusals);
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deny_list_is_for_those_who_were_granted_it() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    for role in [Role::Payments, Role::Auditor, Role::GlobexAuditor] {
        scene.deny(role, vec![named("idp", "mine")]).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
        refusals.expect("deny_access_token", "ACCESS_DENIED");
        scene.denied(role, "").await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
        refusals.expect("list_denied", "ACCESS_DENIED");
    }
    scene.deny(Role::Stranger, vec![]).await.unwrap_err().is(Code::Unauthenticated, "PRINCIPAL_UNKNOWN");
    refusals.expect("deny_access_token", "PRINCIPAL_UNKNOWN");
    let bad = [
        vec![],
        vec![named("idp", "x"); 101],
        vec![named("", "x")],
        vec![named("ipd", "x")],
        vec![named("idp", "")],
        vec![named("idp", &"j".repeat(129))],
        vec![DeniedAccessToken { reference: "4111111111111111".to_owned(), ..named("idp", "x") }],
    ];
    for tokens in bad {
        scene.deny(OPERATOR, tokens).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
        refusals.expect("deny_access_token", "FIELD_INVALID");
    }
    scene.denied(OPERATOR, "junk").await.unwrap_err().is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    refusals.expect("list_denied", "PAGE_TOKEN_INVALID");
    assert!(scene.denied(OPERATOR, "").await.unwrap().is_empty());
    assert!(scene.bring(&scene.token(|claims| claims["jti"] = json!("mine"))).await.is_ok());
    scene.finish(refusals).await;
}

type Operator = AdminServiceClient<Connection>;

fn operator_on(connection: Connection) -> Operator {
    let origin = connection.origin().clone();
    AdminServiceClient::with_origin(connection, origin)
}

/// Denies an access token, in a call that says this of itself.
async fn deny_saying(operator: &Operator, jti: &str, nonce: u128, sent: Millis) -> Result<(), Refusal> {
    let token = DeniedAccessToken { issuer: "idp".to_owned(), jti: jti.to_owned(), ..Default::default() };
    let request = said(DenyAccessTokensRequest { tokens: vec![token] }, nonce, sent);
    let denied = operator.clone().deny_access_tokens(request).await;
    denied.map(drop).map_err(|status| Refusal::of_call(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_an_operator_counts_once_whatever_becomes_of_it_and_across_a_restart() {
    let Scene { mut vault, clock, .. } = Scene::start().await;
    let operator = operator_on(vault.caller(OPERATOR).await.connection().clone());
    let now = clock.wall();
    deny_saying(&operator, "stolen", 1, now).await.unwrap();
    assert_replayed(&deny_saying(&operator, "stolen", 1, now).await.unwrap_err());
    assert_replayed(&deny_saying(&operator, "another", 1, Millis(now.0 + 60_000)).await.unwrap_err());
    let list = said(ListDeniedAccessTokensRequest::default(), 1, now);
    let listed = operator.clone().list_denied_access_tokens(list).await.unwrap_err();
    assert_replayed(&Refusal::of_call(&listed));
    // A call that is refused for what it says has used its nonce up.
    deny_saying(&operator, "", 2, now).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
    assert_replayed(&deny_saying(&operator, "stolen", 2, now).await.unwrap_err());
    let payments = operator_on(vault.caller(Role::Payments).await.connection().clone());
    for _ in 0..2 {
        deny_saying(&payments, "stolen", 2, now).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    }
    let bare = operator_on(vault.try_connect(OPERATOR).await.unwrap().without_nonces());
    let without = bare.clone().list_denied_access_tokens(ListDeniedAccessTokensRequest::default()).await;
    Refusal::of_call(&without.unwrap_err()).is(Code::InvalidArgument, "NONCE_REQUIRED");
    let late = deny_saying(&operator, "stolen", 3, Millis(now.0 - 120_001)).await.unwrap_err();
    assert_late(&late);
    // Of many at once one passes.
    let calls: Vec<_> = (0..32)
        .map(|_| {
            let operator = operator.clone();
            tokio::spawn(async move { deny_saying(&operator, "raced", 4, now).await })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(()) => passed += 1,
            Err(refused) => assert_replayed(&refused),
        }
    }
    assert_eq!(passed, 1);
    drop((operator, payments, bare));
    vault.stop().await;
    vault.start_again().await;
    let operator = operator_on(vault.caller(OPERATOR).await.connection().clone());
    for used in [1, 2, 4] {
        assert_replayed(&deny_saying(&operator, "stolen", used, now).await.unwrap_err());
    }
    deny_saying(&operator, "stolen", 5, now).await.unwrap();
    vault.stop().await;
    let log = vault.stored_log("node").decoded();
    let allowed =
        |entry: &&Entry| entry.head.action == Action::DenyAccessToken && entry.head.decision == Decision::Allowed;
    assert_eq!(log.iter().filter(allowed).count(), 3);
}
