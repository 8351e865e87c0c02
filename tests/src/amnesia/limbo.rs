//! Limbo: where files and directories are that have no durable name. It lies beside the backing directory, on the same
//! disk, so that a rename gives the name, and it never outlives the mount.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::Error;

/// The limbo of one mount, locked against a second mount of the same backing directory. Removed when dropped.
#[derive(Debug)]
pub(super) struct Limbo {
    path: PathBuf,
    _locked: File,
}

impl Limbo {
    /// Where the limbo of this backing directory is.
    pub(super) fn path_for(backing: &Path) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(backing.file_name().unwrap_or_default());
        name.push(".limbo");
        backing.with_file_name(name)
    }

    /// An empty limbo; one may be left from a process that was killed.
    ///
    /// # Errors
    /// If it can't be made, or another mount has it.
    pub(super) fn prepare(backing: &Path) -> Result<Self, Error> {
        let path = Self::path_for(backing);
        let failed = |what: &'static str| {
            let path = path.clone();
            move |source| Error::Directory { path, what, source }
        };
        let made = match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(&path),
            made => made.and_then(|()| File::open(&path)),
        };
        let locked = made.map_err(failed("the place for what has no durable name can't be made"))?;
        locked.try_lock().map_err(io::Error::from).map_err(failed("the backing directory is mounted already"))?;
        let emptied = fs::read_dir(&path).and_then(|mut left| {
            left.try_for_each(|entry| {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    fs::remove_dir_all(entry.path())
                } else {
                    fs::remove_file(entry.path())
                }
            })
        });
        emptied.map_err(failed("what a killed process left can't be removed"))?;
        Ok(Self { path, _locked: locked })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Limbo {
    fn drop(&mut self) {
        // What can't be removed now is by the next mount.
        let _ = fs::remove_dir_all(&self.path);
    }
}
