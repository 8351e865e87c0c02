//! Tokens that keep a format: what is drawn, how evenly, and what is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use proptest::prelude::*;
use rand::{SeedableRng, TryCryptoRng, TryRng, rngs::ChaCha12Rng};

use super::*;

pub(super) const CARD: &str = "4111111111111111";
pub(super) const MODES: [LuhnMode; 3] = [LuhnMode::Invalid, LuhnMode::Valid, LuhnMode::Any];

pub(super) fn keeping(keep_first: usize, keep_last: usize, luhn: LuhnMode) -> Preserving {
    Preserving { luhn, ..Preserving::keeping(keep_first, keep_last) }
}

/// A generator that gives the same word for ever.
struct Stuck(u64);

impl TryRng for Stuck {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::try_from(self.0 >> 32).unwrap())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0)
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(self.0.to_le_bytes()[0]);
        Ok(())
    }
}

impl TryCryptoRng for Stuck {}

fn same_class(a: u8, b: u8) -> bool {
    a == b
        || a.is_ascii_digit() && b.is_ascii_digit()
        || a.is_ascii_lowercase() && b.is_ascii_lowercase()
        || a.is_ascii_uppercase() && b.is_ascii_uppercase()
}

/// The specification, said another way: whether `token` may stand for `value`.
fn may_stand_for(config: &Preserving, value: &str, token: &str) -> bool {
    let (value, token) = (value.as_bytes(), token.as_bytes());
    let tail = value.len().saturating_sub(config.keep_last);
    value.len() == token.len()
        && value != token
        && value
            .iter()
            .zip(token)
            .enumerate()
            .all(|(at, (&a, &b))| if at < config.keep_first || at >= tail { a == b } else { same_class(a, b) })
        && match config.luhn {
            LuhnMode::Invalid => !luhn::passes(token),
            LuhnMode::Valid => luhn::passes(token),
            LuhnMode::Any => true,
        }
}

/// Every text with the classes of `value`.
fn all_texts(value: &str) -> Vec<String> {
    value.bytes().fold(vec![String::new()], |texts, byte| {
        let choices: Vec<u8> = match byte {
            b'0'..=b'9' => (b'0'..=b'9').collect(),
            b'a'..=b'z' => (b'a'..=b'z').collect(),
            b'A'..=b'Z' => (b'A'..=b'Z').collect(),
            other => vec![other],
        };
        texts.iter().flat_map(|text| choices.iter().map(move |&c| format!("{text}{}", char::from(c)))).collect()
    })
}

/// The chi-square statistic of `counts` against an even spread, with one degree of freedom less than there are counts,
/// as a standard normal deviate (the transformation of Wilson and Hilferty). Tests allow 4.5 of it: chance alone passes
/// that once in 294,000 times (significance level 3.4e-6, one side).
pub(super) fn unevenness(counts: impl ExactSizeIterator<Item = usize> + Clone) -> f64 {
    let freedom = counts.len() as f64 - 1.0;
    let expected = counts.clone().sum::<usize>() as f64 / (freedom + 1.0);
    let chi_square: f64 = counts.map(|count| (count as f64 - expected).powi(2) / expected).sum();
    let variance = 2.0 / (9.0 * freedom);
    ((chi_square / freedom).cbrt() - (1.0 - variance)) / variance.sqrt()
}

