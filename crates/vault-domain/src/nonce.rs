//! What makes a call count once: a nonce, and the moment at which it was sent.

use std::fmt;

use crate::{Millis, RequestId};

/// 16 bytes that a caller draws at random for one attempt at a call, and never again. Shown as 32 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce(pub [u8; 16]);

impl Nonce {
    /// Reads the 32 lowercase hex digits that [`fmt::Display`] writes: there is one text for a nonce, and no other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        RequestId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        RequestId(self.0).fmt(f)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nonce({self})")
    }
}

/// What a call says of itself, so that it can be told from its own repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing.
    Absent,
    /// Something that is no nonce with a timestamp.
    Malformed,
    /// That it was sent once, at this moment by its caller's clock.
    Stated {
        /// The nonce.
        nonce: Nonce,
        /// The moment.
        sent: Millis,
    },
    /// Nothing, for it is a later part of a stream whose first part said it.
    OfStream,
}

impl Freshness {
    /// Reads both as they are sent: a [`Nonce`], and milliseconds since 1970 in decimal digits.
    #[must_use]
    pub fn parse(nonce: Option<&str>, timestamp: Option<&str>) -> Self {
        let (Some(nonce), Some(timestamp)) = (nonce, timestamp) else {
            return if nonce.or(timestamp).is_none() { Self::Absent } else { Self::Malformed };
        };
        let digits = timestamp.bytes().all(|b| b.is_ascii_digit());
        let sent = timestamp.parse().ok().filter(|sent| digits && *sent <= Millis::MAX.0);
        match (Nonce::parse(nonce), sent) {
            (Some(nonce), Some(sent)) => Self::Stated { nonce, sent: Millis(sent) },
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "000102030405060708090a0b0c0d0eff";

    #[test]
    fn a_nonce_and_a_timestamp_are_read_as_they_are_written() {
        let read = Freshness::parse(Some(NONCE), Some("1767225600000"));
        let Freshness::Stated { nonce, sent } = read else { panic!("{read:?}") };
        assert_eq!((nonce.to_string().as_str(), sent), (NONCE, Millis(1_767_225_600_000)));
        assert_eq!(Freshness::parse(None, None), Freshness::Absent);
    }

    #[test]
    fn one_without_the_other_and_any_other_spelling_is_malformed() {
        let upper = NONCE.to_ascii_uppercase();
        let good = Some("1767225600000");
        for nonce in ["", &NONCE[1..], &upper, &format!("{NONCE} "), &format!("{NONCE}00")] {
            assert_eq!(Freshness::parse(Some(nonce), good), Freshness::Malformed, "{nonce}");
        }
        for timestamp in ["", "+1767225600000", "-1", "1.5", "1e3", " 1", "281474976710656", "99999999999999999999"] {
            assert_eq!(Freshness::parse(Some(NONCE), Some(timestamp)), Freshness::Malformed, "{timestamp}");
        }
        assert_eq!(Freshness::parse(Some(NONCE), None), Freshness::Malformed);
        assert_eq!(Freshness::parse(None, good), Freshness::Malformed);
    }
}
