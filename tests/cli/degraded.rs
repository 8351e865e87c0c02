//! Files that are taken away from a vault that serves.

use std::{
    fs::{self, Permissions},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    time::Duration,
};

use vault_domain::{Clock, SystemClock};

use crate::{
    served::Served,
    shell::{DevVault, SETTLE, run, tokenvault},
};

/// What a vault measures, as Prometheus reads it.
fn measured(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The value of the one line that begins so.
fn value(text: &str, name: &str) -> u64 {
    let found: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix(name)).collect();
    assert_eq!(found.len(), 1, "{name}: {text}");
    found.first().unwrap().trim().parse().unwrap()
}

#[test]
fn rules_that_can_not_be_taken_over_are_measured_with_the_age_of_those_that_serve() {
    let mut vault = DevVault::start();
    assert_eq!(vault.stop(), Some(0));
    let (config, catalog) = (vault.place().join("vault.toml"), vault.place().join("catalog.toml"));
    let good = fs::read_to_string(&catalog).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = tokenvault(&["serve"]);
    command.arg("--config").arg(&config).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    command.env("TOKENVAULT_LISTEN_METRICS", format!("127.0.0.1:{port}"));
    let mut served = Served::start(command);
    let now = || SystemClock::new().wall().0 / 1000;
    let counts = || {
        let text = measured(port);
        let reloads = |result: &str| value(&text, &format!("tokenvault_rules_reloads_total{{result=\"{result}\"}}"));
        [value(&text, "tokenvault_rules_reload_refused "), reloads("done"), reloads("refused")]
    };
    let since = || value(&measured(port), "tokenvault_rules_loaded_timestamp_seconds ");
    assert_eq!(counts(), [0, 0, 0]);
    let first = since();
    assert!((now() - 60..=now()).contains(&first), "{first}");
    std::thread::sleep(Duration::from_millis(1100));
    assert!((1..60).contains(&value(&measured(port), "tokenvault_rules_age_seconds ")), "they grow older");
    for (text, said, expected) in [
        ("[clases.x]\n".to_owned(), "stay as they are", [1, 0, 1]),
        (good.replace("[regions.us]", ""), "stay as they are", [1, 0, 2]),
        (good.clone(), "are as they were", [0, 0, 2]),
        ("[clases.x]\n".to_owned(), "stay as they are", [1, 0, 3]),
    ] {
        fs::write(&catalog, text).unwrap();
        served.hang_up();
        served.says(said);
        assert_eq!(counts(), expected, "{said}");
        assert_eq!(since(), first, "the same rules serve");
    }
    fs::write(&catalog, good + "# A comment is another catalog.\n").unwrap();
    served.hang_up();
    served.says("were taken over");
    assert_eq!(counts(), [0, 1, 3]);
    assert!(since() > first, "others serve from now on");
    served.stop();
}

#[test]
fn catalog_and_policies_that_are_gone_leave_the_old_rules_and_are_told_of() {
    let mut vault = DevVault::start();
    vault.tokens("email", &["ada@example.com"]);
    assert_eq!(vault.stop(), Some(0));
    let (config, catalog) = (vault.place().join("vault.toml"), vault.place().join("catalog.toml"));
    let own = vault.place().join("own.cedar");
    fs::write(&own, "").unwrap();
    let text = fs::read_to_string(&config).unwrap();
    assert!(!text.contains("policies ="));
    fs::write(&config, format!("policies = [\"own.cedar\"]\n{text}")).unwrap();
    let mut command = tokenvault(&["serve"]);
    command.arg("--config").arg(&config).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
    let mut served = Served::start(command);
    let load = "tokenize --class email --audience payments --region eu --purpose bulk_load --output jsonl";
    let given = run(&mut served.command(&vault, "loader", load), "ada@example.com").with(0).lines();
    let token = given[0]["token"].as_str().unwrap().to_owned();
    let reveal = format!("detokenize --class email {SETTLE}");
    let serves = |served: &Served| run(&mut served.command(&vault, "payments", &reveal), &token).with(0);
    let away = |path: &Path| path.with_extension("away");
    for path in [&catalog, &own, &config] {
        // Gone, a folder in its place, bytes that are no text.
        let good = fs::read(path).unwrap();
        fs::rename(path, away(path)).unwrap();
        served.hang_up();
        served.says("stay as they are");
        serves(&served);
        fs::create_dir(path).unwrap();
        served.hang_up();
        served.says("stay as they are");
        serves(&served);
        fs::remove_dir(path).unwrap();
        fs::write(path, [0xFF; 64]).unwrap();
        served.hang_up();
        served.says("stay as they are");
        serves(&served);
        fs::write(path, &good).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        served.hang_up();
        served.says("are as they were");
        serves(&served);
    }
    served.stop();
}
