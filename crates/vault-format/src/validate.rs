//! The rules that values must meet before they are stored, and the form of a value that counts for equality.
//!
//! A value is stored and revealed exactly as it was given; only its *canonical* form, which blind indexes are made of,
//! is normalised. Rules name themselves when a value breaks them and never repeat any of it. They must never log.

mod email;
mod pan;

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;
use vault_domain::limits;
use zeroize::Zeroizing;

use crate::rejection::Rejection;

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
    Digits { min: usize, max: usize },
    Pattern { whole: Regex, max: usize },
    Text { max: usize },
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

    /// UTF-8 text of 1 to `max` bytes without control characters other than tab, line feed and carriage return. Taken
    /// as it is: no Unicode normalisation, so two spellings of one accented letter are two values.
    ///
    /// # Errors
    /// Unless 1 ≤ `max` ≤ [`limits::VALUE_BYTES_MAX`].
    pub fn text(max: usize) -> Result<Self, RuleError> {
        check_bounds(1, max).map(|()| Self(Kind::Text { max }))
    }

    /// Any 1 to `max` bytes.
    ///
    /// # Errors
    /// Unless 1 ≤ `max` ≤ [`limits::VALUE_BYTES_MAX`].
    pub fn bytes(max: usize) -> Result<Self, RuleError> {
        check_bounds(1, max).map(|()| Self(Kind::Bytes { max }))
    }

    /// Whether `value` may be stored under this rule. Allocates nothing, but for a pattern's match cache now and then.
    ///
    /// # Errors
    /// With the name of the first rule that the value breaks.
    pub fn validate(&self, value: &[u8]) -> Result<(), Rejection> {
        match &self.0 {
            Kind::Pan => pan::validate(value),
            Kind::Email => email::validate(value),
            Kind::Digits { min, max } => {
                check_digits(value)?;
                check_length(value, *min, *max)
            }
            Kind::Pattern { whole, max } => {
                check_length(value, 1, *max)?;
                std::str::from_utf8(value).map_err(|_| Rejection::Utf8)?;
                if whole.is_match(value) { Ok(()) } else { Err(Rejection::Pattern) }
            }
            Kind::Text { max } => {
                check_length(value, 1, *max)?;
                let text = std::str::from_utf8(value).map_err(|_| Rejection::Utf8)?;
                let stray = text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'));
                if stray { Err(Rejection::Characters) } else { Ok(()) }
            }
            Kind::Bytes { max } => check_length(value, 1, *max),
        }
    }

    /// The length of the longest value that the rule may take, in bytes.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        match self.0 {
            Kind::Pan => pan::DIGITS_MAX,
            Kind::Email => email::ADDRESS_BYTES_MAX,
            Kind::Digits { max, .. } | Kind::Pattern { max, .. } | Kind::Text { max } | Kind::Bytes { max } => max,
        }
    }

    /// The form of a valid `value` that counts for equality: of an e-mail address the domain in lower case (RFC 1035
    /// section 2.3.3) and the local part as it stands, for only its own host knows whether case matters there
    /// (RFC 5321 section 2.4); of everything else the value itself. What [`Rule::validate`] refuses comes
    /// back as it is.
    #[must_use]
    pub fn canonical<'v>(&self, value: &'v [u8]) -> Canonical<'v> {
        match self.0 {
            Kind::Email => email::canonical(value),
            Kind::Pan | Kind::Digits { .. } | Kind::Pattern { .. } | Kind::Text { .. } | Kind::Bytes { .. } => {
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
