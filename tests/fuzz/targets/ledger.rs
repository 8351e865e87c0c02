//! The log as others bring it: entries, their people, rows of the index, notes, checkpoints, proofs, names.

use std::sync::LazyLock;

use vault_crypto::{Key256, LogKey};
use vault_domain::{Action, Decision, RecordNumber, RequestId};
use vault_ledger::{
    Checkpoint, Entry, ItemFilter, LogProof, Note, Origin, PROOF_HASHES_MAX, People, Query, Runs, SUMMARY_BYTES_MAX,
    SUMMARY_ENTRIES, Signer, SpanPart, Summary, TokenHash, TreeHash, TreeHead, TreeSize, VerifierKey,
    action_and_decision, leaf_hash, log_time, patch_log_time, sign_note,
};

use super::{assert_clear, text};

/// The key of a log, known to everybody.
pub(crate) struct KnownKey(pub(super) LogKey);

impl Signer for KnownKey {
    fn public_key(&self) -> [u8; 32] {
        self.0.public()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message)
    }
}

/// A log, its key, and the only checkpoint that it ever signed.
pub(crate) struct Log {
    pub(crate) signer: KnownKey,
    pub(crate) origin: Origin,
    pub(crate) key: VerifierKey,
    pub(crate) signed: Checkpoint,
}

pub(crate) static LOG: LazyLock<Log> = LazyLock::new(|| {
    let signer = KnownKey(LogKey::from_seed(&Key256::from_bytes(&[1; 32])));
    let origin = Origin::parse("vault.example.org/audit/eu/1").unwrap();
    let head = TreeHead { size: TreeSize(12_345), root: TreeHash([7; 32]) };
    let key = VerifierKey::of(origin.clone(), &signer).unwrap();
    Log { signed: Checkpoint { origin: origin.clone(), head }, signer, origin, key }
});

/// An entry has one encoding, and its log time stands where it is patched.
pub(super) fn entry(bytes: &[u8]) {
    match Entry::decode(bytes) {
        Ok(entry) => {
            assert_eq!(entry.encode().unwrap(), bytes, "one entry has one encoding");
            assert_eq!(log_time(bytes), Ok(entry.log_time));
            assert_eq!(action_and_decision(bytes), Ok((entry.head.action, entry.head.decision)));
            let mut patched = bytes.to_vec();
            patch_log_time(&mut patched, entry.log_time).unwrap();
            assert_eq!(leaf_hash(&patched), leaf_hash(bytes));
            assert!(format!("{entry:?}").len() > 10);
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

pub(super) fn people(bytes: &[u8]) {
    match People::decode(bytes) {
        Ok(people) => assert_eq!(people.encode().unwrap(), bytes, "people have one encoding"),
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

pub(super) fn summary(bytes: &[u8]) {
    match Summary::decode(bytes) {
        Ok(summary) => {
            assert_eq!(summary.encode().unwrap(), bytes, "one row has one encoding");
            assert!((1..=SUMMARY_ENTRIES).contains(&summary.entries()));
            assert!(bytes.len() <= SUMMARY_BYTES_MAX, "a row of {} bytes", bytes.len());
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

/// The first byte says which row it is. What it says of a question is the same each time, and of a question without
/// any condition it rules nothing out.
pub(super) fn span(bytes: &[u8]) {
    let Some((part, row)) = bytes.split_first() else { return };
    let part = SpanPart::ALL[usize::from(part % 4)];
    match part.runs(row, &Query::default()) {
        Ok(runs) => assert_eq!(runs, Runs::ALL),
        Err(error) => assert_clear(&error.to_string(), row),
    }
    let id = RequestId(row.last_chunk().copied().unwrap_or_default());
    let items = ItemFilter {
        numbers: vec![RecordNumber::new(u64::from(id.0[0])).unwrap()],
        token_hashes: vec![TokenHash(id.0)],
    };
    for query in [
        Query { action: Some(Action::Detokenize), decision: Some(Decision::Denied), ..Query::default() },
        Query { request_id: Some(id), ..Query::default() },
        Query { items: Some(items), ..Query::default() },
    ] {
        let is_same_error = part.runs(row, &query).is_ok() == part.runs(row, &Query::default()).is_ok();
        assert!(is_same_error, "a row decodes or not, whatever is asked");
    }
}

/// Whatever is done to a note, nothing but what its log signed passes for signed.
pub(super) fn note(bytes: &[u8]) {
    let text = text(bytes);
    match Note::parse(&text) {
        Ok(note) => {
            if let Ok(signed) = note.verify(&LOG.key) {
                assert_eq!(signed, LOG.signed.text(), "a forged signature");
            }
        }
        Err(error) => assert_clear(&error.to_string(), &[]),
    }
    if let Ok(checkpoint) = Checkpoint::open(&text, &LOG.key) {
        assert_eq!(checkpoint, LOG.signed);
    }
}

/// What a log may sign: any text that it signs is read back as it was, and a checkpoint has one text.
pub(super) fn checkpoint(bytes: &[u8]) {
    let text = text(bytes);
    let Ok(note) = sign_note(&text, &LOG.origin, &LOG.signer) else { return };
    assert_eq!(Note::parse(&note).unwrap().verify(&LOG.key).unwrap(), text);
    match Checkpoint::open(&note, &LOG.key) {
        Ok(checkpoint) => {
            assert_eq!(checkpoint.text(), text, "one checkpoint has one text");
            assert_eq!(checkpoint.origin, LOG.origin);
            assert_eq!(checkpoint.sign(&LOG.signer).unwrap(), note);
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

pub(super) fn proof(bytes: &[u8]) {
    let text = text(bytes);
    match LogProof::parse(&text) {
        Ok(proof) => {
            assert_eq!(proof.text(), text, "one proof has one text");
            assert!(proof.hashes.len() <= PROOF_HASHES_MAX);
            if let Ok(checkpoint) = proof.verify(None, &LOG.key) {
                assert_eq!(checkpoint, LOG.signed);
            }
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

/// Names of logs and their keys.
pub(super) fn log_name(bytes: &[u8]) {
    let text = text(bytes);
    match Origin::parse(&text) {
        Ok(origin) => assert_eq!(origin.as_str(), text),
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
    match VerifierKey::parse(&text) {
        Ok(key) => {
            assert_eq!(key.to_string(), text, "one key has one text");
            let signed = LOG.signed.sign(&LOG.signer).unwrap();
            assert_eq!(Checkpoint::open(&signed, &key).is_ok(), key == LOG.key, "a note of another key");
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}
