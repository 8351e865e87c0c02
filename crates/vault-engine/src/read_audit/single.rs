//! One entry by its index, with the bytes that its leaf hash is of.

use vault_domain::{Action, LogIndex, Purpose, Reason, Reference, Region};
use vault_journal::Receipt;
use vault_ledger::{Entry, LedgerError, SealedPart, TILE_HASHES, TreeHash, leaf_hash};
use vault_store::{
    Snapshot,
    table::{Entries, TileNumber, Tiles},
};

use super::FoundEntry;
use crate::{Engine, call::Call, error::Error};

/// Which entry.
#[derive(Clone, Debug)]
pub struct EntryQuery {
    /// Whose log.
    pub region: Region,
    /// Why.
    pub purpose: Option<Purpose>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// Where it stands.
    pub index: LogIndex,
}

/// An entry, as far as its asker may see it.
#[derive(Debug)]
pub struct EntryAnswer {
    /// The entry and its bytes; `None` for one of another tenant, or one that was pruned.
    pub entry: Option<(FoundEntry, Vec<u8>)>,
    /// Its leaf hash.
    pub leaf: TreeHash,
    /// Entries below this index were pruned.
    pub minimum_index: u64,
    /// Where the log holds the entry of this question.
    pub receipt: Receipt,
}

impl Engine {
    /// Gives one entry of a region's log: whole if it is of the caller's tenant or of none, its hash alone otherwise.
    ///
    /// # Errors
    /// When the question is refused or there is no such entry; that is in the log then, if the log takes entries.
    pub async fn entry(&self, call: &Call, query: &EntryQuery) -> Result<EntryAnswer, Error> {
        let rules = self.rules();
        let mut scope = self.enter(&rules, call, Action::QueryAccessLog, &query.region).await?;
        let mut asked = scope.evidence(call, Action::QueryAccessLog);
        asked.purpose = query.purpose.as_ref();
        asked.reference = query.reference.as_ref();
        let (tenant, deciding) = self.admit_to_log(&mut scope, &asked, &query.region).await?;
        asked.policies = &deciding;
        let vault = scope.vault;
        let read = async || {
            let snapshot = vault.reader.snapshot();
            let found = snapshot.get(Entries, &query.index).await?;
            if found.is_none() && query.index.0 < vault.journal.minimum_index() {
                return Ok((None, hash(&snapshot, query.index).await?));
            }
            let bytes = found.ok_or(Error::new(Reason::EntryNotFound))?;
            let entry = Entry::decode(&bytes)?;
            let leaf = leaf_hash(&bytes);
            let is_shown = match &entry.people {
                SealedPart::None => true,
                // Of a pruning, and of nobody.
                SealedPart::Clear(people) => people.tenant.is_none() && people.principal.is_none(),
                SealedPart::Sealed(sealed) => sealed.tenant_tag == vault.keys.tenant_tag(&tenant),
            };
            let open = || FoundEntry::open(&vault.keys, &tenant, query.index, (&bytes, entry));
            let found = is_shown.then(open).transpose()?;
            Ok::<_, Error>((found.map(|found| (found, bytes)), leaf))
        };
        let (entry, leaf) = match read().await {
            Ok(read) => read,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        let receipt = self.record(&scope, &asked).await?;
        call.check_deadline(&*self.clock)?;
        Ok(EntryAnswer { entry, leaf, minimum_index: vault.journal.minimum_index(), receipt })
    }
}

/// The leaf hash of an entry that was pruned: its tile is full.
async fn hash(snapshot: &Snapshot<'_>, index: LogIndex) -> Result<TreeHash, Error> {
    let (number, at) = (index.0 / u64::from(TILE_HASHES), index.0 % u64::from(TILE_HASHES));
    let tile = snapshot.get(Tiles, &TileNumber { level: 0, number }).await?;
    let hashes = tile.as_deref().map(|tile| tile.as_chunks().0).unwrap_or_default();
    let hash = usize::try_from(at).ok().and_then(|at| hashes.get(at));
    hash.map(|hash| TreeHash(*hash)).ok_or(LedgerError::TileMissing { level: 0, index: number }.into())
}
