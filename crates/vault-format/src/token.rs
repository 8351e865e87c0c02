//! The text of an opaque token: `tok_<region>_<g><22 digits><6 digits>`.
//!
//! | part | bytes | meaning |
//! |---|---|---|
//! | `tok_` | 4 | tells the format |
//! | region | 1 to 16 | where the record lives, `[a-z][a-z0-9]{0,15}` and not `node` |
//! | `_` | 1 | a region's name holds none |
//! | g | 1 | generation of the look-up keys, one base62 digit |
//! | block | 22 | the 16 encrypted bytes as a big-endian number, base62 |
//! | check | 6 | the check number, below 62^6, base62 |
//!
//! Base62 is `0-9A-Za-z` in this order of values, fixed width, most significant digit first. Every token has exactly
//! one text and every accepted text is the text of exactly one token. This module must never judge a token: it knows
//! no key, so a well-formed text may still be made up.

use std::fmt;

use thiserror::Error;
use vault_domain::{Generation, Reason, Region, TokenText, limits};

use crate::base62::{self, DecodeError};

/// How many check numbers there are: 62^6. The check is an AES block cut to 64 bits, modulo this.
pub const CHECK_SPACE: u64 = 62_u64.pow(6);

/// The longest text of an opaque token, in bytes.
pub const OPAQUE_TOKEN_BYTES_MAX: usize = PREFIX.len() + limits::REGION_BYTES_MAX + TAIL_BYTES;

const PREFIX: &str = "tok_";
const CHECK_DIGITS: usize = 6;
/// What follows the region: `_`, the generation, the block, the check.
const TAIL_BYTES: usize = 1 + 1 + base62::U128_DIGITS + CHECK_DIGITS;

/// Why a text is no opaque token. For the log alone: callers see no difference between these and an unknown token.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum MalformedToken {
    /// It does not begin with `tok_`: it may be a token of another format, or a value.
    #[error("an opaque token begins with tok_")]
    Prefix,
    /// A part is missing or has another length.
    #[error("an opaque token is tok_<region>_ and 29 base62 digits")]
    Length,
    /// The region is no region's name.
    #[error("the region of a token must match [a-z][a-z0-9]{{0,15}} and not be \"node\"")]
    Region,
    /// A byte of generation, block or check is no base62 digit.
    #[error("the digits of a token must match [0-9A-Za-z]")]
    Digit,
    /// The block's digits stand for 2^128 or more.
    #[error("the block of a token must be below 2^128")]
    Overflow,
    /// It is a UUID, and none of version 4.
    #[error("a uuid token is a UUID of version 4")]
    Version,
}

impl MalformedToken {
    /// The rule that is broken, in one word.
    #[must_use]
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Length => "length",
            Self::Region => "region",
            Self::Digit => "digit",
            Self::Overflow => "overflow",
            Self::Version => "version",
        }
    }

    /// The reason for the log; outside it looks like any unknown token.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::TokenMalformed
    }
}

impl From<DecodeError> for MalformedToken {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Digit => Self::Digit,
            DecodeError::Overflow => Self::Overflow,
        }
    }
}

/// The parts of an opaque token's text; `'t` is the text or the region that it borrows.
#[derive(PartialEq, Eq)]
pub struct OpaqueToken<'t> {
    // Invariant: a valid region's name.
    region: &'t str,
    generation: Generation,
    block: [u8; 16],
    // Invariant: below CHECK_SPACE.
    check: u64,
}

impl<'t> OpaqueToken<'t> {
    /// Puts a token together; `None` if `check` is not below [`CHECK_SPACE`].
    #[must_use]
    pub fn new(region: &'t Region, generation: Generation, block: [u8; 16], check: u64) -> Option<Self> {
        (check < CHECK_SPACE).then_some(Self { region: region.as_str(), generation, block, check })
    }

    /// Takes a text apart. Allocates nothing.
    ///
    /// # Errors
    /// When the text is not exactly what [`OpaqueToken::write`] writes for some token.
    pub fn parse(text: &'t str) -> Result<Self, MalformedToken> {
        let rest = text.strip_prefix(PREFIX).ok_or(MalformedToken::Prefix)?;
        let region_bytes = rest.len().checked_sub(TAIL_BYTES).ok_or(MalformedToken::Length)?;
        if !(1..=limits::REGION_BYTES_MAX).contains(&region_bytes) {
            return Err(MalformedToken::Length);
        }
        // Not at a character's boundary: then the region isn't ASCII.
        let (region, tail) = rest.split_at_checked(region_bytes).ok_or(MalformedToken::Region)?;
        let Some((&[b'_', generation], digits)) = tail.as_bytes().split_first_chunk() else {
            return Err(MalformedToken::Length);
        };
        if !is_region(region) {
            return Err(MalformedToken::Region);
        }
        let generation = Generation::new(base62::value(generation)?).ok_or(MalformedToken::Digit)?;
        let (block, check) = digits.split_first_chunk().ok_or(MalformedToken::Length)?;
        let check: &[u8; CHECK_DIGITS] = check.try_into().map_err(|_| MalformedToken::Length)?;
        let check = base62::decode_u64(check)?;
        let block = base62::decode_u128(block)?.to_be_bytes();
        Ok(Self { region, generation, block, check })
    }

    /// Appends the token's text.
    pub fn write(&self, text: &mut String) {
        text.reserve(PREFIX.len() + self.region.len() + TAIL_BYTES);
        text.push_str(PREFIX);
        text.push_str(self.region);
        text.push('_');
        text.push(char::from(base62::digit(self.generation.get())));
        push_digits(text, &base62::encode_u128(u128::from_be_bytes(self.block)));
        push_digits(text, &base62::encode_u64::<CHECK_DIGITS>(self.check));
    }

    /// The token's text, in a buffer of its own that is wiped when dropped.
    #[must_use]
    pub fn to_text(&self) -> TokenText {
        let mut text = String::new();
        self.write(&mut text);
        TokenText::new(text)
    }

    /// The region's name; valid by its rules, though perhaps not of a region that exists.
    #[must_use]
    pub fn region(&self) -> &'t str {
        self.region
    }

    /// The generation of the look-up keys that made it.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The encrypted block.
    #[must_use]
    pub fn block(&self) -> &[u8; 16] {
        &self.block
    }

    /// The check number, below [`CHECK_SPACE`].
    #[must_use]
    pub fn check(&self) -> u64 {
        self.check
    }
}

impl fmt::Debug for OpaqueToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(..)")
    }
}

/// Appends base62 digits, all at once. They are ASCII, so the empty default is never used; a text without its digits
/// would be refused by every parser.
fn push_digits(text: &mut String, digits: &[u8]) {
    text.push_str(str::from_utf8(digits).unwrap_or_default());
}

/// The rule of [`Region`], without the allocation of [`Region::parse`]; a test holds the two together.
fn is_region(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= limits::REGION_BYTES_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        && text != "node"
}

#[cfg(test)]
mod tests;
