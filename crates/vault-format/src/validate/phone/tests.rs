//! Telephone numbers: what is taken, dropped, refused.

use proptest::prelude::*;

use super::*;
use crate::Rule;

#[test]
fn international_numbers_are_taken_with_single_separators() {
    for (written, canonical) in [
        ("+41227305111", "+41227305111"),     // ITU, Geneva
        ("+41 22 730 51 11", "+41227305111"), // as E.123 prints it
        ("+1-201-555-0123", "+12015550123"),  // RFC 3966 section 6
        ("+358.9.123.45678", "+358912345678"),
        ("+2901234", "+2901234"),                 // 7 digits
        ("+123456789012345", "+123456789012345"), // 15
        ("+1 2 3 4 5 6 7 8 9 0 1 2 3 4 5", "+123456789012345"),
    ] {
        assert_eq!(validate(written.as_bytes()), Ok(()), "{written}");
        assert_eq!(Rule::phone().canonical(written.as_bytes()).expose(), canonical.as_bytes(), "{written}");
    }
}

#[test]
fn a_wrong_telephone_number_names_its_rule() {
    use Rejection::{Length, PhoneDigits, PhonePlus, PhoneSeparators};
    let table: [(&str, Rejection); 22] = [
        ("", Length),
        ("+1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6", Length),
        ("+", PhonePlus),
        ("41227305111", PhonePlus),
        ("0041227305111", PhonePlus),
        ("022 730 51 11", PhonePlus),
        ("+041227305111", PhonePlus),
        ("+ 41227305111", PhonePlus),
        (" +41227305111", PhonePlus),
        ("++41227305111", PhonePlus),
        ("+290123", PhoneDigits),
        ("+1234567890123456", PhoneDigits),
        ("+44 (0)20 7946 0000", PhoneSeparators),
        ("+1 (201) 555-0123", PhoneSeparators),
        ("+41  227305111", PhoneSeparators),
        ("+41 -227305111", PhoneSeparators),
        ("+41227305111 ", PhoneSeparators),
        ("+41227305111x12", PhoneSeparators),
        ("+41/227305111", PhoneSeparators),
        ("+41227305111\n", PhoneSeparators),
        ("+4122730511１", PhoneSeparators),
        ("+1-800-FLOWERS", PhoneSeparators),
    ];
    for (value, expected) in table {
        assert_eq!(validate(value.as_bytes()), Err(expected), "{value}");
    }
}

proptest! {
    #[test]
    fn a_number_is_equal_whatever_its_separators(number in "[1-9][0-9]{6,14}", separators in "[ .-]{15}", which: u16) {
        let mut written = String::from("+");
        for (at, (digit, separator)) in number.chars().zip(separators.chars()).enumerate() {
            if at > 0 && which >> at & 1 == 1 {
                written.push(separator);
            }
            written.push(digit);
        }
        prop_assert_eq!(validate(written.as_bytes()), Ok(()));
        let canonical = Rule::phone().canonical(written.as_bytes()).expose().to_vec();
        prop_assert_eq!(canonical, format!("+{number}").into_bytes());
    }
}
