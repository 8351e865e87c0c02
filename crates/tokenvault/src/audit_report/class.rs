//! Who can see the values of a class, by catalog and policies, and who did, by the log; and where the two differ.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vault_client::{AccessLogEntry, AccessLogItems};
use vault_domain::DataClass;

use super::{
    document::{Report, Row},
    facts::{done, reveals},
    rules::Can,
};

/// Reveals of the class are counted.
pub(crate) fn keeps(class: &DataClass, entry: &AccessLogEntry) -> bool {
    reveals(entry) && shown(class, entry).next().is_some()
}

fn shown<'e>(class: &DataClass, entry: &'e AccessLogEntry) -> impl Iterator<Item = &'e AccessLogItems> {
    done(entry).filter(move |items| items.data_class == class.as_str())
}

/// One way in which values were seen.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Did<'e> {
    principal: &'e str,
    region: &'e str,
    audience: &'e str,
    level: &'e str,
    purpose: &'e str,
}

/// How often.
#[derive(Default)]
struct Times {
    entries: u64,
    items: u64,
}

impl Did<'_> {
    /// Whether an access is this one.
    fn is(&self, can: &Can) -> bool {
        let can_purpose = can.purpose.as_deref().unwrap_or_default();
        (self.principal, self.region, self.audience, self.level, self.purpose)
            == (&*can.principal, &*can.region, &*can.audience, &*can.level, can_purpose)
    }
}

/// Both lists, each with what the other says of it, and the callers that stand in one alone.
pub(crate) fn summary(class: &DataClass, report: &Report) -> Value {
    let can = report.rules.as_ref().map(|rules| rules.can.as_slice()).unwrap_or_default();
    let mut did: BTreeMap<Did<'_>, Times> = BTreeMap::new();
    for row in &report.rows {
        let mut levels = BTreeSet::new();
        for items in shown(class, &row.entry) {
            let times = did.entry(way(row, &items.level)).or_default();
            times.items += u64::from(items.count);
            times.entries += u64::from(levels.insert(&items.level));
        }
    }
    let can_told = can.iter().map(|can| {
        let used = did.iter().find(|(did, _)| did.is(can)).map_or(0, |(_, times)| times.entries);
        json!({
            "principal": can.principal, "region": can.region, "audience": can.audience, "level": can.level,
            "purpose": can.purpose, "with": can.with, "reveals": used,
        })
    });
    let did_told = did.iter().map(|(did, times)| {
        json!({
            "principal": did.principal, "region": did.region, "audience": did.audience, "level": did.level,
            "purpose": did.purpose, "reveals": times.entries, "items": times.items,
            "permitted_by_these_rules": can.iter().any(|can| did.is(can)),
        })
    });
    let who_can: BTreeSet<&str> = can.iter().map(|can| &*can.principal).collect();
    let who_did: BTreeSet<&str> = did.keys().map(|did| did.principal).collect();
    let short = |version: &str| report.rules.as_ref().is_some_and(|rules| rules.fingerprint.starts_with(version));
    let by_others = report.rows.iter().filter(|row| !short(&row.entry.policy_version)).count();
    json!({
        "can": can_told.collect::<Vec<_>>(),
        "did": did_told.collect::<Vec<_>>(),
        "can_and_did": who_can.intersection(&who_did).collect::<Vec<_>>(),
        "can_but_did_not": who_can.difference(&who_did).collect::<Vec<_>>(),
        "did_but_can_not": who_did.difference(&who_can).collect::<Vec<_>>(),
        "entries_decided_by_other_rules": by_others,
    })
}

fn way<'e>(row: &'e Row, level: &'e str) -> Did<'e> {
    let entry = &row.entry;
    Did {
        principal: &entry.principal,
        region: row.region.as_str(),
        audience: &entry.audience,
        level,
        purpose: &entry.purpose,
    }
}
