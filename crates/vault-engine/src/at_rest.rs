//! The log and the records of a store that nobody serves from, for checking. Read alone: nothing is changed, no key is
//! needed, nothing is opened.

use std::path::Path;

use vault_domain::{LogIndex, limits};
use vault_ledger::{
    LedgerError, LogSource, Origin, Signer, TILE_BYTES, TILE_HASHES, TileId, TreeHash, VerifierKey, put_bundle_entry,
};
use vault_store::{
    Batch, Direction, Memory, ReadError, Reader, Recovery, StoreAtRest, Writer,
    table::{CheckpointSize, Checkpoints, Entries, Meta, TextKey, TileNumber, Tiles},
    wait,
};

use crate::{OpenError, SignedCheckpoint};

mod index;
mod records;

pub use index::{BadRow, IndexChecked, IndexError, RowFault, rebuild_index};
pub use records::{CREATED_SLACK, RecordCheck, RecordFault, RecordsChecked};

/// Where a store keeps the verifier key of its log, in the clear.
const VERIFIER_KEY: &str = "verifier_key";
/// Checkpoints that are read at once.
const CHECKPOINTS_AT_ONCE: usize = 256;

/// Sees to it that the store says by which key its log can be verified. Whoever can write to the store can write
/// another one: it is there for convenience, and vouches for nothing.
pub(crate) fn state_verifier_key(
    reader: &Reader,
    writer: &mut Writer,
    origin: &Origin,
    signer: &dyn Signer,
) -> Result<(), OpenError> {
    let Some(row) = TextKey::new(VERIFIER_KEY) else { return Ok(()) };
    let key = VerifierKey::of(origin.clone(), signer)?.to_string();
    if wait(reader.snapshot().get(Meta, &row))?.as_deref() != Some(key.as_bytes()) {
        let mut batch = Batch::default();
        batch.put(Meta, &row, key.as_bytes());
        writer.commit([&batch])?;
    }
    Ok(())
}

/// The log of a store at rest.
pub struct LogAtRest {
    store: StoreAtRest,
}

impl LogAtRest {
    /// Opens the store in `path`, whichever vault's and region's or node's it is. To be called on a thread that may
    /// block.
    ///
    /// # Errors
    /// When it is not there, in use or damaged.
    pub fn open(path: &Path, memory: &Memory) -> Result<Self, OpenError> {
        Ok(Self { store: StoreAtRest::open(path, memory)? })
    }

    /// The region, or `node`, that the store says it is of.
    #[must_use]
    pub fn name(&self) -> &str {
        self.store.identity.scope.as_str()
    }

    /// The vault that the store says it is of.
    #[must_use]
    pub fn vault(&self) -> &str {
        self.store.identity.vault.as_str()
    }

    /// What the end of the write-ahead log was torn by, if it was.
    #[must_use]
    pub fn torn(&self) -> Option<&str> {
        match &self.store.recovery {
            Recovery::Whole => None,
            Recovery::TailDropped { detail } => Some(detail),
        }
    }

