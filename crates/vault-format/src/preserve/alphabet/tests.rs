//! Letters beyond ASCII: which there are, and how tokens are drawn from them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::{SeedableRng, rngs::ChaCha12Rng};
use unicode_normalization::is_nfc;

use super::*;
use crate::{
    LuhnMode, Preserving, Rejection, Template,
    preserve::tests::{CARD, MODES, keeping, unevenness},
};

const ALL: [(Alphabet, usize, usize); 3] =
    [(Alphabet::Latin, 93, 94), (Alphabet::Greek, 33, 36), (Alphabet::Cyrillic, 49, 49)];

fn chars(letters: Letters) -> Vec<char> {
    (0..letters.count()).map(|place| char::from_u32(letters.nth(place).unwrap().into()).unwrap()).collect()
}

#[test]
fn lists_hold_letters_of_one_case_in_two_bytes_and_form_c() {
    for (alphabet, upper_count, lower_count) in ALL {
        let [upper, lower] = alphabet.letters() else { panic!("{alphabet:?}") };
        let (upper, lower) = (chars(*upper), chars(*lower));
        assert_eq!((upper.len(), lower.len()), (upper_count, lower_count), "{alphabet:?}");
        assert!(upper.iter().all(|c| c.is_alphabetic() && c.is_uppercase()), "{alphabet:?}");
        assert!(lower.iter().all(|c| c.is_alphabetic() && c.is_lowercase()), "{alphabet:?}");
        for c in upper.iter().chain(&lower) {
            assert!(c.len_utf8() == 2 && is_nfc(&c.to_string()), "{c}");
            let bytes = c.to_string().into_bytes();
            assert_eq!(u32::from(decode(bytes[0], bytes[1])), u32::from(*c));
            assert_eq!(encode(decode(bytes[0], bytes[1])), bytes[..], "{c}");
        }
        // The lower case of every capital is in the other list, but for İ, whose lower case is ASCII.
        for c in upper.iter().filter(|c| **c != 'İ') {
            assert!(c.to_lowercase().all(|small| lower.contains(&small)), "{c}");
        }
    }
}

#[test]
fn the_letters_of_the_languages_that_are_named_are_there() {
    let holds = |alphabet: Alphabet, text: &str| {
        let of = |c: char| c.is_ascii() || alphabet.class_of(u16::try_from(u32::from(c)).unwrap()).is_some();
        text.chars().all(of)
    };
    for text in [
        "äöüßÄÖÜ",                  // German
        "àâæçéèêëîïôœùûüÿÀÂÆÇÉŒŸ",  // French
        "áéíñóúüÁÑ",                // Spanish
        "ãõçáâàéêíóôú",             // Portuguese
        "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ",       // Polish
        "áčďéěíňóřšťúůýžČĎĚŇŘŠŤŮŽ", // Czech
        "áäčďéíĺľňóôŕšťúýžĹĽŔ",     // Slovak
        "áéíóöőúüűŐŰ",              // Hungarian
        "ăâîșțĂÂÎȘȚ",               // Romanian
        "çğıöşüÇĞİÖŞÜ",             // Turkish
        "åæøäöÅÆØ",                 // Nordic
        "áðéíóúýþæöÐÞ",             // Icelandic
        "āčēģīķļņšūžĀĢĶĻŅ",         // Latvian
        "ąčęėįšųūžĖĮŲ",             // Lithuanian
        "õäöüšž",                   // Estonian
        "čćđšžĆĐ",                  // Croatian
        "ċġħżĊĠĦŻ",                 // Maltese
    ] {
        assert!(holds(Alphabet::Latin, text), "{text}");
    }
    assert!(holds(Alphabet::Greek, "Αα Ωω Σσς άέήίόύώ ΆΈΉΊΌΎΏ ϊϋΐΰΪΫ"));
    assert!(holds(Alphabet::Cyrillic, "АЯаяЁё ЎўІі ЃѓЌќЅѕ ЂђЈјЉљЊњЋћЏџ ЄєЇїҐґ"));
    for (alphabet, text) in [
        (Alphabet::Latin, "×"),
        (Alphabet::Latin, "÷"),
        (Alphabet::Latin, "ĸ"),
        (Alphabet::Latin, "ŉ"),
        (Alphabet::Latin, "ſ"),
        (Alphabet::Latin, "\u{132}"),
        (Alphabet::Latin, "\u{13f}"),
        (Alphabet::Latin, "я"),
        (Alphabet::Latin, "ω"),
        (Alphabet::Latin, "\u{308}"),
        (Alphabet::Greek, "é"),
        (Alphabet::Greek, "\u{3a2}"),
        (Alphabet::Cyrillic, "ω"),
        (Alphabet::Ascii, "é"),
    ] {
        assert!(!holds(alphabet, text), "{text}");
    }
}

