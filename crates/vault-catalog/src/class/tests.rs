//! The keys of a class: what each choice makes of its values and tokens, and what its author gets to read.

use vault_format::{Alphabet, LuhnMode, Preserving, Reserved};

use crate::{
    Format,
    tests::{assert_fault, base_with},
};

#[test]
fn the_choices_of_a_rule_are_those_of_its_class() {
    let takes = |keys: &str, value: &str| {
        let catalog = base_with(&format!("[classes.x]\n{keys}\n")).unwrap_or_else(|error| panic!("{error}"));
        catalog.class("x").unwrap().rule().validate(value.as_bytes()).is_ok()
    };
    for (hyphens, with, without) in
        [("", true, true), ("hyphens = \"optional\"", true, true), ("hyphens = \"required\"", true, false)]
            .into_iter()
            .chain([("hyphens = \"forbidden\"", false, true)])
    {
        let keys = format!("rule = \"us_ssn\"\n{hyphens}");
        assert_eq!((takes(&keys, "055-09-0001"), takes(&keys, "055090001")), (with, without), "{hyphens}");
    }
    let date = "rule = \"date\"\nyear_min = 1900\nyear_max = 1999";
    assert!(takes(date, "1999-12-31") && !takes(date, "2000-01-01") && !takes(date, "1899-12-31"));
    let text = |keys: &str, value: &str| takes(&format!("rule = \"text\"\nlength_bytes_max = 12\n{keys}"), value);
    assert!(text("", "a\nb") && !text("", "a\0b"));
    assert!(!text("controls = \"none\"", "a\nb") && text("controls = \"any\"", "a\0b"));
    assert!(text("controls = \"line_ends\"", "a\nb") && !text("controls = \"line_ends\"", "a\0b"));
    assert!(text("", "Zoe\u{308}") && !text("spelling = \"nfc_only\"", "Zoe\u{308}"));
    assert!(text("length_chars_max = 3", "äöü") && !text("length_chars_max = 3", "abcd"));
    assert!(text("length_chars_min = 3", "äöü") && !text("length_chars_min = 3", "ab"));
    for (spelling, canonical) in
        [("", "Zo\u{eb}"), ("spelling = \"normalise\"", "Zo\u{eb}"), ("spelling = \"keep\"", "Zoe\u{308}")]
    {
        let catalog = base_with(&format!("[classes.x]\nrule = \"text\"\nlength_bytes_max = 12\n{spelling}\n")).unwrap();
        let rule = catalog.class("x").unwrap().rule();
        assert_eq!(rule.canonical("Zoe\u{308}".as_bytes()).expose(), canonical.as_bytes(), "{spelling}");
    }
}

#[test]
fn tokens_lie_in_the_reserved_range_of_their_rule_unless_asked_otherwise() {
    let preserving = |keys: &str| {
        let class = format!("[classes.x]\nformat = \"format_preserving\"\n{keys}\n");
        let catalog = base_with(&class).unwrap_or_else(|error| panic!("{error}"));
        match catalog.class("x").unwrap().format() {
            Format::FormatPreserving(preserving) => preserving,
            Format::Opaque | Format::Uuid | Format::OneWay | Format::Ff1(_) => panic!("{keys}"),
        }
    };
    for (rule, reserved) in [
        ("rule = \"iban\"", Some(Reserved::Iban)),
        ("rule = \"phone\"", Some(Reserved::Phone)),
        ("rule = \"us_ssn\"", Some(Reserved::UsSsn)),
        ("rule = \"de_steuer_id\"", Some(Reserved::DeSteuerId)),
        ("rule = \"fr_nir\"", Some(Reserved::FrNir)),
        ("rule = \"pl_pesel\"", Some(Reserved::PlPesel)),
        ("rule = \"uk_nino\"", Some(Reserved::UkNino)),
        ("rule = \"date\"\nyear_min = 1900\nyear_max = 2099", Some(Reserved::Date)),
        ("rule = \"es_dni_nie\"", None),
        ("rule = \"nl_bsn\"", None),
        ("rule = \"email\"", None),
        ("rule = \"text\"\nlength_bytes_max = 9", None),
    ] {
        assert_eq!(preserving(rule), Preserving { reserved, ..Preserving::keeping(0, 0) }, "{rule}");
        if reserved.is_some() {
            assert_eq!(preserving(&format!("{rule}\nrange = \"reserved\"")), preserving(rule), "{rule}");
            assert_eq!(preserving(&format!("{rule}\nrange = \"any\"")), Preserving::keeping(0, 0), "{rule}");
            assert_eq!(preserving(&format!("{rule}\nluhn = \"none\"")), preserving(rule), "{rule}");
        }
    }
    let any = preserving("rule = \"phone\"\nrange = \"any\"\nluhn = \"invalid\"");
    assert_eq!(any, Preserving { luhn: LuhnMode::Invalid, ..Preserving::keeping(0, 0) });
}

