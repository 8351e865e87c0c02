//! What can go wrong with keys.

use std::path::PathBuf;

use thiserror::Error;
use vault_domain::{EntropyError, KeyVersion, RecordNumber};

/// What went wrong. No variant carries key bytes, values or tokens.
#[derive(Debug, Error)]
pub enum KeysError {
    /// The source of randomness failed; nothing was sealed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The root key file can't be used.
    #[error("root key file {path}: {problem}")]
    RootKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The passphrase can't be had, or is none.
    #[error("the passphrase for the root key: {origin} {problem}")]
    Passphrase {
        /// Where it should come from.
        origin: String,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// The file that says how the root key is derived from a passphrase can't be used.
    #[error("root key parameters {path}: the file {problem}")]
    RootKeyParameters {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// Another passphrase than the vault was made with, or parameters that were changed.
    #[error(
        "the passphrase is not the one that this vault was made with, or its parameters in {path} were changed: give \
         the right passphrase, or put the file back from a backup of the data directory"
    )]
    PassphraseWrong {
        /// The file of parameters.
        path: PathBuf,
    },
    /// A file of check keys can't be read or written.
    #[error("check keys {path}: the file {problem}")]
    CheckKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// More check keys than one file holds.
    #[error("more than {} check keys: name fewer tenants or classes", crate::CHECK_KEYS_MAX)]
    TooManyCheckKeys,
    /// A stored key does not unwrap: another root key, another vault or region, or damage.
    #[error(
        "the stored key \"{name}\" of {place} does not unwrap: give the root key that this data directory was created \
         with, or restore the directory from a backup"
    )]
    KeyDoesNotUnwrap {
        /// The row's name.
        name: String,
        /// The region or node.
        place: String,
    },
    /// A row of the key table has a name or a length that this version does not know.
    #[error("the row \"{name}\" of the key table is not one that this version reads")]
    KeyRowUnknown {
        /// The row's name.
        name: String,
    },
    /// The key table has more rows than a region can have made.
    #[error("the key table has more than a million rows")]
    TooManyKeys,
    /// A record was sealed under a key version or epoch that is not in the key table.
    #[error("record {} needs key version {}, which is not in the key table", number.get(), version.0)]
    KeyMissing {
        /// The record.
        number: RecordNumber,
        /// The version of the sealing key that it names.
        version: KeyVersion,
    },
    /// A record does not decode or does not open.
    #[error("record {} does not open: it was changed, or moved from another place", number.get())]
    RecordCorrupt {
        /// The record.
        number: RecordNumber,
    },
    /// The people part of an entry does not open.
    #[error("the sealed part of a log entry does not open")]
    EntryCorrupt,
    /// 2^32 seals were made in one epoch and a new one could not begin.
    #[error("the sealing epoch is used up")]
    EpochUsedUp,
    /// The store could not be read.
    #[error("the key table can't be read: {0}")]
    Store(#[from] vault_store::ReadError),
    /// A name or length that does not fit the layouts; the limits of vault-domain make it impossible.
    #[error("a name does not fit its layout")]
    Layout(#[from] vault_ledger::LedgerError),
}
