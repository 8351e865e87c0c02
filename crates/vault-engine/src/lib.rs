//! The use cases of the vault: tokenize, detokenize, read the log. The only place that orders *authorize → act →
//! record*.
//!
//! A call comes in with an authenticated principal. [`Engine`] decides by policy and makes the permits that everything
//! touching data takes; it reads a snapshot, seals or opens, and hands rows and entry to the region's journal. Nothing
//! leaves before the journal says that the entry is on disk.
#![deny(missing_docs)]
#![allow(missing_debug_implementations, reason = "requests and answers hold values and tokens")]

mod at_rest;
mod authorize;
mod budget;
mod call;
mod change;
mod classes;
mod deny;
mod detokenize;
mod draft;
mod enter;
mod error;
mod evidence;
mod exchange;
mod explain;
mod idempotency;
mod life;
mod node;
mod offline;
mod open;
mod operate;
mod outside;
mod pace;
mod present;
mod prune;
mod purge;
mod read_audit;
mod region;
mod replay;
mod retention;
mod reveal;
mod rules;
mod token;
mod tokenize;
mod versions;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use vault_domain::{Clock, Entropy, Millis, Reason, Region, SteadyTime};

use crate::{
    deny::DenyList,
    node::Node,
    pace::Pacer,
    region::RegionVault,
    rules::{Rules, Settled},
    versions::Versions,
};

pub use at_rest::{
    BadRow, CREATED_SLACK, EntryAbsent, IndexChecked, IndexError, LogAtRest, RecordCheck, RecordFault, RecordsChecked,
    RowFault, rebuild_index,
};
pub use authorize::{LogPermit, Permit};
pub use call::Call;
pub use change::Changed;
pub use deny::{AccessTokenName, Denial};
pub use detokenize::{Described, Description, DetokenizeItem, DetokenizeRequest, Detokenized};
pub use error::Error;
pub use exchange::{ExchangeRequest, Exchanged, ExpectedRules, RulesTarget, VersionsPage};
pub use explain::{ExplainRequest, Explained, ExplainedCaller};
pub use idempotency::{Part, RequestName};
pub use life::{Change, LifeAsked, TokenLife};
pub use node::{REPEATS_WINDOW, Refusal};
pub use offline::{check_keys, go_by_applied, has_started};
pub use open::{EngineConfig, OpenError, RulesFrom, Running};
pub use outside::{Measured, OutsideLog, Standing, read as read_note, write as write_note};
pub use prune::{Held, PruneRequest, Pruned};
pub use purge::PurgeStep;
pub use read_audit::{
    AccessLogCounts, AccessLogPage, AccessLogQuery, Count, EntryAnswer, EntryQuery, Export, ExportRange, ExportStep,
    FoundEntry, Newest, PageToken, ProvedConsistency, ProvedInclusion, SignedExport, Tail, TailStep,
};
pub use replay::ReplayRules;
pub use retention::{CARD_DAYS_MIN, EntryKind, Retention, RetentionFault};
pub use reveal::Revealed;
pub use rules::{Applied, ApplyError};
pub use vault_journal::{Receipt, SignedCheckpoint};
pub use vault_keys::{CheckKeys, Checked, KeysError, Passphrase, RootKey, create_private, read_private};
pub use vault_ledger::{
    AddCheckpoint, CertificateSha256, Checkpoint, Entry, ExportFormat, Group, Issuer, Matter, Note, Outcome, People,
    PolicyFault, PolicyWitness, TraceId, TreeHash, TreeSize, VerifierKey, WITNESS_POLICY_BYTES_MAX, WitnessKey,
    WitnessPolicy,
};
pub use vault_policy::{PolicyError, PolicySet, PolicySource};
pub use vault_store::{Memory, ReadError, Statistics, is_store};
pub use versions::{PolicyFile, PolicyVersion, RuleTexts, RulesError, VersionsError};

pub use tokenize::{Issued, TokenizeItem, TokenizeRequest, Tokenized};

