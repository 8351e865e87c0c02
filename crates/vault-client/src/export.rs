//! A part of the access log as a file, with the manifest that the log's key has signed.

use tonic::Streaming;
use vault_domain::{Purpose, Reference};
use vault_ledger::{ExportFormat, ExportManifest, ExportedBytes, VerifierKey};
use vault_proto::v1::{self, audit_service_client::AuditServiceClient};

use crate::{
    call::Receipt,
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
    read_audit::{AccessLogQuery, filter_message},
    tokenize::name,
};

/// Which entries are looked at, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportRange {
    /// The first one.
    pub from: u64,
    /// The one before which it ends; `None` for the end of the log when the call begins.
    pub until: Option<u64>,
}

/// An export under way.
#[derive(Debug)]
pub struct AccessLogExport {
    stream: Streaming<v1::ExportAccessLogResponse>,
    receipt: Receipt,
    pinned: Option<VerifierKey>,
    bytes: ExportedBytes,
}

/// What comes next of an export.
#[derive(Debug)]
pub enum ExportPart {
    /// Bytes of the file; there may be none.
    Bytes(Vec<u8>),
    /// The end.
    Done(Box<ExportDone>),
}

/// A whole export.
#[derive(Debug)]
pub struct ExportDone {
    /// The manifest, a signed note, as it came.
    pub note: String,
    /// What it says. It speaks of the bytes that came, and of this very call.
    pub manifest: ExportManifest,
    /// The key that it was checked with.
    pub verifier_key: VerifierKey,
}

impl Client {
    /// Begins to write out a part of a region's log, by the query's filter; its pages are not looked at.
    /// `pinned` as for [`Client::checkpoint`]. An export that is cut is worth nothing, and not repeated.
    ///
    /// # Errors
    /// When the call was refused.
    pub async fn export_access_log(
        &self,
        query: &AccessLogQuery,
        range: ExportRange,
        format: ExportFormat,
        pinned: Option<VerifierKey>,
    ) -> Result<AccessLogExport, ClientError> {
        let region = query.region.as_str();
        let message = v1::ExportAccessLogRequest {
            region: region.to_owned(),
            purpose: name(query.purpose.as_ref().map(Purpose::as_str)),
            reference: name(query.reference.as_ref().map(Reference::as_str)),
            format: format.name().to_owned(),
            from_index: range.from,
            until_index: range.until,
            filter: Some(filter_message(&query.filter)),
        };
        self.demand_growth(&query.region).await?;
        let link = self.link_for(region).await?;
        let patience = self.patience();
        let leave = link.enter(patience.clock, patience.deadline)?;
        let mut service = AuditServiceClient::new(link.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let opened = tokio::time::timeout(patience.deadline, service.export_access_log(self.fresh(message)?)).await;
        let mut stream = match opened {
            Err(_) => return Err(ClientError::Deadline(patience.deadline)),
            Ok(Ok(opened)) => {
                leave.answered();
                link.answered();
                opened.into_inner()
            }
            Ok(Err(status)) => {
                let error = ClientError::of_call(&status);
                if matches!(error, ClientError::Transport { .. }) {
                    leave.failed();
                } else {
                    leave.answered();
                }
                return Err(self.follow_or_fail(&link, region, error).await);
            }
        };
        let first = next(&mut stream).await?;
        let receipt = Receipt::read(first.receipt.as_ref())?;
        if !first.data.is_empty() {
            return Err(ClientError::AnswerMalformed("bytes came with the receipt"));
        }
        Ok(AccessLogExport { stream, receipt, pinned, bytes: ExportedBytes::default() })
    }
}

impl AccessLogExport {
    /// Where the log holds the entry of this very call.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// What comes next.
    ///
    /// # Errors
    /// When the vault ended the export, or the manifest is not of what came.
    pub async fn next(&mut self) -> Result<ExportPart, ClientError> {
        let message = next(&mut self.stream).await?;
        if message.manifest.is_empty() {
            self.bytes.update(&message.data);
            return Ok(ExportPart::Bytes(message.data));
        }
        let stated = VerifierKey::parse(&message.verifier_key).map_err(ClientError::CheckpointRefuted)?;
        let verifier_key = self.pinned.clone().unwrap_or(stated);
        let opened = ExportManifest::open(&message.manifest, &verifier_key);
        let (manifest, _, _) = opened.map_err(ClientError::CheckpointRefuted)?;
        let (exported, asked) = (&manifest.exported, &manifest.asked);
        let came = self.bytes.clone().finish(exported.entries, exported.rows);
        if came != *exported {
            return Err(ClientError::AnswerMalformed("the manifest is not of the bytes that came"));
        }
        let own = &self.receipt;
        if (&manifest.origin, &manifest.log_id, asked.index, &asked.leaf)
            != (&own.origin, &own.log_id, own.index.0, &own.leaf)
        {
            return Err(ClientError::AnswerMalformed("the manifest is not of this call"));
        }
        Ok(ExportPart::Done(Box::new(ExportDone { note: message.manifest, manifest, verifier_key })))
    }
}

async fn next(stream: &mut Streaming<v1::ExportAccessLogResponse>) -> Result<v1::ExportAccessLogResponse, ClientError> {
    let ended = || ClientError::Transport { problem: "the export ended without a manifest".to_owned() };
    stream.message().await.map_err(|status| ClientError::of_call(&status))?.ok_or_else(ended)
}