#[test]
fn alphabets_of_classes() {
    for (word, alphabet) in [
        ("", Alphabet::Ascii),
        ("alphabet = \"ascii\"", Alphabet::Ascii),
        ("alphabet = \"latin\"", Alphabet::Latin),
        ("alphabet = \"greek\"", Alphabet::Greek),
        ("alphabet = \"cyrillic\"", Alphabet::Cyrillic),
    ] {
        for rule in ["rule = \"text\"", "rule = \"pattern\"\npattern = '.*'", "rule = \"bytes\""] {
            let class = format!("[classes.x]\n{rule}\nlength_bytes_max = 50\nformat = \"format_preserving\"\n{word}\n");
            let catalog = base_with(&class).unwrap_or_else(|error| panic!("{error}"));
            let expected = Preserving { alphabet, ..Preserving::keeping(0, 0) };
            assert_eq!(catalog.class("x").unwrap().format(), Format::FormatPreserving(expected), "{rule} {word}");
        }
    }
}

#[test]
fn faults_of_ranges_and_alphabets() {
    let class = |keys: &str, line, key: &str, words| {
        let class = format!("[classes.x]\nformat = \"format_preserving\"\n{keys}\n");
        assert_fault(&class, line, &format!("classes.x.{key}"), words);
    };
    class("rule = \"us_ssn\"\nrange = \"fake\"", 4, "range", "write \"reserved\", \"any\"");
    class("rule = \"us_ssn\"\nrange = true", 4, "range", "expected a string");
    for rule in ["pan", "email", "es_dni_nie", "nl_bsn"] {
        class(&format!("rule = \"{rule}\"\nrange = \"any\""), 4, "range", "no range is known");
    }
    class("rule = \"text\"\nlength_bytes_max = 9\nrange = \"reserved\"", 5, "range", "no range is known");
    for luhn in ["invalid", "valid"] {
        class(&format!("rule = \"us_ssn\"\nluhn = \"{luhn}\""), 4, "luhn", "lie in a reserved range already");
    }
    for (rule, keep) in [
        ("us_ssn", "keep_first = 1"),
        ("us_ssn", "keep_last = 8"),
        ("iban", "keep_first = 6"),
        ("phone", "keep_first = 2"),
        ("uk_nino", "keep_first = 1"),
        ("pl_pesel", "keep_first = 5"),
        ("de_steuer_id", "keep_first = 1"),
        ("fr_nir", "keep_first = 1"),
    ] {
        class(&format!("rule = \"{rule}\"\n{keep}"), 2, "format", "write range = \"any\"");
    }
    class("rule = \"us_ssn\"\nkeep_last = 4", 2, "format", "leaves 1000000 tokens");
    class("rule = \"us_ssn\"\nrange = \"any\"\nkeep_last = 4", 2, "format", "leaves 1000000 tokens");
    class("rule = \"nl_bsn\"\nkeep_last = 9", 2, "format", "leaves 1000000 tokens");
    class("rule = \"date\"\nyear_min = 1900\nyear_max = 2099\nkeep_first = 4", 2, "format", "leaves 1000000 tokens");

    let text = "rule = \"text\"\nlength_bytes_max = 50";
    class(
        &format!("{text}\nalphabet = \"latin1\""),
        5,
        "alphabet",
        "write \"ascii\", \"latin\", \"greek\", \"cyrillic\"",
    );
    class("rule = \"pan\"\nalphabet = \"latin\"", 4, "alphabet", "values of this rule are ASCII");
    class("rule = \"iban\"\nalphabet = \"ascii\"", 4, "alphabet", "values of this rule are ASCII");
    assert_fault("[classes.x]\nrule = \"iban\"\nrange = \"any\"\n", 3, "classes.x.range", "belongs to the format");
    let opaque = "[classes.x]\nrule = \"text\"\nlength_bytes_max = 9\nalphabet = \"latin\"\n";
    assert_fault(opaque, 4, "classes.x.alphabet", "belongs to the format");
}

