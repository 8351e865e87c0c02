//! `serve` and `config check`: what a vault does not start with, and what is said then.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

use serde_json::Value;
use vault_tests::certificates::Authority;

use crate::{
    served::Served,
    shell::{DevVault, Ended, SETTLE, program, run, tokenvault},
};

/// A command about the vault's configuration, on a port of its own.
fn about(vault: &DevVault, words: &[&str]) -> Command {
    let config = vault.place().join("vault.toml");
    let mut command = tokenvault(words);
    command.arg("--config").arg(config).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    command
}

/// `serve`, which has to end by itself.
fn refused(vault: &DevVault) -> Ended {
    let ended = run(&mut about(vault, &["serve"]), "");
    assert!(matches!(ended.code, Some(1 | 2)), "{ended:?}");
    assert!(ended.out.is_empty());
    ended
}

/// The findings of `config check`.
fn findings(vault: &DevVault, code: i32) -> Vec<Value> {
    run(&mut about(vault, &["config", "check", "--output", "jsonl"]), "").with(code).lines()
}

fn stopped() -> DevVault {
    let mut vault = DevVault::start();
    vault.tokens("email", &["ada@example.com"]);
    assert_eq!(vault.stop(), Some(0));
    vault
}

#[test]
fn without_dev_mode_it_does_not_start_and_says_why() {
    let vault = stopped();
    let config = vault.place().join("vault.toml");
    let good = fs::read_to_string(&config).unwrap();
    assert!(findings(&vault, 0).iter().all(|finding| finding["severity"] != "error"));
    for changed in [good.replace("mode = \"dev\"\n", ""), good.replace("mode = \"dev\"", "mode = \"production\"")] {
        assert_ne!(changed, good);
        fs::write(&config, changed).unwrap();
        let ended = refused(&vault);
        assert!(ended.err.contains("mode"), "{}", ended.err);
        let errors: Vec<_> = findings(&vault, 2).into_iter().filter(|found| found["severity"] == "error").collect();
        assert!(errors[0]["finding"].as_str().unwrap().contains("mode"), "{errors:?}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let vault = stopped();
    let config = vault.place().join("vault.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("[store]", "[store]\nbalast_bytes = 1")).unwrap();
    let ended = refused(&vault).with(2);
    assert!(ended.err.contains("balast_bytes"), "{}", ended.err);
    assert!(findings(&vault, 2)[0]["finding"].as_str().unwrap().contains("balast_bytes"));
}

#[test]
fn a_root_key_that_others_can_read_is_refused() {
    let vault = stopped();
    let key = vault.place().join("root.key");
    let secret = fs::read_to_string(&key).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let ended = refused(&vault);
    assert!(ended.err.contains("0644") && ended.err.contains("root.key"), "{}", ended.err);
    assert!(!ended.err.contains(secret.trim()));
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let vault = stopped();
    let marker = vault.place().join("vault-data/eu/STORE");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 9")).unwrap();
    let ended = refused(&vault);
    assert!(ended.err.contains("format 9") && ended.err.contains("up to 1"), "{}", ended.err);
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_and_the_first_serves_on() {
    let vault = DevVault::start();
    let ended = refused(&vault);
    assert!(ended.err.contains("is open in another process"), "{}", ended.err);
    assert_eq!(vault.tokens("email", &["ada@example.com"]).len(), 1);
}

#[test]
fn a_port_that_is_taken_is_named() {
    let vault = DevVault::start();
    let taken = vault.endpoint().replace("https://", "");
    let ended = run(about(&vault, &["serve"]).env("TOKENVAULT_LISTEN_ADDRESS", &taken), "").with(1);
    assert!(ended.err.contains(&taken), "{}", ended.err);
}

#[test]
fn a_disk_with_less_room_than_is_to_be_kept_free_is_named_as_the_reason() {
    let vault = stopped();
    let starved = run(about(&vault, &["serve"]).env("TOKENVAULT_STORE_FREE_BYTES_MIN", "999999999999999"), "").with(1);
    assert!(starved.err.contains("could not be written into the log: "), "{}", starved.err);
}

#[test]
fn memory_that_cannot_be_is_refused_by_its_key() {
    let vault = stopped();
    for (name, bytes) in [("CACHE", "0"), ("CACHE", "18446744073709551615"), ("MEMTABLE", "100000000000000")] {
        let variable = format!("TOKENVAULT_STORE_{name}_BYTES");
        let checked = run(about(&vault, &["config", "check"]).env(&variable, bytes), "").with(2);
        assert!(checked.out.contains(&format!("store.{}_bytes", name.to_lowercase())), "{}", checked.out);
    }
}

#[test]
fn a_misspelled_variable_is_named_and_others_words_are_left_alone() {
    let vault = stopped();
    let checked = run(
        about(&vault, &["config", "check", "--output", "jsonl"])
            .env("TOKENVAULT_LISTEN_ADRESS", "127.0.0.1:0")
            // Kubernetes sets such for a service of that name, and the commands of callers read this one.
            .env("TOKENVAULT_PORT_8443_TCP_ADDR", "10.0.0.1")
            .env("TOKENVAULT_SERVICE_HOST", "10.0.0.1")
            .env("TOKENVAULT_CA", "ca.pem"),
        "",
    );
    let lines = checked.with(0).lines();
    let of_environment: Vec<_> = lines.iter().filter(|found| found["about"] == "environment").collect();
    assert_eq!(of_environment.len(), 1, "{of_environment:?}");
    assert_eq!(of_environment[0]["severity"], "warning");
    assert!(of_environment[0]["finding"].as_str().unwrap().contains("TOKENVAULT_LISTEN_ADRESS"));
}

/// The one error that `config check` finds.
fn the_error(vault: &DevVault) -> Value {
    let mut errors: Vec<_> = findings(vault, 2).into_iter().filter(|found| found["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

#[test]
fn a_data_directory_that_is_none_is_found_before_it_serves() {
    let vault = stopped();
    let data = vault.place().join("vault-data");
    fs::remove_dir_all(&data).unwrap();
    fs::write(&data, "").unwrap();
    let error = the_error(&vault);
    assert_eq!(error["about"], "data_directory");
    assert!(error["finding"].as_str().unwrap().contains("is no directory"), "{error}");
    fs::remove_file(&data).unwrap();
    std::os::unix::fs::symlink("nowhere", &data).unwrap();
    assert_eq!(the_error(&vault)["about"], "data_directory");
    assert!(refused(&vault).err.contains("vault-data"));
}

#[test]
fn what_is_no_regular_file_is_refused_by_name_and_holds_nobody_up() {
    let vault = stopped();
    let place = vault.place();
    let fifo = place.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let check = |config: &Path, settings: &[(&str, &str)]| {
        let mut command = Command::new("timeout");
        command.arg("60").arg(program()).args(["config", "check", "--output", "jsonl", "--config"]).arg(config);
        run(command.envs(settings.iter().copied()), "")
    };
    let config = place.join("vault.toml");
    check(&config, &[]).with(0);
    let fifo = fifo.to_str().unwrap();
    for (variable, value) in [
        ("TOKENVAULT_CATALOG", fifo),
        ("TOKENVAULT_POLICIES", fifo),
        ("TOKENVAULT_IDENTITY_ISSUERS", fifo),
        ("TOKENVAULT_TLS_CERTIFICATE", fifo),
        ("TOKENVAULT_TLS_CLIENT_CA", fifo),
    ] {
        let refused = check(&config, &[(variable, value)]).with(2);
        assert!(refused.out.contains("no regular file") && refused.out.contains(fifo), "{variable}: {refused:?}");
    }
    let refused = check(Path::new(fifo), &[]).with(2);
    assert!(refused.out.contains("no regular file") && refused.out.contains(fifo), "{refused:?}");
    // A link to a file is one, as Kubernetes has it.
    let [catalog, real] = ["catalog.toml", "real.toml"].map(|name| place.join(name));
    fs::rename(&catalog, &real).unwrap();
    symlink("real.toml", &catalog).unwrap();
    check(&config, &[]).with(0);
}

#[test]
fn a_hangup_has_the_files_of_tls_looked_at() {
    let vault = stopped();
    let mut command = about(&vault, &["serve"]);
    command.env("TOKENVAULT_TLS_RELOAD_SECONDS", "86400");
    let mut served = Served::start(command);
    served.hang_up();
    served.says("the files of TLS have not changed");
    let server = Authority::new("another").server();
    fs::write(vault.place().join("server.pem"), server.certificate_pem()).unwrap();
    served.hang_up();
    served.says("those from before stay in use");
    fs::write(vault.place().join("server.key"), server.key_pem()).unwrap();
    served.hang_up();
    served.says("have changed and are in use");
    served.stop();
}

#[test]
fn a_certificate_beyond_its_days_is_found_by_the_check() {
    let vault = stopped();
    let authority = Authority::new("expiry");
    for (from, to, expected) in [(2020, 2021, "has expired"), (2199, 2200, "is not valid yet")] {
        let server = authority.server_between(from, to);
        fs::write(vault.place().join("server.pem"), server.certificate_pem()).unwrap();
        fs::write(vault.place().join("server.key"), server.key_pem()).unwrap();
        let error = the_error(&vault);
        assert_eq!(error["about"], "tls.certificate");
        assert!(error["finding"].as_str().unwrap().contains(expected), "{error}");
    }
}

#[test]
fn on_sighup_it_takes_over_catalog_and_policies_and_keeps_the_old_ones_where_the_new_are_wrong() {
    let vault = stopped();
    let mut served = Served::start(about(&vault, &["serve"]));
    let load = "tokenize --class email --audience payments --region eu --purpose bulk_load --output jsonl";
    let given = run(&mut served.command(&vault, "loader", load), "ada@example.com").with(0).lines();
    let token = given[0]["token"].as_str().unwrap().to_owned();
    let reveal = format!("detokenize --class email {SETTLE}");
    let path = vault.place().join("catalog.toml");
    let good = fs::read_to_string(&path).unwrap();
    let own = r#"classes = ["card_number", "customer_id", "email"],"#;
    assert!(good.contains(own));
    let without = good.replace(own, r#"classes = ["card_number", "customer_id"],"#);
    for (text, said, code) in [
        (&without, "were taken over", 3),
        (&"[clases.x]\n".to_owned(), "stay as they are", 3),
        (&good.replace("[regions.us]", ""), "stay as they are", 3),
        (&without, "are as they were", 3),
        (&good, "were taken over", 0),
    ] {
        fs::write(&path, text).unwrap();
        served.hang_up();
        served.says(said);
        assert_eq!(run(&mut served.command(&vault, "payments", &reveal), &token).code, Some(code), "{said}");
    }
    served.stop();
}
