//! What the disk under a figure is worth: a figure without it says nothing.

use std::{fs::OpenOptions, io::Write, path::Path, time::Duration};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use vault_domain::Clock;

use crate::exit::Failure;

/// How often a file is written and forced to the disk.
const PROBES: usize = 21;

/// The median time to force a few bytes to the disk; `None` where there is no disk, only memory.
pub(crate) fn sync_median(folder: &Path, clock: &dyn Clock) -> Result<Option<Duration>, Failure> {
    let refuse = |error: &dyn std::fmt::Display| Failure::file(folder, error);
    if statfs(folder).map_err(|error| refuse(&error))?.filesystem_type() == TMPFS_MAGIC {
        return Ok(None);
    }
    let path = folder.join("sync-probe");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).open(&path).map_err(|error| refuse(&error))?;
    let mut took = Vec::with_capacity(PROBES);
    for _ in 0..PROBES {
        let begun = clock.monotonic();
        file.write_all(&[0; 512]).and_then(|()| file.sync_data()).map_err(|error| refuse(&error))?;
        took.push(clock.monotonic().saturating_sub(begun));
    }
    std::fs::remove_file(&path).map_err(|error| refuse(&error))?;
    took.sort_unstable();
    Ok(took.get(PROBES / 2).copied())
}
