//! Who saw what: the access log of a region, and its checkpoints.

use std::fmt;

use vault_domain::{
    AccessLogFilter, Action, Audience, DataClass, Decision, PrincipalId, Purpose, Reason, Reference, Region, TokenText,
};
use vault_ledger::{Checkpoint, LedgerError, VerifierKey};
use vault_proto::v1::{self, AccessLogEntry, audit_service_client::AuditServiceClient};

use crate::{
    call::Receipt,
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
    tokenize::name,
};

/// The name under which the node's own log is asked for.
const NODE: &str = "node";

/// A question to the log of a region. What is `None` matches everything.
#[derive(Debug)]
pub struct AccessLogQuery {
    /// Whose log.
    pub region: Region,
    /// Why it is asked.
    pub purpose: Option<Purpose>,
    /// A free reference for the log.
    pub reference: Option<Reference>,
    /// Which entries.
    pub filter: AccessLogFilter,
    /// Whether the oldest come first. A tail has no other order.
    pub oldest_first: bool,
    /// Entries in one page, 1 to 1000; the vault's default if `None`.
    pub page_size: Option<u32>,
    /// Where to go on, as the page before said it.
    pub page_token: Option<String>,
}

impl AccessLogQuery {
    /// Everything in the log of a region.
    #[must_use]
    pub fn all(region: Region) -> Self {
        Self {
            region,
            purpose: None,
            reference: None,
            filter: AccessLogFilter::default(),
            oldest_first: false,
            page_size: None,
            page_token: None,
        }
    }
}

/// A page of entries, in the order that was asked for.
#[derive(Debug)]
pub struct AccessLogPage {
    /// The entries. A page can be empty and still have a next one.
    pub entries: Vec<AccessLogEntry>,
    /// For [`AccessLogQuery::page_token`]; `None` on the last page.
    pub next_page_token: Option<String>,
    /// The size of the log that the answer was taken from.
    pub log_size: u64,
    /// Entries below this index were pruned, and are not in the answer.
    pub minimum_index: u64,
    /// Where the log holds the entry of this very question.
    pub receipt: Receipt,
}

/// A log that has checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogName {
    /// The log of a region.
    Region(Region),
    /// The node's own log.
    Node,
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => region.fmt(f),
            Self::Node => f.write_str(NODE),
        }
    }
}

/// A checkpoint whose signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    /// The signed note, as it came.
    pub note: String,
    /// The key that it was checked with.
    pub verifier_key: VerifierKey,
    /// What the note states.
    pub checkpoint: Checkpoint,
    /// The newest checkpoint that the vault's witnesses have cosigned, where it came with this one and the same key
    /// signed it. Whose cosignatures they are is for the reader to verify.
    pub witnessed: Option<String>,
    /// Entries below this index were pruned, by the vault's word, where that came with the checkpoint.
    pub minimum_index: Option<u64>,
}

impl Client {
    /// Where checkpoints are kept between runs, a log is asked only if it goes on from what was seen of it.
    pub(crate) async fn demand_growth(&self, region: &Region) -> Result<(), ClientError> {
        if self.seen().is_kept() {
            self.checkpoint(&LogName::Region(region.clone()), None).await?;
        }
        Ok(())
    }

    /// Asks the log of a region. The question itself becomes an entry.
    ///
    /// # Errors
    /// When the call was refused; where checkpoints are kept, as of [`Client::checkpoint`] too.
    pub async fn query_access_log(&self, query: &AccessLogQuery) -> Result<AccessLogPage, ClientError> {
        self.demand_growth(&query.region).await?;
        let message = v1::QueryAccessLogRequest {
            region: query.region.as_str().to_owned(),
            purpose: name(query.purpose.as_ref().map(Purpose::as_str)),
            reference: name(query.reference.as_ref().map(Reference::as_str)),
            filter: Some(filter_message(&query.filter)),
            oldest_first: query.oldest_first,
            page_size: query.page_size.unwrap_or(0),
            page_token: name(query.page_token.as_deref()),
        };
        let made = self.unary(query.region.as_str(), message, true, |channel, request| async move {
            let mut service = AuditServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.query_access_log(request).await
        });
        let answer = made.await.outcome?;
        Ok(AccessLogPage {
            receipt: Receipt::read(answer.receipt.as_ref())?,
            entries: answer.entries,
            next_page_token: Some(answer.next_page_token).filter(|token| !token.is_empty()),
            log_size: answer.log_size,
            minimum_index: answer.minimum_index,
        })
    }

