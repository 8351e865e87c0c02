//! The file of issuers: who may vouch for callers, how its tokens must be made, and what their claims become.
//!
//! Every key must be known, and what would weaken the vault in silence is a fault: a typo stops the start.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use jsonwebtoken::Algorithm;
use serde::Deserialize;
use thiserror::Error;
use vault_domain::{Assurance, Region, Role, Scope, Tenant};

use crate::claims::{Gives, Rule, Rules};

/// Issuers of one vault.
const ISSUERS_MAX: usize = 32;
/// Rules of one issuer, and values in a table of one.
const RULES_MAX: usize = 64;
const TABLE_MAX: usize = 1024;
/// The longest name of an issuer: with a colon it stands before every principal of it.
const NAME_BYTES_MAX: usize = 32;
/// What principals of certificates begin with: no issuer may have such a name.
const RESERVED: [&str; 3] = ["spiffe", "dns", "subject"];
/// Algorithms that an issuer may sign with (RFC 7518 section 3.1, RFC 8037): none with a shared secret, and not `none`.
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
];
const LIFETIME_SECONDS_MAX: u64 = 24 * 3600;
const LEEWAY_SECONDS_MAX: u64 = 300;
const REFRESH_SECONDS: std::ops::RangeInclusive<u64> = 10..=24 * 3600;

/// What is wrong with the file of issuers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SettingsFault {
    /// It is no such file.
    #[error("line {line}: {problem}")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What TOML says of it.
        problem: String,
    },
    /// A key of an issuer has a value that it does not take.
    #[error("issuers.{issuer}: {problem}")]
    Issuer {
        /// The issuer's name.
        issuer: String,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A fault of the file as a whole.
    #[error("{0}")]
    Whole(&'static str),
}

/// Where the keys of an issuer are fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwksUrl {
    /// The address: https, or http on this machine itself, which is for development.
    pub url: String,
    /// The authorities that its certificate is verified by (PEM). None: those of the vault's own file of clients are
    /// not taken for it; the address must be http then.
    pub ca: Option<PathBuf>,
    /// A certificate and its key to be shown there (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
    /// How often it is asked unless there is a reason to.
    pub refresh: Duration,
}

/// What a token of an issuer must be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) certificate: bool,
    pub(crate) dpop: bool,
    pub(crate) danger_none: bool,
}

