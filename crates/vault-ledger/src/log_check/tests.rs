//! Logs of made-up entries as files in memory, whole and damaged.

use std::{collections::BTreeMap, convert::Infallible};

use super::*;
use crate::{
    log_files::LogFiles,
    note::{Origin, VerifierKey},
    testing::{TestSigner, detokenize},
    tree::bundle_path,
};

/// A log's files.
type Files = BTreeMap<String, Vec<u8>>;

struct Memory {
    files: Files,
}

impl LogSource for Memory {
    type Error = Infallible;
    const HAS_PARTIAL_TILES: bool = true;

    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.files.get(&bundle_path(index, width)).cloned())
    }

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.files.get(&id.path()).cloned())
    }
}

/// What a store keeps: full tiles alone.
struct FullAlone(Memory);

impl LogSource for FullAlone {
    type Error = Infallible;
    const HAS_PARTIAL_TILES: bool = false;

    fn bundle(&self, index: u64, width: u16) -> Result<Option<Vec<u8>>, Infallible> {
        self.0.bundle(index, width)
    }

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.0.tile(id)?.filter(|_| id.width == TILE_HASHES))
    }
}

fn entry(index: u64) -> Vec<u8> {
    detokenize(1000 + index / 7, [index]).encode().unwrap()
}

/// A log of so many entries: its head and its files.
fn log(size: u64) -> (TreeHead, Files) {
    let mut files = Files::new();
    let mut writer = LogFiles::new();
    let mut put = |path: &str, bytes: &[u8]| {
        assert!(files.insert(path.to_owned(), bytes.to_vec()).is_none(), "{path} is written once");
        Ok::<_, LedgerError>(())
    };
    (0..size).for_each(|index| writer.entry(&entry(index), &mut put).unwrap());
    let head = writer.frontier().head();
    let key = VerifierKey::of(Origin::parse("log").unwrap(), &TestSigner::new(1)).unwrap();
    writer.finish(&key, "a checkpoint", &mut put).unwrap();
    (head, files)
}

fn check<S: LogSource<Error = Infallible>>(source: &S, size: u64, heads: &[TreeHead]) -> Result<u64, Fault> {
    let mut check = LogCheck::new(TreeSize(size), LogPosition::default());
    heads.iter().for_each(|head| check.expect(KnownHead { head: *head, whose: format!("head {}", head.size.0) }));
    let mut seen = 0;
    loop {
        match check.step(source, |index, _| {
            assert_eq!(index, seen);
            seen += 1;
        }) {
            Ok(true) => {}
            Ok(false) => return Ok(seen),
            Err(Stopped::Fault(fault)) => return Err(fault),
        }
    }
}

#[test]
fn the_files_of_a_log_have_the_paths_and_widths_of_tlog_tiles() {
    let (_, files) = log(3);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3", "vkey"]);
    let (_, files) = log(256);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["checkpoint", "tile/0/000", "tile/1/000.p/1", "tile/entries/000", "vkey"]);
    let (_, files) = log(65_536 + 256 + 5);
    for (path, bytes) in [
        ("tile/0/255", 8192),
        ("tile/0/257.p/5", 160),
        ("tile/1/000", 8192),
        ("tile/1/001.p/1", 32),
        ("tile/2/000.p/1", 32),
    ] {
        assert_eq!(files.get(path).map(Vec::len), Some(bytes), "{path}");
    }
    let (_, files) = log(0);
    assert_eq!(files.len(), 2);
}

#[test]
fn a_whole_log_passes_at_every_size_and_meets_each_head() {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 600, 65_536 + 256 + 5] {
        let (head, files) = log(size);
        let known = [log(size / 2).0, log(size / 3).0, head];
        let known: Vec<_> = known.into_iter().filter(|head| head.size.0 > 0).collect();
        let source = Memory { files };
        assert_eq!(check(&source, size, &known), Ok(size));
        assert_eq!(check(&FullAlone(source), size, &known), Ok(size));
    }
}

