//! `tokenvault config diff`: who gains and who loses which access from one configuration to another, before it serves.
//!
//! It tells what is written differently (config_changes.rs), and asks the policies of both about everything that
//! anybody may do, in every way in which callers can come ([`Way`]): so it sees what a changed grant or policy comes
//! to, however it was written. What no question sees is told by what is written; where nothing is written differently
//! but comments and order, nobody's access differs, and that alone is told: it is a step for a vault to take.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::IpAddr,
    path::PathBuf,
};

use serde_json::{Value, json};
use vault_domain::{Millis, Purpose, Region, RevealLevel};
use vault_policy::{Access, PAIRS_MAX, PolicySet, TooManyQuestions, Way};

use crate::{
    config_changes::{self, Rules},
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
    ("as before with", "/unchanged_with"),
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

pub(crate) fn run(arguments: &DiffArguments) -> Result<Exit, Failure> {
    let (old, new) = (Rules::read(&arguments.old)?, Rules::read(&arguments.new)?);
    let (mut accesses, mut written) = all_changes(&old, &new, &arguments.when);
    // What names the whole step, seen here or not: `config apply --expect-difference` takes it.
    let (before, now) = (old.policies.rules_fingerprint(), new.policies.rules_fingerprint());
    let difference = vault_policy::difference(before, now).to_string();
    let all = accesses.iter_mut().chain(&mut written);
    all.for_each(|change| output::add(change, "difference", difference.as_str()));
    let form = arguments.output.form();
    let mut out = output::stdout();
    let is_texts_alone = written.iter().all(|change| change.get("kind").is_some_and(|kind| kind == "texts"));
    let nothing_opens = match (accesses.is_empty() && is_texts_alone, written.is_empty()) {
        (false, _) => None,
        (true, true) => Some(
            "Nothing that is compared differs: nobody gains or loses access by catalog, policies or issuers."
                .to_owned(),
        ),
        (true, false) => Some(format!(
            "Nobody gains and nobody loses any access. The texts differ, but in comments, descriptions, order, or \
             defaults that are written out. The difference is {difference}."
        )),
    };
    if let Some(said) = nothing_opens {
        match form {
            Output::Table => writeln!(out, "{said}")?,
            _ => output::note(&said),
        }
    }
    if form == Output::Table {
        write_all(&mut out, form, COLUMNS, &accesses)?;
        write_all(&mut out, form, config_changes::COLUMNS, &written)?;
        if !accesses.is_empty() || !written.is_empty() {
            output::note(&format!("the difference of the rules is {difference}"));
        }
    } else {
        write_all(&mut out, form, COLUMNS, accesses.iter().chain(&written))?;
    }
    Ok(if accesses.is_empty() && written.is_empty() { Exit::Done } else { Exit::Changes })
}

fn write_all<'r>(
    out: impl Write,
    form: Output,
    columns: &'static [Column],
    all: impl IntoIterator<Item = &'r Value>,
) -> std::io::Result<()> {
    let mut records = Records::new(out, form, columns);
    all.into_iter().try_for_each(|record| records.push(record))?;
    records.finish()
}

/// Who gains and loses which access, and what is written differently, as records.
pub(crate) fn all_changes(old: &Rules, new: &Rules, when: &WhenArguments) -> (Vec<Value>, Vec<Value>) {
    let mut written = config_changes::of_rules(old, new);
    let mut accesses = Vec::new();
    // The same rules give the same answers: no need to ask.
    if !written.is_empty() {
        let (old, new) = (&old.policies, &new.policies);
        let sets = [old, new];
        let (mut ways, first) = (Way::all(&sets, when.at), Way::first(&sets, when.at));
        let asked = changes(old, new, &ways, when).map(|changes| (changes, None)).or_else(|too_many| {
            ways.retain(|way| !way.is_of_pair());
            let less = "pairs of a role and a scope were not asked about";
            let asked = changes(old, new, &ways, when).map(|changes| (changes, less)).or_else(|_| {
                let less = "roles and single scopes were not asked about";
                changes(old, new, &first, when).map(|changes| (changes, less))
            });
            asked.map(|(changes, less)| (changes, Some((less, too_many))))
        });
        let unasked = match asked {
            Ok((changes, unasked)) => {
                accesses = changes;
                unasked
            }
            Err(too_many) => Some(("nothing was asked about", too_many)),
        };
        if let Some((what, because)) = unasked {
            output::warn(&format!("{what}: {because}"));
            written.push(not_asked(what, &because.to_string()));
        } else if let left_out @ 1.. = Way::pairs_left_out(&sets) {
            let what = format!("{left_out} pairs of a role and a scope were not asked about");
            let because = format!("policies name more than {PAIRS_MAX} of them together");
            output::warn(&format!("{what}: {because}"));
            written.push(not_asked(&what, &because));
        }
    } else {
        written.extend(config_changes::of_texts(old, new));
    }
    written.extend(config_changes::of_doors(old, new));
    (accesses, written)
}

