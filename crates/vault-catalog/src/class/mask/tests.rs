//! Which masks a class may have, and what they show of its values.

use crate::{
    CatalogError,
    tests::{assert_fault, base_with},
};

fn shown(keys: &str, value: &str) -> Result<String, CatalogError> {
    let catalog = base_with(&format!("[classes.x]\n{keys}\n"))?;
    let mask = *catalog.class("x").unwrap().mask().unwrap();
    Ok(String::from_utf8(mask.apply(value.as_bytes()).into_exposed()).unwrap())
}

#[test]
fn masks_are_those_of_their_rule() {
    for (keys, value, expected) in [
        ("rule = 'pan'\nmask = 'last4'", "4111111111111234", "************1234"),
        ("rule = 'pan'\nmask = 'first6last4'", "4111111111111234", "411111******1234"),
        ("rule = 'pan'\nmask = 'pattern'\nmask_pattern = { keep_first = 1 }", "4111111111111234", "4***************"),
        ("rule = 'email'\nmask = 'email'", "jane@example.com", "j***@example.com"),
        ("rule = 'email'\nmask = 'pattern'\nmask_pattern = { keep_last = 4 }", "jane@example.com", "************.com"),
        ("rule = 'iban'\nmask = 'last4'", "DE89 3704 0044 0532 0130 00", "**** **** **** **** **30 00"),
        ("rule = 'us_ssn'\nmask = 'last4'", "055-09-0001", "***-**-0001"),
        (
            "rule = 'us_ssn'\nmask = 'pattern'\nmask_pattern = { keep_last = 4, show_separators = false }",
            "055-09-0001",
            "*******0001",
        ),
        ("rule = 'date'\nyear_min = 1900\nyear_max = 2000\nmask = 'date_year'", "1984-05-23", "1984-**-**"),
        ("rule = 'text'\nlength_bytes_max = 99\nmask = 'initials'", "Jane Doe", "J. D."),
        ("rule = 'text'\nlength_bytes_max = 99\nmask = 'last4'", "Main St. 12-14", "**********2-14"),
        ("rule = 'pattern'\npattern = '.*'\nlength_bytes_max = 20\nmask = 'last4'", "K-4711-0815", "*******0815"),
        ("rule = 'text'\nlength_bytes_max = 99\nmask = 'pattern'\nmask_pattern = {}", "Jane Doe", "********"),
        (
            "rule = 'text'\nlength_bytes_max = 9\nformat = 'ff1'\nalphabet = 'upper_case'\nmask = 'last4'",
            "ABCDEFGH",
            "****EFGH",
        ),
    ] {
        assert_eq!(shown(keys, value).unwrap_or_else(|error| panic!("{keys}: {error}")), expected, "{keys}");
    }
    assert!(base_with("").unwrap().class("card").unwrap().mask().is_none(), "a class shows no masks unless it says so");
}

#[test]
fn more_of_a_card_number_than_the_baseline_is_asked_for_by_name() {
    let class = |more: &str| format!("[classes.x]\nrule = 'pan'\nmask = 'pattern'\n{more}\n");
    let beyond = "mask_pattern = { keep_first = 8, keep_last = 4 }";
    assert_fault(&class(beyond), 4, "classes.x.mask_pattern", "PCI DSS 3.4.1");
    assert_fault(&class(&format!("{beyond}\nmask_beyond_pci = false")), 4, "classes.x.mask_pattern", "PCI DSS 3.4.1");
    assert_fault(&class("mask_pattern = { keep_last = 5 }"), 4, "classes.x.mask_pattern", "mask_beyond_pci = true");
    let catalog = base_with(&class(&format!("{beyond}\nmask_beyond_pci = true"))).unwrap();
    let class_beyond = catalog.class("x").unwrap();
    assert!(class_beyond.is_mask_beyond_pci());
    assert_eq!(class_beyond.mask().unwrap().apply(b"4111111111111234").expose(), b"41111111****1234");

    let within = "mask_pattern = { keep_first = 6, keep_last = 4 }";
    assert!(!base_with(&class(within)).unwrap().class("x").unwrap().is_mask_beyond_pci());
    let needless = format!("{within}\nmask_beyond_pci = true");
    assert_fault(&class(&needless), 5, "classes.x.mask_beyond_pci", "no more than the first 6 and the last 4");
    let all = "mask_pattern = { keep_first = 9, keep_last = 9 }\nmask_beyond_pci = true";
    assert_fault(&class(all), 4, "classes.x.mask_pattern", "too short for this mask");
    let other =
        "[classes.x]\nrule = 'digits'\ndigits_min = 16\ndigits_max = 16\nmask = 'last4'\nmask_beyond_pci = true\n";
    assert_fault(other, 6, "classes.x.mask_beyond_pci", "no more than");
}

#[test]
fn faults_of_masks() {
    let class = |keys: &str, line, key: &str, words| {
        assert_fault(&format!("[classes.x]\n{keys}\n"), line, &format!("classes.x.{key}"), words);
    };
    class("rule = 'pan'\nmask = 'last5'", 3, "mask", "write \"last4\", \"first6last4\"");
    class("rule = 'pan'\nmask = 'email'", 3, "mask", "for the rule \"email\"");
    class("rule = 'pan'\nmask = 'initials'", 3, "mask", "for names");
    class("rule = 'iban'\nmask = 'first6last4'", 3, "mask", "for card numbers");
    class("rule = 'email'\nmask = 'last4'", 3, "mask", "write \"email\"");
    class("rule = 'email'\nmask = 'date_year'", 3, "mask", "for the rule \"date\"");
    class("rule = 'date'\nyear_min = 1900\nyear_max = 2000\nmask = 'last4'", 5, "mask", "write \"date_year\"");
    class("rule = 'bytes'\nlength_bytes_max = 9\nmask = 'pattern'\nmask_pattern = {}", 4, "mask", "are no text");
    class("rule = 'email'\nformat = 'one_way'\nmask = 'email'", 4, "mask", "never revealed");
    class("rule = 'iban'\nmask = 'pattern'", 3, "mask", "mask_pattern is missing");
    class("rule = 'iban'\nmask = 'last4'\nmask_pattern = { keep_last = 2 }", 4, "mask_pattern", "belongs to mask");
    class("rule = 'iban'\nmask_pattern = { keep_last = 2 }", 3, "mask_pattern", "the class has no mask");
    class("rule = 'pan'\nmask_beyond_pci = true", 3, "mask_beyond_pci", "the class has no mask");
    class("rule = 'pan'\nmask = 'pattern'\nmask_pattern = { first = 2 }", 4, "mask_pattern.first", "unknown field");
    class("rule = 'digits'\ndigits_min = 4\ndigits_max = 7\nmask = 'last4'", 5, "mask", "too short for this mask");
}
