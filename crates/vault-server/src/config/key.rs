//! Every key of the configuration, declared once: its meaning, what it takes, and what holds where nobody sets it.
//!
//! The reader, `config explain` and the JSON Schema all go by this table, so that none of them can know a key or a
//! limit that the others do not. What a key takes decides too whether its value may be shown: a text that is not what
//! its key takes can be a secret in the wrong place, and is never repeated.

use std::{
    fmt,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use vault_domain::{Region, VaultId, limits};
use vault_engine::EntryKind;
use zeroize::Zeroizing;

/// A key of the configuration.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its path: the section's name, a dot and its own; its own alone at the top.
    pub(crate) path: &'static str,
    /// What it is for, in one or two sentences.
    pub(crate) meaning: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// What holds if neither file nor environment sets it.
    pub(crate) absent: Absent,
}

/// What a key takes.
#[derive(Debug)]
pub(crate) enum Kind {
    /// One of a few words; the text says why there are no others, where that is worth saying.
    Word(&'static [&'static str], &'static str),
    /// Text that matches a regular expression, as this function has it.
    Name(&'static str, fn(&str) -> bool),
    /// An IP address and a port.
    Address,
    /// The path of a file or a directory.
    Path,
    /// The path of a file that holds a secret.
    SecretPath,
    /// Paths of files.
    Paths,
    /// Names of regions, each once.
    Regions,
    /// Names, each of which matches a regular expression, as this function has it.
    Names(&'static str, fn(&str) -> bool),
    /// A number of bytes.
    Bytes(RangeInclusive<u64>),
    /// A number of seconds.
    Seconds(RangeInclusive<u64>),
    /// A number of days.
    Days(RangeInclusive<u64>),
    /// Some of a few words, each once.
    Words(&'static [&'static str]),
    /// A secret itself, in the environment alone.
    Hidden,
}

/// What holds where nobody sets a key.
#[derive(Debug)]
pub(crate) enum Absent {
    /// Nothing: it has to be set.
    Required,
    /// Nothing: it need not be set.
    Unset,
    /// This word.
    Word(&'static str),
    /// The first word in development, the second elsewhere.
    InDev(&'static str, &'static str),
    /// This number.
    Number(u64),
    /// These words.
    Words(&'static [&'static str]),
    /// An empty list.
    None,
    /// The path of the data directory with this behind its name.
    BesideData(&'static str),
}

/// What a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A word, a name, an address.
    Text(String),
    /// A list of names.
    Names(Vec<String>),
    /// A path; a relative one is joined to the folder of the configuration file.
    Path(PathBuf),
    /// Paths, joined likewise.
    Paths(Vec<PathBuf>),
    /// A number of bytes.
    Bytes(u64),
    /// A number of seconds.
    Seconds(u64),
    /// A number of days.
    Days(u64),
    /// A secret, which is not shown.
    Hidden(HiddenText),
}

/// A secret that shows nothing of itself and is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct HiddenText(Zeroizing<String>);

impl HiddenText {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenText(..)")
    }
}

/// What stands in the file or in a variable, before it is known to be what its key takes.
#[derive(Debug)]
pub(crate) enum Written {
    Text(String),
    List(Vec<String>),
    Number(u64),
    /// A secret in the environment.
    Secret(Zeroizing<String>),
    /// Something that no key takes.
    Other,
}

/// What memory can be: the engine ends the process over less or more.
const MEMORY: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// How long entries can be kept: a day to a century.
const DAYS: RangeInclusive<u64> = 1..=36_525;
/// What can be kept free or in reserve on a disk.
const ROOM: RangeInclusive<u64> = 0..=1 << 50;
/// The longest path, in bytes: Linux's PATH_MAX.
pub(crate) const PATH_BYTES_MAX: usize = 4096;
/// A word of so many letters and digits where the path of a secret belongs is taken for the secret: 32 are 128 bits in
/// hex. A file of such a name can be written as ./name.
const SECRET_CHARS_MIN: usize = 32;

