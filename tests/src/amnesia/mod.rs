//! A file system that forgets: what was not synced is gone after a power cut. For tests only.
//!
//! `kill -9` cannot show a missing fsync, for the kernel still writes what the dead process left in the page cache.
//! [`Amnesia`] mounts a FUSE file system over a backing directory, keeps all that was not synced to itself, and at
//! [`Amnesia::power_cut`] throws it away: the backing directory then holds exactly what was durable and is opened
//! again in place, as after a reboot.
//!
//! Always run a *canary* beside a test that finds nothing lost: the same work without syncs, which must lose data.
//!
//! # What it models
//! - **Data.** Writes, truncation, `fallocate` and punched holes reach the backing file at `fsync`, `fdatasync`,
//!   `msync`, or with each write of a file opened `O_SYNC` or `O_DSYNC`. A sync covers the whole file, size included,
//!   whoever wrote. `fdatasync` is as good as `fsync`.
//! - **Names.** Create, link, rename, unlink, mkdir and rmdir are recorded in order and become durable by the rule of
//!   [`Directories`]: [`Directories::Strict`] grants what POSIX promises, [`Directories::Ext4Like`] what ext4 and XFS
//!   do. A rename is atomic in both: old name or new name, never both, never neither. One across two directories is
//!   durable with a sync of either. A file whose name is durable and whose data is not is there, with its last synced
//!   data, or empty.
//! - **Torn writes.** With [`Survivors::Torn`] a part of what was not synced survives, as on a disk that was busy
//!   writing: of appended bytes a prefix cut at 512-byte sectors, of overwritten bytes each sector by the toss of a
//!   coin, of a truncation all or nothing, of the changed names a prefix in order. The same seed and state give the
//!   same survivors.
//! - **The moment.** A cut falls between two requests: a sync was answered, or it left nothing but survivors.
//!   [`Options::cut_before_sync`] cuts at the N-th sync by itself, to walk through every one. After the cut every
//!   request fails (`EIO`, then `ENOTCONN`), so nothing can be acknowledged any more. Dropping an [`Amnesia`], or
//!   `SIGKILL` to its process, is a cut too, without survivors; a sync under way may then be there in part.
//!
//! # What it does not model
//! - The kernel's own write-back: nothing becomes durable by waiting, nor by `sync`, `syncfs` or `sync_file_range`.
//! - ext4's rescue of files that are replaced by rename without a sync: here they come back empty or old.
//! - A failing or lying disk: a sync that was answered is durable, and one that fails (`ENOSPC` of the backing
//!   directory) keeps its data for the next try, which a real kernel may not. Bits don't rot; old blocks don't show.
//! - A mapping outlives its file system: who touches one after the cut dies of `SIGBUS`. Let a process of its own use
//!   `mmap`.
//! - Permissions, owners and times pass through at once; what is created belongs to who mounted. Symbolic links,
//!   devices, sockets, extended attributes and `RENAME_EXCHANGE` are refused. `fcntl` and `flock` locks are the
//!   kernel's own and work.
//!
//! A backing directory is mounted once at a time and is not touched from outside meanwhile. It must never be part of
//! the product, and it needs no `unsafe`.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod changes;
mod content;
mod daemon;
mod durable;
mod error;
mod filesystem;
mod limbo;
mod mounted;
mod options;
mod survivors;
mod tree;

pub use daemon::run;
pub use error::Error;
pub use mounted::{Amnesia, Lost};
pub use options::{Directories, Options, Survivors};
