//! OCSF (schema.ocsf.io) 1.5.0: Datastore Activity (6005) for what is done with values and tokens, API Activity (6003)
//! for the rest, both with the profile security_control.

use serde_json::{Map, Value, json};
use vault_proto::v1::AccessLogEntry;

use super::{
    json::{items_json, summary},
    place,
};

/// The version of the schema.
const SCHEMA: &str = "1.5.0";
const PRODUCT: &str = "Tokenvault";
/// Application Activity.
const CATEGORY: u64 = 6;
const API_ACTIVITY: u64 = 6003;
const DATASTORE_ACTIVITY: u64 = 6005;

/// An entry as one event.
pub(super) fn event(entry: &AccessLogEntry) -> Value {
    let (origin, index, leaf) = place(entry);
    let (class, activity) = activity(&entry.action);
    let is_allowed = entry.decision == "allowed";
    let is_denied = entry.decision == "denied";
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| {
        if !is_empty(&value) {
            event.insert(name.to_owned(), value);
        }
    };
    put("category_uid", CATEGORY.into());
    put("class_uid", class.into());
    put("activity_id", activity.into());
    put("type_uid", (class * 100 + activity).into());
    put("time", entry.log_time_ms.into());
    put("severity_id", if is_denied { 3 } else { 1 }.into());
    put("status_id", if is_allowed { 1 } else { 2 }.into());
    put("status_code", entry.reason.clone().into());
    put("message", summary(entry).into());
    put("count", entry.count.into());
    // Failed is what policy allowed and nothing came of.
    put("action_id", if is_denied { 2 } else { 1 }.into());
    put("disposition_id", if is_denied { 2 } else { 1 }.into());
    put("authorizations", authorizations(entry));
    put("metadata", metadata(entry, (origin, index, &leaf)));
    put("actor", actor(entry));
    put("src_endpoint", source(entry));
    if class == DATASTORE_ACTIVITY {
        put("type_id", 3.into());
        // The vault's own store is of none of the kinds that there are.
        put("database", json!({ "name": region(origin), "type_id": 99, "type": "Token vault" }));
        let mut classes = entry.items.iter().map(|items| items.data_class.as_str());
        if let Some(first) = classes.next().filter(|first| classes.all(|class| class == *first)) {
            put("table", json!({ "name": first }));
        }
    } else {
        put("api", api(entry));
    }
    put("unmapped", unmapped(entry, &leaf));
    Value::Object(event)
}

/// The class of an action, and what it is within the class.
fn activity(action: &str) -> (u64, u64) {
    match action {
        "tokenize" => (DATASTORE_ACTIVITY, 9),
        "detokenize" => (DATASTORE_ACTIVITY, 10),
        "renew" | "suspend" | "resume" | "revoke" => (DATASTORE_ACTIVITY, 2),
        "purge" => (DATASTORE_ACTIVITY, 7),
        "deny_access_token" => (API_ACTIVITY, 1),
        "apply_policies" => (API_ACTIVITY, 3),
        "prune_access_log" => (API_ACTIVITY, 4),
        "query_access_log"
        | "export_access_log"
        | "get_checkpoint"
        | "describe"
        | "find"
        | "explain_access"
        | "list_denied"
        | "plan_policies"
        | "list_policy_versions"
        | "get_policy_version" => (API_ACTIVITY, 2),
        _ => (API_ACTIVITY, 99),
    }
}

fn metadata(entry: &AccessLogEntry, (origin, index, leaf): (&str, u64, &str)) -> Value {
    json!({
        "version": SCHEMA,
        "product": { "name": PRODUCT, "vendor_name": PRODUCT, "version": env!("CARGO_PKG_VERSION") },
        "profiles": ["security_control"],
        "log_name": origin,
        "sequence": index,
        "uid": leaf,
        "correlation_uid": entry.request_id,
        "tenant_uid": entry.tenant,
        "original_time": super::log_time(entry),
    })
}

/// Who did it: for what names nobody, the vault itself.
fn actor(entry: &AccessLogEntry) -> Value {
    if entry.principal.is_empty() {
        return json!({ "app_name": PRODUCT });
    }
    let mut actor = json!({ "user": { "uid": entry.principal } });
    let issuer = &entry.identity_issuer;
    if let Some(actor) = actor.as_object_mut().filter(|_| !issuer.is_empty()) {
        actor.insert("idp".to_owned(), json!({ "name": issuer }));
    }
    actor
}

/// Where the call came from. An endpoint has to be named by something: without an address, by the caller, or by the
/// vault for what it does by itself.
fn source(entry: &AccessLogEntry) -> Value {
    match (entry.source.as_str(), entry.principal.as_str()) {
        ("", "") => json!({ "svc_name": PRODUCT }),
        ("", principal) => json!({ "uid": principal }),
        (address, _) => json!({ "ip": address }),
    }
}

fn authorizations(entry: &AccessLogEntry) -> Value {
    let (decision, version) = (&entry.decision, &entry.policy_version);
    let policy = |id: &String| json!({ "decision": decision, "policy": { "uid": id, "name": id, "version": version } });
    entry.policy_ids.iter().map(policy).collect()
}

fn api(entry: &AccessLogEntry) -> Value {
    let mut api = json!({
        "operation": entry.action,
        "service": { "name": PRODUCT },
        "request": { "uid": entry.request_id },
    });
    if let Some(api) = api.as_object_mut().filter(|_| !entry.reason.is_empty()) {
        api.insert("response".to_owned(), json!({ "error": entry.reason }));
    }
    api
}

/// What the schema has no place for.
fn unmapped(entry: &AccessLogEntry, leaf: &str) -> Value {
    let mut unmapped = Map::new();
    let texts = [
        ("leaf_hash", leaf),
        ("decision", &entry.decision),
        ("purpose", &entry.purpose),
        ("reference", &entry.reference),
        ("audience", &entry.audience),
        ("policy_version", &entry.policy_version),
        ("certificate_sha256", &entry.certificate_sha256),
        ("explained_principal", &entry.explained_principal),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        unmapped.insert(name.to_owned(), text.into());
    }
    unmapped.insert("wall_time".to_owned(), entry.wall_time_ms.into());
    unmapped.insert("items".to_owned(), items_json(&entry.items).into());
    Value::Object(unmapped)
}

/// The region of an origin, `<vault>/audit/<region>/<life>`.
fn region(origin: &str) -> &str {
    origin.split('/').nth(2).unwrap_or(origin)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}
