//! A review finds what is allowed, all of it and nothing else, and what is hardly meant.

use vault_catalog::Catalog;
use vault_domain::Millis;

use super::*;
use crate::PolicySource;

const CATALOG: &str = r#"
[tenants.acme]
[regions.eu]
[regions.us]
[audiences.payments]
[audiences.nobody]
[purposes.settlement]
[purposes.audit]
[classes.card]
rule = "pan"
[classes.note]
rule = "email"
purpose_required = false
[classes.unused]
rule = "email"

[accounts."dns:pay.example"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["detokenize"], classes = ["card"], purposes = ["settlement"] },
    { actions = ["detokenize"], classes = ["note"] },
]

[accounts."dns:audit.example"]
tenant = "acme"
regions = ["eu"]
grants = [{ actions = ["query_access_log"], purposes = ["audit"] }]
"#;

fn set(own: &str) -> PolicySet {
    let catalog = Catalog::parse(CATALOG).unwrap_or_else(|error| panic!("{error}"));
    let own = PolicySource { name: "own.cedar", text: own };
    PolicySet::load(&[PolicySource::DEFAULT, own], &catalog).unwrap_or_else(|error| panic!("{error}"))
}

/// What is allowed, in short words.
fn review(set: &PolicySet) -> Vec<String> {
    let word = |id: Option<&str>| id.unwrap_or("-").to_owned();
    let words = |access: &Access| {
        [
            access.principal.as_str().to_owned(),
            access.action.name().to_owned(),
            word(access.class.as_ref().map(DataClass::as_str)),
            word(access.audience.as_ref().map(Audience::as_str)),
            word(access.region.as_ref().map(Region::as_str)),
            word(access.purpose.as_ref().map(Purpose::as_str)),
        ]
        .join(" ")
    };
    set.review(Circumstances::default()).unwrap().iter().map(words).collect()
}

const GRANTED: [&str; 5] = [
    "dns:audit.example query_access_log - - eu audit",
    "dns:pay.example detokenize card payments eu settlement",
    "dns:pay.example detokenize note payments eu -",
    "dns:pay.example detokenize note payments eu audit",
    "dns:pay.example detokenize note payments eu settlement",
];

#[test]
fn all_that_is_granted_and_not_forbidden_is_found() {
    assert_eq!(review(&set("")), GRANTED);
    let us = r#"@id("no_notes") forbid(principal, action, resource == Vault::DataClass::"note");"#;
    assert_eq!(review(&set(us)), GRANTED[..2]);
}

#[test]
fn what_a_policy_permits_without_a_grant_is_found_too() {
    let own = r#"@id("auditors_see_cards") permit(principal == Vault::Service::"dns:pay.example",
        action == Vault::Action::"describe", resource == Vault::DataClass::"unused")
        when { context has purpose && context.purpose == Vault::Purpose::"audit" };"#;
    let found = review(&set(own));
    let more: Vec<_> = found.iter().filter(|access| !GRANTED.contains(&access.as_str())).collect();
    assert_eq!(more, ["dns:pay.example describe unused payments eu audit"]);
    assert_eq!(found.len(), GRANTED.len() + 1);
}

#[test]
fn what_is_hardly_meant_is_doubted() {
    let own = r#"
        @id("closed") forbid(principal, action == Vault::Action::"query_access_log", resource);
        @id("wide") permit(principal, action == Vault::Action::"detokenize", resource == Vault::DataClass::"unused");"#;
    let pay = || PrincipalId::parse("dns:pay.example").unwrap();
    let class = |name| DataClass::parse(name).unwrap();
    let wide = PolicyId::parse("wide").unwrap();
    let doubts = set(own).doubts(Millis(0)).unwrap();
    assert_eq!(
        doubts,
        [
            Doubt::AudienceEmpty(Audience::parse("nobody").unwrap()),
            Doubt::GrantUnreachable(PrincipalId::parse("dns:audit.example").unwrap(), 1),
            Doubt::RevealForAnyPurpose(pay(), class("note")),
            Doubt::RevealWithoutGrant(pay(), class("unused"), [wide].into()),
        ]
    );
    let locked = CATALOG.replace("grants = [\n", "access_token = \"required\"\ngrants = [\n");
    let locked = Catalog::parse(&locked).unwrap_or_else(|error| panic!("{error}"));
    let locked = PolicySet::load(&[PolicySource::DEFAULT], &locked).unwrap_or_else(|error| panic!("{error}"));
    let doubts = locked.doubts(Millis(0)).unwrap();
    let closed = Doubt::AccountClosed(pay());
    assert!(doubts.contains(&closed) && closed.is_warning() && closed.to_string().contains("issuer:subject"));
    let doubts = set("").doubts(Millis(0)).unwrap();
    assert_eq!(doubts[0], Doubt::ClassUnused(class("unused")));
    assert_eq!(doubts.len(), 3);
}

