//! `tokenvault config check`: what is wrong with a configuration, before it serves.

use std::path::PathBuf;

use serde_json::json;
use vault_domain::{Clock, SystemClock};
use vault_server::{Config, Severity};

use crate::{
    exit::{Exit, Failure},
    output::{self, Column, OutputArguments, Records},
    serve::environment,
};

const COLUMNS: &[Column] = &[("severity", "/severity"), ("about", "/about"), ("finding", "/finding")];

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
    let mut push = |severity: Severity, about: &str, finding: &str| {
        records.push(&json!({"severity": severity.to_string(), "about": about, "finding": finding}))
    };
    let mut exit = Exit::Done;
    match Config::load(&arguments.config, &environment()) {
        Ok(config) => {
            for finding in config.findings(SystemClock::new().wall()) {
                push(finding.severity, finding.subject, &finding.text)?;
                if finding.severity == Severity::Error {
                    exit = Exit::Failure;
                }
            }
        }
        Err(error) => {
            push(Severity::Error, "configuration", &error.to_string())?;
            exit = Exit::Failure;
        }
    }
    records.finish()?;
    Ok(exit)
}
