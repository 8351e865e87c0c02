//! The files of TLS as they lie on the disk: read whole, once for each look, so that what is compared is what is used.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::{CryptoProvider, hash::Hash},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::{Dated, FileKind, Svid, TlsError, file};
use crate::{
    config::{OwnIdentity, TlsConfig},
    regular_file,
};

/// One of these files may have so many bytes; revocation lists of large authorities have some millions.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The contents of all files, by their hash.
pub(super) type Fingerprint = [u8; 48];

/// The contents of all files.
pub(super) struct Files {
    pub(super) own: Own,
    pub(super) client_ca: Vec<Vec<u8>>,
    pub(super) client_crl: Vec<Vec<u8>>,
    pub(super) fingerprint: Fingerprint,
}

/// The server's own certificate and key.
pub(super) enum Own {
    /// In PEM.
    Pem { certificate: Vec<u8>, key: Zeroizing<Vec<u8>> },
    /// From the Workload API.
    Svid(Arc<Svid>),
    /// The Workload API was not asked.
    Nothing,
}

/// Certificate chain, key, and their times, the leaf's first.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, Vec<Dated>);

const WHAT: &str = "the server certificate";

impl Files {
    pub(super) fn read(config: &TlsConfig, svid: Option<Arc<Svid>>) -> Result<Self, TlsError> {
        let all = |what, paths: &[PathBuf]| paths.iter().map(|path| read(what, path)).collect::<Result<Vec<_>, _>>();
        let own = match (&config.own, svid) {
            (OwnIdentity::Files { certificate, key }, _) => {
                let key = Zeroizing::new(read("the server key", key)?);
                Own::Pem { certificate: read(WHAT, certificate)?, key }
            }
            (OwnIdentity::WorkloadApi { .. }, Some(svid)) => Own::Svid(svid),
            (OwnIdentity::WorkloadApi { .. }, None) => Own::Nothing,
        };
        let mut files = Self {
            own,
            client_ca: all("the client CA", &config.client_ca)?,
            client_crl: all("the revocation list", &config.client_crl)?,
            fingerprint: [0; 48],
        };
        files.fingerprint = files.hash()?;
        Ok(files)
    }

    /// The server's own certificate and key, read.
    pub(super) fn own_identity(&self, config: &TlsConfig) -> Result<Identity, TlsError> {
        match (&self.own, &config.own) {
            (Own::Pem { certificate, key }, OwnIdentity::Files { certificate: path, key: key_path }) => {
                let chain = certificates(WHAT, path, certificate)?;
                let key =
                    PrivateKeyDer::from_pem_slice(key).map_err(|error| file("the server key", key_path, &error))?;
                let dated = Dated::of_certificates(FileKind::Certificate, path, &chain)?;
                Ok((chain, key, dated))
            }
            (Own::Svid(svid), OwnIdentity::WorkloadApi { socket }) => {
                let key = PrivatePkcs8KeyDer::from(svid.key.to_vec()).into();
                let dated = Dated::of_certificates(FileKind::WorkloadApi, socket, &svid.chain)?;
                Ok((svid.chain.clone(), key, dated))
            }
            _ => Err(TlsError::Refused("the Workload API has given no certificate yet".to_owned())),
        }
    }

    /// SHA-384 over all files, each behind its length.
    fn hash(&self) -> Result<Fingerprint, TlsError> {
        let hash = sha384().ok_or_else(|| TlsError::Refused("there is no SHA-384".to_owned()))?;
        let mut context = hash.start();
        let own: Vec<&[u8]> = match &self.own {
            Own::Pem { certificate, key } => vec![certificate, key],
            Own::Svid(svid) => svid.chain.iter().map(|der| &**der).chain([svid.key.as_slice()]).collect(),
            Own::Nothing => Vec::new(),
        };
        for contents in own.into_iter().chain(self.client_ca.iter().chain(&self.client_crl).map(Vec::as_slice)) {
            context.update(&contents.len().to_be_bytes());
            context.update(contents);
        }
        let mut fingerprint = [0; 48];
        fingerprint.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        Ok(fingerprint)
    }
}

/// The hash of TLS's own suites (RFC 8446 appendix B.4).
fn sha384() -> Option<&'static dyn Hash> {
    let CryptoProvider { cipher_suites, .. } = rustls::crypto::aws_lc_rs::default_provider();
    let mut hashes = cipher_suites.iter().filter_map(|suite| Some(suite.tls13()?.common.hash_provider));
    hashes.find(|hash| hash.output_len() == 48)
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let bytes = regular_file::check(path).map_err(|error| file(what, path, &error))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(file(what, path, &format!("is larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read(path).map_err(|error| file(what, path, &error))
}

/// The certificates of a file, one at least.
pub(super) fn certificates(
    what: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| file(what, path, &error))?;
    if read.is_empty() {
        return Err(file(what, path, &"holds no certificate in PEM form"));
    }
    Ok(read)
}
