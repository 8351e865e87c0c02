//! Values as people write them, with separators, reduced to the characters that count.

use zeroize::Zeroizing;

use crate::rejection::Rejection;

/// The most characters that a compact form has: those of the longest IBAN (ISO 13616-1).
pub(super) const CHARS_MAX: usize = 34;

/// The letters and digits of a value in upper case, wiped when dropped.
pub(super) struct Compact {
    chars: Zeroizing<[u8; CHARS_MAX]>,
    // Invariant: at most CHARS_MAX.
    length: usize,
}

impl Compact {
    /// Takes the separators out of `value`; each must stand alone, with a letter or digit on either side.
    ///
    /// # Errors
    /// [`Rejection::Length`] if `value` is empty or holds more than [`CHARS_MAX`] letters and digits,
    /// [`Rejection::SeparatorPlace`] if a separator stands anywhere else, [`Rejection::CodeCharacters`] if a byte is
    /// neither separator nor ASCII letter or digit.
    pub(super) fn of(value: &[u8], separators: &[u8]) -> Result<Self, Rejection> {
        let mut compact = Self { chars: Zeroizing::new([0; CHARS_MAX]), length: 0 };
        let mut after_char = false;
        if value.is_empty() || value.len() > length_max(CHARS_MAX) {
            return Err(Rejection::Length);
        }
        for byte in value {
            if byte.is_ascii_alphanumeric() {
                let place = compact.chars.get_mut(compact.length).ok_or(Rejection::Length)?;
                *place = byte.to_ascii_uppercase();
                compact.length += 1;
                after_char = true;
            } else if !separators.contains(byte) {
                return Err(Rejection::CodeCharacters);
            } else if !after_char {
                return Err(Rejection::SeparatorPlace);
            } else {
                after_char = false;
            }
        }
        if after_char { Ok(compact) } else { Err(Rejection::SeparatorPlace) }
    }

    /// The characters.
    pub(super) fn chars(&self) -> &[u8] {
        self.chars.get(..self.length).unwrap_or_default()
    }

    /// A copy of the characters, wiped when dropped.
    pub(super) fn to_vec(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.chars().to_vec())
    }
}

/// The length of a value of so many characters with a separator between any two.
pub(super) const fn length_max(chars: usize) -> usize {
    2 * chars - 1
}