/// The vault at work. Doors share it.
pub struct Engine {
    rules: ArcSwap<Rules>,
    /// Held while rules are exchanged.
    applying: tokio::sync::Mutex<Settled>,
    versions: Versions,
    regions: HashMap<Region, RegionVault>,
    node: Node,
    /// How it stands with the files that checkpoints go to.
    checkpoint_files: Vec<Arc<Standing>>,
    denied: DenyList,
    /// Searches of a log that may run at once.
    searches: Arc<Semaphore>,
    replay: ReplayRules,
    /// How often callers called.
    pacer: Pacer,
    retention: Retention,
    /// Held while a log is pruned.
    pruning: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
    /// Since the engine was opened.
    steady: SteadyTime,
    entropy: Arc<dyn Entropy>,
}

impl Engine {
    /// The clock that deadlines are measured on.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The time by which is deleted what is over: the wall clock, unless it was set ahead since the start. A clock that
    /// jumps may refuse too much, which ends when it is put right; what it had deleted would be gone.
    pub(crate) fn time_to_delete_by(&self) -> Millis {
        self.clock.wall().min(self.steady.now(&*self.clock))
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.entropy
    }

    /// The regions served here.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.keys()
    }

    /// How many entries of each region's log the index does not cover yet: 255 of them never are, for rows are about
    /// 256 entries.
    pub fn index_behind(&self) -> impl Iterator<Item = (&Region, u64)> {
        self.regions.iter().map(|(region, vault)| {
            let journal = &vault.journal;
            (region, journal.size().saturating_sub(journal.index_progress().entries()))
        })
    }

    /// The minimum index of each log, by its name: a region's, or `node`.
    pub fn minimum_indexes(&self) -> impl Iterator<Item = (&str, u64)> {
        let regions = self.regions.iter().map(|(region, vault)| (region.as_str(), vault.journal.minimum_index()));
        regions.chain([(retention::NODE, self.node.journal.minimum_index())])
    }

    /// The origin of a region's log, for receipts.
    #[must_use]
    pub fn origin(&self, region: &Region) -> Option<&str> {
        self.regions.get(region).map(|vault| vault.journal.origin().as_str())
    }

    /// Writes a refusal that belongs to no region into the node's log.
    ///
    /// # Errors
    /// When that log does not take it.
    pub async fn refused_at_the_door(&self, refusal: Refusal) -> Result<(), Error> {
        self.node.refused(refusal).await
    }

    /// Writes into the node's log that the files of TLS were loaded anew, or why those from before stay.
    ///
    /// # Errors
    /// When that log does not take it.
    pub async fn note_reload(&self, refused: Option<Reason>) -> Result<(), Error> {
        self.node.note_reload(refused).await
    }

    /// Writes the repeats of refusals whose minute is over. To be called every few seconds.
    ///
    /// # Errors
    /// When the node's log does not take them.
    pub async fn flush_refusals(&self) -> Result<(), Error> {
        self.node.flush(false).await
    }

    /// Resolves when a journal can't write any more: the vault must stop serving and the process must end.
    pub async fn failed(&self) {
        let journals = self.regions.values().map(|vault| &vault.journal).chain([&self.node.journal]);
        let mut waiting: Vec<_> = journals.map(|journal| Box::pin(journal.failed())).collect();
        std::future::poll_fn(|context| {
            let ended = waiting.iter_mut().any(|failed| failed.as_mut().poll(context).is_ready());
            if ended { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Whether every journal takes entries.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        !self.node.journal.has_failed() && self.regions.values().all(|vault| !vault.journal.has_failed())
    }

    /// The store's own statistics of a region, for benchmarks and metrics.
    #[must_use]
    pub fn statistics(&self, region: &Region) -> Option<vault_store::Statistics> {
        self.regions.get(region).map(|vault| vault.reader.statistics())
    }
}

#[cfg(test)]
mod tests;
