//! The growing edge of a log: enough to append, to give the root, and to hand out each tile when it is full.

use std::borrow::Cow;

use super::{
    HASH_BYTES, Peaks, TreeHash, TreeHead, TreeSize, root_over,
    tile::{TILE_BYTES, TILE_HASHES, TileId, TileSource, hashes, read_tile},
};
use crate::error::LedgerError;

/// Bits of an index within a tile.
const TILE_BITS: u32 = 8;
/// The largest log that is restored, so that appending can't overflow for the next 10,000 years.
const SIZE_MAX: u64 = 1 << 62;

/// A tile that an append has filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Its level, from 0.
    pub level: u8,
    /// Its number within the level.
    pub index: u64,
    /// Its 256 hashes, 8,192 bytes.
    pub bytes: Vec<u8>,
}

/// The right edge of a log's tree: the tiles that are not yet full, one for each level, and what the root is made of.
/// At most 64 KiB in all.
///
/// As a [`TileSource`] it has those tiles and no other: together with the stored full tiles that is every tile of the
/// log at its present size, and at every size since its last tile was full.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    peaks: Peaks,
    /// By level, the hashes of the last tile, fewer than 256 each.
    partial: Vec<Vec<u8>>,
}

impl Frontier {
    /// The edge of the empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf, and adds to `full` the tiles that are thereby full, lower levels first.
    pub fn append(&mut self, leaf: TreeHash, full: &mut Vec<FullTile>) {
        let size = self.peaks.count;
        let partial = &mut self.partial;
        put_hash(partial, 0, size, leaf, full);
        self.peaks.push(leaf, |height, node| {
            if height.is_multiple_of(TILE_BITS) {
                put_hash(partial, height / TILE_BITS, size, node, full);
            }
        });
    }

    /// How many leaves were appended.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        TreeSize(self.peaks.count)
    }

    /// The root over all of them.
    #[must_use]
    pub fn root(&self) -> TreeHash {
        self.peaks.root()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        TreeHead { size: self.size(), root: self.root() }
    }

    /// The full tiles that [`Frontier::restore`] needs for a log of this size: at most 255 for each level but the last.
    pub fn tiles_to_restore(size: TreeSize) -> impl Iterator<Item = TileId> {
        (1..u64::BITS / TILE_BITS).flat_map(move |level| {
            let end = size.0 >> (TILE_BITS * level);
            let start = end & !u64::from(TILE_HASHES - 1);
            (start..end).map(move |index| full_tile(level - 1, index))
        })
    }

    /// The edge of a log of this size, from its stored full tiles and the hashes of the leaves that follow the last
    /// full tile of level 0 (`size` mod 256 of them). It trusts both: compare the root with a checkpoint.
    ///
    /// # Errors
    /// When a tile of [`Frontier::tiles_to_restore`] is missing, the number of leaves is wrong, or the size is absurd.
    pub fn restore(size: TreeSize, tiles: &dyn TileSource, leaves: &[TreeHash]) -> Result<Self, LedgerError> {
        if size.0 > SIZE_MAX || leaves.len() as u64 != size.0 % u64::from(TILE_HASHES) {
            return Err(LedgerError::FrontierMismatch);
        }
        let mut partial = vec![leaves.iter().flat_map(|leaf| leaf.0).collect::<Vec<_>>()];
        for id in Self::tiles_to_restore(size) {
            let below = read_tile(tiles, id, 0, TILE_HASHES.into())?;
            let level = usize::from(id.level) + 1;
            partial.resize_with(partial.len().max(level + 1), Vec::new);
            if let Some(hashes) = partial.get_mut(level) {
                hashes.extend(root_over(below.into_iter()).0);
            }
        }
        Ok(Self { peaks: peaks_of(size, &partial), partial })
    }
}

impl TileSource for Frontier {
    fn tile(&self, id: TileId) -> Option<Cow<'_, [u8]>> {
        let bytes = self.partial.get(usize::from(id.level))?;
        let index = self.peaks.count.checked_shr(TILE_BITS * (u32::from(id.level) + 1)).unwrap_or(0);
        let has = id.index == index && usize::from(id.width) * HASH_BYTES <= bytes.len();
        has.then_some(Cow::Borrowed(bytes))
    }
}

/// The full tile `index` of `level`, which is at most 7.
fn full_tile(level: u32, index: u64) -> TileId {
    TileId { level: level_byte(level), index, width: TILE_HASHES }
}

fn level_byte(level: u32) -> u8 {
    u8::try_from(level).unwrap_or(u8::MAX)
}

/// Appends `hash` to the last tile of `level` in a log of `size` leaves; a tile that is full moves on to `full`.
fn put_hash(partial: &mut Vec<Vec<u8>>, level: u32, size: u64, hash: TreeHash, full: &mut Vec<FullTile>) {
    let at = level as usize;
    partial.resize_with(partial.len().max(at + 1), Vec::new);
    let Some(bytes) = partial.get_mut(at) else { return };
    bytes.reserve_exact(TILE_BYTES - bytes.len());
    bytes.extend_from_slice(&hash.0);
    if bytes.len() == TILE_BYTES {
        let index = size.checked_shr(TILE_BITS * (level + 1)).unwrap_or(0);
        full.push(FullTile { level: level_byte(level), index, bytes: std::mem::take(bytes) });
    }
}

/// The peaks of a tree of this size: at each level, from the top, as many perfect trees as the width has bits.
fn peaks_of(size: TreeSize, partial: &[Vec<u8>]) -> Peaks {
    let mut all = Vec::new();
    for bytes in partial.iter().rev() {
        let mut level = Peaks::default();
        hashes(bytes).for_each(|hash| level.push(hash, |_, _| ()));
        all.append(&mut level.hashes);
    }
    Peaks { count: size.0, hashes: all }
}
