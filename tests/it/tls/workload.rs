//! The SPIFFE Workload API as the source of the vault's own certificate: an agent that speaks its protocol on a socket,
//! with certificates of the test's authority. It gives others, gives bad ones, and goes away.

use std::{
    convert::Infallible,
    fs,
    future::{Ready, ready},
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{
    Status,
    body::Body,
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_prost::ProstCodec;
use vault_domain::{Decision, SystemClock};
use vault_server::{Config, Environment, Severity};
use vault_tests::{
    certificates::{Identity, Name},
    requests::{email, tokenize},
    roles::Role,
    vault::TestVault,
};

use super::{leaf_shown, logged, noticed, reloads};
use crate::DISK;

/// `X509SVIDResponse` of the Workload API.
#[derive(Clone, PartialEq, prost::Message)]
struct SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    crl: Vec<Vec<u8>>,
}

/// `X509SVID`.
#[derive(Clone, PartialEq, prost::Message)]
struct Svid {
    #[prost(string, tag = "1")]
    spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    hint: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SvidRequest {}

/// An agent's service.
#[derive(Clone)]
struct Service(watch::Receiver<SvidResponse>);

impl ServerStreamingService<SvidRequest> for Service {
    type Response = SvidResponse;
    type ResponseStream = ReceiverStream<Result<SvidResponse, Status>>;
    type Future = Ready<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<SvidRequest>) -> Self::Future {
        if request.metadata().get("workload.spiffe.io").is_none_or(|value| value != "true") {
            return ready(Err(Status::invalid_argument("security header missing from request")));
        }
        let (sender, receiver) = mpsc::channel(1);
        let mut identities = self.0.clone();
        tokio::spawn(async move {
            loop {
                let now = identities.borrow_and_update().clone();
                if sender.send(Ok(now)).await.is_err() || identities.changed().await.is_err() {
                    return;
                }
            }
        });
        ready(Ok(tonic::Response::new(ReceiverStream::new(receiver))))
    }
}

impl tower::Service<Request<Body>> for Service {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != "/SpiffeWorkloadAPI/FetchX509SVID" {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            Ok(Grpc::new(ProstCodec::<SvidResponse, SvidRequest>::default()).server_streaming(service, request).await)
        })
    }
}

impl NamedService for Service {
    const NAME: &'static str = "SpiffeWorkloadAPI";
}

/// An agent on a socket.
struct Agent {
    socket: PathBuf,
    identities: watch::Sender<SvidResponse>,
    serving: JoinHandle<()>,
}

impl Agent {
    fn start(socket: &Path, first: SvidResponse) -> Self {
        let (identities, receiver) = watch::channel(first);
        let incoming = UnixListenerStream::new(UnixListener::bind(socket).unwrap());
        let serving = tonic::transport::Server::builder().add_service(Service(receiver)).serve_with_incoming(incoming);
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Self { socket: socket.to_owned(), identities, serving }
    }

    /// Goes away, with its socket and its connections.
    async fn stop(self) {
        fs::remove_file(&self.socket).unwrap();
        drop(self.identities);
        self.serving.abort();
        assert!(self.serving.await.is_err());
    }
}

/// The vault's identity, as an agent gives it: for `localhost`, and with another one behind it.
fn identity(vault: &TestVault) -> Identity {
    let names = [Name::Uri("spiffe://test.tokenvault/vault".to_owned()), Name::Dns("localhost".to_owned())];
    vault.authority().misused_server(&names)
}

fn response(vault: &TestVault, shown: &Identity, key: &Identity) -> SvidResponse {
    let authority = vault.authority().certificate();
    let svid = |leaf: &Identity, key: &Identity| Svid {
        spiffe_id: "spiffe://test.tokenvault/vault".to_owned(),
        // The authority's own certificate stands for an intermediate one.
        x509_svid: [&leaf.certificate()[..], &authority[..]].concat(),
        x509_svid_key: key.key().secret_der().to_vec(),
        bundle: authority.to_vec(),
        hint: "internal".to_owned(),
    };
    let second = identity(vault);
    SvidResponse { svids: vec![svid(shown, key), svid(&second, &second)], crl: Vec::new() }
}

