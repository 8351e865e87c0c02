//! `tokenvault audit verify-report`: a report held against its own proofs, offline. Everything in it that follows from
//! the rest is made anew and compared; every entry that is cited is read from the bytes that the log held.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vault_ledger::{Checkpoint, Entry, LogProof, TenantTag, VerifierKey, leaf_hash};

use super::{
    document::{Asked, LogRead, Report, Row},
    facts::{self, place_of},
    folder, markdown,
    rules::RuleFiles,
    whole,
};
use crate::{
    audit_export::read_key,
    exit::{Exit, Failure},
    items::hex,
    output::{self, OutputArguments},
};

/// Which report, and by whose keys.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Every entry that the report cites is read from its bytes, whose inclusion must lead to the \
                        signed checkpoint; numbers, findings and report.md are made anew and compared.\n\nA key that \
                        lies in the folder proves only that the report agrees with itself: give --verifier-key, once \
                        for each log. docs/REPORTS.md says what a report proves.\n\nExit code 4: something does not \
                        hold.")]
pub(crate) struct VerifyReportArguments {
    /// The folder that `tokenvault audit report` wrote
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// A log's verifier key, or a file with it, that you got by another way; give it once for each log
    #[arg(long = "verifier-key", alias = "key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// The configuration whose catalog and policies a report of a class or of grants must be of
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A whole log, as `tokenvault audit export-log` wrote it: that nothing was left out; give it once for each log
    #[arg(long = "log", value_name = "FOLDER")]
    logs: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

/// What does not hold.
struct Broken(String);

/// What a log's part of the report is held against, and what was found out about it.
struct Held {
    key: VerifierKey,
    note: String,
    /// Of the entries that are proved.
    tenants: BTreeSet<TenantTag>,
}

type Holds<T = ()> = Result<T, Broken>;

pub(crate) fn verify(arguments: &VerifyReportArguments) -> Result<Exit, Failure> {
    let keys: Vec<_> = arguments.keys.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?;
    let text = folder::read_document(&arguments.folder)?;
    let files = arguments.config.as_deref().map(RuleFiles::read).transpose()?;
    let wholes = whole::origins(&arguments.logs)?;
    let checked = check(arguments, &keys, &text).and_then(|(report, held)| match &files {
        Some(files) => check_rules(files, report).map(|report| (report, held)),
        None => Ok((report, held)),
    });
    let checked = match checked {
        Ok((report, held)) => check_wholes(&wholes, &report, &held)?.map(|of_others| (report, of_others)),
        Err(broken) => Err(broken),
    };
    let mut record = json!({
        "folder": arguments.folder.display().to_string(),
        "verified": checked.is_ok(),
        "verifier_key_given": !keys.is_empty(),
    });
    let exit = match checked {
        Ok((report, of_others)) => {
            let proved = report.rows.iter().filter(|row| row.is_proved).count();
            output::add(&mut record, "report", report.asked.kind());
            output::add(&mut record, "entries_counted", report.rows.len());
            output::add(&mut record, "entries_proved", proved);
            output::add(&mut record, "numbers_rest_on_proofs_alone", proved == report.rows.len());
            output::add(&mut record, "rules_compared", files.is_some());
            output::add(&mut record, "nothing_left_out_of", wholes.iter().map(|(log, _)| &**log).collect::<Vec<_>>());
            output::add(&mut record, "alike_of_other_tenants", of_others);
            Exit::Done
        }
        Err(Broken(problem)) => {
            output::add(&mut record, "problem", problem);
            Exit::NotVerified
        }
    };
    output::write_summary(output::stdout(), arguments.output.form(), &record)?;
    if keys.is_empty() {
        output::warn(
            "a key that lies beside a report proves only that the report agrees with itself: get it another way, and \
             give it by --verifier-key",
        );
    }
    Ok(exit)
}

fn check(arguments: &VerifyReportArguments, keys: &[VerifierKey], text: &str) -> Holds<(Report, Vec<Held>)> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| broken(format!("report.json is no JSON: {error}")))?;
    let report = Report::read(&document).ok_or_else(|| broken("report.json is no report of this version"))?;
    let there = folder::files(&arguments.folder).map_err(|error| broken(error.to_string()))?;
    let expected = folder::expected(&report);
    if let Some(missing) = expected.difference(&there).next() {
        return Err(broken(format!("{} is missing", missing.display())));
    }
    if let Some(odd) = there.difference(&expected).next() {
        return Err(broken(format!("{} is nothing that the report names", odd.display())));
    }
    let (mut rows, mut held) = (report.rows.iter().peekable(), Vec::new());
    for (place, log) in report.logs.iter().enumerate() {
        if report.logs.iter().take(place).any(|before| before.region == log.region) {
            return Err(broken(format!("{} stands there twice", log.region)));
        }
        let mut own = Vec::new();
        while let Some(row) = rows.next_if(|row| row.region == log.region) {
            own.push(row);
        }
        held.push(check_log(arguments, keys, &report, log, &own)?);
    }
    if let Some(row) = rows.next() {
        return Err(broken(format!("{} is of no log that the report names, or out of order", row.place())));
    }
    if let Some(unused) = keys.iter().find(|key| report.logs.iter().all(|log| log.origin != key.origin().as_str())) {
        return Err(broken(format!("the report names no log {} that the key given could be of", unused.origin())));
    }
    check_examples(&report)?;
    let anew = report.json();
    if let Some(pointer) = difference(&document, &anew, String::new()) {
        return Err(broken(format!("report.json{pointer} is not what the entries come to")));
    }
    let page = folder::read(&arguments.folder, folder::PAGE.as_ref()).map_err(|error| broken(error.to_string()))?;
    if page != markdown::page(&anew) {
        return Err(broken("report.md does not say what report.json does"));
    }
    Ok((report, held))
}

