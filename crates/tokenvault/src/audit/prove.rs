//! `tokenvault audit prove`: what makes a receipt a proof that anybody can check offline.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use serde_json::{Value, json};
use vault_client::{Client, ClientError, LogName, ProvedEntry};
use vault_domain::{LogIndex, Purpose, Reference, Region};
use vault_ledger::{LedgerError, Origin, TreeHash, VerifierKey};

use super::parse_log;
use crate::{
    audit_export::parse_key,
    connection::Connection,
    exit::{Exit, Failure},
    items::unhex,
    output::{self, Column, OutputArguments, Records},
};

/// The longest file of receipts that is read.
const RECEIPTS_BYTES_MAX: u64 = 64 * 1024 * 1024;

const COLUMNS: &[Column] = &[
    ("log", "/origin"),
    ("entry", "/index"),
    ("proved", "/proved"),
    ("size of the tree", "/tree_size"),
    ("file", "/file"),
    ("problem", "/problem"),
];

/// What is to be proved.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ProveArguments {
    /// Receipts as --receipts writes them, one JSON object a line; - for standard input
    #[arg(value_name = "RECEIPTS")]
    receipts: PathBuf,
    /// Write each proof into this folder, as LOG-LIFE-INDEX.tlog-proof (c2sp.org/tlog-proof)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Put the entries themselves into the proofs, where you may see them: each is a question to the log
    #[arg(long, requires = "out")]
    with_entries: bool,
    /// Why you ask: the name of a purpose in the catalog; for --with-entries
    #[arg(long, value_parser = Purpose::parse)]
    purpose: Option<Purpose>,
    /// A ticket, for the entries of these questions
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    /// Check signatures by this key, which you got by another way: ORIGIN+ID+KEY, or a file with it
    #[arg(long, value_name = "KEY|FILE", value_parser = parse_key)]
    verifier_key: Option<VerifierKey>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

/// A receipt that was kept.
struct Kept {
    origin: Origin,
    index: LogIndex,
    leaf: TreeHash,
}

pub(crate) async fn prove(arguments: ProveArguments) -> Result<Exit, Failure> {
    let receipts = read(&arguments.receipts)?;
    if let Some(folder) = &arguments.out {
        fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    let client = arguments.connection.connect().await?;
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut refuted = 0_u64;
    for kept in &receipts {
        let (origin, index) = (kept.origin.as_str(), kept.index.0);
        let record = match prove_one(&client, &arguments, kept).await {
            Ok((size, file)) => {
                json!({"origin": origin, "index": index, "proved": true, "tree_size": size, "file": file})
            }
            Err(failure) if failure.exit == Exit::NotVerified => {
                refuted += 1;
                json!({"origin": origin, "index": index, "proved": false, "problem": failure.message()})
            }
            Err(failure) => return Err(failure),
        };
        records.push(&record)?;
    }
    records.finish()?;
    if arguments.verifier_key.is_none() {
        output::note(
            "the signatures are those of the key the vault states itself: give --verifier-key to check by yours",
        );
    }
    match refuted {
        0 => Ok(Exit::Done),
        count => {
            let problem =
                "the log does not prove what they say; keep them and the newest checkpoint, they are evidence";
            Err(Failure::new(Exit::NotVerified, format!("{count} of {} receipts: {problem}", receipts.len())))
        }
    }
}

/// Proves one receipt; the size of the tree that holds it, and the file that says so.
async fn prove_one(client: &Client, arguments: &ProveArguments, kept: &Kept) -> Result<(u64, Option<String>), Failure> {
    let log = kept.log()?;
    let pinned = arguments.verifier_key.as_ref();
    let proved = client.prove_entry(&log, kept.index, Some(&kept.leaf), pinned).await?;
    if proved.checkpoint.checkpoint.origin != kept.origin {
        return Err(ClientError::ProofRefuted(LedgerError::CheckpointMalformed("it is of another log")).into());
    }
    let size = proved.checkpoint.checkpoint.head.size.0;
    let Some(folder) = &arguments.out else { return Ok((size, None)) };
    let entry = match &log {
        LogName::Region(region) if arguments.with_entries => entry(client, arguments, region, &proved).await?,
        LogName::Region(_) | LogName::Node => None,
    };
    let file = folder.join(kept.file_name());
    let text = proved.into_file(entry).text();
    fs::write(&file, text).map_err(|error| Failure::file(&file, error))?;
    Ok((size, Some(file.display().to_string())))
}

/// The bytes of an entry, if it may be seen.
async fn entry(
    client: &Client,
    arguments: &ProveArguments,
    region: &Region,
    proved: &ProvedEntry,
) -> Result<Option<Vec<u8>>, Failure> {
    let (purpose, reference) = (arguments.purpose.as_ref(), arguments.reference.as_ref());
    let found = client.log_entry(region, proved.index, purpose, reference).await?;
    if found.leaf != proved.leaf {
        return Err(ClientError::ProofRefuted(LedgerError::InclusionRefuted).into());
    }
    Ok(found.shown.map(|(_, bytes)| bytes))
}

impl Kept {
    fn parse(line: &str) -> Option<Self> {
        let kept: Value = serde_json::from_str(line).ok()?;
        let origin = Origin::parse(kept.get("origin")?.as_str()?).ok()?;
        let leaf = unhex(kept.get("leaf_hash")?.as_str()?).map(TreeHash)?;
        Some(Self { origin, index: LogIndex(kept.get("index")?.as_u64()?), leaf })
    }

    /// `<vault>/audit/<log>/<life or node>`.
    fn log(&self) -> Result<LogName, Failure> {
        let name = self.origin.as_str().split('/').nth(2).unwrap_or_default();
        parse_log(name).map_err(|_| Failure::usage(format!("{} is no log of a vault", self.origin.as_str())))
    }

    fn file_name(&self) -> String {
        let name: Vec<&str> = self.origin.as_str().split('/').skip(2).collect();
        format!("{}-{}.tlog-proof", name.join("-"), self.index.0)
    }
}

fn read(path: &PathBuf) -> Result<Vec<Kept>, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().take(RECEIPTS_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(RECEIPTS_BYTES_MAX + 1).read_to_string(&mut text))
    };
    let length = read.map_err(|error| Failure::file(path, error))?;
    if length as u64 > RECEIPTS_BYTES_MAX {
        return Err(Failure::usage(format!("{} has more than 64 MiB: split it", path.display())));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(at, line)| {
        Kept::parse(line).ok_or_else(|| {
            let problem = "is no receipt: one JSON object with origin, index and leaf_hash, as --receipts writes it";
            Failure::usage(format!("line {} of {} {problem}", at + 1, path.display()))
        })
    });
    let receipts = parsed.collect::<Result<Vec<_>, _>>()?;
    if receipts.is_empty() { Err(Failure::usage(format!("{} holds no receipt", path.display()))) } else { Ok(receipts) }
}
