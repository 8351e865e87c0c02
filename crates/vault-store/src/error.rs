//! What can go wrong with a store, in words for the operator. Never a key's or a row's bytes.

use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::table::TableId;

/// Why a store could not be opened. Nothing in the directory was changed.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no such directory, and none was to be created.
    #[error("there is no store at {path}: check the data directory in the configuration, or have a new store created")]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Something is there, but no store.
    #[error("{path} is not a store ({detail}): name an empty or new directory, or the right one")]
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// Another process, or this one, holds it open.
    #[error(
        "{path} is open in another process, or already in this one: stop the other one first; two must never share it"
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The process may not read and write there.
    #[error("no permission to read and write {path}: give it to the vault's own user, with mode 0700 ({source})")]
    Permission {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer build wrote it.
    #[error("{path} was written by format {found}, this build reads up to {supported}: run the newer build again")]
    NewerFormat {
        /// The directory.
        path: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest format that this build reads.
        supported: u32,
    },
    /// It belongs to another vault or region.
    #[error("{path} belongs to {found}, not to {expected}: correct the vault's name, the region or the data directory")]
    OtherIdentity {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Files are missing or do not hold what was written.
    #[error("the store at {path} is damaged ({detail}): keep a copy, then restore it from a backup")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What the engine said.
        detail: String,
    },
    /// The system failed.
    #[error("the store at {path} could not be opened: {source}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system or the engine said.
        source: io::Error,
    },
}

/// Why a read failed. The store stays open; other rows may still be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// The files do not hold what was written: a checksum does not match, a file is gone, or a key has no valid form.
    #[error("the table {table} is damaged ({detail}): restore the store from a backup")]
    Damaged {
        /// The table.
        table: TableId,
        /// What the engine said.
        detail: String,
    },
    /// The system failed to read.
    #[error("the table {table} could not be read ({detail}): look at the disk")]
    Io {
        /// The table.
        table: TableId,
        /// What the engine said.
        detail: String,
    },
    /// More keys at once than [`GET_KEYS_MAX`](crate::GET_KEYS_MAX).
    #[error("{keys} keys in one read, and {} are allowed: split it", crate::GET_KEYS_MAX)]
    TooManyKeys {
        /// The number of keys.
        keys: usize,
    },
}

/// Why a commit was not made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WriteError {
    /// More bytes than [`COMMIT_BYTES_MAX`](crate::COMMIT_BYTES_MAX). Nothing was written; the writer stays usable.
    #[error("a commit of {bytes} bytes, and {} are allowed: split it", crate::COMMIT_BYTES_MAX)]
    TooLarge {
        /// The bytes of the commit.
        bytes: usize,
    },
    /// A write or a sync failed. What was to be committed may or may not be on the disk. The writer is finished: every
    /// later commit returns this same error, because after a failed sync nobody can say what the disk holds.
    #[error("the store can't write any more ({detail}): free or replace the disk, then start the process again")]
    Failed {
        /// What the engine said.
        detail: Arc<str>,
    },
}
