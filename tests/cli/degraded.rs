//! Files that are taken away from a vault that serves.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use crate::{
    served::Served,
    shell::{DevVault, SETTLE, run, tokenvault},
};

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
