//! What is found and what is not, and that it does not matter how the bytes are cut.

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;
use crate::luhn;

/// A finding, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    place: Place,
    what: &'static str,
    digits: usize,
}

fn scan_in(pieces: &[&[u8]]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut found = |place, what: Found<'_>| {
        let (what, digits) = match what {
            Found::Token(_) => ("token", 0),
            Found::Card { brand, digits, .. } => (brand.name(), digits),
        };
        seen.push(Seen { place, what, digits });
    };
    let mut scanner = Scanner::default();
    for piece in pieces {
        scanner.feed(piece, &mut found);
    }
    scanner.finish(&mut found);
    seen
}

fn scan(text: &[u8]) -> Vec<Seen> {
    scan_in(&[text])
}

/// What is found in a text, by name.
fn names(text: &str) -> Vec<&'static str> {
    scan(text.as_bytes()).into_iter().map(|seen| seen.what).collect()
}

const TOKEN: &str = "tok_eu_00000000000000000000000000000";

#[test]
fn published_test_numbers_of_every_brand_are_found_with_their_length() {
    for (number, brand) in [
        ("4111111111111111", "visa"),
        ("4222222222222", "visa"),
        ("5555555555554444", "mastercard"),
        ("2223003122003222", "mastercard"),
        ("378282246310005", "american_express"),
        ("30569309025904", "diners_club"),
        ("3530111333300000", "jcb"),
        ("6011111111111117", "discover"),
        ("6200000000000005", "unionpay"),
        ("6759649826438453", "maestro"),
    ] {
        let seen = scan(format!("a {number}\n").as_bytes());
        assert_eq!(seen.len(), 1, "{number}");
        assert_eq!((seen[0].what, seen[0].digits, seen[0].place.bytes), (brand, number.len(), number.len()));
    }
}

#[test]
fn numbers_are_found_in_groups_and_between_what_stands_around_them() {
    for text in [
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "3782 822463 10005",
        "3056-930902-5904",
        "411111 11111 11111",
        "12 4111 1111 1111 1111 05",
        "4111111111111111 12/27 123",
        "\"pan\":\"4111111111111111\",",
        "a,4111111111111111,b",
        "paid by 4111111111111111.",
        "pan_4111111111111111_x",
        "%B4111111111111111^DOE/JOHN^2512",
        ";4111111111111111=2512",
        "\\n4111111111111111\\n",
        "pan=%204111111111111111&x",
        "pan%3D4111111111111111&x",
        "AB12 4111 1111 1111 1111",
        "\u{e9}4111111111111111\u{e9}",
    ] {
        assert_eq!(
            names(text),
            ["visa"].map(|visa| if text.contains("3782") {
                "american_express"
            } else if text.contains("3056") {
                "diners_club"
            } else {
                visa
            }),
            "{text}"
        );
    }
}

#[test]
fn what_only_looks_like_a_number_is_left_alone() {
    for text in [
        "4111111111111112",
        "94111111111111111",
        "41111111111111111",
        "x4111111111111111",
        "4111111111111111x",
        "0x4111111111111111",
        "0.4111111111111111",
        "4111111111111111.25",
        "+4111111111111111",
        "+4111 1111 1111 1111",
        "4111  1111  1111  1111",
        "4111 1111-1111 1111",
        "4111\n1111\n1111\n1111",
        "41 11 11 11 11 11 11 11",
        "41111111-1111-1111-1111-111111111111",
        "9411111111111111",
        "7111111111111111",
        "DE75512108001245126199",
        "DE75 5121 0800 1245 1261 99",
        "tok_eu_0411111111111111100000000000000",
        "411111111111",
    ] {
        assert_eq!(names(text), [""; 0], "{text}");
    }
}

