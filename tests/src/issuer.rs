//! An issuer of access tokens that makes whatever a test asks for, good or bad. It signs by its own means, not by those
//! of the vault.

use aws_lc_rs::{
    digest,
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vault_domain::Millis;

/// A signing key and its name.
#[derive(Debug)]
pub struct SigningKey {
    /// Its name.
    pub kid: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// Base64url, as tokens have it.
#[must_use]
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// SHA-256 in base64url.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    base64url(digest::digest(&digest::SHA256, bytes))
}

impl SigningKey {
    /// A key on the curve P-256, for ES256.
    #[must_use]
    pub fn ec(kid: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { kid: kid.to_owned(), kind: Kind::Ec(key) }
    }

    /// An RSA key, for RS256.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        Self { kid: kid.to_owned(), kind: Kind::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")) }
    }

    /// Its algorithm.
    #[must_use]
    pub fn alg(&self) -> &'static str {
        match self.kind {
            Kind::Ec(_) => "ES256",
            Kind::Rsa(_) => "RS256",
        }
    }

    /// Its public half as a JWK, without a name.
    #[must_use]
    pub fn public(&self) -> Value {
        match &self.kind {
            Kind::Ec(key) => {
                let (x, y) = key.public_key().as_ref()[1..].split_at(32);
                json!({"crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y)})
            }
            Kind::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                json!({
                    "e": base64url(e.big_endian_without_leading_zero()), "kty": "RSA",
                    "n": base64url(n.big_endian_without_leading_zero()),
                })
            }
        }
    }

    /// Its public half as an issuer shows it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = self.public();
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The thumbprint of its public half (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let jwk = self.public();
        let sorted: std::collections::BTreeMap<&String, &Value> = jwk.as_object().expect("a key").iter().collect();
        sha256(&serde_json::to_vec(&sorted).expect("JSON"))
    }

    /// Its public half in DER, which the careless take for a shared secret.
    #[must_use]
    pub fn public_der(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Ec(key) => AsDer::as_der(key.public_key()).expect("DER").as_ref().to_vec(),
            Kind::Rsa(key) => AsDer::as_der(key.public_key()).expect("DER").as_ref().to_vec(),
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.kind {
            Kind::Ec(key) => key.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Kind::Rsa(key) => {
                let encoding: &dyn RsaEncoding = &RSA_PKCS1_SHA256;
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(encoding, &random, message, &mut signature).expect("a signature");
                signature
            }
        }
    }

    /// The header of a good token.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"alg": self.alg(), "typ": "at+jwt", "kid": self.kid})
    }

    /// Signs a header and claims, whatever they say.
    #[must_use]
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// Signs texts that need not be JSON.
    #[must_use]
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.signature(signed.as_bytes());
        format!("{signed}.{}", base64url(signature))
    }

    /// A good token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }

    /// A proof of this key for a call with a token (RFC 9449).
    #[must_use]
    pub fn proof(&self, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let mut header = json!({"alg": self.alg(), "typ": "dpop+jwt", "jwk": self.public()});
        let mut claims = json!({});
        change(&mut header, &mut claims);
        self.sign(&header, &claims)
    }
}

/// A token that is authenticated by a shared secret (HS256).
#[must_use]
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", base64url(tag))
}

/// The set of keys that an issuer shows.
#[must_use]
pub fn jwks(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What this issuer's tokens have in `iss`.
pub const ISSUER: &str = "https://idp.test.tokenvault";
/// What they have in `aud`.
pub const VAULT_AUDIENCE: &str = "https://vault.test.tokenvault";

/// Good claims of a token for the subject `sub`, bound to a certificate (SHA-256 of its DER), that begins at `now` and
/// lives for five minutes.
#[must_use]
pub fn claims(sub: &str, certificate: &[u8], now: Millis) -> Value {
    let seconds = now.0 / 1000;
    let jti = base64url(digest::digest(&digest::SHA256, format!("{sub}{seconds}").as_bytes()).as_ref());
    json!({
        "iss": ISSUER, "sub": sub, "aud": VAULT_AUDIENCE, "client_id": sub, "jti": jti,
        "iat": seconds, "exp": seconds + 300,
        "cnf": {"x5t#S256": sha256(certificate)},
    })
}
