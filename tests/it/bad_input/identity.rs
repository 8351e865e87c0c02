//! Callers who are nobody here: no certificate, a false one, one that names nobody or somebody without an account.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tonic::Code;
use vault_domain::limits;
use vault_ledger::Entry;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    certificates::{Authority, Identity, Name},
    connection::{Connection, frame},
    requests::{describe, detokenize, email, query, tokenize},
    roles::Role,
    stored_log::people,
    vault::TestVault,
};

use super::{Refusals, assert_turned_away};
use crate::vault;

const TOKENIZE: &str = "/tokenvault.v1.TokenService/Tokenize";

/// Whether the vault shakes hands with this certificate and then answers a request, with whatever.
async fn is_heard(vault: &TestVault, identity: Option<&Identity>) -> bool {
    match vault.try_connect_with(identity).await {
        Ok(connection) => connection.post(TOKENIZE, &[]).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_of_the_vaults_authority_no_request_is_heard() {
    let mut vault = vault().await;
    let spiffe = [Name::Uri(Role::Payments.principal().to_owned())];
    let foreign = Authority::new("the authority of a test").client(&spiffe);
    let expired = vault.authority().expired_client(&spiffe);
    let misused = vault.authority().misused_server(&spiffe);
    let mut refusals = Refusals::default();
    for identity in [None, Some(&foreign), Some(&expired), Some(&misused)] {
        assert!(!is_heard(&vault, identity).await);
        refusals.expect("connect", "HANDSHAKE_REFUSED");
        vault.still_serves().await;
    }
    assert!(is_heard(&vault, Some(&vault.authority().client(&spiffe))).await, "a good one is");
    refusals.expect("tokenize", "BATCH_EMPTY");
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

/// A ClientHello of TLS 1.2: no extension names another version.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([0x5A; 32]);
    hello.push(0);
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and no compression.
    hello.extend([0, 2, 0xC0, 0x2B, 1, 0]);
    // Signatures ecdsa_secp256r1_sha256, group secp256r1.
    let extensions = [[0, 13, 0, 4, 0, 2, 4, 3], [0, 10, 0, 4, 0, 2, 0, 23]].concat();
    hello.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    hello.extend(extensions);
    let mut handshake = vec![1, 0];
    handshake.extend(u16::try_from(hello.len()).unwrap().to_be_bytes());
    handshake.extend(hello);
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(handshake.len()).unwrap().to_be_bytes());
    record.extend(handshake);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_1_3_is_refused_and_in_the_log() {
    let mut vault = vault().await;
    let mut refusals = Refusals::default();
    let plain = b"POST /tokenvault.v1.TokenService/Tokenize HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    let rows = [(client_hello_of_tls_1_2(), Some([2, 70])), (plain, None), (vec![0; 100], None)];
    for (bytes, alert) in rows {
        let mut stream = TcpStream::connect(vault.address()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "the vault hangs up");
        if let Some(alert) = alert {
            // An alert: fatal, protocol_version (RFC 8446 section 6.2).
            assert_eq!((answer[0], &answer[5..]), (21, alert.as_slice()));
        }
        refusals.expect("connect", "HANDSHAKE_REFUSED");
        vault.still_serves().await;
    }
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_connects_and_says_nothing_is_dropped_in_time() {
    let mut vault = vault().await;
    let mut stream = TcpStream::connect(vault.address()).await.unwrap();
    vault.still_serves().await;
    let patience = limits::HANDSHAKE_DEADLINE + Duration::from_secs(5);
    let ended = tokio::time::timeout(patience, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the vault hangs up");
    vault.stop().await;
    let mut refusals = Refusals::default();
    refusals.expect("connect", "HANDSHAKE_REFUSED");
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

/// Calls every method; each must be refused so.
async fn every_method_is_refused(vault: &TestVault, caller: &Caller, expected: (Code, &str)) {
    assert_turned_away(vault, caller.tokenize(tokenize("email", [email(1)])), expected).await;
    assert_turned_away(vault, caller.detokenize(detokenize("email", ["tok_eu_any"])), expected).await;
    assert_turned_away(vault, caller.describe(describe("email", ["tok_eu_any"])), expected).await;
    assert_turned_away(vault, caller.tokenize_stream(None), expected).await;
    assert_turned_away(vault, caller.detokenize_stream(None), expected).await;
    assert_turned_away(vault, caller.query(query("eu")), expected).await;
    assert_turned_away(vault, caller.checkpoint("eu"), expected).await;
    assert_turned_away(vault, caller.checkpoint("node"), expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_names_nobody_or_two_is_nobodys() {
    let mut vault = vault().await;
    let uri = |uri: &str| Name::Uri(uri.to_owned());
    let dns = |host: &str| Name::Dns(host.to_owned());
    let payments = Role::Payments.principal();
    let rows = [
        vec![],
        vec![uri(Role::Loader.principal()), uri(payments)],
        vec![uri(payments), uri(payments)],
        vec![uri("https://test.tokenvault/payments")],
        vec![uri("spiffe://test.tokenvault/a/../payments")],
        vec![uri("spiffe://test.tokenvault/payments/")],
        vec![uri("spiffe://TEST.tokenvault/payments")],
        vec![uri("https://test.tokenvault"), dns("batch.test.tokenvault")],
        vec![dns("batch.test.tokenvault"), dns("other.test.tokenvault")],
        vec![dns("*.test.tokenvault")],
    ];
    let expected = (Code::Unauthenticated, "CERTIFICATE_WITHOUT_IDENTITY");
    let mut refusals = Refusals::default();
    for names in rows {
        let identity = vault.authority().client(&names);
        let connection = vault.try_connect_with(Some(&identity)).await.unwrap();
        let caller = vault.caller_on(Role::Nameless, connection);
        every_method_is_refused(&vault, &caller, expected).await;
        (0..8).for_each(|_| refusals.expect("call", "CERTIFICATE_WITHOUT_IDENTITY"));
    }
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_without_an_account_is_nobody() {
    let mut vault = vault().await;
    let stranger = vault.caller(Role::Stranger).await;
    every_method_is_refused(&vault, &stranger, (Code::Unauthenticated, "PRINCIPAL_UNKNOWN")).await;
    vault.stop().await;
    let mut refusals = Refusals::default();
    let twice = ["tokenize", "detokenize", "get_checkpoint"];
    for action in twice.into_iter().chain(twice).chain(["describe", "query_access_log"]) {
        refusals.expect(action, "PRINCIPAL_UNKNOWN");
    }
    assert_eq!(Refusals::stored(&vault), refusals);
    let entries = vault.stored_log("node").decoded();
    let refused: Vec<&Entry> = entries.iter().filter(|entry| entry.head.reason.is_some()).collect();
    for entry in refused {
        let people = people(entry).unwrap();
        assert_eq!(people.principal.as_ref().unwrap().as_str(), Role::Stranger.principal());
        assert_eq!(people.source.unwrap().to_string(), "127.0.0.1");
        assert!(people.certificate.is_some());
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_name_is_a_principal_where_there_is_no_uri() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    let host = vault.caller(Role::Host).await;
    let token = host.tokenize(tokenize("email", [email(1)])).await.unwrap().tokens().remove(0);
    assert_eq!(host.detokenize(detokenize("email", [token])).await.unwrap().values(), [email(1).into_bytes()]);
    for entry in vault.entries_since(&mark, 2).await {
        assert_eq!(entry.principal, "dns:batch.test.tokenvault");
    }
    // Next to a SPIFFE ID, DNS names say nothing.
    let names = [Name::Uri(Role::Loader.principal().to_owned()), Name::Dns("batch.test.tokenvault".to_owned())];
    let connection = vault.try_connect_with(Some(&vault.authority().client(&names))).await.unwrap();
    let mark = vault.mark("eu").await;
    vault.caller_on(Role::Loader, connection).tokenize(tokenize("email", [email(2)])).await.unwrap();
    assert_eq!(vault.entry_since(&mark).await.principal, Role::Loader.principal());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_refusals_are_counted_and_cannot_fill_the_log() {
    let mut vault = vault().await;
    let mark = vault.mark("node").await;
    let stranger = vault.caller(Role::Stranger).await;
    for _ in 0..50 {
        assert!(!is_heard(&vault, None).await);
        stranger.tokenize(tokenize("email", [email(1)])).await.unwrap_err();
    }
    assert_eq!(vault.mark("node").await.size(), mark.size() + 2, "the first of each kind");
    vault.stop().await;
    let refused: Vec<(&str, u32)> = vault
        .stored_log("node")
        .decoded()
        .iter()
        .filter_map(|entry| Some((entry.head.reason?.name(), entry.head.count.get())))
        .collect();
    assert_eq!(refused.len(), 4);
    for reason in ["HANDSHAKE_REFUSED", "PRINCIPAL_UNKNOWN"] {
        let counts: Vec<u32> = refused.iter().filter(|(found, _)| *found == reason).map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 49], "{reason}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_header_claims_counts_for_nothing() {
    let vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let connection: Connection = vault.try_connect(Role::Idle).await.unwrap();
    let mark = vault.mark("eu").await;
    let message = prost::Message::encode_to_vec(&detokenize("email", [token]));
    let body = tonic::body::Body::new(vault_tests::connection::WholeBody(Some(frame(0, &message))));
    let request = connection
        .request("/tokenvault.v1.TokenService/Detokenize")
        .header("x-forwarded-client-cert", format!("URI={}", Role::Payments.principal()))
        .header("x-forwarded-for", "10.0.0.1")
        .header("forwarded", "for=10.0.0.1")
        .header("tokenvault-request-id", "00000000000000000000000000000000")
        .body(body)
        .unwrap();
    let reply = connection.send(request).await.unwrap();
    assert_eq!(reply.status().code(), Code::Ok);
    let answer: v1::DetokenizeResponse = prost::Message::decode(&reply.body[5..]).unwrap();
    let Some(v1::detokenize_result::Outcome::Error(status)) = &answer.results[0].outcome else { panic!("revealed") };
    assert_eq!(status.code, i32::from(Code::PermissionDenied));
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.principal.as_str(), entry.source.as_str()), (Role::Idle.principal(), "127.0.0.1"));
    assert_ne!(entry.request_id, "00000000000000000000000000000000");
    vault.finish().await;
}
