//! `tokenvault config diff`: who gains and who loses which access from one configuration to another, before it serves.
//!
//! It asks the policies of both about everything that anybody may do, by a certificate alone and with an access token
//! of every scope that grants ask for, freshly and strongly authenticated, and tells the differences. So it sees what a
//! changed grant or policy comes to, however it was written. It does not see what depends on roles or on a token that
//! lacks a scope, nor what an account's tenant or need of an access token, or a class's settings, change.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vault_domain::{Millis, Purpose, Region, RevealLevel};
use vault_policy::{Access, Circumstances, PolicySet};
use vault_server::{Config, Environment};

use crate::{
    exit::{Exit, Failure},
    output::{self, Column, Output, OutputArguments, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("who", "/principal"),
    ("", "/change"),
    ("what", "/action"),
    ("data class", "/data_class"),
    ("for audience", "/audience"),
    ("in", "/places"),
    ("for purposes", "/purposes"),
    ("with", "/with"),
];

/// Which configurations.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DiffArguments {
    /// The configuration that serves now; the environment overrides nothing here
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The configuration that is to serve
    #[arg(value_name = "NEW")]
    new: PathBuf,
    #[command(flatten)]
    when: WhenArguments,
    #[command(flatten)]
    output: OutputArguments,
}

/// The circumstances that policies can ask for beside the caller's.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WhenArguments {
    /// The moment for policies that look at the time: RFC 3339, a day, or milliseconds since 1970
    #[arg(long, value_name = "TIME", default_value = "2026-01-05T12:00:00Z", value_parser = timestamp::parse)]
    pub(crate) at: Millis,
    /// The address for policies that look at where a call comes from; they know none if left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<IpAddr>,
}

/// Reads catalog and policies of a configuration, whatever else may be wrong with it.
pub(crate) fn policies(config: &Path) -> Result<PolicySet, Failure> {
    let refused = |error: vault_server::ConfigError| Failure::new(Exit::Failure, error.to_string());
    Config::load(config, &Environment::default()).map_err(refused)?.policies().map_err(refused)
}

pub(crate) fn run(arguments: &DiffArguments) -> Result<Exit, Failure> {
    let (old, new) = (policies(&arguments.old)?, policies(&arguments.new)?);
    let mut changes = changes(&old, &new, &arguments.when)?;
    // What names the whole step, seen here or not: `config apply --expect-difference` takes it.
    let difference = vault_policy::difference(old.rules_fingerprint(), new.rules_fingerprint()).to_string();
    changes.iter_mut().for_each(|change| output::add(change, "difference", difference.as_str()));
    let form = arguments.output.form();
    let mut out = output::stdout();
    if changes.is_empty() && form == Output::Table {
        writeln!(
            out,
            "Nobody gains and nobody loses any access that was asked about. Not asked about: roles, combinations of \
             scopes, the tenants and access tokens of accounts, the settings of data classes."
        )?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    let mut records = Records::new(out, form, COLUMNS);
    changes.iter().try_for_each(|change| records.push(change))?;
    records.finish()?;
    Ok(if changes.is_empty() { Exit::Done } else { Exit::Changes })
}

/// What somebody may do by a certificate alone, and with the access token that opens the most.
struct Reviewed {
    certificate: BTreeSet<Access>,
    access_token: BTreeSet<Access>,
}

impl Reviewed {
    fn of(policies: &PolicySet, when: &WhenArguments) -> Result<Self, Failure> {
        let strongest = policies.strongest_session(when.at);
        let review = |session| {
            let circumstances = Circumstances { session, source: when.source, now: when.at };
            policies.review(circumstances).map_err(|error| Failure::new(Exit::Failure, error.to_string()))
        };
        Ok(Self { certificate: review(None)?, access_token: review(Some(&strongest))? })
    }

    /// With what an access is to be had, in words. None: not at all.
    fn with(&self, access: &Access) -> Option<&'static str> {
        match (self.certificate.contains(access), self.access_token.contains(access)) {
            (true, true) => Some("certificate or access token"),
            (true, false) => Some("certificate alone"),
            (false, true) => Some("access token"),
            (false, false) => None,
        }
    }
}

/// All that differs between accesses which are told in one line.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    principal: &'a str,
    change: &'static str,
    action: &'static str,
    class: &'a str,
    audience: &'a str,
    with: &'static str,
}

/// The changes as records, sorted by who.
pub(crate) fn changes(old: &PolicySet, new: &PolicySet, when: &WhenArguments) -> Result<Vec<Value>, Failure> {
    let (before, after) = (Reviewed::of(old, when)?, Reviewed::of(new, when)?);
    let sets = [&before.certificate, &before.access_token, &after.certificate, &after.access_token];
    let all: BTreeSet<&Access> = sets.into_iter().flatten().collect();
    let mut lines: BTreeMap<Line<'_>, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for access in all {
        let (was, is) = (before.with(access), after.with(access));
        // Who has it another way now loses the old one and gains the new one.
        for (change, with, other) in [("loses", was, is), ("gains", is, was)] {
            let Some(with) = with.filter(|with| other != Some(*with)) else { continue };
            if access.level == Some(RevealLevel::Masked) && same_in_full(access, &before, &after) {
                continue;
            }
            let line = Line {
                principal: access.principal.as_str(),
                change,
                action: what(access),
                class: access.class.as_ref().map_or("", |class| class.as_str()),
                audience: access.audience.as_ref().map_or("", |audience| audience.as_str()),
                with,
            };
            let place = access.region.as_ref().map_or("node", Region::as_str);
            let purpose = access.purpose.as_ref().map_or("(none)", Purpose::as_str);
            lines.entry(line).or_default().entry(place).or_default().insert(purpose);
        }
    }
    Ok(lines.iter().flat_map(|(line, places)| records(line, places)).collect())
}

/// The action, and how much it shows if that is not all.
fn what(access: &Access) -> &'static str {
    match access.level {
        Some(RevealLevel::Masked) => "detokenize, masked",
        _ => access.action.name(),
    }
}

/// Whether the same changes for the whole value, so that the mask goes without saying.
fn same_in_full(masked: &Access, before: &Reviewed, after: &Reviewed) -> bool {
    let full = Access { level: Some(RevealLevel::Full), ..masked.clone() };
    let changed = |access: &Access| (before.with(access), after.with(access));
    changed(&full) == changed(masked)
}

/// A line for all places that have the same purposes.
fn records(line: &Line<'_>, places: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Value> {
    let mut alike: BTreeMap<&BTreeSet<&str>, Vec<&str>> = BTreeMap::new();
    for (place, purposes) in places {
        alike.entry(purposes).or_default().push(place);
    }
    let record = |(purposes, places): (&BTreeSet<&str>, Vec<&str>)| {
        let Line { principal, change, action, class, audience, with } = line;
        // The same change has the same id, wherever and whenever it is told.
        let id = [*principal, change, action, class, audience, &places.join(","), with].join("|");
        json!({
            "id": id, "principal": principal, "change": change, "action": action, "data_class": class,
            "audience": audience, "places": places, "purposes": purposes, "with": with,
        })
    };
    alike.into_iter().map(record).collect()
}
