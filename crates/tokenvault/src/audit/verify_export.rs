//! `tokenvault audit verify-export`: a file of an export held against its manifest, offline.

use std::{
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vault_ledger::{Checkpoint, ExportFormat, ExportManifest, ExportedBytes, NOTE_BYTES_MAX, TreeHead, VerifierKey};
use vault_server::parquet_rows;

use super::export::{MANIFEST_ENDING, beside};
use crate::{
    audit_export::read_key,
    exit::{Exit, Failure},
    items::{hex, unhex},
    output::{self, OutputArguments, write_summary},
    small_file,
};

/// The longest row that is read: no entry is longer.
const ROW_BYTES_MAX: usize = 4 << 20;
const CHUNK_BYTES: usize = 1 << 16;

/// What to verify, and by what.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Checks the manifest's signature and that of the checkpoint in it, length and hash of the file, \
                        how many rows it has, and of JSON Lines that each row is of this log and within the range, in \
                        order. That no row of the range is missing, and that rows say what the log holds, is the \
                        vault's word; docs/EXPORT.md says how to have single rows proved.\n\nExit code 4: it does not \
                        verify."
)]
pub(crate) struct VerifyExportArguments {
    /// The file of `tokenvault audit export`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its manifest [default: FILE.manifest]
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The log's verifier key, or a file with it, that you got by another way
    #[arg(long, value_name = "KEY|FILE")]
    verifier_key: String,
    /// A checkpoint of the log that was kept elsewhere: the manifest's must be of another size, or the same
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn verify_export(arguments: &VerifyExportArguments) -> Result<Exit, Failure> {
    let VerifyExportArguments { file, manifest, verifier_key, checkpoint, output } = arguments;
    let key = read_key(verifier_key)?;
    let path = manifest.clone().unwrap_or_else(|| beside(file, MANIFEST_ENDING));
    let note = small_file::read(&path, NOTE_BYTES_MAX as u64).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Failure::new(
            Exit::Failure,
            format!(
                "{} is missing: an export without its manifest did not come to its end; begin anew",
                path.display()
            ),
        ),
        _ => Failure::file(&path, error),
    })?;
    let opened = ExportManifest::open(&note, &key).map_err(|error| refuted(&path, &error.to_string()));
    let (manifest, own, filters) = opened?;
    let kept = checkpoint.as_ref().map(|path| read_kept(path, &key)).transpose()?;
    if let Some((path, kept)) = checkpoint.as_ref().zip(kept.as_ref()) {
        hold_against(path, kept, &own.head)?;
    }
    let found = read_file(file, &manifest)?;
    if found != manifest.exported.rows {
        let rows = manifest.exported.rows;
        return Err(refuted(file, &format!("it has {found} rows, and the manifest says {rows}")));
    }
    let asked = &manifest.asked;
    let record = json!({
        "file": file.display().to_string(),
        "verified": true,
        "log": manifest.origin.as_str(),
        "log_id": hex(&manifest.log_id.0),
        "from": manifest.from,
        "to": manifest.to,
        "filters": filters,
        "format": manifest.format.name(),
        "entries": manifest.exported.entries,
        "rows": manifest.exported.rows,
        "sha256": hex(&manifest.exported.sha256),
        "tree_size": own.head.size.0,
        "asked_by": asked.principal,
        "asked_at": crate::timestamp::show(vault_domain::Millis(asked.at_ms)),
        "asked_index": asked.index,
    });
    write_summary(output::stdout(), output.form(), &record)?;
    if kept.is_some_and(|kept| kept.head.size != own.head.size) {
        output::warn(
            "the checkpoint that you gave is of another size than the manifest's: that the one goes on from the other \
             is for the log to prove (`tokenvault audit checkpoint --since`), or for a whole log (`tokenvault audit \
             verify --checkpoint`)",
        );
    }
    Ok(Exit::Done)
}

fn refuted(path: &Path, problem: &str) -> Failure {
    Failure::new(Exit::NotVerified, format!("{}: {problem}", path.display()))
}

fn read_kept(path: &Path, key: &VerifierKey) -> Result<Checkpoint, Failure> {
    let note = small_file::read(path, small_file::CHECKPOINT_BYTES_MAX).map_err(|error| Failure::file(path, error))?;
    Checkpoint::open(&note, key).map_err(|error| refuted(path, &error.to_string()))
}

