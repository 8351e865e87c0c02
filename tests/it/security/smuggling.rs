//! Headers that want to be more than they are: doubled, in another case, in a binary form, cut or stretched, or spoken
//! by somebody who stands in front of the vault elsewhere. None of them has a say.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{Code, Status};
use vault_proto::v1;
use vault_tests::{
    connection::{Reply, WholeBody, frame, freshness, freshness_of, tls},
    refusal::Refusal,
    requests::{detokenize, email},
    roles::Role,
    vault::TestVault,
};

use super::access_token::Scene;
use crate::{bad_input::Refusals, vault};

/// Names and values, as they are.
type Headers<'a> = Vec<(&'a str, &'a [u8])>;

const DETOKENIZE: &str = "/tokenvault.v1.TokenService/Detokenize";

/// A question for a value with these headers beside those of a good call, as they are.
async fn ask(vault: &TestVault, role: Role, token: &str, headers: &[(&str, &[u8])]) -> Reply {
    vault.secrets().plant(token.as_bytes());
    let connection = vault.caller(role).await.connection().clone();
    let message = detokenize("email", [token]).encode_to_vec();
    let body = tonic::body::Body::new(WholeBody(Some(frame(0, &message))));
    let mut request = connection.request(DETOKENIZE).body(body).unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    connection.send(request).await.unwrap()
}

