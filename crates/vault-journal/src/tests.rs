//! The journal over a real store: what it promises to those who hand it their commits.

use std::{num::NonZeroU32, path::Path, time::Duration};

use tempfile::TempDir;
use vault_domain::{Action, Decision, LogIndex, ManualClock, Millis, Reason, RecordNumber, Region, RequestId, VaultId};
use vault_ledger::{
    Checkpoint, Entry, EntryBuilder, EntryHead, EntrySalt, PolicySetFingerprint, SealedPart, Summary, leaf_hash,
};
use vault_store::{
    Batch, Identity, Memory, Options, Scope, Store,
    table::{Entries, Records, RunNumber, Summaries, Values},
    wait,
};

use super::*;

/// A key for tests: "signs" by Ed25519, like the real one.
struct TestKey(vault_crypto::LogKey);

impl Signer for TestKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

struct Fixture {
    dir: TempDir,
    clock: ManualClock,
    free_bytes_min: u64,
    known_outside: Option<String>,
}

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::at(Millis(1_800_000_000_000));
        Self { dir: tempfile::tempdir().unwrap(), clock, free_bytes_min: 0, known_outside: None }
    }

    fn open(&self) -> Result<(Journal, Running, Reader), JournalError> {
        let store = store(&self.dir.path().join("eu"));
        let key = vault_crypto::Key256::from_bytes(&[7; 32]);
        let reader = store.reader.clone();
        let parts = Parts {
            writer: store.writer,
            free_bytes_min: self.free_bytes_min,
            summaries: store.summaries,
            reader: store.reader,
            origin: Origin::of_region(&vault(), &Region::parse("eu").unwrap(), FIRST_LIFE),
            signer: Arc::new(TestKey(vault_crypto::LogKey::from_seed(&key))),
            clock: Arc::new(self.clock.clone()),
            known_outside: self.known_outside.clone(),
        };
        Journal::open(parts).map(|(journal, running)| (journal, running, reader))
    }
}

fn vault() -> VaultId {
    VaultId::parse("vault.example.org").unwrap()
}

fn store(path: &Path) -> Store {
    let identity = Identity { vault: vault(), scope: Scope::Region(Region::parse("eu").unwrap()) };
    Store::open(path, &Options { create: true, identity, memory: Memory::default(), ballast_bytes: 0 }).unwrap()
}

fn entry(mark: u8) -> Vec<u8> {
    let head = EntryHead {
        wall_time: Millis(1_800_000_000_000),
        salt: EntrySalt([mark; 16]),
        action: Action::Tokenize,
        decision: Decision::Failed,
        reason: Some(Reason::BatchEmpty),
        request_id: RequestId([mark; 16]),
        trace_id: None,
        count: NonZeroU32::MIN,
        purpose: None,
        audience: None,
        policy_set: PolicySetFingerprint::default(),
    };
    EntryBuilder::new(&head, [""; 0]).unwrap().finish(&SealedPart::None).unwrap()
}

fn submission(mark: u8) -> Submission {
    Submission { entry: entry(mark), ..Submission::default() }
}

fn putting(mark: u8, make: impl FnOnce(&mut Batch)) -> Submission {
    let mut submission = submission(mark);
    make(&mut submission.batch);
    submission
}

#[test]
fn rows_and_entry_are_on_disk_together_when_the_receipt_comes() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    for mark in 0..5 {
        let receipt = wait(journal.commit(putting(mark, |batch| batch.put(Values, &[mark; 16], b"row")))).unwrap();
        assert_eq!(receipt.index, LogIndex(mark.into()));
        let snapshot = reader.snapshot();
        let stored = wait(snapshot.get(Entries, &receipt.index)).unwrap().unwrap();
        assert_eq!(leaf_hash(&stored), receipt.leaf);
        assert_eq!(Entry::decode(&stored).unwrap().log_time, receipt.log_time);
        assert_eq!(wait(snapshot.get(Values, &[mark; 16])).unwrap().as_deref(), Some(b"row".as_slice()));
    }
    assert_eq!(journal.size(), 5);
    running.stop();
    assert_eq!(wait(journal.commit(submission(9))), Err(CommitError::Stopped));
}

