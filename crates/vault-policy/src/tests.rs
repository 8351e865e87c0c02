//! What the built-in policies allow and deny, what policies of one's own can do, and what is refused at the start.

use proptest::prelude::*;
use vault_catalog::Catalog;
use vault_domain::{Action, Audience, Code, DataClass, PrincipalId, Purpose, Reason, Region, RevealLevel};

use crate::*;

mod levels;

const CATALOG: &str = r#"
[tenants.acme]
[tenants.globex]
[regions.eu]
[regions.us]
[audiences.payments]
[audiences.support]
[purposes.settlement]
[purposes.audit]
[classes.card]
rule = "pan"
format = "format_preserving"
[classes.email]
rule = "email"
[classes.note]
rule = "text"
length_bytes_max = 100
purpose_required = false

[classes.salary]
rule = "bytes"
length_bytes_max = 100
step_up_assurance = 2
step_up_seconds = 900

[accounts."dns:ada.example"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu", "us"]
grants = [
    { actions = ["detokenize", "tokenize"], classes = ["salary"], purposes = ["settlement"] },
    { actions = ["detokenize"], classes = ["card"], purposes = ["settlement"], scopes = ["cards:reveal", "vault"] },
]

[accounts."dns:pay.example"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["tokenize", "detokenize"], classes = ["card"], purposes = ["settlement"],
      audiences = ["payments", "support"] },
    { actions = ["detokenize"], classes = ["note", "email"] },
]

[accounts."dns:pay.globex.example"]
tenant = "globex"
audiences = ["payments"]
regions = ["eu"]
grants = [{ actions = ["detokenize"], classes = ["card"], purposes = ["settlement"] }]

[accounts."dns:audit.example"]
tenant = "acme"
regions = ["eu"]
grants = [{ actions = ["query_access_log"], purposes = ["audit"] }, { actions = ["get_checkpoint"] }]
"#;

/// A request by its names; "" for no purpose and for no class, audience or region.
#[derive(Clone, Copy, Debug)]
struct Names<'n> {
    principal: &'n str,
    action: Action,
    class: &'n str,
    audience: &'n str,
    purpose: &'n str,
    region: &'n str,
}

/// Allowed by the built-in policies.
const SETTLE: Names<'static> = Names {
    principal: "dns:pay.example",
    action: Action::Detokenize,
    class: "card",
    audience: "payments",
    purpose: "settlement",
    region: "eu",
};

/// Allowed by the built-in policies.
const AUDIT: Names<'static> = Names {
    principal: "dns:audit.example",
    action: Action::QueryAccessLog,
    class: "",
    audience: "",
    purpose: "audit",
    region: "eu",
};

impl Names<'_> {
    fn ask<T>(self, answer: impl FnOnce(&Request<'_>) -> T) -> T {
        self.ask_as(Circumstances::default(), answer)
    }

    fn ask_as<T>(self, circumstances: Circumstances<'_>, answer: impl FnOnce(&Request<'_>) -> T) -> T {
        let principal = PrincipalId::parse(self.principal).unwrap();
        let purpose = Purpose::parse(self.purpose).ok();
        let region = Region::parse(self.region).ok();
        let ids = (DataClass::parse(self.class), Audience::parse(self.audience), &region);
        let ask = match (self.action, &ids) {
            (Action::Tokenize, (Ok(class), Ok(audience), Some(region))) => {
                Ask::Data(Action::Tokenize, DataScope { class, audience, region })
            }
            (Action::Detokenize, (Ok(class), Ok(audience), Some(region))) => {
                Ask::Detokenize(DataScope { class, audience, region }, RevealLevel::Full)
            }
            (action, _) if vault_catalog::LOG_ACTIONS.contains(&action) => Ask::Log(action, Log::of(region.as_ref())),
            _ => panic!("{self:?} is no request"),
        };
        answer(&Request { principal: &principal, purpose: purpose.as_ref(), ask, circumstances })
    }

    fn decide(self, set: &PolicySet) -> Decision {
        self.ask(|request| set.decide(request))
    }
}

fn catalog() -> Catalog {
    Catalog::parse(CATALOG).unwrap_or_else(|error| panic!("{error}"))
}

fn built_in() -> PolicySet {
    PolicySet::load(&[PolicySource::DEFAULT], &catalog()).unwrap_or_else(|error| panic!("{error}"))
}

