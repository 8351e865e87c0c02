//! A hundredth of the campaign: what questions to a log of 100,000 entries read, counted by the store.

use vault_domain::{Region, SystemEntropy};
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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_question_reads_goes_by_what_it_finds() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::create(&folder.path().join("vault")).unwrap();
    let made = site.clone();
    let log = tokio::task::spawn_blocking(move || LongLog::make(&made, ENTRIES)).await.unwrap().unwrap();
    let config = Config::load(&site.configuration(), &Environment::default()).unwrap();
    let clock = std::sync::Arc::new(SystemClock::new());
    let server = Server::start(config, clock, std::sync::Arc::new(SystemEntropy)).await.unwrap();
    let auditor = Auditor::open(&site, server.address()).await.unwrap();
    let mut asked = Asked { server, auditor };
    asked.settle().await;

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

    // Of a caller of 1 in 1000: no more runs than it has entries on the page.
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
