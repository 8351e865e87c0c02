//! The listener: accepts, shakes hands, serves, and drains.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic_health::{ServingStatus, pb::health_server::Health, server::HealthReporter};
use vault_domain::{Action, Clock, Entropy, Reason, RequestId, limits};
use vault_engine::{Engine, Refusal, Running};

use crate::{
    access_token::AccessTokens,
    coalesce::Coalescing,
    config::{Config, ConfigError},
    door::Door,
    identity::Peer,
    rpc::stream::Streams,
    tls::{self, TlsError},
};

/// HTTP/2 flow control: how much of one request, and of all of a connection, may be on its way unread.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// What HTTP/1.1 may hold of a request that is not read yet, its head included.
const HTTP_1_BUFFER_BYTES: usize = 64 * 1024;
/// How long a connection may be silent before it is asked whether it is still there, and how long it may take to
/// answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often counted refusals are looked at.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);

/// Why a server could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration is not one to serve with.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// TLS can't be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The engine can't be opened.
    #[error(transparent)]
    Engine(#[from] vault_engine::OpenError),
    /// The address can't be listened on.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A thread of the runtime failed.
    #[error("the start was interrupted")]
    Interrupted,
}

/// A vault that serves.
pub struct Server {
    address: SocketAddr,
    engine: Arc<Engine>,
    running: Running,
    health: HealthReporter,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    streams: Streams,
    flusher: JoinHandle<()>,
}

impl Server {
    /// Checks the configuration, opens the engine and listens.
    ///
    /// # Errors
    /// When any of it fails; nothing is served then.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, StartError> {
        let tls = tls::server_config(config.tls())?;
        let address = config.address();
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let reflection = config.reflection();
        let access_tokens = AccessTokens::open(&config, &clock)?;
        let opening = move || {
            let engine_config = config.engine()?;
            let root = config.root_key(&*entropy)?;
            Ok::<_, StartError>(Engine::open(engine_config, &root, clock, entropy)?)
        };
        let (engine, running) = tokio::task::spawn_blocking(opening).await.map_err(|_| StartError::Interrupted)??;
        let (health, health_server) = tonic_health::server::health_reporter();
        report(&health, ServingStatus::Serving).await;
        let (stop, stopping) = watch::channel(false);
        let streams = Streams::new(stopping.clone());
        let door = Arc::new(Door::new(engine.clone(), access_tokens, health_server, streams.clone(), reflection));
        let listener = tokio::spawn(listen(listener, tls, door, engine.clone(), stopping));
        let flusher = tokio::spawn(flush(engine.clone()));
        tracing::info!(%address, regions = ?engine.regions().collect::<Vec<_>>(), "serving");
        Ok(Self { address, engine, running, health, stop, listener, streams, flusher })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The engine behind the door, for statistics.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Resolves when the log can't be written any more: readiness fails at once, and the process must end.
    pub async fn failed(&self) {
        self.engine.failed().await;
        report(&self.health, ServingStatus::NotServing).await;
    }

    /// Stops taking calls, lets those in flight finish for a while, writes the stop into the log and ends.
    pub async fn shutdown(self) {
        let Self { engine, running, health, stop, listener, streams, flusher, .. } = self;
        report(&health, ServingStatus::NotServing).await;
        stop.send_replace(true);
        if listener.await.is_err() {
            tracing::error!("the listener ended by a panic");
        }
        streams.ended().await;
        cut_off(flusher).await;
        drop(engine);
        running.stop().await;
        tracing::info!("stopped");
    }

    /// Ends without a word to anybody, after [`failed`](Self::failed): calls in flight are cut off, as nothing that
    /// they do can be written into the log.
    pub async fn abandon(self) {
        let Self { engine, running, stop, listener, streams, flusher, .. } = self;
        stop.send_replace(true);
        cut_off(listener).await;
        streams.ended().await;
        cut_off(flusher).await;
        drop(engine);
        running.abandon().await;
    }
}

/// Ends a task where it stands and waits until nothing that it held is held any more.
async fn cut_off(task: JoinHandle<()>) {
    task.abort();
    // That it was cut off is no news.
    let _ended = task.await;
}

