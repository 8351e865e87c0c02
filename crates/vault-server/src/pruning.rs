//! Pruning without being asked: each log once a day, and shortly after the start. What can't be pruned is an alarm, and
//! tried again every hour; nothing of it is on the way of a call.

use std::{sync::Arc, time::Duration};

use vault_domain::Region;
use vault_engine::Engine;

use crate::{alarms::Alarms, rpc::stream::Streams};

/// How often is looked whether it is time, by the vault's clock.
const LOOK: Duration = Duration::from_secs(1);
/// How long after the start for the first time: the logs have been signed over by then.
const FIRST: Duration = Duration::from_secs(10);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long after a failure for the next time.
const AGAIN: Duration = Duration::from_secs(3600);

/// A log and how it stands with its pruning.
struct Log {
    name: String,
    /// `None` for the node's.
    region: Option<Region>,
    failures: u64,
    due: Duration,
}

/// Prunes until the server stops. A pruning that has begun is driven to its end, and the stop waits for it.
pub(crate) async fn watch(engine: Arc<Engine>, streams: Streams, alarms: Arc<Alarms>) {
    let clock = engine.clock().clone();
    let due = clock.monotonic().saturating_add(FIRST);
    let regions = engine.regions().cloned().map(Some).chain([None]);
    let mut logs: Vec<Log> = regions
        .map(|region| {
            let name = region.as_ref().map_or("node", Region::as_str).to_owned();
            Log { name, region, failures: 0, due }
        })
        .collect();
    let mut stopping = streams.stopping();
    // Nothing is begun any more that the stop would have to wait for.
    while tokio::time::timeout(LOOK, stopping.wait_for(|stop| *stop)).await.is_err() {
        for log in logs.iter_mut().filter(|log| clock.monotonic() >= log.due) {
            let (engine, region) = (engine.clone(), log.region.clone());
            let pruning = async move { engine.prune_by_itself(region.as_ref()).await };
            let rest = match streams.carry_through(pruning).await {
                Ok(_) => {
                    log.failures = 0;
                    DAY
                }
                Err(error) => {
                    log.failures = log.failures.saturating_add(1);
                    let (log, reason) = (&log.name, error.reason().name());
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(log, reason, error, "the access log was not pruned");
                    AGAIN
                }
            };
            alarms.note_pruning(&log.name, log.failures);
            log.due = clock.monotonic().saturating_add(rest);
        }
    }
}
