//! Faults at a chosen system call, by strace: the kernel answers, or does not, as the test wants.
//!
//! The program under test is unmodified and stays our own child (`-D`). strace counts calls thread by thread: the N-th
//! sync of the thread that writes a log is the log's N-th commit, whatever other threads do.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{site::Site, vault::Vault};

/// How long strace may take to hold all threads.
const PATIENCE: Duration = Duration::from_secs(30);

/// What strace is asked to do.
pub(crate) struct Faults {
    words: Vec<String>,
    report: PathBuf,
}

impl Faults {
    /// Injects `what` (`error=EIO:when=7`) into these calls.
    #[track_caller]
    pub(crate) fn inject(site: &Site, calls: &str, what: &str) -> Self {
        let found = Command::new("strace").arg("--version").output();
        assert!(found.is_ok(), "strace is missing; .ci/setup.sh test installs it: {found:?}");
        let report = site.path("strace.log");
        let words = ["strace", "-D", "-f", "-qq", "-e", "signal=none", "-o", report.to_str().unwrap()];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        if !what.starts_with("signal=") {
            // The other calls then cost nothing. A signal is not delivered from this kind of stop.
            words.push("--seccomp-bpf".to_owned());
        }
        words.extend(["-e".to_owned(), format!("trace={calls}"), "-e".to_owned(), format!("inject={calls}:{what}")]);
        Self { words, report }
    }

    /// The words to put before the program.
    pub(crate) fn words(&self) -> &[String] {
        &self.words
    }

    /// How many faults were injected so far.
    pub(crate) fn injected(&self) -> usize {
        injected(&self.report)
    }
}

/// An strace that holds a running vault. It ends with the vault.
pub(crate) struct Holding {
    strace: Child,
    report: PathBuf,
}

impl Holding {
    /// Injects `what` into calls of a running vault on one file. Needs the right to trace it: root's, for a vault keeps
    /// others from looking into it.
    #[track_caller]
    pub(crate) fn inject(site: &Site, vault: &Vault, file: &Path, calls: &str, what: &str) -> Self {
        let report = site.path("strace.log");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "signal=none", "-p", &vault.pid().to_string()]).arg("-P").arg(file);
        strace.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{what}"), "-o"]).arg(&report);
        let strace = strace.stdin(Stdio::null()).spawn().expect("strace; .ci/setup.sh test installs it");
        let holding = Self { strace, report };
        for _ in 0..PATIENCE.as_millis() {
            if threads(vault).iter().all(|thread| !thread.contains("TracerPid:\t0\n")) {
                return holding;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("strace does not hold the vault: it needs the right to trace, as root has it");
    }

    /// How many faults were injected.
    pub(crate) fn injected(&self) -> usize {
        injected(&self.report)
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        // It has ended, or is not needed any more.
        let _ = self.strace.kill();
        let _ = self.strace.wait();
    }
}

/// What the system says of every thread of a vault.
fn threads(vault: &Vault) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", vault.pid())).unwrap();
    tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok()).collect()
}

fn injected(report: &Path) -> usize {
    fs::read_to_string(report).unwrap_or_default().lines().filter(|line| line.contains("(INJECTED)")).count()
}
