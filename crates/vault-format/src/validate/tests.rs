//! What each rule takes and refuses, by name.

use proptest::prelude::*;

use super::*;
use crate::luhn;

/// Every rule, for what holds for all of them.
fn all_rules() -> Vec<Rule> {
    vec![
        Rule::pan(),
        Rule::email(),
        Rule::digits(4, 6).unwrap(),
        Rule::pattern("[A-Z]{2}[0-9]{1,8}", 10).unwrap(),
        Rule::text(TextLimits::of_bytes(100)).unwrap(),
        Rule::bytes(100).unwrap(),
        Rule::iban(),
        Rule::phone(),
        Rule::us_ssn(Hyphens::Optional),
        Rule::us_ssn(Hyphens::Forbidden),
        Rule::date(1900, 2099).unwrap(),
        Rule::personal_id(PersonalId::DeSteuerId),
        Rule::personal_id(PersonalId::EsDniNie),
        Rule::personal_id(PersonalId::FrNir),
        Rule::personal_id(PersonalId::NlBsn),
        Rule::personal_id(PersonalId::PlPesel),
        Rule::personal_id(PersonalId::UkNino),
    ]
}

#[test]
fn public_test_card_numbers_are_taken() {
    for good in [
        "4111111111111111",    // Visa
        "4222222222222",       // Visa, 13
        "4000000000000000006", // Visa, 19
        "5555555555554444",    // Mastercard
        "2223003122003222",    // Mastercard, 2-series
        "378282246310005",     // American Express
        "341111111111111",     // American Express, 34
        "6011111111111117",    // Discover
        "6011000990139424",    // Discover
        "3530111333300000",    // JCB
        "30569309025904",      // Diners Club, 305
        "38520000023237",      // Diners Club, 38
        "36227206271667",      // Diners Club, 36
        "3056930009020004",    // Diners Club, 16
        "6200000000000005",    // UnionPay
        "6205500000000000004", // UnionPay, 19
        "6759649826438453",    // Maestro
        "676770000005",        // Maestro, 12 digits, made up
    ] {
        assert_eq!(Rule::pan().validate(good.as_bytes()), Ok(()), "{good}");
    }
}

#[test]
fn a_wrong_card_number_names_its_rule() {
    use Rejection::{BrandLength, Characters, Length, Luhn, Separators};
    let zeros = "0".repeat(64 * 1024);
    let table: [(&[u8], Rejection); 18] = [
        (b"", Length),
        (b"0", Length),
        (b"42345678901", Length),
        (b"41111111111111111111", Length),
        (zeros.as_bytes(), Length),
        (b"4111111111111112", Luhn),
        (b"1411111111111111", Luhn),
        (b"41111111111111", BrandLength),
        (b"555555555555444", BrandLength),
        (b"3782822463100050", BrandLength),
        (b"601111111111111", BrandLength),
        (b"4111 1111 1111 1111", Separators),
        (b"4111-1111-1111-1111", Separators),
        (b"4111111111111111\n", Characters),
        (b"411111111111111\0", Characters),
        (b"411111111111111\xff", Characters),
        ("٤١١١١١١١١١١١١١١١".as_bytes(), Characters),
        ("411111111111111１".as_bytes(), Characters),
    ];
    for (value, expected) in table {
        assert_eq!(Rule::pan().validate(value), Err(expected), "{:?}", value.get(..20).unwrap_or(value));
    }
}

/// `prefix`, zeros, and the check digit that makes `length` digits pass.
fn card(prefix: &str, length: usize) -> String {
    let body = format!("{prefix:0<width$}", width = length - 1);
    (0..10).map(|digit| format!("{body}{digit}")).find(|number| luhn::passes(number.as_bytes())).unwrap()
}

