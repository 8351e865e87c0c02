//! Measurements, for Prometheus and what reads its format: `GET /metrics` on an address of its own, over plain HTTP.
//!
//! Nothing here is about a value, a token or a caller: labels are file names, reasons and other words of the vault.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use tokio::{net::TcpListener, sync::Semaphore};
use vault_domain::{Millis, Reason};
use vault_engine::{Engine, Measured};

use crate::{
    alarms::Alarms,
    outside::Outside,
    reloads::ReloadCount,
    server::StartError,
    tls::{Dated, Tls},
};

/// How OpenMetrics 1.0 is called in HTTP.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
/// Readers that are served at once; the next one waits.
const READERS_MAX: usize = 8;
/// How long one reader may take.
const READER_DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Labels = Vec<(&'static str, String)>;
/// A measurement of each dated file: its name, its help, and how it is taken.
type OfFile<'a> = (&'a str, &'a str, &'a dyn Fn(&Dated) -> u64);

/// A measurement of each place that checkpoints go to; None: there is nothing to measure yet.
type OfPlace<'a> = (&'a str, &'a str, &'a dyn Fn(&Measured) -> Option<u64>);

/// All measurements of a server.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Gauge,
    handshakes_refused: Family<Labels, Counter>,
}

/// A connection that is counted for as long as this is kept.
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new(
        tls: Arc<Tls>,
        engine: &Arc<Engine>,
        reloads: Arc<ReloadCount>,
        (outside, alarms): (Arc<Outside>, Arc<Alarms>),
    ) -> Self {
        let mut registry = Registry::with_prefix("tokenvault");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which version this is", build);
        let connections = Gauge::default();
        registry.register("connections_open", "Connections that are open", connections.clone());
        let handshakes_refused = Family::default();
        let help = "Connections that were refused in the handshake";
        registry.register("handshakes_refused", help, handshakes_refused.clone());
        let rules = RulesCollector { engine: Arc::downgrade(engine), reloads, tls: tls.clone() };
        registry.register_collector(Box::new(rules));
        registry.register_collector(Box::new(AlarmCollector(alarms)));
        let (engine, clock) = (Arc::downgrade(engine), tls.clone());
        registry.register_collector(Box::new(OutsideCollector { engine, outside, tls: clock }));
        registry.register_collector(Box::new(TlsCollector(tls)));
        Self { registry, connections, handshakes_refused }
    }

    /// Counts a connection as open.
    pub(crate) fn connection(&self) -> Open {
        self.connections.inc();
        Open(self.connections.clone())
    }

    /// Counts a refused handshake.
    pub(crate) fn handshake_refused(&self, reason: Reason) {
        self.handshakes_refused.get_or_create(&vec![("reason", reason.name().to_owned())]).inc();
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let mut text = String::new();
        let status = if request.uri().path() != "/metrics" {
            StatusCode::NOT_FOUND
        } else if request.method() != Method::GET {
            StatusCode::METHOD_NOT_ALLOWED
        } else if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            StatusCode::INTERNAL_SERVER_ERROR
        } else {
            StatusCode::OK
        };
        let body = if status == StatusCode::OK { text.into() } else { Bytes::new() };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        response
    }
}

/// What is loaded for TLS, as it is at the moment of reading.
struct TlsCollector(Arc<Tls>);

impl fmt::Debug for TlsCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCollector")
    }
}

impl Collector for TlsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (loaded, told, now) = (self.0.current(), self.0.told(), self.0.now());
        let ages = |dated: &Dated| (now.0 / 1000).saturating_sub(dated.not_before);
        let of_files: [OfFile<'_>; 3] = [
            ("tls_file_not_before_seconds", "Since when a certificate or revocation list is good", &|d| d.not_before),
            ("tls_file_not_after_seconds", "Until when a certificate or revocation list is good", &|d| d.not_after),
            ("tls_file_age_seconds", "How old a certificate or revocation list is", &ages),
        ];
        for (name, help, value) in of_files {
            let family = Family::<Labels, Gauge>::default();
            for dated in &loaded.dated {
                let file = dated.path.display().to_string();
                let labels =
                    vec![("kind", dated.kind.key().to_owned()), ("file", file), ("number", dated.number.to_string())];
                family.get_or_create(&labels).set(gauge(value(dated)));
            }
            family.encode(encoder.encode_descriptor(name, help, None, family.metric_type())?)?;
        }
        let refused = u64::from(told.refused.is_some());
        for (name, help, value) in [
            ("tls_loaded_timestamp_seconds", "When the files in use were loaded", loaded.at.0 / 1000),
            ("tls_reload_refused", "1 while the files on the disk can't be used and older ones are in use", refused),
        ] {
            one(&mut encoder, name, help, value)?;
        }
        let help = "Changes of the files since the start, by what became of them";
        counted(&mut encoder, "tls_reloads", help, [("done", told.done), ("refused", told.refusals)])
    }
}

/// Which catalog and policies serve, whether what the files say does, and how far the index of each log has come. A
/// reader that is slow must not keep the engine from its end: it is held by nobody here.
struct RulesCollector {
    engine: Weak<Engine>,
    reloads: Arc<ReloadCount>,
    /// Knows what time it is.
    tls: Arc<Tls>,
}

impl fmt::Debug for RulesCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RulesCollector")
    }
}

