//! The Merkle tree of RFC 6962 section 2.1, cut into tiles as in c2sp.org/tlog-tiles.
//!
//! Hashes are SHA-256: a leaf is H(0x00 ‖ entry), a node H(0x01 ‖ left ‖ right), the root of the empty tree H(). A tree
//! of n > 1 leaves has as its left child the tree of the first k, where k is the largest power of two below n.
//!
//! Nothing here compares in constant time: hashes of the log are public.

mod frontier;
mod prove;
mod tile;
mod verify;

use std::fmt;

use sha2::{Digest, Sha256};

pub use frontier::{Frontier, FullTile};
pub use prove::{consistency_tiles, inclusion_tiles, prove_consistency, prove_inclusion};
pub(crate) use tile::hashes;
pub use tile::{TILE_BYTES, TILE_HASHES, TileId, TileMap, TileSource, bundle_path};
pub use verify::{verify_consistency, verify_inclusion};

/// Hashes that a proof of either kind can have: the height of a tree of 2^64 leaves.
pub const PROOF_HASHES_MAX: usize = 64;
/// Bytes of a hash.
pub(crate) const HASH_BYTES: usize = 32;

/// The root of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: TreeHash = TreeHash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41,
    0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// The hash of a leaf, of a node, or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash(pub [u8; HASH_BYTES]);

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TreeHash(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// How many leaves a tree has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeSize(pub u64);

/// A tree of a certain size, pinned down by its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// Its size.
    pub size: TreeSize,
    /// Its root.
    pub root: TreeHash,
}

/// The leaf hash of an entry: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> TreeHash {
    TreeHash(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
}

/// The hash of a node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &TreeHash, right: &TreeHash) -> TreeHash {
    let mut input = [1; 1 + 2 * HASH_BYTES];
    let (_, children) = input.split_at_mut(1);
    let (to_left, to_right) = children.split_at_mut(HASH_BYTES);
    to_left.copy_from_slice(&left.0);
    to_right.copy_from_slice(&right.0);
    TreeHash(Sha256::digest(input).into())
}

/// The roots of the perfect trees that a tree consists of, from left (largest) to right: one for each bit of its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peaks {
    pub(crate) count: u64,
    pub(crate) hashes: Vec<TreeHash>,
}

impl Peaks {
    /// Appends a hash. `on_node` is told of each node that this completes, with its height above the hashes.
    pub(crate) fn push(&mut self, hash: TreeHash, mut on_node: impl FnMut(u32, TreeHash)) {
        let mut node = hash;
        for height in 1..=self.count.trailing_ones() {
            let Some(left) = self.hashes.pop() else { break };
            node = node_hash(&left, &node);
            on_node(height, node);
        }
        self.hashes.push(node);
        self.count += 1;
    }

    /// The root of the tree over all hashes that were pushed.
    pub(crate) fn root(&self) -> TreeHash {
        let root = self.hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
        root.unwrap_or(EMPTY_ROOT)
    }
}

/// The root of the tree over `hashes`.
pub(crate) fn root_over(hashes: impl Iterator<Item = TreeHash>) -> TreeHash {
    let mut peaks = Peaks::default();
    hashes.for_each(|hash| peaks.push(hash, |_, _| ()));
    peaks.root()
}

#[cfg(test)]
mod tests;
