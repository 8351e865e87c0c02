//! Policies and catalog that an operator exchanges by a call: planned, applied as a version, listed, taken back; whole
//! or not at all, in the log, and there after a restart.

use std::{fs, path::Path, time::Duration};

use tokio::time::timeout;
use tonic::{Code, Request};
use vault_domain::{Action, Decision, RulesDifference};
use vault_ledger::Entry;
use vault_proto::v1::{
    self, ApplyPoliciesRequest, ApplyPoliciesResponse, GetPolicyVersionRequest, GetPolicyVersionResponse,
    ListPolicyVersionsRequest, ListPolicyVersionsResponse, admin_service_client::AdminServiceClient,
    apply_policies_request::Target,
};
use vault_store::{
    Batch,
    table::{VersionRow, Versions},
};
use vault_tests::{
    connection::Connection,
    refusal::Refusal,
    requests::{detokenize, detokenize_item, email, tokenize},
    roles::Role,
    stored_log::{self, people},
    stream::{settling, tokens},
    vault::{REGIONS, TestVault, VAULT},
};

use crate::{DISK, bad_input::Refusals, vault};

/// The operator of the tests' catalog.
const OPERATOR: Role = Role::Regional;
const NO_EMAIL: &str = r#"@id("no_email") forbid(principal, action == Vault::Action::"detokenize",
    resource == Vault::DataClass::"email");"#;

/// A vault whose rules are exchanged by calls.
async fn applied() -> TestVault {
    let mut vault = TestVault::prepare(Path::new(DISK), std::sync::Arc::new(vault_domain::SystemClock::new()));
    vault.edit("vault.toml", "mode = \"dev\"", "mode = \"dev\"\nrules_from = \"applied\"");
    vault.start_again().await;
    vault
}

async fn admin(vault: &TestVault, role: Role) -> AdminServiceClient<Connection> {
    let connection = vault.caller(role).await.connection().clone();
    let origin = connection.origin().clone();
    AdminServiceClient::with_origin(connection, origin)
}

/// The vault's own catalog, changed, and one more policy if there is any.
fn rules(vault: &TestVault, change: impl FnOnce(String) -> String, own: &str) -> Target {
    let catalog = change(fs::read_to_string(vault.directory().join("catalog.toml")).unwrap());
    let own = (!own.is_empty()).then(|| v1::PolicyFile { name: "own.cedar".to_owned(), text: own.to_owned() });
    Target::Rules(v1::PolicyRules { catalog, policies: own.into_iter().collect() })
}