#[test]
fn faults_of_the_keys_of_rules() {
    let class = |keys: &str, line, key: &str, words| {
        assert_fault(&format!("[classes.x]\n{keys}\n"), line, &format!("classes.x.{key}"), words);
    };
    class("rule = \"us_ssn\"\nhyphens = \"no\"", 3, "hyphens", "write \"optional\", \"required\", \"forbidden\"");
    class("rule = \"us_ssn\"\nhyphens = true", 3, "hyphens", "expected a string");
    class("rule = \"date\"\nyear_max = 2000", 2, "rule", "year_min is missing");
    class("rule = \"date\"\nyear_min = 2000", 2, "rule", "year_max is missing");
    class("rule = \"date\"\nyear_min = 1500\nyear_max = 2000", 4, "year_max", "within 1583 to 9999");
    class("rule = \"date\"\nyear_min = 2000\nyear_max = 1999", 4, "year_max", "the first not above the last");
    class("rule = \"date\"\nyear_min = 2000\nyear_max = 10000", 4, "year_max", "within 1583 to 9999");
    class("rule = \"date\"\nyear_min = -1\nyear_max = 2000", 3, "year_min", "invalid value");
    class("rule = \"date\"\nyear_min = \"1900\"\nyear_max = 2000", 3, "year_min", "invalid type");
    let text = |keys: &str, line, key: &str, words| {
        class(&format!("rule = \"text\"\nlength_bytes_max = 9\n{keys}"), line, key, words);
    };
    text("controls = \"some\"", 4, "controls", "write \"line_ends\", \"none\", \"any\"");
    text("spelling = \"nfc\"", 4, "spelling", "write \"normalise\", \"nfc_only\", \"keep\"");
    text("length_chars_min = 0", 4, "length_chars_min", "bounded by 1 character");
    text("length_chars_max = 0", 4, "length_chars_max", "bounded by 1 character");
    text("length_chars_max = 10", 4, "length_chars_max", "as many as they may have bytes");
    text("length_chars_min = 5\nlength_chars_max = 4", 5, "length_chars_max", "the least not above the most");
    class("rule = \"text\"\nlength_chars_max = 4", 2, "rule", "length_bytes_max is missing");
    class("rule = \"bytes\"", 2, "rule", "length_bytes_max is missing");
    for key in ["hyphens = \"optional\"", "controls = \"none\"", "spelling = \"keep\"", "length_chars_min = 1"]
        .into_iter()
        .chain(["length_chars_max = 1", "year_min = 1900", "year_max = 2000", "digits_min = 1", "digits_max = 1"])
    {
        let name = key.split(' ').next().unwrap();
        for rule in ["pan", "email", "iban", "phone", "de_steuer_id", "es_dni_nie", "fr_nir", "nl_bsn"] {
            class(&format!("rule = \"{rule}\"\n{key}"), 3, name, "belongs to another rule");
        }
    }
}