#[test]
fn a_review_that_would_not_end_is_refused() {
    let mut text = CATALOG.to_owned();
    for number in 0..200 {
        text += &format!("[classes.c{number}]\nrule = \"email\"\n[purposes.p{number}]\n[audiences.a{number}]\n");
    }
    let catalog = Catalog::parse(&text).unwrap();
    let own = PolicySource { name: "own.cedar", text: "@id(\"all\") permit(principal, action, resource);" };
    let wide = PolicySet::load(&[PolicySource::DEFAULT, own], &catalog).unwrap();
    let refused = wide.review(Circumstances::default()).unwrap_err();
    assert!(refused.questions > REVIEW_QUESTIONS_MAX && refused.to_string().contains("(all)"), "{refused}");
    let narrow = PolicySet::load(&[PolicySource::DEFAULT], &catalog).unwrap();
    assert!(narrow.review(Circumstances::default()).is_ok(), "grants alone are few");
}

#[test]
fn pairs_of_a_role_and_a_scope_stand_last_and_are_bounded() {
    let policy = |at: usize| {
        format!(
            r#"@id("p{at}") forbid(principal, action, resource) when {{
                   context.caller.roles.contains(Vault::Role::"clerk") && context.caller.scopes.contains("s{at}") }};"#
        )
    };
    let set = set(&(0..70).map(policy).collect::<String>());
    let ways = Way::all(&[&set], Millis(0));
    let first = ways.iter().position(Way::is_of_pair).unwrap();
    assert!(ways[first..].iter().all(Way::is_of_pair));
    assert_eq!((ways.len() - first, Way::pairs_left_out(&[&set])), (crate::PAIRS_MAX, 6));
    // All likes stand before, so that pairs can be cut off.
    assert!(ways.iter().enumerate().all(|(at, way)| way.likes.iter().all(|like| *like < at.min(first))));
}

/// A catalog with accounts that come by a token, and policies that name roles and scopes.
fn with_tokens() -> PolicySet {
    let text = CATALOG.replace(
        "[classes.unused]\nrule = \"email\"",
        "[classes.unused]\nrule = \"email\"\nstep_up_assurance = 3\nstep_up_seconds = 1\n\
         [classes.hash]\nrule = \"email\"\nformat = \"one_way\"",
    ) + r#"
[accounts."corp:orders"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["detokenize"], classes = ["card"], purposes = ["settlement"], scopes = ["read", "cards"] },
    { actions = ["detokenize"], classes = ["unused"], purposes = ["settlement"] },
    { actions = ["detokenize", "describe"], classes = ["hash"], purposes = ["settlement"] },
]

[accounts."dns:closed.example"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
access_token = "required"
grants = [{ actions = ["detokenize"], classes = ["note"] }]
"#;
    let own = r#"@id("clerks") forbid(principal, action, resource == Vault::DataClass::"unused")
        unless { context.caller.roles.contains(Vault::Role::"clerk") };
        @id("batch") forbid(principal, action, resource == Vault::DataClass::"card")
        when { context.caller.scopes.contains("batch") };"#;
    let own = PolicySource { name: "own.cedar", text: own };
    PolicySet::load(&[PolicySource::DEFAULT, own], &Catalog::parse(&text).unwrap()).unwrap()
}

