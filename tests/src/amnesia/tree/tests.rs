//! Names without FUSE: random acts against simple oracles of what a cut must leave.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use proptest::{prelude::*, sample::Index};
use tempfile::TempDir;

use super::{
    super::{Directories, Options, Survivors, changes::Name},
    ROOT, Tree,
};

/// No file of past failures: the shrunk case that a failure prints becomes a named test.
fn seeds_printed_only() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// A tree over two durable directories, `a` and `b`.
struct Disk {
    backing: PathBuf,
    tree: Tree,
    directories: [u64; 2],
    _dir: TempDir,
}

fn disk(directories: Directories) -> Disk {
    let dir = TempDir::new().unwrap();
    let (backing, limbo) = (dir.path().join("backing"), dir.path().join("limbo"));
    fs::create_dir_all(backing.join("a")).unwrap();
    fs::create_dir_all(backing.join("b")).unwrap();
    fs::create_dir(&limbo).unwrap();
    let mut tree = Tree::load(&backing, &limbo, Options { directories, ..Options::default() }).unwrap();
    let directories = ["a", "b"].map(|name| tree.look_up(ROOT, OsStr::new(name)).unwrap());
    Disk { backing, tree, directories, _dir: dir }
}

/// What a directory holds: path below it, and bytes (none for a directory).
fn listed(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut unread = vec![root.to_owned()];
    while let Some(directory) = unread.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                found.insert(below, None);
                unread.push(path);
            } else {
                found.insert(below, Some(fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// What processes see.
fn seen(tree: &mut Tree) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut unread = vec![(ROOT, PathBuf::new())];
    while let Some((directory, path)) = unread.pop() {
        for entry in tree.entries(directory).unwrap().into_iter().skip(2) {
            let path = path.join(&entry.name);
            match entry.is_directory {
                true => unread.push((entry.node, path.clone())),
                false => _ = found.insert(path.clone(), Some(tree.read(entry.node, 0, 1 << 20).unwrap())),
            }
            found.entry(path).or_insert(None);
        }
    }
    found
}

/// The paths alone.
fn names(found: &BTreeMap<PathBuf, Option<Vec<u8>>>) -> Vec<PathBuf> {
    found.keys().cloned().collect()
}

/// A step in the life of names. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Create { directory: Index, name: u8 },
    MakeDirectory { directory: Index, name: u8 },
    Write { node: Index, len: usize },
    Link { node: Index, directory: Index, name: u8 },
    Remove { directory: Index, name: u8 },
    Rename { from: Index, name: u8, to: Index, new: u8 },
    Forget { node: Index },
    SyncFile { node: Index },
    SyncDirectory { directory: Index },
}

fn act() -> impl Strategy<Value = Act> {
    let name = || 0..6u8;
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), name()).prop_map(|(directory, name)| Act::Create { directory, name }),
        1 => (at(), name()).prop_map(|(directory, name)| Act::MakeDirectory { directory, name }),
        3 => (at(), 1..2000usize).prop_map(|(node, len)| Act::Write { node, len }),
        1 => (at(), at(), name()).prop_map(|(node, directory, name)| Act::Link { node, directory, name }),
        2 => (at(), name()).prop_map(|(directory, name)| Act::Remove { directory, name }),
        3 => (at(), name(), at(), name()).prop_map(|(from, name, to, new)| Act::Rename { from, name, to, new }),
        1 => at().prop_map(|node| Act::Forget { node }),
        2 => at().prop_map(|node| Act::SyncFile { node }),
        2 => at().prop_map(|directory| Act::SyncDirectory { directory }),
    ]
}

/// What was made so far and still has a name.
struct Known {
    directories: Vec<u64>,
    files: Vec<u64>,
}

