//! What a policy reads is found wherever it stands, and what is not understood counts as everything.

use super::*;

fn reads(condition: &str) -> Reads {
    let text = format!("permit (principal, action, resource) when {{ {condition} }};");
    Reads::of(&text.parse().unwrap_or_else(|error| panic!("{condition}: {error}")))
}

#[test]
fn each_field_is_found_wherever_it_stands() {
    let none = Reads::default();
    for unread in [
        "context.granted",
        "context has region && principal.regions.contains(context.region)",
        "context.caller.roles.contains(Vault::Role::\"support\") && context.caller has assurance",
        "principal.now == resource.source",
        "context has caller",
    ] {
        assert_eq!(reads(unread), none, "{unread}");
    }
    let now = Reads { now: true, ..none };
    assert_eq!(reads("context.caller.now.toTime() < duration(\"7h\")"), now);
    assert_eq!(reads("if principal has a then true else [1, {b: context.caller.now}].contains(1)"), now);
    assert_eq!(reads("context.caller has authenticated_seconds"), Reads { age: true, ..none });
    assert_eq!(reads("context[\"caller\"][\"source\"].isLoopback()"), Reads { source: true, ..none });
    let text = "permit (principal, action, resource); forbid (principal, action, resource) unless { \
                context.caller has source && context.caller.source.isInRange(ip(\"10.0.0.0/8\")) };";
    assert_eq!(Reads::of(&text.parse().unwrap()), Reads { source: true, ..none });
}

#[test]
fn the_whole_is_everything() {
    for whole in ["context.caller == principal.last", "context == resource.context", "[context].contains(principal)"] {
        assert_eq!(reads(whole), Reads::ALL, "{whole}");
    }
}
