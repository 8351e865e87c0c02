//! The rules that values must meet before they are stored, and the form of a value that counts for equality.
//!
//! A value is stored and revealed exactly as it was given; only its *canonical* form, which blind indexes are made of,
//! is normalised. Rules name themselves when a value breaks them and never repeat any of it. They must never log.

mod compact;
mod date;
mod email;
pub(crate) mod iban;
mod pan;
mod personal_id;
mod phone;
mod text;
mod us_ssn;

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;
use vault_domain::limits;
use zeroize::Zeroizing;

use crate::rejection::Rejection;

pub use date::{DATE_YEAR_MAX, DATE_YEAR_MIN};
pub use pan::CardBrand;
pub(crate) use pan::DIGITS_MAX as PAN_DIGITS_MAX;
pub use personal_id::PersonalId;
pub use text::{Controls, Spelling, TextLimits};
pub use us_ssn::Hyphens;

/// The longest pattern, in bytes of its text.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// The largest program that a pattern may compile to, in bytes; also the most that its match cache may grow to.
pub const PATTERN_PROGRAM_BYTES_MAX: usize = 256 * 1024;

/// Why a rule can't be made: the catalog is wrong.
#[derive(Clone, Debug, Error)]
pub enum RuleError {
    /// The bounds of the length.
    #[error("the length of values must be bounded by 1 to 65536 bytes, the least not above the most")]
    Bounds,
    /// The numbers of characters of a text.
    #[error(
        "the length of texts must be bounded by 1 character to as many as they may have bytes, the least not above the \
        most"
    )]
    Chars,
    /// The years of a date.
    #[error("the years of dates must lie within 1583 to 9999, the first not above the last")]
    Years,
    /// The length of the pattern's own text.
    #[error("a pattern must be 1 to 1024 bytes long")]
    PatternLength,
    /// The pattern does not compile, or to more than [`PATTERN_PROGRAM_BYTES_MAX`].
    #[error("the pattern must be a regular expression of the `regex` crate that compiles to at most 256 KiB")]
    Pattern(#[source] regex::Error),
}

/// What values of a class must look like.
#[derive(Clone, Debug)]
pub struct Rule(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Pan,
    Email,
    Iban,
    Phone,
    UsSsn(Hyphens),
    PersonalId(PersonalId),
    Date(date::Years),
    Digits { min: usize, max: usize },
    Pattern { whole: Regex, max: usize },
    Text(TextLimits),
    Bytes { max: usize },
}

impl Rule {
    /// A primary account number: 12 to 19 ASCII digits, the Luhn check passes, and the length is one that the brand of
    /// the first digits uses. Spaces and hyphens are refused (rule `separators`) rather than taken out: what is
    /// revealed later is what was given, so the caller must decide once how it writes card numbers.
    #[must_use]
    pub const fn pan() -> Self {
        Self(Kind::Pan)
    }

    /// An e-mail address: an RFC 5322 addr-spec of a dot-atom and a domain name, within the lengths of RFC 5321: 64
    /// bytes for the local part, 254 for all, 63 for a label. At least two labels, the last not all digits.
    ///
    /// Refused: quoted local parts, comments, domain literals, and everything outside ASCII; an internationalised
    /// domain is taken in its `xn--` form, and a class that needs local parts in UTF-8 (RFC 6531) takes text instead,
    /// for without Unicode tables equal addresses would not be found equal.
    #[must_use]
    pub const fn email() -> Self {
        Self(Kind::Email)
    }

    /// An International Bank Account Number (ISO 13616-1): a country of the IBAN registry, the length and form that its
    /// numbers have, check digits 02 to 98 that fit (modulus 97). Letters may have either case, and single blanks may
    /// stand between characters, as in the paper format; both are taken out for equality.
    #[must_use]
    pub const fn iban() -> Self {
        Self(Kind::Iban)
    }

    /// A telephone number in international form (ITU-T E.164): `+` and 7 to 15 digits, the first not 0. Between digits
    /// a single blank, hyphen or dot may stand, which is taken out for equality; parentheses and extensions are
    /// refused. Nothing is guessed: a number without `+` and country code is refused.
    #[must_use]
    pub const fn phone() -> Self {
        Self(Kind::Phone)
    }