/// All keys, in the order of the documentation.
pub(crate) static KEYS: [Key; 48] = [
    Key {
        path: "mode",
        meaning: "What this vault is for. It has to be written out that it is for development.",
        kind: Kind::Word(
            &["dev", "production"],
            "every provider of the root key in this version has one custodian, who has every key, so that production \
             is refused for now. A vault serves only when told that this is development",
        ),
        absent: Absent::Required,
    },
    Key {
        path: "vault",
        meaning: "The vault's name. It is part of every sealed value's place: never change it.",
        kind: Kind::Name("^[a-z0-9][a-z0-9.-]{0,62}$", |text| VaultId::parse(text).is_ok()),
        absent: Absent::Required,
    },
    Key {
        path: "node",
        meaning: "This node's name, in the origin of its own log.",
        kind: Kind::Name("^[a-z0-9.-]{1,64}$", is_node),
        absent: Absent::Required,
    },
    Key {
        path: "data_directory",
        meaning: "The folder of the stores, on a real disk: an answer leaves when its entry is on it.",
        kind: Kind::Path,
        absent: Absent::Required,
    },
    Key {
        path: "checkpoint_directory",
        meaning: "The folder of the newest checkpoints, outside of the stores and best on another disk: an old copy \
                  of the stores is told by them.",
        kind: Kind::Path,
        absent: Absent::BesideData("-checkpoints"),
    },
    Key {
        path: "regions",
        meaning: "The regions that are served here, each of which the catalog must declare.",
        kind: Kind::Regions,
        absent: Absent::Required,
    },
    Key {
        path: "catalog",
        meaning: "The catalog: what is kept in the vault, and who may ask for what.",
        kind: Kind::Path,
        absent: Absent::Required,
    },
    Key {
        path: "policies",
        meaning: "Files of Cedar policies beside the built-in ones.",
        kind: Kind::Paths,
        absent: Absent::None,
    },
    Key {
        path: "rules_from",
        meaning: "Where catalog and policies come from: \"files\", at every start and SIGHUP; or \"applied\", the \
                  version that `tokenvault config apply` brought last, of which the files are only the first.",
        kind: Kind::Word(&["files", "applied"], ""),
        absent: Absent::Word("files"),
    },
    Key {
        path: "listen.address",
        meaning: "Where to listen. Port 0 takes any free one.",
        kind: Kind::Address,
        absent: Absent::Required,
    },
    Key {
        path: "listen.reflection",
        meaning: "Whether callers with an account may ask for the contract itself (gRPC server reflection).",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::InDev("on", "off"),
    },
    Key {
        path: "listen.connection_seconds_max",
        meaning: "How long a connection lives, less up to a tenth by chance; then its calls in flight may end, and its \
                  caller connects anew.",
        kind: Kind::Seconds(1..=7 * 24 * 3600),
        absent: Absent::Number(3600),
    },
    Key {
        path: "listen.metrics",
        meaning: "Where to tell measurements to whoever asks (GET /metrics, OpenMetrics over plain HTTP), on this \
                  machine alone. Nothing listens there unless it is set.",
        kind: Kind::Address,
        absent: Absent::Unset,
    },
    Key {
        path: "listen.danger_metrics_everywhere",
        meaning: "Whether listen.metrics may be an address that other machines reach, where nobody has to say who it \
                  is.",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::Word("off"),
    },
    Key {
        path: "tls.certificate",
        meaning: "The server's certificate with its chain, leaf first (PEM). Needed unless tls.workload_api is set.",
        kind: Kind::Path,
        absent: Absent::Unset,
    },
    Key {
        path: "tls.key",
        meaning: "The private key of the server's certificate (PEM); mode 0600. Needed unless tls.workload_api is \
                  set.",
        kind: Kind::SecretPath,
        absent: Absent::Unset,
    },
    Key {
        path: "tls.workload_api",
        meaning: "The socket of a SPIFFE Workload API that the server's certificate and key come from, in place of \
                  files.",
        kind: Kind::Name("^unix:(//)?/.{1,4000}$", |text| unix_socket(text).is_some()),
        absent: Absent::Unset,
    },
    Key {
        path: "tls.client_ca",
        meaning: "The authorities that sign client certificates (PEM), one at least.",
        kind: Kind::Paths,
        absent: Absent::Required,
    },
    Key {
        path: "tls.client_crl",
        meaning: "Revocation lists (PEM) of the authorities of tls.client_ca. Where there are any, a certificate of an \
                  authority without one is refused, and so is every certificate once the list has expired.",
        kind: Kind::Paths,
        absent: Absent::None,
    },
    Key {
        path: "tls.reload_seconds",
        meaning: "How often the files of TLS are looked at; what has changed is used from then on. SIGHUP has them \
                  looked at once.",
        kind: Kind::Seconds(1..=24 * 3600),
        absent: Absent::Number(5),
    },
    Key {
        path: "tls.expiry_warning_seconds",
        meaning: "How long before its end a certificate is warned of, and a revocation list at most one day before; \
                  both at most in the last quarter of their time.",
        kind: Kind::Seconds(1..=365 * 24 * 3600),
        absent: Absent::Number(14 * 24 * 3600),
    },
    Key {
        path: "tls.spiffe_trust_domains",
        meaning: "The trust domains whose SPIFFE IDs are taken for principals. None named: those of any.",
        kind: Kind::Names("^[a-z0-9._-]{1,255}$", is_trust_domain),
        absent: Absent::None,
    },
    Key {
        path: "tls.dns_principals",
        meaning: "Whether a certificate without any URI names its holder by its one DNS name, as dns:<name>.",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::Word("on"),
    },
    Key {
        path: "tls.subject_principals",
        meaning: "Whether a certificate without any such name names its holder by its subject, as \
                  subject:<distinguished name>.",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::Word("off"),
    },
    Key {
        path: "identity.issuers",
        meaning: "The file of issuers: whose access tokens are accepted, and what their claims become. Without it, \
                  none.",
        kind: Kind::Path,
        absent: Absent::Unset,
    },
    Key {
        path: "identity.denied_file",
        meaning: "Access tokens that are not accepted any more, one a line: issuer's name, a space, jti. Read again \
                  when it changes.",
        kind: Kind::Path,
        absent: Absent::Unset,
    },
    Key {
        path: "root_key.provider",
        meaning: "Who keeps the root key, under which all others lie. A file and a passphrase are for development and \
                  tests only.",
        kind: Kind::Word(&["file", "passphrase"], "this version has no other provider"),
        absent: Absent::Required,
    },
    Key {
        path: "root_key.path",
        meaning: "The file of the root key, or of the passphrase that it is derived from; mode 0600.",
        kind: Kind::SecretPath,
        absent: Absent::Unset,
    },
    Key {
        path: "root_key.passphrase",
        meaning: "The passphrase that the root key is derived from, where no file holds it.",
        kind: Kind::Hidden,
        absent: Absent::Unset,
    },
    Key {
        path: "store.cache_bytes",
        meaning: "Memory for blocks that were read, all regions together.",
        kind: Kind::Bytes(MEMORY),
        absent: Absent::Number(512 << 20),
    },
    Key {
        path: "store.memtable_bytes",
        meaning: "Memory for rows that were written, all regions together.",
        kind: Kind::Bytes(MEMORY),
        absent: Absent::Number(256 << 20),
    },
    Key {
        path: "store.ballast_bytes",
        meaning: "The reserve file of each region, given up to go on when the disk is full.",
        kind: Kind::Bytes(ROOM),
        absent: Absent::Number(256 << 20),
    },
    Key {
        path: "store.free_bytes_min",
        meaning: "Room that is kept free on the disk: with less of it, what needs an entry is refused.",
        kind: Kind::Bytes(ROOM),
        absent: Absent::Number(512 << 20),
    },
    Key {
        path: "replay.required_for",
        meaning: "The calls that need a nonce and a timestamp, so that none of them counts twice. Of others both are \
                  honoured where they are sent.",
        kind: Kind::Words(&[
            "tokenize",
            "detokenize",
            "describe",
            "explain_access",
            "renew",
            "suspend",
            "resume",
            "revoke",
            "find",
            "query_access_log",
            "export_access_log",
            "deny_access_token",
            "list_denied",
            "apply_policies",
            "plan_policies",
            "list_policy_versions",
            "get_policy_version",
            "prune_access_log",
        ]),
        absent: Absent::Words(&[
            "detokenize",
            "renew",
            "suspend",
            "resume",
            "revoke",
            "deny_access_token",
            "list_denied",
            "apply_policies",
            "plan_policies",
            "list_policy_versions",
            "get_policy_version",
            "prune_access_log",
        ]),
    },
    Key {
        path: "replay.window_seconds",
        meaning: "How far the timestamp of a call may be from the vault's time. Nonces are kept for twice as long.",
        kind: Kind::Seconds(limits::REPLAY_WINDOW_MIN.as_secs()..=limits::REPLAY_WINDOW_MAX.as_secs()),
        absent: Absent::Number(limits::REPLAY_WINDOW_DEFAULT.as_secs()),
    },
    Key {
        path: "retention.days",
        meaning: "How long entries of the access logs are kept online. With data classes of card numbers, not less \
                  than twelve months.",
        kind: Kind::Days(DAYS),
        absent: Absent::Number(366),
    },
    Key {
        path: "retention.log_days",
        meaning: "The same of single logs, as \"eu=800\" or \"node=400\".",
        kind: Kind::Names("^[a-z][a-z0-9]{0,15}=[0-9]{1,5}$", |text| log_days(text).is_some()),
        absent: Absent::None,
    },
    Key {
        path: "retention.kind_days",
        meaning: "The same of kinds of entries, in every log and longer than the log, as \"reveal=800\". A pruning \
                  stops before the first entry that is still to be kept. Which entry is of which kind: docs/AUDIT.md, \
                  Retention.",
        kind: Kind::Names("^(reveal|tokenize|change|refuse|ask|operate|vault)=[0-9]{1,5}$", |text| {
            kind_days(text).is_some()
        }),
        absent: Absent::None,
    },
    Key {
        path: "retention.automatic",
        meaning: "Whether every log is pruned once a day without being asked. Needs retention.archive_directory.",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::Word("off"),
    },
    Key {
        path: "retention.archive_directory",
        meaning: "The folder, best on another disk, that entries are archived in before they are pruned. Nothing is \
                  pruned without it.",
        kind: Kind::Path,
        absent: Absent::Unset,
    },
    Key {
        path: "witnesses.policy",
        meaning: "The file that names the witnesses of the logs, where they are, and how many of them suffice \
                  (c2sp.org/tlog-policy). Without it, none is asked.",
        kind: Kind::Path,
        absent: Absent::Unset,
    },
    Key {
        path: "witnesses.ca",
        meaning: "The authorities that sign the certificates of the witnesses' servers (PEM).",
        kind: Kind::Paths,
        absent: Absent::None,
    },
    Key {
        path: "witnesses.require_at_start",
        meaning: "Whether a start is refused while a witness can't be asked how far the logs were. A witness that \
                  knows a longer log refuses it in any case.",
        kind: Kind::Word(&["on", "off"], ""),
        absent: Absent::Word("off"),
    },
    Key {
        path: "syslog.address",
        meaning: "The host and port of a collector of logs that new checkpoints are sent to (RFC 5424). Without it, \
                  none is sent.",
        kind: Kind::Name("^([A-Za-z0-9.-]{1,255}|\\[[0-9A-Fa-f:.]{2,45}\\]):[0-9]{1,5}$", is_host_and_port),
        absent: Absent::Unset,
    },
    Key {
        path: "syslog.transport",
        meaning: "How they travel: \"tls\" (RFC 5425), \"tcp\" (RFC 6587) or \"udp\" (RFC 5426), which may lose them.",
        kind: Kind::Word(&["tls", "tcp", "udp"], ""),
        absent: Absent::Word("tls"),
    },
    Key {
        path: "syslog.ca",
        meaning: "The authorities that sign the collector's certificate (PEM).",
        kind: Kind::Paths,
        absent: Absent::None,
    },
    Key {
        path: "log.level",
        meaning: "How much the process says on standard error; nothing sensitive at any level.",
        kind: Kind::Word(&["error", "warn", "info", "debug", "trace"], ""),
        absent: Absent::Word("info"),
    },
    Key {
        path: "log.format",
        meaning: "How it says so: one JSON object a line, or text for people.",
        kind: Kind::Word(&["json", "text"], ""),
        absent: Absent::Word("json"),
    },
];