/// Does the act; what the tree refuses (a name taken, a directory not empty) is no act.
fn perform(act: &Act, tree: &mut Tree, known: &mut Known) {
    let name = |number: u8| number.to_string();
    let directory = |index: &Index| *index.get(&known.directories);
    let file = |index: &Index| (!known.files.is_empty()).then(|| *index.get(&known.files));
    match act {
        Act::Create { directory: at, name: number } => {
            if let Ok(node) = tree.create_file(directory(at), name(*number).as_ref(), 0o600) {
                known.files.push(node);
            }
        }
        Act::MakeDirectory { directory: at, name: number } => {
            if let Ok(node) = tree.create_directory(directory(at), name(*number).as_ref(), 0o700) {
                known.directories.push(node);
            }
        }
        Act::Write { node, len } => {
            if let Some(node) = file(node) {
                let bytes = vec![(node % 251) as u8; *len];
                tree.change(node, *len as u64, |content| content.write(content.len(), &bytes)).unwrap();
            }
        }
        Act::Link { node, directory: at, name: number } => {
            if let Some(node) = file(node) {
                let _ = tree.link(node, directory(at), name(*number).as_ref());
            }
        }
        Act::Remove { directory: at, name: number } => {
            let at = directory(at);
            if tree.unlink(at, name(*number).as_ref()).is_err() {
                let _ = tree.remove_directory(at, name(*number).as_ref());
            }
        }
        Act::Rename { from, name: number, to, new } => rename(tree, directory(from), *number, directory(to), *new),
        Act::Forget { node } => file(node).into_iter().for_each(|node| tree.forget(node, 1)),
        Act::SyncFile { node } => file(node).into_iter().for_each(|node| tree.sync_file(node).unwrap()),
        Act::SyncDirectory { directory: at } => tree.sync_directory(directory(at)).unwrap(),
    }
    // The kernel lets nobody make names in a directory that was removed.
    let mut named = |&node: &u64| node == ROOT || tree.node(node).is_ok_and(|node| node.links > 0);
    known.directories.retain(&mut named);
    known.files.retain(&mut named);
}

/// Renames unless the kernel would refuse it: a directory into itself, or over something of another kind.
fn rename(tree: &mut Tree, from: u64, name: u8, to: u64, new: u8) {
    let child = |tree: &mut Tree, directory, name: u8| {
        tree.children(directory).unwrap().get(OsStr::new(&name.to_string())).copied()
    };
    let Some(node) = child(tree, from, name) else { return };
    let is_directory = tree.children(node).is_ok();
    if child(tree, to, new).is_some_and(|replaced| tree.children(replaced).is_ok() != is_directory) {
        return;
    }
    let mut at = to;
    while at != ROOT {
        if at == node {
            return;
        }
        at = tree.entries(at).unwrap()[1].node;
    }
    let _ = tree.rename(
        Name { directory: from, name: name.to_string().into() },
        Name { directory: to, name: new.to_string().into() },
        true,
    );
}

fn sync_all(tree: &mut Tree) {
    let mut unread = vec![ROOT];
    while let Some(directory) = unread.pop() {
        tree.sync_directory(directory).unwrap();
        for entry in tree.entries(directory).unwrap().into_iter().skip(2) {
            match entry.is_directory {
                true => unread.push(entry.node),
                false => tree.sync_file(entry.node).unwrap(),
            }
        }
    }
}

