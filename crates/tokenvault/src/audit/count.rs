//! `tokenvault audit count`: how many entries meet a question, and how they divide.

use serde_json::json;
use vault_client::{AccessLogCounts, AccessLogQuery, CountKey};
use vault_domain::{CountBy, Purpose, Reference, Region};

use super::{Filters, Period};
use crate::{
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[("what", "/what"), ("entries", "/entries")];

/// What is counted.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Entries are counted by the log's index where that can tell, and read where it can't: where a \
                        bound of time cuts an hour, and with --token, --request-id, --source or --entry-reference. \
                        `tokenvault audit index check` holds the index of a stopped vault against its log.")]
pub(crate) struct CountArguments {
    /// The region whose log is asked
    #[arg(long, value_parser = Region::parse)]
    region: Region,
    /// Why you ask: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    purpose: Option<Purpose>,
    /// A ticket, for the entry of this question
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    /// Divide by decision, principal, data_class, action or hour [default: their sum alone]
    #[arg(long, value_name = "WHAT", value_parser = parse_by)]
    by: Option<CountBy>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn count(arguments: CountArguments) -> Result<Exit, Failure> {
    let CountArguments { region, purpose, reference, by, period, filters, output: form, connection } = arguments;
    let filter = filters.within(&period)?;
    let query = AccessLogQuery { purpose, reference, filter, ..AccessLogQuery::all(region) };
    let client = connection.connect().await?;
    let AccessLogCounts { counts, entries, entries_read, .. } = client.count_access_log(&query, by).await?;
    let mut records = Records::new(output::stdout(), form.form(), COLUMNS);
    for (key, entries) in &counts {
        let what = match key {
            CountKey::Hour(hour) => timestamp::show(*hour),
            CountKey::Name(name) => name.clone(),
        };
        records.push(&json!({ "what": what, "entries": entries }))?;
    }
    if by.is_none() {
        records.push(&json!({ "what": "all", "entries": entries }))?;
    }
    records.finish()?;
    output::note(&format!("{entries} entries in all; {entries_read} were read to tell"));
    Ok(Exit::Done)
}

fn parse_by(text: &str) -> Result<CountBy, String> {
    let names = || CountBy::ALL.iter().map(|by| by.name()).collect::<Vec<_>>().join(", ");
    CountBy::parse(text).ok_or_else(|| format!("must be one of {}", names()))
}
