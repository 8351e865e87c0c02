//! Access tokens that the client fetches itself, from a real identity provider, by the certificate that it shows the
//! vault: again before they end, and on the provider's bad days.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use vault_client::{
    CallContext, Client, ClientConfig, ClientCredentials, ClientError, Endpoint, HeldToken, Idempotency, TokenEndpoint,
};
use vault_domain::{Audience, DataClass, Purpose, Region, SystemClock, SystemEntropy, TokenText};
use vault_tests::{requests::email, roles::Role};
use zeroize::Zeroizing;

use super::identity_provider::Scene;

/// Who a client is: its certificate and key in PEM.
fn identity(scene: &Scene, role: Role) -> (String, Zeroizing<Vec<u8>>) {
    let identity = scene.vault.identity(role);
    (identity.certificate_pem().to_owned(), Zeroizing::new(identity.key_pem().into_bytes()))
}

async fn tokens(scene: &Scene, role: Role, client_id: &str) -> Result<ClientCredentials, ClientError> {
    let (certificate, key) = identity(scene, role);
    let url = format!("https://localhost:{}/token", scene.provider.port);
    let authority = scene.vault.authority().certificate_pem();
    let endpoint = TokenEndpoint::new(&url, authority.as_bytes(), certificate.as_bytes(), &key, client_id)?;
    let endpoint = endpoint.with_scope("tokenize detokenize")?;
    ClientCredentials::begin(endpoint, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await
}

/// The payments service with tokens of its own fetching; each call is attempted once.
async fn client(scene: &Scene) -> Client {
    client_as(scene, "payments").await
}

/// The same, known to the provider by another name.
async fn client_as(scene: &Scene, client_id: &str) -> Client {
    let (certificate, key) = identity(scene, Role::Payments);
    let endpoint = Endpoint::parse(&format!("https://localhost:{}", scene.vault.address().port())).unwrap();
    let authority = scene.vault.authority().certificate_pem();
    let config = ClientConfig::new(endpoint, authority.as_bytes(), certificate.as_bytes(), &key).unwrap();
    let tokens = tokens(scene, Role::Payments, client_id).await.unwrap();
    let config = config.with_access_tokens(Arc::new(tokens)).with_attempts_max(1);
    Client::connect(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy)).await.unwrap()
}

async fn reveal(scene: &Scene, client: &Client) -> Result<(), ClientError> {
    let context = CallContext {
        region: Region::parse("eu").unwrap(),
        audience: Audience::parse("payments").unwrap(),
        purpose: Purpose::parse("settlement").ok(),
        reference: None,
        idempotency: Idempotency::Off,
    };
    let held = HeldToken { class: DataClass::parse("email").unwrap(), token: TokenText::new(scene.token.clone()) };
    client.detokenize(&context, vec![held]).await?.results.remove(0).map(drop)
}

fn given(scene: &Scene) -> usize {
    scene.provider.curl("/test/given", &[]).parse().unwrap()
}

