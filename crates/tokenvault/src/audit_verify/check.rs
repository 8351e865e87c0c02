//! The check itself, of either kind of source, and how it ends.

use std::time::Duration;

use vault_engine::LogAtRest;
use vault_ledger::{
    Checkpoint, Entry, KnownHead, LogCheck, LogPosition, LogSource, Stopped, TILE_HASHES, TreeHash, TreeHead, TreeSize,
    VerifierKey, parse_minimum_index,
};

use super::files::{LogFilesSource, MemoryFiles, Tiles};
use crate::exit::Failure;

/// Bundles between two looks at the state file: 65,536 entries.
const WATCH_BUNDLES: u64 = 256;

/// A checkpoint that did not come with the log.
#[derive(Clone, Debug)]
pub(crate) struct Outside {
    /// Where it is from, for messages.
    pub(crate) whose: String,
    /// The signed note.
    pub(crate) note: String,
}

impl Outside {
    /// Whether a check that goes on from there comes by it. One that is not signed as it should is a fault either way.
    pub(crate) fn is_beyond(&self, position: &LogPosition, key: &VerifierKey) -> bool {
        Checkpoint::open(&self.note, key).is_ok_and(|checkpoint| checkpoint.head.size.0 > position.entries)
    }
}

/// A log that holds.
#[derive(Debug)]
pub(crate) struct Checked {
    /// Entries in it.
    pub(crate) entries: u64,
    /// The first of which there is more than a hash.
    pub(crate) minimum: u64,
    /// The minimum index by the log's own entries.
    pub(crate) pruned_to: u64,
    /// How many of them a checkpoint covers.
    pub(crate) signed: u64,
    /// Checkpoints that it was held against.
    pub(crate) checkpoints: u64,
    /// The root over all entries.
    pub(crate) root: TreeHash,
}

/// The first thing wrong.
#[derive(Debug)]
pub(crate) struct Bad {
    /// The first entry that is wrong or can't be vouched for, where it is about entries.
    pub(crate) first: Option<u64>,
    /// The last one that it covers.
    pub(crate) last: Option<u64>,
    /// What it is.
    pub(crate) problem: String,
}

/// How a check ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Good(Checked),
    Bad(Bad),
}

/// For how long entries may run on behind the newest checkpoint: ten times the interval of signing.
const UNSIGNED_MAX: Duration = Duration::from_secs(10);

