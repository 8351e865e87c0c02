//! Telephone numbers in international form (ITU-T E.164): `+`, country code, number.
//!
//! It must not guess: a number without its country code is refused, for no rule tells whose it is, and no table of
//! national plans is kept, for they change weekly.

use zeroize::Zeroizing;

use crate::{rejection::Rejection, validate::Canonical};

/// Digits, country code included. E.164 section 6.1 gives the most; fewer than 7 reach no subscriber from abroad.
const DIGITS_MIN: usize = 7;
const DIGITS_MAX: usize = 15;
/// The longest value: `+`, and single separators between the digits.
pub(super) const PHONE_BYTES_MAX: usize = 1 + DIGITS_MAX + (DIGITS_MAX - 1);

/// What may stand between two digits, one at a time: the blank of ITU-T E.123 and of the visual separators of RFC 3966
/// hyphen and dot. Its parentheses are refused: in `+44 (0)20` they hold a digit that is not dialled from abroad, and
/// taking out the signs alone would make another number of it.
const SEPARATORS: &[u8] = b" -.";

pub(super) fn validate(value: &[u8]) -> Result<(), Rejection> {
    if value.is_empty() || value.len() > PHONE_BYTES_MAX {
        return Err(Rejection::Length);
    }
    // No country code begins with 0 (the zones of E.164 are 1 to 9).
    let Some((b'+', number @ [b'1'..=b'9', ..])) = value.split_first() else { return Err(Rejection::PhonePlus) };
    let mut digits = 0;
    let mut after_digit = false;
    for byte in number {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                after_digit = true;
            }
            separator if after_digit && SEPARATORS.contains(separator) => after_digit = false,
            _ => return Err(Rejection::PhoneSeparators),
        }
    }
    if !after_digit {
        return Err(Rejection::PhoneSeparators);
    }
    if (DIGITS_MIN..=DIGITS_MAX).contains(&digits) { Ok(()) } else { Err(Rejection::PhoneDigits) }
}

/// `+` and the digits alone, the international form of E.164.
pub(super) fn canonical(value: &[u8]) -> Canonical<'_> {
    if validate(value).is_err() || !value.iter().any(|byte| SEPARATORS.contains(byte)) {
        return Canonical::same(value);
    }
    let mut digits = Zeroizing::new(Vec::with_capacity(value.len()));
    digits.extend(value.iter().filter(|byte| !SEPARATORS.contains(byte)));
    Canonical::copy(digits)
}

#[cfg(test)]
mod tests;
