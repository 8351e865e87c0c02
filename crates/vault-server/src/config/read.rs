//! Reading the file and the environment, key by key: what each is set to, by whom, and what is wrong with it.
//!
//! Everything that can be told apart is found at once, so that one fault does not hide the next. A [`Config`] comes out
//! of a reading without a fault alone.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::{DeTable, DeValue};
use vault_domain::{Action, Region, VaultId};
use vault_engine::{ReplayRules, Retention};

use super::{
    Config, ConfigError, Environment, LogFormat, OwnIdentity, TlsConfig,
    key::{
        Absent, KEYS, Key, Kind, SettingValue, Written, kind_days as kind_days_of, log_days as log_days_of, unix_socket,
    },
    root_key::{PassphraseOrigin, RootKeyProvider},
};
use crate::{
    identity::Naming,
    outside::{SyslogConfig, Transport, WitnessesConfig},
    regular_file,
};

/// A configuration as it was read, whether it can be used or not.
#[derive(Debug)]
pub struct Reading {
    path: PathBuf,
    settings: Vec<Setting>,
    faults: Vec<ConfigFault>,
    unknown_variables: Vec<String>,
}

/// A key, what it is set to, and by whom.
#[derive(Debug)]
pub struct Setting {
    key: &'static Key,
    origin: Origin,
    value: Option<SettingValue>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This line of the file, from 1.
    File {
        /// The line.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// Neither sets it.
    Default,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key; empty for what is no key.
    pub key: String,
    /// Where the value comes from.
    pub origin: Origin,
    /// What is wrong and what would be right. Never a part of the value, which can be a secret in the wrong place.
    pub problem: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { line } => write!(f, "line {line}: ")?,
            Origin::Environment { variable } => write!(f, "{variable}: ")?,
            Origin::Default => {}
        }
        let colon = if self.key.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.key, self.problem)
    }
}

impl Setting {
    /// The key's path.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key.path
    }

    /// What it is for.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.key.meaning
    }

    /// What it takes, as a sentence's end.
    #[must_use]
    pub fn rule(&self) -> String {
        self.key.rule()
    }

    /// The unit of its value.
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.key.unit()
    }

    /// What holds where nobody sets it. None: it has to be set.
    #[must_use]
    pub fn default(&self) -> Option<String> {
        self.key.default()
    }

    /// The variable that overrides it.
    #[must_use]
    pub fn variable(&self) -> String {
        self.key.variable()
    }

    /// Who set it.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What it is set to. None if nobody did, or to something that it does not take.
    #[must_use]
    pub fn value(&self) -> Option<&SettingValue> {
        self.value.as_ref()
    }
}

/// What the file says of one key, and its line.
type Entries = BTreeMap<&'static str, (Written, usize)>;

impl Reading {
    /// Reads a configuration file, whose keys `environment` overrides.
    ///
    /// # Errors
    /// When the file can't be read; all else is found in the reading.
    pub fn of_file(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let text =
            regular_file::read_text(path).map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        Ok(Self::of_text(path, &text, environment))
    }

    /// Reads the text of the file at `path`.
    pub(super) fn of_text(path: &Path, text: &str, environment: &Environment) -> Self {
        let mut file = File { text, entries: Entries::new(), faults: Vec::new() };
        file.read();
        let File { mut entries, mut faults, .. } = file;
        let base = path.parent().unwrap_or(Path::new(""));
        let mut settings: Vec<Setting> = Vec::with_capacity(KEYS.len());
        for key in &KEYS {
            let variable = key.variable();
            let (written, origin) = match environment.0.get(&variable) {
                Some(text) => (Some(key.of_variable(text)), Origin::Environment { variable }),
                None => match entries.remove(key.path) {
                    Some((written, line)) => (Some(written), Origin::File { line }),
                    None => (None, Origin::Default),
                },
            };
            let value = match &written {
                Some(written) => key.judge(written, base),
                None => of_nobody(key, &settings),
            };
            if value.is_none() && (written.is_some() || matches!(key.absent, Absent::Required)) {
                let missing = if written.is_none() { "is missing; it " } else { "" };
                let problem = format!("{missing}{}", key.rule());
                faults.push(ConfigFault { key: key.path.to_owned(), origin: origin.clone(), problem });
            }
            settings.push(Setting { key, origin, value });
        }
        faults.extend(without_root_key(&settings, &faults));
        faults.extend(without_certificate(&settings, &faults));
        faults.extend(without_archive(&settings, &faults));
        let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
        let unknown_variables = environment.0.keys().filter(|name| !known.contains(name)).cloned().collect();
        Self { path: path.to_owned(), settings, faults, unknown_variables }
    }