#[test]
fn accounts_are_asked_about_only_as_they_can_come() {
    let set = with_tokens();
    let now = Millis(1_763_708_700_000);
    let ways = Way::all(&[&set], now);
    let found = set.review_ways(&ways, None, now).unwrap();
    let of = |name: &str| {
        let at = ways.iter().position(|way| way.name == name).unwrap_or_else(|| panic!("{name}: {ways:?}"));
        let names = found[at].iter().map(|access| {
            let class = access.class.as_ref().map_or("-", DataClass::as_str);
            format!("{} {class}", access.principal.as_str())
        });
        let mut names: Vec<_> = names.collect();
        names.dedup();
        names
    };
    assert_eq!(of("certificate"), ["dns:audit.example -", "dns:pay.example card", "dns:pay.example note"]);
    assert_eq!(of("access token"), ["corp:orders card"], "both scopes, no role; hashes are revealed to nobody");
    assert_eq!(of("access token with the role clerk"), ["corp:orders card", "corp:orders unused"]);
    for none in ["without scopes", "of the scope read alone", "of the scope cards alone", "with the scope batch"] {
        assert_eq!(of(&format!("access token {none}")), [""; 0], "{none}");
    }
}

#[test]
fn what_no_way_opens_is_doubted_and_what_a_role_opens_is_not() {
    let doubts = with_tokens().doubts(Millis(1_763_708_700_000)).unwrap();
    let principal = |name| PrincipalId::parse(name).unwrap();
    assert!(doubts.contains(&Doubt::AccountClosed(principal("dns:closed.example"))), "{doubts:?}");
    let unreachable: Vec<_> = doubts.iter().filter(|doubt| matches!(doubt, Doubt::GrantUnreachable(..))).collect();
    assert_eq!(unreachable, [&Doubt::GrantUnreachable(principal("corp:orders"), 3)]);
}

#[test]
fn guesses_and_trials_without_a_budget_are_doubted() {
    let more = r#"
[classes.account]
rule = "digits"
digits_min = 10
digits_max = 10
format = "format_preserving"
luhn = "none"
determinism = "per_audience"
[accounts."dns:load.example"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu"]
grants = [
    { actions = ["tokenize", "find"], classes = ["account"], purposes = ["settlement"] },
    { actions = ["detokenize"], classes = ["account"], purposes = ["settlement", "audit"] },
]
"#;
    let doubted = |budgets: &str| {
        let catalog = format!("{CATALOG}{more}{budgets}");
        let catalog = Catalog::parse(&catalog).unwrap_or_else(|error| panic!("{error}"));
        let set = PolicySet::load(&[PolicySource::DEFAULT], &catalog).unwrap_or_else(|error| panic!("{error}"));
        let doubts = set.doubts(Millis(0)).unwrap();
        assert!(doubts.iter().all(|doubt| !doubt.is_warning() || matches!(doubt, Doubt::GrantUnreachable(..))));
        let of_budgets = |doubt: &Doubt| matches!(doubt, Doubt::GuessesUnbounded(_) | Doubt::TrialsUnbounded(_));
        doubts.into_iter().filter(of_budgets).collect::<Vec<_>>()
    };
    let class = || DataClass::parse("account").unwrap();
    let (guesses, trials) = (Doubt::GuessesUnbounded(class()), Doubt::TrialsUnbounded(class()));
    assert_eq!(doubted(""), [guesses.clone(), trials.clone()]);
    // One that leaves out a purpose, an action or an account that somebody has bounds it not.
    let some = "[budgets.a]\nactions = ['detokenize']\npurposes = ['settlement']\nper_day = 9\n\
                [budgets.b]\nactions = ['tokenize']\nper_day = 9\n";
    assert_eq!(doubted(some), [guesses.clone(), trials]);
    let rest = "[budgets.c]\nactions = ['find']\naccounts = ['dns:load.example']\nper_hour = 9\n";
    assert!(guesses.to_string().contains("docs/RULES.md"));
    assert_eq!(doubted(&format!("{some}{rest}")), [guesses]);
    assert_eq!(doubted(&format!("{some}{rest}[budgets.d]\nactions = ['detokenize']\nper_minute = 9\n")), []);
}
