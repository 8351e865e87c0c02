//! `tokenvault audit index`: the index of a log, held against the log, and built again from it. The vault must not
//! serve meanwhile.

use std::{io::Write, path::PathBuf};

use serde_json::{Value, json};
use vault_client::LogName;
use vault_engine::{BadRow, IndexError, Memory, RowFault, is_store, rebuild_index};
use vault_ledger::SpanPart;

use crate::{
    audit::parse_log,
    audit_export::{open_store, store_path},
    audit_verify::stores_in,
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records, write_summary},
};

/// Memory for the blocks of a store that is read from end to end.
const CACHE_BYTES: usize = 16 << 20;
const COLUMNS: &[Column] = &[
    ("log", "/log"),
    ("row", "/row"),
    ("run", "/run"),
    ("first entry", "/first_entry"),
    ("fault", "/fault"),
    ("harmful", "/harmful"),
    ("entry", "/entry"),
    ("field", "/field"),
];

/// Whose index.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "The index is one row for 256 entries, and three more for 65,536, by which questions skip \
                        what they need not read, and counts are made. It is derived: entries and proofs do not rest \
                        on it. `check` names each row that is not what its entries make it. A row is harmful if an \
                        answer can be wrong by it: it hides an entry from some question, or miscounts. Every other \
                        costs time alone.\n\n`rebuild` drops all rows and makes them anew; entries, records and \
                        checkpoints are not touched.\n\nExit code 4: a row is wrong.")]
pub(crate) struct IndexArguments {
    /// The data directory of a stopped vault; for `check` a copy of one will do
    #[arg(value_name = "DATA_DIR")]
    data: PathBuf,
    /// This region's log alone, or "node" [default: all logs in it]
    #[arg(long, value_name = "REGION|node", value_parser = parse_log)]
    region: Option<LogName>,
    #[command(flatten)]
    output: OutputArguments,
}

/// Holds the index of each log against its entries.
pub(crate) fn check(arguments: &IndexArguments) -> Result<Exit, Failure> {
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut exit = Exit::Done;
    for path in paths(arguments)? {
        let log = open_store(&path)?;
        let mut written = Ok(());
        let checked = log.check_index(|bad| {
            exit = Exit::NotVerified;
            if written.is_ok() {
                written = records.push(&row(log.name(), bad));
            }
        })?;
        written?;
        output::note(&format!("{}: {} rows were held against their entries", log.name(), checked.rows));
        if checked.older > 0 {
            output::note(&format!(
                "{}: {} rows are of an older version: the next start builds them again, and until then their entries \
                 are read",
                log.name(),
                checked.older
            ));
        }
    }
    records.finish()?;
    if exit == Exit::NotVerified {
        output::warn("the index is not that of its log: `tokenvault audit index rebuild` makes it anew");
    }
    Ok(exit)
}

/// Drops the index of each log and builds it again.
pub(crate) fn rebuild(arguments: &IndexArguments) -> Result<Exit, Failure> {
    let mut out = output::stdout();
    for path in paths(arguments)? {
        let name = open_store(&path)?.name().to_owned();
        let rows = rebuild_index(&path, &Memory::new(CACHE_BYTES, CACHE_BYTES))?;
        write_summary(&mut out, arguments.output.form(), &json!({ "log": name, "rows": rows }))?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

fn paths(arguments: &IndexArguments) -> Result<Vec<PathBuf>, Failure> {
    match &arguments.region {
        Some(region) => Ok(vec![store_path(&arguments.data, &region.to_string())]),
        None if is_store(&arguments.data) => Ok(vec![arguments.data.clone()]),
        None => stores_in(&arguments.data),
    }
}

fn row(log: &str, bad: BadRow) -> Value {
    let (fault, entry, field) = match bad.fault {
        RowFault::Hides { index, field } => ("hides an entry", Some(index), Some(field)),
        RowFault::Miscounts => ("miscounts", None, None),
        RowFault::Wide => ("says more than there is", None, None),
        RowFault::Unreadable => ("does not decode", None, None),
        RowFault::Missing => ("is missing", None, None),
        RowFault::Beyond => ("is beyond the log's end", None, None),
    };
    let row = match bad.part {
        None => "run",
        Some(SpanPart::Places) => "span: places",
        Some(SpanPart::Requests) => "span: requests",
        Some(SpanPart::Items) => "span: items",
        Some(SpanPart::Kinds) => "span: kinds",
    };
    json!({
        "log": log,
        "row": row,
        "run": bad.run,
        "first_entry": bad.run.saturating_mul(256),
        "fault": fault,
        "harmful": bad.fault.is_harmful(),
        "entry": entry,
        "field": field,
    })
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::new(Exit::Failure, error.to_string())
    }
}
