//! Access tokens: a good one makes its bearer its subject, all others are refused with one answer, stand in the node's
//! log by their reason, and are seen nowhere.

use std::{fs, path::Path, time::Duration};

use http::HeaderMap;
use serde_json::{Value, json};
use tonic::{Code, Request};
use vault_client::{CallContext, Client, ClientConfig, ClientError, Endpoint, HeldToken, Idempotency, TokenFile};
use vault_domain::{Audience, Clock, DataClass, ManualClock, Purpose, Region, SystemEntropy, TokenText};
use vault_proto::v1;
use vault_tests::{
    caller::{Caller, Detokenized},
    certificates::Name,
    issuer::{SigningKey, VAULT_AUDIENCE, base64url, claims, hs256, jwks},
    refusal::Refusal,
    requests::{detokenize, detokenize_item, email},
    roles::Role,
    stream::{settling, tokens},
    vault::{BEGINNING, TestVault},
};
use zeroize::Zeroizing;

use crate::{DISK, bad_input::Refusals};

/// A file of one issuer whose keys lie beside it.
const ISSUERS: &str = r#"
dpop_origins = ["https://vault.test.tokenvault:8443"]

[issuers.idp]
issuer = "https://idp.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256", "RS256"]
jwks_file = "idp.json"
binding = ["certificate", "dpop"]
rules = [
    { gives = "principal", claim = "sub" },
    { gives = "tenant", claim = "org", table = { "Acme Corp" = "acme", "Globex Corp" = "globex" } },
]

[issuers.other]
issuer = "https://other.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_file = "other.json"
"#;

