//! Root keys that are missing, public, broken or of another vault.

use std::{fs, os::unix::fs::PermissionsExt};

use vault_tests::{
    requests::{detokenize, email},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn a_root_key_file_that_cannot_be_used_keeps_the_vault_from_starting() {
    let mut vault = vault().await;
    vault.stop().await;
    let path = vault.root_key_file();
    let good = fs::read_to_string(&path).unwrap();
    vault.secrets().plant(good.trim_end().as_bytes());
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for (bits, said) in [(0o644, "0644"), (0o640, "0640"), (0o604, "0604"), (0o620, "0620")] {
        mode(bits);
        let refused = vault.refused_start().await;
        assert!(refused.contains(said) && refused.contains("readable by its owner alone"), "{refused}");
        assert!(!refused.contains(good.trim_end()));
    }
    mode(0o600);
    for bad in [String::new(), good[1..].to_owned(), good.replace(|c: char| c.is_ascii_digit(), "g"), good.repeat(2)] {
        fs::write(&path, bad).unwrap();
        let refused = vault.refused_start().await;
        assert!(refused.contains("must hold 64 hex digits"), "{refused}");
    }
    fs::remove_file(&path).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("root.key") && refused.contains("can't be opened"), "{refused}");
    fs::create_dir(&path).unwrap();
    mode(0o700);
    let refused = vault.refused_start().await;
    assert!(refused.contains("is no regular file"), "{refused}");
    fs::remove_dir(&path).unwrap();
    vault.write_root_key(&good);
    vault.start_again().await;
    vault.still_serves().await;
    // The key's own file holds it; nothing else may.
    fs::remove_file(&path).unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_root_key_opens_nothing_and_changes_nothing() {
    let mut vault = vault().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    vault.stop().await;
    let good = fs::read_to_string(vault.root_key_file()).unwrap();
    vault.write_root_key(&"0123456789abcdef".repeat(4));
    let refused = vault.refused_start().await;
    assert!(refused.contains("does not unwrap") && refused.contains("give the root key"), "{refused}");
    // A region that is new gets no keys under it either, wherever it stands in the list.
    let config = vault.directory().join("vault.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(r#"["eu", "us"]"#, r#"["apac", "eu", "us"]"#)).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("does not unwrap"), "{refused}");
    assert!(!vault.data_directory().join("apac").exists());
    vault.write_root_key(&good);
    vault.start_again().await;
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("email", [token])).await.unwrap();
    assert_eq!(revealed.values(), [email(1).into_bytes()]);
    vault.finish().await;
}
