//! Signed notes (c2sp.org/signed-note): a text, and lines that name who signed it. Signatures are Ed25519 (RFC 8032),
//! type 0x01; lines of other keys and types are carried along unread, so that witnesses can add theirs.
//!
//! ```text
//! <text, ends in a newline>
//! <empty line>
//! — <origin> <base64 of key id (4 bytes) ‖ signature>
//! ```
//!
//! The key id is the first 4 bytes of SHA-256(origin ‖ 0x0A ‖ 0x01 ‖ public key). A verifier key is written
//! `<origin>+<key id, 8 hex digits>+<base64 of 0x01 ‖ public key>`.

use std::{fmt, num::NonZeroU32, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};
use vault_domain::{Region, VaultId};

use crate::error::LedgerError;

/// The longest origin.
pub const ORIGIN_BYTES_MAX: usize = 255;
/// The longest note that is read: room for 32 post-quantum signatures.
pub const NOTE_BYTES_MAX: usize = 256 * 1024;
/// Signatures of one note; verifiers have to accept at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 32;

/// The signature type of Ed25519.
const ED25519: u8 = 0x01;
/// What every signature line begins with: an em dash (U+2014) and a space.
pub(crate) const SIGNATURE_MARK: &str = "\u{2014} ";
/// Bytes of a key id.
pub(crate) const KEY_ID_BYTES: usize = 4;

/// Signs checkpoints: the Ed25519 key of one log.
pub trait Signer: Send + Sync {
    /// The public half of the key, as RFC 8032 encodes it.
    fn public_key(&self) -> [u8; 32];

    /// The signature of `message`.
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// The name of a log, which is also the name that it signs under: 1 to 255 bytes of text without spaces, control
/// characters and plus signs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Parses it.
    ///
    /// # Errors
    /// When the text breaks the rule above.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let allowed = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
        let valid = (1..=ORIGIN_BYTES_MAX).contains(&text.len()) && text.chars().all(allowed);
        if valid { Ok(Self(text.into())) } else { Err(LedgerError::OriginInvalid) }
    }

    /// The log of a region: `<vault>/audit/<region>/<life>`. A log that was restored from a backup goes on in its next
    /// life, the first being 1.
    #[must_use]
    pub fn of_region(vault: &VaultId, region: &Region, life: NonZeroU32) -> Self {
        Self(format!("{vault}/audit/{region}/{life}").into())
    }

    /// The log of a node: `<vault>/audit/node/<node>`.
    ///
    /// # Errors
    /// When `node` holds what no origin may hold, or is too long.
    pub fn of_node(vault: &VaultId, node: &str) -> Result<Self, LedgerError> {
        if node.is_empty() {
            Err(LedgerError::OriginInvalid)
        } else {
            Self::parse(&format!("{vault}/audit/node/{node}"))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0)
    }
}

/// What a verifier knows of a log beforehand: its origin and its public key. Displayed in the form of signed-note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    origin: Origin,
    id: [u8; KEY_ID_BYTES],
    key: VerifyingKey,
}

impl VerifierKey {
    /// The key of a log.
    ///
    /// # Errors
    /// When `public_key` is no point of the curve.
    pub fn new(origin: Origin, public_key: &[u8; 32]) -> Result<Self, LedgerError> {
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| LedgerError::KeyMalformed("no Ed25519 key"))?;
        Ok(Self { id: key_id(&origin, ED25519, public_key), origin, key })
    }

    /// The key of this signer, under this origin.
    ///
    /// # Errors
    /// When the signer's public key is no point of the curve.
    pub fn of(origin: Origin, signer: &dyn Signer) -> Result<Self, LedgerError> {
        Self::new(origin, &signer.public_key())
    }

    /// Reads `<origin>+<key id>+<key>`.
    ///
    /// # Errors
    /// When the text has another form, names another signature type, or its key id does not belong to its key.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::KeyMalformed;
        let (origin, id, key) = split_key(text)?;
        let [ED25519, key @ ..] = key.as_slice() else {
            return Err(malformed("the signature type must be Ed25519 (0x01)"));
        };
        let key: &[u8; 32] = key.try_into().map_err(|_| malformed("an Ed25519 key has 32 bytes"))?;
        let parsed = Self::new(origin, key)?;
        if parsed.id_text() == id { Ok(parsed) } else { Err(malformed("the key id must belong to the key")) }
    }

    /// The origin.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key id in 8 hex digits.
    fn id_text(&self) -> String {
        format!("{:08x}", u32::from_be_bytes(self.id))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![ED25519];
        key.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.origin, self.id_text(), STANDARD.encode(key))
    }
}

/// A signed note, taken apart. Its text means nothing before [`Note::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    signatures: Vec<SignatureLine<'a>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignatureLine<'a> {
    origin: &'a str,
    key_id: [u8; KEY_ID_BYTES],
    pub(crate) signature: Vec<u8>,
}

