//! A part that is really taken away: what is still served, what is denied, and what tells. The table with all parts is
//! in docs/DEGRADATION.md.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tonic::{Code, Request, metadata::MetadataMap};
use vault_domain::Clock;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    connection::freshness_of,
    refusal::Refusal,
    requests::{detokenize, email, query, tokenize},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::{vault, vault_and_clock};

async fn give(vault: &TestVault, region: &str, n: u64) -> Result<String, Refusal> {
    let request = v1::TokenizeRequest { region: region.to_owned(), ..tokenize("email", [email(n)]) };
    let given = vault.caller(Role::Loader).await.tokenize(request).await?;
    Ok(given.tokens().remove(0))
}

async fn reveal(vault: &TestVault, region: &str, token: &str) -> Result<Vec<u8>, Refusal> {
    let request = v1::DetokenizeRequest { region: region.to_owned(), ..detokenize("email", [token]) };
    vault.caller(Role::Payments).await.detokenize(request).await?.results.remove(0)
}

/// Files of a store whose name ends so.
fn files(vault: &TestVault, region: &str, end: &str) -> Vec<PathBuf> {
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(end));
    let files = fs::read_dir(vault.data_directory().join(region)).unwrap().flatten().map(|file| file.path());
    files.filter(|path| named(path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_one_regions_store_the_start_is_refused_and_the_others_can_serve_without_it() {
    let mut vault = vault().await;
    let (eu, us) = (give(&vault, "eu", 1).await.unwrap(), give(&vault, "us", 2).await.unwrap());
    vault.stop().await;
    let away = vault.directory().join("away");
    let current = files(&vault, "eu", "CURRENT").remove(0);
    // A file of the engine's, and the whole folder: an empty store in its place is behind the checkpoint outside.
    fs::rename(&current, &away).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("eu"), "it says which region: {refused}");
    fs::rename(&away, &current).unwrap();
    fs::rename(vault.data_directory().join("eu"), &away).unwrap();
    let refused = vault.refused_start().await;
    assert!(refused.contains("eu"), "it says which region: {refused}");
    fs::remove_dir_all(vault.data_directory().join("eu")).unwrap();

    // Taken out of the configuration, it is refused by name, and no other region answers in its place.
    vault.edit("vault.toml", "regions = [\"eu\", \"us\"]", "regions = [\"us\"]");
    vault.start_again().await;
    assert_eq!(reveal(&vault, "us", &us).await.unwrap(), email(2).into_bytes());
    assert!(give(&vault, "us", 3).await.is_ok());
    for refused in [reveal(&vault, "eu", &eu).await, give(&vault, "eu", 4).await.map(String::into_bytes)] {
        refused.unwrap_err().is(Code::FailedPrecondition, "WRONG_REGION");
    }
    let elsewhere = reveal(&vault, "us", &eu).await.unwrap_err();
    elsewhere.is(Code::FailedPrecondition, "WRONG_REGION");
    assert_eq!(elsewhere.metadata["region"], "eu");
    vault.stop().await;
    assert!(!vault.data_directory().join("eu").exists(), "nothing was begun in its place");

    // With its store back, it serves as before.
    fs::rename(&away, vault.data_directory().join("eu")).unwrap();
    vault.edit("vault.toml", "regions = [\"us\"]", "regions = [\"eu\", \"us\"]");
    vault.start_again().await;
    assert_eq!(reveal(&vault, "eu", &eu).await.unwrap(), email(1).into_bytes());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_of_one_region_is_a_fault_and_not_a_token_that_is_not_there() {
    let mut vault = vault().await;
    let (eu, us) = (give(&vault, "eu", 1).await.unwrap(), give(&vault, "us", 2).await.unwrap());
    // A start writes what was in the write-ahead log into tables.
    vault.stop().await;
    vault.start_again().await;
    let tables = files(&vault, "eu", ".sst");
    assert!(!tables.is_empty(), "there are tables");
    let whole: Vec<Vec<u8>> = tables.iter().map(|table| fs::read(table).unwrap()).collect();
    for (table, bytes) in tables.iter().zip(&whole) {
        // What is open stays open: in place, and not the end, which is read at the start.
        let mut damaged = bytes.clone();
        let end = bytes.len() / 2;
        damaged[..end].fill(0xA5);
        fs::write(table, damaged).unwrap();
    }
    let refusal = reveal(&vault, "eu", &eu).await.unwrap_err();
    assert!(matches!(refusal.code, Code::DataLoss | Code::Internal), "{refusal:?}");
    assert_eq!(reveal(&vault, "us", &us).await.unwrap(), email(2).into_bytes());
    assert!(give(&vault, "us", 3).await.is_ok());
    for (table, bytes) in tables.iter().zip(&whole) {
        fs::write(table, bytes).unwrap();
    }
    assert_eq!(reveal(&vault, "eu", &eu).await.unwrap(), email(1).into_bytes());
    vault.finish().await;
}

/// A reveal that says it is made at this time.
async fn reveal_at(caller: &Caller, token: &str, nonce: u128, sent: u64) -> Result<(), Refusal> {
    let mut request = Request::new(detokenize("email", [token]));
    *request.metadata_mut() = MetadataMap::from_headers(freshness_of(&format!("{nonce:032x}"), &sent.to_string()));
    caller.detokenize(request).await?.results.remove(0).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_ahead_refuses_what_bears_a_time_and_serves_the_rest() {
    let (vault, clock) = vault_and_clock().await;
    let token = give(&vault, "eu", 1).await.unwrap();
    let payments = vault.caller(Role::Payments).await;
    let loader = vault.try_connect(Role::Loader).await.unwrap().without_nonces();
    let loader = vault.caller_on(Role::Loader, loader);
    let at = |after: Duration| BEGINNING.saturating_add(after).0;
    reveal_at(&payments, &token, 1, at(Duration::ZERO)).await.unwrap();

    // The vault's clock alone: callers' stand right.
    clock.set_wall(BEGINNING.saturating_add(Duration::from_secs(7200)));
    let mark = vault.mark("eu").await;
    let refusal = reveal_at(&payments, &token, 2, at(Duration::from_secs(1))).await.unwrap_err();
    refusal.is(Code::FailedPrecondition, "TIMESTAMP_OUTSIDE_WINDOW");
    assert_eq!(vault.entry_since(&mark).await.reason, "TIMESTAMP_OUTSIDE_WINDOW", "the log tells");
    loader.tokenize(tokenize("email", [email(2)])).await.unwrap();

    // Put right: until it has caught up with the log, nobody can tell an old call from a new one.
    clock.set_wall(BEGINNING.saturating_add(Duration::from_secs(2)));
    let refusal = reveal_at(&payments, &token, 3, clock.wall().0).await.unwrap_err();
    refusal.is(Code::FailedPrecondition, "TIMESTAMP_OUTSIDE_WINDOW");
    loader.tokenize(tokenize("email", [email(3)])).await.unwrap();
    let auditor = vault.try_connect(Role::Auditor).await.unwrap().without_nonces();
    assert!(vault.caller_on(Role::Auditor, auditor).query(query("eu")).await.is_ok());
    clock.set_wall(BEGINNING.saturating_add(Duration::from_secs(7200)));
    reveal_at(&payments, &token, 4, clock.wall().0).await.unwrap();
    vault.finish().await;
}