/// The built-in policies and others beside them.
fn with_own(text: &str) -> Result<PolicySet, PolicyError> {
    PolicySet::load(&[PolicySource::DEFAULT, PolicySource { name: "own.cedar", text }], &catalog())
}

fn ids(decision: &Decision) -> Vec<&str> {
    decision.policies().iter().map(PolicyId::as_str).collect()
}

#[test]
fn what_is_granted_is_allowed_and_names_its_policy() {
    let set = built_in();
    let checkpoint = Names { action: Action::GetCheckpoint, purpose: "", ..AUDIT };
    for names in [
        SETTLE,
        Names { action: Action::Tokenize, ..SETTLE },
        Names { action: Action::Tokenize, audience: "support", ..SETTLE },
        Names { class: "note", purpose: "", ..SETTLE },
        Names { class: "note", purpose: "audit", ..SETTLE },
        AUDIT,
        checkpoint,
        Names { region: "", ..AUDIT },
        Names { region: "", ..checkpoint },
    ] {
        let decision = names.decide(&set);
        assert!(decision.is_allowed(), "{names:?} {decision:?}");
        assert_eq!(ids(&decision), ["grant"], "{names:?}");
        assert_eq!((decision.verdict(), decision.reason()), (Verdict::Allowed, None));
    }
}

