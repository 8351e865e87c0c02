//! A report as a folder: the document, the same for people, and beside them what proves it.
//!
//! | file | what |
//! |---|---|
//! | `report.json` | the document |
//! | `report.md` | the same for people, made of the document alone |
//! | `REGION.checkpoint`, `REGION.vkey` | the signed checkpoint that covers the range, and the key that it names |
//! | `proofs/REGION-INDEX.tlog-proof` | of each entry that is cited its bytes and its inclusion (c2sp.org/tlog-proof) |

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use vault_ledger::{LogProof, PROOF_TEXT_BYTES_MAX};

use super::{collect::Collected, document::Report, markdown};
use crate::{exit::Failure, small_file};

pub(crate) const DOCUMENT: &str = "report.json";
pub(crate) const PAGE: &str = "report.md";
const PROOFS: &str = "proofs";
/// The longest document that is read back.
const DOCUMENT_BYTES_MAX: u64 = 1 << 30;

/// Makes a new, empty folder, so that nothing is mixed with what was there.
pub(crate) fn make(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder.join(PROOFS)).map_err(|error| Failure::file(folder, error))?;
    let names = files(folder).map_err(|error| Failure::file(folder, error))?;
    if names.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!("{} is not empty: name another folder for the report", folder.display())))
}

/// Writes a report. The document comes last: a folder without it is unfinished.
pub(crate) fn write(
    folder: &Path,
    report: &Report,
    logs: &[Collected],
    proofs: &[(String, LogProof)],
) -> Result<(), Failure> {
    let put = |name: PathBuf, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| Failure::file(&path, error))
    };
    for (name, proof) in proofs {
        put(Path::new(PROOFS).join(name), proof.text())?;
    }
    for Collected { log, checkpoint, .. } in logs {
        put(checkpoint_file(log.region.as_str()), checkpoint.note.clone())?;
        put(key_file(log.region.as_str()), format!("{}\n", checkpoint.verifier_key))?;
    }
    let document = report.json();
    put(PAGE.into(), markdown::page(&document))?;
    put(DOCUMENT.into(), format!("{document:#}\n"))
}

/// All files that a report has, by their paths inside of the folder.
pub(crate) fn expected(report: &Report) -> BTreeSet<PathBuf> {
    let of_logs = report.logs.iter().flat_map(|log| {
        let region = log.region.as_str();
        [checkpoint_file(region), key_file(region)]
    });
    let proofs = report.rows.iter().filter(|row| row.is_proved).map(|row| proof_file(&row.proof_file()));
    [DOCUMENT.into(), PAGE.into()].into_iter().chain(of_logs).chain(proofs).collect()
}

/// The files that are there.
pub(crate) fn files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for name in fs::read_dir(folder)? {
        let name = name?;
        if name.file_name() == PROOFS && name.file_type()?.is_dir() {
            for proof in fs::read_dir(name.path())? {
                found.insert(Path::new(PROOFS).join(proof?.file_name()));
            }
        } else {
            found.insert(name.file_name().into());
        }
    }
    Ok(found)
}

/// The text of the document.
pub(crate) fn read_document(folder: &Path) -> Result<String, Failure> {
    let path = folder.join(DOCUMENT);
    small_file::read(&path, DOCUMENT_BYTES_MAX).map_err(|error| Failure::file(&path, error))
}

/// The text of another file.
pub(crate) fn read(folder: &Path, name: &Path) -> io::Result<String> {
    let limit = small_file::CHECKPOINT_BYTES_MAX.max(PROOF_TEXT_BYTES_MAX as u64);
    small_file::read(&folder.join(name), if name == Path::new(PAGE) { DOCUMENT_BYTES_MAX } else { limit })
}

pub(crate) fn checkpoint_file(region: &str) -> PathBuf {
    format!("{region}.checkpoint").into()
}

pub(crate) fn key_file(region: &str) -> PathBuf {
    format!("{region}.vkey").into()
}

pub(crate) fn proof_file(name: &str) -> PathBuf {
    Path::new(PROOFS).join(name)
}
