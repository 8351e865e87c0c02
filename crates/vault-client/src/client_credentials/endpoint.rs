//! Asking an issuer's token endpoint: one POST, no redirects, little patience, an answer of bounded size.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::Fetched;
use crate::{config::tls, error::ClientError, token_source::bearer};

/// How long the whole of it may take.
const DEADLINE: Duration = Duration::from_secs(5);
/// How much of a head is read.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The longest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest parameter: the client's id, scopes, a resource.
const PARAMETER_BYTES_MAX: usize = 1024;
/// How long a token lives whose issuer does not say.
const LIFE_UNSAID: Duration = Duration::from_secs(60);
/// A token is asked for again after a day at the latest.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Where tokens come from, and who asks.
#[derive(Clone)]
pub struct TokenEndpoint {
    url: Arc<str>,
    host: Arc<str>,
    authority: Arc<str>,
    port: u16,
    path: Arc<str>,
    name: ServerName<'static>,
    tls: Arc<rustls::ClientConfig>,
    form: String,
}

impl TokenEndpoint {
    /// The endpoint at `url` (`https://…`), asked by the client `client_id`.
    ///
    /// `server_ca`, `certificates` and `key` are PEM: the authorities that the issuer's certificate may come from, the
    /// client's certificate with its chain, and its private key. They are those of the client that the tokens are for,
    /// since the vault takes a token with the certificate alone that it was given to. TLS is 1.3, as with the vault.
    ///
    /// # Errors
    /// When a text is not what it should be, or the key does not belong to the certificate.
    pub fn new(
        url: &str,
        server_ca: &[u8],
        certificates: &[u8],
        key: &Zeroizing<Vec<u8>>,
        client_id: &str,
    ) -> Result<Self, ClientError> {
        let refuse = || ClientError::configuration("the token endpoint", "must be https://<host>[:<port>]/<path>");
        let uri: Uri = url.parse().map_err(|_| refuse())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(refuse)?;
        if uri.scheme_str() != Some("https") || url.contains('#') {
            return Err(refuse());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| refuse())?;
        let mut tls = tls(server_ca, certificates, key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let form = "grant_type=client_credentials".to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let endpoint = Self {
            url: url.into(),
            host: host.into(),
            authority: authority.as_str().into(),
            port: authority.port_u16().unwrap_or(443),
            path: path.into(),
            name,
            tls: Arc::new(tls),
            form,
        };
        endpoint.with("client_id", "the client's id", client_id)
    }

    /// Asks for these scopes, separated by blanks, and not for those that the issuer gives by itself.
    ///
    /// # Errors
    /// When it is empty, too long or not of visible ASCII characters and blanks.
    pub fn with_scope(self, scope: &str) -> Result<Self, ClientError> {
        self.with("scope", "the scope", scope)
    }

    /// Asks for a token for this resource (RFC 8707), such as the audience that the vault expects.
    ///
    /// # Errors
    /// When it is empty, too long or not of visible ASCII characters.
    pub fn with_resource(self, resource: &str) -> Result<Self, ClientError> {
        self.with("resource", "the resource", resource)
    }

    fn with(mut self, name: &str, what: &'static str, value: &str) -> Result<Self, ClientError> {
        let taken =
            (1..=PARAMETER_BYTES_MAX).contains(&value.len()) && value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !taken {
            return Err(ClientError::configuration(what, "must be 1 to 1024 visible ASCII characters"));
        }
        self.form.push('&');
        self.form.push_str(name);
        self.form.push('=');
        for byte in value.bytes() {
            // application/x-www-form-urlencoded (RFC 6749 appendix B), blanks as %20 too.
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                self.form.push(char::from(byte));
            } else {
                self.form.push_str(&format!("%{byte:02X}"));
            }
        }
        Ok(self)
    }

    /// Fetches a token.
    pub(super) async fn fetch(&self) -> Result<Fetched, ClientError> {
        match tokio::time::timeout(DEADLINE, self.exchange()).await {
            Ok(answer) => answer,
            Err(_) => Err(self.away(format!("no answer within {} s", DEADLINE.as_secs()))),
        }
    }

    /// What is said when there is no token: nothing was sent to the vault, and it may pass.
    pub(super) fn away(&self, problem: impl fmt::Display) -> ClientError {
        ClientError::Connect { endpoint: self.url.to_string(), problem: format!("no access token: {problem}") }
    }

    async fn exchange(&self) -> Result<Fetched, ClientError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await.map_err(|error| self.away(error))?;
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| self.away(error))?;
        let made = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = made.map_err(|error| self.away(error))?;
        let request = Request::post(&*self.path)
            .header(header::HOST, &*self.authority)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(self.form.clone())))
            .map_err(|error| self.away(error))?;
        // Both in one future: when it is dropped for being late, the connection is too.
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| self.away(error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let cut = |_| self.away(format!("the answer broke off or is longer than {ANSWER_BYTES_MAX} bytes"));
            let body = Zeroizing::new(body.map_err(cut)?.to_bytes().to_vec());
            self.read(status, &body)
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

    /// Reads an answer (RFC 6749 sections 5.1 and 5.2), of which nothing but an error's code is ever repeated.
    pub(super) fn read(&self, status: StatusCode, body: &[u8]) -> Result<Fetched, ClientError> {
        if status != StatusCode::OK {
            let code = serde_json::from_slice::<Refused>(body).ok().map(|refused| refused.error);
            // What its issuer can't do now may pass; of who asks it thinks the same tomorrow.
            return Err(match code.filter(|code| status.is_client_error() && is_code(code)) {
                Some(code) => ClientError::configuration("the token endpoint", format!("refuses the client: {code}")),
                None => self.away(format!("it answered {}, and redirects are not followed", status.as_u16())),
            });
        }
        let answer: Answer = serde_json::from_slice(body).map_err(|_| self.away("its answer is no token"))?;
        let token = Zeroizing::new(answer.access_token);
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(self.away("its token is not of the type Bearer"));
        }
        let life = answer.expires_in.map_or(LIFE_UNSAID, Duration::from_secs).min(LIFE_MAX);
        if life.is_zero() {
            return Err(self.away("its token has ended already"));
        }
        let authorization = bearer(&token).map_err(|_| self.away("its token can't be one"))?;
        Ok(Fetched { authorization, life })
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenEndpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
}

/// Whether a text looks like a code of RFC 6749 section 5.2, such as `invalid_client`, and like no secret.
fn is_code(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
