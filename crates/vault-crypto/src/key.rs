//! A 256-bit key, and how one key is wrapped under another.

use vault_domain::{Entropy, EntropyError};
use zeroize::Zeroizing;

use crate::aead::{AeadKey, NONCE_BYTES, OpenError, TAG_BYTES};

/// Bytes of a wrapped key: nonce ‖ ciphertext ‖ tag.
pub const WRAPPED_BYTES: usize = NONCE_BYTES + 32 + TAG_BYTES;

/// A uniformly random 256-bit key. Boxed, so that moving it leaves no copy behind; wiped when dropped.
pub struct Key256(Box<Zeroizing<[u8; 32]>>);

impl Key256 {
    /// Draws a fresh key.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        entropy.fill(key.as_mut_slice())?;
        Ok(Self(key))
    }

    /// Takes over key bytes that a root key provider read. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        key.copy_from_slice(bytes);
        Self(key)
    }

    /// The key as 64 lowercase hex digits, for a file that it is exported to. For keys that are made to be handed on;
    /// every caller of this is a place to review.
    #[must_use]
    pub fn danger_hex(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in self.bytes() {
            let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
            text.extend([digit(byte >> 4), digit(byte & 15)]);
        }
        text
    }

    pub(crate) fn zeroed() -> Self {
        Self(Box::new(Zeroizing::new([0; 32])))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }

    /// Wraps `key` under this one: nonce ‖ AES-256-GCM(self, nonce, place, key) ‖ tag, with a fresh random 96-bit
    /// nonce (NIST SP 800-38D 8.2.2). Wrapping is rare, far below the 2^32 invocations that the bound allows.
    ///
    /// # Errors
    /// When the source of randomness fails.
    pub fn wrap(&self, key: &Self, place: &[u8], entropy: &dyn Entropy) -> Result<[u8; WRAPPED_BYTES], EntropyError> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce)?;
        let mut body = Zeroizing::new(*key.bytes());
        let tag = AeadKey::new(self).seal_in_place(&nonce, place, body.as_mut_slice());
        let mut wrapped = [0; WRAPPED_BYTES];
        let (head, rest) = wrapped.split_at_mut(NONCE_BYTES);
        let (middle, tail) = rest.split_at_mut(32);
        head.copy_from_slice(&nonce);
        middle.copy_from_slice(body.as_slice());
        tail.copy_from_slice(&tag);
        Ok(wrapped)
    }

    /// Unwraps what [`Key256::wrap`] made for the same place.
    ///
    /// # Errors
    /// When it was wrapped under another key, for another place, or was changed.
    pub fn unwrap(&self, wrapped: &[u8], place: &[u8]) -> Result<Self, OpenError> {
        let wrapped: &[u8; WRAPPED_BYTES] = wrapped.try_into().map_err(|_| OpenError)?;
        let (nonce, rest) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
        let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(OpenError)?;
        let mut key = Self::zeroed();
        key.bytes_mut().copy_from_slice(body);
        AeadKey::new(self).open_in_place(nonce, place, key.bytes_mut(), tag)?;
        Ok(key)
    }
}
