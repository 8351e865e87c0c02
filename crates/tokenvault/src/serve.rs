//! `tokenvault serve`: the vault as a process, from a configuration file to its good end.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::CommandFactory;
use vault_domain::{Clock, SystemClock, SystemEntropy};
use vault_server::{Applied, Config, Environment, Server, Severity, StartError, start_telemetry};

use crate::{
    arguments::Arguments,
    exit::{Exit, Failure},
    process::{ReloadSignal, StopSignals, end_at_once, keep_memory_private, open_many_files},
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
    let config = Config::load(&arguments.config, &environment())
        .map_err(|error| Failure::new(Exit::Usage, format!("the configuration can't be used: {error}")))?;
    start_telemetry(&config);
    let clock = SystemClock::new();
    for finding in config.findings(clock.wall()) {
        match finding.severity {
            Severity::Note => {}
            Severity::Warning => tracing::warn!(subject = finding.subject, "{}", finding.text),
            Severity::Error => tracing::error!(subject = finding.subject, "{}", finding.text),
        }
    }
    let mut signals = StopSignals::listen()?;
    let reloads = ReloadSignal::listen()?;
    let starting = Server::start(config, Arc::new(clock), Arc::new(SystemEntropy));
    let server = tokio::select! {
        started = starting => started.map_err(|error| {
            let exit = match error {
                StartError::Config(_) | StartError::Tls(_) => Exit::Usage,
                _ => Exit::Failure,
            };
            Failure::new(exit, error.to_string())
        })?,
        _ = signals.next() => return Ok(Exit::Done),
    };
    let on_stop = |signal: &str| tracing::info!(signal, "stopping: {STOPPING}");
    until_stopped(server, signals, reloads, &arguments.config, on_stop).await
}

/// How long reading catalog and policies may take: a signal to stop waits for it.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// Reads catalog and policies anew and serves by them. What is wrong with them is told, and the old ones hold on.
async fn take_over(server: &Server, config: &Path) {
    let path = config.to_owned();
    let reading = tokio::task::spawn_blocking(move || Config::load(&path, &environment())?.policies());
    let read = match tokio::time::timeout(READ_DEADLINE, reading).await {
        Err(_) => Err(format!("they could not be read in {READ_DEADLINE:?}")),
        Ok(Err(_)) => Err("the reading was interrupted".to_owned()),
        Ok(Ok(read)) => read.map_err(|error| error.to_string()),
    };
    let policies = match read {
        Ok(policies) => policies,
        Err(problem) => {
            server.count_unread_policies();
            tracing::error!("catalog and policies stay as they are: {problem}");
            return;
        }
    };
    match server.apply(policies).await {
        Ok(applied) if applied.before == applied.now => tracing::info!("catalog and policies are as they were"),
        Ok(Applied { before, now }) => tracing::info!(before, now, "catalog and policies were taken over"),
        Err(error) => tracing::error!("catalog and policies stay as they are: {error}"),
    }
}

/// The variables that may override a configuration: those of the commands for callers are none.
pub(crate) fn environment() -> Environment {
    let of_callers = of_commands(&Arguments::command());
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !of_callers.contains(name))
        .collect()
}

/// The variables that stand in for arguments of a command, or of one under it.
fn of_commands(command: &clap::Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|argument| Some(argument.get_env()?.to_str()?.to_owned()));
    own.chain(command.get_subcommands().flat_map(of_commands)).collect()
}

/// What a stop means for who calls and who stops it.
pub(crate) const STOPPING: &str = "calls in flight may finish; a second signal stops at once";

/// Serves until a signal to stop comes, or until the log can't be written any more. On SIGHUP it takes over what the
/// files of TLS, catalog and policies say now. `on_stop` is told the signal that it stops for.
pub(crate) async fn until_stopped(
    server: Server,
    mut signals: StopSignals,
    mut reloads: ReloadSignal,
    config: &Path,
    on_stop: impl FnOnce(&str),
) -> Result<Exit, Failure> {
    loop {
        tokio::select! {
            () = server.failed() => {
                server.abandon().await;
                return Err(Failure::new(
                    Exit::LogFailed,
                    "the access log could not be written, so nothing more is served; see the messages above, look at \
                     the disk, then start again",
                ));
            }
            signal = signals.next() => break on_stop(signal),
            () = reloads.next() => {
                server.reload_tls();
                take_over(&server, config).await;
            }
        }
    }
    tokio::select! {
        () = server.shutdown() => Ok(Exit::Done),
        _ = signals.next() => Err(end_at_once()),
    }
}
