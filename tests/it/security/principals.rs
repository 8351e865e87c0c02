//! Every method of the contract and every kind of principal: what becomes of the call, what the caller is told, and
//! where that stands. The methods are read from the contract and the kinds are a type, so that neither a new method nor
//! a new kind can do without its outcome here.
//!
//! A new method needs a row in [`ROWS`], a way to be called ([`super::grants::call`]) and, if somebody is to be served,
//! a grant in [`ACCOUNTS`].

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use http::HeaderMap;
use serde_json::json;
use tonic::Code;
use vault_domain::{Clock, SystemClock};
use vault_proto::v1;
use vault_server::{Config, Environment};
use vault_tests::{
    caller::Caller,
    certificates::{Identity, Name},
    issuer::{SigningKey, claims, jwks},
    refusal::Refusal,
    requests::email,
    roles::Role,
    stored_log::people,
    vault::TestVault,
};

use super::grants::{admin, call, methods};
use crate::DISK;

/// A data class that can be shown in full and masked.
const CLASS: &str = "contact";

/// What each kind was granted.
const ACCOUNTS: &str = r#"
[accounts."spiffe://test.tokenvault/kinds/service"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [{ actions = ["tokenize", "detokenize", "describe", "find"], classes = ["contact"] }]

# Replaces values on their way in, and shows masks on their way out.
[accounts."spiffe://test.tokenvault/kinds/gateway"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["tokenize"], classes = ["contact"] },
    { actions = ["detokenize"], classes = ["contact"], level = "masked" },
]

[accounts."spiffe://test.tokenvault/kinds/auditor"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["query_access_log", "export_access_log", "get_checkpoint"] },
    { actions = ["explain_access"], classes = ["contact"], audiences = ["payments"] },
]

[accounts."spiffe://test.tokenvault/kinds/operator"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["get_checkpoint", "deny_access_token", "list_denied"] },
    { actions = ["renew", "suspend", "resume", "revoke"], classes = ["contact"] },
    { actions = ["apply_policies", "list_policy_versions", "get_policy_version", "prune_access_log"] },
]

# Known by an access token that calls it an approver, which grants nothing: no method is an approver's yet.
[accounts."idp:approver"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]

[accounts."spiffe://test.tokenvault/kinds/idle"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
"#;

const ISSUERS: &str = r#"
[issuers.idp]
issuer = "https://idp.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_file = "idp.json"
rules = [{ gives = "principal", claim = "sub" }, { gives = "role", claim = "roles" }]
"#;

/// Who may come. The first ones are somebody here; what becomes of their calls stands in [`ROWS`]. The others are
/// nobody: no method has an outcome for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Service,
    Gateway,
    Auditor,
    Operator,
    Approver,
    /// An account without grants.
    Idle,
    /// A certificate without an account.
    Stranger,
    /// A good access token without an account, and likewise its certificate.
    StrangerWithToken,
    /// The service, with an access token that is another's.
    Thief,
    /// A good access token of an account, and no certificate.
    TokenAlone,
}

/// Kinds that are somebody.
const SOMEBODY: usize = 5;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    Refused(&'static str),
}

/// Is served.
const YES: Outcome = Outcome::Served;
/// Was not granted it.
const NO: Outcome = Outcome::Refused("ACCESS_DENIED");
/// Was granted less of it than it asks for.
const LESS: Outcome = Outcome::Refused("LEVEL_NOT_PERMITTED");

/// Where calls of a method stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Region,
    Node,
    Nowhere,
}
use Place::{Node, Nowhere, Region};

struct Row {
    /// Service and method, without the package.
    method: &'static str,
    action: &'static str,
    /// Where it stands if somebody is served, and if somebody is not granted it.
    stands: (Place, Place),
    /// Service, gateway, auditor, operator, approver.
    outcomes: [Outcome; SOMEBODY],
}

