//! A log as files: a folder on the disk, or whatever else gives bytes for a path.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use vault_domain::limits;
use vault_ledger::{CHECKPOINT_FILE, LogSource, MINIMUM_INDEX_FILE, TILE_BYTES, TILE_HASHES, TileId, bundle_path};

use crate::{exit::Failure, small_file};

/// The longest bundle of entries, and one byte more, so that a longer one is seen to be too long.
const BUNDLE_BYTES_MAX: u64 = (TILE_HASHES as u64) * (2 + limits::ENTRY_BYTES_MAX as u64) + 1;

/// Longer than any number and its newline.
const NUMBER_BYTES_MAX: u64 = 32;

/// Gives the bytes of a log's files; at most `limit` of each.
pub(crate) trait LogFilesSource {
    fn file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure>;

    /// The signed checkpoint.
    fn checkpoint(&self) -> Result<Option<String>, Failure> {
        let note = self.file(CHECKPOINT_FILE, small_file::CHECKPOINT_BYTES_MAX + 1)?;
        // What is no text is no signed note either, and is refused as one.
        Ok(note.map(|note| String::from_utf8_lossy(&note).into_owned()))
    }

    /// What a pruned log states as its minimum index; nothing of one that was not pruned.
    fn minimum_index(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.file(MINIMUM_INDEX_FILE, NUMBER_BYTES_MAX)
    }
}

/// A folder of the layout of c2sp.org/tlog-tiles.
pub(crate) struct FolderFiles {
    path: PathBuf,
}

impl FolderFiles {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The size that the checkpoint states, for the progress alone.
    pub(crate) fn size_stated(&self) -> u64 {
        let note = self.checkpoint().ok().flatten();
        note.and_then(|note| note.lines().nth(1)?.parse().ok()).unwrap_or_default()
    }
}

impl LogFilesSource for FolderFiles {
    fn file(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.path.join(path);
        let read = || {
            let mut bytes = Vec::new();
            small_file::open(&path)?.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(Failure::file(&path, error)),
        }
    }
}

/// Files in memory, for tests that damage them.
pub(crate) struct MemoryFiles<F>(pub(crate) F);

impl<F: Fn(&str) -> Option<Vec<u8>>> LogFilesSource for MemoryFiles<F> {
    fn file(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, Failure> {
        Ok((self.0)(path))
    }
}

/// Tiles and bundles of files.
pub(crate) struct Tiles<'a, S>(pub(crate) &'a S);

impl<S: LogFilesSource> LogSource for Tiles<'_, S> {
    type Error = Failure;
    const HAS_PARTIAL_TILES: bool = true;

    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, Failure> {
        self.0.file(&bundle_path(index, width), BUNDLE_BYTES_MAX)
    }

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Failure> {
        self.0.file(&id.path(), TILE_BYTES as u64 + 1)
    }
}