#[test]
fn a_small_space_is_reached_whole_evenly_and_never_left() {
    let cases = [
        ("417", 0, 0), // fails Luhn: it is in the space of `Invalid`
        ("414", 0, 0), // passes: it is in the space of `Valid`
        ("411", 1, 0),
        ("411", 0, 1),
        ("4-1 1", 0, 1),
        ("4-1 1", 2, 0),
        ("a1", 0, 0),
        ("1B", 0, 0),
        ("z1A", 0, 1),
        ("00000", 2, 1),
        ("Zz@0", 1, 0),
    ];
    let mut source = ChaCha12Rng::from_seed([7; 32]);
    for (value, keep_first, keep_last) in cases {
        for luhn in MODES {
            let config = keeping(keep_first, keep_last, luhn);
            let expected: BTreeSet<String> =
                all_texts(value).into_iter().filter(|text| may_stand_for(&config, value, text)).collect();
            let template = Template::with_space_min(&config, value.as_bytes(), 2).unwrap();
            let own = usize::from(match luhn {
                LuhnMode::Invalid => !luhn::passes(value.as_bytes()),
                LuhnMode::Valid => luhn::passes(value.as_bytes()),
                LuhnMode::Any => true,
            });
            assert_eq!(template.space(), (expected.len() + own) as u128, "{value} {config:?}");

            let mut counts: BTreeMap<String, usize> = expected.into_iter().map(|text| (text, 0)).collect();
            for _ in 0..counts.len() * 60 {
                let token = template.candidate(&mut source).unwrap();
                let count = counts.get_mut(token.expose()).unwrap_or_else(|| panic!("outside: {}", token.expose()));
                *count += 1;
            }
            assert!(counts.values().all(|&count| count > 0), "{value} {config:?}");
            let unevenness = unevenness(counts.values().copied());
            assert!(unevenness.abs() < 4.5, "{value} {config:?}: {unevenness}");
        }
    }
}

#[test]
fn every_place_of_a_card_number_is_even() {
    // Long enough that a pool is emptied within one token, so that its seams are seen too.
    let value = "4111-1111-1111-1111 abcXYZ 0000000000";
    let mut source = ChaCha12Rng::from_seed([42; 32]);
    for luhn in MODES {
        let config = keeping(0, 4, luhn);
        let template = Template::for_value(&config, value.as_bytes()).unwrap();
        let mut counts = vec![BTreeMap::<u8, usize>::new(); value.len()];
        let mut pairs = BTreeMap::<(u8, u8), usize>::new();
        for _ in 0..20_000 {
            let token = template.candidate(&mut source).unwrap();
            let bytes = token.expose().as_bytes();
            counts.iter_mut().zip(bytes).for_each(|(count, &byte)| *count.entry(byte).or_default() += 1);
            *pairs.entry((bytes[2], bytes[3])).or_default() += 1;
        }
        for (at, (count, byte)) in counts.iter().zip(value.bytes()).enumerate() {
            let cells = match byte {
                _ if at >= value.len() - 4 => 1,
                b'0'..=b'9' => 10,
                b'a'..=b'z' | b'A'..=b'Z' => 26,
                _ => 1,
            };
            assert_eq!(count.len(), cells, "{luhn:?} at {at}");
            assert!(cells == 1 || unevenness(count.values().copied()).abs() < 4.5, "{luhn:?} at {at}");
        }
        assert_eq!(pairs.len(), 100);
        assert!(unevenness(pairs.values().copied()).abs() < 4.5, "{luhn:?}");
        // All places of a kind together: a byte taken modulo 26 shows here and in no place alone.
        for (first, last) in [(b'0', b'9'), (b'a', b'z'), (b'A', b'Z')] {
            let of_kind = value.bytes().zip(&counts).take(value.len() - 4);
            let of_kind = of_kind.filter(|(byte, _)| (first..=last).contains(byte)).map(|(_, count)| count);
            let together: Vec<usize> =
                (first..=last).map(|byte| of_kind.clone().filter_map(|count| count.get(&byte)).sum()).collect();
            assert!(unevenness(together.iter().copied()).abs() < 4.5, "{luhn:?}: {together:?}");
        }
    }
}

