//! The files of a job, and what lies beside them while it is unfinished.

use std::{
    ffi::OsString,
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    bulk::rows::Format,
    exit::{Exit, Failure},
};

/// The files that a job is given.
#[derive(Clone, Copy)]
pub(crate) struct Files<'a> {
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) rejects: &'a Path,
}

impl Files<'_> {
    pub(crate) fn is_standard_input(&self) -> bool {
        self.input == Path::new("-")
    }

    /// How far the job is: `<out>.progress`.
    pub(crate) fn progress(&self) -> PathBuf {
        beside(self.output, ".progress")
    }

    /// What takes its place: `<out>.progress.new`.
    pub(crate) fn progress_new(&self) -> PathBuf {
        beside(self.output, ".progress.new")
    }

    /// What is written so far: `<out>.partial`.
    pub(crate) fn partial_output(&self) -> PathBuf {
        beside(self.output, ".partial")
    }

    /// What is rejected so far: `<rejects>.partial`.
    pub(crate) fn partial_rejects(&self) -> PathBuf {
        beside(self.rejects, ".partial")
    }

    /// Refuses files that would overwrite each other, and targets that are something else than a file: replacing a
    /// device or a link by a file is never what was meant.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let named = [
            ("--in", self.input.to_owned()),
            ("--out", self.output.to_owned()),
            ("--rejects", self.rejects.to_owned()),
            ("the progress of the job", self.progress()),
            ("the progress of the job", self.progress_new()),
            ("the unfinished --out", self.partial_output()),
            ("the unfinished --rejects", self.partial_rejects()),
        ];
        for (at, (flag, path)) in named.iter().enumerate() {
            for (other_flag, other) in named.iter().take(at) {
                if same_file(path, other) {
                    let text = format!("{other_flag} and {flag} are the same file, {}: name three", path.display());
                    return Err(Failure::usage(text));
                }
            }
        }
        for (flag, path) in [("--out", self.output), ("--rejects", self.rejects)] {
            if path == Path::new("-") {
                return Err(Failure::usage(format!("{flag} has to be a file: it appears when all rows are done")));
            }
            if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
                let path = path.display();
                return Err(Failure::usage(format!("{path} is there already, and is no regular file; name another")));
            }
        }
        Ok(())
    }

    /// Refuses targets that are there already.
    pub(crate) fn check_absent(&self, overwrite: bool) -> Result<(), Failure> {
        for path in [self.output, self.rejects] {
            if !overwrite && fs::symlink_metadata(path).is_ok() {
                let path = path.display();
                return Err(Failure::usage(format!("{path} is there already; --overwrite replaces it")));
            }
        }
        Ok(())
    }

    /// The format by the ending of the input's name.
    pub(crate) fn format(&self) -> Result<Format, Failure> {
        let ending = self.input.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            _ => {
                let input =
                    if self.is_standard_input() { "standard input".into() } else { self.input.to_string_lossy() };
                Err(Failure::usage(format!(
                    "the name of {input} does not end in .csv, .jsonl or .ndjson: give --format csv or --format jsonl"
                )))
            }
        }
    }

    pub(crate) fn open(&self) -> Result<Box<dyn Read>, Failure> {
        if self.is_standard_input() {
            return Ok(Box::new(io::stdin().lock()));
        }
        let refuse = |problem: &dyn std::fmt::Display| Failure::usage(format!("{}: {problem}", self.input.display()));
        let file = fs::File::open(self.input).map_err(|error| refuse(&error))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(refuse(&"is a directory; name a file"));
        }
        Ok(Box::new(file))
    }

    /// What tells the input file from a later one of the same name: its inode, its length, when it was changed.
    pub(crate) fn input_stamp(&self) -> Option<String> {
        let there = fs::metadata(self.input).ok().filter(fs::Metadata::is_file)?;
        Some(format!("{}-{}-{}.{:09}", there.ino(), there.len(), there.mtime(), there.mtime_nsec()))
    }

    /// The length of the input, if it is a file.
    pub(crate) fn input_bytes(&self) -> Option<u64> {
        fs::metadata(self.input).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

/// The name with something behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Whether two paths name one file, which need not be there yet.
fn same_file(one: &Path, other: &Path) -> bool {
    one == other || place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other))
}

/// Where a file is, or will be.
pub(crate) fn place(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok().or_else(|| Some(fs::canonicalize(folder(path)).ok()?.join(path.file_name()?)))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Sees to it that a name which was given to a file in this folder outlives a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), Failure> {
    let synced = fs::File::open(folder(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Failure::file(folder(path), error))
}

/// Gives a finished file its name. Without leave to overwrite, a file of that name that has come since is kept.
pub(crate) fn give_name(from: &Path, to: &Path, overwrite: bool) -> Result<(), Failure> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    let renamed = if overwrite {
        fs::rename(from, to)
    } else {
        match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
            // Not every file system can do both in one step.
            Err(nix::Error::EINVAL | nix::Error::ENOSYS) if fs::symlink_metadata(to).is_err() => fs::rename(from, to),
            done => done.map_err(io::Error::from),
        }
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::new(
            Exit::Failure,
            format!(
                "{} has come while the job ran; the result lies in {}: the same command with --overwrite puts it there",
                to.display(),
                from.display()
            ),
        ),
        _ => Failure::file(to, error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_came_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert!(give_name(&from, &to, false).unwrap_err().message().contains("--overwrite"));
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        give_name(&from, &to, true).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert!(!from.exists());
    }

    #[test]
    fn no_two_files_of_a_job_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let check = |input: &str, output: &str, rejects: &str| {
            Files { input: &path(input), output: &path(output), rejects: &path(rejects) }.check()
        };
        assert!(check("a.csv", "b.csv", "c.csv").is_ok());
        for (input, output, rejects) in
            [("a", "a", "c"), ("a", "b", "b"), ("b.partial", "b", "c"), ("a", "b", "b.progress"), ("a", "b", "./a")]
        {
            assert!(check(input, output, rejects).is_err(), "{input} {output} {rejects}");
        }
    }

    #[test]
    fn the_format_is_that_of_the_ending() {
        let format = |name: &str| {
            let path = Path::new(name);
            Files { input: path, output: path, rejects: path }.format()
        };
        assert_eq!(format("a.CSV").unwrap(), Format::Csv);
        assert_eq!(format("a.jsonl").unwrap(), Format::Jsonl);
        assert_eq!(format("a.ndjson").unwrap(), Format::Jsonl);
        for name in ["-", "a.txt", "a", "csv"] {
            assert!(format(name).unwrap_err().message().contains("--format"), "{name}");
        }
    }
}
