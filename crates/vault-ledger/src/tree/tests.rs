//! The tree against the published roots and proofs and against another implementation.

use std::sync::LazyLock;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use vault_domain::LogIndex;

use super::*;
use crate::LedgerError;

/// Sizes that are compared with the other implementation, one by one: beyond two full tiles.
const SIZES: u64 = 600;

fn hash(hex: &str) -> TreeHash {
    let byte = |at: usize| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap();
    TreeHash(std::array::from_fn(byte))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

fn hashes_of(bytes: &[u8]) -> Vec<TreeHash> {
    bytes.as_chunks().0.iter().copied().map(TreeHash).collect()
}

/// A log in memory: its edge, its tiles, and its heads at all sizes.
struct Log {
    frontier: Frontier,
    full: TileMap,
    heads: Vec<TreeHead>,
}

impl Log {
    fn of(leaves: impl IntoIterator<Item = TreeHash>) -> Self {
        let frontier = Frontier::new();
        let mut log = Self { heads: vec![frontier.head()], frontier, full: TileMap::default() };
        for leaf in leaves {
            let mut full = Vec::new();
            log.frontier.append(leaf, &mut full);
            full.into_iter().for_each(|tile| log.full.insert(tile.level, tile.index, tile.bytes));
            log.heads.push(log.frontier.head());
        }
        log
    }

    fn tiles(&self) -> impl TileSource {
        (&self.full, &self.frontier)
    }

    fn head(&self, size: u64) -> TreeHead {
        self.heads[count(size)]
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<TreeHash> {
        prove_inclusion(&self.tiles(), LogIndex(index), TreeSize(size)).unwrap()
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<TreeHash> {
        prove_consistency(&self.tiles(), TreeSize(old), TreeSize(new)).unwrap()
    }
}

fn entry(index: u64) -> [u8; 8] {
    index.to_be_bytes()
}

fn leaf(index: u64) -> TreeHash {
    leaf_hash(&entry(index))
}

/// One log that the expensive tests share: three levels of tiles.
static LARGE: LazyLock<Log> = LazyLock::new(|| Log::of((0..70_000).map(leaf)));

/// The eight entries that the tests of Certificate Transparency use.
fn ct_log() -> Log {
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    Log::of(entries.map(leaf_hash))
}

#[test]
fn roots_are_those_of_certificate_transparency() {
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let log = ct_log();
    for (size, root) in (0..).zip(roots) {
        assert_eq!(log.head(size).root, hash(root), "size {size}");
    }
}

#[test]
fn proofs_are_those_of_certificate_transparency() {
    let [leaf_1, node_2_3, node_4_7] = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    .map(hash);
    let [leaf_4, node_6_7, node_0_3, node_4_5] = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    ]
    .map(hash);
    let log = ct_log();
    assert_eq!(log.inclusion(0, 1), []);
    assert_eq!(log.inclusion(0, 8), [leaf_1, node_2_3, node_4_7]);
    assert_eq!(log.inclusion(5, 8), [leaf_4, node_6_7, node_0_3]);
    assert_eq!(log.consistency(1, 8), [leaf_1, node_2_3, node_4_7]);
    assert_eq!(log.consistency(6, 8), [node_4_5, node_6_7, node_0_3]);
    assert_eq!(log.consistency(4, 8), [node_4_7]);
    assert_eq!(log.consistency(8, 8), []);
}

#[test]
fn roots_and_proofs_are_those_of_another_implementation() {
    let log = Log::of((0..SIZES).map(leaf));
    let mut other = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    for size in 1..=SIZES {
        other.push(entry(size - 1));
        let head = log.head(size);
        assert_eq!(head.root.0.as_slice(), other.root().as_bytes().as_slice(), "size {size}");
        for index in (0..size).step_by(7).chain([size - 1]) {
            let theirs = other.prove_inclusion(count(index));
            let ours = log.inclusion(index, size);
            assert_eq!(ours, hashes_of(theirs.as_bytes()), "entry {index} of {size}");
            verify_inclusion(&head, LogIndex(index), &leaf(index), &ours).unwrap();
        }
        for old in (1..=size).step_by(5).chain([size]) {
            let theirs = other.prove_consistency(count(size - old));
            let ours = log.consistency(old, size);
            assert_eq!(ours, hashes_of(theirs.as_bytes()), "{old} to {size}");
            verify_consistency(&log.head(old), &head, &ours).unwrap();
        }
    }
}

proptest! {
    #[test]
    fn proofs_of_a_large_log_hold(a in 1..=70_000_u64, b in 1..=70_000_u64, index in any::<prop::sample::Index>()) {
        let (old, new) = (a.min(b), a.max(b));
        let index = index.index(count(old)) as u64;
        // Only tiles as wide as size 70,000 has them: older sizes take the front of a wider tile.
        let inclusion = LARGE.inclusion(index, old);
        prop_assert_eq!(verify_inclusion(&LARGE.head(old), LogIndex(index), &leaf(index), &inclusion), Ok(()));
        let consistency = LARGE.consistency(old, new);
        prop_assert_eq!(verify_consistency(&LARGE.head(old), &LARGE.head(new), &consistency), Ok(()));
    }

    #[test]
    fn an_altered_inclusion_proof_is_refuted(
        size in 2..=70_000_u64,
        index in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0..256_usize,
    ) {
        let index = index.index(count(size)) as u64;
        let (head, proof) = (LARGE.head(size), LARGE.inclusion(index, size));
        let refuted = |index, leaf: TreeHash, proof: &[TreeHash]| {
            verify_inclusion(&head, LogIndex(index), &leaf, proof) == Err(LedgerError::InclusionRefuted)
        };
        prop_assert!(!refuted(index, leaf(index), &proof));
        let mut flipped = proof.clone();
        flipped[at.index(proof.len())].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(refuted(index, leaf(index), &flipped));
        prop_assert!(refuted(index, leaf(index + 1), &proof));
        prop_assert!(refuted((index + 1) % size, leaf(index), &proof));
        prop_assert!(refuted(size, leaf(index), &proof));
        prop_assert!(refuted(index, leaf(index), &proof[1..]));
        prop_assert!(refuted(index, leaf(index), &proof[..proof.len() - 1]));
        let mut longer = proof.clone();
        longer.push(EMPTY_ROOT);
        prop_assert!(refuted(index, leaf(index), &longer));
    }

    #[test]
    fn an_altered_consistency_proof_is_refuted(
        a in 1..70_000_u64,
        b in 1..70_000_u64,
        at in any::<prop::sample::Index>(),
        bit in 0..256_usize,
    ) {
        let (old, new) = (a.min(b), a.max(b) + 1);
        let (old, new, proof) = (LARGE.head(old), LARGE.head(new), LARGE.consistency(old, new));
        let refuted = |old: &TreeHead, new: &TreeHead, proof: &[TreeHash]| {
            verify_consistency(old, new, proof) == Err(LedgerError::ConsistencyRefuted)
        };
        prop_assert!(!refuted(&old, &new, &proof));
        let mut flipped = proof.clone();
        flipped[at.index(proof.len())].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(refuted(&old, &new, &flipped));
        prop_assert!(refuted(&old, &new, &proof[1..]));
        prop_assert!(refuted(&old, &new, &proof[..proof.len() - 1]));
        prop_assert!(refuted(&new, &old, &proof));
        let (other_old, other_new) = (TreeHead { root: EMPTY_ROOT, ..old }, TreeHead { root: EMPTY_ROOT, ..new });
        prop_assert!(refuted(&other_old, &new, &proof));
        prop_assert!(refuted(&old, &other_new, &proof));
        let mut longer = proof.clone();
        longer.push(EMPTY_ROOT);
        prop_assert!(refuted(&old, &new, &longer));
    }

    /// No claim about sizes and indexes can make the verifiers fail in any other way than by saying no.
    #[test]
    fn verifiers_take_anything(
        old in any::<u64>(),
        new in any::<u64>(),
        index in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>().prop_map(TreeHash), 0..70),
    ) {
        let head = |size| TreeHead { size: TreeSize(size), root: EMPTY_ROOT };
        prop_assert!(verify_inclusion(&head(new), LogIndex(index), &EMPTY_ROOT, &proof).is_err());
        prop_assert!(verify_inclusion(&head(u64::MAX), LogIndex(u64::MAX - 1), &EMPTY_ROOT, &proof).is_err());
        prop_assert!(old == 0 || verify_consistency(&head(old), &head(new), &proof).is_err());
    }
}

#[test]
fn the_empty_tree_and_equal_trees_are_consistent_without_a_proof() {
    let (empty, small, large) = (LARGE.head(0), LARGE.head(6), LARGE.head(600));
    assert_eq!(LARGE.consistency(0, 600), []);
    assert_eq!(verify_consistency(&empty, &large, &[]), Ok(()));
    assert_eq!(verify_consistency(&small, &small, &[]), Ok(()));
    let refuted = Err(LedgerError::ConsistencyRefuted);
    assert_eq!(verify_consistency(&TreeHead { root: small.root, ..empty }, &large, &[]), refuted);
    assert_eq!(verify_consistency(&TreeHead { root: EMPTY_ROOT, ..small }, &small, &[]), refuted);
    assert_eq!(verify_consistency(&small, &small, &[small.root]), refuted);
    assert_eq!(verify_consistency(&empty, &large, &[large.root]), refuted);
}

#[test]
fn a_proof_that_stops_below_the_root_of_the_claimed_size_is_refuted() {
    let log = ct_log();
    let claimed = |size, actual| TreeHead { size: TreeSize(size), ..log.head(actual) };
    let (inclusion, consistency) = (log.inclusion(0, 8), log.consistency(4, 8));
    for size in [16, 17, u64::MAX] {
        let included = verify_inclusion(&claimed(size, 8), LogIndex(0), &leaf_hash(b""), &inclusion);
        assert_eq!(included, Err(LedgerError::InclusionRefuted), "size {size}");
        let consistent = verify_consistency(&log.head(4), &claimed(size, 8), &consistency);
        assert_eq!(consistent, Err(LedgerError::ConsistencyRefuted), "size {size}");
    }
}

#[test]
fn an_index_beyond_the_tree_is_refuted() {
    let (log, leaf) = (ct_log(), leaf_hash(b""));
    assert_eq!(verify_inclusion(&log.head(1), LogIndex(0), &leaf, &[]), Ok(()));
    for (size, index) in [(1, 1), (0, 0)] {
        let refuted = verify_inclusion(&log.head(size), LogIndex(index), &leaf, &[]);
        assert_eq!(refuted, Err(LedgerError::InclusionRefuted), "entry {index} of {size}");
    }
}

#[test]
fn a_proof_beyond_the_tree_is_not_made() {
    let tiles = LARGE.tiles();
    assert_eq!(prove_inclusion(&tiles, LogIndex(9), TreeSize(9)), Err(LedgerError::OutOfTree));
    assert_eq!(prove_inclusion(&tiles, LogIndex(0), TreeSize(0)), Err(LedgerError::OutOfTree));
    assert_eq!(prove_consistency(&tiles, TreeSize(9), TreeSize(8)), Err(LedgerError::OutOfTree));
    let missing = prove_inclusion(&tiles, LogIndex(0), TreeSize(80_000));
    assert!(matches!(missing, Err(LedgerError::TileMissing { .. })));
}

#[test]
fn the_tiles_that_are_announced_are_those_that_are_asked_for() {
    let (old, size, index) = (TreeSize(300), TreeSize(69_999), LogIndex(65_536));
    let all = LARGE.tiles();
    for ids in [inclusion_tiles(index, size).unwrap(), consistency_tiles(old, size).unwrap()] {
        for left_out in 0..=ids.len() {
            let mut some = TileMap::default();
            for (at, id) in ids.iter().enumerate().filter(|(at, _)| *at != left_out) {
                let bytes = all.tile(*id).unwrap_or_else(|| panic!("tile {at}"));
                some.insert(id.level, id.index, bytes[..usize::from(id.width) * 32].to_vec());
            }
            let inclusion = prove_inclusion(&some, index, size);
            let consistency = prove_consistency(&some, old, size);
            assert_eq!(inclusion.is_ok() || consistency.is_ok(), left_out == ids.len(), "without {left_out}");
        }
    }
}

/// The specification's own example of a tree of size 70,000.
#[test]
fn tiles_of_a_log_are_as_the_specification_counts_them() {
    let width = |level, index| {
        let has = |width: &u16| LARGE.tiles().tile(TileId { level, index, width: *width }).is_some();
        (1..=256).rev().find(has)
    };
    assert_eq!((width(0, 272), width(0, 273), width(0, 274)), (Some(256), Some(112), None));
    assert_eq!((width(1, 0), width(1, 1), width(1, 2)), (Some(256), Some(17), None));
    assert_eq!((width(2, 0), width(2, 1), width(3, 0)), (Some(1), None, None));
    let bytes = LARGE.full.tile(TileId { level: 1, index: 0, width: 256 }).unwrap();
    assert_eq!(bytes.len(), TILE_BYTES);
    assert_eq!(hashes_of(&bytes)[3], Log::of((768..1024).map(leaf)).frontier.root());
}

#[test]
fn a_tile_is_handed_out_by_the_append_that_fills_it() {
    let mut frontier = Frontier::new();
    let mut full = Vec::new();
    for index in 0..65_536 {
        full.clear();
        frontier.append(leaf(index), &mut full);
        let ids: Vec<_> = full.iter().map(|tile| (tile.level, tile.index)).collect();
        match index {
            65_535 => assert_eq!(ids, [(0, 255), (1, 0)]),
            _ if index % 256 == 255 => assert_eq!(ids, [(0, index / 256)]),
            _ => assert_eq!(ids, []),
        }
        assert!(full.iter().all(|tile| tile.bytes.len() == TILE_BYTES));
    }
}

#[test]
fn a_restored_frontier_goes_on_like_the_one_before() {
    for size in [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 69_632, 69_900] {
        let leaves: Vec<_> = (size / 256 * 256..size).map(leaf).collect();
        let mut restored = Frontier::restore(TreeSize(size), &LARGE.full, &leaves).unwrap();
        assert_eq!(restored.head(), LARGE.head(size), "size {size}");
        let mut tiles = Vec::new();
        for index in size..70_000.min(size + 600) {
            restored.append(leaf(index), &mut tiles);
            assert_eq!(restored.head(), LARGE.head(index + 1), "size {size}, then {index}");
        }
        for tile in tiles {
            let id = TileId { level: tile.level, index: tile.index, width: TILE_HASHES };
            assert_eq!(LARGE.full.tile(id).unwrap(), tile.bytes, "{id:?}");
        }
    }
}

#[test]
fn a_frontier_is_not_restored_from_too_little() {
    let leaves = [leaf(512), leaf(513)];
    let restore = |leaves: &[TreeHash]| Frontier::restore(TreeSize(514), &LARGE.full, leaves).map(|edge| edge.head());
    assert_eq!(restore(&leaves), Ok(LARGE.head(514)));
    assert_eq!(restore(&leaves[..1]), Err(LedgerError::FrontierMismatch));
    let missing = Frontier::restore(TreeSize(514), &TileMap::default(), &leaves).map(|edge| edge.head());
    assert_eq!(missing, Err(LedgerError::TileMissing { level: 0, index: 0 }));
    let absurd = Frontier::restore(TreeSize(1 << 63), &LARGE.full, &[]).map(|edge| edge.head());
    assert_eq!(absurd, Err(LedgerError::FrontierMismatch));
}

#[test]
fn paths_are_those_of_the_specification() {
    let path = |level, index, width| TileId { level, index, width }.path();
    assert_eq!(path(0, 1_234_067, 256), "tile/0/x001/x234/067");
    assert_eq!(path(0, 273, 112), "tile/0/273.p/112");
    assert_eq!(path(2, 0, 1), "tile/2/000.p/1");
    assert_eq!(path(1, 1000, 256), "tile/1/x001/000");
}
