//! What a process that holds keys owes to its surroundings: no core dump, a good end when it is told to stop, and a
//! look at its files when it is told to.

use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
    signal::{Signal, kill},
};
use tokio::signal::unix::{self, SignalKind};

use crate::{
    exit::{Exit, Failure},
    output,
};

/// Sees to it that the memory of this process is neither written to a core file nor read by another process of the same
/// user.
pub(crate) fn keep_memory_private() -> Result<(), Failure> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
        .and_then(|()| prctl::set_dumpable(false))
        .map_err(|error| Failure::new(Exit::Failure, format!("core dumps can't be switched off: {error}")))
}

/// Raises the number of files that may be open as far as the system lets us: each region keeps table files open, each
/// connection is one. What is not granted shows later, as connections that wait.
pub(crate) fn open_many_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        output::warn(&format!("the number of open files can't be raised: {error}"));
    }
}

/// SIGTERM and SIGINT; SIGHUP too where it does not ask to read files again.
pub(crate) struct StopSignals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: Option<unix::Signal>,
}

impl StopSignals {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let refuse = |error| Failure::new(Exit::Failure, format!("signals can't be received: {error}"));
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate()).map_err(refuse)?,
            interrupt: unix::signal(SignalKind::interrupt()).map_err(refuse)?,
            hangup: None,
        })
    }

    /// Those, and the signal that comes when a terminal is closed.
    pub(crate) fn listen_on_a_terminal() -> Result<Self, Failure> {
        let hangup = ReloadSignal::listen()?.0;
        Ok(Self { hangup, ..Self::listen()? })
    }

    /// Waits for the next one, and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = received(&mut self.hangup) => "SIGHUP",
        }
    }
}

/// Waits for a signal; where there is none, for ever.
async fn received(signal: &mut Option<unix::Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// SIGHUP, which asks a daemon to read its files again.
pub(crate) struct ReloadSignal(Option<unix::Signal>);

impl ReloadSignal {
    pub(crate) fn listen() -> Result<Self, Failure> {
        let refuse = |error| Failure::new(Exit::Failure, format!("signals can't be received: {error}"));
        unix::signal(SignalKind::hangup()).map(|signal| Self(Some(signal))).map_err(refuse)
    }

    /// One that never comes.
    pub(crate) fn never() -> Self {
        Self(None)
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        received(&mut self.0).await;
    }
}

/// Ends this process at once, as a power cut would: for who asks a second time. The vault is made for that.
pub(crate) fn end_at_once() -> Failure {
    match kill(nix::unistd::getpid(), Signal::SIGKILL) {
        Ok(()) => Failure::new(Exit::Failure, "stopped at once"),
        Err(error) => Failure::new(Exit::Failure, format!("could not stop at once: {error}")),
    }
}
