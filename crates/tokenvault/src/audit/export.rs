//! `tokenvault audit export`: a part of the log as a file, and beside it the manifest that the log's key has signed.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufWriter, ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use serde_json::json;
use vault_client::{AccessLogQuery, ExportDone, ExportPart, ExportRange};
use vault_domain::{Purpose, Reference, Region};
use vault_ledger::{ExportFormat, VerifierKey};

use super::{Filters, Period};
use crate::{
    audit_export::parse_key,
    connection::Connection,
    exit::{Exit, Failure},
    items::hex,
    output::{self, OutputArguments, write_summary},
};

/// What stands behind a file's name for its manifest.
pub(crate) const MANIFEST_ENDING: &str = ".manifest";
/// What stands behind the name of a file that is being written.
const PART_ENDING: &str = ".part";

/// What is exported, as what, and where to.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Writes FILE and FILE.manifest: which log, which part of it, which bytes, who asked, signed by the \
                        log's key. Both come into being when the export is whole. `tokenvault audit verify-export` \
                        checks them offline; docs/EXPORT.md says what each format holds."
)]
pub(crate) struct ExportAccessLogArguments {
    /// The region whose log is exported
    #[arg(long, value_parser = Region::parse)]
    region: Region,
    /// jsonl, csv, ocsf, cef or parquet
    #[arg(long, value_parser = parse_format)]
    format: ExportFormat,
    /// The file to write; readable by its owner alone
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace FILE and FILE.manifest if they are there
    #[arg(long)]
    force: bool,
    /// Why you ask: the name of a purpose in the catalog
    #[arg(long, value_parser = Purpose::parse)]
    purpose: Option<Purpose>,
    /// A ticket, for the entry of this export
    #[arg(long, value_parser = Reference::parse)]
    reference: Option<Reference>,
    /// The first entry to look at [default: 0]
    #[arg(long, value_name = "INDEX", help_heading = "Filters")]
    from_index: Option<u64>,
    /// The entry before which it ends [default: the log's end when it begins]
    #[arg(long, value_name = "INDEX", help_heading = "Filters")]
    until_index: Option<u64>,
    #[command(flatten)]
    period: Period,
    #[command(flatten)]
    filters: Filters,
    /// Check the signature by this key, which you got by another way: ORIGIN+ID+KEY, or a file with it
    #[arg(long, value_name = "KEY|FILE", value_parser = parse_key)]
    verifier_key: Option<VerifierKey>,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn export(arguments: ExportAccessLogArguments) -> Result<Exit, Failure> {
    let query = AccessLogQuery {
        purpose: arguments.purpose,
        reference: arguments.reference,
        filter: arguments.filters.within(&arguments.period)?,
        ..AccessLogQuery::all(arguments.region)
    };
    let range = ExportRange { from: arguments.from_index.unwrap_or(0), until: arguments.until_index };
    // What stands in the way is told before the vault is asked.
    let (to, manifest) = (&arguments.to, beside(&arguments.to, MANIFEST_ENDING));
    refuse_present(to, arguments.force)?;
    refuse_present(&manifest, arguments.force)?;
    let client = arguments.connection.connect().await?;
    let pinned = arguments.verifier_key.clone();
    let mut export = client.export_access_log(&query, range, arguments.format, pinned).await?;
    let (mut part, mut note) = (Part::make(to)?, Part::make(&manifest)?);
    let done = loop {
        match export.next().await? {
            ExportPart::Bytes(bytes) => part.write(&bytes)?,
            ExportPart::Done(done) => break done,
        }
    };
    note.write(done.note.as_bytes())?;
    // Both are on the disk before anything that was there is touched. The manifest last: a file without one is known
    // not to be whole. An old one must not stand beside a new file, however this ends.
    part.sync()?;
    note.sync()?;
    if arguments.force && fs::symlink_metadata(&manifest).is_ok() {
        refuse_present(&manifest, true)?;
        fs::remove_file(&manifest).map_err(|error| Failure::file(&manifest, error))?;
        sync_folder(&manifest)?;
    }
    part.finish(arguments.force)?;
    note.finish(arguments.force)?;
    sync_folder(to)?;
    say(&arguments.output, to, &manifest, &done)?;
    match arguments.verifier_key {
        Some(_) => output::note("the signature is that of the key you gave"),
        None => output::note("the signature is that of the key the vault states itself: give --verifier-key"),
    }
    Ok(Exit::Done)
}

fn say(output: &OutputArguments, to: &Path, manifest: &Path, done: &ExportDone) -> Result<(), Failure> {
    let ExportDone { manifest: said, verifier_key, .. } = done;
    let record = json!({
        "file": to.display().to_string(),
        "manifest": manifest.display().to_string(),
        "log": said.origin.as_str(),
        "from": said.from,
        "to": said.to,
        "format": said.format.name(),
        "entries": said.exported.entries,
        "rows": said.exported.rows,
        "bytes": said.exported.bytes,
        "sha256": hex(&said.exported.sha256),
        "verifier_key": verifier_key.to_string(),
    });
    write_summary(output::stdout(), output.form(), &record)?;
    Ok(())
}

/// A path with something behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Refuses what is there: with `force` a regular file may be replaced, and nothing else.
fn refuse_present(path: &Path, force: bool) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(there) if force && there.is_file() => Ok(()),
        Ok(there) if there.is_file() => {
            Err(Failure::usage(format!("{} is there already: name another file, or give --force", path.display())))
        }
        Ok(_) => Err(Failure::usage(format!("{} is no regular file: name another one", path.display()))),
    }
}

