//! The newest checkpoint of each log that was seen: every other one has to be of the same history.
//!
//! It is kept for as long as the client lives and, where a folder is named, on disk: then a log that was rolled back or
//! written anew between two runs is noticed as well. A folder is of one vault, and holds for each of its logs, by the
//! name that we ask for it, `<log>.checkpoint` (the signed note) and `<log>.vkey`. What the vault states itself, origin
//! and key, must stay what it was.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

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

    /// Whether it outlives this client.
    pub(crate) fn is_kept(&self) -> bool {
        self.folder.is_some()
    }

    /// Holds a checkpoint of `log` against the newest that was seen of its origin, and keeps and gives the larger one:
    /// a vault can answer with an older one, be it that answers overtake each other.
    ///
    /// # Errors
    /// [`ClientError::LogContradicted`] when no history has both; what was kept stays. Otherwise when the vault can't
    /// be asked, or the folder not be read or written.
    pub(crate) async fn agree(
        &self,
        client: &Client,
        log: &str,
        now: &VerifiedCheckpoint,
    ) -> Result<VerifiedCheckpoint, ClientError> {
        let mut newest = self.newest.lock().await;
        let mut known = newest.get(log).cloned();
        // Another process may keep checkpoints in the same folder: what it saw meanwhile has to be agreed with, too.
        loop {
            if let Some(kept) = self.load(log)?
                && known.as_ref().is_none_or(|known| known.checkpoint.head.size < kept.checkpoint.head.size)
            {
                known = Some(kept);
            }
            if let Some(known) = &known {
                goes_on(client, log, known, now).await?;
                if now.checkpoint.head.size <= known.checkpoint.head.size {
                    newest.insert(log.to_owned(), known.clone());
                    return Ok(known.clone());
                }
            }
            if self.keep(log, known.as_ref(), now)? {
                newest.insert(log.to_owned(), now.clone());
                return Ok(now.clone());
            }
        }
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
        Ok(Some(VerifiedCheckpoint { note, verifier_key, checkpoint, witnessed: None, minimum_index: None }))
    }

    /// Writes each file anew in one step, the key first: a checkpoint never stands there without its key. Nothing is
    /// written, and false returned, if the folder has a larger checkpoint by now than the one that was agreed with.
    fn keep(
        &self,
        log: &str,
        agreed: Option<&VerifiedCheckpoint>,
        now: &VerifiedCheckpoint,
    ) -> Result<bool, ClientError> {
        let (Some(folder), Some((checkpoint, key))) = (&self.folder, self.files(log)) else { return Ok(true) };
        fs::create_dir_all(folder).map_err(|error| unusable(folder, &error))?;
        let lock = checkpoint.with_extension("lock");
        // For as long as this lives, one process at a time writes.
        let locked = File::create(&lock).and_then(|file| file.lock().map(|()| file));
        let _locked = locked.map_err(|error| unusable(&lock, &error))?;
        let size = |checkpoint: &VerifiedCheckpoint| checkpoint.checkpoint.head.size;
        if self.load(log)?.is_some_and(|kept| agreed.is_none_or(|agreed| size(&kept) > size(agreed))) {
            return Ok(false);
        }
        for (path, text) in [(key, format!("{}\n", now.verifier_key)), (checkpoint, now.note.clone())] {
            let new = path.with_added_extension("new");
            let write = || {
                let mut file = File::create(&new)?;
                file.write_all(text.as_bytes())?;
                // A power cut must not leave an empty file under the name.
                file.sync_all()?;
                fs::rename(&new, &path)
            };
            write().map_err(|error| unusable(&path, &error))?;
        }
        Ok(true)
    }

    /// The name of a log is that of a region, or `node`: it has no separators.
    fn files(&self, log: &str) -> Option<(PathBuf, PathBuf)> {
        let folder = self.folder.as_ref()?;
        Some((folder.join(format!("{log}.checkpoint")), folder.join(format!("{log}.vkey"))))
    }
}

/// Holds two checkpoints of a log against each other: the smaller tree has to be the beginning of the larger one.
async fn goes_on(
    client: &Client,
    log: &str,
    known: &VerifiedCheckpoint,
    now: &VerifiedCheckpoint,
) -> Result<(), ClientError> {
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
    verify_consistency(&older, &later, &proof).map_err(|refuted| contradicted(&refuted))
}

fn unusable(path: &std::path::Path, error: &io::Error) -> ClientError {
    ClientError::configuration("the folder of checkpoints", format!("can't be used: {}: {error}", path.display()))
}
