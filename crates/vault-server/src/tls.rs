//! TLS 1.3 with client certificates, always. No resumption: every connection is verified afresh.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use thiserror::Error;
use x509_parser::{
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

use crate::config::TlsConfig;

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

/// Builds the server's side.
pub(crate) fn server_config(config: &TlsConfig) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for path in &config.client_ca {
        for certificate in certificates("the client CA", path)? {
            roots.add(certificate).map_err(|error| file("the client CA", path, &error))?;
        }
    }
    let refused = |error: &dyn std::fmt::Display| TlsError::Refused(error.to_string());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone())
        .build()
        .map_err(|error| refused(&error))?;
    let chain = certificates("the server certificate", &config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| file("the server key", &config.key, &error))?;
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| refused(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| refused(&error))?;
    server.alpn_protocols = vec![b"h2".to_vec(), HTTP_1_1.to_vec()];
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(server))
}

/// When the server's certificate begins and ends to be valid, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expiry {
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
}

/// Reads the validity of the server's leaf (RFC 5280 section 4.1.2.5).
pub(crate) fn expiry(config: &TlsConfig) -> Result<Expiry, TlsError> {
    let what = "the server certificate";
    let chain = certificates(what, &config.certificate)?;
    let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok());
    let (_, leaf) = leaf.ok_or_else(|| file(what, &config.certificate, &"can't be read"))?;
    let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    Ok(Expiry { not_before: seconds(leaf.validity().not_before), not_after: seconds(leaf.validity().not_after) })
}

/// The organization in the name of the authority that `tokenvault dev` makes, so in every certificate of it: as the
/// subject or as the issuer. The authority's key is thrown away, but the files that it signed lie in the open.
pub const THROWAWAY_ORGANIZATION: &str = "tokenvault dev: throwaway, never for production";

/// The certificates of a configuration that bear the mark of `tokenvault dev`, each with what to do. What can't be read
/// is not judged here.
pub(crate) fn throwaway(config: &TlsConfig) -> Vec<String> {
    let own = ("tls.certificate", &config.certificate);
    let marked = [own].into_iter().chain(config.client_ca.iter().map(|path| ("tls.client_ca", path)));
    let marked = marked.filter(|(key, path)| certificates(key, path).is_ok_and(|read| read.iter().any(is_throwaway)));
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

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| file(what, path, &error))?;
    let read: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| file(what, path, &error))?;
    if read.is_empty() {
        return Err(file(what, path, &"holds no certificate in PEM form"));
    }
    Ok(read)
}

fn file(what: &'static str, path: &Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.display().to_string(), problem: problem.to_string() }
}
