//! Names: durable with a sync of their directory, or in ext4's way with one of the file.

use std::{
    fs::{self, File},
    io::Read,
};

use vault_tests::amnesia::{Directories, Options, Survivors};

use crate::{Machine, names, sync, write_synced};

const STRICT: Options =
    Options { directories: Directories::Strict, survivors: Survivors::Nothing, cut_before_sync: None };
const EXT4: Options = Options { directories: Directories::Ext4Like, ..STRICT };

#[test]
fn a_new_file_needs_a_sync_of_its_directory() {
    for (synced, left) in [(false, vec![]), (true, vec!["file"])] {
        let machine = Machine::new();
        let running = machine.start(STRICT);
        write_synced(&running.path().join("file"), b"synced");
        if synced {
            sync(running.path());
        }
        running.power_cut().unwrap();
        assert_eq!(machine.names(), left);
    }
}

#[test]
fn in_ext4s_way_a_new_file_needs_a_sync_of_its_own_only() {
    let machine = Machine::new();
    let running = machine.start(EXT4);
    fs::create_dir(running.path().join("directory")).unwrap();
    fs::write(running.path().join("directory/file"), b"synced").unwrap();
    fs::write(running.path().join("later"), b"not synced").unwrap();
    sync(&running.path().join("directory/file"));
    running.power_cut().unwrap();
    assert_eq!(machine.names(), ["directory"], "what came later is lost");
    assert_eq!(fs::read(machine.disk().join("directory/file")).unwrap(), b"synced");
}

#[test]
fn a_rename_needs_a_sync_of_its_directory() {
    for (synced, left) in [(false, "old"), (true, "new")] {
        let machine = Machine::new();
        fs::write(machine.disk().join("old"), b"bytes").unwrap();
        let running = machine.start(STRICT);
        fs::rename(running.path().join("old"), running.path().join("new")).unwrap();
        // A sync of the file says nothing of its names.
        sync(&running.path().join("new"));
        if synced {
            sync(running.path());
        }
        assert_eq!(names(running.path()), ["new"]);
        running.power_cut().unwrap();
        assert_eq!(machine.names(), [left]);
    }
}

#[test]
fn replacing_by_rename_leaves_the_old_or_the_new_file_whole() {
    // Write beside it, sync, rename over it, sync the directory: what databases do with their CURRENT.
    for options in [STRICT, EXT4] {
        for cut in 1..=4 {
            let machine = Machine::new();
            fs::write(machine.disk().join("CURRENT"), b"old").unwrap();
            let running = machine.start(Options { cut_before_sync: Some(cut), ..options });
            let (current, beside) = (running.path().join("CURRENT"), running.path().join("CURRENT.new"));
            let replaced = || -> std::io::Result<()> {
                fs::write(&beside, b"new")?;
                File::open(&beside)?.sync_all()?;
                fs::rename(&beside, &current)?;
                File::open(running.path())?.sync_all()?;
                Ok(())
            };
            let acknowledged = replaced().is_ok();
            running.power_cut().unwrap();
            let left = fs::read(machine.disk().join("CURRENT")).unwrap();
            assert_eq!(acknowledged, cut > 2);
            assert_eq!(left, if acknowledged { *b"new" } else { *b"old" }, "cut before sync {cut}");
        }
    }
}

#[test]
fn replacing_by_rename_without_a_sync_of_the_bytes_leaves_an_empty_file() {
    let machine = Machine::new();
    fs::write(machine.disk().join("CURRENT"), b"old").unwrap();
    let running = machine.start(STRICT);
    fs::write(running.path().join("CURRENT.new"), b"new").unwrap();
    fs::rename(running.path().join("CURRENT.new"), running.path().join("CURRENT")).unwrap();
    sync(running.path());
    running.power_cut().unwrap();
    assert_eq!(
        (machine.names(), fs::read(machine.disk().join("CURRENT")).unwrap()),
        (vec!["CURRENT".to_owned()], vec![])
    );
}

#[test]
fn a_removed_file_is_back_until_its_directory_is_synced() {
    for (synced, left) in [(false, vec!["file"]), (true, vec![])] {
        let machine = Machine::new();
        fs::write(machine.disk().join("file"), b"bytes").unwrap();
        let running = machine.start(STRICT);
        fs::remove_file(running.path().join("file")).unwrap();
        if synced {
            sync(running.path());
        }
        running.power_cut().unwrap();
        assert_eq!(machine.names(), left);
    }
}