    /// Every key, in the order of the documentation.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The configuration, if it has no fault in itself.
    ///
    /// # Errors
    /// With all faults.
    pub fn into_config(self) -> Result<Config, ConfigError> {
        if !self.faults.is_empty() {
            return Err(ConfigError::Faults { path: self.path, faults: self.faults });
        }
        let (cache, memtable) = (self.bytes("store.cache_bytes")?, self.bytes("store.memtable_bytes")?);
        let is_json = self.text("log.format")? == "json";
        let root_key = self.root_key()?;
        let config = Config {
            vault: VaultId::parse(self.text("vault")?).map_err(|error| refuse("vault", error.rule))?,
            node: self.text("node")?.to_owned(),
            data_directory: self.path("data_directory")?,
            checkpoint_directory: self.path("checkpoint_directory")?,
            regions: self.regions()?,
            catalog: self.path("catalog")?,
            policies: self.paths("policies")?,
            rules_are_applied: self.text("rules_from")? == "applied",
            address: self.address("listen.address")?,
            connection_age_max: self.seconds("listen.connection_seconds_max")?,
            metrics: self.metrics()?,
            reflection: self.text("listen.reflection")? == "on",
            tls: TlsConfig {
                own: self.own_identity()?,
                client_ca: self.paths("tls.client_ca")?,
                client_crl: self.paths("tls.client_crl")?,
                reload_every: self.seconds("tls.reload_seconds")?,
                expiry_warning: self.seconds("tls.expiry_warning_seconds")?,
                naming: Naming {
                    trust_domains: self.names("tls.spiffe_trust_domains")?,
                    dns: self.text("tls.dns_principals")? == "on",
                    subject: self.text("tls.subject_principals")? == "on",
                },
            },
            issuers: self.path("identity.issuers").ok(),
            denied_file: self.path("identity.denied_file").ok(),
            root_key,
            cache_bytes: size(cache),
            memtable_bytes: size(memtable),
            ballast_bytes: self.bytes("store.ballast_bytes")?,
            free_bytes_min: self.bytes("store.free_bytes_min")?,
            replay: self.replay()?,
            retention: self.retention()?,
            witnesses: self.witnesses()?,
            syslog: self.syslog()?,
            log_level: self.text("log.level")?.to_owned(),
            log_format: if is_json { LogFormat::Json } else { LogFormat::Text },
            unknown_variables: self.unknown_variables.clone(),
        };
        match self.text("mode")? {
            "production" => Err(ConfigError::NotForProduction { faults: config.production_faults() }),
            _ => Ok(config),
        }
    }

    /// Where the root key comes from. What has one custodian has to be asked for by name.
    fn root_key(&self) -> Result<RootKeyProvider, ConfigError> {
        if self.text("root_key.provider")? == "file" {
            return Ok(RootKeyProvider::File(self.path("root_key.path")?));
        }
        let passphrase = match self.value("root_key.passphrase") {
            Some(SettingValue::Hidden(passphrase)) => Some(passphrase.expose().to_owned()),
            _ => None,
        };
        let origin = PassphraseOrigin::choose(self.path("root_key.path").ok(), passphrase)?;
        Ok(RootKeyProvider::Passphrase { origin, data_directory: self.path("data_directory")? })
    }

