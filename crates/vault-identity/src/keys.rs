//! The public keys of an issuer (RFC 7517): each with the one algorithm that it is for.

use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{JWKS_BYTES_MAX, json};

/// Keys in one set; a set is searched once for each new token.
const KEYS_MAX: usize = 64;
/// The longest `kid`.
const KID_BYTES_MAX: usize = 256;
/// The shortest RSA modulus (RFC 7518 section 3.3) and the longest that is worth the time, in bytes.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why a set of keys can't be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum KeysFault {
    /// It is larger than any set.
    #[error("the set of keys is larger than {JWKS_BYTES_MAX} bytes")]
    TooLarge,
    /// It is no JWK Set.
    #[error("the set of keys is not a JSON object with a list `keys` of at most {KEYS_MAX} objects, each name once")]
    NotASet,
    /// Nothing in it can verify a token.
    #[error("the set has no public signing key with a kid for one of the configured algorithms")]
    Empty,
    /// Two keys answer to one name.
    #[error("two keys of the set have the same kid and algorithm")]
    Ambiguous,
}

/// The keys of one issuer at some moment.
pub struct KeySet {
    keys: HashMap<(String, Algorithm), DecodingKey>,
    fingerprint: [u8; 32],
}

impl KeySet {
    /// Reads a JWK Set. Keys that are not for one of `algorithms`, secret keys, keys without `kid` and keys for other
    /// uses are passed over (RFC 7517 section 5).
    ///
    /// # Errors
    /// When it is no such set, or nothing is left of it.
    pub(crate) fn parse(bytes: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeysFault> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(KeysFault::TooLarge);
        }
        let mut set = json::object(bytes).ok_or(KeysFault::NotASet)?;
        let Some(Value::Array(listed)) = set.remove("keys") else { return Err(KeysFault::NotASet) };
        if listed.len() > KEYS_MAX {
            return Err(KeysFault::NotASet);
        }
        let mut keys = HashMap::new();
        for key in &listed {
            let key = key.as_object().ok_or(KeysFault::NotASet)?;
            let kid = key.get("kid").and_then(Value::as_str).filter(|kid| is_kid(kid));
            let usable = || is_for_verifying(key).then(|| public_key(key)).flatten();
            let (Some(kid), Some((algorithm, key))) = (kid, usable()) else { continue };
            if algorithms.contains(&algorithm) && keys.insert((kid.to_owned(), algorithm), key).is_some() {
                return Err(KeysFault::Ambiguous);
            }
        }
        if keys.is_empty() {
            return Err(KeysFault::Empty);
        }
        Ok(Self { keys, fingerprint: Sha256::digest(bytes).into() })
    }

    /// The key with this name, if it is for this algorithm. A name is compared, and used for nothing else.
    pub(crate) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        self.keys.get(&(kid.to_owned(), algorithm))
    }

    /// Whether another set was read from the same bytes.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// How many keys it has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty set is never made")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({})", self.keys.len())
    }
}

/// Whether a text can name a key.
pub(crate) fn is_kid(kid: &str) -> bool {
    (1..=KID_BYTES_MAX).contains(&kid.len())
}

/// RFC 7517 sections 4.2 and 4.3.
fn is_for_verifying(key: &Map<String, Value>) -> bool {
    let signs = key.get("use").is_none_or(|usage| usage == "sig");
    let verifies = match key.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    signs && verifies
}

/// The algorithm that a public key is for, and the key. The key decides, never the token: what `alg` says, or what its
/// type leaves no choice about. An RSA key that does not say is for RS256, which is what issuers that leave it out use.
pub(crate) fn public_key(key: &Map<String, Value>) -> Option<(Algorithm, DecodingKey)> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    // A set that shows its private keys has none that can be trusted.
    if ["d", "p", "q", "k"].iter().any(|secret| key.contains_key(*secret)) {
        return None;
    }
    let said = match key.get("alg") {
        None => None,
        Some(alg) => Some(alg.as_str()?.parse::<Algorithm>().ok()?),
    };
    let (fits, made): (Algorithm, _) = match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => {
            (Algorithm::ES256, DecodingKey::from_ec_components(exact(text("x")?, 32)?, exact(text("y")?, 32)?))
        }
        ("EC", Some("P-384")) => {
            (Algorithm::ES384, DecodingKey::from_ec_components(exact(text("x")?, 48)?, exact(text("y")?, 48)?))
        }
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, DecodingKey::from_ed_components(exact(text("x")?, 32)?)),
        ("RSA", None) => {
            let algorithm = said.filter(|said| said.family() == AlgorithmFamily::Rsa).unwrap_or(Algorithm::RS256);
            let (n, e) = (text("n")?, text("e")?);
            let modulus = URL_SAFE_NO_PAD.decode(n).ok()?;
            let exponent = URL_SAFE_NO_PAD.decode(e).ok()?;
            if !RSA_MODULUS_BYTES.contains(&modulus.len()) || !(1..=4).contains(&exponent.len()) {
                return None;
            }
            (algorithm, DecodingKey::from_rsa_components(n, e))
        }
        _ => return None,
    };
    if said.is_some_and(|said| said != fits) {
        return None;
    }
    Some((fits, made.ok()?))
}

/// Base64url of exactly so many bytes, as it came.
fn exact(text: &str, bytes: usize) -> Option<&str> {
    (URL_SAFE_NO_PAD.decode(text).ok()?.len() == bytes).then_some(text)
}

/// The thumbprint of a public key (RFC 7638 section 3), in base64url.
pub(crate) fn thumbprint(key: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| key.get(name).and_then(Value::as_str).filter(|text| !text.contains(['"', '\\']));
    let canonical = match text("kty")? {
        "EC" => format!(r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#, text("crv")?, text("x")?, text("y")?),
        "OKP" => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, text("crv")?, text("x")?),
        "RSA" => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text("e")?, text("n")?),
        _ => return None,
    };
    Some(URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)))
}
