//! Deleting what has ended: each region is looked through every minute, in small steps with rests between them, so that
//! calls do not wait. What can't be deleted is an alarm.

use std::{sync::Arc, time::Duration};

use vault_domain::Region;
use vault_engine::{Engine, PurgeStep};

use crate::{alarms::Alarms, rpc::stream::Streams};

/// How often is looked whether it is time, by the vault's clock.
const LOOK: Duration = Duration::from_secs(1);
/// How often a region is gone through.
const EVERY: Duration = Duration::from_secs(60);
/// Between two steps: each is a commit.
const REST: Duration = Duration::from_millis(50);

/// Purges until the server stops. A step that has begun is driven to its end, and the stop waits for it.
pub(crate) async fn watch(engine: Arc<Engine>, streams: Streams, alarms: Arc<Alarms>) {
    let clock = engine.clock().clone();
    let mut due = clock.monotonic();
    let mut stopping = streams.stopping();
    let regions: Vec<Region> = engine.regions().cloned().collect();
    while tokio::time::timeout(LOOK, stopping.wait_for(|stop| *stop)).await.is_err() {
        let now = clock.monotonic();
        if now < due {
            continue;
        }
        for region in &regions {
            purge(&engine, &streams, &alarms, region).await;
        }
        due = now.saturating_add(EVERY);
    }
}

/// One round through a region.
async fn purge(engine: &Arc<Engine>, streams: &Streams, alarms: &Alarms, region: &Region) {
    let (mut step, mut purged, mut kept) = (PurgeStep::default(), 0_u64, 0_u64);
    let mut stopping = streams.stopping();
    loop {
        let (engine, of, after) = (engine.clone(), region.clone(), step);
        match streams.carry_through(async move { engine.purge(&of, &after).await }).await {
            Ok(done) => step = done,
            Err(error) => {
                let (reason, error) = (error.reason().name(), &error as &dyn std::error::Error);
                tracing::error!(region = region.as_str(), reason, error, "what has ended was not deleted");
                kept = kept.saturating_add(1);
                break;
            }
        }
        (purged, kept) = (purged.saturating_add(step.purged), kept.saturating_add(step.kept));
        let stops = tokio::time::timeout(REST, stopping.wait_for(|stop| *stop)).await.is_ok();
        if stops || !step.goes_on() {
            break;
        }
    }
    if purged > 0 {
        tracing::info!(region = region.as_str(), records = purged, "records that had ended were deleted");
    }
    alarms.note_purge(region.as_str(), kept);
}
