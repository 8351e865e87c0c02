//! A witness judges what a log sends it, and remembers it on the disk.

use std::{fs, sync::Arc};

use tempfile::TempDir;
use vault_crypto::{Key256, LogKey};
use vault_domain::{ManualClock, Millis, SystemEntropy};
use vault_ledger::{
    AddCheckpoint, Checkpoint, Frontier, Note, Origin, Signer, TileMap, TreeHash, TreeHead, TreeSize, VerifierKey,
    leaf_hash, prove_consistency,
};

use super::{Answer, OpenError, Witness};
use crate::WitnessSigner;

struct LogSigner(LogKey);

impl Signer for LogSigner {
    fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A log of fewer entries than fill a tile.
struct TestLog {
    origin: Origin,
    signer: LogSigner,
    leaves: Vec<TreeHash>,
}

impl TestLog {
    fn new(history: &str) -> Self {
        let signer = LogSigner(LogKey::from_seed(&Key256::from_bytes(&[7; 32])));
        let leaves = (0..200).map(|index| leaf_hash(format!("{history} {index}").as_bytes())).collect();
        Self { origin: Origin::parse("log.example/1").unwrap(), signer, leaves }
    }

    /// Goes on as another history after so many entries.
    fn forked_at(mut self, size: usize) -> Self {
        let other = Self::new("other");
        self.leaves.truncate(size);
        self.leaves.extend_from_slice(&other.leaves[size..]);
        self
    }

    fn key(&self) -> VerifierKey {
        VerifierKey::of(self.origin.clone(), &self.signer).unwrap()
    }

    fn frontier(&self, size: u64) -> Frontier {
        let leaves = &self.leaves[..usize::try_from(size).unwrap()];
        Frontier::restore(TreeSize(size), &TileMap::default(), leaves).unwrap()
    }

    fn note(&self, size: u64) -> String {
        Checkpoint { origin: self.origin.clone(), head: self.frontier(size).head() }.sign(&self.signer).unwrap()
    }

    fn request(&self, old: u64, new: u64) -> String {
        let proof = match old {
            0 => Vec::new(),
            _ => prove_consistency(&self.frontier(new), TreeSize(old), TreeSize(new)).unwrap(),
        };
        AddCheckpoint { old: TreeSize(old), proof, checkpoint: self.note(new) }.text()
    }
}

fn signer() -> WitnessSigner {
    WitnessSigner::generate("witness.example/w1", &SystemEntropy).unwrap().0
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(Millis(1_790_000_000_123)))
}

fn open(folder: &TempDir, signer: WitnessSigner) -> Witness {
    Witness::open(signer, vec![TestLog::new("a").key()], folder.path(), clock()).unwrap()
}

/// The signer again: its key is no copy.
fn twice() -> (WitnessSigner, WitnessSigner) {
    let (first, text) = WitnessSigner::generate("witness.example/w1", &SystemEntropy).unwrap();
    (first, WitnessSigner::parse(text.as_bytes()).unwrap())
}

#[test]
fn a_log_that_grows_is_cosigned_and_a_request_from_another_size_is_told_the_right_one() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let witness = open(&folder, signer());
    for (old, new) in [(0, 0), (0, 3), (3, 3), (3, 64), (64, 100), (100, 200)] {
        let Answer::Cosigned(line) = witness.add_checkpoint(&log.request(old, new)) else { panic!("{old} {new}") };
        let note = log.note(new) + &line;
        let cosigned = witness.verifier_key().verify(&Note::parse(&note).unwrap()).unwrap();
        assert_eq!(cosigned.seconds, 1_790_000_000);
        assert_eq!(witness.logs().collect::<Vec<_>>(), [("log.example/1", new)]);
    }
    for (old, new) in [(0, 200), (100, 200), (100, 150), (0, 0)] {
        assert_eq!(witness.add_checkpoint(&log.request(old, new)), Answer::Elsewhere(200), "{old} {new}");
    }
}

#[test]
fn a_second_history_gets_no_cosignature_and_is_kept_as_evidence() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let witness = open(&folder, signer());
    assert!(matches!(witness.add_checkpoint(&log.request(0, 100)), Answer::Cosigned(_)));
    for at in [0, 1, 63, 64, 99] {
        let fork = TestLog::new("a").forked_at(at);
        for new in [100, 101, 128, 200] {
            let answer = if new == 100 { Answer::Elsewhere(100) } else { Answer::Inconsistent };
            assert_eq!(witness.add_checkpoint(&fork.request(100, new)), answer, "{at} {new}");
        }
    }
    let evidence: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "contradiction"))
        .collect();
    let note = fs::read_to_string(&evidence[0]).unwrap();
    let second = Checkpoint::open(&note, &log.key()).unwrap().head;
    assert_eq!(second.size, TreeSize(100));
    assert_ne!(second.root, log.frontier(100).root());
    assert!(matches!(witness.add_checkpoint(&log.request(100, 150)), Answer::Cosigned(_)), "the first one goes on");
}

