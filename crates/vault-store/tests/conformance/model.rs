//! Random commits against a model of sorted maps: after each, and after reopening, store and model show the same.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vault_domain::LogIndex;
use vault_store::{
    Batch, Direction, Reader, Snapshot,
    table::{Entries, States, Values},
    wait,
};

use crate::harness::{close, copy_directory, number, open};

/// Few keys, so that operations meet.
const KEYS: u64 = 24;

#[derive(Clone, Debug)]
enum Step {
    Put { table: u8, key: u64, value: Vec<u8> },
    Delete { table: u8, key: u64 },
    DeleteRange { table: u8, from: u64, to: u64 },
    NextBatch,
    Commit,
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let table = 0..3u8;
    let key = 0..KEYS;
    prop_oneof![
        12 => (table.clone(), key.clone(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(table, key, value)| Step::Put { table, key, value }),
        5 => (table.clone(), key.clone()).prop_map(|(table, key)| Step::Delete { table, key }),
        2 => (table, key.clone(), key).prop_map(|(table, from, to)| Step::DeleteRange { table, from, to }),
        3 => Just(Step::NextBatch),
        5 => Just(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

type Model = [BTreeMap<u64, Vec<u8>>; 3];

fn hash(key: u64) -> [u8; 16] {
    let mut hash = [0x5A; 16];
    hash[..8].copy_from_slice(&key.to_be_bytes());
    hash
}

fn apply(step: &Step, batch: &mut Batch, model: &mut Model) {
    match step {
        Step::Put { table, key, value } => {
            model[usize::from(*table)].insert(*key, value.clone());
            match table {
                0 => batch.put(States, &number(*key), value),
                1 => batch.put(Values, &hash(*key), value),
                _ => batch.put(Entries, &LogIndex(*key), value),
            }
        }
        Step::Delete { table, key } => {
            model[usize::from(*table)].remove(key);
            match table {
                0 => batch.delete(States, &number(*key)),
                1 => batch.delete(Values, &hash(*key)),
                _ => batch.delete(Entries, &LogIndex(*key)),
            }
        }
        Step::DeleteRange { table, from, to } => {
            model[usize::from(*table)].retain(|key, _| key < from || key >= to);
            match table {
                0 => batch.delete_range(States, &number(*from)..&number(*to)),
                1 => batch.delete_range(Values, &hash(*from)..&hash(*to)),
                _ => batch.delete_range(Entries, &LogIndex(*from)..&LogIndex(*to)),
            }
        }
        Step::NextBatch | Step::Commit | Step::Reopen | Step::Crash => unreachable!(),
    }
}

fn check(snapshot: &Snapshot<'_>, model: &Model) {
    let keys = 0..KEYS;
    let states = wait(snapshot.get_many(States, &keys.clone().map(number).collect::<Vec<_>>())).unwrap();
    let values = wait(snapshot.get_many(Values, &keys.clone().map(hash).collect::<Vec<_>>())).unwrap();
    let entries = wait(snapshot.get_many(Entries, &keys.clone().map(LogIndex).collect::<Vec<_>>())).unwrap();
    for (found, expected) in [states, values, entries].iter().zip(model) {
        let expected: Vec<_> = keys.clone().map(|key| expected.get(&key).map(Vec::as_slice)).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let rows = wait(snapshot.scan(Entries, .., direction, 1000)).unwrap();
        let rows: Vec<_> = rows.iter().map(|(index, value)| (index.0, value.to_vec())).collect();
        let mut expected: Vec<_> = model[2].clone().into_iter().collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        assert_eq!(rows, expected);
    }
    assert_eq!(wait(snapshot.last_key(Entries)).unwrap().map(|index| index.0), model[2].keys().next_back().copied());
}

fn run(steps: &[Step]) {
    let directory = tempfile::tempdir().unwrap();
    let mut life = 0;
    let mut path = directory.path().join("0");
    let mut store = open(&path);
    let (mut committed, mut pending) = (Model::default(), Model::default());
    let mut batches = vec![Batch::default()];
    let mut earlier: Option<(Reader, Model)> = None;
    for step in steps {
        match step {
            Step::NextBatch => batches.push(Batch::default()),
            Step::Commit => {
                let before = store.reader.snapshot();
                store.writer.commit(&batches).unwrap();
                check(&before, &committed);
                drop(before);
                batches = vec![Batch::default()];
                committed = pending.clone();
                earlier = Some((store.reader.clone(), committed.clone()));
            }
            Step::Reopen => {
                earlier = None;
                close(store);
                store = open(&path);
            }
            Step::Crash => {
                earlier = None;
                life += 1;
                let next = directory.path().join(life.to_string());
                copy_directory(&path, &next);
                drop(store);
                path = next;
                store = open(&path);
            }
            step => apply(step, batches.last_mut().unwrap(), &mut pending),
        }
        // What is not committed is not there.
        check(&store.reader.snapshot(), &committed);
    }
    if let Some((reader, model)) = earlier {
        check(&reader.snapshot(), &model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_and_model_agree(steps in prop::collection::vec(step(), 1..80)) {
        run(&steps);
    }
}
