//! What stands on the command line. A command's own arguments stand with the command.

use std::process::ExitCode;

use clap::{
    Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    admin::{DeniedArguments, DenyArguments},
    audit::{
        CheckpointArguments, CountArguments, ExportAccessLogArguments, ProveArguments, QueryArguments, TailArguments,
        VerifyExportArguments,
    },
    audit_export::ExportLogArguments,
    audit_index::IndexArguments,
    audit_prune::PruneArguments,
    audit_report::{ReportCommand, VerifyReportArguments},
    audit_verify::VerifyArguments,
    bulk::{RevealArguments, TokensArguments},
    change::{ChangeArguments, RenewArguments},
    config_apply::{ApplyArguments, PlanArguments, RollbackArguments},
    config_check::CheckArguments,
    config_diff::DiffArguments,
    config_explain::ExplainArguments,
    config_history::HistoryArguments,
    config_schema::SchemaArguments,
    config_test::TestArguments,
    detokenize::DetokenizeArguments,
    dev::DevArguments,
    exit::EXIT_CODES,
    explain::ExplainAccessArguments,
    find::FindArguments,
    items::ItemArguments,
    scan::ScanArguments,
    serve::ServeArguments,
    shell::{CompletionsArguments, ManArguments},
    token::{ExportArguments, InspectArguments},
    tokenize::TokenizeArguments,
    witness::{WitnessKeyArguments, WitnessServeArguments},
};

/// The version and the commit that it was built from.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("TOKENVAULT_COMMIT"), ")");

/// A vault that keeps sensitive values and hands out tokens for them
#[derive(Debug, Parser)]
#[command(name = "tokenvault", version = VERSION, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Says what is wrong with the command line, or shows the help or version that was asked for; gives the exit code.
///
/// What was typed is not repeated, unless it is a flag: it can be a value in the wrong place, and messages are kept.
pub(crate) fn refuse(mut refused: clap::Error) -> ExitCode {
    for kind in [ContextKind::InvalidValue, ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let is_known = refused.kind() != ErrorKind::UnknownArgument && kind == ContextKind::InvalidArg;
        let is_typed = |value: &ContextValue| matches!(value, ContextValue::String(typed) if !is_flag(typed));
        if !is_known && refused.get(kind).is_some_and(is_typed) {
            refused.insert(kind, ContextValue::String("(not shown)".to_owned()));
            // A tip repeats it too.
            refused.insert(ContextKind::Suggested, ContextValue::None);
        }
    }
    // Nobody reads it, if it can't be written.
    let _unread = refused.print();
    ExitCode::from(u8::try_from(refused.exit_code()).unwrap_or(2))
}