/// A log's name and its days, of `<log>=<days>`.
pub(crate) fn log_days(text: &str) -> Option<(&str, u32)> {
    let (log, days) = text.split_once('=')?;
    let days = days.parse().ok().filter(|days| DAYS.contains(&u64::from(*days)))?;
    (log == "node" || Region::parse(log).is_ok()).then_some((log, days))
}

/// A kind of entries and its days, of `<kind>=<days>`.
pub(crate) fn kind_days(text: &str) -> Option<(EntryKind, u32)> {
    let (kind, days) = text.split_once('=')?;
    let days = days.parse().ok().filter(|days| DAYS.contains(&u64::from(*days)))?;
    Some((EntryKind::parse(kind)?, days))
}

impl Key {
    /// The variable of the environment that overrides it.
    pub(crate) fn variable(&self) -> String {
        format!("{}{}", super::PREFIX, self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Judges what is written. `base` is the folder that relative paths start from. None: not what the key takes.
    pub(crate) fn judge(&self, written: &Written, base: &Path) -> Option<SettingValue> {
        match (&self.kind, written) {
            (Kind::Word(words, _), Written::Text(text)) => {
                words.contains(&text.as_str()).then(|| SettingValue::Text(text.clone()))
            }
            (Kind::Name(_, valid), Written::Text(text)) => valid(text).then(|| SettingValue::Text(text.clone())),
            (Kind::Address, Written::Text(text)) => {
                text.parse::<SocketAddr>().ok().map(|address| SettingValue::Text(address.to_string()))
            }
            (Kind::Path, Written::Text(text)) => is_path(text).then(|| SettingValue::Path(base.join(text))),
            (Kind::SecretPath, Written::Text(text)) => {
                (is_path(text) && !looks_secret(text)).then(|| SettingValue::Path(base.join(text)))
            }
            (Kind::Paths, Written::List(list)) => {
                let enough = !list.is_empty() || !matches!(self.absent, Absent::Required);
                let paths = || SettingValue::Paths(list.iter().map(|path| base.join(path)).collect());
                (enough && list.iter().all(|path| is_path(path))).then(paths)
            }
            (Kind::Regions, Written::List(names)) => {
                let once = names.iter().enumerate().all(|(at, name)| !names.iter().take(at).any(|other| other == name));
                let named = names.iter().all(|name| Region::parse(name).is_ok());
                let counted = (1..=limits::REGIONS_MAX).contains(&names.len());
                (once && named && counted).then(|| SettingValue::Names(names.clone()))
            }
            (Kind::Names(_, valid), Written::List(names)) => {
                names.iter().all(|name| valid(name)).then(|| SettingValue::Names(names.clone()))
            }
            (Kind::Bytes(range), Written::Number(bytes)) => {
                range.contains(bytes).then_some(SettingValue::Bytes(*bytes))
            }
            (Kind::Seconds(range), Written::Number(seconds)) => {
                range.contains(seconds).then_some(SettingValue::Seconds(*seconds))
            }
            (Kind::Days(range), Written::Number(days)) => range.contains(days).then_some(SettingValue::Days(*days)),
            (Kind::Words(words), Written::List(list)) => {
                let once = list.iter().enumerate().all(|(at, word)| !list.iter().take(at).any(|other| other == word));
                let known = list.iter().all(|word| words.contains(&word.as_str()));
                (once && known).then(|| SettingValue::Names(list.clone()))
            }
            (Kind::Hidden, Written::Secret(text)) => Some(SettingValue::Hidden(HiddenText(text.clone()))),
            _ => None,
        }
    }

    /// Reads a variable's text as the key takes it: lists are separated by commas.
    pub(crate) fn of_variable(&self, text: &str) -> Written {
        match self.kind {
            Kind::Bytes(_) | Kind::Seconds(_) | Kind::Days(_) => {
                text.parse().map_or_else(|_| Written::Text(text.to_owned()), Written::Number)
            }
            Kind::Paths | Kind::Regions | Kind::Words(_) | Kind::Names(..) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Written::List(parts.map(str::to_owned).collect())
            }
            Kind::Hidden => Written::Secret(Zeroizing::new(text.to_owned())),
            Kind::Word(..) | Kind::Name(..) | Kind::Address | Kind::Path | Kind::SecretPath => {
                Written::Text(text.to_owned())
            }
        }
    }

    /// What it takes, as a sentence's end.
    pub(crate) fn rule(&self) -> String {
        match &self.kind {
            Kind::Word(words, why) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                let colon = if why.is_empty() { "" } else { ": " };
                format!("must be {}{colon}{why}", words.join(" or "))
            }
            Kind::Name(pattern, _) => format!("must match {pattern}"),
            Kind::Address => "must be an IP address and a port, as in \"127.0.0.1:8443\"".to_owned(),
            Kind::Path => format!("must be a path of 1 to {PATH_BYTES_MAX} bytes on one line"),
            Kind::SecretPath => {
                format!(
                    "must be the path of a file, 1 to {PATH_BYTES_MAX} bytes on one line; the key itself stays in it"
                )
            }
            Kind::Paths if matches!(self.absent, Absent::Required) => {
                format!("must be a list of one path at least, each of 1 to {PATH_BYTES_MAX} bytes on one line")
            }
            Kind::Paths => format!("must be a list of paths, each of 1 to {PATH_BYTES_MAX} bytes on one line"),
            Kind::Regions => format!(
                "must name 1 to {} regions, each once; a name matches {REGION_PATTERN} and is not \"node\"",
                limits::REGIONS_MAX
            ),
            Kind::Hidden => format!("must stand in {} and in no file", self.variable()),
            Kind::Names(pattern, _) => format!("must be a list of names, each of which matches {pattern}"),
            Kind::Bytes(range) => format!("must be {} to {}, in bytes", size(*range.start()), size(*range.end())),
            Kind::Seconds(range) => format!("must be {} to {}, in seconds", range.start(), range.end()),
            Kind::Days(range) => format!("must be {} to {}, in days", range.start(), range.end()),
            Kind::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                format!("must be a list of any of {}, each once", words.join(", "))
            }
        }
    }

    /// The unit of its value, if it has one.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Bytes(_) => Some("bytes"),
            Kind::Seconds(_) => Some("seconds"),
            Kind::Days(_) => Some("days"),
            _ => None,
        }
    }

    /// What holds where nobody sets it, for people. None: it has to be set.
    pub(crate) fn default(&self) -> Option<String> {
        match self.absent {
            Absent::Required | Absent::Unset => None,
            Absent::Word(word) => Some(word.to_owned()),
            Absent::InDev(dev, others) => Some(format!("{dev} with mode = \"dev\", otherwise {others}")),
            Absent::Number(number) => Some(number.to_string()),
            Absent::Words(words) => Some(words.join(", ")),
            Absent::None => Some("none".to_owned()),
            Absent::BesideData(behind) => Some(format!("data_directory with \"{behind}\" behind its name")),
        }
    }
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Names(names) => f.write_str(&names.join(", ")),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Paths(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                f.write_str(&paths.join(", "))
            }
            Self::Bytes(number) | Self::Seconds(number) | Self::Days(number) => write!(f, "{number}"),
            Self::Hidden(_) => f.write_str("(set, not shown)"),
        }
    }
}

