//! Between a log, its witnesses, and who holds what was exported against it.

use std::sync::LazyLock;

use vault_crypto::{Key256, LogKey};
use vault_ledger::{
    ADD_CHECKPOINT_BYTES_MAX, ADD_CHECKPOINT_HASHES_MAX, AddCheckpoint, EXPORT_CONTEXT, ExportManifest, Note, Origin,
    Signer, WitnessKey, WitnessPolicy, cosign, sign_note,
};

use super::{
    assert_clear,
    ledger::{KnownKey, LOG},
    text,
};

/// When the witness cosigned.
const SECONDS: u64 = 1_700_000_000;

/// A witness, its key, and the only checkpoint that it ever cosigned.
pub(crate) struct Witness {
    pub(crate) key: WitnessKey,
    pub(crate) cosigned: String,
}

pub(crate) static WITNESS: LazyLock<Witness> = LazyLock::new(|| {
    let signer = KnownKey(LogKey::from_seed(&Key256::from_bytes(&[2; 32])));
    let name = Origin::parse("witness.example.org").unwrap();
    let line = cosign(&LOG.signed.text(), &name, SECONDS, &signer);
    let cosigned = format!("{}{line}", LOG.signed.sign(&LOG.signer).unwrap());
    Witness { key: WitnessKey::new(name, &signer.public_key()).unwrap(), cosigned }
});

/// Nothing but what the witness cosigned passes for cosigned, and a key has one text.
pub(super) fn cosignature(bytes: &[u8]) {
    let text = text(bytes);
    if let Ok(note) = Note::parse(&text)
        && let Ok(cosignature) = WITNESS.key.verify(&note)
    {
        assert_eq!((note.text(), cosignature.seconds), (LOG.signed.text().as_str(), SECONDS), "a forged cosignature");
        assert!(WITNESS.cosigned.contains(cosignature.line.trim_end()));
    }
    match WitnessKey::parse(&text) {
        Ok(key) => assert_eq!(key.to_string(), text, "one key has one text"),
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

/// One request has one text.
pub(super) fn add_checkpoint(bytes: &[u8]) {
    let text = text(bytes);
    match AddCheckpoint::parse(&text) {
        Ok(request) => {
            assert_eq!(request.text(), text);
            assert!(text.len() <= ADD_CHECKPOINT_BYTES_MAX && request.proof.len() <= ADD_CHECKPOINT_HASHES_MAX);
        }
        Err(error) => assert_clear(&error.to_string(), bytes),
    }
}

/// All witnesses together are enough for any policy, and who is enough stays so with one more.
pub(super) fn policy(bytes: &[u8]) {
    let text = text(bytes);
    match WitnessPolicy::parse(&text) {
        Ok(policy) => {
            let all: Vec<usize> = (0..policy.witnesses().len()).collect();
            assert!(policy.is_met(&all));
            let met = all.iter().map(|count| policy.is_met(&all[..*count]));
            assert!(met.is_sorted(), "one more makes it fail");
            let keys = policy.witnesses().iter().map(|witness| &witness.key);
            keys.for_each(|key| assert_eq!(WitnessKey::parse(&key.to_string()).unwrap().to_string(), key.to_string()));
        }
        Err(fault) => {
            assert!(fault.line <= text.split('\n').count());
            assert_clear(&fault.to_string(), bytes);
        }
    }
}

/// What a log may sign as a manifest: of one that is taken, range and receipt lie within its checkpoint's tree.
pub(super) fn manifest(bytes: &[u8]) {
    let text = text(bytes);
    assert!(ExportManifest::open(&text, &LOG.key).is_err(), "the log signed none");
    let Ok(note) = sign_note(&format!("{EXPORT_CONTEXT}\n{text}"), &LOG.origin, &LOG.signer) else { return };
    match ExportManifest::open(&note, &LOG.key) {
        Ok((manifest, checkpoint, _)) => {
            assert!(manifest.from <= manifest.to && manifest.to <= manifest.asked.index);
            assert!(manifest.asked.index < checkpoint.head.size.0);
            assert!(manifest.exported.entries <= manifest.to - manifest.from);
            let again = ExportManifest::open(&manifest.sign(&LOG.signer).unwrap(), &LOG.key).unwrap();
            assert_eq!((again.0, again.1), (manifest, checkpoint), "it is read otherwise than it was written");
        }
        Err(error) => assert_clear(&error.to_string(), &[]),
    }
}