    /// Which calls count once.
    fn replay(&self) -> Result<ReplayRules, ConfigError> {
        let (actions, window) = ("replay.required_for", "replay.window_seconds");
        let Some(SettingValue::Names(names)) = self.value(actions) else { return Err(refuse(actions, "is missing")) };
        let Some(SettingValue::Seconds(seconds)) = self.value(window) else { return Err(refuse(window, "is missing")) };
        let required_for = names.iter().filter_map(|name| Action::parse(name)).collect();
        Ok(ReplayRules { required_for, window: Duration::from_secs(*seconds) })
    }

    /// How long entries are kept.
    fn retention(&self) -> Result<Retention, ConfigError> {
        let (own, all) = ("retention.log_days", "retention.days");
        let Some(SettingValue::Days(days)) = self.value(all) else { return Err(refuse(all, "is missing")) };
        let days = u32::try_from(*days).map_err(|_| refuse(all, "is too long"))?;
        let mut log_days = BTreeMap::new();
        for text in self.names(own)? {
            let (log, days) = log_days_of(&text).ok_or_else(|| refuse(own, "must be <log>=<days>"))?;
            if log_days.insert(log.to_owned(), days).is_some() {
                return Err(refuse(own, "names a log twice"));
            }
        }
        let own = "retention.kind_days";
        let mut kind_days = BTreeMap::new();
        for text in self.names(own)? {
            let (kind, days) = kind_days_of(&text).ok_or_else(|| refuse(own, "must be <kind>=<days>"))?;
            if kind_days.insert(kind, days).is_some() {
                return Err(refuse(own, "names a kind twice"));
            }
        }
        let automatic = self.text("retention.automatic")? == "on";
        let archive_directory = self.path("retention.archive_directory").ok();
        Ok(Retention { days, log_days, kind_days, automatic, archive_directory })
    }

    /// Which witnesses are asked, if any.
    fn witnesses(&self) -> Result<Option<WitnessesConfig>, ConfigError> {
        let Ok(policy) = self.path("witnesses.policy") else { return Ok(None) };
        let authorities = self.paths("witnesses.ca")?;
        let required_at_start = self.text("witnesses.require_at_start")? == "on";
        Ok(Some(WitnessesConfig { policy, authorities, required_at_start }))
    }

    /// Which collector of logs checkpoints are sent to, if any.
    fn syslog(&self) -> Result<Option<SyslogConfig>, ConfigError> {
        let Ok(address) = self.text("syslog.address") else { return Ok(None) };
        let transport = match self.text("syslog.transport")? {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            _ => Transport::Tls,
        };
        Ok(Some(SyslogConfig { address: address.to_owned(), transport, authorities: self.paths("syslog.ca")? }))
    }

    /// Where the server's own certificate comes from.
    fn own_identity(&self) -> Result<OwnIdentity, ConfigError> {
        let key = "tls.workload_api";
        if self.value(key).is_none() {
            return Ok(OwnIdentity::Files { certificate: self.path("tls.certificate")?, key: self.path("tls.key")? });
        }
        let socket = unix_socket(self.text(key)?).ok_or_else(|| refuse(key, "must be a Unix socket"))?;
        Ok(OwnIdentity::WorkloadApi { socket: socket.into() })
    }

    fn value(&self, key: &'static str) -> Option<&SettingValue> {
        self.settings.iter().find(|setting| setting.key.path == key)?.value.as_ref()
    }