/// Why it ended before its end.
enum Halt {
    Bad(Bad),
    Failure(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl<E: Into<Failure>> From<Stopped<E>> for Halt {
    fn from(stopped: Stopped<E>) -> Self {
        match stopped {
            Stopped::Source(error) => Self::Failure(error.into()),
            Stopped::Fault(fault) => {
                Self::Bad(Bad { first: Some(fault.first), last: Some(fault.last), problem: fault.problem.to_string() })
            }
        }
    }
}

/// Told now and then, and at the end, how far it is safe to go on from, by which checkpoint, and how many entries were
/// checked.
pub(crate) type Watch<'a> = &'a mut dyn FnMut(&LogPosition, Option<&str>, u64) -> Result<(), Failure>;

/// Checks a log as files.
pub(crate) fn check_folder<S: LogFilesSource>(
    files: &S,
    key: &VerifierKey,
    outside: &[Outside],
    from: LogPosition,
    watch: Watch<'_>,
) -> Result<Ended, Failure> {
    check_entries(files, key, outside, from, watch, |_, _| Ok(()))
}

/// Checks a log as files, and shows its entries; what was shown counts if all ends well.
pub(crate) fn check_entries<S: LogFilesSource>(
    files: &S,
    key: &VerifierKey,
    outside: &[Outside],
    from: LogPosition,
    watch: Watch<'_>,
    each: impl FnMut(u64, &Entry) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    let run = || {
        let own = Outside { whose: "the checkpoint of the folder".to_owned(), note: String::new() };
        let note = files.checkpoint()?.ok_or_else(|| bad("the checkpoint is missing"))?;
        let head = open(&Outside { note: note.clone(), ..own.clone() }, key)?;
        let mut run = Run::new(head.size.0, from, key, outside)?;
        run.expect(&own.whose, head, &note);
        let minimum = match files.minimum_index()?.filter(|stated| !stated.is_empty()) {
            None => 0,
            Some(stated) => parse_minimum_index(&stated, head.size.0)
                .ok_or_else(|| bad("the file minimum_index holds no multiple of 256 up to the log's size"))?,
        };
        run.pruned(key, minimum);
        run.all(&Tiles(files), watch, |_| Ok(Vec::new()), each)
    };
    ended(run())
}

/// Checks the log of a store, and shows its entries.
pub(crate) fn check_store(
    log: &LogAtRest,
    key: &VerifierKey,
    outside: &[Outside],
    from: LogPosition,
    watch: Watch<'_>,
    each: impl FnMut(u64, &Entry) -> Result<(), Failure>,
) -> Result<Ended, Failure> {
    let run = || {
        let size = log.size().map_err(Failure::from)?;
        let mut run = Run::new(size, from, key, outside)?;
        let open_stored = |size: u64, note: &str| {
            let stored = Outside { whose: format!("the stored checkpoint of {size} entries"), note: note.to_owned() };
            let head = open(&stored, key)?;
            let is_its_own = head.size.0 == size;
            if is_its_own { Ok((stored, head)) } else { Err(bad(&format!("{} is of another size", stored.whose))) }
        };
        // The newest one tells first whether the log was cut off; the others are met on the way.
        match log.newest_checkpoint().map_err(Failure::from)? {
            Some(newest) => {
                let (stored, head) = open_stored(newest.size, &newest.note)?;
                run.expect(&stored.whose, head, &stored.note);
            }
            None if size > 0 => return Err(bad("no checkpoint is stored: nobody has signed this log")),
            None => {}
        }
        let minimum = log.minimum_index().map_err(Failure::from)?;
        run.pruned(key, minimum);
        let newest = run.newest.as_ref().map_or(0, |(size, _)| *size);
        let stored = |checked: u64| {
            let until = (checked + u64::from(TILE_HASHES)).min(size);
            let stored = log.checkpoints(checked, until).map_err(Failure::from)?;
            let others = stored.iter().filter(|stored| stored.size != newest);
            others.map(|stored| open_stored(stored.size, &stored.note)).collect()
        };
        let checked = run.all(log, watch, stored, each)?;
        // A vault prunes in the commit of the entry that says so.
        if checked.pruned_to < minimum {
            let problem = "the entries are missing, and no entry of a pruning says that they may be";
            let (first, last) = (Some(checked.pruned_to), Some(minimum - 1));
            return Err(Halt::Bad(Bad { first, last, problem: problem.to_owned() }));
        }
        if checked.pruned_to > minimum {
            let problem = "the entries are there, though an entry of the log says that they were pruned";
            let (first, last) = (Some(minimum), Some(checked.pruned_to - 1));
            return Err(Halt::Bad(Bad { first, last, problem: problem.to_owned() }));
        }
        Ok(checked)
    };
    ended(run())
}

fn ended(run: Result<Checked, Halt>) -> Result<Ended, Failure> {
    match run {
        Ok(checked) => Ok(Ended::Good(checked)),
        Err(Halt::Bad(bad)) => Ok(Ended::Bad(bad)),
        Err(Halt::Failure(failure)) => Err(failure),
    }
}

/// A check under way.
struct Run {
    check: LogCheck,
    size: u64,
    heads: u64,
    /// The size and the note of the newest checkpoint that the log has to meet.
    newest: Option<(u64, String)>,
    minimum: u64,
}

impl Run {
    fn new(size: u64, from: LogPosition, key: &VerifierKey, outside: &[Outside]) -> Result<Self, Halt> {
        let mut run = Self { check: LogCheck::new(TreeSize(size), from), size, heads: 0, newest: None, minimum: 0 };
        for given in outside {
            let head = open(given, key)?;
            run.expect(&given.whose, head, &given.note);
        }
        Ok(run)
    }

    /// Says below which index the log's entries need not be there.
    fn pruned(&mut self, key: &VerifierKey, minimum: u64) {
        let log = key.origin().as_str().split_once("/audit/").and_then(|(_, rest)| rest.split('/').next());
        self.check.pruned(log.unwrap_or_default(), minimum);
        self.minimum = minimum;
    }

    fn expect(&mut self, whose: &str, head: TreeHead, note: &str) {
        self.heads += 1;
        if self.newest.as_ref().is_none_or(|(size, _)| *size < head.size.0) {
            self.newest = Some((head.size.0, note.to_owned()));
        }
        self.check.expect(KnownHead { head, whose: whose.to_owned() });
    }

    fn all<S: LogSource<Error: Into<Failure>>>(
        mut self,
        source: &S,
        watch: Watch<'_>,
        mut stored: impl FnMut(u64) -> Result<Vec<(Outside, TreeHead)>, Halt>,
        mut each: impl FnMut(u64, &Entry) -> Result<(), Failure>,
    ) -> Result<Checked, Halt> {
        let mut failed = None;
        let signed = self.newest.as_ref().map_or(0, |(size, _)| *size);
        let mut signed_time = self.check.log_time();
        for bundles in 1_u64.. {
            for (known, head) in stored(self.check.checked())? {
                self.expect(&known.whose, head, &known.note);
            }
            let goes_on = self.check.step(source, |index, entry| {
                if index < signed {
                    signed_time = entry.log_time;
                }
                if failed.is_none() {
                    failed = each(index, entry).err();
                }
            })?;
            if let Some(failure) = failed.take() {
                return Err(failure.into());
            }
            if !goes_on {
                break;
            }
            if bundles.is_multiple_of(WATCH_BUNDLES) {
                self.tell(&mut *watch)?;
            }
        }
        self.tell(watch)?;
        // A vault signs every second. What runs on for longer was not written by one, or what covered it was taken
        // away.
        let unsigned = Duration::from_millis(self.check.log_time().0.saturating_sub(signed_time.0));
        if self.size > signed && unsigned > UNSIGNED_MAX {
            let problem = "no checkpoint covers these entries, and a vault signs one every second";
            let (first, last) = (Some(signed), self.size.checked_sub(1));
            return Err(Halt::Bad(Bad { first, last, problem: problem.to_owned() }));
        }
        let (minimum, pruned_to) = (self.minimum, self.check.pruned_to());
        Ok(Checked { entries: self.size, minimum, pruned_to, signed, checkpoints: self.heads, root: self.check.root() })
    }

    fn tell(&self, watch: Watch<'_>) -> Result<(), Failure> {
        let newest = self.newest.as_ref().filter(|(size, _)| *size >= self.check.position().entries);
        watch(self.check.position(), newest.map(|(_, note)| note.as_str()), self.check.checked())
    }
}

/// Opens a checkpoint by the log's key.
fn open(given: &Outside, key: &VerifierKey) -> Result<TreeHead, Halt> {
    let opened = Checkpoint::open(&given.note, key);
    opened.map(|checkpoint| checkpoint.head).map_err(|error| bad(&format!("{}: {error}", given.whose)))
}

fn bad(problem: &str) -> Halt {
    Halt::Bad(Bad { first: None, last: None, problem: problem.to_owned() })
}

/// What `tokenvault audit verify` says of a log as files, for tests that damage them: the number of entries, or the
/// first one that is wrong and what it is.
///
/// # Errors
/// When the log does not verify, or the key is none.
pub fn verify_files(
    file: impl Fn(&str) -> Option<Vec<u8>>,
    key: &str,
    checkpoints: &[String],
) -> Result<u64, (Option<u64>, String)> {
    let key = VerifierKey::parse(key).map_err(|error| (None, error.to_string()))?;
    let whose = "a checkpoint kept elsewhere".to_owned();
    let outside: Vec<_> = checkpoints.iter().map(|note| Outside { whose: whose.clone(), note: note.clone() }).collect();
    let files = MemoryFiles(file);
    match check_folder(&files, &key, &outside, LogPosition::default(), &mut |_, _, _| Ok(())) {
        Ok(Ended::Good(checked)) => Ok(checked.entries),
        Ok(Ended::Bad(bad)) => Err((bad.first, bad.problem)),
        Err(failure) => Err((None, failure.message().to_owned())),
    }
}
