//! The log as the journal keeps it: the frontier of the tree in memory, entries, full tiles and checkpoints as rows.
//!
//! Partial tiles are never written: at start they are rebuilt from the entries behind the last full tile.

use std::sync::Arc;

use vault_domain::{LogIndex, Millis};
use vault_ledger::{
    Checkpoint, Frontier, FullTile, LedgerError, Origin, Signer, TILE_HASHES, TileId, TileMap, TreeHash, TreeHead,
    TreeSize, VerifierKey, leaf_hash, log_time, patch_log_time,
};
use vault_store::{
    Batch, Direction, ReadError, Reader,
    table::{CheckpointSize, Checkpoints, Entries, TileNumber, Tiles},
    wait,
};

use crate::{error::JournalError, submission::Receipt};

/// A checkpoint as it is stored, pushed and given to auditors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Entries that it covers.
    pub size: u64,
    /// The signed note.
    pub note: String,
}

/// The end of a log, ready to be appended to.
pub(crate) struct Log {
    origin: Origin,
    signer: Arc<dyn Signer>,
    frontier: Frontier,
    /// The leaf hash of the first entry, once there is one.
    log_id: Option<TreeHash>,
    last_time: Millis,
    checkpoint: Option<Arc<SignedCheckpoint>>,
    tiles: Vec<FullTile>,
    /// The first entry that was there at the opening.
    minimum: u64,
}

impl Log {
    pub(crate) fn open(
        reader: &Reader,
        origin: Origin,
        signer: Arc<dyn Signer>,
        verifier_key: &VerifierKey,
        known_outside: Option<&str>,
    ) -> Result<Self, JournalError> {
        let log = LogReader { reader, origin: &origin };
        let size = log.size()?;
        let checkpoint = log.newest_checkpoint()?;
        for (note, whose) in [
            (checkpoint.as_ref().map(|checkpoint| checkpoint.note.as_str()), "the newest stored"),
            (known_outside, "the newest outside"),
        ] {
            let Some(note) = note else { continue };
            let head = Checkpoint::open(note, verifier_key)?.head;
            log.check_against(size, &head, whose)?;
        }
        let frontier = log.frontier(size)?;
        let log_id = log.id(size)?;
        let last_time = match size.checked_sub(1) {
            Some(last) => log_time(&log.entry(last)?)?,
            None => Millis::default(),
        };
        let (checkpoint, minimum) = (checkpoint.map(Arc::new), log.minimum_index()?);
        Ok(Self { origin, signer, frontier, log_id, last_time, checkpoint, tiles: Vec::new(), minimum })
    }

    pub(crate) fn minimum(&self) -> u64 {
        self.minimum
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size().0
    }

    pub(crate) fn edge(&self) -> &Frontier {
        &self.frontier
    }

    pub(crate) fn last_time(&self) -> Millis {
        self.last_time
    }

    pub(crate) fn newest_checkpoint(&self) -> Option<Arc<SignedCheckpoint>> {
        self.checkpoint.clone()
    }

    /// The log time of what is appended at this wall time: it never runs backwards.
    pub(crate) fn time(&self, wall: Millis) -> Millis {
        wall.max(self.last_time).min(Millis::MAX)
    }

    /// Appends an entry: gives it its time and index, hashes it, and puts it and the tiles it fills into `batch`.
    pub(crate) fn append(
        &mut self,
        mut entry: Vec<u8>,
        time: Millis,
        batch: &mut Batch,
    ) -> Result<Receipt, JournalError> {
        patch_log_time(&mut entry, time)?;
        let (index, leaf) = (self.size(), leaf_hash(&entry));
        self.frontier.append(leaf, &mut self.tiles);
        self.last_time = time;
        batch.put(Entries, &LogIndex(index), &entry);
        for tile in self.tiles.drain(..) {
            batch.put(Tiles, &TileNumber { level: tile.level, number: tile.index }, &tile.bytes);
        }
        let log_id = *self.log_id.get_or_insert(leaf);
        Ok(Receipt { index: LogIndex(index), leaf, log_id, log_time: time })
    }

    /// Signs a checkpoint over everything appended so far, which has to be on disk, and puts it into `batch`; nothing
    /// if the newest one covers as much.
    pub(crate) fn sign(&self, batch: &mut Batch) -> Result<Option<SignedCheckpoint>, JournalError> {
        let size = self.size();
        if self.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.size == size) {
            return Ok(None);
        }
        let checkpoint = Checkpoint { origin: self.origin.clone(), head: self.frontier.head() };
        let note = checkpoint.sign(&*self.signer)?;
        batch.put(Checkpoints, &CheckpointSize(size), note.as_bytes());
        Ok(Some(SignedCheckpoint { size, note }))
    }

    /// Takes note that a checkpoint is on disk.
    pub(crate) fn signed(&mut self, checkpoint: Arc<SignedCheckpoint>) {
        self.checkpoint = Some(checkpoint);
    }
}

