//! `config explain` and `config schema`: what a configuration comes to, and what it may hold.

use std::{fs, process::Command};

use serde_json::Value;
use vault_domain::{Clock, SystemClock};
use vault_tests::issuer::{SigningKey, claims, jwks};

use crate::shell::{DevVault, Ended, run, tokenvault};

fn explain(vault: &DevVault, words: &[&str]) -> Command {
    let mut command = tokenvault(&["config", "explain"]);
    command.args(words).arg("--config").arg(vault.place().join("vault.toml"));
    command
}

fn stopped() -> DevVault {
    let mut vault = DevVault::start();
    assert_eq!(vault.stop(), Some(0));
    vault
}

#[track_caller]
fn about<'r>(records: &'r [Value], key: &str) -> &'r Value {
    records.iter().find(|record| record["key"] == key).unwrap_or_else(|| panic!("no {key}: {records:?}"))
}

#[test]
fn every_key_is_shown_with_its_value_and_who_set_it() {
    let vault = stopped();
    let variable = ("TOKENVAULT_LOG_LEVEL", "debug");
    let lines = run(explain(&vault, &["--output", "jsonl"]).env(variable.0, variable.1), "").with(0).lines();
    let text = fs::read_to_string(vault.place().join("vault.toml")).unwrap();
    let line_of = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap() + 1;
    let file = vault.place().join("vault.toml");
    for (key, value, start) in [
        ("mode", "dev", "mode"),
        ("listen.address", "127.0.0.1:8443", "address"),
        ("root_key.path", vault.place().join("root.key").to_str().unwrap(), "path"),
    ] {
        let record = about(&lines, key);
        assert_eq!(record["value"], value);
        assert_eq!(record["origin"], format!("{}:{}", file.display(), line_of(start)));
        assert_eq!(record["set_by"], "file");
    }
    let level = about(&lines, "log.level");
    assert_eq!(
        (&level["value"], &level["origin"], &level["set_by"]),
        (&"debug".into(), &variable.0.into(), &"environment".into())
    );
    let cache = about(&lines, "store.cache_bytes");
    assert_eq!((cache["value"].as_u64(), &cache["set_by"]), (Some(536_870_912), &"default".into()));
    assert_eq!(about(&lines, "regions")["value"], serde_json::json!(["eu", "us"]));
    // The other forms say the same.
    let json = run(explain(&vault, &["--output", "json"]).env(variable.0, variable.1), "").with(0).out;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&json).unwrap(), lines);
    let table = run(&mut explain(&vault, &["--output", "table"]), "").with(0).out;
    assert!(lines.iter().all(|record| table.contains(record["key"].as_str().unwrap())), "{table}");
    assert!(table.contains("default") && table.contains("vault.toml:"), "{table}");
}

#[test]
fn a_key_or_a_section_is_explained_in_full() {
    let vault = stopped();
    let section = run(&mut explain(&vault, &["store", "--output", "jsonl"]), "").with(0).lines();
    assert_eq!(section.len(), 4);
    let cache = about(&section, "store.cache_bytes");
    assert_eq!(cache["unit"], "bytes");
    assert_eq!(cache["default"], "536870912");
    assert_eq!(cache["variable"], "TOKENVAULT_STORE_CACHE_BYTES");
    assert!(cache["limits"].as_str().unwrap().contains("1 MiB to 1 TiB"), "{cache}");
    assert!(cache["meaning"].as_str().unwrap().contains("Memory"), "{cache}");
    let one = run(&mut explain(&vault, &["listen", "--output", "table"]), "").with(0).out;
    for part in ["listen.address", "127.0.0.1:8443", "TOKENVAULT_LISTEN_ADDRESS", "an IP address and a port"] {
        assert!(one.contains(part), "{part}: {one}");
    }
    for none in ["lis", "store.cache", "listen.address.x", ""] {
        assert!(run(&mut explain(&vault, &[none]), "").with(2).out.is_empty(), "{none}");
    }
}

fn explained(vault: &DevVault, words: &[&str]) -> Ended {
    run(&mut explain(vault, words), "").with(2)
}

