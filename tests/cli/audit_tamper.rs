//! The tamper matrix: more than 10,000 seeded changes of a log that a real vault made, each shown to three verifiers:
//! `tokenvault audit verify`, docs/audit/verify.py, and Go's sumdb packages (tests/audit). All three have to find each
//! one, and to name the same first wrong entry.
//!
//! Every change is one of meaning: bytes differ from those of the log, in a file that the layout has. What the layout
//! allows to differ is not among them: files of another name, and signatures of others behind the log's own.
#![expect(clippy::indexing_slicing, reason = "what is not there fails the test, which is what it is for")]

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use vault_crypto::{Key256, LogKey};
use vault_ledger::{Checkpoint, LedgerError, LogFiles, Origin, Signer, VerifierKey};
use vault_tests::requests::scattered;

use crate::audited::{Audited, contents};

/// Changes of each kind.
const PLAN: &[(Kind, usize)] = &[
    (Kind::BitOfEntry, 4000),
    (Kind::BitOfTile, 2000),
    (Kind::BitOfCheckpoint, 900),
    (Kind::EntryDropped, 400),
    (Kind::EntryRepeated, 400),
    (Kind::EntriesSwapped, 600),
    (Kind::EntryCopiedOver, 500),
    (Kind::EntriesReversed, 400),
    (Kind::HashesSwapped, 300),
    (Kind::Truncated, 500),
    (Kind::Lengthened, 200),
    (Kind::TileMadeToFit, 300),
    (Kind::TreeMadeToFit, 100),
    (Kind::SignedByAnother, 100),
    (Kind::FileGone, 7),
    (Kind::OtherCheckpoint, 2),
    (Kind::OtherFolder, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// One bit of an entry, or of its length.
    BitOfEntry,
    /// One bit of a tile.
    BitOfTile,
    /// One bit of the checkpoint.
    BitOfCheckpoint,
    /// An entry is left out.
    EntryDropped,
    /// An entry stands twice.
    EntryRepeated,
    /// Two entries have changed places.
    EntriesSwapped,
    /// An entry stands in the place of another.
    EntryCopiedOver,
    /// Entries in a row stand the other way round.
    EntriesReversed,
    /// Two hashes of a tile have changed places.
    HashesSwapped,
    /// The end of a file is gone.
    Truncated,
    /// A file goes on.
    Lengthened,
    /// An entry was changed, and its hash in the tile of the leaves with it.
    TileMadeToFit,
    /// An entry was changed, and every tile with it.
    TreeMadeToFit,
    /// An entry was changed, every tile, and the checkpoint, signed with another key under the log's name.
    SignedByAnother,
    /// A file is missing.
    FileGone,
    /// The folder has another checkpoint of its vault: an older one, or that of a fork.
    OtherCheckpoint,
    /// The folder was rolled back, or is of a fork of the log that its own vault signed.
    OtherFolder,
}

type Files = BTreeMap<String, Vec<u8>>;

/// `remove` bytes at `offset` of a file become `insert`; with `None` the file is gone.
#[derive(Clone, Debug)]
struct Change {
    path: String,
    offset: usize,
    remove: Option<usize>,
    insert: Vec<u8>,
}

/// A damaged log: the folder it is made of, what is changed, and the first entry that is wrong; none if it is not about
/// entries.
#[derive(Clone, Debug)]
struct Damaged {
    kind: Kind,
    folder: usize,
    changes: Vec<Change>,
    first: Option<u64>,
}

/// The log as it was exported, and what is known of it elsewhere.
struct Matrix {
    /// The log, an older state of it, and a fork from there.
    folders: [PathBuf; 3],
    files: [Files; 3],
    key: String,
    checkpoints: [Vec<u8>; 2],
    /// Of each entry its bundle, and where it begins and ends there, its length included.
    entries: Vec<(String, usize, usize)>,
    /// Entries that the older checkpoint covers.
    older: u64,
    state: u64,
}

impl Matrix {
    fn new(folders: [PathBuf; 3], key: String) -> Self {
        let files = folders.clone().map(|folder| {
            let name = |path: &Path| path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
            contents(&folder).into_iter().map(|(path, bytes, _)| (name(&path), bytes)).collect::<Files>()
        });
        let checkpoints = [files[1]["checkpoint"].clone(), files[0]["checkpoint"].clone()];
        let mut entries = Vec::new();
        for (path, bundle) in files[0].iter().filter(|(path, _)| path.starts_with("tile/entries/")) {
            let mut at = 0;
            while at < bundle.len() {
                let end = at + 2 + usize::from(u16::from_be_bytes([bundle[at], bundle[at + 1]]));
                entries.push((path.clone(), at, end));
                at = end;
            }
        }
        let older = size_of(&checkpoints[0]);
        assert_eq!(entries.len() as u64, size_of(&checkpoints[1]));
        Self { folders, files, key, checkpoints, entries, older, state: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.state += 1;
        usize::try_from(scattered(self.state) % bound as u64).unwrap()
    }

    fn entry(&mut self) -> (u64, String, usize, usize) {
        let index = self.below(self.entries.len());
        let (path, begin, end) = self.entries[index].clone();
        (index as u64, path, begin, end)
    }

    fn bytes(&self, index: u64) -> Vec<u8> {
        let (path, begin, end) = &self.entries[usize::try_from(index).unwrap()];
        self.files[0][path][*begin..*end].to_vec()
    }

    /// The index of the last entry of a bundle.
    fn last_of(&self, path: &str) -> u64 {
        self.entries.iter().rposition(|(bundle, ..)| bundle == path).unwrap() as u64
    }

    fn tile(&mut self) -> (String, usize) {
        let tiles: Vec<_> = self.files[0].iter().filter(|(path, _)| is_tile(path)).collect();
        // By bytes, so that every hash is as likely as another.
        let total = tiles.iter().map(|(_, bytes)| bytes.len()).sum();
        let tiles: Vec<_> = tiles.into_iter().map(|(path, bytes)| (path.clone(), bytes.len())).collect();
        let mut at = self.below(total);
        for (path, length) in tiles {
            if at < length {
                return (path, at);
            }
            at -= length;
        }
        unreachable!("it lies within the total")
    }

    /// The first entry under a byte of a tile.
    fn under(path: &str, at: usize) -> u64 {
        let mut parts = path.split('/').skip(1);
        let level: u32 = parts.next().unwrap().parse().unwrap();
        let number: u64 = parts.next().unwrap().trim_end_matches(".p").parse().unwrap();
        (number * 256 + (at / 32) as u64) << (8 * level)
    }

    /// What a log that was rewritten whole is told by: the first checkpoint that is not met, from the one before it on.
    fn after_the_last_head(&self, index: u64) -> u64 {
        if index < self.older { 0 } else { self.older }
    }

    /// The files of the log with one entry changed, rebuilt.
    fn rebuilt(&self, index: u64, entry: &[u8], note: impl FnOnce(&LogFiles) -> String) -> Vec<Change> {
        let mut files = Files::new();
        let mut put = |path: &str, bytes: &[u8]| {
            files.insert(path.to_owned(), bytes.to_vec());
            Ok::<_, LedgerError>(())
        };
        let mut writer = LogFiles::new();
        for at in 0..self.entries.len() as u64 {
            let bytes = if at == index { entry.to_vec() } else { self.bytes(at) };
            writer.entry(&bytes[2..], &mut put).unwrap();
        }
        let note = note(&writer);
        writer.finish(&VerifierKey::parse(&self.key).unwrap(), &note, &mut put).unwrap();
        let differs = files.into_iter().filter(|(path, bytes)| self.files[0][path] != *bytes);
        differs.map(|(path, bytes)| self.whole(path, bytes)).collect()
    }

    fn whole(&self, path: String, insert: Vec<u8>) -> Change {
        let remove = Some(self.files[0][&path].len());
        Change { path, offset: 0, remove, insert }
    }

    /// The `nth` damage of a kind; nothing if what chance came up with changes nothing.
    fn damaged(&mut self, kind: Kind, nth: usize) -> Option<Damaged> {
        let (changes, first) = match kind {
            Kind::BitOfEntry
            | Kind::EntryDropped
            | Kind::EntryRepeated
            | Kind::EntriesSwapped
            | Kind::EntryCopiedOver
            | Kind::EntriesReversed => self.of_entries(kind)?,
            Kind::BitOfTile | Kind::BitOfCheckpoint | Kind::HashesSwapped => self.of_hashes(kind)?,
            Kind::Truncated | Kind::Lengthened | Kind::FileGone => self.of_files(kind, nth),
            Kind::TileMadeToFit | Kind::TreeMadeToFit | Kind::SignedByAnother => self.made_to_fit(kind, nth),
            Kind::OtherCheckpoint => {
                let note = self.files[1 + nth]["checkpoint"].clone();
                // Of another size, the right edge is in files of another name: the tile above, or the last bundle.
                let (size, here) = (size_of(&note), self.entries.len() as u64);
                let first = if size / 256 == here / 256 { here / 256 * 256 } else { 0 };
                (vec![self.whole("checkpoint".to_owned(), note)], Some(first))
            }
            Kind::OtherFolder => {
                return Some(Damaged { kind, folder: 1 + nth, changes: Vec::new(), first: Some(self.older) });
            }
        };
        Some(Damaged { kind, folder: 0, changes, first })
    }

    fn of_entries(&mut self, kind: Kind) -> Option<(Vec<Change>, Option<u64>)> {
        let (index, path, begin, end) = self.entry();
        let (changes, first) = match kind {
            Kind::BitOfEntry => {
                let at = begin + self.below(end - begin);
                (vec![self.flipped(&path, at)], index)
            }
            Kind::EntryDropped => (vec![change(&path, begin, end - begin, Vec::new())], index),
            Kind::EntryRepeated => {
                let first = (index + 1).min(self.last_of(&path));
                (vec![change(&path, begin, 0, self.bytes(index))], first)
            }
            Kind::EntriesSwapped => {
                let (other, path_of_other, from, until) = self.entry();
                let here = change(&path, begin, end - begin, self.bytes(other));
                let there = change(&path_of_other, from, until - from, self.bytes(index));
                // The later one first, so that the other's place does not move.
                let changes = if index < other { vec![there, here] } else { vec![here, there] };
                (changes, (index != other).then(|| index.min(other))?)
            }
            Kind::EntryCopiedOver => {
                let (other, ..) = self.entry();
                let copied = change(&path, begin, end - begin, self.bytes(other));
                (vec![copied], (index != other).then_some(index)?)
            }
            _ => {
                let last = index + 1 + self.below(20) as u64;
                if last > self.last_of(&path) {
                    return None;
                }
                let bytes: Vec<u8> = (index..=last).rev().flat_map(|index| self.bytes(index)).collect();
                (vec![change(&path, begin, bytes.len(), bytes)], index)
            }
        };
        Some((changes, Some(first)))
    }

    fn of_hashes(&mut self, kind: Kind) -> Option<(Vec<Change>, Option<u64>)> {
        let (path, at) = self.tile();
        match kind {
            Kind::BitOfTile => Some((vec![self.flipped(&path, at)], Some(Self::under(&path, at)))),
            Kind::BitOfCheckpoint => {
                let at = self.below(self.files[0]["checkpoint"].len());
                Some((vec![self.flipped("checkpoint", at)], None))
            }
            _ => {
                let hashes = self.files[0][&path].len() / 32;
                let (a, b) = (at / 32, self.below(hashes));
                let hash = |n: usize| self.files[0][&path][n * 32..(n + 1) * 32].to_vec();
                let changes = vec![change(&path, a * 32, 32, hash(b)), change(&path, b * 32, 32, hash(a))];
                (a != b).then(|| (changes, Some(Self::under(&path, a.min(b) * 32))))
            }
        }
    }

    fn of_files(&mut self, kind: Kind, nth: usize) -> (Vec<Change>, Option<u64>) {
        let ((index, bundle, begin, end), (tile, at)) = (self.entry(), self.tile());
        let of_bundle = nth.is_multiple_of(2);
        match kind {
            Kind::Truncated if of_bundle => {
                let at = begin + self.below(end - begin);
                (vec![change(&bundle, at, self.files[0][&bundle].len() - at, Vec::new())], Some(index))
            }
            Kind::Truncated => {
                let cut = change(&tile, at, self.files[0][&tile].len() - at, Vec::new());
                (vec![cut], Some(Self::under(&tile, 0)))
            }
            Kind::Lengthened => {
                let more = vec![0x5a; 1 + self.below(300)];
                let (path, first) =
                    if of_bundle { (&bundle, self.last_of(&bundle)) } else { (&tile, Self::under(&tile, 0)) };
                (vec![change(path, self.files[0][path].len(), 0, more)], Some(first))
            }
            _ => {
                let path = self.files[0].keys().filter(|path| *path != "vkey").nth(nth).unwrap().clone();
                let first = match path.as_str() {
                    "checkpoint" => None,
                    tile if is_tile(tile) => Some(Self::under(tile, 0)),
                    bundle => Some(self.entries.iter().position(|(path, ..)| path == bundle).unwrap() as u64),
                };
                (vec![Change { path, offset: 0, remove: None, insert: Vec::new() }], first)
            }
        }
    }

    fn made_to_fit(&mut self, kind: Kind, nth: usize) -> (Vec<Change>, Option<u64>) {
        let (index, entry) = self.changed_entry();
        match kind {
            Kind::TileMadeToFit => {
                let changes = self.rebuilt(index, &entry, |_| self.note());
                let changes = changes.into_iter().filter(|change| !change.path.starts_with("tile/1/")).collect();
                // Told by the tile above when its own is full, or by the root at the size of a checkpoint.
                let end = index / 256 * 256 + 256;
                let by_the_root = end > self.entries.len() as u64 || index < self.older && self.older < end;
                (changes, Some(if by_the_root { self.after_the_last_head(index) } else { end - 256 }))
            }
            Kind::TreeMadeToFit => {
                (self.rebuilt(index, &entry, |_| self.note()), Some(self.after_the_last_head(index)))
            }
            _ => {
                let origin = VerifierKey::parse(&self.key).unwrap().origin().clone();
                let seed = u8::try_from(nth).unwrap();
                (self.rebuilt(index, &entry, |files| forged(origin, files, seed)), None)
            }
        }
    }

    /// One bit of a byte.
    fn flipped(&mut self, path: &str, at: usize) -> Change {
        let byte = self.files[0][path][at] ^ 1 << self.below(8);
        change(path, at, 1, vec![byte])
    }

    fn note(&self) -> String {
        String::from_utf8(self.files[0]["checkpoint"].clone()).unwrap()
    }

    /// An entry with another salt: canonical as before, and with the same time.
    fn changed_entry(&mut self) -> (u64, Vec<u8>) {
        let (index, ..) = self.entry();
        let mut bytes = self.bytes(index);
        bytes[2 + 13 + self.below(16)] ^= 1 << self.below(8);
        (index, bytes)
    }

    /// The job as a line for the other verifiers.
    fn line(&self, damaged: &Damaged) -> String {
        let change = |change: &Change| {
            json!({
                "Path": change.path,
                "Offset": change.offset,
                "Remove": change.remove.map_or(-1, |remove| i64::try_from(remove).unwrap()),
                "Insert": STANDARD.encode(&change.insert),
            })
        };
        json!({
            "Folder": self.folders[damaged.folder],
            "Key": self.key,
            "Checkpoints": self.checkpoints.iter().map(|note| STANDARD.encode(note)).collect::<Vec<_>>(),
            "Changes": damaged.changes.iter().map(change).collect::<Vec<Value>>(),
        })
        .to_string()
    }

    /// What the program says of it, in the words of the others.
    fn ours(&self, damaged: &Damaged) -> String {
        let mut changed: BTreeMap<&str, Option<Vec<u8>>> = BTreeMap::new();
        for Change { path, offset, remove, insert } in &damaged.changes {
            let file = changed.entry(path).or_insert_with(|| self.files[0].get(path).cloned());
            match (remove, file) {
                (Some(remove), Some(bytes)) => drop(bytes.splice(*offset..offset + remove, insert.iter().copied())),
                (_, file) => *file = None,
            }
        }
        let read = |path: &str| match changed.get(path) {
            Some(file) => file.clone(),
            None => self.files[damaged.folder].get(path).cloned(),
        };
        let checkpoints = self.checkpoints.clone().map(|note| String::from_utf8(note).unwrap());
        match tokenvault_cli::verify_files(read, &self.key, &checkpoints) {
            Ok(entries) => format!("ok {entries}"),
            Err((Some(first), problem)) => format!("bad {first} {problem}"),
            Err((None, problem)) => format!("bad - {problem}"),
        }
    }
}

fn change(path: &str, offset: usize, remove: usize, insert: Vec<u8>) -> Change {
    Change { path: path.to_owned(), offset, remove: Some(remove), insert }
}

/// A checkpoint of another key under the log's name.
fn forged(origin: Origin, files: &LogFiles, seed: u8) -> String {
    struct Forger(LogKey);
    impl Signer for Forger {
        fn public_key(&self) -> [u8; 32] {
            self.0.public()
        }
        fn sign(&self, message: &[u8]) -> [u8; 64] {
            self.0.sign(message)
        }
    }
    let signer = Forger(LogKey::from_seed(&Key256::from_bytes(&[seed; 32])));
    Checkpoint { origin, head: files.frontier().head() }.sign(&signer).unwrap()
}

fn size_of(note: &[u8]) -> u64 {
    std::str::from_utf8(note).unwrap().lines().nth(1).unwrap().parse().unwrap()
}

fn is_tile(path: &str) -> bool {
    path.starts_with("tile/") && !path.starts_with("tile/entries/")
}

/// Gives a verifier all jobs at once; its answers, a line each.
pub(crate) fn answers(command: &mut Command, jobs: &[String]) -> Vec<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let jobs = jobs.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(jobs.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_10_000_changes_of_a_log_is_found_by_three_verifiers_that_name_the_same_entry() {
    let mut audited = Audited::after(270).await;
    audited.keep("older");
    audited.export("eu", "older-log");
    audited.go_on(1000, 290).await;
    let said = audited.export("eu", "log");
    let key = said["verifier_key"].as_str().unwrap().to_owned();
    audited.put_back("older");
    audited.go_on(2000, 300).await;
    audited.export("eu", "forked-log");
    let folders = ["log", "older-log", "forked-log"].map(|name| audited.path(name));
    let mut matrix = Matrix::new(folders, key);
    let whole = Damaged { kind: Kind::OtherFolder, folder: 0, changes: Vec::new(), first: None };

    // A log that was not changed stands first and last: what refuses everything finds nothing.
    let (mut all, mut seen) = (vec![whole.clone()], HashSet::new());
    for (kind, count) in PLAN {
        let mut nth = 0;
        while nth < *count {
            let Some(damaged) = matrix.damaged(*kind, nth) else { continue };
            // Chance repeats itself now and then; what is counted is different.
            if seen.insert(matrix.line(&damaged)) {
                all.push(damaged);
                nth += 1;
            }
        }
    }
    all.push(whole);
    let planned: usize = PLAN.iter().map(|(_, count)| count).sum();
    assert!(seen.len() == planned && planned >= 10_000, "{planned}");

    let jobs: Vec<_> = all.iter().map(|damaged| matrix.line(damaged)).collect();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(tests.join("audit/python.py")).arg(tests.join("../docs/audit/verify.py"));
    let mut go = Command::new(tests.join("audit/go.sh"));
    let (python, go) = std::thread::scope(|scope| {
        let python = scope.spawn(|| answers(&mut python, &jobs));
        let go = scope.spawn(|| answers(&mut go, &jobs));
        (python.join().unwrap(), go.join().unwrap())
    });
    let ours: Vec<_> = all.iter().map(|damaged| matrix.ours(damaged)).collect();
    let good = format!("ok {}", matrix.entries.len());
    let mut wrong = Vec::new();
    let mut found: BTreeMap<Kind, BTreeSet<usize>> = BTreeMap::new();
    for (at, damaged) in all.iter().enumerate() {
        for (who, answers) in [("tokenvault", &ours), ("python", &python), ("go", &go)] {
            assert_eq!(answers.len(), all.len(), "{who} answers every job");
            let is_right = if at == 0 || at == all.len() - 1 {
                answers[at] == good
            } else {
                let first = damaged.first.map_or("-".to_owned(), |first| first.to_string());
                answers[at].starts_with(&format!("bad {first} "))
            };
            if is_right {
                found.entry(damaged.kind).or_default().insert(at);
            } else {
                wrong.push(format!("{who}: {}; {damaged:?}", answers[at]));
            }
        }
    }
    let shown: Vec<_> = wrong.iter().take(5).map(|text| text.chars().take(600).collect::<String>()).collect();
    assert!(wrong.is_empty(), "{} of {}: {shown:#?}", wrong.len(), 3 * all.len());
    for (kind, count) in PLAN {
        let whole = if *kind == Kind::OtherFolder { 2 } else { 0 };
        assert_eq!(found[kind].len(), count + whole, "{kind:?}");
    }
    // The folders themselves are as they were: changes were made in memory alone.
    assert_eq!(fs::read(audited.path("log/checkpoint")).unwrap(), matrix.files[0]["checkpoint"]);
    audited.vault.finish().await;
}
