//! Proofs of possession (DPoP, RFC 9449): a fresh signature over the call by the key that a token is bound to.
//!
//! Proofs that were used are remembered in memory for as long as they count. A process that starts remembers none, so
//! a proof from before its start is none: `iat` is the witness.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vault_domain::Millis;

use crate::{
    claims::seconds,
    compact::Compact,
    fault::Fault,
    keys::{public_key, thumbprint},
    verify::Presented,
};

/// How old a proof may be, and how far in the future it may say to be.
const AGE_MAX: Duration = Duration::from_secs(60);
const AHEAD_MAX: Duration = Duration::from_secs(5);
/// Proofs that are remembered at once: a thousand calls a second for as long as each counts.
const PROOFS_MAX: usize = 65_536;
/// The longest `jti` of a proof.
const JTI_BYTES_MAX: usize = 128;
/// What callers may sign proofs with.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::PS256];

/// The proofs that were used a moment ago.
pub(crate) struct Proofs {
    origins: Vec<String>,
    started: Millis,
    used: Mutex<HashMap<[u8; 32], Millis>>,
}

impl Proofs {
    pub(crate) fn new(origins: Vec<String>, started: Millis) -> Self {
        Self { origins, started, used: Mutex::default() }
    }

    /// Verifies a proof for a call with a token that is bound to the key with this thumbprint, and remembers it (RFC
    /// 9449 section 4.3).
    pub(crate) fn verify(&self, presented: &Presented<'_>, jkt: &str, now: Millis) -> Result<(), Fault> {
        let proof = Compact::parse(presented.proof.ok_or(Fault::ProofMissing)?)
            .map_err(|_| Fault::Proof("is not a signed JWT in compact form"))?;
        if !proof.is_type("dpop+jwt") {
            return Err(Fault::Proof("is not of the type dpop+jwt"));
        }
        let key = proof.header.get("jwk").and_then(Value::as_object).ok_or(Fault::Proof("carries no public key"))?;
        let (algorithm, decoding) = public_key(key).ok_or(Fault::Proof("carries no public key of a known kind"))?;
        let said = proof.field("alg").and_then(|alg| alg.parse::<Algorithm>().ok());
        if said != Some(algorithm) || !ALGORITHMS.contains(&algorithm) {
            return Err(Fault::Proof("is signed by an algorithm that its key is not for"));
        }
        if thumbprint(key).as_deref() != Some(jkt) {
            return Err(Fault::Proof("is of another key than the token's cnf.jkt"));
        }
        let signed = jsonwebtoken::crypto::verify(proof.signature, proof.signed.as_bytes(), &decoding, algorithm);
        if !signed.unwrap_or(false) {
            return Err(Fault::Proof("has a signature that is not its key's"));
        }
        let text = |name: &str| proof.claims.get(name).and_then(Value::as_str);
        // gRPC calls are POST requests to https://authority/package.Service/Method (gRPC over HTTP/2, "Requests").
        let target = text("htu").ok_or(Fault::Proof("names no htu"))?;
        let is_here = self.origins.iter().any(|origin| target.strip_prefix(origin.as_str()) == Some(presented.path));
        if text("htm") != Some("POST") || !is_here {
            return Err(Fault::Proof("is for another method or address (htm, htu)"));
        }
        if text("ath") != Some(URL_SAFE_NO_PAD.encode(Sha256::digest(presented.token)).as_str()) {
            return Err(Fault::Proof("is for another token (ath)"));
        }
        let made = proof.claims.get("iat").and_then(seconds).ok_or(Fault::Proof("says not when it was made (iat)"))?;
        if made < self.started || made.saturating_add(AGE_MAX) < now || made > now.saturating_add(AHEAD_MAX) {
            return Err(Fault::Proof("is too old, from the future, or from before the vault's start (iat)"));
        }
        let jti = text("jti").filter(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()));
        self.remember(jkt, jti.ok_or(Fault::Proof("has no jti"))?, made, now)
    }

    fn remember(&self, jkt: &str, jti: &str, made: Millis, now: Millis) -> Result<(), Fault> {
        let name = Sha256::new().chain_update(jkt).chain_update([0]).chain_update(jti).finalize().into();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= PROOFS_MAX {
            used.retain(|_, until| *until >= now);
        }
        match used.get(&name) {
            Some(until) if *until >= now => Err(Fault::ProofReplayed),
            _ if used.len() >= PROOFS_MAX => Err(Fault::ProofsFull),
            _ => {
                used.insert(name, made.saturating_add(AGE_MAX + AHEAD_MAX));
                Ok(())
            }
        }
    }
}