/// Calls four times a second, and all of them succeed, until the provider has been asked for a token once more.
async fn serves_until_asked_again(scene: &Scene, client: &Client, meanwhile: &str) {
    let before = given(scene);
    for _ in 0..200 {
        reveal(scene, client).await.unwrap_or_else(|error| panic!("{meanwhile}: {error}"));
        if given(scene) > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("{meanwhile}: it is asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_fetches_its_tokens_by_its_certificate_and_again_before_they_end() {
    let scene = Scene::start().await;
    scene.provider.be("life_5");
    let client = client(&scene).await;
    assert_eq!(given(&scene), 1);
    let mark = scene.vault.mark("eu").await;
    reveal(&scene, &client).await.unwrap();
    let entry = scene.vault.entry_since(&mark).await;
    assert_eq!((entry.principal.as_str(), entry.identity_issuer.as_str()), ("idp:payments", "idp"));
    assert_eq!(entry.certificate_sha256, scene.vault.fingerprint(Role::Payments));
    // Many at once need one token.
    let call = || reveal(&scene, &client);
    let (one, two, three, four) = tokio::join!(call(), call(), call(), call());
    assert!([one, two, three, four].iter().all(Result::is_ok));
    let begun = given(&scene);
    for _ in 0..2 {
        serves_until_asked_again(&scene, &client, "while its tokens are renewed").await;
    }
    assert_eq!(given(&scene), begun + 2, "one question for each");
    // Who is not the issuer's client is told so, and nothing else.
    let refused = tokens(&scene, Role::Payments, "nobody").await.unwrap_err();
    assert_eq!(refused.to_string(), "the token endpoint refuses the client: invalid_client");
    let refused = tokens(&scene, Role::Idle, "payments").await.unwrap_err();
    assert_eq!(refused.to_string(), "the token endpoint refuses the client: invalid_client");
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_issuer_holds_its_very_certificate_gets_tokens_by_no_other() {
    let scene = Scene::start().await;
    let client = client_as(&scene, "pinned").await;
    let mark = scene.vault.mark("eu").await;
    reveal(&scene, &client).await.unwrap();
    assert_eq!(scene.vault.entry_since(&mark).await.principal, "idp:pinned");
    // Another one of the same authority is not it.
    let refused = tokens(&scene, Role::Idle, "pinned").await.unwrap_err();
    assert_eq!(refused.to_string(), "the token endpoint refuses the client: invalid_client");
    scene.vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_issuers_bad_days_the_token_at_hand_serves_to_its_end() {
    let mut scene = Scene::start().await;
    scene.provider.be("life_10");
    let client = client(&scene).await;
    // The last one takes the patience of the client, and the token at hand has to outlive that.
    for (how, next) in [("garbage", "life_10"), ("huge", "life_10"), ("moved", "life_40"), ("slow", "life_6")] {
        scene.provider.be(&format!("giving_{how}"));
        serves_until_asked_again(&scene, &client, how).await;
        reveal(&scene, &client).await.unwrap();
        scene.provider.be("giving_good");
        scene.provider.be(next);
        serves_until_asked_again(&scene, &client, "when it is well again").await;
    }
    // Down for longer than the token lives: nothing is sent any more, and it is said why.
    scene.provider.be("giving_broken");
    let mut last = Ok(());
    for _ in 0..100 {
        last = reveal(&scene, &client).await;
        if last.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let error = last.unwrap_err();
    assert!(matches!(&error, ClientError::Connect { .. }), "{error}");
    assert!(error.to_string().ends_with("no access token: it answered 500, and redirects are not followed"), "{error}");
    let mark = scene.vault.mark("eu").await;
    assert!(reveal(&scene, &client).await.is_err());
    scene.vault.entries_since(&mark, 0).await;
    scene.provider.be("giving_good");
    let mut waited = 0;
    while reveal(&scene, &client).await.is_err() {
        waited += 1;
        assert!(waited < 40, "a call that lacks a token has it asked for at once");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    scene.provider.kill();
    reveal(&scene, &client).await.unwrap();
    let refused = tokens(&scene, Role::Payments, "payments").await.unwrap_err();
    assert!(matches!(&refused, ClientError::Connect { .. }), "{refused}");
    scene.vault.finish().await;
}

/// The program, built beside this test, as the payments service that fetches its tokens; it is given the token to
/// reveal on its standard input.
fn detokenize_command(scene: &Scene, client_id: &str) -> (Option<i32>, String, String) {
    let folder = scene.vault.directory();
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("tokenvault");
    assert!(program.is_file(), "{} is missing: build the workspace first", program.display());
    let words = "detokenize --class email --audience payments --region eu --purpose settlement --output jsonl";
    let mut child = Command::new(program)
        .args(words.split(' '))
        .args(["--token-scope", "tokenize detokenize"])
        .args(["--token-resource", "https://vault.test.tokenvault"])
        .env("TOKENVAULT_ENDPOINT", format!("https://localhost:{}", scene.vault.address().port()))
        .env("TOKENVAULT_CA", folder.join("clients.pem"))
        .env("TOKENVAULT_CERT", folder.join("client.pem"))
        .env("TOKENVAULT_KEY", folder.join("client.key"))
        .env("TOKENVAULT_TOKEN_URL", format!("https://localhost:{}/token", scene.provider.port))
        .env("TOKENVAULT_TOKEN_CLIENT_ID", client_id)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", scene.token).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_fetches_its_tokens_too() {
    let scene = Scene::start().await;
    let mark = scene.vault.mark("eu").await;
    let (code, out, err) = detokenize_command(&scene, "payments");
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(&email(1)), "{out}");
    assert_eq!(scene.vault.entry_since(&mark).await.principal, "idp:payments");
    let (code, out, err) = detokenize_command(&scene, "nobody");
    assert!(code.is_some_and(|code| code != 0) && out.is_empty(), "{out}");
    assert!(err.contains("the token endpoint refuses the client: invalid_client"), "{err}");
    scene.vault.finish().await;
}