#[test]
fn a_number_within_an_iban_in_groups_is_none_and_one_behind_it_is() {
    // Valid, and its groups from the second on pass for a Maestro number of 18 digits.
    let iban = (0..100)
        .map(|account| {
            let account = format!("50010517540732{account:04}");
            let mut rest = 0_u32;
            for digit in format!("{account}131400").bytes() {
                rest = (rest * 10 + u32::from(digit - b'0')) % 97;
            }
            let all = format!("DE{:02}{account}", 98 - rest);
            all.as_bytes().chunks(4).map(|group| str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(" ")
        })
        .find(|iban| names(&iban[5..]) == ["maestro"])
        .unwrap();
    assert_eq!(names(&iban), [""; 0]);
    assert_eq!(names(&format!("{iban} 4111 1111 1111 1111")), ["visa"]);
}

#[test]
fn tokens_are_found_by_their_form() {
    for text in [TOKEN.to_owned(), format!("\"{TOKEN}\""), format!("my_{TOKEN}_"), format!("\\n{TOKEN}\\n")] {
        assert_eq!(names(&text), ["token"], "{text}");
    }
    let overflow = "tok_eu_0zzzzzzzzzzzzzzzzzzzzzz000000";
    for text in [&TOKEN[1..], &TOKEN[..TOKEN.len() - 1], "tok_node_00000000000000000000000000000", overflow, "tok__"] {
        assert_eq!(names(text), [""; 0], "{text}");
    }
    assert_eq!(names(&format!("{TOKEN}x")), [""; 0]);
    assert_eq!(names(&format!("x{TOKEN}")), [""; 0]);
    assert_eq!(names(&format!("{TOKEN} {TOKEN}\n4111111111111111")), ["token", "token", "visa"]);
}

#[test]
fn places_are_counted_in_bytes_lines_and_columns() {
    let text = format!("one\r\n\u{e9} 4111111111111111\n\n  {TOKEN}");
    let places: Vec<_> = scan(text.as_bytes()).iter().map(|seen| seen.place).collect();
    let card = Place { offset: 8, line: 2, column: 4, bytes: 16 };
    let token = Place { offset: 28, line: 4, column: 3, bytes: TOKEN.len() };
    assert_eq!(places, [card, token]);
}

#[test]
fn what_is_kept_does_not_grow() {
    for filler in [b"4".as_slice(), b"4 ", b"4111 ", b"tok_", b"\n"] {
        let mut scanner = Scanner::default();
        let piece = filler.repeat(4096);
        for _ in 0..16 {
            scanner.feed(&piece, &mut |_, _| {});
            assert!(scanner.kept.len() <= LOOK_BACK + LOOK_AHEAD, "{}", scanner.kept.len());
        }
    }
}

/// The same, written down a second time, over the whole text and by regular expressions.
fn reference(text: &[u8]) -> Vec<(usize, usize)> {
    let shape = |pattern: &str| Regex::new(&format!("(?s-u)^(?:{pattern})")).unwrap();
    let usual: Vec<_> = [
        r"\d{4}S\d{4}S\d{4}S\d{4}",
        r"\d{4}S\d{6}S\d{5}",
        r"\d{4}S\d{4}S\d{4}S\d{4}S\d{3}",
        r"\d{4}S\d{6}S\d{4}",
        r"\d{6}S\d{13}",
        r"\d{4}S\d{4}S\d{4}S\d{4}S\d{2}",
        r"\d{4}S\d{4}S\d{4}S\d{4}S\d",
        r"\d{4}S\d{4}S\d{4}S\d{3}",
        r"\d{4}S\d{4}S\d{4}S\d{2}",
        r"\d{4}S\d{4}S\d{4}S\d",
        r"\d{4}S\d{3}S\d{3}S\d{3}",
        r"\d{4}S\d{4}S\d{5}",
    ]
    .iter()
    .flat_map(|usual| [' ', '-'].map(|separator| shape(&usual.replace('S', &separator.to_string()))))
    .collect();
    let alone = [shape(r"\d{3,}(?: \d{3,})*(?: \d+)"), shape(r"\d{3,}(?:-\d{3,})*(?:-\d+)")];
    let row = shape(r"\d+");
    let edge = Regex::new(r"(?s-u)(?:^|[^0-9A-Za-z]|\\[nrt]|%B|%[0-9A-Fa-f]{2})$").unwrap();
    let wrong_before = Regex::new(r"(?s-u)(?:\+|\d\.|%)$").unwrap();
    let wrong_behind = Regex::new(r"(?s-u)^(?:[0-9A-Za-z]|\.\d)").unwrap();
    let number = |from: usize, to: usize| {
        let digits: Vec<u8> = text[from..to].iter().copied().filter(u8::is_ascii_digit).collect();
        (13..=19).contains(&digits.len())
            && !wrong_behind.is_match(&text[to..])
            && luhn::passes(&digits)
            && CardBrand::of_number(&digits).is_some()
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let begins = text[at].is_ascii_digit() && (at == 0 || !text[at - 1].is_ascii_digit());
        let start = if at > 0 && text[at - 1] == b'%' { at + 2 } else { at };
        let starts = start == at && edge.is_match(&text[..at]) && !wrong_before.is_match(&text[..at]) || start > at;
        let length = if begins { row.find(&text[at..]).unwrap().end() } else { 0 };
        let mut end = None;
        if begins && starts && at + length > start && matches!(text[start], b'2'..=b'6' | b'8') {
            let rest = &text[start..];
            let run = at + length - start;
            if run >= 13 {
                end = Some(start + run).filter(|end| number(start, *end));
            } else if run >= 3 {
                let ends = usual.iter().filter_map(|usual| Some(start + usual.find(rest)?.end()));
                let alone = alone.iter().filter_map(|alone| Some(start + alone.find(rest)?.end())).filter(|end| {
                    let separator = text[start + run];
                    let behind = text.get(*end).copied();
                    let joins = behind == Some(separator) && text.get(end + 1).is_some_and(u8::is_ascii_digit);
                    let before = text[..start].last() == Some(&separator);
                    let grouped = start > 1 && text[start - 2].is_ascii_digit();
                    let hyphens = separator == b'-' && (before || behind == Some(b'-'));
                    !(joins || hyphens || before && grouped)
                });
                // Digits go on to the end of a group.
                let whole = |end: &usize| !text.get(*end).is_some_and(u8::is_ascii_digit);
                end = ends.filter(whole).chain(alone.filter(whole)).find(|end| number(start, *end));
            }
        }
        match end {
            Some(end) => {
                found.push((start, end));
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

fn pieces<'t>(text: &'t [u8], cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).chain([0, text.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// Pieces of texts that come close to numbers and tokens.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[0-9]{1,5}",
        2 => "[ .+%_\\n-]",
        1 => "[a-zA-Z]{1,3}",
        2 => Just("4111".to_owned()),
        2 => Just("1111".to_owned()),
        2 => Just(" 4111 1111 1111 1111".to_owned()),
        2 => Just("-4111-1111-1111-1111".to_owned()),
        1 => Just("4111111111111111".to_owned()),
        1 => Just("378282246310005".to_owned()),
        1 => Just("3782 822463 10005".to_owned()),
        1 => Just("%20".to_owned()),
        1 => Just("\\n".to_owned()),
        1 => Just("tok_".to_owned()),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn the_same_is_found_however_the_bytes_are_cut(text in near(), cuts: Vec<prop::sample::Index>) {
        prop_assert_eq!(scan_in(&pieces(&text, &cuts)), scan(&text));
    }

    #[test]
    fn what_is_found_is_what_a_slow_reference_finds(text in near()) {
        let found: Vec<_> = scan(&text).into_iter().filter(|seen| seen.what != "token").map(|seen| {
            let start = usize::try_from(seen.place.offset).unwrap();
            (start, start + seen.place.bytes)
        }).collect();
        prop_assert_eq!(found, reference(&text));
    }

    #[test]
    fn random_bytes_hold_what_the_reference_finds(text in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(scan(&text).len(), reference(&text).len());
    }

    #[test]
    fn what_is_planted_is_found_at_its_place_at_any_edge_of_a_buffer(
        before in 0_usize..300,
        lines in 0_usize..5,
        cut in 0_usize..400,
        second in 0_usize..400,
        which in prop::sample::select(vec!["4111111111111111", "3782 822463 10005", "5555-5555-5555-4444", TOKEN]),
    ) {
        let text = [b"\n".repeat(lines), b"x".repeat(before), b" ".to_vec(), which.as_bytes().to_vec(), b" y".to_vec()];
        let text = text.concat();
        let mut cuts = [cut.min(text.len()), second.min(text.len())];
        cuts.sort_unstable();
        let seen = scan_in(&[&text[..cuts[0]], &text[cuts[0]..cuts[1]], &text[cuts[1]..]]);
        let (line, column) = (lines as u64 + 1, before as u64 + 2);
        let place = Place { offset: (lines + before + 1) as u64, line, column, bytes: which.len() };
        prop_assert_eq!(seen.iter().map(|seen| seen.place).collect::<Vec<_>>(), [place]);
    }
}
