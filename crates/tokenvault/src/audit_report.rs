//! `tokenvault audit report`: what auditors ask again and again, answered by a principal's questions to a running
//! vault, with proofs that can be checked offline. It writes no value and no token, and shows nothing that
//! `audit query` does not show to the same caller.

mod class;
mod collect;
mod document;
mod facts;
mod folder;
mod grants;
mod markdown;
mod pci;
mod purges;
mod residency;
mod rules;
mod subject;
mod verify;
mod whole;

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use vault_domain::{Clock, DataClass, Millis, Purpose, Reference, Region, SystemClock, TokenText};
use zeroize::Zeroizing;

use crate::{
    audit::refuse_empty,
    audit_export::read_key,
    audit_report::{
        collect::{Collected, Collector},
        document::{Asked, Report},
        rules::{RuleFiles, Rules},
    },
    config_diff::WhenArguments,
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, Output, OutputArguments},
    small_file, timestamp,
};

pub(crate) use verify::{VerifyReportArguments, verify};

/// Tokens that one report is about at most: each is a question of its own.
const TOKENS_MAX: u64 = 1000;
/// The longest file of tokens.
const TOKENS_BYTES_MAX: u64 = 1 << 20;
/// Entries with proofs of each kind, unless told otherwise.
const EXAMPLES_DEFAULT: usize = 3;

/// The reports.
#[derive(Clone, Debug, clap::Subcommand)]
pub(crate) enum ReportCommand {
    /// Evidence for PCI DSS v4.0.1, 10.2: how many entries there are for each clause, and what each says
    Pci(Box<PciArguments>),
    /// Who saw the values of tokens: every reveal with who, when, why and how much, and its proof
    Subject(Box<SubjectArguments>),
    /// Who can see a data class, by catalog and policies, and who did, by the log
    Class(Box<ClassArguments>),
    /// Grants of the catalog that nobody used
    UnusedGrants(Box<UnusedArguments>),
    /// Whether values of the caller's tenant were revealed outside of a region
    Residency(Box<ResidencyArguments>),
    /// What was deleted because it had ended, by data class (PCI DSS 3.2.1)
    Purges(Box<PurgesArguments>),
}

/// What all reports take.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReportArguments {
    /// The folder to write: report.json, report.md, checkpoints, keys and proofs; new or empty
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Why you ask: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    purpose: Option<Purpose>,
    /// A ticket, for the entries of these questions
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    /// Entries at or after this time (RFC 3339, a day, or milliseconds since 1970) [default: from the beginning]
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    from: Option<Millis>,
    /// Entries before this time [default: until now]
    #[arg(long, value_name = "TIME", value_parser = timestamp::parse)]
    until: Option<Millis>,
    /// Entries with proofs of each kind, at least 1; a subject and reveals outside of a region have all of theirs
    #[arg(long, value_name = "NUMBER", default_value_t = EXAMPLES_DEFAULT, value_parser = parse_examples)]
    examples: usize,
    /// Proofs for every entry that is counted: each is a question to the log
    #[arg(long, conflicts_with = "examples")]
    all_proofs: bool,
    /// A log's verifier key, or a file with it, that you got by another way; give it once for each log
    #[arg(long = "verifier-key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

/// Evidence for PCI DSS.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PciArguments {
    /// A region whose log is read; may be given several times
    #[arg(long = "region", value_name = "REGION", required = true, value_parser = Region::parse)]
    regions: Vec<Region>,
    /// A data class that holds cardholder data; may be given several times [default: all count as such]
    #[arg(long = "class", value_name = "CLASS", value_parser = DataClass::parse)]
    classes: Vec<DataClass>,
    #[command(flatten)]
    report: ReportArguments,
}

