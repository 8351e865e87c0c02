//! The JSON Schema of the configuration, for editors: the table of keys in another form.

use serde_json::{Map, Value, json};
use vault_domain::limits;

use super::key::{Absent, KEYS, Key, Kind, REGION_PATTERN};

/// The JSON Schema (draft 2020-12) of a configuration file.
///
/// It marks no key as required: each can be set from the environment instead.
#[must_use]
pub fn configuration_schema() -> Value {
    let mut properties = Map::new();
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Hidden)) {
        match key.path.split_once('.') {
            None => {
                properties.insert(key.path.to_owned(), schema_of(key));
            }
            Some((section, name)) => {
                let section = properties
                    .entry(section)
                    .or_insert_with(|| json!({"type": "object", "properties": {}, "additionalProperties": false}));
                if let Some(Value::Object(inside)) = section.get_mut("properties") {
                    inside.insert(name.to_owned(), schema_of(key));
                }
            }
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of a Tokenvault",
        "description": "vault.toml, as `tokenvault serve --config` reads it. Relative paths are relative to the file.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn schema_of(key: &Key) -> Value {
    let mut schema = match &key.kind {
        Kind::Word(words, _) => json!({"type": "string", "enum": words}),
        Kind::Name(pattern, _) => json!({"type": "string", "pattern": pattern}),
        Kind::Address => json!({"type": "string", "pattern": "^([0-9.]{7,15}|\\[[0-9A-Fa-f:.%]+\\]):[0-9]{1,5}$"}),
        Kind::Path | Kind::SecretPath => path_schema(),
        Kind::Paths => json!({"type": "array", "items": path_schema()}),
        Kind::Regions => json!({
            "type": "array",
            "items": {"type": "string", "pattern": REGION_PATTERN, "not": {"const": "node"}},
            "minItems": 1, "maxItems": limits::REGIONS_MAX, "uniqueItems": true,
        }),
        // Never in a file.
        Kind::Hidden => json!(false),
        Kind::Words(words) => json!({"type": "array", "items": {"type": "string", "enum": words}, "uniqueItems": true}),
        Kind::Names(pattern, _) => json!({"type": "array", "items": {"type": "string", "pattern": pattern}}),
        Kind::Bytes(range) | Kind::Seconds(range) | Kind::Days(range) => {
            json!({"type": "integer", "minimum": range.start(), "maximum": range.end()})
        }
    };
    let default = match &key.absent {
        Absent::Required | Absent::Unset | Absent::BesideData(_) | Absent::InDev(..) => None,
        Absent::Word(word) => Some(json!(word)),
        Absent::Number(number) => Some(json!(number)),
        Absent::Words(words) => Some(json!(words)),
        Absent::None => Some(json!([])),
    };
    let needed = matches!(key.absent, Absent::Required);
    if let Value::Object(schema) = &mut schema {
        if needed && matches!(key.kind, Kind::Paths) {
            schema.insert("minItems".to_owned(), json!(1));
        }
        schema.extend(default.map(|default| ("default".to_owned(), default)));
        schema.insert("description".to_owned(), json!(description(key)));
    }
    schema
}

fn path_schema() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": super::key::PATH_BYTES_MAX, "pattern": "^[^\\x00-\\x1f]+$"})
}

/// Meaning, default where a program can't state it, and variable.
fn description(key: &Key) -> String {
    let default = match (&key.absent, key.default()) {
        (Absent::Required, _) => " Required.".to_owned(),
        (Absent::BesideData(_) | Absent::InDev(..), Some(default)) => format!(" Default: {default}."),
        _ => String::new(),
    };
    let unit = key.unit().map(|unit| format!(" In {unit}.")).unwrap_or_default();
    format!("{}{unit}{default} Overridden by {}.", key.meaning, key.variable())
}
