//! A part of the log, written out: the entries of a range that match, oldest first, and at the end a manifest that the
//! log's key has signed.
//!
//! An export is a tail with an end: each step is decided on anew. To ask is an entry that is on disk before the first
//! byte leaves, and the checkpoint in the manifest covers that entry.

use std::sync::Arc;

use vault_domain::{
    AccessLogFilter, Action, Decision, LogIndex, Millis, PrincipalId, Purpose, Reason, Reference, TokenText,
};
use vault_journal::{CommitError, Journal, Receipt, SignedCheckpoint};
use vault_keys::RegionKeys;
use vault_ledger::{ExportAsked, ExportFormat, ExportManifest, Exported, ExportedBytes, LedgerError, log_time};
use vault_store::{Reader, table::Entries};

use super::{AccessLogQuery, FoundEntry, Search, tail::Tail};
use crate::{Engine, call::Call, error::Error};

/// Which entries are looked at, by their index.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportRange {
    /// The first one.
    pub from: u64,
    /// The one before which it ends; `None` for the end of the log when the call begins.
    pub until: Option<u64>,
}

/// An export under way.
pub struct Export {
    tail: Tail,
    journal: Journal,
    end: u64,
    manifest: ExportManifest,
    bytes: ExportedBytes,
    entries: u64,
    rows: u64,
}

/// What a step came to.
#[derive(Debug)]
pub struct ExportStep {
    /// Entries that match, oldest first.
    pub entries: Vec<FoundEntry>,
    /// Everything before this index was looked at.
    pub next_index: u64,
    /// Whether that is the whole range.
    pub is_last: bool,
}

/// The end of an export.
#[derive(Debug)]
pub struct SignedExport {
    /// The manifest, a signed note.
    pub manifest: String,
    /// The verifier key, as text.
    pub verifier_key: String,
}

impl Engine {
    /// Begins to write out a part of a region's log.
    ///
    /// # Errors
    /// When the question is refused; the refusal is in the log then, if the log takes entries.
    pub async fn export_access_log(
        &self,
        call: &Call,
        query: AccessLogQuery,
        range: ExportRange,
        format: ExportFormat,
    ) -> Result<(Export, Receipt), Error> {
        let rules = self.rules();
        let action = Action::ExportAccessLog;
        let AccessLogQuery { region, purpose, reference, .. } = &query;
        let (region, purpose, reference) = (region.clone(), purpose.clone(), reference.clone());
        let mut scope = self.enter(&rules, call, action, &region).await?;
        let mut asked = scope.evidence(call, action);
        (asked.purpose, asked.reference) = (purpose.as_ref(), reference.as_ref());
        let (tenant, deciding) = self.admit_to_log(&mut scope, &asked, &region).await?;
        asked.policies = &deciding;
        let (journal, reader) = (scope.vault.journal.clone(), scope.vault.reader.clone());
        let filters = filters(&query.filter, &scope.vault.keys, &tenant);
        let begun = async || {
            let times = (query.filter.from, query.filter.until);
            let (from, to) = bounds(&reader, range, times, (journal.minimum_index(), journal.size())).await?;
            let search = Search::new(&scope, tenant.clone(), query, None, (self.clock.clone(), call.deadline)).await?;
            Ok::<_, Error>((search, from, to))
        };
        let (Search { finder, .. }, from, to) = match begun().await {
            Ok(begun) => begun,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        let at = self.clock.wall();
        let receipt = self.record(&scope, &asked).await?;
        call.check_deadline(&*self.clock)?;
        let checkpoint = signed_over(&journal, receipt.index).await?;
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let manifest = ExportManifest {
            origin: journal.origin().clone(),
            log_id: receipt.log_id,
            checkpoint: checkpoint.note.clone(),
            from,
            to,
            filters,
            format,
            exported: Exported::default(),
            asked: ExportAsked {
                principal: call.principal.as_str().to_owned(),
                tenant: tenant.as_str().to_owned(),
                purpose: text(purpose.as_ref().map(Purpose::as_str)),
                reference: text(reference.as_ref().map(Reference::as_str)),
                request_id: call.request_id.to_string(),
                at_ms: at.0,
                index: receipt.index.0,
                leaf: receipt.leaf,
            },
        };
        let search = Arc::new(finder);
        let (next, end, checkpoints) = (from, Some(to), journal.checkpoints());
        let tail = Tail { action, region, purpose, reference, search, next, end, checkpoints };
        let bytes = ExportedBytes::default();
        Ok((Export { tail, journal, end: to, manifest, bytes, entries: 0, rows: 0 }, receipt))
    }

    /// Goes on with an export, until entries are found, as many as one step may be are looked at, or its end is
    /// reached.
    ///
    /// # Errors
    /// When the caller may not export the log any more, which is in the log, or it can't be read.
    pub async fn export_on(&self, call: &Call, export: &mut Export) -> Result<ExportStep, Error> {
        let step = self.tail_on(call, &mut export.tail).await?;
        export.entries += step.entries.len() as u64;
        let is_last = step.next_index >= export.end;
        Ok(ExportStep { entries: step.entries, next_index: step.next_index, is_last })
    }
}

impl Export {
    /// Signs for what was exported.
    ///
    /// # Errors
    /// Never with a manifest as it is made here.
    pub fn end(self) -> Result<SignedExport, Error> {
        let Self { journal, mut manifest, bytes, entries, rows, .. } = self;
        manifest.exported = bytes.finish(entries, rows);
        let manifest = journal.sign_export(&manifest)?;
        Ok(SignedExport { manifest, verifier_key: journal.verifier_key().to_string() })
    }