#[test]
fn a_configuration_that_can_not_be_used_is_shown_with_what_is_wrong() {
    let vault = stopped();
    let file = vault.place().join("vault.toml");
    let good = fs::read_to_string(&file).unwrap();
    let wrong = good.replace("address = \"127.0.0.1:8443\"", "address = \"here\"").replace("[log]", "[lgo]");
    fs::write(&file, wrong).unwrap();
    let lines = explained(&vault, &["--output", "jsonl"]).lines();
    assert_eq!(about(&lines, "vault")["value"], "dev.tokenvault.internal");
    let address = about(&lines, "listen.address");
    assert_eq!((&address["value"], &address["set_by"]), (&Value::Null, &"file".into()));
    let problems: Vec<_> = lines.iter().filter(|line| line["severity"] == "error").collect();
    let told: Vec<&str> = problems.iter().map(|problem| problem["about"].as_str().unwrap()).collect();
    assert_eq!(told, ["lgo", "listen.address"], "{problems:?}");
    let checked = run(tokenvault(&["config", "check", "--output", "jsonl", "--config"]).arg(&file), "").with(2).lines();
    assert_eq!(checked.iter().collect::<Vec<_>>(), problems, "`config check` says the same");
    let table = explained(&vault, &["--output", "table"]).out;
    assert!(table.contains("not shown") && table.contains("there is no such key"), "{table}");
    assert!(serde_json::from_str::<Vec<Value>>(&explained(&vault, &["--output", "json"]).out).is_ok());

    // What lies in other files is told as well.
    fs::write(&file, good).unwrap();
    fs::write(vault.place().join("catalog.toml"), "[clases.x]\n").unwrap();
    let lines = explained(&vault, &["mode", "--output", "jsonl"]).lines();
    assert_eq!(lines.len(), 2);
    assert!(lines[1]["finding"].as_str().unwrap().contains("clases"), "{lines:?}");
    fs::remove_file(&file).unwrap();
    assert!(explained(&vault, &[]).err.contains("vault.toml"));
}

#[test]
fn a_secret_in_the_wrong_place_is_shown_by_no_command() {
    let vault = stopped();
    let file = vault.place().join("vault.toml");
    let good = fs::read_to_string(&file).unwrap();
    let key = fs::read_to_string(vault.place().join("root.key")).unwrap();
    let pem = fs::read_to_string(vault.place().join("server.key")).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    for (from, to) in [
        ("\"root.key\"", format!("\"{}\"", key.trim())),
        ("\"server.key\"", format!("'''{pem}'''")),
        ("\"dev-1\"", format!("\"{}\"", key.trim().to_uppercase())),
        ("[log]", format!("[log]\n{} = 1", key.trim())),
        ("level = \"warn\"", format!("level = \"{}\"", key.trim())),
        ("mode = \"dev\"", format!("mode = \"dev\"\n{}", key.trim())),
    ] {
        let changed = good.replace(from, &to);
        assert_ne!(changed, good);
        fs::write(&file, changed).unwrap();
        for words in [&["config", "explain", "--output", "table"][..], &["config", "check"], &["serve"]] {
            let ended = run(tokenvault(words).arg("--config").arg(&file), "");
            assert!(matches!(ended.code, Some(1 | 2)), "{from} {words:?}: {ended:?}");
            let said = format!("{}{}", ended.out, ended.err).to_lowercase();
            assert!(!said.contains(key.trim()) && !said.contains(&secret.to_lowercase()), "{words:?}: {said}");
        }
    }
    fs::write(&file, good).unwrap();
    let ended = run(explain(&vault, &["--output", "table"]).env("TOKENVAULT_ROOT_KEY_PATH", key.trim()), "").with(2);
    assert!(ended.out.contains("TOKENVAULT_ROOT_KEY_PATH") && !ended.out.contains(key.trim()), "{}", ended.out);
}

