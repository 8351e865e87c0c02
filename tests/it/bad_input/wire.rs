//! Bytes that are no request.

use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use tonic::{Code, body::Body};
use vault_proto::v1;
use vault_tests::{
    connection::{Reply, WholeBody, frame},
    refusal::Refusal,
    requests::{card, email, query, tokenize, tokenize_item},
    roles::Role,
    vault::TestVault,
};

use super::{Refusals, assert_turned_away};
use crate::vault;

const TOKENIZE: &str = "/tokenvault.v1.TokenService/Tokenize";
const METHODS: [&str; 10] = [
    TOKENIZE,
    "/tokenvault.v1.TokenService/Detokenize",
    "/tokenvault.v1.TokenService/DescribeTokens",
    "/tokenvault.v1.TokenService/RevokeTokens",
    "/tokenvault.v1.TokenService/TokenizeStream",
    "/tokenvault.v1.TokenService/DetokenizeStream",
    "/tokenvault.v1.AuditService/QueryAccessLog",
    "/tokenvault.v1.AuditService/TailAccessLog",
    "/tokenvault.v1.AuditService/ExportAccessLog",
    "/tokenvault.v1.AuditService/GetCheckpoint",
];
const MALFORMED: (Code, &str) = (Code::InvalidArgument, "REQUEST_MALFORMED");
const TOO_LARGE: (Code, &str) = (Code::ResourceExhausted, "REQUEST_TOO_LARGE");
const UNKNOWN: (Code, &str) = (Code::Unimplemented, "METHOD_UNKNOWN");

