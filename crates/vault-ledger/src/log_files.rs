//! A log as files, in the layout of c2sp.org/tlog-tiles, for anybody to read with tools of their own.
//!
//! | file | what |
//! |---|---|
//! | `checkpoint` | the signed checkpoint; written last, so that a log without one was not written to its end |
//! | `tile/<level>/<number>[.p/<width>]` | hashes, 32 bytes each: 256, or `width` of them at the right edge |
//! | `tile/entries/<number>[.p/<width>]` | the entries under a tile of level 0, each behind its length in two bytes |
//! | `vkey` | the verifier key of the log, a line (not part of tlog-tiles) |
//! | `minimum_index` | of a pruned log: the first entry that is there, in decimal, a line (not part of tlog-tiles) |
//!
//! Every file but `checkpoint` is written once and never changes; memory holds one bundle of entries (at most 16 MiB,
//! usually 100 KiB) and the right edge of the tree. Where files go is the caller's business.

use crate::{
    error::LedgerError,
    note::VerifierKey,
    tree::{Frontier, FullTile, TILE_HASHES, TileId, TileSource, TreeHash, bundle_path, leaf_hash},
};

/// The file with the signed checkpoint.
pub const CHECKPOINT_FILE: &str = "checkpoint";
/// The file with the verifier key.
pub const VERIFIER_KEY_FILE: &str = "vkey";
/// The file with the minimum index of a pruned log: the bundles of entries below it are not there.
pub const MINIMUM_INDEX_FILE: &str = "minimum_index";

/// Makes the files of a log, entry by entry.
#[derive(Debug, Default)]
pub struct LogFiles {
    frontier: Frontier,
    bundle: Vec<u8>,
    full: Vec<FullTile>,
    /// Entries at the beginning of which there is the hash alone.
    minimum: u64,
}

impl LogFiles {
    /// A log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree over the entries so far. Hold it against the checkpoint before [`LogFiles::finish`].
    #[must_use]
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// Appends an entry, and hands over the path and the bytes of each file that is thereby complete.
    ///
    /// # Errors
    /// When the entry is longer than 65,535 bytes, or `put` fails.
    pub fn entry<E: From<LedgerError>>(
        &mut self,
        entry: &[u8],
        mut put: impl FnMut(&str, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        put_bundle_entry(&mut self.bundle, entry)?;
        self.append(leaf_hash(entry), &mut put)
    }

    /// Appends an entry that was pruned. Before all others, and a multiple of 256 of them.
    ///
    /// # Errors
    /// When `put` fails.
    pub fn pruned<E>(&mut self, leaf: TreeHash, mut put: impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.minimum = self.minimum.saturating_add(1);
        self.append(leaf, &mut put)
    }

    fn append<E>(&mut self, leaf: TreeHash, put: &mut impl FnMut(&str, &[u8]) -> Result<(), E>) -> Result<(), E> {
        self.frontier.append(leaf, &mut self.full);
        for FullTile { level, index, bytes } in self.full.drain(..) {
            if level == 0 && !self.bundle.is_empty() {
                put(&bundle_path(index, TILE_HASHES), &self.bundle)?;
                self.bundle.clear();
            }
            put(&TileId { level, index, width: TILE_HASHES }.path(), &bytes)?;
        }
        Ok(())
    }

    /// Hands over what is left: the right edge, the key, and at last the checkpoint, which has to be of all entries.
    ///
    /// # Errors
    /// When `put` fails.
    pub fn finish<E>(
        self,
        key: &VerifierKey,
        checkpoint: &str,
        mut put: impl FnMut(&str, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.frontier.size().0;
        for level in 0_u8.. {
            if rest == 0 {
                break;
            }
            let index = rest / u64::from(TILE_HASHES);
            let width = u16::try_from(rest % u64::from(TILE_HASHES)).unwrap_or_default();
            let id = TileId { level, index, width };
            if width > 0 {
                if level == 0 {
                    put(&bundle_path(index, width), &self.bundle)?;
                }
                put(&id.path(), &self.frontier.tile(id).unwrap_or_default())?;
            }
            rest = index;
        }
        if self.minimum > 0 {
            put(MINIMUM_INDEX_FILE, format!("{}\n", self.minimum).as_bytes())?;
        }
        put(VERIFIER_KEY_FILE, format!("{key}\n").as_bytes())?;
        put(CHECKPOINT_FILE, checkpoint.as_bytes())
    }
}

/// The minimum index that its file states: a multiple of 256, at most `size`.
#[must_use]
pub fn parse_minimum_index(file: &[u8], size: u64) -> Option<u64> {
    let text = str::from_utf8(file).ok()?.strip_suffix('\n')?;
    let minimum: u64 = text.parse().ok()?;
    let fits = minimum.to_string() == text && minimum.is_multiple_of(TILE_HASHES.into()) && minimum <= size;
    fits.then_some(minimum)
}

/// Appends an entry to a bundle: its length in two bytes, then its bytes.
///
/// # Errors
/// When it is longer than 65,535 bytes.
pub fn put_bundle_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), LedgerError> {
    let length = u16::try_from(entry.len()).map_err(|_| LedgerError::EntryTooLarge)?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}
