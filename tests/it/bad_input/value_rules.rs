//! Every rule for values through the door: what it takes comes back byte for byte, what it refuses is refused by name,
//! in its place, and is shown nowhere.

use std::collections::{BTreeMap, BTreeSet};

use tonic::Code;
use vault_proto::v1;
use vault_tests::{
    requests::{detokenize, detokenize_item, email, tokenize, tokenize_item},
    roles::Role,
    vault::REGIONS,
};

use crate::vault;

/// Values that have to be taken: published examples, and the edges of what is given. Sources stand with the unit tests
/// of the rules in vault-format.
const GOOD: &[(&str, &[&str])] = &[
    (
        "iban",
        &[
            "DE89370400440532013000",
            "GB29 NWBK 6016 1331 9268 19",
            "fr1420041010050500013m02606",
            "MT84MALT011000012345MTLCAST001S",
            "NO9386011117947",
        ],
    ),
    ("phone", &["+41227305111", "+41 22 730 51 11", "+1-201-555-0123", "+358.9.123.45678", "+123456789012345"]),
    ("us_ssn", &["055-09-0001", "665-99-9999", "667010001", "899-99-9999", "001-01-0001"]),
    ("ssn_hyphens", &["734-01-0001", "773-50-1234"]),
    ("ssn_digits", &["734010001", "773501234"]),
    ("de_steuer_id", &["86095742719", "47 036 892 816", "25768131411"]),
    ("es_dni_nie", &["12345678Z", "x1234567l", "Y-1234567-X", "01234567L"]),
    ("fr_nir", &["255081416802538", "2 53 07 2A 073 004 43", "253072b07300470"]),
    ("nl_bsn", &["111222333", "123456782", "0104.64.554"]),
    ("pl_pesel", &["44051401458", "02211307589", "00222900009"]),
    ("uk_nino", &["AB123456C", "oa 12 34 56 d", "ZY999999B"]),
    ("birthday", &["1985-04-12", "2000-02-29", "1900-01-01", "2025-12-31"]),
    ("name", &["Zoë Núñez-Ångström", "Łukasz Żółć", "O'Brien, Séan"]),
    ("transcript", &["one\r\ntwo\tthree\u{7}", "Zoe\u{308} is not Zo\u{eb}", "nul \0 and \u{202e}"]),
    ("plate", &["M-AB 1234", "HRO-K 7", "B-A 9"]),
    ("digest", &["\u{0}\u{1}\u{2}", "thirty-two bytes, not one more..", "\n"]),
];

