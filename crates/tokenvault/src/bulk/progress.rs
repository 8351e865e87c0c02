//! How far an unfinished job is: a file beside the output, from which the next run goes on. It holds counts, names and
//! hashes, never a value or a token.
//!
//! A hash stands for everything that was read up to a full batch, many values at once: no single one can be guessed
//! from it. A file that fits one batch leaves none.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    time::Duration,
};

use serde_json::{Value, json};
use vault_client::{CallMade, NewLife};
use vault_domain::{Entropy, IdempotencyKey, LevelAsked, Millis, limits};
use vault_ledger::TreeHash;

use crate::{
    bulk::{
        Direction, Job, Way,
        files::{self, Files},
        rows::Format,
        statistics::Statistics,
    },
    exit::{Exit, Failure},
    items::hex,
    output::grouped,
    timestamp,
};

/// Of the file, and of the way in which rows are cut into batches: another cut under the same keys would be refused.
const VERSION: u64 = 1;
/// The longest file of progress that is read.
const PROGRESS_BYTES_MAX: u64 = 1024 * 1024;
/// How long after a call was sent it may be repeated. The vault remembers keys for 24 hours; the rest is for clocks
/// that differ, and for the time until the job is past what was sent before.
const RESUME_WINDOW: Duration = limits::IDEMPOTENCY_WINDOW.saturating_sub(Duration::from_secs(3600));

/// A job, and how far it is.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Drawn once; names the calls of the job.
    job: String,
    begun: Millis,
    /// When the first of the calls may have been sent whose rows are not yet known to be written.
    pub(crate) unwritten_since: Millis,
    /// What must be the same in every run.
    options: Value,
    /// What tells the input file from a later one of that name.
    input: Option<String>,
    /// Whether the input can be read once more.
    pub(crate) resumable: bool,
    /// All rows are done; what is left is to give the files their names.
    pub(crate) complete: bool,
    /// The batches that are written and on disk.
    pub(crate) batches: u64,
    /// Stands for what was read, to the end of these batches.
    pub(crate) digest: String,
    /// The bytes of the unfinished files that belong to them.
    pub(crate) output_bytes: u64,
    pub(crate) rejects_bytes: u64,
    /// The name of the log that the calls went to.
    origin: Option<String>,
    /// Which log of that name: the leaf hash of its first entry. Older versions did not keep it.
    log: Option<String>,
    /// The newest entry of a call whose rows are written.
    entry: u64,
    /// The same when this run began.
    entry_before: Option<u64>,
    statistics: Value,
}

impl Progress {
    /// A job that begins.
    pub(crate) fn begin(job: &Job, files: &Files<'_>, begun: Millis, entropy: &dyn Entropy) -> Result<Self, Failure> {
        let mut drawn = [0; 16];
        entropy.fill(&mut drawn).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        Ok(Self {
            job: hex(&drawn),
            begun,
            unwritten_since: begun,
            options: options(job, files),
            input: files.input_stamp(),
            resumable: !files.is_standard_input(),
            complete: false,
            batches: 0,
            digest: String::new(),
            output_bytes: 0,
            rejects_bytes: 0,
            origin: None,
            log: None,
            entry: 0,
            entry_before: None,
            statistics: Statistics::of_columns(job.shape.columns.len()).keep(),
        })
    }

