//! `config check`: what accounts, grants and policies ask of access tokens that no issuer can give them.

use vault_engine::PolicySet;
use vault_identity::{Gives, Issuers};

/// Everything of the kind, in words; `issuers` is None where none is configured.
pub(super) fn missing(policies: &PolicySet, issuers: Option<&Issuers>) -> Vec<String> {
    let issuers = issuers.map(Issuers::all).unwrap_or_default();
    let mut found = Vec::new();
    for account in policies.catalog().accounts() {
        let Some(name) = account.issuer() else { continue };
        let principal = account.principal();
        let Some(issuer) = issuers.iter().find(|issuer| issuer.name() == name) else {
            found.push(format!(
                "nobody can come as {principal}: the file of issuers (identity.issuers) has no issuer {name:?}"
            ));
            continue;
        };
        for (at, grant) in account.grants().iter().enumerate() {
            let scopes = grant.scopes().iter().filter(|scope| !issuer.can_give(Gives::Scope, scope.as_str()));
            found.extend(scopes.map(|scope| {
                format!(
                    "grant {} of {principal} needs the scope {scope}, which no rule of the issuer {name:?} gives",
                    at + 1
                )
            }));
        }
    }
    let any_gives = |gives, word: &str| issuers.iter().any(|issuer| issuer.can_give(gives, word));
    let roles = policies.named_roles().into_iter().filter(|role| !any_gives(Gives::Role, role.as_str()));
    found.extend(roles.map(|role| format!("policies name the role {role}, which no issuer's rules give")));
    let scopes = policies.named_scopes().into_iter().filter(|scope| !any_gives(Gives::Scope, scope.as_str()));
    found.extend(scopes.map(|scope| format!("policies name the scope {scope}, which no issuer's rules give")));
    found
}
