//! Data directories that are somebody else's, newer than this build, or in use.

use std::{fs, path::Path, process::Command};

use vault_tests::{requests::email, vault::TestVault};

use crate::vault;

/// Set for the process that tries to open the directory of another one.
const SECOND: &str = "VAULT_TESTS_SECOND_PROCESS";

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_format_is_refused_with_both_versions() {
    let mut vault = vault().await;
    vault.stop().await;
    let marker = vault.data_directory().join("eu/STORE");
    let text = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, text.replace("format 1", "format 7")).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("was written by format 7, this build reads up to 1"), "{refused}");
    assert!(refused.contains("data/eu"), "{refused}");
    fs::write(&marker, text).unwrap();
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_in_use_is_refused_to_a_second_server() {
    let vault = vault().await;
    let refused = vault.refused_start().await;
    assert!(refused.contains("is open in another process, or already in this one"), "{refused}");
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_in_use_is_refused_to_a_second_process() {
    if let Ok(directory) = std::env::var(SECOND) {
        // The second process: it says why it can't open the store, and does nothing else.
        println!("{}", TestVault::refused_open(Path::new(&directory), "eu"));
        return;
    }
    let vault = vault().await;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("recovery::directory::a_directory_that_is_in_use_is_refused_to_a_second_process")
        .env(SECOND, vault.data_directory().join("eu"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("is open in another process"), "{said}");
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_another_vault_is_refused_with_both_names() {
    let mut vault = vault().await;
    vault.give("email", [email(1)]).await;
    vault.stop().await;
    vault.rename("other.test");
    let refused = vault.refused_start().await;
    assert!(refused.contains("belongs to vault vault.test"), "{refused}");
    assert!(refused.contains("not to vault other.test"), "{refused}");
    vault.rename(vault_tests::vault::VAULT);
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_of_another_region_is_refused() {
    let mut vault = vault().await;
    vault.stop().await;
    let data = vault.data_directory();
    let swap = || {
        fs::rename(data.join("eu"), data.join("aside")).unwrap();
        fs::rename(data.join("us"), data.join("eu")).unwrap();
        fs::rename(data.join("aside"), data.join("us")).unwrap();
    };
    swap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("region us, not to vault vault.test, region eu"), "{refused}");
    swap();
    vault.start_again().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_holds_something_else_is_left_alone() {
    let mut vault = vault().await;
    vault.stop().await;
    let eu = vault.data_directory().join("eu");
    fs::rename(&eu, vault.directory().join("aside")).unwrap();
    fs::create_dir(&eu).unwrap();
    fs::write(eu.join("thesis.txt"), "years of work").unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("is not a store"), "{refused}");
    let names: Vec<_> = fs::read_dir(&eu).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
    fs::remove_dir_all(&eu).unwrap();
    fs::rename(vault.directory().join("aside"), &eu).unwrap();
    vault.start_again().await;
    vault.finish().await;
}
