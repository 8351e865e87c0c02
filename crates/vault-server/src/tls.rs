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

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    time_provider::TimeProvider,
};
use thiserror::Error;
use vault_domain::{Clock, Millis};
use x509_parser::prelude::{FromDer, X509Certificate};

pub(crate) use dated::{Dated, FileKind, Timing};
pub(crate) use standing::{Standing, reason_of};
pub(crate) use watch::watch;

use crate::config::TlsConfig;
use files::{Files, Fingerprint, certificates};

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
    verifier: Arc<dyn ClientCertVerifier>,
    /// How many were loaded before.
    generation: u64,
    /// When the first of the revocation lists expires, in seconds since 1970.
    lists_end: Option<u64>,
    /// Certificates and lists with their times.
    pub(crate) dated: Vec<Dated>,
    /// Authorities without a revocation list where others have one, by the number of their certificate in a file.
    pub(crate) without_list: Vec<String>,
    /// The issuers of the lists, and when each was issued, in seconds since 1970.
    issued: Vec<(Vec<u8>, u64)>,
    /// Which files these were.
    fingerprint: Fingerprint,
    /// When they were loaded.
    pub(crate) at: Millis,
}

impl Loaded {
    /// Loads all files that the configuration names.
    ///
    /// # Errors
    /// When one of them can't be used, or all together can't.
    pub(crate) fn load(config: &TlsConfig, clock: &Arc<dyn Clock>) -> Result<Self, TlsError> {
        Self::build(config, &Files::read(config)?, clock, None)
    }

    fn build(
        config: &TlsConfig,
        files: &Files,
        clock: &Arc<dyn Clock>,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let refused = |error: &dyn fmt::Display| TlsError::Refused(error.to_string());
        let mut dated = Vec::new();
        let chain = certificates("the server certificate", &config.certificate, &files.certificate)?;
        dated.extend(Dated::of_certificates(FileKind::Certificate, &config.certificate, &chain)?);
        let key = PrivateKeyDer::from_pem_slice(&files.key)
            .map_err(|error| file("the server key", &config.key, &error))?;
        let (mut roots, mut authorities) = (RootCertStore::empty(), Vec::new());
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
            refuse_stale(&dated, clock.wall())?;
            lists.refuse_stale(&before.issued, clock.wall())?;
        }
        dated.extend(lists.dated.iter().cloned());
        let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        if !lists.lists.is_empty() {
            // An unknown status is refused, which is the default of the builder.
            verifier = verifier.with_crls(lists.lists).enforce_revocation_expiration();
        }
        let verifier = verifier.build().map_err(|error| refused(&error))?;
        let server = server_config(provider, verifier.clone(), clock, chain, key).map_err(|error| refused(&error))?;
        Ok(Self {
            server,
            verifier,
            generation: before.map_or(0, |before| before.generation + 1),
            lists_end: lists.dated.iter().map(|list| list.not_after).min(),
            dated,
            without_list: lists.without_list,
            issued: lists.issued,
            fingerprint: files.fingerprint,
            at: clock.wall(),
        })
    }
}

/// Refuses a server certificate that no client would accept now.
fn refuse_stale(dated: &[Dated], now: Millis) -> Result<(), TlsError> {
    let leaf = dated.iter().find(|dated| dated.kind == FileKind::Certificate);
    match leaf.map(|leaf| (leaf, leaf.timing(now, Duration::ZERO))) {
        Some((leaf, timing @ (Timing::Early | Timing::Over))) => {
            Err(file("the server certificate", &leaf.path, &leaf.text(now, timing)))
        }
        _ => Ok(()),
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
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
    pub(crate) fn open(config: TlsConfig, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(Loaded::load(&config, &clock)?);
        Ok(Self { config, clock, current, told: Mutex::default() })
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
        let built = Files::read(&self.config).and_then(|files| {
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
    let own = ("tls.certificate", &config.certificate);
    let marked = [own].into_iter().chain(config.client_ca.iter().map(|path| ("tls.client_ca", path)));
    let marked = marked.filter(|(key, path)| {
        let read = std::fs::read(path).ok().and_then(|bytes| certificates(key, path, &bytes).ok());
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
