//! The configuration: one TOML file, every key of which must be known, overridden by the environment; validated before
//! any port or store is opened.
//!
//! ```toml
//! mode = "dev"                            # "production" is refused for now: see `config check`
//! vault = "vault.example.org"             # the vault's name, part of every sealed value's place; never change it
//! node = "node-1"                         # this node's name, in the origin of its own log
//! data_directory = "vault-data"           # relative paths are relative to this file
//! checkpoint_directory = "checkpoints"    # newest checkpoints, outside the stores; default: data_directory +
//! "-checkpoints" regions = ["eu", "us"]                  # served here
//! catalog = "catalog.toml"
//! policies = ["own.cedar"]                # beside the built-in ones; default: none
//!
//! [listen]
//! address = "127.0.0.1:8443"
//!
//! [tls]
//! certificate = "server.pem"              # chain, leaf first
//! key = "server.key"
//! client_ca = ["clients.pem"]
//!
//! [root_key]
//! provider = "file"                       # development and tests only; or "passphrase", also for these only
//! path = "root.key"                       # mode 0600; the key, or the passphrase
//!
//! [store]
//! cache_bytes = 536870912                 # blocks read, all regions together
//! memtable_bytes = 268435456              # rows written, all regions together
//! ballast_bytes = 268435456               # reserve file, each region
//! free_bytes_min = 536870912              # below it, what needs an entry is refused
//!
//! [log]
//! level = "info"
//! format = "json"                         # or "text"
//! ```
//!
//! A passphrase can stand in `TOKENVAULT_ROOT_KEY_PASSPHRASE` instead of a file; then there is no `root_key.path`.
//!
//! Each key can be set from the environment: `TOKENVAULT_` and its path in capitals, as in `TOKENVAULT_LISTEN_ADDRESS`;
//! lists are separated by commas.

mod check;
mod check_keys;
mod read;
mod root_key;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use thiserror::Error;
use vault_catalog::Catalog;
use vault_domain::{Entropy, Region, VaultId};
use vault_engine::{EngineConfig, Memory, PolicySet, PolicySource, RootKey};

use crate::tls;
use root_key::RootKeyProvider;

pub use check::{Finding, Severity};

/// The prefix of the vault's variables.
const PREFIX: &str = "TOKENVAULT_";

/// The variables of the environment that have a say: those whose names begin with `TOKENVAULT_`.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl FromIterator<(String, String)> for Environment {
    /// Of all variables given, keeps the vault's.
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        Self(variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a configuration can't be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not what a configuration is.
    #[error("{path}: {problem}")]
    Text {
        /// The file.
        path: PathBuf,
        /// Where and what, as the parser says it.
        problem: String,
    },
    /// A key has a value that can't be used.
    #[error("{key}: {problem}")]
    Key {
        /// Its path.
        key: &'static str,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The catalog is refused.
    #[error("{path}:\n{source}")]
    Catalog {
        /// The file.
        path: PathBuf,
        /// Its faults.
        source: vault_catalog::CatalogError,
    },
    /// The policies are refused.
    #[error("policies:\n{0}")]
    Policies(#[source] vault_engine::PolicyError),
    /// Something is for development only.
    #[error("mode = \"production\" is refused:\n- {}", faults.join("\n- "))]
    NotForProduction {
        /// Each thing, and why.
        faults: Vec<String>,
    },
    /// The root key is refused.
    #[error(transparent)]
    RootKey(#[from] vault_engine::KeysError),
}

/// Files that TLS is made of.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Vec<PathBuf>,
}

/// How the log of the process is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A configuration without a fault in itself; the files that it names are read when they are needed.
#[derive(Clone, Debug)]
pub struct Config {
    vault: VaultId,
    node: String,
    data_directory: PathBuf,
    checkpoint_directory: PathBuf,
    regions: Vec<Region>,
    catalog: PathBuf,
    policies: Vec<PathBuf>,
    address: SocketAddr,
    tls: TlsConfig,
    root_key: RootKeyProvider,
    // No `Memory` yet: to make one maps it, which ends the process where there is too little.
    cache_bytes: usize,
    memtable_bytes: usize,
    ballast_bytes: u64,
    free_bytes_min: u64,
    log_level: String,
    log_format: LogFormat,
    unknown_variables: Vec<String>,
}

impl Config {
    /// Reads a configuration file, whose keys `environment` overrides.
    ///
    /// # Errors
    /// When the file can't be read, or holds a key or value that can't be used.
    pub fn load(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Self::parse(path, &text, environment)
    }

    /// Reads the text of the configuration file `path`, to whose folder the paths in it are relative.
    ///
    /// # Errors
    /// When it holds a key or value that can't be used.
    pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        read::read(path, text, environment)
    }

    /// Where to listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of the stores.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        &self.data_directory
    }

    pub(crate) fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    pub(crate) fn log_level(&self) -> &str {
        &self.log_level
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Reads catalog and policies: all that an engine needs but its root key.
    pub(crate) fn engine(&self) -> Result<EngineConfig, ConfigError> {
        let policies = self.load_policies()?;
        for region in &self.regions {
            if policies.catalog().region(region.as_str()).is_none() {
                let problem = format!("{region} is served here, but the catalog does not declare it");
                return Err(ConfigError::Key { key: "regions", problem });
            }
        }
        Ok(EngineConfig {
            vault: self.vault.clone(),
            node: self.node.clone(),
            data_directory: self.data_directory.clone(),
            checkpoint_directory: self.checkpoint_directory.clone(),
            regions: self.regions.clone(),
            policies,
            memory: Memory::new(self.cache_bytes, self.memtable_bytes),
            ballast_bytes: self.ballast_bytes,
            free_bytes_min: self.free_bytes_min,
        })
    }

    /// Has the root key from its provider. The first start of a vault makes what a passphrase needs.
    pub(crate) fn root_key(&self, entropy: &dyn Entropy) -> Result<RootKey, ConfigError> {
        self.root_key.open(entropy)
    }

    /// What keeps this configuration from `mode = "production"`.
    fn production_faults(&self) -> Vec<String> {
        // Every provider of this version has one custodian.
        let custody = format!(
            "root_key.provider is for mode = \"dev\": with it {}. One custodian is none (PCI DSS 3.7.6); until a \
             provider with split custody or an HSM exists, no vault serves in production",
            self.root_key.custody().trim_start_matches("its ")
        );
        [custody].into_iter().chain(tls::throwaway(&self.tls)).collect()
    }

    fn load_policies(&self) -> Result<PolicySet, ConfigError> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })
        };
        let catalog = Catalog::parse(&read(&self.catalog)?)
            .map_err(|source| ConfigError::Catalog { path: self.catalog.clone(), source })?;
        let own: Vec<(String, String)> = self
            .policies
            .iter()
            .map(|path| Ok((path.display().to_string(), read(path)?)))
            .collect::<Result<_, ConfigError>>()?;
        let sources: Vec<PolicySource<'_>> = [PolicySource::DEFAULT]
            .into_iter()
            .chain(own.iter().map(|(name, text)| PolicySource { name, text }))
            .collect();
        PolicySet::load(&sources, &catalog).map_err(ConfigError::Policies)
    }
}
