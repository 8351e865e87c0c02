//! Checking proofs against roots (RFC 9162 sections 2.1.3.2 and 2.1.4.2: the proofs are those of RFC 6962).
//!
//! A walker climbs from a node to the root. Its place is told by two numbers: the node's index among the nodes of its
//! height, and the index of the last node of that height. Where the node is the last one and a left child, it has no
//! sibling there and rises unchanged.

use vault_domain::LogIndex;

use super::{EMPTY_ROOT, TreeHash, TreeHead, TreeSize, node_hash};
use crate::error::LedgerError;

/// Checks that the tree of `head` holds `leaf` at `index`.
///
/// # Errors
/// [`LedgerError::InclusionRefuted`] unless `proof` is exactly the proof of that.
pub fn verify_inclusion(
    head: &TreeHead,
    index: LogIndex,
    leaf: &TreeHash,
    proof: &[TreeHash],
) -> Result<(), LedgerError> {
    let refuted = LedgerError::InclusionRefuted;
    if index.0 >= head.size.0 {
        return Err(refuted);
    }
    let mut climb = Climb { index: index.0, last: head.size.0 - 1 };
    let mut root = *leaf;
    for sibling in proof {
        root = match climb.next() {
            Some(Side::Left) => node_hash(sibling, &root),
            Some(Side::Right) => node_hash(&root, sibling),
            None => return Err(refuted),
        };
    }
    if climb.at_root() && root == head.root { Ok(()) } else { Err(refuted) }
}

/// Checks that the tree of `new` begins with the whole tree of `old`: nothing was removed or changed since.
///
/// # Errors
/// [`LedgerError::ConsistencyRefuted`] unless `proof` is exactly the proof of that.
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[TreeHash]) -> Result<(), LedgerError> {
    if consistent(old, new, proof) == Some(true) { Ok(()) } else { Err(LedgerError::ConsistencyRefuted) }
}

/// `None` when the proof has too few or too many hashes.
fn consistent(old: &TreeHead, new: &TreeHead, proof: &[TreeHash]) -> Option<bool> {
    if old.size == new.size {
        return Some(proof.is_empty() && old.root == new.root);
    }
    if old.size > new.size {
        return Some(false);
    }
    if old.size == TreeSize(0) {
        return Some(proof.is_empty() && old.root == EMPTY_ROOT);
    }
    // The climb begins at the largest perfect tree that ends the old one. Where that is all of the old tree, its hash
    // is the old root and not in the proof.
    let mut climb = Climb { index: old.size.0 - 1, last: new.size.0 - 1 };
    climb.skip_right_children();
    let (start, rest) = if old.size.0.is_power_of_two() { (&old.root, proof) } else { proof.split_first()? };
    let (mut old_root, mut new_root) = (*start, *start);
    for sibling in rest {
        match climb.next()? {
            Side::Left => {
                old_root = node_hash(sibling, &old_root);
                new_root = node_hash(sibling, &new_root);
            }
            Side::Right => new_root = node_hash(&new_root, sibling),
        }
    }
    Some(climb.at_root() && old_root == old.root && new_root == new.root)
}

/// On which side of the node its sibling stands.
enum Side {
    Left,
    Right,
}

/// A node on its way to the root.
struct Climb {
    index: u64,
    last: u64,
}

impl Climb {
    fn at_root(&self) -> bool {
        self.last == 0
    }

    /// Rises while the node is a right child: to the root of the perfect tree that it ends.
    fn skip_right_children(&mut self) {
        let levels = self.index.trailing_ones();
        self.rise(levels);
    }

    /// The side of the next sibling; rises to the parent. `None` at the root.
    fn next(&mut self) -> Option<Side> {
        if self.at_root() {
            return None;
        }
        if self.index == self.last {
            // The last node of its height: it rises unchanged until it is a right child.
            let levels = self.index.trailing_zeros();
            self.rise(levels);
        }
        let side = if self.index & 1 == 1 { Side::Left } else { Side::Right };
        self.rise(1);
        Some(side)
    }

    fn rise(&mut self, levels: u32) {
        self.index = self.index.checked_shr(levels).unwrap_or(0);
        self.last = self.last.checked_shr(levels).unwrap_or(0);
    }
}
