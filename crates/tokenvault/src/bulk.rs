//! `tokenvault bulk`: whole CSV files, column by column. Nothing is lost: every row read is written or rejected, in
//! order, and the output appears only when all of it is there. The file of rejects never holds a value.

mod columns;
mod pipeline;
mod rows;
mod statistics;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tempfile::NamedTempFile;
use vault_client::{CallContext, CallMade, Client, ClientError, HeldToken, IN_FLIGHT_MAX, IssuedToken, NewValue};
use vault_domain::{Plaintext, Reason, SystemClock, TokenText};
use zeroize::Zeroizing;

pub(crate) use columns::ColumnRule;
pub(crate) use statistics::Statistics;

use crate::{
    bulk::{
        columns::Columns,
        pipeline::{Exchanged, Pipeline, Replacement},
        rows::{Item, Rows},
    },
    connection::Connection,
    exit::{Exit, Failure},
    items::{ContextArguments, Receipts},
    output::{self, OutputArguments, grouped},
    process::StopSignals,
};

/// Calls that are open at once, unless told otherwise.
const IN_FLIGHT_DEFAULT: &str = "8";
/// How often a call is made again that lost against others.
const CONFLICTS_MAX: u64 = 10;
/// How long it waits before: others are done by then.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Tokenize,
    Detokenize,
}

/// A file to be tokenized or detokenized.
#[derive(Debug, clap::Args)]
pub(crate) struct BulkArguments {
    /// The CSV file to read, with a row of column names; - for standard input
    #[arg(long = "in", value_name = "FILE")]
    source: PathBuf,
    /// The CSV file to write; it appears when all rows are done
    #[arg(long = "out", value_name = "FILE")]
    target: PathBuf,
    /// The CSV file for rows that were refused: row, column, reason and remedy, never a value
    #[arg(long, value_name = "FILE")]
    rejects: PathBuf,
    /// A column to be replaced, and the data class of what stands in it; give it once for each column
    #[arg(long = "column", value_name = "NAME=CLASS", required = true, value_parser = ColumnRule::parse)]
    columns: Vec<ColumnRule>,
    /// What separates the cells
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,
    /// Leave empty cells empty; otherwise a row with one is rejected
    #[arg(long)]
    keep_empty: bool,
    /// Replace --out and --rejects if they are there
    #[arg(long)]
    overwrite: bool,
    /// Calls that are open at once, 1 to 64
    #[arg(long, value_name = "CALLS", default_value = IN_FLIGHT_DEFAULT, value_parser = parse_in_flight)]
    in_flight: NonZeroUsize,
    #[command(flatten)]
    context: ContextArguments,
    #[command(flatten)]
    report: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

/// What is to be done to a file.
pub(crate) struct Job {
    pub(crate) direction: Direction,
    pub(crate) context: CallContext,
    pub(crate) columns: Vec<ColumnRule>,
    pub(crate) delimiter: u8,
    pub(crate) keep_empty: bool,
    pub(crate) overwrite: bool,
    pub(crate) in_flight: NonZeroUsize,
}

/// The files of a job.
pub(crate) struct Files<'a> {
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) rejects: &'a Path,
}

impl Files<'_> {
    /// Refuses files that would overwrite each other, and targets that are something else than a file: replacing a
    /// device or a link by a file is never what was meant.
    fn check(&self, overwrite: bool) -> Result<(), Failure> {
        let named = [("--in", self.input), ("--out", self.output), ("--rejects", self.rejects)];
        for (at, (flag, path)) in named.iter().enumerate() {
            for (other_flag, other) in named.iter().take(at) {
                if same_file(path, other) {
                    let text = format!("{other_flag} and {flag} are the same file, {}: name three", path.display());
                    return Err(Failure::usage(text));
                }
            }
        }
        for (flag, path) in named.into_iter().skip(1) {
            if path == Path::new("-") {
                return Err(Failure::usage(format!("{flag} has to be a file: it appears when all rows are done")));
            }
            let Ok(there) = fs::symlink_metadata(path) else { continue };
            let path = path.display();
            if !there.is_file() {
                return Err(Failure::usage(format!("{path} is there already, and is no regular file; name another")));
            }
            if !overwrite {
                return Err(Failure::usage(format!("{path} is there already; --overwrite replaces it")));
            }
        }
        Ok(())
    }
}

/// Whether two paths name one file, which need not be there yet.
fn same_file(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        fs::canonicalize(path).ok().or_else(|| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            Some(fs::canonicalize(folder).ok()?.join(path.file_name()?))
        })
    };
    one == other || place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other))
}

pub(crate) async fn run(direction: Direction, arguments: BulkArguments) -> Result<Exit, Failure> {
    let mut receipts = Receipts::open(arguments.context.receipts.as_ref())?;
    let mut signals = StopSignals::listen()?;
    let client = arguments.connection.connect().await?;
    let job = Job {
        direction,
        context: arguments.context.context(None),
        columns: arguments.columns,
        delimiter: arguments.delimiter,
        keep_empty: arguments.keep_empty,
        overwrite: arguments.overwrite,
        in_flight: arguments.in_flight,
    };
    let files = Files { input: &arguments.source, output: &arguments.target, rejects: &arguments.rejects };
    let statistics = tokio::select! {
        done = transform(&client, &job, &files, |calls| receipts.keep(calls)) => done?,
        () = signals.next() => return Err(Failure::new(Exit::Failure, "stopped; nothing was written")),
    };
    output::write_summary(output::stdout(), arguments.report.form(), &statistics.to_json())?;
    if statistics.rows_rejected == 0 {
        return Ok(Exit::Done);
    }
    let (rejected, path) = (grouped(statistics.rows_rejected), arguments.rejects.display());
    Err(Failure::new(Exit::Failure, format!("{rejected} rows were rejected; {path} says which and why")))
}

