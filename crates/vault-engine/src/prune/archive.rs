//! The archive of what is pruned: a folder of c2sp.org/tlog-tiles that verifies on its own.
//!
//! It holds the log as it was at the first checkpoint that covers all that goes: every hash from the first entry on,
//! and the entries from the minimum index before the pruning, so that one archive begins where the one before ended, or
//! earlier. It is written beside its place, synced, read again and verified, and only then put there: a folder with
//! its name is whole.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use vault_domain::LogIndex;
use vault_journal::{Journal, JournalError};
use vault_ledger::{
    CHECKPOINT_FILE, Checkpoint, KnownHead, LedgerError, LogCheck, LogFiles, LogPosition, LogSource,
    MINIMUM_INDEX_FILE, Problem, Stopped, TILE_HASHES, TileId, TreeHash, TreeHead, TreeSize, bundle_path,
    parse_minimum_index,
};
use vault_store::{
    Direction, ReadError, Reader,
    table::{CheckpointSize, Checkpoints, Entries, TileNumber, Tiles},
    wait,
};

/// The log that is archived.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) journal: Journal,
    pub(super) reader: Reader,
    pub(super) name: String,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("no checkpoint covers what is to be archived")]
    NoCheckpoint,
    #[error("the entries are not those of the checkpoint")]
    Forked,
    #[error("{path} does not verify: at entry {index}: {problem}; move it away")]
    Entry { path: PathBuf, index: u64, problem: Problem },
    #[error("{path} is not the archive of these entries: move it away")]
    Another { path: PathBuf },
}

/// Writes the archive of a log's entries from `from` to before `until` into a folder of its own below `directory`, or
/// finds it whole, from a pruning that did not get further. Gives its tree and its folder.
pub(super) fn write(
    source: &Source,
    directory: &Path,
    from: u64,
    until: u64,
) -> Result<(TreeHead, PathBuf), ArchiveError> {
    let parent = directory.join(&source.name);
    let path = parent.join(format!("{from:012}-{until:012}"));
    if !path.exists() {
        let fresh = path.with_extension("part");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|error| file(&fresh, error))?;
        }
        fill(source, &fresh, from, until)?;
        verify(source, &fresh, from, until)?;
        fs::rename(&fresh, &path).map_err(|error| file(&path, error))?;
        for folder in [&parent, directory] {
            sync(folder)?;
        }
    }
    let head = verify(source, &path, from, until)?;
    Ok((head, path))
}

fn file(path: &Path, source: io::Error) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), source }
}

fn sync(path: &Path) -> Result<(), ArchiveError> {
    File::open(path).and_then(|opened| opened.sync_all()).map_err(|error| file(path, error))
}

/// Writes all files and syncs them.
fn fill(source: &Source, path: &Path, from: u64, until: u64) -> Result<(), ArchiveError> {
    let Source { journal, reader, .. } = source;
    let rows = wait(reader.snapshot().scan(Checkpoints, CheckpointSize(until).., Direction::Forward, 1))?;
    let note = rows.iter().next().map(|(_, note)| String::from_utf8_lossy(note).into_owned());
    let note = note.ok_or(ArchiveError::NoCheckpoint)?;
    let head = Checkpoint::open(&note, journal.verifier_key())?.head;
    let mut folder = Folder { path: path.to_owned(), made: BTreeSet::new() };
    let mut files = LogFiles::new();
    for number in 0..from / u64::from(TILE_HASHES) {
        let missing = LedgerError::TileMissing { level: 0, index: number };
        let tile = wait(reader.snapshot().get(Tiles, &TileNumber { level: 0, number }))?.ok_or(missing)?;
        for hash in tile.as_chunks().0 {
            files.pruned(TreeHash(*hash), |path, bytes| folder.put(path, bytes))?;
        }
    }
    let mut next = from;
    while next < head.size.0 {
        let range = LogIndex(next)..LogIndex(head.size.0);
        let rows = wait(reader.snapshot().scan(Entries, range, Direction::Forward, usize::from(TILE_HASHES)))?;
        for (index, entry) in rows.iter() {
            if index.0 != next {
                break;
            }
            files.entry(entry, |path, bytes| folder.put(path, bytes))?;
            next += 1;
        }
        if rows.iter().next().is_none_or(|(index, _)| index.0 >= next) {
            return Err(JournalError::EntryMissing { index: next }.into());
        }
    }
    if files.frontier().head() != head {
        return Err(ArchiveError::Forked);
    }
    files.finish(journal.verifier_key(), &note, |path, bytes| folder.put(path, bytes))?;
    folder.made.iter().try_for_each(|made| sync(made))
}

/// A folder that is being written.
struct Folder {
    path: PathBuf,
    /// The folders within it, itself among them.
    made: BTreeSet<PathBuf>,
}

impl Folder {
    fn put(&mut self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        let path = self.path.join(name);
        for folder in path.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.path)) {
            if !self.made.contains(folder) {
                DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| file(folder, error))?;
                self.made.insert(folder.to_owned());
            }
        }
        let mut opened = File::create_new(&path).map_err(|error| file(&path, error))?;
        opened.write_all(bytes).and_then(|()| opened.sync_all()).map_err(|error| file(&path, error))
    }
}

/// Reads a folder from its beginning to its end and holds every entry and hash against its checkpoint.
fn verify(source: &Source, path: &Path, from: u64, until: u64) -> Result<TreeHead, ArchiveError> {
    let another = || ArchiveError::Another { path: path.to_owned() };
    let files = Files(path);
    let note = files.read(CHECKPOINT_FILE)?.ok_or_else(another)?;
    let head = Checkpoint::open(&String::from_utf8_lossy(&note), source.journal.verifier_key())?.head;
    let stated = match files.read(MINIMUM_INDEX_FILE)? {
        Some(stated) => parse_minimum_index(&stated, head.size.0).ok_or_else(another)?,
        None => 0,
    };
    if stated != from || head.size.0 < until {
        return Err(another());
    }
    let mut check = LogCheck::new(TreeSize(head.size.0), LogPosition::default());
    check.pruned(&source.name, from);
    check.expect(KnownHead { head, whose: "the archive's checkpoint".to_owned() });
    loop {
        match check.step(&files, |_, _| ()) {
            Ok(true) => {}
            Ok(false) => return Ok(head),
            Err(Stopped::Source(error)) => return Err(error),
            Err(Stopped::Fault(fault)) => {
                let (path, index) = (path.to_owned(), fault.first);
                return Err(ArchiveError::Entry { path, index, problem: fault.problem });
            }
        }
    }
}

/// The files of a folder.
struct Files<'a>(&'a Path);

impl Files<'_> {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = self.0.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file(&path, error)),
        }
    }
}

impl LogSource for Files<'_> {
    type Error = ArchiveError;
    const HAS_PARTIAL_TILES: bool = true;

    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.read(&bundle_path(index, width))
    }

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.read(&id.path())
    }
}