/// Sends a body as it is, on a connection of its own, with further headers.
async fn send(vault: &TestVault, path: &str, headers: &[(&str, &str)], body: Option<Bytes>) -> Result<(), Refusal> {
    let caller = vault.caller_on(Role::Loader, vault.try_connect(Role::Loader).await.unwrap());
    let mut request = caller.connection().request(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::new(WholeBody(body))).unwrap();
    let reply: Reply = caller.connection().send(request).await.expect("an answer");
    match reply.status() {
        status if status.code() == Code::Ok => Ok(()),
        status => Err(caller.refusal(&status)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_are_refused_by_every_method() {
    let mut vault = vault().await;
    let mut refusals = Refusals::default();
    let messages: [&[u8]; 7] = [
        // An unfinished number.
        &[0xFF; 10],
        // A field of a kind that does not exist.
        &[0x0F, 0x01],
        // A text that is longer than the message.
        &[0x0A, 0x7F, b'e', b'u'],
        // The region as a number.
        &[0x08, 0x01],
        // A group that is opened and not closed.
        &[0x0B],
        // Field number zero.
        &[0x02, 0x00],
        // A region that is no UTF-8.
        &[0x0A, 0x02, 0xC3, 0x28],
    ];
    for path in METHODS {
        for message in messages {
            let refusal = assert_turned_away(&vault, send(&vault, path, &[], Some(frame(0, message))), MALFORMED).await;
            assert!(refusal.message.is_ascii(), "nothing of the message is repeated");
            // A stream is under way by then.
            let action = match path.rsplit('/').next().unwrap() {
                "TokenizeStream" => "tokenize",
                "DetokenizeStream" => "detokenize",
                _ => "call",
            };
            refusals.expect(action, "REQUEST_MALFORMED");
        }
    }
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_field_that_is_no_utf_8_is_refused_whichever_it_is() {
    let vault = vault().await;
    let text = |field: u8, text: &[u8]| [&[field << 3 | 2, u8::try_from(text.len()).unwrap()], text].concat();
    let bad = b"eu\xC3\x28";
    let (region, audience) = (text(1, b"eu"), text(4, b"payments"));
    let item = text(6, &text(1, bad));
    let mut messages: Vec<Vec<u8>> =
        (1..=5).map(|field| [region.clone(), audience.clone(), text(field, bad)].concat()).collect();
    messages.push([region.clone(), audience, item].concat());
    for message in messages {
        assert_turned_away(&vault, send(&vault, TOKENIZE, &[], Some(frame(0, &message))), MALFORMED).await;
    }
    // A value is bytes, and whether it has to be text is for its class to say.
    let token = vault.give("blob", [b"\xC3\x28 is no text"]).await;
    assert_eq!(token.len(), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_later_contract_are_passed_over() {
    let vault = vault().await;
    let mut message = tokenize("email", [email(1)]).encode_to_vec();
    // Field 1000, a text.
    message.extend([0xC2, 0x3E, 5]);
    message.extend(b"later");
    send(&vault, TOKENIZE, &[], Some(frame(0, &message))).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_are_refused() {
    let vault = vault().await;
    let good = tokenize("email", [email(1)]).encode_to_vec();
    vault.secrets().plant(email(1).as_bytes());
    let mut cut = frame(0, &good).to_vec();
    cut.truncate(cut.len() - 5);
    let bodies: [Option<Bytes>; 6] = [
        // No frame, half a prefix, half a message.
        None,
        Some(Bytes::from_static(&[0, 0, 0])),
        Some(cut.into()),
        // Said to be compressed, or something else that nobody knows.
        Some(frame(1, &good)),
        Some(frame(7, &good)),
        Some(frame(255, &good)),
    ];
    for body in bodies {
        assert_turned_away(&vault, send(&vault, TOKENIZE, &[], body), MALFORMED).await;
    }
    let compressed = send(&vault, TOKENIZE, &[("grpc-encoding", "gzip")], Some(frame(1, &good)));
    assert_turned_away(&vault, compressed, MALFORMED).await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_8_mib_is_refused_and_one_of_just_that_size_is_taken() {
    const MOST: usize = 8 * 1024 * 1024;
    let mut vault = vault().await;
    let value = vec![7_u8; 65_536];
    let mut request = tokenize("blob", std::iter::repeat_n(&value, 127));
    let rest = MOST - request.encoded_len();
    // A value in its item takes 16 bytes beside itself.
    request.items.push(tokenize_item("blob", vec![7; 65_536]));
    let over = request.encoded_len() - MOST;
    request.items.last_mut().unwrap().value.truncate(65_536 - over);
    assert!(rest > 16 && request.encoded_len() == MOST, "{rest} {}", request.encoded_len());
    let loader = vault.caller(Role::Loader).await;
    assert_eq!(loader.tokenize(request.clone()).await.unwrap().tokens().len(), 128);

    request.items.last_mut().unwrap().value.push(7);
    assert_turned_away(&vault, loader.tokenize(request.clone()), TOO_LARGE).await;
    request.items.extend(vec![tokenize_item("blob", &value); 200]);
    assert_turned_away(&vault, loader.tokenize(request), TOO_LARGE).await;
    // A prefix that promises 4 GiB is refused before they come.
    let promise = Bytes::from_static(&[0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3]);
    assert_turned_away(&vault, send(&vault, TOKENIZE, &[], Some(promise)), TOO_LARGE).await;
    // Items of no bytes are many before they are large.
    let empty =
        v1::TokenizeRequest { items: vec![v1::TokenizeItem::default(); 5000], ..v1::TokenizeRequest::default() };
    assert_turned_away(&vault, loader.tokenize(empty), TOO_LARGE).await;
    vault.stop().await;
    let mut refusals = Refusals::default();
    (0..4).for_each(|_| refusals.expect("call", "REQUEST_TOO_LARGE"));
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_does_not_exist_is_refused_and_in_the_log() {
    let mut vault = vault().await;
    let mut refusals = Refusals::default();
    vault.secrets().plant(card(1).as_bytes());
    let paths = [
        "/tokenvault.v1.TokenService/Steal",
        "/tokenvault.v1.TokenService/tokenize",
        "/tokenvault.v1.TokenService/",
        "/tokenvault.v1.AuditService/Tokenize",
        "/tokenvault.v2.TokenService/Tokenize",
        "/tokenvault.v1.KeyService/Seal",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/",
        "/4929831700526640",
        "/tokenvault.v1.TokenService/../TokenService/Tokenize",
        "/tokenvault.v1.TokenService/Tokenize/",
    ];
    let message = frame(0, &tokenize("email", [email(1)]).encode_to_vec());
    for path in paths {
        assert_turned_away(&vault, send(&vault, path, &[], Some(message.clone())), UNKNOWN).await;
        refusals.expect("call", "METHOD_UNKNOWN");
    }
    vault.stop().await;
    assert_eq!(Refusals::stored(&vault), refusals);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_headers_is_no_way_into_the_log_of_the_process() {
    let vault = vault().await;
    vault.secrets().plant(b"header-4929831700526640");
    let message = frame(0, &query("eu").encode_to_vec());
    let headers = [("user-agent", "header-4929831700526640\tforged"), ("x-note", "header-4929831700526640")];
    let caller = vault.caller_on(Role::Auditor, vault.try_connect(Role::Auditor).await.unwrap());
    let mut request = caller.connection().request("/tokenvault.v1.AuditService/QueryAccessLog");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let reply = caller.connection().send(request.body(Body::new(WholeBody(Some(message)))).unwrap()).await.unwrap();
    assert_eq!(reply.status().code(), Code::Ok);
    let answer = v1::QueryAccessLogResponse::decode(&reply.body[5..]).unwrap();
    assert!(answer.receipt.is_some());
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_grpc_call_harms_nobody() {
    let vault = vault().await;
    vault.secrets().plant(email(1).as_bytes());
    let message = frame(0, &tokenize("email", [email(1)]).encode_to_vec());
    for (method, kind, http) in [
        ("GET", "application/grpc", StatusCode::METHOD_NOT_ALLOWED),
        ("DELETE", "application/grpc", StatusCode::METHOD_NOT_ALLOWED),
        ("OPTIONS", "text/plain", StatusCode::METHOD_NOT_ALLOWED),
        ("POST", "application/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("POST", "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("POST", "application/grpcish", StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        // A good message, so that nothing but its wrapping can be what is wrong.
        let connection = vault.try_connect(Role::Loader).await.unwrap();
        let request = connection.request(TOKENIZE).method(method).body(Body::new(WholeBody(Some(message.clone()))));
        let mut request = request.unwrap();
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let reply = connection.send(request).await.unwrap();
        assert_eq!((reply.http_status, reply.status().code()), (http, Code::InvalidArgument), "{method} {kind}");
        vault.still_serves().await;
    }
    // A question about health is short.
    let connection = vault.try_connect(Role::Loader).await.unwrap();
    let long = frame(0, &[0x0A; 4096]);
    let request = connection.request("/grpc.health.v1.Health/Check").body(Body::new(WholeBody(Some(long)))).unwrap();
    assert_eq!(connection.send(request).await.unwrap().status().code(), Code::ResourceExhausted);
    // Headers beyond what the transport takes, alone and all together.
    for (count, bytes) in [(1, 200_000), (2_000, 100)] {
        let connection = vault.try_connect(Role::Loader).await.unwrap();
        let mut request = connection.request(TOKENIZE);
        for n in 0..count {
            request = request.header(format!("x-{n}"), "h".repeat(bytes));
        }
        let request = request.body(Body::new(WholeBody(Some(message.clone())))).unwrap();
        if let Ok(reply) = connection.send(request).await {
            assert_ne!(reply.status().code(), Code::Ok);
        }
        vault.still_serves().await;
    }
    vault.finish().await;
}