    /// The verifier key that the store states itself; none if no vault served from it since stores do.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn stated_key(&self) -> Result<Option<String>, ReadError> {
        let Some(row) = TextKey::new(VERIFIER_KEY) else { return Ok(None) };
        let key = wait(self.store.reader.snapshot().get(Meta, &row))?;
        Ok(key.map(|key| String::from_utf8_lossy(&key).into_owned()))
    }

    /// The number of entries.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn size(&self) -> Result<u64, ReadError> {
        let last = wait(self.store.reader.snapshot().last_key(Entries))?;
        Ok(last.map_or(0, |last| last.0.saturating_add(1)))
    }

    /// The first entry that is there, rounded down to a whole bundle, for nothing else is pruned.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn minimum_index(&self) -> Result<u64, ReadError> {
        vault_journal::minimum_index(&self.store.reader)
    }

    /// Shows the leaf hashes of the entries below the minimum index to `each`, in order.
    ///
    /// # Errors
    /// When the store can't be read, a tile is missing, or `each` fails.
    pub fn pruned<E: From<ReadError> + From<EntryAbsent>>(
        &self,
        minimum: u64,
        mut each: impl FnMut(TreeHash) -> Result<(), E>,
    ) -> Result<(), E> {
        for number in 0..minimum / u64::from(TILE_HASHES) {
            let absent = EntryAbsent { index: number.saturating_mul(TILE_HASHES.into()) };
            let tile = wait(self.store.reader.snapshot().get(Tiles, &TileNumber { level: 0, number }))?;
            let tile = tile.filter(|tile| tile.len() == TILE_BYTES).ok_or(absent)?;
            tile.as_chunks().0.iter().try_for_each(|hash| each(TreeHash(*hash)))?;
        }
        Ok(())
    }

    /// The newest checkpoint in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn newest_checkpoint(&self) -> Result<Option<SignedCheckpoint>, ReadError> {
        let rows = wait(self.store.reader.snapshot().scan(Checkpoints, .., Direction::Backward, 1))?;
        Ok(rows.iter().next().map(|(size, note)| signed(*size, note)))
    }

    /// The checkpoints in the store of more than `above` and at most `until` entries, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn checkpoints(&self, above: u64, until: u64) -> Result<Vec<SignedCheckpoint>, ReadError> {
        let mut all = Vec::new();
        let mut from = above.saturating_add(1);
        loop {
            let range = CheckpointSize(from)..=CheckpointSize(until);
            let rows =
                wait(self.store.reader.snapshot().scan(Checkpoints, range, Direction::Forward, CHECKPOINTS_AT_ONCE))?;
            all.extend(rows.iter().map(|(size, note)| signed(*size, note)));
            match rows.last_key() {
                Some(last) if rows.more() => from = last.0.saturating_add(1),
                _ => return Ok(all),
            }
        }
    }

    /// Shows the entries from `next` to before `size` to `each`, in order.
    ///
    /// # Errors
    /// When the store can't be read, one is missing, or `each` fails.
    pub fn entries<E: From<ReadError> + From<EntryAbsent>>(
        &self,
        mut next: u64,
        size: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while next < size {
            let rows = self.rows(next, size.min(next + u64::from(TILE_HASHES)))?;
            for (index, entry) in &rows {
                if *index != next {
                    return Err(EntryAbsent { index: next }.into());
                }
                each(next, entry)?;
                next += 1;
            }
            if rows.is_empty() {
                return Err(EntryAbsent { index: next }.into());
            }
        }
        Ok(())
    }

    fn rows(&self, from: u64, until: u64) -> Result<Vec<(u64, Vec<u8>)>, ReadError> {
        let limit = usize::try_from(until - from).unwrap_or(usize::MAX);
        let range = LogIndex(from)..LogIndex(until);
        let rows = wait(self.store.reader.snapshot().scan(Entries, range, Direction::Forward, limit))?;
        Ok(rows.iter().map(|(index, entry)| (index.0, entry.to_vec())).collect())
    }
}

/// An entry that should be there is not.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("entry {index} is missing in the store: `tokenvault audit verify` tells what else is wrong")]
pub struct EntryAbsent {
    /// Which.
    pub index: u64,
}

impl LogSource for LogAtRest {
    type Error = ReadError;
    const HAS_PARTIAL_TILES: bool = false;

    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, ReadError> {
        let first = index * u64::from(TILE_HASHES);
        let mut bundle = Vec::new();
        let mut next = first;
        // One scan may end early, where rows are long.
        while next < first + u64::from(width) {
            let rows = self.rows(next, first + u64::from(width))?;
            let before = next;
            for (index, entry) in &rows {
                // What comes behind a gap is no use: the first missing one is the fault.
                if *index != next || put_bundle_entry(&mut bundle, entry) == Err(LedgerError::EntryTooLarge) {
                    return Ok(Some(bundle));
                }
                next += 1;
            }
            if next == before {
                break;
            }
        }
        Ok(Some(bundle))
    }

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, ReadError> {
        let number = TileNumber { level: id.level, number: id.index };
        wait(self.store.reader.snapshot().get(Tiles, &number))
    }
}

const _: () = assert!(limits::ENTRY_BYTES_MAX <= u16::MAX as usize, "an entry's length fits the bundle's two bytes");

/// What is no text is no signed note either, and is refused as one.
fn signed(size: CheckpointSize, note: &[u8]) -> SignedCheckpoint {
    SignedCheckpoint { size: size.0, note: String::from_utf8_lossy(note).into_owned() }
}
