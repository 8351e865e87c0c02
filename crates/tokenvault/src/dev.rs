//! `tokenvault dev`: a throwaway vault on this machine, with identities for every account of the sample catalog, and a
//! guided tour on real input. Nothing of it may be used for real data: its keys lie in files.

mod disk;
mod furnish;
mod guide;
mod identities;
mod purchases;
mod tour;

use std::{path::PathBuf, sync::Arc};

use vault_domain::{SystemClock, SystemEntropy};
use vault_server::{Config, Server, start_telemetry};

use crate::{
    dev::{furnish::Place, tour::Tour},
    exit::{Exit, Failure},
    output,
    process::{ReloadSignal, StopSignals, keep_memory_private, open_many_files},
    serve::{STOPPING, until_stopped},
};

/// The variable by which the configuration is told where to listen.
const ADDRESS_VARIABLE: &str = "TOKENVAULT_LISTEN_ADDRESS";

/// What to do with the throwaway vault.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DevArguments {
    /// Go through the guided tour with this file: CDNOW_master.txt, which `make demo` fetches
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Go on serving until you stop it, and show commands to try by hand
    #[arg(long)]
    serve: bool,
    /// Keep everything in this folder, and go on with what is there; otherwise all is deleted at the end
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// The TCP port to listen on, on this machine alone; 0 for any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
}

pub(crate) async fn run(arguments: DevArguments) -> Result<Exit, Failure> {
    if arguments.input.is_none() && !arguments.serve {
        return Err(Failure::usage(
            "the tour needs real input. `make demo` fetches it and starts the tour; with a file of your own that looks \
             like it: tokenvault dev --input CDNOW_master.txt. Without a tour: tokenvault dev --serve",
        ));
    }
    keep_memory_private()?;
    open_many_files();
    let mut signals = StopSignals::listen_on_a_terminal()?;
    let place = Place::furnish(arguments.directory.as_deref(), &SystemClock::new(), &SystemEntropy)?;
    output::warn(
        "this is a development vault: its keys and all identities lie in files of this machine. Give it no real data.",
    );
    let server = start(&place, arguments.port).await?;
    if let Some(input) = &arguments.input {
        let tour = Tour::new(&place, server.address(), input);
        let ended = tokio::select! {
            ended = tour.run() => ended,
            () = server.failed() => Err(Failure::new(Exit::LogFailed, "the access log could not be written")),
            signal = signals.next() => {
                Err(Failure::new(Exit::Failure, format!("stopped by {signal} in the middle of the tour")))
            }
        };
        if let Err(failure) = ended {
            // The folder is deleted only when nothing writes to it any more.
            server.shutdown().await;
            return Err(failure);
        }
    }
    if arguments.serve {
        guide::print(&place, server.address())?;
        let on_stop = |signal: &str| output::note(&format!("stopping on {signal}: {STOPPING}"));
        let ended = until_stopped(server, signals, ReloadSignal::never(), &place.config(), on_stop).await;
        place.delete_client_environment()?;
        return ended;
    }
    server.shutdown().await;
    Ok(Exit::Done)
}

/// Starts the vault in this process. The environment has no say: what is tried here should not depend on it.
async fn start(place: &Place, port: u16) -> Result<Server, Failure> {
    let environment = [(ADDRESS_VARIABLE.to_owned(), format!("127.0.0.1:{port}"))].into_iter().collect();
    let config =
        Config::load(&place.config(), &environment).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    start_telemetry(&config);
    Server::start(config, Arc::new(SystemClock::new()), Arc::new(SystemEntropy))
        .await
        .map_err(|error| Failure::new(Exit::Failure, format!("the vault does not start: {error}")))
}