#[test]
fn what_is_no_request_or_not_of_the_logs_key_is_refused() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let witness = open(&folder, signer());
    let good = log.request(0, 3);
    let mut stranger = TestLog::new("a");
    stranger.signer = LogSigner(LogKey::from_seed(&Key256::from_bytes(&[8; 32])));
    let mut unknown = TestLog::new("a");
    unknown.origin = Origin::parse("log.example/2").unwrap();
    let text = log.note(0).replace("47DEQpj8HBSa", "57DEQpj8HBSa");
    let not_empty = {
        let text = text.split("\n\n").next().unwrap().to_owned() + "\n";
        vault_ledger::sign_note(&text, &log.origin, &log.signer).unwrap()
    };
    let extended = {
        let text = log.note(3).split("\n\n").next().unwrap().to_owned() + "\nan extension\n";
        vault_ledger::sign_note(&text, &log.origin, &log.signer).unwrap()
    };
    for (body, answer) in [
        (String::new(), Answer::Malformed),
        (good.replace("old 0", "old 00"), Answer::Malformed),
        (good.replace("old 0", "old 4"), Answer::Malformed),
        (good.replace("\n\n", "\n"), Answer::Malformed),
        (format!("old 0\n\n{extended}"), Answer::Malformed),
        (stranger.request(0, 3), Answer::SignatureRefused),
        (good.replace("\n3\n", "\n4\n"), Answer::SignatureRefused),
        (unknown.request(0, 3), Answer::LogUnknown),
        (format!("old 0\n\n{not_empty}"), Answer::Inconsistent),
        (good.replace("old 0\n", &format!("old 0\n{}=\n", "A".repeat(43))), Answer::Inconsistent),
    ] {
        assert_eq!(witness.add_checkpoint(&body), answer, "{}", body.chars().take(80).collect::<String>());
        assert_eq!(witness.logs().collect::<Vec<_>>(), [("log.example/1", 0)]);
    }
    // A proof that has one hash more or less.
    assert!(matches!(witness.add_checkpoint(&good), Answer::Cosigned(_)));
    let mut next = AddCheckpoint::parse(&log.request(3, 100)).unwrap();
    next.proof.pop();
    assert_eq!(witness.add_checkpoint(&next.text()), Answer::Inconsistent);
    assert!(matches!(witness.add_checkpoint(&log.request(3, 100)), Answer::Cosigned(_)));
}

#[test]
fn what_was_cosigned_is_remembered_and_a_changed_memory_is_refused() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let (first, again) = twice();
    let witness = open(&folder, first);
    assert!(matches!(witness.add_checkpoint(&log.request(0, 100)), Answer::Cosigned(_)));
    let busy = Witness::open(signer(), vec![log.key()], folder.path(), clock());
    assert!(matches!(busy, Err(OpenError::Folder { .. })), "one folder, one witness");
    drop(witness);
    let witness = open(&folder, again);
    assert_eq!(witness.add_checkpoint(&log.request(0, 50)), Answer::Elsewhere(100));
    let hash = super::hex(&vault_crypto::sha256(&[log.origin.as_str().as_bytes()]));
    let note = witness.newest(&hash).unwrap();
    assert!(note.contains("witness.example/w1") && Checkpoint::open(&note, &log.key()).is_ok());
    drop(witness);
    let other = Witness::open(signer(), vec![log.key()], folder.path(), clock());
    assert!(matches!(other, Err(OpenError::State { .. })), "another key's memory");
    let file = folder.path().join(format!("{hash}.checkpoint"));
    fs::write(&file, log.note(3)).unwrap();
    let changed = Witness::open(signer(), vec![log.key()], folder.path(), clock());
    assert!(matches!(changed, Err(OpenError::State { .. })), "without a cosignature");
}

#[test]
fn where_the_state_can_not_be_written_nothing_is_signed() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let witness = open(&folder, signer());
    let hash = super::hex(&vault_crypto::sha256(&[log.origin.as_str().as_bytes()]));
    // A folder stands where the file is written before it is renamed.
    fs::create_dir(folder.path().join(format!("{hash}.new"))).unwrap();
    assert_eq!(witness.add_checkpoint(&log.request(0, 100)), Answer::StateFailed);
    assert!(witness.newest(&hash).is_none());
    fs::remove_dir(folder.path().join(format!("{hash}.new"))).unwrap();
    assert_eq!(witness.add_checkpoint(&log.request(0, 100)), Answer::StateFailed, "until it is started anew");
}

#[test]
fn of_many_requests_at_once_one_history_alone_is_signed() {
    let (folder, log) = (TempDir::new().unwrap(), TestLog::new("a"));
    let witness = open(&folder, signer());
    let fork = TestLog::new("a").forked_at(0);
    let cosigned: Vec<TreeHead> = std::thread::scope(|scope| {
        let judged: Vec<_> = (1..=20_u64)
            .flat_map(|size| [(&log, size), (&fork, size)])
            .map(|(log, size)| {
                let witness = &witness;
                scope.spawn(move || match witness.add_checkpoint(&log.request(0, size)) {
                    Answer::Cosigned(_) => Some(log.frontier(size).head()),
                    answer => {
                        assert!(matches!(answer, Answer::Elsewhere(_)), "{answer:?}");
                        None
                    }
                })
            })
            .collect();
        judged.into_iter().filter_map(|judged| judged.join().unwrap()).collect()
    });
    assert_eq!(cosigned.len(), 1, "each began at 0");
}