    /// The newest checkpoint of a log, with its signature checked by `pinned`, a key that was got by another way.
    /// Without one it is checked by the key that the vault states itself, which shows no more than that the answer is
    /// whole, and that it is the key of before. What this client has seen of the log before has to be its beginning,
    /// which the vault is asked to prove.
    ///
    /// # Errors
    /// When the call was refused, the checkpoint does not verify, or the log is not the one that was seen before.
    pub async fn checkpoint(
        &self,
        log: &LogName,
        pinned: Option<&VerifierKey>,
    ) -> Result<VerifiedCheckpoint, ClientError> {
        let region = log.to_string();
        let message = v1::GetCheckpointRequest { region: region.clone() };
        let made = self.unary(&region, message, true, |channel, request| async move {
            AuditServiceClient::new(channel).get_checkpoint(request).await
        });
        let answer = made.await.outcome?;
        let newest = verified(&region, answer.checkpoint, &answer.verifier_key, pinned)?;
        let witnessed = Some(answer.witnessed_checkpoint).filter(|note| !note.is_empty());
        if let Some(note) = &witnessed {
            let witnessed = Checkpoint::open(note, &newest.verifier_key).map_err(ClientError::CheckpointRefuted)?;
            if witnessed.head.size > newest.checkpoint.head.size {
                return Err(ClientError::AnswerMalformed("the witnessed checkpoint is larger than the newest one"));
            }
        }
        let agreed = self.seen().agree(self, &region, &newest).await?;
        Ok(VerifiedCheckpoint { witnessed, minimum_index: Some(answer.minimum_index), ..agreed })
    }
}

/// Which entries, as messages have it.
pub(crate) fn filter_message(filter: &AccessLogFilter) -> v1::AccessLogFilter {
    v1::AccessLogFilter {
        from_ms: filter.from.map_or(0, |time| time.0),
        until_ms: filter.until.map_or(0, |time| time.0),
        principal: name(filter.principal.as_ref().map(PrincipalId::as_str)),
        action: name(filter.action.map(Action::name)),
        decision: name(filter.decision.map(Decision::name)),
        data_class: name(filter.data_class.as_ref().map(DataClass::as_str)),
        token: name(filter.token.as_ref().map(TokenText::expose)),
        audience: name(filter.audience.as_ref().map(Audience::as_str)),
        purpose: name(filter.purpose.as_ref().map(Purpose::as_str)),
        reference: name(filter.reference.as_ref().map(Reference::as_str)),
        reason: name(filter.reason.map(Reason::name)),
        source: shown(filter.source),
        request_id: shown(filter.request_id),
    }
}

/// A field's text; empty for none.
fn shown(field: Option<impl fmt::Display>) -> String {
    field.map(|field| field.to_string()).unwrap_or_default()
}

/// Checks a checkpoint's signature, and that it is of this log.
pub(crate) fn verified(
    log: &str,
    note: String,
    stated: &str,
    pinned: Option<&VerifierKey>,
) -> Result<VerifiedCheckpoint, ClientError> {
    let stated = VerifierKey::parse(stated).map_err(ClientError::CheckpointRefuted)?;
    let verifier_key = pinned.cloned().unwrap_or(stated);
    let checkpoint = Checkpoint::open(&note, &verifier_key).map_err(ClientError::CheckpointRefuted)?;
    if !is_of(&checkpoint, log) {
        return Err(ClientError::CheckpointRefuted(LedgerError::CheckpointMalformed("it is of another log")));
    }
    Ok(VerifiedCheckpoint { note, verifier_key, checkpoint, witnessed: None, minimum_index: None })
}

/// Whether the checkpoint's origin, `<vault>/audit/<log>/…`, names this log.
fn is_of(checkpoint: &Checkpoint, log: &str) -> bool {
    checkpoint.origin.as_str().split('/').nth(2) == Some(log)
}
