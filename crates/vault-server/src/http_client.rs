//! One question to another service over HTTP/1.1: a connection of its own, no redirects, an answer of bounded size. Who
//! asks sets the deadline.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// How much of a head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Where another service is, and what it takes to be sure that it is the one.
pub(crate) struct Endpoint {
    uri: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Endpoint {
    /// Fails with what is wrong with the address, which `key` names. Without `tls` an address of https is refused.
    pub(crate) fn new(key: &str, url: &str, tls: Option<ClientConfig>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{key} is no address"))?;
        let host = uri.host().ok_or_else(|| format!("{key} has no host"))?.trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let tls = match (tls, is_tls) {
            (Some(tls), true) => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| format!("{key} has no host that can be verified"))?;
                Some((TlsConnector::from(Arc::new(tls)), name))
            }
            (None, true) => return Err(format!("{key} is https, and nothing says by which authorities")),
            (_, false) => None,
        };
        Ok(Self { uri, host, port, tls })
    }

    /// The path of the address, `/` at least.
    pub(crate) fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Asks. `request` has its method, path and own headers. The body of an answer that says 200 is whole; of another
    /// it is what there is of it, or nothing.
    pub(crate) async fn ask(
        &self,
        request: http::request::Builder,
        body: Bytes,
        answer_bytes_max: usize,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let host = self.uri.authority().map_or(self.host.as_str(), |authority| authority.as_str());
        let request = request.header(header::HOST, host).body(Full::new(body)).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            None => exchange(stream, request, answer_bytes_max).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                exchange(stream, request, answer_bytes_max).await
            }
        }
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<(StatusCode, Vec<u8>), String> {
    let made = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = made.map_err(|error| error.to_string())?;
    // Both in one future: when it is dropped for being late, the connection is too.
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        match Limited::new(response.into_body(), answer_bytes_max).collect().await {
            Ok(body) => Ok((status, body.to_bytes().to_vec())),
            Err(_) if status != StatusCode::OK => Ok((status, Vec::new())),
            Err(_) => Err(format!("its answer broke off or is longer than {answer_bytes_max} bytes")),
        }
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

/// TLS 1.3 to servers whose certificates the authorities in these files sign; `key` names the files.
pub(crate) fn tls_by<'p>(
    key: &str,
    authorities: impl IntoIterator<Item = &'p Path>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let mut roots = RootCertStore::empty();
    for path in authorities {
        for certificate in certificates(key, path)? {
            roots.add(certificate).map_err(|error| format!("{key} {}: {error}", path.display()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots))
}

/// The certificates in a file, one at least.
pub(crate) fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: rustls::pki_types::pem::Error| format!("{key} {}: {error}", path.display());
    let read: Vec<_> = CertificateDer::pem_file_iter(path).map_err(fault)?.collect::<Result<_, _>>().map_err(fault)?;
    if read.is_empty() {
        return Err(format!("{key} {}: holds no certificate in PEM form", path.display()));
    }
    Ok(read)
}
