//! `audit index`: rows that lie are found and mended, and lies that hide entries are told from harmless ones.

use std::path::Path;

use vault_domain::LogIndex;
use vault_ledger::{Entry, SUMMARY_ENTRIES, Summary};
use vault_proto::v1;
use vault_store::{
    Batch, Direction, Store,
    table::{Entries, RunNumber, Summaries},
    wait,
};
use vault_tests::{
    requests::{by, query},
    roles::Role,
    stored_log,
    vault::VAULT,
};

use crate::{
    audited::{Audited, contents},
    shell::{DevVault, Ended, run, tokenvault},
};

const RUN: u64 = SUMMARY_ENTRIES as u64;

fn index(verb: &str, data: &str, words: &[&str]) -> Ended {
    run(&mut tokenvault(&[&["audit", "index", verb, data, "--output", "jsonl"], words].concat()), "")
}

fn open(audited: &Audited) -> Store {
    stored_log::open(&audited.vault.data_directory().join("eu"), VAULT, "eu").unwrap()
}

fn row(store: &Store, run: u64) -> Vec<u8> {
    wait(store.reader.snapshot().get(Summaries, &RunNumber(run))).unwrap().unwrap()
}

fn entries(store: &Store, run: u64) -> Vec<Entry> {
    let range = LogIndex(run * RUN)..LogIndex((run + 1) * RUN);
    let rows = wait(store.reader.snapshot().scan(Entries, range, Direction::Forward, 1000)).unwrap();
    rows.iter().map(|(_, bytes)| Entry::decode(bytes).unwrap()).collect()
}

/// A row that counts differently from the true one, and hides nothing: one of its bytes changed.
fn miscounting(truth: &[u8], entries: &[Entry]) -> Vec<u8> {
    let decoded = Summary::decode(truth).unwrap();
    let changed = (0..truth.len()).flat_map(|at| (1..8_u8).map(move |bit| (at, bit))).map(|(at, bit)| {
        let mut row = truth.to_vec();
        *row.get_mut(at).unwrap() ^= bit;
        row
    });
    let mut found = changed.filter(|row| {
        Summary::decode(row)
            .is_ok_and(|row| !row.counts_like(&decoded) && entries.iter().all(|entry| row.hides(entry).is_none()))
    });
    found.next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_that_lies_is_named_with_what_it_does_and_is_mended() {
    let mut audited = Audited::after(800).await;
    let data = audited.data();
    let before = contents(Path::new(&data));
    let good = index("check", &data, &[]).with(0);
    assert!(good.lines().is_empty() && good.err.contains("eu: "), "{}", good.err);
    assert_eq!(contents(Path::new(&data)), before, "a check changes nothing");

    let request_id = {
        let store = open(&audited);
        entries(&store, 1)[3].head.request_id.to_string()
    };
    // A row of another run hides; one with more in it, none and no row cost time; a changed number miscounts.
    type Damage = fn(&mut Store);
    let cases: [(Damage, u64, &str, bool); 5] = [
        (|store| store.summaries.put(RunNumber(1), &row(store, 0)).unwrap(), 1, "hides an entry", true),
        (
            |store| {
                let mut wide = row(store, 0);
                // The highest action number, which no action has yet.
                *wide.get_mut(1 + 2 + 12 + 31).unwrap() |= 0x80;
                store.summaries.put(RunNumber(0), &wide).unwrap();
            },
            0,
            "says more than there is",
            false,
        ),
        (|store| store.summaries.put(RunNumber(1), &[Summary::VERSION, 0, 1]).unwrap(), 1, "does not decode", false),
        (
            |store| {
                let mut batch = Batch::default();
                batch.delete(Summaries, &RunNumber(0));
                store.writer.commit([&batch]).unwrap();
            },
            0,
            "is missing",
            false,
        ),
        (
            |store| {
                let wrong = miscounting(&row(store, 1), &entries(store, 1));
                store.summaries.put(RunNumber(1), &wrong).unwrap();
            },
            1,
            "miscounts",
            true,
        ),
    ];
    for (damage, run, fault, harmful) in cases {
        damage(&mut open(&audited));
        let bad = index("check", &data, &["--region", "eu"]).with(4).lines();
        assert_eq!(bad.len(), 1, "{fault}: {bad:?}");
        assert_eq!((bad[0]["run"].as_u64(), bad[0]["first_entry"].as_u64()), (Some(run), Some(run * RUN)));
        assert_eq!((bad[0]["fault"].as_str(), bad[0]["harmful"].as_bool()), (Some(fault), Some(harmful)));
        assert_eq!(bad[0]["log"], "eu");
        if fault == "hides an entry" {
            assert!((RUN..2 * RUN).contains(&bad[0]["entry"].as_u64().unwrap()), "{bad:?}");
            // That is no matter of form: a question by the request misses the entry.
            assert_eq!(found(&mut audited, &request_id).await, 0);
        }
        let rebuilt = index("rebuild", &data, &["--region", "eu"]).with(0).lines();
        assert!(rebuilt[0]["rows"].as_u64().unwrap() >= 3, "{rebuilt:?}");
        assert!(index("check", &data, &[]).with(0).lines().is_empty(), "{fault}");
    }
    assert_eq!(found(&mut audited, &request_id).await, 1);
    audited.vault.finish().await;
}

/// How many entries a vault that serves finds for a request.
async fn found(audited: &mut Audited, request_id: &str) -> usize {
    audited.vault.start_again().await;
    let ask =
        v1::QueryAccessLogRequest { filter: by(|filter| filter.request_id = request_id.to_owned()), ..query("eu") };
    let entries = audited.vault.caller(Role::Auditor).await.query(ask).await.unwrap().entries.len();
    audited.vault.stop().await;
    entries
}

#[test]
fn the_index_of_a_vault_that_serves_is_left_alone() {
    let vault = DevVault::start();
    let data = vault.place().join("vault-data").to_str().unwrap().to_owned();
    for verb in ["check", "rebuild"] {
        let refused = index(verb, &data, &["--region", "eu"]).with(1);
        assert!(refused.err.contains("open in another process"), "{}", refused.err);
    }
    index("check", "/nowhere", &[]).with(2);
}
