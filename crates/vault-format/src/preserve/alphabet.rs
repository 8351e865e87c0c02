//! The letters beyond ASCII that a class may have in its values: names and addresses, in one script.
//!
//! A letter becomes a letter of the same list, so script, case and length in bytes stay. The lists hold letters of
//! today's languages that UTF-8 writes in two bytes, so that a token is drawn in place; all are in normalization form
//! C.
//! It must not hold what is no letter, nor a letter without a case of its own.

/// Which letters beyond ASCII values may hold. In each case the ASCII letters and digits are among them, and are
/// replaced by ASCII letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alphabet {
    /// None.
    Ascii,
    /// Latin letters with diacritics and the letters between them, such as æ, ł and þ: of Latin-1 Supplement and Latin
    /// Extended-A, and the Romanian Ș and Ț. What Unicode keeps there for compatibility alone is left out.
    Latin,
    /// The Greek letters of the monotonic orthography.
    Greek,
    /// The Cyrillic letters of Russian, Belarusian, Bulgarian, Macedonian, Serbian and Ukrainian.
    Cyrillic,
}

/// Letters of one case: runs from a first to a last code point in steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letters(&'static [(u16, u16, u16)]);

const LATIN_UPPER: Letters = Letters(&[
    (0xc0, 0xd6, 1),
    (0xd8, 0xde, 1),
    (0x100, 0x130, 2),
    (0x134, 0x136, 2),
    (0x139, 0x13d, 2),
    (0x141, 0x147, 2),
    (0x14a, 0x176, 2),
    (0x178, 0x178, 1),
    (0x179, 0x17d, 2),
    (0x218, 0x21a, 2),
]);
const LATIN_LOWER: Letters = Letters(&[
    (0xdf, 0xf6, 1),
    (0xf8, 0xff, 1),
    (0x101, 0x131, 2),
    (0x135, 0x137, 2),
    (0x13a, 0x13e, 2),
    (0x142, 0x148, 2),
    (0x14b, 0x177, 2),
    (0x17a, 0x17e, 2),
    (0x219, 0x21b, 2),
]);
const GREEK_UPPER: Letters = Letters(&[
    (0x386, 0x386, 1),
    (0x388, 0x38a, 1),
    (0x38c, 0x38c, 1),
    (0x38e, 0x38f, 1),
    (0x391, 0x3a1, 1),
    (0x3a3, 0x3ab, 1),
]);
const GREEK_LOWER: Letters = Letters(&[(0x390, 0x390, 1), (0x3ac, 0x3ce, 1)]);
const CYRILLIC_UPPER: Letters = Letters(&[(0x400, 0x42f, 1), (0x490, 0x490, 1)]);
const CYRILLIC_LOWER: Letters = Letters(&[(0x430, 0x45f, 1), (0x491, 0x491, 1)]);

impl Alphabet {
    /// The letters beyond ASCII, by case.
    const fn letters(self) -> &'static [Letters] {
        match self {
            Self::Ascii => &[],
            Self::Latin => &[LATIN_UPPER, LATIN_LOWER],
            Self::Greek => &[GREEK_UPPER, GREEK_LOWER],
            Self::Cyrillic => &[CYRILLIC_UPPER, CYRILLIC_LOWER],
        }
    }

    /// The letters that one beyond ASCII may become.
    pub(super) fn class_of(self, point: u16) -> Option<Letters> {
        self.letters().iter().find(|letters| letters.holds(point)).copied()
    }
}

impl Letters {
    fn holds(self, point: u16) -> bool {
        self.0
            .iter()
            .any(|(first, last, step)| (first..=last).contains(&&point) && (point - first).is_multiple_of(*step))
    }

    /// How many there are.
    pub(super) fn count(self) -> u8 {
        let runs = self.0.iter().map(|(first, last, step)| (last - first) / step + 1);
        // The longest list has 94 letters; a test counts them.
        u8::try_from(runs.sum::<u16>()).unwrap_or(u8::MAX)
    }

    /// The letter at a place below [`Letters::count`].
    pub(super) fn nth(self, place: u8) -> Option<u16> {
        self.0.iter().flat_map(|(first, last, step)| (*first..=*last).step_by(usize::from(*step))).nth(place.into())
    }
}

/// The code point that two bytes of UTF-8 write.
pub(super) fn decode(lead: u8, tail: u8) -> u16 {
    u16::from(lead & 0x1f) << 6 | u16::from(tail & 0x3f)
}

/// The two bytes of UTF-8 that write a code point of a list.
pub(super) fn encode(point: u16) -> [u8; 2] {
    // Invariant: below U+0800, so each part fits its byte.
    let [high, low] = (point << 2).to_be_bytes();
    [0xc0 | high, 0x80 | low >> 2]
}

#[cfg(test)]
mod tests;