/// Values that are none, and the rule that each breaks.
const BAD: &[(&str, &[(&str, &str)])] = &[
    (
        "iban",
        &[
            ("DE88370400440532013000", "iban_check"),
            ("DE89370400440532013001", "iban_check"),
            ("DE89370400440532031000", "iban_check"),
            ("DE8937040044053201300", "iban_length"),
            ("DE893704004405320130000", "iban_length"),
            ("DE89370400440532013000DE89370400440", "length"),
            ("DE8937040044053201300O", "iban_form"),
            ("GB29NWB160161331926819", "iban_form"),
            ("US89370400440532013000", "iban_country"),
            ("DE89  370400440532013000", "separator_place"),
            ("DE89-3704-0044-0532-0130-00", "code_characters"),
            ("DE89\u{a0}370400440532013000", "code_characters"),
        ],
    ),
    (
        "phone",
        &[
            ("0041227305111", "phone_plus"),
            ("+041227305111", "phone_plus"),
            ("++41227305111", "phone_plus"),
            ("+290123", "phone_digits"),
            ("+1234567890123456", "phone_digits"),
            ("+44 (0)20 7946 0000", "phone_separators"),
            ("+41  227305111", "phone_separators"),
            ("+1-800-FLOWERS", "phone_separators"),
            ("+1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6", "length"),
        ],
    ),
    (
        "us_ssn",
        &[
            ("000-12-3457", "ssn_area"),
            ("666-12-3457", "ssn_area"),
            ("987-65-4320", "ssn_area"),
            ("134-00-4567", "ssn_group"),
            ("134-45-0000", "ssn_serial"),
            ("134-45-678", "ssn_form"),
            ("134-45-67890", "ssn_form"),
            ("134-456789", "ssn_form"),
            ("134 45 6789", "ssn_form"),
        ],
    ),
    ("ssn_hyphens", &[("734010001", "ssn_form"), ("734.01.0001", "ssn_form")]),
    ("ssn_digits", &[("734-01-0001", "ssn_form"), ("73401000", "ssn_form")]),
    (
        "de_steuer_id",
        &[
            ("86095742718", "id_check"),
            ("8609574271", "id_form"),
            ("860957427190", "id_form"),
            ("01234567889", "id_form"),
            ("12345678903", "id_digits"),
            ("21113456780", "id_digits"),
            ("86/095/742/719", "code_characters"),
        ],
    ),
    (
        "es_dni_nie",
        &[
            ("12345678A", "id_check"),
            ("X1234567Z", "id_check"),
            ("123456789", "id_form"),
            ("1234567Z", "id_form"),
            ("W1234567L", "id_form"),
        ],
    ),
    ("fr_nir", &[("255081416802539", "id_check"), ("2550814168025", "id_form"), ("253072C07300443", "id_form")]),
    ("nl_bsn", &[("111222334", "id_check"), ("10464554", "id_form"), ("000000000", "id_form")]),
    ("pl_pesel", &[("44051401459", "id_check"), ("4405140145", "id_form"), ("99022900007", "id_birthday")]),
    ("uk_nino", &[("QQ123456A", "id_prefix"), ("AB123456E", "id_prefix"), ("AB123456", "id_form")]),
    (
        "birthday",
        &[
            ("1900-02-29", "date_day"),
            ("1999-13-01", "date_day"),
            ("1899-12-31", "date_year"),
            ("2026-01-01", "date_year"),
            ("12.04.1985", "date_form"),
            ("1985-4-12", "date_form"),
            ("1985–04–12", "date_form"),
        ],
    ),
    (
        "name",
        &[
            ("Zoe\u{308} Nunez", "not_nfc"),
            ("A\u{30a}ngstrom", "not_nfc"),
            ("Zoë\tNúñez", "characters"),
            ("Zoë\nNúñez", "characters"),
            ("Zoë Núñez\0", "characters"),
            ("Z", "length"),
            ("thirty-one characters of a name", "length"),
            ("ÄÖÜßäöüÄÖÜßäöüÄÖÜßäöü", "length"),
            ("Ζωή Παπαδοπούλου", "alphabet"),
            ("Zoё Nunez-Orlova", "alphabet"),
            ("Zoë", "token_space"),
        ],
    ),
    ("transcript", &[("sixty-five bytes, which is one more than there may be, and no less", "length")]),
    (
        "plate",
        &[
            ("m-ab 1234", "pattern"),
            ("M-AB 1234 ", "pattern"),
            ("M-AB 0123", "pattern"),
            ("М-АВ 12", "pattern"),
            ("M-AB 12345\n", "pattern"),
            ("MMM-AB 123456", "length"),
        ],
    ),
    ("digest", &[("thirty-three bytes, so one too many", "length")]),
];

/// The rules that a value of each class breaks when something is put before, behind or into it that is not seen.
const RULES_OF_DISGUISES: &[(&str, &[&str])] = &[
    ("iban", &["separator_place", "code_characters", "iban_length", "iban_form", "length"]),
    ("phone", &["phone_plus", "phone_separators", "phone_digits"]),
    ("us_ssn", &["ssn_form"]),
    ("ssn_hyphens", &["ssn_form"]),
    ("ssn_digits", &["ssn_form"]),
    ("de_steuer_id", &["separator_place", "code_characters", "id_form"]),
    ("es_dni_nie", &["separator_place", "code_characters", "id_form"]),
    ("fr_nir", &["separator_place", "code_characters", "id_form"]),
    ("nl_bsn", &["separator_place", "code_characters", "id_form"]),
    ("pl_pesel", &["separator_place", "code_characters", "id_form"]),
    ("uk_nino", &["separator_place", "code_characters", "id_form"]),
    ("birthday", &["date_form"]),
    ("plate", &["pattern", "utf8", "length"]),
];

