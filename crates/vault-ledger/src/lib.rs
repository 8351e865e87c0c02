//! The access log as a third party sees it: canonical entries, RFC 6962 hashes and proofs, and the C2SP formats around
//! them (tlog-tiles, signed-note, tlog-checkpoint, tlog-proof, tlog-cosignature, tlog-witness, tlog-policy).
//!
//! Whoever distrusts the vault can check it with this crate alone: everything here is a pure function of its input. No
//! I/O, no clock, no randomness, no secret key: signing, sealing and opening stand behind [`Signer`], [`EntrySealer`]
//! and [`EntryOpener`]; where tiles come from stands behind [`TileSource`].
//!
//! | module | what |
//! |---|---|
//! | `entry` | one attempt as bytes: [`Entry`], [`EntryBuilder`], [`People`] |
//! | `tree` | [`leaf_hash`], [`Frontier`], proofs and their verification |
//! | `note`, `checkpoint`, `proof` | signed text: [`VerifierKey`], [`Checkpoint`], [`LogProof`] |
//! | `cosignature`, `add_checkpoint`, `witness_policy` | between logs and witnesses, and whose word counts |
//! | `export` | what a part of the log that was written out is: [`ExportManifest`], signed |
//! | `log_files` | a log as files of c2sp.org/tlog-tiles: [`LogFiles`] writes them |
//! | `log_check` | [`LogCheck`] holds every entry and tile of a log against signed heads, from a [`LogSource`] |
//! | `query`, `summary` | which entries are asked for ([`Query`]), and which runs of entries need not be read |
#![deny(missing_docs)]

mod add_checkpoint;
mod bytes;
mod checkpoint;
mod cosignature;
mod entry;
mod error;
mod export;
mod log_check;
mod log_files;
mod note;
mod proof;
mod query;
mod summary;
mod tree;
mod witness_policy;

pub use add_checkpoint::{ADD_CHECKPOINT_BYTES_MAX, ADD_CHECKPOINT_HASHES_MAX, AddCheckpoint};
pub use checkpoint::Checkpoint;
pub use cosignature::{Cosignature, WitnessKey, cosign};
pub use entry::{
    CIPHERTEXT_BYTES_MAX, CertificateSha256, ENTRY_VERSION, Entry, EntryBuilder, EntryHead, EntryOpener, EntrySalt,
    EntrySealer, GROUPS_ALWAYS_FIT, Group, Issuer, Matter, NumberRun, NumberRuns, Outcome, PEOPLE_BYTES_MAX,
    POLICY_ID_BYTES_MAX, People, PeopleSlice, PolicyId, PolicySetFingerprint, PrincipalTag, Pruning, SealedPart,
    SealedPeople, TenantTag, TokenHash, TraceId, action_and_decision, log_time, patch_log_time, sealed_part,
};
pub use error::LedgerError;
pub use export::{EXPORT_CONTEXT, ExportAsked, ExportFormat, ExportManifest, Exported, ExportedBytes};
pub use log_check::{Fault, KnownHead, LogCheck, LogPosition, LogSource, Problem, Stopped};
pub use log_files::{
    CHECKPOINT_FILE, LogFiles, MINIMUM_INDEX_FILE, VERIFIER_KEY_FILE, parse_minimum_index, put_bundle_entry,
};
pub use note::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX, Note, ORIGIN_BYTES_MAX, Origin, Signer, VerifierKey, sign_note};
pub use proof::{LogProof, PROOF_TEXT_BYTES_MAX};
pub use query::{ItemFilter, PeopleQuery, Query};
pub use summary::{
    Cell, Runs, SPAN_RUNS, SUMMARY_BYTES_MAX, SUMMARY_ENTRIES, Span, SpanBuilder, SpanKinds, SpanPart, Summary,
    SummaryBuilder, class_tag,
};
pub use tree::{
    EMPTY_ROOT, Frontier, FullTile, PROOF_HASHES_MAX, TILE_BYTES, TILE_HASHES, TileId, TileMap, TileSource, TreeHash,
    TreeHead, TreeSize, bundle_path, consistency_tiles, inclusion_tiles, leaf_hash, node_hash, prove_consistency,
    prove_inclusion, verify_consistency, verify_inclusion,
};
pub use witness_policy::{PolicyFault, PolicyWitness, WITNESS_POLICY_BYTES_MAX, WitnessPolicy};

#[cfg(test)]
mod goldens;
#[cfg(test)]
mod testing;