#[test]
fn each_brand_has_its_lengths_up_to_the_edges_of_its_ranges() {
    let table: [(&str, &[usize]); 34] = [
        ("4", &[13, 16, 19]),
        ("499999", &[13, 16, 19]),
        ("51", &[16]),
        ("55", &[16]),
        ("222100", &[16]),
        ("272099", &[16]),
        ("34", &[15]),
        ("37", &[15]),
        ("3528", &[16, 17, 18, 19]),
        ("358999", &[16, 17, 18, 19]),
        ("300", &[14, 15, 16, 17, 18, 19]),
        ("305999", &[14, 15, 16, 17, 18, 19]),
        ("3095", &[14, 15, 16, 17, 18, 19]),
        ("36", &[14, 15, 16, 17, 18, 19]),
        ("38", &[14, 15, 16, 17, 18, 19]),
        ("39", &[14, 15, 16, 17, 18, 19]),
        ("6011", &[16, 17, 18, 19]),
        ("644", &[16, 17, 18, 19]),
        ("649", &[16, 17, 18, 19]),
        ("65", &[16, 17, 18, 19]),
        ("622126", &[16, 17, 18, 19]),
        ("622925", &[16, 17, 18, 19]),
        ("622125", &[16, 17, 18, 19]),
        ("62", &[16, 17, 18, 19]),
        ("81", &[16, 17, 18, 19]),
        // What lies beside a range is of nobody whose lengths are known.
        ("222099", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("272100", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("50", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("56", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("352799", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("306", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("6012", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("643", &[12, 13, 14, 15, 16, 17, 18, 19]),
        ("82", &[12, 13, 14, 15, 16, 17, 18, 19]),
    ];
    for (prefix, lengths) in table {
        for length in 12..=19 {
            let expected = if lengths.contains(&length) { Ok(()) } else { Err(Rejection::BrandLength) };
            assert_eq!(Rule::pan().validate(card(prefix, length).as_bytes()), expected, "{prefix} {length}");
        }
    }
}

#[test]
fn addresses() {
    use Rejection::{EmailAt, EmailDomain, EmailLocalPart, Length};
    let label = "a".repeat(63);
    let long_local = format!("{}@example.com", "a".repeat(64));
    let longest = format!("{}@{label}.{label}.{}.com", "a".repeat(64), "a".repeat(57));
    assert_eq!(longest.len(), 254);
    for good in [
        "a@b.co",
        "jane.doe+tag@example.com",
        "o'hara_!#$%&*/=?^`{|}~-@EXAMPLE.co.uk",
        "user@xn--bcher-kva.example",
        "user@1.example",
        "user@a.xn--p1ai",
        &long_local,
        &longest,
    ] {
        assert_eq!(Rule::email().validate(good.as_bytes()), Ok(()), "{good}");
    }
    let table = [
        (String::new(), Length),
        (format!("a{longest}"), Length),
        ("a".repeat(64 * 1024), Length),
        ("jane.example.com".into(), EmailAt),
        ("@example.com".into(), EmailLocalPart),
        (format!("a{long_local}"), EmailLocalPart),
        (".a@example.com".into(), EmailLocalPart),
        ("a.@example.com".into(), EmailLocalPart),
        ("a..b@example.com".into(), EmailLocalPart),
        ("a b@example.com".into(), EmailLocalPart),
        ("a@b@example.com".into(), EmailLocalPart),
        ("\"a b\"@example.com".into(), EmailLocalPart),
        ("jané@example.com".into(), EmailLocalPart),
        ("a\0@example.com".into(), EmailLocalPart),
        ("Jane <jane@example.com>".into(), EmailLocalPart),
        ("a@".into(), EmailDomain),
        ("a@localhost".into(), EmailDomain),
        ("a@example.com.".into(), EmailDomain),
        ("a@.example.com".into(), EmailDomain),
        ("a@-x.example".into(), EmailDomain),
        ("a@x-.example".into(), EmailDomain),
        ("a@a_b.example".into(), EmailDomain),
        ("a@192.0.2.1".into(), EmailDomain),
        ("a@[192.0.2.1]".into(), EmailDomain),
        ("a@bücher.example".into(), EmailDomain),
        ("a@example.com\n".into(), EmailDomain),
        (format!("a@a{label}.com"), EmailDomain),
    ];
    for (value, expected) in table {
        assert_eq!(Rule::email().validate(value.as_bytes()), Err(expected), "{value:.60}");
    }
}

#[test]
fn an_address_is_equal_whatever_the_case_of_its_domain() {
    let rule = Rule::email();
    assert_eq!(rule.canonical(b"Jane@Example.COM").expose(), b"Jane@example.com");
    assert_eq!(rule.canonical(b"jane@example.com").expose(), b"jane@example.com");
    assert_ne!(rule.canonical(b"Jane@example.com").expose(), rule.canonical(b"jane@example.com").expose());
    assert_eq!(format!("{:?}", rule.canonical(b"Jane@Example.COM")), "Canonical(..)");
}

#[test]
fn digits_text_and_bytes() {
    use Rejection::{Characters, Length, Separators, Utf8};
    let digits = Rule::digits(4, 6).unwrap();
    let table: [(&[u8], Result<(), Rejection>); 8] = [
        (b"0000", Ok(())),
        (b"123456", Ok(())),
        (b"123", Err(Length)),
        (b"1234567", Err(Length)),
        (b"", Err(Length)),
        (b"12 34", Err(Separators)),
        (b"12a34", Err(Characters)),
        ("١٢٣٤".as_bytes(), Err(Characters)),
    ];
    for (value, expected) in table {
        assert_eq!(digits.validate(value), expected, "{value:?}");
    }
    let text = Rule::text(TextLimits::of_bytes(10)).unwrap();
    let table: [(&[u8], Result<(), Rejection>); 8] = [
        ("Zoë\t\r\n".as_bytes(), Ok(())),
        (b"0123456789", Ok(())),
        (b"0123456789a", Err(Length)),
        (b"", Err(Length)),
        (b"a\0", Err(Characters)),
        (b"a\x1b", Err(Characters)),
        ("a\u{85}".as_bytes(), Err(Characters)),
        (b"\xff\xfe", Err(Utf8)),
    ];
    for (value, expected) in table {
        assert_eq!(text.validate(value), expected, "{value:?}");
    }
    let bytes = Rule::bytes(limits::VALUE_BYTES_MAX).unwrap();
    assert_eq!(bytes.validate(b"\0\xff"), Ok(()));
    assert_eq!(bytes.validate(&vec![0; limits::VALUE_BYTES_MAX]), Ok(()));
    assert_eq!(bytes.validate(&vec![0; limits::VALUE_BYTES_MAX + 1]), Err(Length));
}

#[test]
fn a_pattern_matches_the_whole_value() {
    use Rejection::{Length, Pattern, Utf8};
    let table: [(&str, &[u8], Result<(), Rejection>); 16] = [
        ("[A-Z]{2}[0-9]{4}", b"AB1234", Ok(())),
        ("[A-Z]{2}[0-9]{4}", b"xAB1234", Err(Pattern)),
        ("[A-Z]{2}[0-9]{4}", b"AB1234\n", Err(Pattern)),
        ("a|ab", b"ab", Ok(())),
        ("a|b", b"ab", Err(Pattern)),
        ("(?m)^a$", b"a\na", Err(Pattern)),
        (".*", b"", Err(Length)),
        (".*", b"0123456789abcdefg", Err(Length)),
        (".*", b"\xff", Err(Utf8)),
        (".*", b"a\0b", Ok(())),
        (r"\d+", b"123", Ok(())),
        (r"\d+", "١٢٣".as_bytes(), Err(Pattern)),
        (r"\w+", "é".as_bytes(), Err(Pattern)),
        (r"(?u:\w)+", "é".as_bytes(), Ok(())),
        ("(?i)k", "\u{212a}".as_bytes(), Err(Pattern)),
        ("é", "é".as_bytes(), Ok(())),
    ];
    for (pattern, value, expected) in table {
        assert_eq!(Rule::pattern(pattern, 16).unwrap().validate(value), expected, "{pattern} {value:?}");
    }
}

#[test]
fn a_costly_pattern_stays_linear() {
    let rule = Rule::pattern("(a+)+b|(a|aa)+c|(.*a){20}d", limits::VALUE_BYTES_MAX).unwrap();
    assert_eq!(rule.validate(&vec![b'a'; limits::VALUE_BYTES_MAX]), Err(Rejection::Pattern));
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    for pattern in ["(", "a)|(b", "a) # ", "(?x)a # b", "[z-a]", r"(a)\1", "(?=a)", "((a{100}){100}){100}", "é{"] {
        assert!(matches!(Rule::pattern(pattern, 10), Err(RuleError::Pattern(_))), "{pattern}");
    }
    assert!(matches!(Rule::pattern("", 10), Err(RuleError::PatternLength)));
    assert!(matches!(Rule::pattern(&"a".repeat(PATTERN_BYTES_MAX + 1), 10), Err(RuleError::PatternLength)));
    assert!(Rule::pattern(&"a".repeat(PATTERN_BYTES_MAX), 10).is_ok());
    let over = limits::VALUE_BYTES_MAX + 1;
    for rule in [
        Rule::pattern("a", 0),
        Rule::pattern("a", over),
        Rule::digits(0, 4),
        Rule::digits(5, 4),
        Rule::digits(1, over),
        Rule::text(TextLimits::of_bytes(0)),
        Rule::text(TextLimits::of_bytes(over)),
        Rule::bytes(0),
        Rule::bytes(over),
    ] {
        assert!(matches!(rule, Err(RuleError::Bounds)));
    }
}

#[test]
fn the_longest_value_is_known() {
    let longest: Vec<usize> = all_rules().iter().map(Rule::bytes_max).collect();
    assert_eq!(longest, [19, 254, 6, 10, 100, 100, 67, 30, 11, 9, 10, 21, 17, 29, 17, 21, 17]);
}

#[test]
fn nothing_empty_or_huge_is_taken() {
    for rule in all_rules() {
        assert_eq!(rule.validate(b""), Err(Rejection::Length), "{rule:?}");
        for byte in [0, b'a', b'0', 0xff] {
            assert!(rule.validate(&vec![byte; limits::VALUE_BYTES_MAX]).is_err(), "{rule:?}");
        }
    }
}

#[test]
fn rejections_have_names_of_their_own_and_one_reason() {
    use Rejection::*;
    let all = [
        Length,
        Utf8,
        Characters,
        Separators,
        Luhn,
        BrandLength,
        Pattern,
        NotNfc,
        SeparatorPlace,
        CodeCharacters,
        IbanCountry,
        IbanLength,
        IbanForm,
        IbanCheck,
        PhonePlus,
        PhoneDigits,
        PhoneSeparators,
        SsnForm,
        SsnArea,
        SsnGroup,
        SsnSerial,
        DateForm,
        DateDay,
        DateYear,
        IdForm,
        IdCheck,
        IdDigits,
        IdBirthday,
        IdPrefix,
        EmailAt,
        EmailLocalPart,
        EmailDomain,
        NotAscii,
        Alphabet,
        ReservedKept,
        TokenSpace,
        LuhnDigit,
    ];
    let names: std::collections::BTreeSet<_> = all.iter().map(|rejection| rejection.rule()).collect();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().all(|rejection| rejection.reason() == vault_domain::Reason::ValueRejected));
}

proptest! {
    #[test]
    fn no_bytes_break_a_rule_or_its_canonical_form(value: Vec<u8>) {
        for rule in all_rules() {
            let canonical = rule.canonical(&value);
            if rule.validate(&value).is_ok() {
                prop_assert_eq!(rule.validate(canonical.expose()), Ok(()));
            }
            let twice = rule.canonical(canonical.expose());
            prop_assert_eq!(twice.expose(), canonical.expose());
        }
    }

    #[test]
    fn a_wrong_digit_and_most_swaps_are_found(body in "4[0-9]{14}", at in 0..16_usize, digit in b'0'..=b'9') {
        let good = card(&body, 16).into_bytes();
        prop_assert_eq!(Rule::pan().validate(&good), Ok(()));
        let mut wrong = good.clone();
        wrong[at] = digit;
        if wrong != good {
            prop_assert!(Rule::pan().validate(&wrong).is_err());
        }
        let mut swapped = good.clone();
        swapped.swap(at, (at + 1) % 16);
        let (a, b) = (good[at], good[(at + 1) % 16]);
        // Luhn can't tell 09 from 90; the ends of the number are no neighbours.
        if at < 15 && a != b && ![(b'0', b'9'), (b'9', b'0')].contains(&(a, b)) {
            prop_assert!(Rule::pan().validate(&swapped).is_err());
        }
    }

    #[test]
    fn a_canonical_form_is_valid_and_stays(
        local in "[a-zA-Z0-9+]{1,10}(\\.[a-zA-Z]{1,5})?",
        domain in "([a-zA-Z0-9]{1,8}\\.){1,3}[a-zA-Z]{2,5}",
    ) {
        let address = format!("{local}@{domain}");
        let rule = Rule::email();
        prop_assert_eq!(rule.validate(address.as_bytes()), Ok(()));
        let once = rule.canonical(address.as_bytes());
        prop_assert_eq!(rule.validate(once.expose()), Ok(()));
        let twice = rule.canonical(once.expose());
        prop_assert_eq!(twice.expose(), once.expose());
        prop_assert!(once.expose().eq_ignore_ascii_case(address.as_bytes()));
    }
}
