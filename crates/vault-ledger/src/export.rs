//! What a part of a log that was written out as a file is: a manifest, signed by the log's key.
//!
//! ```text
//! tokenvault access log export v1
//! <one JSON object>
//! ```
//!
//! as the text of a signed note. The first line can't be an origin, which has no blanks, and the second one is no
//! number: no reader of checkpoints takes a manifest for one, and no checkpoint begins with this line.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    checkpoint::Checkpoint,
    error::LedgerError,
    note::{Note, Origin, Signer, VerifierKey, sign_note},
    tree::TreeHash,
};

/// The first line of what is signed.
pub const EXPORT_CONTEXT: &str = "tokenvault access log export v1";

/// A format of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One JSON object an entry, each on a line of its own.
    Jsonl,
    /// RFC 4180: a row for each run of items, and one for an entry without any.
    Csv,
    /// OCSF events, one JSON object an entry.
    Ocsf,
    /// ArcSight's Common Event Format, one line an entry.
    Cef,
    /// Apache Parquet, a row an entry.
    Parquet,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Jsonl, Self::Csv, Self::Ocsf, Self::Cef, Self::Parquet];

    /// What a name has to be.
    pub const RULE: &'static str = "must be jsonl, csv, ocsf, cef or parquet";

    /// The name in the contract, in manifests and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
            Self::Parquet => "parquet",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }
}

/// What was exported, for whom, and where in the log that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportManifest {
    /// The log.
    pub origin: Origin,
    /// Which log of that name: the leaf hash of its first entry.
    pub log_id: TreeHash,
    /// A checkpoint that covers the range and the entry of the asking: a signed note.
    pub checkpoint: String,
    /// The first entry that was looked at.
    pub from: u64,
    /// The entry before which it ended.
    pub to: u64,
    /// What was asked for, by name; a token as its keyed hash. What is not named was not asked for.
    pub filters: Vec<(&'static str, String)>,
    /// The format.
    pub format: ExportFormat,
    /// What the file holds.
    pub exported: Exported,
    /// Who asked.
    pub asked: ExportAsked,
}

/// What a file of an export holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Entries of the log.
    pub entries: u64,
    /// Rows that they were written as.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
}

/// Who asked for an export, when and why, and where the log says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportAsked {
    /// Who, as entries show it.
    pub principal: String,
    /// Whose entries it was shown.
    pub tenant: String,
    /// The stated purpose; empty for none.
    pub purpose: String,
    /// The stated reference; empty for none.
    pub reference: String,
    /// The call.
    pub request_id: String,
    /// When, in milliseconds since 1970, by the vault's wall clock.
    pub at_ms: u64,
    /// The index of the entry that says so.
    pub index: u64,
    /// That entry's leaf hash.
    pub leaf: TreeHash,
}

/// The bytes of an export as they go by.
#[derive(Clone, Debug, Default)]
pub struct ExportedBytes {
    hash: Sha256,
    bytes: u64,
}

impl ExportedBytes {
    /// Counts in what follows.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    /// What it came to, as so many entries and rows.
    #[must_use]
    pub fn finish(self, entries: u64, rows: u64) -> Exported {
        Exported { entries, rows, bytes: self.bytes, sha256: self.hash.finalize().into() }
    }
}

impl ExportManifest {
    /// The signed note.
    ///
    /// # Errors
    /// Never with fields as they are: control characters are escaped.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, LedgerError> {
        let object = serde_json::to_string_pretty(&self.to_json());
        let object = object.map_err(|_| LedgerError::ManifestMalformed("it can't be written as JSON"))?;
        sign_note(&format!("{EXPORT_CONTEXT}\n{object}\n"), &self.origin, signer)
    }

    fn to_json(&self) -> Value {
        let filters: Map<_, _> =
            self.filters.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
        let ExportAsked { principal, tenant, purpose, reference, request_id, at_ms, index, leaf } = &self.asked;
        json!({
            "origin": self.origin.as_str(),
            "log_id": hex(&self.log_id.0),
            "range": { "from": self.from, "to": self.to },
            "filters": filters,
            "format": self.format.name(),
            "entries": self.exported.entries,
            "rows": self.exported.rows,
            "bytes": self.exported.bytes,
            "sha256": hex(&self.exported.sha256),
            "asked": {
                "principal": principal,
                "tenant": tenant,
                "purpose": purpose,
                "reference": reference,
                "request_id": request_id,
                "at_ms": at_ms,
                "receipt": { "index": index, "leaf_hash": hex(&leaf.0) },
            },
            "checkpoint": self.checkpoint,
        })
    }

    /// Reads a signed manifest, and checks that the log whose key this is has signed it and the checkpoint in it, and
    /// that range and receipt lie within that checkpoint's tree. Filters are given back as they stand there.
    ///
    /// # Errors
    /// When the note, its text or the checkpoint is malformed or not signed by `key`, or what it says can't be.
    pub fn open(note: &str, key: &VerifierKey) -> Result<(Self, Checkpoint, Map<String, Value>), LedgerError> {
        let malformed = LedgerError::ManifestMalformed;
        let text = Note::parse(note)?.verify(key)?;
        let object = text.strip_prefix(EXPORT_CONTEXT).and_then(|rest| rest.strip_prefix('\n'));
        let object = object.ok_or(malformed("its first line must say what it is"))?;
        let object: Value = serde_json::from_str(object).map_err(|_| malformed("it must hold one JSON object"))?;
        let (manifest, filters) = Self::from_json(&object).ok_or(malformed("a field is missing or of another kind"))?;
        if manifest.origin != *key.origin() {
            return Err(malformed("its origin must be the name that it is signed under"));
        }
        let checkpoint = Checkpoint::open(&manifest.checkpoint, key)?;
        let (range, own) = (manifest.from..manifest.to, manifest.asked.index);
        // The range ends before the asking, and the checkpoint came after it.
        if range.start > range.end || range.end > own || own >= checkpoint.head.size.0 {
            return Err(malformed("range and receipt must lie within the tree of its checkpoint"));
        }
        if manifest.exported.entries > range.end - range.start {
            return Err(malformed("it counts more entries than its range has"));
        }
        Ok((manifest, checkpoint, filters))
    }

    fn from_json(object: &Value) -> Option<(Self, Map<String, Value>)> {
        let text = |at: &str| object.pointer(at)?.as_str();
        let owned = |at: &str| text(at).map(str::to_owned);
        let number = |at: &str| object.pointer(at)?.as_u64();
        let hash = |at: &str| unhex(text(at)?);
        let manifest = Self {
            origin: Origin::parse(text("/origin")?).ok()?,
            log_id: TreeHash(hash("/log_id")?),
            checkpoint: owned("/checkpoint")?,
            from: number("/range/from")?,
            to: number("/range/to")?,
            filters: Vec::new(),
            format: ExportFormat::parse(text("/format")?)?,
            exported: Exported {
                entries: number("/entries")?,
                rows: number("/rows")?,
                bytes: number("/bytes")?,
                sha256: hash("/sha256")?,
            },
            asked: ExportAsked {
                principal: owned("/asked/principal")?,
                tenant: owned("/asked/tenant")?,
                purpose: owned("/asked/purpose")?,
                reference: owned("/asked/reference")?,
                request_id: owned("/asked/request_id")?,
                at_ms: number("/asked/at_ms")?,
                index: number("/asked/receipt/index")?,
                leaf: TreeHash(hash("/asked/receipt/leaf_hash")?),
            },
        };
        Some((manifest, object.get("filters")?.as_object()?.clone()))
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(64), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

/// 32 bytes of lowercase hex digits.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests;
