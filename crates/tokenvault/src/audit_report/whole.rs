//! That nothing was left out: a report held against a whole log, as `audit export-log` wrote it. The log is verified
//! first, and has to go on from the report's checkpoint; then every entry that the report should count must be in it.
//!
//! Whose an entry is can't be read without the vault, but equal tenants have equal tags: those of the entries that the
//! report proves. What is of another tag may be another tenant's, and is counted.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use vault_client::AccessLogEntry;
use vault_domain::Millis;
use vault_ledger::{CHECKPOINT_FILE, Entry, LogPosition, TenantTag, VerifierKey};

use super::{
    document::{LogRead, Report},
    facts,
};
use crate::{
    audit_verify::{Ended, FolderFiles, Outside, check_entries},
    exit::Failure,
    small_file::{self, CHECKPOINT_BYTES_MAX},
};

/// What was found beside the report.
#[derive(Default)]
pub(crate) struct Beside {
    /// The first entry that should stand in the report.
    pub(crate) missing: Option<u64>,
    /// Entries that would, if they were the caller's; they are of tenants of whom the report proves no entry.
    pub(crate) of_others: u64,
}

/// The folders by the origin of their logs.
pub(crate) fn origins(folders: &[PathBuf]) -> Result<Vec<(String, &Path)>, Failure> {
    let read = |folder: &PathBuf| {
        let path = folder.join(CHECKPOINT_FILE);
        small_file::read(&path, CHECKPOINT_BYTES_MAX).map_err(|error| Failure::file(&path, error))
    };
    let origin = |note: String| note.lines().next().unwrap_or_default().to_owned();
    folders.iter().map(|folder| Ok((origin(read(folder)?), folder.as_path()))).collect()
}

/// Holds the part of a report that is of one log against the log itself. What is wrong with the log is told in words.
pub(crate) fn check(
    folder: &Path,
    key: &VerifierKey,
    note: &str,
    report: &Report,
    log: &LogRead,
    tenants: &BTreeSet<TenantTag>,
) -> Result<Result<Beside, String>, Failure> {
    let rows = report.rows.iter().filter(|row| row.region == log.region);
    let told: BTreeSet<u64> = rows.map(|row| row.index).collect();
    let mut beside = Beside::default();
    let outside = [Outside { whose: "the report's checkpoint".to_owned(), note: note.to_owned() }];
    let files = FolderFiles::new(folder);
    let ended = check_entries(&files, key, &outside, LogPosition::default(), &mut |_, _, _| Ok(()), |index, entry| {
        if !told.contains(&index) && is_asked_for(report, log, index, entry) {
            match facts::sealed(entry) {
                Some(sealed) if !tenants.contains(&sealed.tenant_tag) => beside.of_others += 1,
                // Entries of nobody are counted where they were asked for.
                None if log.of_nobody.is_none() => {}
                Some(_) | None => beside.missing = beside.missing.or(Some(index)),
            }
        }
        Ok(())
    })?;
    Ok(match ended {
        Ended::Good(_) => Ok(beside),
        Ended::Bad(bad) => Err(bad.problem),
    })
}

/// Whether a report counts such an entry: by its time, or where no end was named, by what was there when it was made.
fn is_asked_for(report: &Report, log: &LogRead, index: u64, entry: &Entry) -> bool {
    let time: Millis = entry.log_time;
    let ends = report.until.map_or(index < log.end, |until| time < until && index < log.size);
    let is_in_time = report.from.is_none_or(|from| time >= from) && ends;
    is_in_time && report.asked.keeps(&facts::of_bytes(entry, &AccessLogEntry::default()))
}