/// Who saw the values of tokens.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SubjectArguments {
    /// A region whose log is read; may be given several times
    #[arg(long = "region", value_name = "REGION", required = true, value_parser = Region::parse)]
    regions: Vec<Region>,
    /// The data class of the tokens
    #[arg(long, value_parser = DataClass::parse)]
    class: DataClass,
    /// A file with tokens, one a line, or - for standard input; the report names them by their lines
    #[arg(long, value_name = "FILE|-")]
    tokens: PathBuf,
    #[command(flatten)]
    report: ReportArguments,
}

/// Who can see a class and who did.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClassArguments {
    /// The data class
    #[arg(value_name = "CLASS", value_parser = DataClass::parse)]
    class: DataClass,
    #[command(flatten)]
    rules: RulesArguments,
    #[command(flatten)]
    when: WhenArguments,
    #[command(flatten)]
    report: ReportArguments,
}

/// Grants that nobody used.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct UnusedArguments {
    #[command(flatten)]
    rules: RulesArguments,
    #[command(flatten)]
    report: ReportArguments,
}

/// Reveals outside of a region.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ResidencyArguments {
    /// The region that the caller's tenant's values belong in
    #[arg(long, value_name = "REGION", value_parser = Region::parse)]
    tenant_region: Region,
    #[command(flatten)]
    rules: RulesArguments,
    #[command(flatten)]
    report: ReportArguments,
}

/// What was deleted because it had ended.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PurgesArguments {
    /// A region whose log is read; may be given several times
    #[arg(long = "region", value_name = "REGION", required = true, value_parser = Region::parse)]
    regions: Vec<Region>,
    #[command(flatten)]
    report: ReportArguments,
}

/// The files that say who may do what, and where the vault serves.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RulesArguments {
    /// The vault's configuration, with the catalog and the policies that it names; the environment overrides nothing
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A region whose log is read; may be given several times [default: all that the configuration serves]
    #[arg(long = "region", value_name = "REGION", value_parser = Region::parse)]
    regions: Vec<Region>,
}

impl RulesArguments {
    fn read(&self) -> Result<(RuleFiles, Vec<Region>), Failure> {
        let files = RuleFiles::read(&self.config)?;
        let regions = if self.regions.is_empty() { files.regions().to_vec() } else { self.regions.clone() };
        Ok((files, regions))
    }
}

pub(crate) async fn run(command: ReportCommand) -> Result<Exit, Failure> {
    match command {
        ReportCommand::Pci(arguments) => {
            let PciArguments { regions, classes, report } = *arguments;
            make(&report, Asked::Pci(classes), &regions, &[], |_| Ok(None)).await
        }
        ReportCommand::Subject(arguments) => {
            let SubjectArguments { regions, class, tokens, report } = *arguments;
            let tokens = read_tokens(&tokens)?;
            make(&report, Asked::Subject(class, tokens.len() as u64), &regions, &tokens, |_| Ok(None)).await
        }
        ReportCommand::Class(arguments) => {
            let ClassArguments { class, rules, when, report } = *arguments;
            let (files, regions) = rules.read()?;
            // What can't be answered is refused before anything is asked.
            files.who_can(&class, &regions, "", &when)?;
            let rules = |tenant: &str| files.who_can(&class, &regions, tenant, &when).map(Some);
            make(&report, Asked::Class(class.clone()), &regions, &[], rules).await
        }
        ReportCommand::UnusedGrants(arguments) => {
            let (files, regions) = arguments.rules.read()?;
            let rules = |tenant: &str| Ok(Some(files.granted(tenant)));
            make(&arguments.report, Asked::UnusedGrants, &regions, &[], rules).await
        }
        ReportCommand::Residency(arguments) => {
            let (_, regions) = arguments.rules.read()?;
            make(&arguments.report, Asked::Residency(arguments.tenant_region), &regions, &[], |_| Ok(None)).await
        }
        ReportCommand::Purges(arguments) => {
            let PurgesArguments { regions, report } = *arguments;
            make(&report, Asked::Purges, &regions, &[], |_| Ok(None)).await
        }
    }
}

