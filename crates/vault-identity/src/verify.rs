//! Whether a token is believed, and who that makes the caller.

use std::{collections::HashMap, fmt, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use vault_domain::{Millis, PrincipalId, Session};

use crate::{
    cache::Cache,
    claims::{Explained, Mapped, seconds},
    compact::Compact,
    fault::Fault,
    issuer::Issuer,
    keys::{KeySet, is_kid},
    proof::Proofs,
    settings::{Settings, SettingsFault, parse},
};

/// The longest `jti` of a token: the deny-list names tokens by it.
const JTI_BYTES_MAX: usize = 128;

/// All issuers of a vault, and what was verified of late.
pub struct Issuers {
    all: Vec<Arc<Issuer>>,
    by_iss: HashMap<String, Arc<Issuer>>,
    cache: Cache,
    proofs: Proofs,
}

/// The time of a question, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock: what tokens go by.
    pub wall: Millis,
    /// The monotonic clock: what the age of keys goes by.
    pub monotonic: Duration,
}

/// How a token was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Bearer` (RFC 6750 section 2.1).
    Bearer,
    /// `DPoP` (RFC 9449 section 7.1).
    Dpop,
}

/// A token and what came with it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// How.
    pub scheme: Scheme,
    /// The token.
    pub token: &'a str,
    /// The proof beside it.
    pub proof: Option<&'a str>,
    /// SHA-256 of the client certificate of the connection.
    pub certificate: Option<[u8; 32]>,
    /// The path of the call, `/package.Service/Method`.
    pub path: &'a str,
}

/// A token that is believed.
pub struct Verified {
    /// The issuer's name in the vault.
    pub issuer: Arc<str>,
    /// The token's name at its issuer, for the deny-list.
    pub jti: Box<str>,
    /// Who calls.
    pub principal: PrincipalId,
    /// What the token says beside that.
    pub session: Arc<Session>,
    /// When it is over, leeway included.
    pub expires: Millis,
    /// The key that each call has to prove the possession of.
    jkt: Option<String>,
}

