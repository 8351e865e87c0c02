//! The log that is made is a log, and its index is that of its entries; rows of spans that lie are told and mended.

use vault_engine::{BadRow, LogAtRest, RowFault, rebuild_index};
use vault_journal::span_row;
use vault_ledger::SpanPart;
use vault_store::{Direction, table::Summaries};

use super::*;

/// A whole span, and some runs behind it.
const ENTRIES: u64 = 66_000;

/// What is made of a row, and whether a fault is the one that comes of it.
type Damage = (SpanPart, fn(&[u8]) -> Vec<u8>, fn(RowFault) -> bool);

fn faults(store: &Path) -> Vec<BadRow> {
    let mut bad = Vec::new();
    let log = LogAtRest::open(store, &Memory::default()).unwrap();
    let checked = log.check_index(|row| bad.push(row)).unwrap();
    assert_eq!((checked.older, checked.behind), (0, ENTRIES % 256));
    bad
}

fn open(store: &Path) -> Store {
    let identity =
        Identity { vault: VaultId::parse(VAULT).unwrap(), scope: Scope::Region(Region::parse(REGION).unwrap()) };
    Store::open(store, &Options { create: false, identity, memory: Memory::default(), ballast_bytes: 0 }).unwrap()
}

/// The same row, but for the first value that is not in all runs, which is in all of them now.
fn wider(row: &[u8]) -> Vec<u8> {
    let mut row = row.to_vec();
    let mut at = 1;
    for _ in 0..8 {
        let count = usize::from(u16::from_be_bytes([row[at + 1], row[at + 2]]));
        at += 3;
        for _ in 0..count {
            let runs = &mut row[at + 8..at + 40];
            if runs.iter().any(|byte| *byte != 0xFF) {
                runs.fill(0xFF);
                return row;
            }
            at += 40;
        }
    }
    panic!("everything is everywhere");
}

#[test]
fn a_span_that_lies_is_told_by_what_it_does_and_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::create(&folder.path().join("vault")).unwrap();
    let log = LongLog::make(&site, ENTRIES).unwrap();
    assert!(log.last.0 - log.first.0 > 364 * 24 * 3600 * 1000, "a year of log time");
    let store = site.data().join(REGION);
    assert!(faults(&store).is_empty());

    let cases: [Damage; 7] = [
        // The last byte of the last list: an audience in the last runs.
        (
            SpanPart::Places,
            |row| [&row[..row.len() - 1], &[0]].concat(),
            |fault| matches!(fault, RowFault::Hides { index, field: "audience" } if index / 256 >= 248),
        ),
        (SpanPart::Places, wider, |fault| fault == RowFault::Wide),
        (SpanPart::Places, |row| row[..row.len() - 1].to_vec(), |fault| fault == RowFault::Unreadable),
        (SpanPart::Places, |_| vec![9], |fault| fault == RowFault::Unreadable),
        // The last entry's kind: that of the first one.
        (
            SpanPart::Kinds,
            |row| [&row[..row.len() - 2], &[0, 0]].concat(),
            |fault| matches!(fault, RowFault::Hides { index: 65_535, field: "kind" }),
        ),
        // Too many kinds: nothing is told.
        (SpanPart::Kinds, |row| vec![row[0], 1], |fault| fault == RowFault::Wide),
        (SpanPart::Kinds, |row| row[..row.len() - 2].to_vec(), |fault| fault == RowFault::Unreadable),
    ];
    for (number, (part, damage, expected)) in cases.into_iter().enumerate() {
        let key = span_row(0, part);
        {
            let mut store = open(&store);
            let row = wait(store.reader.snapshot().get(Summaries, &key)).unwrap().unwrap();
            store.summaries.put(key, &damage(&row)).unwrap();
        }
        let bad = faults(&store);
        assert_eq!(bad.len(), 1, "case {number}: {bad:?}");
        assert_eq!(bad[0].part, Some(part), "case {number}");
        assert!(expected(bad[0].fault), "case {number}: {:?}", bad[0]);
        assert_eq!(rebuild_index(&store, &Memory::default()).unwrap(), ENTRIES / 256);
        assert!(faults(&store).is_empty(), "case {number}");
    }
}

#[test]
fn rows_of_spans_that_are_missing_are_made_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::create(&folder.path().join("vault")).unwrap();
    LongLog::make(&site, ENTRIES).unwrap();
    let path = site.data().join(REGION);
    let rows = |store: &Store| {
        let range = span_row(0, SpanPart::Places)..;
        let rows = wait(store.reader.snapshot().scan(Summaries, range, Direction::Forward, 10)).unwrap();
        rows.iter().map(|(key, row)| (*key, row.to_vec())).collect::<Vec<_>>()
    };
    let mut store = open(&path);
    let made = rows(&store);
    assert_eq!(made.len(), 4);
    let mut batch = Batch::default();
    made.iter().for_each(|(key, _)| batch.delete(Summaries, key));
    store.writer.commit([&batch]).unwrap();
    assert!(rows(&store).is_empty());
    drop(store);

    let root = RootKey::from_file(&site.root_key()).unwrap();
    let (vault, region) = (VaultId::parse(VAULT).unwrap(), Region::parse(REGION).unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let Store { reader, writer, summaries, .. } = open(&path);
    let keys = RegionKeys::open(&root, &vault, &region, &reader, clock.clone(), Arc::new(SystemEntropy));
    let (journal, running) = Journal::open(Parts {
        writer,
        free_bytes_min: 0,
        summaries,
        reader: reader.clone(),
        origin: Origin::of_region(&vault, &region, FIRST_LIFE),
        signer: Arc::new(wait(keys).unwrap()),
        clock,
        known_outside: None,
    })
    .unwrap();
    for _ in 0..3000 {
        if journal.index_progress().spans() == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!((journal.index_progress().spans(), journal.index_progress().entries()), (1, ENTRIES - ENTRIES % 256));
    drop((journal, reader));
    running.stop();
    assert_eq!(rows(&open(&path)), made);
}
