//! Opening a store: claim the directory, start the engine, check whose it is, hand out the three doors.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rocksdb::{
    ColumnFamily, DB, DBRecoveryMode, ErrorKind, WriteBatch, WriteBatchIteratorCf, properties::PropName,
    statistics::Ticker,
};
use vault_domain::{Region, VaultId};

use crate::{
    FORMAT,
    directory::{Claim, from_io},
    engine::{self, Memory},
    error::OpenError,
    identity::{FORMAT_ROW, Identity, REGION_ROW, Scope, VAULT_ROW},
    read::Reader,
    space,
    table::TableId,
    write::{SummaryWriter, Writer},
};

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether to create the store if the directory is missing or empty.
    pub create: bool,
    /// Whose store it is, or has to be.
    pub identity: Identity,
    /// The memory that this store shares with the others of the process.
    pub memory: Memory,
    /// The size of the ballast; 0 for none. See [`Space`](crate::Space).
    pub ballast_bytes: u64,
}

/// What was found in the write-ahead log at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// All of it could be read.
    Whole,
    /// It was damaged from some point on, and what stood there is dropped. A crash in the middle of a write leaves such
    /// an end, and then nothing acknowledged is lost; a disk that lost or changed bytes leaves the same. The caller has
    /// to compare the log with a checkpoint known outside of the store before it serves, and to tell the operator.
    TailDropped {
        /// What the engine said.
        detail: String,
    },
}

/// An open store: its doors, each to be taken by whom it is for.
#[derive(Debug)]
pub struct Store {
    /// For reading; clone it as often as you like.
    pub reader: Reader,
    /// The only writer there is.
    pub writer: Writer,
    /// The only writer of the derived index.
    pub summaries: SummaryWriter,
    /// What was found in the write-ahead log.
    pub recovery: Recovery,
}

impl Store {
    /// Opens the store in `path`, which is this process's alone until the last door is dropped.
    ///
    /// # Errors
    /// Each with its cause and what to do; see [`OpenError`].
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let mut claim = Claim::take(path, options.create)?;
        let (db, db_options, recovery) = start_engine(&claim, &options.memory)?;
        let shared = Shared { db, options: db_options, memory: options.memory.clone(), path: path.to_owned() };
        check_table_numbers(&shared)?;
        if claim.is_complete() {
            check_identity(&shared, &options.identity)?;
        } else {
            write_identity(&shared, &options.identity)?;
            claim.complete()?;
        }
        space::ensure_ballast(path, options.ballast_bytes).map_err(|error| from_io(path, error))?;
        let shared = Arc::new(Held { shared, _claim: claim });
        Ok(Self {
            reader: Reader::new(Arc::clone(&shared)),
            writer: Writer::new(Arc::clone(&shared)),
            summaries: SummaryWriter::new(shared),
            recovery,
        })
    }
}

/// A store that nobody serves from, opened for reading alone: nothing in its directory is changed, not even repaired.
#[derive(Debug)]
pub struct StoreAtRest {
    /// For reading.
    pub reader: Reader,
    /// Whose it is.
    pub identity: Identity,
    /// What was found in the write-ahead log.
    pub recovery: Recovery,
}

impl StoreAtRest {
    /// Opens the store in `path`, of whichever vault and region. Others may read it meanwhile, nobody can write.
    ///
    /// # Errors
    /// Each with its cause and what to do; see [`OpenError`].
    pub fn open(path: &Path, memory: &Memory) -> Result<Self, OpenError> {
        let claim = Claim::share(path)?;
        // A store of before the newest tables has none of them, and gets none.
        let there = DB::list_cf(&rocksdb::Options::default(), path).map_err(|error| from_engine(path, error))?;
        let open = |mode| {
            let options = engine::store_options(memory, false, mode);
            let mut tables = engine::table_descriptors(memory);
            tables.retain(|table| there.iter().any(|name| name == table.name()));
            DB::open_cf_descriptors_read_only(&options, path, tables, false).map(|db| (db, options))
        };
        let (db, options, recovery) = by_the_log(path, open)?;
        let shared = Shared { db, options, memory: memory.clone(), path: path.to_owned() };
        let identity = stored_identity(&shared)?;
        Ok(Self { reader: Reader::new(Arc::new(Held { shared, _claim: claim })), identity, recovery })
    }
}

