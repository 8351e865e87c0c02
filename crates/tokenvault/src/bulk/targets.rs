//! What a job writes, kept so that it can be cut at any moment: unfinished files beside the ones that are meant, and
//! how much of them belongs to the progress that is on disk. What was written behind that is taken back and done again;
//! the vault knows those calls by their keys.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::fcntl::OFlag;
use vault_client::CallMade;
use vault_domain::{Clock, Entropy, IdempotencyKey, Millis};
use vault_ledger::TreeHash;

use crate::{
    bulk::{
        Begin, Direction, Job,
        files::{self, Files},
        progress::Progress,
        rejects::{REJECT_COLUMNS, Reject},
        statistics::Statistics,
    },
    exit::{Exit, Failure},
    items::hex,
};

/// How often the progress goes to the disk: what lies behind is done again after a cut.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How many batches may be written in between.
const SAVE_BATCHES_MAX: u64 = 1000;
/// Batches behind those that are known to be done that a killed process may have sent.
const AHEAD_MAX: u64 = SAVE_BATCHES_MAX + vault_client::IN_FLIGHT_MAX as u64;

/// A file that is being written.
struct Partial {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

/// What a job writes.
pub(crate) struct Targets<'a> {
    files: Files<'a>,
    direction: Direction,
    overwrite: bool,
    output: Partial,
    rejects: csv::Writer<Partial>,
    progress: Progress,
    clock: Arc<dyn Clock>,
    /// When the progress was saved last in this run, and the batches then; every run comes further than the one before.
    saved: Option<(Duration, u64)>,
    /// The batches that were sent in this run and are not written, and when.
    sent: VecDeque<(u64, Millis)>,
    /// Batches below this number may have been sent by an earlier run, as early as this.
    sent_before: Option<(u64, Millis)>,
    /// Whether all of it goes away if the job ends before it is complete: nothing was sent, or nothing can come of it.
    forgets: bool,
}

/// Finishes a job that was cut when all its rows were done.
pub(crate) fn finish_complete(job: &Job, files: &Files<'_>, clock: &dyn Clock) -> Result<Option<Statistics>, Failure> {
    if job.begin == Begin::Anew {
        return Ok(None);
    }
    let Some(progress) = Progress::read(files)?.filter(|progress| progress.complete) else { return Ok(None) };
    progress.check(job, files, clock.wall())?;
    give_names(files, job.overwrite)?;
    Ok(Some(progress.statistics()))
}

