//! The flags by which every client command finds its vault and shows who it is.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use vault_client::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, Client, ClientConfig, ClientCredentials, Endpoint, TokenEndpoint, TokenFile,
};
use vault_domain::{SystemClock, SystemEntropy};
use zeroize::Zeroizing;

use crate::{exit::Failure, output, timestamp};

/// Where the vault is, and who we are.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Where the vault listens: https://HOST:PORT
    #[arg(long, env = "TOKENVAULT_ENDPOINT", value_name = "URL")]
    pub(crate) endpoint: String,
    /// The authorities that the vault's certificate may come from (PEM); the system's are not asked
    #[arg(long, env = "TOKENVAULT_CA", value_name = "FILE")]
    pub(crate) ca: PathBuf,
    /// The client certificate with its chain (PEM)
    #[arg(long, env = "TOKENVAULT_CERT", value_name = "FILE")]
    pub(crate) cert: PathBuf,
    /// The client certificate's private key (PEM)
    #[arg(long, env = "TOKENVAULT_KEY", value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// A file with an access token that is bound to the certificate; read again when it changes
    #[arg(long, env = "TOKENVAULT_ACCESS_TOKEN_FILE", value_name = "FILE")]
    pub(crate) access_token_file: Option<PathBuf>,
    /// Where the issuer gives access tokens to who shows the client certificate (https://HOST/PATH); they are fetched
    /// there, and again before they end
    #[arg(long, env = "TOKENVAULT_TOKEN_URL", value_name = "URL", conflicts_with = "access_token_file")]
    #[arg(requires = "token_client_id")]
    pub(crate) token_url: Option<String>,
    /// The name that the issuer knows the client by
    #[arg(long, env = "TOKENVAULT_TOKEN_CLIENT_ID", value_name = "ID")]
    pub(crate) token_client_id: Option<String>,
    /// The authorities that the issuer's certificate may come from (PEM), if they are not the vault's
    #[arg(long, env = "TOKENVAULT_TOKEN_CA", value_name = "FILE")]
    pub(crate) token_ca: Option<PathBuf>,
    /// The scopes to ask the issuer for, separated by blanks
    #[arg(long, env = "TOKENVAULT_TOKEN_SCOPE", value_name = "SCOPES")]
    pub(crate) token_scope: Option<String>,
    /// The resource to ask the issuer a token for, such as the audience that the vault expects
    #[arg(long, env = "TOKENVAULT_TOKEN_RESOURCE", value_name = "URI")]
    pub(crate) token_resource: Option<String>,
    /// The name in the vault's certificate, if it is not the endpoint's host
    #[arg(long, env = "TOKENVAULT_SERVER_NAME", value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// How long a call may take, repeats included
    #[arg(long, env = "TOKENVAULT_DEADLINE", value_name = "SPAN")]
    #[arg(default_value = "10s", value_parser = timestamp::parse_span)]
    pub(crate) deadline: Duration,
    /// How often a call is attempted while the vault is busy or away, 1 to 10
    #[arg(long, value_name = "NUMBER", default_value_t = ATTEMPTS_DEFAULT, value_parser = parse_attempts)]
    pub(crate) attempts: u32,
    /// Keep the newest checkpoint of each log of this vault here, and refuse one that does not go on from what was seen
    #[arg(long, env = "TOKENVAULT_CHECKPOINTS", value_name = "FOLDER")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Follow the vault to this endpoint when a region is served there; may be given several times
    #[arg(long, value_name = "URL")]
    pub(crate) follow: Vec<String>,
}

/// The same for a command that need not connect: what every vault has to be named by is asked for unless it is run with
/// `--dry-run`.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionUnlessDry(Option<Connection>);

/// What has no default.
const NEEDED: [&str; 4] = ["endpoint", "ca", "cert", "key"];

impl ConnectionUnlessDry {
    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        match &self.0 {
            Some(connection) => connection.connect().await,
            None => Err(Failure::usage("--endpoint, --ca, --cert and --key are missing")),
        }
    }
}

impl clap::Args for ConnectionUnlessDry {
    fn augment_args(command: clap::Command) -> clap::Command {
        let optional = |arg: clap::Arg| arg.required(false).required_unless_present("dry_run");
        NEEDED.into_iter().fold(Connection::augment_args(command), |command, name| command.mut_arg(name, optional))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ConnectionUnlessDry {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let named = NEEDED.into_iter().all(|name| matches.contains_id(name));
        named.then(|| Connection::from_arg_matches(matches)).transpose().map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Connection {
    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let key = Zeroizing::new(read("--key", &self.key)?);
        warn_if_shared(&self.key);
        let endpoint = Endpoint::parse(&self.endpoint)?;
        let (ca, certificate) = (read("--ca", &self.ca)?, read("--cert", &self.cert)?);
        let (clock, entropy) = (Arc::new(SystemClock::new()), Arc::new(SystemEntropy));
        let mut config = ClientConfig::new(endpoint, &ca, &certificate, &key)?
            .with_deadline(self.deadline)?
            .with_attempts_max(self.attempts);
        if let Some(name) = &self.server_name {
            config = config.with_server_name(name)?;
        }
        if let Some(file) = &self.access_token_file {
            config = config.with_access_tokens(Arc::new(TokenFile::open(file)?));
        }
        if let Some(url) = &self.token_url {
            let ca = self.token_ca.as_ref().map_or(Ok(ca), |file| read("--token-ca", file))?;
            let id = self.token_client_id.as_deref().unwrap_or_default();
            let mut issuer = TokenEndpoint::new(url, &ca, &certificate, &key, id)?;
            if let Some(scope) = &self.token_scope {
                issuer = issuer.with_scope(scope)?;
            }
            if let Some(resource) = &self.token_resource {
                issuer = issuer.with_resource(resource)?;
            }
            let tokens = ClientCredentials::begin(issuer, clock.clone(), entropy.clone()).await?;
            config = config.with_access_tokens(Arc::new(tokens));
        }
        if let Some(folder) = &self.checkpoints {
            config = config.keeping_checkpoints(folder.clone());
        }
        for endpoint in &self.follow {
            config = config.following(Endpoint::parse(endpoint)?)?;
        }
        Ok(Client::connect(config, clock, entropy).await?)
    }
}

fn parse_attempts(text: &str) -> Result<u32, String> {
    let attempts = text.parse().ok().filter(|attempts| (1..=ATTEMPTS_MAX).contains(attempts));
    attempts.ok_or_else(|| format!("must be 1 to {ATTEMPTS_MAX}"))
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let refuse = |error: io::Error| Failure::usage(format!("{flag} {}: {error}", path.display()));
    fs::read(path).map_err(refuse)
}

fn warn_if_shared(key: &Path) {
    let shared = fs::metadata(key).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if shared {
        output::warn(&format!("{} can be read by other users: chmod 600", key.display()));
    }
}
