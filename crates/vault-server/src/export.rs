//! Entries of the log as other programs read them: one format a file. docs/EXPORT.md describes each.
//!
//! All are made from the entry as QueryAccessLog shows it, so that none can hold more than that answer.

mod cef;
mod csv;
mod json;
mod ocsf;

use vault_domain::Millis;
use vault_proto::v1::AccessLogEntry;

pub use json::{entry_json, moment};

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
}

impl ExportFormat {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Jsonl, Self::Csv, Self::Ocsf, Self::Cef];

    /// What a name has to be.
    pub const RULE: &'static str = "must be jsonl, csv, ocsf or cef";

    /// The name in the contract, in manifests and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf",
            Self::Cef => "cef",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }

    /// Bytes that every file begins with.
    #[must_use]
    pub fn head(self) -> &'static [u8] {
        match self {
            Self::Csv => csv::HEAD.as_bytes(),
            Self::Jsonl | Self::Ocsf | Self::Cef => b"",
        }
    }

    /// Puts an entry behind what is there; returns how many rows it made. Each row is one line.
    pub fn put(self, entry: &AccessLogEntry, out: &mut Vec<u8>) -> u64 {
        let line = match self {
            Self::Csv => return csv::put(entry, out),
            Self::Jsonl => entry_json(entry).to_string(),
            Self::Ocsf => ocsf::event(entry).to_string(),
            Self::Cef => cef::line(entry),
        };
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        1
    }
}

/// Where an entry stands: origin, index, leaf hash in hex.
fn place(entry: &AccessLogEntry) -> (&str, u64, String) {
    let receipt = entry.receipt.as_ref();
    receipt.map_or_else(Default::default, |receipt| (receipt.origin.as_str(), receipt.index, hex(&receipt.leaf_hash)))
}

/// Log time, as text.
fn log_time(entry: &AccessLogEntry) -> String {
    moment(Millis(entry.log_time_ms))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
        let _infallible = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests;
