//! Data directories whose log is not what was signed.

use std::{fs, path::Path};

use vault_client::{Client, ClientError, LogName, VerifiedCheckpoint};
use vault_domain::Region;
use vault_tests::{requests::email, roles::Role, vault::TestVault};

use crate::{
    api::client_stream::{config, connect},
    vault,
};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

/// A stopped vault, and a copy of its data directory from before its last calls.
async fn vault_and_old_copy() -> TestVault {
    let mut vault = vault().await;
    vault.give("email", [email(1)]).await;
    vault.stop().await;
    copy(&vault.data_directory(), &vault.directory().join("copy"));
    vault.start_again().await;
    for n in 2..5 {
        vault.give("email", [email(n)]).await;
    }
    vault.stop().await;
    vault
}

fn replace(vault: &TestVault, scope: &str) {
    let data = vault.data_directory().join(scope);
    fs::rename(&data, vault.directory().join(format!("newest-{scope}"))).unwrap();
    copy(&vault.directory().join("copy").join(scope), &data);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_a_regions_data_is_refused() {
    let mut vault = vault_and_old_copy().await;
    replace(&vault, "eu");
    let refused = vault.refused_start().await;
    let expected = "the log vault.test/audit/eu/1 holds 3 entries, but the newest outside checkpoint covers 8";
    assert!(refused.contains(expected), "{refused}");
    assert!(refused.contains("restore the newest one instead of serving this one"), "{refused}");

    fs::remove_dir_all(vault.data_directory().join("eu")).unwrap();
    fs::rename(vault.directory().join("newest-eu"), vault.data_directory().join("eu")).unwrap();
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_nodes_log_is_refused() {
    let vault = vault_and_old_copy().await;
    replace(&vault, "node");
    let refused = vault.refused_start().await;
    assert!(refused.contains("the log vault.test/audit/node/node-1 holds 2 entries"), "{refused}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_behind_a_checkpoint_is_refused_each_time() {
    let vault = vault_and_old_copy().await;
    fs::rename(vault.data_directory().join("eu"), vault.directory().join("newest-eu")).unwrap();
    for _ in 0..2 {
        // A new log has a new key: the checkpoint of the old one is none of its own.
        let refused = vault.refused_start().await;
        assert!(refused.contains("the note bears no signature of this key"), "{refused}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_went_another_way_is_refused() {
    let mut vault = vault_and_old_copy().await;
    // The copy lives on elsewhere for as long, and comes back.
    replace(&vault, "eu");
    let outside = vault.checkpoint_directory().join("eu.checkpoint");
    let newest = fs::read(&outside).unwrap();
    fs::remove_file(&outside).unwrap();
    vault.start_again().await;
    for n in 10..20 {
        vault.give("email", [email(n)]).await;
    }
    vault.stop().await;
    fs::write(&outside, newest).unwrap();
    let refused = vault.refused_start().await;
    let expected =
        "the first 8 entries of the log vault.test/audit/eu/1 are not those that the newest outside checkpoint";
    assert!(refused.contains(expected), "{refused}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_was_tampered_with_is_refused() {
    let mut vault = vault_and_old_copy().await;
    let outside = vault.checkpoint_directory().join("eu.checkpoint");
    let good = fs::read_to_string(&outside).unwrap();
    let smaller = good.replacen("\n8\n", "\n3\n", 1);
    assert_ne!(smaller, good);
    for bad in [smaller.as_str(), "", "no checkpoint\n"] {
        fs::write(&outside, bad).unwrap();
        assert!(!vault.refused_start().await.is_empty());
    }
    fs::write(&outside, good).unwrap();
    vault.start_again().await;
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_entry_keeps_the_vault_from_starting() {
    let vault = vault_and_old_copy().await;
    let mut entry = vault.stored_log("eu").entries[4].clone();
    // The decision, from one to another.
    entry[30] = if entry[30] == 1 { 2 } else { 1 };
    vault.overwrite_entry("eu", 4, &entry);
    let refused = vault.refused_start().await;
    assert!(refused.contains("are not those that the newest stored checkpoint was signed over"), "{refused}");
    vault.finish().await;
}

/// A client that keeps what it sees of logs in the vault's folder.
async fn attentive(vault: &TestVault) -> Client {
    let folder = vault.directory().join("seen");
    connect(config(vault, Role::Auditor, vault.address()).keeping_checkpoints(folder)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_kept_a_checkpoint_notices_a_log_that_was_rolled_back_with_all_that_is_beside_it() {
    let mut vault = vault().await;
    vault.give("email", [email(1)]).await;
    vault.stop().await;
    let aside = vault.directory().join("copy");
    copy(&vault.data_directory(), &aside.join("data"));
    copy(&vault.checkpoint_directory(), &aside.join("checkpoints"));
    vault.start_again().await;
    let eu = LogName::Region(Region::parse("eu").unwrap());
    let client = attentive(&vault).await;
    for n in 2..6 {
        vault.give("email", [email(n)]).await;
        client.checkpoint(&eu, None).await.unwrap();
    }
    drop(client);
    // Another run of the same client sees that the log goes on.
    let newest = attentive(&vault).await.checkpoint(&eu, None).await.unwrap();
    vault.stop().await;
    // Whoever has the machine puts the day before in place of today, the checkpoint outside of the store included.
    for (kept, now) in [("data", vault.data_directory()), ("checkpoints", vault.checkpoint_directory())] {
        fs::remove_dir_all(&now).unwrap();
        copy(&aside.join(kept), &now);
    }
    vault.start_again().await;
    // First the log is shorter than what was seen; then it is as long, and another one.
    let mut contradicted = Vec::new();
    for n in 0..8 {
        let refused = attentive(&vault).await.checkpoint(&eu, None).await.unwrap_err();
        let ClientError::LogContradicted { size, problem, .. } = refused else { panic!("{refused}") };
        assert_eq!(size, newest.checkpoint.head.size.0);
        contradicted.push(problem);
        vault.give("email", [email(10 + n)]).await;
    }
    contradicted.dedup();
    assert!(contradicted.len() > 1, "{contradicted:?}");
    let kept = fs::read_to_string(vault.directory().join("seen/eu.checkpoint")).unwrap();
    assert_eq!(kept, newest.note, "the evidence stays");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_share_a_folder_of_checkpoints_agree_with_what_each_of_them_saw() {
    let vault = vault().await;
    let eu = LogName::Region(Region::parse("eu").unwrap());
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(attentive(&vault).await);
    }
    let kept = || {
        let note = fs::read_to_string(vault.directory().join("seen/eu.checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let mut least = 0;
    for n in 0..12 {
        vault.give("email", [email(n)]).await;
        let all = all_at_once(&clients, &eu).await;
        let largest = all.iter().map(|seen| seen.checkpoint.head.size.0).max().unwrap();
        assert!(all.iter().all(|seen| seen.checkpoint.head.size.0 >= least), "nobody is given an older one");
        assert!(kept() >= largest, "a smaller one was written over a larger one");
        least = largest;
    }
    // Who has seen nothing since the beginning still holds the vault to what the others saw.
    let file = vault.directory().join("seen/eu.checkpoint");
    let damaged = fs::read_to_string(&file).unwrap().replacen('\n', "x\n", 1);
    fs::write(&file, damaged).unwrap();
    for client in &clients {
        client.checkpoint(&eu, None).await.unwrap_err();
    }
    vault.finish().await;
}

/// The newest checkpoint as all of them see it, asked for at once.
async fn all_at_once(clients: &[Client], log: &LogName) -> Vec<VerifiedCheckpoint> {
    let mut asked = tokio::task::JoinSet::new();
    for client in clients {
        let (client, log) = (client.clone(), log.clone());
        asked.spawn(async move { client.checkpoint(&log, None).await.unwrap() });
    }
    asked.join_all().await
}