/// That something was not asked about, as a record.
fn not_asked(what: &str, because: &str) -> Value {
    json!({
        "id": format!("unasked|{what}"), "kind": "unasked", "change": "not asked", "section": "accesses",
        "name": what, "setting": null, "was": null, "is": because,
    })
}

/// What is allowed in each way, before or after.
struct Reviewed<'w> {
    ways: &'w [Way],
    allowed: Vec<BTreeSet<Access>>,
}

impl<'w> Reviewed<'w> {
    fn of(policies: &PolicySet, ways: &'w [Way], when: &WhenArguments) -> Result<Self, TooManyQuestions> {
        Ok(Self { ways, allowed: policies.review_ways(ways, when.source, when.at)? })
    }

    /// Whether an access is to be had in the way at this place of the list.
    fn has(&self, way: usize, access: &Access) -> bool {
        self.allowed.get(way).is_some_and(|allowed| allowed.contains(access))
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
    with: &'a str,
    /// Ways in which the access is to be had all the same.
    unchanged: Vec<&'a str>,
}

/// The changes as records, sorted by who.
fn changes(
    old: &PolicySet,
    new: &PolicySet,
    ways: &[Way],
    when: &WhenArguments,
) -> Result<Vec<Value>, TooManyQuestions> {
    let (before, after) = (Reviewed::of(old, ways, when)?, Reviewed::of(new, ways, when)?);
    let all: BTreeSet<&Access> = before.allowed.iter().chain(&after.allowed).flatten().collect();
    let mut lines: BTreeMap<Line<'_>, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for access in all {
        for (way, with) in before.ways.iter().enumerate() {
            let changed = |access: &Access| (before.has(way, access), after.has(way, access));
            let change = match changed(access) {
                (false, true) => "gains",
                (true, false) => "loses",
                _ => continue,
            };
            // What changes for the token that opens the most goes without saying for others; so does for a pair what
            // changes for one of its two.
            let is_other = way >= FIRST_WAYS;
            if with.likes.iter().any(|like| changed(access) == (before.has(*like, access), after.has(*like, access))) {
                continue;
            }
            if access.level == Some(RevealLevel::Masked) {
                let full = Access { level: Some(RevealLevel::Full), ..access.clone() };
                if changed(&full) == changed(access) {
                    continue;
                }
            }
            let others = ways.iter().enumerate().skip(FIRST_WAYS).filter(|_| !is_other);
            let unchanged = others.filter(|(other, _)| before.has(*other, access) && after.has(*other, access));
            let line = Line {
                principal: access.principal.as_str(),
                change,
                action: what(access),
                class: access.class.as_ref().map_or("", |class| class.as_str()),
                audience: access.audience.as_ref().map_or("", |audience| audience.as_str()),
                with: &with.name,
                unchanged: unchanged.map(|(_, way)| way.name.as_str()).collect(),
            };
            let place = access.region.as_ref().map_or("node", Region::as_str);
            let purpose = access.purpose.as_ref().map_or("(none)", Purpose::as_str);
            lines.entry(line).or_default().entry(place).or_default().insert(purpose);
        }
    }
    Ok(lines.iter().flat_map(|(line, places)| records(line, places)).collect())
}

/// How many ways [`Way::first`] has.
const FIRST_WAYS: usize = 2;

/// The action, and how much it shows if that is not all.
fn what(access: &Access) -> &'static str {
    match access.level {
        Some(RevealLevel::Masked) => "detokenize, masked",
        _ => access.action.name(),
    }
}

/// A line for all places that have the same purposes.
fn records(line: &Line<'_>, places: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Value> {
    let mut alike: BTreeMap<&BTreeSet<&str>, Vec<&str>> = BTreeMap::new();
    for (place, purposes) in places {
        alike.entry(purposes).or_default().push(place);
    }
    let record = |(purposes, places): (&BTreeSet<&str>, Vec<&str>)| {
        let Line { principal, change, action, class, audience, with, unchanged } = line;
        // The same change has the same id, wherever and whenever it is told.
        let id = [*principal, change, action, class, audience, &places.join(","), with].join("|");
        json!({
            "id": id, "kind": "access", "principal": principal, "change": change, "action": action, "data_class": class,
            "audience": audience, "places": places, "purposes": purposes, "with": with, "unchanged_with": unchanged,
        })
    };
    alike.into_iter().map(record).collect()
}
