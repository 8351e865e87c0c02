//! One HTTP/2 connection to a vault, over TLS 1.3: under the generated clients, and bare, to send what no generated
//! client would.
//!
//! It keeps no deadline of its own: what a call's deadline does, the vault does.

use std::{
    error::Error,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use hyper::{
    body::Incoming,
    client::conn::http2::{Builder, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::TcpSocket, sync::watch};
use tokio_rustls::TlsConnector;
use tonic::{Code, Status, body::Body};
use vault_domain::{Clock, Entropy, Nonce, SystemClock, SystemEntropy};
use vault_proto::{NONCE_METADATA, TIMESTAMP_METADATA};

use crate::certificates::{Authority, Identity};

/// What a caller trusts, and what it shows.
#[must_use]
pub fn tls(trusted: &Authority, identity: Option<&Identity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.certificate().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(identity) => builder
            .with_client_auth_cert(vec![identity.certificate().clone()], identity.key())
            .expect("a certificate with its key"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// An open connection. Clones share it. Every request on it bears a nonce of its own and the time, as those of every
/// good caller do, unless it brings its own or is to have none.
#[derive(Clone, Debug)]
pub struct Connection {
    /// What its requests tell the time by; `None` for requests without a nonce.
    clock: Option<Arc<dyn Clock>>,
    /// What every request says.
    said: HeaderMap,
    sender: SendRequest<Body>,
    /// Closed when the connection has ended.
    open: watch::Receiver<()>,
    origin: Uri,
}

/// How long after the end of its connection a request may still be told about it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why a request has no answer.
pub type Broken = Box<dyn Error + Send + Sync>;

/// Sends a request. One that is sent in the very moment in which its connection ends may be told nothing, ever: it lies
/// in a queue then that nobody reads and that lives as long as its sender.
fn send(
    connection: &mut Connection,
    mut request: Request<Body>,
) -> impl Future<Output = Result<Response<Incoming>, Broken>> + use<> {
    if let Some(clock) = connection.clock.as_ref().filter(|_| !says_something(request.headers())) {
        request.headers_mut().extend(freshness(&**clock));
    }
    request.headers_mut().extend(connection.said.clone());
    let answer = connection.sender.send_request(request);
    let mut open = connection.open.clone();
    let forgotten = async move {
        while open.changed().await.is_ok() {}
        tokio::time::sleep(LAST_WORDS).await;
    };
    async move {
        tokio::select! {
            answer = answer => Ok(answer?),
            () = forgotten => Err("the connection has ended".into()),
        }
    }
}

/// What a request says against its repeat: a nonce that was never used, and the time.
#[must_use]
pub fn freshness(clock: &dyn Clock) -> HeaderMap {
    let mut nonce = Nonce([0; 16]);
    SystemEntropy.fill(&mut nonce.0).expect("randomness");
    freshness_of(&nonce.to_string(), &clock.wall().to_string())
}

/// The same with these texts.
#[must_use]
pub fn freshness_of(nonce: &str, timestamp: &str) -> HeaderMap {
    let said = [(NONCE_METADATA, nonce), (TIMESTAMP_METADATA, timestamp)];
    let header = |text: &str| HeaderValue::from_str(text).expect("a header");
    said.into_iter().map(|(name, text)| (HeaderName::from_static(name), header(text))).collect()
}

fn says_something(headers: &HeaderMap) -> bool {
    headers.contains_key(NONCE_METADATA) || headers.contains_key(TIMESTAMP_METADATA)
}

/// The answer to a bare request.
#[derive(Debug)]
pub struct Reply {
    /// Of HTTP.
    pub http_status: StatusCode,
    /// Headers and, behind them, trailers.
    pub headers: HeaderMap,
    /// The body, gRPC's frames included.
    pub body: Bytes,
}

impl Reply {
    /// What gRPC says of it.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::from_header_map(&self.headers)
            .unwrap_or_else(|| Status::new(Code::Unknown, format!("HTTP {} without a status", self.http_status)))
    }
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// With the transport's own words. A vault that does not like the certificate says so only after the client's side
    /// of the handshake is done: then the first request fails.
    pub async fn open(address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, String> {
        Self::open_from(IpAddr::V4(Ipv4Addr::LOCALHOST), address, tls).await
    }

    /// Connects from an address of this machine.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn open_from(source: IpAddr, address: SocketAddr, tls: Arc<ClientConfig>) -> Result<Self, String> {
        let socket = TcpSocket::new_v4().map_err(|error| error.to_string())?;
        socket.bind((source, 0).into()).map_err(|error| error.to_string())?;
        let stream = socket.connect(address).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|error| error.to_string())?;
        let made = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        let (ended, open) = watch::channel(());
        tokio::spawn(async move {
            // Its end is told to whoever waits for an answer.
            let _why = connection.await;
            drop(ended);
        });
        let origin = format!("https://localhost:{}", address.port()).parse().expect("an origin");
        Ok(Self { clock: Some(Arc::new(SystemClock::new())), said: HeaderMap::new(), sender, open, origin })
    }

    /// The same connection, whose requests tell the time by this clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// The same connection, whose requests bear no nonce but their own.
    #[must_use]
    pub fn without_nonces(self) -> Self {
        Self { clock: None, ..self }
    }

    /// The same connection, whose requests all have these headers too.
    #[must_use]
    pub fn saying(self, said: HeaderMap) -> Self {
        Self { said, ..self }
    }

    /// Where its requests go.
    #[must_use]
    pub fn origin(&self) -> &Uri {
        &self.origin
    }

    /// A request as gRPC makes it: complete but for its body.
    #[must_use]
    pub fn request(&self, path: &str) -> http::request::Builder {
        Request::post(format!("{}{path}", self.origin.to_string().trim_end_matches('/')))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// When the connection or the stream breaks.
    pub async fn send(&self, request: Request<Body>) -> Result<Reply, String> {
        let describe = |error: &dyn Error| format!("{error}: {:?}", error.source());
        let response = send(&mut self.clone(), request).await.map_err(|error| describe(&*error))?;
        let (head, mut body) = response.into_parts();
        let (mut headers, mut bytes) = (head.headers, Vec::new());
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            match frame.map_err(|error| describe(&error))?.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => headers.extend(frame.into_trailers().unwrap_or_default()),
            }
        }
        Ok(Reply { http_status: head.status, headers, body: bytes.into() })
    }

    /// Sends one message, which need not be one, behind gRPC's prefix.
    ///
    /// # Errors
    /// When the connection or the stream breaks.
    pub async fn post(&self, path: &str, message: &[u8]) -> Result<Reply, String> {
        let body = tonic::body::Body::new(WholeBody(Some(frame(0, message))));
        self.send(self.request(path).body(body).expect("a request")).await
    }
}

/// One frame of gRPC: a flag, the length, the message.
#[must_use]
pub fn frame(flag: u8, message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    [&[flag], length.as_slice(), message].concat().into()
}

/// A body that is sent at once.
#[derive(Debug)]
pub struct WholeBody(pub Option<Bytes>);

impl http_body::Body for WholeBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> task::Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        task::Poll::Ready(self.0.take().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

impl tower::Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), Broken>> {
        self.sender.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(send(self, request))
    }
}
