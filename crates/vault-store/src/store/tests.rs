//! What can't be brought about through the door: stores that another build or program wrote.

use rocksdb::{ColumnFamilyDescriptor, DB, Options as EngineOptions};
use vault_domain::{Region, VaultId};

use super::*;
use crate::identity::Scope;

fn options() -> Options {
    let identity =
        Identity { vault: VaultId::parse("acme").unwrap(), scope: Scope::Region(Region::parse("eu").unwrap()) };
    Options { create: true, identity, memory: Memory::new(1 << 20, 1 << 20), ballast_bytes: 0 }
}

fn reopened(path: &Path) -> OpenError {
    match Store::open(path, &options()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

fn set_meta_row(path: &Path, name: &str, value: &str) {
    let memory = Memory::default();
    let options = engine::store_options(&memory, false, DBRecoveryMode::AbsoluteConsistency);
    let db = DB::open_cf_descriptors(&options, path, engine::table_descriptors(&memory)).unwrap();
    db.put_cf(db.cf_handle("meta").unwrap(), name, value).unwrap();
}

#[test]
fn a_newer_format_within_the_store_is_refused_too() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path(), &options()).unwrap());
    set_meta_row(directory.path(), FORMAT_ROW, "2");
    let error = reopened(directory.path());
    assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: FORMAT, .. }), "{error}");
    set_meta_row(directory.path(), FORMAT_ROW, "one");
    assert!(matches!(reopened(directory.path()), OpenError::Damaged { .. }));
}

#[test]
fn a_store_that_numbers_its_tables_otherwise_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(&directory.path().join("eu"), &options()).unwrap());
    let other = directory.path().join("other");
    let mut engine_options = EngineOptions::default();
    engine_options.create_if_missing(true);
    engine_options.create_missing_column_families(true);
    let families = TableId::ALL.iter().rev().map(|t| ColumnFamilyDescriptor::new(t.name(), EngineOptions::default()));
    drop(DB::open_cf_descriptors(&engine_options, &other, families).unwrap());
    std::fs::copy(directory.path().join("eu/STORE"), other.join("STORE")).unwrap();
    let error = reopened(&other);
    assert!(error.to_string().contains("numbered differently"), "{error}");
}

/// Takes tables away, as the engine has it.
fn drop_tables(path: &Path, names: &[&str]) {
    let memory = Memory::default();
    let options = engine::store_options(&memory, false, DBRecoveryMode::AbsoluteConsistency);
    let mut db = DB::open_cf_descriptors(&options, path, engine::table_descriptors(&memory)).unwrap();
    names.iter().for_each(|name| db.drop_cf(name).unwrap());
}

/// A store as format 1 had it before the table `nonces`.
fn before_nonces(path: &Path) {
    let memory = Memory::default();
    let mut options = engine::store_options(&memory, true, DBRecoveryMode::AbsoluteConsistency);
    options.create_missing_column_families(true);
    let tables = TableId::ALL.iter().filter(|table| !table.is_later());
    let tables = tables.map(|table| ColumnFamilyDescriptor::new(table.name(), EngineOptions::default()));
    let db = DB::open_cf_descriptors(&options, path, tables).unwrap();
    for (name, value) in [(FORMAT_ROW, "1"), (VAULT_ROW, "acme"), (REGION_ROW, "eu")] {
        db.put_cf(db.cf_handle("meta").unwrap(), name, value).unwrap();
    }
    db.put_cf(db.cf_handle("entries").unwrap(), [0; 8], b"entry").unwrap();
    std::fs::write(path.join("STORE"), "tokenvault store\nformat 1\n").unwrap();
}