    /// Counts in the rows of an entry.
    pub fn written(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Counts in bytes that go out.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.bytes.update(bytes);
    }

    /// The log that it is of: its origin, and which log of that name.
    #[must_use]
    pub fn log(&self) -> (&str, &vault_ledger::TreeHash) {
        (self.manifest.origin.as_str(), &self.manifest.log_id)
    }
}

/// A checkpoint that covers an entry which is on the disk.
pub(crate) async fn signed_over(journal: &Journal, index: LogIndex) -> Result<Arc<SignedCheckpoint>, Error> {
    match journal.checkpoint().await {
        Ok(newest) if newest.size > index.0 => return Ok(newest),
        // A full queue: the journal signs over the entry within a second without being asked. The call's deadline
        // bounds the wait.
        Err(CommitError::Busy) => {}
        // It took the entry, and ended before it signed over it.
        _ => return Err(Error::new(Reason::AuditUnavailable)),
    }
    let mut checkpoints = journal.checkpoints();
    let covers = |newest: &Option<Arc<SignedCheckpoint>>| newest.as_ref().is_some_and(|newest| newest.size > index.0);
    let newest = checkpoints.wait_for(covers).await.map_err(|_| Error::new(Reason::AuditUnavailable))?;
    newest.clone().ok_or(Error::new(Reason::AuditUnavailable))
}

/// The range as indexes. Log time never runs backwards, so that a range of time is one of indexes.
async fn bounds(
    reader: &Reader,
    range: ExportRange,
    (from_time, until_time): (Option<Millis>, Option<Millis>),
    (minimum, size): (u64, u64),
) -> Result<(u64, u64), Error> {
    let until = range.until.unwrap_or(size);
    if until > size {
        return Err(Error::field("until_index", "is beyond the end of the log"));
    }
    if range.from > until {
        return Err(Error::field("from_index", "is beyond the end of the log, or of what is asked for"));
    }
    // From zero is from the first there is: the manifest says from which.
    let from = if range.from == 0 { minimum.min(until) } else { range.from };
    if from < minimum {
        return Err(Error::pruned(minimum));
    }
    let mut bounds = (from, until);
    if let Some(time) = from_time {
        bounds.0 = first_at(reader, time, bounds).await?;
    }
    if let Some(time) = until_time {
        bounds.1 = first_at(reader, time, bounds).await?;
    }
    Ok(bounds)
}

/// The first entry of a range that is not before a time; the range's end if there is none.
pub(super) async fn first_at(reader: &Reader, time: Millis, (mut low, mut high): (u64, u64)) -> Result<u64, Error> {
    let snapshot = reader.snapshot();
    while low < high {
        let middle = low + (high - low) / 2;
        let bytes = snapshot.get(Entries, &LogIndex(middle)).await?.ok_or(LedgerError::OutOfTree)?;
        if log_time(&bytes)? < time { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// What was asked for, as a manifest names it. The one place that has to know every filter.
fn filters(filter: &AccessLogFilter, keys: &RegionKeys, tenant: &vault_domain::Tenant) -> Vec<(&'static str, String)> {
    let token_hash = |token: &TokenText| {
        let hash = keys.token_hash(tenant, token.expose());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let filters = [
        ("from_ms", filter.from.map(|time| time.0.to_string())),
        ("until_ms", filter.until.map(|time| time.0.to_string())),
        ("principal", filter.principal.as_ref().map(PrincipalId::as_str).map(str::to_owned)),
        ("action", filter.action.map(Action::name).map(str::to_owned)),
        ("decision", filter.decision.map(Decision::name).map(str::to_owned)),
        ("data_class", filter.data_class.as_ref().map(|class| class.as_str().to_owned())),
        ("token_hash", filter.token.as_ref().map(token_hash)),
        ("audience", filter.audience.as_ref().map(|audience| audience.as_str().to_owned())),
        ("entry_purpose", filter.purpose.as_ref().map(|purpose| purpose.as_str().to_owned())),
        ("entry_reference", filter.reference.as_ref().map(|reference| reference.as_str().to_owned())),
        ("reason", filter.reason.map(Reason::name).map(str::to_owned)),
        ("source", filter.source.map(|source| source.to_string())),
        ("request_id", filter.request_id.map(|id| id.to_string())),
    ];
    filters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
