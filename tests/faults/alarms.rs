//! Alarms of a real vault, made by what they are about: measured and told when they begin, and over when it is over.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use vault_domain::{Clock, SystemClock};
use vault_tests::{metrics, requests, stored_log};

use crate::{
    books::Books,
    full_disk::{Disk, MIB},
    load::{Client, fresh_value, one_of_each},
    site::{REGION, Settings, Site, VAULT},
    strace::Faults,
    vault::{PATIENCE, Vault},
};

/// How often is looked: an alarm is looked at every five seconds.
const LOOK: Duration = Duration::from_millis(100);

/// Settings with a port for measurements, and where that is.
fn measured() -> (Settings, SocketAddr) {
    let metrics_port = metrics::free_port();
    (Settings { metrics_port, ..Settings::default() }, SocketAddr::from(([127, 0, 0, 1], metrics_port)))
}

/// Waits until an alarm of the region's log is on, or off.
#[track_caller]
fn until(address: SocketAddr, alarm: &str, on: bool) {
    let begun = SystemClock::new();
    while metrics::alarm(address, alarm, REGION) != Some(on) {
        assert!(begun.monotonic() < PATIENCE, "{alarm} is not {on}: {}", metrics::ask(address, "GET /metrics"));
        std::thread::sleep(LOOK);
    }
}

/// How often the log of the process tells of an alarm, and of its end.
fn told(vault: &Vault, alarm: &str) -> (usize, usize) {
    let said = vault.said();
    let lines: Vec<serde_json::Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let fields = lines.iter().filter_map(|line| line.get("fields"));
    let of_it: Vec<&str> = fields
        .filter(|fields| fields["alarm"] == alarm && fields["log"] == REGION)
        .filter_map(|fields| fields["message"].as_str())
        .collect();
    let begun = of_it.iter().filter(|message| message.starts_with("an alarm: see docs/AUDIT.md")).count();
    (begun, of_it.iter().filter(|message| **message == "an alarm is over").count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_runs_full_is_an_alarm_until_there_is_room_again() {
    let (settings, address) = measured();
    let disk = Disk::new();
    let settings = Settings { free_bytes_min: 64 * MIB, memtable_bytes: 4 << 20, ..settings };
    let site = Site::with_data(disk.path().join("data"), settings);
    let mut vault = site.start();
    until(address, "disk_low", false);
    assert_eq!(told(&vault, "disk_low"), (0, 0));
    disk.fill(32 * MIB);
    until(address, "disk_low", true);
    let text = metrics::ask(address, "GET /metrics");
    let labels = ["alarm=\"disk_low\"", "log=\"eu\""];
    let free = metrics::value(&text, "tokenvault_alarm_level{", &labels);
    assert!((1..=33 << 20).contains(&free), "{free} bytes are free");
    disk.clear();
    until(address, "disk_low", false);
    assert_eq!(told(&vault, "disk_low"), (1, 1), "{}", vault.said());
    vault.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_meets_an_entry_that_is_gone_is_an_alarm_and_the_vault_serves_on() {
    let (settings, address) = measured();
    let site = Site::new(settings);
    let books = Arc::new(Books::default());
    let mut vault = site.start();
    until(address, "index_behind", false);
    let client = Client::connect(&site, vault.address()).await.unwrap();
    for _ in 0..300 {
        client.tokenize(&books, one_of_each()).await.unwrap();
    }
    vault.stop();
    // An entry of a full bundle, which no start reads; the index is to be made anew, as by a newer release.
    stored_log::remove(&site.data.join(REGION), VAULT, REGION, 10..11);
    stored_log::clear_index(&site.data.join(REGION), VAULT, REGION);
    let mut vault = site.start();
    let client = Client::connect(&site, vault.address()).await.unwrap();
    until(address, "index_behind", true);
    let (begun, over) = told(&vault, "index_behind");
    assert_eq!((begun, over), (1, 0), "{}", vault.said());
    assert!(vault.said().contains("the index of the log stopped"), "it says why");
    client.tokenize(&books, one_of_each()).await.unwrap();
    assert!(client.is_serving().await.unwrap());
    vault.stop();
}

/// How long every sync is held up: longer than entries may wait to be signed over, which takes a sync of its own.
const HELD_UP: Duration = Duration::from_secs(17);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_wait_to_be_signed_over_are_an_alarm() {
    let (settings, address) = measured();
    let site = Site::new(settings);
    site.start().stop();
    // The first sync of each thread is the entry of the start, the second signs over it; the third, of the entry of the
    // call, is as quick, and the one that signs over that is held up.
    let faults = Faults::inject(&site, "fdatasync", &format!("delay_enter={}:when=4", HELD_UP.as_micros()));
    let mut vault = site.start_under(faults.words());
    until(address, "checkpoint_late", false);
    let books = Arc::new(Books::default());
    let client = Client::connect(&site, vault.address()).await.unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let items = vec![requests::tokenize_item("card_number", fresh_value("card_number"))];
    let request = vault_proto::v1::TokenizeRequest { items, ..requests::tokenize("email", [""; 0]) };
    client.tokenize(&books, request).await.unwrap();
    until(address, "checkpoint_late", true);
    until(address, "checkpoint_late", false);
    assert_eq!(told(&vault, "checkpoint_late"), (1, 1), "{}", vault.said());
    vault.stop();
}
