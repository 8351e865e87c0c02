//! `tokenvault config test`: holds catalog and policies against a table of what they should decide, which is kept with
//! them.
//!
//! A row is decided as the vault would decide on the call: by the judgement that the engine makes its permits of
//! ([`PolicySet::judge`]). What stands against a call because of its value, its token or its nonce is not the table's.
//!
//! docs/RULES.md says what a table looks like.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vault_domain::{
    Action, Assurance, Audience, DataClass, LevelAsked, Millis, PrincipalId, Purpose, Reason, Reference, Region, Role,
    Scope, Session, Tenant,
};
use vault_policy::{Circumstances, DataAsked, Decision, Log, PolicySet, possible, registered};
use vault_server::{Config, Environment};

use crate::{
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
const TITLES: [&str; 19] = [
    "principal",
    "action",
    "data_class",
    "audience",
    "region",
    "purpose",
    "level",
    "reference",
    "tenant",
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
/// Titles of what an access token says.
const OF_TOKENS: [&str; 6] = ["tenant", "roles", "scopes", "clearance", "assurance", "authenticated_seconds"];
/// Actions on data.
const DATA: [Action; vault_catalog::DATA_ACTIONS.len()] = vault_catalog::DATA_ACTIONS;
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
    let rules = Rules::read(&arguments.config)?;
    let mut table = Table::read(&arguments.table)?;
    if arguments.update {
        table.decide(&rules)?;
        table.write()?;
        return Ok(Exit::Done);
    }
    let rows = table.rows.len();
    // A table with a faulty row has no result: it is read to its end before the first word of one.
    let compared: Vec<Option<Value>> = (0..rows).map(|row| table.compare(row, &rules)).collect::<Result<_, _>>()?;
    let wrong: Vec<Value> = compared.into_iter().flatten().collect();
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    wrong.iter().try_for_each(|record| records.push(record))?;
    records.finish()?;
    output::note(&format!("{} of {rows} decisions are as they should be", rows - wrong.len()));
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Failure })
}

/// A table as it was read: titles, and rows with their lines.
struct Table {
    path: PathBuf,
    titles: Vec<String>,
    rows: Vec<(u64, Vec<String>)>,
}