/// A good value in disguise: white space and invisible characters around it, a digit of another script or in too many
/// bytes within it. A rule that took one would have two spellings for a value, or none that can be compared.
fn disguises(value: &str) -> Vec<Vec<u8>> {
    let (at, digit) = value.char_indices().rfind(|(_, c)| c.is_ascii_digit()).unwrap();
    let offset = u32::from(digit) - u32::from('0');
    let replaced = |by: &[u8]| [&value.as_bytes()[..at], by, &value.as_bytes()[at + 1..]].concat();
    let script = |zero: u32| replaced(char::from_u32(zero + offset).unwrap().to_string().as_bytes());
    let byte = u8::try_from(digit).unwrap();
    let around = ["\t", "\n", "\r\n", "\0", "\u{a0}", "\u{feff}", "\u{200b}", "\u{2028}"];
    let mut all: Vec<Vec<u8>> = around
        .iter()
        .flat_map(|extra| [format!("{extra}{value}"), format!("{value}{extra}")])
        .map(String::into_bytes)
        .collect();
    // ASCII's blank stands at the ends; between characters some rules take it.
    all.extend([format!(" {value}").into_bytes(), format!("{value} ").into_bytes()]);
    // Fullwidth, Arabic-Indic, Devanagari, mathematical bold.
    all.extend([0xFF10, 0x660, 0x966, 0x1D7CE].map(script));
    // The digit in two and in three bytes, which UTF-8 forbids; a byte that is in no UTF-8.
    all.push(replaced(&[0xC0 | byte >> 6, 0x80 | byte & 0x3F]));
    all.push(replaced(&[0xE0, 0x80 | byte >> 6, 0x80 | byte & 0x3F]));
    all.push(replaced(&[0xFF]));
    all
}

