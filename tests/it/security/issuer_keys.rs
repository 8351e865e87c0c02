//! Keys that are fetched from their issuer: asked for once at a time and seldom, used only as long as they may be, and
//! kept when the issuer answers nonsense.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tonic::{Code, Request};
use vault_domain::{Clock, ManualClock};
use vault_tests::{
    issuer::{SigningKey, claims, jwks},
    refusal::Refusal,
    requests::{detokenize, email},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::{DISK, bad_input::Refusals};

/// An issuer's door: answers whatever a test sets, and counts how often it was asked.
#[derive(Clone, Default)]
struct Door {
    answer: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Door {
    async fn open(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = self.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let door = door.clone();
                tokio::spawn(async move {
                    let mut head = [0; 2048];
                    let _read = stream.read(&mut head).await;
                    door.asked.fetch_add(1, Ordering::SeqCst);
                    // Long enough for others to ask meanwhile.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    let answer = door.answer.lock().unwrap().clone();
                    match answer {
                        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                        None => tokio::time::sleep(Duration::from_secs(30)).await,
                    }
                });
            }
        });
        address
    }

    fn shows(&self, keys: &[&SigningKey]) {
        self.answers("200 OK", &jwks(keys));
    }

    fn answers(&self, status: &str, body: &str) {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /jwks\r\n\r\n", body.len());
        *self.answer.lock().unwrap() = Some(head + body);
    }

    fn is_silent(&self) {
        *self.answer.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

struct Scene {
    vault: TestVault,
    clock: ManualClock,
    door: Door,
    token: String,
}

impl Scene {
    async fn start(keys: &[&SigningKey]) -> Self {
        let (clock, door) = (ManualClock::at(BEGINNING), Door::default());
        door.shows(keys);
        let address = door.open().await;
        let mut vault = TestVault::prepare(Path::new(DISK), Arc::new(clock.clone()));
        vault.set_issuers(&format!(
            r#"
[issuers.idp]
issuer = "https://idp.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_url = "http://{address}/jwks"
jwks_refresh_seconds = 3600
"#
        ));
        vault.start_again().await;
        let token = vault.give("email", [email(1)]).await.remove(0);
        Self { vault, clock, door, token }
    }

    async fn bring(&self, key: &SigningKey) -> Result<(), Refusal> {
        let certificate = self.vault.identity(Role::Idle).certificate();
        let mut claims = claims("payments", certificate, self.clock.wall());
        claims["kid"] = json!(key.kid);
        let token = key.token(&claims);
        let mut request = Request::new(detokenize("email", [&self.token]));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let caller = self.vault.caller(Role::Idle).await;
        let revealed = caller.detokenize(request).await?;
        assert_eq!(revealed.values(), [email(1).into_bytes()]);
        Ok(())
    }

    async fn refuses(&self, key: &SigningKey) {
        self.bring(key).await.unwrap_err().is(Code::Unauthenticated, "ACCESS_TOKEN_INVALID");
    }

    /// Lets enough time pass for an issuer to be asked again.
    fn wait(&self) {
        self.clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_makes_the_vault_ask_its_issuer_once_and_seldom() {
    let (first, second) = (SigningKey::ec("one"), SigningKey::ec("two"));
    let mut scene = Scene::start(&[&first]).await;
    let mut refusals = Refusals::default();
    // Who comes before the first answer waits for it.
    assert!(scene.bring(&first).await.is_ok());
    assert_eq!(scene.door.asked(), 1);
    scene.wait();
    scene.door.shows(&[&second, &first]);
    let (one, two, three) = tokio::join!(scene.bring(&second), scene.bring(&second), scene.bring(&second));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(scene.door.asked(), 2, "all waited for one answer");
    let third = SigningKey::ec("three");
    scene.door.shows(&[&third, &second, &first]);
    scene.refuses(&third).await;
    refusals.expect("call", "ACCESS_TOKEN_SIGNATURE_INVALID");
    assert_eq!(scene.door.asked(), 2, "so soon it is not asked again");
    // Names that nobody has.
    scene.wait();
    for name in 0..10 {
        scene.refuses(&SigningKey::ec(&format!("unknown-{name}"))).await;
        refusals.expect("call", "ACCESS_TOKEN_SIGNATURE_INVALID");
    }
    assert_eq!(scene.door.asked(), 3);
    scene.vault.stop().await;
    assert_eq!(Refusals::stored(&scene.vault), refusals);
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_set_of_keys_leaves_the_keys_as_they_are() {
    let (first, second) = (SigningKey::ec("one"), SigningKey::ec("two"));
    let scene = Scene::start(&[&first]).await;
    assert!(scene.bring(&first).await.is_ok());
    let mut secret = second.jwk();
    secret["d"] = json!("AAAA");
    let huge = format!("{{\"keys\": [{}], \"padding\": \"{}\"}}", second.jwk(), "x".repeat(10 << 20));
    let twice = format!("{{\"keys\": [], \"keys\": [{}]}}", second.jwk());
    let rows = [
        ("200 OK", "<html>down for maintenance</html>".to_owned()),
        ("200 OK", huge),
        ("200 OK", twice),
        ("200 OK", json!({"keys": [secret]}).to_string()),
        ("302 Found", jwks(&[&second])),
        ("500 Internal Server Error", jwks(&[&second])),
    ];
    for (status, body) in rows {
        scene.door.answers(status, &body);
        scene.wait();
        scene.refuses(&second).await;
        assert!(scene.bring(&first).await.is_ok());
        scene.door.shows(&[&first]);
        // After a failure it is asked again by itself, so that the next row finds it well.
        let asked = scene.door.asked();
        while scene.door.asked() == asked {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // It takes the connection and says nothing.
    scene.door.is_silent();
    scene.wait();
    scene.refuses(&second).await;
    assert!(scene.bring(&first).await.is_ok());
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_could_not_be_had_again_for_an_hour_count_no_more() {
    let first = SigningKey::ec("one");
    let mut scene = Scene::start(&[&first]).await;
    assert!(scene.bring(&first).await.is_ok());
    scene.door.answers("500 Internal Server Error", "");
    scene.clock.advance(Duration::from_secs(3600));
    assert!(scene.bring(&first).await.is_ok(), "an hour is not too old");
    scene.clock.advance(Duration::from_secs(1));
    scene.refuses(&first).await;
    // Well again: what failed is asked again before long.
    scene.door.shows(&[&first]);
    let mut refused = 1;
    while scene.bring(&first).await.is_err() {
        refused += 1;
        assert!(refused < 100, "it recovers");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    scene.vault.stop().await;
    let mut refusals = Refusals::default();
    (0..refused).for_each(|_| refusals.expect("call", "ACCESS_TOKEN_KEYS_UNAVAILABLE"));
    assert_eq!(Refusals::stored(&scene.vault), refusals);
    scene.vault.finish().await;
}