/// Whether a word can be no value: letters behind two dashes.
fn is_flag(word: &str) -> bool {
    word.strip_prefix("--").is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'))
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Try it out on this machine: a throwaway vault with two regions, and a guided tour on real input
    Dev(DevArguments),
    /// Run the vault
    Serve(ServeArguments),
    /// Look at configurations
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Values in, tokens out
    Tokenize(TokenizeArguments),
    /// Tokens in, values out
    Detokenize(Box<DetokenizeArguments>),
    /// Whole files of values or tokens
    #[command(subcommand)]
    Bulk(BulkCommand),
    /// Who saw what, when and why
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Tokens without their values: what the vault knows of them, and what they tell without a vault
    #[command(subcommand)]
    Token(TokenCommand),
    /// What operators do to a running vault
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Vouch for logs of others: that they only grow, and have one history
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Find card numbers and opaque tokens in files and folders: where they are, never what they are
    Scan(ScanArguments),
    /// Print the script by which a shell completes commands and flags
    Completions(CompletionsArguments),
    /// Write the manual pages
    Man(ManArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Find out what is wrong with a configuration, without serving it
    Check(CheckArguments),
    /// Show what a configuration comes to: every key with its value and who set it, then what is wrong
    Explain(ExplainArguments),
    /// Say who gains and who loses which access from one configuration to another
    Diff(DiffArguments),
    /// Say what applying catalog and policies of a configuration or a version to a running vault would change
    Plan(Box<PlanArguments>),
    /// Have a running vault go by catalog and policies of a configuration, all at once or not at all
    Apply(Box<ApplyArguments>),
    /// Show which catalogs and policies a running vault went by, since when and by whose hand
    History(Box<HistoryArguments>),
    /// Have a running vault go by an earlier version of catalog and policies again
    Rollback(Box<RollbackArguments>),
    /// Hold catalog and policies against a table of what they should decide
    Test(TestArguments),
    /// Print the JSON Schema of a file, for editors and other programs
    Schema(SchemaArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Ask the vault what it knows of tokens beside their values; needs a grant for "describe"
    Describe(Box<ItemArguments>),
    /// Ask the vault which tokens values have already, where the same value has the same; needs a grant for "find"
    Find(Box<FindArguments>),
    /// Ask the vault whether a caller would be shown the values of tokens, and why not; nothing is shown
    Explain(Box<ExplainAccessArguments>),
    /// Give tokens a new end of their lifetime; needs a grant for "renew"
    Renew(Box<RenewArguments>),
    /// Make tokens lead nowhere until they are resumed; needs a grant for "suspend"
    Suspend(Box<ChangeArguments>),
    /// End the suspension of tokens; needs a grant for "resume"
    Resume(Box<ChangeArguments>),
    /// Make tokens lead nowhere, for ever; needs a grant for "revoke"
    Revoke(Box<ChangeArguments>),
    /// Say of opaque tokens whether their form is right, and with check keys of which tenant and class they are
    Inspect(InspectArguments),
    /// Write the check keys of a region into a file, for `token inspect`, `scan` and gateways; the vault must not serve
    ExportCheckKeys(ExportArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Refuse access tokens from now on, at the node that answers, though their issuer still vouches for them
    DenyToken(Box<DenyArguments>),
    /// List the access tokens that are refused so
    DeniedTokens(Box<DeniedArguments>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Make the key of a witness, and print the verifier key that others know it by
    Key(WitnessKeyArguments),
    /// Run a witness: it cosigns checkpoints of the logs that it knows, over HTTP (c2sp.org/tlog-witness)
    Serve(WitnessServeArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum BulkCommand {
    /// Replace the values in columns of a file by tokens: CSV or JSON Lines
    Tokenize(TokensArguments),
    /// Replace the tokens in columns of a file by their values: CSV or JSON Lines
    Detokenize(RevealArguments),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Find entries of the access log, newest first unless asked otherwise; the question becomes an entry too
    Query(Box<QueryArguments>),
    /// Count entries of the access log, by who asked, what was done or when, without reading each of them
    Count(Box<CountArguments>),
    /// Follow a log: entries as they come, oldest first, from any index on
    Tail(Box<TailArguments>),
    /// Fetch the newest signed checkpoint of a log, check its signature, and that it goes on from an older one
    Checkpoint(Box<CheckpointArguments>),
    /// Have the log prove that it holds the entries of receipts, and keep the proofs as files
    Prove(Box<ProveArguments>),
    /// Write a part of a log into a file for other programs, with a manifest that the log's key signs
    Export(Box<ExportAccessLogArguments>),
    /// Verify a file of `audit export` against its manifest, offline
    VerifyExport(VerifyExportArguments),
    /// Write a log of a stopped vault as files that other tools can verify: the layout of c2sp.org/tlog-tiles
    ExportLog(ExportLogArguments),
    /// Answer what auditors ask, with proofs: PCI DSS 10.2, who saw a subject's values, who can and who did, residency
    #[command(subcommand)]
    Report(ReportCommand),
    /// Verify a report and all its proofs, offline
    VerifyReport(VerifyReportArguments),
    /// Verify logs offline: an exported folder, or the data directory of a stopped vault
    Verify(VerifyArguments),
    /// Have a vault archive the entries whose retention is over, and take them from its log
    Prune(Box<PruneArguments>),
    /// The index of a log, by which questions skip what they need not read and counts are made; of a stopped vault
    #[command(subcommand)]
    Index(IndexCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Hold each row of the index against the entries that it is about
    Check(IndexArguments),
    /// Drop the index and build it again from the entries
    Rebuild(IndexArguments),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// clap checks its definitions in debug builds alone; two arguments of one id would overwrite each other here.
    #[test]
    fn no_two_arguments_of_a_command_share_a_name() {
        fn check(command: &clap::Command) {
            let mut seen = std::collections::HashSet::new();
            for argument in command.get_arguments() {
                let long = argument.get_long().unwrap_or(argument.get_id().as_str());
                assert!(seen.insert(argument.get_id().to_string()), "{} {}", command.get_name(), argument.get_id());
                assert!(seen.insert(format!("--{long}")), "{} --{long}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&Arguments::command());
    }

    /// Help, completions and manual pages are made of these texts.
    #[test]
    fn every_command_and_every_argument_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() >= 10, "{} {about:?}", command.get_name());
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    help.len() >= 7 && !help.ends_with('.'),
                    "{} {} {help:?}",
                    command.get_name(),
                    argument.get_id()
                );
                for value in argument.get_possible_values().iter().filter(|_| argument.get_id() != "shell") {
                    assert!(value.is_hide_set() || value.get_help().is_some(), "{} {value:?}", command.get_name());
                }
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Arguments::command();
        command.build();
        check(&command);
    }

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace()).map(|arguments| arguments.command)
    }

    const CONNECTION: &str = "--endpoint https://localhost:8443 --ca ca.pem --cert a.pem --key a.key";

    #[test]
    fn names_are_checked_before_anything_is_sent() {
        let good = format!("tokenvault tokenize --class card_number --audience payments --region eu {CONNECTION}");
        assert!(matches!(parse(&good), Ok(Command::Tokenize(_))));
        for (name, wrong) in [("eu", "EU"), ("payments", "4111111111111111"), ("card_number", "-")] {
            assert!(parse(&good.replace(&format!(" {name} "), &format!(" {wrong} "))).is_err(), "{wrong}");
        }
        let reference = format!("{good} --reference 4111111111111111");
        assert!(parse(&reference).is_err(), "a card number is no reference");
    }

    #[test]
    fn every_command_has_its_place() {
        let bulk = format!(
            "tokenvault bulk tokenize --in a.csv --out b.csv --rejects c.csv --column pan=card_number --region eu \
             --audience payments {CONNECTION}"
        );
        assert!(matches!(parse(&bulk), Ok(Command::Bulk(BulkCommand::Tokenize(_)))));
        let query = format!("tokenvault audit query --region eu --since 1h --all {CONNECTION}");
        assert!(matches!(parse(&query), Ok(Command::Audit(AuditCommand::Query(_)))));
        let checkpoint = format!("tokenvault audit checkpoint --region node {CONNECTION}");
        assert!(matches!(parse(&checkpoint), Ok(Command::Audit(AuditCommand::Checkpoint(_)))));
        assert!(matches!(parse("tokenvault serve --config vault.toml"), Ok(Command::Serve(_))));
        assert!(matches!(parse("tokenvault config check --config vault.toml"), Ok(Command::Config(_))));
        assert!(matches!(parse("tokenvault config explain log --config vault.toml"), Ok(Command::Config(_))));
        assert!(matches!(parse("tokenvault config schema catalog"), Ok(Command::Config(_))));
        assert!(matches!(parse("tokenvault completions bash"), Ok(Command::Completions(_))));
        assert!(matches!(parse("tokenvault man --out man"), Ok(Command::Man(_))));
        let explain = format!(
            "tokenvault token explain --class email --region eu --audience payments --caller corp:orders \
             --caller-role clerk {CONNECTION}"
        );
        assert!(matches!(parse(&explain), Ok(Command::Token(TokenCommand::Explain(_)))));
        let deny = format!("tokenvault admin deny-token --issuer corp 4711 {CONNECTION}");
        assert!(matches!(parse(&deny), Ok(Command::Admin(AdminCommand::DenyToken(_)))));
        assert!(matches!(parse("tokenvault dev --serve"), Ok(Command::Dev(_))));
    }

    #[test]
    fn the_version_names_the_commit() {
        assert!(VERSION.starts_with(env!("CARGO_PKG_VERSION")));
        assert!(VERSION.ends_with(')'), "{VERSION}");
    }
}