#[test]
fn the_schemas_are_printed_and_fit_what_dev_writes() {
    let vault = stopped();
    for (document, file, copy) in [
        ("configuration", "vault.toml", include_str!("../../docs/schema/configuration.schema.json")),
        ("catalog", "catalog.toml", include_str!("../../docs/schema/catalog.schema.json")),
    ] {
        let printed = run(&mut tokenvault(&["config", "schema", document]), "").with(0).out;
        let schema: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(schema, serde_json::from_str::<Value>(copy).unwrap());
        let text = fs::read_to_string(vault.place().join(file)).unwrap();
        let written: Value = toml::from_str(&text).unwrap();
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let misfits: Vec<String> = validator.iter_errors(&written).map(|error| error.to_string()).collect();
        assert!(misfits.is_empty(), "{file}: {misfits:?}");
    }
    run(&mut tokenvault(&["config", "schema", "policies"]), "").with(2);
}

#[test]
fn a_token_is_explained_by_rules_and_never_shown() {
    let vault = stopped();
    let place = vault.place().to_owned();
    let key = SigningKey::ec("one");
    let issuers = r#"
[issuers.corp]
issuer = "https://idp.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_file = "corp.json"
rules = [
    { gives = "tenant", claim = "org", table = { "Acme Corp" = "acme" } },
    { gives = "role", claim = ["realm_access", "roles"], prefix = "vault-" },
]
"#;
    fs::write(place.join("issuers.toml"), issuers).unwrap();
    let catalog = fs::read_to_string(place.join("catalog.toml")).unwrap();
    let orders = "\n[accounts.\"corp:orders\"]\ntenant = \"acme\"\naudiences = [\"support\"]\nregions = [\"eu\"]\n\
                  grants = [{ actions = [\"detokenize\"], classes = [\"email\"], purposes = [\"support_case\"] }]\n";
    fs::write(place.join("catalog.toml"), catalog.clone() + orders).unwrap();
    fs::write(place.join("corp.json"), jwks(&[&key])).unwrap();
    let configuration = fs::read_to_string(place.join("vault.toml")).unwrap();
    fs::write(place.join("vault.toml"), configuration + "\n[identity]\nissuers = \"issuers.toml\"\n").unwrap();
    let mut claims = claims("orders", b"a certificate", SystemClock::new().wall());
    claims["org"] = "Acme Corp".into();
    claims["realm_access"] = serde_json::json!({"roles": ["vault-clerk", "secret-role-of-another"]});
    claims["email"] = "jane@example.com".into();
    let token = key.token(&claims);
    let file = place.join("token");
    let about = |code: i32, token: &str| {
        fs::write(&file, token).unwrap();
        run(&mut explain(&vault, &["--output", "jsonl", "--token", file.to_str().unwrap()]), "").with(code)
    };
    let explained = about(0, &token);
    for (what, value, claim) in [
        ("issuer", "corp", "iss"),
        ("result", "corp:orders", ""),
        ("principal", "orders", "sub"),
        ("tenant", "acme", "org"),
        ("role", "clerk", "realm_access/roles"),
        ("nothing", "", "email"),
        ("claims", "stand now", ""),
        ("may", "detokenize email for support", ""),
    ] {
        let found = explained
            .lines()
            .iter()
            .any(|line: &Value| line["what"] == what && line["value"] == value && line["claim"] == claim);
        assert!(found, "{what} {value}: {}", explained.out);
    }
    let shown = explained.out.clone();
    assert!(token.split('.').all(|part| !shown.contains(part)), "the token is not shown");
    assert!(!shown.contains("jane") && !shown.contains("secret-role"), "nor what no rule took");
    // The catalog is looked at: without the account, or with one of another tenant, the token lets nobody in.
    fs::write(place.join("catalog.toml"), catalog.clone() + &orders.replace("acme", "globex")).unwrap();
    let other = about(1, &token).out;
    assert!(other.contains("is not let in") && !other.contains("\"may\""), "{other}");
    fs::write(place.join("catalog.toml"), catalog).unwrap();
    assert!(about(1, &token).out.contains("no account of this name"));
    claims["org"] = "Globex Corp".into();
    about(1, &key.token(&claims));
    about(1, "junk");
}
