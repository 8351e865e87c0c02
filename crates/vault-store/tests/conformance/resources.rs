//! Room on the disk, statistics, memory shared by stores.

use std::fs;

use vault_domain::LogIndex;
use vault_store::{Options, Store, TableId, table::Entries};

use crate::harness::{close, get_now, identity, open, options, write_entries};

#[test]
fn the_ballast_takes_its_room_and_is_made_again_only_at_opening() {
    let directory = tempfile::tempdir().unwrap();
    let with_ballast = Options { ballast_bytes: 3 << 20, ..options() };
    let store = Store::open(directory.path(), &with_ballast).unwrap();
    let space = store.reader.space().unwrap();
    assert_eq!(space.ballast_bytes, 3 << 20);
    assert!(space.available_bytes > 0 && space.available_bytes <= space.total_bytes);
    let ballast = directory.path().join("ballast");
    use std::os::unix::fs::MetadataExt;
    assert!(fs::metadata(&ballast).unwrap().blocks() * 512 >= 3 << 20, "it takes no room");

    // An operator needs the room.
    fs::remove_file(&ballast).unwrap();
    assert_eq!(store.reader.space().unwrap().ballast_bytes, 0);
    drop(store);
    drop(open(directory.path()));
    assert!(!ballast.exists(), "none was configured");
    let store = Store::open(directory.path(), &with_ballast).unwrap();
    assert_eq!(store.reader.space().unwrap().ballast_bytes, 3 << 20);
}

#[test]
fn a_ballast_that_does_not_fit_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), &Options { ballast_bytes: 1 << 60, ..options() }).unwrap();
    assert_eq!(store.reader.space().unwrap().ballast_bytes, 0);
}

#[test]
fn statistics_tell_rows_and_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    write_entries(&mut store, 1000, 100);
    let entries = |store: &Store| {
        let statistics = store.reader.statistics();
        *statistics.tables.iter().find(|table| table.table == TableId::Entries).unwrap()
    };
    assert_eq!(entries(&store).rows_estimated, 1000);
    let statistics = store.reader.statistics();
    assert_eq!(statistics.tables.len(), TableId::ALL.len());
    assert!(statistics.memtable_bytes > 200_000 && statistics.disk_bytes > 200_000, "{statistics:?}");
    assert_eq!((statistics.background_errors, statistics.writes_delayed), (0, false));

    close(store);
    let store = open(directory.path());
    assert_eq!(entries(&store).rows_estimated, 1000);
    assert!(entries(&store).disk_bytes > 200_000);
}

#[test]
fn stores_of_one_process_share_memory_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let eu = options();
    let us = Options { identity: identity("acme", "us"), memory: eu.memory.clone(), ..options() };
    let mut first = Store::open(&directory.path().join("eu"), &eu).unwrap();
    let second = Store::open(&directory.path().join("us"), &us).unwrap();
    write_entries(&mut first, 10, 10);
    assert!(get_now(&first.reader, Entries, &LogIndex(0)).is_some());
    assert_eq!(get_now(&second.reader, Entries, &LogIndex(0)), None);
}
