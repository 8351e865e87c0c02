//! What a caller's access token, its address and the time make of a decision.

use vault_domain::{Assurance, Millis, Role, Scope, Session};

use super::*;

const NOW: Millis = Millis(1_763_708_700_500);
const ADA: Names<'static> = Names { principal: "dns:ada.example", class: "salary", ..SETTLE };

/// A session of a strength, so many seconds after the authentication.
fn session(level: u8, seconds: u64) -> Session {
    let authenticated_at = Some(Millis(NOW.0 - NOW.0 % 1000 - seconds * 1000));
    Session { assurance: Assurance::new(level), authenticated_at, ..Session::default() }
}

fn decide(set: &PolicySet, names: Names<'_>, session: Option<&Session>) -> Decision {
    let circumstances = Circumstances { session, source: Some([10, 0, 0, 1].into()), now: NOW };
    names.ask_as(circumstances, |request| set.decide(request))
}

#[test]
fn a_class_that_asks_for_step_up_gets_a_strong_and_fresh_authentication() {
    let set = built_in();
    let future = Session { authenticated_at: Some(Millis(NOW.0 + 60_000)), ..session(3, 0) };
    let undated = Session { authenticated_at: None, ..session(3, 0) };
    let table = [
        (Some(session(2, 0)), true),
        (Some(session(2, 900)), true),
        (Some(session(3, 1)), true),
        (Some(session(2, 901)), false),
        (Some(session(1, 0)), false),
        (Some(session(0, 0)), false),
        (Some(undated), false),
        (Some(future), false),
        (Some(Session::default()), false),
        (None, false),
    ];
    for (session, allowed) in table {
        let decision = decide(&set, ADA, session.as_ref());
        assert_eq!(decision.is_allowed(), allowed, "{session:?}");
        if !allowed {
            assert_eq!((ids(&decision), decision.reason()), (vec!["step_up"], Some(Reason::StepUpRequired)));
        }
        let tokenize = Names { action: Action::Tokenize, ..ADA };
        assert!(decide(&set, tokenize, session.as_ref()).is_allowed(), "to make tokens asks for none");
    }
    let ungranted = Names { purpose: "audit", ..ADA };
    assert_eq!(
        decide(&set, ungranted, None).reason(),
        Some(Reason::AccessDenied),
        "who was granted nothing is told so"
    );
}

#[test]
fn a_step_up_is_remembered_for_a_second_at_most() {
    let set = built_in();
    let session = session(2, 899);
    let at = |millis: u64| {
        let now = Millis(NOW.0 - NOW.0 % 1000 + millis);
        let circumstances = Circumstances { session: Some(&session), source: None, now };
        ADA.ask_as(circumstances, |request| set.decide(request).is_allowed())
    };
    assert_eq!([0, 999, 1000, 1999, 2000].map(at), [true, true, true, true, false]);
}

#[test]
fn an_access_token_narrows_the_regions_and_never_widens_them() {
    let set = built_in();
    let cleared = |regions: &[&str]| Session {
        clearance: Some(regions.iter().map(|name| Region::parse(name).unwrap()).collect()),
        ..session(2, 0)
    };
    let us = Names { region: "us", ..ADA };
    let table = [(ADA, &["eu"][..], true), (us, &["eu"], false), (us, &["eu", "us"], true), (ADA, &[], false)];
    for (names, regions, allowed) in table {
        let decision = decide(&set, names, Some(&cleared(regions)));
        assert_eq!(decision.is_allowed(), allowed, "{names:?} {regions:?}");
        assert!(allowed || ids(&decision) == ["residency"]);
    }
    let not_in_account = Names { region: "us", ..SETTLE };
    assert_eq!(ids(&decide(&set, not_in_account, Some(&cleared(&["us"])))), ["residency"]);
}

#[test]
fn a_grant_can_ask_for_scopes_all_of_them() {
    let set = built_in();
    let card = Names { class: "card", ..ADA };
    let scoped = |scopes: &[&str]| Session {
        scopes: scopes.iter().map(|scope| Scope::parse(scope).unwrap()).collect(),
        ..Session::default()
    };
    for (scopes, allowed) in [
        (&["cards:reveal", "vault"][..], true),
        (&["a", "cards:reveal", "vault", "z"], true),
        (&["cards:reveal"], false),
        (&["vault"], false),
        (&[], false),
    ] {
        assert_eq!(decide(&set, card, Some(&scoped(scopes))).is_allowed(), allowed, "{scopes:?}");
    }
    assert!(!decide(&set, card, None).is_allowed(), "a certificate carries none");
}

#[test]
fn own_policies_read_roles_scopes_source_and_time() {
    let session = Session {
        roles: [Role::parse("support").unwrap()].into(),
        scopes: [Scope::parse("vault").unwrap()].into(),
        ..session(2, 60)
    };
    let token = Some(&session);
    let table = [
        ("context.caller.roles.contains(Vault::Role::\"support\")", token, true),
        ("context.caller.roles.contains(Vault::Role::\"support\")", None, false),
        ("context.caller.scopes.contains(\"vault\")", token, true),
        ("context.caller.scopes.isEmpty()", None, true),
        ("context.caller.credential == Vault::Credential::\"access_token\"", token, true),
        ("context.caller.credential == Vault::Credential::\"certificate\"", None, true),
        ("context.caller has source && context.caller.source.isInRange(ip(\"10.0.0.0/8\"))", None, true),
        ("context.caller has source && context.caller.source.isInRange(ip(\"10.1.0.0/16\"))", None, false),
        ("context.caller has assurance && context.caller.assurance >= 2", token, true),
        ("context.caller has assurance", None, false),
        ("context.caller has authenticated_seconds && context.caller.authenticated_seconds == 60", token, true),
        ("context.caller.now == datetime(\"2025-11-21T07:05:00Z\")", None, true),
        ("context.caller.now.toTime() < duration(\"7h\")", None, false),
    ];
    for (condition, session, applies) in table {
        let set = with_own(&format!("@id(\"own\") forbid(principal, action, resource) when {{ {condition} }};"));
        let set = set.unwrap_or_else(|error| panic!("{error}"));
        let decision = decide(&set, SETTLE, session);
        assert_eq!(decision.is_allowed(), !applies, "{condition}");
        assert_eq!(decision, decide(&set, SETTLE, session), "the same again from memory");
    }
}

#[test]
fn only_what_policies_read_takes_room_in_memory() {
    let ask = |set: &PolicySet| {
        for n in 0..100 {
            let circumstances =
                Circumstances { session: None, source: Some([10, 0, 0, n].into()), now: Millis(n.into()) };
            SETTLE.ask_as(circumstances, |request| set.decide(request));
        }
        set.decisions_cached()
    };
    assert_eq!(ask(&built_in()), 1, "from everywhere and at any time the same");
    let by_source = "@id(\"own\") forbid(principal, action, resource) when { context.caller has source && \
                     context.caller.source.isInRange(ip(\"10.0.0.7/32\")) };";
    assert_eq!(ask(&with_own(by_source).unwrap()), 100);
}
