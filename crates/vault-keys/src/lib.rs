//! The keys of a region: two rings wrapped under a root key, the epochs that sealing runs in, and what a data class
//! does with them: mint a token, check one, seal a value into a record and open it again.
//!
//! Key bytes never leave this crate, but for check keys, which are made to be handed on. Nothing here decides whether a
//! caller may have what it opens: that is the engine's `authorize`. Layouts, labels and limits: docs/CRYPTO.md.
#![deny(missing_docs)]
#![allow(missing_debug_implementations, reason = "keys must not be printable")]

mod check_keys;
mod class;
mod entry;
mod epoch;
mod error;
mod lookup;
mod passphrase;
mod place;
mod private_file;
mod record;
mod region;
mod root;
mod state;

pub use check_keys::{CHECK_KEYS_MAX, CheckKeys, Checked};
pub use class::{ClassKeys, Finding, Opened, Presented, Way};
pub use entry::Opening;
pub use epoch::{EpochId, SealingCall};
pub use error::KeysError;
pub use lookup::{DeterminismScope, Digest16, MintedToken, PlaceCodes};
pub use passphrase::{PASSPHRASE_CHARS_MIN, Passphrase};
pub use private_file::{create_private, read_private};
pub use record::{NewRecord, RECORD_HEADER_BYTES, Record, RecordFormat, TokenForm};
pub use region::{NodeKeys, RegionKeys};
pub use root::RootKey;
pub use state::{RecordState, STATE_BYTES};

#[cfg(test)]
mod goldens;