    /// A Social Security number of the United States, by the rules of its administration: no area 000, 666 or 9xx, no
    /// group 00, no serial 0000. The nine digits count for equality, with hyphens or without.
    #[must_use]
    pub const fn us_ssn(hyphens: Hyphens) -> Self {
        Self(Kind::UsSsn(hyphens))
    }

    /// The number of a person in one country.
    #[must_use]
    pub const fn personal_id(id: PersonalId) -> Self {
        Self(Kind::PersonalId(id))
    }

    /// A day of the Gregorian calendar as `YYYY-MM-DD` (ISO 8601-1, extended format), in a year of `year_min` to
    /// `year_max`.
    ///
    /// # Errors
    /// Unless [`DATE_YEAR_MIN`] ≤ `year_min` ≤ `year_max` ≤ [`DATE_YEAR_MAX`].
    pub fn date(year_min: u16, year_max: u16) -> Result<Self, RuleError> {
        date::Years::new(year_min, year_max).map(|years| Self(Kind::Date(years)))
    }

    /// `min` to `max` ASCII digits.
    ///
    /// # Errors
    /// Unless 1 ≤ `min` ≤ `max` ≤ [`limits::VALUE_BYTES_MAX`].
    pub fn digits(min: usize, max: usize) -> Result<Self, RuleError> {
        check_bounds(min, max).map(|()| Self(Kind::Digits { min, max }))
    }

    /// UTF-8 text of at most `max` bytes that `pattern` matches from the first byte to the last, in time linear in the
    /// text's length. The syntax is that of the `regex` crate in ASCII mode: `\d`, `\w`, `\s` and `(?i)` mean ASCII and
    /// `.` is one byte; `(?u:…)` switches to Unicode.
    ///
    /// # Errors
    /// When the pattern is empty, longer than [`PATTERN_BYTES_MAX`], does not compile, or compiles to more than
    /// [`PATTERN_PROGRAM_BYTES_MAX`]; unless 1 ≤ `max` ≤ [`limits::VALUE_BYTES_MAX`].
    pub fn pattern(pattern: &str, max: usize) -> Result<Self, RuleError> {
        check_bounds(1, max)?;
        if !(1..=PATTERN_BYTES_MAX).contains(&pattern.len()) {
            return Err(RuleError::PatternLength);
        }
        // On its own first: `a)|(b` compiles inside the anchored group alone, and would not be anchored.
        compile(pattern)?;
        Ok(Self(Kind::Pattern { whole: compile(&format!(r"\A(?:{pattern})\z"))?, max }))
    }

    /// UTF-8 text within `limits`.
    ///
    /// # Errors
    /// Unless 1 ≤ `bytes_max` ≤ [`limits::VALUE_BYTES_MAX`] and 1 ≤ `chars_min` ≤ `chars_max` ≤ `bytes_max`.
    pub fn text(limits: TextLimits) -> Result<Self, RuleError> {
        limits.check().map(|()| Self(Kind::Text(limits)))
    }

    /// Any 1 to `max` bytes.
    ///
    /// # Errors
    /// Unless 1 ≤ `max` ≤ [`limits::VALUE_BYTES_MAX`].
    pub fn bytes(max: usize) -> Result<Self, RuleError> {
        check_bounds(1, max).map(|()| Self(Kind::Bytes { max }))
    }

    /// Whether `value` may be stored under this rule. Allocates nothing, but for a pattern's match cache now and then,
    /// and for a text's letters under more than a few accents.
    ///
    /// # Errors
    /// With the name of the first rule that the value breaks.
    pub fn validate(&self, value: &[u8]) -> Result<(), Rejection> {
        match &self.0 {
            Kind::Pan => pan::validate(value),
            Kind::Email => email::validate(value),
            Kind::Iban => iban::validate(value),
            Kind::Phone => phone::validate(value),
            Kind::UsSsn(hyphens) => us_ssn::validate(*hyphens, value),
            Kind::PersonalId(id) => personal_id::validate(*id, value),
            Kind::Date(years) => date::validate(*years, value),
            Kind::Digits { min, max } => {
                check_digits(value)?;
                check_length(value, *min, *max)
            }
            Kind::Pattern { whole, max } => {
                check_length(value, 1, *max)?;
                std::str::from_utf8(value).map_err(|_| Rejection::Utf8)?;
                if whole.is_match(value) { Ok(()) } else { Err(Rejection::Pattern) }
            }
            Kind::Text(limits) => text::validate(limits, value),
            Kind::Bytes { max } => check_length(value, 1, *max),
        }
    }