impl Issuers {
    /// Reads the file of issuers. `base` is the folder that relative paths start from, `started` the time of the start:
    /// proofs from before it count for nothing.
    ///
    /// # Errors
    /// When it holds anything that can't be used.
    pub fn parse(text: &str, base: &Path, started: Millis) -> Result<Self, SettingsFault> {
        let (origins, settings) = parse(text, base)?;
        let all: Vec<Arc<Issuer>> = settings.into_iter().map(|settings| Arc::new(Issuer::new(settings))).collect();
        let by_iss = all.iter().map(|issuer| (issuer.settings.iss.clone(), issuer.clone())).collect();
        Ok(Self { all, by_iss, cache: Cache::default(), proofs: Proofs::new(origins, started) })
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> &[Arc<Issuer>] {
        &self.all
    }

    /// The issuer that a token says to be of, which nothing proves yet.
    #[must_use]
    pub fn claimed(&self, token: &str) -> Option<&Arc<Issuer>> {
        let compact = Compact::parse(token).ok()?;
        self.by_iss.get(compact.claims.get("iss")?.as_str()?)
    }

    /// Believes a token, or not.
    ///
    /// # Errors
    /// With what is wrong, for the log alone.
    pub fn verify(&self, presented: &Presented<'_>, now: Now) -> Result<Arc<Verified>, Fault> {
        if presented.token.len() > crate::TOKEN_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        let name = (Sha256::digest(presented.token).into(), presented.certificate);
        let verified = match self.known(&name, now) {
            Some(verified) => verified,
            None => {
                let (verified, keys) = self.believe(presented, now)?;
                let verified = Arc::new(verified);
                self.cache.keep(name, verified.clone(), keys, now.wall);
                verified
            }
        };
        match (&verified.jkt, presented.scheme, presented.proof) {
            (Some(jkt), Scheme::Dpop, _) => self.proofs.verify(presented, jkt, now.wall)?,
            (None, Scheme::Bearer, None) => {}
            // A token that is bound to a key is no bearer token (RFC 9449 section 7.2), and the other way round.
            _ => return Err(Fault::ProofMissing),
        }
        Ok(verified)
    }

    /// What a token would become and why, whoever brings it and whatever its signature: for the one who writes the
    /// rules.
    ///
    /// # Errors
    /// When it is no token, or no issuer is configured for it.
    pub fn explain(&self, token: &str) -> Result<(Arc<Issuer>, Explained), Fault> {
        let compact = Compact::parse(token)?;
        let iss = compact.claims.get("iss").and_then(Value::as_str).ok_or(Fault::Claim("iss"))?;
        let issuer = self.by_iss.get(iss).ok_or(Fault::IssuerUnknown)?;
        Ok((issuer.clone(), issuer.explain(&compact.claims)))
    }

    /// Whether the claims of a token stand as they are now, whoever brings it and whatever its signature.
    ///
    /// # Errors
    /// With the first thing that is wrong with them.
    pub fn check_claims(&self, token: &str, wall: Millis) -> Result<(), Fault> {
        let compact = Compact::parse(token)?;
        let iss = compact.claims.get("iss").and_then(Value::as_str).ok_or(Fault::Claim("iss"))?;
        let settings = &self.by_iss.get(iss).ok_or(Fault::IssuerUnknown)?.settings;
        check_type(&compact, settings)?;
        check_claims(&compact.claims, settings, wall).map(|_| ())
    }

    fn known(&self, name: &([u8; 32], Option<[u8; 32]>), now: Now) -> Option<Arc<Verified>> {
        let (verified, by) = self.cache.find(name)?;
        let issuer = self.all.iter().find(|issuer| *issuer.name() == *verified.issuer)?;
        let stands = verified.expires > now.wall && issuer.keys(now).is_ok_and(|keys| Arc::ptr_eq(&keys, &by));
        if !stands {
            self.cache.forget(name);
        }
        stands.then_some(verified)
    }

    /// Verifies a token from its first byte to its last.
    fn believe(&self, presented: &Presented<'_>, now: Now) -> Result<(Verified, Arc<KeySet>), Fault> {
        let compact = Compact::parse(presented.token)?;
        let iss = compact.claims.get("iss").and_then(Value::as_str).ok_or(Fault::Claim("iss"))?;
        let issuer = self.by_iss.get(iss).ok_or(Fault::IssuerUnknown)?;
        let settings = &issuer.settings;
        check_type(&compact, settings)?;
        let algorithm = compact.field("alg").and_then(|alg| alg.parse::<Algorithm>().ok());
        let algorithm = algorithm.filter(|alg| settings.algorithms.contains(alg)).ok_or(Fault::Algorithm)?;
        let kid = compact.field("kid").filter(|kid| is_kid(kid)).ok_or(Fault::HeaderField("names no key (kid)"))?;
        let keys = issuer.keys(now)?;
        let key = issuer.key(&keys, kid, algorithm)?;
        let signed = jsonwebtoken::crypto::verify(compact.signature, compact.signed.as_bytes(), key, algorithm);
        if !signed.unwrap_or(false) {
            return Err(Fault::Signature);
        }
        // From here on the issuer has said it.
        let (jti, expires) = check_claims(&compact.claims, settings, now.wall)?;
        let jkt = check_binding(&compact.claims, settings, presented)?;
        let Mapped { principal, session } = settings.rules.map(&settings.name, &compact.claims)?;
        let verified = Verified {
            issuer: settings.name.as_str().into(),
            jti: jti.into(),
            principal,
            session: Arc::new(session),
            expires,
            jkt,
        };
        Ok((verified, keys))
    }
}

/// RFC 9068 section 4: an ID token, or a token for something else, is no access token.
fn check_type(compact: &Compact<'_>, settings: &Settings) -> Result<(), Fault> {
    let plain = settings.takes_plain_jwt && (compact.is_type("jwt") || !compact.header.contains_key("typ"));
    if compact.is_type("at+jwt") || plain {
        return Ok(());
    }
    Err(Fault::HeaderField("has not the typ of an access token, at+jwt"))
}

/// The claims that every token has (RFC 9068 section 2.2): its name and its end.
fn check_claims<'c>(
    claims: &'c Map<String, Value>,
    settings: &Settings,
    now: Millis,
) -> Result<(&'c str, Millis), Fault> {
    let is_ours = |audience: &Value| {
        audience.as_str().is_some_and(|audience| settings.audiences.iter().any(|ours| ours == audience))
    };
    let addressed = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().any(is_ours),
        Some(audience) => is_ours(audience),
        None => return Err(Fault::Claim("aud")),
    };
    if !addressed {
        return Err(Fault::Audience);
    }
    let time = |name: &'static str| claims.get(name).and_then(seconds).ok_or(Fault::Claim(name));
    let (ends, issued) = (time("exp")?, time("iat")?);
    let begins = if claims.contains_key("nbf") { time("nbf")?.max(issued) } else { issued };
    let expires = ends.saturating_add(settings.leeway);
    if expires <= now {
        return Err(Fault::Expired);
    }
    if begins > now.saturating_add(settings.leeway) {
        return Err(Fault::NotYet);
    }
    if ends <= issued || ends > issued.saturating_add(settings.lifetime) {
        return Err(Fault::Overlong);
    }
    let is_text = |name: &str| claims.get(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if !is_text("sub") {
        return Err(Fault::Claim("sub"));
    }
    let has = |name: &String| claims.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some(""));
    if !settings.required_claims.iter().all(has) {
        return Err(Fault::ClaimRequired);
    }
    let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| (1..=JTI_BYTES_MAX).contains(&jti.len()));
    Ok((jti.ok_or(Fault::Claim("jti"))?, expires))
}

/// What the token is bound to (RFC 7800): all that it names must hold, and one at least that its issuer's settings ask
/// for. The thumbprint of a key that each call has to prove.
fn check_binding(
    claims: &Map<String, Value>,
    settings: &Settings,
    presented: &Presented<'_>,
) -> Result<Option<String>, Fault> {
    let none = Map::new();
    let confirmation = match claims.get("cnf") {
        None => &none,
        Some(Value::Object(confirmation)) => confirmation,
        Some(_) => return Err(Fault::Claim("cnf")),
    };
    // A binding that is not understood is not one that may be ignored.
    if confirmation.keys().any(|name| name != "x5t#S256" && name != "jkt") {
        return Err(Fault::Unbound);
    }
    let text = |name| confirmation.get(name).map(|value: &Value| value.as_str().ok_or(Fault::Claim("cnf"))).transpose();
    let (certificate, jkt) = (text("x5t#S256")?, text("jkt")?);
    if let Some(expected) = certificate {
        let shown = presented.certificate.map(|certificate| URL_SAFE_NO_PAD.encode(certificate));
        if shown.as_deref() != Some(expected) {
            return Err(Fault::Certificate);
        }
    }
    let binding = settings.binding;
    let enough = (binding.certificate && certificate.is_some())
        || (binding.dpop && jkt.is_some())
        || (binding.danger_none && confirmation.is_empty());
    if !enough {
        return Err(Fault::Unbound);
    }
    Ok(jkt.map(str::to_owned))
}

impl fmt::Debug for Issuers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all.iter().map(|issuer| issuer.name())).finish()
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("principal", &self.principal).finish_non_exhaustive()
    }
}
