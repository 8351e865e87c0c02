//! The limits of a store, by name. Units stand last.

/// Bytes of one commit, all batches together. More is refused before anything is written, and the writer stays usable.
/// Twice the journal's group, so that a group may overshoot by the last submission it takes in.
pub const COMMIT_BYTES_MAX: usize = 2 * vault_domain::limits::JOURNAL_GROUP_BYTES_MAX;
/// Bytes of one row's value: a sealed value of the largest size, an entry or a tile, with room to spare.
pub const ROW_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one text key (tables `keys` and `meta`).
pub const TEXT_KEY_BYTES_MAX: usize = 31;
/// Keys that one [`get_many`](crate::Snapshot::get_many) looks up.
pub const GET_KEYS_MAX: usize = 65_536;
/// Rows that one [`scan`](crate::Snapshot::scan) returns, whatever limit its caller states.
pub const SCAN_ROWS_MAX: usize = 65_536;
/// Bytes of values after which a scan ends early and says that there is more.
pub const SCAN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The block cache of all stores of a process, unless the configuration says otherwise.
pub const BLOCK_CACHE_BYTES_DEFAULT: usize = 256 * 1024 * 1024;
/// What all stores of a process keep in memory before it stands in table files, unless the configuration says
/// otherwise.
pub const MEMTABLE_BYTES_DEFAULT: usize = 128 * 1024 * 1024;
/// The write-ahead logs of one store. Beyond it the tables that keep the oldest log alive are written out; it also
/// bounds what an opening reads again (about a second).
pub const WAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Table files that one store keeps open at once.
pub(crate) const OPEN_FILES_MAX: i32 = 512;
/// Threads for flushes and compactions of all stores of a process: one of each.
pub(crate) const BACKGROUND_JOBS_MAX: i32 = 2;
/// What the writer keeps of its buffer from one commit to the next.
pub(crate) const COMMIT_BUFFER_KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of the marker file; a longer one was not written by a vault.
pub(crate) const MARKER_BYTES_MAX: u64 = 256;
