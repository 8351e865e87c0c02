//! `tokenvault bulk`: whole files of CSV or JSON Lines, column by column. Nothing is lost: every row read is written or
//! rejected, in order, and the output appears only when all of it is there. A job that was cut goes on where it was.
//! The file of rejects never holds a value.

mod columns;
mod delimited;
mod encoding;
mod exchange;
mod files;
mod json;
mod pipeline;
mod progress;
mod read_back;
mod rejects;
mod rows;
mod statistics;
mod survey;
mod targets;

use std::{num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vault_client::{CallContext, CallMade, Client, IN_FLIGHT_MAX, NewLife};
use vault_domain::{LevelAsked, SystemClock, SystemEntropy};

pub use read_back::{ReadBack, read_back};

pub(crate) use columns::ColumnRule;
pub(crate) use files::Files;
pub(crate) use rows::{Format, Shape};
pub(crate) use statistics::Statistics;

use crate::{
    bulk::{exchange::Exchange, pipeline::Pipeline, rows::Rows, targets::Targets},
    connection::ConnectionUnlessDry,
    exit::{Exit, Failure},
    items::{ContextArguments, Receipts},
    level::LevelArgument,
    output::{self, OutputArguments, grouped},
    process::StopSignals,
    tokenize::LifeArguments,
};

/// Calls that are open at once, unless told otherwise.
const IN_FLIGHT_DEFAULT: &str = "8";

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Tokenize,
    Detokenize,
}

/// What to do about a job that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Go on with it, or begin if there is none.
    Either,
    /// Go on with it and nothing else.
    Resume,
    /// Forget it.
    Anew,
}

/// What stands below the flags.
const AFTER_HELP: &str = "\
A job that was cut, by whatever, goes on where it was when the same command is given again: what is done lies
beside --out (NAME.partial, NAME.progress) and beside --rejects (NAME.partial) until all of it is there. The vault
recognises calls that are repeated, so that no value gets two tokens; it does so for 24 hours.";

/// A file, and what becomes of it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct BulkArguments {
    /// The file to read, in UTF-8: CSV with a row of column names, or JSON Lines; - for standard input
    #[arg(long = "in", value_name = "FILE")]
    source: PathBuf,
    /// The file to write, of the same form; it appears when all rows are done
    #[arg(long = "out", value_name = "FILE")]
    target: PathBuf,
    /// The CSV file for rows that were refused: row, line, column, reason and remedy, never a value
    #[arg(long, value_name = "FILE")]
    rejects: PathBuf,
    /// A column to be replaced, and the data class of what stands in it; give it once for each column. In JSON Lines
    /// the name is a key of the object, or a JSON Pointer such as /customer/pan
    #[arg(long = "column", value_name = "NAME=CLASS", required = true, value_parser = ColumnRule::parse)]
    columns: Vec<ColumnRule>,
    /// How rows are written [default: by the ending of --in, .csv, .jsonl or .ndjson]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// What separates the cells of CSV, \\t for a tab [default: ,]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// Leave empty cells, empty strings, nulls and missing keys as they are; otherwise a row with one is rejected
    #[arg(long)]
    keep_empty: bool,
    /// Replace --out and --rejects if they are there
    #[arg(long)]
    overwrite: bool,
    /// Read and check the whole input, and say what would be sent: nothing is sent, no file is written, and whether the
    /// vault takes the values is not known. No vault needs to be named for that
    #[arg(long)]
    dry_run: bool,
    /// Go on with a job that was cut, and do nothing if there is none. Without it, one that is there is gone on with,
    /// and another one is begun if not
    #[arg(long, conflicts_with_all = ["restart", "dry_run"])]
    resume: bool,
    /// Forget a job that was cut, and begin anew: values that were sent may get second tokens
    #[arg(long, conflicts_with = "dry_run")]
    restart: bool,
    /// Go on with a job that is older than the vault's memory for calls: values may get second tokens
    #[arg(long)]
    danger_resume_late: bool,
    /// Calls that are open at once, 1 to 64
    #[arg(long, value_name = "CALLS", default_value = IN_FLIGHT_DEFAULT, value_parser = parse_in_flight)]
    in_flight: NonZeroUsize,
    #[command(flatten)]
    context: ContextArguments,
    #[command(flatten)]
    report: OutputArguments,
    #[command(flatten)]
    connection: ConnectionUnlessDry,
}

/// A file to be tokenized.
#[derive(Debug, clap::Args)]
pub(crate) struct TokensArguments {
    #[command(flatten)]
    life: LifeArguments,
    #[command(flatten)]
    file: BulkArguments,
}

/// A file to be detokenized.
#[derive(Debug, clap::Args)]
pub(crate) struct RevealArguments {
    #[command(flatten)]
    level: LevelArgument,
    #[command(flatten)]
    file: BulkArguments,
}

