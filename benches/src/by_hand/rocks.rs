//! A token vault by hand over bare RocksDB, in this process: what the engine itself costs.
//!
//! Set up as vault-store sets it up (memtables, cache, log, checksums), with the two tables that are needed. Records
//! lie under rising numbers and have the vault's size; a token is its record's number, encrypted by one AES block, as
//! the vault's opaque ones. Callers are threads, and each commits for itself: which of them are written and synced
//! together is RocksDB's own group commit.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DataBlockIndexType, Direction, IteratorMode, Options, ReadOptions, WriteBatch, WriteBufferManager, WriteOptions,
    statistics::{StatsLevel, Ticker},
};
use vault_crypto::{Block, BlockKey, CallRandom, Key256};
use vault_domain::{Clock, SystemClock, SystemEntropy};
use vault_store::{MEMTABLE_BYTES_DEFAULT, WAL_BYTES_MAX};

use super::{Caller, Job, PRINCIPAL, Run, Seals, Token, fill_calls};
use crate::{
    Failure,
    load::{Outcome, Verb},
    machine::cpu_time,
    measure::Latencies,
    region::RECORD_BYTES,
    server::Counters,
};

const RECORDS: &str = "records";
const AUDIT: &str = "audit";
/// As the vault's configuration has it by default.
const CACHE_BYTES: usize = 512 << 20;
const TOKENIZED: u8 = 1;
const DETOKENIZED: u8 = 2;

/// Tokens and their audit rows in one RocksDB.
pub struct Rocks {
    db: DB,
    /// The engine counts into these options' statistics.
    options: Options,
    durable: WriteOptions,
    checked: ReadOptions,
    seals: Seals,
    tokens: BlockKey,
    clock: SystemClock,
    next_record: AtomicU64,
    next_audit: AtomicU64,
    stock: Arc<Vec<Token>>,
    fresh: Arc<AtomicU64>,
}

