//! Checkpoints and proofs. They need no entry: they tell no more than what every receipt's holder may know, and must
//! stay available when the log takes no entries.

use std::sync::Arc;

use vault_domain::{Action, LogIndex, Region};
use vault_journal::{InclusionProof, Journal, JournalError, SignedCheckpoint};
use vault_ledger::{LedgerError, TreeHash, TreeSize};
use vault_policy::Log;
use vault_store::Reader;

use crate::{
    Engine,
    authorize::{account, authorize_log},
    call::Call,
    error::Error,
};

/// A checkpoint, and the key that it verifies with.
#[derive(Clone, Debug)]
pub struct Newest {
    /// The checkpoint.
    pub checkpoint: Arc<SignedCheckpoint>,
    /// The verifier key, as text.
    pub verifier_key: String,
    /// Entries below this index were pruned: of them there are the hashes alone.
    pub minimum_index: u64,
}

/// That the tree of a checkpoint holds an entry.
#[derive(Clone, Debug)]
pub struct ProvedInclusion {
    /// The size of the tree.
    pub tree_size: u64,
    /// The proof.
    pub proof: InclusionProof,
    /// The checkpoint, where the caller named none.
    pub newest: Option<Newest>,
}

/// That the tree of a checkpoint begins with that of an earlier one.
#[derive(Clone, Debug)]
pub struct ProvedConsistency {
    /// The size of the later tree.
    pub new_size: u64,
    /// The proof.
    pub hashes: Vec<TreeHash>,
    /// The later checkpoint, where the caller named none.
    pub newest: Option<Newest>,
}

impl Engine {
    /// The newest checkpoint of a log, of the node's own if no region is named, signed afresh if there is news.
    ///
    /// # Errors
    /// When the caller may not have it; that is in the log.
    pub async fn checkpoint(&self, call: &Call, region: Option<&Region>) -> Result<Newest, Error> {
        let (journal, _) = self.admit_to_tree(call, region).await?;
        newest(&journal).await
    }

    /// Proves that an entry is in the tree of a size, or of the newest checkpoint.
    ///
    /// # Errors
    /// When the caller may not have it, which is in the log; when there is no such entry or tree.
    pub async fn prove_inclusion(
        &self,
        call: &Call,
        region: Option<&Region>,
        index: LogIndex,
        size: Option<u64>,
    ) -> Result<ProvedInclusion, Error> {
        let (journal, reader) = self.admit_to_tree(call, region).await?;
        let (tree_size, newest) = tree(&journal, size).await?;
        let proof = journal.prove_inclusion(&reader, index, TreeSize(tree_size)).await;
        let proof = proof.map_err(|error| match error {
            JournalError::Ledger(LedgerError::OutOfTree) => {
                Error::field("index", "must be below the size of the tree, and that at most the size of the log")
            }
            error => error.into(),
        })?;
        Ok(ProvedInclusion { tree_size, proof, newest })
    }

    /// Proves that the tree of a size, or of the newest checkpoint, begins with an earlier one.
    ///
    /// # Errors
    /// When the caller may not have it, which is in the log; when there is no such tree.
    pub async fn prove_consistency(
        &self,
        call: &Call,
        region: Option<&Region>,
        old: u64,
        new: Option<u64>,
    ) -> Result<ProvedConsistency, Error> {
        let (journal, reader) = self.admit_to_tree(call, region).await?;
        if old == 0 {
            return Err(Error::field("old_size", "must be at least 1: every log begins with the empty one"));
        }
        let (new_size, newest) = tree(&journal, new).await?;
        let hashes = journal.prove_consistency(&reader, TreeSize(old), TreeSize(new_size)).await;
        let hashes = hashes.map_err(|error| match error {
            JournalError::Ledger(LedgerError::OutOfTree) => {
                Error::field("old_size", "must be at most the size of the later tree, and that at most that of the log")
            }
            error => error.into(),
        })?;
        Ok(ProvedConsistency { new_size, hashes, newest })
    }

    /// Lets a caller have what there is to know of a log's tree.
    async fn admit_to_tree(&self, call: &Call, region: Option<&Region>) -> Result<(Journal, Reader), Error> {
        let (rules, action, now) = (self.rules(), Action::GetCheckpoint, self.clock.wall());
        let Some(region) = region else {
            let account = match account(&rules.policies, call) {
                Ok(account) => account,
                Err(error) => return Err(self.turn_away(call, action, error).await),
            };
            let (permit, _) = authorize_log(&rules.policies, call, account, action, Log::Node, None, now);
            return match permit {
                Ok(_) => Ok((self.node.journal.clone(), self.node.reader.clone())),
                Err(error) => Err(self.turn_away(call, action, error).await),
            };
        };
        let scope = self.enter(&rules, call, action, region).await?;
        let (permit, deciding) =
            authorize_log(&rules.policies, call, scope.account, action, Log::Region(region), None, now);
        if let Err(error) = permit {
            let mut asked = scope.evidence(call, action);
            asked.policies = &deciding;
            return Err(self.refuse(&scope, &asked, error).await);
        }
        Ok((scope.vault.journal.clone(), scope.vault.reader.clone()))
    }
}

/// The size that was named, or the newest checkpoint with its size.
async fn tree(journal: &Journal, size: Option<u64>) -> Result<(u64, Option<Newest>), Error> {
    match size {
        Some(size) => Ok((size, None)),
        None => newest(journal).await.map(|newest| (newest.checkpoint.size, Some(newest))),
    }
}

/// The newest checkpoint, over all that is on disk; the last one signed if the journal takes no more.
pub(crate) async fn newest(journal: &Journal) -> Result<Newest, Error> {
    let checkpoint = match journal.checkpoint().await {
        Ok(checkpoint) => checkpoint,
        Err(error) => journal.checkpoints().borrow().clone().ok_or(Error::from(error))?,
    };
    let (verifier_key, minimum_index) = (journal.verifier_key().to_string(), journal.minimum_index());
    Ok(Newest { checkpoint, verifier_key, minimum_index })
}
