//! `tokenvault audit prune`: has a vault that serves archive the entries whose retention is over, and take them from
//! its log.

use serde_json::json;
use vault_client::LogName;
use vault_domain::Reference;

use crate::{
    audit::parse_log,
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, OutputArguments, write_summary},
    timestamp,
};

/// Which log, and why.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Entries go whole bundles of 256 at a time, from the first on, when all of a bundle are older \
                        than the configuration's retention.days. The vault first writes them, with all hashes of the \
                        log, into a folder below retention.archive_directory, reads that again and verifies it; then \
                        they go in one commit with an entry that says so. Hashes stay, and so do all proofs. An \
                        entry that retention.kind_days keeps longer holds back all behind it: held_by and held_index \
                        tell its kind and which it is. docs/AUDIT.md, Retention.")]
pub(crate) struct PruneArguments {
    /// The region whose log is pruned; `node` for the node's own log
    #[arg(long, value_name = "REGION|node", value_parser = parse_log)]
    region: LogName,
    /// Only tell what would go
    #[arg(long)]
    dry_run: bool,
    /// What it is for, such as the number of a ticket; stands in the node's log
    #[arg(long, value_name = "TEXT", value_parser = Reference::parse)]
    reference: Option<Reference>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) async fn prune(arguments: PruneArguments) -> Result<Exit, Failure> {
    let PruneArguments { region, dry_run, reference, connection, output } = arguments;
    let client = connection.connect().await?;
    let pruned = client.prune_access_log(&region, dry_run, reference.as_ref()).await?;
    let record = json!({
        "log": region.to_string(),
        "pruned": !dry_run && pruned.minimum_index > pruned.before,
        "entries": pruned.minimum_index - pruned.before.min(pruned.minimum_index),
        "minimum_index_before": pruned.before,
        "minimum_index": pruned.minimum_index,
        "log_size": pruned.log_size,
        "kept_from": timestamp::show(pruned.kept_from),
        "archive": pruned.archive,
        "held_by": pruned.held_by.as_ref().map(|(kind, _)| kind),
        "held_index": pruned.held_by.as_ref().map(|(_, index)| index),
    });
    write_summary(output::stdout(), output.form(), &record)?;
    Ok(Exit::Done)
}
