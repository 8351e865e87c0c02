//! A store in a temporary directory, shorthands, and children: this test binary run again for one test, in the role
//! that an environment variable names.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use vault_domain::{LogIndex, RecordNumber, Region, VaultId};
use vault_store::{Batch, Identity, Memory, Options, Reader, Scope, Snapshot, Store, Table, wait};

pub(crate) const ROLE: &str = "VAULT_STORE_TEST_ROLE";
pub(crate) const PLACE: &str = "VAULT_STORE_TEST_PLACE";

pub(crate) fn identity(vault: &str, region: &str) -> Identity {
    Identity { vault: VaultId::parse(vault).unwrap(), scope: Scope::Region(Region::parse(region).unwrap()) }
}

pub(crate) fn options() -> Options {
    Options { create: true, identity: identity("acme", "eu"), memory: Memory::new(8 << 20, 16 << 20), ballast_bytes: 0 }
}

pub(crate) fn open(path: &Path) -> Store {
    Store::open(path, &options()).unwrap()
}

pub(crate) fn number(number: u64) -> RecordNumber {
    RecordNumber::new(number).unwrap()
}

pub(crate) fn numbers(range: impl Iterator<Item = u64>) -> Vec<RecordNumber> {
    range.map(number).collect()
}

/// A batch that puts these rows.
pub(crate) fn puts<T: Table>(table: T, rows: &[(T::Key, &[u8])]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in rows {
        batch.put(table, key, value);
    }
    batch
}

pub(crate) fn get<T: Table>(snapshot: &Snapshot<'_>, table: T, key: &T::Key) -> Option<Vec<u8>> {
    wait(snapshot.get(table, key)).unwrap()
}

pub(crate) fn get_now<T: Table>(reader: &Reader, table: T, key: &T::Key) -> Option<Vec<u8>> {
    get(&reader.snapshot(), table, key)
}

/// Closes it in good order and drops every door.
pub(crate) fn close(store: Store) {
    let Store { writer, reader, summaries, .. } = store;
    writer.close().unwrap();
    drop((reader, summaries));
}

/// Entries `0..count`, each with its index as value and some bytes of ballast, `per_commit` in each commit.
pub(crate) fn write_entries(store: &mut Store, count: u64, per_commit: usize) {
    let indexes: Vec<u64> = (0..count).collect();
    for chunk in indexes.chunks(per_commit) {
        let mut batch = Batch::default();
        for index in chunk {
            batch.put(vault_store::table::Entries, &LogIndex(*index), &entry(*index));
        }
        store.writer.commit([&batch]).unwrap();
    }
}

pub(crate) fn entry(index: u64) -> Vec<u8> {
    let mut value = index.to_be_bytes().to_vec();
    value.resize(200, 0xA5);
    value
}

/// The store's files as a crash would leave them: copied while it is open. The engine may be merging files meanwhile;
/// then the copy shows no single moment, and is made again.
pub(crate) fn copy_directory(from: &Path, to: &Path) {
    let names =
        || -> BTreeSet<OsString> { fs::read_dir(from).unwrap().map(|file| file.unwrap().file_name()).collect() };
    for _ in 0..100 {
        let before = names();
        fs::create_dir_all(to).unwrap();
        let copied = before.iter().all(|name| fs::copy(from.join(name), to.join(name)).is_ok());
        if copied && names() == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the engine never came to rest");
}

/// This test binary, to run the test `name` alone, in the given role and place.
pub(crate) fn child(name: &str, role: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    prepare(&mut command, name, role, place);
    command
}

pub(crate) fn prepare(command: &mut Command, name: &str, role: &str, place: &Path) {
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(PLACE, place).stdin(Stdio::null());
}

/// Whether this process was started by [`child`] in this role.
pub(crate) fn is_role(role: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|found| found == role)
}

pub(crate) fn place() -> std::path::PathBuf {
    std::env::var_os(PLACE).unwrap().into()
}
