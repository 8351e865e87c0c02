//! The JSON Schema of a catalog, for editors: the shapes of `document.rs`, the words and the bounds that the catalog is
//! read with.
//!
//! It takes every catalog that the vault takes. What it can't say (that a name is declared, that tokens have room) the
//! vault alone finds: a file that fits the schema is not yet a catalog.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};
use vault_domain::{RevealLevel, limits};

use crate::{
    GRANTS_MAX, NAMES_MAX,
    account::{ACCESS_TOKEN, DATA_ACTIONS, LOG_ACTIONS},
    budget::{BUDGET_ITEMS_MAX, BUDGETS_MAX},
    document::{RawAccount, RawBudget, RawClass, RawGrant, RawNamed, RawRate, RawRegion, SECTIONS},
    rate::{RATE_CALLS_MAX, RATES_MAX},
};

/// What a value of a key looks like, for the fields that say so.
macro_rules! shapes {
    ($($(#[$doc:meta])* $shape:ident($generator:ident) = $schema:expr;)*) => {
        $(
            $(#[$doc])*
            pub(crate) enum $shape {}

            impl schemars::JsonSchema for $shape {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($shape).into()
                }

                fn inline_schema() -> bool {
                    true
                }

                fn json_schema($generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    $schema
                }
            }
        )*
    };
}
pub(crate) use shapes;

shapes! {
    /// A tenant, audience, purpose or data class.
    Name(_generator) = json_schema!({"type": "string", "pattern": name_pattern()});
    /// A region.
    RegionName(_generator) = json_schema!({
        "type": "string", "pattern": region_pattern(), "not": {"const": "node"},
    });
    /// An account, by the name that its certificate carries or its access token becomes.
    Principal(_generator) = json_schema!({
        "type": "string",
        "pattern": "^(spiffe://[a-z0-9._-]+(/[A-Za-z0-9._-]+)+|dns:[a-z0-9.-]+|subject:([A-Z]+=[^,=]*(,|$))+|\
                    (?!spiffe:|dns:|subject:)[a-z][a-z0-9_-]{0,31}:(?!//)[!-~]+)$",
        "maxLength": limits::PRINCIPAL_BYTES_MAX,
    });
    /// Where another vault listens.
    Endpoint(_generator) = json_schema!({
        "type": "string", "pattern": "^https://[a-z0-9.-]+(:[1-9][0-9]{0,4})?$",
    });
    /// Names, each once.
    Names(generator) = list::<Name>(generator, 0);
    /// Names, each once and one at least.
    SomeNames(generator) = list::<Name>(generator, 1);
    /// Regions, each once and one at least.
    RegionNames(generator) = list::<RegionName>(generator, 1);
    /// Whether an access token is needed.
    AccessToken(_generator) = {
        json_schema!({"type": "string", "enum": ACCESS_TOKEN.map(|(word, _)| word), "default": "optional"})
    };
    /// An action.
    Action(_generator) = {
        let names: Vec<_> = DATA_ACTIONS.into_iter().chain(LOG_ACTIONS).map(|action| action.name()).collect();
        json_schema!({"type": "string", "enum": names})
    };
    /// An action on data.
    DataAction(_generator) = {
        json_schema!({"type": "string", "enum": DATA_ACTIONS.map(vault_domain::Action::name)})
    };
    /// Actions on data, each once and one at least.
    DataActions(generator) = list::<DataAction>(generator, 1);
    /// Accounts, each once and one at least.
    Principals(generator) = list::<Principal>(generator, 1);
    /// A number of items.
    BudgetItems(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": BUDGET_ITEMS_MAX});
    /// A number of calls.
    RateCalls(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": RATE_CALLS_MAX});
    /// How much of a value is shown.
    Level(_generator) = {
        let names: Vec<_> = RevealLevel::ALL.iter().map(|level| level.name()).collect();
        json_schema!({"type": "string", "enum": names, "default": RevealLevel::Full.name()})
    };
    /// Actions, each once and one at least.
    Actions(generator) = list::<Action>(generator, 1);
    /// A scope of an access token.
    Scope(_generator) = json_schema!({"type": "string", "pattern": "^[!#-\\[\\]-~]{1,64}$"});
    /// Scopes, each once and one at least.
    Scopes(generator) = list::<Scope>(generator, 1);
    /// What is granted to an account.
    Grants(generator) = json_schema!({
        "type": "array", "items": generator.subschema_for::<RawGrant>(), "maxItems": GRANTS_MAX,
    });
}

fn list<Item: JsonSchema>(generator: &mut SchemaGenerator, least: usize) -> Schema {
    json_schema!({
        "type": "array", "items": generator.subschema_for::<Item>(), "minItems": least, "uniqueItems": true,
    })
}

fn name_pattern() -> String {
    format!("^[a-z][a-z0-9_-]{{0,{}}}$", limits::NAME_BYTES_MAX - 1)
}

fn region_pattern() -> String {
    format!("^[a-z][a-z0-9]{{0,{}}}$", limits::REGION_BYTES_MAX - 1)
}

/// The JSON Schema (draft 2020-12) of a catalog.
#[must_use]
pub fn catalog_schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with_transform(as_toml);
    let mut generator = settings.into_generator();
    let sections: Map<String, Value> =
        SECTIONS.into_iter().map(|section| (section.to_owned(), section_schema(section, &mut generator))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The catalog of a Tokenvault",
        "description": "catalog.toml: what is kept in the vault, and who may ask for what. Fitting this schema is not \
                        all: `tokenvault config check` finds names that lead nowhere and formats without room.",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
        "$defs": generator.take_definitions(true),
    })
}

/// A section: entries of one shape by their names.
fn section_schema(section: &str, generator: &mut SchemaGenerator) -> Value {
    let (description, max) = match section {
        "tenants" => ("Who owns data. No tenant ever sees anything of another.", NAMES_MAX),
        "regions" => ("Where records live, each with its own store, keys and log.", NAMES_MAX),
        "audiences" => ("Who tokens are for.", NAMES_MAX),
        "purposes" => ("The reasons that callers state.", NAMES_MAX),
        "classes" => ("Kinds of values.", limits::CLASSES_MAX),
        "budgets" => ("How often who may do what: every budget that covers an item must have room.", BUDGETS_MAX),
        "rates" => ("How many calls a second: every rate that covers a caller must have room for its call.", RATES_MAX),
        _ => ("The services that may call, by the names that their certificates carry.", limits::ACCOUNTS_MAX),
    };
    let (names, entries) = match section {
        "regions" => (generator.subschema_for::<RegionName>(), generator.subschema_for::<RawRegion>()),
        "classes" => (generator.subschema_for::<Name>(), generator.subschema_for::<RawClass>()),
        "rates" => (generator.subschema_for::<Name>(), generator.subschema_for::<RawRate>()),
        "budgets" => (generator.subschema_for::<Name>(), generator.subschema_for::<RawBudget>()),
        "accounts" => (generator.subschema_for::<Principal>(), generator.subschema_for::<RawAccount>()),
        _ => (generator.subschema_for::<Name>(), generator.subschema_for::<RawNamed>()),
    };
    json!({
        "type": "object",
        "description": description,
        "propertyNames": names,
        "additionalProperties": entries,
        "maxProperties": max,
    })
}

/// TOML knows no null: a key that may be left out is left out. Lines of comments are broken for the code alone.
fn as_toml(schema: &mut Schema) {
    schemars::transform::transform_subschemas(&mut as_toml, schema);
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (key, value) in only {
                object.entry(key).or_insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
