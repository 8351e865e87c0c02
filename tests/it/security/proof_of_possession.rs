//! Tokens that are bound to a key (DPoP, RFC 9449): each call proves the key anew, for itself and for nothing else.

use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;
use vault_domain::Clock;
use vault_tests::{
    issuer::{SigningKey, hs256, sha256},
    requests::email,
    roles::Role,
    vault::BEGINNING,
};

use super::access_token::Scene;
use crate::bad_input::Refusals;

/// What the call is for, as callers of the proxy in front name it.
const TARGET: &str = "https://vault.test.tokenvault:8443/tokenvault.v1.TokenService/Detokenize";

impl Scene {
    /// A token that is bound to this key alone.
    fn bound(&self, key: &SigningKey) -> String {
        self.token(|claims| claims["cnf"] = json!({"jkt": key.thumbprint()}))
    }

    /// A good proof, changed.
    fn proof(&self, key: &SigningKey, token: &str, jti: &str, change: impl FnOnce(&mut Value, &mut Value)) -> String {
        let seconds = self.clock.wall().0 / 1000;
        key.proof(|header, claims| {
            *claims =
                json!({"htm": "POST", "htu": TARGET, "iat": seconds, "jti": jti, "ath": sha256(token.as_bytes())});
            change(header, claims);
        })
    }

    /// Presents both as a proxy that ends TLS does: with its own certificate.
    async fn prove(&self, token: &str, proof: &str) -> Result<(), String> {
        let proxy = self.vault.caller(Role::Idle).await;
        let headers = [("authorization", format!("DPoP {token}")), ("dpop", proof.to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        match self.reveal(&proxy, &headers).await {
            Ok(revealed) => {
                assert_eq!(revealed.values(), [email(1).into_bytes()]);
                Ok(())
            }
            Err(refusal) => {
                refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
                Err(refusal.reason)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_needs_a_fresh_proof_of_the_key_that_the_token_is_bound_to() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    for key in [SigningKey::ec("mine"), SigningKey::ec("mine too")] {
        let token = scene.bound(&key);
        let proof = scene.proof(&key, &token, "first", |_, _| {});
        assert_eq!(scene.prove(&token, &proof).await, Ok(()));
        assert!(scene.prove(&token, &proof).await.is_err(), "used before");
        refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
        assert_eq!(scene.prove(&token, &scene.proof(&key, &token, "second", |_, _| {})).await, Ok(()));
        assert!(scene.bring(&token).await.is_err(), "no bearer token");
        refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    }
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_not_for_this_call_token_key_and_time_is_refused() {
    let scene = Scene::start().await;
    let (key, other) = (SigningKey::ec("mine"), SigningKey::ec("other"));
    let token = scene.bound(&key);
    let begin = BEGINNING.0 / 1000;
    scene.clock.advance(Duration::from_secs(100));
    let now = begin + 100;
    type Change = Box<dyn Fn(&mut Value, &mut Value)>;
    let claim =
        |name: &'static str, value: Value| -> Change { Box::new(move |_, claims| claims[name] = value.clone()) };
    let head = |name: &'static str, value: Value| -> Change { Box::new(move |header, _| header[name] = value.clone()) };
    let mut private = key.public();
    private["d"] = json!("AAAA");
    let rows: [(&str, Change); 19] = [
        ("another method", claim("htm", json!("GET"))),
        ("another call", claim("htu", json!(TARGET.replace("Detokenize", "Tokenize")))),
        ("another host", claim("htu", json!(TARGET.replace("vault.test", "evil.test")))),
        ("a longer path", claim("htu", json!(format!("{TARGET}/x")))),
        ("no htu", claim("htu", json!(null))),
        ("another token", claim("ath", json!(sha256(b"another")))),
        ("no ath", claim("ath", json!(null))),
        ("too old", claim("iat", json!(now - 61))),
        ("from the future", claim("iat", json!(now + 6))),
        ("from before the start", claim("iat", json!(begin - 1))),
        ("no time", claim("iat", json!(null))),
        ("no jti", claim("jti", json!(""))),
        ("a long jti", claim("jti", json!("j".repeat(129)))),
        ("another type", head("typ", json!("JWT"))),
        ("another algorithm", head("alg", json!("none"))),
        ("an RSA algorithm", head("alg", json!("RS256"))),
        ("a private key", head("jwk", private)),
        ("the key of another", head("jwk", other.public())),
        ("no key", head("jwk", json!(null))),
    ];
    let mut refusals = Refusals::default();
    for (at, (what, change)) in rows.iter().enumerate() {
        let proof = scene.proof(&key, &token, &format!("jti-{at}"), |header, claims| change(header, claims));
        assert!(scene.prove(&token, &proof).await.is_err(), "{what} was accepted");
        refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    }
    let of_other = scene.proof(&other, &token, "other", |_, _| {});
    let header = json!({"alg": "HS256", "typ": "dpop+jwt", "jwk": key.public()});
    let by_secret = hs256(&key.public_der(), &header, &json!({"htm": "POST"}));
    for bad in [of_other.as_str(), &by_secret, "junk", ""] {
        assert!(scene.prove(&token, bad).await.is_err());
        refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    }
    // A token that is bound to a certificate alone needs no proof, and takes none.
    let plain = scene.token(|_| {});
    assert!(scene.prove(&plain, &scene.proof(&key, &plain, "plain", |_, _| {})).await.is_err());
    refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    assert_eq!(scene.prove(&token, &scene.proof(&key, &token, "good", |_, _| {})).await, Ok(()));
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_from_before_a_restart_is_not_accepted_after_it() {
    let mut scene = Scene::start().await;
    let key = SigningKey::ec("mine");
    let token = scene.bound(&key);
    let proof = scene.proof(&key, &token, "first", |_, _| {});
    assert_eq!(scene.prove(&token, &proof).await, Ok(()));
    scene.vault.stop().await;
    scene.clock.advance(Duration::from_secs(2));
    scene.vault.start_again().await;
    assert!(scene.prove(&token, &proof).await.is_err());
    assert_eq!(scene.prove(&token, &scene.proof(&key, &token, "second", |_, _| {})).await, Ok(()));
    let mut refusals = Refusals::default();
    refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    scene.finish(refusals).await;
}
