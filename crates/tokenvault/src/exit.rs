//! How the program ends: codes that scripts can tell apart, and one sentence for people.

use std::{io, process::ExitCode};

use vault_client::ClientError;

use crate::output;

/// The codes, for the help text.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0   done
  1   failed, or done in part: some items or rows were refused, a file could not be read or written
  2   wrong usage: arguments, certificates, or a configuration or what it names can't be used
  3   denied: the vault does not know the caller, or the caller may not do this
  4   a signature or proof does not verify
  5   scan: not everything could be read
  6   config diff: something differs, be it comments alone; config plan: other rules would serve
  7   audit report residency: values were revealed outside of the region, or its own log was not read
  70  the access log could not be written; the vault has stopped
  137 killed, by a second signal during the stop for instance";

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failure = 1,
    Usage = 2,
    Denied = 3,
    NotVerified = 4,
    Incomplete = 5,
    Changes = 6,
    ClaimFails = 7,
    LogFailed = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A failure about a file.
    pub(crate) fn file(path: &std::path::Path, problem: impl std::fmt::Display) -> Self {
        Self::new(Exit::Failure, format!("{}: {problem}", path.display()))
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Says it on standard error and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            output::error(&self.message);
        }
        self.exit.into()
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Configuration { .. } => Exit::Usage,
            ClientError::CheckpointRefuted(_) | ClientError::ProofRefuted(_) | ClientError::LogContradicted { .. } => {
                Exit::NotVerified
            }
            error if error.is_denial() => Exit::Denied,
            _ => Exit::Failure,
        };
        let mut message = error.to_string();
        if let Some(refusal) = error.refusal() {
            let fields = refusal.violations.iter().map(|violation| (&violation.field, &violation.rule));
            for (name, text) in fields.chain(&refusal.metadata) {
                message.push_str(&format!("\n  {name}: {text}"));
            }
        }
        Self::new(exit, message)
    }
}

impl From<vault_server::ConfigError> for Failure {
    /// What stands in the files of a configuration can't be used: the same code from every command.
    fn from(error: vault_server::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// A failure of standard input or output. A reader that went away has what it wanted: nothing is said about that.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Failure, ""),
            _ => Self::new(Exit::Failure, format!("standard input or output: {error}")),
        }
    }
}
