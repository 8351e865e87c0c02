//! Reading the files that a configuration names. What is no regular file is refused before it is opened: a pipe without
//! a writer would hold the process up for ever. Links are followed, as Kubernetes mounts files by them.

use std::{fs, io, path::Path};

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    check(path)?;
    fs::read_to_string(path)
}

/// Refuses a pipe, a socket, a device or a folder.
///
/// # Errors
/// When it is one of these, or is not there.
pub fn check(path: &Path) -> io::Result<fs::Metadata> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file (a pipe, a device or a folder); name a file"))
}
