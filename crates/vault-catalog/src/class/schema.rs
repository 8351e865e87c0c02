//! What the keys of a data class look like, for the schema: the words and bounds that classes are read with.

use schemars::{Schema, json_schema};
use serde_json::{Map, Value, json};
use vault_domain::limits;
use vault_format::{DATE_YEAR_MAX, DATE_YEAR_MIN, PATTERN_BYTES_MAX};

use super::{
    Determinism, RuleName, STEP_UP_SECONDS_MAX, TTL_SECONDS_MAX,
    format::{ALPHABETS, FORMATS, LUHN, NUMERALS, RANGES},
    rule::{CONTROLS, HYPHENS, SPELLINGS},
};
use crate::schema::shapes;

shapes! {
    /// A rule.
    RuleWord(_generator) = word(&RuleName::ALL.iter().map(|rule| rule.name()).collect::<Vec<_>>());
    /// Control characters of a text.
    ControlsWord(_generator) = word_or_first(&names(&CONTROLS));
    /// Spellings of a text.
    SpellingWord(_generator) = word_or_first(&names(&SPELLINGS));
    /// Hyphens of a Social Security number.
    HyphensWord(_generator) = word_or_first(&names(&HYPHENS));
    /// A format.
    FormatWord(_generator) = word_or_first(&names(&FORMATS));
    /// What the Luhn check makes of tokens.
    LuhnWord(_generator) = word(&names(&LUHN));
    /// Where tokens lie.
    RangeWord(_generator) = word_or_first(&names(&RANGES));
    /// The letters of a format.
    AlphabetWord(_generator) = word(&[names(&ALPHABETS), names(&NUMERALS)].concat());
    /// When the same value has the same token.
    DeterminismWord(_generator) =
        word_or_first(&Determinism::ALL.iter().map(|determinism| determinism.name()).collect::<Vec<_>>());
    /// A length of values.
    Length(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": limits::VALUE_BYTES_MAX});
    /// A number of characters that stay.
    Kept(_generator) = json_schema!({"type": "integer", "minimum": 0});
    /// A year of dates.
    Year(_generator) = json_schema!({"type": "integer", "minimum": DATE_YEAR_MIN, "maximum": DATE_YEAR_MAX});
    /// A lifetime in seconds.
    Assurance(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": 3});
    StepUpAge(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": STEP_UP_SECONDS_MAX});
    Lifetime(_generator) = json_schema!({"type": "integer", "minimum": 1, "maximum": TTL_SECONDS_MAX});
    /// The text of a regular expression.
    Pattern(_generator) = json_schema!({"type": "string", "minLength": 1, "maxLength": PATTERN_BYTES_MAX});
}

fn word(known: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": known})
}

/// A word of a list whose first holds where there is none.
fn word_or_first(known: &[&str]) -> Schema {
    json_schema!({"type": "string", "enum": known, "default": known.first()})
}

fn names<T>(known: &[(&'static str, T)]) -> Vec<&'static str> {
    known.iter().map(|(name, _)| *name).collect()
}

/// The keys that belong to single rules.
const RULE_KEYS: [&str; 11] = [
    "pattern",
    "length_bytes_max",
    "length_chars_min",
    "length_chars_max",
    "controls",
    "spelling",
    "digits_min",
    "digits_max",
    "year_min",
    "year_max",
    "hyphens",
];

/// The keys that a rule needs, and those that it takes beside them.
const fn keys_of(rule: RuleName) -> (&'static [&'static str], &'static [&'static str]) {
    match rule {
        RuleName::Pan
        | RuleName::Email
        | RuleName::Iban
        | RuleName::Phone
        | RuleName::DeSteuerId
        | RuleName::EsDniNie
        | RuleName::FrNir
        | RuleName::NlBsn
        | RuleName::PlPesel
        | RuleName::UkNino => (&[], &[]),
        RuleName::UsSsn => (&[], &["hyphens"]),
        RuleName::Date => (&["year_min", "year_max"], &[]),
        RuleName::Digits => (&["digits_min", "digits_max"], &[]),
        RuleName::Pattern => (&["pattern", "length_bytes_max"], &[]),
        RuleName::Text => (&["length_bytes_max"], &["length_chars_min", "length_chars_max", "controls", "spelling"]),
        RuleName::Bytes => (&["length_bytes_max"], &[]),
    }
}

/// Adds to the schema of a class which keys go with which rule.
pub(crate) fn keys_of_rules(schema: &mut Schema) {
    let rules = RuleName::ALL.iter().map(|rule| {
        let (needed, taken) = keys_of(*rule);
        let others = RULE_KEYS.iter().filter(|key| !needed.contains(key) && !taken.contains(key));
        let refused: Map<String, Value> = others.map(|key| ((*key).to_owned(), json!(false))).collect();
        json!({
            "if": {"properties": {"rule": {"const": rule.name()}}, "required": ["rule"]},
            "then": {"required": needed, "properties": refused},
        })
    });
    let shared = json!({
        "if": {"properties": {"determinism": {"const": Determinism::PerClass.name()}}, "required": ["determinism"]},
        "then": {"required": ["audiences"], "properties": {"audiences": {"minItems": 1}}},
        "else": {"properties": {"audiences": false}},
    });
    schema.insert("allOf".to_owned(), rules.chain([shared]).collect());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::base_with;

    /// A good value of each key.
    fn value(key: &str) -> &'static str {
        match key {
            "pattern" => "'[a-z]'",
            "controls" => "'any'",
            "spelling" => "'keep'",
            "hyphens" => "'required'",
            "year_min" | "year_max" => "2000",
            _ => "9",
        }
    }

    #[test]
    fn the_keys_of_a_rule_are_those_that_it_is_read_with() {
        for rule in RuleName::ALL {
            let (needed, taken) = keys_of(*rule);
            let class = |keys: &[&str]| {
                let lines: String = keys.iter().map(|key| format!("{key} = {}\n", value(key))).collect();
                base_with(&format!("[classes.x]\nrule = '{}'\n{lines}", rule.name()))
            };
            assert!(class(needed).is_ok() && class(&[needed, taken].concat()).is_ok(), "{}", rule.name());
            for left_out in needed {
                let rest: Vec<&str> = needed.iter().copied().filter(|key| key != left_out).collect();
                assert!(class(&rest).unwrap_err().to_string().contains("is missing"), "{} {left_out}", rule.name());
            }
            for key in RULE_KEYS.iter().filter(|key| !needed.contains(key) && !taken.contains(key)) {
                let refused = class(&[needed, &[*key]].concat()).unwrap_err().to_string();
                assert!(refused.contains("belongs to another rule"), "{} {key}: {refused}", rule.name());
            }
        }
    }
}
