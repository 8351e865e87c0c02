//! The directory of a store: who holds it, and whether it is one at all. Nothing here knows the engine.
//!
//! Beside the engine's files stands one of ours, `STORE`, with two lines of text:
//!
//! ```text
//! tokenvault store
//! format 1
//! ```
//!
//! It is locked (`flock`) while the store is open, read before the engine is started, so that a build never lets its
//! engine near a newer format, and written last at creation: an empty one says that a creation was cut short.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{FORMAT, error::OpenError, limits::MARKER_BYTES_MAX};

const MARKER: &str = "STORE";
const FIRST_LINE: &str = "tokenvault store";

/// Whether a directory is a store's, or was about to become one: its marker is there. Opens and locks nothing.
#[must_use]
pub fn is_store(path: &Path) -> bool {
    path.join(MARKER).symlink_metadata().is_ok()
}

/// A directory that is ours alone until this value is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    path: PathBuf,
    marker: File,
    complete: bool,
}

impl Claim {
    /// Takes the directory, creating it (mode 0700) if allowed.
    pub(crate) fn take(path: &Path, create: bool) -> Result<Self, OpenError> {
        let path = path.to_owned();
        match fs::metadata(&path) {
            Ok(found) if !found.is_dir() => {
                return Err(OpenError::NotAStore { path, detail: "it is no directory" });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
                made.map_err(|error| from_io(&path, error))?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing { path }),
            Err(error) => return Err(from_io(&path, error)),
        }
        check_marker(&path)?;
        let mut marker = open_marker(&path, create)?;
        match marker.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(from_io(&path, error)),
        }
        let text = read_marker(&mut marker).map_err(|error| from_io(&path, error))?;
        if text.is_empty() {
            if !create {
                return Err(OpenError::NotAStore { path, detail: "its creation was cut short" });
            }
            return Ok(Self { path, marker, complete: false });
        }
        match parse_marker(&text) {
            Some(found) if found > FORMAT => Err(OpenError::NewerFormat { path, found, supported: FORMAT }),
            Some(_) => Ok(Self { path, marker, complete: true }),
            None => Err(OpenError::NotAStore { path, detail: "its file STORE is not a vault's" }),
        }
    }

    /// Takes a store that exists, for reading: nobody may write to it meanwhile, others may read it too. Changes
    /// nothing, and needs no right to.
    pub(crate) fn share(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        check_marker(&path)?;
        let mut marker = match File::open(path.join(MARKER)) {
            Ok(marker) => marker,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => {
                return Err(OpenError::Missing { path });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(OpenError::NotAStore { path, detail: "it holds no file STORE" });
            }
            Err(error) => return Err(from_io(&path, error)),
        };
        match marker.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(error)) => return Err(from_io(&path, error)),
        }
        let text = read_marker(&mut marker).map_err(|error| from_io(&path, error))?;
        match parse_marker(&text) {
            Some(found) if found > FORMAT => Err(OpenError::NewerFormat { path, found, supported: FORMAT }),
            Some(_) => Ok(Self { path, marker, complete: true }),
            None => Err(OpenError::NotAStore { path, detail: "its file STORE is not a vault's" }),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the store in it was created to the end. If not, it holds nothing of value yet.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Says, durably, that the store was created to the end.
    pub(crate) fn complete(&mut self) -> Result<(), OpenError> {
        let written = || -> io::Result<()> {
            let mut marker = &self.marker;
            marker.rewind()?;
            marker.write_all(format!("{FIRST_LINE}\nformat {FORMAT}\n").as_bytes())?;
            marker.sync_all()?;
            sync_directory(&self.path)?;
            // The directory's own name is durable too; a parent that may not be opened is not ours to sync.
            self.path.parent().map_or(Ok(()), |parent| sync_directory(parent).or(Ok(())))
        };
        written().map_err(|error| from_io(&self.path, error))?;
        self.complete = true;
        Ok(())
    }
}

/// What the system said about `path`, as the operator should hear it.
pub(crate) fn from_io(path: &Path, error: io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::Permission { path, source: error }
        }
        _ => OpenError::Io { path, source: error },
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A pipe in the marker's place would hold us up for ever.
fn check_marker(path: &Path) -> Result<(), OpenError> {
    match fs::metadata(path.join(MARKER)) {
        Ok(found) if !found.is_file() => {
            Err(OpenError::NotAStore { path: path.to_owned(), detail: "its STORE is no regular file" })
        }
        // What is missing or can't be looked at is told by whoever opens it.
        _ => Ok(()),
    }
}

/// Opens the marker; makes an empty one where a store may be created.
fn open_marker(path: &Path, create: bool) -> Result<File, OpenError> {
    let marker = path.join(MARKER);
    match OpenOptions::new().read(true).write(true).open(&marker) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map_err(|error| from_io(path, error)),
    }
    let mut names = fs::read_dir(path).map_err(|error| from_io(path, error))?;
    if names.next().is_some() {
        return Err(OpenError::NotAStore { path: path.to_owned(), detail: "it holds files, but no file STORE" });
    }
    if !create {
        return Err(OpenError::NotAStore { path: path.to_owned(), detail: "it is empty" });
    }
    // Two that create at once open the same file; the lock decides.
    let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&marker);
    made.map_err(|error| from_io(path, error))
}

fn read_marker(marker: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    marker.take(MARKER_BYTES_MAX).read_to_end(&mut bytes)?;
    // What is no text is no marker either; the parser says so.
    Ok(String::from_utf8(bytes).unwrap_or_else(|_| "?".to_owned()))
}

/// The format that a marker names. Later formats may add lines after the second.
fn parse_marker(text: &str) -> Option<u32> {
    let mut lines = text.lines();
    if lines.next() != Some(FIRST_LINE) {
        return None;
    }
    lines.next()?.strip_prefix("format ")?.parse().ok().filter(|format| *format > 0)
}
