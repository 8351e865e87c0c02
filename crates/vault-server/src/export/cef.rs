//! CEF (ArcSight Common Event Format, version 0), without a syslog header.
//!
//! In the header a backslash and a pipe are escaped, in the extension a backslash and an equals sign; line ends and
//! other control characters, which no field of an entry should hold, are escaped or replaced in both: what a caller
//! chose can end neither a field nor a line.

use vault_proto::v1::AccessLogEntry;

use super::{json::summary, place};

/// An entry as one line, without its end.
pub(super) fn line(entry: &AccessLogEntry) -> String {
    let severity = match entry.decision.as_str() {
        "allowed" => "3",
        "failed" => "5",
        _ => "7",
    };
    let header = ["Tokenvault", "Tokenvault", env!("CARGO_PKG_VERSION"), &entry.action, &summary(entry), severity];
    let header = header.map(|field| escaped(field, '|')).join("|");
    let (origin, index, leaf) = place(entry);
    let mut classes: Vec<_> = entry.items.iter().map(|items| items.data_class.as_str()).collect();
    classes.dedup();
    let items: u64 = entry.items.iter().map(|items| u64::from(items.count)).sum();
    let fields = [
        ("rt", entry.log_time_ms.to_string()),
        ("externalId", entry.request_id.clone()),
        ("suser", entry.principal.clone()),
        ("src", entry.source.clone()),
        ("act", entry.action.clone()),
        ("outcome", entry.decision.clone()),
        ("reason", entry.reason.clone()),
        ("duser", entry.explained_principal.clone()),
        ("cnt", entry.count.to_string()),
        ("cn1Label", "logIndex".to_owned()),
        ("cn1", index.to_string()),
        ("cn2Label", "items".to_owned()),
        ("cn2", items.to_string()),
        ("cs1Label", "logOrigin".to_owned()),
        ("cs1", origin.to_owned()),
        ("cs2Label", "leafHash".to_owned()),
        ("cs2", leaf),
        ("cs3Label", "dataClasses".to_owned()),
        ("cs3", classes.join(" ")),
        ("cs4Label", "purpose".to_owned()),
        ("cs4", entry.purpose.clone()),
        ("cs5Label", "reference".to_owned()),
        ("cs5", entry.reference.clone()),
        ("cs6Label", "audience".to_owned()),
        ("cs6", entry.audience.clone()),
        ("flexString1Label", "policies".to_owned()),
        ("flexString1", entry.policy_ids.join(" ")),
        ("flexString2Label", "policyVersion".to_owned()),
        ("flexString2", entry.policy_version.clone()),
    ];
    let mut line = format!("CEF:0|{header}|");
    let mut separator = "";
    // The address is of a kind of its own in CEF: empty it would be none.
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        line.push_str(&format!("{separator}{key}={}", escaped(value, '=')));
        separator = " ";
    }
    line
}

fn escaped(text: &str, also: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' if also == '=' => out.push_str("\\n"),
            '\r' if also == '=' => out.push_str("\\r"),
            c if c == also => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
