//! `tokenvault serve`: the vault as a process, from a configuration file to its good end.

use std::{path::PathBuf, sync::Arc};

use vault_domain::{SystemClock, SystemEntropy};
use vault_server::{Config, Server, Severity, StartError, start_telemetry};

use crate::{
    exit::{Exit, Failure},
    process::{StopSignals, end_at_once, keep_memory_private, open_many_files},
};

/// Which configuration.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServeArguments {
    /// The configuration file; TOKENVAULT_SECTION_KEY in the environment overrides a key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

pub(crate) async fn run(arguments: ServeArguments) -> Result<Exit, Failure> {
    keep_memory_private()?;
    open_many_files();
    let config = Config::load(&arguments.config, &environment)
        .map_err(|error| Failure::new(Exit::Usage, format!("the configuration can't be used: {error}")))?;
    start_telemetry(&config);
    for finding in config.findings().iter().filter(|finding| finding.severity == Severity::Warning) {
        tracing::warn!(subject = finding.subject, "{}", finding.text);
    }
    let mut signals = StopSignals::listen()?;
    let starting = Server::start(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy));
    let server = tokio::select! {
        started = starting => started.map_err(|error| {
            let exit = match error {
                StartError::Config(_) | StartError::Tls(_) => Exit::Usage,
                _ => Exit::Failure,
            };
            Failure::new(exit, error.to_string())
        })?,
        () = signals.next() => return Ok(Exit::Done),
    };
    until_stopped(server, signals).await
}

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Serves until a signal comes, or until the log can't be written any more.
pub(crate) async fn until_stopped(server: Server, mut signals: StopSignals) -> Result<Exit, Failure> {
    tokio::select! {
        () = server.failed() => {
            server.abandon().await;
            return Err(Failure::new(
                Exit::LogFailed,
                "the access log could not be written, so nothing more is served; see the messages above, look at the \
                 disk, then start again",
            ));
        }
        () = signals.next() => {}
    }
    tracing::info!("stopping: calls in flight may finish; a second signal stops at once");
    tokio::select! {
        () = server.shutdown() => Ok(Exit::Done),
        () = signals.next() => Err(end_at_once()),
    }
}
