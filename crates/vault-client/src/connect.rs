//! The connection: TCP, TLS 1.3 with our certificate, HTTP/2. It is made anew by itself when it breaks.

use std::{error::Error as StdError, io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Uri};
use vault_domain::limits;

use crate::{
    config::{ClientConfig, Endpoint},
    error::ClientError,
};

/// How long TCP and TLS may take together.
const CONNECT_DEADLINE: Duration = limits::HANDSHAKE_DEADLINE;
/// How often an open connection is probed while calls wait on it.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a probe may stay unanswered before the connection counts as broken.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// Connects to the configured endpoint.
pub(crate) async fn connect(config: &ClientConfig) -> Result<Channel, ClientError> {
    dial(&config.endpoint, config.server_name.clone(), &config.tls).await
}

/// Connects to an endpoint that a call is sent on to, under that endpoint's own name.
pub(crate) async fn connect_elsewhere(config: &ClientConfig, endpoint: &Endpoint) -> Result<Channel, ClientError> {
    dial(endpoint, endpoint.server_name()?, &config.tls).await
}

async fn dial(
    endpoint: &Endpoint,
    name: ServerName<'static>,
    tls: &Arc<rustls::ClientConfig>,
) -> Result<Channel, ClientError> {
    let refuse = |error: &(dyn StdError + 'static)| ClientError::Connect {
        endpoint: endpoint.to_string(),
        problem: innermost(error),
    };
    let origin: Uri = endpoint.to_string().parse().map_err(|error: http::uri::InvalidUri| refuse(&error))?;
    // tonic is told `http`, for it would ask for TLS of its own otherwise; ours is TLS 1.3 alone, tonic's would take 1.2.
    let address = format!("http://{}:{}", endpoint.host(), endpoint.port());
    let transport = tonic::transport::Endpoint::from_shared(address)
        .map_err(|error| refuse(&error))?
        .origin(origin)
        .connect_timeout(CONNECT_DEADLINE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_DEADLINE);
    let (host, port) = (Arc::<str>::from(endpoint.host()), endpoint.port());
    let tls = TlsConnector::from(tls.clone());
    let connector = tower::service_fn(move |_: Uri| {
        let (host, name, tls) = (host.clone(), name.clone(), tls.clone());
        async move { open(&host, port, name, tls).await.map(TokioIo::new) }
    });
    transport.connect_with_connector(connector).await.map_err(|error| refuse(&error))
}

async fn open(
    host: &str,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await?;
    stream.set_nodelay(true)?;
    tls.connect(name, stream).await
}

/// The last cause of a transport's error: the ones above it say no more than that something failed.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
