//! Small files that somebody names: a key, a checkpoint, a state. A pipe would hold the reader up for ever, a device
//! never ends, and neither is one.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The longest signed checkpoint that is read.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 256 << 10;

/// The text of a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("is longer than {limit} bytes")));
    }
    Ok(text)
}

/// Opens a regular file, if need be through links.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    vault_server::check_regular_file(path)?;
    File::open(path)
}