    /// The length of the longest value that the rule may take, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        match &self.0 {
            Kind::Pan => pan::DIGITS_MAX,
            Kind::Email => email::ADDRESS_BYTES_MAX,
            Kind::Iban => iban::IBAN_BYTES_MAX,
            Kind::Phone => phone::PHONE_BYTES_MAX,
            Kind::UsSsn(Hyphens::Forbidden) => us_ssn::DIGITS,
            Kind::UsSsn(_) => us_ssn::HYPHENATED_BYTES,
            Kind::PersonalId(id) => id.bytes_max(),
            Kind::Date(_) => date::DATE_BYTES,
            Kind::Digits { max, .. } | Kind::Pattern { max, .. } | Kind::Bytes { max } => *max,
            Kind::Text(limits) => limits.bytes_max,
        }
    }

    /// The form of a valid `value` that counts for equality. What [`Rule::validate`] refuses comes back as it is, or in
    /// part normalised.
    ///
    /// - e-mail: the domain in lower case (RFC 1035 section 2.3.3) and the local part as it stands, for only its own
    ///   host knows whether case matters there (RFC 5321 section 2.4);
    /// - IBAN, numbers of persons: upper case, without separators;
    /// - telephone number: `+` and digits;
    /// - Social Security number: nine digits;
    /// - text: Unicode normalization form C, unless its class keeps spellings apart;
    /// - all others: the value itself.
    #[must_use]
    pub fn canonical<'v>(&self, value: &'v [u8]) -> Canonical<'v> {
        match &self.0 {
            Kind::Email => email::canonical(value),
            Kind::Iban => iban::canonical(value),
            Kind::Phone => phone::canonical(value),
            Kind::UsSsn(_) => us_ssn::canonical(value),
            Kind::PersonalId(id) => personal_id::canonical(*id, value),
            Kind::Text(limits) => text::canonical(limits, value),
            Kind::Pan | Kind::Date(_) | Kind::Digits { .. } | Kind::Pattern { .. } | Kind::Bytes { .. } => {
                Canonical::same(value)
            }
        }
    }
}

/// A value in its canonical form: the value's own bytes, or a copy that is wiped when dropped.
pub struct Canonical<'v>(Form<'v>);

enum Form<'v> {
    Same(&'v [u8]),
    Copy(Zeroizing<Vec<u8>>),
}

impl<'v> Canonical<'v> {
    fn same(value: &'v [u8]) -> Self {
        Self(Form::Same(value))
    }

    fn copy(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(Form::Copy(bytes))
    }

    /// The bytes themselves. Every caller of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        match &self.0 {
            Form::Same(bytes) => bytes,
            Form::Copy(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Canonical<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canonical(..)")
    }
}

fn compile(pattern: &str) -> Result<Regex, RuleError> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX)
        .build()
        .map_err(RuleError::Pattern)
}

fn check_bounds(min: usize, max: usize) -> Result<(), RuleError> {
    if 1 <= min && min <= max && max <= limits::VALUE_BYTES_MAX { Ok(()) } else { Err(RuleError::Bounds) }
}

fn check_length(value: &[u8], min: usize, max: usize) -> Result<(), Rejection> {
    if (min..=max).contains(&value.len()) { Ok(()) } else { Err(Rejection::Length) }
}

/// Whether all bytes are ASCII digits; digits of other scripts are none.
fn check_digits(value: &[u8]) -> Result<(), Rejection> {
    if value.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    let separated = value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b' ' | b'-'));
    Err(if separated { Rejection::Separators } else { Rejection::Characters })
}

#[cfg(test)]
mod tests;
