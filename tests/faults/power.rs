//! The power goes: the vault on a file system that forgets what was not synced.
//!
//! The canary is part of the claim: the same work with syncs that do nothing must lose what was acknowledged, or this
//! file shows nothing.

use std::{fs, path::Path, sync::Arc, time::Duration};

use vault_tests::amnesia::{Amnesia, Directories, Options, Survivors};

use crate::{
    books::Books,
    evidence::{self, Evidence},
    load::{Client, Load},
    site::{LOGS, REGION, Settings, Site},
    strace::Faults,
};

/// Clients of a load.
const CLIENTS: u64 = 6;

/// A machine: a vault's site, and a disk that outlives its power.
struct Machine {
    site: Site,
    books: Arc<Books>,
}

impl Machine {
    /// A vault that keeps so many bytes of rows in memory: with few, tables are written and removed as the power goes.
    fn new(memtable_bytes: u64) -> Self {
        let site = Site::new(Settings { memtable_bytes, ..Settings::default() });
        fs::create_dir(site.path("disk")).unwrap();
        Self { site, books: Arc::default() }
    }

    /// Mounts the disk; the vault's data are on it from now on.
    #[track_caller]
    fn power_on(&mut self, options: Options) -> Amnesia {
        let (disk, mount) = (self.site.path("disk"), self.site.path("mount"));
        let binary = Path::new(env!("CARGO_BIN_EXE_amnesiafs"));
        let running = Amnesia::mount(binary, &disk, &mount, options).unwrap_or_else(|error| panic!("{error}"));
        self.site.move_data(mount.join("data"));
        running
    }

    /// What is on the disk after a cut is where the vault's data are from now on.
    fn read_disk(&mut self) {
        let disk = self.site.path("disk");
        self.site.move_data(disk.join("data"));
    }

    /// The vault comes back, and has everything that was acknowledged.
    async fn comes_back(&mut self) {
        self.read_disk();
        evidence::check(&self.site, &self.books.open());
        let mut vault = self.site.start();
        let client = Client::connect(&self.site, vault.address()).await.unwrap();
        client.checkpoint(&self.books).await.unwrap();
        let count = self.books.open().tokens.len();
        client.reveal(&self.books, 0..count).await;
        client.repeat_named(&self.books, 0).await;
        client.checkpoint(&self.books).await.unwrap();
        vault.stop();
        evidence::check(&self.site, &self.books.open());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_power_cut_everything_acknowledged_is_there() {
    let mut machine = Machine::new(1 << 20);
    for (round, (directories, survivors)) in [
        (Directories::Strict, Survivors::Nothing),
        (Directories::Strict, Survivors::Torn { seed: 1 }),
        (Directories::Ext4Like, Survivors::Torn { seed: 2 }),
        (Directories::Ext4Like, Survivors::Nothing),
    ]
    .into_iter()
    .enumerate()
    {
        let running = machine.power_on(Options { directories, survivors, cut_before_sync: None });
        let mut vault = machine.site.start();
        let load = Load::start(&machine.site, vault.address(), &machine.books, CLIENTS, round as u64).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        let lost = running.power_cut().unwrap();
        // Its disk is gone: it ends by itself, unless the cut finds it with nothing to write.
        load.ended().await;
        vault.ended_for_its_log();
        machine.comes_back().await;
        println!("{directories:?}, {survivors:?}: the cut took {lost:?}");
    }
    assert!(machine.books.open().tokens.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_in_a_sync_loses_nothing_acknowledged() {
    let mut machine = Machine::new(1 << 20);
    // The first ones cut the making of the stores short, before anything was acknowledged.
    for nth in [3, 12, 25, 60, 100, 160] {
        let survivors = if nth % 2 == 0 { Survivors::Torn { seed: nth } } else { Survivors::Nothing };
        let running = machine.power_on(Options { survivors, cut_before_sync: Some(nth), ..Options::default() });
        match machine.site.spawn_under(&[]).serving() {
            Ok(mut vault) => {
                let load = Load::start(&machine.site, vault.address(), &machine.books, CLIENTS, nth).await;
                load.ended().await;
                vault.ended_for_its_log();
            }
            Err(refused) => assert!(refused.status.code().is_some_and(|code| code != 0), "{refused}"),
        }
        running.power_cut().unwrap();
        if machine.books.open().tokens.is_empty() {
            machine.read_disk();
            machine.site.start().stop();
            continue;
        }
        machine.comes_back().await;
    }
    assert!(machine.books.open().tokens.len() > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn canary_with_syncs_that_do_nothing_acknowledged_tokens_are_lost_and_the_loss_is_noticed() {
    // So many that no table is written: then nothing but the write-ahead log is missing.
    let mut machine = Machine::new(64 << 20);
    let running = machine.power_on(Options::default());
    machine.site.start().stop();
    // From the 30th sync of each thread on, the kernel says yes and does nothing.
    let faults = Faults::inject(&machine.site, "fdatasync,fsync", "retval=0:when=30+");
    let mut vault = machine.site.start_under(faults.words());
    let load = Load::start(&machine.site, vault.address(), &machine.books, CLIENTS, 1).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    running.power_cut().unwrap();
    load.ended().await;
    // What it might do at its end does not count.
    vault.ended();
    machine.read_disk();
    let injected = faults.injected();
    assert!(injected > 100, "{injected}");

    let left = Evidence::read(&machine.site, REGION).size();
    let pages_answered = machine.books.open().answered.len();
    let answered: u64 = machine.books.open().answered.iter().map(|answered| answered.receipt.index + 1).max().unwrap();
    println!("{pages_answered} calls answered, up to entry {answered}; {left} entries left");
    assert!(left < answered, "nothing was lost: this file system forgets nothing, or the syncs were not swallowed");

    // The checkpoint that lies elsewhere tells, and the vault serves no half of the truth.
    let refused = machine.site.spawn_under(&[]).serving().err().expect("a vault that lost entries must not serve");
    assert!(refused.log.contains("entries are lost"), "{refused}");
    // Without it nobody could know: this is what the file is for.
    for log in LOGS {
        fs::remove_file(machine.site.checkpoint_file(log)).unwrap();
    }
    machine.site.start().stop();
}