#[test]
fn a_log_is_known_by_its_first_entry_whose_body_nobody_needs_once_a_tile_is_full() {
    let fixture = Fixture::new();
    let mut first = None;
    let mut size = 0_u64;
    for until in [1, 255, 257, 600] {
        let (journal, running, reader) = fixture.open().unwrap();
        while size < until {
            let receipt = wait(journal.commit(submission(u8::try_from(size % 251).unwrap()))).unwrap();
            let first = *first.get_or_insert(receipt.leaf);
            assert_eq!((receipt.index, receipt.log_id), (LogIndex(size), first));
            size += 1;
        }
        // The index reads each body once, behind the log.
        while journal.index_progress().entries() < size - size % 256 {
            std::thread::sleep(Duration::from_millis(1));
        }
        running.stop();
        drop((journal, reader));
        if until == 257 {
            let mut store = store(&fixture.dir.path().join("eu"));
            let mut batch = Batch::default();
            batch.delete(Entries, &LogIndex(0));
            store.writer.commit([&batch]).unwrap();
        }
    }
}

#[test]
fn a_conflict_is_told_when_what_it_conflicts_with_can_be_read() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    for round in 0..50_u8 {
        let since = journal.position();
        let racing = |mark| Submission {
            conditions: vec![Condition::unchanged(Values, &[round; 16], since)],
            ..putting(mark, |batch| batch.put(Values, &[round; 16], &[mark]))
        };
        let (first, second) = (journal.commit(racing(1)), journal.commit(racing(2)));
        assert_eq!(wait(second), Err(CommitError::Conflict));
        // Told earlier, the caller would read what it read before, and conflict again and again.
        assert!(wait(reader.snapshot().get(Values, &[round; 16])).unwrap().is_some());
        assert!(journal.position() > since);
        wait(first).unwrap();
    }
    running.stop();
}

#[test]
fn of_calls_that_race_for_one_row_one_wins_and_the_others_leave_nothing() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    for round in 0..50_u8 {
        let since = journal.position();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let race = |mark: u8| {
                let mut submission = putting(mark, |batch| batch.put(Values, &[round; 16], &[mark]));
                submission.conditions.push(Condition::unchanged(Values, &[round; 16], since));
                wait(journal.commit(submission))
            };
            let racers: Vec<_> = (0..4).map(|mark| scope.spawn(move || race(mark))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).collect()
        });
        let winners: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(CommitError::Conflict))));
        let row = wait(reader.snapshot().get(Values, &[round; 16])).unwrap().unwrap();
        assert_eq!(usize::from(row[0]), winners[0].0);
    }
    assert_eq!(journal.size(), 50, "what was refused is no entry");
    running.stop();
}

#[test]
fn what_has_expired_by_the_commit_is_not_committed() {
    let fixture = Fixture::new();
    let (journal, running, _) = fixture.open().unwrap();
    let until = |millis| Submission { valid_until: Some(Millis(millis)), ..submission(1) };
    let now = fixture.clock.wall().0;
    assert!(wait(journal.commit(until(now + 1))).is_ok());
    assert_eq!(wait(journal.commit(until(now))), Err(CommitError::Conflict), "on the very millisecond");
    fixture.clock.set_wall(Millis(now - 60_000));
    let receipt = wait(journal.commit(submission(2))).unwrap();
    assert_eq!(receipt.log_time, Millis(now), "log time never runs backwards");
    assert_eq!(wait(journal.commit(until(now))), Err(CommitError::Conflict), "nor does expiry, when the clock does");
    running.stop();
}

