//! Social Security numbers of the United States: area, group, serial.
//!
//! The rules are those that hold since the Social Security Administration assigns numbers at random (25 June 2011, its
//! "Social Security Number Randomization" and POMS RM 10201.035): no area 000, 666 or 900 to 999, no group 00, no
//! serial 0000. Numbers have no check digit. It must not judge by the old tables of areas and groups: they say nothing
//! about numbers given since.

use zeroize::Zeroizing;

use crate::{rejection::Rejection, validate::Canonical};

/// `123-45-6789`
pub(super) const HYPHENATED_BYTES: usize = 11;
/// `123456789`
pub(super) const DIGITS: usize = 9;

/// How a class wants Social Security numbers written. In all cases the nine digits alone count for equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hyphens {
    /// `123-45-6789` and `123456789`.
    Optional,
    /// `123-45-6789` only.
    Required,
    /// `123456789` only.
    Forbidden,
}

pub(super) fn validate(hyphens: Hyphens, value: &[u8]) -> Result<(), Rejection> {
    let digits = digits(hyphens, value)?;
    let [a, b, c, d, e, serial @ ..] = *digits;
    if matches!([a, b, c], [b'0', b'0', b'0'] | [b'6', b'6', b'6'] | [b'9', ..]) {
        return Err(Rejection::SsnArea);
    }
    if [d, e] == *b"00" {
        return Err(Rejection::SsnGroup);
    }
    if serial == *b"0000" { Err(Rejection::SsnSerial) } else { Ok(()) }
}

/// The nine digits.
pub(super) fn canonical(value: &[u8]) -> Canonical<'_> {
    match digits(Hyphens::Required, value) {
        Ok(digits) => Canonical::copy(Zeroizing::new(digits.to_vec())),
        Err(_) => Canonical::same(value),
    }
}

/// The digits, if `value` is written as it shall be.
fn digits(hyphens: Hyphens, value: &[u8]) -> Result<Zeroizing<[u8; DIGITS]>, Rejection> {
    let digits = match *value {
        [a, b, c, b'-', d, e, b'-', f, g, h, i] if hyphens != Hyphens::Forbidden => [a, b, c, d, e, f, g, h, i],
        [a, b, c, d, e, f, g, h, i] if hyphens != Hyphens::Required => [a, b, c, d, e, f, g, h, i],
        [] => return Err(Rejection::Length),
        _ => return Err(Rejection::SsnForm),
    };
    if digits.iter().all(u8::is_ascii_digit) { Ok(Zeroizing::new(digits)) } else { Err(Rejection::SsnForm) }
}

#[cfg(test)]
mod tests;
