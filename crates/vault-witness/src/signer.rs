//! The key of a witness, and its text in a file: that of Go's `sumdb/note` for private keys.
//!
//! ```text
//! PRIVATE+KEY+<name>+<key id, 8 hex digits>+<base64 of 0x04 ‖ seed (32)>
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};
use thiserror::Error;
use vault_crypto::{Key256, LogKey};
use vault_domain::{Entropy, EntropyError};
use vault_ledger::{LedgerError, ORIGIN_BYTES_MAX, Origin, Signer, WitnessKey};
use zeroize::Zeroizing;

/// The longest text of a key.
pub const SIGNER_BYTES_MAX: usize = ORIGIN_BYTES_MAX + 128;

const PREFIX: &str = "PRIVATE+KEY+";
/// The signature type of cosignatures by Ed25519.
const COSIGNATURE: u8 = 0x04;

/// Why a key can't be used. No variant repeats a byte of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SignerError {
    /// The text has another form, or its parts do not belong together.
    #[error("holds no key of a witness; make one with `tokenvault witness key`")]
    Malformed,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] LedgerError),
    /// There is no randomness to make one of.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Who cosigns. The key is wiped when dropped.
pub struct WitnessSigner {
    name: Origin,
    key: LogKey,
}

impl WitnessSigner {
    /// Makes a key, and its text, which ends in a newline.
    ///
    /// # Errors
    /// When the name is none, or there is no randomness.
    pub fn generate(name: &str, entropy: &dyn Entropy) -> Result<(Self, Zeroizing<String>), SignerError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(&mut *seed)?;
        let signer = Self { name: Origin::parse(name)?, key: LogKey::from_seed(&Key256::from_bytes(&seed)) };
        let public = signer.verifier_key()?.to_string();
        let id = public.split('+').nth(1).unwrap_or_default();
        let mut bytes = Zeroizing::new(vec![COSIGNATURE]);
        bytes.extend_from_slice(&*seed);
        // Room for all of it: a text that grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(SIGNER_BYTES_MAX));
        for part in [PREFIX, name, "+", id, "+"] {
            text.push_str(part);
        }
        STANDARD.encode_string(&*bytes, &mut text);
        text.push('\n');
        Ok((signer, text))
    }

    /// Reads the text of a key, with or without a newline behind it.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &[u8]) -> Result<Self, SignerError> {
        Self::read(text).ok_or(SignerError::Malformed)
    }

    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let text = text.strip_suffix('\n').unwrap_or(text).strip_prefix(PREFIX)?;
        let mut parts = text.splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let bytes = Zeroizing::new(STANDARD.decode(key).ok()?);
        let [COSIGNATURE, seed @ ..] = bytes.as_slice() else { return None };
        let key = LogKey::from_seed(&Key256::from_bytes(seed.try_into().ok()?));
        let signer = Self { name: Origin::parse(name).ok()?, key };
        let public = signer.verifier_key().ok()?.to_string();
        (public.split('+').nth(1) == Some(id)).then_some(signer)
    }

    /// The name that it signs under.
    #[must_use]
    pub fn name(&self) -> &Origin {
        &self.name
    }

    /// The public half, with the name.
    ///
    /// # Errors
    /// Never with a key as it is.
    pub fn verifier_key(&self) -> Result<WitnessKey, LedgerError> {
        WitnessKey::new(self.name.clone(), &self.key.public())
    }
}

impl Signer for WitnessSigner {
    fn public_key(&self) -> [u8; 32] {
        self.key.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use vault_domain::SystemEntropy;

    use super::*;

    #[test]
    fn a_key_reads_as_it_was_written_and_no_changed_one_does() {
        let (made, text) = WitnessSigner::generate("witness.example/w1", &SystemEntropy).unwrap();
        let read = WitnessSigner::parse(text.as_bytes()).unwrap();
        assert_eq!(read.verifier_key(), made.verifier_key());
        for (from, to) in [("w1", "w2"), ("PRIVATE", "PUBLIC"), ("+BA", "+AQ"), ("\n", "\n\n"), ("\n", "=\n")] {
            assert!(text.contains(from) || from == "+BA", "{from}");
            let changed = Zeroizing::new(text.replacen(from, to, 1));
            assert!(*changed == *text || WitnessSigner::parse(changed.as_bytes()).is_err(), "{from}");
        }
        assert!(WitnessSigner::generate("a name", &SystemEntropy).is_err());
    }
}