/// Asks the vault and writes the report.
async fn make(
    arguments: &ReportArguments,
    asked: Asked,
    regions: &[Region],
    tokens: &[TokenText],
    rules: impl FnOnce(&str) -> Result<Option<Rules>, Failure>,
) -> Result<Exit, Failure> {
    refuse_empty(arguments.from, arguments.until)?;
    let mut regions = regions.to_vec();
    regions.sort();
    regions.dedup();
    let keys: Vec<_> = arguments.keys.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?;
    folder::make(&arguments.out)?;
    let client = arguments.connection.connect().await?;
    let collector = Collector {
        client: &client,
        purpose: arguments.purpose.as_ref(),
        reference: arguments.reference.as_ref(),
        from: arguments.from,
        until: arguments.until,
        keys: &keys,
    };
    let mut logs: Vec<Collected> = Vec::new();
    for region in &regions {
        logs.push(match &asked {
            Asked::Subject(..) => collector.read_tokens(region, &asked, tokens).await?,
            _ => collector.read(region, &asked).await?,
        });
    }
    let tenant = match (&asked, regions.first()) {
        (Asked::Class(_) | Asked::UnusedGrants, Some(region)) => collector.tenant(region).await?,
        _ => String::new(),
    };
    let rules = rules(&tenant)?;
    let proofs = collector.cite(&asked, (!arguments.all_proofs).then_some(arguments.examples), &mut logs).await?;
    let report = Report {
        asked,
        from: arguments.from,
        until: arguments.until,
        made: SystemClock::new().wall(),
        rows: logs.iter_mut().flat_map(|log| std::mem::take(&mut log.rows)).collect(),
        logs: logs.iter().map(|log| log.log.clone()).collect(),
        rules,
    };
    folder::write(&arguments.out, &report, &logs, &proofs)?;
    show(arguments, &report)
}

/// Shows the report without its entries, which stand in the folder.
fn show(arguments: &ReportArguments, report: &Report) -> Result<Exit, Failure> {
    let mut out = output::stdout();
    match arguments.output.form() {
        Output::Table => write!(out, "{}", markdown::page(&report.json()))?,
        form => output::write_summary(&mut out, form, &report.head())?,
    }
    out.flush()?;
    let folder = arguments.out.display();
    output::note(&format!("the entries and their proofs are in {folder}: tokenvault audit verify-report {folder}"));
    if arguments.keys.is_empty() {
        output::note("the checkpoints are signed by keys that the vault states itself: verify by keys that you kept");
    }
    let fails =
        report.head().pointer("/summary/holds_in_what_was_read").and_then(serde_json::Value::as_bool) == Some(false);
    Ok(if fails { Exit::ClaimFails } else { Exit::Done })
}

fn parse_examples(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|examples| *examples > 0).ok_or("must be a number from 1")
}

/// Tokens by lines; a message about them never repeats one.
fn read_tokens(path: &Path) -> Result<Vec<TokenText>, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = Zeroizing::new(String::new());
        io::stdin().take(TOKENS_BYTES_MAX + 1).read_to_string(&mut text)?;
        text
    } else {
        Zeroizing::new(small_file::read(path, TOKENS_BYTES_MAX).map_err(|error| Failure::file(path, error))?)
    };
    if text.len() as u64 > TOKENS_BYTES_MAX {
        return Err(Failure::usage("the tokens have more than 1 MiB: make several reports"));
    }
    let tokens: Vec<_> = text.lines().map(|line| TokenText::new(line.trim_end_matches('\r').to_owned())).collect();
    if tokens.is_empty() || tokens.iter().any(|token| token.expose().is_empty()) {
        return Err(Failure::usage("there must be one token on each line, and no empty line"));
    }
    if tokens.len() as u64 > TOKENS_MAX {
        return Err(Failure::usage(format!("there are more than {TOKENS_MAX} tokens: make several reports")));
    }
    Ok(tokens)
}
