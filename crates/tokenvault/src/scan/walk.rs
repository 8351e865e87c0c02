//! The files below a path, in the order of their names, each opened without following links.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;

use crate::scan::pattern::Pattern;

/// What was met on the way.
pub(crate) enum Step {
    /// A file, open.
    File(PathBuf, File),
    /// A link, a socket, a pipe or a device: left out.
    Skipped,
    /// Left out by a pattern.
    Ignored,
    /// Something that can't be read, and why.
    Unreadable(PathBuf, String),
}

/// A walk under way.
pub(crate) struct Walk<'p> {
    ignore: &'p [Pattern],
    /// What is still to be visited, the next one last.
    waiting: Vec<PathBuf>,
    /// Whether nothing was visited yet: what was named on the command line is looked through, if it is a link.
    is_first: bool,
}

impl<'p> Walk<'p> {
    /// Begins at a file or a folder.
    pub(crate) fn new(root: &Path, ignore: &'p [Pattern]) -> Self {
        Self { ignore, waiting: vec![root.to_owned()], is_first: true }
    }

    fn visit(&mut self, path: PathBuf) -> Option<Step> {
        let is_first = std::mem::take(&mut self.is_first);
        if !is_first && self.ignore.iter().any(|pattern| pattern.fits(&path)) {
            return Some(Step::Ignored);
        }
        let found = if is_first { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let kind = match found {
            Ok(found) => found.file_type(),
            Err(error) => return Some(Step::Unreadable(path, error.to_string())),
        };
        if kind.is_dir() {
            return self.enter(path);
        }
        if !kind.is_file() {
            return Some(Step::Skipped);
        }
        // What was put in the file's place meanwhile is neither followed nor waited for.
        let mut flags = OFlag::O_NONBLOCK;
        if !is_first {
            flags |= OFlag::O_NOFOLLOW;
        }
        Some(match OpenOptions::new().read(true).custom_flags(flags.bits()).open(&path) {
            Ok(file) => Step::File(path, file),
            Err(error) => Step::Unreadable(path, error.to_string()),
        })
    }

    /// Puts what a folder holds before all that waits.
    fn enter(&mut self, path: PathBuf) -> Option<Step> {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) => return Some(Step::Unreadable(path, error.to_string())),
        };
        let begun = self.waiting.len();
        let mut problem = None;
        for entry in entries {
            match entry {
                Ok(entry) => self.waiting.push(entry.path()),
                Err(error) => problem = Some(Step::Unreadable(path.clone(), error.to_string())),
            }
        }
        if let Some(new) = self.waiting.get_mut(begun..) {
            new.sort_unstable_by(|one, other| other.cmp(one));
        }
        problem
    }
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        while let Some(path) = self.waiting.pop() {
            if let Some(step) = self.visit(path) {
                return Some(step);
            }
        }
        None
    }
}
