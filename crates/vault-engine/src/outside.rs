//! The newest checkpoint of every log, kept in a file outside the stores: at the next start a store that is behind it
//! is an old copy, and is refused.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{sync::watch, task::JoinHandle};
use vault_journal::SignedCheckpoint;

/// The largest note that is read: far above any that a journal writes.
const NOTE_BYTES_MAX: u64 = 64 * 1024;

/// The file of one log.
pub(crate) fn path(directory: &Path, log: &str) -> PathBuf {
    directory.join(format!("{log}.checkpoint"))
}

/// The note in the file, if there is one.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > NOTE_BYTES_MAX => Err(io::ErrorKind::FileTooLarge.into()),
        Ok(_) => fs::read_to_string(path).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the file whole: a reader sees the old note or the new one.
pub(crate) fn write(path: &Path, note: &str) -> io::Result<()> {
    let new = path.with_extension("checkpoint.new");
    let mut file = File::create(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes every new checkpoint of a log to its file, until the journal ends.
pub(crate) fn follow(path: PathBuf, mut checkpoints: watch::Receiver<Option<Arc<SignedCheckpoint>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while checkpoints.changed().await.is_ok() {
            let newest = checkpoints.borrow_and_update().clone();
            let Some(newest) = newest else { continue };
            let path = path.clone();
            let written = tokio::task::spawn_blocking(move || write(&path, &newest.note)).await;
            if let Ok(Err(error)) = written {
                tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint can't be written to its file");
            }
        }
    })
}
