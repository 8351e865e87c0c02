//! Tiles: up to 256 consecutive hashes of one level, concatenated (c2sp.org/tlog-tiles, "Merkle Tree").
//!
//! Tile n of level l holds the roots of the perfect trees over entries (256 n + i) · 256^l to (256 n + i + 1) · 256^l,
//! for i from 0. Only the last tile of a level can have fewer than 256, and it is not hashed into the level above.

use std::{borrow::Cow, collections::BTreeMap, fmt::Write};

use super::{HASH_BYTES, TreeHash};
use crate::error::LedgerError;

/// Hashes of a full tile.
pub const TILE_HASHES: u16 = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = 8192;

/// Which tile, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// The level, 0 (leaf hashes) to 7.
    pub level: u8,
    /// The number within the level, from 0.
    pub index: u64,
    /// How many hashes are needed, 1 to 256.
    pub width: u16,
}

impl TileId {
    /// The path under a log's prefix: `tile/<level>/<index>`, for fewer than 256 hashes followed by `.p/<width>`. The
    /// index is cut into groups of three digits, all but the last with an `x` before them: `x001/x234/067`.
    #[must_use]
    pub fn path(&self) -> String {
        path(&self.level.to_string(), self.index, self.width)
    }
}

/// The path of the entries whose leaf hashes are in a tile of level 0: `tile/entries/<index>`, as for [`TileId::path`].
#[must_use]
pub fn bundle_path(index: u64, width: u16) -> String {
    path("entries", index, width)
}

fn path(kind: &str, index: u64, width: u16) -> String {
    let mut groups = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        groups.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    groups.reverse();
    let mut path = format!("tile/{kind}/{}", groups.join("/"));
    if width < TILE_HASHES {
        // Writing to a String can't fail.
        let _ = write!(path, ".p/{width}");
    }
    path
}

/// Where tiles come from. Asynchronous stores ask [`super::inclusion_tiles`] or [`super::consistency_tiles`] first what
/// will be needed, fetch that, and hand it over as a [`TileMap`].
pub trait TileSource {
    /// At least the first `id.width` hashes of the tile: 32 bytes each, a wider tile will do as well.
    fn tile(&self, id: TileId) -> Option<Cow<'_, [u8]>>;
}

impl<A: TileSource + ?Sized, B: TileSource + ?Sized> TileSource for (&A, &B) {
    /// From the first that has it.
    fn tile(&self, id: TileId) -> Option<Cow<'_, [u8]>> {
        self.0.tile(id).or_else(|| self.1.tile(id))
    }
}

/// Tiles in memory.
#[derive(Clone, Debug, Default)]
pub struct TileMap(BTreeMap<(u8, u64), Vec<u8>>);

impl TileMap {
    /// Adds a tile, full or not, in place of one with the same level and index.
    pub fn insert(&mut self, level: u8, index: u64, bytes: Vec<u8>) {
        self.0.insert((level, index), bytes);
    }
}

impl TileSource for TileMap {
    fn tile(&self, id: TileId) -> Option<Cow<'_, [u8]>> {
        let bytes = self.0.get(&(id.level, id.index))?;
        (bytes.len() >= usize::from(id.width) * HASH_BYTES).then_some(Cow::Borrowed(bytes))
    }
}

/// The hashes in `bytes`.
pub(crate) fn hashes(bytes: &[u8]) -> impl Iterator<Item = TreeHash> {
    let (hashes, _) = bytes.as_chunks();
    hashes.iter().copied().map(TreeHash)
}

/// Hashes `skip` to `skip + count` of a tile.
pub(super) fn read_tile(
    source: &dyn TileSource,
    id: TileId,
    skip: usize,
    count: usize,
) -> Result<Vec<TreeHash>, LedgerError> {
    let missing = LedgerError::TileMissing { level: id.level, index: id.index };
    let bytes = source.tile(id).ok_or(missing.clone())?;
    let wanted: Vec<_> = hashes(&bytes).skip(skip).take(count).collect();
    if wanted.len() == count { Ok(wanted) } else { Err(missing) }
}
