//! Proofs, made from tiles (RFC 6962 sections 2.1.1 and 2.1.2).

use std::{collections::BTreeSet, ops::Range};

use vault_domain::LogIndex;

use super::{
    TreeHash, TreeSize, node_hash, root_over,
    tile::{TILE_HASHES, TileId, TileSource, read_tile},
};
use crate::error::LedgerError;

/// The proof that the tree of this size holds at `index` what it holds there: the siblings on the way from the leaf to
/// the root.
///
/// # Errors
/// When the index lies beyond the tree, or a tile of [`inclusion_tiles`] is missing.
pub fn prove_inclusion(tiles: &dyn TileSource, index: LogIndex, size: TreeSize) -> Result<Vec<TreeHash>, LedgerError> {
    hash_ranges(tiles, inclusion_ranges(index, size)?, size)
}

/// The tiles that [`prove_inclusion`] will ask for.
///
/// # Errors
/// When the index lies beyond the tree.
pub fn inclusion_tiles(index: LogIndex, size: TreeSize) -> Result<Vec<TileId>, LedgerError> {
    Ok(tiles_of(inclusion_ranges(index, size)?, size))
}

/// The proof that the tree of size `new` begins with the whole tree of size `old`. Empty when the sizes are equal or
/// `old` is zero.
///
/// # Errors
/// When `old` is larger than `new`, or a tile of [`consistency_tiles`] is missing.
pub fn prove_consistency(tiles: &dyn TileSource, old: TreeSize, new: TreeSize) -> Result<Vec<TreeHash>, LedgerError> {
    hash_ranges(tiles, consistency_ranges(old, new)?, new)
}

/// The tiles that [`prove_consistency`] will ask for.
///
/// # Errors
/// When `old` is larger than `new`.
pub fn consistency_tiles(old: TreeSize, new: TreeSize) -> Result<Vec<TileId>, LedgerError> {
    Ok(tiles_of(consistency_ranges(old, new)?, new))
}

/// The leaves under each hash of an inclusion proof: PATH(m, D\[n]) of RFC 6962 section 2.1.1.
fn inclusion_ranges(index: LogIndex, size: TreeSize) -> Result<Vec<Range<u64>>, LedgerError> {
    if index.0 >= size.0 {
        return Err(LedgerError::OutOfTree);
    }
    let mut siblings = Vec::new();
    let mut tree = 0..size.0;
    while tree.end - tree.start > 1 {
        let (left, right) = split(&tree);
        let (next, sibling) = if index.0 < left.end { (left, right) } else { (right, left) };
        siblings.push(sibling);
        tree = next;
    }
    siblings.reverse();
    Ok(siblings)
}

/// The leaves under each hash of a consistency proof: PROOF(m, D\[n]) of RFC 6962 section 2.1.2.
fn consistency_ranges(old: TreeSize, new: TreeSize) -> Result<Vec<Range<u64>>, LedgerError> {
    if old > new {
        return Err(LedgerError::OutOfTree);
    }
    let mut hashes = Vec::new();
    let mut tree = 0..new.0;
    while old.0 > 0 && tree.end != old.0 {
        let (left, right) = split(&tree);
        let (next, sibling) = if old.0 <= left.end { (left, right) } else { (right, left) };
        hashes.push(sibling);
        tree = next;
    }
    // The whole old tree is known to the verifier; a part of it is not.
    if old.0 > 0 && tree.start > 0 {
        hashes.push(tree);
    }
    hashes.reverse();
    Ok(hashes)
}

/// The two children of the tree over more than one leaf: the left one has the largest power of two below the size.
fn split(tree: &Range<u64>) -> (Range<u64>, Range<u64>) {
    let middle = tree.start + (1 << (tree.end - tree.start - 1).ilog2());
    (tree.start..middle, middle..tree.end)
}

/// A perfect tree over 2^`height` leaves, the `index`-th of its height.
struct Node {
    height: u32,
    index: u64,
}

impl Node {
    /// Where its hash, or the 2^(height mod 8) hashes that it is made of, are in a log of this size: the tile, how many
    /// hashes of it to skip, and how many to take.
    fn place(&self, size: TreeSize) -> (TileId, usize, usize) {
        let (level, above) = (self.height / 8, self.height % 8);
        let first = self.index << above;
        let index = first / u64::from(TILE_HASHES);
        let hashes = (size.0 >> (8 * level)) - index * u64::from(TILE_HASHES);
        let width = u16::try_from(hashes).unwrap_or(TILE_HASHES).min(TILE_HASHES);
        let skip = usize::try_from(first % u64::from(TILE_HASHES)).unwrap_or_default();
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        (TileId { level, index, width }, skip, 1 << above)
    }
}

/// The perfect trees that the tree over `leaves` consists of, from right to left. Every range here starts at a multiple
/// of the largest power of two in its length.
fn perfect_trees(leaves: Range<u64>) -> impl Iterator<Item = Node> {
    let mut end = leaves.end;
    std::iter::from_fn(move || {
        let rest = end - leaves.start;
        let height = (rest > 0).then(|| rest.trailing_zeros())?;
        end -= 1 << height;
        Some(Node { height, index: end >> height })
    })
}

fn tiles_of(ranges: Vec<Range<u64>>, size: TreeSize) -> Vec<TileId> {
    let tiles: BTreeSet<_> = ranges.into_iter().flat_map(perfect_trees).map(|node| node.place(size).0).collect();
    tiles.into_iter().collect()
}

fn hash_ranges(tiles: &dyn TileSource, ranges: Vec<Range<u64>>, size: TreeSize) -> Result<Vec<TreeHash>, LedgerError> {
    ranges.into_iter().map(|range| hash_range(tiles, range, size)).collect()
}

/// The root over `leaves`, which are not none.
fn hash_range(tiles: &dyn TileSource, leaves: Range<u64>, size: TreeSize) -> Result<TreeHash, LedgerError> {
    let mut root: Option<TreeHash> = None;
    for node in perfect_trees(leaves) {
        let (tile, skip, count) = node.place(size);
        let left = root_over(read_tile(tiles, tile, skip, count)?.into_iter());
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
    }
    root.ok_or(LedgerError::OutOfTree)
}
