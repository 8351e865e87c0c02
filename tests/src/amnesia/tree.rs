//! Files and directories as processes see them. Every change of a name is recorded for [`super::durable`].
//!
//! Nothing here makes anything durable. Each node has a backing object from its birth: under its durable name, or, as
//! long as it has none, in the *limbo* beside the backing directory, which goes with the power.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::errno::Errno;

use super::{
    Options,
    changes::{Change, Name},
    content::Content,
};

/// The number of the root directory, as FUSE has it.
pub(super) const ROOT: u64 = 1;
/// Most files and directories in a mount.
const NODES_MAX: usize = 1 << 20;
/// Most changes of names that may wait for a sync.
const CHANGES_MAX: usize = 1 << 20;
/// So many bytes may wait for a sync before writes are refused like on a full disk.
const UNSYNCED_BYTES_MAX: u64 = 4 << 30;
/// Longest name, in bytes, as on ext4.
const NAME_LEN_MAX: usize = 255;
/// Longest file, in bytes: what `pwrite` can address.
const FILE_LEN_MAX: u64 = i64::MAX.unsigned_abs();

/// The file system.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) backing: PathBuf,
    pub(super) limbo: PathBuf,
    pub(super) options: Options,
    pub(super) nodes: BTreeMap<u64, Node>,
    /// The changes of names that are not durable, in order.
    pub(super) changes: Vec<Change>,
    /// Bytes of all files that wait for a sync.
    pub(super) unsynced: u64,
    /// How many syncs came in.
    pub(super) syncs: u64,
    /// What was lost, once the power is cut.
    pub(super) lost: Option<super::Lost>,
    last_node: u64,
}

/// A file or directory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) body: Body,
    /// How many names processes see.
    pub(super) links: u32,
    /// How many recorded changes speak of it.
    pub(super) recorded: u32,
    /// How many references the kernel holds.
    lookups: u64,
    /// Its names in the backing directory: directory and name. Empty: its backing object is in limbo.
    pub(super) durable: Vec<Name>,
}

/// A name in a directory that is being read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) node: u64,
    pub(super) is_directory: bool,
    pub(super) name: OsString,
}

/// What only files, or only directories have.
#[derive(Debug)]
pub(super) enum Body {
    File { content: Content, opened: u32, handle: Option<File> },
    Directory { children: BTreeMap<OsString, u64>, parent: u64 },
}

