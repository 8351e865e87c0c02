//! Taking entries whose retention is over from a log.

use vault_domain::{Millis, Reference};
use vault_proto::v1::{self, admin_service_client::AdminServiceClient};

use crate::{client::Client, error::ClientError, read_audit::LogName};

/// What a pruning came to, or would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The minimum index before.
    pub before: u64,
    /// The minimum index now, or as it would be; the same if no retention is over.
    pub minimum_index: u64,
    /// Entries that the log has had, those that are gone included.
    pub log_size: u64,
    /// Entries of this log time and later are kept.
    pub kept_from: Millis,
    /// The folder of the archive on the vault's machine; none if nothing went.
    pub archive: Option<String>,
    /// The entry that keeps those from going that would go by the log's own retention: its kind (docs/AUDIT.md,
    /// Retention) and its index.
    pub held_by: Option<(String, u64)>,
}

impl Client {
    /// Has the vault archive the entries of a log whose retention is over, and take them from the log. With `dry_run`
    /// it only says what would go. It is attempted once: an attempt without an answer goes on at the vault.
    ///
    /// # Errors
    /// When the call was refused, or there is no folder for the archive.
    pub async fn prune_access_log(
        &self,
        log: &LogName,
        dry_run: bool,
        reference: Option<&Reference>,
    ) -> Result<Pruned, ClientError> {
        let reference = reference.map(ToString::to_string).unwrap_or_default();
        let message = v1::PruneAccessLogRequest { region: log.to_string(), dry_run, reference };
        // It is about the node that is called, whatever its regions.
        let made = self.unary("", message, dry_run, |channel, request| async move {
            AdminServiceClient::new(channel).prune_access_log(request).await
        });
        let answer = made.await.outcome?;
        Ok(Pruned {
            before: answer.minimum_index_before,
            minimum_index: answer.minimum_index,
            log_size: answer.log_size,
            kept_from: Millis(answer.kept_from_ms),
            archive: Some(answer.archive).filter(|path| !path.is_empty()),
            held_by: Some((answer.held_by, answer.held_index)).filter(|(kind, _)| !kind.is_empty()),
        })
    }
}
