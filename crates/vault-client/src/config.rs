//! Where the vault is, who we are, and how long we wait. Everything is checked here, before anything is dialled.

use std::{collections::HashMap, fmt, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use vault_domain::{Region, limits};
use zeroize::Zeroizing;

use crate::{
    attempt::{ATTEMPTS_DEFAULT, ATTEMPTS_MAX},
    error::ClientError,
    token_source::TokenSource,
};

/// Calls that a batch which needs several keeps open at once, unless told otherwise.
pub const IN_FLIGHT_DEFAULT: usize = 4;
/// The most calls that one batch may keep open at once.
pub const IN_FLIGHT_MAX: usize = 64;
/// Endpoints that a call may be sent on to.
pub const FOLLOWED_ENDPOINTS_MAX: usize = 16;
/// The longest deadline of a call: what a server would wait for is far below.
const DEADLINE_MAX: Duration = Duration::from_secs(3600);

/// Where a vault listens: `https://<host>:<port>`, nothing behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    host: Arc<str>,
    port: u16,
}

impl Endpoint {
    /// Parses it.
    ///
    /// # Errors
    /// When the text is anything but `https://<host>:<port>`.
    pub fn parse(text: &str) -> Result<Self, ClientError> {
        let refuse = || ClientError::configuration("the endpoint", "must be https://<host>:<port>");
        let uri: Uri = text.parse().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        let bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/") && !authority.as_str().contains('@');
        match (uri.scheme_str(), authority.port_u16()) {
            (Some("https"), Some(port)) if bare && port != 0 => Ok(Self { host: authority.host().into(), port }),
            _ => Err(refuse()),
        }
    }

    /// The host: a name, or an address (IPv6 in brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The name that the server's certificate has to bear, unless told otherwise.
    pub(crate) fn server_name(&self) -> Result<ServerName<'static>, ClientError> {
        server_name(self.host.trim_start_matches('[').trim_end_matches(']'))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

/// What a [`crate::Client`] is made of.
#[derive(Clone)]
pub struct ClientConfig {
    pub(crate) endpoint: Endpoint,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) deadline: Duration,
    pub(crate) attempts_max: u32,
    pub(crate) in_flight_max: usize,
    pub(crate) followed: Vec<Endpoint>,
    pub(crate) regions: HashMap<Region, Endpoint>,
    pub(crate) tokens: Option<Arc<dyn TokenSource>>,
    pub(crate) checkpoints: Option<PathBuf>,
}

impl ClientConfig {
    /// A configuration with everything else at its default: the server's name is the endpoint's host, a call has
    /// `limits::CALL_DEADLINE`, [`ATTEMPTS_DEFAULT`] attempts, and no call is sent on to another endpoint.
    ///
    /// `server_ca`, `certificates` and `key` are PEM: the authorities that the server's certificate may come from, the
    /// client's certificate with its chain, and its private key. The system's authorities are never trusted.
    ///
    /// # Errors
    /// When a text is not what it should be, or the key does not belong to the certificate.
    pub fn new(
        endpoint: Endpoint,
        server_ca: &[u8],
        certificates: &[u8],
        key: &Zeroizing<Vec<u8>>,
    ) -> Result<Self, ClientError> {
        Ok(Self {
            server_name: endpoint.server_name()?,
            endpoint,
            tls: Arc::new(tls(server_ca, certificates, key)?),
            deadline: limits::CALL_DEADLINE,
            attempts_max: ATTEMPTS_DEFAULT,
            in_flight_max: IN_FLIGHT_DEFAULT,
            followed: Vec::new(),
            regions: HashMap::new(),
            tokens: None,
            checkpoints: None,
        })
    }

    /// The name that the server's certificate has to bear, where it is not the endpoint's host.
    ///
    /// # Errors
    /// When it is neither a DNS name nor an address.
    pub fn with_server_name(self, name: &str) -> Result<Self, ClientError> {
        Ok(Self { server_name: server_name(name)?, ..self })
    }

