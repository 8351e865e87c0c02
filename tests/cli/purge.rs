//! What a purge leaves behind: a report with proofs, and a data directory whose records are those that its log tells
//! of.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use vault_domain::{Clock, ManualClock, Millis, SystemClock, limits::PURGE_DELAY};
use vault_store::{
    Batch, Direction,
    table::{Expiry, Records},
    wait,
};
use vault_tests::{
    requests::query,
    roles::Role,
    stored_log,
    vault::{TestVault, VAULT},
};

use crate::{
    audited::{copy, verify},
    shell::{Ended, run, tokenvault},
};

const DISK: &str = env!("CARGO_TARGET_TMPDIR");
const MINUTE: Duration = Duration::from_secs(60);

/// Runs a command as the auditor of a vault of this process.
fn auditor(vault: &TestVault, folder: &Path, words: &[&str]) -> Ended {
    let identity = vault.identity(Role::Auditor);
    let files = [
        ("TOKENVAULT_CA", "ca.pem", vault.authority().certificate_pem()),
        ("TOKENVAULT_CERT", "auditor.pem", identity.certificate_pem().to_owned()),
        ("TOKENVAULT_KEY", "auditor.key", identity.key_pem()),
    ];
    let mut command = tokenvault(words);
    command.env("TOKENVAULT_ENDPOINT", format!("https://localhost:{}", vault.address().port()));
    for (variable, name, text) in files {
        fs::write(folder.join(name), text).unwrap();
        command.env(variable, folder.join(name));
    }
    run(&mut command, "")
}

/// Waits until an entry of the log says that something was purged.
async fn purged(vault: &TestVault) {
    let auditor = vault.caller(Role::Auditor).await;
    for _ in 0..200 {
        let newest = auditor.query(query("eu")).await.unwrap().entries;
        if newest.iter().any(|entry| entry.action == "purge") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("nothing was purged");
}

fn records(data: &Path, words: &[&str], code: i32) -> Value {
    verify(&data.join("eu"), &[&["--records"], words].concat()).with(code).lines().remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_reported_with_proofs_and_told_from_a_theft() {
    let clock = ManualClock::at(Millis(
        SystemClock::new().wall().0 - u64::try_from((PURGE_DELAY + 2 * MINUTE).as_millis()).unwrap(),
    ));
    let folder = TempDir::new_in(DISK).unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut vault = TestVault::start_by(Path::new(DISK), &clock).await;
    vault.give("ticket", ["one", "two", "three"]).await;
    vault.give("voucher", ["1029384756"]).await;
    vault.give("email", ["ada@example.org"]).await;
    vault.stop().await;
    copy(&vault.data_directory(), &path("before"));
    clock.advance(PURGE_DELAY + 2 * MINUTE);
    vault.start_again().await;
    purged(&vault).await;

    let out = path("report").to_str().unwrap().to_owned();
    let line = ["audit", "report", "purges", "--region", "eu", "--purpose", "audit", "--out", &out];
    let report = auditor(&vault, folder.path(), &line).with(0).lines().remove(0);
    let classes = report["summary"]["classes"].as_array().unwrap();
    let of = |at: usize| [&classes[at]["data_class"], &classes[at]["records_deleted"], &classes[at]["purges"]];
    assert_eq!((of(0), of(1)), ([&json!("ticket"), &json!(3), &json!(1)], [&json!("voucher"), &json!(1), &json!(1)]));
    assert_eq!((classes.len(), &report["summary"]["records_deleted"]), (2, &json!(4)));
    let check = || run(&mut tokenvault(&["audit", "verify-report", &out]), "");
    check().with(0);
    let page = path("report").join("report.json");
    let text = fs::read_to_string(&page).unwrap();
    let raised = text.replace("\"records_deleted\": 3", "\"records_deleted\": 4");
    let raised = if raised == text { text.replace("\"records_deleted\":3", "\"records_deleted\":4") } else { raised };
    assert_ne!(raised, text);
    fs::write(&page, raised).unwrap();
    check().with(4);

    vault.stop().await;
    let checked = records(&vault.data_directory(), &[], 0);
    let counts = ["records", "purged_records", "overdue_records", "record_faults"].map(|name| checked[name].as_u64());
    assert_eq!(counts, [Some(1), Some(4), Some(0), Some(0)], "{checked}");

    // A record that comes back out of an old copy.
    copy(&vault.data_directory(), &path("restored"));
    let first = |data: &Path| {
        let store = stored_log::open(&data.join("eu"), VAULT, "eu").unwrap();
        let rows = wait(store.reader.snapshot().scan(Records, .., Direction::Forward, 1)).unwrap();
        rows.iter().map(|(number, row)| (*number, row.to_vec())).next().unwrap()
    };
    let (number, row) = first(&path("before"));
    let mut store = stored_log::open(&path("restored").join("eu"), VAULT, "eu").unwrap();
    let mut batch = Batch::default();
    batch.put(Records, &number, &row);
    store.writer.commit([&batch]).unwrap();
    drop(store);
    let checked = records(&path("restored"), &[], 4);
    let said = checked["problem"].as_str().unwrap();
    assert_eq!(said, format!("record {} is there again: a purge deleted it", number.get()));
    // One that was taken without a purge.
    let (kept, _) = first(&vault.data_directory());
    copy(&vault.data_directory(), &path("stolen"));
    let mut store = stored_log::open(&path("stolen").join("eu"), VAULT, "eu").unwrap();
    let mut batch = Batch::default();
    batch.delete(Records, &kept);
    store.writer.commit([&batch]).unwrap();
    drop(store);
    let checked = records(&path("stolen"), &[], 4);
    assert!(checked["problem"].as_str().unwrap().contains("no entry took it away"), "{checked}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_purge_should_have_taken_and_did_not_is_counted() {
    let clock = ManualClock::at(SystemClock::new().wall());
    let mut vault = TestVault::start_by(Path::new(DISK), &clock).await;
    vault.give("ticket", ["one", "two"]).await;
    vault.stop().await;
    // Somebody who wants to keep what has ended makes the vault forget when that is.
    let mut store = stored_log::open(&vault.data_directory().join("eu"), VAULT, "eu").unwrap();
    let rows = wait(store.reader.snapshot().scan(Expiry, .., Direction::Forward, 10)).unwrap();
    let mut batch = Batch::default();
    rows.iter().for_each(|(row, _)| batch.delete(Expiry, row));
    store.writer.commit([&batch]).unwrap();
    drop((rows, store));
    clock.advance(MINUTE + 2 * PURGE_DELAY);
    vault.start_again().await;
    vault.give("email", ["ada@example.org"]).await;
    vault.stop().await;
    assert_eq!(records(&vault.data_directory(), &[], 0)["overdue_records"], 0);
    clock.advance(Duration::from_secs(1));
    vault.start_again().await;
    vault.give("email", ["eve@example.org"]).await;
    vault.stop().await;
    let checked = records(&vault.data_directory(), &[], 0);
    assert_eq!((&checked["overdue_records"], &checked["record_faults"]), (&json!(2), &json!(0)), "{checked}");
    vault.finish().await;
}