/// An issuer as it is configured.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) iss: String,
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) source: Source,
    pub(crate) stale: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) leeway: Duration,
    pub(crate) binding: Binding,
    pub(crate) takes_plain_jwt: bool,
    pub(crate) required_claims: Vec<String>,
    pub(crate) rules: Rules,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    File(PathBuf),
    Url(JwksUrl),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    dpop_origins: Vec<String>,
    issuers: BTreeMap<String, RawIssuer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssuer {
    issuer: String,
    audiences: Vec<String>,
    algorithms: Vec<String>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_ca: Option<PathBuf>,
    jwks_client_certificate: Option<PathBuf>,
    jwks_client_key: Option<PathBuf>,
    #[serde(default = "hour")]
    jwks_stale_seconds_max: u64,
    #[serde(default = "five_minutes")]
    jwks_refresh_seconds: u64,
    #[serde(default = "hour")]
    lifetime_seconds_max: u64,
    #[serde(default = "half_a_minute")]
    leeway_seconds: u64,
    #[serde(default = "by_certificate")]
    binding: Vec<RawBinding>,
    #[serde(default)]
    danger_accept_plain_jwt: bool,
    #[serde(default = "client_id")]
    required_claims: Vec<String>,
    #[serde(default)]
    rules: Vec<RawRule>,
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum RawBinding {
    Certificate,
    Dpop,
    DangerNone,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    gives: Gives,
    claim: RawPath,
    #[serde(default)]
    prefix: String,
    table: Option<BTreeMap<String, RawMapped>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawPath {
    Name(String),
    Path(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawMapped {
    Text(String),
    Level(u8),
}

fn hour() -> u64 {
    3600
}

fn five_minutes() -> u64 {
    300
}

fn half_a_minute() -> u64 {
    30
}

fn by_certificate() -> Vec<RawBinding> {
    vec![RawBinding::Certificate]
}

fn client_id() -> Vec<String> {
    vec!["client_id".to_owned()]
}

/// Reads the file. `base` is the folder that relative paths start from.
pub(crate) fn parse(text: &str, base: &Path) -> Result<(Vec<String>, Vec<Settings>), SettingsFault> {
    let file: RawFile = toml::from_str(text).map_err(|error| SettingsFault::Toml {
        line: 1 + text.bytes().take(error.span().unwrap_or_default().start).filter(|byte| *byte == b'\n').count(),
        problem: error.message().to_owned(),
    })?;
    if file.issuers.is_empty() || file.issuers.len() > ISSUERS_MAX {
        return Err(SettingsFault::Whole("name 1 to 32 issuers, [issuers.<name>] each"));
    }
    if !file.dpop_origins.iter().all(|origin| is_origin(origin)) {
        return Err(SettingsFault::Whole(
            "dpop_origins must hold what callers call the vault, as https://host or https://host:port in lower case, \
             without a path and without the port 443",
        ));
    }
    let has_origins = !file.dpop_origins.is_empty();
    let issuers = file.issuers.into_iter().map(|(name, raw)| {
        let issuer = if name.len() <= NAME_BYTES_MAX { name.clone() } else { "(too long)".to_owned() };
        settings(name, raw, base, has_origins).map_err(|problem| SettingsFault::Issuer { issuer, problem })
    });
    let issuers: Vec<Settings> = issuers.collect::<Result<_, _>>()?;
    let addresses: BTreeSet<&str> = issuers.iter().map(|settings| settings.iss.as_str()).collect();
    if addresses.len() < issuers.len() {
        return Err(SettingsFault::Whole("two issuers have the same `issuer`: a token could count as either's"));
    }
    Ok((file.dpop_origins, issuers))
}

fn settings(name: String, raw: RawIssuer, base: &Path, has_origins: bool) -> Result<Settings, String> {
    let problem = |text: &str| Err(text.to_owned());
    if !is_name(&name) || RESERVED.contains(&name.as_str()) {
        return problem(
            "an issuer's name must match [a-z][a-z0-9_-]{0,31} and not be \"spiffe\", \"dns\" or \"subject\", which \
             certificates have",
        );
    }
    if raw.issuer.is_empty() || raw.audiences.is_empty() || raw.audiences.iter().any(String::is_empty) {
        return problem("issuer and audiences must hold what tokens have in iss and aud, exactly");
    }
    let named = raw
        .algorithms
        .iter()
        .map(|written| ALGORITHMS.iter().find(|(name, _)| name == written).map(|(_, algorithm)| *algorithm));
    let algorithms: Vec<Algorithm> = named.collect::<Option<_>>().filter(|named: &Vec<_>| !named.is_empty()).ok_or(
        "algorithms must name one at least of ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384 and RS512",
    )?;
    let source = source(&raw, base)?;
    if !(1..=LIFETIME_SECONDS_MAX).contains(&raw.lifetime_seconds_max) || raw.leeway_seconds > LEEWAY_SECONDS_MAX {
        return problem("lifetime_seconds_max must be 1 to 86400, leeway_seconds at most 300");
    }
    let binding = Binding {
        certificate: raw.binding.contains(&RawBinding::Certificate),
        dpop: raw.binding.contains(&RawBinding::Dpop),
        danger_none: raw.binding.contains(&RawBinding::DangerNone),
    };
    if raw.binding.is_empty() || (binding.dpop && !has_origins) {
        return problem(
            "binding must name \"certificate\" or \"dpop\", and with \"dpop\" the file needs dpop_origins, which \
             proofs are for",
        );
    }
    Ok(Settings {
        rules: rules(raw.rules)?,
        name,
        iss: raw.issuer,
        audiences: raw.audiences,
        algorithms,
        source,
        stale: Duration::from_secs(raw.jwks_stale_seconds_max),
        lifetime: Duration::from_secs(raw.lifetime_seconds_max),
        leeway: Duration::from_secs(raw.leeway_seconds),
        binding,
        takes_plain_jwt: raw.danger_accept_plain_jwt,
        required_claims: raw.required_claims,
    })
}

fn source(raw: &RawIssuer, base: &Path) -> Result<Source, String> {
    let client = match (&raw.jwks_client_certificate, &raw.jwks_client_key) {
        (Some(certificate), Some(key)) => Some((base.join(certificate), base.join(key))),
        (None, None) => None,
        _ => return Err("jwks_client_certificate and jwks_client_key go together".to_owned()),
    };
    match (&raw.jwks_file, &raw.jwks_url) {
        (Some(file), None) if raw.jwks_ca.is_none() && client.is_none() => Ok(Source::File(base.join(file))),
        (None, Some(url)) => {
            let secure = url.starts_with("https://") && raw.jwks_ca.is_some();
            let own = ["http://127.0.0.1:", "http://[::1]:"].iter().any(|own| url.starts_with(own));
            if !(secure || own) {
                return Err("jwks_url must be https, with the authorities of its certificate in jwks_ca; http is for \
                            127.0.0.1 and [::1] alone"
                    .to_owned());
            }
            let times = REFRESH_SECONDS.contains(&raw.jwks_refresh_seconds)
                && raw.jwks_stale_seconds_max >= raw.jwks_refresh_seconds;
            if !times {
                return Err("jwks_refresh_seconds must be 10 to 86400, jwks_stale_seconds_max not less".to_owned());
            }
            let refresh = Duration::from_secs(raw.jwks_refresh_seconds);
            let ca = raw.jwks_ca.as_ref().map(|ca| base.join(ca));
            Ok(Source::Url(JwksUrl { url: url.clone(), ca, client, refresh }))
        }
        _ => Err("name either jwks_file or jwks_url; jwks_ca and jwks_client_… belong to the latter".to_owned()),
    }
}

fn rules(raw: Vec<RawRule>) -> Result<Rules, String> {
    if raw.len() > RULES_MAX {
        return Err(format!("rules must be {RULES_MAX} at most"));
    }
    let mut rules = Vec::with_capacity(raw.len());
    for (at, raw) in raw.into_iter().enumerate() {
        let path = match raw.claim {
            RawPath::Name(name) => vec![name],
            RawPath::Path(path) => path,
        };
        if path.is_empty() || path.iter().any(String::is_empty) {
            return Err(format!("rules, number {}: claim must be a claim's name, or a list of names", at + 1));
        }
        let table = raw.table.map(|table| {
            let text = |mapped| match mapped {
                RawMapped::Text(text) => text,
                RawMapped::Level(level) => level.to_string(),
            };
            table.into_iter().map(|(value, mapped)| (value, text(mapped))).collect::<BTreeMap<_, _>>()
        });
        let fits = |table: &BTreeMap<String, String>| {
            table.len() <= TABLE_MAX && table.values().all(|mapped| is_a(raw.gives, mapped))
        };
        if !table.as_ref().map_or(raw.gives != Gives::Assurance, fits) {
            return Err(format!(
                "rules, number {}: table must hold at most {TABLE_MAX} values, each mapped to what can be a {}; \
                 assurance needs one, to levels 1 to 3",
                at + 1,
                raw.gives.name()
            ));
        }
        rules.push(Rule { gives: raw.gives, path, prefix: raw.prefix, table });
    }
    Ok(Rules::new(rules))
}

/// Whether a text can be what a rule gives.
fn is_a(gives: Gives, text: &str) -> bool {
    match gives {
        Gives::Principal => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()),
        Gives::Tenant => Tenant::parse(text).is_ok(),
        Gives::Role => Role::parse(text).is_ok(),
        Gives::Scope => Scope::parse(text).is_ok(),
        Gives::Clearance => Region::parse(text).is_ok(),
        Gives::AuthenticatedAt => false,
        Gives::Assurance => text.parse().ok().and_then(Assurance::new).is_some(),
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte))
}

fn is_origin(origin: &str) -> bool {
    origin.strip_prefix("https://").is_some_and(|authority| {
        !authority.is_empty()
            && !authority.ends_with(":443")
            && authority
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte))
    })
}
