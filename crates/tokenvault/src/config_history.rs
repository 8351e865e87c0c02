//! `tokenvault config history`: which catalogs and policies a vault went by, since when, by whose hand; and one of them
//! with its texts.

use serde_json::{Value, json};
use vault_client::PolicyVersion;

use crate::{
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    timestamp,
};

const COLUMNS: &[Column] = &[
    ("version", "/version"),
    ("serves", "/serving"),
    ("applied", "/applied_at"),
    ("by", "/principal"),
    ("reference", "/reference"),
    ("again", "/again"),
    ("fingerprint", "/fingerprint"),
];

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct HistoryArguments {
    /// One version, with the texts of its catalog and policies; all of them without their texts if left out
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) async fn run(arguments: HistoryArguments) -> Result<Exit, Failure> {
    let client = arguments.connection.connect().await?;
    let form = arguments.output.form();
    if let Some(number) = arguments.version {
        let (version, texts) = client.policy_version(Some(number)).await?;
        let files: Vec<Value> = texts.policies.iter().map(|(name, text)| json!({"name": name, "text": text})).collect();
        let mut record = record(&version);
        output::add(&mut record, "catalog", texts.catalog);
        output::add(&mut record, "policies", files);
        output::write_summary(output::stdout(), form, &record)?;
        return Ok(Exit::Done);
    }
    let mut records = Records::new(output::stdout(), form, COLUMNS);
    let mut page_token = None;
    loop {
        let page = client.policy_versions(page_token.as_deref()).await?;
        for version in &page.versions {
            let mut record = record(version);
            output::add(&mut record, "serving", page.serving == Some(version.version));
            records.push(&record)?;
        }
        page_token = page.next_page_token;
        if page_token.is_none() {
            break;
        }
    }
    records.finish()?;
    Ok(Exit::Done)
}

fn record(version: &PolicyVersion) -> Value {
    json!({
        "id": version.version.to_string(),
        "version": version.version,
        "fingerprint": version.fingerprint.to_string(),
        "before": version.before.to_string(),
        "difference": version.difference.to_string(),
        "applied_at": timestamp::show(version.applied),
        "principal": version.principal,
        "reference": version.reference,
        "again": version.again,
    })
}
