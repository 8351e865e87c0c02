//! The connection: TCP, TLS 1.3 with our certificate, HTTP/2. It is made anew by itself when it breaks.
//!
//! In TLS 1.3 our side of the handshake is done before the server has looked at our certificate: that it refuses us
//! comes later, as an alert in place of the first answer, which HTTP/2 reports as a closed connection. So alerts are
//! noted where they are read.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Uri};
use vault_domain::{Clock, limits};

use crate::{
    breaker::{Breaker, Leave},
    config::{ClientConfig, Endpoint},
    error::ClientError,
};

/// How long TCP and TLS may take together.
const CONNECT_DEADLINE: Duration = limits::HANDSHAKE_DEADLINE;
/// How often an open connection is probed while calls wait on it.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a probe may stay unanswered before the connection counts as broken.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// A connection, and what is known of it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    endpoint: Arc<str>,
    breaker: Arc<Breaker>,
    news: Arc<News>,
}

/// What happened on a connection.
#[derive(Default)]
struct News {
    /// The alert that the server closed it with.
    alert: Mutex<Option<AlertDescription>>,
    /// Whether there was ever an answer.
    answered: AtomicBool,
}

impl Link {
    /// Asks for leave to send a call that waits this long for its answer.
    ///
    /// # Errors
    /// [`ClientError::Away`] while nobody answers there.
    pub(crate) fn enter<'a>(&'a self, clock: &'a dyn Clock, patience: Duration) -> Result<Leave<'a>, ClientError> {
        let away = |after| ClientError::Away { endpoint: self.endpoint.to_string(), after };
        self.breaker.enter(clock, patience).map_err(away)
    }

    /// Says that the vault has answered on this connection.
    pub(crate) fn answered(&self) {
        self.news.answered.store(true, Ordering::Relaxed);
    }

    /// Whether both are one connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.news, &other.news)
    }

    /// Makes more of a broken connection where more is known.
    pub(crate) fn explain(&self, error: ClientError) -> ClientError {
        let ClientError::Transport { problem } = error else { return error };
        let alert = self.news.alert.lock().unwrap_or_else(PoisonError::into_inner).take();
        match alert {
            Some(alert) => ClientError::CertificateRefused { alert: format!("{alert:?}") },
            None if self.news.answered.load(Ordering::Relaxed) => ClientError::Transport { problem },
            None => ClientError::Transport {
                problem: format!("{problem}, before there was any; does the vault accept this client certificate?"),
            },
        }
    }
}

/// Connects to the configured endpoint.
pub(crate) async fn connect(config: &ClientConfig) -> Result<Link, ClientError> {
    dial(config, &config.endpoint, config.server_name.clone(), When::Now).await
}

/// A connection to an endpoint that calls are sent on to, under that endpoint's own name. The first one makes it.
pub(crate) async fn connect_elsewhere(config: &ClientConfig, endpoint: &Endpoint) -> Result<Link, ClientError> {
    dial(config, endpoint, endpoint.server_name()?, When::Needed).await
}

/// When a connection is made.
enum When {
    Now,
    Needed,
}

async fn dial(
    config: &ClientConfig,
    endpoint: &Endpoint,
    name: ServerName<'static>,
    when: When,
) -> Result<Link, ClientError> {
    let refuse = |error: &(dyn StdError + 'static)| ClientError::Connect {
        endpoint: endpoint.to_string(),
        problem: innermost(error),
    };
    let origin: Uri = endpoint.to_string().parse().map_err(|error: http::uri::InvalidUri| refuse(&error))?;
    // tonic is told `http`, for it would ask for TLS of its own otherwise; ours is TLS 1.3 alone, tonic's would take
    // 1.2.
    let address = format!("http://{}:{}", endpoint.host(), endpoint.port());
    let transport = tonic::transport::Endpoint::from_shared(address)
        .map_err(|error| refuse(&error))?
        .origin(origin)
        .connect_timeout(CONNECT_DEADLINE.min(config.deadline))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_DEADLINE);
    let (host, port) = (Arc::<str>::from(endpoint.host()), endpoint.port());
    let tls = TlsConnector::from(config.tls.clone());
    let news = Arc::new(News::default());
    let noted = news.clone();
    let connector = tower::service_fn(move |_: Uri| {
        let (host, name, tls, news) = (host.clone(), name.clone(), tls.clone(), noted.clone());
        async move { open(&host, port, name, tls).await.map(|stream| TokioIo::new(Watched { stream, news })) }
    });
    let channel = match when {
        When::Now => transport.connect_with_connector(connector).await.map_err(|error| refuse(&error))?,
        When::Needed => transport.connect_with_connector_lazy(connector),
    };
    Ok(Link { channel, endpoint: endpoint.to_string().into(), breaker: Arc::default(), news })
}

async fn open(host: &str, port: u16, name: ServerName<'static>, tls: TlsConnector) -> io::Result<TlsStream<TcpStream>> {
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

/// A stream that notes the alert by which it ends.
struct Watched {
    stream: TlsStream<TcpStream>,
    news: Arc<News>,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        let failed = read.as_ref().err().and_then(|error| error.get_ref()?.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::AlertReceived(alert)) = failed {
            *self.news.alert.lock().unwrap_or_else(PoisonError::into_inner) = Some(*alert);
        }
        Poll::Ready(read)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
