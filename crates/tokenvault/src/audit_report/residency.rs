//! Whether values of the caller's tenant were revealed outside of its region. A value is sealed in the region that it
//! came to, and its reveal is an entry of that region's log: a reveal outside is an entry of another region's.

use serde_json::{Value, json};
use vault_client::AccessLogEntry;
use vault_domain::{Action, Region};

use super::{
    document::{Report, Row},
    facts::{done, is, reveals},
};

/// Reveals are counted, and attempts at them.
pub(crate) fn keeps(entry: &AccessLogEntry) -> bool {
    is(entry, Action::Detokenize)
}

/// Of each log what was revealed, whether the claim holds, and what that shows.
pub(crate) fn summary(region: &Region, report: &Report) -> Value {
    let logs = report.logs.iter().map(|log| {
        let rows = || report.rows.iter().filter(|row| row.region == log.region);
        let revealing = || rows().filter(|row| reveals(&row.entry));
        let items = revealing().flat_map(|row| done(&row.entry)).map(|items| u64::from(items.count));
        json!({
            "region": log.region.as_str(),
            "is_tenants": log.region == *region,
            "reveals": revealing().count(),
            "items_revealed": items.fold(0, u64::saturating_add),
            "attempts_without_a_reveal": rows().filter(|row| !reveals(&row.entry)).count(),
        })
    });
    let outside: Vec<&Row> = report.rows.iter().filter(|row| row.region != *region && reveals(&row.entry)).collect();
    let is_read = report.logs.iter().any(|log| log.region == *region);
    json!({
        "tenant_region": region.as_str(),
        "revealed_outside": outside.len(),
        "holds_in_what_was_read": outside.is_empty() && is_read,
        "logs": logs.collect::<Vec<_>>(),
        "outside": outside.iter().map(|row| row.place()).collect::<Vec<_>>(),
        "shows": "of the logs named here and their ranges, that these are all reveals that the vault showed to a \
                  caller of the tenant; only the tenant's own callers can reveal its values",
        "does_not_show": "that no entry was held back (the whole log shows that); what happens in regions whose logs \
                          are not named here; where a caller sits that is served by the tenant's own region, and where \
                          it takes what it was shown; where copies of the data directory are",
    })
}