impl BulkArguments {
    fn files(&self) -> Files<'_> {
        Files { input: &self.source, output: &self.target, rejects: &self.rejects }
    }

    fn job(&self, way: Way) -> Result<Job, Failure> {
        let format = self.format.map_or_else(|| self.files().format(), Ok)?;
        if format == Format::Jsonl && self.delimiter.is_some() {
            return Err(Failure::usage("--delimiter is for CSV: JSON Lines have none"));
        }
        if self.resume && self.files().is_standard_input() {
            return Err(Failure::usage(
                "a job that reads standard input can't be gone on with: save it to a file first",
            ));
        }
        let (delimiter, columns) = (self.delimiter.unwrap_or(b','), self.columns.clone());
        Ok(Job {
            way,
            context: self.context.context(None),
            shape: Shape { format, delimiter, keep_empty: self.keep_empty, columns },
            overwrite: self.overwrite,
            begin: match (self.resume, self.restart) {
                (true, _) => Begin::Resume,
                (false, true) => Begin::Anew,
                (false, false) => Begin::Either,
            },
            danger_resume_late: self.danger_resume_late,
            in_flight: self.in_flight,
        })
    }
}

/// Which way, and what is asked for on it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Values become tokens of this life.
    Tokenize(NewLife),
    /// Tokens become so much of their values.
    Detokenize(LevelAsked),
}

/// What is to be done to a file.
pub(crate) struct Job {
    pub(crate) way: Way,
    pub(crate) context: CallContext,
    pub(crate) shape: Shape,
    pub(crate) overwrite: bool,
    pub(crate) begin: Begin,
    /// Go on although the vault may have forgotten the calls.
    pub(crate) danger_resume_late: bool,
    pub(crate) in_flight: NonZeroUsize,
}

impl Job {
    pub(crate) fn direction(&self) -> Direction {
        match self.way {
            Way::Tokenize(_) => Direction::Tokenize,
            Way::Detokenize(_) => Direction::Detokenize,
        }
    }
}

pub(crate) async fn tokenize(TokensArguments { life, file }: TokensArguments) -> Result<Exit, Failure> {
    run(file.job(Way::Tokenize(life.asked()))?, file).await
}

pub(crate) async fn detokenize(RevealArguments { level, file }: RevealArguments) -> Result<Exit, Failure> {
    run(file.job(Way::Detokenize(level.asked()))?, file).await
}

async fn run(job: Job, arguments: BulkArguments) -> Result<Exit, Failure> {
    let direction = job.direction();
    let files = arguments.files();
    let form = arguments.report.form();
    if arguments.dry_run {
        return survey::run(&job, &files, form);
    }
    let mut receipts = Receipts::open(arguments.context.receipts.as_ref())?;
    let mut signals = StopSignals::listen()?;
    let client = arguments.connection.connect().await?;
    let statistics = tokio::select! {
        done = transform(&client, &job, &files, |calls| receipts.keep(calls)) => done?,
        _ = signals.next() => return Err(targets::stopped(direction, &files)),
    };
    statistics.write(output::stdout(), form, direction, &job.shape.columns)?;
    if let Some(unseen) = statistics.unseen(&job.shape.columns) {
        return Err(Failure::new(Exit::Failure, unseen));
    }
    if statistics.rows_rejected == 0 {
        return Ok(Exit::Done);
    }
    let (rejected, path) = (grouped(statistics.rows_rejected), arguments.rejects.display());
    Err(Failure::new(Exit::Failure, format!("{rejected} rows were rejected; {path} says which and why")))
}

/// Does a job, or the rest of it; `on_calls` is told of every call that was made.
pub(crate) async fn transform(
    client: &Client,
    job: &Job,
    files: &Files<'_>,
    on_calls: impl FnMut(&[CallMade]) -> Result<(), Failure>,
) -> Result<Statistics, Failure> {
    files.check()?;
    if let Some(statistics) = targets::finish_complete(job, files, &SystemClock::new())? {
        output::note("a job on this file was cut when all its rows were done; its files have their names now");
        return Ok(statistics);
    }
    let bar = progress_bar(files);
    let rows = Rows::open(bar.wrap_read(files.open()?), job.shape.clone())?;
    let clock = Arc::new(SystemClock::new());
    let mut targets = Targets::take(job, *files, (rows.head(), &rows.digest()), clock.clone(), &SystemEntropy)?;
    let before = targets.statistics().rows_in;
    if before > 0 {
        output::note(&format!("going on with a job that was cut, behind row {}", grouped(before)));
    }
    let stream = Exchange::open(client, job, targets.key())?;
    let exchange = |number, items| stream.send(number, items);
    let mut pipeline = Pipeline { rows, in_flight_max: job.in_flight.get(), clock, exchange };
    let on_progress = |statistics: &Statistics| {
        bar.set_message(format!("{} rows, {}", grouped(statistics.rows_in), statistics.speed()));
    };
    let done = pipeline.run(&mut targets, on_calls, on_progress).await;
    bar.finish_and_clear();
    let (statistics, digest) = done.map_err(|failure| targets.explain(failure))?;
    targets.finish(&digest, &statistics)?;
    Ok(statistics)
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(files: &Files<'_>) -> ProgressBar {
    let length = files.input_bytes();
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = if length.is_some() { "{bar:32} {percent:>3} %  {msg}" } else { "{spinner}  {msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Ok(*byte),
        _ => Err("must be one ASCII character, or \\t for a tab".to_owned()),
    }
}

fn parse_in_flight(text: &str) -> Result<NonZeroUsize, String> {
    let parsed = text.parse().ok().filter(|calls: &NonZeroUsize| calls.get() <= IN_FLIGHT_MAX);
    parsed.ok_or_else(|| format!("must be 1 to {IN_FLIGHT_MAX}"))
}

#[cfg(test)]
mod tests;
