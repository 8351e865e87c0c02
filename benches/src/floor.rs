//! What the disk can do: append and sync, and nothing else. A commit can't be faster than this.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use nix::unistd::fdatasync;
use vault_domain::{Clock, SystemClock};

use crate::{Failure, measure::Latencies};

/// Appends `bytes` at a time to a new file in `folder` and syncs each (fdatasync), `times` over.
///
/// # Errors
/// When the disk refuses.
pub fn append_and_sync(folder: &Path, bytes: usize, times: usize) -> Result<Latencies, Failure> {
    let path = folder.join("append");
    let latencies = sync_each(File::create(&path)?, bytes, times, false)?;
    std::fs::remove_file(path)?;
    Ok(latencies)
}

/// Overwrites `bytes` at the beginning of a file that has its room already, and syncs each time.
///
/// # Errors
/// When the disk refuses.
pub fn overwrite_and_sync(folder: &Path, bytes: usize, times: usize) -> Result<Latencies, Failure> {
    let path = folder.join("overwrite");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    file.write_all(&vec![1; bytes.next_multiple_of(1 << 20)])?;
    file.sync_all()?;
    let latencies = sync_each(file, bytes, times, true)?;
    std::fs::remove_file(path)?;
    Ok(latencies)
}

fn sync_each(mut file: File, bytes: usize, times: usize, from_start: bool) -> Result<Latencies, Failure> {
    let clock = SystemClock::new();
    let block = vec![0x5A; bytes];
    let mut latencies = Latencies::with_capacity(times);
    for _ in 0..times {
        let start = clock.monotonic();
        if from_start {
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&block)?;
        fdatasync(&file)?;
        latencies.push(clock.monotonic().saturating_sub(start));
    }
    Ok(latencies)
}
