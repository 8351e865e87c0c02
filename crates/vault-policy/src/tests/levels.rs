//! How much of a value is shown is a decision of its own.

use super::*;

const LEVELS: &str = r#"
[tenants.acme]
[regions.eu]
[audiences.support]
[purposes.case]
[purposes.fraud]
[classes.card]
rule = "pan"
mask = "last4"

[accounts."dns:desk.example"]
tenant = "acme"
audiences = ["support"]
regions = ["eu"]
grants = [
    { actions = ["detokenize"], classes = ["card"], level = "masked", purposes = ["case"] },
    { actions = ["detokenize"], classes = ["card"], purposes = ["fraud"] },
]
"#;

/// Whether all, and whether a mask may be shown.
fn shown(set: &PolicySet, purpose: &str) -> [Decision; 2] {
    let names = ("dns:desk.example", "card", "support", "eu");
    let principal = PrincipalId::parse(names.0).unwrap();
    let (class, audience) = (DataClass::parse(names.1).unwrap(), Audience::parse(names.2).unwrap());
    let (region, purpose) = (Region::parse(names.3).unwrap(), Purpose::parse(purpose).unwrap());
    let scope = DataScope { class: &class, audience: &audience, region: &region };
    [RevealLevel::Full, RevealLevel::Masked].map(|level| {
        let ask = Ask::Detokenize(scope, level);
        let circumstances = Circumstances::default();
        set.decide(&Request { principal: &principal, purpose: Some(&purpose), ask, circumstances })
    })
}

fn is_shown(set: &PolicySet, purpose: &str) -> [bool; 2] {
    // Twice: what is remembered of the one level is not taken for the other.
    let [first, again] = [(); 2].map(|()| shown(set, purpose).map(|decision| decision.is_allowed()));
    assert_eq!(first, again);
    first
}

#[test]
fn a_grant_of_masks_permits_masks_alone() {
    let set = PolicySet::load(&[PolicySource::DEFAULT], &Catalog::parse(LEVELS).unwrap()).unwrap();
    assert_eq!(is_shown(&set, "case"), [false, true]);
    assert_eq!(is_shown(&set, "fraud"), [true, true]);
}

#[test]
fn a_policy_can_forbid_more_than_a_mask() {
    let own = r#"
        @id("cards_masked")
        @reason("LEVEL_NOT_PERMITTED")
        forbid (principal, action == Vault::Action::"detokenize", resource == Vault::DataClass::"card")
        when { context.level == Vault::Level::"full" };
    "#;
    let sources = [PolicySource::DEFAULT, PolicySource { name: "own.cedar", text: own }];
    let set = PolicySet::load(&sources, &Catalog::parse(LEVELS).unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let [full, masked] = shown(&set, "fraud");
    assert!(!full.is_allowed() && masked.is_allowed());
    assert_eq!(full.reason(), Some(Reason::LevelNotPermitted));
}

#[test]
fn a_level_that_is_none_is_refused_at_load() {
    let own = r#"
        @id("typo")
        forbid (principal, action == Vault::Action::"detokenize", resource)
        when { context.level == Vault::Level::"maskd" };
    "#;
    let sources = [PolicySource::DEFAULT, PolicySource { name: "own.cedar", text: own }];
    let refused = PolicySet::load(&sources, &Catalog::parse(LEVELS).unwrap()).unwrap_err();
    assert!(refused.to_string().contains("maskd"), "{refused}");
}
