//! What is there after a store was closed, cut off, or damaged.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vault_domain::LogIndex;
use vault_store::{
    Direction, Memory, OpenError, Options, ReadError, Recovery, Store, WAL_BYTES_MAX,
    table::{Entries, Records, RunNumber, Summaries},
    wait,
};

use crate::harness::{close, copy_directory, entry, get_now, number, numbers, open, options, puts, write_entries};

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(path).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = names.filter(|file| file.extension().is_some_and(|found| found == ending)).collect();
    found.sort();
    found
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

/// The entries that are there, which must be the first ones without a gap.
fn entries_found(store: &Store) -> u64 {
    let rows = wait(store.reader.snapshot().scan(Entries, .., Direction::Forward, 10_000)).unwrap();
    for (expected, (index, value)) in (0..).zip(rows.iter()) {
        assert_eq!(index.0, expected, "a gap");
        assert_eq!(value, entry(expected));
    }
    u64::try_from(rows.len()).unwrap()
}

#[test]
fn everything_is_there_after_closing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    write_entries(&mut store, 1000, 10);
    close(store);
    let store = open(directory.path());
    assert_eq!(store.recovery, Recovery::Whole);
    assert_eq!(entries_found(&store), 1000);
}

#[test]
fn everything_is_there_after_being_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let (original, copy) = (directory.path().join("a"), directory.path().join("b"));
    let mut store = open(&original);
    write_entries(&mut store, 1000, 10);
    copy_directory(&original, &copy);
    let cut_off = open(&copy);
    assert_eq!(cut_off.recovery, Recovery::Whole);
    assert_eq!(entries_found(&cut_off), 1000);
    drop(store);
    assert_eq!(entries_found(&open(&original)), 1000, "dropped without closing");
}

#[test]
fn derived_rows_are_there_after_dropping() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    for run in 0..100 {
        store.summaries.put(RunNumber(run), &[1; 500]).unwrap();
    }
    drop(store);
    let store = open(directory.path());
    let rows = wait(store.reader.snapshot().scan(Summaries, .., Direction::Forward, 1000)).unwrap();
    assert!(rows.iter().map(|(run, _)| run.0).eq(0..100));
}

/// What a crash in the middle of a write leaves: it opens, loses nothing that was acknowledged, and says so.
#[test]
fn a_torn_end_of_the_log_is_dropped_and_reported() {
    let directory = tempfile::tempdir().unwrap();
    let (original, copy) = (directory.path().join("a"), directory.path().join("b"));
    let mut store = open(&original);
    write_entries(&mut store, 100, 1);
    let log = files(&original, "log").pop().unwrap();
    let acknowledged = fs::metadata(&log).unwrap().len();
    store.writer.commit([&puts(Entries, &[(LogIndex(100), &entry(100))])]).unwrap();
    copy_directory(&original, &copy);
    let torn = fs::File::options().write(true).open(copy.join(log.file_name().unwrap())).unwrap();
    torn.set_len(acknowledged + 100).unwrap();

    let mut store = open(&copy);
    assert!(matches!(store.recovery, Recovery::TailDropped { .. }), "{:?}", store.recovery);
    assert_eq!(entries_found(&store), 100);
    // It goes on from there, and the next opening finds nothing to report.
    store.writer.commit([&puts(Entries, &[(LogIndex(100), &entry(100))])]).unwrap();
    drop(store);
    let store = open(&copy);
    assert_eq!((store.recovery.clone(), entries_found(&store)), (Recovery::Whole, 101));
}

/// A changed byte within the log can't be told from a torn end, but it is never passed over in silence.
#[test]
fn a_changed_byte_in_the_log_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let original = directory.path().join("original");
    let mut store = open(&original);
    write_entries(&mut store, 100, 1);
    let log = files(&original, "log").pop().unwrap();
    let length = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    for (case, position) in [length / 10, length / 2, length - 150].into_iter().enumerate() {
        let copy = directory.path().join(case.to_string());
        copy_directory(&original, &copy);
        flip(&copy.join(log.file_name().unwrap()), position);
        match Store::open(&copy, &options()) {
            Ok(damaged) => {
                assert!(matches!(damaged.recovery, Recovery::TailDropped { .. }), "byte {position} of {length}");
                assert!(entries_found(&damaged) < 100);
            }
            Err(error) => assert!(matches!(error, OpenError::Damaged { .. }), "{error}"),
        }
    }
}

#[test]
fn a_changed_byte_in_a_table_file_is_an_error_of_the_read_that_meets_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let rows = numbers(0..2000);
    let values: Vec<_> = rows.iter().map(|row| (*row, [0x77; 120])).collect();
    let values: Vec<_> = values.iter().map(|(row, value)| (*row, &value[..])).collect();
    store.writer.commit([&puts(Records, &values)]).unwrap();
    close(store);
    let table = files(directory.path(), "sst").into_iter().max_by_key(|file| fs::metadata(file).unwrap().len());
    // Early in the file: in the block of the first rows.
    flip(&table.unwrap(), 2000);

    let mut store = open(directory.path());
    let snapshot = store.reader.snapshot();
    let damaged = |error: ReadError| {
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("records"), "{error}");
    };
    damaged(wait(snapshot.get(Records, &number(3))).unwrap_err());
    damaged(wait(snapshot.get_many(Records, &rows)).unwrap_err());
    damaged(wait(snapshot.scan(Records, .., Direction::Forward, 5000)).unwrap_err());
    damaged(wait(snapshot.scan(Records, .., Direction::Backward, 5000)).unwrap_err());
    assert!(wait(snapshot.get(Records, &number(1999))).unwrap().is_some(), "other blocks can still be read");
    drop(snapshot);
    store.writer.commit([&puts(Records, &[(number(5000), b"x")])]).unwrap();
    assert!(get_now(&store.reader, Records, &number(5000)).is_some());
}

/// Table files are written, logs are deleted, and the whole stays within its bound of logs.
#[test]
fn the_log_is_bounded_and_all_rows_survive_its_turns() {
    let directory = tempfile::tempdir().unwrap();
    // Memory enough that it is not what makes the engine write its tables out.
    let roomy = Options { memory: Memory::new(8 << 20, 1 << 30), ..options() };
    let mut store = Store::open(directory.path(), &roomy).unwrap();
    let value = vec![3; 60_000];
    // Small rows in one table pin the oldest log, which the bound must overcome.
    store.writer.commit([&puts(Records, &[(number(0), b"pin")])]).unwrap();
    let mut written = 0;
    let mut index = 0;
    while written < WAL_BYTES_MAX + (64 << 20) {
        let rows: Vec<_> = (index..index + 100).map(|index| (LogIndex(index), &value[..])).collect();
        store.writer.commit([&puts(Entries, &rows)]).unwrap();
        index += 100;
        written += 100 * 60_000;
    }
    let logs: u64 = files(directory.path(), "log").iter().map(|log| fs::metadata(log).unwrap().len()).sum();
    assert!(logs < WAL_BYTES_MAX + (32 << 20), "{logs} bytes of logs after {written} written");
    drop(store);
    let store = open(directory.path());
    assert_eq!(get_now(&store.reader, Records, &number(0)).unwrap(), b"pin");
    assert_eq!(wait(store.reader.snapshot().last_key(Entries)).unwrap(), Some(LogIndex(index - 1)));
}
