//! The program `amnesiafs`: mounts, waits for the word to cut the power, cuts, ends.
//!
//! It says `mounted`, and after a cut `lost BYTES NAMES`, each on a line of its standard output. It cuts at a line on
//! its standard input and leaves the mount to who asked; at the end of the input, when the test that started it has
//! died, it takes the mount away too.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
};

use fuser::{Config, MountOption};
use nix::{
    errno::Errno,
    mount::{MntFlags, umount2},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, umask},
    },
};

use super::{
    Error,
    filesystem::{AmnesiaFs, locked},
    limbo::Limbo,
    options::CommandLine,
    tree::Tree,
};

/// Serves the mount that these words of the command line ask for (without the program's name), until the power is cut.
///
/// # Errors
/// If the words are wrong, a directory can't be used, or the mount fails.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Result<(), Error> {
    let CommandLine { backing, mountpoint, options } = CommandLine::parse(args)?;
    let backing = canonical(&backing)?;
    let mountpoint = canonical(&mountpoint)?;
    if backing.starts_with(&mountpoint) || mountpoint.starts_with(&backing) {
        return Err(Error::Nested { backing, mountpoint });
    }
    let limbo = Limbo::prepare(&backing)?;
    // Every file that is open in the mount is open here too. And the kernel has applied the caller's umask already.
    let limit = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    limit.map_err(|errno| Error::Io { what: "raising the limit of open files", source: errno.into() })?;
    umask(Mode::empty());

    let tree = Tree::load(&backing, limbo.path(), options).map_err(|source| Error::Directory {
        path: backing,
        what: "the backing directory can't be read",
        source,
    })?;
    let tree = Arc::new(Mutex::new(tree));
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("amnesiafs".to_owned()), MountOption::NoAtime];
    let session = fuser::spawn_mount(AmnesiaFs::new(Arc::clone(&tree)), &mountpoint, &config)
        .map_err(|source| Error::Io { what: "mounting by FUSE", source })?;
    say("mounted")?;

    // Neither a line nor an end but an error: then the power goes too.
    let asked = io::stdin().read_line(&mut String::new()).is_ok_and(|bytes| bytes > 0);
    let cut = locked(&tree).cut().map_err(|source| Error::Io { what: "writing what survives the cut", source });
    // Dropped, the session would unmount by itself: not if a file is open, and perhaps what is mounted there since.
    std::mem::forget(session);
    if !asked {
        unmount(&mountpoint).map_err(|source| Error::NotUnmounted { mountpoint, source })?;
    }
    let lost = cut?;
    say(&format!("lost {} {}", lost.bytes, lost.names))
}

/// The one true path of a directory that is there.
pub(super) fn canonical(path: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(path).map_err(|source| Error::Directory {
        path: path.to_owned(),
        what: "the directory can't be found",
        source,
    })
}

/// Takes a mount away though files in it are open; one that is not mounted is left as it is.
pub(super) fn unmount(mountpoint: &Path) -> io::Result<()> {
    match umount2(mountpoint, MntFlags::MNT_DETACH) {
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
        Err(Errno::EPERM) => {
            let said = Command::new("fusermount3").arg("-uz").arg(mountpoint).output()?;
            let text = String::from_utf8_lossy(&said.stderr).into_owned();
            if said.status.success() || text.contains("not found") { Ok(()) } else { Err(io::Error::other(text)) }
        }
        Err(errno) => Err(errno.into()),
    }
}

fn say(line: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|source| Error::Io { what: "reporting", source })
}