impl Collector for RulesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let (since, serving) = (engine.policies_since(), engine.policies_fingerprint());
        let behind = Family::<Labels, Gauge>::default();
        for (region, entries) in engine.index_behind() {
            behind.get_or_create(&vec![("region", region.as_str().to_owned())]).set(gauge(entries));
        }
        let pruned = Family::<Labels, Gauge>::default();
        for (log, index) in engine.minimum_indexes() {
            pruned.get_or_create(&vec![("log", log.to_owned())]).set(gauge(index));
        }
        drop(engine);
        let help = "The first entry of a log that was not pruned; of those below it there are the hashes alone";
        pruned.encode(encoder.encode_descriptor("log_minimum_index", help, None, pruned.metric_type())?)?;
        let help = "Entries of a region's log that its index does not cover yet; below 256 it is where it should be";
        behind.encode(encoder.encode_descriptor("log_index_behind_entries", help, None, behind.metric_type())?)?;
        let told = self.reloads.get();
        let age = self.tls.now().0.saturating_sub(since.0) / 1000;
        let refused = u64::from(told.is_refused(&serving));
        one(&mut encoder, "rules_loaded_timestamp_seconds", "Since when catalog and policies serve", since.0 / 1000)?;
        one(&mut encoder, "rules_age_seconds", "For how long catalog and policies serve", age)?;
        let help = "1 while catalog and policies in the files are refused and older ones serve";
        one(&mut encoder, "rules_reload_refused", help, refused)?;
        let help = "Times that catalog and policies were read anew since the start, by what became of them";
        counted(&mut encoder, "rules_reloads", help, [("done", told.done), ("refused", told.refusals)])
    }
}

/// How it stands with the places that checkpoints go to.
struct OutsideCollector {
    engine: Weak<Engine>,
    outside: Arc<Outside>,
    /// Knows what time it is.
    tls: Arc<Tls>,
}

impl fmt::Debug for OutsideCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OutsideCollector")
    }
}

impl Collector for OutsideCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(engine) = self.engine.upgrade() else { return Ok(()) };
        let mut standings = engine.checkpoint_files().to_vec();
        drop(engine);
        standings.extend(self.outside.standings());
        let measured: Vec<(Labels, Measured)> = standings
            .iter()
            .map(|standing| {
                let labels = [("kind", standing.kind()), ("place", standing.place()), ("log", standing.log())];
                (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), standing.measured())
            })
            .collect();
        let now = self.tls.now().0;
        let age = |at: Option<Millis>| at.map(|at| now.saturating_sub(at.0) / 1000);
        let of_places: [OfPlace<'_>; 4] = [
            ("outside_accepted_size", "Entries that the newest checkpoint covers which was taken outside", &|m| {
                m.accepted_at.map(|_| m.accepted_size)
            }),
            ("outside_accepted_age_seconds", "How long ago a checkpoint was last taken outside", &|m| {
                age(m.accepted_at)
            }),
            ("outside_waiting_seconds", "For how long a newer checkpoint waits to be taken outside", &|m| {
                Some(age(m.waiting_since).unwrap_or(0))
            }),
            ("outside_failing", "1 while the last attempt to have a checkpoint taken outside failed", &|m| {
                Some(u64::from(m.is_failing))
            }),
        ];
        for (name, help, value) in of_places {
            let family = Family::<Labels, Gauge>::default();
            for (labels, measured) in &measured {
                if let Some(value) = value(measured) {
                    family.get_or_create(labels).set(gauge(value));
                }
            }
            family.encode(encoder.encode_descriptor(name, help, None, family.metric_type())?)?;
        }
        let failures = Family::<Labels, Counter>::default();
        for (labels, measured) in &measured {
            failures.get_or_create(labels).inc_by(measured.failures);
        }
        let help = "Attempts since the start to have a checkpoint taken outside that failed";
        failures.encode(encoder.encode_descriptor("outside_failures", help, None, failures.metric_type())?)
    }
}

/// What goes wrong without a call that fails.
struct AlarmCollector(Arc<Alarms>);

impl fmt::Debug for AlarmCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AlarmCollector")
    }
}

impl Collector for AlarmCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (levels, alarms) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        for ((kind, log), level) in self.0.levels() {
            let labels = vec![("alarm", kind.name().to_owned()), ("log", log)];
            levels.get_or_create(&labels).set(gauge(level.value));
            alarms.get_or_create(&labels).set(i64::from(level.is_wrong));
        }
        let help = "What an alarm goes by: bytes that are free, entries, or seconds";
        levels.encode(encoder.encode_descriptor("alarm_level", help, None, levels.metric_type())?)?;
        let help = "1 while something is wrong that docs/AUDIT.md names";
        alarms.encode(encoder.encode_descriptor("alarm", help, None, alarms.metric_type())?)
    }
}

/// A measurement without labels.
fn one(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let one = Gauge::<i64>::default();
    one.set(gauge(value));
    one.encode(encoder.encode_descriptor(name, help, None, one.metric_type())?)
}

/// A count by results.
fn counted(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, counts: [(&str, u64); 2]) -> fmt::Result {
    let counted = Family::<Labels, Counter>::default();
    for (result, count) in counts {
        counted.get_or_create(&vec![("result", result.to_owned())]).inc_by(count);
    }
    counted.encode(encoder.encode_descriptor(name, help, None, counted.metric_type())?)
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Takes the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// Serves until it is cut off.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let readers = Arc::new(Semaphore::new(READERS_MAX));
    loop {
        let Ok(reader) = readers.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = metrics.answer(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A reader that went away has what it wanted, or comes again.
            let _ended = tokio::time::timeout(READER_DEADLINE, connection).await;
            drop(reader);
        });
    }
}
