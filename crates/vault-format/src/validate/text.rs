//! Text in Unicode: how long, which control characters, and what counts as the same text.
//!
//! Normalisation is that of Unicode Standard Annex #15, form C. It never changes again for characters that are assigned
//! (the Unicode stability policy); a text with characters newer than the tables may be taken for equal to fewer others.

use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::{
    rejection::Rejection,
    validate::{Canonical, RuleError, check_bounds, check_length},
};

/// Form C is at most this many times as long in UTF-8 as the text was (UAX #15, table of expansion factors).
const NFC_GROWTH_MAX: usize = 3;

/// What values of a class of texts may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimits {
    /// The most bytes of UTF-8, 1 to [`VALUE_BYTES_MAX`](vault_domain::limits::VALUE_BYTES_MAX).
    pub bytes_max: usize,
    /// The fewest characters. Characters are Unicode scalar values, counted in the text as it was given: what a reader
    /// takes for one letter may be several.
    pub chars_min: usize,
    /// The most characters.
    pub chars_max: usize,
    /// Which control characters may be in it.
    pub controls: Controls,
    /// What becomes of the several spellings of one text.
    pub spelling: Spelling,
}

/// Which control characters (general category Cc) a text may hold. Invisible characters of other categories, such as
/// those that turn the direction of writing, are not controls and are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Controls {
    /// None: one line.
    None,
    /// Tab, line feed and carriage return.
    LineEnds,
    /// All, NUL included.
    Any,
}

/// What becomes of texts that Unicode holds for canonically equivalent: é can be one character, or e and an accent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spelling {
    /// All are taken and stored as given; their form C counts for equality.
    Normalise,
    /// Only form C is taken.
    Require,
    /// All are taken, and count as different values.
    Keep,
}

impl TextLimits {
    /// At most `bytes_max` bytes, tab and line ends allowed, equivalent spellings equal.
    #[must_use]
    pub const fn of_bytes(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            chars_min: 1,
            chars_max: bytes_max,
            controls: Controls::LineEnds,
            spelling: Spelling::Normalise,
        }
    }

    pub(super) fn check(&self) -> Result<(), RuleError> {
        check_bounds(1, self.bytes_max)?;
        // A character has a byte at least: more characters than bytes is a limit that means nothing.
        let chars = 1 <= self.chars_min && self.chars_min <= self.chars_max && self.chars_max <= self.bytes_max;
        if chars { Ok(()) } else { Err(RuleError::Chars) }
    }
}

pub(super) fn validate(limits: &TextLimits, value: &[u8]) -> Result<(), Rejection> {
    check_length(value, 1, limits.bytes_max)?;
    let text = std::str::from_utf8(value).map_err(|_| Rejection::Utf8)?;
    if !(limits.chars_min..=limits.chars_max).contains(&text.chars().count()) {
        return Err(Rejection::Length);
    }
    let is_stray = |c: char| match limits.controls {
        Controls::None => c.is_control(),
        Controls::LineEnds => c.is_control() && !matches!(c, '\t' | '\n' | '\r'),
        Controls::Any => false,
    };
    if text.chars().any(is_stray) {
        return Err(Rejection::Characters);
    }
    let refused = limits.spelling == Spelling::Require && !unicode_normalization::is_nfc(text);
    if refused { Err(Rejection::NotNfc) } else { Ok(()) }
}

/// Form C, where that counts for equality.
pub(super) fn canonical<'v>(limits: &TextLimits, value: &'v [u8]) -> Canonical<'v> {
    let text = match std::str::from_utf8(value) {
        Ok(text) if limits.spelling == Spelling::Normalise && value.len() <= limits.bytes_max => text,
        _ => return Canonical::same(value),
    };
    if unicode_normalization::is_nfc(text) {
        return Canonical::same(value);
    }
    // Room for the longest form at once: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(NFC_GROWTH_MAX * text.len()));
    for c in text.nfc() {
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Canonical::copy(bytes)
}

#[cfg(test)]
mod tests;
