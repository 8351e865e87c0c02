//! The files of TLS as they lie on the disk: read whole, once for each look, so that what is compared is what is used.

use std::path::{Path, PathBuf};

use rustls::{
    crypto::{CryptoProvider, hash::Hash},
    pki_types::{CertificateDer, pem::PemObject},
};
use zeroize::Zeroizing;

use super::{TlsError, file};
use crate::config::TlsConfig;

/// One of these files may have so many bytes; revocation lists of large authorities have some millions.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The contents of all files, by their hash.
pub(super) type Fingerprint = [u8; 48];

/// The contents of all files.
pub(super) struct Files {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
    pub(super) client_ca: Vec<Vec<u8>>,
    pub(super) client_crl: Vec<Vec<u8>>,
    pub(super) fingerprint: Fingerprint,
}

impl Files {
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let all = |what, paths: &[PathBuf]| paths.iter().map(|path| read(what, path)).collect::<Result<Vec<_>, _>>();
        let mut files = Self {
            certificate: read("the server certificate", &config.certificate)?,
            key: Zeroizing::new(read("the server key", &config.key)?),
            client_ca: all("the client CA", &config.client_ca)?,
            client_crl: all("the revocation list", &config.client_crl)?,
            fingerprint: [0; 48],
        };
        files.fingerprint = files.hash()?;
        Ok(files)
    }

    /// SHA-384 over all files, each behind its length.
    fn hash(&self) -> Result<Fingerprint, TlsError> {
        let hash = sha384().ok_or_else(|| TlsError::Refused("there is no SHA-384".to_owned()))?;
        let mut context = hash.start();
        let own = [&self.certificate, &*self.key];
        for contents in own.into_iter().chain(&self.client_ca).chain(&self.client_crl) {
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
    let bytes = std::fs::metadata(path).map_err(|error| file(what, path, &error))?.len();
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
