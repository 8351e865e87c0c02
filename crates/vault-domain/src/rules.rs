//! What names a set of rules, which is a catalog with the policies over it, and the step from one set to another.

use std::fmt;

macro_rules! hashes {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// Reads the 64 lowercase hex digits that [`fmt::Display`] writes.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let mut bytes = [0; 32];
                let (digits, rest) = text.as_bytes().as_chunks();
                if digits.len() != bytes.len() || !rest.is_empty() {
                    return None;
                }
                for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
                    *byte = digit(*high)? << 4 | digit(*low)?;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    )*};
}

hashes! {
    /// SHA-256 over everything that decides: schema, catalog and policies. Entries of the log hold its first 8 bytes.
    RulesFingerprint;
    /// SHA-256 over the fingerprints of two sets of rules, in their order: what was reviewed is what is applied if both
    /// have the same name.
    RulesDifference;
}

impl RulesFingerprint {
    /// Where there were no rules before.
    pub const NONE: Self = Self([0; 32]);

    /// As entries hold it.
    #[must_use]
    pub fn short(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        [a, b, c, d, e, f, g, h]
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_text() {
        let hash = RulesDifference(std::array::from_fn(|at| u8::try_from(at * 8).unwrap()));
        assert_eq!(RulesDifference::parse(&hash.to_string()), Some(hash));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"A".repeat(64), &"g".repeat(64)] {
            assert_eq!(RulesDifference::parse(wrong), None, "{wrong}");
        }
    }
}