impl<'a> Targets<'a> {
    /// Takes the files of a job: those of one that was cut, or new ones. `head` stands before the rows, `digest` for
    /// it.
    pub(crate) fn take(
        job: &Job,
        files: Files<'a>,
        (head, digest): (&[u8], &TreeHash),
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Failure> {
        files.check_absent(job.overwrite)?;
        let found = Progress::read(&files)?.is_some();
        if !found && job.begin == Begin::Resume {
            let path = files.progress();
            return Err(Failure::usage(format!("there is no unfinished job to go on with: no {}", path.display())));
        }
        // Whoever holds the unfinished output works on the job; a killed process holds nothing.
        let mut output = Partial::open(files.partial_output(), found)?;
        output.hold()?;
        let forget = |failure| {
            if !found {
                let _gone = fs::remove_file(files.partial_output());
            }
            failure
        };
        let mut rejects = Partial::open(files.partial_rejects(), found).map_err(forget)?;
        // It may have been saved or finished while we came here.
        let known = Progress::read(&files)?.filter(|_| job.begin != Begin::Anew);
        let resumes = known.is_some();
        let progress = match known {
            Some(progress) => {
                progress.check(job, &files, clock.wall())?;
                progress
            }
            None => Progress::begin(job, &files, clock.wall(), entropy)?,
        };
        output.cut(progress.output_bytes)?;
        rejects.cut(progress.rejects_bytes)?;
        let rejects = csv::Writer::from_writer(rejects);
        let (direction, overwrite, forgets) = (job.direction(), job.overwrite, !resumes);
        let sent_before = resumes.then(|| (progress.batches + AHEAD_MAX, progress.unwritten_since));
        let (saved, sent) = (None, VecDeque::new());
        let mut targets =
            Self { files, direction, overwrite, output, rejects, progress, clock, saved, sent, sent_before, forgets };
        if !resumes {
            targets.begin(head, digest)?;
        }
        Ok(targets)
    }

    /// Writes what stands before the rows, and the progress of a job at its beginning: the name of the first call is on
    /// disk before it is made.
    fn begin(&mut self, head: &[u8], digest: &TreeHash) -> Result<(), Failure> {
        self.write(head)?;
        self.rejects.write_record(REJECT_COLUMNS).map_err(|error| self.unwritable(&error))?;
        let statistics = self.progress.statistics();
        self.note(0, digest, &statistics)?;
        self.save()
    }

    /// The batches that are done, and what stands for the rows in them.
    pub(crate) fn done(&self) -> (u64, &str) {
        (self.progress.batches, &self.progress.digest)
    }

    /// The counts so far.
    pub(crate) fn statistics(&self) -> Statistics {
        self.progress.statistics()
    }

    /// The name of the job's stream, by which the vault knows again what comes twice.
    pub(crate) fn key(&self) -> Option<IdempotencyKey> {
        self.progress.key(self.direction)
    }

    /// From now on something may have been sent: what is there stays.
    pub(crate) fn sends(&mut self, batch: u64) {
        self.forgets &= !self.progress.resumable;
        self.sent.push_back((batch, self.clock.wall()));
    }

    /// The vault has done nothing of the first batch, which was sent alone: if no earlier run sent anything, it has
    /// done nothing at all.
    pub(crate) fn did_nothing(&mut self) {
        self.forgets |= self.sent_before.is_none() && self.progress.batches == 0;
    }

    /// The job ends because a class is denied, or unknown: all of a batch, or a part of it. To reveal a value once more
    /// does no harm; a token that was made stands for one that must not be made again.
    pub(crate) fn is_denied(&mut self, all: bool) {
        if all || self.direction == Direction::Detokenize {
            self.did_nothing();
        }
    }

    /// Looks whether the calls went where they should.
    pub(crate) fn check_origin(&mut self, calls: &[CallMade]) -> Result<(), Failure> {
        self.progress.check_origin(calls)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.output.write_all(bytes).map_err(|error| Failure::file(&self.output.path, error))
    }

    pub(crate) fn reject(&mut self, reject: &Reject) -> Result<(), Failure> {
        self.rejects.write_record(reject).map_err(|error| self.unwritable(&error))
    }

    /// Notes that so many batches are written; saves that from time to time.
    pub(crate) fn reached(&mut self, batches: u64, digest: &TreeHash, counts: &Statistics) -> Result<(), Failure> {
        self.note(batches, digest, counts)?;
        let now = self.clock.monotonic();
        let due = |(when, done)| now.saturating_sub(when) >= SAVE_INTERVAL || batches - done >= SAVE_BATCHES_MAX;
        if self.saved.is_none_or(due) {
            self.save()?;
            self.saved = Some((self.clock.monotonic(), batches));
        }
        Ok(())
    }

    /// Notes how far the job is. What is written behind it, until the next note, is half a batch.
    fn note(&mut self, batches: u64, digest: &TreeHash, counts: &Statistics) -> Result<(), Failure> {
        self.rejects.flush().map_err(|error| Failure::file(&self.files.partial_rejects(), error))?;
        self.progress.reached(batches, digest, counts);
        while self.sent.pop_front_if(|(batch, _)| *batch < batches).is_some() {}
        let now = self.clock.wall();
        let since = self.sent.front().map_or(now, |(_, when)| *when);
        let before = self.sent_before.filter(|(below, _)| batches < *below);
        self.progress.unwritten_since = before.map_or(since, |(_, when)| since.min(when));
        self.progress.output_bytes = self.output.bytes;
        self.progress.rejects_bytes = self.rejects.get_ref().bytes;
        Ok(())
    }

    /// Puts all that is written onto the disk, and then the last note.
    pub(crate) fn save(&mut self) -> Result<(), Failure> {
        self.output.sync()?;
        self.rejects.get_ref().sync_data()?;
        self.progress.save(&self.files)
    }

    /// Gives the finished files their names.
    pub(crate) fn finish(mut self, digest: &TreeHash, statistics: &Statistics) -> Result<(), Failure> {
        self.note(self.progress.batches, digest, statistics)?;
        // Of a last batch that is not full the hash could stand for a single value, and nobody needs it any more.
        self.progress.digest = String::new();
        self.progress.complete = true;
        self.save()?;
        self.forgets = false;
        give_names(&self.files, self.overwrite)
    }

    /// A failure, and what can be done about the job that it has cut.
    pub(crate) fn explain(&mut self, failure: Failure) -> Failure {
        // What can't be saved is done again.
        if self.forgets || self.save().is_err() {
            return failure;
        }
        let text = format!("{}\n  {}", failure.message(), self.progress.how_to_go_on(self.direction));
        Failure::new(failure.exit, text)
    }

    fn unwritable(&self, error: &csv::Error) -> Failure {
        Failure::file(&self.files.partial_rejects(), error)
    }
}

impl Drop for Targets<'_> {
    fn drop(&mut self) {
        if self.forgets {
            let files = self.files;
            for path in [files.partial_rejects(), files.progress(), files.progress_new(), files.partial_output()] {
                // Nothing depends on it: what stays behind is begun anew.
                let _gone = fs::remove_file(path);
            }
        }
    }
}

