//! TLS 1.3 with client certificates, always. No resumption: every connection is verified afresh.
//!
//! Everything that a handshake goes by is loaded as one and swapped as one: the server's certificate and key, the
//! authorities of clients, their revocation lists. What can't be used is refused as a whole, and what was loaded before
//! stays. [`Standing`] holds an open connection to what is loaded now.

mod dated;
mod files;
mod revocation;
mod standing;
mod watch;
mod workload;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    time_provider::TimeProvider,
};
use thiserror::Error;
use vault_domain::{Clock, Millis};
use x509_parser::prelude::{FromDer, X509Certificate};

pub(crate) use dated::{Dated, FileKind, Timing};
pub(crate) use standing::{Standing, reason_of};
pub(crate) use watch::watch;
pub(crate) use workload::{Svid, WorkloadApi};

use crate::{
    config::{OwnIdentity, TlsConfig},
    regular_file,
};
use files::{Files, Fingerprint, Own, certificates};

/// The name of HTTP/1.1 in ALPN (RFC 7301 section 6): what gRPC-Web may come over.
pub(crate) const HTTP_1_1: &[u8] = b"http/1.1";

/// Why the TLS configuration can't be used. Texts name files, never their contents.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read or holds something else.
    #[error("{what} {path}: {problem}")]
    File {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Certificate and key do not fit, or the client CA is of no use.
    #[error("the TLS configuration does not work: {0}")]
    Refused(String),
}

/// What handshakes and open connections are held to. Never changed, but replaced.
pub(crate) struct Loaded {
    /// For handshakes.
    pub(crate) server: Arc<ServerConfig>,
    /// The part of it that judges clients.
    clients: Clients,
    /// How many were loaded before.
    generation: u64,
    /// Certificates and lists with their times.
    pub(crate) dated: Vec<Dated>,
    /// Which files these were.
    fingerprint: Fingerprint,
    /// When they were loaded.
    pub(crate) at: Millis,
}

/// What clients are judged by.
struct Clients {
    verifier: Arc<dyn ClientCertVerifier>,
    /// When the first of the revocation lists expires, in seconds since 1970.
    lists_end: Option<u64>,
    dated: Vec<Dated>,
    /// Files with authorities that have no revocation list where others have one.
    without_list: Vec<String>,
    /// The issuers of the lists, and when each was issued, in seconds since 1970.
    issued: Vec<(Vec<u8>, u64)>,
}

/// The times of everything that the configuration names, and the files with authorities that have no revocation list
/// where others have one: for who looks without serving. What the Workload API gives is not asked for.
///
/// # Errors
/// When one of the files can't be used, or all together can't.
pub(crate) fn look(config: &TlsConfig, clock: &Arc<dyn Clock>) -> Result<(Vec<Dated>, Vec<String>), TlsError> {
    let files = Files::read(config, None)?;
    if matches!(files.own, Own::Nothing) {
        let Clients { dated, without_list, .. } = Clients::build(config, &files, clock, None)?;
        return Ok((dated, without_list));
    }
    let Loaded { dated, clients, .. } = Loaded::build(config, &files, clock, None)?;
    Ok((dated, clients.without_list))
}

impl Loaded {
    fn build(
        config: &TlsConfig,
        files: &Files,
        clock: &Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let (chain, key, mut dated) = files.own_identity(config)?;
        if before.is_some() {
            // At the start there is nothing better to keep.
            refuse_stale(&dated, clock.wall())?;
        }
        let clients = Clients::build(config, files, clock, before.map(|before| &before.clients))?;
        let server = server_config(clients.verifier.clone(), clock, chain, key)
            .map_err(|error| TlsError::Refused(error.to_string()))?;
        dated.extend(clients.dated.iter().cloned());
        Ok(Self {
            server,
            clients,
            generation: before.map_or(0, |before| before.generation + 1),
            dated,
            fingerprint: files.fingerprint,
            at: clock.wall(),
        })
    }
}

impl Clients {
    fn build(
        config: &TlsConfig,
        files: &Files,
        clock: &Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (mut dated, mut roots, mut authorities) = (Vec::new(), RootCertStore::empty(), Vec::new());
        for (path, bytes) in config.client_ca.iter().zip(&files.client_ca) {
            let read = certificates("the client CA", path, bytes)?;
            dated.extend(Dated::of_certificates(FileKind::ClientCa, path, &read)?);
            for certificate in read {
                roots.add(certificate.clone()).map_err(|error| file("the client CA", path, &error))?;
                authorities.push((path.as_path(), certificate));
            }
        }
        let lists = revocation::Lists::read(config, files, &authorities, &provider, clock.wall())?;
        if let Some(before) = before {
            // At the start there is nothing better to keep: then all are refused until there is a good list.
            lists.refuse_stale(&before.issued, clock.wall())?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        if !lists.lists.is_empty() {
            // An unknown status is refused, which is the default of the builder.
            verifier = verifier.with_crls(lists.lists).enforce_revocation_expiration();
        }
        let verifier = verifier.build().map_err(|error| TlsError::Refused(error.to_string()))?;
        let lists_end = lists.dated.iter().map(|list| list.not_after).min();
        dated.extend(lists.dated);
        Ok(Self { verifier, lists_end, dated, without_list: lists.without_list, issued: lists.issued })
    }
}

/// Refuses a server certificate that no client would accept now.
fn refuse_stale(dated: &[Dated], now: Millis) -> Result<(), TlsError> {
    match dated.first().map(|leaf| (leaf, leaf.timing(now, Duration::ZERO))) {
        Some((leaf, timing @ (Timing::Early | Timing::Over))) => {
            Err(file("the server certificate", &leaf.path, &leaf.text(now, timing)))
        }
        _ => Ok(()),
    }
}

fn server_config(
    verifier: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_details(provider, Arc::new(TlsTime(clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"h2".to_vec(), HTTP_1_1.to_vec()];
    // A resumed session would not look at a revocation list that came since.
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(server))
}

/// The clock that certificates and lists are judged by.
#[derive(Debug)]
struct TlsTime(Arc<dyn Clock>);

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.wall()))
    }
}

