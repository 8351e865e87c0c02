//! Taking entries from a log whose time is over: archive, then one commit that takes them and says so.
//!
//! What goes is a beginning of the log, whole bundles of 256, so that one number tells what is there: the minimum
//! index. Hashes stay, and with them every proof. The entry of the pruning is in the commit that deletes, names the new
//! minimum index and the archive's tree, and is the only thing by which an auditor believes that entries may be absent.

mod archive;
mod plan;

use std::{num::NonZeroU32, path::PathBuf};

use vault_crypto::CallRandom;
use vault_domain::{Action, Decision, LogIndex, Millis, Reason, Reference, Region, RequestId};
use vault_journal::{Journal, Submission};
use vault_ledger::{Matter, People, Pruning, SealedPart};
use vault_store::table::Entries;

use crate::{
    Engine,
    call::Call,
    error::Error,
    node::plain_entry,
    operate::{Deed, Operation},
    prune::archive::Source,
    read_audit::newest,
    retention::{EntryKind, NODE},
};

/// What an operator asks for.
#[derive(Clone, Debug)]
pub struct PruneRequest {
    /// The region whose log it is; `None` for the node's.
    pub region: Option<Region>,
    /// The operator's reference.
    pub reference: Option<Reference>,
    /// Whether it is only told what would go.
    pub dry_run: bool,
}

/// What a pruning came to, or would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The minimum index before.
    pub before: u64,
    /// The minimum index now, or as it would be; the same if nothing is to go.
    pub minimum_index: u64,
    /// Entries that the log had.
    pub log_size: u64,
    /// Entries are kept from this log time on.
    pub kept_from: Millis,
    /// The entry that keeps those from going that would go by the log's own retention.
    pub held: Option<Held>,
    /// The folder with the archive of what went.
    pub archive: Option<PathBuf>,
}

/// An entry that is kept longer than its log, for its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its kind.
    pub kind: EntryKind,
    /// Its index.
    pub index: u64,
}

impl Engine {
    /// Takes the entries whose retention is over from a log, after they were archived.
    ///
    /// # Errors
    /// When the caller may not, which is in the node's log; when there is no folder for the archive, or it can't be
    /// written or does not verify; when a log takes no entries.
    pub async fn prune_access_log(&self, call: &Call, request: PruneRequest) -> Result<Pruned, Error> {
        let mut operation = self.admit_to_node(call, Action::PruneAccessLog).await?;
        let _one_at_a_time = self.pruning.lock().await;
        match self.prune_for(call, &mut operation, request).await {
            Ok(pruned) => Ok(pruned),
            Err(error) => Err(operation.refuse(error).await),
        }
    }

    /// Whether the configuration has logs pruned without an operator.
    #[must_use]
    pub fn prunes_by_itself(&self) -> bool {
        self.retention.automatic
    }

    /// The same without an operator: the vault itself, by its configuration. Its entries, in both logs, name nobody.
    /// Where there is nothing to prune there is no entry.
    ///
    /// # Errors
    /// As of [`Engine::prune_access_log`], but for the caller.
    pub async fn prune_by_itself(&self, region: Option<&Region>) -> Result<Pruned, Error> {
        let _one_at_a_time = self.pruning.lock().await;
        let log = self.log_to_prune(region)?;
        let mut pruned = self.plan(&log).await?;
        let until = pruned.minimum_index;
        if until == pruned.before {
            return Ok(pruned);
        }
        let directory = self.retention.archive_directory.clone().ok_or(Error::new(Reason::ArchiveUnset))?;
        let (about, archive) = archive(&log, directory, region, &pruned).await?;
        let request_id = RequestId(CallRandom::seeded(&*self.entropy)?.bytes());
        // By no rules: nobody asked.
        let by = (request_id, [0; 8]);
        if region.is_some() {
            self.note_pruning(&self.node.journal, by, about.clone(), None).await?;
        }
        self.note_pruning(&log.journal, by, about, Some(until)).await?;
        give_back_room(&log, until).await?;
        pruned.archive = Some(archive);
        Ok(pruned)
    }

