//! The ways in which callers can come: by a certificate alone, or with an access token that says one thing or another.
//! A review asks in all of them, so that what depends on a role or on a scope is seen.
//!
//! Combinations of what policies and grants name are not tried, but for all scopes that grants name together, and for
//! the pairs of a role and a scope that one policy names, up to [`PAIRS_MAX`] of them.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Policy;
use serde_json::Value;
use vault_catalog::Account;
use vault_domain::{Assurance, Millis, Role, Scope, Session};

use crate::PolicySet;

/// The most pairs of a role and a scope that are ways of their own; one policy alone can name thousands.
pub const PAIRS_MAX: usize = 64;

/// One way in which callers can come.
#[derive(Clone, Debug)]
pub struct Way {
    /// What it is called: `certificate`, `access token`, `access token with the role clerk`.
    pub name: String,
    /// What the access token says; None for who comes by a certificate alone.
    pub session: Option<Session>,
    /// Its likes, by their places in the list: what changes for this way as it does for one of these goes without
    /// saying. The first two have none.
    pub likes: Vec<usize>,
}

impl Way {
    /// The two that always are: a certificate alone, and an access token of every scope that grants of these sets ask
    /// for, strongly authenticated just now. It has no roles: these mean what policies say.
    #[must_use]
    pub fn first(sets: &[&PolicySet], now: Millis) -> Vec<Self> {
        let strongest = session(granted_scopes(sets), [], now);
        vec![
            Self { name: "certificate".to_owned(), session: None, likes: Vec::new() },
            Self { name: "access token".to_owned(), session: Some(strongest), likes: Vec::new() },
        ]
    }

    /// All that make a difference to these sets: beside the first two, an access token without any scope, one of each
    /// single scope, one with each scope and each role beside that policies name, and one with both of each pair that
    /// one policy names, as far as these are not more than [`PAIRS_MAX`].
    #[must_use]
    pub fn all(sets: &[&PolicySet], now: Millis) -> Vec<Self> {
        let granted = granted_scopes(sets);
        let named: BTreeSet<Scope> = sets.iter().flat_map(|set| set.named_scopes()).collect();
        let roles: BTreeSet<Role> = sets.iter().flat_map(|set| set.named_roles()).collect();
        let way = |name: String, session| Self { name, session: Some(session), likes: vec![STRONGEST] };
        let mut ways = Self::first(sets, now);
        let scopes: BTreeSet<&Scope> = granted.iter().chain(&named).collect();
        if !granted.is_empty() {
            ways.push(way("access token without scopes".to_owned(), session([], [], now)));
        }
        let (mut of_scopes, mut of_roles) = (BTreeMap::new(), BTreeMap::new());
        // Of a single scope that grants name, the token of all granted ones is the same.
        for scope in scopes.into_iter().filter(|_| granted.len() + named.len() > 1 || granted.is_empty()) {
            of_scopes.insert(scope.clone(), ways.len());
            ways.push(way(format!("access token of the scope {scope} alone"), session([scope.clone()], [], now)));
        }
        for scope in named.difference(&granted).filter(|_| !granted.is_empty()) {
            of_scopes.insert(scope.clone(), ways.len());
            let with = granted.iter().chain([scope]).cloned();
            ways.push(way(format!("access token with the scope {scope}"), session(with, [], now)));
        }
        for role in roles {
            of_roles.insert(role.clone(), ways.len());
            let name = format!("access token with the role {role}");
            ways.push(way(name, session(granted.iter().cloned(), [role], now)));
        }
        for (role, scope) in pairs(sets).into_iter().take(PAIRS_MAX) {
            let name = format!("access token with the role {role} and the scope {scope}");
            let likes = [Some(&STRONGEST), of_roles.get(&role), of_scopes.get(&scope)];
            let likes = likes.into_iter().flatten().copied().collect();
            let with = session(granted.iter().chain([&scope]).cloned(), [role], now);
            ways.push(Self { name, session: Some(with), likes });
        }
        ways
    }

    /// Whether it is that of a pair. They stand last, so that they can be left out where questions are too many.
    #[must_use]
    pub fn is_of_pair(&self) -> bool {
        self.likes.len() > 1
    }

    /// How many pairs of a role and a scope [`Way::all`] leaves out of these sets.
    #[must_use]
    pub fn pairs_left_out(sets: &[&PolicySet]) -> usize {
        pairs(sets).len().saturating_sub(PAIRS_MAX)
    }
}

/// The place of [`Way::first`] that is an access token which opens the most.
const STRONGEST: usize = 1;

/// The roles and scopes that stand together in a policy, but for scopes that every one of these ways has.
fn pairs(sets: &[&PolicySet]) -> BTreeSet<(Role, Scope)> {
    let granted = granted_scopes(sets);
    let mut pairs = BTreeSet::new();
    for (set, policy) in sets.iter().flat_map(|set| set.policies.policies().map(move |policy| (set, policy))) {
        let scopes = scopes_of(policy);
        for role in set.roles_of(policy) {
            let beside = scopes.iter().filter(|scope| !granted.contains(*scope));
            pairs.extend(beside.map(|scope| (role.clone(), scope.clone())));
        }
    }
    pairs
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
        self.policies.policies().flat_map(|policy| self.roles_of(policy)).collect()
    }

    /// The roles that one policy names.
    fn roles_of(&self, policy: &Policy) -> BTreeSet<Role> {
        let literals = policy.entity_literals().into_iter();
        literals.filter_map(|uid| Role::parse(self.vocabulary.role_of(&uid)?).ok()).collect()
    }

    /// The scopes that policies name.
    #[must_use]
    pub fn named_scopes(&self) -> BTreeSet<Scope> {
        self.policies.policies().flat_map(scopes_of).collect()
    }
}

/// The scopes that a policy names: every text in one that looks at scopes, for what it is held against can stand
/// anywhere. One that is no scope does no harm.
fn scopes_of(policy: &Policy) -> BTreeSet<Scope> {
    let read = policy.to_json().ok().filter(reads_scopes);
    let texts = read.iter().flat_map(texts);
    texts.filter_map(|text| Scope::parse(&text).ok()).collect()
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
