//! Proofs about a log that goes on growing (RFC 6962 section 2.1): from the full tiles in the store, and the edge of
//! the tree that the journal has in memory.

use vault_domain::LogIndex;
use vault_ledger::{
    Frontier, LedgerError, TILE_HASHES, TileId, TileMap, TileSource, TreeHash, TreeSize, consistency_tiles,
    inclusion_tiles, prove_consistency, prove_inclusion,
};
use vault_store::{
    Reader,
    table::{TileNumber, Tiles},
};

use crate::{Journal, JournalError, LogReader};

/// That a log holds an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// The entry's leaf hash.
    pub leaf: TreeHash,
    /// The hashes beside the way to the root, from the leaf upwards.
    pub hashes: Vec<TreeHash>,
}

impl Journal {
    /// Proves that the tree of the first `size` entries holds the one at `index`. Served after the journal has ended,
    /// too: then the edge is made of what is on disk.
    ///
    /// # Errors
    /// [`LedgerError::OutOfTree`] when the index is not below the size, or the size is not one of this log; otherwise
    /// when the store can't be read.
    pub async fn prove_inclusion(
        &self,
        reader: &Reader,
        index: LogIndex,
        size: TreeSize,
    ) -> Result<InclusionProof, JournalError> {
        let edge = self.edge_over(reader, size).await?;
        let (number, at) = (index.0 / u64::from(TILE_HASHES), index.0 % u64::from(TILE_HASHES));
        let width = u16::try_from(at + 1).unwrap_or(TILE_HASHES);
        let own = TileId { level: 0, index: number, width };
        let wanted = inclusion_tiles(index, size)?.into_iter().chain([own]);
        let stored = fetch(reader, &edge, wanted).await?;
        let tiles = (&edge, &stored);
        let hashes = prove_inclusion(&tiles, index, size)?;
        let missing = LedgerError::TileMissing { level: own.level, index: own.index };
        let tile = tiles.tile(own).ok_or(missing.clone())?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let leaf = tile.as_chunks().0.get(at).copied().map(TreeHash).ok_or(missing)?;
        Ok(InclusionProof { leaf, hashes })
    }

    /// Proves that the tree of the first `new` entries begins with that of the first `old`.
    ///
    /// # Errors
    /// [`LedgerError::OutOfTree`] when `old` is larger than `new`, or `new` is not a size of this log; otherwise when
    /// the store can't be read.
    pub async fn prove_consistency(
        &self,
        reader: &Reader,
        old: TreeSize,
        new: TreeSize,
    ) -> Result<Vec<TreeHash>, JournalError> {
        let edge = self.edge_over(reader, new).await?;
        let stored = fetch(reader, &edge, consistency_tiles(old, new)?.into_iter()).await?;
        Ok(prove_consistency(&(&edge, &stored), old, new)?)
    }

    /// The edge of the log, of this size or a larger one.
    async fn edge_over(&self, reader: &Reader, size: TreeSize) -> Result<Frontier, JournalError> {
        let on_disk = self.size();
        if size.0 > on_disk {
            return Err(LedgerError::OutOfTree.into());
        }
        match self.edge().await? {
            Some(edge) => Ok(edge),
            None => LogReader::new(reader, self.origin()).frontier(on_disk),
        }
    }
}

/// The tiles that the edge does not have: they are full, and stored.
async fn fetch(
    reader: &Reader,
    edge: &Frontier,
    wanted: impl Iterator<Item = TileId>,
) -> Result<TileMap, JournalError> {
    let wanted: Vec<TileNumber> = wanted
        .filter(|id| edge.tile(*id).is_none())
        .map(|TileId { level, index, .. }| TileNumber { level, number: index })
        .collect();
    let found = reader.snapshot().get_many(Tiles, &wanted).await?;
    let mut tiles = TileMap::default();
    for (tile, bytes) in wanted.iter().zip(found.iter()) {
        if let Some(bytes) = bytes {
            tiles.insert(tile.level, tile.number, bytes.to_vec());
        }
    }
    Ok(tiles)
}
