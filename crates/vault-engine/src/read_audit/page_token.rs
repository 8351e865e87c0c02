//! The text that leads to the next page of an answer: where to go on, and which question it belongs to.
//!
//! 32 lowercase hex digits: the index below which entries are still to be looked at (8 bytes, big-endian), and a keyed
//! hash of the question cut to 8 bytes. It holds nothing of the question, and is of no use with another one.

use std::fmt;

/// Where a page begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageToken {
    upper: u64,
    fingerprint: [u8; 8],
}

impl PageToken {
    /// Entries from `upper` on were looked at, for the question with this fingerprint.
    #[must_use]
    pub fn new(upper: u64, fingerprint: [u8; 8]) -> Self {
        Self { upper, fingerprint }
    }

    /// Reads a text; `None` if it is not exactly one that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (upper, fingerprint) = text.split_at_checked(16)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let token = Self::new(number(upper)?, number(fingerprint)?.to_be_bytes());
        // Signs, capitals and a seventeenth digit are read as numbers too.
        (token.to_string() == text).then_some(token)
    }

    /// Where to go on, if this is a page of that question.
    pub(crate) fn of(self, fingerprint: [u8; 8]) -> Option<u64> {
        (self.fingerprint == fingerprint).then_some(self.upper)
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.upper, u64::from_be_bytes(self.fingerprint))
    }
}
