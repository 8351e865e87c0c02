//! Cosignatures as they are written, read, and refused.

use crate::{testing::TestSigner, *};

fn note() -> String {
    let head = TreeHead { size: TreeSize(0), root: EMPTY_ROOT };
    let checkpoint = Checkpoint { origin: Origin::parse("log.example/1").unwrap(), head };
    checkpoint.sign(&TestSigner::new(1)).unwrap()
}

fn witness(name: &str, seed: u8) -> (Origin, TestSigner, WitnessKey) {
    let (name, signer) = (Origin::parse(name).unwrap(), TestSigner::new(seed));
    let key = WitnessKey::new(name.clone(), &signer.public_key()).unwrap();
    (name, signer, key)
}

/// The note with cosignatures behind its signature.
fn cosigned(by: &[(&Origin, &TestSigner, u64)]) -> String {
    let note = note();
    let text = Note::parse(&note).unwrap().text().to_owned();
    by.iter().fold(note, |note, (name, signer, seconds)| note + &cosign(&text, name, *seconds, *signer))
}

/// The example of the standard (c2sp.org/tlog-cosignature): name, time and layout are those of its line.
#[test]
fn the_line_of_the_standards_example_has_this_layout() {
    let note = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf\
        5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let note = Note::parse(note).unwrap();
    let name = Origin::parse("witness.example.com/w1").unwrap();
    let line = note.lines_of(&name, [0x8d, 0x66, 0xcf, 0x3f]).next();
    let (time, signature) = line.unwrap().signature.split_first_chunk().unwrap();
    assert_eq!((u64::from_be_bytes(*time), signature.len()), (1_679_315_147, 64));
}

#[test]
fn a_cosignature_verifies_by_its_witness_its_text_and_its_time_alone() {
    let (name, signer, key) = witness("witness.example/w1", 2);
    let note = cosigned(&[(&name, &signer, 1_790_000_000)]);
    let good = key.verify(&Note::parse(&note).unwrap()).unwrap();
    assert_eq!(good.seconds, 1_790_000_000);
    assert!(note.ends_with(&format!("{}\n", good.line)));
    // The log's own signature still stands.
    let log = VerifierKey::of(Origin::parse("log.example/1").unwrap(), &TestSigner::new(1)).unwrap();
    assert!(Checkpoint::open(&note, &log).is_ok());

    let (_, _, other) = witness("witness.example/w1", 3);
    assert_eq!(other.verify(&Note::parse(&note).unwrap()), Err(LedgerError::SignatureMissing));
    let (_, _, renamed) = witness("witness.example/w2", 2);
    assert_eq!(renamed.verify(&Note::parse(&note).unwrap()), Err(LedgerError::SignatureMissing));
    let another = note.replacen("log.example/1\n0\n", "log.example/1\n1\n", 1);
    assert_eq!(key.verify(&Note::parse(&another).unwrap()), Err(LedgerError::SignatureInvalid));
}

#[test]
fn another_time_or_a_cut_signature_does_not_verify() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (name, signer, key) = witness("witness.example/w1", 2);
    let whole = cosigned(&[(&name, &signer, 1_790_000_000)]);
    let (rest, line) = whole.trim_end().rsplit_once(' ').unwrap();
    let bytes = STANDARD.decode(line).unwrap();
    for (at, length) in [(11, bytes.len()), (20, bytes.len()), (0, 11), (0, 75), (0, 5)] {
        let mut bytes = bytes.get(..length).unwrap().to_vec();
        if at > 0 {
            *bytes.get_mut(at).unwrap() ^= 1;
        }
        let note = format!("{rest} {}\n", STANDARD.encode(bytes));
        let verified = key.verify(&Note::parse(&note).unwrap());
        assert_eq!(verified, Err(LedgerError::SignatureInvalid), "{at} {length}");
    }
}

#[test]
fn of_several_the_newest_counts_and_one_that_is_false_spoils_all() {
    let (name, signer, key) = witness("witness.example/w1", 2);
    let note = cosigned(&[(&name, &signer, 7), (&name, &signer, 9), (&name, &signer, 8)]);
    assert_eq!(key.verify(&Note::parse(&note).unwrap()).unwrap().seconds, 9);
    let spoiled = format!("{note}{}", cosign("another text\n", &name, 9, &signer));
    assert_eq!(key.verify(&Note::parse(&spoiled).unwrap()), Err(LedgerError::SignatureInvalid));
}

#[test]
fn keys_of_witnesses_and_of_logs_are_told_apart() {
    let (name, signer, key) = witness("witness.example/w1", 2);
    assert_eq!(WitnessKey::parse(&key.to_string()), Ok(key.clone()));
    let of_log = VerifierKey::of(name, &signer).unwrap().to_string();
    assert!(matches!(WitnessKey::parse(&of_log), Err(LedgerError::KeyMalformed(_))));
    assert!(matches!(VerifierKey::parse(&key.to_string()), Err(LedgerError::KeyMalformed(_))));
    let (_, _, other) = witness("witness.example/w2", 2);
    assert!(key != other && key.is_same_key(&other));
}
