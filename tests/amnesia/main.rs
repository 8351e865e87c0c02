//! The forgetful file system through a real mount: what a power cut leaves, and what it takes.
//!
//! Without FUSE every test here fails with the text that says what is missing; none is skipped.

#![cfg(test)]

mod bytes;
mod names;
mod rocks;
mod speed;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use vault_tests::amnesia::{Amnesia, Error, Options};

/// A machine whose disk outlives its power.
struct Machine {
    dir: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: TempDir::new().unwrap() };
        fs::create_dir(machine.disk()).unwrap();
        machine
    }

    /// What the disk holds: the backing directory.
    fn disk(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    /// Starts it: mounts the disk.
    #[track_caller]
    fn start(&self, options: Options) -> Amnesia {
        match self.try_start(options) {
            Ok(running) => running,
            Err(error) => panic!("{error} ({error:?})"),
        }
    }

    fn try_start(&self, options: Options) -> Result<Amnesia, Error> {
        let binary = Path::new(env!("CARGO_BIN_EXE_amnesiafs"));
        Amnesia::mount(binary, &self.disk(), &self.dir.path().join("mount"), options)
    }

    /// The names on the disk, sorted.
    fn names(&self) -> Vec<String> {
        names(&self.disk())
    }
}

/// The names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Waits until a writer has so many acknowledged; fails after a minute, for then it has failed.
fn wait_for(acknowledged: &AtomicU64, count: u64) {
    for _ in 0..60_000 {
        if acknowledged.load(Ordering::Acquire) >= count {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("{} of {count} acknowledged after a minute", acknowledged.load(Ordering::Acquire));
}

/// Syncs a file or directory.
fn sync(path: &Path) {
    File::open(path).unwrap().sync_all().unwrap();
}

/// Writes a file and syncs its bytes; not its name.
fn write_synced(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    sync(path);
}

#[test]
fn a_mount_over_its_own_disk_is_refused() {
    let machine = Machine::new();
    let mount = machine.disk().join("mount");
    let binary = Path::new(env!("CARGO_BIN_EXE_amnesiafs"));
    let error = Amnesia::mount(binary, &machine.disk(), &mount, Options::default()).unwrap_err();
    assert!(
        matches!(&error, Error::NotMounted { reason } if reason.contains("must not lie in one another")),
        "{error}"
    );
}

#[test]
fn a_mount_point_that_is_not_empty_is_refused() {
    let machine = Machine::new();
    let mount = machine.dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    fs::write(mount.join("file"), "bytes").unwrap();
    assert!(
        matches!(machine.try_start(Options::default()).unwrap_err(), Error::Directory { path, .. } if path == mount)
    );
    assert_eq!(names(&mount), ["file"]);
}

#[test]
fn a_missing_program_is_an_error() {
    let machine = Machine::new();
    let mount = machine.dir.path().join("mount");
    let error = Amnesia::mount(Path::new("/no/such/program"), &machine.disk(), &mount, Options::default()).unwrap_err();
    assert!(matches!(error, Error::NotStarted { .. }), "{error}");
}

#[test]
fn dropping_the_handle_is_a_cut_that_leaves_no_mount_behind() {
    let machine = Machine::new();
    let running = machine.start(Options::default());
    write_synced(&running.path().join("file"), b"never named");
    drop(running);
    assert!(machine.names().is_empty());
    assert_eq!(names(machine.dir.path()), ["disk"], "limbo and mount point are gone");
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(&*machine.dir.path().to_string_lossy()));
}

#[test]
fn the_mount_goes_with_the_process_that_held_it() {
    let machine = Machine::new();
    let mount = machine.dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_amnesiafs"))
        .args([&machine.disk(), &mount])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut output = BufReader::new(daemon.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    let open = File::create(mount.join("file")).unwrap();
    // As the kernel does when that process dies, however it dies.
    drop(daemon.stdin.take());
    output.read_line(&mut said).unwrap();
    assert!(daemon.wait().unwrap().success());
    assert_eq!(said, "mounted\nlost 0 1\n");
    assert_eq!(names(machine.dir.path()), ["disk", "mount"]);
    assert!(names(&mount).is_empty(), "it is gone though a file was open");
    drop(open);
}

#[test]
fn a_disk_is_mounted_once_at_a_time() {
    let machine = Machine::new();
    let running = machine.start(Options::default());
    write_synced(&running.path().join("file"), b"bytes");
    let binary = Path::new(env!("CARGO_BIN_EXE_amnesiafs"));
    let second = Amnesia::mount(binary, &machine.disk(), &machine.dir.path().join("second"), Options::default());
    let error = second.unwrap_err();
    assert!(matches!(&error, Error::NotMounted { reason } if reason.contains("mounted already")), "{error}");
    sync(running.path());
    running.power_cut().unwrap();
    assert_eq!(machine.names(), ["file"], "the first is none the worse");
}

#[test]
fn files_and_directories_work_like_any_others() {
    let machine = Machine::new();
    fs::write(machine.disk().join("old"), "was there").unwrap();
    let running = machine.start(Options::default());
    let at = |name: &str| running.path().join(name);
    assert_eq!(fs::read_to_string(at("old")).unwrap(), "was there");
    fs::create_dir_all(at("a/b")).unwrap();
    fs::write(at("a/b/file"), "one").unwrap();
    fs::hard_link(at("a/b/file"), at("a/link")).unwrap();
    fs::rename(at("a/b/file"), at("moved")).unwrap();
    assert_eq!(fs::read_to_string(at("a/link")).unwrap(), "one");
    assert!(fs::remove_dir(at("a")).is_err(), "it is not empty");
    fs::remove_dir(at("a/b")).unwrap();
    assert!(fs::hard_link(at("old"), at("moved")).is_err(), "the name is taken");
    fs::remove_file(at("old")).unwrap();
    assert_eq!(
        (names(running.path()), names(&at("a"))),
        (vec!["a".to_owned(), "moved".to_owned()], vec!["link".to_owned()])
    );
    fs::remove_dir_all(at("a")).unwrap();
    let many: Vec<String> = (0..2000).map(|number| format!("{number:04}")).collect();
    fs::create_dir(at("many")).unwrap();
    many.iter().for_each(|name| fs::write(at("many").join(name), name).unwrap());
    assert_eq!(names(&at("many")), many);
    fs::remove_dir_all(at("many")).unwrap();
    assert_eq!(names(running.path()), ["moved"]);
    let lost = running.power_cut().unwrap();
    assert!(lost.names > 4000, "{lost:?}");
    assert_eq!(machine.names(), ["old"]);
}
