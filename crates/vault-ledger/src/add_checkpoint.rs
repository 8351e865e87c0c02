//! What a log sends to a witness (c2sp.org/tlog-witness, `add-checkpoint`): how far the witness was, the proof that the
//! log only grew since, and the checkpoint that it grew to.
//!
//! ```text
//! old <size, decimal>
//! <base64 of a hash>                 (one line for each hash of the consistency proof, at most 63)
//! <empty line>
//! <signed checkpoint>
//! ```

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    checkpoint::{parse_decimal, parse_hash},
    error::LedgerError,
    note::NOTE_BYTES_MAX,
    tree::{TreeHash, TreeSize},
};

/// Hashes of the consistency proof in one request.
pub const ADD_CHECKPOINT_HASHES_MAX: usize = 63;
/// The longest request: its note, 63 hashes of 45 bytes and the first line.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

/// A request to a witness, not yet judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the newest checkpoint that the witness cosigned of this log; 0 if none.
    pub old: TreeSize,
    /// That the tree of the checkpoint begins with the one of `old`.
    pub proof: Vec<TreeHash>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// The body of the request.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("old {}\n", self.old.0);
        for hash in &self.proof {
            text.push_str(&STANDARD.encode(hash.0));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads the body of a request. The checkpoint in it is not looked at.
    ///
    /// # Errors
    /// When it is too long, has too many hashes or another form.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let malformed = LedgerError::AddCheckpointMalformed;
        if text.len() > ADD_CHECKPOINT_BYTES_MAX {
            return Err(malformed("it must be at most 260 KiB"));
        }
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or(malformed("an empty line must precede the checkpoint"))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| parse_decimal(line.strip_prefix("old ")?)).map(TreeSize);
        let old = old.ok_or(malformed("the first line must be old <size>"))?;
        let proof: Option<Vec<_>> = lines.take(ADD_CHECKPOINT_HASHES_MAX + 1).map(parse_hash).collect();
        let proof = proof.ok_or(malformed("every hash must be 32 bytes in base64"))?;
        if proof.len() > ADD_CHECKPOINT_HASHES_MAX {
            return Err(LedgerError::TooMany { what: "hashes of a proof", max: ADD_CHECKPOINT_HASHES_MAX });
        }
        Ok(Self { old, proof, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reads_as_it_was_written() {
        for hashes in [0, 1, ADD_CHECKPOINT_HASHES_MAX] {
            let proof = vec![TreeHash([7; 32]); hashes];
            let request = AddCheckpoint { old: TreeSize(9), proof, checkpoint: "a\n\n\u{2014} b\n".to_owned() };
            assert_eq!(AddCheckpoint::parse(&request.text()), Ok(request));
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let hash = STANDARD.encode([7; 32]);
        let bad = [
            String::new(),
            "old 1\n".to_owned(),
            "old 1".to_owned(),
            "old 01\n\nx".to_owned(),
            "old -1\n\nx".to_owned(),
            "old +1\n\nx".to_owned(),
            "old 18446744073709551616\n\nx".to_owned(),
            "new 1\n\nx".to_owned(),
            "old 1\nshort\n\nx".to_owned(),
            format!("old 1\n{hash} \n\nx"),
            format!("old 1\n{}\nx", format!("{hash}\n").repeat(64)),
            format!("old 1\n\n{}", "x".repeat(ADD_CHECKPOINT_BYTES_MAX)),
        ];
        for text in bad {
            assert!(AddCheckpoint::parse(&text).is_err(), "{}", text.chars().take(40).collect::<String>());
        }
    }
}
