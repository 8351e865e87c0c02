//! `tokenvault config explain --token`: what an access token becomes by the file of issuers, and which rule made it so.
//!
//! Claims are shown by name, and what rules made of them; the token never, nor a value that no rule took. It says
//! nothing about the signature, the binding and the deny-list: the one who writes rules has no key and no certificate.
//! Nor does it open a store: what serves where versions do is the vault's to say, and here it is said that files count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde_json::{Value, json};
use vault_domain::{Clock, Millis, RevealLevel, SystemClock};
use vault_identity::{Explained, Mapped, TOKEN_BYTES_MAX};
use vault_policy::{Access, Circumstances, PolicySet};
use vault_server::Config;
use zeroize::Zeroizing;

use crate::{
    config_explain::ExplainArguments,
    exit::{Exit, Failure},
    output::{self, Column, Records},
    serve::environment,
};

/// What is said where the files may not be what serves.
const BY_FILES: &str = "the vault serves by the version of catalog and policies that was applied last (rules_from = \
                        \"applied\"), and this goes by the files, which may say something else";
const COLUMNS: &[Column] = &[("what", "/what"), ("value", "/value"), ("claim", "/claim"), ("why", "/why")];

pub(crate) fn run(arguments: &ExplainArguments, file: &Path) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Failure, error.to_string());
    let config = Config::load(&arguments.config, &environment())?;
    let now = SystemClock::new().wall();
    let issuers = config.issuers(now)?;
    let policies = config.policies()?;
    let Some((_, issuers)) = issuers else {
        return Err(Failure::usage("identity.issuers is not set: no access token becomes anything"));
    };
    let token = read(file).map_err(|error| Failure::usage(format!("--token {}: {error}", file.display())))?;
    let (issuer, explained) = issuers.explain(token.trim()).map_err(|fault| failed(&fault))?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    if config.may_serve_a_version() {
        output::note(&format!("{BY_FILES}: `tokenvault config history` says which version serves, and since when"));
        records.push(&json!({"what": "catalog", "value": "by the files", "claim": "", "why": BY_FILES}))?;
    }
    records.push(&json!({"what": "issuer", "value": issuer.name(), "claim": "iss", "why": "issuer"}))?;
    for record in rules(&explained) {
        records.push(&record)?;
    }
    let stands = match issuers.check_claims(token.trim(), now) {
        Ok(()) => json!({"what": "claims", "value": "stand now", "claim": "",
            "why": "signature, binding and deny-list are not looked at here"}),
        Err(fault) => json!({"what": "claims", "value": "are refused now", "claim": "", "why": fault.to_string()}),
    };
    records.push(&stands)?;
    let exit = match &explained.mapped {
        Ok(mapped) => {
            let who = mapped.principal.to_string();
            let (why, exit) = match policies.admit(&mapped.principal, Some(&mapped.session)) {
                Ok(_) => ("the catalog has this account".to_owned(), Exit::Done),
                Err(_) if policies.catalog().account(&who).is_none() => {
                    ("the catalog has no account of this name: the caller is nobody".to_owned(), Exit::Failure)
                }
                Err(reason) => (format!("the catalog has this account, but it is not let in: {reason}"), Exit::Failure),
            };
            records.push(&json!({"what": "result", "value": who, "claim": "", "why": why}))?;
            for record in may(&policies, mapped, now)? {
                records.push(&record)?;
            }
            exit
        }
        Err(fault) => {
            records.push(&json!({"what": "result", "value": "refused", "claim": "", "why": fault.to_string()}))?;
            Exit::Failure
        }
    };
    records.finish()?;
    Ok(exit)
}

/// What the account may do with this token, as it stands, from nowhere that is known: a line for each action, class and
/// audience.
fn may(policies: &PolicySet, mapped: &Mapped, now: Millis) -> Result<Vec<Value>, Failure> {
    let circumstances = Circumstances { session: Some(&mapped.session), source: None, now };
    let accesses = match policies.review_of(&mapped.principal, circumstances) {
        Ok(accesses) => accesses,
        Err(too_many) => {
            return Ok(vec![json!({"what": "may", "value": "", "claim": "", "why": format!("not asked: {too_many}")})]);
        }
    };
    let mut lines: BTreeMap<String, [BTreeSet<String>; 2]> = BTreeMap::new();
    for access in &accesses {
        let masked = access.level == Some(RevealLevel::Masked);
        let is_in_full = || accesses.contains(&Access { level: Some(RevealLevel::Full), ..access.clone() });
        if masked && is_in_full() {
            continue;
        }
        let class = access.class.as_ref().map_or(String::new(), |class| format!(" {class}"));
        let audience = access.audience.as_ref().map_or(String::new(), |audience| format!(" for {audience}"));
        let level = if masked { ", masked" } else { "" };
        let line = format!("{}{class}{audience}{level}", access.action.name());
        let [places, purposes] = lines.entry(line).or_default();
        places.insert(access.region.as_ref().map_or_else(|| "node".to_owned(), ToString::to_string));
        purposes.insert(access.purpose.as_ref().map_or_else(|| "(none)".to_owned(), ToString::to_string));
    }
    let words = |set: &BTreeSet<String>| set.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let line = |(line, [places, purposes]): (&String, &[BTreeSet<String>; 2])| {
        let why = format!("in {}; purpose: {}", words(places), words(purposes));
        json!({"what": "may", "value": line, "claim": "", "why": why})
    };
    Ok(lines.iter().map(line).collect())
}

/// What each rule took, and what none did.
fn rules(explained: &Explained) -> Vec<Value> {
    let taken = explained.taken.iter().map(|taken| {
        let rule = match taken.rule {
            0 => "rule: the default".to_owned(),
            number => format!("rule {number}"),
        };
        let passed = match taken.passed_over {
            0 => String::new(),
            count => format!(", which passes over {count} of its values"),
        };
        let value = taken.values.join(" ");
        json!({"what": taken.gives.name(), "value": value, "claim": taken.claim, "why": format!("{rule}{passed}")})
    });
    let ignored = explained
        .ignored
        .iter()
        .map(|claim| json!({"what": "nothing", "value": "", "claim": claim, "why": "no rule takes it"}));
    taken.chain(ignored).collect()
}

fn read(file: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let most = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(2);
    File::open(file)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}
