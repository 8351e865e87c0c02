//! Checkpoints (c2sp.org/tlog-checkpoint): a signed note that pins a log down at one size.
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <base64 of the root>
//! ```
//!
//! The origin is also the name that the log signs under. Extension lines are not written, and refused when read.
//!
//! A log must never sign two checkpoints of which neither continues the other: that is for the signer's owner to see
//! to.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    error::LedgerError,
    note::{Note, Origin, Signer, VerifierKey, sign_note},
    tree::{EMPTY_ROOT, TreeHash, TreeHead, TreeSize},
};

/// What a log states in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: Origin,
    /// Its size and root.
    pub head: TreeHead,
}

impl Checkpoint {
    /// The signed note.
    ///
    /// # Errors
    /// Never with an origin as it is; it could come to allow what a note forbids.
    pub fn sign(&self, signer: &dyn Signer) -> Result<String, LedgerError> {
        sign_note(&self.text(), &self.origin, signer)
    }

    /// Reads a signed checkpoint and checks the signature of the log whose key this is. Further signatures are ignored.
    ///
    /// # Errors
    /// When the note or its text is malformed, `key` has not signed it, or it speaks for another log.
    pub fn open(note: &str, key: &VerifierKey) -> Result<Self, LedgerError> {
        let checkpoint = Self::parse_text(Note::parse(note)?.verify(key)?)?;
        if checkpoint.origin == *key.origin() {
            Ok(checkpoint)
        } else {
            Err(LedgerError::CheckpointMalformed("its origin must be the name that it is signed under"))
        }
    }

    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.head.size.0, STANDARD.encode(self.head.root.0))
    }

    /// Reads the text of a note whose signature was checked.
    fn parse_text(text: &str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::CheckpointMalformed;
        let lines: Vec<_> = text.split('\n').take(5).collect();
        let [origin, size, root, ""] = lines.as_slice() else {
            return Err(malformed("it must have three lines: origin, size, root"));
        };
        let origin = Origin::parse(origin)?;
        let size = parse_decimal(size).map(TreeSize).ok_or(malformed("the size must be a plain decimal number"))?;
        let root = parse_hash(root).ok_or(malformed("the root must be 32 bytes in base64"))?;
        if size.0 == 0 && root != EMPTY_ROOT {
            return Err(LedgerError::EmptyRootRefuted);
        }
        Ok(Self { origin, head: TreeHead { size, root } })
    }
}

/// A number without sign and leading zeros.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

/// 32 bytes in padded standard base64.
pub(crate) fn parse_hash(text: &str) -> Option<TreeHash> {
    let bytes = STANDARD.decode(text).ok()?;
    bytes.try_into().ok().map(TreeHash)
}

#[cfg(test)]
mod tests;
