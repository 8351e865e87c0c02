//! The floor under every call: a server that reads the same messages over the same TLS and HTTP/2, and answers at once
//! with tokens and values made beforehand. It looks nothing up, keeps nothing and writes nothing.

use std::{io, net::SocketAddr, sync::Arc};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Empty;
use tonic::{Request, Response, Status, Streaming};
use tower::Service;
use vault_domain::limits;
use vault_proto::v1::{
    ChangeTokensRequest, ChangeTokensResponse, DescribeTokensRequest, DescribeTokensResponse, DetokenizeRequest,
    DetokenizeResponse, DetokenizeResult, DetokenizeStreamRequest, DetokenizeStreamResponse, ExplainAccessRequest,
    ExplainAccessResponse, FindTokensRequest, FindTokensResponse, Receipt, RevealLevel, TokenIssued, TokenizeRequest,
    TokenizeResponse, TokenizeResult, TokenizeStreamRequest, TokenizeStreamResponse, ValueRevealed, detokenize_result,
    token_service_server::{TokenService, TokenServiceServer},
    tokenize_result,
};

use crate::{Failure, site::Site};

/// The flow-control windows of vault-server.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// As long as an opaque token.
const TOKEN: &str = "tok_eu_0abcdefghijklmnopqrstuvABCDEF";
/// As long as the values of the class that is measured.
const VALUE: &[u8] = b"000000000000";
const ORIGIN: &str = "bench.tokenvault.internal/audit/eu/1";

/// Answers for the largest batch; smaller ones are cut from them.
struct Answers {
    tokenized: Vec<TokenizeResult>,
    detokenized: Vec<DetokenizeResult>,
    receipt: Receipt,
}

#[derive(Clone)]
struct Echo(Arc<Answers>);

impl Echo {
    fn new() -> Self {
        let issued = TokenIssued { token: TOKEN.to_owned(), created: true, expires_at_ms: 0 };
        let issued = TokenizeResult { outcome: Some(tokenize_result::Outcome::Issued(issued)) };
        let revealed = ValueRevealed { value: VALUE.to_vec(), level: RevealLevel::Full.into() };
        let revealed = DetokenizeResult { outcome: Some(detokenize_result::Outcome::Revealed(revealed)) };
        Self(Arc::new(Answers {
            tokenized: vec![issued; limits::BATCH_ITEMS_MAX],
            detokenized: vec![revealed; limits::BATCH_ITEMS_MAX],
            receipt: Receipt {
                origin: ORIGIN.to_owned(),
                index: 1_000_000,
                leaf_hash: vec![7; 32],
                log_id: vec![9; 32],
            },
        }))
    }
}

#[tonic::async_trait]
impl TokenService for Echo {
    async fn tokenize(&self, request: Request<TokenizeRequest>) -> Result<Response<TokenizeResponse>, Status> {
        let items = request.into_inner().items.len();
        let results = self.0.tokenized.iter().take(items).cloned().collect();
        Ok(Response::new(TokenizeResponse { results, receipt: Some(self.0.receipt.clone()) }))
    }

    async fn detokenize(&self, request: Request<DetokenizeRequest>) -> Result<Response<DetokenizeResponse>, Status> {
        let items = request.into_inner().items.len();
        let results = self.0.detokenized.iter().take(items).cloned().collect();
        Ok(Response::new(DetokenizeResponse { results, receipt: Some(self.0.receipt.clone()) }))
    }

    async fn describe_tokens(
        &self,
        _: Request<DescribeTokensRequest>,
    ) -> Result<Response<DescribeTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn find_tokens(&self, _: Request<FindTokensRequest>) -> Result<Response<FindTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn explain_access(
        &self,
        _: Request<ExplainAccessRequest>,
    ) -> Result<Response<ExplainAccessResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn renew_tokens(&self, _: Request<ChangeTokensRequest>) -> Result<Response<ChangeTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn suspend_tokens(&self, _: Request<ChangeTokensRequest>) -> Result<Response<ChangeTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn resume_tokens(&self, _: Request<ChangeTokensRequest>) -> Result<Response<ChangeTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    async fn revoke_tokens(&self, _: Request<ChangeTokensRequest>) -> Result<Response<ChangeTokensResponse>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    // The floor of single calls and batches alone.
    type TokenizeStreamStream = Empty<Result<TokenizeStreamResponse, Status>>;

    async fn tokenize_stream(
        &self,
        _: Request<Streaming<TokenizeStreamRequest>>,
    ) -> Result<Response<Self::TokenizeStreamStream>, Status> {
        Err(Status::unimplemented("no floor"))
    }

    type DetokenizeStreamStream = Empty<Result<DetokenizeStreamResponse, Status>>;

    async fn detokenize_stream(
        &self,
        _: Request<Streaming<DetokenizeStreamRequest>>,
    ) -> Result<Response<Self::DetokenizeStreamStream>, Status> {
        Err(Status::unimplemented("no floor"))
    }
}

/// Listens on a free port of the loopback interface, for as long as the runtime lives.
///
/// # Errors
/// When it can't listen, or TLS can't be set up.
pub async fn listen(site: &Site) -> Result<SocketAddr, Failure> {
    let tls = TlsAcceptor::from(Arc::new(site.server_tls()?));
    let service = TokenServiceServer::new(Echo::new());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (tls, service) = (tls.clone(), service.clone());
            // A client that goes away ends its connection, which is no matter to the others.
            tokio::spawn(async move { serve(stream, tls, service).await.ok() });
        }
    });
    Ok(address)
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, service: TokenServiceServer<Echo>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tls.accept(stream).await?;
    let answer = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        service.clone().call(request.map(tonic::body::Body::new))
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::CONNECTION_CALLS_MAX)
        .serve_connection(TokioIo::new(stream), answer)
        .await
        .map_err(io::Error::other)
}
