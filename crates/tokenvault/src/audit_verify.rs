//! `tokenvault audit verify`: a log held against what was signed of it, offline: an exported folder, or the data
//! directory of a vault at rest. Nothing is changed, and no secret key is needed.

mod check;
mod files;
mod state;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use vault_client::LogName;
use vault_engine::{LogAtRest, RecordCheck, RecordsChecked, is_store};
use vault_ledger::{CHECKPOINT_FILE, LogPosition, VERIFIER_KEY_FILE, VerifierKey};

use crate::{
    audit::{note_pruned, parse_log},
    audit_export::{open_store, read_key, stated_key, store_path},
    audit_verify::{
        check::{Checked, check_folder, check_store},
        state::State,
    },
    exit::{Exit, Failure},
    items::hex,
    output::{self, Column, OutputArguments, Records, add},
    small_file::{self, CHECKPOINT_BYTES_MAX},
};

pub use check::verify_files;
pub(crate) use check::{Ended, Outside, check_entries};
pub(crate) use files::FolderFiles;
pub use state::read_state;

const COLUMNS: &[Column] = &[
    ("log", "/log"),
    ("verified", "/verified"),
    ("entries", "/entries"),
    ("unsigned", "/unsigned_entries"),
    ("checkpoints", "/checkpoints"),
    ("key given", "/verifier_key_given"),
    ("first bad entry", "/first_bad_entry"),
    ("problem", "/problem"),
];

/// What to verify, and by what.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Of each log every entry is hashed, and tiles, root, checkpoints and signatures are held \
                        against them; entries must be canonical and log time must not run backwards. The first entry \
                        that is wrong is named.\n\nA key that lies beside the log proves only that the log agrees with \
                        itself: give --verifier-key, which an auditor has from elsewhere. A checkpoint that was kept \
                        elsewhere tells a log that was rolled back, cut off or written anew with the same key: give \
                        --checkpoint, as often as you like. docs/AUDIT.md says what each check proves.\n\nExit code 4: \
                        a log does not verify.")]
