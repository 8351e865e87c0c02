//! A hundredth of the campaign: what questions to a log of 100,000 entries read, counted by the store.

use std::collections::{BTreeMap, BTreeSet};

use vault_domain::{Region, SystemEntropy};
use vault_proto::v1::AccessLogEntry;
use vault_server::{Config, Environment, Server};

use super::*;
use crate::long_log::{self, LongLog};

const ENTRIES: u64 = 100_000;
/// Runs behind the one span of such a log, and what is written while the test runs.
const RUNS_BEHIND: u64 = (ENTRIES - 65_536) / 256 + 2;
/// What is read beside the log: nonces, epochs, what the entry of the question needs.
const OWN: u64 = 50;

/// A served log, asked by an auditor.
struct Asked {
    server: Server,
    auditor: Auditor,
}

impl Asked {
    /// Waits until the index has caught up within its span, which reads entries too.
    async fn settle(&self) {
        let region = Region::parse(REGION).unwrap();
        let mut before = u64::MAX;
        loop {
            let now = self.server.engine().statistics(&region).unwrap().rows_scanned;
            if now == before {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Asks, and gives what was found with the rows that were looked up and scanned for it.
    async fn page(&mut self, filter: AccessLogFilter, page_size: u32) -> (usize, u64, u64) {
        let region = Region::parse(REGION).unwrap();
        let engine = self.server.engine().clone();
        let before = engine.statistics(&region).unwrap();
        let found = self.auditor.page(&filter, page_size, false).await.unwrap().entries.len();
        let now = engine.statistics(&region).unwrap();
        (found, now.rows_looked_up - before.rows_looked_up, now.rows_scanned - before.rows_scanned)
    }
}

impl Asked {
    /// A log that is served, and the server.
    async fn start(folder: &std::path::Path) -> (LongLog, Self) {
        let site = Site::create(&folder.join("vault")).unwrap();
        let made = site.clone();
        let log = tokio::task::spawn_blocking(move || LongLog::make(&made, ENTRIES)).await.unwrap().unwrap();
        let config = Config::load(&site.configuration(), &Environment::default()).unwrap();
        let clock = std::sync::Arc::new(SystemClock::new());
        let server = Server::start(config, clock, std::sync::Arc::new(SystemEntropy)).await.unwrap();
        let auditor = Auditor::open(&site, server.address()).await.unwrap();
        let asked = Self { server, auditor };
        asked.settle().await;
        (log, asked)
    }

    /// All entries that are asked for, page by page.
    async fn entries(&mut self, filter: &AccessLogFilter, page_size: u32, oldest_first: bool) -> Vec<AccessLogEntry> {
        let mut found = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = QueryAccessLogRequest {
                region: REGION.to_owned(),
                purpose: AUDIT_PURPOSE.to_owned(),
                filter: Some(filter.clone()),
                page_size,
                oldest_first,
                page_token,
                ..QueryAccessLogRequest::default()
            };
            let page = self.auditor.client.query_access_log(request).await.unwrap().into_inner();
            found.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    /// How many are asked for by what they have in common, and how many entries were read to tell.
    async fn counts(&mut self, filter: &AccessLogFilter, group_by: &str) -> (BTreeMap<String, u64>, u64) {
        let (mut counts, mut read, mut page_token) = (BTreeMap::new(), 0, String::new());
        loop {
            let request = CountAccessLogRequest {
                region: REGION.to_owned(),
                purpose: AUDIT_PURPOSE.to_owned(),
                filter: Some(filter.clone()),
                group_by: group_by.to_owned(),
                page_token,
                ..CountAccessLogRequest::default()
            };
            let part = self.auditor.client.count_access_log(request).await.unwrap().into_inner();
            for count in part.counts {
                let name = if group_by == "hour" { count.hour_ms.to_string() } else { count.name };
                *counts.entry(name).or_default() += count.entries;
            }
            read += part.entries_read;
            page_token = part.next_page_token;
            if page_token.is_empty() {
                return (counts, read);
            }
        }
    }
}

/// What an entry counts for.
fn names(entry: &AccessLogEntry, group_by: &str) -> BTreeSet<String> {
    match group_by {
        "decision" => [entry.decision.clone()].into(),
        "principal" => [entry.principal.clone()].into(),
        "action" => [entry.action.clone()].into(),
        "hour" => [(entry.log_time_ms / 3_600_000 * 3_600_000).to_string()].into(),
        _ => entry.items.iter().map(|items| items.data_class.clone()).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_counts_of_a_long_log_are_those_of_its_entries() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut asked) = Asked::start(folder.path()).await;
    // Questions are entries too: what was there before the first is held against the rest.
    let until_ms = log.last.0 + 1;
    let all = AccessLogFilter { until_ms, ..AccessLogFilter::default() };
    let entries = asked.entries(&all, 1000, true).await;
    assert!(entries.len() > 90_000, "{} entries of the tenant", entries.len());

    type Meets = fn(&AccessLogEntry) -> bool;
    let rare = |place| AccessLogFilter { principal: long_log::principal(place), ..all.clone() };
    let mut of_a_part = rare(20);
    (of_a_part.from_ms, of_a_part.until_ms) = (log.time_at(0.2).0 + 1, log.time_at(0.9).0 + 7);
    let cases: [(AccessLogFilter, Meets); 8] = [
        (all.clone(), |_| true),
        (rare(0), |entry| entry.principal == long_log::principal(0)),
        (rare(185), |entry| entry.principal == long_log::principal(185)),
        (rare(1000), |_| false),
        (of_a_part, |entry| entry.principal == long_log::principal(20)),
        (AccessLogFilter { data_class: "class-3".to_owned(), action: "tokenize".to_owned(), ..all.clone() }, |entry| {
            entry.action == "tokenize" && entry.items.iter().any(|items| items.data_class == "class-3")
        }),
        (
            AccessLogFilter { decision: "denied".to_owned(), principal: long_log::principal(3), ..all.clone() },
            |entry| entry.decision == "denied" && entry.principal == long_log::principal(3),
        ),
        (AccessLogFilter { principal: long_log::principal(150), source: "10.0.0.0/8".to_owned(), ..all }, |entry| {
            entry.principal == long_log::principal(150) && entry.source.starts_with("10.")
        }),
    ];
    for (number, (filter, meets)) in cases.into_iter().enumerate() {
        let from = filter.from_ms;
        let expected: Vec<_> = entries.iter().filter(|entry| meets(entry)).collect();
        let times = from..filter.until_ms;
        let expected: Vec<_> = expected.into_iter().filter(|entry| times.contains(&entry.log_time_ms)).collect();
        assert_eq!(expected.is_empty(), number == 3, "case {number} asks for something");
        if number > 0 {
            for (page_size, oldest_first) in [(1000, true), (7, false)] {
                // Small pages of few entries: of many it would take thousands.
                if page_size == 7 && expected.len() > 2000 {
                    continue;
                }
                let mut found = asked.entries(&filter, page_size, oldest_first).await;
                if !oldest_first {
                    found.reverse();
                }
                assert!(found.iter().eq(expected.iter().copied()), "case {number}: {} found", found.len());
            }
        }
        for group_by in ["decision", "principal", "data_class", "action", "hour"] {
            let mut truth: BTreeMap<String, u64> = BTreeMap::new();
            let names = expected.iter().flat_map(|entry| names(entry, group_by));
            names.for_each(|name| *truth.entry(name).or_default() += 1);
            let (counts, read) = asked.counts(&filter, group_by).await;
            assert_eq!(counts, truth, "case {number} by {group_by}");
            if filter.source.is_empty() {
                assert!(read <= (RUNS_BEHIND + 1) * 256, "case {number} by {group_by}: {read} entries read");
            }
        }
    }
    asked.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_question_reads_goes_by_what_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (log, mut asked) = Asked::start(folder.path()).await;

    // Of nobody: the rows of the one span, and those of the runs behind it; no entry.
    let nobody = AccessLogFilter { principal: long_log::principal(1000), ..AccessLogFilter::default() };
    let (found, looked_up, scanned) = asked.page(nobody, 100).await;
    assert_eq!(found, 0);
    assert!(looked_up < RUNS_BEHIND + OWN, "{looked_up} rows were looked up for nobody");
    assert!(scanned < 2 * 256 + OWN, "{scanned} rows were scanned for nobody");

    // Of one call: the run that holds it, and one or two by chance.
    let mut request_id = None;
    for index in 4711.. {
        // An entry of another tenant does not say.
        request_id = asked.auditor.request_id(index).await.unwrap();
        if request_id.is_some() {
            break;
        }
    }
    let request = AccessLogFilter { request_id: request_id.unwrap(), ..AccessLogFilter::default() };
    let (found, looked_up, scanned) = asked.page(request, 100).await;
    assert_eq!(found, 1);
    assert!(looked_up < RUNS_BEHIND + 256 + OWN, "{looked_up} rows were looked up for a request");
    assert!(scanned < 12 * 256 + OWN, "{scanned} rows were scanned for a request");

    // Of a caller of 1 in 1000: two runs of the span, and single entries.
    let caller = AccessLogFilter { principal: long_log::principal(185), ..AccessLogFilter::default() };
    let (found, looked_up, scanned) = asked.page(caller, 20).await;
    assert_eq!(found, 20);
    assert!(looked_up < RUNS_BEHIND + OWN, "{looked_up} rows were looked up for a rare caller");
    assert!(scanned < (20 + 2) * 256 + OWN, "{scanned} rows were scanned for a rare caller");

    // Of a day: two halvings, and the runs of that day.
    let until_ms = log.time_at(0.5).0;
    let day = AccessLogFilter { from_ms: until_ms - 24 * 3600 * 1000, until_ms, ..AccessLogFilter::default() };
    let (found, looked_up, scanned) = asked.page(day, 1000).await;
    assert!((100..1000).contains(&found), "{found} entries of a day");
    assert!(looked_up < 2 * 20 + 8 + OWN, "{looked_up} rows were looked up for a day");
    assert!(scanned < 8 * 256 + OWN, "{scanned} rows were scanned for a day");
    asked.server.shutdown().await;
}
