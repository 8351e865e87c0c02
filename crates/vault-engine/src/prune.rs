//! Taking entries from a log whose time is over: archive, then one commit that takes them and says so.
//!
//! What goes is a beginning of the log, whole bundles of 256, so that one number tells what is there: the minimum
//! index. Hashes stay, and with them every proof. The entry of the pruning is in the commit that deletes, names the new
//! minimum index and the archive's tree, and is the only thing by which an auditor believes that entries may be absent.

mod archive;

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use vault_crypto::CallRandom;
use vault_domain::{Action, Decision, LogIndex, Millis, Reason, Reference, Region, RequestId};
use vault_journal::{Journal, Submission};
use vault_ledger::{Matter, People, Pruning, SealedPart, TILE_HASHES, log_time};
use vault_store::{Reader, table::Entries, wait};

use crate::{
    Engine,
    call::Call,
    error::Error,
    node::plain_entry,
    operate::{Deed, Operation},
    read_audit::newest,
    retention::NODE,
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
    /// The folder with the archive of what went.
    pub archive: Option<PathBuf>,
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
        match self.prune(call, &mut operation, request).await {
            Ok(pruned) => Ok(pruned),
            Err(error) => Err(operation.refuse(error).await),
        }
    }

    async fn prune(&self, call: &Call, operation: &mut Operation<'_>, request: PruneRequest) -> Result<Pruned, Error> {
        call.check_deadline(&*self.clock)?;
        let PruneRequest { region, reference, dry_run } = request;
        let (journal, reader) = match &region {
            None => (&self.node.journal, &self.node.reader),
            Some(region) => {
                let vault = self.regions.get(region).ok_or(Error::new(Reason::RegionUnknown))?;
                (&vault.journal, &vault.reader)
            }
        };
        let policy_set = self.rules().policies.fingerprint();
        let name = region.as_ref().map_or(NODE, Region::as_str);
        let days = u64::from(self.retention.days_of(name));
        let signed = newest(journal).await?.checkpoint.size;
        let (own, from_store, wall) = (journal.clone(), reader.clone(), self.clock.wall());
        let mut pruned = blocking(move || plan(&own, &from_store, days, signed, wall)).await?;
        let directory = self.retention.archive_directory.clone();
        if !dry_run && directory.is_none() {
            return Err(Error::new(Reason::ArchiveUnset));
        }
        let Some(directory) = directory.filter(|_| !dry_run && pruned.minimum_index > pruned.before) else {
            operation.note(policy_set, Deed { reference, ..Deed::default() }).await?;
            return Ok(pruned);
        };
        let (from, until) = (pruned.before, pruned.minimum_index);
        let source = archive::Source { journal: journal.clone(), reader: reader.clone(), name: name.to_owned() };
        let archived = blocking(move || {
            archive::write(&source, &directory, from, until)
                .map_err(|error| Error::because(Reason::ArchiveFailed, error))
        });
        let (archive, path) = archived.await?;
        let about = Some(Matter::Pruning(Pruning { log: region.clone(), from, until, archive }));
        // Of a region the operator's entry comes first: it may name a pruning that did not come, and none is missed.
        let own = region.is_none().then_some(until);
        operation.note(policy_set, Deed { reference, about: about.clone(), prune_to: own, ..Deed::default() }).await?;
        if region.is_some() {
            self.prune_region(journal, (call.request_id, policy_set), about, until).await?;
        }
        tracing::info!(log = name, from, until, "entries of the access log were pruned");
        let reader = reader.clone();
        blocking(move || {
            reader.give_back_room(Entries, &LogIndex(0)..&LogIndex(until));
            Ok(())
        })
        .await?;
        pruned.archive = Some(path);
        Ok(pruned)
    }

    async fn prune_region(
        &self,
        journal: &Journal,
        (request_id, policy_set): (RequestId, [u8; 8]),
        about: Option<Matter>,
        until: u64,
    ) -> Result<(), Error> {
        // Who asked for it is in the node's log, under the same request id.
        let entry = plain_entry(
            &mut CallRandom::seeded(&*self.entropy)?,
            self.clock.wall(),
            (Action::PruneAccessLog, Decision::Allowed, None),
            policy_set,
            request_id,
            NonZeroU32::MIN,
            &SealedPart::Clear(Box::new(People { about, ..People::default() })),
        )?;
        journal.commit(Submission { entry, prune_to: Some(until), ..Submission::default() }).await?;
        Ok(())
    }
}

/// What is to go. A clock that runs ahead takes nothing before its time: what counts is the earlier of wall clock and
/// log time.
fn plan(journal: &Journal, reader: &Reader, days: u64, signed: u64, wall: Millis) -> Result<Pruned, Error> {
    let (before, size) = (journal.minimum_index(), journal.size());
    let time = |index: u64| {
        let entry = wait(reader.snapshot().get(Entries, &LogIndex(index)))?.ok_or(Reason::Internal)?;
        Ok::<_, Error>(log_time(&entry)?)
    };
    let newest = time(size.saturating_sub(1))?;
    let days = Duration::from_secs(days.saturating_mul(24 * 3600));
    let days_ms = u64::try_from(days.as_millis()).unwrap_or(u64::MAX);
    let kept_from = Millis(wall.min(newest).0.saturating_sub(days_ms));
    let (mut low, mut high) = (before, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if time(middle)? < kept_from { low = middle + 1 } else { high = middle }
    }
    let end = low.min(signed).min(journal.index_progress().entries()).min(size.saturating_sub(1));
    let minimum_index = (end - end % u64::from(TILE_HASHES)).max(before);
    Ok(Pruned { before, minimum_index, log_size: size, kept_from, archive: None })
}

/// Runs what reads or writes files on a thread that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::because(Reason::Internal, error))?
}
