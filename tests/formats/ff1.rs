//! `ff1`: a value and its token are two texts of one domain, and either leads to the other.

use std::sync::LazyLock;

use proptest::prelude::*;
use vault_domain::Audience;
use vault_format::{LuhnMode, Numerals, Permuted};
use vault_keys::{ClassKeys, Way};

use crate::{
    evenness::assert_independent,
    keyring::{Keyring, audience},
};

static RING: LazyLock<Keyring> = LazyLock::new(Keyring::new);

/// What the engine does for a class with this rule; `None` if the value is refused.
fn to_token(rule: &Permuted, keys: &ClassKeys, audience: &Audience, value: &[u8]) -> Option<String> {
    let mut parts = rule.of_value(value).ok()?;
    let (kept, numerals) = parts.split();
    keys.permute(Way::ToToken, rule.numerals.radix(), numerals, audience, kept).unwrap();
    Some(parts.into_token().into_exposed())
}

/// The way back; `None` if it is no token of the rule.
fn to_value(rule: &Permuted, keys: &ClassKeys, audience: &Audience, token: &str) -> Option<Vec<u8>> {
    let mut parts = rule.of_token(token)?;
    let (kept, numerals) = parts.split();
    keys.permute(Way::ToValue, rule.numerals.radix(), numerals, audience, kept).unwrap();
    Some(parts.into_value().to_vec())
}

/// The Luhn check, written down once more.
fn passes_luhn(text: &[u8]) -> bool {
    let digits = text.iter().rev().filter(|byte| byte.is_ascii_digit()).map(|digit| u32::from(digit - b'0'));
    let terms = digits.enumerate().map(|(at, digit)| if at % 2 == 1 { digit / 5 + digit * 2 % 10 } else { digit });
    terms.sum::<u32>().is_multiple_of(10)
}

/// Six digits and the one that makes them pass the Luhn check.
fn checked(number: u32) -> String {
    let with = |last| format!("{number:06}{last}");
    (0..10).map(with).find(|text| passes_luhn(text.as_bytes())).unwrap()
}

