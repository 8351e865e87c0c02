//! `tokenvault audit tail`: the log as it grows.

use std::io::Write;

use serde_json::Value;
use vault_client::{AccessLogQuery, AccessLogTail};
use vault_domain::{Purpose, Reference, Region};

use super::{COLUMNS, Filters, Since, entry_json};
use crate::{
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, Output, OutputArguments},
};

/// What is followed.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("beginning").args(["from_index", "since", "from"]).multiple(true))]
pub(crate) struct TailArguments {
    /// The region whose log is followed
    #[arg(long, value_parser = Region::parse)]
    region: Region,
    /// Why you ask: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    purpose: Option<Purpose>,
    /// A ticket, for the entry of this question
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    /// The first entry to look at, 0 for the whole log; what a cut tail said last, to go on [default: those that come]
    #[arg(long, value_name = "INDEX")]
    from_index: Option<u64>,
    /// End where the log ended when this began, instead of waiting for more
    #[arg(long, requires = "beginning")]
    until_end: bool,
    #[command(flatten)]
    since: Since,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn tail(arguments: TailArguments) -> Result<Exit, Failure> {
    let TailArguments { region, purpose, reference, from_index, until_end, since, filters, .. } = arguments;
    let (form, connection) = (arguments.output, arguments.connection);
    let filter = filters.read(since.time(), None)?;
    let query = AccessLogQuery { purpose, reference, filter, ..AccessLogQuery::all(region) };
    let client = connection.connect().await?;
    let mut tail = client.tail_access_log(query, from_index);
    let followed = tokio::select! {
        followed = follow(&mut tail, form.form(), until_end) => followed,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::from),
    };
    if let Some(next) = tail.next_index().filter(|_| !until_end) {
        output::note(&format!("go on with --from-index {next}"));
    }
    followed.map(|()| Exit::Done)
}

/// Writes entries as they come, each at once. JSON is one object a line here: there is no end to close an array at.
async fn follow(tail: &mut AccessLogTail, form: Output, until_end: bool) -> Result<(), Failure> {
    let mut out = output::stdout();
    let mut end = None;
    loop {
        let step = tail.next().await?;
        for entry in &step.entries {
            if end.is_some_and(|end| entry.receipt.as_ref().is_some_and(|receipt| receipt.index >= end)) {
                break;
            }
            let record = entry_json(entry);
            match form {
                Output::Table => writeln!(out, "{}", line(&record))?,
                Output::Json | Output::Jsonl => writeln!(out, "{record}")?,
            }
        }
        out.flush()?;
        let end = *end.get_or_insert(step.log_size);
        if until_end && step.next_index >= end {
            return Ok(());
        }
    }
}

/// An entry in one line for people.
fn line(record: &Value) -> String {
    let cell =
        |(_, pointer): &(_, &str)| record.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let line = COLUMNS.iter().map(cell).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ");
    // The vault's words, which a terminal must not take for commands.
    line.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
