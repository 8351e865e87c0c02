//! `tokenvault config check`: what is wrong with a configuration, before it serves.

use std::path::PathBuf;

use serde_json::{Value, json};
use vault_domain::{Clock, SystemClock};
use vault_server::{Config, ConfigError, Severity};

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
    for (severity, record) in findings(Config::load(&arguments.config, &environment())) {
        records.push(&record)?;
        if severity == Severity::Error {
            exit = Exit::Failure;
        }
    }
    records.finish()?;
    Ok(exit)
}

/// All that there is to say of a configuration, as records.
pub(crate) fn findings(config: Result<Config, ConfigError>) -> Vec<(Severity, Value)> {
    let record = |severity: Severity, about: &str, finding: &str| {
        (severity, json!({"severity": severity.to_string(), "about": about, "finding": finding}))
    };
    match config {
        Ok(config) => {
            let findings = config.findings(SystemClock::new().wall());
            findings.iter().map(|finding| record(finding.severity, finding.subject, &finding.text)).collect()
        }
        Err(ConfigError::Faults { faults, .. }) => {
            let about = |key: &str| if key.is_empty() { "configuration".to_owned() } else { key.to_owned() };
            faults.iter().map(|fault| record(Severity::Error, &about(&fault.key), &fault.to_string())).collect()
        }
        Err(error) => vec![record(Severity::Error, "configuration", &error.to_string())],
    }
}