/// Two checkpoints of one size are of one tree, or the log has two histories.
fn hold_against(path: &Path, kept: &Checkpoint, own: &TreeHead) -> Result<(), Failure> {
    if kept.head.size == own.size && kept.head.root != own.root {
        return Err(refuted(path, "the log has signed another root for the same size: it has two histories"));
    }
    Ok(())
}

/// Reads the file once, holds length and hash against the manifest, and counts its rows.
fn read_file(path: &Path, manifest: &ExportManifest) -> Result<u64, Failure> {
    let opened = small_file::open(path).map_err(|error| Failure::file(path, error))?;
    let mut file = BufReader::with_capacity(CHUNK_BYTES, &opened);
    let mut rows = Rows::new(manifest);
    let mut bytes = ExportedBytes::default();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut problem = None;
    loop {
        let length = file.read(&mut chunk).map_err(|error| Failure::file(path, error))?;
        let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else { break };
        bytes.update(read);
        if problem.is_none() && manifest.format != ExportFormat::Parquet {
            problem = rows.take(read).err();
        }
    }
    let exported = &manifest.exported;
    let came = bytes.finish(exported.entries, exported.rows);
    if came.bytes != exported.bytes {
        return Err(refuted(path, &format!("it has {} bytes, and the manifest says {}", came.bytes, exported.bytes)));
    }
    if came.sha256 != exported.sha256 {
        return Err(refuted(path, "its bytes are not those of the manifest: its SHA-256 is another one"));
    }
    if manifest.format == ExportFormat::Parquet {
        // Not before it is known that these are the bytes that the vault wrote.
        return parquet_rows(&opened).map_err(|problem| refuted(path, &problem));
    }
    match problem {
        Some(problem) => Err(refuted(path, &problem)),
        None => rows.finish().map_err(|problem| refuted(path, &problem)),
    }
}

/// The rows of a file as they go by.
struct Rows<'a> {
    manifest: &'a ExportManifest,
    line: Vec<u8>,
    lines: u64,
    next: u64,
    entries: u64,
}

impl<'a> Rows<'a> {
    fn new(manifest: &'a ExportManifest) -> Self {
        Self { manifest, line: Vec::new(), lines: 0, next: manifest.from, entries: 0 }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > ROW_BYTES_MAX {
                return Err(format!("row {} is longer than any row", self.lines + 1));
            }
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                self.lines += 1;
                if self.manifest.format == ExportFormat::Jsonl {
                    self.entry()?;
                }
                self.line.clear();
            }
        }
        Ok(())
    }

    /// Holds a row of JSON Lines against the log and the range.
    fn entry(&mut self) -> Result<(), String> {
        let line = self.lines;
        let row: Value = serde_json::from_slice(&self.line).map_err(|_| format!("row {line} is no JSON object"))?;
        let text = |at: &str| row.pointer(at).and_then(Value::as_str);
        let index = row.pointer("/receipt/index").and_then(Value::as_u64);
        let is_of_log = text("/receipt/origin") == Some(self.manifest.origin.as_str())
            && text("/receipt/log_id").and_then(unhex) == Some(self.manifest.log_id.0)
            && text("/receipt/leaf_hash").and_then(unhex::<32>).is_some();
        let index = index.filter(|_| is_of_log).ok_or(format!("row {line} names no entry of this log"))?;
        if index < self.next || index >= self.manifest.to {
            return Err(format!("row {line} is out of order, or of an entry that is outside of the range"));
        }
        self.next = index + 1;
        self.entries += 1;
        Ok(())
    }

    fn finish(self) -> Result<u64, String> {
        if !self.line.is_empty() {
            return Err("its last row has no end".to_owned());
        }
        if self.manifest.format == ExportFormat::Jsonl && self.entries != self.manifest.exported.entries {
            return Err("it has not as many entries as the manifest says".to_owned());
        }
        // A head stands before the rows of CSV; no cell holds an end of a line.
        Ok(if self.manifest.format == ExportFormat::Csv { self.lines.saturating_sub(1) } else { self.lines })
    }
}