/// A vault that accepts tokens, its issuers' keys, and the time.
pub(super) struct Scene {
    pub(super) vault: TestVault,
    pub(super) clock: ManualClock,
    ec: SigningKey,
    rsa: SigningKey,
    other: SigningKey,
    token: String,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let clock = ManualClock::at(BEGINNING);
        let mut vault = TestVault::prepare(Path::new(DISK), std::sync::Arc::new(clock.clone()));
        let (ec, rsa, other) = (SigningKey::ec("ec-1"), SigningKey::rsa("rsa-1"), SigningKey::ec("ec-1"));
        vault.set_issuers(ISSUERS);
        fs::write(vault.directory().join("idp.json"), jwks(&[&ec, &rsa])).unwrap();
        fs::write(vault.directory().join("other.json"), jwks(&[&other])).unwrap();
        vault.start_again().await;
        let token = vault.give("email", [email(1)]).await.remove(0);
        Self { vault, clock, ec, rsa, other, token }
    }

    /// Claims that count, bound to the certificate of [`Role::Idle`], which may do nothing by itself.
    fn claims(&self, change: impl FnOnce(&mut Value)) -> Value {
        let certificate = self.vault.identity(Role::Idle).certificate();
        let mut claims = claims("payments", certificate, self.clock.wall());
        claims["org"] = json!("Acme Corp");
        change(&mut claims);
        claims
    }

    pub(super) fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        self.ec.token(&self.claims(change))
    }

    pub(super) async fn reveal(
        &self,
        caller: &Caller,
        headers: &[(&'static str, &str)],
    ) -> Result<Detokenized, Refusal> {
        let mut request = Request::new(detokenize("email", [&self.token]));
        for (name, value) in headers {
            for part in value.split('.').filter(|part| part.len() >= 40) {
                self.vault.secrets().plant(part.as_bytes());
            }
            request.metadata_mut().append(*name, value.parse().unwrap());
        }
        caller.detokenize(request).await
    }

    /// Presents a token as [`Role::Idle`].
    pub(super) async fn bring(&self, token: &str) -> Result<Detokenized, Refusal> {
        let caller = self.vault.caller(Role::Idle).await;
        self.reveal(&caller, &[("authorization", &format!("Bearer {token}"))]).await
    }

    pub(super) async fn finish(mut self, refusals: Refusals) {
        self.vault.stop().await;
        assert_eq!(Refusals::stored(&self.vault), refusals);
        self.vault.finish().await;
    }
}

/// A change of good claims.
type Change = fn(&mut Value);
/// The same for one that needs to know the time.
type TimedChange = Box<dyn Fn(&mut Value)>;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_makes_its_bearer_its_subject_and_the_log_names_who_vouched() {
    let scene = Scene::start().await;
    let mark = scene.vault.mark("eu").await;
    for key in [&scene.ec, &scene.rsa] {
        // The second time, it is known.
        for _ in 0..2 {
            let revealed = scene.bring(&key.token(&scene.claims(|_| {}))).await.unwrap();
            assert_eq!(revealed.values(), [email(1).into_bytes()]);
        }
    }
    for entry in scene.vault.entries_since(&mark, 4).await {
        assert_eq!((entry.principal.as_str(), entry.identity_issuer.as_str()), ("idp:payments", "idp"));
        assert_eq!(entry.certificate_sha256, scene.vault.fingerprint(Role::Idle));
    }
    // Without it, the same caller is who its certificate says.
    let caller = scene.vault.caller(Role::Idle).await;
    let refused = scene.reveal(&caller, &[]).await;
    assert!(refused.unwrap().results.iter().all(Result::is_err), "it may do nothing");
    scene.finish(Refusals::default()).await;
}

/// A token that is not one, what is wrong with it, and how the node's log calls that.
type Row = (&'static str, String, &'static str);

const BAD_SIGNATURE: &str = "ACCESS_TOKEN_SIGNATURE_INVALID";
const MALFORMED: &str = "ACCESS_TOKEN_MALFORMED";

/// Good claims under a header that was changed, signed by the key that it names.
fn with_header(scene: &Scene, change: &dyn Fn(&mut Value)) -> String {
    let mut header = scene.ec.header();
    change(&mut header);
    scene.ec.sign(&header, &scene.claims(|_| {}))
}

fn false_signatures(scene: &Scene) -> Vec<Row> {
    let good = scene.claims(|_| {});
    let header = |change: &dyn Fn(&mut Value)| {
        let mut header = scene.ec.header();
        change(&mut header);
        header
    };
    let ec = |change: &dyn Fn(&mut Value)| with_header(scene, change);
    let none = header(&|header| header["alg"] = json!("none"));
    let unsigned = format!("{}.{}", base64url(none.to_string()), base64url(good.to_string()));
    let hmac_header = |kid: &str| json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
    let good_token = scene.ec.token(&good);
    let altered = scene.ec.token(&scene.claims(|claims| claims["sub"] = json!("auditor")));
    let (start, end) = (altered.rsplit_once('.').unwrap().0, good_token.rsplit_once('.').unwrap().1);
    let foreign_key = SigningKey::ec("ec-1");
    vec![
        ("alg none", format!("{unsigned}."), MALFORMED),
        ("alg none with a signature", scene.ec.sign(&none, &good), BAD_SIGNATURE),
        ("alg in other letters", ec(&|header| header["alg"] = json!("es256")), BAD_SIGNATURE),
        ("no alg", ec(&|header| drop(header.as_object_mut().unwrap().remove("alg"))), BAD_SIGNATURE),
        ("HS256 by the public key", hs256(&scene.rsa.public_der(), &hmac_header("rsa-1"), &good), BAD_SIGNATURE),
        (
            "HS256 by the JWK",
            hs256(scene.rsa.jwk().to_string().as_bytes(), &hmac_header("rsa-1"), &good),
            BAD_SIGNATURE,
        ),
        ("RS256 by an EC key", ec(&|header| header["alg"] = json!("RS256")), BAD_SIGNATURE),
        ("ES256 by an RSA key", ec(&|header| header["kid"] = json!("rsa-1")), BAD_SIGNATURE),
        ("an algorithm that is not configured", ec(&|header| header["alg"] = json!("ES384")), BAD_SIGNATURE),
        ("claims that were changed", format!("{start}.{end}"), BAD_SIGNATURE),
        ("a key of the same name", foreign_key.token(&good), BAD_SIGNATURE),
        ("a key of another issuer", scene.other.token(&good), BAD_SIGNATURE),
        ("kid: a path", ec(&|header| header["kid"] = json!("../../../../dev/null")), BAD_SIGNATURE),
        ("kid: an address", ec(&|header| header["kid"] = json!("https://evil.example/jwks")), BAD_SIGNATURE),
        ("kid: SQL", ec(&|header| header["kid"] = json!("x' UNION SELECT 'ec-1' --")), BAD_SIGNATURE),
        (
            "a key that it brings along",
            foreign_key.sign(&header(&|header| header["jwk"] = foreign_key.jwk()), &good),
            BAD_SIGNATURE,
        ),
        (
            "addresses of keys",
            foreign_key.sign(
                &header(&|header| {
                    header["jku"] = json!("https://evil.example/jwks");
                    header["x5u"] = json!("https://evil.example/chain");
                }),
                &good,
            ),
            BAD_SIGNATURE,
        ),
    ]
}

fn false_forms(scene: &Scene) -> Vec<Row> {
    let good = scene.claims(|_| {});
    let ec = |change: &dyn Fn(&mut Value)| with_header(scene, change);
    let good_token = scene.ec.token(&good);
    let end = good_token.rsplit_once('.').unwrap().1;
    vec![
        ("kid: a number", ec(&|header| header["kid"] = json!(1)), MALFORMED),
        ("kid: empty", ec(&|header| header["kid"] = json!("")), MALFORMED),
        ("no kid", ec(&|header| drop(header.as_object_mut().unwrap().remove("kid"))), MALFORMED),
        ("an ID token", ec(&|header| header["typ"] = json!("JWT")), MALFORMED),
        ("no typ", ec(&|header| drop(header.as_object_mut().unwrap().remove("typ"))), MALFORMED),
        ("an extension", ec(&|header| header["crit"] = json!(["exp"])), MALFORMED),
        (
            "two algs",
            scene.ec.sign_text(r#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"ec-1"}"#, &good.to_string()),
            MALFORMED,
        ),
        (
            "two subs",
            scene.ec.sign_text(&scene.ec.header().to_string(), &good.to_string().replacen('{', r#"{"sub":"x","#, 1)),
            MALFORMED,
        ),
        ("no JSON", scene.ec.sign_text("header", "claims"), MALFORMED),
        ("junk", "junk-junk-junk-junk".to_owned(), MALFORMED),
        ("five parts", format!("{good_token}.{end}.{end}"), MALFORMED),
        ("padding", format!("{good_token}=="), BAD_SIGNATURE),
        ("too long", scene.token(|claims| claims["x"] = json!("x".repeat(6500))), MALFORMED),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_a_false_signature_or_header_are_refused() {
    let scene = Scene::start().await;
    let good_token = scene.token(|_| {});
    let mut refusals = Refusals::default();
    for (what, token, reason) in false_signatures(&scene).into_iter().chain(false_forms(&scene)) {
        let Err(refusal) = scene.bring(&token).await else { panic!("{what} was accepted") };
        refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", reason);
        assert!(scene.bring(&good_token).await.is_ok(), "after {what}");
    }
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_claims_that_do_not_count_here_or_now_are_refused() {
    let scene = Scene::start().await;
    let (claim, time, issuer) = ("ACCESS_TOKEN_CLAIM_INVALID", "ACCESS_TOKEN_EXPIRED", "ACCESS_TOKEN_ISSUER_UNKNOWN");
    let begin = BEGINNING.0 / 1000;
    let rows: [(&str, TimedChange, &str); 21] = [
        ("another issuer", Box::new(|claims| claims["iss"] = json!("https://idp.test.tokenvault/")), issuer),
        (
            "another issuer of ours",
            Box::new(|claims| claims["iss"] = json!("https://other.test.tokenvault")),
            "ACCESS_TOKEN_SIGNATURE_INVALID",
        ),
        ("no issuer", Box::new(|claims| claims["iss"] = json!(null)), claim),
        ("another audience", Box::new(|claims| claims["aud"] = json!("https://other")), claim),
        ("a longer audience", Box::new(|claims| claims["aud"] = json!(format!("{VAULT_AUDIENCE}/"))), claim),
        ("no audience", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("aud"))), claim),
        ("no audiences", Box::new(|claims| claims["aud"] = json!([])), claim),
        (
            "expired",
            Box::new(move |claims| {
                claims["iat"] = json!(begin - 300);
                claims["exp"] = json!(begin - 30);
            }),
            time,
        ),
        ("no end", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("exp"))), claim),
        ("an end that is a text", Box::new(move |claims| claims["exp"] = json!((begin + 300).to_string())), claim),
        ("an end that is no number", Box::new(|claims| claims["exp"] = json!(-1)), claim),
        ("not begun", Box::new(move |claims| claims["nbf"] = json!(begin + 31)), time),
        ("from the future", Box::new(move |claims| claims["iat"] = json!(begin + 31)), time),
        ("overlong", Box::new(move |claims| claims["exp"] = json!(begin + 3601)), time),
        (
            "over before it begins",
            Box::new(move |claims| {
                claims["iat"] = json!(begin + 20);
                claims["exp"] = json!(begin + 20);
            }),
            time,
        ),
        ("no time of issue", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("iat"))), claim),
        ("no subject", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("sub"))), claim),
        ("no jti", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("jti"))), claim),
        ("no client", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("client_id"))), claim),
        ("an unmapped tenant", Box::new(|claims| claims["org"] = json!("acme")), claim),
        ("no tenant", Box::new(|claims| drop(claims.as_object_mut().unwrap().remove("org"))), claim),
    ];
    let mut refusals = Refusals::default();
    for (what, change, reason) in rows {
        let Err(refusal) = scene.bring(&scene.token(change)).await else { panic!("{what} was accepted") };
        refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", reason);
    }
    // Somebody else's tenant, and somebody without an account.
    let changes: [Change; 2] = [
        |claims| claims["org"] = json!("Globex Corp"),
        |claims| claims["sub"] = json!("spiffe://test.tokenvault/payments"),
    ];
    for change in changes {
        scene.bring(&scene.token(change)).await.unwrap_err().is(Code::Unauthenticated, "PRINCIPAL_UNKNOWN");
        refusals.expect("detokenize", "PRINCIPAL_UNKNOWN");
    }
    let audiences: Change = |claims| claims["aud"] = json!(["https://other", VAULT_AUDIENCE]);
    assert!(scene.bring(&scene.token(audiences)).await.is_ok(), "one of several audiences");
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_until_it_expires_though_it_is_known() {
    let scene = Scene::start().await;
    let token = scene.token(|_| {});
    for _ in 0..2 {
        assert!(scene.bring(&token).await.is_ok());
    }
    scene.clock.advance(Duration::from_secs(329));
    assert!(scene.bring(&token).await.is_ok(), "leeway");
    scene.clock.advance(Duration::from_secs(1));
    scene.bring(&token).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    let mut refusals = Refusals::default();
    refusals.expect("call", "ACCESS_TOKEN_EXPIRED");
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_with_the_certificate_that_it_is_bound_to_alone() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let token = scene.token(|_| {});
    assert!(scene.bring(&token).await.is_ok());
    let header = format!("Bearer {token}");
    for role in [Role::Payments, Role::Loader] {
        let thief = scene.vault.caller(role).await;
        let refusal = scene.reveal(&thief, &[("authorization", &header)]).await.unwrap_err();
        refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    }
    let rows: [(Change, &str); 5] = [
        (|claims| drop(claims.as_object_mut().unwrap().remove("cnf")), "ACCESS_TOKEN_UNBOUND"),
        (|claims| claims["cnf"] = json!({}), "ACCESS_TOKEN_UNBOUND"),
        (|claims| claims["cnf"] = json!({"x5t": "AAAA"}), "ACCESS_TOKEN_UNBOUND"),
        (|claims| claims["cnf"]["jwk"] = json!({"kty": "EC"}), "ACCESS_TOKEN_UNBOUND"),
        (|claims| claims["cnf"] = json!("x5t#S256"), "ACCESS_TOKEN_CLAIM_INVALID"),
    ];
    for (change, reason) in rows {
        scene.bring(&scene.token(change)).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", reason);
    }
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_not_one_token_are_refused() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let caller = scene.vault.caller(Role::Idle).await;
    let token = scene.token(|_| {});
    let (good, scheme_alone) = (format!("Bearer {token}"), "Bearer".to_owned());
    let basic = format!("Basic {token}");
    let spaced = format!("Bearer  {token}");
    let rows: [&[(&'static str, &str)]; 6] = [
        &[("authorization", &good), ("authorization", &good)],
        &[("authorization", &scheme_alone)],
        &[("authorization", &basic)],
        &[("authorization", &token)],
        &[("authorization", &spaced)],
        &[("dpop", &token)],
    ];
    for headers in rows {
        scene.reveal(&caller, headers).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
        refusals.expect("call", "ACCESS_TOKEN_MALFORMED");
    }
    // More than a head of a request may be does not reach the vault's own door.
    let huge = format!("Bearer {}", "x".repeat(100 * 1024));
    let connection = scene.vault.try_connect(Role::Idle).await.unwrap();
    let other = scene.vault.caller_on(Role::Idle, connection);
    assert!(scene.reveal(&other, &[("authorization", &huge)]).await.is_err());
    scene.vault.still_serves().await;
    assert!(scene.bring(&token).await.is_ok());
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_issuers_no_token_is_accepted_and_with_them_an_account_may_ask_for_one() {
    let (vault, _clock) = crate::vault_and_clock().await;
    let caller = vault.caller(Role::Payments).await;
    let mut request = Request::new(detokenize("email", ["tok_eu_any"]));
    request.metadata_mut().insert("authorization", "Bearer e30.e30.AAAA".parse().unwrap());
    caller.detokenize(request).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    let name = [Name::Uri("spiffe://test.tokenvault/careful".to_owned())];
    let identity = vault.authority().client(&name);
    let careful = vault.caller_on(Role::Stranger, vault.try_connect_with(Some(&identity)).await.unwrap());
    let refused = careful.detokenize(detokenize("email", ["tok_eu_any"])).await;
    refused.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_REQUIRED");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_both_is_let_in_as_the_account_that_its_token_names() {
    let scene = Scene::start().await;
    let vault = &scene.vault;
    let mut refusals = Refusals::default();
    let name = [Name::Uri("spiffe://test.tokenvault/careful".to_owned())];
    let identity = vault.authority().client(&name);
    let careful = vault.caller_on(Role::Stranger, vault.try_connect_with(Some(&identity)).await.unwrap());
    let bound = |sub: &str| {
        let mut claims = claims(sub, identity.certificate(), scene.clock.wall());
        claims["org"] = json!("Acme Corp");
        format!("Bearer {}", scene.ec.token(&claims))
    };
    // The certificate alone, and with a token of somebody without an account.
    let refused = scene.reveal(&careful, &[]).await.unwrap_err();
    refused.is(Code::Unauthenticated, "ACCESS_TOKEN_REQUIRED");
    refusals.expect("detokenize", "ACCESS_TOKEN_REQUIRED");
    let refused = scene.reveal(&careful, &[("authorization", &bound("careful"))]).await.unwrap_err();
    refused.is(Code::Unauthenticated, "PRINCIPAL_UNKNOWN");
    refusals.expect("detokenize", "PRINCIPAL_UNKNOWN");
    // With a token of an account it is that one, not the one of its certificate, which the log names beside it.
    let mark = vault.mark("eu").await;
    let good = bound("payments");
    let revealed = scene.reveal(&careful, &[("authorization", &good)]).await.unwrap();
    assert_eq!(revealed.values(), [email(1).into_bytes()]);
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.principal.as_str(), entry.identity_issuer.as_str()), ("idp:payments", "idp"));
    // Another service's certificate is of no use with that token, nor is the token with it.
    let other = vault.caller(Role::Payments).await;
    let refused = scene.reveal(&other, &[("authorization", &good)]).await.unwrap_err();
    refused.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    refusals.expect("call", "ACCESS_TOKEN_UNBOUND");
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_keys_that_changes_is_read_again_and_what_it_drops_counts_no_more() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let (old, fresh) = (scene.token(|_| {}), SigningKey::ec("ec-2"));
    assert!(scene.bring(&old).await.is_ok());
    let path = scene.vault.directory().join("idp.json");
    // Half a file leaves the keys as they are.
    fs::write(&path, r#"{"keys": ["#).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(scene.bring(&old).await.is_ok());
    fs::write(&path, jwks(&[&fresh])).unwrap();
    let new = fresh.token(&scene.claims(|_| {}));
    let mut waited = 0;
    while scene.bring(&new).await.is_err() {
        refusals.expect("call", "ACCESS_TOKEN_SIGNATURE_INVALID");
        waited += 1;
        assert!(waited < 50, "the file is read again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    scene.bring(&old).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    refusals.expect("call", "ACCESS_TOKEN_SIGNATURE_INVALID");
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_denied_ends_the_streams_that_it_opened() {
    let scene = Scene::start().await;
    let token = scene.token(|claims| claims["jti"] = json!("stolen"));
    token.split('.').filter(|part| part.len() >= 40).for_each(|part| scene.vault.secrets().plant(part.as_bytes()));
    let mut said = HeaderMap::new();
    said.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut stream = scene.vault.caller(Role::Idle).await.detokenize_stream_saying(said).await.unwrap();
    let mut ask = async |n: u64| {
        let items = vec![detokenize_item("email", &scene.token)];
        let start = (n == 1).then(settling);
        stream.send(v1::DetokenizeStreamRequest { start, ..tokens(n, items) }).await;
        stream.answer().await.map(|answer| answer.unwrap().1.values())
    };
    assert_eq!(ask(1).await.unwrap(), [email(1).into_bytes()]);
    fs::write(scene.vault.directory().join("denied.txt"), "idp stolen\n").unwrap();
    let mut asked = 1;
    let refusal = loop {
        asked += 1;
        assert!(asked < 50, "the list is read again");
        match ask(asked).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(refusal) => break refusal,
        }
    };
    refusal.is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    scene.finish(Refusals::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_token_is_refused_though_it_is_known() {
    let mut scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let token = scene.token(|claims| claims["jti"] = json!("stolen"));
    let other = scene.token(|claims| claims["jti"] = json!("mine"));
    assert!(scene.bring(&token).await.is_ok());
    let path = scene.vault.directory().join("denied.txt");
    // The same name at another issuer is another token.
    fs::write(&path, "# lost on Monday\nother mine\nidp stolen\n").unwrap();
    let mut waited = 0;
    while scene.bring(&token).await.is_ok() {
        waited += 1;
        assert!(waited < 50, "the list is read again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    refusals.expect("call", "ACCESS_TOKEN_DENIED");
    assert!(scene.bring(&other).await.is_ok());
    // What is not understood leaves the list as it was, and stops a start.
    fs::write(&path, "idp\n").unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    scene.bring(&token).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    refusals.expect("call", "ACCESS_TOKEN_DENIED");
    scene.vault.stop().await;
    assert!(scene.vault.refused_start().await.contains("line 1"));
    fs::write(&path, "idp stolen\n").unwrap();
    scene.vault.start_again().await;
    scene.bring(&token).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    refusals.expect("call", "ACCESS_TOKEN_DENIED");
    assert!(scene.bring(&other).await.is_ok());
    scene.finish(refusals).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_sends_the_token_that_its_file_holds_now() {
    let scene = Scene::start().await;
    let mut refusals = Refusals::default();
    let file = scene.vault.directory().join("token");
    let good = scene.token(|_| {});
    fs::write(&file, format!("{good}\n")).unwrap();
    let identity = scene.vault.identity(Role::Idle);
    let (certificate, key) = (identity.certificate_pem(), Zeroizing::new(identity.key_pem().into_bytes()));
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", scene.vault.address().port())).unwrap();
    let authority = scene.vault.authority().certificate_pem();
    let config = ClientConfig::new(endpoint, authority.as_bytes(), certificate.as_bytes(), &key).unwrap();
    let config = config.with_access_tokens(std::sync::Arc::new(TokenFile::open(&file).unwrap()));
    // The vault's clock: the client states the time of its calls.
    let (clock, entropy) = (std::sync::Arc::new(scene.clock.clone()), std::sync::Arc::new(SystemEntropy));
    let client = Client::connect(config, clock, entropy).await.unwrap();
    let context = CallContext {
        region: Region::parse("eu").unwrap(),
        audience: Audience::parse("payments").unwrap(),
        purpose: Purpose::parse("settlement").ok(),
        reference: None,
        idempotency: Idempotency::Off,
    };
    let reveal = async || {
        let held = HeldToken { class: DataClass::parse("email").unwrap(), token: TokenText::new(scene.token.clone()) };
        client.detokenize(&context, vec![held]).await
    };
    assert!(reveal().await.unwrap().results[0].is_ok());
    // Somebody else has put a worse one there.
    fs::write(&file, "junk-junk").unwrap();
    let refused = reveal().await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().reason_name, "ACCESS_TOKEN_INVALID");
    refusals.expect("call", "ACCESS_TOKEN_MALFORMED");
    fs::write(&file, "two words").unwrap();
    assert!(matches!(reveal().await.unwrap_err(), ClientError::Configuration { .. }), "nothing is sent");
    fs::write(&file, &good).unwrap();
    assert!(reveal().await.unwrap().results[0].is_ok());
    fs::remove_file(&file).unwrap();
    scene.finish(refusals).await;
}