const BEYOND_ASCII: [(Alphabet, &str); 6] = [
    (Alphabet::Latin, "Łukasz Żółć-Jönsson, 12 rue de l'Église"),
    (Alphabet::Latin, "ÄÖÜäöüß"),
    (Alphabet::Greek, "Ελευθέριος Βενιζέλος 1864"),
    (Alphabet::Greek, "ΑΘΗΝΑΙ gr"),
    (Alphabet::Cyrillic, "Фёдор Михайлович Достоевский"),
    (Alphabet::Cyrillic, "вул. Ґонти 7, Київ"),
];

/// Of one script and case, or the same character.
fn same_letters(alphabet: Alphabet, a: char, b: char) -> bool {
    let script = |c: char| match (c, alphabet) {
        ('\0'..='\u{7f}', _) => 0,
        ('\u{80}'..='\u{24f}', Alphabet::Latin) => 1,
        ('\u{370}'..='\u{3ff}', Alphabet::Greek) => 2,
        ('\u{400}'..='\u{4ff}', Alphabet::Cyrillic) => 3,
        _ => 4,
    };
    let case = |c: char| (c.is_lowercase(), c.is_uppercase(), c.is_ascii_digit());
    let changes = a.is_alphabetic() || a.is_ascii_digit();
    (a == b || changes) && script(a) == script(b) && script(a) < 4 && case(a) == case(b)
}

#[test]
fn letters_become_letters_of_their_script_and_case() {
    let mut source = ChaCha12Rng::from_seed([8; 32]);
    for (alphabet, value) in BEYOND_ASCII {
        for (keep_first, keep_last) in [(0, 0), (1, 0), (0, 1), (2, 1)] {
            let config = Preserving { alphabet, ..Preserving::keeping(keep_first, keep_last) };
            let template = Template::for_value(&config, value.as_bytes()).unwrap();
            let chars: Vec<char> = value.chars().collect();
            let mut changed = vec![false; chars.len()];
            for _ in 0..200 {
                let token = template.candidate(&mut source).unwrap();
                let token = token.expose();
                assert_eq!(token.len(), value.len(), "{token}");
                let drawn: Vec<char> = token.chars().collect();
                assert_eq!(drawn.len(), chars.len(), "{token}");
                for (at, (a, b)) in chars.iter().zip(drawn).enumerate() {
                    assert!(same_letters(alphabet, *a, b), "{value} {token}");
                    changed[at] |= *a != b;
                }
                assert!(config.is_well_formed(token), "{token}");
                assert!(is_nfc(token), "{token}");
            }
            // All letters and digits change in time, and what is kept is counted in characters.
            for (at, c) in chars.iter().enumerate() {
                let free = (keep_first..chars.len() - keep_last).contains(&at);
                assert_eq!(changed[at], free && (c.is_alphabetic() || c.is_ascii_digit()), "{value} {c} {at}");
            }
        }
    }
}

