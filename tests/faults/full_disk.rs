//! A disk that really fills up: a file system of its own in a file, mounted for the test. Needs root.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use nix::{
    errno::Errno,
    fcntl::posix_fallocate,
    mount::{MntFlags, umount2},
    sys::statvfs::statvfs,
};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    books::Books,
    evidence,
    load::{Client, Load, Unanswered, one_of_each},
    site::{Settings, Site},
};

pub(crate) const MIB: u64 = 1 << 20;
/// The size of the disk.
const DISK_BYTES: u64 = 256 * MIB;

/// A small ext4 file system in a file.
pub(crate) struct Disk {
    directory: TempDir,
}

impl Disk {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let disk = Self { directory: TempDir::new().unwrap() };
        let image = disk.directory.path().join("image");
        File::create(&image).unwrap().set_len(DISK_BYTES).unwrap();
        fs::create_dir(disk.path()).unwrap();
        let run = |program: &str, words: &[&Path]| {
            let output = Command::new(program).args(words).output();
            let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
            assert!(
                output.status.success(),
                "{program} failed; to fill a disk for the test takes root: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        // No blocks kept for root, who runs this.
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), "-m0".as_ref(), &image]);
        run("mount", &["-o".as_ref(), "loop".as_ref(), &image, &disk.path()]);
        disk
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn free_bytes(&self) -> u64 {
        let disk = statvfs(&self.path()).unwrap();
        disk.blocks_available() * disk.fragment_size()
    }

    /// Takes room until so much is left.
    #[track_caller]
    pub(crate) fn fill(&self, leave_bytes: u64) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        let mut taken = filler.metadata().unwrap().len();
        // By steps, since a vault that writes at the same time takes room too.
        while self.free_bytes() > leave_bytes + 2 * MIB {
            match posix_fallocate(&filler, 0, (taken + MIB).try_into().unwrap()) {
                Ok(()) => taken += MIB,
                Err(Errno::ENOSPC) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let block = [1; 4096];
        while self.free_bytes() > leave_bytes {
            match filler.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        filler.sync_all().unwrap_or_else(|error| assert_eq!(error.kind(), ErrorKind::StorageFull));
    }

    /// Gives the room back.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Not mounted, if it was the mount that failed.
        let _ = umount2(&self.path(), MntFlags::MNT_DETACH);
    }
}

/// Clients who call again at once, whatever they hear.
struct Stubborn {
    stop: Arc<AtomicBool>,
    clients: JoinSet<u64>,
}

impl Stubborn {
    async fn start(site: &Site, address: SocketAddr, books: &Arc<Books>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        let tokens = books.open().tokens.clone();
        for _ in 0..24 {
            let client = Client::connect(site, address).await.unwrap();
            let (books, stop, tokens) = (books.clone(), stop.clone(), tokens.clone());
            clients.spawn(async move {
                let mut calls = 0;
                while !stop.load(Ordering::Relaxed) {
                    if let Err(refused) = client.detokenize(&books, &tokens).await {
                        assert_eq!(refused.reason, "AUDIT_UNAVAILABLE", "{refused:?}");
                    }
                    calls += 1;
                }
                calls
            });
        }
        Self { stop, clients }
    }

    /// How many calls they made.
    async fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await.iter().sum()
    }
}

#[track_caller]
fn refused_for_the_log<T: std::fmt::Debug>(answer: Result<T, Unanswered>) {
    let refused = answer.unwrap_err();
    refused.is(tonic::Code::Unavailable, "AUDIT_UNAVAILABLE");
    assert!(refused.may_retry, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nearly_full_disk_refuses_what_needs_an_entry_and_serves_again_when_there_is_room() {
    let disk = Disk::new();
    let settings = Settings { free_bytes_min: 64 * MIB, memtable_bytes: 4 << 20, ..Settings::default() };
    let site = Site::with_data(disk.path().join("data"), settings);
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    client.tokenize(&books, one_of_each()).await.unwrap();
    // Clients who take no refusal for an answer must not keep it from noticing that there is room again.
    let stubborn = Stubborn::start(&site, vault.address(), &books).await;
    for cycle in 0..3 {
        client.tokenize(&books, one_of_each()).await.unwrap();
        let tokens = books.open().tokens.clone();
        client.detokenize(&books, &tokens).await.unwrap();

        disk.fill(32 * MIB);
        // What was on its way may still have found room.
        while client.detokenize(&books, &tokens).await.is_ok() {}
        let before = client.checkpoint(&books).await.unwrap();
        refused_for_the_log(client.tokenize(&books, one_of_each()).await);
        refused_for_the_log(client.detokenize(&books, &tokens).await);
        refused_for_the_log(client.query().await);
        assert!(client.prove().await.unwrap() > 3, "proofs need no room");
        let health = client.is_serving().await.unwrap();
        println!("cycle {cycle}: ready on a nearly full disk: {health}");
        assert_eq!(client.checkpoint(&books).await.unwrap(), before, "nothing was written");

        disk.clear();
        client.detokenize(&books, &tokens).await.unwrap();
        assert!(client.is_serving().await.unwrap());
    }
    println!("{} calls of stubborn clients", stubborn.stop().await);
    assert!(!vault.has_ended());
    vault.stop();
    evidence::check(&site, &books.open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_to_the_last_block_ends_the_vault_and_loses_nothing() {
    let disk = Disk::new();
    // Without a margin: the log meets the full disk itself.
    let site = Site::with_data(
        disk.path().join("data"),
        Settings { free_bytes_min: 0, memtable_bytes: 2 << 20, ..Settings::default() },
    );
    let books = Arc::new(Books::default());
    for cycle in 0..2 {
        let mut vault = site.start();
        let load = Load::start(&site, vault.address(), &books, 6, cycle).await;
        disk.fill(0);
        load.ended().await;
        vault.ended_for_its_log();
        let refused = books.open().refused.clone();
        println!("cycle {cycle}: clients heard {refused:?}; {}", vault.said().lines().last().unwrap_or_default());
        assert!(refused.keys().all(|reason| ["AUDIT_UNAVAILABLE", ""].contains(&reason.as_str())), "{refused:?}");

        disk.clear();
        evidence::check(&site, &books.open());
        let mut vault = site.start();
        let client = Client::connect(&site, vault.address()).await.unwrap();
        let count = books.open().tokens.len();
        client.reveal(&books, 0..count).await;
        client.repeat_named(&books, 0).await;
        client.checkpoint(&books).await.unwrap();
        vault.stop();
        evidence::check(&site, &books.open());
    }
    // How much fits before the disk is full depends on the machine; that something did makes the rest mean something.
    assert!(!books.open().tokens.is_empty());
}
