//! How a mount forgets, as a value and as the words on the command line of `amnesiafs`.

use std::{ffi::OsString, path::PathBuf};

use super::Error;

/// When a changed name (create, link, rename, unlink, mkdir, rmdir) becomes durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directories {
    /// With a sync of its directory, and not before. What POSIX promises, so what portable code must live with.
    #[default]
    Strict,
    /// All changes form one log, and a sync makes it durable up to the last change that touches the file or directory
    /// synced: a new file needs no sync of its directory. What ext4 (without fast commit) and XFS do.
    Ext4Like,
}

/// What becomes of the unsynced part at a power cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Survivors {
    /// All of it is gone.
    #[default]
    Nothing,
    /// Some of it is there, sector by sector, chosen from this seed.
    Torn {
        /// The same seed over the same state gives the same survivors.
        seed: u64,
    },
}

/// How a mount forgets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// When changed names become durable.
    pub directories: Directories,
    /// What becomes of the unsynced part.
    pub survivors: Survivors,
    /// Cut the power by itself when the N-th sync (of a file or directory, from 1) comes in, before it takes effect.
    pub cut_before_sync: Option<u64>,
}

/// The command line of `amnesiafs`.
pub(super) struct CommandLine {
    pub(super) backing: PathBuf,
    pub(super) mountpoint: PathBuf,
    pub(super) options: Options,
}

impl Options {
    /// The options as words of the command line.
    pub(super) fn to_args(self) -> Vec<String> {
        let mut args = Vec::new();
        if self.directories == Directories::Ext4Like {
            args.push("--ext4-like".to_owned());
        }
        if let Survivors::Torn { seed } = self.survivors {
            args.push(format!("--torn={seed}"));
        }
        if let Some(sync) = self.cut_before_sync {
            args.push(format!("--cut-before-sync={sync}"));
        }
        args
    }
}

impl CommandLine {
    /// Reads `[--ext4-like] [--torn=SEED] [--cut-before-sync=N] BACKING MOUNTPOINT`.
    ///
    /// # Errors
    /// [`Error::Usage`] if the words are not of that form.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, Error> {
        let mut options = Options::default();
        let mut paths = Vec::new();
        for arg in args {
            let Some(flag) = arg.to_str().and_then(|text| text.strip_prefix("--")) else {
                paths.push(PathBuf::from(arg));
                continue;
            };
            let (name, number) = match flag.split_once('=') {
                Some((name, number)) => (name, Some(number.parse().map_err(|_| Error::Usage)?)),
                None => (flag, None),
            };
            match (name, number) {
                ("ext4-like", None) => options.directories = Directories::Ext4Like,
                ("torn", Some(seed)) => options.survivors = Survivors::Torn { seed },
                ("cut-before-sync", Some(sync)) => options.cut_before_sync = Some(sync),
                _ => return Err(Error::Usage),
            }
        }
        let [backing, mountpoint]: [PathBuf; 2] = paths.try_into().map_err(|_| Error::Usage)?;
        Ok(Self { backing, mountpoint, options })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_what_the_options_say() {
        let options = Options {
            directories: Directories::Ext4Like,
            survivors: Survivors::Torn { seed: 7 },
            cut_before_sync: Some(9),
        };
        for options in [options, Options::default()] {
            let words = options.to_args().into_iter().chain(["back".to_owned(), "mount".to_owned()]);
            let read = CommandLine::parse(words.map(Into::into)).unwrap();
            assert_eq!(read.options, options);
            assert_eq!((read.backing, read.mountpoint), (PathBuf::from("back"), PathBuf::from("mount")));
        }
        for wrong in
            [&["one"][..], &["a", "b", "c"], &["--torn", "a", "b"], &["--torn=x", "a", "b"], &["--what", "a", "b"]]
        {
            assert!(matches!(CommandLine::parse(wrong.iter().map(Into::into)), Err(Error::Usage)), "{wrong:?}");
        }
    }
}