impl Rocks {
    /// A new database in `folder`, with `count` tokens that lie in table files.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn create(folder: &Path, count: u64) -> Result<Self, Failure> {
        let (cache, memtables) = (
            Cache::new_hyper_clock_cache(CACHE_BYTES, 0),
            WriteBufferManager::new_write_buffer_manager(MEMTABLE_BYTES_DEFAULT, false),
        );
        let options = store_options(&memtables);
        let tables = [
            ColumnFamilyDescriptor::new(RECORDS, table_options(&cache, 32, true)),
            ColumnFamilyDescriptor::new(AUDIT, table_options(&cache, 16, false)),
        ];
        let (mut durable, mut checked) = (WriteOptions::default(), ReadOptions::default());
        durable.set_sync(true);
        checked.set_verify_checksums(true);
        let mut rocks = Self {
            db: DB::open_cf_descriptors(&options, folder, tables)?,
            options,
            durable,
            checked,
            seals: Seals::new()?,
            tokens: BlockKey::new(&Key256::generate(&SystemEntropy)?),
            clock: SystemClock::new(),
            next_record: AtomicU64::new(0),
            next_audit: AtomicU64::new(0),
            stock: Arc::default(),
            fresh: Arc::new(AtomicU64::new(count)),
        };
        let mut random = CallRandom::seeded(&SystemEntropy)?;
        let mut stock = Vec::with_capacity(usize::try_from(count)?);
        for values in fill_calls(count) {
            stock.extend(rocks.tokenize(&mut random, &values)?);
        }
        rocks.stock = Arc::new(stock);
        for table in [RECORDS, AUDIT] {
            rocks.db.flush_cf(rocks.table(table)?)?;
        }
        Ok(rocks)
    }

    /// Does the job, a thread for each call in flight.
    ///
    /// # Errors
    /// When the engine refuses, or an answer is not what was asked for.
    pub fn run(&self, job: Job) -> Result<Run, Failure> {
        let before = self.counters();
        let first_audit = self.next_audit.load(Ordering::Relaxed);
        let (callers, clock) = Caller::all(job, &self.stock, &self.fresh)?;
        let ended: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = callers.into_iter().map(|caller| scope.spawn(|| self.call_on(caller))).collect();
            threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let elapsed = clock.monotonic();
        let counters = self.counters().since(&before);
        let mut latencies = Latencies::default();
        for caller in ended {
            latencies.append(caller.map_err(|_| "a caller panicked")??);
        }
        let calls = u64::try_from(latencies.len())?;
        let items = calls * u64::try_from(job.items)?;
        let entries = self.audit_rows_from(first_audit)?;
        let cpu = counters.cpu;
        Ok(Run { outcome: Outcome { calls, items, elapsed, latencies, cpu, entries }, counters })
    }

    /// What it counted by now. CPU time is that of this process: engine and callers are one.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            cpu: cpu_time(),
            wal_syncs: self.options.get_ticker_count(Ticker::WalFileSynced),
            wal_bytes: self.options.get_ticker_count(Ticker::WalFileBytes),
            ..Counters::default()
        }
    }

    fn call_on(&self, mut caller: Caller) -> Result<Latencies, Failure> {
        caller.begin();
        loop {
            match caller.job.verb {
                Verb::TokenizeFresh => {
                    let values = caller.fresh_values()?;
                    let tokens = self.tokenize(&mut caller.random, &values)?;
                    caller.believe_tokens(&tokens)?;
                }
                Verb::Detokenize => {
                    let (first, tokens) = caller.drawn()?;
                    caller.believe_values(first, &self.detokenize(&tokens)?)?;
                }
                Verb::TokenizeKnown | Verb::DetokenizeHot => return Err("there is no such call by hand".into()),
            }
            if !caller.goes_on() {
                return Ok(caller.latencies);
            }
        }
    }

    fn tokenize(&self, random: &mut CallRandom, values: &[Vec<u8>]) -> Result<Vec<Token>, Failure> {
        let count = u64::try_from(values.len())?;
        let first = self.next_record.fetch_add(count, Ordering::Relaxed);
        let mut blocks: Vec<Block> = (first..first + count).map(block).collect();
        self.tokens.encrypt_all(&mut blocks);
        let tokens: Vec<Token> = blocks.into_iter().map(Token).collect();
        let now = self.clock.wall().0.to_be_bytes();
        let (records, mut batch) = (self.table(RECORDS)?, WriteBatch::default());
        for ((number, token), value) in (first..).zip(&tokens).zip(values) {
            let sealed = self.seals.seal(random, token, value);
            // What the vault's record has in its header: the time, and room for all that a record belongs to.
            let mut row = Vec::with_capacity(RECORD_BYTES);
            row.extend_from_slice(&now);
            row.resize(RECORD_BYTES.saturating_sub(sealed.len()), 0);
            row.extend_from_slice(&sealed);
            batch.put_cf(records, number.to_be_bytes(), row);
        }
        self.commit(batch, TOKENIZED, first..first + count)?;
        Ok(tokens)
    }

    fn detokenize(&self, tokens: &[Token]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut blocks: Vec<Block> = tokens.iter().map(|token| token.0).collect();
        self.tokens.decrypt_all(&mut blocks);
        let numbers: Option<Vec<u64>> = blocks.iter().map(number).collect();
        let numbers = numbers.ok_or("this is no token")?;
        let records = self.table(RECORDS)?;
        let open = |token: &Token, row: Option<&[u8]>| {
            let row = row.ok_or("a token has no record")?;
            let header = RECORD_BYTES - super::SEALED_BYTES;
            self.seals.open(token, row.get(header..).ok_or("a record is too short")?)
        };
        let values = if let ([token], [number]) = (tokens, numbers.as_slice()) {
            let row = self.db.get_pinned_cf_opt(records, number.to_be_bytes(), &self.checked)?;
            vec![open(token, row.as_deref())?]
        } else {
            let keys: Vec<[u8; 8]> = numbers.iter().map(|number| number.to_be_bytes()).collect();
            let rows = self.db.batched_multi_get_cf_opt(records, &keys, false, &self.checked);
            let values = tokens.iter().zip(rows).map(|(token, row)| open(token, row?.as_deref()));
            values.collect::<Result<_, _>>()?
        };
        self.commit(WriteBatch::default(), DETOKENIZED, numbers)?;
        Ok(values)
    }

    /// Adds the call's audit row (time, action, principal, the numbers of the records, 8 bytes each) and commits.
    fn commit(&self, mut batch: WriteBatch, action: u8, numbers: impl IntoIterator<Item = u64>) -> Result<(), Failure> {
        let mut row = Vec::with_capacity(64);
        row.extend_from_slice(&self.clock.wall().0.to_be_bytes());
        row.push(action);
        row.extend_from_slice(PRINCIPAL.as_bytes());
        row.extend(numbers.into_iter().flat_map(u64::to_be_bytes));
        let index = self.next_audit.fetch_add(1, Ordering::Relaxed);
        batch.put_cf(self.table(AUDIT)?, index.to_be_bytes(), row);
        Ok(self.db.write_opt(batch, &self.durable)?)
    }

    fn audit_rows_from(&self, first: u64) -> Result<u64, Failure> {
        let key = first.to_be_bytes();
        let mut rows = 0;
        for row in self.db.iterator_cf(self.table(AUDIT)?, IteratorMode::From(&key, Direction::Forward)) {
            row?;
            rows += 1;
        }
        Ok(rows)
    }

    fn table(&self, name: &str) -> Result<&ColumnFamily, Failure> {
        Ok(self.db.cf_handle(name).ok_or("a table is missing")?)
    }
}

