//! A stop in good order: what is in flight finishes, what comes later is refused, and the log says that it was stopped.

use std::{fs, path::Path, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use vault_domain::Action;
use vault_proto::v1;
use vault_tests::requests;

use crate::{
    books::{Books, size_of},
    evidence::{self, Evidence},
    load::{Client, Load, fresh_value},
    site::{LOGS, REGION, Settings, Site},
    strace::Faults,
    vault::Vault,
};

/// What the vault says of itself that should not be said in good order.
fn complaints(vault: &Vault) -> Vec<String> {
    let said = vault.said();
    said.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("panicked")).map(str::to_owned).collect()
}

/// Stop entries end all logs, the files of the newest checkpoints cover them, and no store was left as it was.
fn stopped_in_good_order(site: &Site) {
    for name in LOGS {
        closed(&site.data.join(name));
        let evidence = Evidence::read(site, name);
        assert_eq!(evidence.last().head.action, Action::Stop, "{name}");
        assert_eq!(evidence.signed_size(), evidence.size(), "{name}: the last checkpoint covers everything");
        let outside = fs::read_to_string(site.checkpoint_file(name)).unwrap();
        assert_eq!(size_of(&outside), evidence.size(), "{name}: so does its file");
    }
}

/// The store was closed: its write-ahead log has nothing in it that the next start would have to read.
fn closed(store: &Path) {
    for file in fs::read_dir(store).unwrap() {
        let file = file.unwrap();
        if file.path().extension().is_some_and(|extension| extension == "log") {
            assert_eq!(file.metadata().unwrap().len(), 0, "{}", file.path().display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_ends_in_good_order_and_the_next_start_finds_everything() {
    let site = Site::new(Settings::default());
    let books = Arc::new(Books::default());
    for round in 0..4 {
        let mut vault = site.start();
        let address = vault.address();
        let load = Load::start(&site, address, &books, 6, round).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        vault.stop();
        load.ended().await;
        assert!(Client::connect(&site, address).await.is_err(), "nobody listens any more");
        assert_eq!(complaints(&vault), [""; 0]);
        stopped_in_good_order(&site);
        evidence::check(&site, &books.open());
        // Of what was carried out, nothing was kept from its caller.
        let evidence = Evidence::read(&site, REGION);
        let carried_out = evidence.count(&[Action::Tokenize, Action::Detokenize]);
        assert_eq!(carried_out, books.open().answered.len());
    }
    let refused = books.open().refused.clone();
    println!("clients heard {refused:?}");
    assert!(refused.keys().all(|reason| ["SHUTTING_DOWN", ""].contains(&reason.as_str())), "{refused:?}");

    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    let count = books.open().tokens.len();
    assert!(count > 100);
    client.reveal(&books, 0..count).await;
    client.repeat_named(&books, 0).await;
    drop(client);
    vault.stop();
    evidence::check(&site, &books.open());
}

/// How long every sync is held up.
const HELD_UP: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_finish() {
    let site = Site::new(Settings::default());
    site.start().stop();
    // But for the first of each thread, which is the entry of the start, every sync takes so long that calls are in
    // flight for a while.
    let faults = Faults::inject(&site, "fdatasync", &format!("delay_enter={}:when=2+", HELD_UP.as_micros()));
    let mut vault = site.start_under(faults.words());
    let books = Arc::new(Books::default());
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let client = Client::connect(&site, vault.address()).await.unwrap();
        let books = books.clone();
        let items = (0..100).map(|_| requests::tokenize_item("card_number", fresh_value("card_number"))).collect();
        let request = v1::TokenizeRequest { items, ..requests::tokenize("email", [""; 0]) };
        calls.spawn(async move { client.tokenize(&books, request).await });
    }
    tokio::time::sleep(HELD_UP / 2).await;
    assert!(calls.try_join_next().is_none(), "no call is answered yet");
    vault.signal(Signal::SIGTERM);
    let mut answered = 0;
    while let Some(ended) = calls.join_next().await {
        let tokens = ended.unwrap().unwrap_or_else(|refusal| panic!("a call in flight was cut off: {refusal:?}"));
        answered += tokens.len();
    }
    assert_eq!(answered, 400);
    assert_eq!(vault.ended().code(), Some(0));
    assert_eq!(complaints(&vault), [""; 0]);
    stopped_in_good_order(&site);
    evidence::check(&site, &books.open());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once_and_loses_nothing() {
    let site = Site::new(Settings::default());
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let load = Load::start(&site, vault.address(), &books, 6, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    vault.signal(Signal::SIGTERM);
    vault.signal(Signal::SIGINT);
    load.ended().await;
    // Faster than the second signal, it ends in good order.
    let status = vault.ended();
    println!("it ended with {status}");
    evidence::check(&site, &books.open());
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    let count = books.open().tokens.len();
    client.reveal(&books, 0..count).await;
    drop(client);
    vault.stop();
}

#[test]
fn a_start_that_fails_midway_closes_what_it_opened() {
    let site = Site::new(Settings::default());
    site.start().stop();
    // The region's store opens, and its threads run, before the node's turns out to be damaged.
    fs::write(site.data.join("node/CURRENT"), "no manifest\n").unwrap();
    for _ in 0..5 {
        let Err(refused) = site.spawn_under(&[]).serving() else { panic!("it serves a damaged store") };
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        closed(&site.data.join(REGION));
    }
}