    /// Reads the progress that lies beside the output, if any does.
    pub(crate) fn read(files: &Files<'_>) -> Result<Option<Self>, Failure> {
        let path = files.progress();
        let length = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&path, error)),
            Ok(metadata) => {
                if metadata.is_file() {
                    metadata.len()
                } else {
                    u64::MAX
                }
            }
        };
        let text = if length <= PROGRESS_BYTES_MAX { fs::read(&path) } else { Ok(Vec::new()) };
        let text = text.map_err(|error| Failure::file(&path, error))?;
        let read = serde_json::from_slice(&text).ok().as_ref().and_then(Self::parse);
        read.map(Some).ok_or_else(|| {
            let problem =
                "is no progress of a job that this version can go on with: move it away, or name another --out";
            Failure::usage(format!("{} {problem}", path.display()))
        })
    }

    fn parse(kept: &Value) -> Option<Self> {
        let number = |name: &str| kept.get(name)?.as_u64();
        let text = |name: &str| kept.get(name)?.as_str().map(str::to_owned);
        Statistics::kept(kept.get("statistics")?)?;
        (number("tokenvault_bulk")? == VERSION).then_some(())?;
        Some(Self {
            job: text("job").filter(|job| IdempotencyKey::parse(&stream_key(job)).is_ok())?,
            begun: Millis(number("begun_ms")?),
            unwritten_since: Millis(number("unwritten_since_ms")?),
            options: kept.get("options").filter(|options| options.is_object())?.clone(),
            input: text("input"),
            resumable: kept.get("resumable")?.as_bool()?,
            complete: kept.get("complete")?.as_bool()?,
            batches: number("batches")?,
            digest: text("digest")?,
            output_bytes: number("output_bytes")?,
            rejects_bytes: number("rejects_bytes")?,
            origin: text("origin"),
            log: text("log"),
            entry: number("entry").unwrap_or_default(),
            entry_before: number("entry"),
            statistics: kept.get("statistics")?.clone(),
        })
    }

    /// Writes it in place of the one before, in one step and onto the disk.
    pub(crate) fn save(&self, files: &Files<'_>) -> Result<(), Failure> {
        let kept = json!({
            "tokenvault_bulk": VERSION,
            "job": self.job,
            "begun_ms": self.begun.0,
            "unwritten_since_ms": self.unwritten_since.0,
            "options": self.options,
            "input": self.input,
            "resumable": self.resumable,
            "complete": self.complete,
            "batches": self.batches,
            "digest": self.digest,
            "output_bytes": self.output_bytes,
            "rejects_bytes": self.rejects_bytes,
            "origin": self.origin,
            "log": self.log,
            "entry": self.entry,
            "statistics": self.statistics,
        });
        let (new, path) = (files.progress_new(), files.progress());
        let write = || {
            // What a cut left there goes; so does a link that somebody put there, and what it leads to is not touched.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(format!("{kept:#}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| Failure::file(&new, error))?;
        files::sync_folder_of(&path)
    }

    /// Notes how far the job is.
    pub(crate) fn reached(&mut self, batches: u64, digest: &TreeHash, statistics: &Statistics) {
        self.batches = batches;
        self.digest = hex(&digest.0);
        self.statistics = statistics.keep();
    }

    /// The counts so far.
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics::kept(&self.statistics).unwrap_or_default()
    }

    /// The name of the job's stream. A reveal needs none: its repeat does no harm.
    pub(crate) fn key(&self, direction: Direction) -> Option<IdempotencyKey> {
        Some(stream_key(&self.job))
            .filter(|_| direction == Direction::Tokenize)
            .and_then(|key| IdempotencyKey::parse(&key).ok())
    }

    /// Refuses to go on when this is another job, or one that can't be gone on with.
    pub(crate) fn check(&self, job: &Job, files: &Files<'_>, now: Millis) -> Result<(), Failure> {
        let there = files.progress();
        let there = there.display();
        if !self.resumable || files.is_standard_input() {
            return Err(Failure::usage(format!(
                "{there} is of an unfinished job, which can't be gone on with: standard input can't be read twice. \
                 --restart begins anew; values that were sent may get second tokens"
            )));
        }
        let options = options(job, files);
        let now_given = options.as_object().into_iter().flatten();
        let (unsaid, all) = (Value::Null, Value::from(LevelAsked::FULL.name()));
        let before = |name: &str| self.options.get(name).unwrap_or(if name == LEVEL { &all } else { &unsaid });
        let others = now_given.filter(|(name, value)| before(name) != *value);
        let was = |name: &String| format!("{name} was {}", before(name));
        let others: Vec<_> = others.map(|(name, _)| was(name)).collect();
        if !others.is_empty() {
            return Err(Failure::usage(format!(
                "{there} is of an unfinished job with other options: {}. Give the same to go on with it, or --restart \
                 to begin anew; values that were sent may get second tokens then",
                others.join("; ")
            )));
        }
        if self.complete {
            // Its rows are not read again.
            return if self.input.is_some() && self.input == files.input_stamp() {
                Ok(())
            } else {
                Err(Failure::usage(format!(
                    "{there} is of a job that was cut when all its rows were done, and the input has changed since. \
                     Its result lies in {}; --restart forgets it and begins anew",
                    files.partial_output().display()
                )))
            };
        }
        let last = self.unwritten_since.saturating_add(RESUME_WINDOW);
        if job.direction() == Direction::Tokenize && now > last && !job.danger_resume_late {
            return Err(Failure::usage(format!(
                "{there} is of a job that began at {} and was cut more than 23 hours ago. The vault recognises the \
                 repeat of a call for 24 hours: what was sent and is not yet written may get second tokens now, in \
                 classes where a value has no fixed one. --danger-resume-late goes on nevertheless, --restart begins \
                 anew",
                timestamp::show(self.begun)
            )));
        }
        Ok(())
    }

    /// Refuses calls that went to another vault than those before: to one of another name, or of the same name with
    /// another log. A log only grows, and a call that is repeated has an entry of its own: one that is not as far as an
    /// earlier run's calls has lost what it had, or is another one, where nothing is kept that tells.
    pub(crate) fn check_origin(&mut self, calls: &[CallMade]) -> Result<(), Failure> {
        for receipt in calls.iter().filter_map(|call| call.outcome.as_ref().ok()) {
            let origin = receipt.origin.as_str();
            let known = self.origin.get_or_insert_with(|| origin.to_owned());
            if known != origin {
                return Err(Failure::new(
                    Exit::Failure,
                    format!(
                        "the job was begun at {known}, and this is {origin}: go on at the vault where it was begun"
                    ),
                ));
            }
            let id = hex(&receipt.log_id.0);
            let log = self.log.get_or_insert_with(|| id.clone());
            if *log != id {
                return Err(Failure::new(
                    Exit::Failure,
                    format!(
                        "the job was begun at the vault whose log {origin} has the id {log}, and this one's has {id}: \
                         this is another vault of that name. Go on at the vault where the job was begun; --restart \
                         begins anew"
                    ),
                ));
            }
            let index = receipt.index.0;
            if let Some(before) = self.entry_before.filter(|before| index <= *before) {
                return Err(Failure::new(
                    Exit::Failure,
                    format!(
                        "the job has calls up to entry {before} of {origin}, and a new one is entry {index}: this is \
                         another vault of that name, or one that lost what it had. Go on at the vault where the job \
                         was begun; --restart begins anew"
                    ),
                ));
            }
            self.entry = self.entry.max(index);
        }
        Ok(())
    }

    /// Tells how to go on.
    pub(crate) fn how_to_go_on(&self, direction: Direction) -> String {
        let rows = grouped(self.statistics().rows_in);
        let until = match direction {
            Direction::Tokenize => {
                format!(" until {}", timestamp::show(self.unwritten_since.saturating_add(RESUME_WINDOW)))
            }
            Direction::Detokenize => String::new(),
        };
        format!("{rows} rows are done and kept: the same command goes on behind them{until}; --restart begins anew")
    }
}