const fn row(method: &'static str, action: &'static str, stands: (Place, Place), outcomes: [Outcome; SOMEBODY]) -> Row {
    Row { method, action, stands, outcomes }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // the last column: service, gateway, auditor, operator, approver
    row("TokenService/Tokenize", "tokenize", (Region, Region),                        [YES, YES, NO, NO, NO]),
    row("TokenService/Detokenize", "detokenize", (Region, Region),                    [YES, LESS, NO, NO, NO]),
    row("TokenService/TokenizeStream", "tokenize", (Region, Region),                  [YES, YES, NO, NO, NO]),
    row("TokenService/DetokenizeStream", "detokenize", (Region, Region),              [YES, LESS, NO, NO, NO]),
    row("TokenService/DescribeTokens", "describe", (Region, Region),                  [YES, NO, NO, NO, NO]),
    row("TokenService/FindTokens", "find", (Region, Region),                          [YES, NO, NO, NO, NO]),
    row("TokenService/RenewTokens", "renew", (Region, Region),                        [NO, NO, NO, YES, NO]),
    row("TokenService/SuspendTokens", "suspend", (Region, Region),                    [NO, NO, NO, YES, NO]),
    row("TokenService/ResumeTokens", "resume", (Region, Region),                      [NO, NO, NO, YES, NO]),
    row("TokenService/ExplainAccess", "explain_access", (Region, Region),             [NO, NO, YES, NO, NO]),
    row("AuditService/QueryAccessLog", "query_access_log", (Region, Region),          [NO, NO, YES, NO, NO]),
    row("AuditService/CountAccessLog", "query_access_log", (Region, Region),          [NO, NO, YES, NO, NO]),
    row("AuditService/TailAccessLog", "query_access_log", (Region, Region),           [NO, NO, YES, NO, NO]),
    row("AuditService/ExportAccessLog", "export_access_log", (Region, Region),        [NO, NO, YES, NO, NO]),
    row("AuditService/GetEntry", "query_access_log", (Region, Region),                [NO, NO, YES, NO, NO]),
    row("AuditService/GetInclusionProof", "get_checkpoint", (Nowhere, Region),        [NO, NO, YES, YES, NO]),
    row("AuditService/GetConsistencyProof", "get_checkpoint", (Nowhere, Region),      [NO, NO, YES, YES, NO]),
    row("AuditService/GetCheckpoint", "get_checkpoint", (Nowhere, Region),            [NO, NO, YES, YES, NO]),
    row("AdminService/DenyAccessTokens", "deny_access_token", (Node, Node),           [NO, NO, NO, YES, NO]),
    row("AdminService/ListDeniedAccessTokens", "list_denied", (Node, Node),           [NO, NO, NO, YES, NO]),
    row(APPLY, "apply_policies", (Node, Node),                                        [NO, NO, NO, YES, NO]),
    row("AdminService/ListPolicyVersions", "list_policy_versions", (Node, Node),      [NO, NO, NO, YES, NO]),
    row("AdminService/GetPolicyVersion", "get_policy_version", (Node, Node),          [NO, NO, NO, YES, NO]),
    row("AdminService/PruneAccessLog", "prune_access_log", (Node, Node),              [NO, NO, NO, YES, NO]),
    // The last one: nobody is shown the token after it.
    row("TokenService/RevokeTokens", "revoke", (Region, Region),                      [NO, NO, NO, YES, NO]),
];

/// Which is asked for what is there already: so it is served and changes nothing.
const APPLY: &str = "AdminService/ApplyPolicies";

impl Row {
    /// The method's full name.
    fn full(&self) -> String {
        format!("tokenvault.v1.{}", self.method)
    }
}

impl Kind {
    /// The kind's outcome, the gRPC code that goes with it, and where it stands by which action and reason.
    fn outcome(self, row: &Row) -> (Outcome, Code, Place, (&'static str, &'static str)) {
        let outcome = match self {
            Self::Service => row.outcomes[0],
            Self::Gateway => row.outcomes[1],
            Self::Auditor => row.outcomes[2],
            Self::Operator => row.outcomes[3],
            Self::Approver => row.outcomes[4],
            Self::Idle => NO,
            Self::Stranger | Self::StrangerWithToken => Outcome::Refused("PRINCIPAL_UNKNOWN"),
            Self::Thief => Outcome::Refused("ACCESS_TOKEN_INVALID"),
            Self::TokenAlone => Outcome::Refused(""),
        };
        match (self, outcome) {
            (_, Outcome::Served) => (outcome, Code::Ok, row.stands.0, (row.action, "")),
            (Self::Stranger | Self::StrangerWithToken, Outcome::Refused(reason)) => {
                (outcome, Code::Unauthenticated, Node, (row.action, reason))
            }
            // The log is precise: the token is bound to another certificate.
            (Self::Thief, _) => (outcome, Code::Unauthenticated, Node, ("call", "ACCESS_TOKEN_UNBOUND")),
            (Self::TokenAlone, _) => (outcome, Code::Unknown, Node, ("connect", "HANDSHAKE_REFUSED")),
            (_, Outcome::Refused(reason)) => (outcome, Code::PermissionDenied, row.stands.1, (row.action, reason)),
        }
    }