#[test]
fn a_rename_across_directories_is_durable_with_either_and_never_half() {
    for synced in [None, Some("from"), Some("to")] {
        let machine = Machine::new();
        fs::create_dir(machine.disk().join("from")).unwrap();
        fs::create_dir(machine.disk().join("to")).unwrap();
        fs::write(machine.disk().join("from/file"), b"bytes").unwrap();
        let running = machine.start(STRICT);
        fs::rename(running.path().join("from/file"), running.path().join("to/file")).unwrap();
        if let Some(synced) = synced {
            sync(&running.path().join(synced));
        }
        running.power_cut().unwrap();
        let left = (names(&machine.disk().join("from")), names(&machine.disk().join("to")));
        let (here, nowhere) = (vec!["file".to_owned()], vec![]);
        assert_eq!(left, if synced.is_some() { (nowhere, here) } else { (here, nowhere) }, "synced: {synced:?}");
    }
}

#[test]
fn a_file_moved_into_a_new_directory_is_not_lost_with_it() {
    for synced in ["from", "new"] {
        let machine = Machine::new();
        fs::create_dir(machine.disk().join("from")).unwrap();
        fs::write(machine.disk().join("from/file"), b"bytes").unwrap();
        let running = machine.start(STRICT);
        fs::create_dir(running.path().join("new")).unwrap();
        fs::rename(running.path().join("from/file"), running.path().join("new/file")).unwrap();
        sync(&running.path().join(synced));
        running.power_cut().unwrap();
        assert_eq!(machine.names(), ["from", "new"], "without the directory there would be no file");
        assert_eq!(names(&machine.disk().join("new")), ["file"]);
    }
}

#[test]
fn a_directory_that_replaces_another_takes_along_what_emptied_it() {
    for options in [STRICT, EXT4] {
        let machine = Machine::new();
        fs::create_dir(machine.disk().join("old")).unwrap();
        fs::write(machine.disk().join("old/file"), b"bytes").unwrap();
        fs::create_dir(machine.disk().join("new")).unwrap();
        fs::write(machine.disk().join("new/other"), b"bytes").unwrap();
        let running = machine.start(options);
        fs::remove_file(running.path().join("old/file")).unwrap();
        fs::rename(running.path().join("new"), running.path().join("old")).unwrap();
        sync(running.path());
        assert_eq!(running.power_cut().unwrap().names, 0);
        assert_eq!((machine.names(), names(&machine.disk().join("old"))), (vec!["old".into()], vec!["other".into()]));
    }
}

#[test]
fn a_removed_directory_takes_along_what_emptied_it() {
    for options in [STRICT, EXT4] {
        let machine = Machine::new();
        fs::create_dir(machine.disk().join("directory")).unwrap();
        fs::write(machine.disk().join("directory/file"), b"bytes").unwrap();
        let running = machine.start(options);
        fs::hard_link(running.path().join("directory/file"), running.path().join("link")).unwrap();
        fs::remove_dir_all(running.path().join("directory")).unwrap();
        sync(running.path());
        assert_eq!(running.power_cut().unwrap().names, 0, "nothing waits for a directory that is gone");
        assert_eq!(machine.names(), ["link"]);
    }
}

#[test]
fn a_new_directory_appears_with_what_was_synced_in_it() {
    let machine = Machine::new();
    let running = machine.start(STRICT);
    let directory = running.path().join("directory");
    fs::create_dir(&directory).unwrap();
    write_synced(&directory.join("synced"), b"bytes");
    sync(&directory);
    write_synced(&directory.join("unsynced"), b"bytes");
    assert!(machine.names().is_empty());
    sync(running.path());
    running.power_cut().unwrap();
    assert_eq!(names(&machine.disk().join("directory")), ["synced"]);
}

#[test]
fn who_has_a_removed_or_replaced_file_open_can_read_on() {
    for options in [STRICT, EXT4] {
        let machine = Machine::new();
        fs::write(machine.disk().join("removed"), b"removed").unwrap();
        fs::write(machine.disk().join("replaced"), b"replaced").unwrap();
        let running = machine.start(options);
        let at = |name: &str| running.path().join(name);
        let open = ["removed", "replaced"].map(|name| File::open(at(name)).unwrap());
        fs::remove_file(at("removed")).unwrap();
        fs::write(at("new"), b"new").unwrap();
        fs::rename(at("new"), at("replaced")).unwrap();
        sync(running.path());
        for (mut file, text) in open.into_iter().zip(["removed", "replaced"]) {
            let mut read = String::new();
            file.read_to_string(&mut read).unwrap();
            assert_eq!(read, text);
        }
        running.power_cut().unwrap();
        assert_eq!(machine.names(), ["replaced"]);
    }
}
