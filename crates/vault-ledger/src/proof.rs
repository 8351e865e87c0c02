//! Proof files (c2sp.org/tlog-proof, `.tlog-proof`): everything that an auditor needs to check one entry offline, but
//! for the log's verifier key.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of the entry>        (left out when the entry is handed over in another way)
//! index <index, decimal>
//! <base64 of a hash>                 (one line for each hash of the inclusion proof, from the leaf upwards)
//! <empty line>
//! <signed checkpoint>
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};
use vault_domain::{LogIndex, limits};

use crate::{
    checkpoint::{Checkpoint, parse_decimal, parse_hash},
    error::LedgerError,
    note::{NOTE_BYTES_MAX, VerifierKey},
    tree::{PROOF_HASHES_MAX, TreeHash, leaf_hash, verify_inclusion},
};

/// The longest proof file that is read.
pub const PROOF_TEXT_BYTES_MAX: usize = NOTE_BYTES_MAX + 128 * 1024;

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// A proof that a log held an entry, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// The bytes of the entry.
    pub entry: Option<Vec<u8>>,
    /// Its index.
    pub index: LogIndex,
    /// The inclusion proof.
    pub hashes: Vec<TreeHash>,
    /// The signed checkpoint of the tree that the proof is about.
    pub checkpoint: String,
}

impl LogProof {
    /// The text of the proof file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        if let Some(entry) = &self.entry {
            text.push_str(&format!("extra {}\n", STANDARD.encode(entry)));
        }
        text.push_str(&format!("index {}\n", self.index.0));
        for hash in &self.hashes {
            text.push_str(&STANDARD.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// When it is too long or has another form. The checkpoint in it is not looked at before [`LogProof::verify`].
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::ProofMalformed;
        if text.len() > PROOF_TEXT_BYTES_MAX {
            return Err(malformed("it must be at most 384 KiB"));
        }
        let (proof, checkpoint) =
            text.split_once("\n\n").ok_or(malformed("an empty line must precede the checkpoint"))?;
        let mut lines = proof.split('\n').peekable();
        if lines.next() != Some(FIRST_LINE) {
            return Err(malformed("the first line must be c2sp.org/tlog-proof@v1"));
        }
        let entry = match lines.next_if(|line| line.starts_with("extra ")) {
            Some(line) => Some(parse_entry(line).ok_or(malformed("extra must be an entry in base64"))?),
            None => None,
        };
        let index = lines.next().and_then(|line| parse_decimal(line.strip_prefix("index ")?));
        let index = index.map(LogIndex).ok_or(malformed("the index must be a plain decimal number"))?;
        let hashes: Option<Vec<_>> = lines.take(PROOF_HASHES_MAX + 1).map(parse_hash).collect();
        let hashes = hashes.ok_or(malformed("every hash must be 32 bytes in base64"))?;
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(LedgerError::TooMany { what: "hashes of a proof", max: PROOF_HASHES_MAX });
        }
        Ok(Self { entry, index, hashes, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the log whose key this is held `entry` (the one in the file, if `None`), and returns the checkpoint
    /// that says so.
    ///
    /// # Errors
    /// When there is no entry, the log did not sign the checkpoint, or the proof does not lead to its root.
    pub fn verify(&self, entry: Option<&[u8]>, key: &VerifierKey) -> Result<Checkpoint, LedgerError> {
        let entry = entry.or(self.entry.as_deref()).ok_or(LedgerError::ProofMalformed("it holds no entry"))?;
        let checkpoint = Checkpoint::open(&self.checkpoint, key)?;
        verify_inclusion(&checkpoint.head, self.index, &leaf_hash(entry), &self.hashes)?;
        Ok(checkpoint)
    }
}

fn parse_entry(line: &str) -> Option<Vec<u8>> {
    let entry = STANDARD.decode(line.strip_prefix("extra ")?).ok()?;
    (entry.len() <= limits::ENTRY_BYTES_MAX).then_some(entry)
}

#[cfg(test)]
mod tests;