impl Table {
    fn read(path: &Path) -> Result<Self, Failure> {
        let refused = |error: csv::Error| Failure::usage(format!("{}: {error}", path.display()));
        // Where a link leads to is what is read and replaced. What is no file might never end.
        let path = &path.canonicalize().map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
        if !path.is_file() {
            return Err(Failure::usage(format!("{} is no regular file: write the table into one", path.display())));
        }
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(refused)?;
        let titles: Vec<String> = reader.headers().map_err(refused)?.iter().map(str::to_owned).collect();
        let unknown = titles.iter().find(|title| !TITLES.contains(&title.as_str()));
        if let Some(unknown) = unknown {
            let known = TITLES.join(", ");
            // What is not a word may be anything: a key, or a row of values.
            let is_word = unknown.len() <= 24 && unknown.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let named = if is_word { format!("there is no column {unknown:?}") } else { "it has no titles".to_owned() };
            return Err(Failure::usage(format!("{}: {named}; there are: {known}", path.display())));
        }
        if let Some(twice) = TITLES.into_iter().find(|known| titles.iter().filter(|title| title == known).count() > 1) {
            return Err(Failure::usage(format!("{}: the column {twice:?} is there twice", path.display())));
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

    /// What is decided of a row.
    fn decision(&self, row: usize, rules: &Rules) -> Result<Decided, Failure> {
        let line = self.rows.get(row).map_or(0, |(line, _)| *line);
        let refused = |title: &str, problem: &str| {
            Failure::usage(format!("{}, line {line}, column {title}: {problem}", self.path.display()))
        };
        let asked = Row::read(&|title| self.cell(row, title), &refused)?;
        let of_certificate = vault_catalog::issuer(asked.principal.as_str()).is_none();
        if let Some(title) = OF_TOKENS.into_iter().find(|title| of_certificate && !self.cell(row, title).is_empty()) {
            let problem = "who brings an access token is named by its issuer, as corp:orders; this row's principal is \
                           a name of certificates: leave the column empty, or name the account of the token";
            return Err(refused(title, problem));
        }
        asked.decide(rules).map_err(|problem| refused("action", problem))
    }

    /// What is wrong with a row's decision, if anything.
    fn compare(&self, row: usize, rules: &Rules) -> Result<Option<Value>, Failure> {
        let decision = self.decision(row, rules)?;
        let [decided, reason, ids] = decision.words();
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
    fn decide(&mut self, rules: &Rules) -> Result<(), Failure> {
        for title in ["reason", "policies"] {
            if !self.titles.iter().any(|other| other == title) {
                self.titles.push(title.to_owned());
                self.rows.iter_mut().for_each(|(_, cells)| cells.push(String::new()));
            }
        }
        let decided = (0..self.rows.len()).map(|row| self.decision(row, rules).map(|decided| decided.words()));
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
        let written = (|| {
            let beside = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
            let mut writer = csv::Writer::from_writer(&beside);
            writer.write_record(&self.titles)?;
            self.rows.iter().try_for_each(|(_, cells)| writer.write_record(cells))?;
            writer.flush()?;
            drop(writer);
            beside.as_file().set_permissions(std::fs::metadata(&self.path)?.permissions())?;
            beside.persist(&self.path).map_err(|error| error.error)?;
            Ok::<_, csv::Error>(())
        })();
        written.map_err(|error| Failure::file(&self.path, error))
    }
}

/// What rows are held against: what a vault of this configuration would go by.
struct Rules {
    policies: PolicySet,
    regions: Vec<Region>,
    issuers: Vec<String>,
}

impl Rules {
    fn read(path: &Path) -> Result<Self, Failure> {
        let config = Config::load(path, &Environment::default())?;
        let issuers = config.issuers_settings()?.unwrap_or_default();
        let issuers = issuers.get("issuers").and_then(Value::as_object).into_iter().flatten();
        Ok(Self {
            policies: config.policies()?,
            regions: config.regions().to_vec(),
            issuers: issuers.map(|(name, _)| name.clone()).collect(),
        })
    }
}

/// A call as a row has it.
struct Row {
    principal: PrincipalId,
    action: Action,
    class: Option<DataClass>,
    audience: Option<Audience>,
    region: Option<Region>,
    purpose: Option<Purpose>,
    reference: Option<Reference>,
    level: LevelAsked,
    session: Session,
    source: Option<std::net::IpAddr>,
    now: Millis,
}

impl Row {
    /// Reads a row; `refused` makes an error of a title and what is wrong with its cell.
    fn read<'c>(
        cell: &impl Fn(&'static str) -> &'c str,
        refused: &impl Fn(&str, &str) -> Failure,
    ) -> Result<Self, Failure> {
        fn optional<T, E: std::fmt::Display>(
            title: &'static str,
            cell: &str,
            parse: impl FnOnce(&str) -> Result<T, E>,
            refused: &impl Fn(&str, &str) -> Failure,
        ) -> Result<Option<T>, Failure> {
            let parsed = (!cell.is_empty()).then(|| parse(cell)).transpose();
            parsed.map_err(|error| refused(title, &error.to_string()))
        }
        fn list<T: Ord, E: std::fmt::Display>(
            title: &'static str,
            cell: &str,
            parse: impl Fn(&str) -> Result<T, E>,
            refused: &impl Fn(&str, &str) -> Failure,
        ) -> Result<Box<[T]>, Failure> {
            let read: Result<Vec<T>, E> = cell.split_whitespace().map(parse).collect();
            let mut read = read.map_err(|error| refused(title, &error.to_string()))?;
            read.sort_unstable();
            read.dedup();
            Ok(read.into())
        }
        let age = optional("authenticated_seconds", cell("authenticated_seconds"), str::parse::<u64>, refused)?;
        let assurance = optional("assurance", cell("assurance"), str::parse::<u8>, refused)?;
        let assurance = assurance.map(|level| Assurance::new(level).ok_or("must be 1, 2 or 3")).transpose();
        let clearance = list("clearance", cell("clearance"), Region::parse, refused)?;
        let level = |word: &str| {
            let known = [LevelAsked::FULL, LevelAsked::MASKED, LevelAsked::BestPermitted];
            known.into_iter().find(|level| level.name() == word).ok_or("write full, masked or best_permitted")
        };
        let now = optional("at", cell("at"), timestamp::parse, refused)?.unwrap_or(NOON);
        let principal = PrincipalId::parse(cell("principal"));
        Ok(Self {
            principal: principal.map_err(|error| refused("principal", &error.to_string()))?,
            action: Action::parse(cell("action")).ok_or_else(|| refused("action", "there is no such action"))?,
            class: optional("data_class", cell("data_class"), DataClass::parse, refused)?,
            audience: optional("audience", cell("audience"), Audience::parse, refused)?,
            region: optional("region", cell("region"), Region::parse, refused)?,
            purpose: optional("purpose", cell("purpose"), Purpose::parse, refused)?,
            reference: optional("reference", cell("reference"), Reference::parse, refused)?,
            level: optional("level", cell("level"), level, refused)?.unwrap_or_default(),
            source: optional("source", cell("source"), str::parse::<std::net::IpAddr>, refused)?,
            session: Session {
                tenant: optional("tenant", cell("tenant"), Tenant::parse, refused)?,
                roles: list("roles", cell("roles"), Role::parse, refused)?,
                scopes: list("scopes", cell("scopes"), Scope::parse, refused)?,
                clearance: Some(clearance).filter(|regions| !regions.is_empty()),
                authenticated_at: age.map(|age| Millis(now.0.saturating_sub(age.saturating_mul(1000)))),
                assurance: assurance.map_err(|problem| refused("assurance", problem))?,
            },
            now,
        })
    }

    /// Decides as a vault does: who is it, is the region served here, is the purpose registered, may it be done.
    ///
    /// # Errors
    /// With what is wrong if there is no such call.
    fn decide(&self, rules: &Rules) -> Result<Decided, &'static str> {
        let policies = &rules.policies;
        let catalog = policies.catalog();
        let issuer = vault_catalog::issuer(self.principal.as_str());
        let session = issuer.map(|_| &self.session);
        let circumstances = Circumstances { session, source: self.source, now: self.now };
        let data = match (&self.class, &self.audience, &self.region) {
            (Some(class), Some(audience), Some(region)) if DATA.contains(&self.action) => {
                Some((class, audience, region))
            }
            (None, None, region) if Log::of(region.as_ref()).takes(self.action) => None,
            (None, None, None) if matches!(self.action, Action::QueryAccessLog | Action::ExportAccessLog) => {
                return Err("the log of the node can't be asked: name a region");
            }
            _ => {
                return Err("this action needs data_class, audience and region for data, none of the first two for a \
                            log, and none of the three for the node itself");
            }
        };
        if issuer.is_some_and(|issuer| !rules.issuers.iter().any(|known| known == issuer)) {
            return Ok(Decided::refused(Reason::AccessTokenIssuerUnknown));
        }
        let account = match policies.admit(&self.principal, session) {
            Ok(account) => account,
            Err(reason) => return Ok(Decided::refused(reason)),
        };
        if let Some(region) = self.region.as_ref().filter(|region| !rules.regions.contains(region)) {
            let known = catalog.region(region.as_str()).is_some();
            return Ok(Decided::refused(if known { Reason::WrongRegion } else { Reason::RegionUnknown }));
        }
        if let Err(unknown) = registered(catalog, self.purpose.as_ref()) {
            return Ok(Decided::refused(unknown));
        }
        let Some((class, audience, region)) = data else {
            let log = Log::of(self.region.as_ref());
            let judged = policies.judge_log(account, self.action, log, self.purpose.as_ref(), circumstances);
            return Ok(Decided { reason: judged.outcome.err(), policies: Some(judged.decision) });
        };
        let asked = DataAsked {
            action: self.action,
            region,
            audience,
            purpose: self.purpose.as_ref(),
            has_reference: self.reference.is_some(),
            level: self.level,
        };
        let judged = policies.judge(account, &asked, class, circumstances);
        let outcome = judged.outcome.and_then(|permitted| possible(self.action, permitted.class));
        Ok(Decided { reason: outcome.err(), policies: Some(judged.decision) })
    }
}

/// What is decided of a row.
struct Decided {
    /// Why it is refused, as the log would have it.
    reason: Option<Reason>,
    policies: Option<Decision>,
}

impl Decided {
    /// Refused before policies are asked.
    fn refused(reason: Reason) -> Self {
        Self { reason: Some(reason), policies: None }
    }

    /// Decision, reason and policies as a table has them.
    fn words(&self) -> [String; 3] {
        let policies = self.policies.iter().flat_map(|decision| decision.policies().iter());
        let ids: Vec<&str> = policies.map(vault_policy::PolicyId::as_str).collect();
        let decided = if self.reason.is_none() { "allow" } else { "deny" };
        [decided.to_owned(), self.reason.map_or("", Reason::name).to_owned(), ids.join(" ")]
    }
}
