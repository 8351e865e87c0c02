//! A stop in good order: what is in flight finishes, what comes later is refused, and the log says that it was stopped.

use std::{fs, sync::Arc, time::Duration};

use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use vault_domain::Action;
use vault_proto::v1;
use vault_tests::requests;

use crate::{
    books::{Books, size_of},
    evidence::{self, Evidence},
    load::{Client, Load, fresh_value},
    site::{LOGS, Settings, Site},
    vault::Vault,
};

/// What the vault says of itself that should not be said in good order.
fn complaints(vault: &Vault) -> Vec<String> {
    let said = vault.said();
    said.lines().filter(|line| line.contains("\"ERROR\"") || line.contains("panicked")).map(str::to_owned).collect()
}

/// Stop entries end all logs, and the files of the newest checkpoints cover them.
fn stopped_in_good_order(site: &Site) {
    for name in LOGS {
        let evidence = Evidence::read(site, name);
        assert_eq!(evidence.last().head.action, Action::Stop, "{name}");
        assert_eq!(evidence.signed_size(), evidence.size(), "{name}: the last checkpoint covers everything");
        let outside = fs::read_to_string(site.checkpoint_file(name)).unwrap();
        assert_eq!(size_of(&outside), evidence.size(), "{name}: so does its file");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_in_flight_finish() {
    let site = Site::new(Settings::default());
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    let mut calls = JoinSet::new();
    for _ in 0..4 {
        let client = Client::connect(&site, vault.address()).await.unwrap();
        // The connection is up and has been used.
        client.is_serving().await.unwrap();
        let books = books.clone();
        let items = (0..1000).map(|_| requests::tokenize_item("card_number", fresh_value("card_number"))).collect();
        let request = v1::TokenizeRequest { items, ..requests::tokenize("email", [""; 0]) };
        calls.spawn(async move { client.tokenize(&books, request).await });
    }
    // All are under way, none is answered.
    while calls.len() == 4 && !is_at_work(&vault) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    vault.signal(Signal::SIGTERM);
    let mut answered = 0;
    while let Some(ended) = calls.join_next().await {
        let tokens = ended.unwrap().unwrap_or_else(|refusal| panic!("a call in flight was cut off: {refusal:?}"));
        answered += tokens.len();
    }
    assert_eq!(answered, 4000);
    assert_eq!(vault.ended().code(), Some(0));
    assert_eq!(complaints(&vault), [""; 0]);
    stopped_in_good_order(&site);
    evidence::check(&site, &books.open());
}

/// Whether the vault has read most of what was sent to it: of four requests of 1000 cards, 100 kB.
fn is_at_work(vault: &Vault) -> bool {
    let read = fs::read_to_string(format!("/proc/{}/io", vault.pid())).unwrap();
    let read: u64 = read.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap();
    read > 150_000
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
