//! The log of the process: structured, with request ids, and never a value or a token. What goes in are named fields;
//! nobody formats a request into a message.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// Starts writing the log of the process to standard error. Only the first call in a process counts.
pub fn start_telemetry(config: &Config) {
    start_telemetry_at(config.log_level(), config.log_format());
}

/// The same for a process that has no configuration of a vault.
pub fn start_telemetry_at(level: &str, format: LogFormat) {
    let filter = EnvFilter::builder().parse_lossy(directives(level));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(std::io::stderr);
            // NO_COLOR is heeded by the layer itself.
            let layer = if std::io::stderr().is_terminal() { layer } else { layer.with_ansi(false) };
            registry.with(layer).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("the log of the process was started before");
    }
}

/// The level holds for the vault's own crates. Transport and TLS stay at warnings: below that they may write what they
/// carry.
fn directives(level: &str) -> String {
    let own =
        ["tokenvault", "vault_client", "vault_engine", "vault_journal", "vault_server", "vault_store", "vault_witness"];
    own.iter().fold("warn".to_owned(), |all, name| format!("{all},{name}={level}"))
}
