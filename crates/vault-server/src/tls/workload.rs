//! The SPIFFE Workload API (SPIFFE Workload API, X.509-SVID Profile) as the source of the server's own certificate and
//! key: a stream of identities on a Unix socket, the next one always in time before the last one ends.
//!
//! When the agent is gone, the vault goes on with what it has until that ends, says so, and asks again. Trust bundles
//! and revocation lists of the agent are not used: who may call is for `tls.client_ca` and `tls.client_crl` to say.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::CertificateDer;
use tokio::{net::UnixStream, sync::Notify};
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;
use tower::service_fn;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::{Tls, TlsError, file};
use crate::config::{OwnIdentity, TlsConfig};

const METHOD: &str = "/SpiffeWorkloadAPI/FetchX509SVID";
/// What every request has to carry (SPIFFE Workload Endpoint section 5.1), so that none can be made by mistake.
const SECURITY_HEADER: &str = "workload.spiffe.io";
/// How long the start waits for the first identity.
const FIRST_DEADLINE: Duration = Duration::from_secs(30);
/// How long to wait before asking again: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A certificate chain, leaf first, and its key in PKCS #8.
pub(crate) struct Svid {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: Zeroizing<Vec<u8>>,
}

/// The agent's socket, and the stream from it if there is one.
pub(crate) struct WorkloadApi {
    socket: PathBuf,
    stream: Option<Streaming<SvidResponse>>,
}

/// `X509SVIDResponse`; lists and federated bundles are not read.
#[derive(Clone, PartialEq, prost::Message)]
struct SvidResponse {
    #[prost(message, repeated, tag = "1")]
    svids: Vec<SvidMessage>,
}

/// `X509SVID`; id, bundle and hint are not read.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct SvidMessage {
    /// Certificates in DER, one behind the other.
    #[prost(bytes = "vec", tag = "2")]
    x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    x509_svid_key: Vec<u8>,
}

impl std::fmt::Debug for SvidMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SvidMessage(..)")
    }
}

/// `X509SVIDRequest`, which is empty.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct SvidRequest {}

impl WorkloadApi {
    /// The one that the configuration names, if it does.
    pub(crate) fn of(config: &TlsConfig) -> Option<Self> {
        match &config.own {
            OwnIdentity::WorkloadApi { socket } => Some(Self { socket: socket.clone(), stream: None }),
            OwnIdentity::Files { .. } => None,
        }
    }

    /// Waits for the first identity, as long as a start may take.
    ///
    /// # Errors
    /// When there is none by then, with why not.
    pub(crate) async fn first(&mut self) -> Result<Svid, TlsError> {
        let mut last = "it does not answer".to_owned();
        let waiting = async {
            loop {
                match self.next().await {
                    Ok(svid) => return svid,
                    Err(problem) => last = problem,
                }
                tokio::time::sleep(PAUSES.0).await;
            }
        };
        let found = tokio::time::timeout(FIRST_DEADLINE, waiting).await;
        found.map_err(|_| file("the Workload API", &self.socket, &format!("gives no identity: {last}")))
    }

    /// Has the vault use every new identity, until it is cut off.
    pub(crate) async fn follow(mut self, tls: Arc<Tls>, look: Arc<Notify>) {
        let mut pause = PAUSES.0;
        loop {
            match self.next().await {
                Ok(svid) => {
                    tls.renew(svid);
                    look.notify_one();
                    pause = PAUSES.0;
                }
                Err(problem) => {
                    tracing::warn!(
                        socket = %self.socket.display(),
                        problem,
                        "the Workload API is gone; its last identity stays in use until it ends"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// The next identity of the stream, which is opened if there is none.
    async fn next(&mut self) -> Result<Svid, String> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => open(&self.socket).await.map_err(|status| said(&status))?,
        };
        let message = stream.message().await.map_err(|status| said(&status))?;
        let mut response = message.ok_or_else(|| "the stream has ended".to_owned())?;
        self.stream = Some(stream);
        // The first one is the workload's default (X.509-SVID Profile section 6.2.1).
        let first = (!response.svids.is_empty()).then(|| response.svids.swap_remove(0));
        let SvidMessage { x509_svid, x509_svid_key } = first.ok_or_else(|| "it names no identity".to_owned())?;
        let key = Zeroizing::new(x509_svid_key);
        let chain = chain(&x509_svid).ok_or_else(|| "its certificates can't be read".to_owned())?;
        Ok(Svid { chain, key })
    }
}

/// What a status says, without its details.
fn said(status: &Status) -> String {
    format!("{}: {}", status.code(), status.message())
}

async fn open(socket: &Path) -> Result<Streaming<SvidResponse>, Status> {
    let socket = socket.to_owned();
    let connector = service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://workload.invalid");
    let unavailable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel: Channel = endpoint.connect_with_connector(connector).await.map_err(unavailable)?;
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(unavailable)?;
    let mut request = Request::new(SvidRequest {});
    request.metadata_mut().insert(SECURITY_HEADER, MetadataValue::from_static("true"));
    let codec = ProstCodec::<SvidRequest, SvidResponse>::default();
    let answer = client.server_streaming(request, http::uri::PathAndQuery::from_static(METHOD), codec).await?;
    Ok(answer.into_inner())
}

/// Certificates that stand one behind the other, one at least.
fn chain(mut der: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut chain = Vec::new();
    while !der.is_empty() {
        let (rest, _) = X509Certificate::from_der(der).ok()?;
        let (certificate, _) = der.split_at_checked(der.len().checked_sub(rest.len())?)?;
        chain.push(CertificateDer::from(certificate.to_vec()));
        der = rest;
    }
    (!chain.is_empty()).then_some(chain)
}