#[test]
fn each_attribute_alone_makes_the_difference() {
    let set = built_in();
    let (no, forbidden) = (Verdict::NotPermitted, Verdict::Forbidden);
    let (denied, not_own) = (Reason::AccessDenied, Reason::AudienceNotOwn);
    let table: &[(Names<'_>, Verdict, Reason, &[&str])] = &[
        (Names { class: "email", purpose: "", ..SETTLE }, forbidden, denied, &["purpose_required"]),
        (Names { purpose: "audit", ..SETTLE }, no, denied, &[]),
        (Names { purpose: "", ..SETTLE }, forbidden, denied, &["purpose_required"]),
        (Names { region: "us", ..SETTLE }, forbidden, denied, &["residency"]),
        (Names { audience: "support", ..SETTLE }, forbidden, not_own, &["own_audience"]),
        (Names { audience: "support", region: "us", ..SETTLE }, forbidden, not_own, &["own_audience", "residency"]),
        (Names { action: Action::Tokenize, class: "email", ..SETTLE }, no, denied, &[]),
        (Names { principal: "dns:pay.globex.example", class: "email", ..SETTLE }, no, denied, &[]),
        (Names { principal: "dns:audit.example", ..SETTLE }, forbidden, not_own, &["own_audience"]),
        (Names { principal: "dns:pay.example", ..AUDIT }, no, denied, &[]),
        (Names { purpose: "settlement", ..AUDIT }, no, denied, &[]),
        (Names { purpose: "", ..AUDIT }, no, denied, &[]),
        (Names { region: "us", ..AUDIT }, forbidden, denied, &["residency"]),
    ];
    for (names, verdict, reason, policies) in table {
        let decision = names.decide(&set);
        assert!(!decision.is_allowed(), "{names:?}");
        assert_eq!((decision.verdict(), decision.reason()), (*verdict, Some(*reason)), "{names:?}");
        assert_eq!(ids(&decision), *policies, "{names:?}");
        assert_eq!(reason.outside(), Reason::AccessDenied, "a caller sees one and the same");
    }
}

#[test]
fn names_that_the_catalog_lacks_are_denied_and_not_remembered() {
    let set = built_in();
    let table = [
        (Names { principal: "dns:nobody.example", ..SETTLE }, Reason::PrincipalUnknown),
        (Names { class: "crad", ..SETTLE }, Reason::DataClassUnknown),
        (Names { audience: "pay", ..SETTLE }, Reason::AudienceUnknown),
        (Names { purpose: "fun", ..SETTLE }, Reason::PurposeUnknown),
        (Names { class: "note", purpose: "fun", ..SETTLE }, Reason::PurposeUnknown),
        (Names { region: "mars", ..SETTLE }, Reason::RegionUnknown),
        (Names { region: "mars", ..AUDIT }, Reason::RegionUnknown),
    ];
    for (names, reason) in table {
        let decision = names.decide(&set);
        assert_eq!((decision.verdict(), decision.reason()), (Verdict::NameUnknown, Some(reason)), "{names:?}");
        assert!(!decision.is_allowed() && decision.policies().is_empty(), "{names:?}");
    }
    assert_eq!(set.decisions_cached(), 0);
}

#[test]
fn without_policies_nothing_is_allowed() {
    let set = PolicySet::load(&[], &catalog()).unwrap();
    assert_eq!(SETTLE.decide(&set).verdict(), Verdict::NotPermitted);
    assert!(!AUDIT.decide(&set).is_allowed());
}

#[test]
fn an_own_forbid_outweighs_a_grant() {
    let table = [
        ("true", true),
        ("resource == Vault::DataClass::\"card\"", true),
        ("resource == Vault::DataClass::\"email\"", false),
        ("resource.rule == Vault::Rule::\"pan\"", true),
        ("resource.format == Vault::Format::\"opaque\"", false),
        ("resource.determinism == Vault::Determinism::\"none\"", true),
        ("principal.tenant == Vault::Tenant::\"acme\"", true),
        ("principal.tenant == Vault::Tenant::\"globex\"", false),
        ("context has purpose && context.purpose == Vault::Purpose::\"settlement\"", true),
        ("context.region == Vault::Region::\"us\"", false),
        ("context.audience == Vault::Audience::\"payments\" && context.granted", true),
        ("principal == Vault::Service::\"dns:audit.example\"", false),
    ];
    for (condition, applies) in table {
        let action = "action == Vault::Action::\"detokenize\"";
        let set = with_own(&format!("@id(\"own\") forbid(principal, {action}, resource) when {{ {condition} }};"));
        let decision = SETTLE.decide(&set.unwrap_or_else(|error| panic!("{error}")));
        let expected = if applies { (Verdict::Forbidden, vec!["own"]) } else { (Verdict::Allowed, vec!["grant"]) };
        assert_eq!((decision.verdict(), ids(&decision)), expected, "{condition}");
    }
}

#[test]
fn an_own_permit_needs_no_grant_but_passes_no_forbid() {
    let own = "@id(\"support_reads_mail\") permit(principal == Vault::Service::\"dns:audit.example\", action == \
               Vault::Action::\"tokenize\", resource == Vault::DataClass::\"email\");";
    let set = with_own(own).unwrap();
    let names = Names { principal: "dns:audit.example", action: Action::Tokenize, class: "email", ..SETTLE };
    assert_eq!(ids(&names.decide(&set)), ["support_reads_mail"]);
    assert_eq!(ids(&Names { region: "us", ..names }.decide(&set)), ["residency"]);
}

#[test]
fn all_policies_that_decided_are_named_in_order() {
    let set = with_own(
        "@id(\"z\") permit(principal, action, resource);\n@id(\"a\") permit(principal, action, resource);\n\
         @id(\"m\") forbid(principal, action, resource) when { !context.granted };",
    )
    .unwrap();
    assert_eq!(ids(&SETTLE.decide(&set)), ["a", "grant", "z"]);
    assert_eq!(ids(&Names { purpose: "audit", ..SETTLE }.decide(&set)), ["m"]);
    let all: Vec<_> = set.policy_ids().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["a", "grant", "m", "own_audience", "purpose_required", "residency", "step_up", "z"]);
}

#[test]
fn a_forbid_says_its_reason_and_a_plain_one_denies_access() {
    let set = with_own(
        "@id(\"a\") @description(\"why\") @reason(\"AUDIENCE_UNKNOWN\") forbid(principal, action, resource) when \
         { context has region && context.region == Vault::Region::\"us\" };",
    )
    .unwrap();
    assert_eq!(Names { region: "us", ..SETTLE }.decide(&set).reason(), Some(Reason::AudienceUnknown));
    for reason in Reason::ALL {
        let text = format!("@id(\"a\") @reason(\"{reason}\") forbid(principal, action, resource);");
        assert_eq!(with_own(&text).is_ok(), reason.code() == Code::Denied, "{reason}");
    }
}