/// The smallest domain there is, whole: a million values, all of which pass the check and none of whose tokens does.
/// Every place of tokens holds every digit equally often, for they are a permutation: what is left to chance is whether
/// a digit of the value says anything about a digit of the token, 81 degrees of freedom for each pair of places.
#[test]
fn the_smallest_domain_is_permuted_whole_and_no_digit_tells_another() {
    let rule = Permuted { numerals: Numerals::Digits, keep_first: 0, keep_last: 0, luhn: LuhnMode::Invalid };
    let (keys, shop) = (RING.class("small"), audience("shop"));
    let mut seen = vec![false; 1_000_000];
    let mut tables = vec![[[0_u32; 10]; 10]; 36];
    for number in 0..1_000_000 {
        let value = checked(number);
        let token = to_token(&rule, &keys, &shop, value.as_bytes()).unwrap();
        assert!(token.len() == 7 && token.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(!passes_luhn(token.as_bytes()));
        assert_eq!(to_value(&rule, &keys, &shop, &token).unwrap(), value.as_bytes());
        let free: usize = token[..6].parse().unwrap();
        assert!(!std::mem::replace(&mut seen[free], true), "two values have one token");
        for (from, digit) in value.bytes().take(6).enumerate() {
            for (to, drawn) in token.bytes().take(6).enumerate() {
                tables[from * 6 + to][usize::from(digit - b'0')][usize::from(drawn - b'0')] += 1;
            }
        }
    }
    assert!(seen.iter().all(|seen| *seen));
    for (pair, table) in tables.iter().enumerate() {
        assert_independent(table, &format!("digit {} of the value, {} of the token", pair / 6, pair % 6));
    }
}

/// What is kept is part of the tweak: values that differ in it alone have nothing in common in the rest.
#[test]
fn a_token_depends_on_what_is_kept_and_on_the_audience_and_the_class() {
    let rule = Permuted { numerals: Numerals::Digits, keep_first: 6, keep_last: 4, luhn: LuhnMode::Any };
    let middle = |class, audience_name, value: &str| {
        let keys = RING.class(class);
        to_token(&rule, &keys, &audience(audience_name), value.as_bytes()).unwrap()[6..12].to_owned()
    };
    let value = "4111111234567890";
    let first = middle("card", "shop", value);
    assert_eq!(middle("card", "shop", value), first, "the same each time");
    for other in ["5111111234567890", "4111121234567890", "4111111234560890", "4111111234567891"] {
        assert_eq!(value[6..12], other[6..12].to_owned().replace("234560", "234567"));
        assert_ne!(middle("card", "shop", other), first, "{other}");
    }
    assert_ne!(middle("card", "stock", value), first);
    assert_ne!(middle("other", "shop", value), first);
}

fn rules() -> impl Strategy<Value = Permuted> {
    let numerals = prop::sample::select(vec![Numerals::Digits, Numerals::UpperCase, Numerals::Alphanumeric]);
    let luhn = prop::sample::select(vec![LuhnMode::Any, LuhnMode::Valid, LuhnMode::Invalid]);
    (numerals, 0..10_usize, 0..10_usize, luhn).prop_map(|(numerals, keep_first, keep_last, luhn)| match luhn {
        LuhnMode::Any => Permuted { numerals, keep_first, keep_last, luhn },
        // A catalog takes a check digit for digits alone, and keeps nothing behind it.
        LuhnMode::Valid | LuhnMode::Invalid => Permuted { numerals: Numerals::Digits, keep_first, keep_last: 0, luhn },
    })
}

/// A value that the rule may take: of its alphabet, with separators; with a check digit if it asks for one.
fn value_for(rule: &Permuted, text: &str) -> String {
    let of_alphabet = |c: char| match rule.numerals {
        Numerals::Digits => c.is_ascii_digit(),
        Numerals::UpperCase => c.is_ascii_digit() || c.is_ascii_uppercase(),
        Numerals::Alphanumeric => c.is_ascii_alphanumeric(),
    };
    let plain = rule.luhn != LuhnMode::Any;
    let mut value: String = text.chars().filter(|c| of_alphabet(*c) || !c.is_alphanumeric() && !plain).collect();
    if plain {
        let last = ('0'..='9').find(|last| passes_luhn(format!("{value}{last}").as_bytes())).unwrap();
        value.push(last);
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn a_computed_token_has_the_format_of_its_value_and_leads_back(
        rule in rules(), text in "[0-9]{8,30}|[0-9A-Z .-]{4,40}|[0-9A-Za-z @/_]{4,80}",
    ) {
        let (keys, shop) = (RING.class("any"), audience("shop"));
        let value = value_for(&rule, &text);
        let Some(token) = to_token(&rule, &keys, &shop, value.as_bytes()) else { return Ok(()) };
        prop_assert_eq!(token.len(), value.len());
        let end = value.len().saturating_sub(rule.keep_last);
        let mut free = 0;
        for (at, (was, is)) in value.chars().zip(token.chars()).enumerate() {
            if at < rule.keep_first.min(value.len()) || at >= end || !was.is_ascii_alphanumeric() {
                let check_digit = rule.luhn != LuhnMode::Any && at + 1 == value.len();
                prop_assert!(was == is || check_digit, "place {} was to stay", at);
            } else {
                let numerals = &crate::BASE62[..rule.numerals.radix() as usize];
                prop_assert!(numerals.contains(&u8::try_from(is).unwrap()), "place {}", at);
                free += 1;
            }
        }
        let check_digits = u32::from(rule.luhn != LuhnMode::Any);
        prop_assert!(f64::from(rule.numerals.radix()).powi(free - check_digits as i32) > 999_999.0);
        match rule.luhn {
            LuhnMode::Any => {}
            LuhnMode::Valid => prop_assert!(passes_luhn(token.as_bytes())),
            LuhnMode::Invalid => prop_assert!(!passes_luhn(token.as_bytes())),
        }
        prop_assert_eq!(to_value(&rule, &keys, &shop, &token), Some(value.into_bytes()));
    }
}
