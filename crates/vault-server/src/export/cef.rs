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
    ];
    let labelled = [
        ("cn1", "logIndex", index.to_string()),
        ("cn2", "items", items.to_string()),
        ("cs1", "logOrigin", origin.to_owned()),
        ("cs2", "leafHash", leaf),
        ("cs3", "dataClasses", classes.join(" ")),
        ("cs4", "purpose", entry.purpose.clone()),
        ("cs5", "reference", entry.reference.clone()),
        ("cs6", "audience", entry.audience.clone()),
        ("flexString1", "policies", entry.policy_ids.join(" ")),
        ("flexString2", "policyVersion", entry.policy_version.clone()),
    ];
    // What is empty is left out: an address, for one, has to be an address.
    let plain = fields.iter().filter(|(_, value)| !value.is_empty());
    let plain = plain.map(|(key, value)| format!("{key}={}", escaped(value, '=')));
    let labelled = labelled.iter().filter(|(.., value)| !value.is_empty());
    let labelled = labelled.map(|(key, label, value)| format!("{key}Label={label} {key}={}", escaped(value, '=')));
    let extension: Vec<_> = plain.chain(labelled).collect();
    format!("CEF:0|{header}|{}", extension.join(" "))
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
