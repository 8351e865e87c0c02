//! Proofs about the log: that it holds an entry, and that it has only grown.

use vault_domain::{LogIndex, Purpose, Reference, Region};
use vault_ledger::{
    Checkpoint, LedgerError, LogProof, TreeHash, VerifierKey, leaf_hash, verify_consistency, verify_inclusion,
};
use vault_proto::v1::{self, AccessLogEntry, audit_service_client::AuditServiceClient};

use crate::{
    call::Receipt,
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
    read_audit::{LogName, VerifiedCheckpoint, verified},
    tokenize::name,
};

/// One entry of a region's log.
#[derive(Debug)]
pub struct LogEntry {
    /// What it says, and the bytes that its leaf hash is of; `None` for an entry of another tenant.
    pub shown: Option<(AccessLogEntry, Vec<u8>)>,
    /// Its leaf hash.
    pub leaf: TreeHash,
    /// Where the log holds the entry of this very question.
    pub receipt: Receipt,
}

/// An entry that a log was shown to hold.
#[derive(Clone, Debug)]
pub struct ProvedEntry {
    /// Its place.
    pub index: LogIndex,
    /// Its leaf hash.
    pub leaf: TreeHash,
    /// The inclusion proof.
    pub hashes: Vec<TreeHash>,
    /// The checkpoint of the tree that holds it.
    pub checkpoint: VerifiedCheckpoint,
}

impl ProvedEntry {
    /// The proof as a file (c2sp.org/tlog-proof) that anybody can check offline; with the entry's bytes, if they are to
    /// go with it.
    #[must_use]
    pub fn into_file(self, entry: Option<Vec<u8>>) -> LogProof {
        LogProof { entry, index: self.index, hashes: self.hashes, checkpoint: self.checkpoint.note }
    }
}

impl Client {
    /// One entry of a region's log by its index. The question itself becomes an entry.
    ///
    /// # Errors
    /// When the call was refused, or the bytes are not those of the hash.
    pub async fn log_entry(
        &self,
        region: &Region,
        index: LogIndex,
        purpose: Option<&Purpose>,
        reference: Option<&Reference>,
    ) -> Result<LogEntry, ClientError> {
        let message = v1::GetEntryRequest {
            region: region.as_str().to_owned(),
            purpose: name(purpose.map(Purpose::as_str)),
            reference: name(reference.map(Reference::as_str)),
            index: index.0,
        };
        let made = self.unary(region.as_str(), message, true, |channel, request| async move {
            let mut service = AuditServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
            service.get_entry(request).await
        });
        let answer = made.await.outcome?;
        let leaf = hash(&answer.leaf_hash)?;
        let shown = answer.entry.map(|entry| (entry, answer.entry_bytes));
        if shown.as_ref().is_some_and(|(_, bytes)| leaf_hash(bytes) != leaf) {
            return Err(ClientError::AnswerMalformed("the entry's bytes are not those of its hash"));
        }
        Ok(LogEntry { shown, leaf, receipt: Receipt::read(answer.receipt.as_ref())? })
    }

    /// Has a log prove that it holds an entry, under its newest checkpoint. `leaf` is the hash that a receipt names:
    /// a log that holds another entry there is refuted. `pinned` as for [`Client::checkpoint`].
    ///
    /// # Errors
    /// When the call was refused, or checkpoint or proof do not verify.
    pub async fn prove_entry(
        &self,
        log: &LogName,
        index: LogIndex,
        leaf: Option<&TreeHash>,
        pinned: Option<&VerifierKey>,
    ) -> Result<ProvedEntry, ClientError> {
        let region = log.to_string();
        let message = v1::GetInclusionProofRequest { region: region.clone(), index: index.0, tree_size: 0 };
        let made = self.unary(&region, message, true, |channel, request| async move {
            AuditServiceClient::new(channel).get_inclusion_proof(request).await
        });
        let answer = made.await.outcome.map_err(|error| match leaf {
            // A log that gave a receipt had an entry there.
            Some(_) if is_out_of_tree(&error) => ClientError::ProofRefuted(LedgerError::OutOfTree),
            _ => error,
        })?;
        let checkpoint = verified(&region, answer.checkpoint, &answer.verifier_key, pinned)?;
        let stated = hash(&answer.leaf_hash)?;
        if leaf.is_some_and(|leaf| *leaf != stated) {
            return Err(ClientError::ProofRefuted(LedgerError::InclusionRefuted));
        }
        let hashes = hashes(&answer.hashes)?;
        let proved = verify_inclusion(&checkpoint.checkpoint.head, index, &stated, &hashes);
        proved.map_err(ClientError::ProofRefuted)?;
        self.seen().agree(self, &region, &checkpoint).await?;
        Ok(ProvedEntry { index, leaf: stated, hashes, checkpoint })
    }

    /// Has a log prove that its newest checkpoint goes on from an older one: nothing was altered, dropped or reordered
    /// between the two. `pinned` as for [`Client::checkpoint`].
    ///
    /// # Errors
    /// When the call was refused, or checkpoint or proof do not verify.
    pub async fn prove_growth(
        &self,
        log: &LogName,
        since: &Checkpoint,
        pinned: Option<&VerifierKey>,
    ) -> Result<VerifiedCheckpoint, ClientError> {
        let region = log.to_string();
        let answer = self.consistency(&region, since.head.size.0, 0).await?;
        let newest = verified(&region, answer.checkpoint, &answer.verifier_key, pinned)?;
        if newest.checkpoint.origin != since.origin {
            return Err(ClientError::ProofRefuted(LedgerError::CheckpointMalformed("it is of another log")));
        }
        let proved = verify_consistency(&since.head, &newest.checkpoint.head, &answer.hashes);
        proved.map_err(ClientError::ProofRefuted)?;
        self.seen().agree(self, &region, &newest).await?;
        Ok(newest)
    }

    /// Asks for a consistency proof, which is not yet checked.
    pub(crate) async fn consistency(&self, log: &str, old_size: u64, new_size: u64) -> Result<Grown, ClientError> {
        let message = v1::GetConsistencyProofRequest { region: log.to_owned(), old_size, new_size };
        let made = self.unary(log, message, true, |channel, request| async move {
            AuditServiceClient::new(channel).get_consistency_proof(request).await
        });
        let v1::GetConsistencyProofResponse { hashes: given, checkpoint, verifier_key, .. } = made.await.outcome?;
        Ok(Grown { hashes: hashes(&given)?, checkpoint, verifier_key })
    }
}

/// An answer to the question whether a log has only grown.
pub(crate) struct Grown {
    pub(crate) hashes: Vec<TreeHash>,
    checkpoint: String,
    verifier_key: String,
}

/// Whether a log says that it is shorter than a question takes it to be.
pub(crate) fn is_out_of_tree(error: &ClientError) -> bool {
    let fields = error.refusal().map(|refusal| refusal.violations.as_slice()).unwrap_or_default();
    fields.iter().any(|violation| ["index", "old_size"].contains(&violation.field.as_str()))
}

pub(crate) fn hash(bytes: &[u8]) -> Result<TreeHash, ClientError> {
    bytes.try_into().map(TreeHash).map_err(|_| ClientError::AnswerMalformed("a hash has not 32 bytes"))
}

pub(crate) fn hashes(hashes: &[Vec<u8>]) -> Result<Vec<TreeHash>, ClientError> {
    hashes.iter().map(|bytes| hash(bytes)).collect()
}
