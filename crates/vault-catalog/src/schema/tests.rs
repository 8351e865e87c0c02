//! That the schema says what the reader does, where it is not made of the same list.

use serde_json::Value;

use super::*;
use crate::tests::base_with;

#[test]
fn everything_in_the_schema_is_explained_and_nothing_else_is_taken() {
    fn check(schema: &Value, path: &str) {
        if let Some(Value::Object(properties)) = schema.get("properties") {
            // What `then` and `else` say of properties is no shape.
            if ["/if", "/then", "/else"].iter().any(|condition| path.contains(condition)) {
                return;
            }
            assert!(schema["additionalProperties"] == json!(false), "{path}");
            for (key, value) in properties {
                let text = value.get("description").and_then(Value::as_str).unwrap_or_default();
                assert!(text.len() > 10, "{path}: {key} has no description");
            }
        }
        match schema {
            Value::Object(object) => object.iter().for_each(|(key, value)| check(value, &format!("{path}/{key}"))),
            Value::Array(array) => array.iter().for_each(|value| check(value, path)),
            _ => {}
        }
    }
    let schema = catalog_schema();
    check(&schema, "");
    let text = schema.to_string();
    assert!(!text.contains("null") && !text.contains("\"format\":\"u"), "{text}");
    let keys = schema["$defs"]["class"]["properties"].as_object().unwrap();
    assert_eq!(keys.len(), 30, "{:?}", keys.keys());
    assert_eq!(schema["$defs"]["class"]["required"], json!(["rule"]));
    assert_eq!(schema["$defs"]["account"]["required"], json!(["tenant", "regions"]));
    assert_eq!(schema["$defs"]["grant"]["required"], json!(["actions"]));
}

#[test]
fn a_default_of_the_schema_changes_nothing_when_it_is_written_out() {
    let schema = catalog_schema();
    let keys = schema["$defs"]["class"]["properties"].as_object().unwrap();
    let mut seen = 0;
    for (key, about) in keys {
        let Some(default) = about.get("default") else { continue };
        let class = match key.as_str() {
            "length_chars_min" | "controls" | "spelling" => "rule = 'text'\nlength_bytes_max = 9\n",
            "hyphens" => "rule = 'us_ssn'\n",
            "keep_first" | "keep_last" => "rule = 'pan'\nformat = 'format_preserving'\n",
            "range" => "rule = 'phone'\nformat = 'format_preserving'\n",
            _ => "rule = 'email'\n",
        };
        let made = |more: &str| {
            let catalog = base_with(&format!("[classes.x]\n{class}{more}")).unwrap();
            format!("{:?}", catalog.class("x").unwrap())
        };
        assert_eq!(made(""), made(&format!("{key} = {default}\n")), "{key}");
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[test]
fn names_are_judged_alike() {
    let pattern = |text: &str| regex(text).unwrap();
    fn regex(text: &str) -> Result<vault_format::Rule, vault_format::RuleError> {
        vault_format::Rule::pattern(text.trim_start_matches('^').trim_end_matches('$'), 1000)
    }
    let (names, regions) = (pattern(&name_pattern()), pattern(&region_pattern()));
    let long = "a".repeat(64);
    for text in ["a", "a-b_9", "9a", "-a", "A", "a b", "aé", "a.b", "", &long, &format!("{long}a"), &long[..16]] {
        let is_name = vault_domain::Tenant::parse(text).is_ok();
        assert_eq!(names.validate(text.as_bytes()).is_ok(), is_name, "{text}");
        let is_region = vault_domain::Region::parse(text).is_ok();
        assert_eq!(regions.validate(text.as_bytes()).is_ok(), is_region, "{text}");
    }
}