/// A vault whose certificate comes from `agent.sock`.
fn prepared() -> TestVault {
    let vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    let config = vault.directory().join("vault.toml");
    let socket = vault.directory().join("agent.sock");
    let files = "certificate = \"server.pem\"\nkey = \"server.key\"\n";
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains(files));
    let api = format!("workload_api = \"unix://{}\"\nreload_seconds = 86400\n", socket.display());
    fs::write(config, text.replace(files, &api)).unwrap();
    for file in ["server.pem", "server.key"] {
        fs::remove_file(vault.directory().join(file)).unwrap();
    }
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vaults_certificate_comes_from_the_workload_api_and_stays_when_that_is_gone() {
    let mut vault = prepared();
    let socket = vault.directory().join("agent.sock");
    let [first, second, third] = [(); 3].map(|()| identity(&vault));
    let agent = Agent::start(&socket, response(&vault, &first, &first));
    vault.start_again().await;
    let payments = vault.identity(Role::Payments);
    let shown = || leaf_shown(&vault, vault.authority(), payments);
    assert_eq!(shown().await, first.certificate().to_vec(), "the first one that it names");
    let loader = vault.caller(Role::Loader).await;

    // Another one.
    let mark = vault.mark("node").await;
    agent.identities.send_replace(response(&vault, &second, &second));
    noticed(&vault, mark.size()).await;
    assert_eq!(shown().await, second.certificate().to_vec());
    // One with a key that is not its own.
    let mark = vault.mark("node").await;
    agent.identities.send_replace(response(&vault, &third, &first));
    noticed(&vault, mark.size()).await;
    assert_eq!(shown().await, second.certificate().to_vec());
    loader.tokenize(tokenize("email", [email(1)])).await.unwrap();

    // None any more.
    agent.stop().await;
    logged(&vault, &["WARN", "the Workload API is gone; its last identity stays in use until it ends"]).await;
    assert_eq!(shown().await, second.certificate().to_vec());
    vault.still_serves().await;
    // And one again.
    let mark = vault.mark("node").await;
    let agent = Agent::start(&socket, response(&vault, &third, &third));
    noticed(&vault, mark.size()).await;
    assert_eq!(shown().await, third.certificate().to_vec());
    loader.tokenize(tokenize("email", [email(2)])).await.unwrap();
    vault.stop().await;
    let done = (Decision::Allowed, None);
    assert_eq!(reloads(&vault), [done, (Decision::Failed, Some("RELOAD_REFUSED")), done]);
    agent.stop().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_comes_from_files_or_from_the_workload_api_and_from_neither_there_is_no_start() {
    let vault = prepared();
    let check = || {
        let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
        let findings = config.findings(vault_domain::Clock::wall(&SystemClock::new()));
        findings.into_iter().find(|found| found.subject == "tls.workload_api").unwrap().severity
    };
    assert_eq!(check(), Severity::Error, "there is no agent");
    let refused = vault.refused_start().await;
    assert!(refused.contains("the Workload API") && refused.contains("agent.sock"), "{refused}");
    let authority = identity(&vault);
    let agent = Agent::start(&vault.directory().join("agent.sock"), response(&vault, &authority, &authority));
    assert_eq!(check(), Severity::Note);
    agent.stop().await;
    vault.configure("tls", "certificate = \"server.pem\"");
    let refused = vault.refused_start().await;
    assert!(refused.contains("tls.certificate: is set beside tls.workload_api"), "{refused}");
    let config = vault.directory().join("vault.toml");
    let text = fs::read_to_string(&config).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("workload_api")).map(|line| format!("{line}\n")).collect();
    fs::write(config, without).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("tls.key: is missing"), "{refused}");
}
