//! An export of the access log, read by programs that are not the vault's.

use std::{path::Path, process::Command};

use serde_json::Value;

/// What `audit/read_export.py` says of a file: its SHA-256, an object for each entry of what all formats have, and of
/// Parquet all of each row.
///
/// # Panics
/// When it can't read the file.
#[must_use]
pub fn read_export(format: &str, file: &Path) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let run = |command: &mut Command| {
        let output = command.output().expect("a program that runs");
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let mut reader = Command::new("python3");
    reader.arg("-B").arg(folder.join("audit/read_export.py")).arg(format).arg(file);
    if format == "parquet" {
        // Fetched once and kept; without a package index this fails and says so.
        let requirements = folder.join("audit/requirements.txt");
        let packages = run(Command::new(folder.join("python/packages.sh")).arg(requirements));
        reader.env("PYTHONPATH", packages.trim());
    }
    serde_json::from_str(&run(&mut reader)).expect("JSON")
}
