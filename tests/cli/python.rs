//! The client for Python, clients/python, installed as pip does it and tested by its own tests against this binary.
//!
//! Each test here runs one file of them, so that a promise can name what shows it.

use std::{path::Path, process::Command};

use crate::shell::program;

/// Installs the client, and runs a file of its tests.
#[track_caller]
fn run(file: &str) {
    // What it needs is fetched once and kept; without a package index this fails and says so.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/client.sh");
    let output = Command::new(&script).arg(program()).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{file}: {}\n{said}\n{complained}", output.status);
    let last = said.lines().last().unwrap_or_default();
    assert!(last.contains(" passed") && !last.contains("skipped"), "{file}: {last}");
}

#[test]
fn the_python_client_makes_each_call_and_outlives_what_befalls_the_vault() {
    run("test_calls.py");
}

#[test]
fn the_python_client_keeps_its_streams_in_order_and_makes_no_token_twice() {
    run("test_streams.py");
}

#[test]
fn the_python_client_repeats_what_can_help_and_shows_each_attempt_afresh() {
    run("test_attempts.py");
}

#[test]
fn the_python_client_fetches_its_tokens_by_its_certificate_from_a_real_provider() {
    run("test_client_credentials.py");
}

#[test]
fn the_python_client_asks_who_would_be_shown_what_and_denies_access_tokens() {
    run("test_explain.py");
}

#[test]
fn the_python_client_proves_follows_and_exports_the_log_and_notices_one_that_was_rolled_back() {
    run("test_audit.py");
}

#[test]
fn the_python_client_shows_no_value_and_no_token() {
    run("test_secrets.py");
}

#[test]
fn the_python_client_is_made_from_the_contract_is_typed_and_does_what_its_readme_says() {
    run("test_parts.py");
}
