//! The changes of names that wait for a sync, and which of them a sync takes along.

use std::{collections::BTreeSet, ffi::OsString};

use super::{
    Directories,
    tree::{Body, ROOT, Tree},
};

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) directory: u64,
    pub(super) name: OsString,
}

/// One change of names, whole or not at all.
#[derive(Debug)]
pub(super) enum Change {
    /// The node got a name: create, link, mkdir.
    Link { name: Name, node: u64 },
    /// The node lost a name: unlink, rmdir.
    Unlink { name: Name, node: u64 },
    /// The node's name changed, and another node may have lost the new one.
    Move { from: Name, to: Name, node: u64, replaced: Option<u64> },
}

impl Change {
    /// The nodes it speaks of.
    pub(super) fn nodes(&self) -> impl Iterator<Item = u64> + use<> {
        let (node, replaced) = match self {
            Self::Link { node, .. } | Self::Unlink { node, .. } => (*node, None),
            Self::Move { node, replaced, .. } => (*node, *replaced),
        };
        std::iter::once(node).chain(replaced)
    }

    /// The directories whose names it changes.
    fn directories(&self) -> impl Iterator<Item = u64> + use<> {
        let (first, second) = match self {
            Self::Link { name, .. } | Self::Unlink { name, .. } => (name.directory, None),
            Self::Move { from, to, .. } => (from.directory, Some(to.directory)),
        };
        std::iter::once(first).chain(second)
    }
}

impl Tree {
    /// Which of the waiting changes a sync of this node makes durable.
    pub(super) fn taken_along(&self, synced: u64) -> Vec<bool> {
        match self.options.directories {
            Directories::Ext4Like => {
                let touches = |change: &Change| change.nodes().chain(change.directories()).any(|node| node == synced);
                let count = self.changes.iter().rposition(touches).map_or(0, |last| last + 1);
                (0..self.changes.len()).map(|at| at < count).collect()
            }
            Directories::Strict => self.taken_along_strictly(synced),
        }
    }

    /// All changes in this directory, and what has to come before them so that nothing is lost that nobody removed.
    fn taken_along_strictly(&self, synced: u64) -> Vec<bool> {
        let mut directories = BTreeSet::from([synced]);
        let mut taken = vec![false; self.changes.len()];
        for (change, taken) in self.changes.iter().zip(&mut taken).rev() {
            if !change.directories().any(|directory| directories.contains(&directory)) {
                continue;
            }
            *taken = true;
            match change {
                Change::Link { .. } => {}
                // A directory leaves empty: the names in it go first.
                Change::Unlink { node, .. } => _ = directories.insert(*node),
                // A rename binds its directories together, and must not move a file to where the cut will reach it.
                Change::Move { from, to, replaced, .. } => {
                    directories.insert(from.directory);
                    directories.extend(replaced);
                    directories.insert(to.directory);
                    directories.extend(self.ancestors_without_durable_name(to.directory));
                }
            }
        }
        taken
    }

    /// The directories that must be synced before this one can be reached after a cut.
    fn ancestors_without_durable_name(&self, directory: u64) -> Vec<u64> {
        let mut ancestors = Vec::new();
        let mut at = directory;
        while at != ROOT {
            let Some(node) = self.nodes.get(&at) else { break };
            let Body::Directory { parent, .. } = &node.body else { break };
            if node.durable.is_empty() {
                ancestors.push(*parent);
            }
            at = *parent;
        }
        ancestors
    }
}
