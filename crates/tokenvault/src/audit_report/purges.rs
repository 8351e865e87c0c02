//! What was deleted because it had ended: PCI DSS 3.2.1 asks for a process that deletes what is kept no longer, and for
//! evidence of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use vault_client::AccessLogEntry;
use vault_domain::{Action, Millis, limits};

use super::{
    document::Report,
    facts::{done, is},
};
use crate::timestamp;

/// Purges are counted.
pub(crate) fn keeps(entry: &AccessLogEntry) -> bool {
    is(entry, Action::Purge)
}

#[derive(Default)]
struct OfClass {
    records: u64,
    purges: u64,
    times: Option<(u64, u64)>,
}

/// Of each region and class how many records were deleted, and when.
pub(crate) fn summary(report: &Report) -> Value {
    let mut classes: BTreeMap<(&str, &str), OfClass> = BTreeMap::new();
    for row in &report.rows {
        for items in done(&row.entry) {
            let class = classes.entry((row.region.as_str(), items.data_class.as_str())).or_default();
            class.records = class.records.saturating_add(items.count.into());
            class.purges += 1;
            let time = row.entry.log_time_ms;
            let (first, last) = class.times.unwrap_or((time, time));
            class.times = Some((first.min(time), last.max(time)));
        }
    }
    let records = classes.values().map(|class| class.records).fold(0, u64::saturating_add);
    let classes = classes.iter().map(|((region, name), class)| {
        let time = |time: Option<u64>| time.map(|time| timestamp::show(Millis(time)));
        json!({
            "region": region,
            "data_class": name,
            "records_deleted": class.records,
            "purges": class.purges,
            "first": time(class.times.map(|(first, _)| first)),
            "last": time(class.times.map(|(_, last)| last)),
        })
    });
    json!({
        "records_deleted": records,
        "kept_after_the_end_hours": limits::PURGE_DELAY.as_secs() / 3600,
        "classes": classes.collect::<Vec<_>>(),
        "shows": "of the logs named here and their ranges, which records of the caller's tenant the vault deleted \
                  after they had ended: expired, used up or revoked. Each entry names its records by number, and its \
                  commit deleted value, state and all rows by which they were found",
        "does_not_show": "that nothing else is due: `audit verify --records` on a copy of the data directory counts \
                          records that are there though a purge deleted them (none may be) and records that ended more \
                          than two days before the log's last entry (overdue_records); backups, which are not part of \
                          the vault",
    })
}
