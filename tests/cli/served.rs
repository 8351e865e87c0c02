//! `tokenvault serve`, running, with the identities of a development vault.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStderr, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::shell::{DevVault, ended, tokenvault};

/// What stands before the address in the line that says that it serves.
const SERVING: &str = "serving";

/// The process and where it listens.
pub(crate) struct Served {
    process: Child,
    endpoint: String,
    /// Kept open: a process whose reader is gone ends.
    err: BufReader<ChildStderr>,
}

impl Served {
    /// Starts `command` and waits until it says that it serves.
    pub(crate) fn start(mut command: Command) -> Self {
        command.env("TOKENVAULT_LOG_LEVEL", "info").env("TOKENVAULT_LOG_FORMAT", "json");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(err.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            let field = |name: &str| message.pointer(&format!("/fields/{name}"))?.as_str();
            if field("message") == Some(SERVING) {
                break field("address").unwrap().to_owned();
            }
            said.push_str(&line);
        };
        Self { process, endpoint: format!("https://{address}"), err }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A command with an identity of the development vault; `line` is split at its spaces.
    pub(crate) fn command(&self, vault: &DevVault, account: &str, line: &str) -> Command {
        let mut command = tokenvault(&line.split_whitespace().collect::<Vec<_>>());
        let file = |name: String| vault.place().join(name);
        command
            .env("TOKENVAULT_ENDPOINT", &self.endpoint)
            .env("TOKENVAULT_CA", file("ca.pem".to_owned()))
            .env("TOKENVAULT_CERT", file(format!("clients/{account}.pem")))
            .env("TOKENVAULT_KEY", file(format!("clients/{account}.key")));
        command
    }

    /// Has it look at its files.
    pub(crate) fn hang_up(&self) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    }

    /// Waits until it says something with `text` in it.
    pub(crate) fn says(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.err.read_line(&mut line).unwrap(), 0, "it ended before it said: {text}");
        }
    }

    /// Ends it in good order.
    pub(crate) fn stop(mut self) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(ended(&mut self.process), Some(0));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}
