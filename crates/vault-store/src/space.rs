//! Room on the disk: how much there is, and the ballast, a file that only takes room.
//!
//! When a disk is full, an operator needs some room to act in: to stop cleanly, to compact, to move things. The ballast
//! (file `ballast` in the store's directory) is that room. It is made when the store is opened and room for twice its
//! size is free; only an operator deletes it, and the next opening with enough room makes it again. Whether to refuse
//! work for want of room is for the caller of [`Reader::space`](crate::Reader::space) to decide.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::{fcntl::posix_fallocate, sys::statvfs::statvfs};

const BALLAST: &str = "ballast";

/// Room on the disk that a store is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that the process can still write.
    pub available_bytes: u64,
    /// Bytes of the whole file system.
    pub total_bytes: u64,
    /// Bytes of the ballast; less than what was configured if there was no room for it or someone used it.
    pub ballast_bytes: u64,
}

/// What is there now.
pub(crate) fn measure(directory: &Path) -> io::Result<Space> {
    let disk = statvfs(directory)?;
    let unit = disk.fragment_size();
    Ok(Space {
        available_bytes: disk.blocks_available().saturating_mul(unit),
        total_bytes: disk.blocks().saturating_mul(unit),
        ballast_bytes: fs::metadata(directory.join(BALLAST)).map_or(0, |file| file.len()),
    })
}

/// Makes the ballast `bytes` long if it is shorter, unless that would leave less than as much again. A disk without
/// room for it is no reason not to open: [`Space`] tells.
pub(crate) fn ensure_ballast(directory: &Path, bytes: u64) -> io::Result<()> {
    let space = measure(directory)?;
    let missing = bytes.saturating_sub(space.ballast_bytes);
    if missing == 0 || space.available_bytes < missing.saturating_add(bytes) {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(directory.join(BALLAST))?;
    let length = i64::try_from(bytes).unwrap_or(i64::MAX);
    match posix_fallocate(&file, 0, length) {
        Ok(()) => file.sync_all(),
        // Somebody else took the room meanwhile: give back what was got.
        Err(_) => file.set_len(space.ballast_bytes),
    }
}