#[test]
fn a_checkpoint_covers_what_is_on_disk_and_survives_a_restart() {
    let mut fixture = Fixture::new();
    let (journal, running, _) = fixture.open().unwrap();
    for mark in 0..3 {
        wait(journal.commit(submission(mark))).unwrap();
    }
    let checkpoint = wait(journal.checkpoint()).unwrap();
    assert_eq!(checkpoint.size, 3);
    let opened = Checkpoint::open(&checkpoint.note, journal.verifier_key()).unwrap();
    assert_eq!(opened.origin, *journal.origin());
    wait(journal.commit(submission(3))).unwrap();
    running.stop();

    fixture.known_outside = Some(checkpoint.note.clone());
    let (journal, running, reader) = fixture.open().unwrap();
    assert_eq!(journal.size(), 4);
    let log = LogReader::new(&reader, journal.origin());
    assert_eq!(log.newest_checkpoint().unwrap().unwrap().size, 4, "the last act was to sign");
    wait(journal.commit(submission(4))).unwrap();
    let again = wait(journal.checkpoint()).unwrap();
    assert_eq!(again.size, 5);
    running.stop();
}

#[test]
fn a_log_that_is_behind_or_beside_a_known_checkpoint_is_refused() {
    let mut fixture = Fixture::new();
    let (journal, running, _) = fixture.open().unwrap();
    for mark in 0..3 {
        wait(journal.commit(submission(mark))).unwrap();
    }
    let known = wait(journal.checkpoint()).unwrap().note.clone();
    running.stop();
    drop(journal);

    let behind = Fixture { known_outside: Some(known.clone()), ..Fixture::new() };
    assert!(matches!(behind.open(), Err(JournalError::Behind { size: 0, known: 3, .. })));

    let mut beside = Fixture::new();
    let (journal, running, _) = beside.open().unwrap();
    for mark in 10..14 {
        wait(journal.commit(submission(mark))).unwrap();
    }
    running.stop();
    drop(journal);
    beside.known_outside = Some(known.clone());
    assert!(matches!(beside.open(), Err(JournalError::Forked { known: 3, .. })));

    fixture.known_outside = Some(known.replacen("\n3\n", "\n4\n", 1));
    assert!(matches!(fixture.open(), Err(JournalError::Ledger(_))), "a note that was changed is no note");
}

#[test]
fn a_nearly_full_disk_refuses_before_anything_is_written() {
    let fixture = Fixture { free_bytes_min: u64::MAX, ..Fixture::new() };
    let (journal, running, _) = fixture.open().unwrap();
    assert_eq!(wait(journal.commit(submission(1))), Err(CommitError::DiskLow));
    assert_eq!(journal.size(), 0);
    assert!(!journal.has_failed(), "it is no failure: when there is room again, it goes on");
    running.stop();
}

#[test]
fn record_numbers_go_on_above_all_that_were_ever_used() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    assert_eq!(next_record_number(&reader).unwrap(), 0);
    let number = RecordNumber::new(123_456).unwrap();
    wait(journal.commit(putting(1, |batch| batch.put(Records, &number, b"row")))).unwrap();
    wait(journal.commit(putting(2, |batch| batch.delete(Records, &number)))).unwrap();
    running.stop();
    drop((journal, reader));
    let (_, running, reader) = fixture.open().unwrap();
    assert!(next_record_number(&reader).unwrap() > 123_456, "though the record is gone");
    running.stop();
}

#[test]
fn the_index_follows_behind_and_is_built_again_after_a_restart() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    let commits: Vec<_> = (0..600_u32).map(|_| journal.commit(submission(1))).collect();
    for commit in commits {
        wait(commit).unwrap();
    }
    let mut waited = 0;
    while journal.index_progress().entries() < 512 && waited < 1000 {
        std::thread::sleep(Duration::from_millis(10));
        waited += 1;
    }
    assert_eq!(journal.index_progress().entries(), 512, "whole runs of 256 only");
    let row = wait(reader.snapshot().get(Summaries, &RunNumber(1))).unwrap().unwrap();
    assert_eq!(Summary::decode(&row).unwrap().entries(), 256);
    running.stop();
    drop((journal, reader));
    let (journal, running, _) = fixture.open().unwrap();
    assert_eq!(journal.index_progress().entries(), 512);
    running.stop();
}

