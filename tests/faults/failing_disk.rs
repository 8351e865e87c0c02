//! A disk that fails at one call: the sync of a commit, or the write before it. The vault refuses what was in flight,
//! reveals nothing from then on, and ends by itself; whoever starts it again finds all that was acknowledged.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    books::Books,
    evidence,
    load::{Client, Load, one_of_each},
    site::{REGION, Settings, Site},
    strace::{Faults, Holding},
    vault::Vault,
};

/// What a caller may hear when the log can't be written: the vault's word, or nothing because its process is gone.
const WORDS: [&str; 2] = ["AUDIT_UNAVAILABLE", ""];
/// By then readiness has failed.
const READINESS_LAG: Duration = Duration::from_millis(100);

/// A vault that has served before, so that a fault meets the log and not the making of the store; and some tokens.
async fn used_site(books: &Books) -> Site {
    let site = Site::new(Settings::default());
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    for _ in 0..3 {
        client.tokenize(books, one_of_each()).await.unwrap();
    }
    client.checkpoint(books).await.unwrap();
    vault.stop();
    site
}

/// Everything acknowledged is there after another start.
async fn all_is_there(site: &Site, books: &Books) {
    evidence::check(site, &books.open());
    let mut vault = site.start();
    let client = Client::connect(site, vault.address()).await.unwrap();
    let count = books.open().tokens.len();
    client.reveal(books, 0..count).await;
    client.repeat_named(books, 0).await;
    client.checkpoint(books).await.unwrap();
    vault.stop();
    evidence::check(site, &books.open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_revealed_and_the_vault_ends() {
    let mut words = Vec::new();
    // A start needs some itself, more with every table.
    for nth in [30, 45] {
        let books = Books::default();
        let site = used_site(&books).await;
        let faults = Faults::inject(&site, "fdatasync", &format!("error=EIO:when={nth}"));
        let mut vault = site.start_under(faults.words());
        let client = Client::connect(&site, vault.address()).await.unwrap();
        let tokens = books.open().tokens.clone();

        // One call after the other, each with a sync of its own, until one fails.
        let mut revealed = 0;
        let refused = loop {
            match client.detokenize(&books, &tokens).await {
                Ok(()) => revealed += 1,
                Err(refused) => break refused,
            }
        };
        // Each thread counts its own syncs: one that takes the stores down can meet the fault too.
        let injected = faults.injected();
        assert!((1..nth).contains(&revealed) && injected >= 1, "{revealed} before sync {nth}, {injected}: {refused:?}");
        assert!(WORDS.contains(&refused.reason.as_str()), "{refused:?}");
        words.push(if refused.reason.is_empty() { refused.message } else { refused.reason });

        // The value was opened while the entry was on its way; neither this call nor any later one shows it.
        while !vault.has_ended() {
            if let Ok(later) = Client::connect(&site, vault.address()).await {
                let later = later.detokenize(&books, &tokens).await.unwrap_err();
                assert!(WORDS.contains(&later.reason.as_str()), "{later:?}");
            }
        }
        vault.ended_for_its_log();
        assert!(vault.said().contains("the journal can't write"), "{}", vault.said());
        all_is_there(&site, &books).await;
    }
    println!("the call in flight heard: {words:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_under_load_readiness_fails_and_all_that_was_acknowledged_is_there() {
    let books = Arc::new(Books::default());
    let site = used_site(&books).await;
    let faults = Faults::inject(&site, "fdatasync", "error=EIO:when=200");
    let mut vault = site.start_under(faults.words());
    let watcher = Client::connect(&site, vault.address()).await.unwrap();
    let load = Load::start(&site, vault.address(), &books, 6, 1).await;
    let mut heard = Vec::new();
    while let Ok(serving) = watcher.is_serving().await {
        heard.push(serving);
        if faults.injected() > 0 {
            tokio::time::sleep(READINESS_LAG).await;
            match watcher.is_serving().await {
                Ok(serving) => assert!(!serving, "ready {READINESS_LAG:?} after a failed sync"),
                Err(_) => break,
            }
        }
    }
    load.ended().await;
    vault.ended_for_its_log();
    assert_eq!(faults.injected(), 1);
    assert!(heard.first() == Some(&true), "it was ready before");
    let refused = books.open().refused.clone();
    println!("clients heard {refused:?}, health {:?} at last", heard.last());
    assert!(refused.keys().all(|reason| WORDS.contains(&reason.as_str())), "{refused:?}");
    all_is_there(&site, &books).await;
}

/// The write-ahead log that a vault writes to.
fn write_ahead_log(site: &Site, vault: &Vault) -> PathBuf {
    let files = fs::read_dir(format!("/proc/{}/fd", vault.pid())).unwrap();
    let files = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let store = site.data.join(REGION).canonicalize().unwrap();
    let is_log = |file: &PathBuf| file.parent() == Some(&store) && file.extension().is_some_and(|kind| kind == "log");
    files.filter(is_log).max().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_without_room_ends_the_vault_and_loses_nothing() {
    let books = Arc::new(Books::default());
    let site = used_site(&books).await;
    let mut vault = site.start();
    let load = Load::start(&site, vault.address(), &books, 6, 2).await;
    let log = write_ahead_log(&site, &vault);
    let holding = Holding::inject(&site, &vault, &log, "write", "error=ENOSPC:when=30");
    load.ended().await;
    vault.ended_for_its_log();
    assert_eq!(holding.injected(), 1);
    assert!(vault.said().contains("No space left on device"), "{}", vault.said());
    let refused = books.open().refused.clone();
    println!("clients heard {refused:?}");
    assert!(refused.keys().all(|reason| WORDS.contains(&reason.as_str())), "{refused:?}");
    all_is_there(&site, &books).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_can_not_write_its_entry_is_refused() {
    let books = Books::default();
    let site = used_site(&books).await;
    // The first sync of the thread that writes the region's log is the entry of the start.
    let mut refused = 0;
    for nth in [1, 2] {
        let faults = Faults::inject(&site, "fdatasync", &format!("error=EIO:when={nth}"));
        if let Err(ended) = site.spawn_under(faults.words()).serving() {
            assert!(ended.status.code().is_some_and(|code| code != 0), "{ended}");
            refused += 1;
        }
    }
    assert!(refused > 0, "no start was refused");
    all_is_there(&site, &books).await;
}
