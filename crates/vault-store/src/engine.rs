//! How RocksDB is set up: every option with its reason. The figures behind the choices are in docs/PERFORMANCE.md.

use std::fmt;

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBRecoveryMode,
    DataBlockIndexType, LogLevel, Options, ReadOptions, WriteBufferManager, WriteOptions, statistics::StatsLevel,
};

use crate::{
    limits::{BACKGROUND_JOBS_MAX, BLOCK_CACHE_BYTES_DEFAULT, MEMTABLE_BYTES_DEFAULT, OPEN_FILES_MAX, WAL_BYTES_MAX},
    table::TableId,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The memory that all stores of a process share: one block cache, and one bound on what is not yet in table files.
/// Clones share it too.
#[derive(Clone)]
pub struct Memory {
    cache: Cache,
    memtables: WriteBufferManager,
}

impl Memory {
    /// Room for `cache_bytes` of blocks read and `memtable_bytes` of rows written.
    #[must_use]
    pub fn new(cache_bytes: usize, memtable_bytes: usize) -> Self {
        Self {
            cache: Cache::new_hyper_clock_cache(cache_bytes, 0),
            // Beyond the bound a table is written out early; writers are not stalled for it.
            memtables: WriteBufferManager::new_write_buffer_manager(memtable_bytes, false),
        }
    }

    /// Bytes of blocks in the cache.
    pub(crate) fn cache_bytes(&self) -> u64 {
        u64::try_from(self.cache.get_usage()).unwrap_or(u64::MAX)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(BLOCK_CACHE_BYTES_DEFAULT, MEMTABLE_BYTES_DEFAULT)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("cache_bytes", &self.cache_bytes()).finish_non_exhaustive()
    }
}

/// The options of the whole store.
pub(crate) fn store_options(memory: &Memory, create: bool, recovery: DBRecoveryMode) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.set_wal_recovery_mode(recovery);
    // A log that was closed and synced must be there, whole, at the next opening.
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    // Not recycled: it saves about a tenth of a single commit here, but the end of a recycled log can't be told from
    // damage, and it keeps rows on the disk that were erased.
    options.set_recycle_log_file_num(0);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_write_buffer_manager(&memory.memtables);
    options.set_max_background_jobs(BACKGROUND_JOBS_MAX);
    options.set_max_open_files(OPEN_FILES_MAX);
    // A snapshot or scan that was the last to need a file does not pay for its deletion.
    options.set_avoid_unnecessary_blocking_io(true);
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options.set_stats_dump_period_sec(0);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(4 * MIB);
    options
}

/// The tables with their options, in the order in which a new store numbers them.
pub(crate) fn table_descriptors(memory: &Memory) -> Vec<ColumnFamilyDescriptor> {
    let descriptor = |table: &TableId| ColumnFamilyDescriptor::new(table.name(), table_options(memory, *table));
    TableId::ALL.iter().map(descriptor).collect()
}

/// How a table is used.
struct Shape {
    /// Rows in memory before they go into a table file.
    memtable_bytes: usize,
    /// Looked up one by one, by keys that often are not there.
    often_absent: bool,
    /// Looked up one by one.
    by_key: bool,
    /// May grow beyond memory: index and filters in pieces, of which only those in use are in the bounded cache. A
    /// lookup pays about 0.3 µs for it, but with little cache it is several times faster.
    pieces: bool,
}

fn shape(table: TableId) -> Shape {
    let shape = |memtable_mib: usize| Shape {
        memtable_bytes: memtable_mib * MIB,
        often_absent: false,
        by_key: false,
        pieces: false,
    };
    match table {
        // Rising keys: new rows overlap no old ones, so no filter is needed to find the one file that has a row.
        TableId::Records => Shape { by_key: true, pieces: true, ..shape(32) },
        TableId::Entries => Shape { pieces: true, ..shape(16) },
        TableId::Tiles => Shape { by_key: true, ..shape(8) },
        TableId::Tokens | TableId::Values => Shape { often_absent: true, by_key: true, pieces: true, ..shape(8) },
        // Asked for with every record or call, and mostly not there.
        TableId::States | TableId::Idempotency | TableId::Nonces => {
            Shape { often_absent: true, by_key: true, ..shape(8) }
        }
        TableId::Summaries | TableId::Expiry | TableId::Budgets => shape(4),
        TableId::Checkpoints | TableId::Keys | TableId::Meta | TableId::Versions => shape(1),
    }
}

fn table_options(memory: &Memory, table: TableId) -> Options {
    let shape = shape(table);
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&memory.cache);
    // A quarter of the index that 4 KiB blocks need, at the same speed.
    blocks.set_block_size(16 * KIB);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if shape.pieces {
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_metadata_block_size(4 * KIB);
    }
    if shape.by_key {
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_data_block_hash_ratio(0.75);
    }
    let mut options = Options::default();
    if shape.often_absent {
        blocks.set_bloom_filter(10.0, false);
        blocks.set_whole_key_filtering(true);
        // The same for the rows still in memory.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(shape.memtable_bytes);
    // One is written to while two may wait for the disk.
    options.set_max_write_buffer_number(3);
    // Ciphertext does not compress.
    options.set_compression_type(DBCompressionType::None);
    options
}

/// How rows are read: checksums are always compared.
pub(crate) fn read_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options
}

/// How the journal writes: into the log, and the log onto the disk, before the call returns.
pub(crate) fn durable_writes() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options.disable_wal(false);
    options
}

/// How derived rows are written: a crash may lose the newest.
pub(crate) fn derived_writes() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(false);
    options
}

/// Whether reading a range of the table leaves its blocks in the cache. A walk through the log or all records would
/// push out what calls need.
pub(crate) fn scan_fills_cache(table: TableId) -> bool {
    !matches!(table, TableId::Records | TableId::Entries)
}
