//! The text of a `uuid` token: a random UUID (RFC 9562 section 5.4, version 4), for columns that hold nothing else.
//!
//! `xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx` in hexadecimal digits, `v` one of `8`, `9`, `a` and `b`: 122 random bits. It
//! is written in lower case and read in either, as databases give it back in either (RFC 9562 section 4). It carries no
//! region and no check, so that what was mistyped looks like any unknown token.

use std::fmt;

use vault_domain::TokenText;

use crate::token::MalformedToken;

/// Bytes of the text.
const TEXT_BYTES: usize = 36;
/// Where the text has hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// A version 4 UUID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UuidToken {
    // Invariant: version and variant are set.
    bytes: [u8; 16],
}

impl UuidToken {
    /// Makes one of random bytes: sets version and variant, 6 of the 128 bits.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
        *version = *version & 0x0F | 0x40;
        *variant = *variant & 0x3F | 0x80;
        Self { bytes }
    }

    /// The UUID of these bytes; `None` if they are no version 4 UUID.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let uuid = Self::from_random(bytes);
        (uuid.bytes == bytes).then_some(uuid)
    }

    /// Reads a text, in lower or upper case.
    ///
    /// # Errors
    /// When it is not the text of a version 4 UUID with its hyphens.
    pub fn parse(text: &str) -> Result<Self, MalformedToken> {
        let text: &[u8; TEXT_BYTES] = text.as_bytes().try_into().map_err(|_| MalformedToken::Length)?;
        let mut bytes = [0; 16];
        let mut digits = 0_usize;
        for (at, byte) in text.iter().enumerate() {
            if HYPHENS.contains(&at) {
                if *byte != b'-' {
                    return Err(MalformedToken::Digit);
                }
                continue;
            }
            let digit = char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            if let Some(to) = bytes.get_mut(digits / 2) {
                *to = *to << 4 | digit.ok_or(MalformedToken::Digit)?;
            }
            digits += 1;
        }
        Self::from_bytes(bytes).ok_or(MalformedToken::Version)
    }

    /// Its text, in lower case, in a buffer of its own that is wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> TokenText {
        let mut text = String::with_capacity(TEXT_BYTES);
        for byte in self.bytes {
            if HYPHENS.contains(&text.len()) {
                text.push('-');
            }
            text.extend([byte >> 4, byte & 0x0F].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
        }
        TokenText::new(text)
    }

    /// Its bytes, as RFC 9562 orders them.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }
}

impl fmt::Debug for UuidToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UuidToken(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of RFC 9562, appendix A.3.
    const EXAMPLE: &str = "919108f7-52d1-4320-9bac-f847db4148a8";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let uuid = UuidToken::parse(EXAMPLE).unwrap();
        assert_eq!(uuid.to_text().expose(), EXAMPLE);
        assert_eq!(uuid.bytes()[..4], [0x91, 0x91, 0x08, 0xf7]);
        assert!(UuidToken::parse(&EXAMPLE.to_uppercase()).unwrap() == uuid);
    }

    #[test]
    fn other_versions_variants_and_spellings_are_no_tokens() {
        for (bad, why) in [
            ("919108f7-52d1-1320-9bac-f847db4148a8", MalformedToken::Version),
            ("919108f7-52d1-4320-cbac-f847db4148a8", MalformedToken::Version),
            ("00000000-0000-0000-0000-000000000000", MalformedToken::Version),
            ("919108f7052d1043200 9bac0f847db4148a", MalformedToken::Digit),
            ("919108f7-52d1-4320-9bac-f847db4148ag", MalformedToken::Digit),
            ("919108f752d143209bacf847db4148a8", MalformedToken::Length),
            ("{919108f7-52d1-4320-9bac-f847db4148a8}", MalformedToken::Length),
            ("", MalformedToken::Length),
            ("919108f7-52d1-4320-9bac-f847db4148ä", MalformedToken::Digit),
        ] {
            assert_eq!(UuidToken::parse(bad).unwrap_err(), why, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_16_random_bytes_give_one_uuid_with_one_text(random: [u8; 16]) {
            let uuid = UuidToken::from_random(random);
            let text = uuid.to_text();
            prop_assert_eq!(text.expose().as_bytes()[14], b'4');
            prop_assert!(b"89ab".contains(&text.expose().as_bytes()[19]));
            prop_assert!(UuidToken::parse(text.expose()).unwrap() == uuid);
            prop_assert!(UuidToken::from_bytes(*uuid.bytes()).is_some());
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _either = UuidToken::parse(&text);
        }
    }
}
