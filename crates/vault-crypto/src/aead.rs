//! AES-256-GCM with a 96-bit nonce and a 128-bit tag (NIST SP 800-38D).
//!
//! The caller chooses the nonce; vault-keys is the only one that may, by the rule of docs/CRYPTO.md.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{AeadInOut, inout::InOutBuf},
};
use thiserror::Error;

use crate::key::Key256;

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// The ciphertext is not what was sealed with this key, nonce and associated data. Says no more on purpose.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the ciphertext does not open")]
pub struct OpenError;

/// A key with its schedule expanded: make it once (about 90 ns), use it many times. Wiped when dropped.
pub struct AeadKey(Aes256Gcm);

impl AeadKey {
    /// Expands the schedule.
    #[must_use]
    pub fn new(key: &Key256) -> Self {
        Self(Aes256Gcm::new(key.bytes().into()))
    }

    /// Encrypts `buffer` in place and returns the tag over it and over `aad`.
    ///
    /// # Panics
    /// Never in this vault: the cipher refuses only buffers above 64 GiB, and `limits::VALUE_BYTES_MAX` is 64 KiB.
    #[must_use]
    #[expect(clippy::expect_used, reason = "64 KiB is below GCM's limit of 2^36 - 32 bytes")]
    pub fn seal_in_place(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], buffer: &mut [u8]) -> [u8; TAG_BYTES] {
        self.0
            .encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(buffer))
            .expect("the buffer is below the cipher's limit")
            .into()
    }

    /// Decrypts `buffer` in place, if the tag is right; leaves ciphertext behind if not.
    ///
    /// # Errors
    /// When key, nonce, associated data, ciphertext and tag do not belong together.
    pub fn open_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), OpenError> {
        self.0.decrypt_inout_detached(nonce.into(), aad, InOutBuf::from(buffer), tag.into()).map_err(|_| OpenError)
    }
}
