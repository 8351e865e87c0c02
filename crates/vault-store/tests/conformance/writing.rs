//! Commits: groups, atomicity, limits, the derived table.

use std::thread;

use vault_domain::LogIndex;
use vault_store::{
    Batch, COMMIT_BYTES_MAX, Direction, ROW_BYTES_MAX, WriteError,
    table::{Entries, Idempotency, IdempotencyRow, Records, RunNumber, States, Summaries},
    wait,
};

use crate::harness::{entry, get_now, number, numbers, open, puts};

#[test]
fn a_group_is_one_write_with_one_sync() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let batches: Vec<Batch> = thread::scope(|scope| {
        let build = |call: u64| {
            move || {
                let mut batch = Batch::with_capacity(8192);
                for row in 0..50 {
                    batch.put_parts(Records, &number(call * 50 + row), &[&call.to_be_bytes(), &row.to_be_bytes()]);
                }
                batch.put(Entries, &LogIndex(call), &entry(call));
                batch
            }
        };
        let threads: Vec<_> = (0..16).map(|call| scope.spawn(build(call))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let before = store.reader.statistics();
    store.writer.commit(&batches).unwrap();
    let after = store.reader.statistics();
    assert_eq!(after.wal_syncs - before.wal_syncs, 1);
    let bytes: usize = batches.iter().map(Batch::bytes).sum();
    assert!(after.wal_bytes - before.wal_bytes >= bytes as u64);

    let snapshot = store.reader.snapshot();
    let found = wait(snapshot.get_many(Records, &numbers(0..800))).unwrap();
    for (n, value) in (0..800u64).zip(found.iter()) {
        assert_eq!(value.unwrap(), [(n / 50).to_be_bytes(), (n % 50).to_be_bytes()].concat());
    }
    assert_eq!(wait(snapshot.last_key(Entries)).unwrap(), Some(LogIndex(15)));
}

#[test]
fn every_commit_syncs_and_an_empty_one_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let before = store.reader.statistics().wal_syncs;
    for index in 0..10 {
        store.writer.commit([&puts(Entries, &[(LogIndex(index), b"x")])]).unwrap();
    }
    store.writer.commit(&[]).unwrap();
    store.writer.commit([&Batch::default()]).unwrap();
    assert_eq!(store.reader.statistics().wal_syncs - before, 10);
}

#[test]
fn later_operations_win_within_a_batch_and_across_the_group() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let mut first = puts(States, &[(number(1), b"a"), (number(2), b"a"), (number(3), b"a")]);
    first.delete(States, &number(1));
    let mut second = Batch::default();
    second.put(States, &number(1), b"b");
    second.delete(States, &number(2));
    second.delete_range(States, &number(3)..&number(4));
    second.put(States, &number(3), b"b");
    store.writer.commit([&first, &second]).unwrap();
    let found = wait(store.reader.snapshot().get_many(States, &numbers(1..4))).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [Some(&b"b"[..]), None, Some(b"b")]);
}

#[test]
fn a_snapshot_sees_a_group_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let reader = store.reader.clone();
    let keys = numbers(0..64);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0u64;
            while seen < 200 {
                let snapshot = reader.snapshot();
                let states = wait(snapshot.get_many(States, &keys)).unwrap();
                let records = wait(snapshot.get_many(Records, &keys)).unwrap();
                let round = |value: &[u8]| u64::from_be_bytes(value.try_into().unwrap());
                let rounds: Vec<_> = states.iter().chain(records.iter()).map(|value| value.map(round)).collect();
                assert!(rounds.iter().all(|round| *round == rounds[0]), "a group was seen in part: {rounds:?}");
                seen = rounds[0].unwrap_or(0);
            }
        });
        for round in 1..=200u64 {
            let (mut first, mut second) = (Batch::default(), Batch::default());
            for key in &keys {
                first.put(States, key, &round.to_be_bytes());
                second.put(Records, key, &round.to_be_bytes());
            }
            store.writer.commit([&first, &second]).unwrap();
        }
        watcher.join().unwrap();
    });
}

#[test]
fn a_commit_beyond_the_limit_changes_nothing_and_the_writer_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let large = puts(Records, &[(number(1), &vec![0; ROW_BYTES_MAX])]);
    let group = vec![&large; COMMIT_BYTES_MAX / ROW_BYTES_MAX];
    let refused = store.writer.commit(group.iter().copied());
    assert!(matches!(refused, Err(WriteError::TooLarge { bytes }) if bytes > COMMIT_BYTES_MAX), "{refused:?}");
    assert_eq!(get_now(&store.reader, Records, &number(1)), None);
    store.writer.commit(group.into_iter().skip(1)).unwrap();
    assert!(get_now(&store.reader, Records, &number(1)).is_some());
}

#[test]
fn a_range_of_days_goes_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let row = |day, byte| IdempotencyRow { day, hash: [byte; 16] };
    let mut batch = Batch::default();
    for day in 1..5 {
        for byte in [0, 1, 0xFF] {
            batch.put(Idempotency, &row(day, byte), b"x");
        }
    }
    store.writer.commit([&batch]).unwrap();
    let mut purge = Batch::default();
    purge.delete_range(Idempotency, &row(0, 0)..&row(4, 0));
    store.writer.commit([&purge]).unwrap();
    let left = wait(store.reader.snapshot().scan(Idempotency, .., Direction::Forward, 100)).unwrap();
    assert!(left.iter().map(|(key, _)| *key).eq([row(4, 0), row(4, 1), row(4, 0xFF)]));
}

#[test]
fn summaries_are_written_without_a_sync_and_cleared_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.writer.commit([&puts(Entries, &[(LogIndex(0), b"entry")])]).unwrap();
    let syncs = store.reader.statistics().wal_syncs;
    for run in [0, 1, u64::MAX] {
        store.summaries.put(RunNumber(run), b"summary").unwrap();
    }
    assert_eq!(store.reader.statistics().wal_syncs, syncs);
    assert_eq!(wait(store.reader.snapshot().last_key(Summaries)).unwrap(), Some(RunNumber(u64::MAX)));
    store.summaries.clear().unwrap();
    assert_eq!(wait(store.reader.snapshot().last_key(Summaries)).unwrap(), None);
    assert!(get_now(&store.reader, Entries, &LogIndex(0)).is_some());
    store.summaries.put(RunNumber(0), b"again").unwrap();
    assert_eq!(get_now(&store.reader, Summaries, &RunNumber(0)).unwrap(), b"again");
}