#[test]
fn the_first_wrong_entry_is_named_and_who_is_wrong() {
    let (head, files) = log(600);
    let damaged = |path: &str, at: usize| {
        let mut files = files.clone();
        files.get_mut(path).unwrap()[at] ^= 1;
        check(&Memory { files }, 600, &[head]).unwrap_err()
    };
    // The third entry of a bundle, in its salt.
    let third = 2 * (2 + entry(0).len()) + 2 + 15;
    for (path, first) in [("tile/entries/000", 0), ("tile/entries/001", 256), ("tile/entries/002.p/88", 512)] {
        let index = first + 2;
        assert_eq!(damaged(path, third), Fault { first: index, last: index, problem: Problem::EntryChanged });
    }
    for (path, first) in [("tile/0/000", 0), ("tile/0/001", 256), ("tile/0/002.p/88", 512)] {
        let problem = Problem::TileChanged(path.to_owned());
        assert_eq!(damaged(path, 2 * 32), Fault { first: first + 2, last: first + 2, problem });
    }
    let problem = Problem::TileContradicted("tile/1/000.p/2".to_owned());
    assert_eq!(damaged("tile/1/000.p/2", 32), Fault { first: 256, last: 511, problem });
}

#[test]
fn what_is_missing_too_long_or_cut_is_found() {
    let (head, files) = log(300);
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = files.clone();
        change(&mut files);
        check(&Memory { files }, 300, &[head]).unwrap_err()
    };
    let bundle = "tile/entries/001.p/44";
    let missing = with(&|files| drop(files.remove(bundle)));
    assert_eq!((missing.first, missing.problem), (256, Problem::EntryMissing));
    let length = files[bundle].len();
    let cut = with(&|files| files.get_mut(bundle).unwrap().truncate(length - 1));
    assert_eq!((cut.first, cut.problem), (299, Problem::EntryMissing));
    let long = with(&|files| files.get_mut(bundle).unwrap().push(0));
    assert_eq!((long.first, long.problem), (299, Problem::BundleTooLong));
    for path in ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"] {
        let missing = with(&|files| drop(files.remove(path)));
        assert_eq!(missing.problem, Problem::TileMissing(path.to_owned()));
        let cut = with(&|files| files.get_mut(path).unwrap().truncate(31));
        assert_eq!(cut.problem, Problem::TileMissing(path.to_owned()));
    }
    let behind = check(&Memory { files: log(200).1 }, 200, &[head]).unwrap_err();
    assert_eq!((behind.first, behind.last), (200, 299));
    assert_eq!(behind.problem, Problem::Behind { size: 300, whose: "head 300".to_owned() });
}

/// A log that its own vault wrote anew, tiles and all: only a head from elsewhere tells, and bounds where it begins.
#[test]
fn a_log_that_was_rewritten_whole_is_told_by_a_head_from_elsewhere() {
    let (mut writer, mut files) = (LogFiles::new(), Files::new());
    let mut put = |path: &str, bytes: &[u8]| {
        files.insert(path.to_owned(), bytes.to_vec());
        Ok::<_, LedgerError>(())
    };
    for index in 0..300 {
        let bytes = if index == 270 { entry(271) } else { entry(index) };
        writer.entry(&bytes, &mut put).unwrap();
    }
    let forked = writer.frontier().head();
    let key = VerifierKey::of(Origin::parse("log").unwrap(), &TestSigner::new(1)).unwrap();
    writer.finish(&key, "", &mut put).unwrap();
    let source = Memory { files };
    let older = log(260).0;
    assert_eq!(check(&source, 300, &[older, forked]), Ok(300));
    let fault = check(&source, 300, &[older, log(280).0, forked]).unwrap_err();
    let problem = Problem::Forked { size: 280, whose: "head 280".to_owned() };
    assert_eq!(fault, Fault { first: 260, last: 279, problem });
}

