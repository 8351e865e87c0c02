//! An entry as one JSON object: all fields, and one that sums up what it concerns.

use serde_json::{Value, json};
use time::OffsetDateTime;
use vault_domain::Millis;
use vault_proto::v1::{AccessLogEntry, AccessLogItems};

use super::hex;

/// An entry as JSON: all fields, and one that sums up what it concerns.
#[must_use]
pub fn entry_json(entry: &AccessLogEntry) -> Value {
    json!({
        "time": moment(Millis(entry.log_time_ms)),
        "wall_time": moment(Millis(entry.wall_time_ms)),
        "receipt": entry.receipt.as_ref().map(|receipt| json!({
            "origin": receipt.origin,
            "index": receipt.index,
            "leaf_hash": hex(&receipt.leaf_hash),
            "log_id": hex(&receipt.log_id),
        })),
        "request_id": entry.request_id,
        "tenant": entry.tenant,
        "principal": entry.principal,
        "explained_principal": entry.explained_principal,
        "certificate_sha256": entry.certificate_sha256,
        "identity_issuer": entry.identity_issuer,
        "source": entry.source,
        "action": entry.action,
        "decision": entry.decision,
        "reason": entry.reason,
        "purpose": entry.purpose,
        "reference": entry.reference,
        "audience": entry.audience,
        "policy_ids": entry.policy_ids,
        "policy_version": entry.policy_version,
        "items": items_json(&entry.items),
        "count": entry.count,
        "summary": summary(entry),
    })
}

/// Runs of items as JSON.
pub(super) fn items_json(items: &[AccessLogItems]) -> Vec<Value> {
    let run = |items: &AccessLogItems| {
        json!({
            "data_class": items.data_class,
            "outcome": items.outcome,
            "level": items.level,
            "count": items.count,
            "record_numbers": items.record_numbers,
            "token_hashes": items.token_hashes.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
        })
    };
    items.iter().map(run).collect()
}

/// What an entry concerns, in few words: `333 card_number, 2 email masked, 1 email TOKEN_UNKNOWN`, or why the call was
/// refused.
pub(super) fn summary(entry: &AccessLogEntry) -> String {
    let items = entry.items.iter().map(|items| match items.outcome.as_str() {
        "ok" if items.level == "masked" => format!("{} {} masked", items.count, items.data_class),
        "ok" => format!("{} {}", items.count, items.data_class),
        refused => format!("{} {} {refused}", items.count, items.data_class),
    });
    let reason = Some(entry.reason.clone()).filter(|reason| !reason.is_empty());
    let repeated = (entry.count > 1).then(|| format!("{} times", entry.count));
    let about = (!entry.explained_principal.is_empty()).then(|| format!("about {}", entry.explained_principal));
    reason.into_iter().chain(items).chain(about).chain(repeated).collect::<Vec<_>>().join(", ")
}

/// A moment in RFC 3339, UTC, to the millisecond.
#[must_use]
pub fn moment(moment: Millis) -> String {
    let nanos = i128::from(moment.0) * 1_000_000;
    let Ok(date) = OffsetDateTime::from_unix_timestamp_nanos(nanos) else { return format!("{moment} ms") };
    let (hour, minute, second, milli) = date.to_hms_milli();
    format!("{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", date.date())
}