/// Whether the rules of a report are those of these files.
fn check_rules(files: &RuleFiles, report: Report) -> Holds<Report> {
    let Some(stated) = &report.rules else { return Err(broken("the report rests on no catalog and no policies")) };
    let regions: Vec<_> = report.logs.iter().map(|log| log.region.clone()).collect();
    let anew = files.anew(&report.asked, &regions, stated).map_err(|failure| broken(failure.message()))?;
    if anew == *stated { Ok(report) } else { Err(broken("the report rests on another catalog or other policies")) }
}

/// Holds the report against the whole logs that were given; how many entries of other tenants are alike.
fn check_wholes(wholes: &[(String, &Path)], report: &Report, held: &[Held]) -> Result<Holds<u64>, Failure> {
    if !wholes.is_empty() && matches!(report.asked, Asked::Subject(..)) {
        return Err(Failure::usage("--log: which entries concern a token, the vault alone can tell"));
    }
    let mut of_others = 0;
    for (origin, folder) in wholes {
        let Some((log, held)) = report.logs.iter().zip(held).find(|(log, _)| log.origin == *origin) else {
            return Ok(Err(broken(format!("{} is of no log that the report names", folder.display()))));
        };
        match whole::check(folder, &held.key, &held.note, report, log, &held.tenants)? {
            Err(problem) => return Ok(Err(broken(format!("{}: {problem}", folder.display())))),
            Ok(whole::Beside { missing: Some(index), .. }) => {
                return Ok(Err(broken(format!("{}/{index} is in the log and not in the report", log.region))));
            }
            Ok(beside) => of_others += beside.of_others,
        }
    }
    Ok(Ok(of_others))
}

/// Whether each entry that must have a proof has one, and of each kind there is an example.
fn check_examples(report: &Report) -> Holds {
    let mut kinds = BTreeMap::new();
    for row in &report.rows {
        let of = report.asked.examples_of(row);
        if of.is_empty() && !row.is_proved {
            return Err(broken(format!("{} has no proof", row.place())));
        }
        of.into_iter().for_each(|kind| *kinds.entry(kind).or_default() |= row.is_proved);
    }
    match kinds.into_iter().find(|(_, is_proved): &(String, bool)| !is_proved) {
        Some((kind, _)) => Err(broken(format!("no entry of {kind} has a proof"))),
        None => Ok(()),
    }
}

/// A log's checkpoint, range and entries.
fn check_log(
    arguments: &VerifyReportArguments,
    keys: &[VerifierKey],
    report: &Report,
    log: &LogRead,
    rows: &[&Row],
) -> Holds<Held> {
    let region = log.region.as_str();
    let read = |name: PathBuf| {
        folder::read(&arguments.folder, &name).map_err(|error| broken(format!("{}: {error}", name.display())))
    };
    let stated = read(folder::key_file(region))?;
    if stated.trim_end() != log.verifier_key {
        return Err(broken(format!("{region}.vkey is not the key that the report names")));
    }
    let stated = VerifierKey::parse(&log.verifier_key).map_err(|error| broken(error.to_string()))?;
    let key = match keys.iter().find(|key| key.origin().as_str() == log.origin) {
        Some(key) if *key != stated => {
            return Err(broken(format!("{region} was signed by another key than the given one")));
        }
        Some(key) => key,
        None if keys.is_empty() => &stated,
        None => return Err(broken(format!("no key was given for {}", log.origin))),
    };
    let note = read(folder::checkpoint_file(region))?;
    let checkpoint = Checkpoint::open(&note, key).map_err(|error| broken(format!("{region}.checkpoint: {error}")))?;
    let stated = (log.origin.as_str(), log.size, log.root.clone());
    let signed = (checkpoint.origin.as_str(), checkpoint.head.size.0, hex(&checkpoint.head.root.0));
    if stated != signed || log.origin.split('/').nth(2) != Some(region) {
        return Err(broken(format!("{region}.checkpoint signs another log, size or root than the report names")));
    }
    if log.first > log.end || log.end > log.size {
        return Err(broken(format!("the range of {region} lies outside of its checkpoint")));
    }
    check_counts(&report.asked, log, rows)?;
    let (mut callers, mut tenants) = (BTreeMap::new(), BTreeSet::new());
    let mut before = None;
    for row in rows {
        if before.is_some_and(|before| before >= row.index) {
            return Err(broken(format!("{} is out of order", row.place())));
        }
        before = Some(row.index);
        check_place(report, log, row)?;
        if row.is_proved {
            let text = read(folder::proof_file(&row.proof_file()))?;
            let entry = proved(row, &text, &note, key)?;
            // Equal tags are equal callers: a name that was changed in one of several entries is told by the others.
            if let Some(sealed) = facts::sealed(&entry) {
                tenants.insert(sealed.tenant_tag);
                let caller = (row.entry.tenant.as_str(), row.entry.principal.as_str());
                if *callers.entry(sealed.principal_tag).or_insert(caller) != caller {
                    return Err(broken(format!("{} names another caller than an entry of the same one", row.place())));
                }
            }
        }
    }
    Ok(Held { key: key.clone(), note, tenants })
}