#[test]
fn rows_of_an_older_version_are_built_again() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    let commits: Vec<_> = (0..1100_u32).map(|_| journal.commit(submission(1))).collect();
    for commit in commits {
        wait(commit).unwrap();
    }
    let caught_up = |journal: &Journal| {
        let waited = (0..1000).take_while(|_| journal.index_progress().entries() < 1024);
        waited.for_each(|_| std::thread::sleep(Duration::from_millis(10)));
        journal.index_progress().entries()
    };
    assert_eq!(caught_up(&journal), 1024);
    let row = |reader: &Reader, run| wait(reader.snapshot().get(Summaries, &RunNumber(run))).unwrap().unwrap();
    let rows: Vec<_> = (0..4).map(|run| row(&reader, run)).collect();
    running.stop();
    drop((journal, reader));
    // As if the last start with the newer version had come no further than run 1.
    let mut store = store(&fixture.dir.path().join("eu"));
    for run in 1..4_u64 {
        store.summaries.put(RunNumber(run), &[1, 0, 1]).unwrap();
    }
    drop(store);
    let (journal, running, reader) = fixture.open().unwrap();
    assert_eq!(caught_up(&journal), 1024);
    for (run, before) in rows.iter().enumerate() {
        assert_eq!(&row(&reader, run as u64), before, "{run}");
    }
    running.stop();
}

#[test]
fn a_full_queue_refuses_at_once() {
    let fixture = Fixture::new();
    let (journal, running, _) = fixture.open().unwrap();
    let commits: Vec<_> = (0..20_000_u32).map(|_| journal.commit(submission(1))).collect();
    let outcomes: Vec<_> = commits.into_iter().map(wait).collect();
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(CommitError::Busy))));
    assert!(taken >= limits::JOURNAL_QUEUE_MAX, "{taken}");
    assert_eq!(journal.size(), u64::try_from(taken).unwrap());
    running.stop();
}

#[test]
fn proofs_hold_at_every_size_across_tiles_and_after_the_end() {
    let fixture = Fixture::new();
    let (journal, running, reader) = fixture.open().unwrap();
    let tree_of = |leaves: &[vault_ledger::TreeHash]| {
        let mut frontier = Frontier::new();
        leaves.iter().for_each(|leaf| frontier.append(*leaf, &mut Vec::new()));
        frontier.head()
    };
    let mut leaves = Vec::new();
    // Over the end of the first tile of the second level.
    let target = 66_000;
    while leaves.len() < target {
        let most = (target - leaves.len()).min(500);
        let committed: Vec<_> = (0..most).map(|_| journal.commit(submission(1))).collect();
        leaves.extend(committed.into_iter().map(|receipt| wait(receipt).unwrap().leaf));
    }
    let sizes = [1, 2, 255, 256, 257, 511, 513, 65_535, 65_536, 65_537, 65_792, target];
    let check = || {
        for size in sizes {
            let head = tree_of(&leaves[..size]);
            for index in [0, 1, 254, 255, 256, 300, 65_535, 65_536, size - 1] {
                let at = LogIndex(index as u64);
                let proved = wait(journal.prove_inclusion(&reader, at, head.size));
                if index >= size {
                    assert!(matches!(proved, Err(JournalError::Ledger(vault_ledger::LedgerError::OutOfTree))));
                    continue;
                }
                let InclusionProof { leaf, hashes } = proved.unwrap();
                assert_eq!(leaf, leaves[index], "{index} of {size}");
                vault_ledger::verify_inclusion(&head, at, &leaf, &hashes).unwrap();
            }
            for older in sizes.into_iter().filter(|older| *older <= size) {
                let old = tree_of(&leaves[..older]);
                let hashes = wait(journal.prove_consistency(&reader, old.size, head.size)).unwrap();
                vault_ledger::verify_consistency(&old, &head, &hashes).unwrap();
            }
        }
        let beyond = wait(journal.prove_inclusion(&reader, LogIndex(0), vault_ledger::TreeSize(target as u64 + 1)));
        assert!(beyond.is_err());
    };
    check();
    running.stop();
    // What proves the past has to outlive what writes the present.
    check();
}
