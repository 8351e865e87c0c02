//! Certificates that are revoked or end while their connections are open, and lists that end.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{HandshakeKind, pki_types::ServerName};
use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_rustls::TlsConnector;
use tonic::Code;
use vault_domain::{Action, Clock, ManualClock, SystemClock};
use vault_proto::v1;
use vault_server::{Config, Environment, Severity};
use vault_tests::{
    caller::Caller,
    certificates::{Authority, Identity},
    requests::{describe, detokenize, detokenize_item, email, query, tokenize},
    roles::Role,
    stream::{settling, tokens},
    vault::{BEGINNING, TestVault},
};

use super::{LIST, LONG, MINUTE, around, caller_with, is_heard, logged, refused, reload, today, with_list};
use crate::DISK;

fn prepared(clock: Arc<dyn Clock>) -> TestVault {
    TestVault::prepare(Path::new(DISK), clock)
}

/// Calls every method; each must be refused for this reason.
async fn every_method_is_refused(caller: &Caller, reason: &str) {
    let expected = (Code::Unauthenticated, reason);
    caller.tokenize(tokenize("email", [email(1)])).await.unwrap_err().is(expected.0, expected.1);
    caller.detokenize(detokenize("email", ["tok_eu_any"])).await.unwrap_err().is(expected.0, expected.1);
    caller.describe(describe("email", ["tok_eu_any"])).await.unwrap_err().is(expected.0, expected.1);
    caller.tokenize_stream(None).await.unwrap_err().is(expected.0, expected.1);
    caller.detokenize_stream(None).await.unwrap_err().is(expected.0, expected.1);
    caller.query(query("eu")).await.unwrap_err().is(expected.0, expected.1);
    caller.checkpoint("eu").await.unwrap_err().is(expected.0, expected.1);
    caller.checkpoint("node").await.unwrap_err().is(expected.0, expected.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_in_handshakes_on_open_connections_and_on_open_streams() {
    let mut vault = with_list(prepared(Arc::new(SystemClock::new())), today()).await;
    let given = vault.give("email", [email(1), email(2)]).await;
    let payments = vault.caller(Role::Payments).await;
    payments.detokenize(detokenize("email", given.clone())).await.unwrap();
    let mut stream = payments.detokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::DetokenizeStreamRequest { start: Some(settling()), ..Default::default() }).await);
    assert!(stream.send(tokens(1, vec![detokenize_item("email", &given[0])])).await);
    assert_eq!(stream.answer().await.unwrap().unwrap().1.values(), [email(1).into_bytes()]);

    let stolen = vault.identity(Role::Payments);
    let (from, to) = today();
    let list = vault.authority().revocation_list(&[stolen], (from.saturating_add(MINUTE), to));
    reload(&vault, &[(LIST, &list)]).await;
    every_method_is_refused(&payments, "CERTIFICATE_REVOKED").await;
    let mark = vault.mark("eu").await;
    assert!(stream.send(tokens(2, vec![detokenize_item("email", &given[1])])).await);
    stream.answer().await.unwrap_err().is(Code::Unauthenticated, "CERTIFICATE_REVOKED");
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.reason.as_str()), ("detokenize", "CERTIFICATE_REVOKED"));
    assert_eq!(entry.principal, Role::Payments.principal());
    assert!(!is_heard(&vault, stolen).await);
    // Whoever has another certificate of the same name goes on.
    let another = caller_with(&vault, Role::Payments, &vault.authority().client(&Role::Payments.names())).await;
    another.detokenize(detokenize("email", given)).await.unwrap();
    vault.stop().await;
    assert_eq!(refused(&vault, Action::Call, "CERTIFICATE_REVOKED"), 8);
    assert_eq!(refused(&vault, Action::Connect, "CERTIFICATE_REVOKED"), 1);
    let entries = vault.stored_log("node").decoded();
    let first = entries.iter().find(|entry| entry.head.action == Action::Call).unwrap();
    let people = vault_tests::stored_log::people(first).unwrap();
    assert_eq!(people.principal.as_ref().unwrap().as_str(), Role::Payments.principal());
    assert!(people.certificate.is_some());
    vault.finish().await;
}

