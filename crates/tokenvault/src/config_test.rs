//! `tokenvault config test`: holds catalog and policies against a table of what they should decide, which is kept with
//! them.
//!
//! The table is CSV with a line of titles, in any order: `principal`, `action` and `decision` are needed; `data_class`,
//! `audience`, `region`, `purpose` and `level` (`full` or `masked`) say what is asked for; `roles`, `scopes`,
//! `clearance` (each separated by spaces), `assurance` and `authenticated_seconds` what the caller's access token says;
//! `source` and `at` where and when. `decision` is `allow` or `deny`; `reason` and `policies` are compared where they
//! are not empty.

use std::path::PathBuf;

use serde_json::{Value, json};
use vault_domain::{
    Action, Assurance, Audience, DataClass, Millis, PrincipalId, Purpose, Region, RevealLevel, Role, Scope, Session,
};
use vault_policy::{Access, Circumstances, Decision, PolicySet};

use crate::{
    config_diff::policies,
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("line", "/line"),
    ("principal", "/principal"),
    ("action", "/action"),
    ("data class", "/data_class"),
    ("expected", "/expected"),
    ("decided", "/decided"),
];

/// Titles, in the order in which a new table has them.
const TITLES: [&str; 17] = [
    "principal",
    "action",
    "data_class",
    "audience",
    "region",
    "purpose",
    "level",
    "roles",
    "scopes",
    "clearance",
    "assurance",
    "authenticated_seconds",
    "source",
    "at",
    "decision",
    "reason",
    "policies",
];
/// The moment of rows that name none: a Monday at noon.
const NOON: Millis = Millis(1_767_614_400_000);

/// Which configuration, and which table.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TestArguments {
    /// The table of what should be decided, in CSV
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// The configuration file that names catalog and policies; the environment overrides nothing here
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write into the table what is decided, instead of comparing: to be read before it is committed
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn run(arguments: &TestArguments) -> Result<Exit, Failure> {
    let policies = policies(&arguments.config)?;
    let mut table = Table::read(&arguments.table)?;
    if arguments.update {
        table.decide(&policies)?;
        table.write()?;
        return Ok(Exit::Done);
    }
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut wrong = 0;
    for row in 0..table.rows.len() {
        if let Some(record) = table.compare(row, &policies)? {
            records.push(&record)?;
            wrong += 1;
        }
    }
    records.finish()?;
    let rows = table.rows.len();
    output::note(&format!("{} of {rows} decisions are as they should be", rows - wrong));
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failure })
}

/// A table as it was read: titles, and rows with their lines.
struct Table {
    path: PathBuf,
    titles: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
}

