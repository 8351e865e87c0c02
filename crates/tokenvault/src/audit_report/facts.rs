//! What a report rests on: entries of a log. Each is written as `audit query` shows it, and can be read back and made
//! anew from the bytes that the log holds; what the two differ in was changed.

use serde_json::Value;
use vault_client::{AccessLogEntry, AccessLogItems};
use vault_domain::{Action, RevealLevel};
use vault_ledger::{Entry, Outcome, SealedPart, SealedPeople};

use crate::{
    audit::entry_json,
    items::{hex, unhex},
    timestamp,
};

/// Record numbers that are made of one group's runs; no request has as many items, and a made-up run has no end.
const NUMBERS_MAX: usize = u16::MAX as usize;

/// The receipt of an entry, as the contract states it.
pub(crate) fn place_of(entry: &AccessLogEntry) -> Option<(&str, u64, [u8; 32])> {
    let receipt = entry.receipt.as_ref()?;
    Some((&receipt.origin, receipt.index, receipt.leaf_hash.as_slice().try_into().ok()?))
}

/// Items of an entry that were done: revealed, for a reveal.
pub(crate) fn done(entry: &AccessLogEntry) -> impl Iterator<Item = &AccessLogItems> {
    entry.items.iter().filter(|items| items.outcome == "ok")
}

/// Whether it is of this action.
pub(crate) fn is(entry: &AccessLogEntry, action: Action) -> bool {
    entry.action == action.name()
}

/// Whether values were revealed by it.
pub(crate) fn reveals(entry: &AccessLogEntry) -> bool {
    is(entry, Action::Detokenize) && entry.decision == "allowed" && done(entry).next().is_some()
}

/// Reads an entry back. `None` unless it is written just as [`entry_json`] writes it.
pub(crate) fn read(json: &Value) -> Option<AccessLogEntry> {
    let text = |pointer: &str| json.pointer(pointer)?.as_str().map(str::to_owned);
    let millis = |pointer: &str| timestamp::parse(json.pointer(pointer)?.as_str()?).ok().map(|time| time.0);
    let policies = json.pointer("/policy_ids")?.as_array()?.iter().map(|id| id.as_str().map(str::to_owned));
    let mut entry = AccessLogEntry {
        log_time_ms: millis("/time")?,
        wall_time_ms: millis("/wall_time")?,
        request_id: text("/request_id")?,
        tenant: text("/tenant")?,
        principal: text("/principal")?,
        explained_principal: text("/explained_principal")?,
        certificate_sha256: text("/certificate_sha256")?,
        identity_issuer: text("/identity_issuer")?,
        source: text("/source")?,
        action: text("/action")?,
        decision: text("/decision")?,
        reason: text("/reason")?,
        purpose: text("/purpose")?,
        reference: text("/reference")?,
        audience: text("/audience")?,
        policy_ids: policies.collect::<Option<_>>()?,
        policy_version: text("/policy_version")?,
        items: json.pointer("/items")?.as_array()?.iter().map(read_items).collect::<Option<_>>()?,
        count: json.pointer("/count")?.as_u64()?,
        ..AccessLogEntry::default()
    };
    let (place, receipt) = (json.pointer("/receipt")?, entry.receipt.get_or_insert_default());
    place.pointer("/origin")?.as_str()?.clone_into(&mut receipt.origin);
    receipt.index = place.pointer("/index")?.as_u64()?;
    receipt.leaf_hash = unhex::<32>(place.pointer("/leaf_hash")?.as_str()?)?.to_vec();
    receipt.log_id = unhex::<32>(place.pointer("/log_id")?.as_str()?)?.to_vec();
    (entry_json(&entry) == *json).then_some(entry)
}

fn read_items(json: &Value) -> Option<AccessLogItems> {
    let text = |pointer: &str| json.pointer(pointer)?.as_str().map(str::to_owned);
    let hashes = json.pointer("/token_hashes")?.as_array()?.iter();
    let hashes = hashes.map(|hash| unhex::<16>(hash.as_str()?).map(Vec::from));
    Some(AccessLogItems {
        data_class: text("/data_class")?,
        outcome: text("/outcome")?,
        level: text("/level")?,
        count: u32::try_from(json.pointer("/count")?.as_u64()?).ok()?,
        record_numbers: json
            .pointer("/record_numbers")?
            .as_array()?
            .iter()
            .map(Value::as_u64)
            .collect::<Option<_>>()?,
        token_hashes: hashes.collect::<Option<_>>()?,
    })
}

/// What the bytes of an entry say, with the fields that are sealed in them taken from `shown`, for these can be read by
/// the vault alone. Whatever else differs from `shown` was changed.
pub(crate) fn of_bytes(entry: &Entry, shown: &AccessLogEntry) -> AccessLogEntry {
    let head = &entry.head;
    let items = entry.groups.iter().map(|group| AccessLogItems {
        data_class: group.class.to_string(),
        outcome: group.outcome.refused().map_or("ok", |reason| reason.name()).to_owned(),
        level: match (group.outcome, head.action) {
            (Outcome::Masked, _) => RevealLevel::Masked.name(),
            (Outcome::Done, Action::Detokenize) => RevealLevel::Full.name(),
            (Outcome::Done | Outcome::Refused(_), _) => "",
        }
        .to_owned(),
        count: group.items,
        record_numbers: group.numbers.numbers().take(NUMBERS_MAX).map(|number| number.get()).collect(),
        token_hashes: group.token_hashes.iter().map(|hash| hash.0.to_vec()).collect(),
    });
    let open = AccessLogEntry {
        receipt: shown.receipt.clone(),
        log_time_ms: entry.log_time.0,
        wall_time_ms: head.wall_time.0,
        request_id: head.request_id.to_string(),
        action: head.action.to_string(),
        decision: head.decision.to_string(),
        reason: head.reason.map_or_else(String::new, |reason| reason.to_string()),
        purpose: head.purpose.as_ref().map_or_else(String::new, ToString::to_string),
        audience: head.audience.as_ref().map_or_else(String::new, ToString::to_string),
        policy_ids: entry.policies.iter().map(|policy| policy.as_ref().to_owned()).collect(),
        policy_version: hex(&head.policy_set.0),
        items: items.collect(),
        count: head.count.get().into(),
        ..AccessLogEntry::default()
    };
    if sealed(entry).is_none() {
        return open;
    }
    AccessLogEntry {
        tenant: shown.tenant.clone(),
        principal: shown.principal.clone(),
        explained_principal: shown.explained_principal.clone(),
        certificate_sha256: shown.certificate_sha256.clone(),
        identity_issuer: shown.identity_issuer.clone(),
        source: shown.source.clone(),
        reference: shown.reference.clone(),
        ..open
    }
}

/// The part about people, where there is one.
pub(crate) fn sealed(entry: &Entry) -> Option<&SealedPeople> {
    match &entry.people {
        SealedPart::Sealed(sealed) => Some(sealed),
        SealedPart::None | SealedPart::Clear(_) => None,
    }
}
