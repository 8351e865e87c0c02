//! What is kept on disk: typed tables, read through snapshots and changed by one writer. RocksDB inside, and nowhere
//! else: no other crate may know that it exists.
//!
//! [`Store::open`] gives a directory's three doors. The [`Reader`] makes snapshots and is cloned freely; the one
//! [`Writer`], which the journal owns, commits a group of batches as one atomic, durable write; the [`SummaryWriter`]
//! keeps the derived index of the log, which may be lost and built again. A [`Batch`] is built by any thread, without
//! the store.
//!
//! What holds:
//! - a commit is there whole or not at all, and when [`Writer::commit`] returns it is on the disk;
//! - a read never sees what is not yet durable, so nothing that was read can vanish in a crash;
//! - a snapshot shows one moment, whatever is committed later;
//! - after one failed write or sync the writer never writes again; readers go on.
//!
//! Values arrive here sealed. This crate opens nothing, keeps no order of its own among calls and draws no randomness.
//!
//! Reads are `async` so that a remote engine can answer them later. RocksDB answers within the first poll, on the
//! caller's thread; outside of a runtime [`wait`] does.
#![deny(missing_docs)]

mod batch;
mod directory;
mod engine;
mod error;
mod found;
mod identity;
mod limits;
mod read;
mod space;
mod statistics;
mod store;
pub mod table;
mod wait;
mod write;

pub use batch::{Batch, Operation};
pub use directory::is_store;
pub use engine::Memory;
pub use error::{OpenError, ReadError, WriteError};
pub use found::{Found, Rows};
pub use identity::{Identity, Scope};
pub use limits::{
    BLOCK_CACHE_BYTES_DEFAULT, COMMIT_BYTES_MAX, GET_KEYS_MAX, MEMTABLE_BYTES_DEFAULT, ROW_BYTES_MAX, SCAN_BYTES_MAX,
    SCAN_ROWS_MAX, TEXT_KEY_BYTES_MAX, WAL_BYTES_MAX,
};
pub use read::{Direction, Reader, Sequence, Snapshot};
pub use space::Space;
pub use statistics::{Statistics, TableStatistics};
pub use store::{Options, Recovery, Store, StoreAtRest};
pub use table::{Table, TableId};
pub use wait::wait;
pub use write::{SummaryWriter, Writer};

/// The newest format of a store's tables and rows that this build reads, and the one it writes.
pub const FORMAT: u32 = 1;
