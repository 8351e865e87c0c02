//! An auditor: one question to the log after the other, each timed and its answer looked into.

use std::{net::SocketAddr, time::Duration};

use tonic::{Streaming, service::interceptor::InterceptedService, transport::Channel};
use vault_domain::{Clock, SystemClock};
use vault_proto::v1::{
    AccessLogFilter, CountAccessLogRequest, ExportAccessLogRequest, GetConsistencyProofRequest, GetEntryRequest,
    GetInclusionProofRequest, QueryAccessLogRequest, QueryAccessLogResponse, TailAccessLogRequest,
    TailAccessLogResponse, audit_service_client::AuditServiceClient,
};

use crate::{
    Failure,
    bearing::{Adds, Bearing},
    load::connect,
    measure::Latencies,
    site::{AUDIT_PURPOSE, REGION, Site},
};

/// The longest answer that is taken: a page of a thousand entries.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// A connection of an auditor.
#[derive(Clone)]
pub struct Auditor {
    client: AuditServiceClient<InterceptedService<Channel, Adds>>,
}

/// A count of a whole log, or of a part of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Entries that match.
    pub entries: u64,
    /// Entries that were read to tell.
    pub read: u64,
    /// Answers that it came in.
    pub parts: u64,
    /// How long it took.
    pub took: Duration,
}

/// A part of a log that was followed or written out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Streamed {
    /// Entries that came; of an export those that were looked at.
    pub entries: u64,
    /// Bytes of an export.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
}

impl Auditor {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not accept.
    pub async fn open(site: &Site, address: SocketAddr) -> Result<Self, Failure> {
        let adds = Adds::new(Bearing::Nothing, site)?;
        let client = AuditServiceClient::with_interceptor(connect(site, address).await?, adds);
        Ok(Self { client: client.max_decoding_message_size(ANSWER_BYTES_MAX) })
    }

    /// Asks for the first page.
    ///
    /// # Errors
    /// When the question is refused.
    pub async fn page(
        &mut self,
        filter: &AccessLogFilter,
        page_size: u32,
        oldest_first: bool,
    ) -> Result<QueryAccessLogResponse, Failure> {
        let request = QueryAccessLogRequest {
            region: REGION.to_owned(),
            purpose: AUDIT_PURPOSE.to_owned(),
            filter: Some(filter.clone()),
            page_size,
            oldest_first,
            ..QueryAccessLogRequest::default()
        };
        Ok(self.client.query_access_log(request).await?.into_inner())
    }

    /// Counts, in as many parts as it takes.
    ///
    /// # Errors
    /// When a question is refused.
    pub async fn count(&mut self, filter: &AccessLogFilter, group_by: &str) -> Result<Counted, Failure> {
        let clock = SystemClock::new();
        let mut counted = Counted::default();
        let mut page_token = String::new();
        loop {
            let request = CountAccessLogRequest {
                region: REGION.to_owned(),
                purpose: AUDIT_PURPOSE.to_owned(),
                filter: Some(filter.clone()),
                group_by: group_by.to_owned(),
                page_token,
                ..CountAccessLogRequest::default()
            };
            let part = self.client.count_access_log(request).await?.into_inner();
            counted.entries += part.entries;
            counted.read += part.entries_read;
            counted.parts += 1;
            if part.next_page_token.is_empty() {
                return Ok(Counted { took: clock.monotonic(), ..counted });
            }
            page_token = part.next_page_token;
        }
    }

    /// The request id of an entry.
    ///
    /// # Errors
    /// When it is refused, or the entry is another tenant's.
    pub async fn request_id(&mut self, index: u64) -> Result<Option<String>, Failure> {
        let request = GetEntryRequest {
            region: REGION.to_owned(),
            purpose: AUDIT_PURPOSE.to_owned(),
            index,
            ..GetEntryRequest::default()
        };
        Ok(self.client.get_entry(request).await?.into_inner().entry.map(|entry| entry.request_id))
    }

    /// Has it proved that the log holds an entry, under its newest checkpoint if `tree_size` is 0; gives the number of
    /// hashes.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn inclusion(&mut self, index: u64, tree_size: u64) -> Result<usize, Failure> {
        let request = GetInclusionProofRequest { region: REGION.to_owned(), index, tree_size };
        Ok(self.client.get_inclusion_proof(request).await?.into_inner().hashes.len())
    }

    /// Has it proved that the log goes on from an older size; gives the number of hashes.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn consistency(&mut self, old_size: u64, new_size: u64) -> Result<usize, Failure> {
        let request = GetConsistencyProofRequest { region: REGION.to_owned(), old_size, new_size };
        Ok(self.client.get_consistency_proof(request).await?.into_inner().hashes.len())
    }

    /// Follows the log.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn tail(
        &mut self,
        filter: &AccessLogFilter,
        from_index: Option<u64>,
    ) -> Result<Streaming<TailAccessLogResponse>, Failure> {
        let request = TailAccessLogRequest {
            region: REGION.to_owned(),
            purpose: AUDIT_PURPOSE.to_owned(),
            from_index,
            filter: Some(filter.clone()),
            ..TailAccessLogRequest::default()
        };
        Ok(self.client.tail_access_log(request).await?.into_inner())
    }

    /// Follows the log from one index to another.
    ///
    /// # Errors
    /// When it is refused or cut.
    pub async fn catch_up(&mut self, filter: &AccessLogFilter, from: u64, to: u64) -> Result<Streamed, Failure> {
        let clock = SystemClock::new();
        let mut stream = self.tail(filter, Some(from)).await?;
        let mut entries = 0;
        loop {
            let message = stream.message().await?.ok_or("the tail ended")?;
            entries += u64::try_from(message.entries.len())?;
            if message.next_index >= to {
                return Ok(Streamed { entries, bytes: 0, took: clock.monotonic() });
            }
        }
    }

    /// Writes a part of the log out.
    ///
    /// # Errors
    /// When it is refused or cut.
    pub async fn export(&mut self, format: &str, from: u64, until: u64) -> Result<Streamed, Failure> {
        let clock = SystemClock::new();
        let request = ExportAccessLogRequest {
            region: REGION.to_owned(),
            purpose: AUDIT_PURPOSE.to_owned(),
            format: format.to_owned(),
            from_index: from,
            until_index: Some(until),
            ..ExportAccessLogRequest::default()
        };
        let mut stream = self.client.export_access_log(request).await?.into_inner();
        let mut bytes = 0;
        loop {
            let message = stream.message().await?.ok_or("the export ended without a manifest")?;
            bytes += u64::try_from(message.data.len())?;
            if !message.manifest.is_empty() {
                return Ok(Streamed { entries: until - from, bytes, took: clock.monotonic() });
            }
        }
    }
}

/// Asks again and again, one question at a time, for `time`, or longer if that is needed for `least` of them, and notes
/// how long each took.
///
/// # Errors
/// As of the question.
pub async fn repeat(
    time: Duration,
    least: usize,
    mut ask: impl AsyncFnMut(u64) -> Result<(), Failure>,
) -> Result<Latencies, Failure> {
    let clock = SystemClock::new();
    let mut latencies = Latencies::default();
    let mut number = 0;
    let mut start = clock.monotonic();
    while start < time || latencies.len() < least {
        ask(number).await?;
        let end = clock.monotonic();
        latencies.push(end.saturating_sub(start));
        (start, number) = (end, number + 1);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests;
