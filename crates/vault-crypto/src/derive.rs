//! Key derivation: HKDF-Expand with SHA-256 (RFC 5869 section 2.3) from a uniformly random 256-bit key.
//!
//! The extract step is left out, as RFC 5869 section 3.3 allows when the input key is uniformly random already.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::key::Key256;

/// What a derived key is for. Two keys are the same only if every field is.
///
/// Encoded as `label ‖ 0x00 ‖ lp16(tenant) ‖ lp16(class) ‖ lp16(purpose) ‖ lp16(salt) ‖ u16(32)`, where lp16 is a
/// big-endian 16-bit length and the bytes. The label holds no 0x00, so that the encoding is unambiguous.
#[derive(Clone, Copy, Debug)]
pub struct Info<'a> {
    /// The ring and its version of this scheme.
    pub label: &'static str,
    /// The tenant, or nothing for keys of the region.
    pub tenant: &'a str,
    /// The data class, or nothing.
    pub class: &'a str,
    /// The one use of the key.
    pub usage: &'static str,
    /// The epoch's salt, or nothing.
    pub salt: &'a [u8],
}

impl Info<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.extend_from_slice(self.label.as_bytes());
        out.push(0);
        for field in [self.tenant.as_bytes(), self.class.as_bytes(), self.usage.as_bytes(), self.salt] {
            // Names and salts are bounded by vault_domain::limits, far below 64 KiB; a longer one would be cut to a
            // length that no valid field has, and never to another valid one.
            out.extend_from_slice(&u16::try_from(field.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(field);
        }
        out.extend_from_slice(&32_u16.to_be_bytes());
        out
    }
}

/// `HKDF-Expand(prk, info, L)` into `out`.
pub(crate) fn expand(prk: &[u8], info: &[u8], out: &mut [u8]) -> bool {
    Hkdf::<Sha256>::from_prk(prk).is_ok_and(|hkdf| hkdf.expand(info, out).is_ok())
}

impl Key256 {
    /// Derives the key for one use: `HKDF-Expand(self, info, 32)`.
    ///
    /// # Panics
    /// Never: a 32-byte key is long enough for SHA-256, and 32 bytes are below the 8,160 that one expansion gives.
    #[must_use]
    pub fn derive(&self, info: &Info<'_>) -> Self {
        let mut key = Self::zeroed();
        assert!(expand(self.bytes(), &info.encode(), key.bytes_mut()), "32 bytes in, 32 bytes out");
        key
    }
}
