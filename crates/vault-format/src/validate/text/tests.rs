//! Texts: lengths, control characters, spellings.

use proptest::prelude::*;

use super::*;
use crate::Rule;

fn limits(change: impl FnOnce(&mut TextLimits)) -> TextLimits {
    let mut limits = TextLimits::of_bytes(100);
    change(&mut limits);
    limits
}

#[test]
fn characters_and_bytes_are_counted_apart() {
    let limits = TextLimits { bytes_max: 8, chars_min: 2, chars_max: 4, ..TextLimits::of_bytes(8) };
    for (text, expected) in [
        ("ab", Ok(())),
        ("abcd", Ok(())),
        ("äöüß", Ok(())), // 4 characters, 8 bytes
        ("a", Err(Rejection::Length)),
        ("ä", Err(Rejection::Length)),
        ("abcde", Err(Rejection::Length)),
        ("äöü€", Err(Rejection::Length)), // 4 characters, 9 bytes
        ("", Err(Rejection::Length)),
    ] {
        assert_eq!(validate(&limits, text.as_bytes()), expected, "{text}");
    }
    assert_eq!(validate(&limits, b"ab\xff"), Err(Rejection::Utf8));
}

#[test]
fn control_characters_are_taken_as_the_class_says() {
    let all: Vec<char> = ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').collect();
    for (controls, allowed) in
        [(Controls::None, &[][..]), (Controls::LineEnds, &['\t', '\n', '\r'][..]), (Controls::Any, &all[..])]
    {
        let limits = limits(|limits| limits.controls = controls);
        for c in &all {
            let expected = if allowed.contains(c) { Ok(()) } else { Err(Rejection::Characters) };
            assert_eq!(validate(&limits, format!("a{c}b").as_bytes()), expected, "{c:?} {controls:?}");
        }
        assert_eq!(validate(&limits, "a\u{a0}\u{200b}\u{202e}b".as_bytes()), Ok(()), "{controls:?}");
    }
}

/// Texts and their form C, from the examples of Unicode Standard Annex #15 (tables 2 to 5 and figure 3 to 6).
const SPELLINGS: [(&str, &str); 9] = [
    ("\u{212b}", "\u{c5}"),
    ("\u{2126}", "\u{3a9}"),
    ("A\u{30a}", "\u{c5}"),
    ("o\u{302}", "\u{f4}"),
    ("s\u{323}\u{307}", "\u{1e69}"),
    ("d\u{307}\u{323}", "\u{1e0d}\u{307}"),
    ("q\u{307}\u{323}", "q\u{323}\u{307}"),
    ("Zoe\u{308}", "Zo\u{eb}"),
    ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
];

#[test]
fn spellings_are_normalised_refused_or_kept_as_the_class_says() {
    for (given, normal) in SPELLINGS {
        let rule = |spelling| Rule::text(limits(|limits| limits.spelling = spelling)).unwrap();
        for (spelling, expected, canonical) in [
            (Spelling::Normalise, Ok(()), normal),
            (Spelling::Require, Err(Rejection::NotNfc), given),
            (Spelling::Keep, Ok(()), given),
        ] {
            let rule = rule(spelling);
            assert_eq!(rule.validate(given.as_bytes()), expected, "{given} {spelling:?}");
            assert_eq!(rule.canonical(given.as_bytes()).expose(), canonical.as_bytes(), "{given} {spelling:?}");
            assert_eq!(rule.validate(normal.as_bytes()), Ok(()), "{normal} {spelling:?}");
            assert_eq!(rule.canonical(normal.as_bytes()).expose(), normal.as_bytes(), "{normal} {spelling:?}");
        }
    }
    // Compatibility is no equivalence: the ligature stays one.
    assert_eq!(Rule::text(limits(|_| ())).unwrap().canonical("\u{fb01}".as_bytes()).expose(), "\u{fb01}".as_bytes());
}

#[test]
fn the_form_that_grows_most_has_room() {
    // U+FB2C becomes three characters, three times as long (UAX #15, expansion factors).
    let text = "\u{fb2c}".repeat(10);
    let rule = Rule::text(limits(|_| ())).unwrap();
    let canonical = rule.canonical(text.as_bytes());
    assert_eq!(str::from_utf8(canonical.expose()).unwrap(), "\u{5e9}\u{5bc}\u{5c1}".repeat(10));
    assert!(canonical.expose().len() <= NFC_GROWTH_MAX * text.len());
}

#[test]
fn limits_of_texts_that_make_no_sense_are_refused() {
    for (chars_min, chars_max) in [(0, 5), (6, 5), (1, 101), (usize::MAX, usize::MAX), (0, 0)] {
        let limits = limits(|limits| (limits.chars_min, limits.chars_max) = (chars_min, chars_max));
        assert!(matches!(Rule::text(limits), Err(RuleError::Chars)), "{limits:?}");
    }
}

proptest! {
    #[test]
    fn form_c_is_final_and_never_grows_more_than_it_may(text in "\\PC{0,20}") {
        let rule = Rule::text(limits(|_| ())).unwrap();
        let once = rule.canonical(text.as_bytes());
        prop_assert!(once.expose().len() <= NFC_GROWTH_MAX * text.len());
        prop_assert!(unicode_normalization::is_nfc(str::from_utf8(once.expose()).unwrap()) || text.len() > 100);
        let twice = rule.canonical(once.expose());
        prop_assert_eq!(twice.expose(), once.expose());
    }
}
