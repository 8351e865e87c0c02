//! Ids. Each is a newtype with private fields that can only be built from valid text or numbers: two swapped arguments
//! do not compile, and an invalid id can't travel.

use std::{fmt, str::FromStr};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::{limits, reason::Reason};

/// Why a text or number is no id of its kind. Never echoes the offending text, which may be a value sent by mistake.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{kind} {rule}")]
pub struct IdError {
    /// The kind of id, as the field's user knows it: `region`, `purpose`.
    pub kind: &'static str,
    /// The rule that was broken, as a sentence's end: `must be 1 to 64 characters`.
    pub rule: &'static str,
}

impl IdError {
    /// The reason under which a door reports it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::FieldInvalid
    }
}

/// Whether `text` is `[a-z][a-z0-9_-]*` of at most `max` bytes.
fn is_name(text: &str, max: usize) -> bool {
    let mut bytes = text.bytes();
    text.len() <= max
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// Whether `text` holds `run` or more ASCII digits in a row: a card number put where a name belongs.
fn has_digit_run(text: &str, run: usize) -> bool {
    let mut length = 0;
    text.bytes().any(|b| {
        length = if b.is_ascii_digit() { length + 1 } else { 0 };
        length >= run
    })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Parses it.
            ///
            /// # Errors
            /// When the text breaks the rule that the type's documentation states.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.into())) } else { Err(IdError { kind: $kind, rule: $rule }) }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// Where a record lives: own directory or database, own keys, own log. `[a-z][a-z0-9]{0,15}`, and not `node`,
    /// which names the log of what belongs to no region. It stands in the text of opaque tokens, hence no `_` or `-`.
    Region, "region", "must match [a-z][a-z0-9]{0,15} and not be \"node\"",
    |text| is_name(text, limits::REGION_BYTES_MAX) && !text.contains(['_', '-']) && text != "node"
);
text_id!(
    /// Who owns the data; tenants never see each other. `[a-z][a-z0-9_-]{0,63}`.
    Tenant, "tenant", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// A named kind of value with its rules. `[a-z][a-z0-9_-]{0,63}`.
    DataClass, "data_class", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// A named set of services; a token is meant for exactly one. `[a-z][a-z0-9_-]{0,63}`.
    Audience, "audience", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
impl Audience {
    /// Who tokens of a class that is deterministic per class are meant for: all audiences that share it. Written `*`,
    /// which no audience of a catalog can be called.
    #[must_use]
    pub fn all_of_class() -> Self {
        Self("*".into())
    }
}

text_id!(
    /// The declared reason of a call, from the catalog's list. `[a-z][a-z0-9_-]{0,63}`.
    Purpose, "purpose", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// The name of a budget in the catalog. `[a-z][a-z0-9_-]{0,63}`.
    BudgetName, "budget", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// The name of a rate in the catalog. `[a-z][a-z0-9_-]{0,63}`.
    RateName, "rate", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// The name of this vault: it is part of every place a value is sealed for, and of the log's origin, for which
    /// reason it may look like a host name. `[a-z0-9][a-z0-9.-]{0,62}`.
    VaultId, "vault_id", "must match [a-z0-9][a-z0-9.-]{0,62}",
    |text| text.len() <= limits::VAULT_ID_BYTES_MAX
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-')
);
text_id!(
    /// The authenticated caller after claim normalisation: a SPIFFE ID (`spiffe://…`) or a DNS name (`dns:…`).
    /// 1 to 256 visible ASCII characters.
    PrincipalId, "principal", "must be 1 to 256 visible ASCII characters",
    |text| (1..=limits::PRINCIPAL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);
text_id!(
    /// A role that an identity provider gives a caller, after claim normalisation. `[a-z][a-z0-9_-]{0,63}`.
    Role, "role", "must match [a-z][a-z0-9_-]{0,63}", |text| is_name(text, limits::NAME_BYTES_MAX)
);
text_id!(
    /// One scope of an access token (RFC 6749 section 3.3): 1 to 64 visible ASCII characters but `"` and `\`.
    Scope, "scope", "must be 1 to 64 visible ASCII characters but \" and \\",
    |text| (1..=limits::NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
);
text_id!(
    /// A free reference (a ticket, an order) that goes into the log: `[A-Za-z0-9._:/#-]{1,64}` without a run of 13 or
    /// more digits, so that no card number ends there.
    Reference, "reference", "must match [A-Za-z0-9._:/#-]{1,64} and hold no run of 13 or more digits",
    |text| (1..=limits::REFERENCE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._:/#-".contains(&b))
        && !has_digit_run(text, limits::REFERENCE_DIGIT_RUN_MAX + 1)
);
text_id!(
    /// The caller's name for one logical request, so that a retry is recognised: 1 to 128 visible ASCII characters.
    IdempotencyKey, "idempotency_key", "must be 1 to 128 visible ASCII characters",
    |text| (1..=limits::IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
);

/// The number under which a record is stored: rising within a region, at most 2^56−1. It says nothing about the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordNumber(u64);

impl RecordNumber {
    /// The last number there is.
    pub const MAX: Self = Self((1 << 56) - 1);

    /// The number, if it is within the 56 bits.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (number <= Self::MAX.0).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// The position of an entry in its log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(pub u64);

/// The version of a region's sealing key, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyVersion(pub u32);

/// The generation of a region's look-up keys, 0 to 61: one base62 character of an opaque token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u8);

impl Generation {
    /// The first generation.
    pub const FIRST: Self = Self(0);

    /// The generation, if it fits one base62 character.
    #[must_use]
    pub fn new(generation: u8) -> Option<Self> {
        (generation < 62).then_some(Self(generation))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }
}

/// The person that a value is about, as the caller knows them: 1 to 128 visible ASCII characters. Never stored or
/// logged; [`SubjectId`] stands for it.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectName(Zeroizing<String>);

impl SubjectName {
    /// Parses it.
    ///
    /// # Errors
    /// When the text breaks the rule above.
    pub fn parse(text: String) -> Result<Self, IdError> {
        let text = Zeroizing::new(text);
        let fits = (1..=limits::SUBJECT_BYTES_MAX).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(IdError { kind: "subject", rule: "must be 1 to 128 visible ASCII characters" })
    }

    /// The text, for hashing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text, for a message.
    #[must_use]
    pub fn into_exposed(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl fmt::Debug for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectName(..)")
    }
}

/// The keyed name of a data subject within a tenant: 16 bytes, never the subject's own identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(pub [u8; 16]);

/// The id of one request, drawn at the door, in every log line, error and entry: 16 random bytes, shown as 32 hex
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// Reads the 32 lowercase hex digits that [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).ok()?;
            if pair.bytes().any(|b| !b.is_ascii_digit() && !(b'a'..=b'f').contains(&b)) {
                return None;
            }
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 32 hex digits at once: every answer carries them.
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_their_alphabets() {
        assert!(Region::parse("eu").is_ok());
        for bad in ["", "node", "EU", "eu_1", "eu-1", "1eu", "abcdefghijklmnopq"] {
            assert!(Region::parse(bad).is_err(), "{bad}");
        }
        assert!(DataClass::parse("card_number").is_ok());
        assert!(Reference::parse("CASE-4711/a#2").is_ok());
        assert!(Reference::parse("123456789012").is_ok());
        assert!(Reference::parse("x4111111111111111").is_err());
    }

    #[test]
    fn no_catalog_can_name_all_audiences_of_a_class() {
        assert!(Audience::parse(Audience::all_of_class().as_str()).is_err());
    }

    #[test]
    fn a_subject_is_held_to_its_length_and_shows_nothing() {
        let subject = SubjectName::parse("jane@example.com".to_owned()).unwrap();
        assert_eq!(format!("{subject:?}"), "SubjectName(..)");
        for bad in ["", "two words", "Zoë", &"s".repeat(limits::SUBJECT_BYTES_MAX + 1)] {
            assert!(SubjectName::parse(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_error_never_echoes_the_text() {
        let error = Region::parse("4111111111111111").unwrap_err();
        assert!(!error.to_string().contains("4111"));
    }

    #[test]
    fn a_request_id_reads_what_it_writes() {
        let id = RequestId([0xa7; 16]);
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        assert_eq!(RequestId::parse(&"A7".repeat(16)), None);
        assert_eq!(RequestId::parse("a7"), None);
    }
}
