//! HMAC-SHA-256 (FIPS 198-1, RFC 2104), cut to its first 16 bytes where it names or authenticates rows.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::key::Key256;

/// The first 16 bytes of an HMAC.
pub type MacTag = [u8; 16];

/// A key whose inner and outer states are ready: 128 ns a tag instead of 197. Wiped when dropped.
pub struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Hashes the key into its two states.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn new(key: &Key256) -> Self {
        Self(<Hmac<Sha256> as KeyInit>::new_from_slice(key.bytes()).expect("HMAC takes keys of any length"))
    }

    /// The whole 32 bytes over the parts, one after the other. The caller makes the encoding unambiguous.
    #[must_use]
    pub fn tag32(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// The first 16 bytes of [`MacKey::tag32`].
    #[must_use]
    pub fn tag(&self, parts: &[&[u8]]) -> MacTag {
        let mut out = MacTag::default();
        out.iter_mut().zip(self.tag32(parts)).for_each(|(to, from)| *to = from);
        out
    }
}

/// Whether two 16-byte values are the same, in a time that does not depend on where they differ.
#[must_use]
pub fn same(left: &[u8; 16], right: &[u8; 16]) -> bool {
    left.ct_eq(right).into()
}

/// SHA-256 (FIPS 180-4) over the parts, one after the other. The caller makes the encoding unambiguous.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::default();
    for part in parts {
        sha2::Digest::update(&mut hash, part);
    }
    sha2::Digest::finalize(hash).into()
}
