//! What two configurations say differently about who may do what: the part of `tokenvault config diff` that goes by
//! what is written, and not by what it comes to. What a question can't see is told here.
//!
//! Compared are the catalogs setting by setting, the policies one by one, the file of issuers, and the keys of the
//! configuration that decide who gets in and where. Where nothing of all this differs, nobody's access does.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use vault_catalog::Difference;
use vault_domain::RulesFingerprint;
use vault_policy::PolicySet;
use vault_server::{Config, Environment, Reading, SettingValue};

use crate::{exit::Failure, output::Column};

/// The columns of these changes, for people; policies are too long for a cell.
pub(crate) const COLUMNS: &[Column] = &[
    ("where", "/section"),
    ("name", "/name"),
    ("", "/change"),
    ("setting", "/setting"),
    ("was", "/was"),
    ("is", "/is"),
];

/// Keys of the configuration by which callers get in, and where.
const KEYS: [&str; 11] = [
    "mode",
    "vault",
    "regions",
    "rules_from",
    "tls.client_ca",
    "tls.client_crl",
    "tls.spiffe_trust_domains",
    "tls.dns_principals",
    "tls.subject_principals",
    "replay.required_for",
    "replay.window_seconds",
];

/// A configuration with all that decides who may do what.
pub(crate) struct Rules {
    pub(crate) policies: PolicySet,
    catalog: String,
    issuers: Value,
    keys: Map<String, Value>,
}

impl Rules {
    /// Reads it, whatever else may be wrong with it; the environment overrides nothing.
    pub(crate) fn read(path: &std::path::Path) -> Result<Self, Failure> {
        let reading = Reading::of_file(path, &Environment::default())?;
        let settings = reading.settings().iter().filter(|setting| KEYS.contains(&setting.key()));
        let keys = settings.filter_map(|setting| Some((setting.key().to_owned(), value(setting.value()?)))).collect();
        let config: Config = reading.into_config()?;
        let issuers = config.issuers_settings()?.unwrap_or_default();
        let policies = config.policies()?;
        Ok(Self { policies, catalog: config.rule_texts()?.catalog, issuers, keys })
    }

    /// Those of a running vault: how callers come to it is not known, and stays as it is.
    pub(crate) fn of_texts(policies: PolicySet, catalog: String) -> Self {
        Self { policies, catalog, issuers: Value::Null, keys: Map::new() }
    }

    /// The fingerprint of catalog and policies as they are written, comments included.
    pub(crate) fn fingerprint(&self) -> RulesFingerprint {
        self.policies.rules_fingerprint()
    }
}

/// That catalog and policies are the same but for comments, descriptions, order, layout, or defaults that are written
/// out. It opens and closes nothing, and is a step all the same: the vault would go by another fingerprint.
pub(crate) fn of_texts(old: &Rules, new: &Rules) -> Option<Value> {
    let (was, is) = (old.fingerprint(), new.fingerprint());
    (was != is).then(|| {
        let texts = |fingerprint: RulesFingerprint| Some(json!(fingerprint.to_string()));
        change("texts", "rules", "", None, texts(was), texts(is))
    })
}

/// What catalogs and policies say differently: without it, every question has the same answer.
pub(crate) fn of_rules(old: &Rules, new: &Rules) -> Vec<Value> {
    let mut changes: Vec<Value> =
        vault_catalog::differences(&old.catalog, &new.catalog).iter().map(of_catalog).collect();
    let (was, is) = (old.policies.texts(), new.policies.texts());
    for id in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (was.get(id), is.get(id));
        if was.map(|(meaning, _)| meaning) != is.map(|(meaning, _)| meaning) {
            let text = |policy: Option<&(Value, String)>| policy.map(|(_, text)| json!(text));
            changes.push(change("policy", "policies", id.as_str(), None, text(was), text(is)));
        }
    }
    changes
}

/// What else decides who gets in, and as whom.
pub(crate) fn of_doors(old: &Rules, new: &Rules) -> Vec<Value> {
    let mut changes = Vec::new();
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (was, is) = (fields(&old.issuers), fields(&new.issuers));
    // Of the file of issuers, the section of each issuer is told by its keys; what stands before them by itself.
    let sections = |file: &Map<String, Value>| file.get("issuers").map(fields).unwrap_or_default();
    let (issuers_were, issuers_are) = (sections(&was), sections(&is));
    for name in issuers_were.keys().chain(issuers_are.keys()).collect::<BTreeSet<_>>() {
        let (was, is) = (issuers_were.get(name).map(fields), issuers_are.get(name).map(fields));
        match (was, is) {
            (Some(was), Some(is)) => changes.extend(settings("issuer", "issuers", name, &was, &is)),
            (was, is) => {
                changes.push(change("issuer", "issuers", name, None, was.map(Value::Object), is.map(Value::Object)))
            }
        }
    }
    let rest = |mut file: Map<String, Value>| {
        file.remove("issuers");
        file
    };
    changes.extend(settings("issuer", "issuers", "", &rest(was), &rest(is)));
    changes.extend(settings("configuration", "configuration", "", &old.keys, &new.keys));
    changes
}

fn settings(kind: &str, section: &str, name: &str, was: &Map<String, Value>, is: &Map<String, Value>) -> Vec<Value> {
    let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let differing = keys.into_iter().filter(|key| was.get(*key) != is.get(*key));
    differing.map(|key| change(kind, section, name, Some(key), was.get(key).cloned(), is.get(key).cloned())).collect()
}

fn of_catalog(difference: &Difference) -> Value {
    let Difference { section, name, setting, was, is } = difference;
    change("catalog", section, name, setting.as_deref(), was.clone(), is.clone())
}

/// One change as a record. The same change has the same id, wherever and whenever it is told.
fn change(
    kind: &str,
    section: &str,
    name: &str,
    setting: Option<&str>,
    was: Option<Value>,
    is: Option<Value>,
) -> Value {
    let word = match (&was, &is) {
        (None, Some(_)) => "added",
        (Some(_), None) => "removed",
        _ => "changed",
    };
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    // A policy changes once in a step and has a name, its `@id`: its text is not part of what the change is called.
    let values = if kind == "policy" { Vec::new() } else { vec![text(&was), text(&is)] };
    let parts = [kind, section, name, setting.unwrap_or_default(), word].map(str::to_owned);
    let id = [&parts[..], &values].concat().join("|");
    json!({
        "id": id, "kind": kind, "change": word, "section": section, "name": name, "setting": setting,
        "was": was, "is": is,
    })
}

/// What a key is set to. Paths say where something lies, not what it is.
fn value(value: &SettingValue) -> Value {
    match value {
        SettingValue::Names(names) => {
            let sorted: BTreeSet<&String> = names.iter().collect();
            json!(sorted)
        }
        SettingValue::Bytes(number) | SettingValue::Seconds(number) | SettingValue::Days(number) => json!(number),
        SettingValue::Text(_) => json!(value.to_string()),
        // Where they lie is another thing in every folder; their names tell which they are.
        SettingValue::Paths(paths) => {
            let names: BTreeSet<_> = paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            json!(names)
        }
        SettingValue::Path(_) | SettingValue::Hidden(_) => Value::Null,
    }
}