impl Table {
    fn read(path: &std::path::Path) -> Result<Self, Failure> {
        let refused = |error: csv::Error| Failure::usage(format!("{}: {error}", path.display()));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(refused)?;
        let titles: Vec<String> = reader.headers().map_err(refused)?.iter().map(str::to_owned).collect();
        let unknown = titles.iter().find(|title| !TITLES.contains(&title.as_str()));
        if let Some(unknown) = unknown {
            let known = TITLES.join(", ");
            return Err(Failure::usage(format!("{}: there is no column {unknown:?}: {known}", path.display())));
        }
        for needed in ["principal", "action", "decision"] {
            if !titles.iter().any(|title| title == needed) {
                return Err(Failure::usage(format!("{}: the column {needed:?} is missing", path.display())));
            }
        }
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.map_err(refused)?;
            let line = row.position().map_or(0, csv::Position::line);
            rows.push((line, row.iter().map(str::to_owned).collect()));
        }
        if rows.is_empty() {
            return Err(Failure::usage(format!("{}: the table has no row, so it would test nothing", path.display())));
        }
        Ok(Self { path: path.to_owned(), titles, rows })
    }

    /// What stands in a column of a row; empty where there is no such column.
    fn cell(&self, row: usize, title: &str) -> &str {
        let column = self.titles.iter().position(|other| other == title);
        let cells = self.rows.get(row).map(|(_, cells)| cells.as_slice()).unwrap_or_default();
        column.and_then(|column| cells.get(column)).map_or("", String::as_str)
    }

    /// What the policies decide of a row.
    fn decision(&self, row: usize, policies: &PolicySet) -> Result<Decision, Failure> {
        let line = self.rows.get(row).map_or(0, |(line, _)| *line);
        let refused = |title: &str, problem: &str| {
            Failure::usage(format!("{}, line {line}, column {title}: {problem}", self.path.display()))
        };
        let cell = |title| self.cell(row, title);
        fn optional<T, E: std::fmt::Display>(
            text: &str,
            parse: impl FnOnce(&str) -> Result<T, E>,
        ) -> Result<Option<T>, String> {
            if text.is_empty() { Ok(None) } else { parse(text).map(Some).map_err(|error| error.to_string()) }
        }
        fn list<T: Ord, E: std::fmt::Display>(
            text: &str,
            parse: impl Fn(&str) -> Result<T, E>,
        ) -> Result<Box<[T]>, String> {
            let mut read: Vec<T> =
                text.split_whitespace().map(parse).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
            read.sort_unstable();
            read.dedup();
            Ok(read.into())
        }
        let access = Access {
            principal: PrincipalId::parse(cell("principal"))
                .map_err(|error| refused("principal", &error.to_string()))?,
            action: Action::parse(cell("action")).ok_or_else(|| refused("action", "there is no such action"))?,
            class: optional(cell("data_class"), DataClass::parse).map_err(|error| refused("data_class", &error))?,
            audience: optional(cell("audience"), Audience::parse).map_err(|error| refused("audience", &error))?,
            region: optional(cell("region"), Region::parse).map_err(|error| refused("region", &error))?,
            purpose: optional(cell("purpose"), Purpose::parse).map_err(|error| refused("purpose", &error))?,
            level: match cell("level") {
                "" => None,
                word => {
                    let level = RevealLevel::ALL.iter().copied().find(|level| level.name() == word);
                    Some(level.ok_or_else(|| refused("level", "write full or masked"))?)
                }
            },
        };
        let now = optional(cell("at"), timestamp::parse).map_err(|error| refused("at", &error))?.unwrap_or(NOON);
        let source = optional(cell("source"), str::parse).map_err(|error: String| refused("source", &error))?;
        let age = optional(cell("authenticated_seconds"), str::parse::<u64>)
            .map_err(|error| refused("authenticated_seconds", &error))?;
        let level = optional(cell("assurance"), str::parse::<u8>).map_err(|error| refused("assurance", &error))?;
        let assurance = level
            .map(|level| Assurance::new(level).ok_or_else(|| refused("assurance", "must be 1, 2 or 3")))
            .transpose()?;
        let facts = ["roles", "scopes", "clearance", "assurance", "authenticated_seconds"];
        let has_token = facts.into_iter().any(|title| !cell(title).is_empty());
        let clearance = cell("clearance");
        let session = Session {
            tenant: None,
            roles: list(cell("roles"), Role::parse).map_err(|error| refused("roles", &error))?,
            scopes: list(cell("scopes"), Scope::parse).map_err(|error| refused("scopes", &error))?,
            clearance: (!clearance.is_empty())
                .then(|| list(clearance, Region::parse))
                .transpose()
                .map_err(|error| refused("clearance", &error))?,
            authenticated_at: age.map(|age| Millis(now.0.saturating_sub(age.saturating_mul(1000)))),
            assurance,
        };
        let circumstances = Circumstances { session: has_token.then_some(&session), source, now };
        let problem = "this action needs data_class, audience and region for data, and none of the first two for a log";
        let request = access.request(circumstances).ok_or_else(|| refused("action", problem))?;
        Ok(policies.evaluate(&request))
    }

    /// What is wrong with a row's decision, if anything.
    fn compare(&self, row: usize, policies: &PolicySet) -> Result<Option<Value>, Failure> {
        let decision = self.decision(row, policies)?;
        let [decided, reason, ids] = words(&decision);
        let (expected, because, by) =
            (self.cell(row, "decision"), self.cell(row, "reason"), self.cell(row, "policies"));
        if !matches!(expected, "allow" | "deny") {
            let line = self.rows.get(row).map_or(0, |(line, _)| *line);
            let problem = format!("{}, line {line}, column decision: write allow or deny", self.path.display());
            return Err(Failure::usage(problem));
        }
        let same = expected == decided && (because.is_empty() || because == reason) && (by.is_empty() || by == ids);
        let told = |parts: [&str; 3]| parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        Ok((!same).then(|| {
            json!({
                "line": self.rows.get(row).map_or(0, |(line, _)| *line),
                "principal": self.cell(row, "principal"),
                "action": self.cell(row, "action"),
                "data_class": self.cell(row, "data_class"),
                "expected": told([expected, because, by]),
                "decided": told([&decided, &reason, &ids]),
            })
        }))
    }

    /// Writes into every row what is decided.
    fn decide(&mut self, policies: &PolicySet) -> Result<(), Failure> {
        for title in ["reason", "policies"] {
            if !self.titles.iter().any(|other| other == title) {
                self.titles.push(title.to_owned());
                self.rows.iter_mut().for_each(|(_, cells)| cells.push(String::new()));
            }
        }
        let decided = (0..self.rows.len()).map(|row| self.decision(row, policies).map(|decision| words(&decision)));
        let decided: Vec<_> = decided.collect::<Result<_, _>>()?;
        for ((_, cells), decided) in self.rows.iter_mut().zip(decided) {
            for (title, word) in ["decision", "reason", "policies"].into_iter().zip(decided) {
                let column = self.titles.iter().position(|other| other == title);
                if let Some(cell) = column.and_then(|column| cells.get_mut(column)) {
                    *cell = word;
                }
            }
        }
        Ok(())
    }

    /// Writes the table in place of the old one.
    fn write(&self) -> Result<(), Failure> {
        let beside = self.path.with_extension("csv.new");
        let written = (|| {
            let mut writer = csv::Writer::from_path(&beside)?;
            writer.write_record(&self.titles)?;
            self.rows.iter().try_for_each(|(_, cells)| writer.write_record(cells))?;
            writer.flush()?;
            Ok::<_, csv::Error>(std::fs::rename(&beside, &self.path)?)
        })();
        written.map_err(|error| Failure::file(&self.path, error))
    }
}

/// Decision, reason and policies as a table has them.
fn words(decision: &Decision) -> [String; 3] {
    let ids: Vec<&str> = decision.policies().iter().map(vault_policy::PolicyId::as_str).collect();
    let decided = if decision.is_allowed() { "allow" } else { "deny" };
    let reason = decision.reason().map_or("", vault_domain::Reason::name);
    [decided.to_owned(), reason.to_owned(), ids.join(" ")]
}
