//! What can be wrong with a log's bytes, texts, proofs and signatures. No variant repeats what it met: that may be data
//! sent by mistake.

use thiserror::Error;

/// Why bytes, a text, a proof or a signature of the log were refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// Written by a newer release, or not by this program at all.
    #[error("version {version} of {what} is not known; read it with a newer release")]
    VersionUnknown {
        /// What was read: `an entry`.
        what: &'static str,
        /// The version that it names.
        version: u8,
    },
    /// The bytes end inside a field.
    #[error("{what} ends too early; get the whole of it")]
    Truncated {
        /// What was read.
        what: &'static str,
    },
    /// There is something behind the last field.
    #[error("{what} goes on after its end; get the exact bytes")]
    TrailingBytes {
        /// What was read.
        what: &'static str,
    },
    /// A field holds what its type does not allow, or says it in another form than the only canonical one.
    #[error("the field {field} breaks its rule or is not in canonical form")]
    FieldInvalid {
        /// The field, as the layout names it.
        field: &'static str,
    },
    /// A list is longer than its limit.
    #[error("more than {max} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A manifest of an export says what can't be.
    #[error("the manifest is malformed: {0}")]
    ManifestMalformed(&'static str),
    /// The entry would pass the 65,535 bytes that C2SP tlog-tiles allows.
    #[error("the entry would be longer than 65535 bytes; put the remaining groups into another entry")]
    EntryTooLarge,
    /// The index or size lies beyond the tree.
    #[error("the tree of that size has no such position")]
    OutOfTree,
    /// A tile that is needed is absent or too narrow.
    #[error("tile {index} of level {level} is missing or too narrow")]
    TileMissing {
        /// The tile's level.
        level: u8,
        /// The tile's number within the level.
        index: u64,
    },
    /// The leaf hashes or tiles that a frontier is restored from do not have the number or length that the size needs.
    #[error("the hashes at hand do not make up a tree of that size")]
    FrontierMismatch,
    /// An inclusion proof does not lead from the leaf to the root.
    #[error("the proof does not show that the tree holds this entry at this index")]
    InclusionRefuted,
    /// A consistency proof does not lead from the older to the newer root.
    #[error("the proof does not show that the newer tree continues the older one")]
    ConsistencyRefuted,
    /// A name of a log is not valid.
    #[error("an origin must be 1 to 255 bytes without spaces, control characters and plus signs")]
    OriginInvalid,
    /// The text of a verifier key is not valid.
    #[error("the verifier key is malformed: {0}")]
    KeyMalformed(&'static str),
    /// A text is no signed note.
    #[error("the signed note is malformed: {0}")]
    NoteMalformed(&'static str),
    /// The key in question has not signed the note.
    #[error("the note bears no signature of this key")]
    SignatureMissing,
    /// A signature under the name and id of the key is not one of it.
    #[error("the note bears a false signature in the name of this key")]
    SignatureInvalid,
    /// A note's text is no checkpoint.
    #[error("the checkpoint is malformed: {0}")]
    CheckpointMalformed(&'static str),
    /// A checkpoint of an empty log has another root than that of the empty tree.
    #[error("the checkpoint of an empty log must have the root of the empty tree")]
    EmptyRootRefuted,
    /// A text is no request of the protocol of witnesses.
    #[error("the request to a witness is malformed: {0}")]
    AddCheckpointMalformed(&'static str),
    /// A text is no proof file.
    #[error("the proof file is malformed: {0}")]
    ProofMalformed(&'static str),
}
