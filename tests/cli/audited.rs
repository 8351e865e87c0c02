//! A vault with a history, exported: what the tests of `audit verify` verify and damage.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;
use vault_tests::{
    requests::{card, customer, describe, detokenize, email, query, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::shell::{Ended, run, tokenvault};

/// A folder on a real disk.
const DISK: &str = env!("CARGO_TARGET_TMPDIR");

/// A vault at rest whose log has a past: how it was, how it went on, and how it went on another time from there.
pub(crate) struct Audited {
    pub(crate) vault: TestVault,
    pub(crate) folder: TempDir,
}

impl Audited {
    /// A vault that served so many calls, stopped.
    pub(crate) async fn after(calls: u64) -> Self {
        let mut vault = TestVault::start(Path::new(DISK)).await;
        history(&vault, 0, calls).await;
        vault.stop().await;
        Self { vault, folder: TempDir::new_in(DISK).unwrap() }
    }

    /// Has it serve more.
    pub(crate) async fn go_on(&mut self, from: u64, calls: u64) {
        self.vault.start_again().await;
        history(&self.vault, from, calls).await;
        self.vault.stop().await;
    }

    pub(crate) fn data(&self) -> String {
        self.vault.data_directory().to_str().unwrap().to_owned()
    }

    /// The checkpoint outside the store.
    pub(crate) fn checkpoint(&self, log: &str) -> PathBuf {
        self.vault.checkpoint_directory().join(format!("{log}.checkpoint"))
    }

    /// A path of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Keeps stores and checkpoints as they are now.
    pub(crate) fn keep(&self, name: &str) {
        copy(&self.vault.data_directory(), &self.path(name).join("data"));
        copy(&self.vault.checkpoint_directory(), &self.path(name).join("checkpoints"));
    }

    /// Puts what was kept in the place of what is there.
    pub(crate) fn put_back(&self, name: &str) {
        for (from, to) in [("data", self.vault.data_directory()), ("checkpoints", self.vault.checkpoint_directory())] {
            fs::remove_dir_all(&to).unwrap();
            copy(&self.path(name).join(from), &to);
        }
    }

    /// Exports a log into a folder of this name; gives what the command said.
    pub(crate) fn export(&self, log: &str, name: &str) -> Value {
        let out = self.path(name);
        let words = ["audit", "export-log", "--data", &self.data(), "--region", log, "--out", out.to_str().unwrap()];
        run(&mut tokenvault(&words), "").with(0).lines().remove(0)
    }
}

/// Runs `audit verify` with the answer as JSON lines.
pub(crate) fn verify(path: &Path, words: &[&str]) -> Ended {
    let path = path.to_str().unwrap();
    run(&mut tokenvault(&[&["audit", "verify", path, "--output", "jsonl"], words].concat()), "")
}

/// Calls of many kinds, one entry each, from the `from`-th on.
async fn history(vault: &TestVault, from: u64, calls: u64) {
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let (support, auditor) = (vault.caller(Role::Support).await, vault.caller(Role::Auditor).await);
    let tokens = vault.give("email", (from..from + 10).map(email)).await;
    for n in from..from + calls {
        let token = tokens.get(usize::try_from(n % 10).unwrap()).unwrap().clone();
        match n % 8 {
            0 => drop(loader.tokenize(tokenize("card_number", [card(n)])).await.unwrap()),
            1 => drop(loader.tokenize(tokenize("customer_id", [customer(n), "x".to_owned()])).await.unwrap()),
            2 | 3 => drop(payments.detokenize(detokenize("email", [token])).await.unwrap()),
            4 => drop(payments.detokenize(detokenize("card_number", [token])).await.unwrap()),
            5 => drop(support.detokenize(detokenize("email", [token])).await.unwrap()),
            6 => drop(payments.describe(describe("email", [token])).await),
            _ => drop(auditor.query(query("eu")).await.unwrap()),
        }
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for name in fs::read_dir(from).unwrap() {
        let name = name.unwrap();
        let target = to.join(name.file_name());
        if name.file_type().unwrap().is_dir() {
            copy(&name.path(), &target);
        } else {
            fs::copy(name.path(), target).unwrap();
        }
    }
}

/// Every file below a folder with its length, bytes and time of change.
pub(crate) fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for name in fs::read_dir(folder).unwrap() {
        let path = name.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            found.push((path.clone(), fs::read(&path).unwrap(), changed));
        }
    }
    found.sort();
    found
}
