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
pub(crate) const DIGITS_MAX: usize = 19;

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

/// Whether cards whose numbers begin with `first_six` have numbers of `length` digits. Of brands that are not in the
/// table nothing is known, so that any length is taken.
fn is_length_of_brand(first_six: u32, length: usize) -> bool {
    CardBrand::of(first_six).is_none_or(|brand| brand.has_length(length))
}

/// A brand of payment cards, told from the beginning of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardBrand {
    /// American Express: 34, 37.
    AmericanExpress,
    /// Diners Club: 300 to 305, 3095, 36, 38, 39.
    DinersClub,
    /// Discover: 6011, 644 to 649, 65. Its 622126 to 622925 lie within UnionPay's.
    Discover,
    /// JCB: 3528 to 3589.
    Jcb,
    /// Maestro: 50, 56 to 58, 63, 67. It has more, which are told from no others.
    Maestro,
    /// Mastercard: 51 to 55, 2221 to 2720.
    Mastercard,
    /// UnionPay: 62, 81.
    UnionPay,
    /// Visa: 4.
    Visa,
}

impl CardBrand {
    /// The brand of cards whose numbers begin with these six digits.
    fn of(first_six: u32) -> Option<Self> {
        Some(match first_six {
            400_000..=499_999 => Self::Visa,
            510_000..=559_999 | 222_100..=272_099 => Self::Mastercard,
            340_000..=349_999 | 370_000..=379_999 => Self::AmericanExpress,
            300_000..=305_999 | 309_500..=309_599 | 360_000..=369_999 | 380_000..=399_999 => Self::DinersClub,
            352_800..=358_999 => Self::Jcb,
            601_100..=601_199 | 644_000..=659_999 => Self::Discover,
            620_000..=629_999 | 810_000..=819_999 => Self::UnionPay,
            500_000..=509_999 | 560_000..=589_999 | 630_000..=639_999 | 670_000..=679_999 => Self::Maestro,
            _ => return None,
        })
    }

    fn has_length(self, length: usize) -> bool {
        match self {
            Self::Visa => matches!(length, 13 | 16 | 19),
            Self::Mastercard => length == 16,
            Self::AmericanExpress => length == 15,
            Self::DinersClub => matches!(length, 14..=19),
            Self::Jcb | Self::Discover | Self::UnionPay => matches!(length, 16..=19),
            Self::Maestro => matches!(length, DIGITS_MIN..=DIGITS_MAX),
        }
    }

    /// The brand whose number these digits are: prefix, length and Luhn check fit.
    pub(crate) fn of_number(digits: &[u8]) -> Option<Self> {
        let brand = Self::of(first_six(digits)).filter(|brand| brand.has_length(digits.len()))?;
        luhn::passes(digits).then_some(brand)
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AmericanExpress => "american_express",
            Self::DinersClub => "diners_club",
            Self::Discover => "discover",
            Self::Jcb => "jcb",
            Self::Maestro => "maestro",
            Self::Mastercard => "mastercard",
            Self::UnionPay => "unionpay",
            Self::Visa => "visa",
        }
    }
}