impl Tree {
    /// The tree of a backing directory, all of it durable.
    ///
    /// # Errors
    /// If something can't be read, or is neither file nor directory.
    pub(super) fn load(backing: &Path, limbo: &Path, options: Options) -> io::Result<Self> {
        let mut tree = Self {
            backing: backing.to_owned(),
            limbo: limbo.to_owned(),
            options,
            nodes: BTreeMap::new(),
            changes: Vec::new(),
            unsynced: 0,
            syncs: 0,
            lost: None,
            last_node: ROOT,
        };
        tree.nodes.insert(ROOT, Node::new(Body::directory(ROOT)));
        let mut linked = BTreeMap::new();
        let mut unread = vec![(ROOT, backing.to_owned())];
        while let Some((directory, path)) = unread.pop() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                let name = Name { directory, name: entry.file_name() };
                let body = match metadata.file_type() {
                    kind if kind.is_dir() => Body::directory(directory),
                    kind if kind.is_file() => Body::file(Content::durable(metadata.len())),
                    _ => return Err(io::Error::other("the backing directory may hold files and directories only")),
                };
                let node = match linked.get(&metadata.ino()) {
                    Some(&node) => node,
                    None => tree.add(body)?,
                };
                if metadata.is_dir() {
                    unread.push((node, entry.path()));
                } else if metadata.nlink() > 1 {
                    linked.insert(metadata.ino(), node);
                }
                tree.children(directory)?.insert(name.name.clone(), node);
                let found = tree.node(node)?;
                found.links += 1;
                found.durable.push(name);
            }
        }
        Ok(tree)
    }

    /// The node of a name; the kernel now holds one reference more.
    pub(super) fn look_up(&mut self, directory: u64, name: &OsStr) -> io::Result<u64> {
        let node = self.child(directory, name)?;
        self.hold(node)?;
        Ok(node)
    }

    /// The kernel gave back so many references.
    pub(super) fn forget(&mut self, node: u64, lookups: u64) {
        if let Ok(found) = self.node(node) {
            found.lookups = found.lookups.saturating_sub(lookups);
        }
        self.collect(node);
    }

    /// Creates an empty file; the kernel holds a reference.
    pub(super) fn create_file(&mut self, directory: u64, name: &OsStr, mode: u32) -> io::Result<u64> {
        self.ready(directory, name)?;
        let node = self.add(Body::file(Content::default()))?;
        let path = self.path(node)?;
        OpenOptions::new().write(true).create_new(true).mode(mode & 0o7777).open(path)?;
        self.name(node, Name { directory, name: name.to_owned() })
    }

    /// Creates an empty directory; the kernel holds a reference.
    pub(super) fn create_directory(&mut self, directory: u64, name: &OsStr, mode: u32) -> io::Result<u64> {
        self.ready(directory, name)?;
        let node = self.add(Body::directory(directory))?;
        let path = self.path(node)?;
        DirBuilder::new().mode(mode & 0o7777).create(path)?;
        self.name(node, Name { directory, name: name.to_owned() })
    }

    /// Gives a file one name more; the kernel holds a reference more.
    pub(super) fn link(&mut self, node: u64, directory: u64, name: &OsStr) -> io::Result<u64> {
        self.ready(directory, name)?;
        self.content(node)?;
        self.name(node, Name { directory, name: name.to_owned() })
    }

    /// Takes a file's name away.
    pub(super) fn unlink(&mut self, directory: u64, name: &OsStr) -> io::Result<()> {
        let node = self.child(directory, name)?;
        self.content(node).map_err(|_| io::Error::from(Errno::EISDIR))?;
        self.unname(node, Name { directory, name: name.to_owned() })
    }

    /// Takes an empty directory's name away.
    pub(super) fn remove_directory(&mut self, directory: u64, name: &OsStr) -> io::Result<()> {
        let node = self.child(directory, name)?;
        if !self.children(node)?.is_empty() {
            return Err(Errno::ENOTEMPTY.into());
        }
        self.unname(node, Name { directory, name: name.to_owned() })
    }

    /// Renames; what has the new name is replaced, if `replace`.
    pub(super) fn rename(&mut self, from: Name, to: Name, replace: bool) -> io::Result<()> {
        self.room(&to.name)?;
        let node = self.child(from.directory, &from.name)?;
        let replaced = self.children(to.directory)?.get(&to.name).copied();
        if let Some(replaced) = replaced {
            if !replace {
                return Err(Errno::EEXIST.into());
            }
            if replaced == node {
                return Ok(());
            }
            if self.children(replaced).is_ok_and(|children| !children.is_empty()) {
                return Err(Errno::ENOTEMPTY.into());
            }
            self.node(replaced)?.links -= 1;
        }
        self.children(from.directory)?.remove(&from.name);
        self.children(to.directory)?.insert(to.name.clone(), node);
        if let Body::Directory { parent, .. } = &mut self.node(node)?.body {
            *parent = to.directory;
        }
        self.record(Change::Move { from, to, node, replaced });
        if let Some(replaced) = replaced {
            self.drop_unreachable(replaced);
        }
        Ok(())
    }

    /// The names in a directory, with its own and its parent's.
    pub(super) fn entries(&mut self, directory: u64) -> io::Result<Vec<Entry>> {
        let parent = match &self.node(directory)?.body {
            Body::Directory { parent, .. } => *parent,
            Body::File { .. } => return Err(Errno::ENOTDIR.into()),
        };
        let mut entries = vec![
            Entry { node: directory, is_directory: true, name: ".".into() },
            Entry { node: parent, is_directory: true, name: "..".into() },
        ];
        for (name, node) in self.children(directory)?.clone() {
            entries.push(Entry { node, is_directory: self.children(node).is_ok(), name });
        }
        Ok(entries)
    }

    /// Notes that a file was opened.
    pub(super) fn open(&mut self, node: u64) -> io::Result<()> {
        match &mut self.node(node)?.body {
            Body::File { opened, .. } => *opened += 1,
            Body::Directory { .. } => return Err(Errno::EISDIR.into()),
        }
        Ok(())
    }

    /// Notes that a file was closed.
    pub(super) fn close(&mut self, node: u64) -> io::Result<()> {
        if let Body::File { opened, handle, .. } = &mut self.node(node)?.body {
            *opened = opened.saturating_sub(1);
            if *opened == 0 {
                *handle = None;
            }
        }
        self.drop_unreachable(node);
        Ok(())
    }

    /// Up to `size` bytes, unsynced ones included.
    pub(super) fn read(&mut self, node: u64, offset: u64, size: u32) -> io::Result<Vec<u8>> {
        let (content, file) = self.content_and_file(node)?;
        content.read(file, offset, size)
    }

    /// Changes a file's bytes in memory, up to `end`.
    pub(super) fn change(&mut self, node: u64, end: u64, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        if end > FILE_LEN_MAX {
            return Err(Errno::EFBIG.into());
        }
        if self.unsynced >= UNSYNCED_BYTES_MAX {
            return Err(Errno::ENOSPC.into());
        }
        let content = self.content(node)?;
        let before = content.unsynced();
        change(content);
        let after = content.unsynced();
        self.unsynced = self.unsynced - before + after;
        Ok(())
    }

    /// A file's bytes.
    pub(super) fn content(&mut self, node: u64) -> io::Result<&mut Content> {
        match &mut self.node(node)?.body {
            Body::File { content, .. } => Ok(content),
            Body::Directory { .. } => Err(Errno::EISDIR.into()),
        }
    }

    /// A file's bytes, and its backing file.
    pub(super) fn content_and_file(&mut self, node: u64) -> io::Result<(&mut Content, &File)> {
        let path = match &self.node(node)?.body {
            Body::File { handle: None, .. } => Some(self.path(node)?),
            _ => None,
        };
        match &mut self.node(node)?.body {
            Body::File { content, handle, .. } => {
                if let Some(path) = path {
                    *handle = Some(OpenOptions::new().read(true).write(true).open(path)?);
                }
                Ok((content, handle.as_ref().ok_or(Errno::EBADF)?))
            }
            Body::Directory { .. } => Err(Errno::EISDIR.into()),
        }
    }

    /// A directory's names.
    pub(super) fn children(&mut self, node: u64) -> io::Result<&mut BTreeMap<OsString, u64>> {
        match &mut self.node(node)?.body {
            Body::Directory { children, .. } => Ok(children),
            Body::File { .. } => Err(Errno::ENOTDIR.into()),
        }
    }

    /// A node.
    pub(super) fn node(&mut self, node: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&node).ok_or_else(|| Errno::ENOENT.into())
    }

    /// Where the backing object is now.
    pub(super) fn path(&self, node: u64) -> io::Result<PathBuf> {
        let mut names = Vec::new();
        let mut at = node;
        let mut path = loop {
            if at == ROOT {
                break self.backing.clone();
            }
            match self.nodes.get(&at).ok_or(Errno::ENOENT)?.durable.first() {
                Some(name) => {
                    names.push(&name.name);
                    at = name.directory;
                }
                None => break self.limbo(at),
            }
        };
        path.extend(names.into_iter().rev());
        Ok(path)
    }

    /// Where the backing object is while it has no durable name.
    pub(super) fn limbo(&self, node: u64) -> PathBuf {
        self.limbo.join(node.to_string())
    }

    /// Forgets a node that nobody can reach any more, with its backing object.
    pub(super) fn collect(&mut self, node: u64) {
        let unused =
            |node: &Node| node.links == 0 && node.lookups == 0 && node.recorded == 0 && node.durable.is_empty();
        if node == ROOT || !self.nodes.get(&node).is_some_and(unused) {
            return;
        }
        self.drop_unreachable(node);
        // It may be gone already, with a rename over it; limbo as a whole goes at the end in any case.
        let _ = match self.nodes.remove(&node).map(|node| node.body) {
            Some(Body::Directory { .. }) => fs::remove_dir(self.limbo(node)),
            _ => fs::remove_file(self.limbo(node)),
        };
    }

    /// Drops the unsynced bytes of a file without name that nobody has open: nobody can sync them any more.
    fn drop_unreachable(&mut self, node: u64) {
        let Ok(Node { links: 0, body: Body::File { content, opened: 0, .. }, .. }) = self.node(node) else { return };
        let dropped = std::mem::take(content).unsynced();
        self.unsynced -= dropped;
    }

    fn child(&mut self, directory: u64, name: &OsStr) -> io::Result<u64> {
        self.children(directory)?.get(name).copied().ok_or_else(|| Errno::ENOENT.into())
    }

    fn hold(&mut self, node: u64) -> io::Result<()> {
        self.node(node)?.lookups += 1;
        Ok(())
    }

    /// Whether one more change of names may be recorded.
    fn room(&self, name: &OsStr) -> io::Result<()> {
        match name.len() {
            len if len > NAME_LEN_MAX => Err(Errno::ENAMETOOLONG.into()),
            _ if self.changes.len() >= CHANGES_MAX => Err(Errno::ENOSPC.into()),
            _ => Ok(()),
        }
    }

    /// Whether this name may be given to a node.
    fn ready(&mut self, directory: u64, name: &OsStr) -> io::Result<()> {
        self.room(name)?;
        match self.children(directory)?.contains_key(name) {
            true => Err(Errno::EEXIST.into()),
            false => Ok(()),
        }
    }

    fn add(&mut self, body: Body) -> io::Result<u64> {
        if self.nodes.len() >= NODES_MAX {
            return Err(Errno::ENOSPC.into());
        }
        self.last_node += 1;
        self.nodes.insert(self.last_node, Node::new(body));
        Ok(self.last_node)
    }

    fn name(&mut self, node: u64, name: Name) -> io::Result<u64> {
        self.children(name.directory)?.insert(name.name.clone(), node);
        self.node(node)?.links += 1;
        self.record(Change::Link { name, node });
        self.hold(node)?;
        Ok(node)
    }

    fn unname(&mut self, node: u64, name: Name) -> io::Result<()> {
        self.room(&name.name)?;
        self.children(name.directory)?.remove(&name.name);
        self.node(node)?.links -= 1;
        self.record(Change::Unlink { name, node });
        self.drop_unreachable(node);
        Ok(())
    }

    fn record(&mut self, change: Change) {
        for node in change.nodes() {
            if let Ok(node) = self.node(node) {
                node.recorded += 1;
            }
        }
        self.changes.push(change);
    }
}

impl Node {
    fn new(body: Body) -> Self {
        Self { body, links: 0, recorded: 0, lookups: 0, durable: Vec::new() }
    }
}

impl Body {
    fn file(content: Content) -> Self {
        Self::File { content, opened: 0, handle: None }
    }

    fn directory(parent: u64) -> Self {
        Self::Directory { children: BTreeMap::new(), parent }
    }
}

#[cfg(test)]
mod tests;