/// What to say when a job is stopped.
pub(crate) fn stopped(direction: Direction, files: &Files<'_>) -> Failure {
    let text = match Progress::read(files) {
        Ok(Some(progress)) => format!("stopped; {}", progress.how_to_go_on(direction)),
        _ => "stopped; nothing was written".to_owned(),
    };
    Failure::new(Exit::Failure, text)
}

/// Whether a hash is the one that was kept.
pub(crate) fn is_same(kept: &str, digest: &TreeHash) -> bool {
    kept == hex(&digest.0)
}

impl Partial {
    /// Opens an unfinished file, readable by its owner alone; `known` says that a job left it.
    fn open(path: PathBuf, known: bool) -> Result<Self, Failure> {
        let is_foreign = |there: &fs::Metadata| !there.is_file() || (!known && there.len() > 0);
        if fs::symlink_metadata(&path).as_ref().is_ok_and(is_foreign) {
            let problem = "is there already and belongs to no unfinished job: move it away";
            return Err(Failure::usage(format!("{} {problem}", path.display())));
        }
        // A link that was put there since is not followed.
        let flags = OFlag::O_NOFOLLOW.bits();
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(&path);
        let file = opened.map_err(|error| Failure::file(&path, error))?;
        Ok(Self { path, file: BufWriter::new(file), bytes: 0 })
    }

    /// Makes sure that no other process works on the file, as long as this one lives.
    fn hold(&self) -> Result<(), Failure> {
        match self.file.get_ref().try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(at_work(&self.path)),
            Err(TryLockError::Error(error)) => return Err(Failure::file(&self.path, error)),
        }
        // It may have been finished between opening and locking.
        let mine = self.file.get_ref().metadata().map_err(|error| Failure::file(&self.path, error))?;
        let there = fs::symlink_metadata(&self.path);
        let same = there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino()));
        if same { Ok(()) } else { Err(at_work(&self.path)) }
    }

    /// Cuts it to a length that it must have at least.
    fn cut(&mut self, bytes: u64) -> Result<(), Failure> {
        let file = self.file.get_mut();
        let length = file.metadata().map_err(|error| Failure::file(&self.path, error))?.len();
        if length < bytes {
            let problem = "is shorter than the progress of the job says: restore it, or --restart begins anew";
            return Err(Failure::usage(format!("{} {problem}", self.path.display())));
        }
        let cut = file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes)));
        cut.map_err(|error| Failure::file(&self.path, error))?;
        self.bytes = bytes;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| Failure::file(&self.path, error))?;
        self.sync_data()
    }

    fn sync_data(&self) -> Result<(), Failure> {
        self.file.get_ref().sync_data().map_err(|error| Failure::file(&self.path, error))
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Gives finished files their names; those that have them already were given them before a cut.
fn give_names(files: &Files<'_>, overwrite: bool) -> Result<(), Failure> {
    for (from, to) in [(files.partial_rejects(), files.rejects), (files.partial_output(), files.output)] {
        if from.exists() {
            files::give_name(&from, to, overwrite)?;
            files::sync_folder_of(to)?;
        } else if !to.exists() {
            let problem = "is missing: the job was complete, and somebody took its result away; --restart begins anew";
            return Err(Failure::file(&from, problem));
        }
    }
    let progress = files.progress();
    fs::remove_file(&progress).map_err(|error| Failure::file(&progress, error))?;
    files::sync_folder_of(&progress)
}

fn at_work(path: &Path) -> Failure {
    Failure::new(Exit::Failure, format!("another process is at work on {}: wait for its end", path.display()))
}
