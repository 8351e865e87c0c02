//! Reading the file and the environment into a [`Config`].

use std::{cell::RefCell, collections::BTreeSet, net::SocketAddr, ops::RangeInclusive, path::Path};

use serde::Deserialize;
use vault_domain::{Region, VaultId, limits};

use super::{
    Config, ConfigError, Environment, LogFormat, PREFIX, TlsConfig,
    root_key::{PassphraseOrigin, RootKeyProvider},
};

/// The longest name of a node.
const NODE_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    mode: Option<String>,
    vault: Option<String>,
    node: Option<String>,
    data_directory: Option<String>,
    checkpoint_directory: Option<String>,
    regions: Option<Vec<String>>,
    catalog: Option<String>,
    policies: Option<Vec<String>>,
    #[serde(default)]
    listen: Listen,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    root_key: RootKey,
    #[serde(default)]
    store: Store,
    #[serde(default)]
    log: Log,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listen {
    address: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: Option<String>,
    key: Option<String>,
    client_ca: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootKey {
    provider: Option<String>,
    path: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Store {
    cache_bytes: Option<u64>,
    memtable_bytes: Option<u64>,
    ballast_bytes: Option<u64>,
    free_bytes_min: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    level: Option<String>,
    format: Option<String>,
}

/// Where a value comes from: the environment first, then the file.
struct Source<'a> {
    environment: &'a Environment,
    base: &'a Path,
    /// The variables that there is a key for.
    known: RefCell<BTreeSet<String>>,
}

impl Source<'_> {
    fn variable(&self, key: &str) -> Option<String> {
        let name = format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
        let value = self.environment.0.get(&name).cloned();
        self.known.borrow_mut().insert(name);
        value
    }

    /// The variables that look like ours and are no key's. To be asked when every key was looked for.
    fn unknown_variables(&self) -> Vec<String> {
        let known = self.known.borrow();
        self.environment.0.keys().filter(|name| !known.contains(*name)).cloned().collect()
    }

    fn text(&self, key: &'static str, file: Option<String>) -> Option<String> {
        self.variable(key).or(file)
    }

    fn required(&self, key: &'static str, file: Option<String>) -> Result<String, ConfigError> {
        let missing = || refuse(key, "is missing");
        self.text(key, file).filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    fn path(&self, key: &'static str, file: Option<String>) -> Result<std::path::PathBuf, ConfigError> {
        Ok(self.base.join(self.required(key, file)?))
    }

    fn list(&self, key: &'static str, file: Option<Vec<String>>) -> Vec<String> {
        match self.variable(key) {
            Some(list) => list.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            None => file.unwrap_or_default(),
        }
    }

    fn number(&self, key: &'static str, file: Option<u64>, default: u64) -> Result<u64, ConfigError> {
        match self.variable(key) {
            Some(text) => text.parse().map_err(|_| refuse(key, "must be a number of bytes")),
            None => Ok(file.unwrap_or(default)),
        }
    }

    fn memory(&self, key: &'static str, file: Option<u64>, default: u64) -> Result<u64, ConfigError> {
        let bytes = self.number(key, file, default)?;
        if MEMORY_BYTES.contains(&bytes) { Ok(bytes) } else { Err(refuse(key, "must be 1 MiB to 1 TiB, in bytes")) }
    }
}

/// What memory can be: the engine ends the process over less or more.
const MEMORY_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

pub(super) fn refuse(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Key { key, problem: problem.into() }
}

/// What the vault runs with when it is told nothing else.
const CACHE_BYTES: u64 = 512 << 20;
const MEMTABLE_BYTES: u64 = 256 << 20;
const BALLAST_BYTES: u64 = 256 << 20;
const FREE_BYTES_MIN: u64 = 512 << 20;

pub(super) fn read(path: &Path, text: &str, environment: &Environment) -> Result<Config, ConfigError> {
    let file: File = toml::from_str(text)
        .map_err(|error| ConfigError::Text { path: path.to_owned(), problem: error.to_string() })?;
    let base = path.parent().unwrap_or(Path::new(""));
    let source = Source { environment, base, known: RefCell::default() };
    let mode = Mode::parse(source.text("mode", file.mode).as_deref())?;
    let data_directory = source.path("data_directory", file.data_directory)?;
    let checkpoint_directory = match source.text("checkpoint_directory", file.checkpoint_directory) {
        Some(directory) => source.base.join(directory),
        None => {
            let mut name = data_directory.file_name().unwrap_or_default().to_owned();
            name.push("-checkpoints");
            data_directory.with_file_name(name)
        }
    };
    let client_ca: Vec<_> =
        source.list("tls.client_ca", file.tls.client_ca).iter().map(|path| source.base.join(path)).collect();
    if client_ca.is_empty() {
        return Err(refuse(
            "tls.client_ca",
            "is missing: name at least one file with a CA that signs client certificates",
        ));
    }
    let cache_bytes = source.memory("store.cache_bytes", file.store.cache_bytes, CACHE_BYTES)?;
    let memtable_bytes = source.memory("store.memtable_bytes", file.store.memtable_bytes, MEMTABLE_BYTES)?;
    let root_key = root_key(&source, file.root_key, &data_directory)?;
    let config = Config {
        vault: VaultId::parse(&source.required("vault", file.vault)?).map_err(|error| refuse("vault", error.rule))?,
        node: node(source.required("node", file.node)?)?,
        data_directory,
        checkpoint_directory,
        regions: regions(&source.list("regions", file.regions))?,
        catalog: source.path("catalog", file.catalog)?,
        policies: source.list("policies", file.policies).iter().map(|path| source.base.join(path)).collect(),
        address: address(&source.required("listen.address", file.listen.address)?)?,
        tls: TlsConfig {
            certificate: source.path("tls.certificate", file.tls.certificate)?,
            key: source.path("tls.key", file.tls.key)?,
            client_ca,
        },
        root_key,
        cache_bytes: size(cache_bytes),
        memtable_bytes: size(memtable_bytes),
        ballast_bytes: source.number("store.ballast_bytes", file.store.ballast_bytes, BALLAST_BYTES)?,
        free_bytes_min: source.number("store.free_bytes_min", file.store.free_bytes_min, FREE_BYTES_MIN)?,
        log_level: log_level(source.text("log.level", file.log.level))?,
        log_format: log_format(source.text("log.format", file.log.format).as_deref())?,
        // Evaluated last: every key was looked for by now.
        unknown_variables: source.unknown_variables(),
    };
    match mode {
        Mode::Dev => Ok(config),
        Mode::Production => Err(ConfigError::NotForProduction { faults: config.production_faults() }),
    }
}

/// What the vault is run for.
enum Mode {
    /// Development and tests: weaker custody of the root key is taken, if it is asked for by name.
    Dev,
    /// Real data.
    Production,
}

impl Mode {
    fn parse(text: Option<&str>) -> Result<Self, ConfigError> {
        match text {
            Some("dev") => Ok(Self::Dev),
            Some("production") => Ok(Self::Production),
            _ => Err(refuse(
                "mode",
                "must be \"dev\": every provider of the root key in this version has one custodian, who has every key. \
                 A vault serves only when told that this is development",
            )),
        }
    }
}

/// Where the root key comes from. What has one custodian has to be asked for by name.
fn root_key(source: &Source<'_>, file: RootKey, data_directory: &Path) -> Result<RootKeyProvider, ConfigError> {
    match source.text("root_key.provider", file.provider).as_deref() {
        Some("file") => Ok(RootKeyProvider::File(source.path("root_key.path", file.path)?)),
        Some("passphrase") => {
            let path = source.text("root_key.path", file.path).filter(|path| !path.is_empty());
            let path = path.map(|path| source.base.join(path));
            let origin = PassphraseOrigin::choose(path, source.variable("root_key.passphrase"))?;
            Ok(RootKeyProvider::Passphrase { origin, data_directory: data_directory.to_owned() })
        }
        Some(_) => {
            let known = "must be \"file\" or \"passphrase\": this version has no other provider";
            Err(refuse("root_key.provider", known))
        }
        None => Err(refuse("root_key.provider", "is missing: this version has \"file\" and \"passphrase\"")),
    }
}

fn regions(names: &[String]) -> Result<Vec<Region>, ConfigError> {
    let mut regions = Vec::new();
    for name in names {
        let region = Region::parse(name).map_err(|error| refuse("regions", error.rule))?;
        if regions.contains(&region) {
            return Err(refuse("regions", format!("names {region} twice")));
        }
        regions.push(region);
    }
    match regions.len() {
        0 => Err(refuse("regions", "must name at least one region")),
        1..=limits::REGIONS_MAX => Ok(regions),
        _ => Err(refuse("regions", format!("must name at most {} regions", limits::REGIONS_MAX))),
    }
}

fn node(name: String) -> Result<String, ConfigError> {
    let valid = (1..=NODE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
    if valid { Ok(name) } else { Err(refuse("node", "must match [a-z0-9.-]{1,64}")) }
}

fn address(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| refuse("listen.address", "must be an IP address and a port, as in \"127.0.0.1:8443\""))
}

fn log_level(text: Option<String>) -> Result<String, ConfigError> {
    let level = text.unwrap_or_else(|| "info".to_owned());
    let known = ["error", "warn", "info", "debug", "trace"].contains(&level.as_str());
    if known { Ok(level) } else { Err(refuse("log.level", "must be error, warn, info, debug or trace")) }
}

fn log_format(text: Option<&str>) -> Result<LogFormat, ConfigError> {
    match text {
        None | Some("json") => Ok(LogFormat::Json),
        Some("text") => Ok(LogFormat::Text),
        Some(_) => Err(refuse("log.format", "must be \"json\" or \"text\"")),
    }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
