//! Entries of the log as other programs read them: one format a file. docs/EXPORT.md describes each.
//!
//! All are made from the entry as QueryAccessLog shows it, so that none can hold more than that answer.

mod cef;
mod csv;
mod json;
mod ocsf;
mod parquet;

use vault_domain::Millis;
use vault_engine::{Error, ExportFormat};
use vault_proto::v1::AccessLogEntry;

pub use json::{entry_json, moment};
pub use parquet::parquet_rows;

/// A file that is being written. What there is of it goes behind what is in `out`.
pub(crate) enum Sheet {
    /// A line a row.
    Lines(ExportFormat),
    /// Rows that are gathered in groups.
    Parquet(Box<parquet::ParquetFile>),
}

impl Sheet {
    /// Begins a file.
    pub(crate) fn begin(format: ExportFormat, out: &mut Vec<u8>) -> Result<Self, Error> {
        match format {
            ExportFormat::Csv => out.extend_from_slice(csv::HEAD.as_bytes()),
            ExportFormat::Jsonl | ExportFormat::Ocsf | ExportFormat::Cef => {}
            ExportFormat::Parquet => return Ok(Self::Parquet(Box::new(parquet::ParquetFile::begin()?))),
        }
        Ok(Self::Lines(format))
    }

    /// Puts an entry; returns how many rows it made.
    pub(crate) fn put(&mut self, entry: &AccessLogEntry, out: &mut Vec<u8>) -> Result<u64, Error> {
        match self {
            Self::Lines(format) => Ok(put_lines(*format, entry, out)),
            Self::Parquet(file) => file.put(entry, out).map(|()| 1),
        }
    }

    /// Ends the file.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        match self {
            Self::Lines(_) => Ok(()),
            Self::Parquet(file) => file.end(out),
        }
    }
}

/// Puts an entry behind what is there; returns how many rows it made. Each row is one line.
fn put_lines(format: ExportFormat, entry: &AccessLogEntry, out: &mut Vec<u8>) -> u64 {
    let line = match format {
        ExportFormat::Csv => return csv::put(entry, out),
        ExportFormat::Jsonl | ExportFormat::Parquet => entry_json(entry).to_string(),
        ExportFormat::Ocsf => ocsf::event(entry).to_string(),
        ExportFormat::Cef => cef::line(entry),
    };
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
    1
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