#[test]
fn an_error_in_the_evaluation_denies_and_names_the_policy() {
    // Strict validation lets an overflow of whole numbers pass, and Cedar skips the policy that meets one: without care
    // this forbid would forbid nothing.
    let overflow = "9223372036854775807 + 1 > 0";
    for (effect, condition) in [("forbid", overflow), ("permit", overflow)] {
        let text = format!("@id(\"broken\") {effect}(principal, action, resource) when {{ {condition} }};");
        let set = with_own(&text).unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..2 {
            let decision = SETTLE.decide(&set);
            assert_eq!((decision.verdict(), decision.reason()), (Verdict::Failed, Some(Reason::AccessDenied)));
            assert_eq!(ids(&decision), ["broken"]);
            assert!(!decision.is_allowed());
        }
    }
}

/// Asserts that `text` is refused for one fault, at this place, with these words.
fn assert_fault(text: &str, (line, column): (usize, usize), policy: Option<&str>, words: &str) {
    let error = with_own(text).expect_err(text);
    let [fault] = error.faults() else { panic!("{text}\nhas not one fault but:\n{error}") };
    assert_eq!((fault.line, fault.column), (line, column), "{text}\n{error}");
    assert_eq!((fault.source.as_str(), fault.policy.as_deref()), ("own.cedar", policy), "{text}\n{error}");
    assert!(fault.problem.to_string().contains(words), "{text}\n{error}");
}

#[test]
fn a_typo_is_refused_with_policy_and_line() {
    let typo = |condition: &str, column, words: &str| {
        let text = format!(
            "// comment\n@id(\"own\")\nforbid (principal, action == Vault::Action::\"tokenize\", resource)\n\
             when {{ {condition} }};"
        );
        assert_fault(&text, (4, column), Some("own"), words);
    };
    typo("context.regon == Vault::Region::\"eu\"", 8, "did you mean `region`?");
    typo("context.purpose == Vault::Purpose::\"audit\"", 8, "context has purpose &&");
    typo("principal.tennant == Vault::Tenant::\"acme\"", 8, "did you mean `tenant`?");
    typo("context.region == \"eu\"", 8, "not compatible");
    typo("context.region == Vault::Region::\"ue\"", 41, "no region \"ue\"");
    typo("context.audience == Vault::Audience::\"eu\"", 45, "no audience \"eu\"");
    typo("principal.tenant == Vault::Tenant::\"x\"", 43, "no tenant \"x\"");
    typo("context has purpose && context.purpose == Vault::Purpose::\"x\"", 66, "no purpose \"x\"");
    typo("principal == Vault::Service::\"dns:x\"", 37, "no account \"dns:x\"");
    typo("resource == Vault::DataClass::\"crad\"", 38, "no data class \"crad\"");
    typo("resource.rule == Vault::Rule::\"pna\"", 25, "pna");
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    let text = "@id(\"own\") forbid(principal, action == Vault::Action::\"tokenize\", resource is Vault::AccessLog);";
    assert_fault(text, (1, 1), Some("own"), "");
    assert_fault(
        "@id(\"own\") forbid(principal, action == Vault::Action::\"tokenise\", resource);",
        (1, 40),
        Some("own"),
        "unrecognized action",
    );
    let never = |condition: &str| {
        let text = format!(
            "@id(\"own\") forbid(principal, action == Vault::Action::\"tokenize\", resource) when {{ {condition} }};"
        );
        assert_fault(&text, (1, 1), Some("own"), "impossible");
    };
    never("false");
    never("context.region == Vault::Audience::\"support\"");
}

#[test]
fn names_of_logs_are_checked() {
    let text = |log: &str| format!("@id(\"own\") forbid(principal, action, resource == Vault::AccessLog::\"{log}\");");
    assert_fault(&text("mars"), (1, 68), Some("own"), "no region (or \"node\") \"mars\"");
    let set = with_own(&text("node")).unwrap();
    assert!(AUDIT.decide(&set).is_allowed());
    assert!(!Names { region: "", ..AUDIT }.decide(&set).is_allowed());
}

