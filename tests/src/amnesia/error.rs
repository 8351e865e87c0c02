//! What can go wrong with a mount; a test shows the text as it is.

use std::{io, path::PathBuf};

/// Why there is no forgetful file system, or why it did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel's FUSE device can't be used, so that no power-cut test can run. Never skip it silently.
    #[error(
        "FUSE is not available: {device} can't be opened. Load the kernel module `fuse`, or start the container with \
         `--device /dev/fuse --cap-add SYS_ADMIN`. The power-cut tests can't run without it"
    )]
    FuseUnavailable {
        /// The device that was tried.
        device: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A directory can't be used as backing directory or mount point.
    #[error("{path}: {what}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What could not be done with it.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The mount would cover its own backing directory, or lie in it: every access would wait for itself.
    #[error("the backing directory {backing} and the mount point {mountpoint} must not lie in one another")]
    Nested {
        /// The backing directory.
        backing: PathBuf,
        /// The mount point.
        mountpoint: PathBuf,
    },
    /// The program could not be started.
    #[error("{binary} can't be started")]
    NotStarted {
        /// The program.
        binary: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The program ended, or said nothing in time, before the file system was mounted.
    #[error("amnesiafs did not mount: {reason} (who is not root also needs fusermount3, of the Debian package fuse3)")]
    NotMounted {
        /// What the program wrote to its standard error.
        reason: String,
    },
    /// The program was gone, or said nothing in time, when the power was to be cut; nothing unsynced survived.
    #[error("amnesiafs did not answer the power cut; it was killed: {reason}")]
    NoAnswer {
        /// What the program wrote to its standard error.
        reason: String,
    },
    /// The dead mount, or its empty mount point, could not be taken away.
    #[error("{mountpoint} can't be unmounted and removed; try `umount -l` on it, and look for files in it")]
    NotUnmounted {
        /// The mount point.
        mountpoint: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Reading or writing outside the mount failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The command line could not be understood.
    #[error("usage: amnesiafs [--ext4-like] [--torn=SEED] [--cut-before-sync=N] BACKING MOUNTPOINT")]
    Usage,
}
