//! How many entries of a log meet a question, and how they divide.

use std::collections::BTreeMap;

use vault_domain::{CountBy, Millis, Purpose, Reference};
use vault_proto::v1::{self, audit_service_client::AuditServiceClient};

use crate::{
    call::Receipt,
    client::{ANSWER_BYTES_MAX, Client},
    error::ClientError,
    read_audit::{AccessLogQuery, filter_message},
    tokenize::name,
};

/// How many entries meet a question.
#[derive(Debug)]
pub struct AccessLogCounts {
    /// How they divide, by what they have in common; empty if that was not asked. Hours stand as their first
    /// millisecond since 1970, everything else under its name.
    pub counts: BTreeMap<CountKey, u64>,
    /// How many they are, each once.
    pub entries: u64,
    /// Entries that the vault read to tell; all others it counted by the log's index.
    pub entries_read: u64,
    /// The size of the log that the last part of the answer was taken from.
    pub log_size: u64,
    /// Entries below this index were pruned, and are not counted.
    pub minimum_index: u64,
    /// Where the log holds the entries of this very question: one for each part of the answer.
    pub receipts: Vec<Receipt>,
}

/// What counted entries have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountKey {
    /// The hour of log time that begins then.
    Hour(Millis),
    /// The decision, principal, data class or action of this name.
    Name(String),
}

impl Client {
    /// Counts entries of a region's log, in as many parts as it takes; each is an entry. Directions and pages of the
    /// question are not looked at.
    ///
    /// # Errors
    /// When a call was refused.
    pub async fn count_access_log(
        &self,
        query: &AccessLogQuery,
        by: Option<CountBy>,
    ) -> Result<AccessLogCounts, ClientError> {
        let mut all = AccessLogCounts {
            counts: BTreeMap::new(),
            entries: 0,
            entries_read: 0,
            log_size: 0,
            minimum_index: 0,
            receipts: Vec::new(),
        };
        let mut page_token = String::new();
        self.demand_growth(&query.region).await?;
        loop {
            let message = request(query, by, page_token);
            let made = self.unary(query.region.as_str(), message, true, |channel, request| async move {
                let mut service = AuditServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
                service.count_access_log(request).await
            });
            let part = made.await.outcome?;
            for count in part.counts {
                let key = match by {
                    Some(CountBy::Hour) => CountKey::Hour(Millis(count.hour_ms)),
                    _ => CountKey::Name(count.name),
                };
                *all.counts.entry(key).or_default() += count.entries;
            }
            all.entries += part.entries;
            all.entries_read += part.entries_read;
            (all.log_size, all.minimum_index) = (part.log_size, part.minimum_index);
            all.receipts.push(Receipt::read(part.receipt.as_ref())?);
            if part.next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = part.next_page_token;
        }
    }
}

fn request(query: &AccessLogQuery, by: Option<CountBy>, page_token: String) -> v1::CountAccessLogRequest {
    v1::CountAccessLogRequest {
        region: query.region.as_str().to_owned(),
        purpose: name(query.purpose.as_ref().map(Purpose::as_str)),
        reference: name(query.reference.as_ref().map(Reference::as_str)),
        filter: Some(filter_message(&query.filter)),
        group_by: name(by.map(CountBy::name)),
        page_token,
    }
}
