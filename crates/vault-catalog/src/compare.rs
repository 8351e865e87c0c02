//! What two catalogs say differently, setting by setting, whatever it comes to. Comments, descriptions, order, and
//! defaults that are written out make no difference.
//!
//! It goes by the text and by the schema, and knows no key by itself: a key that is new to the catalog is compared as
//! the others are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{document::SECTIONS, schema::catalog_schema};

/// The key that is for people alone.
const DESCRIPTION: &str = "description";
/// The key whose value is a list of grants.
const GRANTS: &str = "grants";

/// Something that two catalogs say differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The section: `classes`, `accounts` and so on.
    pub section: &'static str,
    /// The entry's name.
    pub name: String,
    /// The setting; None: the entry as a whole is in one of the two alone. Of grants, each is told for itself.
    pub setting: Option<String>,
    /// What the old catalog says; None: nothing.
    pub was: Option<Value>,
    /// What the new catalog says; None: nothing.
    pub is: Option<Value>,
}

/// The differences between two texts that are catalogs, by section, name and setting. Of a text that is no TOML nothing
/// is told: [`crate::Catalog::parse`] refuses it.
#[must_use]
pub fn differences(old: &str, new: &str) -> Vec<Difference> {
    let schema = catalog_schema();
    let (old, new) = (read(old, &schema), read(new, &schema));
    let mut found = Vec::new();
    for section in SECTIONS {
        let none = Entries::new();
        let (old, new) = (old.get(section).unwrap_or(&none), new.get(section).unwrap_or(&none));
        for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
            let told = |setting, was: Option<&Value>, is: Option<&Value>| Difference {
                section,
                name: name.clone(),
                setting,
                was: was.cloned(),
                is: is.cloned(),
            };
            match (old.get(name), new.get(name)) {
                (Some(was), Some(is)) => {
                    for key in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
                        let (was, is) = (was.get(key), is.get(key));
                        if key == GRANTS {
                            let only = |a: Option<&Value>, b: Option<&Value>| {
                                items(a).iter().filter(|item| !items(b).contains(item)).cloned().collect::<Vec<_>>()
                            };
                            let grant = || Some(GRANTS.to_owned());
                            found.extend(only(was, is).iter().map(|gone| told(grant(), Some(gone), None)));
                            found.extend(only(is, was).iter().map(|come| told(grant(), None, Some(come))));
                        } else if was != is {
                            found.push(told(Some(key.clone()), was, is));
                        }
                    }
                }
                (was, is) => {
                    let whole = |entry: &Map<String, Value>| Value::Object(entry.clone());
                    let (was, is) = (was.map(whole), is.map(whole));
                    found.push(told(None, was.as_ref(), is.as_ref()));
                }
            }
        }
    }
    found
}

/// The entries of a section.
type Entries = BTreeMap<String, Map<String, Value>>;

/// A catalog in one form for all that means the same.
fn read(text: &str, schema: &Value) -> BTreeMap<String, Entries> {
    let document: Map<String, Value> = toml::from_str(text).unwrap_or_default();
    let sections = document.into_iter().map(|(section, entries)| {
        let shape = schema.pointer(&format!("/properties/{section}/additionalProperties"));
        let entries = entries.as_object().into_iter().flatten().map(|(name, entry)| {
            let entry = plain(entry, shape, schema);
            (name.clone(), entry.as_object().cloned().unwrap_or_default())
        });
        (section, entries.collect())
    });
    sections.collect()
}

