//! The newest checkpoint of each log that was seen: every other one has to be of the same history.
//!
//! It is kept for as long as the client lives and, where a folder is named, on disk: then a log that was rolled back or
//! written anew between two runs is noticed as well. A folder is of one vault, and holds for each of its logs, by the
//! name that we ask for it, `<log>.checkpoint` (the signed note) and `<log>.vkey`. What the vault states itself, origin
//! and key, must stay what it was.

use std::{collections::HashMap, fs, io, path::PathBuf};

use tokio::sync::Mutex;
use vault_ledger::{Checkpoint, LedgerError, VerifierKey, verify_consistency};

use crate::{client::Client, error::ClientError, prove::is_out_of_tree, read_audit::VerifiedCheckpoint};

/// What was seen of logs.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    folder: Option<PathBuf>,
    /// By the name that we ask for a log.
    newest: Mutex<HashMap<String, VerifiedCheckpoint>>,
}

impl Seen {
    /// Nothing yet but what is in the folder.
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, newest: Mutex::default() }
    }

    /// Holds a checkpoint of `log` against the newest that was seen of its origin, and keeps the larger one.
    ///
    /// # Errors
    /// [`ClientError::LogContradicted`] when no history has both; what was kept stays. Otherwise when the vault can't
    /// be asked, or the folder not be read or written.
    pub(crate) async fn agree(&self, client: &Client, log: &str, now: &VerifiedCheckpoint) -> Result<(), ClientError> {
        let mut newest = self.newest.lock().await;
        let known = match newest.get(log) {
            Some(known) => Some(known.clone()),
            None => self.load(log)?,
        };
        if let Some(known) = known {
            let contradicted = |problem: &LedgerError| ClientError::LogContradicted {
                origin: known.checkpoint.origin.as_str().to_owned(),
                size: known.checkpoint.head.size.0,
                problem: problem.to_string(),
            };
            if known.checkpoint.origin != now.checkpoint.origin {
                return Err(contradicted(&LedgerError::CheckpointMalformed("it is of another log")));
            }
            if known.verifier_key != now.verifier_key {
                return Err(contradicted(&LedgerError::CheckpointMalformed("it is signed by another key")));
            }
            let (known_head, now_head) = (known.checkpoint.head, now.checkpoint.head);
            let is_news = now_head.size > known_head.size;
            let (older, later) = if is_news { (known_head, now_head) } else { (now_head, known_head) };
            let proof = if older.size == later.size || older.size.0 == 0 {
                Vec::new()
            } else {
                match client.consistency(log, older.size.0, later.size.0).await {
                    Ok(proved) => proved.hashes,
                    // It has no tree of a size that it had: entries are gone.
                    Err(error) if is_out_of_tree(&error) => return Err(contradicted(&LedgerError::OutOfTree)),
                    Err(error) => return Err(error),
                }
            };
            verify_consistency(&older, &later, &proof).map_err(|refuted| contradicted(&refuted))?;
            if !is_news {
                newest.insert(log.to_owned(), known);
                return Ok(());
            }
        }
        self.keep(log, now)?;
        newest.insert(log.to_owned(), now.clone());
        Ok(())
    }

    fn load(&self, log: &str) -> Result<Option<VerifiedCheckpoint>, ClientError> {
        let Some((checkpoint, key)) = self.files(log) else { return Ok(None) };
        let note = match fs::read_to_string(&checkpoint) {
            Ok(note) => note,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&checkpoint, &error)),
        };
        let key = fs::read_to_string(&key).map_err(|error| unusable(&key, &error))?;
        let verifier_key = VerifierKey::parse(key.trim_end()).map_err(ClientError::CheckpointRefuted)?;
        let checkpoint = Checkpoint::open(&note, &verifier_key).map_err(ClientError::CheckpointRefuted)?;
        Ok(Some(VerifiedCheckpoint { note, verifier_key, checkpoint, witnessed: None }))
    }

    /// Writes each file anew in one step, the key first: a checkpoint never stands there without its key.
    fn keep(&self, log: &str, now: &VerifiedCheckpoint) -> Result<(), ClientError> {
        let Some((checkpoint, key)) = self.files(log) else { return Ok(()) };
        if let Some(folder) = &self.folder {
            fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
        }
        for (path, text) in [(key, format!("{}\n", now.verifier_key)), (checkpoint, now.note.clone())] {
            let new = path.with_added_extension("new");
            let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &path));
            written.map_err(|error| unusable(&path, &error))?;
        }
        Ok(())
    }

    /// The name of a log is that of a region, or `node`: it has no separators.
    fn files(&self, log: &str) -> Option<(PathBuf, PathBuf)> {
        let folder = self.folder.as_ref()?;
        Some((folder.join(format!("{log}.checkpoint")), folder.join(format!("{log}.vkey"))))
    }
}

fn unusable(path: &std::path::Path, error: &io::Error) -> ClientError {
    ClientError::configuration("the folder of checkpoints", format!("can't be used: {}: {error}", path.display()))
}