/// The value of the only item, or why there is none.
fn value_of(reply: &Reply) -> Result<Vec<u8>, Box<Refusal>> {
    let status = reply.status();
    if status.code() != Code::Ok {
        return Err(Box::new(Refusal::of_call(&status)));
    }
    let answer = v1::DetokenizeResponse::decode(&reply.body[5..]).unwrap();
    match answer.results.into_iter().next().unwrap().outcome.unwrap() {
        v1::detokenize_result::Outcome::Revealed(revealed) => Ok(revealed.value.clone()),
        v1::detokenize_result::Outcome::Error(status) => Err(Box::new(Refusal::of_item(&status))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proxies_and_callers_say_of_themselves_has_no_say() {
    let scene = Scene::start().await;
    let vault = &scene.vault;
    let held = vault.give("email", [email(2)]).await.remove(0);
    let good = scene.token(|_| {});
    good.split('.').for_each(|part| vault.secrets().plant(part.as_bytes()));
    let bearer = format!("Bearer {good}");
    let payments = Role::Payments.principal();
    let uri = format!("URI={payments}");
    let of_payments = vault.identity(Role::Payments).certificate_pem().replace('\n', " ");
    let rows: [(&str, &str); 24] = [
        ("x-forwarded-for", "10.9.8.7"),
        ("x-forwarded-host", "vault.example.com"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-client-cert", &uri),
        ("x-real-ip", "10.9.8.7"),
        ("forwarded", "for=10.9.8.7;by=10.9.8.7;host=vault.example.com"),
        ("via", "1.1 proxy"),
        ("client-cert", &of_payments),
        ("ssl-client-cert", &of_payments),
        ("x-ssl-client-s-dn", payments),
        ("x-client-verify", "SUCCESS"),
        ("x-forwarded-user", payments),
        ("x-authorization", &bearer),
        ("proxy-authorization", &bearer),
        ("authorization-bin", &bearer),
        ("cookie", &bearer),
        ("x-http-method-override", "GET"),
        ("x-original-url", "/grpc.health.v1.Health/Check"),
        ("tokenvault-principal", payments),
        ("tokenvault-tenant", "globex"),
        ("tokenvault-request-id", "00000000000000000000000000000000"),
        ("grpc-trace-bin", "AAAA"),
        ("host", "vault.example.com"),
    ];
    // An account without grants, which stays one.
    for (name, value) in rows {
        let mark = vault.mark("eu").await;
        let refusal = value_of(&ask(vault, Role::Idle, &held, &[(name, value.as_bytes())]).await);
        refusal.expect_err(name).is(Code::PermissionDenied, "ACCESS_DENIED");
        let entry = vault.entry_since(&mark).await;
        let said = (entry.principal.as_str(), entry.tenant.as_str(), entry.source.as_str());
        assert_eq!(said, (Role::Idle.principal(), "acme", "127.0.0.1"), "{name}");
        assert_eq!(entry.certificate_sha256, vault.fingerprint(Role::Idle), "{name}");
        assert_ne!(entry.request_id, "00000000000000000000000000000000", "{name}");
    }
    scene.finish(Refusals::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_counts_in_one_spelling_of_its_header_alone() {
    let scene = Scene::start().await;
    let vault = &scene.vault;
    let held = vault.give("email", [email(2)]).await.remove(0);
    let good = scene.token(|_| {});
    good.split('.').for_each(|part| vault.secrets().plant(part.as_bytes()));
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let header = format!("{scheme} {good}");
        let reply = ask(vault, Role::Idle, &held, &[("authorization", header.as_bytes())]).await;
        assert_eq!(value_of(&reply).unwrap(), email(2).as_bytes(), "{scheme}: schemes have no case (RFC 9110)");
    }
    let mut odd: Vec<Vec<u8>> = [
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {good},{good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer {good} "),
        format!(" Bearer {good}"),
        format!("Bearer\t{good}"),
        format!("Bearer={good}"),
        format!("Bearer \"{good}\""),
        format!("\"Bearer {good}\""),
        format!("Bearer bearer {good}"),
        format!("Digest {good}"),
        format!("DPoP {good}"),
        format!("Bearer {}.", good),
        format!("Bearer .{}", good),
        "Bearer ".to_owned(),
        "Bearer".to_owned(),
        String::new(),
    ]
    .map(String::into_bytes)
    .into();
    odd.push([b"Bearer ", good.as_bytes(), b"\xA0"].concat());
    odd.push([b"Bearer\xA0", good.as_bytes()].concat());
    for header in &odd {
        let reply = ask(vault, Role::Idle, &held, &[("authorization", header)]).await;
        let refusal = value_of(&reply).unwrap_err();
        refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    }
    // Two headers are refused whichever of them is good.
    let bearer = format!("Bearer {good}");
    for other in [b"Bearer x".as_slice(), b"", bearer.as_bytes()] {
        for pair in [[bearer.as_bytes(), other], [other, bearer.as_bytes()]] {
            let headers = pair.map(|value| ("authorization", value));
            let refusal = value_of(&ask(vault, Role::Idle, &held, &headers).await).unwrap_err();
            refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        }
    }
    // Who brings a bad token is not served by its certificate instead.
    let refusal = value_of(&ask(vault, Role::Payments, &held, &[("authorization", b"Bearer x")]).await);
    refusal.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    let Scene { mut vault, .. } = scene;
    vault.stop().await;
    let refused = vault.stored_log("node").decoded().into_iter().filter(|entry| entry.head.reason.is_some());
    let counted = refused.map(|entry| (entry.head.action.name(), u64::from(entry.head.count.get())));
    let counted: Vec<_> = counted.collect();
    assert!(counted.iter().all(|(action, _)| *action == "call"), "{counted:?}");
    assert_eq!(counted.iter().map(|(_, count)| count).sum::<u64>(), odd.len() as u64 + 6 + 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_none_neither_stretches_a_call_nor_breaks_it() {
    let vault = vault().await;
    let held = vault.give("email", [email(1)]).await.remove(0);
    let served: [&[&str]; 12] = [
        &["junk"],
        &[""],
        &["-1S"],
        &["1"],
        &["S"],
        &["999999999S"],
        &["18446744073709551616H"],
        &["1S, 100H"],
        &[" 1n"],
        &["1N"],
        &["99999999H"],
        &["10S", "1n"],
    ];
    for values in served {
        let headers: Headers<'_> = values.iter().map(|value| ("grpc-timeout", value.as_bytes())).collect();
        let reply = ask(&vault, Role::Payments, &held, &headers).await;
        assert_eq!(value_of(&reply).unwrap(), email(1).as_bytes(), "{values:?}");
    }
    for values in [["0S"].as_slice(), &["1n"], &["1n", "10S"]] {
        let mark = vault.mark("eu").await;
        let headers: Headers<'_> = values.iter().map(|value| ("grpc-timeout", value.as_bytes())).collect();
        let refusal = value_of(&ask(&vault, Role::Payments, &held, &headers).await).unwrap_err();
        refusal.is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
        assert_eq!(vault.entry_since(&mark).await.reason, "DEADLINE_EXCEEDED", "{values:?}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_counts_in_one_spelling_alone() {
    let (vault, clock) = crate::vault_and_clock().await;
    let held = vault.give("email", [email(1)]).await.remove(0);
    let (nonce, now) = ("0123456789abcdef0123456789abcdef", vault_domain::Clock::wall(&clock).to_string());
    let (one, two) = ("tokenvault-nonce", "tokenvault-timestamp");
    let (nonce, now) = (nonce.as_bytes(), now.as_bytes());
    let both = [nonce, b", ", nonce].concat();
    let rows: [(&str, Headers<'_>); 6] = [
        ("NONCE_MALFORMED", vec![(one, nonce), (one, nonce), (two, now)]),
        ("NONCE_MALFORMED", vec![(one, nonce), (one, b"fedcba9876543210fedcba9876543210"), (two, now)]),
        ("NONCE_MALFORMED", vec![(one, nonce), (two, now), (two, now)]),
        ("NONCE_MALFORMED", vec![(one, &both), (two, now)]),
        ("NONCE_MALFORMED", vec![(one, b"\xE9123456789abcdef0123456789abcdef"), (two, now)]),
        ("NONCE_MALFORMED", vec![("tokenvault-nonce-bin", nonce), ("tokenvault-timestamp-bin", now), (one, b"")]),
    ];
    for (reason, headers) in rows {
        let refusal = value_of(&ask(&vault, Role::Payments, &held, &headers).await).unwrap_err();
        refusal.is(Code::InvalidArgument, reason);
    }
    // In a binary form it is not looked at: beside a good one it changes nothing, alone it is none.
    let beside = [(one, nonce), (two, now), ("tokenvault-nonce-bin", b"AAAA".as_slice())];
    assert_eq!(value_of(&ask(&vault, Role::Payments, &held, &beside).await).unwrap(), email(1).as_bytes());
    let refusal = value_of(&ask(&vault, Role::Payments, &held, &beside).await).unwrap_err();
    refusal.is(Code::FailedPrecondition, "NONCE_REPLAYED");
    let bare = vault.try_connect(Role::Payments).await.unwrap().without_nonces();
    let message = detokenize("email", [&held]).encode_to_vec();
    let body = tonic::body::Body::new(WholeBody(Some(frame(0, &message))));
    let mut request = bare.request(DETOKENIZE).body(body).unwrap();
    for (name, value) in freshness_of("0123456789abcdef0123456789abcdee", &String::from_utf8_lossy(now)) {
        let name = HeaderName::try_from(format!("{}-bin", name.unwrap())).unwrap();
        request.headers_mut().insert(name, value);
    }
    let refusal = value_of(&bare.send(request).await.unwrap()).unwrap_err();
    refusal.is(Code::InvalidArgument, "NONCE_REQUIRED");
    vault.finish().await;
}

/// A connection for bytes of one's own.
async fn raw(vault: &TestVault, role: Role, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut config = (*tls(vault.authority(), Some(vault.identity(role)))).clone();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(vault.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn h2_frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that is not put into the table (RFC 7541 section 6.2.2).
fn field(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| {
        assert!(text.len() < 127, "one byte for the length");
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    };
    [vec![0], text(name), text(value)].concat()
}

/// The error code of the frame that ends a stream, or the connection (RFC 9113 sections 6.4 and 6.8).
async fn ended_by(stream: &mut TlsStream<TcpStream>) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap()];
        stream.read_exact(&mut payload).await.expect("a payload");
        match head[3] {
            3 => return u32::from_be_bytes(payload[..4].try_into().unwrap()),
            7 => return u32::from_be_bytes(payload[4..8].try_into().unwrap()),
            0 | 1 => panic!("it was answered"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_in_capitals_are_no_http_2_and_the_same_headers_in_http_1() {
    const PROTOCOL_ERROR: u32 = 1;
    let scene = Scene::start().await;
    let vault = &scene.vault;
    for name in ["Authorization", "TOKENVAULT-NONCE", "Grpc-Timeout", "X-Anything"] {
        let mut stream = raw(vault, Role::Payments, b"h2").await;
        let pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "localhost"), (":path", DETOKENIZE)];
        let plain = [("content-type", "application/grpc"), ("te", "trailers"), (name, "Bearer x")];
        let fields: Vec<u8> = pseudo.iter().chain(&plain).flat_map(|(name, value)| field(name, value)).collect();
        let sent = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), h2_frame(4, 0, 0, &[]), h2_frame(1, 4, 1, &fields)];
        stream.write_all(&sent.concat()).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), ended_by(&mut stream)).await;
        assert_eq!(ended.expect("an end"), PROTOCOL_ERROR, "{name}");
    }
    // HTTP/1.1 knows no case: two spellings are one header twice.
    let held = vault.give("email", [email(2)]).await.remove(0);
    let good = scene.token(|_| {});
    good.split('.').for_each(|part| vault.secrets().plant(part.as_bytes()));
    let spoken = async |lines: &[String]| {
        let body = frame(0, &detokenize("email", [&held]).encode_to_vec());
        let mut said = format!("POST {DETOKENIZE} HTTP/1.1\r\nHost: localhost\r\n");
        said += "Content-Type: application/grpc-web+proto\r\nConnection: close\r\n";
        for (name, value) in freshness(&scene.clock) {
            said += &format!("{}: {}\r\n", name.unwrap().as_str().to_uppercase(), value.to_str().unwrap());
        }
        lines.iter().for_each(|line| said += &format!("{line}\r\n"));
        said += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = raw(vault, Role::Idle, b"http/1.1").await;
        stream.write_all(&[said.as_bytes(), &body].concat()).await.unwrap();
        let mut answer = Vec::new();
        // Who closes without TLS's own goodbye is heard as well.
        let _end = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    let revealed = |answer: &str| answer.contains(&email(2));
    assert!(revealed(&spoken(&[format!("AUTHORIZATION: Bearer {good}")]).await));
    let twice = [format!("Authorization: Bearer {good}"), format!("aUTHORIZATION: Bearer {good}")];
    let answer = spoken(&twice).await;
    let unauthenticated = format!("grpc-status: {}", i32::from(Status::unauthenticated("").code()));
    assert!(!revealed(&answer) && answer.contains(&unauthenticated), "{answer}");
    let mut refusals = Refusals::default();
    refusals.expect("call", "ACCESS_TOKEN_MALFORMED");
    scene.finish(refusals).await;
}