/// Whether so many entries can have been read and counted.
fn check_counts(asked: &Asked, log: &LogRead, rows: &[&Row]) -> Holds {
    let region = &log.region;
    let read = log.shown.unwrap_or_default().checked_add(log.of_nobody.unwrap_or_default());
    let fits = read.is_some_and(|read| read <= log.end - log.first);
    let adds_up = match asked {
        Asked::Pci(_) => read == Some(rows.len() as u64) && log.shown.is_some(),
        Asked::Subject(..) => log.shown.is_none() && log.of_nobody.is_none(),
        Asked::Class(_) | Asked::UnusedGrants | Asked::Residency(_) | Asked::Purges => {
            log.of_nobody.is_none() && log.shown.is_some_and(|shown| rows.len() as u64 <= shown)
        }
    };
    if fits && adds_up { Ok(()) } else { Err(broken(format!("the numbers of entries of {region} don't add up"))) }
}

/// Whether an entry lies in what was asked for.
fn check_place(report: &Report, log: &LogRead, row: &Row) -> Holds {
    let time = vault_domain::Millis(row.entry.log_time_ms);
    let is_in_time = report.from.is_none_or(|from| time >= from) && report.until.is_none_or(|until| time < until);
    let place = place_of(&row.entry).map(|(origin, index, _)| (origin, index));
    let is_asked_for = match &report.asked {
        Asked::Subject(_, tokens) => {
            row.tokens.is_sorted_by(|a, b| a < b)
                && row.tokens.iter().all(|token| (1..=*tokens).contains(token))
                && !row.tokens.is_empty()
        }
        asked => asked.keeps(&row.entry) && row.tokens.is_empty(),
    };
    let is_there = (log.first..log.end).contains(&row.index) && place == Some((&log.origin, row.index));
    if is_in_time && is_asked_for && is_there {
        return Ok(());
    }
    Err(broken(format!("{} is no entry of what was asked for", row.place())))
}

/// The entry that a proof is of, if the report says of it what its bytes do.
fn proved(row: &Row, text: &str, note: &str, key: &VerifierKey) -> Holds<Entry> {
    let place = row.place();
    let refuted = |problem: String| broken(format!("the proof of {place} does not hold: {problem}"));
    let proof = LogProof::parse(text).map_err(|error| refuted(error.to_string()))?;
    if proof.checkpoint != note || proof.index.0 != row.index {
        return Err(refuted("it is of another entry or under another checkpoint".to_owned()));
    }
    proof.verify(None, key).map_err(|error| refuted(error.to_string()))?;
    let bytes = proof.entry.as_deref().unwrap_or_default();
    let stated = place_of(&row.entry).map(|(_, _, leaf)| leaf);
    if stated != Some(leaf_hash(bytes).0) {
        return Err(refuted("the report names another leaf hash".to_owned()));
    }
    let entry = Entry::decode(bytes).map_err(|error| refuted(error.to_string()))?;
    if facts::of_bytes(&entry, &row.entry) != row.entry {
        return Err(broken(format!("{place} says something else than its bytes")));
    }
    Ok(entry)
}

/// The first place where two documents differ, as a JSON pointer.
fn difference(one: &Value, other: &Value, pointer: String) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
            let mut names = names.map(|name| {
                let at = format!("{pointer}/{name}");
                match (one.get(name), other.get(name)) {
                    (Some(one), Some(other)) => difference(one, other, at),
                    _ => Some(at),
                }
            });
            names.find_map(|found| found)
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut pairs = one.iter().zip(other).enumerate();
            pairs.find_map(|(at, (one, other))| difference(one, other, format!("{pointer}/{at}")))
        }
        _ => (one != other).then_some(pointer),
    }
}

fn broken(problem: impl Into<String>) -> Broken {
    Broken(problem.into())
}
