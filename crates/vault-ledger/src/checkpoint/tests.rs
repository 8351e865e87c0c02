//! Signing and opening checkpoints, and refusing what was changed.

use super::*;
use crate::{sign_note, testing::TestSigner};

fn origin(text: &str) -> Origin {
    Origin::parse(text).unwrap()
}

fn checkpoint() -> Checkpoint {
    let head = TreeHead { size: TreeSize(20_852_163), root: TreeHash([0x0b; 32]) };
    Checkpoint { origin: origin("vault.example/audit/eu/1"), head }
}

fn key(name: &str) -> VerifierKey {
    VerifierKey::of(origin(name), &TestSigner::new(1)).unwrap()
}

#[test]
fn a_checkpoint_reads_as_it_was_signed() {
    let note = checkpoint().sign(&TestSigner::new(1)).unwrap();
    assert!(note.starts_with("vault.example/audit/eu/1\n20852163\nCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=\n\n"));
    assert_eq!(Checkpoint::open(&note, &key("vault.example/audit/eu/1")), Ok(checkpoint()));
}

#[test]
fn a_checkpoint_of_another_key_or_origin_is_refused() {
    let note = checkpoint().sign(&TestSigner::new(2)).unwrap();
    assert_eq!(Checkpoint::open(&note, &key("vault.example/audit/eu/1")), Err(LedgerError::SignatureMissing));
    // The key is the log's own, but the text speaks for another log.
    let name = "vault.example/audit/us/1";
    let note = sign_note(&checkpoint().text(), &origin(name), &TestSigner::new(1)).unwrap();
    assert!(matches!(Checkpoint::open(&note, &key(name)), Err(LedgerError::CheckpointMalformed(_))));
}

#[test]
fn a_signed_text_in_another_form_is_refused() {
    let name = "vault.example/audit/eu/1";
    let root = "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=";
    let empty = STANDARD.encode(EMPTY_ROOT.0);
    let open = |text: &str| {
        let note = sign_note(text, &origin(name), &TestSigner::new(1)).unwrap();
        Checkpoint::open(&note, &key(name))
    };
    assert!(open(&format!("{name}\n7\n{root}\n")).is_ok());
    assert!(open(&format!("{name}\n0\n{empty}\n")).is_ok());
    let bad = [
        format!("{name}\n7\n{root}\nextension\n"),
        format!("{name}\n7\n{root}\n\n"),
        format!("{name}\n7\n"),
        format!("\n7\n{root}\n"),
        format!("{name}\n07\n{root}\n"),
        format!("{name}\n+7\n{root}\n"),
        format!("{name}\n-7\n{root}\n"),
        format!("{name}\n7 \n{root}\n"),
        format!("{name}\n\n{root}\n"),
        format!("{name}\n18446744073709551616\n{root}\n"),
        format!("{name}\n0\n{root}\n"),
        format!("{name}\n7\n{}\n", root.trim_end_matches('=')),
        format!("{name}\n7\n{}\n", STANDARD.encode([0; 31])),
        format!("{name}\n7\n{}\n", root.replace("s=", "t=")),
    ];
    for text in bad {
        assert!(open(&text).is_err(), "{text:?}");
    }
}