/// How one handshake went by a configuration that keeps sessions, and whether the vault says anything afterwards: the
/// client's side of a handshake is done before the vault has looked at the certificate.
async fn shake(vault: &TestVault, config: &Arc<rustls::ClientConfig>) -> (HandshakeKind, bool) {
    let stream = TcpStream::connect(vault.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(config.clone()).connect(name, stream).await.unwrap();
    let mut said = [0; 9];
    let heard = tokio::time::timeout(LONG, stream.read_exact(&mut said)).await.unwrap().is_ok();
    (stream.get_ref().1.handshake_kind().unwrap(), heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_resumed_past_a_new_list() {
    let vault = with_list(prepared(Arc::new(SystemClock::new())), today()).await;
    let stolen = vault.identity(Role::Payments);
    // rustls keeps sessions and tickets unless told otherwise.
    let config = vault_tests::connection::tls(vault.authority(), Some(stolen));
    for _ in 0..3 {
        assert_eq!(shake(&vault, &config).await, (HandshakeKind::Full, true));
    }
    let (from, to) = today();
    let list = vault.authority().revocation_list(&[stolen], (from.saturating_add(MINUTE), to));
    reload(&vault, &[(LIST, &list)]).await;
    assert_eq!(shake(&vault, &config).await, (HandshakeKind::Full, false));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_list_lets_nobody_in_and_nothing_through_after_an_alarm() {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = prepared(Arc::new(clock.clone()));
    vault.configure("tls", &format!("client_crl = [\"{LIST}\"]\nreload_seconds = 1"));
    let (from, to) = around(BEGINNING);
    vault.replace(LIST, vault.authority().revocation_list(&[], (from, to)));
    vault.start_again().await;
    let check = |severity: Severity, said: &str| {
        let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
        let findings = config.findings(clock.wall());
        let found = findings.iter().find(|found| found.subject == "tls.client_crl").unwrap();
        assert_eq!(found.severity, severity, "{findings:?}");
        assert!(found.text.contains(said), "{findings:?}");
    };
    let payments = vault.caller(Role::Payments).await;
    vault.still_serves().await;
    check(Severity::Note, "ends in 2 hours");
    // The last quarter of its three hours.
    clock.advance(80 * MINUTE);
    logged(&vault, &["WARN", LIST, "expires in 40 minutes"]).await;
    check(Severity::Warning, "expires in 40 minutes");
    vault.still_serves().await;

    clock.advance(40 * MINUTE);
    every_method_is_refused(&payments, "REVOCATION_LIST_EXPIRED").await;
    assert!(!is_heard(&vault, vault.identity(Role::Loader)).await);
    check(Severity::Error, "has expired");
    clock.advance(61 * MINUTE);
    logged(&vault, &["ERROR", LIST, "has expired"]).await;

    // A fresh list, and all is well, on open connections too.
    vault.replace(LIST, vault.authority().revocation_list(&[], around(clock.wall())));
    logged(&vault, &["the files of TLS have changed and are in use"]).await;
    vault.still_serves().await;
    payments.describe(describe("email", ["tok_eu_any"])).await.unwrap();
    vault.stop().await;
    assert_eq!(refused(&vault, Action::Call, "REVOCATION_LIST_EXPIRED"), 8);
    assert_eq!(refused(&vault, Action::Connect, "REVOCATION_LIST_EXPIRED"), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_starts_with_an_expired_list_refuses_everybody() {
    let clock = ManualClock::at(BEGINNING);
    let vault = prepared(Arc::new(clock.clone()));
    let vault = with_list(vault, around(BEGINNING)).await;
    vault.still_serves().await;
    let mut vault = vault;
    vault.stop().await;
    clock.advance(121 * MINUTE);
    vault.start_again().await;
    assert!(!is_heard(&vault, vault.identity(Role::Loader)).await);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ends_takes_its_open_connection_along() {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = prepared(Arc::new(clock.clone()));
    vault.start_again().await;
    let end = BEGINNING.saturating_add(10 * MINUTE);
    let identity: Identity = vault.authority().client_until(&Role::Loader.names(), end);
    let loader = caller_with(&vault, Role::Loader, &identity).await;
    loader.tokenize(tokenize("email", [email(1)])).await.unwrap();
    // It is good to the end of its last second.
    clock.advance(10 * MINUTE);
    loader.tokenize(tokenize("email", [email(2)])).await.unwrap();
    clock.advance(Duration::from_secs(1));
    every_method_is_refused(&loader, "CERTIFICATE_NOT_VALID").await;
    assert!(!is_heard(&vault, &identity).await);
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_are_lists_an_authority_without_one_gets_nobody_in() {
    let vault = prepared(Arc::new(SystemClock::new()));
    let second = Authority::new("the second authority");
    vault.replace("clients.pem", format!("{}{}", vault.authority().certificate_pem(), second.certificate_pem()));
    let vault = with_list(vault, today()).await;
    assert!(!is_heard(&vault, &second.client(&Role::Payments.names())).await);
    vault.still_serves().await;
    let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
    let findings = config.findings(SystemClock::new().wall());
    let told = |found: &&vault_server::Finding| {
        found.severity == Severity::Warning && found.text.contains("an authority without a list")
    };
    assert!(findings.iter().any(|found| told(&found)), "{findings:?}");
    vault.finish().await;
}
