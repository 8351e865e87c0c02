//! The configuration: one TOML file, every key of which must be known, overridden by the environment; validated before
//! any port or store is opened.
//!
//! All keys stand in key.rs, an example of each in sample/vault.toml; `tokenvault config explain` prints them with
//! their values, and docs/schema holds them for editors. Each can be set from the environment: `TOKENVAULT_` and its
//! path in capitals, as in `TOKENVAULT_LISTEN_ADDRESS`; lists are separated by commas.

mod check;
mod check_issuers;
mod check_keys;
mod key;
mod read;
mod root_key;
mod schema;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;
use vault_catalog::Catalog;
use vault_domain::{Action, Entropy, Millis, Region, VaultId};
use vault_engine::{
    EngineConfig, Memory, PolicyFile, PolicySet, PolicySource, ReplayRules, Retention, RootKey, RuleTexts, RulesFrom,
};
use vault_identity::Issuers;

use crate::{
    identity::Naming,
    outside::{SyslogConfig, WitnessesConfig},
    regular_file, tls,
};
use root_key::RootKeyProvider;

pub use check::{Finding, Severity};
pub use key::SettingValue;
pub use read::{ConfigFault, Origin, Reading, Setting};
pub use schema::configuration_schema;

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
    /// The text is not what a configuration is, or keys have values that they do not take.
    #[error("{path}:\n{}", lines(faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All of them.
        faults: Vec<ConfigFault>,
    },
    /// A key has a value that does not fit another file.
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
    /// The file of issuers, or what it names, is refused.
    #[error("{path}: {problem}")]
    Issuers {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        problem: String,
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

fn lines(faults: &[ConfigFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Files that TLS is made of.
#[derive(Clone, Debug)]
pub(crate) struct TlsConfig {
    /// The server's own certificate and key.
    pub(crate) own: OwnIdentity,
    pub(crate) client_ca: Vec<PathBuf>,
    /// Revocation lists of these authorities.
    pub(crate) client_crl: Vec<PathBuf>,
    /// How often the files are looked at.
    pub(crate) reload_every: Duration,
    /// How long before the end of a certificate it is warned of.
    pub(crate) expiry_warning: Duration,
    /// Which names of certificates are principals.
    pub(crate) naming: Naming,
}

/// Where the server's own certificate and key come from.
#[derive(Clone, Debug)]
pub(crate) enum OwnIdentity {
    /// From these files.
    Files { certificate: PathBuf, key: PathBuf },
    /// From the SPIFFE Workload API at this socket.
    WorkloadApi { socket: PathBuf },
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
    rules_are_applied: bool,
    address: SocketAddr,
    connection_age_max: Duration,
    metrics: Option<SocketAddr>,
    reflection: bool,
    tls: TlsConfig,
    issuers: Option<PathBuf>,
    denied_file: Option<PathBuf>,
    root_key: RootKeyProvider,
    // No `Memory` yet: to make one maps it, which ends the process where there is too little.
    cache_bytes: usize,
    memtable_bytes: usize,
    ballast_bytes: u64,
    free_bytes_min: u64,
    replay: ReplayRules,
    retention: Retention,
    witnesses: Option<WitnessesConfig>,
    syslog: Option<SyslogConfig>,
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
        Reading::of_file(path, environment)?.into_config()
    }

    /// Reads the text of the configuration file `path`, to whose folder the paths in it are relative.
    ///
    /// # Errors
    /// When it holds a key or value that can't be used.
    pub fn parse(path: &Path, text: &str, environment: &Environment) -> Result<Self, ConfigError> {
        Reading::of_text(path, text, environment).into_config()
    }

    /// Where to listen.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long a connection may live.
    pub(crate) fn connection_age_max(&self) -> Duration {
        self.connection_age_max
    }

    /// Where measurements are told, if anywhere.
    pub(crate) fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Whether the contract can be asked for.
    pub(crate) fn reflection(&self) -> bool {
        self.reflection
    }

    /// The folder of the stores.
    #[must_use]
    pub fn data_directory(&self) -> &Path {
        &self.data_directory
    }

    pub(crate) fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    /// The file of issuers and what is in it, for a vault that starts at the time `started`. None: none is configured.
    ///
    /// # Errors
    /// When the file can't be read, or holds anything that can't be used.
    pub fn issuers(&self, started: Millis) -> Result<Option<(PathBuf, Issuers)>, ConfigError> {
        let Some(path) = &self.issuers else { return Ok(None) };
        let text = regular_file::read_text(path).map_err(|source| ConfigError::File { path: path.clone(), source })?;
        let base = path.parent().unwrap_or(Path::new(""));
        let issuers = Issuers::parse(&text, base, started)
            .map_err(|fault| ConfigError::Issuers { path: path.clone(), problem: fault.to_string() })?;
        Ok(Some((path.clone(), issuers)))
    }

    /// The file of access tokens that are not accepted any more.
    pub(crate) fn denied_file(&self) -> Option<&Path> {
        self.denied_file.as_deref()
    }

    /// The folder of the newest checkpoints, outside the stores.
    pub(crate) fn checkpoint_directory(&self) -> &Path {
        &self.checkpoint_directory
    }

    /// Which witnesses are asked, if any.
    pub(crate) fn witnesses(&self) -> Option<&WitnessesConfig> {
        self.witnesses.as_ref()
    }

    /// Which collector of logs checkpoints are sent to, if any.
    pub(crate) fn syslog(&self) -> Option<&SyslogConfig> {
        self.syslog.as_ref()
    }

    /// Below this much free space, in bytes, what needs an entry is refused.
    pub(crate) fn free_bytes_min(&self) -> u64 {
        self.free_bytes_min
    }

    /// This node's name.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    pub(crate) fn log_level(&self) -> &str {
        &self.log_level
    }

    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format
    }

    /// Reads catalog and policies.
    ///
    /// # Errors
    /// When a file can't be read, or holds something that can't be used.
    pub fn policies(&self) -> Result<PolicySet, ConfigError> {
        let read = |path: &Path| {
            regular_file::read_text(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })
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

    /// Reads the texts of catalog and policies, as the vault takes and keeps them.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn rule_texts(&self) -> Result<RuleTexts, ConfigError> {
        let read = |path: &Path| {
            regular_file::read_text(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })
        };
        // The name of the file alone: where it lies is nobody's business but this machine's.
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = |path: &PathBuf| Ok(PolicyFile { name: name(path), text: read(path)? });
        let policies = self.policies.iter().map(file).collect::<Result<_, ConfigError>>()?;
        Ok(RuleTexts { catalog: read(&self.catalog)?, policies })
    }

    /// Whether the version that was applied last serves, and not the files.
    #[must_use]
    pub fn rules_are_applied(&self) -> bool {
        self.rules_are_applied
    }

    /// Whether a version may serve, and not the files: the vault has started before, and goes by what was applied.
    #[must_use]
    pub fn may_serve_a_version(&self) -> bool {
        self.rules_are_applied && vault_engine::has_started(&self.data_directory)
    }

    /// What the file of issuers says, as it is written but for comments. None: none is configured.
    ///
    /// # Errors
    /// When the file can't be read, or is no TOML.
    pub fn issuers_settings(&self) -> Result<Option<serde_json::Value>, ConfigError> {
        let Some(path) = &self.issuers else { return Ok(None) };
        let text = regular_file::read_text(path).map_err(|source| ConfigError::File { path: path.clone(), source })?;
        let fault = |_| ConfigError::Issuers { path: path.clone(), problem: "is no TOML".to_owned() };
        toml::from_str(&text).map(Some).map_err(fault)
    }

    /// The regions that are served.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// Reads catalog and policies: all that an engine needs but its root key.
    pub(crate) fn engine(&self) -> Result<EngineConfig, ConfigError> {
        let policies = self.policies()?;
        for region in &self.regions {
            if policies.catalog().region(region.as_str()).is_none() {
                let problem = format!("{region} is served here, but the catalog does not declare it");
                return Err(ConfigError::Key { key: "regions", problem });
            }
        }
        let kept = self.retention.check(policies.catalog(), self.regions.iter());
        kept.map_err(|fault| ConfigError::Key { key: "retention", problem: fault.to_string() })?;
        Ok(EngineConfig {
            vault: self.vault.clone(),
            node: self.node.clone(),
            data_directory: self.data_directory.clone(),
            checkpoint_directory: self.checkpoint_directory.clone(),
            regions: self.regions.clone(),
            policies,
            rules_from: if self.rules_are_applied { RulesFrom::Applied(self.rule_texts()?) } else { RulesFrom::Files },
            replay: self.replay.clone(),
            retention: self.retention.clone(),
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
        let replay = self.repeatable().map(|action| {
            let name = action.name();
            format!("replay.required_for has to hold \"{name}\": what shows a value or changes who sees it counts once")
        });
        [custody].into_iter().chain(tls::throwaway(&self.tls)).chain(replay).collect()
    }

    /// The privileged actions that need no nonce.
    pub(crate) fn repeatable(&self) -> impl Iterator<Item = Action> {
        ReplayRules::PRIVILEGED.into_iter().filter(|action| !self.replay.required_for.contains(action))
    }
}