/// A record's number with zeros behind it, which tell a token from any other block.
fn block(number: u64) -> Block {
    (u128::from(number) << 64).to_be_bytes()
}

fn number(block: &Block) -> Option<u64> {
    let whole = u128::from_be_bytes(*block);
    u64::try_from(whole >> 64).ok().filter(|number| u128::from(*number) << 64 == whole)
}

/// As vault-store/engine.rs has them, with the reasons.
fn store_options(memtables: &WriteBufferManager) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_paranoid_checks(true);
    options.set_recycle_log_file_num(0);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_write_buffer_manager(memtables);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_avoid_unnecessary_blocking_io(true);
    options.enable_statistics();
    options.set_statistics_level(StatsLevel::ExceptHistogramOrTimers);
    options.set_stats_dump_period_sec(0);
    options
}

/// As vault-store/engine.rs has them for records and entries.
fn table_options(cache: &Cache, memtable_mib: usize, by_key: bool) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(16 << 10);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_cache_index_and_filter_blocks_with_high_priority(true);
    blocks.set_pin_top_level_index_and_filter(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    blocks.set_partition_filters(true);
    blocks.set_metadata_block_size(4 << 10);
    if by_key {
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_data_block_hash_ratio(0.75);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(memtable_mib << 20);
    options.set_max_write_buffer_number(3);
    options.set_compression_type(DBCompressionType::None);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_tokenized_by_hand_is_revealed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let rocks = Rocks::create(&folder.path().join("rocks"), 3).unwrap();
        let (one, two) = (rocks.stock[1], rocks.stock[2]);
        assert_eq!(rocks.detokenize(&[one]).unwrap(), [b"000000000001"]);
        assert_eq!(rocks.detokenize(&[two, one]).unwrap(), [b"000000000002", b"000000000001"]);
        assert!(rocks.detokenize(&[Token([7; 16])]).is_err());
        let never_given = Token(rocks.tokens.encrypt(&block(3)));
        assert!(rocks.detokenize(&[never_given]).is_err());
        // One row for the fill, two for the reveals; refusals are not asked of it.
        assert_eq!(rocks.audit_rows_from(0).unwrap(), 3);
    }
}
