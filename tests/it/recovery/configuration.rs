//! Configurations that a vault does not start with.

use std::fs;

use vault_tests::vault::TestVault;

use crate::vault;

/// Starts with a changed file; gives what is said, and puts the file back.
async fn refused_with(vault: &TestVault, file: &str, change: impl FnOnce(String) -> String) -> String {
    let path = vault.directory().join(file);
    let good = fs::read_to_string(&path).unwrap();
    let changed = change(good.clone());
    assert_ne!(changed, good);
    fs::write(&path, changed).unwrap();
    let refused = vault.refused_start().await;
    fs::write(&path, good).unwrap();
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_does_not_start_on_a_configuration_with_a_fault_and_says_where_it_is() {
    let mut vault = vault().await;
    vault.stop().await;
    let rows = [
        ("vault.toml", "mode = \"dev\"", "", "mode"),
        ("vault.toml", "mode = \"dev\"", "mode = \"production\"", "mode"),
        ("vault.toml", "provider = \"file\"", "provider = \"env\"", "root_key.provider"),
        ("vault.toml", "[listen]", "typo = 1\n[listen]", "typo"),
        ("vault.toml", "\"eu\", \"us\"", "\"eu\", \"eu\"", "regions"),
        ("vault.toml", "\"eu\", \"us\"", "\"eu\", \"mars\"", "mars"),
        ("vault.toml", "\"eu\", \"us\"", "\"eu\", \"node\"", "regions"),
        ("vault.toml", "client_ca = [\"clients.pem\"]", "client_ca = []", "tls.client_ca"),
        ("vault.toml", "client_ca = [\"clients.pem\"]", "client_ca = [\"vault.toml\"]", "vault.toml"),
        ("catalog.toml", "rule = \"pan\"", "rule = \"pam\"", "pam"),
        ("catalog.toml", "tenant = \"acme\"", "tenant = \"acne\"", "acne"),
        ("catalog.toml", "audiences = [\"payments\"]", "audiance = [\"payments\"]", "audiance"),
    ];
    for (file, from, to, said) in rows {
        let refused = refused_with(&vault, file, |text| text.replacen(from, to, 1)).await;
        assert!(refused.contains(said), "{to}: {refused}");
    }
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}
