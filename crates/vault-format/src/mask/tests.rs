//! What masks show, and that no value makes them show more.

use proptest::prelude::*;

use super::*;

fn masked(mask: Mask, value: &str) -> String {
    String::from_utf8(mask.apply(value.as_bytes()).into_exposed()).unwrap()
}

fn ends(first: usize, last: usize, separators: bool, bound: Bound) -> Mask {
    Mask::Ends(Ends { first, last, separators, bound })
}

#[test]
fn card_numbers_show_what_pci_faq_1091_allows_for_their_length() {
    let (six, four) = (Mask::first6_last4(), Mask::last4(false, Bound::Pci));
    for (pan, first6_last4, last4) in [
        ("4111111111111234", "411111******1234", "************1234"),
        ("378282246310005", "378282*****0005", "***********0005"),
        ("36227206271667", "**********1667", "**********1667"),
        ("4222222222222", "*********2222", "*********2222"),
        ("501800000009", "********0009", "********0009"),
        ("6304000000000000000", "630400*********0000", "***************0000"),
    ] {
        assert_eq!((masked(six, pan), masked(four, pan)), (first6_last4.to_owned(), last4.to_owned()));
    }
    // Not more, even if a class were built that asks for it.
    assert_eq!(masked(ends(8, 8, false, Bound::Pci), "4111111111111234"), "411111******1234");
}

#[test]
fn beyond_pci_four_digits_stay_hidden() {
    let mask = ends(8, 4, false, Bound::AllButFour);
    assert_eq!(masked(mask, "4111111111111234"), "41111111****1234");
    assert_eq!(masked(mask, "378282246310005"), "***************", "three digits would be hidden");
}

#[test]
fn ends_keep_their_separators_and_nothing_else() {
    let numbers = Mask::last4(true, Bound::Half);
    assert_eq!(masked(numbers, "123-45-6789"), "***-**-6789");
    assert_eq!(masked(numbers, "123456789"), "*****6789");
    assert_eq!(masked(numbers, "+49 30 901820"), "+** ** **1820");
    assert_eq!(masked(numbers, "DE89 3704 0044 0532 0130 00"), "**** **** **** **** **30 00");
    assert_eq!(masked(ends(2, 2, false, Bound::Half), "K-2024/0815"), "K-*******15");
    assert_eq!(masked(ends(2, 2, true, Bound::Half), "K-2024/0815"), "K-2***/**15");
    assert_eq!(masked(ends(1, 1, false, Bound::Half), "Zürich"), "Z****h", "a character is a star, whatever its bytes");
}

#[test]
fn a_short_value_is_hidden_whole() {
    let mask = Mask::last4(false, Bound::Half);
    assert_eq!(masked(mask, "12345678"), "****5678");
    assert_eq!(masked(mask, "1234567"), "*******");
    assert_eq!(masked(mask, "1"), "*");
    // Separators don't fill a value up, and go with it.
    assert_eq!(masked(Mask::last4(true, Bound::Half), "12-34-567"), "*********");
}

#[test]
fn an_address_shows_its_domain_and_not_how_long_it_is() {
    assert_eq!(masked(Mask::Email, "john.doe@example.com"), "j***@example.com");
    assert_eq!(masked(Mask::Email, "jo@example.com"), "j***@example.com");
    assert_eq!(masked(Mask::Email, "j@example.com"), "***@example.com");
    assert_eq!(masked(Mask::Email, "nobody"), "***");
}

#[test]
fn a_name_shows_its_initials() {
    for (name, initials) in [
        ("John Doe", "J. D."),
        ("  Anne-Marie  van der\u{a0}Berg ", "A. v. d. B."),
        ("Ada Mary Bea Cleo Dora", "A. M. B. C."),
        ("(Łukasz) Żak", "Ł. Ż."),
        ("O'Neill 3", "O."),
        ("J D", "***"),
        ("J. Doe", "J. D."),
        ("X", "***"),
        ("4711", "***"),
        ("山田 太郎", "山. 太."),
    ] {
        assert_eq!(masked(Mask::Initials, name), initials, "{name}");
    }
}

