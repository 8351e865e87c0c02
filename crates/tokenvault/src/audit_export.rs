//! `tokenvault audit export-log`: a log of a vault at rest, as files that anybody's tools can verify.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde_json::json;
use vault_client::LogName;
use vault_engine::{EntryAbsent, LogAtRest, Memory, OpenError, ReadError, is_store};
use vault_ledger::{Checkpoint, LedgerError, LogFiles, VerifierKey};

use crate::{
    audit::{note_pruned, parse_log},
    exit::{Exit, Failure},
    items::hex,
    output::{self, OutputArguments, write_summary},
    small_file,
};

/// Memory for the blocks of a store that is read from end to end.
const CACHE_BYTES: usize = 16 << 20;

/// Which log, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Writes the layout of c2sp.org/tlog-tiles: checkpoint, tile/<level>/<number>, \
                        tile/entries/<number>, and beside it vkey, the log's verifier key. docs/AUDIT.md says how to \
                        verify that, with tools of your own too. The entries of a region name people in sealed form \
                        alone; those of the node name them in the clear.\n\nThe data directory is only read; the vault \
                        must not serve from it.")]
pub(crate) struct ExportLogArguments {
    /// The data directory of a stopped vault, or a copy of one
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The region whose log is exported, or "node" for that of the node
    #[arg(long, value_name = "REGION|node", value_parser = parse_log)]
    region: LogName,
    /// The folder to write; made with mode 0700, never over one that holds something
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// The log's verifier key, or a file with it [default: the one that the store states]
    #[arg(long, alias = "key", value_name = "KEY|FILE")]
    verifier_key: Option<String>,
    #[command(flatten)]
    output: OutputArguments,
}

pub(crate) fn export_log(arguments: &ExportLogArguments) -> Result<Exit, Failure> {
    let ExportLogArguments { data, region, out, verifier_key, output } = arguments;
    let name = region.to_string();
    let log = open_store(&store_path(data, &name))?;
    if log.name() != name {
        return Err(Failure::usage(format!("{}: this is the store of {}", data.display(), log.name())));
    }
    let key = match verifier_key {
        Some(key) => read_key(key)?,
        None => stated_key(&log)?,
    };
    let size = log.size()?;
    let newest = log.newest_checkpoint()?.ok_or_else(|| {
        Failure::new(Exit::Failure, "the log has no checkpoint yet: let the vault serve and stop once")
    })?;
    let refuse = |problem: String| Failure::new(Exit::NotVerified, problem);
    let checkpoint =
        Checkpoint::open(&newest.note, &key).map_err(|error| refuse(format!("the newest checkpoint: {error}")))?;
    let signed = checkpoint.head.size.0;
    if signed > size {
        return Err(refuse(format!("the log was cut off: {size} entries are there and {signed} were signed")));
    }
    let mut folder = Folder::make(out)?;
    let mut files = LogFiles::new();
    let minimum = log.minimum_index()?;
    log.pruned(minimum, |hash| files.pruned(hash, |path, bytes| folder.put(path, bytes)))?;
    log.entries(minimum, signed, |_, entry| files.entry(entry, |path, bytes| folder.put(path, bytes)))?;
    if files.frontier().head() != checkpoint.head {
        return Err(refuse(format!(
            "the entries are not those of the newest checkpoint: {} is left without one; `tokenvault audit verify` on \
             the data directory tells which entry is wrong",
            out.display()
        )));
    }
    files.finish(&key, &newest.note, |path, bytes| folder.put(path, bytes))?;
    folder.sync()?;
    let record = json!({
        "folder": out.display().to_string(),
        "log": key.origin().as_str(),
        "entries": signed,
        "minimum_index": minimum,
        "unsigned_entries": size - signed,
        "root": hex(&checkpoint.head.root.0),
        "files": folder.files,
        "verifier_key": key.to_string(),
    });
    write_summary(output::stdout(), output.form(), &record)?;
    note_pruned(minimum);
    if size > signed {
        output::note("entries behind the newest checkpoint are left out: start and stop the vault to have them signed");
    }
    Ok(Exit::Done)
}

/// A folder that is being written.
struct Folder {
    path: PathBuf,
    made: PathBuf,
    files: u64,
}

impl Folder {
    fn make(path: &Path) -> Result<Self, Failure> {
        let made = DirBuilder::new().mode(0o700).create(path);
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let mut names = fs::read_dir(path).map_err(|error| Failure::file(path, error))?;
                if names.next().is_some() {
                    return Err(Failure::file(path, "it holds something: name a new folder, or an empty one"));
                }
            }
            Err(error) => return Err(Failure::file(path, error)),
        }
        Ok(Self { path: path.to_owned(), made: PathBuf::new(), files: 0 })
    }

    /// Writes a file that is not there yet.
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.path.join(path);
        let refuse = |error| Failure::file(&path, error);
        if let Some(parent) = path.parent().filter(|parent| *parent != self.made) {
            fs::create_dir_all(parent).map_err(refuse)?;
            self.made = parent.to_owned();
        }
        let mut file = File::create_new(&path).map_err(refuse)?;
        file.write_all(bytes).map_err(refuse)?;
        self.files += 1;
        Ok(())
    }

    /// Has the system put everything on the disk.
    fn sync(&self) -> Result<(), Failure> {
        let folder = File::open(&self.path).map_err(|error| Failure::file(&self.path, error))?;
        nix::unistd::syncfs(&folder).map_err(|error| Failure::file(&self.path, error))
    }
}

/// Where a log lies in a data directory; the directory may be the store itself.
pub(crate) fn store_path(data: &Path, name: &str) -> PathBuf {
    if is_store(data) { data.to_owned() } else { data.join(name) }
}

pub(crate) fn open_store(path: &Path) -> Result<LogAtRest, Failure> {
    let log = LogAtRest::open(path, &Memory::new(CACHE_BYTES, CACHE_BYTES))?;
    if let Some(detail) = log.torn() {
        output::warn(&format!("the end of the write-ahead log is torn, as after a crash ({detail})"));
    }
    Ok(log)
}

/// The key that the store states itself.
pub(crate) fn stated_key(log: &LogAtRest) -> Result<VerifierKey, Failure> {
    let stated = log.stated_key()?.ok_or_else(|| {
        Failure::usage(
            "the store does not state its log's key: give --verifier-key, as `tokenvault audit checkpoint` shows it",
        )
    })?;
    VerifierKey::parse(&stated)
        .map_err(|error| Failure::new(Exit::NotVerified, format!("the key that the store states: {error}")))
}

/// The longest file with a verifier key that is read.
const KEY_BYTES_MAX: u64 = 4096;

/// Reads a verifier key, or the file that has it.
pub(crate) fn read_key(given: &str) -> Result<VerifierKey, Failure> {
    parse_key(given).map_err(|problem| Failure::usage(format!("--verifier-key: {problem}")))
}

/// The same as a parser of arguments.
pub(crate) fn parse_key(given: &str) -> Result<VerifierKey, String> {
    let text = if given.contains('+') {
        given.to_owned()
    } else {
        small_file::read(Path::new(given), KEY_BYTES_MAX)
            .map_err(|error| format!("neither a verifier key nor a file with one: {given}: {error}"))?
    };
    VerifierKey::parse(text.trim_end_matches(['\r', '\n'])).map_err(|error| error.to_string())
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::new(Exit::Failure, error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        Self::new(Exit::Failure, error.to_string())
    }
}

impl From<EntryAbsent> for Failure {
    fn from(error: EntryAbsent) -> Self {
        Self::new(Exit::NotVerified, error.to_string())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        Self::new(Exit::NotVerified, error.to_string())
    }
}
