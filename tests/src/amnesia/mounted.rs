//! The handle a test holds: mount, cut, look at what is left.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use super::{
    Error, Options,
    daemon::{canonical, unmount},
    limbo::Limbo,
};

/// The kernel's door for file systems outside of it.
const DEVICE: &str = "/dev/fuse";
/// How long a mount, or a cut, may take. A cut with survivors writes what survives.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// What a power cut took: never synced, and not among the survivors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Bytes written.
    pub bytes: u64,
    /// Changes of names: create, link, rename, unlink, mkdir, rmdir.
    pub names: usize,
}

/// A mounted file system that forgets what was not synced. Dropping it is a power cut without survivors.
#[derive(Debug)]
pub struct Amnesia {
    daemon: Child,
    control: ChildStdin,
    answers: Receiver<String>,
    backing: PathBuf,
    mountpoint: PathBuf,
}

impl Amnesia {
    /// Mounts what `backing` holds on `mountpoint`; both are created if absent, and the mount point, which must be
    /// empty, is removed with the mount. `binary` is the program `amnesiafs`: in an integration test of this package
    /// `env!("CARGO_BIN_EXE_amnesiafs")`.
    ///
    /// # Errors
    /// [`Error::FuseUnavailable`] if this machine has no usable FUSE: let the test fail with its text. Any other if the
    /// directories can't be used or the program did not mount.
    pub fn mount(binary: &Path, backing: &Path, mountpoint: &Path, options: Options) -> Result<Self, Error> {
        require_fuse(Path::new(DEVICE))?;
        for path in [backing, mountpoint] {
            let unusable = |what| move |source| Error::Directory { path: path.to_owned(), what, source };
            fs::create_dir_all(path).map_err(unusable("the directory can't be created"))?;
        }
        if fs::read_dir(mountpoint).is_ok_and(|mut entries| entries.next().is_some()) {
            let source = io::ErrorKind::DirectoryNotEmpty.into();
            return Err(Error::Directory { path: mountpoint.to_owned(), what: "a mount point must be empty", source });
        }
        let (backing, mountpoint) = (canonical(backing)?, canonical(mountpoint)?);
        let started = Command::new(binary)
            .args(options.to_args())
            .args([&backing, &mountpoint])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let not_started = |source| Error::NotStarted { binary: binary.to_owned(), source };
        let mut daemon = started.map_err(not_started)?;
        let (Some(control), Some(output)) = (daemon.stdin.take(), daemon.stdout.take()) else {
            return Err(not_started(io::ErrorKind::BrokenPipe.into()));
        };
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            // Ends with the program, or when nobody listens any more.
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        match answers.recv_timeout(ANSWER_WAIT).as_deref() {
            Ok("mounted") => Ok(Self { daemon, control, answers, backing, mountpoint }),
            // It ended, and took with it what it had made.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(Error::NotMounted { reason: last_words(&mut daemon) }),
            Err(RecvTimeoutError::Timeout) => {
                let mut hanging = Self { daemon, control, answers, backing, mountpoint };
                hanging.end()?;
                Err(Error::NotMounted { reason: last_words(&mut hanging.daemon) })
            }
        }
    }

    /// Where the file system is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// Cuts the power: nothing in the mount works any more, the backing directory holds what was durable, and nothing
    /// else changes it. Stop the process under test after the cut, not before it: what it might do at its end would
    /// otherwise still count. Let it work in a directory inside the mount: one that creates files by path in the mount
    /// point itself could, in the moment after the unmount, do so outside of it.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] if the program did not do it, [`Error::NotUnmounted`] if the mount stays, or if a process
    /// wrote into the bare mount point.
    pub fn power_cut(mut self) -> Result<Lost, Error> {
        // A program that is gone already gives no answer; that is the error to report.
        let _ = self.control.write_all(b"cut\n");
        let answer = self.answers.recv_timeout(ANSWER_WAIT).ok();
        let Some(lost) = answer.as_deref().and_then(parse_lost) else {
            self.end()?;
            return Err(Error::NoAnswer { reason: last_words(&mut self.daemon) });
        };
        self.end()?;
        Ok(lost)
    }

    /// Kills the program and takes the mount and its mount point away; does no harm twice.
    fn end(&mut self) -> Result<(), Error> {
        // Both fail only if it has ended, which is what is wanted.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        // With the mount point gone, a process that opens files by path finds nothing where it could go on.
        let unmounted = unmount(&self.mountpoint).and_then(|()| if_there(fs::remove_dir(&self.mountpoint)));
        unmounted.map_err(|source| Error::NotUnmounted { mountpoint: self.mountpoint.clone(), source })?;
        if_there(fs::remove_dir_all(Limbo::path_for(&self.backing)))
            .map_err(|source| Error::Io { what: "removing what the power cut left in limbo", source })
    }
}

impl Drop for Amnesia {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the temporary directory that can't be removed will.
        let _ = self.end();
    }
}

/// The outcome of a removal, where nothing to remove is as good.
fn if_there(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the program wrote to its standard error, until it ended.
fn last_words(daemon: &mut Child) -> String {
    let mut words = String::new();
    if let Some(mut stderr) = daemon.stderr.take() {
        // What went wrong first is what counts.
        let _ = stderr.read_to_string(&mut words);
    }
    let _ = daemon.wait();
    match words.trim() {
        "" => "it said nothing".to_owned(),
        words => words.to_owned(),
    }
}

/// Whether the device can be opened.
fn require_fuse(device: &Path) -> Result<(), Error> {
    let opened = File::options().read(true).write(true).open(device);
    opened.map(drop).map_err(|source| Error::FuseUnavailable { device: device.to_owned(), source })
}

fn parse_lost(answer: &str) -> Option<Lost> {
    let (bytes, names) = answer.strip_prefix("lost ")?.split_once(' ')?;
    Some(Lost { bytes: bytes.parse().ok()?, names: names.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_device_is_an_error_that_says_what_to_do() {
        let error = require_fuse(Path::new("/dev/no-such-device")).unwrap_err();
        assert!(matches!(error, Error::FuseUnavailable { .. }));
        let text = error.to_string();
        assert!(text.contains("/dev/no-such-device") && text.contains("--device /dev/fuse"), "{text}");
    }
}
