//! Primary account numbers (ISO/IEC 7812-1): digits, length by brand, Luhn.
//!
//! The table knows lengths of brands only. It must not grow into a register of issuers: those change weekly, and a
//! card that the world accepts must not fail here.

use crate::{
    luhn,
    rejection::Rejection,
    validate::{check_digits, check_length},
};

/// The shortest in use: Maestro has numbers of 12 digits.
const DIGITS_MIN: usize = 12;
/// The most that ISO/IEC 7812-1 allows.
pub(super) const DIGITS_MAX: usize = 19;

pub(super) fn validate(value: &[u8]) -> Result<(), Rejection> {
    check_digits(value)?;
    check_length(value, DIGITS_MIN, DIGITS_MAX)?;
    if !is_length_of_brand(first_six(value), value.len()) {
        return Err(Rejection::BrandLength);
    }
    if luhn::passes(value) { Ok(()) } else { Err(Rejection::Luhn) }
}

/// The first six digits as a number.
fn first_six(digits: &[u8]) -> u32 {
    digits.iter().take(6).fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

/// Whether cards whose numbers begin with `first_six` have numbers of `length` digits.
fn is_length_of_brand(first_six: u32, length: usize) -> bool {
    match first_six {
        // Visa
        400_000..=499_999 => matches!(length, 13 | 16 | 19),
        // Mastercard: 51 to 55, 2221 to 2720
        510_000..=559_999 | 222_100..=272_099 => length == 16,
        // American Express: 34, 37
        340_000..=349_999 | 370_000..=379_999 => length == 15,
        // Diners Club: 300 to 305, 3095, 36, 38, 39
        300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 => matches!(length, 14..=19),
        // JCB: 3528 to 3589; Discover: 6011, 644 to 649, 65, and 622126 to 622925 within UnionPay's 62; UnionPay: 81
        352_800..=358_999 | 601_100..=601_199 | 644_000..=659_999 | 620_000..=629_999 | 810_000..=819_999 => {
            matches!(length, 16..=19)
        }
        // Maestro and all others
        _ => true,
    }
}