    /// How long a call may take, all its attempts included.
    ///
    /// # Errors
    /// When it is zero or above an hour.
    pub fn with_deadline(self, deadline: Duration) -> Result<Self, ClientError> {
        if deadline.is_zero() || deadline > DEADLINE_MAX {
            return Err(ClientError::configuration("the deadline", "must be above zero and at most one hour"));
        }
        Ok(Self { deadline, ..self })
    }

    /// Has every call carry an access token from this source, beside the certificate that the token is bound to.
    #[must_use]
    pub fn with_access_tokens(self, tokens: Arc<dyn TokenSource>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// Keeps the newest checkpoint of each log in this folder, one for each vault, beside memory: a log that does not
    /// go on from what another run has seen is refused, too.
    #[must_use]
    pub fn keeping_checkpoints(self, folder: PathBuf) -> Self {
        Self { checkpoints: Some(folder), ..self }
    }

    /// How often a call is attempted at most, 1 for once; what is above [`ATTEMPTS_MAX`] counts as that.
    #[must_use]
    pub fn with_attempts_max(self, attempts_max: u32) -> Self {
        Self { attempts_max: attempts_max.clamp(1, ATTEMPTS_MAX), ..self }
    }

    /// How many calls a batch that needs several keeps open at once; what is above [`IN_FLIGHT_MAX`] counts as that.
    #[must_use]
    pub fn with_in_flight_max(self, in_flight_max: NonZeroUsize) -> Self {
        Self { in_flight_max: in_flight_max.get().min(IN_FLIGHT_MAX), ..self }
    }

    /// Says where a region is served: calls for it go there and not to the first endpoint, on a connection of their
    /// own, which is made with the first of them. The server there has to prove itself by the same authorities, under
    /// the endpoint's own host name.
    ///
    /// # Errors
    /// When there are more than `limits::REGIONS_MAX`.
    pub fn with_region(mut self, region: Region, endpoint: Endpoint) -> Result<Self, ClientError> {
        self.regions.insert(region, endpoint);
        if self.regions.len() > limits::REGIONS_MAX {
            return Err(ClientError::configuration("the regions with endpoints of their own", "must be at most 16"));
        }
        Ok(self)
    }

    /// Allows calls for a region that is served elsewhere to be sent on to this endpoint, when the vault names it. The
    /// server there has to prove itself by the same authorities, under the endpoint's own host name. An endpoint that
    /// is not allowed is never followed: a value would go where nobody meant it to.
    ///
    /// # Errors
    /// When there are more than [`FOLLOWED_ENDPOINTS_MAX`].
    pub fn following(mut self, endpoint: Endpoint) -> Result<Self, ClientError> {
        if self.followed.len() >= FOLLOWED_ENDPOINTS_MAX {
            return Err(ClientError::configuration("the endpoints to follow", "must be at most 16"));
        }
        self.followed.push(endpoint);
        Ok(self)
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ClientConfig");
        shown.field("endpoint", &self.endpoint).field("server_name", &self.server_name);
        shown.field("deadline", &self.deadline).field("attempts_max", &self.attempts_max);
        shown.field("followed", &self.followed).field("regions", &self.regions).finish_non_exhaustive()
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, ClientError> {
    ServerName::try_from(name.to_owned())
        .map_err(|_| ClientError::configuration("the server's name", "must be a DNS name or an IP address"))
}

/// TLS 1.3 alone, by aws-lc-rs, without resumption: every connection shows its certificate afresh.
pub(crate) fn tls(
    server_ca: &[u8],
    certificates: &[u8],
    key: &Zeroizing<Vec<u8>>,
) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    for authority in read_certificates("the server's CA", server_ca)? {
        roots
            .add(authority)
            .map_err(|error| ClientError::configuration("the server's CA", format!("is of no use: {error}")))?;
    }
    let chain = read_certificates("the client certificate", certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| ClientError::configuration("the client key", "holds no private key in PEM form"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| ClientError::configuration("TLS", format!("can't be set up: {error}")))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| {
            ClientError::configuration("the client certificate", format!("is of no use with this key: {error}"))
        })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

fn read_certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(ClientError::configuration(what, "holds no certificate in PEM form")),
        Err(error) => Err(ClientError::configuration(what, format!("is malformed: {error}"))),
    }
}

#[cfg(test)]
mod tests;
