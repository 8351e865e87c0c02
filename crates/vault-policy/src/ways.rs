//! The ways in which callers can come: by a certificate alone, or with an access token that says one thing or another.
//! A review asks in all of them, so that what depends on a role or on a scope is seen.
//!
//! Combinations of what policies and grants name are not tried, but for all scopes that grants name together.

use std::collections::BTreeSet;

use serde_json::Value;
use vault_catalog::Account;
use vault_domain::{Assurance, Millis, Role, Scope, Session};

use crate::PolicySet;

/// One way in which callers can come.
#[derive(Clone, Debug)]
pub struct Way {
    /// What it is called: `certificate`, `access token`, `access token with the role clerk`.
    pub name: String,
    /// What the access token says; None for who comes by a certificate alone.
    pub session: Option<Session>,
}

impl Way {
    /// The two that always are: a certificate alone, and an access token of every scope that grants of these sets ask
    /// for, strongly authenticated just now. It has no roles: these mean what policies say.
    #[must_use]
    pub fn first(sets: &[&PolicySet], now: Millis) -> Vec<Self> {
        let strongest = session(granted_scopes(sets), [], now);
        vec![
            Self { name: "certificate".to_owned(), session: None },
            Self { name: "access token".to_owned(), session: Some(strongest) },
        ]
    }

    /// All that make a difference to these sets: beside the first two, an access token without any scope, one of each
    /// single scope, and one with each scope and each role beside that policies name.
    #[must_use]
    pub fn all(sets: &[&PolicySet], now: Millis) -> Vec<Self> {
        let granted = granted_scopes(sets);
        let named: BTreeSet<Scope> = sets.iter().flat_map(|set| set.named_scopes()).collect();
        let roles: BTreeSet<Role> = sets.iter().flat_map(|set| set.named_roles()).collect();
        let way = |name: String, session| Self { name, session: Some(session) };
        let mut ways = Self::first(sets, now);
        let scopes: BTreeSet<&Scope> = granted.iter().chain(&named).collect();
        if !granted.is_empty() {
            ways.push(way("access token without scopes".to_owned(), session([], [], now)));
        }
        // Of a single scope that grants name, the token of all granted ones is the same.
        for scope in scopes.into_iter().filter(|_| granted.len() + named.len() > 1 || granted.is_empty()) {
            ways.push(way(format!("access token of the scope {scope} alone"), session([scope.clone()], [], now)));
        }
        for scope in named.difference(&granted).filter(|_| !granted.is_empty()) {
            let with = granted.iter().chain([scope]).cloned();
            ways.push(way(format!("access token with the scope {scope}"), session(with, [], now)));
        }
        for role in roles {
            let name = format!("access token with the role {role}");
            ways.push(way(name, session(granted.iter().cloned(), [role], now)));
        }
        ways
    }
}

/// A token of these scopes and roles, strongly authenticated just now.
fn session(scopes: impl IntoIterator<Item = Scope>, roles: impl IntoIterator<Item = Role>, now: Millis) -> Session {
    let (scopes, roles): (BTreeSet<Scope>, BTreeSet<Role>) =
        (scopes.into_iter().collect(), roles.into_iter().collect());
    Session {
        scopes: scopes.into_iter().collect(),
        roles: roles.into_iter().collect(),
        assurance: Assurance::new(3),
        authenticated_at: Some(now),
        ..Session::default()
    }
}

fn granted_scopes(sets: &[&PolicySet]) -> BTreeSet<Scope> {
    let grants = sets.iter().flat_map(|set| set.catalog().accounts().flat_map(Account::grants));
    grants.flat_map(|grant| grant.scopes().iter().cloned()).collect()
}

impl PolicySet {
    /// The roles that policies name.
    #[must_use]
    pub fn named_roles(&self) -> BTreeSet<Role> {
        let literals = self.policies.policies().flat_map(cedar_policy::Policy::entity_literals);
        literals.filter_map(|uid| Role::parse(self.vocabulary.role_of(&uid)?).ok()).collect()
    }

    /// The scopes that policies name: every text in a policy that looks at scopes, for what it is held against can
    /// stand anywhere. One that is no scope does no harm.
    #[must_use]
    pub fn named_scopes(&self) -> BTreeSet<Scope> {
        let read = self.policies.policies().filter_map(|policy| policy.to_json().ok());
        read.filter(reads_scopes)
            .flat_map(|policy| texts(&policy))
            .filter_map(|text| Scope::parse(&text).ok())
            .collect()
    }
}

/// Whether an expression of Cedar's JSON policy format looks at an attribute `scopes`.
fn reads_scopes(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("attr").is_some_and(|attribute| attribute == "scopes") || fields.values().any(reads_scopes)
        }
        Value::Array(items) => items.iter().any(reads_scopes),
        _ => false,
    }
}

/// The texts among the literals of an expression, but for those that are addresses, times and spans.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, _)| {
                !matches!(key.as_str(), "ip" | "datetime" | "duration" | "decimal" | "like" | "annotations")
            });
            let found = fields.flat_map(|(key, value)| match (key.as_str(), value) {
                ("Value", Value::String(text)) => vec![text.clone()],
                (_, value) => texts(value),
            });
            found.collect()
        }
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}
