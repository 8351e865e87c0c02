//! `tokenvault config check`: what is wrong with a configuration, before it serves.

use std::path::PathBuf;

use serde_json::{Value, json};
use vault_domain::{Clock, SystemClock};
use vault_server::{Config, ConfigError, Finding, Severity};

use crate::{
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    serve::environment,
};

pub(crate) const COLUMNS: &[Column] = &[("severity", "/severity"), ("about", "/about"), ("finding", "/finding")];

/// Which configuration.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct CheckArguments {
    /// The configuration file; TOKENVAULT_SECTION_KEY in the environment overrides a key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut exit = Exit::Done;
    let config = Config::load(&arguments.config, &environment());
    let doubts = config.as_ref().map(|config| config.doubts(SystemClock::new().wall())).unwrap_or_default();
    for (severity, record) in findings(config).into_iter().chain(doubts.iter().map(record)) {
        records.push(&record)?;
        if severity == Severity::Error {
            exit = Exit::Usage;
        }
    }
    records.finish()?;
    Ok(exit)
}

/// All that there is to say of a configuration, as records.
pub(crate) fn findings(config: Result<Config, ConfigError>) -> Vec<(Severity, Value)> {
    match config {
        Ok(config) => {
            let findings = config.findings(SystemClock::new().wall());
            findings.iter().map(record).collect()
        }
        Err(ConfigError::Faults { faults, .. }) => {
            let about = |key: &str| if key.is_empty() { "configuration".to_owned() } else { key.to_owned() };
            faults.iter().map(|fault| error(&about(&fault.key), &fault.to_string())).collect()
        }
        Err(refused) => vec![error("configuration", &refused.to_string())],
    }
}

fn record(finding: &Finding) -> (Severity, Value) {
    about(finding.severity, finding.subject, &finding.text)
}

fn error(subject: &str, text: &str) -> (Severity, Value) {
    about(Severity::Error, subject, text)
}

fn about(severity: Severity, subject: &str, text: &str) -> (Severity, Value) {
    (severity, json!({"severity": severity.to_string(), "about": subject, "finding": text}))
}
