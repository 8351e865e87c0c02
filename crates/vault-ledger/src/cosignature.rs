//! Cosignatures of witnesses (c2sp.org/tlog-cosignature, `cosignature/v1`, Ed25519): a signature line of a checkpoint
//! by which a third party says that it saw the log grow to this size, and at no time shrink or change.
//!
//! ```text
//! signed message = "cosignature/v1" 0x0A "time " <seconds since 1970, decimal> 0x0A <text of the checkpoint>
//! signature line = — <name> base64(key id (4) ‖ seconds (8, big-endian) ‖ Ed25519 signature (64))
//! key id         = SHA-256(name ‖ 0x0A ‖ 0x04 ‖ public key (32))[0..4]
//! ```

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

use crate::{
    error::LedgerError,
    note::{KEY_ID_BYTES, Note, Origin, SIGNATURE_MARK, Signer, key_id, split_key},
};

/// The signature type of cosignatures by Ed25519.
const COSIGNATURE: u8 = 0x04;
/// Bytes of the time in front of the signature.
const TIME_BYTES: usize = 8;

/// What is known of a witness beforehand: its name and its public key. Displayed as a verifier key of signed-note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: Origin,
    id: [u8; KEY_ID_BYTES],
    key: VerifyingKey,
}

/// A cosignature that was found to be good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// When the witness signed, by its clock: seconds since 1970.
    pub seconds: u64,
    /// The signature line, without a newline.
    pub line: String,
}

impl WitnessKey {
    /// The key of a witness.
    ///
    /// # Errors
    /// When `public_key` is no point of the curve.
    pub fn new(name: Origin, public_key: &[u8; 32]) -> Result<Self, LedgerError> {
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| LedgerError::KeyMalformed("no Ed25519 key"))?;
        Ok(Self { id: key_id(&name, COSIGNATURE, public_key), name, key })
    }

    /// Reads `<name>+<key id>+<base64 of 0x04 ‖ public key>`.
    ///
    /// # Errors
    /// When the text has another form, names another signature type, or its key id does not belong to its key.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::KeyMalformed;
        let (name, id, key) = split_key(text)?;
        let [COSIGNATURE, key @ ..] = key.as_slice() else {
            return Err(malformed("the signature type must be that of Ed25519 cosignatures (0x04)"));
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        let parsed = Self::new(name, key)?;
        if parsed.id_text() == id { Ok(parsed) } else { Err(malformed("the key id must belong to the key")) }
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &Origin {
        &self.name
    }

    /// Whether both are the same key, whatever they are called: such two are one witness.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Finds this witness's cosignature of a note and checks it. Lines of others are passed over.
    ///
    /// # Errors
    /// When there is none, or one in its name is false.
    pub fn verify(&self, note: &Note<'_>) -> Result<Cosignature, LedgerError> {
        let mut newest: Option<Cosignature> = None;
        for line in note.lines_of(&self.name, self.id) {
            let (time, signature) = line.signature.split_first_chunk().ok_or(LedgerError::SignatureInvalid)?;
            let seconds = u64::from_be_bytes(*time);
            let signature = Signature::from_slice(signature).map_err(|_| LedgerError::SignatureInvalid)?;
            let verified = self.key.verify_strict(message(note.text(), seconds).as_bytes(), &signature);
            verified.map_err(|_| LedgerError::SignatureInvalid)?;
            if newest.as_ref().is_none_or(|newest| newest.seconds < seconds) {
                newest = Some(Cosignature { seconds, line: line.text() });
            }
        }
        newest.ok_or(LedgerError::SignatureMissing)
    }

    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![COSIGNATURE];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, self.id_text(), STANDARD.encode(key))
    }
}

/// The cosignature of a checkpoint's text by the witness `name`: a signature line with its newline. Whoever calls this
/// has checked that the checkpoint continues all that the witness signed before, and has made that durable.
#[must_use]
pub fn cosign(text: &str, name: &Origin, seconds: u64, signer: &dyn Signer) -> String {
    let mut signature = Vec::with_capacity(KEY_ID_BYTES + TIME_BYTES + 64);
    signature.extend_from_slice(&key_id(name, COSIGNATURE, &signer.public_key()));
    signature.extend_from_slice(&seconds.to_be_bytes());
    signature.extend_from_slice(&signer.sign(message(text, seconds).as_bytes()));
    format!("{SIGNATURE_MARK}{name} {}\n", STANDARD.encode(signature))
}

fn message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

#[cfg(test)]
mod tests;
