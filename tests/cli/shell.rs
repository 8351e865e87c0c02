//! A vault started from a shell, and commands run beside it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tempfile::TempDir;
use vault_domain::{Clock, SystemClock};

/// How long a process may take to end.
const END_DEADLINE: Duration = Duration::from_secs(30);
/// What the guide's first line to copy begins with, and its last line.
const EXPORT: &str = "export TOKENVAULT_ENDPOINT=";
const LAST_LINE: &str = "Ctrl-C ";

/// The program under test: of the same build, two folders above this test.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("tokenvault");
    assert!(program.is_file(), "{} is missing: build the workspace first", program.display());
    program
}

/// The program with nothing of this process's environment that it would listen to.
pub(crate) fn tokenvault(words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(words).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TOKENVAULT_")) {
        command.env_remove(name);
    }
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Standard output as JSON, one object a line.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs a command to its end, with `input` on its standard input.
pub(crate) fn run(command: &mut Command, input: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that ends without reading closes the pipe, which is its right.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).is_ok());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// `tokenvault dev --serve`, running.
pub(crate) struct DevVault {
    pub(crate) folder: TempDir,
    process: Child,
    /// What it printed when it was ready.
    pub(crate) guide: String,
    /// Kept open: a process whose reader is gone ends.
    _out: BufReader<ChildStdout>,
}

impl DevVault {
    pub(crate) fn start() -> Self {
        Self::start_in(TempDir::new().unwrap(), "0", |_| {})
    }

    /// One with a catalog of its own: `change` is shown the place when it is furnished.
    pub(crate) fn start_with(change: impl Fn(&Path)) -> Self {
        let mut first = Self::start();
        first.stop();
        let folder = std::mem::replace(&mut first.folder, TempDir::new().unwrap());
        Self::start_in(folder, "0", change)
    }

    /// The same vault once more, on the same port, after it was killed.
    pub(crate) fn again(mut self) -> Self {
        self.kill();
        let endpoint = self.endpoint();
        let port = endpoint.rsplit(':').next().unwrap();
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        Self::start_in(folder, port, |_| {})
    }

    fn start_in(folder: TempDir, port: &str, change: impl Fn(&Path)) -> Self {
        let place = folder.path().join("vault");
        change(&place);
        let words = ["dev", "--serve", "--port", port, "--directory", place.to_str().unwrap()];
        let mut command = tokenvault(&words);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(process.stdout.take().unwrap());
        let mut guide = String::new();
        while !guide.lines().last().is_some_and(|line| line.starts_with(LAST_LINE)) {
            assert_ne!(out.read_line(&mut guide).unwrap(), 0, "it ended: {guide}");
        }
        Self { folder, process, guide, _out: out }
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The vault's own folder.
    pub(crate) fn place(&self) -> PathBuf {
        self.folder.path().join("vault")
    }

    /// A file of the test's own.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn endpoint(&self) -> String {
        let export = self.guide.lines().find_map(|line| line.strip_prefix(EXPORT)).unwrap();
        export.split_whitespace().next().unwrap().to_owned()
    }

    /// A command with an account's identity.
    pub(crate) fn command(&self, account: &str, words: &[&str]) -> Command {
        let mut command = tokenvault(words);
        let file = |name: String| self.place().join(name);
        command
            .env("TOKENVAULT_ENDPOINT", self.endpoint())
            .env("TOKENVAULT_CA", file("ca.pem".to_owned()))
            .env("TOKENVAULT_CERT", file(format!("clients/{account}.pem")))
            .env("TOKENVAULT_KEY", file(format!("clients/{account}.key")));
        command
    }

    /// Runs a command as an account; `line` is split at its spaces.
    pub(crate) fn run(&self, account: &str, line: &str, input: &str) -> Ended {
        run(&mut self.command(account, &line.split_whitespace().collect::<Vec<_>>()), input)
    }

    /// Tokenizes values for the payments service.
    pub(crate) fn tokens(&self, class: &str, values: &[&str]) -> Vec<String> {
        let line = format!("tokenize --class {class} {LOAD}");
        let given = self.run("loader", &line, &values.join("\n")).with(0).lines();
        assert_eq!(given.len(), values.len());
        given.iter().map(|line| line["token"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends it as a power cut does, as far as a process can tell.
    fn kill(&mut self) {
        // It may have ended before.
        let _ended = self.process.kill();
        let _status = self.process.wait().unwrap();
    }

    /// Ends it as Ctrl-C does.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.stop_by(Signal::SIGINT)
    }

    /// Ends it by a signal.
    pub(crate) fn stop_by(&mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
        ended(&mut self.process)
    }
}

impl Drop for DevVault {
    fn drop(&mut self) {
        // It may have ended before.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

/// For whom and why the loader tokenizes.
pub(crate) const LOAD: &str = "--audience payments --region eu --purpose bulk_load";
/// For whom and why the payments service reveals.
pub(crate) const SETTLE: &str = "--audience payments --region eu --purpose settlement";

/// The exit code of a process that is about to end.
pub(crate) fn ended(process: &mut Child) -> Option<i32> {
    let clock = SystemClock::new();
    while clock.monotonic() < END_DEADLINE {
        if let Some(status) = process.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the process does not end");
}

/// Writes a file and gives its path.
pub(crate) fn write(path: &str, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_owned()
}

/// Runs a verifier that third parties are shown, `docs/audit/SCRIPT`; its exit code, and all that it said.
pub(crate) fn third_party(script: &str, words: &[&str]) -> (Option<i32>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit").join(script);
    let output = Command::new("python3").arg(script).args(words).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}
