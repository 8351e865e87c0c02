//! Checkpoints on their way off this machine: to witnesses, who vouch that a log only grew, and to a collector of logs.
//!
//! Nothing here is on the way of a call: a place that is away, slow or false is told of and measured, and calls go on.
//! At the start alone a witness can say no: when it knows a newer or another log than the one that is here.

mod quorum;
mod syslog;
mod witness;

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tokio::task::JoinHandle;
use vault_domain::Clock;
use vault_engine::{Engine, OutsideLog, Standing};

use crate::config::{Config, ConfigError};
use quorum::{Quorum, Watched};
use syslog::Collector;

pub(crate) use syslog::Transport;

/// Which witnesses there are, and when a start goes on without them.
#[derive(Clone, Debug)]
pub(crate) struct WitnessesConfig {
    /// The file that names them (c2sp.org/tlog-policy).
    pub(crate) policy: PathBuf,
    /// Who signs the certificates of their servers.
    pub(crate) authorities: Vec<PathBuf>,
    /// Whether a start is refused while a witness can't be asked.
    pub(crate) required_at_start: bool,
}

/// A collector of logs that speaks syslog.
#[derive(Clone, Debug)]
pub(crate) struct SyslogConfig {
    /// Its host and port.
    pub(crate) address: String,
    /// How messages travel.
    pub(crate) transport: Transport,
    /// Who signs its certificate.
    pub(crate) authorities: Vec<PathBuf>,
}

/// Everywhere that checkpoints go, but the files beside the stores.
pub(crate) struct Outside {
    quorum: Option<Arc<Quorum>>,
    collector: Option<Arc<Collector>>,
    watched: OnceLock<Vec<Arc<Watched>>>,
    collected: OnceLock<Vec<Arc<Standing>>>,
}

impl Outside {
    /// Reads what names the places; nobody is asked yet.
    pub(crate) fn open(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let quorum = match config.witnesses() {
            Some(witnesses) => Some(Arc::new(Quorum::open(witnesses, config.checkpoint_directory(), clock)?)),
            None => None,
        };
        let collector = match config.syslog() {
            Some(syslog) => Some(Arc::new(Collector::open(syslog, config.node(), clock)?)),
            None => None,
        };
        Ok(Self { quorum, collector, watched: OnceLock::new(), collected: OnceLock::new() })
    }

    /// Asks every witness whether it knows more of a log than there is here. To be called on a thread that may block,
    /// inside of a runtime.
    ///
    /// # Errors
    /// With the one that does, and what to do; where the configuration demands all, with one that can't be asked.
    pub(crate) fn speaks_against(&self, logs: &[OutsideLog]) -> Result<(), String> {
        match &self.quorum {
            Some(quorum) => tokio::runtime::Handle::current().block_on(quorum.speaks_against(logs)),
            None => Ok(()),
        }
    }

    /// Begins to send checkpoints away. The tasks hold the stores: to be ended before the engine.
    pub(crate) fn start(&self, engine: &Engine) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        let (mut watched, mut collected) = (Vec::new(), Vec::new());
        for log in engine.outside_logs() {
            if let Some(collector) = &self.collector {
                let standing = collector.standing(&log);
                collected.push(standing.clone());
                tasks.push(tokio::spawn(collector.clone().follow(log.clone(), standing)));
            }
            let Some(quorum) = &self.quorum else { continue };
            let of_log = Arc::new(Watched::open(quorum, &log));
            watched.push(of_log.clone());
            tasks.push(tokio::spawn(quorum.clone().follow(log, of_log)));
        }
        // It is started once.
        let _were_empty = (self.watched.set(watched), self.collected.set(collected));
        tasks
    }

    /// The newest checkpoint of a log that witnesses cosigned as the policy asks.
    pub(crate) fn witnessed(&self, log: &str) -> Option<Arc<str>> {
        self.watched.get()?.iter().find(|watched| watched.log() == log)?.witnessed()
    }

    /// How it stands with each place and log.
    pub(crate) fn standings(&self) -> Vec<Arc<Standing>> {
        let watched = self.watched.get().into_iter().flatten().flat_map(|watched| watched.standings());
        watched.chain(self.collected.get().into_iter().flatten()).cloned().collect()
    }
}