fn unix_time(time: Millis) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_millis(time.0))
}

/// What is loaded, and how it is replaced.
pub(crate) struct Tls {
    pub(crate) config: TlsConfig,
    clock: Arc<dyn Clock>,
    current: ArcSwap<Loaded>,
    /// What the Workload API gave last.
    svid: Mutex<Option<Arc<Svid>>>,
    told: Mutex<Told>,
}

/// What was said of reloads.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// Why the files as they lie there now are not in use.
    pub(crate) refused: Option<String>,
    /// How many reloads there were that brought something new, and how many were refused.
    pub(crate) done: u64,
    pub(crate) refusals: u64,
}

/// What became of a reload.
pub(crate) enum Reload {
    /// The files are those in use, or are refused as was said before.
    Nothing,
    /// They are in use now.
    Done,
    /// They can't be used. Those from before stay.
    Refused(TlsError),
}

impl Tls {
    /// Loads everything for the first time.
    ///
    /// # Errors
    /// When it can't be used.
    pub(crate) fn open(config: TlsConfig, clock: Arc<dyn Clock>, svid: Option<Arc<Svid>>) -> Result<Self, TlsError> {
        let files = Files::read(&config, svid.clone())?;
        let current = ArcSwap::from_pointee(Loaded::build(&config, &files, &clock, None)?);
        Ok(Self { config, clock, current, svid: Mutex::new(svid), told: Mutex::default() })
    }

    /// Puts what the Workload API gives now where the next reload finds it.
    fn renew(&self, svid: Svid) {
        *self.svid.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(svid));
    }

    /// What holds for a new connection.
    pub(crate) fn current(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// The time that files are judged at.
    pub(crate) fn now(&self) -> Millis {
        self.clock.wall()
    }

    /// What was said of reloads.
    pub(crate) fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads the files again if they have changed. The same refusal is told once, and again if `asked`. Reads files: to
    /// be called on a thread that may block, and by one at a time.
    fn reload(&self, asked: bool) -> Reload {
        let before = self.current();
        let svid = self.svid.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let built = Files::read(&self.config, svid).and_then(|files| {
            let is_new = files.fingerprint != before.fingerprint;
            is_new.then(|| Loaded::build(&self.config, &files, &self.clock, Some(&before))).transpose()
        });
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match built {
            Ok(None) => {
                told.refused = None;
                Reload::Nothing
            }
            Ok(Some(loaded)) => {
                self.current.store(Arc::new(loaded));
                (told.refused, told.done) = (None, told.done + 1);
                Reload::Done
            }
            Err(error) => {
                let text = Some(error.to_string());
                if told.refused == text && !asked {
                    return Reload::Nothing;
                }
                (told.refused, told.refusals) = (text, told.refusals + 1);
                Reload::Refused(error)
            }
        }
    }
}

/// The organization in the name of the authority that `tokenvault dev` makes, so in every certificate of it: as the
/// subject or as the issuer. The authority's key is thrown away, but the files that it signed lie in the open.
pub const THROWAWAY_ORGANIZATION: &str = "tokenvault dev: throwaway, never for production";

/// The certificates of a configuration that bear the mark of `tokenvault dev`, each with what to do. What can't be read
/// is not judged here.
pub(crate) fn throwaway(config: &TlsConfig) -> Vec<String> {
    let own = match &config.own {
        OwnIdentity::Files { certificate, .. } => Some(("tls.certificate", certificate)),
        OwnIdentity::WorkloadApi { .. } => None,
    };
    let marked = own.into_iter().chain(config.client_ca.iter().map(|path| ("tls.client_ca", path)));
    let marked = marked.filter(|(key, path)| {
        let read = regular_file::check(path)
            .and_then(|_| std::fs::read(path))
            .ok()
            .and_then(|bytes| certificates(key, path, &bytes).ok());
        read.is_some_and(|read| read.iter().any(is_throwaway))
    });
    marked
        .map(|(key, path)| {
            format!("{key}: {} was made by `tokenvault dev`; issue one by an authority of your own", path.display())
        })
        .collect()
}

fn is_throwaway(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return false };
    [certificate.subject(), certificate.issuer()]
        .into_iter()
        .flat_map(|name| name.iter_organization())
        .any(|organization| organization.as_str() == Ok(THROWAWAY_ORGANIZATION))
}

fn file(what: &'static str, path: &Path, problem: &dyn fmt::Display) -> TlsError {
    TlsError::File { what, path: path.display().to_string(), problem: problem.to_string() }
}
