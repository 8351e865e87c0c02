//! Inclusion under a checkpoint that the caller chose: many proofs that lead to one signed root.

use vault_domain::LogIndex;
use vault_ledger::{LedgerError, TreeHash, verify_inclusion};
use vault_proto::v1::{self, audit_service_client::AuditServiceClient};

use crate::{
    client::Client,
    error::ClientError,
    prove::{ProvedEntry, hash, hashes, is_out_of_tree},
    read_audit::{LogName, VerifiedCheckpoint},
};

impl Client {
    /// Has a log prove that it holds the entry with this leaf hash, under a checkpoint that was fetched and verified
    /// before ([`Client::checkpoint`]) and not under its newest one.
    ///
    /// # Errors
    /// When the call was refused, the log holds another entry there, or the proof does not lead to the checkpoint's
    /// root.
    pub async fn prove_entry_under(
        &self,
        log: &LogName,
        index: LogIndex,
        leaf: &TreeHash,
        under: &VerifiedCheckpoint,
    ) -> Result<ProvedEntry, ClientError> {
        let region = log.to_string();
        let head = &under.checkpoint.head;
        if index.0 >= head.size.0 {
            return Err(ClientError::ProofRefuted(LedgerError::OutOfTree));
        }
        let message = v1::GetInclusionProofRequest { region: region.clone(), index: index.0, tree_size: head.size.0 };
        let made = self.unary(&region, message, true, |channel, request| async move {
            AuditServiceClient::new(channel).get_inclusion_proof(request).await
        });
        // A log that signed this checkpoint had an entry there.
        let answer = made.await.outcome.map_err(|error| match is_out_of_tree(&error) {
            true => ClientError::ProofRefuted(LedgerError::OutOfTree),
            false => error,
        })?;
        if hash(&answer.leaf_hash)? != *leaf {
            return Err(ClientError::ProofRefuted(LedgerError::InclusionRefuted));
        }
        let hashes = hashes(&answer.hashes)?;
        verify_inclusion(head, index, leaf, &hashes).map_err(ClientError::ProofRefuted)?;
        Ok(ProvedEntry { index, leaf: *leaf, hashes, checkpoint: under.clone() })
    }
}