/// The open engine and what is asked of it.
pub(crate) struct Shared {
    db: DB,
    /// The engine counts into these options' statistics.
    options: rocksdb::Options,
    memory: Memory,
    path: PathBuf,
}

/// The engine and the claim on its directory; fields are dropped in order, so the claim goes last.
pub(crate) struct Held {
    shared: Shared,
    _claim: Claim,
}

impl std::ops::Deref for Held {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn db(&self) -> &DB {
        &self.db
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The engine's handle of a table. All were there at opening, and none is ever dropped.
    pub(crate) fn family(&self, table: TableId) -> Option<&ColumnFamily> {
        self.db.cf_handle(table.name())
    }

    pub(crate) fn ticker(&self, ticker: Ticker) -> u64 {
        self.options.get_ticker_count(ticker)
    }

    pub(crate) fn table_property(&self, table: TableId, property: &PropName) -> u64 {
        let Some(family) = self.family(table) else { return 0 };
        self.db.property_int_value_cf(family, property).ok().flatten().unwrap_or(0)
    }

    fn meta_row(&self, name: &str) -> Result<Option<String>, OpenError> {
        let family = self.family(TableId::Meta).ok_or_else(|| self.damaged("the table meta is missing"))?;
        let row = self.db.get_cf_opt(family, name, &engine::read_options());
        let row = row.map_err(|error| self.damaged(error.as_ref()))?;
        row.map(|bytes| String::from_utf8(bytes).map_err(|_| self.damaged("a row of meta is no text"))).transpose()
    }

    fn damaged(&self, detail: &str) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), detail: detail.to_owned() }
    }
}

/// Starts RocksDB.
fn start_engine(claim: &Claim, memory: &Memory) -> Result<(DB, rocksdb::Options, Recovery), OpenError> {
    let path = claim.path();
    let adds_tables = !claim.is_complete() || lacks_later_tables_alone(path);
    let open = |mode| {
        let mut options = engine::store_options(memory, !claim.is_complete(), mode);
        options.create_missing_column_families(adds_tables);
        DB::open_cf_descriptors(&options, path, engine::table_descriptors(memory)).map(|db| (db, options))
    };
    by_the_log(path, open)
}

/// Opens the engine with the log as if no damage were allowed; only if there is some, up to the damage.
fn by_the_log(
    path: &Path,
    open: impl Fn(DBRecoveryMode) -> Result<(DB, rocksdb::Options), rocksdb::Error>,
) -> Result<(DB, rocksdb::Options, Recovery), OpenError> {
    match open(DBRecoveryMode::AbsoluteConsistency) {
        Ok((db, options)) => Ok((db, options, Recovery::Whole)),
        Err(error) if error.kind() == ErrorKind::Corruption => {
            let (db, options) = open(DBRecoveryMode::PointInTime).map_err(|error| from_engine(path, error))?;
            Ok((db, options, Recovery::TailDropped { detail: error.into_string() }))
        }
        Err(error) => Err(from_engine(path, error)),
    }
}

/// Whether a store is one of before the newest tables, and whole as such: it gets them, empty. A store that lacks one
/// of the first tables is damaged, and no empty table may stand for it.
fn lacks_later_tables_alone(path: &Path) -> bool {
    // What can't be listed can't be opened either, which then says why.
    let there = DB::list_cf(&rocksdb::Options::default(), path).unwrap_or_default();
    let is_there = |table: &TableId| there.iter().any(|name| name == table.name());
    TableId::ALL.iter().filter(|table| !table.is_later()).all(is_there) && !TableId::ALL.iter().all(is_there)
}

