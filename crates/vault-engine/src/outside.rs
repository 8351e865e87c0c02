//! Checkpoints on their way out. The newest one of every log is kept in a file outside the stores: at the next start a
//! store that is behind it is an old copy, and is refused. Doors send them further, by what an [`OutsideLog`] gives.

mod standing;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};
use vault_domain::{Millis, limits};
use vault_journal::{Journal, SignedCheckpoint};
use vault_ledger::{TreeHash, TreeSize, VerifierKey};
use vault_store::Reader;

pub use standing::{Measured, Standing};

use crate::{Engine, Error};

/// The largest note that is read: far above any that a journal writes.
const NOTE_BYTES_MAX: u64 = 64 * 1024;

/// The file of one log.
pub(crate) fn path(directory: &Path, log: &str) -> PathBuf {
    directory.join(format!("{log}.checkpoint"))
}

/// The note in the file, if there is one.
///
/// # Errors
/// When it can't be read, or is longer than any note that a vault writes.
pub fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > NOTE_BYTES_MAX => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read_to_string(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file whole: a reader sees the old note or the new one.
///
/// # Errors
/// When it can't be written.
pub fn write(path: &Path, note: &str) -> io::Result<()> {
    let new = path.with_added_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes new checkpoints of a log to its file, one a second at most, until the journal ends.
pub(crate) fn follow(
    path: PathBuf,
    mut checkpoints: watch::Receiver<Option<Arc<SignedCheckpoint>>>,
    standing: Arc<Standing>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ended = checkpoints.clone();
        while checkpoints.changed().await.is_ok() {
            let newest = checkpoints.borrow_and_update().clone();
            let Some(newest) = newest else { continue };
            let (path, size) = (path.clone(), newest.size);
            standing.offered(size);
            match tokio::task::spawn_blocking(move || write(&path, &newest.note)).await {
                Ok(Ok(())) => standing.accepted(size),
                Ok(Err(error)) => standing.failed(error),
                Err(_) => standing.failed("the writing was interrupted"),
            }
            // The last one is written by who ends the journal.
            let _rested_or_ended = tokio::time::timeout(REST, ended.wait_for(|_| false)).await;
        }
    })
}

/// How long a file is left alone: as long as a journal takes to sign again by itself.
const REST: Duration = limits::CHECKPOINT_INTERVAL;

/// A log as those see it who send its checkpoints away. Holds the store: to be dropped before the engine ends.
#[derive(Clone, Debug)]
pub struct OutsideLog {
    name: String,
    journal: Journal,
    reader: Reader,
}

impl OutsideLog {
    /// The region, or `node`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key that its checkpoints verify with, and its origin.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        self.journal.verifier_key()
    }

    /// The newest signed checkpoint, and every later one.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.journal.checkpoints()
    }

    /// Entries that are on the disk, signed over or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.journal.size()
    }

    /// Bytes that can still be written on the store's disk.
    ///
    /// # Errors
    /// When that can't be found out.
    pub fn free_bytes(&self) -> io::Result<u64> {
        Ok(self.reader.space()?.available_bytes)
    }

    /// Entries that the derived index does not have yet.
    #[must_use]
    pub fn unindexed(&self) -> u64 {
        self.size().saturating_sub(self.journal.index_progress().entries())
    }

    /// Whether the index met something that it could not read, and stopped.
    #[must_use]
    pub fn index_has_stopped(&self) -> bool {
        self.journal.index_progress().stopped()
    }

    /// How far the log's time is ahead of the wall clock: calls that bear a time are refused until it has caught up.
    #[must_use]
    pub fn time_ahead(&self, wall: Millis) -> Duration {
        Duration::from_millis(self.journal.now(wall).0.saturating_sub(wall.0))
    }

    /// Proves that the tree of the first `new` entries begins with that of the first `old`.
    ///
    /// # Errors
    /// When `old` is larger than `new`, `new` larger than the log, or the store can't be read.
    pub async fn prove_growth(&self, old: u64, new: u64) -> Result<Vec<TreeHash>, Error> {
        Ok(self.journal.prove_consistency(&self.reader, TreeSize(old), TreeSize(new)).await?)
    }
}

impl Engine {
    /// All logs, of the regions and of the node, by their names.
    #[must_use]
    pub fn outside_logs(&self) -> Vec<OutsideLog> {
        let regions = self.regions.iter().map(|(region, vault)| (region.as_str(), &vault.journal, &vault.reader));
        let mut logs: Vec<OutsideLog> = regions
            .chain([("node", &self.node.journal, &self.node.reader)])
            .map(|(name, journal, reader)| {
                let (journal, reader) = (journal.clone(), reader.clone());
                OutsideLog { name: name.to_owned(), journal, reader }
            })
            .collect();
        logs.sort_by(|a, b| a.name.cmp(&b.name));
        logs
    }

    /// How it stands with the files of checkpoints.
    #[must_use]
    pub fn checkpoint_files(&self) -> &[Arc<Standing>] {
        &self.checkpoint_files
    }
}