/// Does a job; `on_calls` is told of every call that was made.
pub(crate) async fn transform(
    client: &Client,
    job: &Job,
    files: &Files<'_>,
    on_calls: impl FnMut(&[CallMade]) -> Result<(), Failure>,
) -> Result<Statistics, Failure> {
    files.check(job.overwrite)?;
    let progress = progress(files.input);
    let input = open(files.input)?;
    let mut output = csv_writer(files.output, job.delimiter)?;
    let mut rejects = csv_writer(files.rejects, b',')?;
    let rows = Rows::read(progress.wrap_read(input), job.delimiter, job.keep_empty, |header| {
        Columns::locate(&job.columns, header)
    })?;
    let exchange = |items| exchange(client.clone(), job.direction, job.context.clone(), items);
    let pipeline = Pipeline { rows, in_flight_max: job.in_flight.get(), clock: Arc::new(SystemClock::new()), exchange };
    let on_progress = |statistics: &Statistics| {
        progress.set_message(format!("{} rows, {}", grouped(statistics.rows_in), statistics.speed()));
    };
    let statistics = pipeline.run(&mut output, &mut rejects, on_calls, on_progress).await?;
    progress.finish_and_clear();
    keep(rejects, files.rejects, job.overwrite)?;
    keep(output, files.output, job.overwrite)?;
    Ok(statistics)
}

/// Sends the items of some rows.
async fn exchange(
    client: Client,
    direction: Direction,
    context: CallContext,
    items: Vec<Item>,
) -> Result<Exchanged, ClientError> {
    until_unopposed(|| send(&client, direction, &context, &items)).await
}

/// Sends again what lost against others. Rows that stand close together often hold the same value; where two calls want
/// to be the first with it, the vault may tell one to try again as a whole.
async fn until_unopposed<F, Fut>(send: F) -> Result<Exchanged, ClientError>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<Sent, ClientError>>,
{
    let mut conflicts = 0;
    loop {
        let error = match send().await {
            Ok((results, calls)) => match calls.iter().find_map(|call| call.outcome.as_ref().err()) {
                None => return Ok(Exchanged { results, calls, conflicts }),
                Some(error) => error.clone(),
            },
            Err(error) => error,
        };
        if error.reason() != Some(Reason::CommitConflict) || conflicts >= CONFLICTS_MAX {
            return Err(error);
        }
        conflicts += 1;
        tokio::time::sleep(CONFLICT_PAUSE).await;
    }
}

/// What became of items, and the calls that it took.
type Sent = (Vec<Result<Replacement, ClientError>>, Vec<CallMade>);

async fn send(
    client: &Client,
    direction: Direction,
    context: &CallContext,
    items: &[Item],
) -> Result<Sent, ClientError> {
    match direction {
        Direction::Tokenize => {
            let value = |item: &Item| NewValue {
                class: item.class.clone(),
                value: Plaintext::new(item.cell.clone()),
                subject: None,
            };
            let answer = client.tokenize(context, items.iter().map(value).collect()).await?;
            let replacement = |issued: IssuedToken| Replacement {
                created: issued.created,
                cell: Zeroizing::new(issued.token.into_exposed().into_bytes()),
            };
            Ok((answer.results.into_iter().map(|result| result.map(replacement)).collect(), answer.calls))
        }
        Direction::Detokenize => {
            // A cell that is not UTF-8 is no token; what stands for it is none either, and is refused by the vault.
            let held = |item: &Item| HeldToken {
                class: item.class.clone(),
                token: TokenText::new(std::str::from_utf8(&item.cell).unwrap_or("?").to_owned()),
            };
            let answer = client.detokenize(context, items.iter().map(held).collect()).await?;
            let replacement =
                |value: Plaintext| Replacement { created: false, cell: Zeroizing::new(value.into_exposed()) };
            Ok((answer.results.into_iter().map(|result| result.map(replacement)).collect(), answer.calls))
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(Box::new(BufReader::new(file)))
}

/// A file beside the one that is meant, readable by its owner alone; it takes the name when all of it is written.
fn csv_writer(path: &Path, delimiter: u8) -> Result<csv::Writer<BufWriter<NamedTempFile>>, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(folder).map_err(|error| Failure::file(path, error))?;
    Ok(csv::WriterBuilder::new().delimiter(delimiter).from_writer(BufWriter::new(file)))
}

/// Gives a finished file its name.
fn keep(writer: csv::Writer<BufWriter<NamedTempFile>>, path: &Path, overwrite: bool) -> Result<(), Failure> {
    let refuse = |error: &dyn std::fmt::Display| Failure::file(path, error);
    let buffered = writer.into_inner().map_err(|error| refuse(&error))?;
    let file = buffered.into_inner().map_err(|error| refuse(&error))?;
    file.as_file().sync_all().map_err(|error| refuse(&error))?;
    let kept = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|error| refuse(&error.error))
}

/// A bar on a terminal, nothing elsewhere.
fn progress(input: &Path) -> ProgressBar {
    let length = fs::metadata(input).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len());
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
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("must be one ASCII character, or \\t for a tab".to_owned()),
    }
}

fn parse_in_flight(text: &str) -> Result<NonZeroUsize, String> {
    let parsed = text.parse().ok().filter(|calls: &NonZeroUsize| calls.get() <= IN_FLIGHT_MAX);
    parsed.ok_or_else(|| format!("must be 1 to {IN_FLIGHT_MAX}"))
}

#[cfg(test)]
mod tests;