    fn text(&self, key: &'static str) -> Result<&str, ConfigError> {
        let Some(SettingValue::Text(text)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(text)
    }

    fn path(&self, key: &'static str) -> Result<PathBuf, ConfigError> {
        let Some(SettingValue::Path(path)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(path.clone())
    }

    fn paths(&self, key: &'static str) -> Result<Vec<PathBuf>, ConfigError> {
        let Some(SettingValue::Paths(paths)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(paths.clone())
    }

    fn bytes(&self, key: &'static str) -> Result<u64, ConfigError> {
        let Some(SettingValue::Bytes(bytes)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(*bytes)
    }

    fn seconds(&self, key: &'static str) -> Result<Duration, ConfigError> {
        let Some(SettingValue::Seconds(seconds)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(Duration::from_secs(*seconds))
    }

    fn names(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let Some(SettingValue::Names(names)) = self.value(key) else { return Err(refuse(key, "is missing")) };
        Ok(names.clone())
    }

    fn regions(&self) -> Result<Vec<Region>, ConfigError> {
        let key = "regions";
        self.names(key)?.iter().map(|name| Region::parse(name).map_err(|error| refuse(key, error.rule))).collect()
    }

    /// Where measurements are told, if anywhere. Whoever reaches it may read them.
    fn metrics(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let key = "listen.metrics";
        if self.value(key).is_none() {
            return Ok(None);
        }
        let address = self.address(key)?;
        if !address.ip().is_loopback() && self.text("listen.danger_metrics_everywhere")? != "on" {
            let problem = "can be reached from other machines, and nobody has to say who it is there: take a loopback \
                           address, or set listen.danger_metrics_everywhere = \"on\"";
            return Err(refuse(key, problem));
        }
        Ok(Some(address))
    }

    fn address(&self, key: &'static str) -> Result<SocketAddr, ConfigError> {
        self.text(key)?.parse().map_err(|_| refuse(key, "must be an IP address and a port"))
    }
}

/// A root key in a file whose path nobody has said.
fn without_root_key(settings: &[Setting], faults: &[ConfigFault]) -> Option<ConfigFault> {
    let of = |path: &str| settings.iter().find(|setting| setting.key.path == path);
    let (provider, path) = (of("root_key.provider")?, of("root_key.path")?);
    let is_file = matches!(&provider.value, Some(SettingValue::Text(provider)) if provider == "file");
    let told = path.value.is_some() || faults.iter().any(|fault| fault.key == path.key.path);
    let problem = || format!("is missing; it {}", path.key.rule());
    (is_file && !told).then(|| ConfigFault {
        key: path.key.path.to_owned(),
        origin: Origin::Default,
        problem: problem(),
    })
}

/// Pruning by itself without a folder for what goes.
fn without_archive(settings: &[Setting], faults: &[ConfigFault]) -> Option<ConfigFault> {
    let of = |path: &str| settings.iter().find(|setting| setting.key.path == path);
    let (automatic, folder) = (of("retention.automatic")?, of("retention.archive_directory")?);
    let is_on = matches!(&automatic.value, Some(SettingValue::Text(word)) if word == "on");
    let told = folder.value.is_some() || faults.iter().any(|fault| fault.key == folder.key.path);
    (is_on && !told).then(|| ConfigFault {
        key: automatic.key.path.to_owned(),
        origin: automatic.origin.clone(),
        problem: "is \"on\" without retention.archive_directory, and nothing is pruned without an archive: name the \
                  folder, or leave it \"off\""
            .to_owned(),
    })
}

/// A certificate or key whose file nobody has said, or that comes from two places.
fn without_certificate(settings: &[Setting], faults: &[ConfigFault]) -> Vec<ConfigFault> {
    let of = |path: &str| settings.iter().find(|setting| setting.key.path == path);
    let is_told =
        |setting: &Setting| setting.value.is_some() || faults.iter().any(|fault| fault.key == setting.key.path);
    let by_api = of("tls.workload_api").is_some_and(is_told);
    let files = ["tls.certificate", "tls.key"].into_iter().filter_map(of);
    let wrong = files.filter(|file| is_told(file) == by_api);
    wrong
        .map(|file| {
            let problem = if by_api {
                "is set beside tls.workload_api: a certificate comes from one of them, leave the other out".to_owned()
            } else {
                format!("is missing; it {}", file.key.rule())
            };
            ConfigFault { key: file.key.path.to_owned(), origin: file.origin.clone(), problem }
        })
        .collect()
}

/// What holds where nobody sets a key.
fn of_nobody(key: &Key, before: &[Setting]) -> Option<SettingValue> {
    match key.absent {
        Absent::Required | Absent::Unset => None,
        Absent::Word(word) => Some(SettingValue::Text(word.to_owned())),
        Absent::InDev(dev, others) => {
            let mode = before.iter().find(|setting| setting.key.path == "mode")?;
            let is_dev = matches!(&mode.value, Some(SettingValue::Text(mode)) if mode == "dev");
            Some(SettingValue::Text(if is_dev { dev } else { others }.to_owned()))
        }
        Absent::Number(seconds) if matches!(key.kind, Kind::Seconds(_)) => Some(SettingValue::Seconds(seconds)),
        Absent::Number(days) if matches!(key.kind, Kind::Days(_)) => Some(SettingValue::Days(days)),
        Absent::Number(bytes) => Some(SettingValue::Bytes(bytes)),
        Absent::Words(words) => Some(SettingValue::Names(words.iter().map(|word| (*word).to_owned()).collect())),
        Absent::None if matches!(key.kind, Kind::Names(..)) => Some(SettingValue::Names(Vec::new())),
        Absent::None => Some(SettingValue::Paths(Vec::new())),
        Absent::BesideData(behind) => {
            let data = before.iter().find(|setting| setting.key.path == "data_directory")?;
            let Some(SettingValue::Path(data)) = &data.value else { return None };
            let mut name = data.file_name().unwrap_or_default().to_owned();
            name.push(behind);
            Some(SettingValue::Path(data.with_file_name(name)))
        }
    }
}

/// The file's text on its way into entries.
struct File<'t> {
    text: &'t str,
    entries: Entries,
    faults: Vec<ConfigFault>,
}

impl File<'_> {
    fn read(&mut self) {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.fault(String::new(), error.span().unwrap_or_default(), error.message().trim_end().to_owned());
        }
        self.table("", root.get_ref());
    }

    /// Reads a table whose keys begin with `prefix`.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = format!("{prefix}{}", name.get_ref());
            let section = format!("{path}.");
            if let Some(key) = KEYS.iter().find(|key| key.path == path) {
                let line = self.line(&name.span());
                self.entries.insert(key.path, (written(value.get_ref()), line));
            } else if KEYS.iter().any(|key| key.path.starts_with(&section)) {
                match value.get_ref() {
                    DeValue::Table(table) => self.table(&section, table),
                    _ => {
                        let problem = format!("is a section: write [{path}], and its keys below");
                        self.fault(path, name.span(), problem);
                    }
                }
            } else {
                let known: Vec<&str> = KEYS.iter().filter_map(|key| next(key.path, prefix)).collect();
                // A key can be anything, even what was meant to be a value: only what could be a key is repeated.
                let shown = if is_word(&path) { path } else { prefix.trim_end_matches('.').to_owned() };
                self.fault(shown, name.span(), format!("there is no such key here; there are {}", listed(&known)));
            }
        }
    }

