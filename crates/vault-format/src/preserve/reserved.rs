//! Ranges of numbers that nobody has: tokens that lie there can't be taken for a value.
//!
//! Each range is given by characters that stand in certain places, counted over the letters and digits of the number
//! alone. What the rule of such values (`validate.rs`) takes and what lies in its range never meet.

use crate::mod97;

/// Whose unused numbers the tokens of a class are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reserved {
    /// IBANs with the check digits 00, or 01 where 00 would leave the right remainder: check digits are 02 to 98
    /// (ISO 13616-1), and these also fail a check that computes the remainder alone.
    Iban,
    /// Telephone numbers whose country code begins with 0: the zones of ITU-T E.164 are 1 to 9. E.164 keeps no range
    /// for fiction, and national ones are too small.
    Phone,
    /// Social Security numbers of an area 9xx with a group 40 to 49. The administration gives no area above 899, and
    /// the Internal Revenue Service, which gives numbers of the same form from 900 on, uses none of these groups: 50 to
    /// 99 for ITINs and ATINs, and some up to 39 for numbers of its own.
    UsSsn,
    /// Dates in the months 50 to 99; ISO 8601-2 gives a meaning to some up to 41.
    Date,
    /// German Identifikationsnummern that begin with 0, which are left to tests.
    DeSteuerId,
    /// French numbers that begin with 0 or 9 in place of 1 to 8.
    FrNir,
    /// Polish PESELs with a month that no century has: 13 to 19, 33 to 39 and so on.
    PlPesel,
    /// National Insurance numbers with a first letter that is in no prefix: D, F, I, Q, U, V.
    UkNino,
}

/// The most places of a range.
pub(super) const PLACES_MAX: usize = 2;

/// Characters that may stand in a place: digits, or letters in upper case, for which those in lower case stand too.
pub(super) type Choices = &'static [u8];

impl Reserved {
    /// The places, from 0, and what stands there in a number of the range.
    pub(super) const fn places(self) -> &'static [(usize, Choices)] {
        match self {
            Self::Iban => &[(2, b"0"), (3, b"01")],
            Self::Phone | Self::DeSteuerId => &[(0, b"0")],
            Self::UsSsn => &[(0, b"9"), (3, b"4")],
            Self::Date => &[(4, b"56789")],
            Self::FrNir => &[(0, b"09")],
            Self::PlPesel => &[(2, b"13579"), (3, b"3456789")],
            Self::UkNino => &[(0, b"DFIQUV")],
        }
    }

    /// How many of a place's choices are drawn. The last check digit of an IBAN follows from the others.
    pub(super) fn free_choices(self, choices: Choices) -> usize {
        if self == Self::Iban { 1 } else { choices.len() }
    }
}

/// The second check digit of an IBAN that holds 00 there: 0, or 1 if 0 would pass.
pub(super) fn iban_digit(iban: &[u8]) -> u8 {
    let chars = || iban.iter().copied().filter(u8::is_ascii_alphanumeric);
    if mod97::remainder(chars().skip(4).chain(chars().take(4))) == 1 { b'1' } else { b'0' }
}

#[cfg(test)]
mod tests;
