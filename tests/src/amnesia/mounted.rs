//! The handle a test holds: mount, cut, look at what is left.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use super::{
    Error, Options,
    daemon::{canonical, limbo_of, unmount},
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
    /// Mounts what `backing` holds on `mountpoint`; both are created if absent. `binary` is the program `amnesiafs`:
    /// in an integration test of this package `env!("CARGO_BIN_EXE_amnesiafs")`.
    ///
    /// # Errors
    /// [`Error::FuseUnavailable`] if this machine has no usable FUSE: let the test fail with its text. Any other if the
    /// directories can't be used or the program did not mount.
    pub fn mount(binary: &Path, backing: &Path, mountpoint: &Path, options: Options) -> Result<Self, Error> {
        require_fuse(Path::new(DEVICE))?;
        for path in [backing, mountpoint] {
            fs::create_dir_all(path).map_err(|source| Error::Directory {
                path: path.to_owned(),
                what: "the directory can't be created",
                source,
            })?;
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
        let mut mounted = Self { daemon, control, answers, backing, mountpoint };
        match mounted.answers.recv_timeout(ANSWER_WAIT).as_deref() {
            Ok("mounted") => Ok(mounted),
            _ => Err(Error::NotMounted { reason: mounted.last_words() }),
        }
    }

    /// Where the file system is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.mountpoint
    }

    /// Cuts the power: nothing in the mount works any more, the backing directory holds what was durable, and nothing
    /// else changes it. Stop the process under test after the cut, not before it: what it might do at its end would
    /// otherwise still count.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] if the program did not do it, [`Error::NotUnmounted`] if the mount stays.
    pub fn power_cut(mut self) -> Result<Lost, Error> {
        // A program that is gone already gives no answer; that is the error to report.
        let _ = self.control.write_all(b"cut\n");
        let answer = self.answers.recv_timeout(ANSWER_WAIT).ok();
        let Some(lost) = answer.as_deref().and_then(parse_lost) else {
            return Err(Error::NoAnswer { reason: self.last_words() });
        };
        self.end()?;
        Ok(lost)
    }

    /// Kills the program and takes the mount away; does no harm twice.
    fn end(&mut self) -> Result<(), Error> {
        // Both fail only if it has ended, which is what is wanted.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        match fs::remove_dir_all(limbo_of(&self.backing)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(Error::Io { what: "removing what the power cut left in limbo", source });
            }
            _ => {}
        }
        unmount(&self.mountpoint).map_err(|source| Error::NotUnmounted { mountpoint: self.mountpoint.clone(), source })
    }

    /// Ends the program and tells what it wrote to its standard error.
    fn last_words(&mut self) -> String {
        // What went wrong first is what counts.
        let _ = self.end();
        let mut words = String::new();
        if let Some(mut stderr) = self.daemon.stderr.take() {
            let _ = stderr.read_to_string(&mut words);
        }
        match words.trim() {
            "" => "it said nothing".to_owned(),
            words => words.to_owned(),
        }
    }
}

impl Drop for Amnesia {
    fn drop(&mut self) {
        // A destructor has nobody to tell; the temporary directory that can't be removed will.
        let _ = self.end();
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
