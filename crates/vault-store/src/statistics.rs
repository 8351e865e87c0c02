//! What a store tells about itself, for metrics and for benchmarks that must not be believed on their word.

use std::fs;

use rocksdb::{properties, statistics::Ticker};

use crate::{store::Shared, table::TableId};

/// What a store did since it was opened, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    /// Times that the write-ahead log was synced, by the engine's own count: one for each commit, and now and then one
    /// more when a log is full and closed.
    pub wal_syncs: u64,
    /// Bytes written to the write-ahead log.
    pub wal_bytes: u64,
    /// Rows that were looked up by their keys, whether they were there or not.
    pub rows_looked_up: u64,
    /// Rows that scans went over.
    pub rows_scanned: u64,
    /// Flushes and compactions that failed. More than none is an alarm.
    pub background_errors: u64,
    /// Whether commits are slowed or stopped because flushes and compactions fall behind.
    pub writes_delayed: bool,
    /// Bytes of rows not yet in table files, this store alone.
    pub memtable_bytes: u64,
    /// Bytes of blocks in the cache, all stores that share it together.
    pub cache_bytes: u64,
    /// Bytes of all files in the directory, logs and ballast included.
    pub disk_bytes: u64,
    /// Each table.
    pub tables: Vec<TableStatistics>,
}

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStatistics {
    /// The table.
    pub table: TableId,
    /// About how many rows; rows set or deleted more than once count more than once until they are compacted.
    pub rows_estimated: u64,
    /// Bytes of its table files.
    pub disk_bytes: u64,
}

/// Asks the engine; takes some microseconds per table and reads the directory.
pub(crate) fn gather(shared: &Shared) -> Statistics {
    let whole = |property| shared.db().property_int_value(property).ok().flatten().unwrap_or(0);
    let tables: Vec<_> = TableId::ALL
        .iter()
        .map(|table| TableStatistics {
            table: *table,
            rows_estimated: shared.table_property(*table, properties::ESTIMATE_NUM_KEYS),
            disk_bytes: shared.table_property(*table, properties::TOTAL_SST_FILES_SIZE),
        })
        .collect();
    let memtables = |table: &TableId| shared.table_property(*table, properties::CUR_SIZE_ALL_MEM_TABLES);
    Statistics {
        wal_syncs: shared.ticker(Ticker::WalFileSynced),
        wal_bytes: shared.ticker(Ticker::WalFileBytes),
        rows_looked_up: shared.ticker(Ticker::NumberKeysRead) + shared.ticker(Ticker::NumberMultigetKeysRead),
        rows_scanned: shared.ticker(Ticker::NumberDbNext) + shared.ticker(Ticker::NumberDbPrev),
        background_errors: whole(properties::BACKGROUND_ERRORS),
        writes_delayed: whole(properties::IS_WRITE_STOPPED) != 0 || whole(properties::ACTUAL_DELAYED_WRITE_RATE) != 0,
        memtable_bytes: TableId::ALL.iter().map(memtables).sum(),
        cache_bytes: shared.memory().cache_bytes(),
        disk_bytes: directory_bytes(shared),
        tables,
    }
}

/// The files' sizes; one that goes away meanwhile counts as nothing.
fn directory_bytes(shared: &Shared) -> u64 {
    let Ok(entries) = fs::read_dir(shared.path()) else { return 0 };
    entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}
