//! The Luhn check (ISO/IEC 7812-1 annex B, modulus 10 "double-add-double").
//!
//! From the right, every second digit is doubled and 9 is taken off what exceeds 9; the sum of all must be a multiple
//! of 10. Doubling maps the ten digits onto the ten digits, so whatever the others are, exactly one choice of any one
//! digit makes the check pass.

/// What one digit (0 to 9) adds to the sum.
pub(crate) const fn term(digit: u8, doubled: bool) -> u8 {
    match (doubled, digit) {
        (false, _) => digit,
        (true, 0..=4) => digit * 2,
        (true, _) => digit * 2 - 9,
    }
}

/// Whether the ASCII digits of `text` pass; other bytes are skipped, as checkers skip spaces and hyphens.
pub(crate) fn passes(text: &[u8]) -> bool {
    sum(text, false).0.is_multiple_of(10)
}

/// The sum of the terms of the ASCII digits of `text`, the last of which is doubled or not as `doubled` says; and
/// whether a digit before the first would be.
pub(crate) fn sum(text: &[u8], mut doubled: bool) -> (u64, bool) {
    let mut sum = 0;
    for &byte in text.iter().rev() {
        if byte.is_ascii_digit() {
            sum += u64::from(term(byte - b'0', doubled));
            doubled = !doubled;
        }
    }
    (sum, doubled)
}

/// The one digit that makes the check pass, given the sum of all other terms.
pub(crate) fn closing_digit(sum: u64, doubled: bool) -> u8 {
    // (10 - sum mod 10) mod 10 is below 10: the first byte holds it.
    let [missing, ..] = ((10 - sum % 10) % 10).to_le_bytes();
    match (doubled, missing % 2) {
        (false, _) => missing,
        (true, 0) => missing / 2,
        (true, _) => (missing + 9) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        for good in ["4111111111111111", "378282246310005", "79927398713", "0", "", "4111-1111 1111-1111"] {
            assert!(passes(good.as_bytes()), "{good}");
        }
        for bad in ["4111111111111112", "378282246310006", "79927398710", "1"] {
            assert!(!passes(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn one_digit_closes_any_sum() {
        for doubled in [false, true] {
            for sum in 0..200 {
                let closing: Vec<u8> =
                    (0..10).filter(|&digit| (sum + u64::from(term(digit, doubled))) % 10 == 0).collect();
                assert_eq!(closing, [closing_digit(sum, doubled)], "{sum} {doubled}");
            }
        }
    }
}
