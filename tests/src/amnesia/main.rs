//! `amnesiafs`: a file system for tests that forgets what was not synced. `vault_tests::amnesia` says what it models.

#![forbid(unsafe_code)]

use std::{env, io, io::Write, process::ExitCode};

fn main() -> ExitCode {
    let Err(error) = vault_tests::amnesia::run(env::args_os().skip(1)) else { return ExitCode::SUCCESS };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    // Nowhere is left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::FAILURE
}
