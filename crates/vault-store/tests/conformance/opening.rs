//! Which directories open, and what is said about those that don't.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use vault_domain::{LogIndex, VaultId};
use vault_store::{Identity, OpenError, Options, Recovery, Scope, Store, table::Entries};

use crate::harness::{child, get_now, identity, is_role, open, options, place, prepare, puts};

fn refused(path: &Path, options: &Options) -> OpenError {
    match Store::open(path, options) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn a_new_store_is_for_its_owner_only_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vault-data/eu");
    let mut store = open(&path);
    assert_eq!(store.recovery, Recovery::Whole);
    for made in [&path, path.parent().unwrap()] {
        assert_eq!(fs::metadata(made).unwrap().permissions().mode() & 0o777, 0o700, "{}", made.display());
    }
    store.writer.commit([&puts(Entries, &[(LogIndex(0), b"x")])]).unwrap();
    drop(store);
    let store = Store::open(&path, &Options { create: false, ..options() }).unwrap();
    assert_eq!(get_now(&store.reader, Entries, &LogIndex(0)).unwrap(), b"x");
}

#[test]
fn a_missing_directory_is_not_created_unless_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("eu");
    let error = refused(&path, &Options { create: false, ..options() });
    assert!(matches!(error, OpenError::Missing { .. }), "{error}");
    assert!(error.to_string().contains(path.to_str().unwrap()));
    assert!(!path.exists());
}

#[test]
fn what_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letter.txt"), "dear").unwrap();
    assert!(matches!(refused(&foreign, &options()), OpenError::NotAStore { .. }));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);

    let error = refused(&foreign.join("letter.txt"), &options());
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");

    let marked = directory.path().join("marked");
    fs::create_dir(&marked).unwrap();
    fs::write(marked.join("STORE"), "another program's").unwrap();
    assert!(matches!(refused(&marked, &options()), OpenError::NotAStore { .. }));

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(refused(&empty, &Options { create: false, ..options() }), OpenError::NotAStore { .. }));
    open(&empty);
}

#[test]
fn a_newer_format_is_refused_with_both_versions_before_the_engine_starts() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("STORE"), "tokenvault store\nformat 2\nsomething new\n").unwrap();
    let list = || -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = list();
    let error = refused(directory.path(), &options());
    assert!(matches!(error, OpenError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
    assert!(error.to_string().contains("written by format 2, this build reads up to 1"), "{error}");
    assert_eq!(list(), before, "the engine wrote files");
}

#[test]
fn a_creation_that_was_cut_short_is_finished_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::write(directory.path().join("STORE"), "").unwrap();
    assert!(matches!(refused(directory.path(), &Options { create: false, ..options() }), OpenError::NotAStore { .. }));
    drop(open(directory.path()));
    Store::open(directory.path(), &Options { create: false, ..options() }).unwrap();
}

#[test]
fn another_vaults_or_regions_store_is_refused_with_both_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let node = Identity { vault: VaultId::parse("acme").unwrap(), scope: Scope::Node };
    for other in [identity("acme", "us"), identity("rival", "eu"), node] {
        let error = refused(directory.path(), &Options { identity: other.clone(), ..options() });
        assert!(matches!(error, OpenError::OtherIdentity { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("vault acme, region eu") && text.contains(&other.to_string()), "{text}");
    }
    open(directory.path());
}

#[test]
fn a_store_opens_once_in_a_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = refused(directory.path(), &options());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(directory.path().to_str().unwrap()), "{error}");
    drop(store);
    open(directory.path());
}

#[test]
fn a_store_opens_in_one_process() {
    const NAME: &str = "opening::a_store_opens_in_one_process";
    if is_role("holder") {
        let _store = open(&place());
        println!("open");
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = child(NAME, "holder", directory.path());
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("open")), "the holder did not open it");

    let error = refused(directory.path(), &options());
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("another process"), "{error}");
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    open(directory.path());
}

/// The child gives up its privileges where it has any: root may write everywhere.
#[test]
fn a_directory_without_permission_is_refused() {
    const NAME: &str = "opening::a_directory_without_permission_is_refused";
    const NOBODY: u32 = 65_534;
    if is_role("stranger") {
        let error = refused(&place(), &Options { create: false, ..options() });
        println!("refused: {error} {error:?}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o755);
    let program = directory.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let store = directory.path().join("store");
    drop(open(&store));
    // Unreadable; then readable but not writable.
    for (directory_mode, file_mode) in [(0o000, 0o600), (0o555, 0o444)] {
        mode(&store.join("STORE"), file_mode);
        mode(&store, directory_mode);
        let mut command = Command::new(&program);
        prepare(&mut command, NAME, "stranger", &store);
        if fs::read_dir(&store).is_ok() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("refused: no permission to read and write"), "{text}");
        mode(&store, 0o700);
        mode(&store.join("STORE"), 0o600);
    }
}

#[test]
fn missing_engine_files_are_damage_not_a_new_store() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    fs::remove_file(directory.path().join("CURRENT")).unwrap();
    let error = refused(directory.path(), &options());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("restore it from a backup"), "{error}");
    assert!(!directory.path().join("CURRENT").exists(), "a new store was begun");
}
