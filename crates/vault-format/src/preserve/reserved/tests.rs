//! Tokens of a reserved range: no rule takes them for a value, and nothing else about them changes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rand::{SeedableRng, rngs::ChaCha12Rng};

use super::*;
use crate::{Hyphens, LuhnMode, PersonalId, Preserving, Rejection, Rule, Template, preserve::tests::unevenness};

/// A range, the rule whose values it keeps clear of, and values of that rule with the size of their space.
type RangeRow = (Reserved, Rule, Vec<(&'static str, u128)>);

fn ranges() -> Vec<RangeRow> {
    vec![
        (
            Reserved::Iban,
            Rule::iban(),
            vec![
                ("DE89370400440532013000", 26_u128.pow(2) * 10_u128.pow(18)),
                ("gb29 nwbk 6016 1331 9268 19", 26_u128.pow(6) * 10_u128.pow(14)),
            ],
        ),
        (
            Reserved::Phone,
            Rule::phone(),
            vec![("+41 22 730 51 11", 10_u128.pow(10)), ("+12015550123", 10_u128.pow(10))],
        ),
        (
            Reserved::UsSsn,
            Rule::us_ssn(Hyphens::Optional),
            vec![("055-09-0001", 10_u128.pow(7)), ("899999999", 10_u128.pow(7))],
        ),
        (Reserved::Date, Rule::date(1583, 9999).unwrap(), vec![("2000-02-29", 5 * 10_u128.pow(7))]),
        (
            Reserved::DeSteuerId,
            Rule::personal_id(PersonalId::DeSteuerId),
            vec![("86 095 742 719", 10_u128.pow(10)), ("25768131411", 10_u128.pow(10))],
        ),
        (
            Reserved::FrNir,
            Rule::personal_id(PersonalId::FrNir),
            vec![("255081416802538", 2 * 10_u128.pow(14)), ("253072A07300443", 2 * 26 * 10_u128.pow(13))],
        ),
        (Reserved::PlPesel, Rule::personal_id(PersonalId::PlPesel), vec![("44051401458", 5 * 7 * 10_u128.pow(9))]),
        (
            Reserved::UkNino,
            Rule::personal_id(PersonalId::UkNino),
            vec![
                ("AB123456C", 6 * 26_u128.pow(2) * 10_u128.pow(6)),
                ("ab 12 34 56 c", 6 * 26_u128.pow(2) * 10_u128.pow(6)),
            ],
        ),
    ]
}

fn config(reserved: Reserved) -> Preserving {
    Preserving { reserved: Some(reserved), ..Preserving::keeping(0, 0) }
}

fn same_class(a: u8, b: u8) -> bool {
    (a.is_ascii_digit() && b.is_ascii_digit())
        || (a.is_ascii_lowercase() && b.is_ascii_lowercase())
        || (a.is_ascii_uppercase() && b.is_ascii_uppercase())
        || a == b && !a.is_ascii_alphanumeric()
}

#[test]
fn no_token_of_a_reserved_range_is_a_value_of_its_rule() {
    let mut source = ChaCha12Rng::from_seed([4; 32]);
    for (reserved, rule, values) in ranges() {
        let config = config(reserved);
        for (value, space) in values {
            assert_eq!(rule.validate(value.as_bytes()), Ok(()), "{value}");
            assert!(!config.is_well_formed(value), "{value}");
            let template = Template::for_value(&config, value.as_bytes()).unwrap();
            assert_eq!(template.space(), space, "{value}");
            let mut firsts = BTreeSet::new();
            for _ in 0..2000 {
                let token = template.candidate(&mut source).unwrap();
                let token = token.expose();
                assert!(rule.validate(token.as_bytes()).is_err(), "{value} {token}");
                assert!(config.is_well_formed(token), "{value} {token}");
                assert!(token.len() == value.len() && token.bytes().zip(value.bytes()).all(|(a, b)| same_class(a, b)));
                let chars: Vec<u8> = token.bytes().filter(u8::is_ascii_alphanumeric).collect();
                let own = reserved.places().iter().map(|(place, _)| chars[*place].to_ascii_uppercase());
                firsts.insert(own.collect::<Vec<_>>());
            }
            // Every choice of every place comes up.
            let combinations: usize = reserved.places().iter().map(|(_, choices)| choices.len()).product();
            assert_eq!(firsts.len(), combinations, "{value}");
        }
    }
}

/// Every combination of choices, with 34 degrees of freedom at most, and 9 in each other place of a digit.
#[test]
fn the_choices_of_a_reserved_range_are_even_and_so_is_the_rest() {
    let mut source = ChaCha12Rng::from_seed([12; 32]);
    for (reserved, _, values) in ranges() {
        let drawn = reserved.places().iter().any(|(_, choices)| reserved.free_choices(choices) > 1);
        let places: Vec<usize> = reserved.places().iter().map(|(place, _)| *place).collect();
        let template = Template::for_value(&config(reserved), values[0].0.as_bytes()).unwrap();
        let mut choices = BTreeMap::<Vec<u8>, usize>::new();
        let mut digits = BTreeMap::<(usize, u8), usize>::new();
        for _ in 0..20_000 {
            let token = template.candidate(&mut source).unwrap();
            let chars: Vec<u8> = token.expose().bytes().filter(u8::is_ascii_alphanumeric).collect();
            *choices.entry(places.iter().map(|place| chars[*place]).collect()).or_default() += 1;
            for (at, byte) in
                chars.iter().enumerate().filter(|(at, byte)| !places.contains(at) && byte.is_ascii_digit())
            {
                *digits.entry((at, *byte)).or_default() += 1;
            }
        }
        assert!(!drawn || unevenness(choices.values().copied()).abs() < 4.5, "{reserved:?}: {choices:?}");
        for (at, _) in digits.keys().filter(|(_, byte)| *byte == b'0') {
            let place: Vec<usize> = digits.range((*at, 0)..=(*at, u8::MAX)).map(|(_, count)| *count).collect();
            assert!(place.len() == 10 && unevenness(place.iter().copied()).abs() < 4.5, "{reserved:?} at {at}");
        }
    }
}

/// The numbers that the Internal Revenue Service gives look like Social Security numbers of an area 9xx.
#[test]
fn no_token_of_a_social_security_number_is_a_number_of_a_taxpayer() {
    let template = Template::for_value(&config(Reserved::UsSsn), b"055-09-0001").unwrap();
    let mut source = ChaCha12Rng::from_seed([5; 32]);
    let mut groups = BTreeSet::new();
    for _ in 0..2000 {
        let token = template.candidate(&mut source).unwrap().into_exposed();
        assert!(token.starts_with('9'), "{token}");
        groups.insert(token[4..6].parse::<u8>().unwrap());
    }
    assert_eq!(groups, (40..50).collect());
}

#[test]
fn tokens_of_ibans_fail_a_check_of_the_remainder_alone() {
    // A short number, so that the remainder of 1 comes up and the other pair of digits is needed.
    let config = config(Reserved::Iban);
    let template = Template::for_value(&config, b"NO9386011117947").unwrap();
    let mut source = ChaCha12Rng::from_seed([6; 32]);
    let mut pairs = [0; 2];
    for _ in 0..20_000 {
        let token = template.candidate(&mut source).unwrap().into_exposed();
        let (front, back) = token.split_at(4);
        assert_ne!(mod97::remainder(format!("{back}{front}").bytes()), 1, "{token}");
        pairs[usize::from(token.as_bytes()[3] - b'0')] += 1;
    }
    // One in 97.
    assert!((120..300).contains(&pairs[1]), "{pairs:?}");
}

#[test]
fn what_tells_a_token_from_a_value_can_not_be_kept() {
    use Rejection::{ReservedKept, TokenSpace};
    let table: [(Reserved, &str, usize, usize, Option<Rejection>); 14] = [
        (Reserved::Iban, "DE89370400440532013000", 2, 0, None),
        (Reserved::Iban, "DE89370400440532013000", 2, 4, None),
        (Reserved::Iban, "DE89370400440532013000", 3, 0, Some(ReservedKept)),
        (Reserved::Iban, "DE89370400440532013000", 4, 0, Some(ReservedKept)),
        (Reserved::Iban, "DE89370400440532013000", 0, 19, Some(ReservedKept)),
        (Reserved::Iban, "DE89370400440532013000", 2, 15, Some(TokenSpace)),
        (Reserved::UsSsn, "055-09-0001", 0, 1, None),
        (Reserved::UsSsn, "055-09-0001", 0, 2, Some(TokenSpace)),
        (Reserved::UsSsn, "055-09-0001", 1, 0, Some(ReservedKept)),
        (Reserved::Phone, "+41227305111", 1, 0, None),
        (Reserved::Phone, "+41227305111", 2, 0, Some(ReservedKept)),
        (Reserved::Date, "2000-02-29", 4, 0, Some(TokenSpace)),
        (Reserved::Date, "no date", 0, 0, Some(ReservedKept)),
        (Reserved::UkNino, "123", 0, 0, Some(ReservedKept)),
    ];
    for (reserved, value, keep_first, keep_last, expected) in table {
        let config = Preserving { reserved: Some(reserved), ..Preserving::keeping(keep_first, keep_last) };
        assert_eq!(Template::for_value(&config, value.as_bytes()).err(), expected, "{value} {keep_first} {keep_last}");
    }
}

#[test]
fn a_reserved_range_and_a_prescribed_luhn_check_exclude_each_other() {
    for luhn in [LuhnMode::Invalid, LuhnMode::Valid] {
        let config = Preserving { luhn, ..config(Reserved::Phone) };
        assert_eq!(Template::for_value(&config, b"+41227305111").err(), Some(Rejection::TokenSpace));
    }
}

proptest! {
    #[test]
    fn no_bytes_break_a_reserved_range(
        value: Vec<u8>,
        keep_first in 0..8_usize,
        keep_last in 0..8_usize,
        seed: [u8; 32],
    ) {
        for (reserved, rule, _) in ranges() {
            let config = Preserving { reserved: Some(reserved), ..Preserving::keeping(keep_first, keep_last) };
            if let Ok(template) = Template::for_value(&config, &value) {
                let token = template.candidate(&mut ChaCha12Rng::from_seed(seed)).unwrap();
                prop_assert!(config.is_well_formed(token.expose()));
                prop_assert!(rule.validate(token.expose().as_bytes()).is_err());
            }
        }
    }

    #[test]
    fn tokens_of_accounts_and_numbers_keep_their_format_and_their_range(
        iban in "[A-Za-z]{2}[0-9]{2}( ?[0-9A-Za-z]){11,30}",
        phone in r"\+[1-9]([ .-]?[0-9]){6,14}",
        seed: [u8; 32],
    ) {
        for (reserved, value) in [(Reserved::Iban, iban), (Reserved::Phone, phone)] {
            let config = config(reserved);
            if let Ok(template) = Template::for_value(&config, value.as_bytes()) {
                let token = template.candidate(&mut ChaCha12Rng::from_seed(seed)).unwrap();
                prop_assert!(token.expose().bytes().zip(value.bytes()).all(|(a, b)| same_class(a, b)));
                prop_assert_eq!(token.expose().len(), value.len());
                prop_assert!(Rule::iban().validate(token.expose().as_bytes()).is_err());
                prop_assert!(Rule::phone().validate(token.expose().as_bytes()).is_err());
                let again = Template::for_value(&config, token.expose().as_bytes()).unwrap();
                prop_assert_eq!(again.space(), template.space());
            }
        }
    }
}
