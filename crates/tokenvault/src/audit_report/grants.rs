//! Grants that nobody used: each grant of the catalog held against what its account was allowed in the range.
//!
//! An entry does not say which grant it was allowed by: it counts for each that covers it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vault_catalog::DATA_ACTIONS;
use vault_client::AccessLogEntry;
use vault_domain::{Action, Millis, RevealLevel};

use super::{
    document::{Report, Row},
    facts::done,
    rules::Granted,
};
use crate::timestamp;

/// Grants that leave entries in the logs of regions when they are used; of the others the node's log tells, or none.
fn is_told(action: &str) -> bool {
    DATA_ACTIONS.iter().chain(&[Action::QueryAccessLog]).any(|told| told.name() == action)
}

/// What was allowed is counted.
pub(crate) fn keeps(entry: &AccessLogEntry) -> bool {
    entry.decision == "allowed" && is_told(&entry.action)
}

impl Granted {
    /// The parts of the grant that an entry made use of: action, class and audience.
    fn used<'g>(&'g self, entry: &AccessLogEntry) -> Vec<Part<'g>> {
        let is_covered = entry.principal == self.principal
            && self.purposes.as_ref().is_none_or(|purposes| purposes.contains(&entry.purpose));
        let action = self.actions.iter().find(|action| **action == entry.action);
        let Some(action) = action.filter(|_| is_covered) else { return Vec::new() };
        if self.classes.is_empty() {
            return vec![Part { action, class: "", audience: "" }];
        }
        let Some(audience) = self.audiences.iter().find(|audience| **audience == entry.audience) else {
            return Vec::new();
        };
        let levels = self.level == RevealLevel::Full.name();
        let shown = done(entry).filter(|items| levels || items.level != RevealLevel::Full.name());
        let classes = shown.filter_map(|items| self.classes.iter().find(|class| **class == items.data_class));
        classes.map(|class| Part { action, class, audience }).collect()
    }

    /// All parts that an entry could tell the use of.
    fn parts(&self) -> BTreeSet<Part<'_>> {
        let actions = self.actions.iter().filter(|action| is_told(action));
        let parts = actions.flat_map(|action| {
            let of_log = self.classes.is_empty().then_some(Part { action, class: "", audience: "" });
            let pairs = self.classes.iter().flat_map(|class| self.audiences.iter().map(move |to| (class, to)));
            pairs.map(move |(class, audience)| Part { action, class, audience }).chain(of_log)
        });
        parts.collect()
    }
}

/// A part of a grant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part<'g> {
    action: &'g str,
    class: &'g str,
    audience: &'g str,
}

/// Each grant with what was used of it, and those of which nothing was.
pub(crate) fn summary(report: &Report) -> Value {
    let grants = report.rules.as_ref().map(|rules| rules.grants.as_slice()).unwrap_or_default();
    let (mut told, mut unused) = (Vec::new(), Vec::new());
    for grant in grants {
        let (mut entries, mut last, mut left) = (0_u64, None, grant.parts());
        let is_told = !left.is_empty();
        for Row { entry, .. } in &report.rows {
            let used = grant.used(entry);
            if used.is_empty() {
                continue;
            }
            entries += 1;
            last = last.max(Some(entry.log_time_ms));
            left.retain(|part| !used.contains(part));
        }
        let state = match (is_told, entries) {
            (false, _) => "no region's log tells",
            (true, 0) => "unused",
            (true, _) if left.is_empty() => "used",
            (true, _) => "used in part",
        };
        if state == "unused" {
            unused.push(json!({"principal": grant.principal, "grant": grant.place}));
        }
        told.push(json!({
            "principal": grant.principal,
            "grant": grant.place,
            "state": state,
            "entries": entries,
            "last_used": last.map(|time| timestamp::show(Millis(time))),
            "unused_parts": left.iter().map(Part::text).collect::<Vec<_>>(),
        }));
    }
    json!({"unused": unused, "grants": told})
}

impl Part<'_> {
    fn text(&self) -> String {
        match self.class {
            "" => self.action.to_owned(),
            class => format!("{} {class} for {}", self.action, self.audience),
        }
    }
}
