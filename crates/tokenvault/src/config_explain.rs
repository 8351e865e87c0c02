//! `tokenvault config explain`: what a configuration comes to, and who set what.
//!
//! It shows a configuration that can't be used too, and what is wrong with it behind. A value that is not what its key
//! takes is never shown: it can be a secret in the wrong place.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use vault_server::{Origin, Reading, Setting, SettingValue, Severity};

use crate::{
    config_check::{COLUMNS as FINDING_COLUMNS, findings},
    config_token,
    exit::{Exit, Failure},
    output::{self, Column, Output, OutputArguments, Records},
    serve::environment,
};

const COLUMNS: &[Column] = &[("key", "/key"), ("value", "/value"), ("origin", "/origin")];

/// Which configuration, and how much of it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ExplainArguments {
    /// A key or a section, as `listen` or `store.cache_bytes`: these alone, with meaning, limits, default and variable
    #[arg(value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// What an access token in this file becomes, and by which rules, instead of the keys
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub(crate) token: Option<PathBuf>,
    /// The configuration file; TOKENVAULT_SECTION_KEY in the environment overrides a key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

pub(crate) fn run(arguments: &ExplainArguments) -> Result<Exit, Failure> {
    if let Some(token) = &arguments.token {
        return config_token::run(arguments, token);
    }
    let reading = Reading::of_file(&arguments.config, &environment())?;
    let wanted: Vec<&Setting> = reading.settings().iter().filter(|setting| arguments.wants(setting.key())).collect();
    if wanted.is_empty() {
        let problem = "there is no such key: `tokenvault config explain` without one lists all of them";
        return Err(Failure::usage(problem));
    }
    let form = arguments.output.form();
    let about: Vec<Value> = wanted.into_iter().map(|setting| record(setting, &arguments.config, form)).collect();
    let wrong: Vec<Value> = findings(reading.into_config())
        .into_iter()
        .filter_map(|(severity, finding)| (severity == Severity::Error).then_some(finding))
        .collect();
    let mut out = output::stdout();
    match form {
        Output::Table if arguments.key.is_some() => {
            for record in &about {
                output::write_summary(&mut out, form, record)?;
                writeln!(out)?;
            }
        }
        Output::Table => write_all(&mut out, form, COLUMNS, &about)?,
        Output::Json | Output::Jsonl => {}
    }
    match form {
        Output::Table => write_all(&mut out, form, FINDING_COLUMNS, &wrong)?,
        Output::Json | Output::Jsonl => write_all(&mut out, form, COLUMNS, about.iter().chain(&wrong))?,
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Usage })
}

fn write_all<'r>(
    out: impl Write,
    form: Output,
    columns: &'static [Column],
    all: impl IntoIterator<Item = &'r Value>,
) -> io::Result<()> {
    let mut records = Records::new(out, form, columns);
    all.into_iter().try_for_each(|record| records.push(record))?;
    records.finish()
}

impl ExplainArguments {
    fn wants(&self, key: &str) -> bool {
        let Some(wanted) = &self.key else { return true };
        key.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// All about a key.
fn record(setting: &Setting, config: &Path, form: Output) -> Value {
    let (from, place) = match setting.origin() {
        Origin::File { line } => ("file", format!("{}:{line}", config.display())),
        Origin::Environment { variable } => ("environment", variable.clone()),
        Origin::Default if setting.value().is_some() => ("default", "default".to_owned()),
        Origin::Default => ("nobody", "not set".to_owned()),
    };
    let value = match (setting.value(), setting.origin()) {
        (Some(SettingValue::Paths(paths)), _) if form == Output::Table && paths.is_empty() => json!("(none)"),
        (Some(value), _) => typed(value),
        // For people, an empty cell would look like an empty value.
        (None, Origin::Default) if form == Output::Table => json!("(missing)"),
        (None, _) if form == Output::Table => json!("(not what the key takes, so not shown)"),
        (None, _) => Value::Null,
    };
    json!({
        "key": setting.key(),
        "value": value,
        "origin": place,
        "set_by": from,
        "meaning": setting.meaning(),
        "limits": setting.rule(),
        "unit": setting.unit(),
        "default": setting.default(),
        "variable": setting.variable(),
    })
}

fn typed(value: &SettingValue) -> Value {
    match value {
        SettingValue::Names(names) => json!(names),
        SettingValue::Paths(paths) => paths.iter().map(|path| path.display().to_string()).collect(),
        SettingValue::Bytes(number) | SettingValue::Seconds(number) | SettingValue::Days(number) => json!(number),
        SettingValue::Text(_) | SettingValue::Path(_) | SettingValue::Hidden(_) => json!(value.to_string()),
    }
}