/// Has the names in a file's folder outlive a power cut.
fn sync_folder(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::file(folder, error))
}

/// A file that is being written under a name of its own, and gets its name when it is whole.
struct Part {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    is_kept: bool,
}

impl Part {
    /// Whoever writes a part has it locked: one that is not was left by an export that was killed.
    fn make(path: &Path) -> Result<Self, Failure> {
        let part = beside(path, PART_ENDING);
        let fault = |error| Failure::file(&part, error);
        let in_use = || Failure::usage(format!("{} is being written by another export", part.display()));
        let locked = |file: &File| match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(in_use()),
            Err(TryLockError::Error(error)) => Err(fault(error)),
        };
        match fs::symlink_metadata(&part) {
            Err(_) => {}
            Ok(there) if there.is_file() => {
                // Held until the new one is locked. The old one is not written to: its bytes may have another name too.
                let left = OpenOptions::new().read(true).custom_flags(NOT_THROUGH_LINKS).open(&part).map_err(fault)?;
                locked(&left)?;
                fs::remove_file(&part).map_err(fault)?;
                output::note(&format!("{} was left by an export that did not end; it begins anew", part.display()));
            }
            Ok(_) => return Err(Failure::usage(format!("{} is no regular file: remove it", part.display()))),
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = opened.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => in_use(),
            _ => fault(error),
        })?;
        locked(&file)?;
        // Between making and locking it another one could take it for one that was left.
        let (own, there) = (file.metadata().map_err(fault)?, fs::symlink_metadata(&part).map_err(|_| in_use())?);
        if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
            return Err(in_use());
        }
        Ok(Self { path: path.to_owned(), part, file: BufWriter::new(file), is_kept: false })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| Failure::file(&self.part, error))
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(|error| Failure::file(&self.part, error))?;
        self.file.get_ref().sync_all().map_err(|error| Failure::file(&self.part, error))
    }

    /// Gives a part that is synced its name.
    fn finish(mut self, force: bool) -> Result<(), Failure> {
        if force {
            refuse_present(&self.path, true)?;
            fs::rename(&self.part, &self.path).map_err(|error| Failure::file(&self.path, error))?;
            self.is_kept = true;
        } else {
            // Unlike a rename it does not replace what came into being meanwhile; the part goes when this is dropped.
            fs::hard_link(&self.part, &self.path).map_err(|error| Failure::file(&self.path, error))?;
        }
        Ok(())
    }
}

/// A link is not followed, and a pipe is not waited for.
const NOT_THROUGH_LINKS: i32 = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).bits();

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept {
            let _gone_already = fs::remove_file(&self.part);
        }
    }
}

fn parse_format(text: &str) -> Result<ExportFormat, &'static str> {
    ExportFormat::parse(text).ok_or(ExportFormat::RULE)
}
