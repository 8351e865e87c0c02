//! Finds out the commit that is built, for `--version`. A build from an archive can state it in TOKENVAULT_COMMIT.

use std::{path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=TOKENVAULT_COMMIT");
    // Cargo runs this in the package's folder. A path from there is right in every clone that shares a target folder.
    let root = Path::new("../..");
    // It changes with every commit and checkout; where it is absent, cargo would build again each time.
    let moves = root.join(".git/logs/HEAD");
    if moves.exists() {
        println!("cargo::rerun-if-changed={}", moves.display());
    } else {
        println!("cargo::rerun-if-changed=build.rs");
    }
    let stated = std::env::var("TOKENVAULT_COMMIT").ok();
    let commit = stated.or_else(|| head(root)).filter(|commit| is_plain(commit));
    println!("cargo::rustc-env=TOKENVAULT_COMMIT={}", commit.as_deref().unwrap_or("unknown commit"));
}

fn head(root: &Path) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn is_plain(commit: &str) -> bool {
    (7..=64).contains(&commit.len()) && commit.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
