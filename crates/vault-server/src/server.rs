//! The listener: accepts, shakes hands, serves, and drains.

use std::{io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic_health::{ServingStatus, pb::health_server::Health, server::HealthReporter};
use vault_domain::{Action, Clock, Entropy, Reason, RequestId, limits};
use vault_engine::{Applied, ApplyError, Engine, OutsideLog, PolicySet, Refusal, Running};

use crate::{
    access_token::AccessTokens,
    alarms::Alarms,
    coalesce::Coalescing,
    config::{Config, ConfigError},
    door::Door,
    metrics::{self, Metrics},
    outside::Outside,
    pruning, purging,
    reloads::ReloadCount,
    rpc::stream::Streams,
    tls::{self, Standing, Tls, TlsError, WorkloadApi},
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
/// How long an old connection may stay for its calls: a little longer than the longest of them may take.
const GOODBYE_DEADLINE: Duration = limits::STREAM_DEADLINE.saturating_add(Duration::from_secs(10));
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
    metrics_address: Option<SocketAddr>,
    engine: Arc<Engine>,
    running: Running,
    health: HealthReporter,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    streams: Streams,
    reloads: Arc<ReloadCount>,
    /// Has the files of TLS looked at.
    look: Arc<Notify>,
    /// What goes on until the end beside serving.
    background: Vec<JoinHandle<()>>,
}

impl Server {
    /// Checks the configuration, opens the engine and listens.
    ///
    /// # Errors
    /// When any of it fails; nothing is served then.
    pub async fn start(config: Config, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<Self, StartError> {
        let mut workload = WorkloadApi::of(config.tls());
        let svid = match &mut workload {
            Some(workload) => Some(Arc::new(workload.first().await?)),
            None => None,
        };
        let tls = Arc::new(Tls::open(config.tls().clone(), clock.clone(), svid)?);
        let address = config.address();
        let listener = TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
        let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
        let metrics_listener = match config.metrics() {
            Some(address) => Some(metrics::bind(address).await?),
            None => None,
        };
        let (reflection, age_max) = (config.reflection(), config.connection_age_max());
        let access_tokens = AccessTokens::open(&config, &clock)?;
        let outside = Arc::new(Outside::open(&config, &clock)?);
        let asked = outside.clone();
        let alarms = Arc::new(Alarms::new(clock.clone(), config.free_bytes_min()));
        let opening = move || {
            let engine_config = config.engine()?;
            let root = config.root_key(&*entropy)?;
            let speaks_against = |logs: &[OutsideLog]| asked.speaks_against(logs);
            Ok::<_, StartError>(Engine::open_unless(engine_config, &root, clock, entropy, speaks_against)?)
        };
        let (engine, running) = tokio::task::spawn_blocking(opening).await.map_err(|_| StartError::Interrupted)??;
        let (health, health_server) = tonic_health::server::health_reporter();
        report(&health, ServingStatus::Serving).await;
        let (stop, stopping) = watch::channel(false);
        let streams = Streams::new(stopping.clone());
        let mut background = outside.start(&engine);
        background.push(tokio::spawn(alarms.clone().watch(engine.clone())));
        let witnessed = outside.clone();
        let door =
            Arc::new(Door::new(engine.clone(), access_tokens, health_server, streams.clone(), reflection, witnessed));
        let reloads = Arc::new(ReloadCount::default());
        if engine.prunes_by_itself() {
            background.push(tokio::spawn(pruning::watch(engine.clone(), streams.clone(), alarms.clone())));
        }
        background.push(tokio::spawn(purging::watch(engine.clone(), streams.clone(), alarms.clone())));
        let metrics = Arc::new(Metrics::new(tls.clone(), &engine, reloads.clone(), (outside, alarms)));
        let metrics_address = metrics_listener.as_ref().and_then(|listener| listener.local_addr().ok());
        background.push(tokio::spawn(flush(engine.clone())));
        background.extend(metrics_listener.map(|listener| tokio::spawn(metrics::serve(listener, metrics.clone()))));
        let look = Arc::new(Notify::new());
        background.extend(workload.map(|workload| tokio::spawn(workload.follow(tls.clone(), look.clone()))));
        background.push(tokio::spawn(tls::watch(tls.clone(), engine.clone(), look.clone())));
        let entrance = Entrance { tls, door, engine: engine.clone(), metrics, age_max, stopping };
        let listener = tokio::spawn(listen(listener, Arc::new(entrance)));
        tracing::info!(%address, regions = ?engine.regions().collect::<Vec<_>>(), "serving");
        Ok(Self {
            address,
            metrics_address,
            engine,
            running,
            health,
            stop,
            listener,
            streams,
            reloads,
            look,
            background,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells measurements, if anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Has the files of TLS looked at now, not only when their time has come. What has changed is used for new
    /// connections from then on, and open ones are held to it; what can't be used is refused, in both logs.
    pub fn reload_tls(&self) {
        self.look.notify_one();
    }

    /// The engine behind the door, for statistics.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Takes over other policies and another catalog while calls go on; see [`Engine::apply`]. Counted, either way.
    ///
    /// # Errors
    /// When they can't be taken over; the old ones hold on then.
    pub async fn apply(&self, policies: PolicySet) -> Result<Applied, ApplyError> {
        let applied = self.engine.apply(policies).await;
        match &applied {
            Ok(applied) => self.reloads.taken(applied.before != applied.now),
            Err(_) => self.count_unread_policies(),
        }
        applied
    }

    /// Counts files of policies and catalog that could not even be read, so that the old ones hold on.
    pub fn count_unread_policies(&self) {
        self.reloads.refused(self.engine.policies_fingerprint());
    }

    /// Resolves when the log can't be written any more: readiness fails at once, and the process must end.
    pub async fn failed(&self) {
        self.engine.failed().await;
        report(&self.health, ServingStatus::NotServing).await;
    }

    /// Stops taking calls, lets those in flight finish for a while, writes the stop into the log and ends.
    pub async fn shutdown(self) {
        let Self { engine, running, health, stop, listener, streams, background, .. } = self;
        report(&health, ServingStatus::NotServing).await;
        stop.send_replace(true);
        if listener.await.is_err() {
            tracing::error!("the listener ended by a panic");
        }
        streams.ended().await;
        cut_off_all(background).await;
        drop(engine);
        running.stop().await;
        tracing::info!("stopped");
    }

    /// Ends without a word to anybody, after [`failed`](Self::failed): calls in flight are cut off, as nothing that
    /// they do can be written into the log.
    pub async fn abandon(self) {
        let Self { engine, running, stop, listener, streams, background, .. } = self;
        stop.send_replace(true);
        cut_off(listener).await;
        streams.ended().await;
        cut_off_all(background).await;
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

async fn cut_off_all(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        cut_off(task).await;
    }
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

/// What every connection goes through.
struct Entrance<H> {
    tls: Arc<Tls>,
    door: Arc<Door<H>>,
    engine: Arc<Engine>,
    metrics: Arc<Metrics>,
    age_max: Duration,
    stopping: watch::Receiver<bool>,
}

/// Accepts until told to stop, then waits for the connections to drain.
async fn listen<H: Health>(listener: TcpListener, entrance: Arc<Entrance<H>>) {
    let mut stopping = entrance.stopping.clone();
    let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
    let connections = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    loop {
        let (stream, address, slots) = tokio::select! {
            accepted = accept(&listener, &handshakes, &connections) => accepted,
            () = stopped(&mut stopping) => break,
            Some(_) = open.join_next() => continue,
        };
        let entrance = entrance.clone();
        open.spawn(async move {
            let (handshake, connection) = slots;
            if let Some((stream, standing)) = entrance.shake_hands(stream, address).await {
                drop(handshake);
                let _open = entrance.metrics.connection();
                entrance.serve(stream, standing).await;
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

impl<H: Health> Entrance<H> {
    /// Shakes hands within the deadline; a refusal goes into the node's log.
    async fn shake_hands(
        &self,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Option<(TlsStream<TcpStream>, Arc<Standing>)> {
        if stream.set_nodelay(true).is_err() {
            return None;
        }
        let loaded = self.tls.current();
        let acceptor = TlsAcceptor::from(loaded.server.clone());
        let stream = match tokio::time::timeout(limits::HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::info!(source = %address.ip(), error = &error as &dyn std::error::Error, "handshake refused");
                let of_tls = error.get_ref().and_then(|error| error.downcast_ref()).and_then(tls::reason_of);
                self.refused(address, of_tls.unwrap_or(Reason::HandshakeRefused)).await;
                return None;
            }
            Err(_) => {
                tracing::info!(source = %address.ip(), "handshake timed out");
                self.refused(address, Reason::HandshakeRefused).await;
                return None;
            }
        };
        let standing = Standing::of(&self.tls, &loaded, stream.get_ref().1.peer_certificates()?, address)?;
        Some((stream, Arc::new(standing)))
    }

    async fn refused(&self, address: SocketAddr, reason: Reason) {
        self.metrics.handshake_refused(reason);
        let mut id = [0; 16];
        let refusal = |request_id| Refusal {
            action: Action::Connect,
            reason,
            source: Some(address.ip().to_canonical()),
            principal: None,
            certificate: None,
            request_id,
        };
        if self.engine.entropy().fill(&mut id).is_ok()
            && let Err(error) = self.engine.refused_at_the_door(refusal(RequestId(id))).await
        {
            tracing::error!(reason = error.reason().name(), "a refused handshake could not be written into the log");
        }
    }

    /// Serves one connection until it ends; or until it is old, or the server stops, and its calls are done.
    async fn serve(&self, stream: TlsStream<TcpStream>, standing: Arc<Standing>) {
        let door = self.door.clone();
        let service = service_fn(move |request| door.clone().answer(standing.clone(), request));
        let speaks_http_1 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_1_1);
        let io = TokioIo::new(Coalescing::new(stream));
        let ended = if speaks_http_1 {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(KEEPALIVE_INTERVAL)
                .max_buf_size(HTTP_1_BUFFER_BYTES)
                .serve_connection(io, service);
            self.while_young(connection, http1::Connection::graceful_shutdown).await
        } else {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_concurrent_streams(limits::CONNECTION_CALLS_MAX)
                .keep_alive_interval(KEEPALIVE_INTERVAL)
                .keep_alive_timeout(KEEPALIVE_TIMEOUT)
                .serve_connection(io, service);
            self.while_young(connection, http2::Connection::graceful_shutdown).await
        };
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended");
        }
    }

    /// Drives a connection. When it is old, or the server stops, its other end is told by `say_goodbye` to open no more
    /// calls, and those in flight may end.
    async fn while_young<C>(&self, connection: C, say_goodbye: impl FnOnce(Pin<&mut C>)) -> hyper::Result<()>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut stopping = self.stopping.clone();
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stopped(&mut stopping) => {}
            () = tokio::time::sleep(self.age()) => {}
        }
        say_goodbye(connection.as_mut());
        // Calls end by their own deadlines; this is for who takes no answers.
        tokio::time::timeout(GOODBYE_DEADLINE, connection).await.unwrap_or(Ok(()))
    }

    /// How old one connection may grow: the most there is, less up to a tenth by chance, so that connections that began
    /// together do not all come anew together.
    fn age(&self) -> Duration {
        let mut chance = [0; 1];
        // Without randomness every connection is as young as any.
        let filled = self.engine.entropy().fill(&mut chance).is_ok();
        let tenth = self.age_max / 10;
        let less = if filled { tenth * u32::from(chance[0]) / 255 } else { tenth };
        self.age_max.saturating_sub(less)
    }
}

/// Resolves when the server is told to stop.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // A server that is gone has stopped too.
    let _told_or_gone = stopping.wait_for(|stop| *stop).await.is_ok();
}