impl<'a> Note<'a> {
    /// Takes a note apart.
    ///
    /// # Errors
    /// When it is longer than [`NOTE_BYTES_MAX`], has more than [`NOTE_SIGNATURES_MAX`] signatures, none, or another
    /// form.
    pub fn parse(note: &'a str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::NoteMalformed;
        if note.len() > NOTE_BYTES_MAX {
            return Err(malformed("it must be at most 256 KiB"));
        }
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(malformed("it must hold no control character but newlines"));
        }
        let (body, lines) = note.rsplit_once("\n\n").ok_or(malformed("an empty line must precede the signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or(malformed("the last line must end in a newline"))?;
        let signatures: Vec<_> =
            lines.split('\n').take(NOTE_SIGNATURES_MAX + 1).map(SignatureLine::parse).collect::<Result<_, _>>()?;
        if signatures.len() > NOTE_SIGNATURES_MAX {
            return Err(LedgerError::TooMany { what: "signatures of a note", max: NOTE_SIGNATURES_MAX });
        }
        // The text keeps its last newline.
        let text = note.get(..=body.len()).unwrap_or_default();
        Ok(Self { text, signatures })
    }

    /// The text, whoever signed it.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The first line of the text, which names the log of a checkpoint. Nobody is known to have signed it yet.
    #[must_use]
    pub fn claimed_origin(&self) -> &'a str {
        self.text.split('\n').next().unwrap_or_default()
    }

    /// Signature lines under a name and a key id.
    pub(crate) fn lines_of<'n>(
        &'n self,
        name: &'n Origin,
        id: [u8; KEY_ID_BYTES],
    ) -> impl Iterator<Item = &'n SignatureLine<'a>> {
        self.signatures.iter().filter(move |line| line.origin == name.as_str() && line.key_id == id)
    }

    /// The note with the signature lines of `key` alone, once it is known that they are good.
    ///
    /// # Errors
    /// As [`Note::verify`].
    pub fn signed_by_alone(&self, key: &VerifierKey) -> Result<String, LedgerError> {
        let mut note = format!("{}\n", self.verify(key)?);
        for line in self.lines_of(&key.origin, key.id) {
            note.push_str(&line.text());
            note.push('\n');
        }
        Ok(note)
    }

    /// Checks that `key` has signed the text, and returns the text.
    ///
    /// # Errors
    /// When no line is of this key, or one that claims to be is false.
    pub fn verify(&self, key: &VerifierKey) -> Result<&'a str, LedgerError> {
        let mut own = self.lines_of(&key.origin, key.id);
        let first = own.next().ok_or(LedgerError::SignatureMissing)?;
        for line in std::iter::once(first).chain(own) {
            let signature = Signature::from_slice(&line.signature).map_err(|_| LedgerError::SignatureInvalid)?;
            let verified = key.key.verify_strict(self.text.as_bytes(), &signature);
            verified.map_err(|_| LedgerError::SignatureInvalid)?;
        }
        Ok(self.text)
    }
}

impl<'a> SignatureLine<'a> {
    /// The line as it stands in the note, without its newline: base64 has one form alone.
    pub(crate) fn text(&self) -> String {
        let bytes = [self.key_id.as_slice(), &self.signature].concat();
        format!("{SIGNATURE_MARK}{} {}", self.origin, STANDARD.encode(bytes))
    }

    fn parse(line: &'a str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::NoteMalformed("a signature line must be \u{2014} <origin> <base64>");
        let signed = line.strip_prefix(SIGNATURE_MARK).and_then(|rest| rest.split_once(' '));
        let (origin, signature) = signed.ok_or(malformed.clone())?;
        Origin::parse(origin)?;
        let bytes = STANDARD.decode(signature).map_err(|_| malformed.clone())?;
        let (key_id, signature) = bytes.split_first_chunk().ok_or(malformed.clone())?;
        if signature.is_empty() {
            return Err(malformed);
        }
        Ok(Self { origin, key_id: *key_id, signature: signature.to_vec() })
    }
}

/// Signs `text` under `origin`.
///
/// # Errors
/// When the text does not end in a newline, or holds another control character.
pub fn sign_note(text: &str, origin: &Origin, signer: &dyn Signer) -> Result<String, LedgerError> {
    if !text.ends_with('\n') || text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(LedgerError::NoteMalformed("the text must end in a newline and hold no other control character"));
    }
    let mut signature = key_id(origin, ED25519, &signer.public_key()).to_vec();
    signature.extend_from_slice(&signer.sign(text.as_bytes()));
    Ok(format!("{text}\n{SIGNATURE_MARK}{origin} {}\n", STANDARD.encode(signature)))
}

/// The parts of a verifier key: name, key id, and signature type with key.
pub(crate) fn split_key(text: &str) -> Result<(Origin, &str, Vec<u8>), LedgerError> {
    let malformed = LedgerError::KeyMalformed;
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(malformed("it must be <origin>+<key id>+<key>"));
    };
    let key = STANDARD.decode(key).map_err(|_| malformed("the key must be base64"))?;
    Ok((Origin::parse(name)?, id, key))
}

/// The first 4 bytes of SHA-256(origin ‖ newline ‖ type ‖ public key).
pub(crate) fn key_id(origin: &Origin, signature_type: u8, public_key: &[u8; 32]) -> [u8; KEY_ID_BYTES] {
    let hash =
        Sha256::new().chain_update(origin.as_str()).chain_update([b'\n', signature_type]).chain_update(public_key);
    let [a, b, c, d, ..]: [u8; 32] = hash.finalize().into();
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
