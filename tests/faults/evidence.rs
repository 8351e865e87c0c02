//! What lies on the disk held against the clients' books: by the store and the ledger alone, on a copy, so that the
//! vault is the first to open what a crash left.

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;
use vault_domain::{Action, Decision, LogIndex, Region, VaultId};
use vault_ledger::{
    Checkpoint, Entry, Origin, TILE_BYTES, TILE_HASHES, TileMap, TreeHash, TreeHead, VerifierKey, node_hash,
    prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use vault_store::{
    Direction, Identity, Memory, Options, Scope, Store,
    table::{Checkpoints, Tiles},
    wait,
};
use vault_tests::stored_log::StoredLog;

use crate::{
    books::{Pages, size_of},
    site::{LOGS, REGION, Site, VAULT},
};

/// Earlier checkpoints that a log is held against at once; those in between are implied by the later ones.
const CHECKPOINTS_CHECKED: usize = 40;
/// Proofs of single entries that are made and checked at once.
const INCLUSIONS_CHECKED: usize = 40;

/// Copies a directory without directories in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A stored log with its tiles.
pub(crate) struct Evidence {
    log: StoredLog,
    /// All levels of the tree, computed from the entries: level 0 are the leaves, each later one the roots over 256.
    levels: Vec<Vec<TreeHash>>,
    /// The tiles as they are stored, completed with those that are not full and never stored.
    tiles: TileMap,
    /// Every checkpoint in the store, oldest first.
    checkpoints: Vec<String>,
    head: TreeHead,
}

impl Evidence {
    /// Reads the log called `name` from a copy of the vault's data, which nobody may be writing to.
    pub(crate) fn read(site: &Site, name: &str) -> Self {
        let copied = TempDir::new().unwrap();
        copy(&site.data.join(name), copied.path());
        let log = StoredLog::read(copied.path(), VAULT, name);
        let levels = levels(&log);
        let mut tiles = TileMap::default();
        let mut full = BTreeSet::new();
        let (stored, checkpoints) = stored_rows(copied.path(), name);
        for (level, index, bytes) in stored {
            let computed = tile(&levels[usize::from(level)], index);
            assert_eq!(bytes, computed, "tile {level}/{index} of {name} is not what its entries say");
            assert_eq!(bytes.len(), TILE_BYTES);
            tiles.insert(level, index, bytes);
            full.insert((level, index));
        }
        for (level, hashes) in (0_u8..).zip(&levels) {
            for index in 0..u64::try_from(hashes.len()).unwrap().div_ceil(u64::from(TILE_HASHES)) {
                let bytes = tile(hashes, index);
                if bytes.len() < TILE_BYTES {
                    tiles.insert(level, index, bytes);
                } else {
                    assert!(full.contains(&(level, index)), "the full tile {level}/{index} of {name} is not stored");
                }
            }
        }
        let head = log.head(log.entries.len().try_into().unwrap());
        Self { log, levels, tiles, checkpoints, head }
    }

    /// The number of entries.
    pub(crate) fn size(&self) -> u64 {
        self.log.entries.len().try_into().unwrap()
    }

    /// The newest entry, decoded.
    pub(crate) fn last(&self) -> Entry {
        Entry::decode(self.log.entries.last().unwrap()).unwrap()
    }

    /// The number of entries of these actions.
    pub(crate) fn count(&self, actions: &[Action]) -> usize {
        self.log.decoded().iter().filter(|entry| actions.contains(&entry.head.action)).count()
    }

    /// Every call that was answered has its entry where its receipt says, and that entry says what was done.
    pub(crate) fn holds_what_was_answered(&self, pages: &Pages) {
        let origin = Origin::of_region(&VaultId::parse(VAULT).unwrap(), &Region::parse(REGION).unwrap(), FIRST_LIFE);
        for answered in &pages.answered {
            let receipt = &answered.receipt;
            assert_eq!(receipt.origin, origin.as_str());
            let at = usize::try_from(receipt.index).unwrap();
            let bytes = self.log.entries.get(at).unwrap_or_else(|| {
                panic!("a call was answered without evidence: the log has {} entries, not {at}", self.size())
            });
            assert_eq!(self.levels[0][at].0.as_slice(), receipt.leaf_hash, "entry {at} is another one");
            let entry = Entry::decode(bytes).unwrap();
            let done: u32 =
                entry.groups.iter().filter(|group| group.outcome.refused().is_none()).map(|group| group.items).sum();
            assert_eq!(
                (entry.head.action.name(), entry.head.decision, usize::try_from(done).unwrap()),
                (answered.action, Decision::Allowed, answered.done),
                "entry {at}"
            );
        }
        let head = self.head;
        for answered in spread(&pages.answered, INCLUSIONS_CHECKED) {
            let index = LogIndex(answered.receipt.index);
            let proof = prove_inclusion(&self.tiles, index, head.size).unwrap();
            let leaf = TreeHash(answered.receipt.leaf_hash.clone().try_into().unwrap());
            verify_inclusion(&head, index, &leaf, &proof).unwrap();
        }
    }

    /// The log continues each of these checkpoints.
    pub(crate) fn continues<'a>(&self, key: &VerifierKey, notes: impl IntoIterator<Item = &'a str>) {
        let head = self.head;
        let notes: Vec<&str> = notes.into_iter().collect();
        for note in spread(&notes, CHECKPOINTS_CHECKED) {
            let known = Checkpoint::open(note, key).unwrap().head;
            assert!(known.size <= head.size, "a checkpoint covers {:?}, the log has {:?}", known.size, head.size);
            let proof = prove_consistency(&self.tiles, known.size, head.size).unwrap();
            verify_consistency(&known, &head, &proof)
                .unwrap_or_else(|error| panic!("the log does not continue its checkpoint {:?}: {error}", known.size));
        }
    }

    /// The size that the newest checkpoint in the store covers.
    pub(crate) fn signed_size(&self) -> u64 {
        self.checkpoints.last().map_or(0, |note| size_of(note))
    }
}

