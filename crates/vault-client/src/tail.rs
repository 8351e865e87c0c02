//! The access log as it grows, across cuts and restarts of the vault.

use tonic::Streaming;
use vault_domain::{Purpose, Reason, Reference};
use vault_proto::v1::{self, AccessLogEntry, audit_service_client::AuditServiceClient};

use crate::{
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
    read_audit::{AccessLogQuery, filter_message},
    tokenize::name,
};

/// A part of a log.
#[derive(Debug)]
pub struct TailStep {
    /// Entries that match, oldest first; there may be none.
    pub entries: Vec<AccessLogEntry>,
    /// All entries before this index were looked at.
    pub next_index: u64,
    /// The size of the log.
    pub log_size: u64,
}

/// A log that is followed. Where the stream is cut it goes on by itself, at the next entry.
#[derive(Debug)]
pub struct AccessLogTail {
    client: Client,
    query: AccessLogQuery,
    next: Option<u64>,
    stream: Option<Streaming<v1::TailAccessLogResponse>>,
    failures: u32,
}

impl Client {
    /// Follows the log of a region: entries that match, from an index on or from the time that the filter
    /// says, or those that come from now on. It has no end: a filter that says one is refused. Pages are not looked at.
    #[must_use]
    pub fn tail_access_log(&self, query: AccessLogQuery, from_index: Option<u64>) -> AccessLogTail {
        AccessLogTail { client: self.clone(), query, next: from_index, stream: None, failures: 0 }
    }
}

impl AccessLogTail {
    /// Where to go on later: behind the last entry that was looked at. `None` before the first part has come.
    #[must_use]
    pub fn next_index(&self) -> Option<u64> {
        self.next
    }

    /// The next part: entries, or how far the vault has looked. Resolves at least every 10 seconds or so. Can be
    /// dropped and called again without a loss.
    ///
    /// # Errors
    /// When the vault refuses, or can't be reached in as many attempts as the client makes.
    pub async fn next(&mut self) -> Result<TailStep, ClientError> {
        loop {
            let error = match self.step().await {
                Ok(step) => {
                    self.failures = 0;
                    self.next = Some(step.next_index);
                    return Ok(step);
                }
                Err(error) => error,
            };
            self.stream = None;
            self.failures += 1;
            let patience = self.client.patience();
            let is_passing = error.is_passing()
                || matches!(error.reason(), Some(Reason::DeadlineExceeded | Reason::Cancelled | Reason::ShuttingDown));
            if !is_passing || self.failures >= patience.attempts_max {
                return Err(error);
            }
            tokio::time::sleep(patience.pause(self.failures, error.retry_after())).await;
        }
    }

    async fn step(&mut self) -> Result<TailStep, ClientError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = self.open().await?;
                self.stream.insert(opened)
            }
        };
        let ended = || ClientError::Transport { problem: "the stream ended".to_owned() };
        let message = stream.message().await.map_err(|status| ClientError::of_call(&status))?.ok_or_else(ended)?;
        if self.next.is_some_and(|next| message.next_index < next) {
            return Err(ClientError::AnswerMalformed("the log went back"));
        }
        let v1::TailAccessLogResponse { entries, next_index, log_size, .. } = message;
        Ok(TailStep { entries, next_index, log_size })
    }

    async fn open(&self) -> Result<Streaming<v1::TailAccessLogResponse>, ClientError> {
        let query = &self.query;
        let region = query.region.as_str();
        let message = v1::TailAccessLogRequest {
            region: region.to_owned(),
            purpose: name(query.purpose.as_ref().map(Purpose::as_str)),
            reference: name(query.reference.as_ref().map(Reference::as_str)),
            from_index: self.next,
            filter: Some(filter_message(&query.filter)),
        };
        let link = self.client.link_for(region).await?;
        let patience = self.client.patience();
        let leave = link.enter(patience.clock, patience.deadline)?;
        let mut service = AuditServiceClient::new(link.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
        let opened =
            tokio::time::timeout(patience.deadline, service.tail_access_log(self.client.fresh(message)?)).await;
        match opened {
            Err(_) => Err(ClientError::Deadline(patience.deadline)),
            Ok(Ok(opened)) => {
                leave.answered();
                link.answered();
                Ok(opened.into_inner())
            }
            Ok(Err(status)) => {
                let error = ClientError::of_call(&status);
                if matches!(error, ClientError::Transport { .. }) {
                    leave.failed();
                } else {
                    leave.answered();
                }
                Err(self.client.follow_or_fail(&link, region, error).await)
            }
        }
    }
}
