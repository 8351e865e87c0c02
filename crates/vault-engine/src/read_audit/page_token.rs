//! The text that leads to the next page of an answer: where to go on, and which question it belongs to.
//!
//! 48 lowercase hex digits: the range of indexes that are still to be looked at (8 bytes each, big-endian; the second
//! is behind the last), and a keyed hash of the question cut to 8 bytes. It holds nothing of the question, and is of no
//! use with another one. Pages that begin with the oldest entry carry the end along, so that they do not chase the
//! entries of their own questions.

use std::{fmt, ops::Range};

/// Where a page begins, and where the last one ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    left: Range<u64>,
    fingerprint: [u8; 8],
}

impl PageToken {
    /// Entries of `left` are still to be looked at, for the question with this fingerprint.
    #[must_use]
    pub fn new(left: Range<u64>, fingerprint: [u8; 8]) -> Self {
        Self { left, fingerprint }
    }

    /// Reads a text; `None` if it is not exactly one that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (start, rest) = text.split_at_checked(16)?;
        let (end, fingerprint) = rest.split_at_checked(16)?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        let token = Self::new(number(start)?..number(end)?, number(fingerprint)?.to_be_bytes());
        // Signs, capitals and a seventeenth digit are read as numbers too.
        (!token.left.is_empty() && token.to_string() == text).then_some(token)
    }

    /// What is left to be looked at, if this is a page of that question.
    pub(crate) fn of(self, fingerprint: [u8; 8]) -> Option<Range<u64>> {
        (self.fingerprint == fingerprint).then_some(self.left)
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:016x}", self.left.start, self.left.end, u64::from_be_bytes(self.fingerprint))
    }
}