/// The number of a log's life.
const FIRST_LIFE: std::num::NonZeroU32 = std::num::NonZeroU32::MIN;

/// Holds all logs of a site, whose vault is not running, against the books and against the files of the newest
/// checkpoints. Returns the number of the region's entries.
#[track_caller]
pub(crate) fn check(site: &Site, pages: &Pages) -> u64 {
    let mut size = 0;
    for name in LOGS {
        let evidence = Evidence::read(site, name);
        let outside = fs::read_to_string(site.checkpoint_file(name)).ok();
        let stored = evidence.checkpoints.iter().map(String::as_str);
        if let Some(outside) = &outside {
            assert!(size_of(outside) <= evidence.signed_size(), "the file of {name} is ahead of the store");
        }
        if name == REGION {
            size = evidence.size();
            evidence.holds_what_was_answered(pages);
            if let Some(key) = &pages.verifier_key {
                let key = VerifierKey::parse(key).unwrap();
                evidence.continues(&key, stored.chain(pages.checkpoints.values().map(String::as_str)));
                evidence.continues(&key, outside.as_deref());
            }
        } else {
            // Nobody hands out the node's key: what counts is the root that each note states.
            for note in stored.chain(outside.as_deref()) {
                let head = evidence.log.head(size_of(note));
                let text = Checkpoint { origin: origin_of(note), head }.text();
                assert!(note.starts_with(&text), "the node's log does not continue {note}");
            }
        }
    }
    size
}

fn origin_of(note: &str) -> Origin {
    Origin::parse(note.lines().next().unwrap()).unwrap()
}

/// At most `count` of them: the newest, and others evenly among the rest.
fn spread<T>(all: &[T], count: usize) -> impl Iterator<Item = &T> {
    let step = all.len().div_ceil(count).max(1);
    all.iter().rev().step_by(step)
}

/// A tile: its level, its number and its bytes.
type StoredTile = (u8, u64, Vec<u8>);

/// The full tiles that a store holds, and its checkpoints.
fn stored_rows(directory: &Path, name: &str) -> (Vec<StoredTile>, Vec<String>) {
    let scope = if name == REGION { Scope::Region(Region::parse(name).unwrap()) } else { Scope::Node };
    let identity = Identity { vault: VaultId::parse(VAULT).unwrap(), scope };
    let options = Options { create: false, identity, memory: Memory::new(8 << 20, 8 << 20), ballast_bytes: 0 };
    let store = Store::open(directory, &options).unwrap();
    let snapshot = store.reader.snapshot();
    let tiles = wait(snapshot.scan(Tiles, .., Direction::Forward, usize::MAX)).unwrap();
    let checkpoints = wait(snapshot.scan(Checkpoints, .., Direction::Forward, usize::MAX)).unwrap();
    assert!(!tiles.more() && !checkpoints.more(), "more rows than one scan gives");
    let tiles = tiles.iter().map(|(tile, bytes)| (tile.level, tile.number, bytes.to_vec())).collect();
    (tiles, checkpoints.iter().map(|(_, note)| String::from_utf8(note.to_vec()).unwrap()).collect())
}

/// All levels of the tree over the log's entries.
fn levels(log: &StoredLog) -> Vec<Vec<TreeHash>> {
    let mut levels = vec![(0..).map(|index| log.leaf(index)).take(log.entries.len()).collect::<Vec<_>>()];
    while let Some(below) = levels.last().filter(|below| below.len() >= usize::from(TILE_HASHES)) {
        let (full, _) = below.as_chunks::<{ TILE_HASHES as usize }>();
        levels.push(full.iter().map(|hashes| root(hashes)).collect());
    }
    levels
}

/// The root over 256 hashes.
fn root(hashes: &[TreeHash]) -> TreeHash {
    match hashes {
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// The bytes of a tile.
fn tile(hashes: &[TreeHash], index: u64) -> Vec<u8> {
    let first = usize::try_from(index).unwrap() * usize::from(TILE_HASHES);
    hashes[first..].iter().take(TILE_HASHES.into()).flat_map(|hash| hash.0).collect()
}