/// All bad values: a class, the value, and the rules of which it breaks one.
fn bad() -> Vec<(&'static str, Vec<u8>, Vec<&'static str>)> {
    let mut rows = Vec::new();
    for (class, values) in BAD {
        rows.push((*class, Vec::new(), vec!["length"]));
        rows.extend(values.iter().map(|(value, rule)| (*class, value.as_bytes().to_vec(), vec![*rule])));
    }
    for (class, rules) in RULES_OF_DISGUISES {
        let (_, good) = GOOD.iter().find(|(of, _)| of == class).unwrap();
        rows.extend(disguises(good[0]).into_iter().map(|value| (*class, value, rules.to_vec())));
    }
    // Text is UTF-8, whatever it may hold.
    for class in ["name", "transcript"] {
        for wrong in [&b"Zo\xC1\x81 Nunez"[..], b"Zo\xED\xA0\x80 Nunez", b"Zo\xF5\x80\x80\x80 Nunez", b"Zo\xC3 Nunez"] {
            rows.push((class, wrong.to_vec(), vec!["utf8"]));
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_takes_its_examples_and_they_come_back_byte_for_byte() {
    let vault = vault().await;
    let rows: Vec<(&str, &str)> =
        GOOD.iter().flat_map(|(class, values)| values.iter().map(|value| (*class, *value))).collect();
    let items = rows.iter().map(|(class, value)| tokenize_item(class, value)).collect();
    let request = v1::TokenizeRequest { items, ..tokenize("", [""; 0]) };
    let given = vault.caller(Role::Loader).await.tokenize(request).await.unwrap();
    let tokens: Vec<String> = given
        .results
        .iter()
        .zip(&rows)
        .map(|(result, (class, value))| match result {
            Ok(issued) => issued.token.clone(),
            Err(refusal) => panic!("{class} {value}: {refusal:?}"),
        })
        .collect();
    let items = rows.iter().zip(&tokens).map(|((class, _), token)| detokenize_item(class, token)).collect();
    let request = v1::DetokenizeRequest { items, ..detokenize("", [""; 0]) };
    let revealed = vault.caller(Role::Payments).await.detokenize(request).await.unwrap().values();
    for (((class, value), token), revealed) in rows.iter().zip(&tokens).zip(revealed) {
        assert_eq!(revealed, value.as_bytes(), "{class}");
        assert_ne!(token, value, "{class}");
        assert_reserved(class, value, token);
    }
    let classes: BTreeSet<&str> = rows.iter().map(|(class, _)| *class).collect();
    assert_eq!(classes.len(), 16);
    vault.finish().await;
}

/// Asserts that a token that keeps the form of its value lies where no value is.
fn assert_reserved(class: &str, value: &str, token: &str) {
    let digits: String = token.chars().filter(char::is_ascii_digit).collect();
    let first = token.chars().next().unwrap();
    let lies_there = match class {
        "iban" => token[2..].starts_with("00") || token[2..].starts_with("01"),
        "phone" => token.starts_with("+0"),
        // Area 9xx, groups 40 to 49: no number of the administration and none of the tax office.
        "us_ssn" | "ssn_hyphens" => digits.starts_with('9') && digits[3..].starts_with('4'),
        "de_steuer_id" => first == '0',
        "fr_nir" => matches!(first, '0' | '9'),
        "pl_pesel" => !(1..=12).contains(&(digits[2..4].parse::<u8>().unwrap() % 20)),
        "uk_nino" => "DFIQUV".contains(first.to_ascii_uppercase()),
        "birthday" => token[5..7].parse::<u8>().unwrap() >= 50,
        "name" => true,
        _ => {
            assert!(token.starts_with("tok_eu_"), "{class}: {token}");
            return;
        }
    };
    assert!(lies_there, "{class}: {token} can be a value");
    let form = |text: &str| -> String {
        let kind = |c: char| match c {
            _ if c.is_numeric() => '9',
            _ if c.is_lowercase() => 'a',
            _ if c.is_uppercase() => 'A',
            _ => c,
        };
        text.chars().map(kind).collect()
    };
    assert_eq!(form(value), form(token), "{class}");
    assert_eq!(value.len(), token.len(), "{class}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_refuses_by_name_and_in_its_place_and_the_others_go_on() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let rows = bad();
    // A good item between any two: of the class of the bad one, and of another.
    let good = |at: usize, class: &str| match (at % 2, GOOD.iter().find(|(of, _)| *of == class)) {
        (0, Some((_, values))) => tokenize_item(class, values[at % values.len()]),
        _ => tokenize_item("email", email(at as u64)),
    };
    let items: Vec<_> = rows
        .iter()
        .enumerate()
        .flat_map(|(at, (class, value, _))| [good(at, class), tokenize_item(class, value)])
        .collect();
    assert!(rows.len() > 300 && items.len() <= 1000, "{}", rows.len());
    let mark = vault.mark(REGIONS[0]).await;
    let request = v1::TokenizeRequest { items, ..tokenize("", [""; 0]) };
    let results = loader.tokenize(request).await.unwrap().results;
    assert_eq!(results.len(), 2 * rows.len());
    let mut broken: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (pair, (class, value, rules)) in results.chunks(2).zip(&rows) {
        let shown = String::from_utf8_lossy(value);
        assert!(pair[0].is_ok(), "the item before {class} {shown:?}: {:?}", pair[0]);
        let Err(refusal) = &pair[1] else { panic!("{class} {shown:?} was taken") };
        refusal.is(Code::InvalidArgument, "VALUE_REJECTED");
        let rule = &refusal.metadata["rule"];
        assert!(rules.contains(&rule.as_str()), "{class} {shown:?}: {rule}, not one of {rules:?}");
        assert_eq!(refusal.metadata.len(), 1, "{:?}", refusal.metadata);
        broken.entry(class).or_default().insert(rule.clone());
        assert_not_echoed(value, &refusal.bytes, class);
    }
    let rules: BTreeSet<&String> = broken.values().flatten().collect();
    println!("{} bad values, {} rules: {rules:?}", rows.len(), rules.len());
    let entry = vault.entry_since(&mark).await;
    let of_outcome = |outcome: &str| -> usize {
        entry.items.iter().filter(|items| items.outcome == outcome).map(|items| items.count as usize).sum()
    };
    assert_eq!(of_outcome("VALUE_REJECTED"), rows.len());
    assert_eq!(entry.items.iter().map(|items| items.count as usize).sum::<usize>(), 2 * rows.len());
    // What was refused is in no file and in no log: `finish` looks for all of it, and finds what there is to find.
    assert!(vault.secrets().count() > 300);
    vault.finish().await;
}

/// Asserts that an answer holds neither the value nor half of it.
fn assert_not_echoed(value: &[u8], answer: &[u8], class: &str) {
    for part in [value, &value[..value.len() / 2], &value[value.len() / 2..]] {
        // Shorter ones are in the words of the answer by chance.
        if part.len() >= 5 && part.iter().collect::<BTreeSet<_>>().len() > 2 {
            let shown = answer.windows(part.len()).any(|window| window == part);
            assert!(!shown, "the answer about {class} shows {:?}", String::from_utf8_lossy(part));
        }
    }
}
