//! Bytes against a plain vector, and what a torn cut leaves of them.

use std::{
    fs::{self, File, OpenOptions},
    path::PathBuf,
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{super::survivors::Chance, Content};

const SECTOR: usize = 512;

/// A step in the life of one file.
#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, len: usize, byte: u8 },
    Truncate { len: usize },
    Zero { offset: usize, len: usize },
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3000usize, 0..1200usize, 1..=255u8).prop_map(|(offset, len, byte)| Step::Write { offset, len, byte }),
        2 => (0..4000usize).prop_map(|len| Step::Truncate { len }),
        1 => (0..3000usize, 0..3000usize).prop_map(|(offset, len)| Step::Zero { offset, len }),
        1 => Just(Step::Sync),
    ]
}

/// The step on plain bytes.
fn take(step: &Step, bytes: &mut Vec<u8>) {
    match *step {
        Step::Write { offset, len, byte } if len > 0 => {
            bytes.resize(bytes.len().max(offset + len), 0);
            bytes[offset..offset + len].fill(byte);
        }
        Step::Truncate { len } => bytes.resize(len, 0),
        Step::Zero { offset, len } => {
            let end = bytes.len().min(offset + len);
            bytes[offset.min(end)..end].fill(0);
        }
        Step::Write { .. } | Step::Sync => {}
    }
}

/// The step on a file's content.
fn give(step: &Step, content: &mut Content, file: &File) {
    match *step {
        Step::Write { offset, len, byte } => content.write(offset as u64, &vec![byte; len]),
        Step::Truncate { len } => content.truncate(len as u64),
        Step::Zero { offset, len } => content.zero(offset as u64, len as u64),
        Step::Sync => content.sync(file).unwrap(),
    }
}

/// No file of past failures: the shrunk case that a failure prints becomes a named test.
fn seeds_printed_only() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn empty_file(dir: &TempDir) -> (PathBuf, File) {
    let path = dir.path().join("file");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    (path, file)
}

proptest! {
    #![proptest_config(seeds_printed_only())]
    #[test]
    fn processes_see_every_write_and_the_disk_only_synced_ones(steps in prop::collection::vec(step(), 1..60)) {
        let dir = TempDir::new().unwrap();
        let (path, file) = empty_file(&dir);
        let (mut content, mut seen, mut synced) = (Content::default(), Vec::new(), Vec::new());
        for step in &steps {
            give(step, &mut content, &file);
            take(step, &mut seen);
            if matches!(step, Step::Sync) {
                synced.clone_from(&seen);
                prop_assert!(content.is_synced() && content.unsynced() == 0);
            }
            prop_assert_eq!(content.len(), seen.len() as u64);
            prop_assert_eq!(&content.read(&file, 0, 8192).unwrap(), &seen);
            let (from, to) = (seen.len() / 3, seen.len() / 2);
            let size = u32::try_from(to - from).unwrap();
            prop_assert_eq!(content.read(&file, from as u64, size).unwrap(), &seen[from..to]);
            prop_assert_eq!(&fs::read(&path).unwrap(), &synced);
        }
    }

    #[test]
    fn of_a_torn_append_a_prefix_of_sectors_survives(old in 0..2000usize, new in 1..5000usize, seed: u64) {
        let dir = TempDir::new().unwrap();
        let (path, file) = empty_file(&dir);
        let mut content = Content::default();
        content.write(0, &vec![1; old]);
        content.sync(&file).unwrap();
        content.write(old as u64, &vec![2; new]);
        let survived = content.tear(&file, &mut Chance::new(seed)).unwrap();
        let left = fs::read(&path).unwrap();
        prop_assert!(left.len() >= old && (left.len() - old) as u64 == survived);
        prop_assert!(left.len() % SECTOR == 0 || left.len() == old || left.len() == old + new, "{} bytes", left.len());
        prop_assert!(left[..old].iter().all(|&byte| byte == 1) && left[old..].iter().all(|&byte| byte == 2));
    }

    #[test]
    fn of_a_torn_mix_each_sector_is_old_or_new(
        writes in prop::collection::vec((0..6000usize, 1..900usize), 1..9),
        seed: u64,
    ) {
        const OLD: usize = 5000;
        let dir = TempDir::new().unwrap();
        let (path, file) = empty_file(&dir);
        let mut content = Content::default();
        content.write(0, &[1; OLD]);
        content.sync(&file).unwrap();
        let mut new = vec![1; OLD];
        for (offset, len) in writes {
            content.write(offset as u64, &vec![2; len]);
            new.resize(new.len().max(offset + len), 0);
            new[offset..offset + len].fill(2);
        }
        content.tear(&file, &mut Chance::new(seed)).unwrap();
        let left = fs::read(&path).unwrap();
        prop_assert!((OLD..=new.len()).contains(&left.len()));
        prop_assert!([0, OLD % SECTOR, new.len() % SECTOR].contains(&(left.len() % SECTOR)), "{} bytes", left.len());
        for (left, new) in left.chunks(SECTOR).zip(new.chunks(SECTOR)) {
            prop_assert!(left == &new[..left.len()] || left.iter().all(|&byte| byte == 1));
        }
    }

    #[test]
    fn a_torn_truncation_is_there_or_not(len in 0..5000usize, appended in 0..3000usize, seed: u64) {
        let dir = TempDir::new().unwrap();
        let (path, file) = empty_file(&dir);
        let mut content = Content::default();
        content.write(0, &[1; 5000]);
        content.sync(&file).unwrap();
        content.truncate(len as u64);
        content.write(len as u64, &vec![2; appended]);
        content.tear(&file, &mut Chance::new(seed)).unwrap();
        let left = fs::read(&path).unwrap();
        let whole = left == vec![1; 5000];
        let shorter = (len..=len + appended).contains(&left.len())
            && left[..len].iter().all(|&byte| byte == 1)
            && left[len..].iter().all(|&byte| byte == 2);
        prop_assert!(whole || shorter, "{} bytes", left.len());
    }
}

#[test]
fn of_many_torn_overwrites_some_survive_and_some_do_not() {
    let dir = TempDir::new().unwrap();
    let (path, file) = empty_file(&dir);
    let mut content = Content::default();
    content.write(0, &[1; 100 * SECTOR]);
    content.sync(&file).unwrap();
    content.write(0, &[2; 100 * SECTOR]);
    let survived = content.tear(&file, &mut Chance::new(1)).unwrap();
    let new = fs::read(path).unwrap().iter().filter(|&&byte| byte == 2).count();
    assert_eq!(survived, new as u64);
    assert!((20 * SECTOR..80 * SECTOR).contains(&new), "{new} bytes of {}", 100 * SECTOR);
}

#[test]
fn torn_writes_differ_by_seed_and_not_by_chance() {
    let dir = TempDir::new().unwrap();
    let left = |seed| {
        let (path, file) = empty_file(&dir);
        let mut content = Content::default();
        content.write(0, &[1; 100 * SECTOR]);
        content.tear(&file, &mut Chance::new(seed)).unwrap();
        fs::metadata(path).unwrap().len()
    };
    let lengths: Vec<u64> = (0..8).map(left).collect();
    assert!(lengths.iter().any(|&length| length != lengths[0]), "{lengths:?}");
    assert_eq!(lengths, (0..8).map(left).collect::<Vec<_>>());
}
