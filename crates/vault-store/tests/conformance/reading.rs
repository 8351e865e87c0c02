//! Snapshots, batch reads and scans.

use std::{ops::Bound, thread};

use vault_domain::LogIndex;
use vault_store::{
    Batch, Direction, GET_KEYS_MAX, ReadError, Rows, SCAN_BYTES_MAX,
    table::{Entries, Idempotency, IdempotencyRow, Keys, Records, States, TextKey, TileNumber, Tiles},
    wait,
};

use crate::harness::{entry, get, number, numbers, open, puts, write_entries};

fn indexes(rows: &Rows<Entries>) -> Vec<u64> {
    rows.iter().map(|(index, _)| index.0).collect()
}

#[test]
fn a_snapshot_shows_its_moment_whatever_is_committed_later() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    store.writer.commit([&puts(Records, &[(number(1), b"first"), (number(2), b"stays")])]).unwrap();
    let before = store.reader.snapshot();

    let mut change = puts(Records, &[(number(1), b"second"), (number(3), b"new")]);
    change.delete(Records, &number(2));
    store.writer.commit([&change]).unwrap();

    assert_eq!(get(&before, Records, &number(1)).unwrap(), b"first");
    let found = wait(before.get_many(Records, &numbers(1..4))).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [Some(&b"first"[..]), Some(b"stays"), None]);
    assert_eq!(wait(before.scan(Records, .., Direction::Forward, 10)).unwrap().len(), 2);
    assert_eq!(wait(before.last_key(Records)).unwrap(), Some(number(2)));

    let after = store.reader.snapshot();
    let found = wait(after.get_many(Records, &numbers(1..4))).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), [Some(&b"second"[..]), None, Some(b"new")]);
}

#[test]
fn sequences_tell_what_a_snapshot_shows() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let before = store.reader.snapshot();
    let first = store.writer.commit([&puts(States, &[(number(1), b"a")])]).unwrap();
    let between = store.reader.snapshot();
    let second = store.writer.commit([&puts(States, &[(number(1), b"b")])]).unwrap();
    let after = store.reader.snapshot();
    assert!(before.sequence() < first && first <= between.sequence());
    assert!(between.sequence() < second && second <= after.sequence());

    assert_eq!(store.reader.oldest_snapshot(), Some(before.sequence()));
    drop((before, between, after));
    assert_eq!(store.reader.oldest_snapshot(), None);
}

#[test]
fn get_many_answers_in_the_order_asked_and_equals_single_gets() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let rows: Vec<_> = (0..500u64).map(|n| (number(n * 3), n.to_be_bytes())).collect();
    let mut batch = Batch::default();
    for (key, value) in &rows {
        batch.put(Records, key, value);
    }
    batch.put(Records, &number(9), b"");
    store.writer.commit([&batch]).unwrap();
    let snapshot = store.reader.snapshot();
    // Out of order, with repetitions and absent keys.
    let keys = numbers((0..1000).map(|n| (n * 7919) % 1511).chain([9, 9, 1498]));
    let found = wait(snapshot.get_many(Records, &keys)).unwrap();
    assert_eq!(found.len(), keys.len());
    for (position, key) in keys.iter().enumerate() {
        assert_eq!(found.get(position).map(<[u8]>::to_vec), get(&snapshot, Records, key), "{key:?}");
    }
    assert_eq!(found.get(keys.len() - 2), Some(&b""[..]), "an empty value is not an absent row");
    assert_eq!(found.get(keys.len()), None);
    assert!(wait(snapshot.get_many(Records, &[])).unwrap().is_empty());
    let too_many = vec![number(0); GET_KEYS_MAX + 1];
    assert!(matches!(wait(snapshot.get_many(Records, &too_many)), Err(ReadError::TooManyKeys { .. })));
}

#[test]
fn a_scan_goes_both_ways_within_its_range_and_says_when_there_is_more() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    write_entries(&mut store, 300, 100);
    // Neighbouring tables with keys of the same form must not show.
    store.writer.commit([&puts(Records, &[(number(5), b"x"), (number(1000), b"x")])]).unwrap();
    let snapshot = store.reader.snapshot();
    let scan = |range: (Bound<LogIndex>, Bound<LogIndex>), direction, limit| {
        wait(snapshot.scan(Entries, range, direction, limit)).unwrap()
    };
    let (included, excluded) = (|i| Bound::Included(LogIndex(i)), |i| Bound::Excluded(LogIndex(i)));

    let rows = scan((included(10), excluded(13)), Direction::Forward, 100);
    assert_eq!(indexes(&rows), [10, 11, 12]);
    assert!(!rows.more());
    assert!(rows.iter().all(|(index, value)| value == entry(index.0)));
    let rows = scan((excluded(10), included(13)), Direction::Backward, 100);
    assert_eq!(indexes(&rows), [13, 12, 11]);
    let rows = scan((Bound::Unbounded, excluded(300)), Direction::Backward, 2);
    assert_eq!(indexes(&rows), [299, 298]);
    assert!(rows.more());
    assert_eq!(rows.last_key(), Some(&LogIndex(298)));
    let rows = scan((included(298), Bound::Unbounded), Direction::Forward, 2);
    assert_eq!(indexes(&rows), [298, 299]);
    assert!(!rows.more(), "exactly the limit is not more");
    assert!(scan((included(7), included(6)), Direction::Forward, 5).is_empty());
    assert!(scan((excluded(7), excluded(8)), Direction::Forward, 5).is_empty());
    assert!(scan((included(300), Bound::Unbounded), Direction::Forward, 5).is_empty());
    assert_eq!(wait(snapshot.scan(Entries, .., Direction::Forward, 1000)).unwrap().len(), 300);
    assert_eq!(wait(snapshot.last_key(Entries)).unwrap(), Some(LogIndex(299)));
    assert_eq!(wait(snapshot.last_key(States)).unwrap(), None);
}

