//! Ed25519 (RFC 8032) for the checkpoints of the log.

use ed25519_dalek::{Signer, SigningKey};

use crate::key::Key256;

/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Bytes of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;

/// The key that signs a log's checkpoints. Wiped when dropped.
pub struct LogKey(SigningKey);

impl LogKey {
    /// The key with this seed (RFC 8032 section 5.1.5).
    #[must_use]
    pub fn from_seed(seed: &Key256) -> Self {
        Self(SigningKey::from_bytes(seed.bytes()))
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.0.sign(message).to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.0.verifying_key().to_bytes()
    }
}
