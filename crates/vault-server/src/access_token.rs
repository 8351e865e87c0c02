//! Access tokens at the door: found in a call's headers, verified, refused with one answer outside.
//!
//! No text of a token goes into a log, an error or an entry: what is wrong is said by [`Fault`] alone.

mod denied;
mod fetch;
mod file;
mod keys;

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, header::AUTHORIZATION};
use tokio::task::JoinSet;
use vault_domain::{Clock, limits};
use vault_identity::{Fault, Issuers, JWKS_BYTES_MAX, KeySource, Now, Presented, Scheme, Verified};

use crate::{
    config::{Config, ConfigError},
    identity::Peer,
};
use denied::Denied;
use keys::Keepers;

/// The header of a proof (RFC 9449 section 4.1).
const PROOF: &str = "dpop";

/// The issuers that callers' tokens may be of.
pub(crate) struct AccessTokens {
    issuers: Issuers,
    keepers: Keepers,
    denied: Option<Arc<Denied>>,
    /// What ends with this.
    tasks: Mutex<JoinSet<()>>,
    clock: Arc<dyn Clock>,
}

impl AccessTokens {
    /// Reads the file of issuers and their files of keys; those that are fetched come later. None: no issuer is
    /// configured, and no token is accepted.
    pub(crate) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Self>, ConfigError> {
        let Some((path, issuers)) = config.issuers(clock.wall())? else { return Ok(None) };
        for issuer in issuers.all() {
            if let KeySource::File(keys) = issuer.source() {
                let fault = |problem: String| ConfigError::Issuers {
                    path: path.clone(),
                    problem: format!("issuers.{}: jwks_file {}: {problem}", issuer.name(), keys.display()),
                };
                let bytes = file::read(keys, JWKS_BYTES_MAX).map_err(|error| fault(error.to_string()))?;
                issuer.take_keys(&bytes, clock.monotonic()).map_err(|error| fault(error.to_string()))?;
            }
        }
        let denied = config.denied_file().map(|file| {
            let fault = |problem| ConfigError::Issuers { path: file.to_owned(), problem };
            let names = issuers.all().iter().map(|issuer| issuer.name().into()).collect();
            Denied::open(file, names).map_err(fault)
        });
        let keepers = Keepers::prepare(&issuers, clock).map_err(|(issuer, problem)| ConfigError::Issuers {
            path,
            problem: format!("issuers.{issuer}: {problem}"),
        })?;
        let (denied, tasks, clock) = (denied.transpose()?, Mutex::default(), clock.clone());
        Ok(Some(Self { issuers, keepers, denied, tasks, clock }))
    }

    /// Begins to keep keys and the deny-list fresh, for as long as this lives.
    pub(crate) fn start(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        self.keepers.start(&mut tasks);
        self.denied.iter().for_each(|denied| drop(tasks.spawn(denied.clone().keep())));
    }

    /// Whether the file of denied tokens names this one.
    pub(crate) fn denies(&self, verified: &Verified) -> bool {
        self.denied.as_ref().is_some_and(|denied| denied.holds(&verified.issuer, &verified.jti))
    }

    /// Whether an issuer of this name is configured.
    pub(crate) fn has_issuer(&self, name: &str) -> bool {
        self.issuers.all().iter().any(|issuer| issuer.name() == name)
    }

    /// Verifies a token; if its issuer's keys do not know it, asks for fresh ones once.
    async fn verify(&self, presented: &Presented<'_>) -> Result<Arc<Verified>, Fault> {
        let now = || Now { wall: self.clock.wall(), monotonic: self.clock.monotonic() };
        let first = self.issuers.verify(presented, now());
        if let Err(Fault::KeyUnknown | Fault::KeysStale) = first
            && let Some(issuer) = self.issuers.claimed(presented.token)
            && self.keepers.ask(issuer.name()).await
        {
            return self.issuers.verify(presented, now());
        }
        first
    }
}

/// The token of a call, verified. None: the call has none.
///
/// # Errors
/// When there is anything in the headers that is not one good token, whether or not tokens are accepted here: who
/// brings one wants to be known by it.
pub(crate) async fn admit(
    tokens: Option<&AccessTokens>,
    headers: &HeaderMap,
    path: &str,
    peer: &Peer,
) -> Result<Option<Arc<Verified>>, Fault> {
    let Some((scheme, token, proof)) = find(headers)? else { return Ok(None) };
    let tokens = tokens.ok_or(Fault::IssuerUnknown)?;
    let certificate = peer.certificate.map(vault_engine::CertificateSha256::get);
    let verified = tokens.verify(&Presented { scheme, token, proof, certificate, path }).await?;
    if tokens.denies(&verified) {
        return Err(Fault::Denied);
    }
    Ok(Some(verified))
}

/// A scheme, a token and a proof, as headers have them.
type Found<'h> = (Scheme, &'h str, Option<&'h str>);

/// Finds token and proof. One header each, or none.
fn find(headers: &HeaderMap) -> Result<Option<Found<'_>>, Fault> {
    let (token, proof) = (only(headers, AUTHORIZATION.as_str())?, only(headers, PROOF)?);
    let Some(token) = token else {
        return if proof.is_some() { Err(Fault::Header) } else { Ok(None) };
    };
    let (scheme, token) = token.split_once(' ').ok_or(Fault::Header)?;
    let scheme = match scheme {
        _ if scheme.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        _ if scheme.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
        _ => return Err(Fault::Header),
    };
    Ok(Some((scheme, token, proof)))
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            if value.len() > limits::ACCESS_TOKEN_HEADER_BYTES_MAX {
                return Err(Fault::TooLong);
            }
            value.to_str().map(Some).map_err(|_| Fault::Header)
        }
        (Some(_), Some(_)) => Err(Fault::Header),
    }
}
