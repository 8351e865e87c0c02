//! Whether a connection's certificate is good still: asked for every call.
//!
//! A handshake judges once, and connections live long. So the chain is kept and judged again, by the very verifier that
//! handshakes go by: whenever something else was loaded, when the certificate or a revocation list ends, and once a
//! minute, for what else may end. Between these a call costs a comparison.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{CertificateError, pki_types::CertificateDer};
use vault_domain::{Millis, Reason};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Loaded, Tls, dated::seconds, unix_time};
use crate::identity::Peer;

/// How long a judgement lasts at most.
const JUDGEMENT: Duration = Duration::from_secs(60);

/// The other end of an open connection, and how it stands.
pub(crate) struct Standing {
    /// Who it is.
    pub(crate) peer: Peer,
    chain: Vec<CertificateDer<'static>>,
    /// The first moment at which its certificate is not good any more.
    ends: Millis,
    tls: Arc<Tls>,
    judgement: Mutex<Judgement>,
}

/// What was found, by which files, and for how long it holds.
#[derive(Clone, Copy)]
struct Judgement {
    generation: u64,
    from: Millis,
    until: Millis,
    refused: Option<Reason>,
}

impl Standing {
    /// The other end of a connection whose handshake has just gone by `loaded`. None without a certificate.
    pub(crate) fn of(
        tls: &Arc<Tls>,
        loaded: &Loaded,
        chain: &[CertificateDer<'static>],
        address: SocketAddr,
    ) -> Option<Self> {
        let leaf = chain.first()?;
        let (_, read) = X509Certificate::from_der(leaf).ok()?;
        // It is good to the end of that second (RFC 5280 section 4.1.2.5).
        let ends = Millis(seconds(read.validity().not_after).saturating_add(1).saturating_mul(1000));
        let from = tls.clock.wall();
        let until = lasts(loaded, ends, from);
        let judgement = Judgement { generation: loaded.generation, from, until, refused: None };
        Some(Self {
            peer: Peer::read(leaf, address, &tls.config.naming),
            chain: chain.to_vec(),
            ends,
            tls: tls.clone(),
            judgement: Mutex::new(judgement),
        })
    }

    /// Whether its certificate would pass a handshake now.
    ///
    /// # Errors
    /// With the reason why not.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        let now = self.tls.clock.wall();
        let loaded = self.tls.current.load();
        let mut judgement = self.judgement.lock().unwrap_or_else(PoisonError::into_inner);
        let holds = judgement.generation == loaded.generation && (judgement.from..judgement.until).contains(&now);
        if !holds {
            *judgement = self.judge(&loaded, now);
        }
        judgement.refused.map_or(Ok(()), Err)
    }

    fn judge(&self, loaded: &Loaded, now: Millis) -> Judgement {
        let refused = match self.chain.split_first() {
            Some((leaf, intermediates)) => {
                let verified = loaded.clients.verifier.verify_client_cert(leaf, intermediates, unix_time(now));
                verified.err().map(|error| reason_of(&error).unwrap_or(Reason::CertificateNotValid))
            }
            None => Some(Reason::CertificateNotValid),
        };
        Judgement { generation: loaded.generation, from: now, until: lasts(loaded, self.ends, now), refused }
    }
}

/// Until when a judgement of `now` lasts.
fn lasts(loaded: &Loaded, ends: Millis, now: Millis) -> Millis {
    let minute = now.saturating_add(JUDGEMENT);
    let lists_end = loaded.clients.lists_end.map(|seconds| Millis(seconds.saturating_mul(1000)));
    [Some(ends), lists_end].into_iter().flatten().filter(|end| *end > now).fold(minute, Millis::min)
}

/// The reason in what rustls says of a certificate, where it is about revocation.
pub(crate) fn reason_of(error: &rustls::Error) -> Option<Reason> {
    let rustls::Error::InvalidCertificate(error) = error else { return None };
    match error {
        CertificateError::Revoked => Some(Reason::CertificateRevoked),
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            Some(Reason::RevocationListExpired)
        }
        _ => None,
    }
}