/// The engine tells causes apart only in its texts.
fn from_engine(path: &Path, error: rocksdb::Error) -> OpenError {
    let kind = error.kind();
    let text = error.into_string();
    let owned = path.to_owned();
    match kind {
        ErrorKind::IOError if text.contains("Permission denied") => {
            OpenError::Permission { path: owned, source: io::Error::new(io::ErrorKind::PermissionDenied, text) }
        }
        ErrorKind::IOError if text.contains("LOCK:") => OpenError::InUse { path: owned },
        // A file that the engine's own list names is gone; so are CURRENT or a table, which it calls an argument.
        ErrorKind::IOError if !text.contains("No such file") => {
            OpenError::Io { path: owned, source: io::Error::other(text) }
        }
        _ => OpenError::Damaged { path: owned, detail: text },
    }
}

/// Batches name tables by number, so the engine must number them as we do.
fn check_table_numbers(shared: &Shared) -> Result<(), OpenError> {
    struct Numbers(Vec<u32>);
    impl WriteBatchIteratorCf for Numbers {
        fn put_cf(&mut self, number: u32, _: &[u8], _: &[u8]) {
            self.0.push(number);
        }
        fn delete_cf(&mut self, _: u32, _: &[u8]) {}
        fn merge_cf(&mut self, _: u32, _: &[u8], _: &[u8]) {}
    }
    let mut probe = WriteBatch::default();
    for table in TableId::ALL {
        let family = shared.family(*table).ok_or_else(|| shared.damaged("a table is missing"))?;
        probe.put_cf(family, b"", b"");
    }
    let mut numbers = Numbers(Vec::new());
    probe.iterate_cf(&mut numbers);
    if numbers.0.into_iter().eq(TableId::ALL.iter().map(|table| u32::from(table.number()))) {
        Ok(())
    } else {
        Err(shared.damaged("its tables are numbered differently"))
    }
}

/// The first commit of a new store.
fn write_identity(shared: &Shared, identity: &Identity) -> Result<(), OpenError> {
    let family = shared.family(TableId::Meta).ok_or_else(|| shared.damaged("the table meta is missing"))?;
    let mut batch = WriteBatch::default();
    batch.put_cf(family, FORMAT_ROW, FORMAT.to_string());
    batch.put_cf(family, VAULT_ROW, identity.vault.as_str());
    batch.put_cf(family, REGION_ROW, identity.scope.as_str());
    let written = shared.db.write_opt(batch, &engine::durable_writes());
    written.map_err(|error| from_engine(&shared.path, error))
}

/// The rows of the first commit: the format's is checked, vault and region are given.
fn stored_owner(shared: &Shared) -> Result<(String, String), OpenError> {
    let row = |name| shared.meta_row(name)?.ok_or_else(|| shared.damaged("it does not say whose it is"));
    let format = row(FORMAT_ROW)?.parse().map_err(|_| shared.damaged("its format is no number"))?;
    if format > FORMAT {
        return Err(OpenError::NewerFormat { path: shared.path.clone(), found: format, supported: FORMAT });
    }
    Ok((row(VAULT_ROW)?, row(REGION_ROW)?))
}

/// Whose store it says that it is.
fn stored_identity(shared: &Shared) -> Result<Identity, OpenError> {
    let (vault, region) = stored_owner(shared)?;
    let damaged = || shared.damaged("what it says of whose it is has no valid form");
    let scope = match region.as_str() {
        "node" => Scope::Node,
        region => Scope::Region(Region::parse(region).map_err(|_| damaged())?),
    };
    Ok(Identity { vault: VaultId::parse(&vault).map_err(|_| damaged())?, scope })
}

/// Compares the rows of the first commit with what is expected now.
fn check_identity(shared: &Shared, expected: &Identity) -> Result<(), OpenError> {
    let (vault, region) = stored_owner(shared)?;
    if vault != expected.vault.as_str() || region != expected.scope.as_str() {
        return Err(OpenError::OtherIdentity {
            path: shared.path.clone(),
            found: format!("vault {vault}, region {region}"),
            expected: expected.to_string(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
