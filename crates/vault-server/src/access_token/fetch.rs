//! Asking an issuer for its keys: one GET, no redirects, little patience, an answer of bounded size.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use vault_identity::{JWKS_BYTES_MAX, JwksUrl};

/// How long the whole of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How much of a head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What it takes to ask one issuer.
pub(super) struct Fetcher {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Fetcher {
    /// Fails with what is wrong with the settings.
    pub(super) fn new(url: &JwksUrl) -> Result<Self, String> {
        let uri: Uri = url.url.parse().map_err(|_| "jwks_url is no address".to_owned())?;
        let host = uri.host().ok_or("jwks_url has no host")?.trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = match (&url.ca, is_tls) {
            (Some(ca), true) => {
                let name =
                    ServerName::try_from(host.clone()).map_err(|_| "jwks_url has no host that can be verified")?;
                Some((TlsConnector::from(Arc::new(client_config(ca, url)?)), name))
            }
            _ => None,
        };
        Ok(Self { uri, host, port, tls })
    }

    /// The answer's body, or why there is none.
    pub(super) async fn fetch(&self) -> Result<Vec<u8>, String> {
        match tokio::time::timeout(DEADLINE, self.exchange()).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn exchange(&self) -> Result<Vec<u8>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            None => self.get(stream).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                self.get(stream).await
            }
        }
    }

    async fn get<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: S) -> Result<Vec<u8>, String> {
        let made = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = made.map_err(|error| error.to_string())?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or(self.host.as_str(), |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        // Both in one future: when it is dropped for being late, the connection is too.
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            if response.status() != StatusCode::OK {
                return Err(format!("it answered {}, and redirects are not followed", response.status().as_u16()));
            }
            let body = Limited::new(response.into_body(), JWKS_BYTES_MAX).collect().await;
            let body = body.map_err(|_| format!("its answer broke off or is longer than {JWKS_BYTES_MAX} bytes"))?;
            Ok(body.to_bytes().to_vec())
        };
        let mut connection = std::pin::pin!(connection);
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answered = answer.as_mut() => answered,
            // The answer may be whole when the connection ends.
            _ended = connection.as_mut() => answer.await,
        }
    }
}

fn client_config(ca: &Path, url: &JwksUrl) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("jwks_ca", ca)? {
        roots.add(certificate).map_err(|error| format!("jwks_ca {}: {error}", ca.display()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    match &url.client {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates("jwks_client_certificate", certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("jwks_client_key {}: {error}", key.display()))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("jwks_client_certificate: {error}"))
        }
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: rustls::pki_types::pem::Error| format!("{key} {}: {error}", path.display());
    let read: Vec<_> = CertificateDer::pem_file_iter(path).map_err(fault)?.collect::<Result<_, _>>().map_err(fault)?;
    if read.is_empty() {
        return Err(format!("{key} {}: holds no certificate in PEM form", path.display()));
    }
    Ok(read)
}
