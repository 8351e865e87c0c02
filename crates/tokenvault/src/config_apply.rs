//! `tokenvault config plan`, `apply` and `rollback`: catalog and policies of a running vault, exchanged from outside.
//!
//! A plan says who gains and who loses, and names the step by a hash; an apply that is given this hash does that step
//! or none. Both take catalog and policies from a configuration file, so that the one file serves the vault at its
//! first start and whoever changes it later; a plan takes a version too, as a rollback does.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use vault_client::{Client, RuleTexts, RulesPlan, RulesTarget};
use vault_domain::{Reason, Reference, RulesDifference, RulesFingerprint};
use vault_server::{Config, Environment, PolicyFile};

use crate::{
    config_changes::Rules,
    config_diff::{WhenArguments, all_changes},
    connection::Connection,
    exit::{Exit, Failure},
    output::{self, OutputArguments},
};

/// What to plan.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct PlanArguments {
    /// The configuration whose catalog and policies are to serve; the environment overrides nothing here
    #[arg(long, value_name = "FILE", required_unless_present = "version", conflicts_with = "version")]
    config: Option<PathBuf>,
    /// The version whose catalog and policies are to serve again, as `config rollback` takes it, in place of a file
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    version: Option<u64>,
    #[command(flatten)]
    when: WhenArguments,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputArguments,
}

/// What to apply.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ApplyArguments {
    /// The configuration whose catalog and policies are to serve; the environment overrides nothing here
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    step: StepArguments,
}

/// What to go back to.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RollbackArguments {
    /// The version whose catalog and policies are to serve again, as a version of its own
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    version: u64,
    #[command(flatten)]
    step: StepArguments,
}

/// How to take a step.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct StepArguments {
    /// Take the step only if it is the one that this names: "difference" of a plan, or of `config diff`
    #[arg(long, value_name = "HASH", value_parser = parse_difference)]
    expect_difference: Option<RulesDifference>,
    /// What it is for, such as the number of a ticket; stands in the history and in the node's log
    #[arg(long, value_name = "TEXT", value_parser = parse_reference)]
    reference: Option<Reference>,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) async fn plan(arguments: PlanArguments) -> Result<Exit, Failure> {
    // clap sees to it that there is one of the two; a version is never 0.
    let (of_file, target) = match &arguments.config {
        Some(config) => read(config).map(|(rules, target)| (Some(rules), target))?,
        None => (None, RulesTarget::Version(arguments.version.unwrap_or_default())),
    };
    let client = arguments.connection.connect().await?;
    let plan = client.plan_policies(&target).await?;
    let mut record = record(&plan, plan.before != plan.now);
    let old = match plan.version {
        Some(version) => kept(&client, version, plan.before).await?,
        None => None,
    };
    let new = match target {
        RulesTarget::Version(version) => kept(&client, version, plan.now).await?,
        RulesTarget::Texts(_) => of_file,
    };
    let (access, written) = match (old, new) {
        (Some(old), Some(new)) => {
            let (access, written) = all_changes(&old, &new, &arguments.when);
            (access.into(), written.into())
        }
        _ => (Value::Null, Value::Null),
    };
    output::add(&mut record, "access", access);
    output::add(&mut record, "written", written);
    output::write_summary(output::stdout(), arguments.output.form(), &record)?;
    Ok(if plan.before == plan.now { Exit::Done } else { Exit::Changes })
}

pub(crate) async fn apply(arguments: ApplyArguments) -> Result<Exit, Failure> {
    let (_, target) = read(&arguments.config)?;
    step(&target, arguments.step).await
}

pub(crate) async fn rollback(arguments: RollbackArguments) -> Result<Exit, Failure> {
    step(&RulesTarget::Version(arguments.version), arguments.step).await
}

/// Plans and, if that is the step that was reviewed, takes it. What serves by now is left alone.
async fn step(target: &RulesTarget, arguments: StepArguments) -> Result<Exit, Failure> {
    let StepArguments { expect_difference, reference, connection, output } = arguments;
    let client = connection.connect().await?;
    let plan = client.plan_policies(target).await?;
    if plan.before == plan.now {
        output::write_summary(output::stdout(), output.form(), &record(&plan, false))?;
        return Ok(Exit::Done);
    }
    if expect_difference.is_some_and(|expected| expected != plan.difference) {
        let text = format!(
            "the step to these rules is {}, and not the one that is expected: what serves, or what is to serve, is not \
             what was reviewed; plan anew. Nothing has changed",
            plan.difference
        );
        return Err(Failure::new(Exit::Failure, text));
    }
    let applied = client.apply_policies(target, &plan, reference.as_ref()).await?;
    output::write_summary(output::stdout(), output.form(), &record(&applied, applied.before != applied.now))?;
    Ok(Exit::Done)
}

/// Reads catalog and policies of a configuration: checked here, so that faults are told with their places.
fn read(config: &Path) -> Result<(Rules, RulesTarget), Failure> {
    let config = Config::load(config, &Environment::default())?;
    let policies = config.policies()?;
    let texts = config.rule_texts()?;
    let checked = Rules::of_texts(policies, texts.catalog.clone());
    let policies = texts.policies.into_iter().map(|PolicyFile { name, text }| (name, text)).collect();
    Ok((checked, RulesTarget::Texts(RuleTexts { catalog: texts.catalog, policies })))
}

/// The rules of a version that the vault keeps, with this fingerprint. None where they can't be had: this caller may
/// not read them, or they are of a release with other built-in policies.
async fn kept(client: &Client, version: u64, fingerprint: RulesFingerprint) -> Result<Option<Rules>, Failure> {
    let texts = match client.policy_version(Some(version)).await {
        Ok((_, texts)) => texts,
        Err(error) if error.reason() == Some(Reason::AccessDenied) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let policies = texts.policies.into_iter().map(|(name, text)| PolicyFile { name, text }).collect();
    let texts = vault_server::RuleTexts { catalog: texts.catalog, policies };
    let policies = texts.load().ok().filter(|policies| policies.rules_fingerprint() == fingerprint);
    Ok(policies.map(|policies| Rules::of_texts(policies, texts.catalog)))
}

fn record(plan: &RulesPlan, changes: bool) -> Value {
    json!({
        // The same step has the same id, wherever and whenever it is told.
        "id": plan.difference.to_string(),
        "changes": changes,
        "version": plan.version,
        "before": plan.before.to_string(),
        "now": plan.now.to_string(),
        "difference": plan.difference.to_string(),
    })
}

fn parse_difference(text: &str) -> Result<RulesDifference, String> {
    RulesDifference::parse(text).ok_or_else(|| "must be 64 lowercase hex digits".to_owned())
}

fn parse_reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text).map_err(|error| error.rule.to_owned())
}
