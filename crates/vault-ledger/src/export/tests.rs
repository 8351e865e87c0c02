//! Signing and opening manifests; that none is a checkpoint, and no checkpoint a manifest.

use super::*;
use crate::{testing::TestSigner, tree::*};

fn origin() -> Origin {
    Origin::parse("vault.example/audit/eu/1").unwrap()
}

fn key() -> VerifierKey {
    VerifierKey::of(origin(), &TestSigner::new(1)).unwrap()
}

fn manifest() -> ExportManifest {
    let head = TreeHead { size: TreeSize(12), root: TreeHash([7; 32]) };
    let checkpoint = Checkpoint { origin: origin(), head }.sign(&TestSigner::new(1)).unwrap();
    let mut bytes = ExportedBytes::default();
    bytes.update(b"first\n");
    bytes.update(b"second\n");
    ExportManifest {
        origin: origin(),
        log_id: TreeHash([1; 32]),
        checkpoint,
        from: 3,
        to: 11,
        filters: vec![("action", "detokenize".to_owned())],
        format: ExportFormat::Jsonl,
        exported: bytes.finish(2, 2),
        asked: ExportAsked {
            principal: "spiffe://example.org/auditor".to_owned(),
            tenant: "acme".to_owned(),
            purpose: "audit".to_owned(),
            // What would end the text, if it stood there as it is.
            reference: "a\n\n\u{2014} vault.example/audit/eu/1 AAAA".to_owned(),
            request_id: "01JD".to_owned(),
            at_ms: 1_795_343_400_123,
            index: 11,
            leaf: TreeHash([2; 32]),
        },
    }
}

#[test]
fn a_manifest_reads_as_it_was_signed() {
    let note = manifest().sign(&TestSigner::new(1)).unwrap();
    assert!(note.starts_with("tokenvault access log export v1\n{\n  \"origin\": \"vault.example/audit/eu/1\",\n"));
    let (read, checkpoint, filters) = ExportManifest::open(&note, &key()).unwrap();
    assert_eq!(read, ExportManifest { filters: vec![], ..manifest() });
    assert_eq!(checkpoint.head.size, TreeSize(12));
    assert_eq!(filters["action"], "detokenize");
    // printf 'first\nsecond\n' | sha256sum
    assert_eq!(hex(&read.exported.sha256), "dbea9325179efe46ea2add94f7b6b745ca983fabb208dc6d34aa064623d7ee23");
}

#[test]
fn a_manifest_is_no_checkpoint_and_a_checkpoint_no_manifest() {
    let note = manifest().sign(&TestSigner::new(1)).unwrap();
    assert!(matches!(Checkpoint::open(&note, &key()), Err(LedgerError::CheckpointMalformed(_))));
    assert!(Origin::parse(EXPORT_CONTEXT).is_err(), "no log can be called so");
    let checkpoint = manifest().checkpoint;
    assert!(matches!(ExportManifest::open(&checkpoint, &key()), Err(LedgerError::ManifestMalformed(_))));
}

#[test]
fn a_manifest_of_another_key_or_that_was_changed_is_refused() {
    let foreign = manifest().sign(&TestSigner::new(2)).unwrap();
    assert_eq!(ExportManifest::open(&foreign, &key()), Err(LedgerError::SignatureMissing));
    let changed = manifest().sign(&TestSigner::new(1)).unwrap().replace("\"rows\": 2", "\"rows\": 3");
    assert_eq!(ExportManifest::open(&changed, &key()), Err(LedgerError::SignatureInvalid));
}

#[test]
fn a_manifest_that_says_what_cannot_be_is_refused_though_it_is_signed() {
    let head = TreeHead { size: TreeSize(99), root: TreeHash([7; 32]) };
    let foreign = Checkpoint { origin: origin(), head }.sign(&TestSigner::new(2)).unwrap();
    let bad: [fn(&mut ExportManifest); 5] = [
        |manifest| manifest.from = 12,
        |manifest| manifest.to = 12,
        |manifest| manifest.asked.index = 12,
        |manifest| manifest.asked.index = 10,
        |manifest| manifest.exported.entries = 9,
    ];
    let edits = bad.iter().map(|edit| {
        let mut manifest = manifest();
        edit(&mut manifest);
        manifest
    });
    for manifest in edits.chain([ExportManifest { checkpoint: foreign, ..manifest() }]) {
        let note = manifest.sign(&TestSigner::new(1)).unwrap();
        assert!(ExportManifest::open(&note, &key()).is_err(), "{manifest:?}");
    }
}

#[test]
fn names_of_formats_are_read_as_they_are_written() {
    for format in ExportFormat::ALL {
        assert_eq!(ExportFormat::parse(format.name()), Some(*format));
        assert!(ExportFormat::RULE.contains(format.name()));
    }
    assert_eq!(ExportFormat::parse("xlsx"), None);
}