/// A log's question bears its action: one that is none of a log's opens nothing, whatever policies permit.
#[test]
fn what_is_no_action_of_a_log_is_denied_on_every_log() {
    let set = with_own(r#"@id("all") permit(principal, action, resource);"#).unwrap();
    let principal = PrincipalId::parse("dns:audit.example").unwrap();
    let account = set.catalog().account(principal.as_str()).unwrap();
    let eu = Region::parse("eu").unwrap();
    for action in Action::ALL.iter().copied() {
        let is_of_logs = vault_catalog::LOG_ACTIONS.contains(&action);
        for log in [Log::Region(&eu), Log::Node] {
            let judged = set.judge_log(account, action, log, None, Circumstances::default());
            assert_eq!(judged.outcome.is_ok(), is_of_logs, "{action} {log:?}");
        }
        let of_entries = [Action::QueryAccessLog, Action::ExportAccessLog];
        assert_eq!(Log::Node.takes(action), is_of_logs && !of_entries.contains(&action), "{action}");
        let of_regions = [Action::QueryAccessLog, Action::ExportAccessLog, Action::GetCheckpoint];
        assert_eq!(Log::Region(&eu).takes(action), of_regions.contains(&action), "{action}");
    }
}

#[test]
fn every_policy_has_an_id_of_its_own() {
    let rest = "permit(principal, action, resource);";
    assert_fault(&format!("\n  {rest}"), (2, 3), None, "no @id");
    for bad in ["", "A", "1a", "a b", "ä", &"a".repeat(65)] {
        assert_fault(&format!("@id(\"{bad}\")\n{rest}"), (1, 1), None, "an @id must match");
    }
    assert_fault(&format!("@id(\"own\") {rest}\n@id(\"own\") {rest}"), (2, 1), Some("own"), "before at own.cedar:1");
    // A comment with the same text is not taken for the policy, and a string with slashes not for a comment.
    let commented = format!("// ä @id(\"own\") {rest}\n@id(\"own\") @description(\"https://a.example/\\\"\") {rest}\n");
    assert_fault(&format!("{commented}// {rest}\n {rest}"), (4, 2), None, "no @id");
    assert_fault(&format!("{commented}\n@id(\"own\") {rest}"), (4, 1), Some("own"), "before at own.cedar:2");
    assert_fault(&format!("@id(\"grant\") {rest}"), (1, 1), Some("grant"), "before at default.cedar:25");
}

#[test]
fn annotations_and_templates_are_held_to_their_use() {
    let rest = "forbid(principal, action, resource);";
    assert_fault(&format!("@id(\"own\") @reasn(\"x\") {rest}"), (1, 1), Some("own"), "@reasn means nothing");
    assert_fault(&format!("@id(\"own\") @reason(\"x\") {rest}"), (1, 1), Some("own"), "AUDIENCE_NOT_OWN");
    let permit = "@id(\"own\") @reason(\"AUDIENCE_NOT_OWN\") permit(principal, action, resource);";
    assert_fault(permit, (1, 1), Some("own"), "belongs to a forbid");
    let template = "\n@id(\"own\")\nforbid(principal == ?principal, action, resource);";
    assert_fault(template, (2, 1), None, "is a template");
}

#[test]
fn text_that_is_no_cedar_is_refused_with_its_place() {
    assert_fault("@id(\"own\")\nforbid(principal, action resource);", (2, 26), None, "unexpected token");
    assert_fault(
        "@id(\"own\")\nforbid(principal, action, resource) when { context. };",
        (2, 53),
        None,
        "unexpected token",
    );
    assert_fault("grant(principal, action, resource);", (1, 1), None, "invalid policy effect");
}

#[test]
fn all_faults_are_told_in_order_and_too_many_are_counted() {
    let bad = |n: usize| format!("@id(\"p{n}\") forbid(principal, action, resource) when {{ context.typo{n} }};\n");
    let error = with_own(&(0..3).map(bad).collect::<String>()).unwrap_err();
    let told: Vec<_> = error.faults().iter().map(|fault| (fault.line, fault.policy.as_deref())).collect();
    assert_eq!(told, [(1, Some("p0")), (2, Some("p1")), (3, Some("p2"))]);
    assert!(error.to_string().starts_with("own.cedar:1:54: policy \"p0\": "), "{error}");
    let error = with_own(&(0..60).map(bad).collect::<String>()).unwrap_err();
    assert_eq!((error.faults().len(), error.found()), (FAULTS_SHOWN_MAX, 60));
    assert!(error.to_string().ends_with("and 10 more"));
}

#[test]
fn limits_are_kept_to_the_last_policy() {
    let policies =
        |n: usize| (0..n).map(|n| format!("@id(\"p{n}\") permit(principal, action, resource);")).collect::<String>();
    let load = |text: &str| PolicySet::load(&[PolicySource { name: "x", text }], &catalog());
    let set = load(&policies(POLICIES_MAX)).unwrap();
    assert_eq!(SETTLE.decide(&set).policies().len(), POLICIES_MAX);
    let error = load(&policies(POLICIES_MAX + 1)).unwrap_err();
    assert_eq!(error.faults()[0].problem, Problem::TooMany(POLICIES_MAX + 1));
    assert!(load(&" ".repeat(POLICY_BYTES_MAX)).is_ok());
    assert_eq!(load(&" ".repeat(POLICY_BYTES_MAX + 1)).unwrap_err().faults()[0].problem, Problem::TooLarge);
}

#[test]
fn the_fingerprint_is_of_the_texts() {
    let own = "@id(\"own\") permit(principal, action, resource);";
    let set = with_own(own).unwrap();
    assert_eq!(set.fingerprint_hex(), with_own(own).unwrap().fingerprint_hex());
    assert_ne!(set.fingerprint_hex(), with_own(&format!("{own} ")).unwrap().fingerprint_hex());
    assert_ne!(set.fingerprint_hex(), built_in().fingerprint_hex());
    let hex: String = set.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(set.fingerprint_hex().starts_with(&hex));
    assert_eq!(set.fingerprint_hex().len(), 64);
}

#[test]
fn the_sample_catalog_and_the_built_in_policies_go_together() {
    let catalog = Catalog::parse(vault_catalog::SAMPLE).unwrap();
    let set = PolicySet::load(&[PolicySource::DEFAULT], &catalog).unwrap();
    let of = |name| format!("spiffe://dev.tokenvault.internal/{name}");
    let table = [
        ("loader", Action::Tokenize, "card_number", "payments", "bulk_load", true),
        ("loader", Action::Tokenize, "email", "analytics", "bulk_load", true),
        ("loader", Action::Detokenize, "email", "analytics", "bulk_load", false),
        ("payments", Action::Detokenize, "card_number", "payments", "settlement", true),
        ("payments", Action::Detokenize, "card_number", "support", "settlement", false),
        ("payments", Action::Tokenize, "card_number", "payments", "settlement", false),
        ("globex-payments", Action::Detokenize, "card_number", "payments", "settlement", true),
        ("support", Action::Detokenize, "email", "support", "support_case", true),
        ("support", Action::Detokenize, "card_number", "support", "support_case", false),
        ("analytics", Action::Detokenize, "customer_id", "analytics", "analysis", true),
        ("analytics", Action::Detokenize, "email", "analytics", "analysis", false),
        ("auditor", Action::QueryAccessLog, "", "", "audit", true),
        ("auditor", Action::GetCheckpoint, "", "", "", true),
        ("payments", Action::QueryAccessLog, "", "", "audit", false),
    ];
    for (account, action, class, audience, purpose, expected) in table {
        for region in ["eu", "us"] {
            let names = Names { principal: &of(account), action, class, audience, purpose, region };
            assert_eq!(names.decide(&set).is_allowed(), expected, "{names:?}");
        }
        let apac = Names { principal: &of(account), action, class, audience, purpose, region: "apac" };
        assert!(!apac.decide(&set).is_allowed(), "{apac:?}");
    }
}

/// Any request over known and unknown names.
fn any_names() -> impl Strategy<Value = Names<'static>> {
    let principals = ["dns:pay.example", "dns:pay.globex.example", "dns:audit.example", "dns:nobody.example"];
    let actions = [Action::Tokenize, Action::Detokenize, Action::QueryAccessLog, Action::GetCheckpoint];
    (
        prop::sample::select(principals.to_vec()),
        prop::sample::select(actions.to_vec()),
        prop::sample::select(&["card", "email", "note", "x"][..]),
        prop::sample::select(&["payments", "support", "x"][..]),
        prop::sample::select(&["", "settlement", "audit", "x"][..]),
        prop::sample::select(&["eu", "us", "x"][..]),
    )
        .prop_map(|(principal, action, class, audience, purpose, region)| Names {
            principal,
            action,
            class,
            audience,
            purpose,
            region,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_remembered_decision_is_the_same(asked in prop::collection::vec(any_names(), 1..200)) {
        let set = built_in();
        for names in &asked {
            let fresh = names.ask(|request| set.evaluate(request));
            prop_assert_eq!(names.decide(&set), fresh.clone(), "{:?}", names);
            prop_assert_eq!(names.decide(&set), fresh, "{:?}", names);
        }
    }
}

mod caller;