#[test]
fn a_small_space_of_letters_beyond_ascii_is_reached_whole_and_evenly() {
    let mut source = ChaCha12Rng::from_seed([10; 32]);
    for (alphabet, value, space) in [
        (Alphabet::Latin, "é", 94),
        (Alphabet::Latin, "É", 93),
        (Alphabet::Latin, "é1", 940),
        (Alphabet::Greek, "ω", 36),
        (Alphabet::Greek, "Ωa", 33 * 26),
        (Alphabet::Cyrillic, "Яя", 49 * 49),
    ] {
        let config = Preserving { alphabet, ..Preserving::keeping(0, 0) };
        let template = Template::with_space_min(&config, value.as_bytes(), 2).unwrap();
        assert_eq!(template.space(), space, "{value}");
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..space * 60 {
            *counts.entry(template.candidate(&mut source).unwrap().into_exposed()).or_default() += 1;
        }
        assert_eq!(counts.len() as u128, space - 1, "{value}");
        assert!(!counts.contains_key(value));
        assert!(unevenness(counts.values().copied()).abs() < 4.5, "{value}");
    }
}

#[test]
fn what_is_in_no_alphabet_is_refused_even_where_it_is_kept() {
    use Rejection::{NotAscii, Utf8};
    let table: [(Alphabet, &[u8], Rejection); 12] = [
        (Alphabet::Ascii, "Zoë Müller".as_bytes(), NotAscii),
        (Alphabet::Latin, "Zoe\u{308} Mu\u{308}ller".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, "O\u{2019}Brien-Smith".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, "Достоевский".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, "Nguyễn Thị Minh".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, "Jönsson \u{1f600}".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, "Jönsson 4１".as_bytes(), Rejection::Alphabet),
        (Alphabet::Greek, "Jönsson Jönsson".as_bytes(), Rejection::Alphabet),
        (Alphabet::Greek, "ἐν ἀρχῇ ἦν ὁ λόγος".as_bytes(), Rejection::Alphabet),
        (Alphabet::Cyrillic, "Ελευθέριος".as_bytes(), Rejection::Alphabet),
        (Alphabet::Latin, b"J\xf6nsson Jonsson", Utf8),
        (Alphabet::Latin, b"Jonsson Jonsson \xc3", Utf8),
    ];
    for (alphabet, value, expected) in table {
        for keep in [0, 3] {
            let config = Preserving { alphabet, ..Preserving::keeping(keep, keep) };
            assert_eq!(Template::for_value(&config, value).err(), Some(expected), "{}", value.escape_ascii());
        }
    }
}

#[test]
fn an_alphabet_changes_nothing_about_ascii_values() {
    let draw = |alphabet| {
        let config = Preserving { alphabet, ..keeping(0, 4, LuhnMode::Invalid) };
        let template = Template::for_value(&config, CARD.as_bytes()).unwrap();
        template.candidate(&mut ChaCha12Rng::from_seed([11; 32])).unwrap().into_exposed()
    };
    for alphabet in [Alphabet::Latin, Alphabet::Greek, Alphabet::Cyrillic] {
        assert_eq!(draw(alphabet), draw(Alphabet::Ascii));
    }
}

proptest! {
    #[test]
    fn no_text_breaks_an_alphabet(value in "[a-zàéßŁłΑωЯї0-9 \u{308}-]{0,20}|\\PC{0,20}", keep: usize, seed: [u8; 32]) {
        for alphabet in [Alphabet::Latin, Alphabet::Greek, Alphabet::Cyrillic] {
            for luhn in MODES {
                let config = Preserving { alphabet, ..keeping(keep % 4, keep / 4 % 4, luhn) };
                if let Ok(template) = Template::for_value(&config, value.as_bytes()) {
                    let token = template.candidate(&mut ChaCha12Rng::from_seed(seed)).unwrap();
                    let pairs = value.chars().zip(token.expose().chars());
                    prop_assert!(pairs.clone().all(|(a, b)| same_letters(alphabet, a, b)));
                    prop_assert_eq!(token.expose().len(), value.len());
                    prop_assert!(pairs.take(keep % 4).all(|(a, b)| a == b));
                    prop_assert!(config.is_well_formed(token.expose()));
                }
            }
        }
    }
}