/// What the name of a region looks like; `node` is none.
pub(crate) const REGION_PATTERN: &str = "^[a-z][a-z0-9]{0,15}$";
/// The longest name of a node.
const NODE_BYTES_MAX: usize = 64;

fn is_node(name: &str) -> bool {
    (1..=NODE_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
}

/// Whether `text` names a host, as a name or an address, and a port behind it.
fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_name =
        (1..=255).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
    let is_address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| {
        (2..=45).contains(&host.len()) && host.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))
    });
    (is_name || is_address) && (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit())
}

/// Whether `name` is a trust domain as SPIFFE IDs write it (SPIFFE-ID section 2.1).
fn is_trust_domain(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
}

/// The socket that a SPIFFE endpoint names (SPIFFE Workload Endpoint section 4): an absolute path.
pub(crate) fn unix_socket(endpoint: &str) -> Option<&str> {
    let path = endpoint.strip_prefix("unix:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    (path.starts_with('/') && (2..=4001).contains(&path.len()) && is_path(path)).then_some(path)
}

fn is_path(text: &str) -> bool {
    (1..=PATH_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_control)
}

/// Whether a text is rather a key than the path of its file.
fn looks_secret(text: &str) -> bool {
    text.len() >= SECRET_CHARS_MIN
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit())
}

/// A number of bytes in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(bits, _)| bytes > 0 && bytes.trailing_zeros() >= *bits);
    unit.map_or_else(|| bytes.to_string(), |(bits, unit)| format!("{} {unit}", bytes >> bits))
}
