//! RocksDB on the forgetful file system: what it acknowledged with a sync is there, without one it is not.

use std::{
    fs::{self, File},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use rocksdb::{DB, WriteOptions};
use vault_tests::amnesia::{Directories, Options, Survivors};

use crate::{Machine, sync, wait_for};

/// Bytes of a value.
const VALUE: usize = 200;

/// A write buffer so small that tables are written, compacted and removed while the power goes.
const SMALL_BUFFER: usize = 64 << 10;
/// A write buffer so large that no table is written: nothing is synced but the log, and that only if asked for.
const LARGE_BUFFER: usize = 64 << 20;

fn tuned(buffer: usize) -> rocksdb::Options {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(buffer);
    options.set_level_zero_file_num_compaction_trigger(2);
    options.set_paranoid_checks(true);
    options
}

/// Puts numbers until the power goes or there are `count`; counts those acknowledged.
fn put_until_cut(db: &DB, synced: bool, count: u64, acknowledged: &AtomicU64) {
    let mut options = WriteOptions::default();
    options.set_sync(synced);
    for number in 0..count {
        let value = [number.to_le_bytes()[0]; VALUE];
        if db.put_opt(number.to_be_bytes(), value, &options).is_err() {
            return;
        }
        acknowledged.store(number + 1, Ordering::Release);
    }
}

/// How many numbers are left on the disk.
fn left(path: &Path) -> u64 {
    count(&DB::open(&tuned(SMALL_BUFFER), path).unwrap())
}

/// How many numbers there are. They must be the first ones: what is lost is the newest.
fn count(db: &DB) -> u64 {
    let mut count = 0;
    for pair in db.iterator(rocksdb::IteratorMode::Start) {
        let (key, value) = pair.unwrap();
        assert_eq!(*key, u64::to_be_bytes(count), "a gap");
        assert_eq!(*value, [count.to_le_bytes()[0]; VALUE]);
        count += 1;
    }
    count
}

/// Runs it until so many are acknowledged, cuts, and returns (acknowledged, left).
fn cut_after(count: u64, synced: bool, buffer: usize, options: Options) -> (u64, u64) {
    let machine = Machine::new();
    let running = machine.start(options);
    let db = DB::open(&tuned(buffer), running.path().join("db")).unwrap();
    sync(running.path());
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| put_until_cut(&db, synced, u64::MAX, &acknowledged));
        wait_for(&acknowledged, count);
        running.power_cut().unwrap();
    });
    drop(db);
    (acknowledged.into_inner(), left(&machine.disk().join("db")))
}

#[test]
fn with_sync_nothing_acknowledged_is_lost() {
    for directories in [Directories::Strict, Directories::Ext4Like] {
        for survivors in [Survivors::Nothing, Survivors::Torn { seed: 1 }, Survivors::Torn { seed: 2 }] {
            let options = Options { directories, survivors, cut_before_sync: None };
            let (acknowledged, left) = cut_after(2000, true, SMALL_BUFFER, options);
            println!("sync on, {directories:?}, {survivors:?}: {acknowledged} acknowledged, {left} left");
            assert!(left >= acknowledged, "{left} of {acknowledged} are left");
        }
    }
}

#[test]
fn canary_without_sync_acknowledged_writes_are_lost() {
    let (acknowledged, left) = cut_after(2000, false, LARGE_BUFFER, Options::default());
    println!("sync off: {acknowledged} acknowledged, {left} left");
    assert!(left < acknowledged, "nothing was lost: this file system forgets nothing, so it shows nothing");
}

#[test]
fn tables_can_be_read_by_mmap() {
    // Closed before the cut: who touches a mapping of a file system that is gone dies of SIGBUS.
    let machine = Machine::new();
    let running = machine.start(Options::default());
    let mut options = tuned(SMALL_BUFFER);
    options.set_allow_mmap_reads(true);
    let path = running.path().join("db");
    let db = DB::open(&options, &path).unwrap();
    put_until_cut(&db, false, 1000, &AtomicU64::new(0));
    db.flush().unwrap();
    drop(db);
    assert_eq!(count(&DB::open(&options, &path).unwrap()), 1000);
}

#[test]
fn with_sync_a_cut_before_any_sync_loses_nothing_acknowledged() {
    for directories in [Directories::Strict, Directories::Ext4Like] {
        let mut cuts = 0;
        // Opening takes the first syncs; 600 puts of 200 bytes fill the write buffer and make a table of it.
        for cut in (1..=40).chain((41..=640).step_by(20)) {
            let machine = Machine::new();
            let running = machine.start(Options {
                directories,
                survivors: Survivors::Torn { seed: cut },
                cut_before_sync: Some(cut),
            });
            let acknowledged = AtomicU64::new(0);
            let path = running.path().join("db");
            fs::create_dir(&path).unwrap();
            if File::open(running.path()).unwrap().sync_all().is_ok()
                && let Ok(db) = DB::open(&tuned(SMALL_BUFFER), &path)
            {
                put_until_cut(&db, true, 600, &acknowledged);
            }
            running.power_cut().unwrap();
            let (acknowledged, left) = (acknowledged.into_inner(), left(&machine.disk().join("db")));
            assert!(left >= acknowledged, "cut before sync {cut}, {directories:?}: {left} of {acknowledged} are left");
            cuts += u64::from(acknowledged < 600);
        }
        println!("{directories:?}: {cuts} cuts");
        assert!(cuts > 60, "{cuts}");
    }
}
