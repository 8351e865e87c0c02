//! Tokens as callers bring them back, values as they bring them, and records as the store does.

use std::sync::LazyLock;

use vault_catalog::{Catalog, Class, Format};
use vault_crypto::CallRandom;
use vault_domain::{Entropy, EntropyError, RecordNumber, Region, limits};
use vault_format::{LuhnMode, OPAQUE_TOKEN_BYTES_MAX, OpaqueToken, PERMUTED_BYTES_MAX, Rule, Template, UuidToken};
use vault_keys::Record;

use super::{assert_clear, text};

static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::parse(include_str!("../corpus/catalog/every_format")).unwrap());

/// The same bytes each time.
#[derive(Debug)]
struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(9);
        Ok(())
    }
}

pub(super) fn record(bytes: &[u8]) {
    let number = RecordNumber::new(7).unwrap();
    if let Some(record) = Record::parse(number, bytes) {
        assert_eq!(record.number(), number);
        assert!(record.parent().is_none_or(|parent| parent <= RecordNumber::MAX));
    }
}

/// A text that is presented as a token, to every format there is.
pub(super) fn token(bytes: &[u8]) {
    let text = text(bytes);
    match OpaqueToken::parse(&text) {
        Ok(token) => {
            assert!(token.to_text().expose() == text, "one token has one text");
            assert!(text.len() <= OPAQUE_TOKEN_BYTES_MAX && Region::parse(token.region()).is_ok());
            assert!(UuidToken::parse(&text).is_err(), "a token of two formats");
            assert_eq!(format!("{token:?}"), "OpaqueToken(..)");
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
    match UuidToken::parse(&text) {
        Ok(token) => {
            assert!(token.to_text().expose() == text.to_ascii_lowercase(), "one UUID has one text but for its case");
            assert!(UuidToken::from_bytes(*token.bytes()).is_some_and(|same| same == token));
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
    for class in CATALOG.classes() {
        match class.format() {
            Format::FormatPreserving(config) if config.is_well_formed(&text) => {
                assert!(text.len() <= limits::VALUE_BYTES_MAX);
                assert!(config.reserved.is_none() || class.rule().validate(bytes).is_err(), "{}: a value", class.id());
            }
            Format::Ff1(permuted) => {
                let Some(mut parts) = permuted.of_token(&text) else { continue };
                assert!(text.len() <= PERMUTED_BYTES_MAX && text.is_ascii());
                let (kept, numerals) = parts.split();
                assert!(kept.len() == text.len() && numerals.iter().all(|n| u32::from(*n) < permuted.numerals.radix()));
                assert!(parts.into_token().expose() == text, "one token has one text");
            }
            _ => {}
        }
    }
}

/// A value of the class that the first byte chooses: taken or refused by a rule's name, and what is made of it fits.
pub(super) fn value(bytes: &[u8]) {
    let Some((which, value)) = bytes.split_first() else { return };
    let classes: Vec<&Class> = CATALOG.classes().collect();
    let Some(class) = classes.get(usize::from(*which) % classes.len()) else { return };
    let rule = class.rule();
    if let Err(rejection) = rule.validate(value) {
        assert_clear(&format!("{rejection} ({})", rejection.rule()), value);
        return;
    }
    assert!((1..=rule.bytes_max()).contains(&value.len()) && rule.bytes_max() <= limits::VALUE_BYTES_MAX);
    assert_canonical(rule, value);
    match class.format() {
        Format::FormatPreserving(config) => match Template::for_value(&config, value) {
            Ok(template) => {
                assert!(template.space() >= u128::from(limits::FORMAT_PRESERVING_SPACE_MIN));
                let token = template.candidate(CallRandom::seeded(&Fixed).unwrap().rng()).unwrap();
                assert!(token.expose().len() == value.len() && token.expose().as_bytes() != value);
                assert!(config.is_well_formed(token.expose()), "{}: no token of the class", class.id());
                assert!(
                    config.reserved.is_none() || rule.validate(token.expose().as_bytes()).is_err(),
                    "{}",
                    class.id()
                );
            }
            Err(rejection) => assert_clear(&rejection.to_string(), value),
        },
        Format::Ff1(permuted) => match permuted.of_value(value) {
            Ok(parts) => {
                // Unpermuted, for there is no key here: the way there and back is all that is asked.
                let token = parts.into_token();
                assert_eq!(token.expose().len(), value.len());
                assert!(
                    permuted.luhn == LuhnMode::Any
                        || token.expose().as_bytes()[..value.len() - 1] == value[..value.len() - 1]
                );
                let back = permuted.of_token(token.expose()).unwrap().into_value();
                assert!(*back == value, "{}: a value is lost", class.id());
            }
            Err(rejection) => assert_clear(&rejection.to_string(), value),
        },
        Format::Opaque | Format::Uuid | Format::OneWay => {}
    }
}

/// The form by which equal values are found is the same for itself.
fn assert_canonical(rule: &Rule, value: &[u8]) {
    let canonical = rule.canonical(value);
    let again = rule.canonical(canonical.expose());
    assert!(again.expose() == canonical.expose(), "a canonical form has another one");
}