    /// The principal, as the log has it.
    fn principal(self) -> Option<&'static str> {
        match self {
            Self::Service | Self::Thief => Some("spiffe://test.tokenvault/kinds/service"),
            Self::Gateway => Some("spiffe://test.tokenvault/kinds/gateway"),
            Self::Auditor => Some("spiffe://test.tokenvault/kinds/auditor"),
            Self::Operator => Some("spiffe://test.tokenvault/kinds/operator"),
            Self::Approver => Some("idp:approver"),
            Self::Idle => Some("spiffe://test.tokenvault/kinds/idle"),
            Self::Stranger => Some("spiffe://test.tokenvault/kinds/stranger"),
            Self::StrangerWithToken => Some("idp:stranger"),
            Self::TokenAlone => None,
        }
    }

    /// The name in its certificate, if it has one.
    fn certificate(self) -> Option<&'static str> {
        match self {
            Self::Approver | Self::StrangerWithToken => Some("spiffe://test.tokenvault/kinds/workstation"),
            other => other.principal(),
        }
    }

    /// The subject of its access token, if it brings one.
    fn subject(self) -> Option<&'static str> {
        match self {
            Self::Approver | Self::Thief | Self::TokenAlone => Some("approver"),
            Self::StrangerWithToken => Some("stranger"),
            _ => None,
        }
    }
}

/// Entries of the node's log by action, decision and reason: how many attempts they stand for.
type Stood = BTreeMap<(String, String, String), u64>;

/// A vault with an account for each kind.
struct Scene {
    vault: TestVault,
    issuer: SigningKey,
    token: String,
}

impl Scene {
    async fn start() -> Self {
        let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
        vault.set_issuers(ISSUERS);
        vault.edit("vault.toml", "mode = \"dev\"", "mode = \"dev\"\nrules_from = \"applied\"");
        vault.add_to_catalog(ACCOUNTS);
        let issuer = SigningKey::ec("idp-1");
        fs::write(vault.directory().join("idp.json"), jwks(&[&issuer])).unwrap();
        vault.start_again().await;
        let token = vault.give(CLASS, [email(1)]).await.remove(0);
        Self { vault, issuer, token }
    }

    /// The headers that bear an access token for this certificate.
    fn bearing(&self, subject: &str, identity: &Identity) -> HeaderMap {
        let mut claims = claims(subject, identity.certificate(), SystemClock::new().wall());
        claims["roles"] = json!([subject, "admin"]);
        let token = self.issuer.token(&claims);
        token.split('.').for_each(|part| self.vault.secrets().plant(part.as_bytes()));
        HeaderMap::from_iter([(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap())])
    }

    /// Asks for the rules that serve, from those that serve.
    async fn apply(&self, caller: &Caller) -> Result<(), Refusal> {
        let config = Config::load(&self.vault.directory().join("vault.toml"), &Environment::default()).unwrap();
        let request = v1::ApplyPoliciesRequest {
            target: Some(v1::apply_policies_request::Target::Version(1)),
            expected_fingerprint: config.policies().unwrap().fingerprint_hex(),
            expected_version: 1,
            ..Default::default()
        };
        admin(caller).apply_policies(request).await.map(drop).map_err(|status| caller.refusal(&status))
    }

    async fn caller(&self, kind: Kind) -> Option<Caller> {
        let named = |name: &str| self.vault.authority().client(&[Name::Uri(name.to_owned())]);
        let identity = kind.certificate().map(named);
        let bound = match (&identity, kind) {
            (Some(identity), kind) if kind != Kind::Thief => identity,
            _ => self.vault.identity(Role::Idle),
        };
        let said = kind.subject().map(|subject| self.bearing(subject, bound)).unwrap_or_default();
        // Who has no certificate may be turned away now or with the first request.
        let connection = self.vault.try_connect_with(identity.as_ref()).await.ok()?;
        Some(self.vault.caller_on(Role::Stranger, connection.saying(said)))
    }
}

