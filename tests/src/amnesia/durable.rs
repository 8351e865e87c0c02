//! The only place that changes the backing directory: syncs, and the power cut.

use std::{fs, io, path::PathBuf};

use nix::errno::Errno;

use super::{
    Directories, Lost, Survivors,
    changes::{Change, Name},
    survivors::Chance,
    tree::{Body, Tree},
};

impl Tree {
    /// Makes a file's bytes durable, and in ext4's way its names too.
    ///
    /// # Errors
    /// What the backing directory said; nothing is forgotten then, and a later sync tries again.
    pub(super) fn sync_file(&mut self, node: u64) -> io::Result<()> {
        self.count_sync()?;
        if !self.content(node)?.is_synced() {
            let (content, file) = self.content_and_file(node)?;
            let before = content.unsynced();
            content.sync(file)?;
            self.unsynced -= before;
        }
        match self.options.directories {
            Directories::Strict => Ok(()),
            Directories::Ext4Like => self.settle(&self.taken_along(node)),
        }
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the backing directory said; the changes not yet durable stay recorded.
    pub(super) fn sync_directory(&mut self, node: u64) -> io::Result<()> {
        self.count_sync()?;
        self.settle(&self.taken_along(node))
    }

    /// The power goes: lets survive what the options say, and forgets the rest. A second cut changes nothing.
    ///
    /// # Errors
    /// What the backing directory said to the survivors.
    pub(super) fn cut(&mut self) -> io::Result<Lost> {
        if let Some(lost) = self.lost {
            return Ok(lost);
        }
        let mut lost = Lost { bytes: self.unsynced, names: self.changes.len() };
        self.lost = Some(lost);
        if let Survivors::Torn { seed } = self.options.survivors {
            lost.bytes -= self.tear(&mut Chance::new(seed))?;
            lost.names = self.changes.len();
            self.lost = Some(lost);
        }
        Ok(lost)
    }

    fn count_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        if self.options.cut_before_sync == Some(self.syncs) {
            self.cut()?;
            return Err(Errno::EIO.into());
        }
        Ok(())
    }

    /// Lets a part of the unsynced changes survive; returns how many bytes.
    fn tear(&mut self, chance: &mut Chance) -> io::Result<u64> {
        let count = self.changes.len();
        let surviving = chance.below(u64::try_from(count).unwrap_or(u64::MAX) + 1);
        let taken: Vec<bool> = (0..).map(|at| at < surviving).take(count).collect();
        self.settle(&taken)?;
        let mut survived = 0;
        let nodes: Vec<u64> = self.nodes.keys().copied().collect();
        for node in nodes {
            let reachable = !self.path(node)?.starts_with(&self.limbo);
            if reachable && self.content(node).is_ok_and(|content| !content.is_synced()) {
                let (content, file) = self.content_and_file(node)?;
                survived += content.tear(file, chance)?;
            }
        }
        Ok(survived)
    }

    /// Applies the taken changes in their order; the others stay recorded.
    fn settle(&mut self, taken: &[bool]) -> io::Result<()> {
        if !taken.contains(&true) {
            return Ok(());
        }
        let mut result = Ok(());
        let changes = std::mem::take(&mut self.changes);
        for (change, taken) in changes.into_iter().zip(taken) {
            if *taken && result.is_ok() {
                result = self.apply(&change);
                if result.is_ok() {
                    self.strike(&change);
                    continue;
                }
            }
            self.changes.push(change);
        }
        result
    }

    /// One change in the backing directory, atomic there too.
    fn apply(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::Link { name, node } => {
                let (source, target) = (self.path(*node)?, self.path_of(name)?);
                match self.node(*node)?.durable.is_empty() {
                    true => fs::rename(source, target)?,
                    false => fs::hard_link(source, target)?,
                }
                self.node(*node)?.durable.push(name.clone());
            }
            Change::Unlink { name, node } => {
                let path = self.path_of(name)?;
                match self.node(*node)?.durable.len() {
                    1 => fs::rename(path, self.limbo(*node))?,
                    _ => fs::remove_file(path)?,
                }
                self.node(*node)?.durable.retain(|durable| durable != name);
            }
            Change::Move { from, to, node, replaced } => {
                let (source, target) = (self.path_of(from)?, self.path_of(to)?);
                if let Some(replaced) = *replaced {
                    // Who still has the replaced file open can read on.
                    let found = self.node(replaced)?;
                    if found.durable.len() == 1 && matches!(found.body, Body::File { .. }) {
                        fs::hard_link(&target, self.limbo(replaced))?;
                    }
                }
                fs::rename(source, target)?;
                if let Some(replaced) = *replaced {
                    self.node(replaced)?.durable.retain(|durable| durable != to);
                }
                let durable = &mut self.node(*node)?.durable;
                durable.retain(|durable| durable != from);
                durable.push(to.clone());
            }
        }
        Ok(())
    }

    /// The change is no longer recorded.
    fn strike(&mut self, change: &Change) {
        for node in change.nodes() {
            if let Ok(node) = self.node(node) {
                node.recorded -= 1;
            }
            self.collect(node);
        }
    }

    fn path_of(&self, name: &Name) -> io::Result<PathBuf> {
        Ok(self.path(name.directory)?.join(&name.name))
    }
}