#[test]
fn entries_that_are_not_canonical_or_run_back_in_time_are_found_though_they_are_in_the_tree() {
    for (bad, problem) in [
        (detokenize(5, [1]).encode().unwrap(), Problem::TimeBackwards),
        (vec![9; 40], Problem::EntryInvalid(LedgerError::VersionUnknown { what: "an entry", version: 9 })),
    ] {
        let (mut writer, mut files) = (LogFiles::new(), Files::new());
        let mut put = |path: &str, bytes: &[u8]| {
            files.insert(path.to_owned(), bytes.to_vec());
            Ok::<_, LedgerError>(())
        };
        for bytes in [entry(0), bad, entry(1)] {
            writer.entry(&bytes, &mut put).unwrap();
        }
        let head = writer.frontier().head();
        let key = VerifierKey::of(Origin::parse("log").unwrap(), &TestSigner::new(1)).unwrap();
        writer.finish(&key, "", &mut put).unwrap();
        assert_eq!(check(&Memory { files }, 3, &[head]), Err(Fault { first: 1, last: 1, problem }));
    }
}

#[test]
fn a_check_goes_on_from_its_position_and_a_false_position_passes_nothing() {
    let (head, files) = log(700);
    let source = Memory { files };
    let mut first = LogCheck::new(TreeSize(600), LogPosition::default());
    while first.step(&source_of(600), |_, _| ()).unwrap() {}
    let position = first.position().clone();
    assert_eq!(position.entries, 512);
    let go_on = |position: LogPosition| {
        let mut check = LogCheck::new(TreeSize(700), position);
        check.expect(KnownHead { head, whose: "head".to_owned() });
        let mut seen = 0;
        loop {
            match check.step(&source, |_, _| seen += 1) {
                Ok(true) => {}
                Ok(false) => return Ok(seen),
                Err(Stopped::Fault(fault)) => return Err(fault.problem),
            }
        }
    };
    assert_eq!(go_on(position.clone()), Ok(188));
    let mut other = position;
    other.hashes[0].0[0] ^= 1;
    assert!(matches!(go_on(other), Err(Problem::Forked { .. } | Problem::TileContradicted(_))));
}

fn source_of(size: u64) -> Memory {
    Memory { files: log(size).1 }
}

#[test]
fn a_head_of_just_what_was_read_before_is_met_and_one_of_less_is_not_believed() {
    let (head, files) = log(512);
    let source = Memory { files };
    let mut first = LogCheck::new(TreeSize(512), LogPosition::default());
    while first.step(&source, |_, _| ()).unwrap() {}
    let position = first.position().clone();
    assert_eq!(position.entries, 512);
    let go_on = |heads: &[TreeHead]| {
        let mut check = LogCheck::new(TreeSize(512), position.clone());
        heads.iter().for_each(|head| check.expect(KnownHead { head: *head, whose: "head".to_owned() }));
        match check.step(&source, |_, _| ()) {
            Ok(goes_on) => Ok(goes_on),
            Err(Stopped::Fault(fault)) => Err(fault.problem),
        }
    };
    assert_eq!(go_on(&[head]), Ok(false));
    // The vault wrote its history anew, to just this size, and signed it.
    let forked = TreeHead { root: leaf_hash(b"another history"), ..head };
    for heads in [[forked, head], [head, forked]] {
        assert_eq!(go_on(&heads), Err(Problem::Forked { size: 512, whose: "head".to_owned() }));
    }
    let (earlier, _) = log(300);
    assert_eq!(go_on(&[earlier]), Err(Problem::HeadBefore { size: 300, whose: "head".to_owned() }));
    let mut empty = LogCheck::new(TreeSize(0), LogPosition::default());
    empty.expect(KnownHead { head: TreeHead { size: TreeSize(0), root: head.root }, whose: "head".to_owned() });
    assert!(empty.step(&source, |_, _| ()).is_err());
}
