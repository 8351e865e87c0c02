//! Access tokens of a real identity provider (oidc-provider): both ways to bind them, its keys changed under load, and
//! its bad days. What this machine lacks is installed by .ci/setup.sh and .ci/oidc.sh.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tonic::Request;
use vault_domain::{Clock, SystemClock};
use vault_tests::{
    issuer::{SigningKey, sha256},
    requests::{detokenize, email},
    roles::Role,
    vault::TestVault,
};

use crate::DISK;

/// The provider as a process of its own, ended with the test.
pub(super) struct Provider {
    process: Child,
    pub(super) port: u16,
    folder: PathBuf,
}

impl Provider {
    /// Starts it beside a vault, with the vault's authority and certificate.
    fn start(vault: &TestVault) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/oidc.sh");
        let installed = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(installed.status.success(), "the identity provider can't be installed: run .ci/setup.sh test");
        let place = PathBuf::from(String::from_utf8(installed.stdout).unwrap().trim());
        let folder = vault.directory().to_owned();
        let identity = vault.identity(Role::Payments);
        fs::write(folder.join("client.pem"), identity.certificate_pem()).unwrap();
        fs::write(folder.join("client.key"), identity.key_pem().as_bytes()).unwrap();
        let mut process = Command::new("node")
            .arg(place.join("issuer.mjs"))
            .arg(&folder)
            .arg(Role::Payments.principal())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { process, port: line.trim().parse().expect("the provider's port"), folder }
    }

    pub(super) fn curl(&self, path: &str, arguments: &[&str]) -> String {
        let url = format!("https://localhost:{}{path}", self.port);
        let ca = self.folder.join("clients.pem");
        let output = Command::new("curl").args(["-s", "--cacert"]).arg(ca).args(arguments).arg(url).output().unwrap();
        assert!(output.status.success(), "curl {path}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends it for good.
    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Has it behave so from now on.
    pub(super) fn be(&self, how: &str) {
        self.curl(&format!("/test/{how}"), &[]);
    }

    fn token(&self, arguments: &[&str]) -> String {
        let body = "grant_type=client_credentials&scope=tokenize%20detokenize";
        let answer = self.curl("/token", &[&["-d", body], arguments].concat());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {}", answer["error"])).to_owned()
    }

    /// A token for the payments service, bound to its certificate (RFC 8705).
    fn bound_to_certificate(&self) -> String {
        let (certificate, key) = (self.folder.join("client.pem"), self.folder.join("client.key"));
        let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
        self.token(&["--cert", certificate, "--key", key, "-d", "client_id=payments"])
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

pub(super) struct Scene {
    pub(super) vault: TestVault,
    pub(super) provider: Provider,
    pub(super) token: String,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
        let provider = Provider::start(&vault);
        let catalog = vault.directory().join("catalog.toml");
        let text = fs::read_to_string(&catalog).unwrap();
        let account = "[accounts.\"idp:remote\"]\ntenant = \"acme\"\naudiences = [\"payments\"]\nregions = [\"eu\"]\n\
                      grants = [{ actions = [\"detokenize\"], classes = [\"email\"] }]\n";
        let pinned = account.replace("idp:remote", "idp:pinned");
        fs::write(&catalog, format!("{text}\n{account}\n{pinned}")).unwrap();
        vault.set_issuers(&format!(
            r#"
dpop_origins = ["https://vault.test.tokenvault"]

[issuers.idp]
issuer = "https://localhost:{port}"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_url = "https://localhost:{port}/jwks"
jwks_ca = "clients.pem"
jwks_refresh_seconds = 10
jwks_stale_seconds_max = 25
binding = ["certificate", "dpop"]
rules = [
    {{ gives = "tenant", claim = "org", table = {{ "Acme Corp" = "acme" }} }},
    {{ gives = "role", claim = ["realm_access", "roles"], prefix = "vault-" }},
    {{ gives = "scope", claim = "scope" }},
]
"#,
            port = provider.port
        ));
        vault.start_again().await;
        let token = vault.give("email", [email(1)]).await.remove(0);
        Self { vault, provider, token }
    }

    async fn bring(&self, role: Role, headers: &[(&'static str, String)]) -> Result<(), String> {
        let mut request = Request::new(detokenize("email", [&self.token]));
        for (name, value) in headers {
            value.split('.').skip(1).for_each(|part| self.vault.secrets().plant(part.as_bytes()));
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        let answer = self.vault.caller(role).await.detokenize(request).await;
        let revealed = answer.map_err(|refusal| refusal.reason)?;
        assert_eq!(revealed.values(), [email(1).into_bytes()]);
        Ok(())
    }

    async fn bearer(&self, token: &str) -> Result<(), String> {
        self.bring(Role::Payments, &[("authorization", format!("Bearer {token}"))]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_a_real_provider_count_by_certificate_and_by_key() {
    let scene = Scene::start().await;
    let token = scene.provider.bound_to_certificate();
    let mark = scene.vault.mark("eu").await;
    assert_eq!(scene.bearer(&token).await, Ok(()));
    let entry = scene.vault.entry_since(&mark).await;
    assert_eq!((entry.principal.as_str(), entry.identity_issuer.as_str()), ("idp:payments", "idp"));
    let stolen = scene.bring(Role::Idle, &[("authorization", format!("Bearer {token}"))]).await;
    assert_eq!(stolen, Err("ACCESS_TOKEN_INVALID".to_owned()));

    let key = SigningKey::ec("mine");
    let now = || SystemClock::new().wall().0 / 1000;
    let asked = format!("https://localhost:{}/token", scene.provider.port);
    let proof = key.proof(|_, claims| *claims = json!({"htm": "POST", "htu": asked, "iat": now(), "jti": "one"}));
    let (proof, secret) = (format!("DPoP: {proof}"), "remote:no-secret-but-for-tests-0123456789");
    let token = scene.provider.token(&["-H", &proof, "-u", secret]);
    let target = "https://vault.test.tokenvault/tokenvault.v1.TokenService/Detokenize";
    let prove = |jti: &str| {
        let ath = sha256(token.as_bytes());
        let claims = json!({"htm": "POST", "htu": target, "iat": now(), "jti": jti, "ath": ath});
        [("authorization", format!("DPoP {token}")), ("dpop", key.proof(|_, given| *given = claims))]
    };
    // A proof says to the second when it was made, and the second of the vault's start began before it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The proxy that ends TLS shows a certificate of its own.
    assert_eq!(scene.bring(Role::Idle, &prove("two")).await, Ok(()));
    assert!(scene.bring(Role::Idle, &prove("two")).await.is_err(), "used before");
    assert_eq!(scene.bring(Role::Idle, &prove("three")).await, Ok(()));
    assert!(scene.bring(Role::Idle, &[("authorization", format!("Bearer {token}"))]).await.is_err());
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_providers_keys_change_under_load_and_no_call_fails() {
    let scene = Scene::start().await;
    let first = scene.provider.bound_to_certificate();
    assert_eq!(scene.bearer(&first).await, Ok(()));
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        while !stop.load(Ordering::SeqCst) {
            assert_eq!(scene.bearer(&first).await, Ok(()));
            calls.fetch_add(1, Ordering::SeqCst);
        }
    };
    let change = async {
        // It is asked on account of a token once in ten seconds.
        tokio::time::sleep(Duration::from_millis(10_500)).await;
        scene.provider.be("rotate");
        let asked = scene.provider.curl("/test/asked", &[]).parse::<usize>().unwrap();
        let fresh: Vec<String> = (0..5).map(|_| scene.provider.bound_to_certificate()).collect();
        assert_ne!(fresh[0].split('.').next(), first.split('.').next(), "another key");
        let (a, b, c, d, e) = tokio::join!(
            scene.bearer(&fresh[0]),
            scene.bearer(&fresh[1]),
            scene.bearer(&fresh[2]),
            scene.bearer(&fresh[3]),
            scene.bearer(&fresh[4]),
        );
        assert_eq!([a, b, c, d, e], [const { Ok(()) }; 5]);
        let now = scene.provider.curl("/test/asked", &[]).parse::<usize>().unwrap();
        assert!(now <= asked + 1, "all waited for one answer, or had it: {asked}, {now}");
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(load, change);
    assert!(calls.load(Ordering::SeqCst) > 20);
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_bad_days_refuse_nobody_until_its_keys_are_too_old() {
    let scene = Scene::start().await;
    let token = scene.provider.bound_to_certificate();
    assert_eq!(scene.bearer(&token).await, Ok(()));
    for how in ["garbage", "huge", "slow", "broken", "moved"] {
        scene.provider.be(how);
        let asked = scene.provider.curl("/test/asked", &[]);
        let mut waited = 0;
        while scene.provider.curl("/test/asked", &[]) == asked {
            assert_eq!(scene.bearer(&token).await, Ok(()), "while it is {how}");
            tokio::time::sleep(Duration::from_millis(200)).await;
            waited += 1;
            assert!(waited < 100, "it is asked again");
        }
        assert_eq!(scene.bearer(&token).await, Ok(()), "when it was {how}");
        assert_eq!(scene.bearer(&scene.provider.bound_to_certificate()).await, Ok(()), "a new token of a known key");
        scene.provider.be("good");
        let asked = scene.provider.curl("/test/asked", &[]);
        while scene.provider.curl("/test/asked", &[]) == asked {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    scene.provider.be("broken");
    tokio::time::sleep(Duration::from_secs(26)).await;
    assert_eq!(scene.bearer(&token).await, Err("ACCESS_TOKEN_INVALID".to_owned()));
    scene.provider.be("good");
    let mut waited = 0;
    while scene.bearer(&token).await.is_err() {
        tokio::time::sleep(Duration::from_millis(500)).await;
        waited += 1;
        assert!(waited < 60, "it recovers");
    }
    scene.vault.still_serves().await;
    scene.vault.finish().await;
}