proptest! {
    #![proptest_config(seeds_printed_only())]
    #[test]
    fn after_a_sync_of_everything_the_disk_is_what_processes_see(
        acts in prop::collection::vec(act(), 1..80),
        rule in prop_oneof![Just(Directories::Strict), Just(Directories::Ext4Like)],
    ) {
        let Disk { backing, mut tree, directories, _dir } = disk(rule);
        let mut known = Known { directories: vec![ROOT, directories[0], directories[1]], files: Vec::new() };
        for act in &acts {
            perform(act, &mut tree, &mut known);
        }
        sync_all(&mut tree);
        prop_assert!(tree.changes.is_empty() || rule == Directories::Strict);
        prop_assert_eq!(tree.unsynced, 0);
        let expected = seen(&mut tree);
        prop_assert_eq!(listed(&backing), expected.clone());
        tree.cut().unwrap();
        prop_assert_eq!(listed(&backing), expected);
    }

    #[test]
    fn in_strict_mode_the_cut_leaves_each_directory_as_last_synced(acts in prop::collection::vec(act(), 1..80)) {
        let Disk { backing, mut tree, directories, _dir } = disk(Directories::Strict);
        let mut known = Known { directories: directories.to_vec(), files: Vec::new() };
        let (mut names, mut bytes) = (BTreeMap::new(), BTreeMap::new());
        for act in &acts {
            // Directories are fixed here, and renames stay in theirs: the oracle is one line then.
            let act = match act.clone() {
                Act::MakeDirectory { directory, name } => Act::Create { directory, name },
                Act::Rename { from, name, new, .. } => Act::Rename { from, name, to: from, new },
                act => act,
            };
            perform(&act, &mut tree, &mut known);
            match act {
                Act::SyncFile { node } if !known.files.is_empty() => {
                    let node = *node.get(&known.files);
                    bytes.insert(node, tree.read(node, 0, 1 << 20).unwrap());
                }
                Act::SyncDirectory { directory } => {
                    let directory = *directory.get(&known.directories);
                    names.insert(directory, tree.children(directory).unwrap().clone());
                }
                _ => {}
            }
        }
        tree.cut().unwrap();
        for (directory, path) in directories.iter().zip(["a", "b"]) {
            let children = names.remove(directory).unwrap_or_default();
            let expected = children.into_iter().map(|(name, node)| {
                (PathBuf::from(name), Some(bytes.get(&node).cloned().unwrap_or_default()))
            });
            prop_assert_eq!(listed(&backing.join(path)), expected.collect());
        }
    }

    #[test]
    fn what_is_durable_and_only_moved_is_never_lost(
        acts in prop::collection::vec(act(), 1..80),
        rule in prop_oneof![Just(Directories::Strict), Just(Directories::Ext4Like)],
    ) {
        let Disk { backing, mut tree, directories, _dir } = disk(rule);
        let mut known = Known { directories: vec![ROOT, directories[0], directories[1]], files: Vec::new() };
        for (directory, name) in directories.iter().flat_map(|&directory| [(directory, "0"), (directory, "1")]) {
            let node = tree.create_file(directory, OsStr::new(name), 0o600).unwrap();
            tree.change(node, 8, |content| content.write(0, &node.to_be_bytes())).unwrap();
            known.files.push(node);
        }
        sync_all(&mut tree);
        let durable = known.files.clone();
        for act in acts.iter().filter(|act| !matches!(act, Act::Remove { .. } | Act::Link { .. } | Act::Write { .. })) {
            perform(act, &mut tree, &mut known);
        }
        tree.cut().unwrap();
        let left = listed(&backing);
        // One that a rename replaced is gone with good reason.
        for node in durable.iter().filter(|node| known.files.contains(node)) {
            let bytes = Some(node.to_be_bytes().to_vec());
            prop_assert_eq!(left.values().filter(|left| **left == bytes).count(), 1, "file {}", node);
        }
    }

    #[test]
    fn in_ext4s_way_the_cut_leaves_names_as_they_were_at_one_moment(
        acts in prop::collection::vec(act(), 1..80),
        torn: Option<u64>,
    ) {
        let Disk { backing, mut tree, directories, _dir } = disk(Directories::Ext4Like);
        if let Some(seed) = torn {
            tree.options.survivors = Survivors::Torn { seed };
        }
        let mut known = Known { directories: vec![ROOT, directories[0], directories[1]], files: Vec::new() };
        let mut moments = vec![names(&seen(&mut tree))];
        for act in &acts {
            perform(act, &mut tree, &mut known);
            moments.push(names(&seen(&mut tree)));
        }
        tree.cut().unwrap();
        prop_assert!(moments.contains(&names(&listed(&backing))));
    }
}
