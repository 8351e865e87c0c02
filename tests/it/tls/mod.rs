//! Certificates while the vault serves: what is loaded anew, what is revoked, what ends, and who may call itself what.

mod age;
mod metrics;
mod names;
mod reload;
mod revocation;
mod workload;

use std::{sync::Arc, time::Duration};

use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use vault_domain::{Action, Clock, Decision, Millis, SystemClock};
use vault_tests::{
    caller::Caller,
    certificates::{Authority, Identity},
    roles::Role,
    vault::TestVault,
};

/// What nothing in these tests should take.
const LONG: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);
/// The revocation list's file, as [`with_list`] names it.
const LIST: &str = "clients.crl";

/// A time that holds now and for some hours.
fn today() -> (Millis, Millis) {
    around(SystemClock::new().wall())
}

/// From an hour before a time to two after it.
fn around(now: Millis) -> (Millis, Millis) {
    (Millis(now.0 - 3_600_000), now.saturating_add(120 * MINUTE))
}

/// A vault with a revocation list that revokes nobody, which looks at its files only when it is asked to.
async fn with_list(mut vault: TestVault, window: (Millis, Millis)) -> TestVault {
    vault.configure("tls", &format!("client_crl = [\"{LIST}\"]\nreload_seconds = 86400"));
    vault.replace(LIST, vault.authority().revocation_list(&[], window));
    vault.start_again().await;
    vault
}

/// Replaces files and waits until the vault has taken notice, whatever it makes of them.
async fn reload(vault: &TestVault, files: &[(&str, &str)]) {
    let mark = vault.mark("node").await;
    for (name, contents) in files {
        vault.replace(name, contents);
    }
    vault.server().reload_tls();
    noticed(vault, mark.size()).await;
}

/// Waits until the node's log has an entry more than `size`.
async fn noticed(vault: &TestVault, size: u64) {
    let grown = async {
        while vault.mark("node").await.size() <= size {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, grown).await.expect("a reload in the node's log");
}

/// How each reload ended, as the node's log has it. The vault must be stopped.
fn reloads(vault: &TestVault) -> Vec<(Decision, Option<&'static str>)> {
    let entries = vault.stored_log("node").decoded();
    let reloads = entries.into_iter().filter(|entry| entry.head.action == Action::Reload);
    reloads.map(|entry| (entry.head.decision, entry.head.reason.map(|reason| reason.name()))).collect()
}

/// How many refusals the node's log holds for this action and reason. The vault must be stopped.
fn refused(vault: &TestVault, action: Action, reason: &str) -> u32 {
    let entries = vault.stored_log("node").decoded();
    let alike = |head: &vault_ledger::EntryHead| {
        head.action == action && head.reason.is_some_and(|found| found.name() == reason)
    };
    entries.iter().filter(|entry| alike(&entry.head)).map(|entry| entry.head.count.get()).sum()
}

/// A caller on a connection of its own, with any certificate.
async fn caller_with(vault: &TestVault, role: Role, identity: &Identity) -> Caller {
    vault.caller_on(role, vault.try_connect_with(Some(identity)).await.unwrap())
}

/// Whether the vault shakes hands with this certificate and then answers a request, with whatever.
async fn is_heard(vault: &TestVault, identity: &Identity) -> bool {
    match vault.try_connect_with(Some(identity)).await {
        Ok(connection) => connection.post("/tokenvault.v1.TokenService/Tokenize", &[]).await.is_ok(),
        Err(_) => false,
    }
}

/// The certificate that the vault shows to a new connection.
async fn leaf_shown(vault: &TestVault, trusted: &Authority, identity: &Identity) -> Vec<u8> {
    let config: Arc<ClientConfig> = vault_tests::connection::tls(trusted, Some(identity));
    let stream = TcpStream::connect(vault.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Waits until the log of the process has a line with all of these.
async fn logged(vault: &TestVault, parts: &[&str]) {
    let found = async {
        let has =
            |log: &[u8]| String::from_utf8_lossy(log).lines().any(|line| parts.iter().all(|part| line.contains(part)));
        while !vault.process_log().read(has) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, found).await.unwrap_or_else(|_| panic!("{parts:?} in the log of the process"));
}
