//! The requests of the protocol over HTTP/1.1: `POST /add-checkpoint` and `GET /<SHA-256 of the origin>/checkpoint`.

use std::{convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use vault_ledger::ADD_CHECKPOINT_BYTES_MAX;

use crate::witness::{Answer, Witness};

/// Connections at once; the next one waits.
const CONNECTIONS_MAX: usize = 256;
/// How much of a head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a head, a body, or a handshake may take.
const READ_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection lives, at work or idle.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// How long to wait when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests may go on when the witness stops.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How a size is called in HTTP.
const SIZE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The files of a witness that speaks TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate with its chain, leaf first (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads them. TLS 1.3 alone.
    ///
    /// # Errors
    /// With what can't be used.
    pub fn acceptor(&self) -> Result<TlsAcceptor, String> {
        let fault = |path: &PathBuf, error: rustls::pki_types::pem::Error| format!("{}: {error}", path.display());
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| fault(&self.certificate, error))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| fault(&self.key, error))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("{}: {error}", self.certificate.display()))?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// Serves until `stop` resolves; then requests under way may end.
pub async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, stream) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.as_mut() => break,
            Some(_) = open.join_next() => continue,
        };
        let (Ok(slot), Ok((stream, _))) = (slot, stream) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (witness, tls) = (witness.clone(), tls.clone());
        open.spawn(async move {
            // Whoever breaks off has what it wanted, or comes again.
            let _ended = tokio::time::timeout(CONNECTION_AGE_MAX, shake_hands(stream, tls, witness)).await;
            drop(slot);
        });
    }
    drop(listener);
    let drained = async { while open.join_next().await.is_some() {} };
    let _in_time = tokio::time::timeout(DRAIN_DEADLINE, drained).await;
    open.shutdown().await;
}

async fn shake_hands(stream: TcpStream, tls: Option<TlsAcceptor>, witness: Arc<Witness>) {
    let Some(tls) = tls else { return converse(stream, witness).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(READ_DEADLINE, tls.accept(stream)).await {
        converse(stream, witness).await;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(stream: S, witness: Arc<Witness>) {
    let service = service_fn(move |request| {
        let witness = witness.clone();
        async move { Ok::<_, Infallible>(answer(request, witness).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended");
    }
}

async fn answer(request: Request<Incoming>, witness: Arc<Witness>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if path == "/add-checkpoint" {
        if request.method() != Method::POST {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "POST a checkpoint here\n".to_owned());
        }
        return add_checkpoint(request.into_body(), witness).await;
    }
    let log = path.strip_prefix('/').and_then(|path| path.strip_suffix("/checkpoint"));
    match log.and_then(|hash| witness.newest(hash)) {
        _ if log.is_some() && request.method() != Method::GET => {
            plain(StatusCode::METHOD_NOT_ALLOWED, "GET a checkpoint here\n".to_owned())
        }
        Some(note) => plain(StatusCode::OK, note.to_string()),
        None => plain(StatusCode::NOT_FOUND, "no checkpoint of such a log\n".to_owned()),
    }
}

async fn add_checkpoint<B>(body: B, witness: Arc<Witness>) -> Response<Full<Bytes>>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_long = || plain(StatusCode::PAYLOAD_TOO_LARGE, "a request must be at most 260 KiB\n".to_owned());
    if body.size_hint().lower() > u64::try_from(ADD_CHECKPOINT_BYTES_MAX).unwrap_or(u64::MAX) {
        return too_long();
    }
    let read = Limited::new(body, ADD_CHECKPOINT_BYTES_MAX).collect();
    let body = match tokio::time::timeout(READ_DEADLINE, read).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => return too_long(),
        Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the request broke off\n".to_owned()),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the request must come within 10 s\n".to_owned()),
    };
    // It writes and syncs a file.
    let judging = tokio::task::spawn_blocking(move || match std::str::from_utf8(&body) {
        Ok(body) => witness.add_checkpoint(body),
        Err(_) => Answer::Malformed,
    });
    let answer = judging.await.unwrap_or(Answer::StateFailed);
    let (status, text) = match answer {
        Answer::Cosigned(line) => return plain(StatusCode::OK, line),
        Answer::Elsewhere(size) => {
            let mut response = plain(StatusCode::CONFLICT, format!("{size}\n"));
            response.headers_mut().insert(header::CONTENT_TYPE, SIZE);
            return response;
        }
        Answer::Malformed => (StatusCode::BAD_REQUEST, "this is no add-checkpoint request of c2sp.org/tlog-witness"),
        Answer::SignatureRefused => (StatusCode::FORBIDDEN, "no key that is known for this log signed the checkpoint"),
        Answer::LogUnknown => (StatusCode::NOT_FOUND, "no such log is known here"),
        Answer::Inconsistent => (StatusCode::UNPROCESSABLE_ENTITY, "the checkpoint does not continue the one before"),
        Answer::StateFailed => (StatusCode::INTERNAL_SERVER_ERROR, "the state can't be written; nothing is signed"),
    };
    plain(status, format!("{text}\n"))
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response
}