async fn report(health: &HealthReporter, status: ServingStatus) {
    for service in ["", "tokenvault.v1.TokenService", "tokenvault.v1.AuditService", "tokenvault.v1.AdminService"] {
        health.set_service_status(service, status).await;
    }
}

async fn flush(engine: Arc<Engine>) {
    loop {
        tokio::time::sleep(FLUSH_INTERVAL).await;
        if let Err(error) = engine.flush_refusals().await {
            tracing::error!(reason = error.reason().name(), "counted refusals could not be written into the log");
        }
    }
}

/// Accepts until told to stop, then waits for the connections to drain.
async fn listen<H: Health>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    door: Arc<Door<H>>,
    engine: Arc<Engine>,
    mut stopping: watch::Receiver<bool>,
) {
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
    let connections = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let (stream, address, slots) = tokio::select! {
            accepted = accept(&listener, &handshakes, &connections) => accepted,
            () = stopped(&mut stopping) => break,
            Some(_) = open.join_next() => continue,
        };
        let (tls, door, engine, stopping) = (tls.clone(), door.clone(), engine.clone(), stopping.clone());
        open.spawn(async move {
            let (handshake, connection) = slots;
            if let Some((stream, peer)) = shake_hands(stream, address, tls, &engine).await {
                drop(handshake);
                serve(stream, peer, door, stopping).await;
            }
            drop(connection);
        });
    }
    drop(listener);
    let drained = tokio::time::timeout(limits::DRAIN_DEADLINE, async { while open.join_next().await.is_some() {} });
    if drained.await.is_err() {
        tracing::warn!(connections = open.len(), "connections were still open at the end of the drain");
    }
    open.shutdown().await;
}

type Slots = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// The next connection, when there is room for one and for its handshake.
async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
    connections: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Slots) {
    loop {
        let slots = tokio::try_join!(handshakes.clone().acquire_owned(), connections.clone().acquire_owned());
        match (slots, listener.accept().await) {
            (Ok(slots), Ok((stream, address))) => return (stream, address, slots),
            (Err(_), _) | (_, Err(_)) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Shakes hands within the deadline; a refusal goes into the node's log.
async fn shake_hands(
    stream: TcpStream,
    address: SocketAddr,
    tls: Arc<ServerConfig>,
    engine: &Engine,
) -> Option<(TlsStream<TcpStream>, Arc<Peer>)> {
    if stream.set_nodelay(true).is_err() {
        return None;
    }
    let shaken = tokio::time::timeout(limits::HANDSHAKE_DEADLINE, TlsAcceptor::from(tls).accept(stream)).await;
    let stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::info!(source = %address.ip(), error = &error as &dyn std::error::Error, "handshake refused");
            refused(engine, address).await;
            return None;
        }
        Err(_) => {
            tracing::info!(source = %address.ip(), "handshake timed out");
            refused(engine, address).await;
            return None;
        }
    };
    let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first)?;
    let peer = Arc::new(Peer::read(leaf, address));
    Some((stream, peer))
}

async fn refused(engine: &Engine, address: SocketAddr) {
    let mut id = [0; 16];
    let refusal = |request_id| Refusal {
        action: Action::Connect,
        reason: Reason::HandshakeRefused,
        source: Some(address.ip().to_canonical()),
        principal: None,
        certificate: None,
        request_id,
    };
    if engine.entropy().fill(&mut id).is_ok()
        && let Err(error) = engine.refused_at_the_door(refusal(RequestId(id))).await
    {
        tracing::error!(reason = error.reason().name(), "a refused handshake could not be written into the log");
    }
}

/// Serves one connection until it ends, or until the server stops and its calls are done.
async fn serve<H: Health>(
    stream: TlsStream<TcpStream>,
    peer: Arc<Peer>,
    door: Arc<Door<H>>,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| door.clone().answer(peer.clone(), request));
    let speaks_http_1 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_1_1);
    let io = TokioIo::new(Coalescing::new(stream));
    let ended = if speaks_http_1 {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(KEEPALIVE_INTERVAL)
            .max_buf_size(HTTP_1_BUFFER_BYTES)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    } else {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(limits::CONNECTION_CALLS_MAX)
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = stopped(&mut stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended");
    }
}

/// Resolves when the server is told to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A server that is gone has stopped too.
    let _told_or_gone = stopping.wait_for(|stop| *stop).await.is_ok();
}