/// The stored log, for reading.
#[derive(Debug)]
pub struct LogReader<'a> {
    reader: &'a Reader,
    origin: &'a Origin,
}

impl<'a> LogReader<'a> {
    /// A reader of the log with this origin.
    #[must_use]
    pub fn new(reader: &'a Reader, origin: &'a Origin) -> Self {
        Self { reader, origin }
    }

    /// The number of entries stored.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn size(&self) -> Result<u64, JournalError> {
        let last = wait(self.reader.snapshot().last_key(Entries))?;
        Ok(last.map_or(0, |last| last.0.saturating_add(1)))
    }

    /// The first entry that is there; zero of an empty log. What is below it was pruned, whole bundles at a time.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn minimum_index(&self) -> Result<u64, JournalError> {
        Ok(minimum_index(self.reader)?)
    }

    /// One entry's bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, JournalError> {
        wait(self.reader.snapshot().get(Entries, &LogIndex(index)))?.ok_or(JournalError::EntryMissing { index })
    }

    /// The newest checkpoint in the store.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn newest_checkpoint(&self) -> Result<Option<SignedCheckpoint>, JournalError> {
        let rows = wait(self.reader.snapshot().scan(Checkpoints, .., Direction::Backward, 1))?;
        let newest = rows.iter().next();
        Ok(newest.map(|(size, note)| {
            // What is no text is no signed note either, and is refused as one.
            SignedCheckpoint { size: size.0, note: String::from_utf8_lossy(note).into_owned() }
        }))
    }

    /// Holds the log against a signed head: as long at least, and the same entries.
    fn check_against(&self, size: u64, known: &TreeHead, whose: &'static str) -> Result<(), JournalError> {
        let (origin, known_size) = (self.origin.as_str().to_owned(), known.size.0);
        if size < known_size {
            return Err(JournalError::Behind { origin, size, known: known_size, whose });
        }
        if self.frontier(known_size)?.root() != known.root {
            return Err(JournalError::Forked { origin, known: known_size, whose });
        }
        Ok(())
    }

    /// The leaf hash of the first entry of a log of this size: from the first tile once that is full, so that the
    /// entry's body is not needed.
    fn id(&self, size: u64) -> Result<Option<TreeHash>, JournalError> {
        if size == 0 {
            return Ok(None);
        }
        if size < u64::from(TILE_HASHES) {
            return Ok(Some(leaf_hash(&self.entry(0)?)));
        }
        let tile = wait(self.reader.snapshot().get(Tiles, &TileNumber { level: 0, number: 0 }))?;
        let first = tile.as_deref().and_then(|hashes| hashes.first_chunk().copied());
        Ok(Some(TreeHash(first.ok_or(LedgerError::TileMissing { level: 0, index: 0 })?)))
    }

    /// The frontier of the log's first `size` entries.
    pub(crate) fn frontier(&self, size: u64) -> Result<Frontier, JournalError> {
        let size = TreeSize(size);
        let mut tiles = TileMap::default();
        for TileId { level, index, .. } in Frontier::tiles_to_restore(size) {
            let tile = TileNumber { level, number: index };
            if let Some(bytes) = wait(self.reader.snapshot().get(Tiles, &tile))? {
                tiles.insert(level, index, bytes);
            }
        }
        let full = size.0 - size.0 % u64::from(TILE_HASHES);
        let leaves = self.leaves(full, size.0)?;
        Ok(Frontier::restore(size, &tiles, &leaves)?)
    }

    /// The leaf hashes of the part of a bundle from its beginning: of the tile, if the log went on to fill that, since
    /// the entries may be pruned.
    fn leaves(&self, first: u64, end: u64) -> Result<Vec<TreeHash>, JournalError> {
        let number = TileNumber { level: 0, number: first / u64::from(TILE_HASHES) };
        if first < end
            && let Some(tile) = wait(self.reader.snapshot().get(Tiles, &number))?
        {
            let width = usize::try_from(end - first).unwrap_or(usize::MAX);
            return Ok(tile.as_chunks().0.iter().take(width).copied().map(TreeHash).collect());
        }
        (first..end).map(|index| Ok(leaf_hash(&self.entry(index)?))).collect()
    }
}

/// The first entry that is there, rounded down to a whole bundle, for nothing else is pruned; zero of an empty log.
///
/// # Errors
/// When the store can't be read.
pub fn minimum_index(reader: &Reader) -> Result<u64, ReadError> {
    let rows = wait(reader.snapshot().scan(Entries, .., Direction::Forward, 1))?;
    let first = rows.last_key().map_or(0, |first| first.0);
    Ok(first - first % u64::from(TILE_HASHES))
}