    fn fault(&mut self, key: String, span: Range<usize>, problem: String) {
        let origin = Origin::File { line: self.line(&span) };
        self.faults.push(ConfigFault { key, origin, problem });
    }

    /// The line that a place in the text stands on, from 1.
    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }
}

/// The next name of a path below `prefix`.
fn next<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)?.split('.').next()
}

/// Names without repeats, separated by commas.
fn listed(names: &[&str]) -> String {
    let mut once: Vec<&str> = names.to_vec();
    once.dedup();
    once.join(", ")
}

/// Whether a text could be a key that somebody has misspelled.
fn is_word(path: &str) -> bool {
    path.len() <= 64 && path.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'.')
}

fn written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::Text(text.as_ref().to_owned()),
        DeValue::Integer(number) => {
            u64::from_str_radix(number.as_str(), number.radix()).map_or(Written::Other, Written::Number)
        }
        DeValue::Array(elements) => {
            let texts = elements.iter().map(|element| match element.get_ref() {
                DeValue::String(text) => Some(text.as_ref().to_owned()),
                _ => None,
            });
            texts.collect::<Option<Vec<_>>>().map_or(Written::Other, Written::List)
        }
        DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Table(_) => Written::Other,
    }
}

pub(super) fn refuse(key: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Key { key, problem: problem.into() }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