pub(crate) struct VerifyArguments {
    /// A folder from `tokenvault audit export-log`, or the data directory of a stopped vault or a copy of one
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Of a data directory, this region's log alone, or "node" [default: all logs in it]
    #[arg(long, value_name = "REGION|node", value_parser = parse_log)]
    region: Option<LogName>,
    /// A log's verifier key, or a file with it, that you got by another way; give it once for each log
    #[arg(long = "verifier-key", alias = "key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// A checkpoint that was kept elsewhere, which the log must continue; give it once for each
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Hold the records of a data directory against its logs too: what was removed, put in or exchanged
    #[arg(long, conflicts_with = "state")]
    records: bool,
    /// Keep here how far it came, and go on from there the next time; of one log alone
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn verify(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let keys: Vec<_> = arguments.keys.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?;
    let outside: Vec<_> = arguments.checkpoints.iter().map(|path| read_outside(path)).collect::<Result<_, _>>()?;
    let mut logs = logs(arguments, &keys)?;
    if arguments.state.is_some() && logs.len() > 1 {
        return Err(Failure::usage("--state is of one log: name it by --region"));
    }
    for (path, given) in arguments.checkpoints.iter().zip(outside) {
        let origin = given.note.lines().next().unwrap_or_default();
        match logs.iter_mut().find(|log| log.key.origin().as_str() == origin) {
            Some(log) => log.outside.push(given),
            None => {
                return Err(Failure::new(
                    Exit::NotVerified,
                    format!("{}: there is no log here that this is a checkpoint of", path.display()),
                ));
            }
        }
    }
    if let Some(unused) = keys.iter().find(|key| logs.iter().all(|log| log.key != **key)) {
        let problem = format!("there is no log {} here that the key given could be of", unused.origin());
        return Err(Failure::new(Exit::NotVerified, problem));
    }
    let mut records = Records::new(output::stdout(), arguments.output.form(), COLUMNS);
    let mut exit = Exit::Done;
    for log in &logs {
        let (record, is_good) = log.verify(arguments)?;
        if !is_good {
            exit = Exit::NotVerified;
        }
        records.push(&record)?;
    }
    records.finish()?;
    if logs.iter().any(|log| !log.key_given) {
        output::warn(
            "a key that lies beside a log proves only that the log agrees with itself: get it another way (`tokenvault \
             audit checkpoint` at a vault that you trust shows it), and give it by --verifier-key",
        );
    }
    Ok(exit)
}

/// A log that is to be verified.
struct Log {
    path: PathBuf,
    source: Source,
    key: VerifierKey,
    key_given: bool,
    outside: Vec<Outside>,
}

enum Source {
    Folder(FolderFiles),
    Store(LogAtRest),
}

/// Finds the logs, and the key of each.
fn logs(arguments: &VerifyArguments, keys: &[VerifierKey]) -> Result<Vec<Log>, Failure> {
    let path = &arguments.path;
    if path.join(CHECKPOINT_FILE).exists() || path.join("tile").is_dir() {
        if arguments.records || arguments.region.is_some() {
            return Err(Failure::usage("--records and --region are for data directories: this is a folder of one log"));
        }
        let key = match keys {
            [key] => key.clone(),
            [] => read_key(&path.join(VERIFIER_KEY_FILE).to_string_lossy())?,
            _ => return Err(Failure::usage("a folder of one log has one verifier key")),
        };
        let source = Source::Folder(FolderFiles::new(path));
        return Ok(vec![Log { path: path.clone(), source, key, key_given: !keys.is_empty(), outside: Vec::new() }]);
    }
    let stores = match &arguments.region {
        Some(region) => vec![store_path(path, &region.to_string())],
        None if is_store(path) => vec![path.clone()],
        None => stores_in(path)?,
    };
    stores.into_iter().map(|path| log_of_store(path, keys)).collect()
}

fn log_of_store(path: PathBuf, keys: &[VerifierKey]) -> Result<Log, Failure> {
    let log = open_store(&path)?;
    // Not the key that the store states, but the log that it is of, tells which one was given for it.
    let is_of = |key: &&VerifierKey| match key.origin().as_str().split_once("/audit/") {
        Some((vault, rest)) => vault == log.vault() && rest.split('/').next() == Some(log.name()),
        None => false,
    };
    let given = keys.iter().find(is_of);
    let key = match given {
        Some(key) => key.clone(),
        None => stated_key(&log)?,
    };
    Ok(Log { path, source: Source::Store(log), key, key_given: given.is_some(), outside: Vec::new() })
}

/// The stores below a data directory, by name.
pub(crate) fn stores_in(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let names = fs::read_dir(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let mut stores = Vec::new();
    for name in names {
        let name = name.map_err(|error| Failure::file(path, error))?.path();
        if is_store(&name) {
            stores.push(name);
        }
    }
    if stores.is_empty() {
        let problem =
            "this is neither an exported log (there is no checkpoint) nor a data directory (there is no store)";
        return Err(Failure::usage(format!("{}: {problem}", path.display())));
    }
    stores.sort();
    Ok(stores)
}

fn read_outside(path: &Path) -> Result<Outside, Failure> {
    let note = small_file::read(path, CHECKPOINT_BYTES_MAX);
    let note = note.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    Ok(Outside { whose: path.display().to_string(), note })
}

impl Log {
    /// Verifies it; the outcome, and whether all is well.
    fn verify(&self, arguments: &VerifyArguments) -> Result<(Value, bool), Failure> {
        let state = arguments.state.as_deref();
        let before = state.map(|path| State::read(path, &self.key)).transpose()?.flatten();
        let mut outside = self.outside.clone();
        let mut from = LogPosition::default();
        if let Some(State { position, checkpoint }) = before {
            if outside.iter().any(|given| !given.is_beyond(&position, &self.key)) {
                output::note("a checkpoint lies before the state: the log is read from its beginning");
            } else {
                from = position;
            }
            outside.push(Outside { whose: "the checkpoint in --state".to_owned(), note: checkpoint });
        }
        let resumed_from = from.entries;
        let bar = progress_bar(self.size()?);
        let mut records = match &self.source {
            Source::Store(log) => RecordCheck::of(log)?,
            Source::Folder(_) => RecordCheck::default(),
        };
        let mut watch = |position: &LogPosition, checkpoint: Option<&str>, checked: u64| {
            bar.set_position(checked);
            match (state, checkpoint) {
                (Some(path), Some(note)) => State::write(path, &self.key, position, note),
                _ => Ok(()),
            }
        };
        let ended = match &self.source {
            Source::Folder(files) => check_folder(files, &self.key, &outside, from, &mut watch),
            Source::Store(log) => check_store(log, &self.key, &outside, from, &mut watch, |index, entry| {
                if arguments.records { records.entry(log, index, entry).map_err(Failure::from) } else { Ok(()) }
            }),
        };
        bar.finish_and_clear();
        let ended = ended?;
        if let Ended::Good(Checked { minimum, pruned_to, .. }) = &ended {
            note_pruned(*minimum);
            if pruned_to < minimum {
                output::note("no entry of this folder says so; archives of before have to reach as far");
            }
        }
        let mut record = self.record(&ended, resumed_from);
        let mut is_good = matches!(ended, Ended::Good(_));
        if let (Source::Store(log), true, true) = (&self.source, arguments.records, is_good) {
            let checked = records.finish(log)?;
            is_good = checked.faults == 0;
            add_records(&mut record, &checked);
        }
        Ok((record, is_good))
    }

    fn size(&self) -> Result<u64, Failure> {
        match &self.source {
            Source::Folder(files) => Ok(files.size_stated()),
            Source::Store(log) => Ok(log.size()?),
        }
    }

    fn record(&self, ended: &Ended, resumed_from: u64) -> Value {
        let mut record = json!({
            "log": self.key.origin().as_str(),
            "path": self.path.display().to_string(),
            "verified": matches!(ended, Ended::Good(_)),
            "verifier_key": self.key.to_string(),
            "verifier_key_given": self.key_given,
            "resumed_from": resumed_from,
        });
        match ended {
            Ended::Good(Checked { entries, minimum, pruned_to, signed, checkpoints, root }) => {
                add(&mut record, "entries", *entries);
                add(&mut record, "minimum_index", *minimum);
                add(&mut record, "minimum_index_is_of_log", *minimum == 0 || pruned_to == minimum);
                add(&mut record, "unsigned_entries", entries - signed);
                add(&mut record, "checkpoints", *checkpoints);
                add(&mut record, "root", hex(&root.0));
            }
            Ended::Bad(bad) => {
                add(&mut record, "first_bad_entry", bad.first);
                add(&mut record, "last_bad_entry", bad.last);
                add(&mut record, "problem", bad.problem.as_str());
            }
        }
        record
    }
}

fn add_records(record: &mut Value, checked: &RecordsChecked) {
    add(record, "records", checked.records);
    add(record, "states", checked.states);
    add(record, "record_faults", checked.faults);
    add(record, "untold_records", checked.untold);
    add(record, "purged_records", checked.purged);
    add(record, "overdue_records", checked.overdue);
    if let Some(first) = &checked.first {
        add(record, "verified", false);
        add(record, "problem", first.to_string());
    }
}

fn progress_bar(entries: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(entries), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:32} {percent:>3} %  {human_pos} of {human_len} entries  {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