async fn ask(vault: &TestVault, role: Role, request: ApplyPoliciesRequest) -> Result<ApplyPoliciesResponse, Refusal> {
    let answer = admin(vault, role).await.apply_policies(Request::new(request)).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

async fn plan(vault: &TestVault, target: Target) -> Result<ApplyPoliciesResponse, Refusal> {
    let target = Some(target);
    ask(vault, OPERATOR, ApplyPoliciesRequest { target, dry_run: true, ..Default::default() }).await
}

async fn listed(vault: &TestVault) -> ListPolicyVersionsResponse {
    let request = Request::new(ListPolicyVersionsRequest::default());
    admin(vault, OPERATOR).await.list_policy_versions(request).await.unwrap().into_inner()
}

async fn got(vault: &TestVault, version: u64) -> Result<GetPolicyVersionResponse, Refusal> {
    let request = Request::new(GetPolicyVersionRequest { version });
    let answer = admin(vault, OPERATOR).await.get_policy_version(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Refusal::of_call(&status))
}

/// A request that goes from what serves now.
async fn from_now(vault: &TestVault, target: Target) -> ApplyPoliciesRequest {
    let serving = listed(vault).await;
    ApplyPoliciesRequest {
        target: Some(target),
        expected_fingerprint: serving.serving_fingerprint,
        expected_version: serving.serving_version,
        reference: "CASE-7".to_owned(),
        dry_run: false,
    }
}

async fn apply(vault: &TestVault, target: Target) -> Result<ApplyPoliciesResponse, Refusal> {
    let request = from_now(vault, target).await;
    ask(vault, OPERATOR, request).await
}

async fn is_shown(vault: &TestVault, token: &str) -> bool {
    let answer = vault.caller(Role::Payments).await.detokenize(detokenize("email", [token])).await.unwrap();
    answer.results[0].is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_planned_applied_listed_and_taken_back_and_serve_after_a_restart() {
    let mut vault = applied().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    let planned = plan(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    assert_ne!(planned.before, planned.now);
    assert_eq!(planned.version, 1);
    assert!(is_shown(&vault, &token).await, "a plan changes nothing");
    let applied = apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    assert_eq!(applied, ApplyPoliciesResponse { version: 2, ..planned }, "what was planned");
    assert!(!is_shown(&vault, &token).await);
    let again = apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    assert_eq!((&again.before, &again.now, again.version), (&applied.now, &applied.now, 2), "nothing to do");

    // The files are only the first version: they don't come back by themselves.
    vault.stop().await;
    vault.start_again().await;
    assert!(!is_shown(&vault, &token).await);
    let files = vault.server().apply(files(&vault)).await.unwrap_err();
    assert!(files.to_string().contains("tokenvault config apply"), "{files}");
    assert!(!is_shown(&vault, &token).await);

    let back = apply(&vault, Target::Version(1)).await.unwrap();
    assert_eq!((&back.before, &back.now, back.version), (&applied.now, &applied.before, 3));
    assert!(is_shown(&vault, &token).await);
    let versions = listed(&vault).await;
    assert_eq!((versions.serving_version, &versions.serving_fingerprint), (3, &back.now));
    let told: Vec<_> = versions.versions.iter().map(|known| (known.version, known.again, &*known.reference)).collect();
    assert_eq!(told, [(3, 1, "CASE-7"), (2, 0, "CASE-7"), (1, 0, "")], "newest first");
    assert_eq!(versions.versions[0].principal, OPERATOR.principal());
    assert_eq!(versions.versions[1].difference, applied.difference);
    assert_eq!(versions.versions[2].before, "0".repeat(64), "the first one, from the files");
    let second = got(&vault, 2).await.unwrap();
    assert_eq!(Target::Rules(second.rules.unwrap()), rules(&vault, |text| text, NO_EMAIL), "the texts come back");
    let serving = got(&vault, 0).await.unwrap();
    assert_eq!(serving.version.unwrap().version, 3);
    got(&vault, 4).await.unwrap_err().is(Code::NotFound, "POLICY_VERSION_UNKNOWN");

    vault.stop().await;
    let of_changes = |scope: &str| -> Vec<Entry> {
        let entries = vault.stored_log(scope).decoded();
        entries.into_iter().filter(|entry| entry.head.action == Action::ApplyPolicies).collect()
    };
    let node = of_changes("node");
    // The first version, the change, the one that had nothing to do, the way back.
    let differences: Vec<_> = node.iter().map(|entry| people(entry).unwrap().difference()).collect();
    let parsed = |text: &str| RulesDifference::parse(text);
    let first = parsed(&versions.versions[2].difference);
    assert_eq!(differences, [first, parsed(&applied.difference), None, parsed(&back.difference)]);
    let who = people(&node[1]).unwrap();
    assert_eq!(who.principal.as_ref().unwrap().as_str(), OPERATOR.principal());
    assert_eq!(who.reference.as_ref().unwrap().as_str(), "CASE-7");
    assert!(who.certificate.is_some() && who.source.is_some());
    for region in REGIONS {
        let told: Vec<_> =
            of_changes(region).iter().map(|entry| (entry.head.request_id, entry.head.policy_set)).collect();
        let done = [&node[1], &node[3]].map(|entry| (entry.head.request_id, entry.head.policy_set));
        assert_eq!(told, done, "{region}: the same calls, under the fingerprints that held from then on");
        assert!(applied.now.starts_with(&hex(told[0].1.0)), "{region}");
    }
    vault.start_again().await;
    vault.finish().await;
}

fn hex(bytes: [u8; 8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the files say, as SIGHUP reads them.
fn files(vault: &TestVault) -> vault_engine::PolicySet {
    let path = vault.directory().join("vault.toml");
    vault_server::Config::load(&path, &vault_server::Environment::default()).unwrap().policies().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_from_the_rules_that_serve_changes_nothing() {
    let mut vault = applied().await;
    let mut refusals = Refusals::default();
    let good = from_now(&vault, rules(&vault, |text| text, NO_EMAIL)).await;
    let other = "ab".repeat(32);
    let moved = [
        ApplyPoliciesRequest { expected_fingerprint: other, ..good.clone() },
        ApplyPoliciesRequest { expected_version: 2, ..good.clone() },
        ApplyPoliciesRequest { expected_version: 0, ..good.clone() },
    ];
    for request in moved {
        ask(&vault, OPERATOR, request).await.unwrap_err().is(Code::FailedPrecondition, "RULES_MOVED_ON");
        refusals.expect("apply_policies", "RULES_MOVED_ON");
    }
    let invalid = [
        ApplyPoliciesRequest { target: None, ..good.clone() },
        ApplyPoliciesRequest { expected_fingerprint: String::new(), ..good.clone() },
        ApplyPoliciesRequest { reference: "4111111111111111".to_owned(), ..good.clone() },
    ];
    for request in invalid {
        ask(&vault, OPERATOR, request).await.unwrap_err().is(Code::InvalidArgument, "FIELD_INVALID");
        refusals.expect("apply_policies", "FIELD_INVALID");
    }
    let page = Request::new(ListPolicyVersionsRequest { page_token: "junk".to_owned() });
    let refused = admin(&vault, OPERATOR).await.list_policy_versions(page).await.unwrap_err();
    Refusal::of_call(&refused).is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    refusals.expect("list_policy_versions", "PAGE_TOKEN_INVALID");
    for role in [Role::Payments, Role::Auditor] {
        plan_as(&vault, role).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
        refusals.expect("plan_policies", "ACCESS_DENIED");
    }
    let before = listed(&vault).await;
    assert_eq!((before.serving_version, before.versions.len()), (1, 1));
    vault.still_serves().await;

    // Applied and taken back, what served at first serves again: the request that was carried out stays used up.
    ask(&vault, OPERATOR, good.clone()).await.unwrap();
    apply(&vault, Target::Version(1)).await.unwrap();
    assert_eq!(listed(&vault).await.serving_fingerprint, good.expected_fingerprint);
    ask(&vault, OPERATOR, good).await.unwrap_err().is(Code::FailedPrecondition, "RULES_MOVED_ON");
    refusals.expect("apply_policies", "RULES_MOVED_ON");
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.start_again().await;
    vault.finish().await;
}

async fn plan_as(vault: &TestVault, role: Role) -> Result<ApplyPoliciesResponse, Refusal> {
    let target = Some(rules(vault, |text| text, NO_EMAIL));
    ask(vault, role, ApplyPoliciesRequest { target, dry_run: true, ..Default::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_this_vault_could_not_serve_by_are_refused_and_the_reason_says_what_stands_in_the_way() {
    let mut vault = applied().await;
    let mut refusals = Refusals::default();
    vault.give("email", [&email(1)]).await;
    let without_us = |text: String| text.replace("[regions.us]\n", "").replace("\"eu\", \"us\"", "\"eu\"");
    let uuid = |text: String| text.replace("[classes.email]\n", "[classes.email]\nformat = \"uuid\"\n");
    let long = |text: String| format!("{text}#{}\n", "x".repeat(3 << 20));
    let file = |name: &str| v1::PolicyFile { name: name.to_owned(), text: String::new() };
    let files = |policies| match rules(&vault, |text| text, "") {
        Target::Rules(rules) => Target::Rules(v1::PolicyRules { policies, ..rules }),
        Target::Version(_) => panic!("rules"),
    };
    let resigned = |text: String| text.replace("[\"apply_policies\", \"plan_policies\",", "[\"plan_policies\",");
    let gone = |text: String| text.replace("[accounts.\"spiffe://test.tokenvault/regional\"]", "[accounts.\"dns:x\"]");
    // Nobody locks the door behind himself; to plan that is no harm.
    for change in [resigned as fn(String) -> String, gone] {
        let refused = apply(&vault, rules(&vault, change, "")).await.unwrap_err();
        refused.is(Code::FailedPrecondition, "RULES_LOCK_OUT");
        refusals.expect("apply_policies", "RULES_LOCK_OUT");
        plan(&vault, rules(&vault, change, "")).await.unwrap();
    }
    let bad = [
        (rules(&vault, |_| "[tenants".to_owned(), ""), Code::InvalidArgument, "RULES_INVALID", ""),
        (
            rules(&vault, |text| text, "permit(principal, action, resource);"),
            Code::InvalidArgument,
            "RULES_INVALID",
            "",
        ),
        (rules(&vault, without_us, ""), Code::FailedPrecondition, "RULES_NOT_SERVABLE", "us is served here"),
        (rules(&vault, uuid, ""), Code::FailedPrecondition, "RULES_NOT_SERVABLE", "format = \"opaque\""),
        (rules(&vault, long, ""), Code::ResourceExhausted, "RULES_TOO_LARGE", ""),
        (files(vec![file("")]), Code::InvalidArgument, "FIELD_INVALID", ""),
        (files(vec![file(&"n".repeat(256))]), Code::InvalidArgument, "FIELD_INVALID", ""),
        (files(vec![file("n"); 256]), Code::InvalidArgument, "FIELD_INVALID", ""),
        (Target::Version(9), Code::NotFound, "POLICY_VERSION_UNKNOWN", ""),
    ];
    for (target, code, reason, detail) in bad {
        let refused = apply(&vault, target.clone()).await.unwrap_err();
        refused.is(code, reason);
        let told = refused.metadata.get("detail").map(String::as_str).unwrap_or_default();
        assert!(told.contains(detail) && told.is_empty() == detail.is_empty(), "{told}");
        refusals.expect("apply_policies", reason);
        plan(&vault, target).await.unwrap_err().is(code, reason);
        refusals.expect("plan_policies", reason);
    }
    let after = listed(&vault).await;
    assert_eq!((after.serving_version, after.versions.len()), (1, 1), "nothing has changed");
    vault.still_serves().await;
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.start_again().await;
    assert_eq!(listed(&vault).await.serving_fingerprint, after.serving_fingerprint);
    vault.finish().await;
}

/// A class goes, and comes back as another one: calls that began under the first may still make its tokens.
#[tokio::test(flavor = "multi_thread")]
async fn a_class_does_not_come_back_as_another_one_before_a_restart() {
    let mut vault = applied().await;
    let badge = |format: &str| {
        let class =
            format!("[classes.badge]\nrule = \"digits\"\ndigits_min = 6\ndigits_max = 6\nformat = \"{format}\"\n");
        rules(&vault, |text| format!("{text}\n{class}"), "")
    };
    let (opaque, uuid) = (badge("opaque"), badge("uuid"));
    apply(&vault, opaque.clone()).await.unwrap();
    apply(&vault, Target::Version(1)).await.unwrap();
    let refused = apply(&vault, uuid.clone()).await.unwrap_err();
    refused.is(Code::FailedPrecondition, "RULES_NOT_SERVABLE");
    let detail = &refused.metadata["detail"];
    assert!(detail.contains("\"badge\" served with format = \"opaque\"") && detail.contains("\"uuid\""), "{detail}");
    apply(&vault, opaque).await.unwrap();
    // None of them has made a token; when nothing of before is under way, it may be another one.
    apply(&vault, Target::Version(1)).await.unwrap();
    vault.stop().await;
    vault.start_again().await;
    apply(&vault, uuid).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_apply_at_once_one_wins_and_the_other_is_told() {
    let vault = applied().await;
    for round in 0..8_u64 {
        let policy = |name: &str| {
            format!("@id(\"{name}{round}\") permit(principal, action, resource) when {{ context.granted }};")
        };
        let one = from_now(&vault, rules(&vault, |text| text, &policy("one"))).await;
        let two = ApplyPoliciesRequest { target: Some(rules(&vault, |text| text, &policy("two"))), ..one.clone() };
        let (one, two) = tokio::join!(ask(&vault, OPERATOR, one), ask(&vault, OPERATOR, two));
        let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
        lost.unwrap_err().is(Code::FailedPrecondition, "RULES_MOVED_ON");
        let (won, now) = (won.unwrap(), listed(&vault).await);
        assert_eq!((now.serving_version, &now.serving_fingerprint), (round + 2, &won.now));
    }
    vault.finish().await;
}

/// Whoever goes away in the middle leaves the old rules or the new ones, and what serves is what is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_in_the_middle_leaves_nothing_half_done() {
    let mut vault = applied().await;
    let mut carried_out = 0;
    for round in 0..30_u64 {
        let own = if round % 2 == 0 { NO_EMAIL } else { "" };
        let request = from_now(&vault, rules(&vault, |text| text, own)).await;
        let before = request.expected_version;
        let cut = timeout(Duration::from_millis(round), ask(&vault, OPERATOR, request)).await;
        let now = listed(&vault).await;
        let newest = &now.versions[0];
        carried_out += u64::from(cut.is_err() && newest.version > before);
        assert_eq!((newest.version, &newest.fingerprint), (now.serving_version, &now.serving_fingerprint));
    }
    println!("{carried_out} were carried out for nobody");
    // One that is still under way is waited for by the stop.
    let request = from_now(&vault, rules(&vault, |text| text, "@id(\"x\") forbid(principal, action, resource);")).await;
    let _cut = timeout(Duration::from_millis(2), ask(&vault, OPERATOR, request)).await;
    vault.stop().await;
    let entries = vault.stored_log("node").decoded();
    let changed = entries
        .iter()
        .rev()
        .find(|entry| entry.head.action == Action::ApplyPolicies && entry.head.decision == Decision::Allowed);
    let stop = entries.iter().rev().find(|entry| entry.head.action == Action::Stop).unwrap();
    assert_eq!(changed.unwrap().head.policy_set, stop.head.policy_set, "the last change is what served to the end");
    vault.start_again().await;
    assert!(vault.server().engine().policies_fingerprint().starts_with(&hex(stop.head.policy_set.0)));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_by_the_applied_rules_from_its_next_commit_on() {
    let vault = applied().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    let mut stream = vault.caller(Role::Payments).await.detokenize_stream(None).await.unwrap();
    let mut reveal = async |n: u64| {
        let start = (n == 0).then(settling);
        let items = vec![detokenize_item("email", &token)];
        assert!(stream.send(v1::DetokenizeStreamRequest { start, ..tokens(n, items) }).await);
        let (_, answer) = timeout(Duration::from_secs(60), stream.answer()).await.unwrap().unwrap().unwrap();
        answer.results.into_iter().next().unwrap()
    };
    assert!(reveal(0).await.is_ok());
    apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    reveal(1).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    apply(&vault, Target::Version(1)).await.unwrap();
    assert!(reveal(2).await.is_ok());
    vault.finish().await;
}

/// Calls while rules are applied to and fro: each goes by the one or the other, whole, and none fails.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_goes_by_the_rules_that_it_began_with() {
    let vault = applied().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    let calling = async {
        let (mut shown, mut refused) = (0, 0);
        while shown < 20 || refused < 20 {
            let results = payments.detokenize(detokenize("email", vec![token.clone(); 50])).await.unwrap().results;
            match results.iter().filter(|result| result.is_ok()).count() {
                50 => shown += 1,
                0 => refused += 1,
                some => panic!("{some} of 50"),
            }
        }
    };
    let changing = async {
        loop {
            apply(&vault, Target::Version(1)).await.unwrap();
            apply(&vault, Target::Version(2)).await.unwrap();
        }
    };
    tokio::select! {
        () = calling => {}
        () = changing => {}
    }
    drop(payments);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_goes_by_its_files_takes_no_rules_by_call_and_says_which_setting_does() {
    let mut vault = vault().await;
    let request = from_now(&vault, rules(&vault, |text| text, NO_EMAIL)).await;
    assert_eq!(request.expected_version, 0, "no version serves");
    let refused = ask(&vault, OPERATOR, request).await.unwrap_err();
    refused.is(Code::FailedPrecondition, "RULES_FROM_FILES");
    assert!(refused.message.contains("rules_from = \"applied\""), "{}", refused.message);
    let planned = plan(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    assert_ne!(planned.before, planned.now, "a plan can be had");
    got(&vault, 0).await.unwrap_err().is(Code::NotFound, "POLICY_VERSION_UNKNOWN");

    // From files to versions and back: what was applied stays on the shelf.
    vault.stop().await;
    vault.edit("vault.toml", "mode = \"dev\"", "mode = \"dev\"\nrules_from = \"applied\"");
    vault.start_again().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    vault.stop().await;
    vault.edit("vault.toml", "rules_from = \"applied\"", "rules_from = \"files\"");
    vault.start_again().await;
    assert!(is_shown(&vault, &token).await, "the files serve");
    assert_eq!(listed(&vault).await.versions.len(), 2);
    vault.stop().await;
    vault.edit("vault.toml", "rules_from = \"files\"", "rules_from = \"applied\"");
    vault.start_again().await;
    assert!(!is_shown(&vault, &token).await, "the last applied version serves");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_cannot_serve_keeps_the_vault_from_starting_and_the_way_out_is_named() {
    let mut vault = applied().await;
    apply(&vault, rules(&vault, |text| text, NO_EMAIL)).await.unwrap();
    vault.stop().await;
    let node = vault.data_directory().join("node");
    let put = |part: u32, row: &[u8]| {
        let mut store = stored_log::open(&node, VAULT, "node").unwrap();
        let mut batch = Batch::default();
        batch.put(Versions, &VersionRow { version: 2, part }, row);
        store.writer.commit([&batch]).unwrap();
    };
    let whole = {
        let store = stored_log::open(&node, VAULT, "node").unwrap();
        let row = |part| vault_store::wait(store.reader.snapshot().get(Versions, &VersionRow { version: 2, part }));
        [row(0).unwrap().unwrap(), row(1).unwrap().unwrap()]
    };
    let mut broken = whole[1].clone();
    broken[40] = b'\xFF';
    put(1, &broken);
    let refused = vault.refused_start().await;
    assert!(refused.contains("version 2") && refused.contains("damaged"), "{refused}");
    assert!(refused.contains("rules_from = \"files\""), "{refused}");
    // The first letter of the catalog: no TOML begins so.
    (broken[4], broken[40]) = (b'[', whole[1][40]);
    put(1, &broken);
    let refused = vault.refused_start().await;
    assert!(refused.contains("version 2") && refused.contains("can't serve"), "{refused}");
    put(0, &whole[0][..whole[0].len() - 1]);
    assert!(vault.refused_start().await.contains("damaged"));
    put(0, &whole[0]);
    vault.edit("vault.toml", "rules_from = \"applied\"", "rules_from = \"files\"");
    vault.start_again().await;
    vault.still_serves().await;
    vault.stop().await;
    put(1, &whole[1]);
    vault.edit("vault.toml", "rules_from = \"files\"", "rules_from = \"applied\"");
    vault.start_again().await;
    assert_eq!(listed(&vault).await.serving_version, 2);
    assert!(vault.caller(Role::Loader).await.tokenize(tokenize("email", [email(2)])).await.is_ok());
    vault.finish().await;
}
