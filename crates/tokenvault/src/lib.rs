//! `tokenvault`: the vault as a process, and what people do with one from a shell. A library for its `main` and for
//! tests that damage what it reads; nobody else should use it.
//!
//! Data go to standard output, messages to standard error. A value is read from standard input or a file; on the
//! command line it could be seen by others. Everything is wired here and in the modules of the commands; no rule of the
//! vault is decided here.

mod admin;
mod arguments;
mod audit;
mod audit_export;
mod audit_index;
mod audit_prune;
mod audit_report;
mod audit_verify;
mod bulk;
mod change;
mod config_apply;
mod config_changes;
mod config_check;
mod config_diff;
mod config_explain;
mod config_history;
mod config_schema;
mod config_test;
mod config_token;
mod connection;
mod describe;
mod detokenize;
mod dev;
mod exit;
mod explain;
mod find;
mod items;
mod latency;
mod level;
mod output;
mod process;
mod scan;
mod serve;
mod shell;
mod small_file;
mod timestamp;
mod token;
mod tokenize;
mod witness;

pub use audit_verify::{read_state, verify_files};
pub use bulk::{ReadBack, read_back};

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use vault_client::TokenChange;

use crate::{
    arguments::{
        AdminCommand, Arguments, AuditCommand, BulkCommand, Command, ConfigCommand, IndexCommand, TokenCommand,
        WitnessCommand,
    },
    exit::{Exit, Failure},
};

/// How long what is left at the end may take to be cleared away. A read of a disk that hangs does not hold up the end.
const CLEAR_AWAY: Duration = Duration::from_secs(5);

/// The whole program: reads the command line, does what it says, and gives the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refused) => return arguments::refuse(refused),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::new(Exit::Failure, format!("no threads can be started: {error}")).report(),
    };
    let ended = runtime.block_on(run(command));
    // What still runs has nothing to say any more, but it may hold a store: RocksDB must be closed when the process
    // takes down what RocksDB stands on.
    runtime.shutdown_timeout(CLEAR_AWAY);
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(),
    }
}

async fn run(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Dev(arguments) => dev::run(arguments).await,
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Config(ConfigCommand::Check(arguments)) => config_check::run(&arguments),
        Command::Config(ConfigCommand::Diff(arguments)) => config_diff::run(&arguments),
        Command::Config(ConfigCommand::Plan(arguments)) => config_apply::plan(*arguments).await,
        Command::Config(ConfigCommand::Apply(arguments)) => config_apply::apply(*arguments).await,
        Command::Config(ConfigCommand::Rollback(arguments)) => config_apply::rollback(*arguments).await,
        Command::Config(ConfigCommand::History(arguments)) => config_history::run(*arguments).await,
        Command::Config(ConfigCommand::Test(arguments)) => config_test::run(&arguments),
        Command::Config(ConfigCommand::Explain(arguments)) => config_explain::run(&arguments),
        Command::Config(ConfigCommand::Schema(arguments)) => config_schema::run(&arguments),
        Command::Tokenize(arguments) => tokenize::run(arguments).await,
        Command::Detokenize(arguments) => detokenize::run(*arguments).await,
        Command::Bulk(BulkCommand::Tokenize(arguments)) => bulk::tokenize(arguments).await,
        Command::Bulk(BulkCommand::Detokenize(arguments)) => bulk::detokenize(arguments).await,
        Command::Audit(AuditCommand::Query(arguments)) => audit::query(*arguments).await,
        Command::Audit(AuditCommand::Count(arguments)) => audit::count(*arguments).await,
        Command::Audit(AuditCommand::Tail(arguments)) => audit::tail(*arguments).await,
        Command::Audit(AuditCommand::Prune(arguments)) => audit_prune::prune(*arguments).await,
        Command::Audit(AuditCommand::Checkpoint(arguments)) => audit::checkpoint(*arguments).await,
        Command::Audit(AuditCommand::Prove(arguments)) => audit::prove(*arguments).await,
        Command::Audit(AuditCommand::Export(arguments)) => audit::export(*arguments).await,
        Command::Audit(AuditCommand::VerifyExport(arguments)) => audit::verify_export(&arguments),
        Command::Audit(AuditCommand::ExportLog(arguments)) => audit_export::export_log(&arguments),
        Command::Audit(AuditCommand::Report(command)) => audit_report::run(command).await,
        Command::Audit(AuditCommand::VerifyReport(arguments)) => audit_report::verify(&arguments),
        Command::Audit(AuditCommand::Index(IndexCommand::Check(arguments))) => audit_index::check(&arguments),
        Command::Audit(AuditCommand::Index(IndexCommand::Rebuild(arguments))) => audit_index::rebuild(&arguments),
        Command::Audit(AuditCommand::Verify(arguments)) => audit_verify::verify(&arguments),
        Command::Token(TokenCommand::Describe(arguments)) => describe::run(*arguments).await,
        Command::Token(TokenCommand::Find(arguments)) => find::run(*arguments).await,
        Command::Token(TokenCommand::Renew(arguments)) => {
            let (change, arguments) = arguments.split();
            change::run(change, arguments).await
        }
        Command::Token(TokenCommand::Suspend(arguments)) => change::run(TokenChange::Suspend, *arguments).await,
        Command::Token(TokenCommand::Resume(arguments)) => change::run(TokenChange::Resume, *arguments).await,
        Command::Token(TokenCommand::Revoke(arguments)) => change::run(TokenChange::Revoke, *arguments).await,
        Command::Token(TokenCommand::Explain(arguments)) => explain::run(*arguments).await,
        Command::Token(TokenCommand::Inspect(arguments)) => token::inspect(&arguments),
        Command::Token(TokenCommand::ExportCheckKeys(arguments)) => token::export_check_keys(arguments).await,
        Command::Admin(AdminCommand::DenyToken(arguments)) => admin::deny(*arguments).await,
        Command::Admin(AdminCommand::DeniedTokens(arguments)) => admin::denied(*arguments).await,
        Command::Witness(WitnessCommand::Key(arguments)) => witness::key(&arguments),
        Command::Witness(WitnessCommand::Serve(arguments)) => witness::serve(arguments).await,
        Command::Scan(arguments) => scan::run(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
    }
}
