//! The requests of the kernel: decode, one call to [`Tree`], encode.
//!
//! One lock, one request at a time: a power cut falls between two of them.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::{
    fcntl::AT_FDCWD,
    libc,
    sys::{
        stat::{UtimensatFlags, utimensat},
        statvfs::statvfs,
        time::TimeSpec,
    },
};

use super::{
    changes::Name,
    tree::{Body, Entry, ROOT, Tree},
};

/// How long the kernel may remember names and sizes: nobody else changes them.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// What the kernel must refuse to mix up over time; numbers of nodes are never used twice.
const GENERATION: Generation = Generation(0);

/// The file system, as FUSE drives it.
#[derive(Debug)]
pub(super) struct AmnesiaFs {
    tree: Arc<Mutex<Tree>>,
    /// Directories that are being read, as they were when opened.
    listings: Mutex<BTreeMap<u64, Vec<Entry>>>,
    listings_opened: AtomicU64,
}

/// The lock on the tree. A request that panicked ended its session; what it left is still to be cut.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AmnesiaFs {
    pub(super) fn new(tree: Arc<Mutex<Tree>>) -> Self {
        Self { tree, listings: Mutex::default(), listings_opened: AtomicU64::new(0) }
    }

    /// One request on the tree; all of them fail once the power is cut.
    fn with<R>(&self, request: impl FnOnce(&mut Tree) -> io::Result<R>) -> Result<R, Errno> {
        let mut tree = locked(&self.tree);
        if tree.lost.is_some() {
            return Err(Errno::EIO);
        }
        request(&mut tree).map_err(Errno::from)
    }

    fn answer_entry(&self, reply: ReplyEntry, request: impl FnOnce(&mut Tree) -> io::Result<u64>) {
        match self.with(|tree| request(tree).and_then(|node| attributes(tree, node))) {
            Ok(attributes) => reply.entry(&REMEMBERED, &attributes, GENERATION),
            Err(error) => reply.error(error),
        }
    }

    fn answer_empty(&self, reply: ReplyEmpty, request: impl FnOnce(&mut Tree) -> io::Result<()>) {
        match self.with(request) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

/// What `stat` says: size and links as processes see them, the rest from the backing object.
fn attributes(tree: &mut Tree, node: u64) -> io::Result<FileAttr> {
    let metadata = fs::symlink_metadata(tree.path(node)?)?;
    let found = tree.node(node)?;
    let (kind, size, links) = match &found.body {
        Body::File { content, .. } => (FileType::RegularFile, content.len(), found.links),
        Body::Directory { .. } => (FileType::Directory, metadata.size(), 2),
    };
    Ok(FileAttr {
        ino: INodeNo(node),
        size,
        blocks: size.div_ceil(512),
        atime: metadata.accessed()?,
        mtime: metadata.modified()?,
        ctime: metadata.modified()?,
        crtime: metadata.modified()?,
        kind,
        perm: u16::try_from(metadata.mode() & 0o7777).unwrap_or(0),
        nlink: links,
        uid: metadata.uid(),
        gid: metadata.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    })
}

/// A time to set, for `utimensat`.
fn time_spec(time: Option<TimeOrNow>) -> TimeSpec {
    match time {
        None => TimeSpec::UTIME_OMIT,
        Some(TimeOrNow::Now) => TimeSpec::UTIME_NOW,
        Some(TimeOrNow::SpecificTime(time)) => {
            TimeSpec::from(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
        }
    }
}

fn name(directory: INodeNo, name: &OsStr) -> Name {
    Name { directory: directory.0, name: name.to_owned() }
}

impl Filesystem for AmnesiaFs {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.answer_entry(reply, |tree| tree.look_up(parent.0, name));
    }

    fn forget(&self, _: &Request, node: INodeNo, lookups: u64) {
        // Not through `with`: it is answered with nothing, also after the cut.
        let mut tree = locked(&self.tree);
        if tree.lost.is_none() {
            tree.forget(node.0, lookups);
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.with(|tree| attributes(tree, node.0)) {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let done = self.with(|tree| {
            let path = tree.path(node.0)?;
            if let Some(mode) = mode {
                fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777))?;
            }
            if uid.is_some() || gid.is_some() {
                chown(&path, uid, gid)?;
            }
            if atime.is_some() || mtime.is_some() {
                let (atime, mtime) = (time_spec(atime), time_spec(mtime));
                utimensat(AT_FDCWD, &path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)?;
            }
            if let Some(size) = size {
                tree.change(node.0, size, |content| content.truncate(size))?;
            }
            attributes(tree, node.0)
        });
        match done {
            Ok(attributes) => reply.attr(&REMEMBERED, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        self.answer_entry(reply, |tree| tree.create_directory(parent.0, name, mode));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.answer_empty(reply, |tree| tree.unlink(parent.0, name));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.answer_empty(reply, |tree| tree.remove_directory(parent.0, name));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        old: &OsStr,
        newparent: INodeNo,
        new: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let replace = match flags {
            flags if flags.is_empty() => true,
            RenameFlags::RENAME_NOREPLACE => false,
            _ => return reply.error(Errno::EINVAL),
        };
        self.answer_empty(reply, |tree| tree.rename(name(parent, old), name(newparent, new), replace));
    }

    fn link(&self, _: &Request, node: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        self.answer_entry(reply, |tree| tree.link(node.0, newparent.0, newname));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let created = self.with(|tree| {
            let node = tree.create_file(parent.0, name, mode)?;
            tree.open(node)?;
            attributes(tree, node)
        });
        match created {
            Ok(attributes) => reply.created(
                &REMEMBERED,
                &attributes,
                GENERATION,
                FileHandle(attributes.ino.0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|tree| tree.open(node.0)) {
            Ok(()) => reply.opened(FileHandle(node.0), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.with(|tree| tree.read(node.0, offset, size)) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.with(|tree| {
            let size = u32::try_from(data.len()).map_err(io::Error::other)?;
            tree.change(node.0, offset.saturating_add(u64::from(size)), |content| content.write(offset, data))?;
            // One to a file opened O_SYNC or O_DSYNC is followed by a sync, which the kernel sends of its own.
            Ok(size)
        });
        match written {
            Ok(size) => reply.written(size),
            Err(error) => reply.error(error),
        }
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.answer_empty(reply, |tree| tree.close(node.0));
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.answer_empty(reply, |tree| tree.sync_file(node.0));
    }

    fn opendir(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.with(|tree| tree.entries(node.0)) {
            Ok(entries) => {
                let handle = self.listings_opened.fetch_add(1, Ordering::Relaxed);
                locked(&self.listings).insert(handle, entries);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(error) => reply.error(error),
        }
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listings = locked(&self.listings);
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, entry) in (1..).zip(listings.get(&handle.0).into_iter().flatten()).skip(skipped) {
            let kind = if entry.is_directory { FileType::Directory } else { FileType::RegularFile };
            if reply.add(INodeNo(entry.node), next, kind, &entry.name) {
                break;
            }
        }
        reply.ok();
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        locked(&self.listings).remove(&handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.answer_empty(reply, |tree| tree.sync_directory(node.0));
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        match self.with(|tree| Ok(statvfs(&tree.path(ROOT)?)?)) {
            Ok(disk) => reply.statfs(
                disk.blocks(),
                disk.blocks_free(),
                disk.blocks_available(),
                disk.files(),
                disk.files_free(),
                u32::try_from(disk.block_size()).unwrap_or(4096),
                u32::try_from(disk.name_max()).unwrap_or(255),
                u32::try_from(disk.fragment_size()).unwrap_or(4096),
            ),
            Err(error) => reply.error(error),
        }
    }

    fn fallocate(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let end = offset.saturating_add(length);
        self.answer_empty(reply, |tree| match mode {
            0 => tree.change(node.0, end, |content| content.truncate(content.len().max(end))),
            libc::FALLOC_FL_KEEP_SIZE => tree.content(node.0).map(|_| ()),
            mode if mode == libc::FALLOC_FL_KEEP_SIZE | libc::FALLOC_FL_PUNCH_HOLE => {
                tree.change(node.0, end, |content| content.zero(offset, length))
            }
            _ => Err(nix::errno::Errno::EOPNOTSUPP.into()),
        });
    }
}