/// A value without what is left out as well as said: descriptions and defaults. Lists are sets in a catalog.
fn plain(value: &Value, shape: Option<&Value>, schema: &Value) -> Value {
    let shape = shape.map(|shape| {
        let reference = shape.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        reference.and_then(|path| schema.pointer(path)).unwrap_or(shape)
    });
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(key, _)| *key != DESCRIPTION).filter_map(|(key, value)| {
                let shape = shape.and_then(|shape| shape.get("properties")?.get(key));
                let value = plain(value, shape, schema);
                let is_default = shape.and_then(|shape| shape.get("default")).is_some_and(|default| *default == value);
                (!is_default).then(|| (key.clone(), value))
            });
            let mut fields: Vec<_> = fields.collect();
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(list) => {
            let shape = shape.and_then(|shape| shape.get("items"));
            let mut list: Vec<Value> = list.iter().map(|item| plain(item, shape, schema)).collect();
            list.sort_by_cached_key(Value::to_string);
            list.dedup();
            Value::Array(list)
        }
        other => other.clone(),
    }
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(old: &str, new: &str) -> Vec<String> {
        let word = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), ToString::to_string);
        let line = |difference: &Difference| {
            let setting = difference.setting.as_deref().unwrap_or("*");
            let (was, is) = (word(&difference.was), word(&difference.is));
            format!("{} {} {setting} {was} {is}", difference.section, difference.name)
        };
        differences(old, new).iter().map(line).collect()
    }

    #[test]
    fn what_means_the_same_makes_no_difference() {
        let old = "[tenants.a]\n[classes.x]\nrule = 'email'\n[accounts.'dns:a.example']\ntenant = 'a'\n\
                   regions = ['eu', 'us']\ngrants = [{actions = ['detokenize', 'describe'], classes = ['x']},\
                   {actions = ['get_checkpoint']}]\n";
        let new = "# another order\n[accounts.'dns:a.example']\nregions = ['us', 'eu']\ntenant = 'a'\naudiences = []\n\
                   access_token = 'optional'\ngrants = [{actions = ['get_checkpoint']},\
                   {classes = ['x'], level = 'full', actions = ['describe', 'detokenize']}]\n\
                   [classes.x]\ndescription = 'x'\nrule = 'email'\nformat = 'opaque'\ndeterminism = 'none'\n\
                   purpose_required = true\n[tenants.a]\n";
        assert_eq!(told(old, new), [""; 0]);
        assert!(differences(crate::SAMPLE, crate::SAMPLE).is_empty());
    }

    #[test]
    fn every_setting_is_told_with_what_it_was_and_is() {
        let old = "[classes.x]\nrule = 'email'\n[accounts.'dns:a.example']\ntenant = 'a'\nregions = ['eu']\n\
                   grants = [{actions = ['detokenize'], classes = ['x']}]\n[purposes.p]\n[regions.eu]\n";
        let new = "[classes.x]\nrule = 'email'\nmask = 'email'\n[accounts.'dns:a.example']\ntenant = 'b'\n\
                   regions = ['eu', 'us']\ngrants = [{actions = ['detokenize'], classes = ['x'], scopes = ['s']}]\n\
                   [regions.eu]\nendpoint = 'https://a.example'\n[audiences.q]\n";
        assert_eq!(
            told(old, new),
            [
                r#"regions eu endpoint - "https://a.example""#,
                "audiences q * - {}",
                "purposes p * {} -",
                r#"classes x mask - "email""#,
                r#"accounts dns:a.example grants {"actions":["detokenize"],"classes":["x"]} -"#,
                r#"accounts dns:a.example grants - {"actions":["detokenize"],"classes":["x"],"scopes":["s"]}"#,
                r#"accounts dns:a.example regions ["eu"] ["eu","us"]"#,
                r#"accounts dns:a.example tenant "a" "b""#,
            ]
        );
    }

    /// The schema names every key, and a change of any of them is told.
    #[test]
    fn no_key_of_the_schema_is_passed_over() {
        let schema = catalog_schema();
        let mut keys = 0;
        for section in SECTIONS {
            let shape = schema.pointer(&format!("/properties/{section}/additionalProperties/$ref")).unwrap();
            let shape = schema.pointer(shape.as_str().unwrap().trim_start_matches('#')).unwrap();
            for key in shape["properties"].as_object().unwrap().keys().filter(|key| *key != DESCRIPTION) {
                let text = |value: &str| format!("[{section}.x]\n{key} = {value}\n");
                let (old, new) = (text("['a value']"), text("['another one']"));
                assert_eq!(differences(&old, &new).len(), if key == GRANTS { 2 } else { 1 }, "{section} {key}");
                keys += 1;
            }
        }
        assert!(keys > 30, "{keys}");
        assert_eq!(differences("[classes.x]\na = 1", "[classes.x]\na = 2")[0].is, Some(json!(2)), "nor one beside it");
    }
}