#[test]
fn a_date_shows_its_year() {
    assert_eq!(masked(Mask::DateYear, "1984-05-23"), "1984-**-**");
    for other in ["1984-5-23", "19840523", "01.02.1984", "x1984-05-23", "198\u{e9}-05-23"] {
        assert!(masked(Mask::DateYear, other).chars().all(|c| c == '*'), "{other}");
    }
}

#[test]
fn bytes_that_are_no_text_are_hidden() {
    for mask in [Mask::Email, Mask::Initials, Mask::DateYear, Mask::last4(true, Bound::Half)] {
        assert_eq!(mask.apply(b"\xff1234567890").expose(), b"***");
    }
}

/// The characters of the value that can be read in the mask, by their places: both are as long as each other.
fn shown(value: &str, mask: &str) -> usize {
    assert_eq!(value.chars().count(), mask.chars().count());
    value.chars().zip(mask.chars()).filter(|(_, m)| *m != '*').inspect(|(v, m)| assert_eq!(v, m)).count()
}

proptest! {
    #[test]
    fn at_least_half_stays_hidden(value in "[a-zé0-9山 .+/-]{0,40}", first in 0..30_usize, last in 0..30_usize) {
        let hidden = ends(first, last, false, Bound::Half);
        prop_assert!(shown(&value, &masked(hidden, &value)) <= value.chars().count() / 2);
        // Those that don't count stay; of those that count, half at most.
        let counted = ends(first, last, true, Bound::Half);
        let is_counted = |c: &char| !SEPARATORS.contains(c);
        let count = value.chars().filter(is_counted).count();
        let masked = masked(counted, &value);
        let visible = masked.chars().filter(is_counted).filter(|c| *c != '*').count();
        prop_assert!(visible <= count / 2);
    }

    #[test]
    fn a_card_number_never_shows_more_than_the_baseline(
        pan in "[0-9]{12,19}", first in 0..30_usize, last in 0..30_usize,
    ) {
        let masked = masked(ends(first, last, false, Bound::Pci), &pan);
        shown(&pan, &masked);
        let (begin, end) = if pan.len() < 15 { (0, 4) } else { (6, 4) };
        prop_assert!(masked[begin..pan.len() - end].bytes().all(|byte| byte == b'*'));
        let least = if pan.len() == 15 { 5 } else { 4 };
        prop_assert!(masked.bytes().filter(|byte| *byte == b'*').count() >= least);
    }

    #[test]
    fn four_digits_stay_hidden_in_any_case(pan in "[0-9]{12,19}", first in 0..30_usize, last in 0..30_usize) {
        let masked = masked(ends(first, last, false, Bound::AllButFour), &pan);
        prop_assert!(masked.bytes().filter(|byte| *byte == b'*').count() >= 4);
    }

    #[test]
    fn an_address_shows_one_character_beside_its_domain(local in "[a-z0-9.]{1,64}", domain in "[a-z]{1,9}\\.[a-z]{2}") {
        let masked = masked(Mask::Email, &format!("{local}@{domain}"));
        let visible = masked.strip_suffix(&format!("***@{domain}")).unwrap();
        prop_assert!(visible.chars().count() <= local.chars().count() / 2 && visible.chars().count() <= 1);
        prop_assert!(local.starts_with(visible));
    }

    #[test]
    fn initials_are_at_most_four_letters_and_half_of_them(name in "\\PC{0,60}") {
        let masked = masked(Mask::Initials, &name);
        let letters = name.chars().filter(|c| c.is_alphabetic()).count();
        let visible = masked.chars().filter(|c| c.is_alphabetic()).count();
        prop_assert!(visible <= 4 && visible <= letters / 2);
        prop_assert!(masked == "***" || masked.chars().all(|c| c.is_alphabetic() || c == '.' || c == ' '));
    }

    #[test]
    fn no_bytes_stop_a_mask(value in prop::collection::vec(any::<u8>(), 0..40)) {
        for mask in [Mask::Email, Mask::Initials, Mask::DateYear, Mask::first6_last4(), ends(3, 3, true, Bound::Half)] {
            prop_assert!(std::str::from_utf8(mask.apply(&value).expose()).is_ok());
        }
    }
}