#[test]
fn what_is_shown_where_it_lies_is_what_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    write_entries(&mut store, 300, 100);
    let snapshot = store.reader.snapshot();
    let mut change = Batch::default();
    change.delete(Entries, &LogIndex(12));
    store.writer.commit([&change]).unwrap();

    for index in [0, 12, 299, 300] {
        let looked = wait(snapshot.look(Entries, &LogIndex(index), <[u8]>::to_vec)).unwrap();
        assert_eq!(looked, get(&snapshot, Entries, &LogIndex(index)), "{index}");
    }
    assert_eq!(wait(store.reader.snapshot().look(Entries, &LogIndex(12), <[u8]>::len)).unwrap(), None);
    let walk = |range: std::ops::Range<LogIndex>| {
        let mut seen = Vec::new();
        wait(snapshot.walk(Entries, range, |index, value| {
            assert_eq!(value, entry(index.0));
            seen.push(index.0);
        }))
        .unwrap();
        seen
    };
    assert_eq!(walk(LogIndex(10)..LogIndex(14)), [10, 11, 12, 13]);
    assert_eq!(walk(LogIndex(0)..LogIndex(1000)).len(), 300);
    assert!(walk(LogIndex(7)..LogIndex(7)).is_empty() && walk(LogIndex(300)..LogIndex(400)).is_empty());
}

#[test]
fn a_scan_ends_early_when_it_has_enough_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let large = vec![1; 1 << 20];
    for index in 0..10 {
        store.writer.commit([&puts(Entries, &[(LogIndex(index), &large)])]).unwrap();
    }
    let snapshot = store.reader.snapshot();
    let rows = wait(snapshot.scan(Entries, .., Direction::Forward, 10)).unwrap();
    assert_eq!(rows.len(), SCAN_BYTES_MAX / large.len());
    assert!(rows.more());
    let next = rows.last_key().copied().unwrap();
    let rest = wait(snapshot.scan(Entries, (Bound::Excluded(next), Bound::Unbounded), Direction::Forward, 10)).unwrap();
    assert_eq!(indexes(&rest), [8, 9]);
    assert!(!rest.more());
}

#[test]
fn keys_of_every_form_sort_as_their_values_do() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    let tiles = [(0, 255), (0, 256), (1, 0), (2, 1 << 40)].map(|(level, number)| TileNumber { level, number });
    let days = [(1, 9), (255, 0), (256, 0), (256, 1)].map(|(day, byte)| IdempotencyRow { day, hash: [byte; 16] });
    let texts = ["a", "a/1", "a/10", "b", &"z".repeat(31)].map(|text| TextKey::new(text).unwrap());
    let mut batch = Batch::default();
    tiles.iter().rev().for_each(|key| batch.put(Tiles, key, b""));
    days.iter().rev().for_each(|key| batch.put(Idempotency, key, b""));
    texts.iter().rev().for_each(|key| batch.put(Keys, key, b""));
    store.writer.commit([&batch]).unwrap();
    let snapshot = store.reader.snapshot();
    let found = wait(snapshot.scan(Tiles, .., Direction::Forward, 10)).unwrap();
    assert!(found.iter().map(|(key, _)| key).eq(&tiles));
    let found = wait(snapshot.scan(Idempotency, .., Direction::Forward, 10)).unwrap();
    assert!(found.iter().map(|(key, _)| key).eq(&days));
    let found = wait(snapshot.scan(Keys, .., Direction::Forward, 10)).unwrap();
    assert!(found.iter().map(|(key, _)| key).eq(&texts));
    for wrong in ["", "two words", "ä", &"z".repeat(32)] {
        assert_eq!(TextKey::new(wrong), None, "{wrong}");
    }
}

#[test]
fn readers_work_on_many_threads_and_keep_the_store_open() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path());
    write_entries(&mut store, 1000, 1000);
    let reader = store.reader.clone();
    drop(store);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let reader = reader.clone();
            thread::spawn(move || wait(reader.snapshot().get_many(Entries, &[LogIndex(0), LogIndex(999)])).unwrap())
        })
        .collect();
    drop(reader);
    for thread in threads {
        assert_eq!(thread.join().unwrap().iter().flatten().count(), 2);
    }
    // All doors are dropped: the directory is free again.
    open(directory.path());
}

/// Compiles only if a read can be awaited on a runtime that moves tasks between threads.
#[test]
fn futures_of_reads_are_send() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let reader = store.reader;
    wait(is_send(async move {
        let snapshot = reader.snapshot();
        let keys = numbers(0..3);
        assert_eq!(snapshot.get_many(Records, &keys).await.unwrap().len(), 3);
        assert_eq!(snapshot.get(Records, &number(1)).await.unwrap(), None);
        assert!(snapshot.scan(Entries, .., Direction::Forward, 1).await.unwrap().is_empty());
        assert_eq!(snapshot.last_key(Entries).await.unwrap(), None);
    }));
}