/// The option that jobs of older versions did not have: they asked for all.
const LEVEL: &str = "--level";

/// The name of a job's stream.
fn stream_key(job: &str) -> String {
    format!("bulk-{job}")
}

/// What must be the same in every run of a job: it decides what is sent under which key, and what is written.
fn options(job: &Job, files: &Files<'_>) -> Value {
    let columns: Vec<_> =
        job.shape.columns.iter().map(|rule| format!("{}={}", rule.name, rule.class.as_str())).collect();
    let context = &job.context;
    let rejects = files::place(files.rejects).unwrap_or_else(|| files.rejects.to_owned());
    let mut options = json!({
        "command": match job.direction() {
            Direction::Tokenize => "bulk tokenize",
            Direction::Detokenize => "bulk detokenize",
        },
        "--format": match job.shape.format { Format::Csv => "csv", Format::Jsonl => "jsonl" },
        "--delimiter": char::from(job.shape.delimiter).to_string(),
        "--keep-empty": job.shape.keep_empty,
        "--column": columns,
        "--region": context.region.as_str(),
        "--audience": context.audience.as_str(),
        "--purpose": context.purpose.as_ref().map(vault_domain::Purpose::as_str),
        "--reference": context.reference.as_ref().map(vault_domain::Reference::as_str),
        "--rejects": rejects.to_string_lossy(),
    });
    let own = match job.way {
        Way::Tokenize(NewLife { ttl, not_before, max_uses }) => json!({
            "--ttl": ttl.map(|ttl| ttl.as_secs()),
            "--not-before": not_before.map(timestamp::show),
            "--max-uses": max_uses,
        }),
        Way::Detokenize(level) => json!({ LEVEL: level.name() }),
    };
    if let (Value::Object(options), Value::Object(own)) = (&mut options, own) {
        options.extend(own);
    }
    options
}
