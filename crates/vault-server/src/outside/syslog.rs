//! New checkpoints as messages of syslog (RFC 5424), one a second of each log at most: over TLS (RFC 5425) or TCP,
//! where each message stands behind its length (RFC 6587 section 3.4.1), or over UDP (RFC 5426).
//!
//! ```text
//! <109>1 2026-11-22T10:30:00.123Z node-1 tokenvault 4711 checkpoint
//!     [checkpoint@32473 origin="…" size="…" root="<base64>"] <byte order mark><the signed note>
//! ```
//!
//! Syslog has no acknowledgement: taken means that the kernel, or the TLS, took it. Only a witness says more.

use std::{sync::Arc, time::Duration};

use rustls::pki_types::ServerName;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};
use tokio_rustls::TlsConnector;
use vault_domain::{Clock, limits};
use vault_engine::{Checkpoint, OutsideLog, SignedCheckpoint, Standing};

use super::SyslogConfig;
use crate::{config::ConfigError, http_client::tls_by};

/// Facility 13, log audit; severity 5, notice (RFC 5424 section 6.2.1).
const PRIORITY: u32 = 13 * 8 + 5;
/// The number of the structured data is the one for documents and private use (RFC 5612).
const STRUCTURE: &str = "checkpoint@32473";
/// How long connecting and sending may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long to leave a collector alone after a failure: doubled with each, up to the second.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tls,
    Tcp,
    Udp,
}

/// The collector of logs.
pub(crate) struct Collector {
    host: String,
    port: u16,
    transport: Transport,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// This node's name.
    node: String,
    clock: Arc<dyn Clock>,
}

/// A connection that is open.
enum Open {
    Stream(Box<dyn Stream>),
    Datagrams(UdpSocket),
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Collector {
    pub(super) fn open(config: &SyslogConfig, node: &str, clock: &Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let refuse = |key, problem: &str| ConfigError::Key { key, problem: problem.to_owned() };
        let address = "syslog.address";
        let (host, port) =
            config.address.rsplit_once(':').ok_or_else(|| refuse(address, "must be a host and a port"))?;
        let port = port.parse().map_err(|_| refuse(address, "must have a port from 1 to 65535"))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let tls = match config.transport {
            Transport::Tcp | Transport::Udp => None,
            Transport::Tls => {
                let key = "syslog.ca";
                if config.authorities.is_empty() {
                    return Err(refuse(key, "must name the authorities of the collector's certificate"));
                }
                let authorities = config.authorities.iter().map(std::path::PathBuf::as_path);
                let tls = tls_by(key, authorities).map_err(|problem| refuse(key, &problem))?.with_no_client_auth();
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| refuse(address, "has no host that can be verified"))?;
                Some((TlsConnector::from(Arc::new(tls)), name))
            }
        };
        Ok(Self { host, port, transport: config.transport, tls, node: node.to_owned(), clock: clock.clone() })
    }

    /// How it stands with the messages of one log.
    pub(super) fn standing(&self, log: &OutsideLog) -> Arc<Standing> {
        Arc::new(Standing::new("syslog", "syslog.address", log.name(), self.clock.clone()))
    }

    /// Sends new checkpoints of a log, until the journal ends.
    pub(super) async fn follow(self: Arc<Self>, log: OutsideLog, standing: Arc<Standing>) {
        let mut checkpoints = log.checkpoints();
        let (mut open, mut failures, mut sent) = (None, 0_u32, None);
        loop {
            let newest = checkpoints.borrow_and_update().clone();
            if let Some(newest) = newest.filter(|newest| sent != Some(newest.size)) {
                standing.offered(newest.size);
                let sending = tokio::time::timeout(DEADLINE, self.send(&mut open, &log, &newest)).await;
                match sending.unwrap_or_else(|_| Err(format!("it took more than {} s", DEADLINE.as_secs()))) {
                    Ok(()) => {
                        standing.accepted(newest.size);
                        (failures, sent) = (0, Some(newest.size));
                    }
                    Err(problem) => {
                        standing.failed(problem);
                        // What is left of a message on a broken connection would spoil the next.
                        (failures, open) = (failures.saturating_add(1), None);
                        let pause = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(PAUSE_MAX);
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                }
            }
            tokio::time::sleep(limits::CHECKPOINT_INTERVAL).await;
            if checkpoints.changed().await.is_err() {
                return;
            }
        }
    }

    async fn send(&self, open: &mut Option<Open>, log: &OutsideLog, newest: &SignedCheckpoint) -> Result<(), String> {
        let message = self.message(log, newest)?;
        let fault = |error: std::io::Error| error.to_string();
        if let Some(Open::Stream(stream)) = open
            && has_ended(stream).await
        {
            *open = None;
        }
        let open = match open {
            Some(open) => open,
            None => open.insert(self.connect().await.map_err(fault)?),
        };
        match open {
            Open::Stream(stream) => {
                let framed = [format!("{} ", message.len()).as_bytes(), &message].concat();
                stream.write_all(&framed).await.map_err(fault)?;
                stream.flush().await.map_err(fault)
            }
            Open::Datagrams(socket) => socket.send(&message).await.map(drop).map_err(fault),
        }
    }

    async fn connect(&self) -> std::io::Result<Open> {
        let address = (self.host.as_str(), self.port);
        if self.transport == Transport::Udp {
            let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
            for address in tokio::net::lookup_host(address).await? {
                let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(own).await?;
                match socket.connect(address).await {
                    Ok(()) => return Ok(Open::Datagrams(socket)),
                    Err(error) => last = error,
                }
            }
            return Err(last);
        }
        let stream = TcpStream::connect(address).await?;
        Ok(Open::Stream(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        }))
    }

    fn message(&self, log: &OutsideLog, newest: &SignedCheckpoint) -> Result<Vec<u8>, String> {
        let head = Checkpoint::open(&newest.note, log.verifier_key()).map_err(|error| error.to_string())?;
        let text = head.text();
        let root = text.lines().nth(2).unwrap_or_default();
        let millis = i128::from(self.clock.wall().0);
        let now = OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000);
        // A time that can't be written is left out, as the standard says.
        let now = now.ok().and_then(|now| now.format(&Rfc3339).ok()).unwrap_or_else(|| "-".to_owned());
        let (node, process, size) = (&self.node, std::process::id(), head.head.size.0);
        let origin = escaped(head.origin.as_str());
        let message = format!(
            "<{PRIORITY}>1 {now} {node} tokenvault {process} checkpoint \
             [{STRUCTURE} origin=\"{origin}\" size=\"{size}\" root=\"{root}\"] \u{feff}{}",
            newest.note
        );
        Ok(message.into_bytes())
    }
}

/// Whether the other side has closed the connection: it never says anything.
async fn has_ended(stream: &mut Box<dyn Stream>) -> bool {
    let mut nothing = [0; 64];
    tokio::select! {
        biased;
        read = stream.read(&mut nothing) => !matches!(read, Ok(1..)),
        () = std::future::ready(()) => false,
    }
}

/// A value of structured data (RFC 5424 section 6.3.3).
fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '"' | '\\' | ']').then_some('\\').into_iter().chain([c])).collect()
}