/// Calls every method as one kind, and reads what stands about that in the logs.
async fn walk(kind: Kind) {
    let mut scene = Scene::start().await;
    let mut caller = None;
    let mut expected = Stood::new();
    for row in ROWS {
        let (outcome, code, place, (action, reason)) = kind.outcome(row);
        if kind == Kind::TokenAlone || caller.is_none() {
            caller = scene.caller(kind).await;
        }
        let mark = scene.vault.mark("eu").await;
        let answer: Option<Result<(), Refusal>> = match &caller {
            Some(caller) if kind == Kind::TokenAlone => {
                assert!(caller.connection().post(&format!("/{}", row.full()), &[]).await.is_err(), "{}", row.method);
                None
            }
            Some(caller) if row.method == APPLY => Some(scene.apply(caller).await),
            Some(caller) => Some(call(caller, &row.full(), (CLASS, &scene.token)).await),
            None => None,
        };
        match (outcome, answer) {
            (_, None) => assert_eq!(kind, Kind::TokenAlone, "everybody else is heard"),
            (Outcome::Served, Some(answer)) => {
                answer.unwrap_or_else(|refusal| panic!("{} serves {kind:?}: {refusal:?}", row.method));
            }
            (Outcome::Refused(reason), Some(answer)) => {
                let refusal = answer.expect_err(&format!("{} does not serve {kind:?}", row.method));
                refusal.is(code, reason);
            }
        }
        let decision = if outcome == Outcome::Served { "allowed" } else { "denied" };
        let entries = scene.vault.entries_since(&mark, u64::from(place == Region)).await;
        for entry in &entries {
            let found = (entry.action.as_str(), entry.decision.as_str(), Some(entry.principal.as_str()));
            assert_eq!(found, (action, decision, kind.principal()), "{}", row.method);
            let issuer = if kind == Kind::Approver { "idp" } else { &entry.identity_issuer };
            assert_eq!(entry.identity_issuer, issuer);
            let why = entry.items.first().map_or(entry.reason.as_str(), |items| items.outcome.as_str());
            assert!(why == reason || (why == "ok" && reason.is_empty()), "{}: {why}, not {reason}", row.method);
        }
        if place == Node {
            let key = (action.to_owned(), decision.to_owned(), reason.to_owned());
            *expected.entry(key).or_default() += 1;
        }
    }
    scene.vault.still_serves().await;
    scene.vault.stop().await;
    assert_eq!(of_node(&scene.vault, kind), expected);
    scene.vault.finish().await;
}

/// What stands in the node's log about calls, all of them by this kind. The vault must be stopped.
fn of_node(vault: &TestVault, kind: Kind) -> Stood {
    let mut stood = Stood::new();
    for entry in vault.stored_log("node").decoded() {
        let head = &entry.head;
        let principal = people(&entry).and_then(|people| people.principal.as_ref());
        // What the vault does by itself: among it, that it makes its files the first version of the rules.
        let is_first_version = head.action.name() == "apply_policies" && principal.is_none();
        if matches!(head.action.name(), "start" | "stop") || is_first_version {
            continue;
        }
        assert_eq!(principal.map(vault_domain::PrincipalId::as_str), kind.principal());
        let reason = head.reason.map(|reason| reason.name()).unwrap_or_default();
        let key = (head.action.name().to_owned(), head.decision.name().to_owned(), reason.to_owned());
        *stood.entry(key).or_default() += u64::from(head.count.get());
    }
    stood
}

#[test]
fn every_method_has_an_outcome_for_every_kind_of_principal() {
    let rows: Vec<String> = ROWS.iter().map(Row::full).collect();
    let known: std::collections::BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(known.len(), rows.len(), "a method has one row");
    assert_eq!(known, methods(), "a method of the contract has no row, or a row no method");
    for row in ROWS {
        assert!(row.outcomes.contains(&YES), "{} serves nobody, so nothing shows that it works", row.method);
        assert!(row.outcomes.iter().any(|outcome| *outcome != YES), "{} serves everybody", row.method);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_served_as_granted_and_each_attempt_is_in_the_log() {
    walk(Kind::Service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_served_as_granted_and_each_attempt_is_in_the_log() {
    walk(Kind::Gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_auditor_is_served_as_granted_and_each_attempt_is_in_the_log() {
    walk(Kind::Auditor).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_served_as_granted_and_each_attempt_is_in_the_log() {
    walk(Kind::Operator).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_is_refused_everywhere_and_each_attempt_is_in_the_log() {
    assert!(ROWS.iter().all(|row| row.outcomes[4] == NO), "no method is an approver's yet");
    walk(Kind::Approver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_grants_is_refused_everywhere_and_each_attempt_is_in_the_log() {
    walk(Kind::Idle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_an_account_is_refused_everywhere_and_each_attempt_is_in_the_log() {
    walk(Kind::Stranger).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_without_an_account_is_refused_everywhere_and_each_attempt_is_in_the_log() {
    walk(Kind::StrangerWithToken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_access_token_spoils_a_good_certificate_and_each_attempt_is_in_the_log() {
    walk(Kind::Thief).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_without_a_certificate_is_not_heard_and_each_attempt_is_in_the_log() {
    walk(Kind::TokenAlone).await;
}
