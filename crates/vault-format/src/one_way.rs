//! The text of a `one_way` token: `one_<region>_<g><22 digits>`.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | `one_` | 4 | tells the format |
//! | region | 1 to 16 | whose keys made it |
//! | `_` | 1 | a region's name holds none |
//! | g | 1 | generation of the look-up keys, one base62 digit |
//! | digest | 22 | 16 bytes of a keyed hash as a big-endian number, base62 |
//!
//! Two values of one class and audience are equal exactly if their tokens are; two that are not collide with
//! probability 2^-128. Nothing is kept of it, and nothing leads back.

use vault_domain::{Generation, Region, TokenText};

use crate::base62;

const PREFIX: &str = "one_";

/// The text of the token with this digest.
#[must_use]
pub fn one_way_text(region: &Region, generation: Generation, digest: [u8; 16]) -> TokenText {
    let region = region.as_str();
    let mut text = String::with_capacity(PREFIX.len() + region.len() + 2 + base62::U128_DIGITS);
    text.push_str(PREFIX);
    text.push_str(region);
    text.push('_');
    text.push(char::from(base62::digit(generation.get())));
    text.extend(base62::encode_u128(u128::from_be_bytes(digest)).map(char::from));
    TokenText::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_fixed() {
        let region = Region::parse("eu").unwrap();
        let text = |digest| one_way_text(&region, Generation::new(1).unwrap(), digest).expose().to_owned();
        assert_eq!(text([0; 16]), "one_eu_10000000000000000000000");
        // 2^128 - 1, as the layout of opaque tokens writes it too.
        assert_eq!(text([0xFF; 16]), "one_eu_17n42DGM5Tflk9n8mt7Fhc7");
    }
}