    async fn prune_for(
        &self,
        call: &Call,
        operation: &mut Operation<'_>,
        request: PruneRequest,
    ) -> Result<Pruned, Error> {
        call.check_deadline(&*self.clock)?;
        let PruneRequest { region, reference, dry_run } = request;
        let log = self.log_to_prune(region.as_ref())?;
        let policy_set = self.rules().policies.fingerprint();
        let mut pruned = self.plan(&log).await?;
        let directory = self.retention.archive_directory.clone();
        if !dry_run && directory.is_none() {
            return Err(Error::new(Reason::ArchiveUnset));
        }
        let until = pruned.minimum_index;
        let Some(directory) = directory.filter(|_| !dry_run && until > pruned.before) else {
            operation.note(policy_set, Deed { reference, ..Deed::default() }).await?;
            return Ok(pruned);
        };
        let (about, archive) = archive(&log, directory, region.as_ref(), &pruned).await?;
        // Of a region the operator's entry comes first: it may name a pruning that did not come, and none is missed.
        let own = region.is_none().then_some(until);
        let deed = Deed { reference, about: Some(about.clone()), prune_to: own, ..Deed::default() };
        operation.note(policy_set, deed).await?;
        if region.is_some() {
            // Who asked for it is in the node's log, under the same request id.
            self.note_pruning(&log.journal, (call.request_id, policy_set), about, Some(until)).await?;
        }
        give_back_room(&log, until).await?;
        pruned.archive = Some(archive);
        Ok(pruned)
    }

    fn log_to_prune(&self, region: Option<&Region>) -> Result<Source, Error> {
        let (journal, reader) = match region {
            None => (&self.node.journal, &self.node.reader),
            Some(region) => {
                let vault = self.regions.get(region).ok_or(Error::new(Reason::RegionUnknown))?;
                (&vault.journal, &vault.reader)
            }
        };
        let name = region.map_or(NODE, Region::as_str).to_owned();
        Ok(Source { journal: journal.clone(), reader: reader.clone(), name })
    }

    async fn plan(&self, log: &Source) -> Result<Pruned, Error> {
        let signed = newest(&log.journal).await?.checkpoint.size;
        let (log, retention, wall) = (log.clone(), self.retention.clone(), self.time_to_delete_by());
        blocking(move || plan::plan(&log, &retention, signed, wall)).await
    }

    /// Writes a pruning into a log; with `prune_to` it is the one that is pruned.
    async fn note_pruning(
        &self,
        journal: &Journal,
        (request_id, policy_set): (RequestId, [u8; 8]),
        about: Matter,
        prune_to: Option<u64>,
    ) -> Result<(), Error> {
        let entry = plain_entry(
            &mut CallRandom::seeded(&*self.entropy)?,
            self.clock.wall(),
            (Action::PruneAccessLog, Decision::Allowed, None),
            policy_set,
            request_id,
            NonZeroU32::MIN,
            &SealedPart::Clear(Box::new(People { about: Some(about), ..People::default() })),
        )?;
        journal.commit(Submission { entry, prune_to, ..Submission::default() }).await?;
        Ok(())
    }
}

/// Archives what is planned to go. Gives what the entry says of it, and the folder.
async fn archive(
    log: &Source,
    directory: PathBuf,
    region: Option<&Region>,
    planned: &Pruned,
) -> Result<(Matter, PathBuf), Error> {
    let (from, until, log) = (planned.before, planned.minimum_index, log.clone());
    let archived = blocking(move || {
        archive::write(&log, &directory, from, until).map_err(|error| Error::because(Reason::ArchiveFailed, error))
    });
    let (archive, path) = archived.await?;
    Ok((Matter::Pruning(Pruning { log: region.cloned(), from, until, archive }), path))
}

/// Has the store's files written anew without what was pruned.
async fn give_back_room(log: &Source, until: u64) -> Result<(), Error> {
    tracing::info!(log = log.name, minimum_index = until, "entries of the access log were pruned");
    let reader = log.reader.clone();
    blocking(move || {
        reader.give_back_room(Entries, &LogIndex(0)..&LogIndex(until));
        Ok(())
    })
    .await
}

/// Runs what reads or writes files on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::because(Reason::Internal, error))?
}
