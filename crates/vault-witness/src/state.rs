//! What a witness remembers of a log: one file, the newest checkpoint that it cosigned with both signatures.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use vault_ledger::NOTE_BYTES_MAX;

/// The folder of all logs, held by this process alone.
pub(crate) struct Folder {
    path: PathBuf,
    /// Two witnesses on one folder could each sign a history of its own.
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none, and takes it for this process.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::other("another witness is at work on this folder"),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The file of a log, by the SHA-256 of its origin in hex.
    pub(crate) fn file(&self, hash: &str) -> PathBuf {
        self.path.join(format!("{hash}.checkpoint"))
    }

    /// Where a checkpoint is kept that contradicts one that was cosigned.
    pub(crate) fn evidence(&self, hash: &str) -> PathBuf {
        self.path.join(format!("{hash}.contradiction"))
    }
}

/// The note in a file, if there is one.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut note = String::new();
    let bytes_max = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(bytes_max.saturating_add(1)).read_to_string(&mut note)?;
    Ok(Some(note))
}

/// Replaces a file whole, and returns when it is on the disk: whoever reads it after a crash finds the old note, or the
/// new one.
pub(crate) fn write(path: &Path, note: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(note.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