#[test]
fn a_card_number_keeps_what_it_shall() {
    let mut source = ChaCha12Rng::from_seed([1; 32]);
    for (config, space) in [
        (keeping(0, 4, LuhnMode::Invalid), 900_000_000_000),
        (keeping(0, 4, LuhnMode::Valid), 100_000_000_000),
        (keeping(6, 0, LuhnMode::Invalid), 9_000_000_000),
        (keeping(6, 4, LuhnMode::Any), 1_000_000),
    ] {
        let template = Template::for_value(&config, CARD.as_bytes()).unwrap();
        assert_eq!(template.space(), space, "{config:?}");
        for _ in 0..100 {
            let token = template.candidate(&mut source).unwrap();
            assert!(may_stand_for(&config, CARD, token.expose()), "{config:?}");
            assert!(config.is_well_formed(token.expose()));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens() {
    let config = keeping(0, 4, LuhnMode::Invalid);
    let template = Template::for_value(&config, CARD.as_bytes()).unwrap();
    let draw = |seed| {
        let mut source = ChaCha12Rng::from_seed([seed; 32]);
        [(); 3].map(|()| template.candidate(&mut source).unwrap().into_exposed())
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_eq!(draw(1).iter().collect::<BTreeSet<_>>().len(), 3);
}

/// Whoever replays a call with the same seed gets the same tokens, in every later version.
#[test]
fn the_tokens_of_a_seed_are_pinned() {
    let value = "4111-1111-1111-1111 Zoe Abc";
    let draw = |luhn| {
        let config = keeping(1, 2, luhn);
        let template = Template::for_value(&config, value.as_bytes()).unwrap();
        template.candidate(&mut ChaCha12Rng::from_seed([9; 32])).unwrap().into_exposed()
    };
    assert_eq!(
        MODES.map(draw),
        ["4635-6544-0388-7233 Sqm Wbc", "4635-6544-0388-7234 Osq Mbc", "4635-6544-0388-7236 Sqm Wbc"]
    );
}

#[test]
fn a_value_without_room_is_refused_by_name() {
    use Rejection::{Length, LuhnDigit, NotAscii, TokenSpace};
    let huge = vec![b'a'; limits::VALUE_BYTES_MAX + 1];
    let table: [(&[u8], Preserving, Rejection); 18] = [
        (b"", keeping(0, 0, LuhnMode::Any), TokenSpace),
        (b"", keeping(0, 0, LuhnMode::Invalid), LuhnDigit),
        (b"99999", keeping(0, 0, LuhnMode::Any), TokenSpace),
        (b"999999", keeping(0, 0, LuhnMode::Invalid), TokenSpace),
        (b"999999", keeping(0, 0, LuhnMode::Valid), TokenSpace),
        (CARD.as_bytes(), keeping(6, 4, LuhnMode::Invalid), TokenSpace),
        (CARD.as_bytes(), keeping(6, 5, LuhnMode::Any), TokenSpace),
        (CARD.as_bytes(), keeping(16, 0, LuhnMode::Any), TokenSpace),
        (CARD.as_bytes(), keeping(9, 9, LuhnMode::Invalid), LuhnDigit),
        (CARD.as_bytes(), keeping(usize::MAX, usize::MAX, LuhnMode::Any), TokenSpace),
        (b"abcdefgh1234", keeping(0, 4, LuhnMode::Invalid), LuhnDigit),
        (b"---- ---- ----", keeping(0, 0, LuhnMode::Any), TokenSpace),
        (b"\0\0\0\0\0\0\0\0", keeping(0, 0, LuhnMode::Any), TokenSpace),
        ("Zoë Müller-Lüdenscheidt".as_bytes(), keeping(0, 0, LuhnMode::Any), NotAscii),
        ("٤١١١١١١١١١١١١١١١".as_bytes(), keeping(0, 0, LuhnMode::Any), NotAscii),
        ("ä11111111111111".as_bytes(), keeping(2, 0, LuhnMode::Any), NotAscii),
        (b"411111111111111\xff", keeping(0, 1, LuhnMode::Any), NotAscii),
        (&huge, keeping(0, 0, LuhnMode::Any), Length),
    ];
    for (value, config, expected) in table {
        let refused = Template::for_value(&config, value).err();
        assert_eq!(refused, Some(expected), "{:?} {config:?}", value.get(..20).unwrap_or(value));
    }
}

#[test]
fn the_least_length_is_where_refusals_end() {
    for luhn in MODES {
        for (first, last) in [(0, 0), (6, 4), (0, 4), (6, 0)] {
            let config = keeping(first, last, luhn);
            let fits = |length: usize| Template::for_value(&config, "4".repeat(length).as_bytes()).is_ok();
            assert!(fits(config.digits_min()), "{config:?}");
            assert!(!fits(config.digits_min() - 1), "{config:?}");
        }
    }
    assert_eq!(keeping(6, 4, LuhnMode::Invalid).digits_min(), 17);
    assert_eq!(keeping(usize::MAX, 4, LuhnMode::Any).digits_min(), usize::MAX);
}

#[test]
fn the_largest_value_is_drawn_too() {
    let value = "a1".repeat(limits::VALUE_BYTES_MAX / 2);
    let config = keeping(1, 1, LuhnMode::Valid);
    let template = Template::for_value(&config, value.as_bytes()).unwrap();
    assert_eq!(template.space(), u128::MAX);
    let token = template.candidate(&mut ChaCha12Rng::from_seed([3; 32])).unwrap();
    assert!(may_stand_for(&config, &value, token.expose()));
}

#[test]
fn a_broken_source_is_an_error_and_no_token() {
    let config = keeping(0, 0, LuhnMode::Any);
    // Always in the part of a word that would bias a draw.
    let template = Template::for_value(&config, CARD.as_bytes()).unwrap();
    assert_eq!(template.candidate(&mut Stuck(u64::MAX)).err(), Some(EntropyError));
    // Always the value itself.
    let template = Template::for_value(&config, b"00000000").unwrap();
    assert_eq!(template.candidate(&mut Stuck(0)).err(), Some(EntropyError));
}

#[test]
fn a_well_formed_text_is_one_that_could_have_been_drawn() {
    let cards = keeping(0, 4, LuhnMode::Invalid);
    assert!(cards.is_well_formed("4111111111111112"));
    for not in ["4111111111111111", "", "41112", "411111111111111é", "tok_eu_1234"] {
        assert!(!cards.is_well_formed(not), "{not}");
    }
    assert!(keeping(0, 0, LuhnMode::Valid).is_well_formed(CARD));
    assert!(!keeping(0, 0, LuhnMode::Valid).is_well_formed("4111111111111112"));
    assert!(keeping(0, 0, LuhnMode::Any).is_well_formed("4111111111111112"));
}

#[test]
fn debug_shows_nothing() {
    let config = keeping(0, 4, LuhnMode::Invalid);
    assert_eq!(format!("{:?}", Template::for_value(&config, CARD.as_bytes()).unwrap()), "Template(..)");
}

proptest! {
    #[test]
    fn whatever_is_drawn_may_stand_for_its_value(
        value in "[0-9A-Za-z @.+-]{0,40}",
        keep_first in 0..10_usize,
        keep_last in 0..10_usize,
        mode in 0..3_usize,
        seed: [u8; 32],
    ) {
        let config = keeping(keep_first, keep_last, MODES[mode]);
        if let Ok(template) = Template::for_value(&config, value.as_bytes()) {
            let token = template.candidate(&mut ChaCha12Rng::from_seed(seed)).unwrap();
            prop_assert!(may_stand_for(&config, &value, token.expose()));
            prop_assert!(config.is_well_formed(token.expose()));
            // The space depends on what the token reveals alone.
            let again = Template::for_value(&config, token.expose().as_bytes()).unwrap();
            prop_assert_eq!(again.space(), template.space());
        }
    }

    #[test]
    fn no_bytes_break_it(value: Vec<u8>, keep_first: usize, keep_last: usize) {
        for luhn in MODES {
            if let Ok(template) = Template::for_value(&keeping(keep_first % 8, keep_last % 8, luhn), &value) {
                prop_assert!(value.is_ascii());
                prop_assert!(template.space() >= 1_000_000);
            }
            let _ = Template::for_value(&keeping(keep_first, keep_last, luhn), &value);
        }
    }
}
