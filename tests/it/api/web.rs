//! gRPC-Web, for callers that can't read trailers: over HTTP/2 and HTTP/1.1, in binary and in base64.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Buf, Bytes};
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use vault_domain::SystemClock;
use vault_proto::v1::{self, detokenize_result, tokenize_result};
use vault_tests::{
    connection::{frame, freshness, tls},
    requests::{detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::vault;

const TOKENIZE: &str = "/tokenvault.v1.TokenService/Tokenize";
const DETOKENIZE: &str = "/tokenvault.v1.TokenService/Detokenize";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";

/// What came back.
struct Answer {
    kind: String,
    status: String,
    message: Option<Bytes>,
}

/// One request on a connection of its own.
async fn post(vault: &TestVault, role: Role, version: Version, path: &str, kind: &str, body: Bytes) -> Answer {
    let mut config = (*tls(vault.authority(), Some(vault.identity(role)))).clone();
    let http_1 = version == Version::HTTP_11;
    config.alpn_protocols = vec![if http_1 { b"http/1.1".to_vec() } else { b"h2".to_vec() }];
    let stream = TcpStream::connect(vault.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(if http_1 { b"http/1.1".as_slice() } else { b"h2" }));
    let io = TokioIo::new(stream);
    let uri = if http_1 { path.to_owned() } else { format!("https://localhost{path}") };
    let request = Request::post(uri).header("host", "localhost").header("content-type", kind);
    // What a caller takes back is what it asks for.
    let request = request.header("accept", kind).header("x-grpc-web", "1");
    let mut request = request.body(Full::new(body)).unwrap();
    request.headers_mut().extend(freshness(&SystemClock::new()));
    let response = if http_1 {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    } else {
        let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender.send_request(request).await.unwrap()
    };
    let header = |name| {
        let value = response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        value.unwrap_or_default()
    };
    let (kind, status) = (header("content-type"), header("grpc-status"));
    let mut body = response.into_body().collect().await.unwrap().to_bytes();
    if kind.starts_with("application/grpc-web-text") {
        body = decode_base64(&body);
    }
    let mut answer = Answer { kind, status, message: None };
    while body.has_remaining() {
        let (flag, length) = (body.get_u8(), body.get_u32());
        let part = body.split_to(length as usize);
        if flag & 0x80 == 0 {
            answer.message = Some(part);
        } else {
            let trailers = String::from_utf8(part.to_vec()).unwrap();
            let status = trailers.lines().find_map(|line| line.strip_prefix("grpc-status:"));
            answer.status = status.unwrap().trim().to_owned();
        }
    }
    answer
}

/// Pieces of base64, each padded, one after the other.
fn decode_base64(text: &[u8]) -> Bytes {
    text.chunks(4).flat_map(|group| STANDARD.decode(group).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_go_in_and_come_back_over_grpc_web() {
    let vault = vault().await;
    for version in [Version::HTTP_2, Version::HTTP_11] {
        for kind in [BINARY, "application/grpc-web", TEXT] {
            let body = |message: Vec<u8>| {
                let framed = frame(0, &message);
                if kind == TEXT { STANDARD.encode(framed).into() } else { framed }
            };
            vault.secrets().plant(email(7).as_bytes());
            let request = body(tokenize("email", [email(7)]).encode_to_vec());
            let answer = post(&vault, Role::Loader, version, TOKENIZE, kind, request).await;
            assert_eq!((answer.status.as_str(), kind == TEXT), ("0", answer.kind.contains("text")), "{kind}");
            let answer = v1::TokenizeResponse::decode(answer.message.unwrap()).unwrap();
            let Some(tokenize_result::Outcome::Issued(issued)) = &answer.results[0].outcome else { panic!("a token") };
            let request = body(detokenize("email", [&issued.token]).encode_to_vec());
            let answer = post(&vault, Role::Payments, version, DETOKENIZE, kind, request).await;
            let answer = v1::DetokenizeResponse::decode(answer.message.unwrap()).unwrap();
            let Some(detokenize_result::Outcome::Revealed(revealed)) = &answer.results[0].outcome else {
                panic!("a value")
            };
            assert_eq!(revealed.value, email(7).as_bytes());
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_in_the_callers_own_form() {
    let vault = vault().await;
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let send = async |role, path, kind, body| post(&vault, role, version, path, kind, body).await;
        let good = || frame(0, &tokenize("email", [email(1)]).encode_to_vec());
        let empty = frame(0, &tokenize("email", [""; 0]).encode_to_vec());
        // gRPC's numbers: 3 invalid argument, 12 unimplemented, 16 unauthenticated.
        assert_eq!(send(Role::Loader, TOKENIZE, BINARY, empty).await.status, "3");
        assert_eq!(send(Role::Loader, TOKENIZE, BINARY, frame(0, &[0xFF; 10])).await.status, "3");
        assert_eq!(send(Role::Loader, "/tokenvault.v1.TokenService/No", BINARY, good()).await.status, "12");
        assert_eq!(send(Role::Stranger, TOKENIZE, BINARY, good()).await.status, "16");
        let stream = send(Role::Loader, "/tokenvault.v1.TokenService/TokenizeStream", BINARY, good()).await;
        assert_eq!((stream.status.as_str(), stream.kind.as_str()), ("12", BINARY));
        let json = send(Role::Loader, TOKENIZE, "application/json", good()).await;
        assert!(json.message.is_none(), "what is neither is not heard");
    }
    // gRPC itself needs HTTP/2.
    let plain = post(&vault, Role::Loader, Version::HTTP_11, TOKENIZE, "application/grpc", frame(0, &[])).await;
    assert!(plain.message.is_none() && plain.status == "3", "{}", plain.status);
    vault.still_serves().await;
    vault.finish().await;
}
