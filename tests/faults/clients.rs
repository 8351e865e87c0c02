//! A client that is not ours: a Python program that knows gRPC and the files in `proto/`, and nothing else.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use vault_tests::roles::Role;

use crate::site::{Settings, Site};

/// The folder of the Python program.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}

/// What a command prints; fails with what it said.
#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed ({}):\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_python_client_needs_only_the_contract() {
    // Fetched once and kept; without a package index this fails and says so.
    let packages = run(&mut Command::new(folder().join("packages.sh")));
    let site = Site::new(Settings::default());
    let mut vault = site.start();
    for (role, name) in [(Role::Loader, "loader"), (Role::Payments, "payments"), (Role::Auditor, "auditor")] {
        let identity = site.identity(role);
        fs::write(site.path(&format!("{name}.pem")), identity.certificate_pem()).unwrap();
        fs::write(site.path(&format!("{name}.key")), identity.key_pem()).unwrap();
    }
    let said = run(Command::new("python3")
        .env("PYTHONPATH", packages.trim())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(folder().join("client.py"))
        .arg("--address")
        .arg(vault.address().to_string())
        .arg("--proto")
        .arg(folder().join("../../proto"))
        .arg("--certificates")
        .arg(site.path("")));
    assert!(said.ends_with("all is well\n"), "{said}");
    vault.stop();
}
