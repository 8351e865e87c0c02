//! Files that are read again when they change.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::regular_file;

/// How often a file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// What tells one state of a file from another.
type Stamp = (u64, u64, i64, i64, u64);

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len())
}

/// Reads a file, as far as one byte beyond `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    regular_file::check(path)?;
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Gives the file to `take` now and whenever it has changed, for ever. A file that can't be read is said so once.
pub(super) async fn watch(path: PathBuf, bytes_max: usize, mut take: impl FnMut(Vec<u8>)) {
    let mut last = None;
    let mut is_told = false;
    loop {
        let (known, at) = (last, path.clone());
        let look = move || -> io::Result<Option<(Stamp, Vec<u8>)>> {
            let stamp = stamp(&fs::metadata(&at)?);
            if Some(stamp) == known { Ok(None) } else { Ok(Some((stamp, read(&at, bytes_max)?))) }
        };
        match tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Err(io::Error::other("the reader failed"))) {
            Ok(read) => {
                is_told = false;
                if let Some((stamp, bytes)) = read {
                    last = Some(stamp);
                    take(bytes);
                }
            }
            Err(error) => {
                if !is_told {
                    tracing::warn!(path = %path.display(), %error, "a file can't be read; what it held before counts");
                }
                is_told = true;
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
