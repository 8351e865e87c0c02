//! A running vault: its process, its address, its end.

use std::{
    fmt, fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ExitStatus},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vault_domain::{Clock, SystemClock};

/// How long a vault may take to serve, to answer, or to end, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(4);

/// The exit code of a vault whose log can't be written.
pub(crate) const LOG_FAILED: i32 = 70;

/// A process, killed when it is dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

/// A vault that was started and may not serve yet.
pub(crate) struct Starting(Process);

/// A vault that serves, or did.
pub(crate) struct Vault {
    process: Process,
    address: SocketAddr,
}

/// A vault that ended before it served.
pub(crate) struct Refused {
    /// How it ended.
    pub(crate) status: ExitStatus,
    /// What it said.
    pub(crate) log: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the vault ended before it served ({}); it said:\n{}", self.status, self.log)
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        // Who has ended already needs no signal; its number is not given away before it was waited for.
        let _ended = kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal);
    }

    /// Waits for its end.
    #[track_caller]
    fn ended(&mut self) -> ExitStatus {
        let begun = SystemClock::new();
        while begun.monotonic() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(LOOK);
        }
        panic!("the vault runs on after {PATIENCE:?}; it said:\n{}", self.said());
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail but for a process that has ended, and that is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Starting {
    pub(crate) fn new(child: Child, log: PathBuf) -> Self {
        Self(Process { child, log })
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// When it ends instead.
    #[track_caller]
    pub(crate) fn serving(mut self) -> Result<Vault, Refused> {
        let begun = SystemClock::new();
        while begun.monotonic() < PATIENCE {
            if let Some(status) = self.0.child.try_wait().unwrap() {
                return Err(Refused { status, log: self.0.said() });
            }
            if let Some(address) = self.0.said().lines().find_map(address) {
                return Ok(Vault { process: self.0, address });
            }
            thread::sleep(LOOK);
        }
        panic!("the vault does not serve after {PATIENCE:?}; it said:\n{}", self.0.said());
    }

    /// Ends it after a while, as a power cut would, whatever it is doing; or finds that it has ended.
    pub(crate) fn kill_after(mut self, wait: Duration) -> ExitStatus {
        thread::sleep(wait);
        self.0.signal(Signal::SIGKILL);
        self.0.ended()
    }
}

/// The address in the line that says that the vault serves.
fn address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    (fields.get("message")? == "serving").then(|| fields.get("address")?.as_str()?.parse().ok()).flatten()
}

impl Vault {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end, which something else brings about.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.ended()
    }

    /// Kills it.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.ended().signal(), Some(9), "{}", self.said());
    }

    /// Tells it to stop, and waits until it has, in good order.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.ended();
        assert_eq!(status.code(), Some(0), "{status}; it said:\n{}", self.said());
    }

    /// Asserts that it ended by itself because its log can't be written.
    #[track_caller]
    pub(crate) fn ended_for_its_log(&mut self) {
        let status = self.ended();
        assert_eq!(status.code(), Some(LOG_FAILED), "{status}; it said:\n{}", self.said());
    }

    /// What it has logged.
    pub(crate) fn said(&self) -> String {
        self.process.said()
    }
}
