//! What a reading says of each key, and of everything that is no key.

use super::*;

const GOOD: &str = r#"mode = "dev"
vault = "vault.test"
node = "n1"
data_directory = "data"
regions = ["eu", "us"]
catalog = "catalog.toml"
listen.address = "127.0.0.1:0"

[tls]
certificate = "server.pem"
key = "server.key"
client_ca = [
    "clients.pem",
]

[root_key]
provider = "file"
path = "root.key"
"#;

fn read_with(text: &str, variables: &[(&str, &str)]) -> Reading {
    let environment = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Reading::of_text(Path::new("/etc/vault/vault.toml"), text, &environment)
}

fn setting<'r>(reading: &'r Reading, key: &str) -> &'r Setting {
    reading.settings().iter().find(|setting| setting.key() == key).unwrap()
}

/// The faults of a text, as people read them.
fn faults(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match read_with(text, variables).into_config() {
        Ok(_) => Vec::new(),
        Err(ConfigError::Faults { faults, .. }) => faults.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_value_has_its_origin() {
    let reading = read_with(GOOD, &[("TOKENVAULT_LOG_LEVEL", "debug"), ("TOKENVAULT_REGIONS", "eu , apac")]);
    let table = [
        ("mode", "dev", Origin::File { line: 1 }),
        ("listen.address", "127.0.0.1:0", Origin::File { line: 7 }),
        ("tls.client_ca", "/etc/vault/clients.pem", Origin::File { line: 12 }),
        ("root_key.path", "/etc/vault/root.key", Origin::File { line: 18 }),
        ("log.level", "debug", Origin::Environment { variable: "TOKENVAULT_LOG_LEVEL".to_owned() }),
        ("regions", "eu, apac", Origin::Environment { variable: "TOKENVAULT_REGIONS".to_owned() }),
        ("log.format", "json", Origin::Default),
        ("store.cache_bytes", "536870912", Origin::Default),
        ("checkpoint_directory", "/etc/vault/data-checkpoints", Origin::Default),
    ];
    for (key, value, origin) in table {
        let setting = setting(&reading, key);
        assert_eq!(setting.value().unwrap().to_string(), value, "{key}");
        assert_eq!(*setting.origin(), origin, "{key}");
    }
    assert_eq!(setting(&reading, "policies").value(), Some(&SettingValue::Paths(Vec::new())));
    let config = reading.into_config().unwrap();
    assert_eq!(config.regions.len(), 2);
    assert_eq!(config.tls.client_ca, [Path::new("/etc/vault/clients.pem")]);
}

#[test]
fn the_sample_sets_every_key_and_has_no_fault() {
    let reading = read_with(include_str!("../../../sample/vault.toml"), &[]);
    // A secret itself stands in no file, and a certificate comes from one place.
    let elsewhere = ["root_key.passphrase", "tls.workload_api"];
    for setting in reading.settings().iter().filter(|setting| !elsewhere.contains(&setting.key())) {
        assert!(matches!(setting.origin(), Origin::File { .. }), "{}", setting.key());
        let stated = |default: &String| setting.key().contains('.') && !default.contains(' ') && default != "none";
        let default = setting.default().filter(stated);
        assert!(default.is_none_or(|default| setting.value().unwrap().to_string() == default), "{}", setting.key());
    }
    assert!(reading.into_config().is_ok());
}

#[test]
fn all_faults_are_told_at_once_with_their_places() {
    let text = GOOD.replace("\"dev\"", "\"prod\"").replace("[tls]", "[tsl]").replace("\"file\"", "3");
    let told = faults(&text, &[("TOKENVAULT_STORE_CACHE_BYTES", "many")]);
    let expected = [
        "line 9: tsl: there is no such key here; there are mode, vault, node, data_directory, ",
        "line 1: mode: must be \"dev\" or \"production\": ",
        "tls.client_ca: is missing; it must be a list of one path at least",
        "line 17: root_key.provider: must be \"file\" or \"passphrase\"",
        "TOKENVAULT_STORE_CACHE_BYTES: store.cache_bytes: must be 1 MiB to 1 TiB, in bytes",
        "tls.certificate: is missing; it must be a path",
        "tls.key: is missing; it must be the path of a file",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
}

#[test]
fn what_is_no_toml_is_named_by_its_line_and_the_rest_is_read() {
    let reading = read_with(&GOOD.replace("node = \"n1\"", "node = \"n1"), &[]);
    assert_eq!(setting(&reading, "vault").value().unwrap().to_string(), "vault.test");
    assert!(reading.faults.iter().any(|fault| fault.origin == Origin::File { line: 3 }), "{:?}", reading.faults);
    assert!(faults("vault = 1\nvault = 2\n", &[]).iter().any(|fault| fault.starts_with("line 2: duplicate key")));
    assert!(
        faults("log = 3\n", &[])
            .iter()
            .any(|fault| fault == "line 1: log: is a section: write [log], and its keys below")
    );
}

/// Texts that are a key, put where something else belongs.
#[test]
fn what_is_not_what_its_key_takes_is_not_repeated() {
    let secret = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
    let pem = "-----BEGIN PRIVATE KEY-----\\nMC4CAQAwBQYDK2VwBCIEIK\\n-----END PRIVATE KEY-----";
    let rows = [
        GOOD.replace("\"root.key\"", &format!("\"{secret}\"")),
        GOOD.replace("\"server.key\"", &format!("\"{pem}\"")),
        GOOD.replace("\"vault.test\"", &format!("\"{secret}!\"")),
        GOOD.replace("\"127.0.0.1:0\"", &format!("\"{secret}\"")),
        GOOD.replace("provider = \"file\"", &format!("provider = \"{secret}\"")),
        format!("{secret} = 1\n{GOOD}"),
        format!("{GOOD}{secret} = \"{secret}\"\n"),
        format!("{GOOD}path = \"{secret}\"\n"),
    ];
    for text in rows {
        let reading = read_with(&text, &[]);
        let shown: String =
            reading.settings().iter().filter_map(|setting| Some(setting.value()?.to_string())).collect();
        let told = faults(&text, &[]);
        assert!(!told.is_empty(), "{text}");
        for part in ["c0ffee00", "MC4CAQ"] {
            assert!(!shown.contains(part) && !told.join("\n").contains(part), "{told:?}");
        }
    }
    assert!(!faults(GOOD, &[("TOKENVAULT_ROOT_KEY_PATH", secret)]).join("").contains("c0ffee"));
    assert!(faults(&GOOD.replace("\"root.key\"", "\"./c0ffee00c0ffee00c0ffee00c0ffee00\""), &[]).is_empty());
}

#[test]
fn bounds_are_kept_to_the_last_byte() {
    let accepted = |key: &str, value: &str| {
        let variable = format!("TOKENVAULT_{}", key.replace('.', "_").to_uppercase());
        let by_variable = faults(GOOD, &[(&variable, value)]).is_empty();
        let (section, name) = key.split_once('.').unwrap();
        let by_file = faults(&format!("{GOOD}[{section}]\n{name} = {value}\n"), &[]).is_empty();
        assert_eq!(by_variable, by_file, "{key} = {value}");
        by_file
    };
    assert!(accepted("store.cache_bytes", "1048576") && !accepted("store.cache_bytes", "1048575"));
    assert!(accepted("store.memtable_bytes", "1099511627776") && !accepted("store.memtable_bytes", "1099511627777"));
    assert!(accepted("store.ballast_bytes", "0") && !accepted("store.ballast_bytes", "-1"));
    assert!(!accepted("store.free_bytes_min", "1125899906842625"));
    let regions = |count: usize| (0..count).map(|n| format!("r{n}")).collect::<Vec<_>>().join(",");
    assert!(faults(GOOD, &[("TOKENVAULT_REGIONS", &regions(16))]).is_empty());
    for wrong in [regions(17), "".to_owned(), "eu,eu".to_owned(), "node".to_owned(), "EU".to_owned()] {
        assert_eq!(faults(GOOD, &[("TOKENVAULT_REGIONS", &wrong)]).len(), 1, "{wrong}");
    }
}

#[test]
fn keys_are_documented_and_named_once() {
    for (at, key) in KEYS.iter().enumerate() {
        assert!(KEYS[..at].iter().all(|other| other.path != key.path && other.variable() != key.variable()));
        assert!(key.meaning.len() > 20 && key.meaning.ends_with('.'), "{}", key.path);
        assert!(key.rule().starts_with("must "), "{}", key.path);
        let word = match key.absent {
            Absent::Word(word) => Written::Text(word.to_owned()),
            Absent::Number(bytes) => Written::Number(bytes),
            _ => continue,
        };
        assert!(key.judge(&word, Path::new("")).is_some(), "the default of {} breaks its rule", key.path);
    }
}

/// What can be granted can be told to count once, and whatever must, does so unless somebody says otherwise.
#[test]
fn every_action_that_can_be_granted_can_count_once_and_the_privileged_do() {
    let key = KEYS.iter().find(|key| key.path == "replay.required_for").unwrap();
    let (Kind::Words(possible), Absent::Words(default)) = (&key.kind, &key.absent) else { panic!("words") };
    let granted = vault_catalog::DATA_ACTIONS.into_iter().chain(vault_catalog::LOG_ACTIONS);
    // A checkpoint is given without an entry.
    for action in granted.filter(|action| action.name() != "get_checkpoint") {
        assert!(possible.contains(&action.name()), "{action}");
    }
    for action in vault_engine::ReplayRules::PRIVILEGED {
        assert!(default.contains(&action.name()), "{action}");
    }
}