#[test]
fn a_store_of_before_the_newest_table_gets_it_and_keeps_what_it_has() {
    use crate::{
        Batch,
        table::{Entries, NonceRow, Nonces},
        wait,
    };
    let directory = tempfile::tempdir().unwrap();
    before_nonces(directory.path());
    let row = NonceRow { bucket: 7, hash: [7; 16] };
    for known in [false, true] {
        let mut store = Store::open(directory.path(), &options()).unwrap();
        let snapshot = store.reader.snapshot();
        assert_eq!(wait(snapshot.get(Entries, &vault_domain::LogIndex(0))).unwrap().unwrap(), b"entry");
        assert_eq!(wait(snapshot.get(Nonces, &row)).unwrap().is_some(), known);
        drop(snapshot);
        let mut batch = Batch::default();
        batch.put(Nonces, &row, b"");
        store.writer.commit([&batch]).unwrap();
    }
}

#[test]
fn a_store_that_lacks_one_of_the_first_tables_is_damaged() {
    for missing in [["records"].as_slice(), &["records", "nonces"]] {
        let directory = tempfile::tempdir().unwrap();
        drop(Store::open(directory.path(), &options()).unwrap());
        drop_tables(directory.path(), missing);
        let error = reopened(directory.path());
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_store_with_a_table_that_this_build_does_not_know_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path(), &options()).unwrap());
    {
        let memory = Memory::default();
        let engine_options = engine::store_options(&memory, false, DBRecoveryMode::AbsoluteConsistency);
        let tables = engine::table_descriptors(&memory);
        let mut db = DB::open_cf_descriptors(&engine_options, directory.path(), tables).unwrap();
        db.create_cf("subjects", &EngineOptions::default()).unwrap();
    }
    let error = reopened(directory.path());
    assert!(matches!(&error, OpenError::Damaged { detail, .. } if detail.contains("subjects")), "{error}");
}

/// Every file of a folder with its bytes and its time of change.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let read = |path: PathBuf| {
        let changed = path.metadata().unwrap().modified().unwrap();
        (path.clone(), std::fs::read(&path).unwrap(), changed)
    };
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|name| read(name.unwrap().path())).collect();
    files.sort();
    files
}

#[test]
fn a_store_at_rest_is_read_and_nothing_in_it_changes() {
    use crate::{Batch, table::Entries, wait};
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    for older in [false, true] {
        let path = directory.path().join(if older { "older" } else { "newest" });
        let index = vault_domain::LogIndex(1);
        if older {
            std::fs::create_dir(&path).unwrap();
            before_nonces(&path);
        } else {
            let mut store = Store::open(&path, &options()).unwrap();
            let mut batch = Batch::default();
            batch.put(Entries, &index, b"entry");
            store.writer.commit([&batch]).unwrap();
        }
        let before = files(&path);
        // Nobody may write there; root may all the same, so the bytes are compared too.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o500)).unwrap();
        let memory = Memory::new(1 << 20, 1 << 20);
        let store = StoreAtRest::open(&path, &memory).unwrap();
        let again = StoreAtRest::open(&path, &memory).unwrap();
        assert_eq!((store.identity.clone(), &store.recovery), (options().identity, &Recovery::Whole));
        let found = wait(again.reader.snapshot().get(Entries, &index)).unwrap();
        assert_eq!(found.as_deref(), (!older).then_some(b"entry".as_slice()));
        drop((store, again));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(files(&path), before);
    }
}

#[test]
fn a_store_that_is_written_to_is_not_at_rest() {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::new(1 << 20, 1 << 20);
    let open = |path: &Path| StoreAtRest::open(path, &memory).map(drop).unwrap_err();
    assert!(matches!(open(&directory.path().join("nowhere")), OpenError::Missing { .. }));
    assert!(matches!(open(directory.path()), OpenError::NotAStore { .. }));
    let path = directory.path().join("eu");
    let store = Store::open(&path, &options()).unwrap();
    assert!(matches!(open(&path), OpenError::InUse { .. }));
    drop(store);
    let at_rest = StoreAtRest::open(&path, &memory).unwrap();
    assert!(matches!(reopened(&path), OpenError::InUse { .. }));
    drop(at_rest);
    set_meta_row(&path, FORMAT_ROW, "2");
    assert!(matches!(open(&path), OpenError::NewerFormat { found: 2, .. }));
}
