//! Signed notes: a published one, and ours with every byte changed.

use super::*;
use crate::testing::TestSigner;

/// A tree head of the Go checksum database, as published, and its well-known key.
const GO_KEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
const GO_NOTE: &str = "go.sum database tree\n6476701\nmb8QLQIs0Z0yP5Cstq6guj87oXWeC9gEM8oVikmm9Wk=\n\n\
    \u{2014} sum.golang.org Az3grsLX85Gz+s1SiTbgkuqxgItqFq7gsMUEy\
     Vnrsa9LM7Us9S+1xbFIGu95949rj4nPRYfvimWEPWL+o3GeoWwOoAw=\n";

fn origin() -> Origin {
    Origin::parse("vault.example/audit/eu/1").unwrap()
}

fn key(seed: u8) -> VerifierKey {
    VerifierKey::of(origin(), &TestSigner::new(seed)).unwrap()
}

fn signed(text: &str) -> String {
    sign_note(text, &origin(), &TestSigner::new(1)).unwrap()
}

fn verify<'a>(note: &'a str, key: &VerifierKey) -> Result<&'a str, LedgerError> {
    Note::parse(note)?.verify(key)
}

#[test]
fn a_published_note_of_another_log_verifies() {
    let key = VerifierKey::parse(GO_KEY).unwrap();
    assert_eq!(key.to_string(), GO_KEY);
    assert_eq!(key.origin().as_str(), "sum.golang.org");
    let text = verify(GO_NOTE, &key).unwrap();
    assert!(GO_NOTE.starts_with(text) && text.ends_with("Wk=\n"));
}

#[test]
fn every_altered_byte_of_a_note_is_noticed() {
    let key = VerifierKey::parse(GO_KEY).unwrap();
    for at in 0..GO_NOTE.len() {
        let mut changed = GO_NOTE.as_bytes().to_vec();
        changed[at] ^= 1;
        if let Ok(changed) = String::from_utf8(changed) {
            assert!(verify(&changed, &key).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_note_verifies_with_the_key_that_signed_it_and_with_no_other() {
    let note = signed("one\n\ntwo\n");
    assert_eq!(verify(&note, &key(1)), Ok("one\n\ntwo\n"));
    assert_eq!(verify(&note, &key(2)), Err(LedgerError::SignatureMissing));
    let elsewhere = Origin::parse("vault.example/audit/us/1").unwrap();
    let elsewhere = VerifierKey::of(elsewhere, &TestSigner::new(1)).unwrap();
    assert_eq!(verify(&note, &elsewhere), Err(LedgerError::SignatureMissing));
}

#[test]
fn lines_of_others_are_ignored_and_false_lines_are_not() {
    let note = signed("text\n");
    let witness = format!("\u{2014} witness.example {}\n", STANDARD.encode([7; 80]));
    assert_eq!(verify(&format!("{note}{witness}"), &key(1)), Ok("text\n"));
    let own_line = note.split_once("\n\n").unwrap().1;
    assert_eq!(verify(&format!("other\n\n{own_line}"), &key(1)), Err(LedgerError::SignatureInvalid));
    // A false line in the key's name spoils the note even beside a true one.
    let other_line = signed("other\n").split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(verify(&format!("{note}{other_line}"), &key(1)), Err(LedgerError::SignatureInvalid));
    let cut = STANDARD.encode([key(1).id.as_slice(), &[0; 63]].concat());
    let cut = format!("{note}\u{2014} {} {cut}\n", origin());
    assert_eq!(verify(&cut, &key(1)), Err(LedgerError::SignatureInvalid));
}

#[test]
fn malformed_notes_are_refused() {
    let good = signed("text\n");
    let line = good.split_once("\n\n").unwrap().1;
    let signature = line.trim_end().rsplit_once(' ').unwrap().1;
    let bad = [
        String::new(),
        "text\n".to_owned(),
        "text\n\n".to_owned(),
        line.to_owned(),
        format!("text\n{line}"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        format!("te\txt\n\n{line}"),
        format!("te\rxt\n\n{line}"),
        format!("text\n\n- a {signature}\n"),
        format!("text\n\n\u{2014}  {signature}\n"),
        format!("text\n\n\u{2014} a+b {signature}\n"),
        format!("text\n\n\u{2014} a {}\n", signature.trim_end_matches('=')),
        "text\n\n\u{2014} a AAAAAA==\n".to_owned(),
        "text\n\n\u{2014} a\n".to_owned(),
    ];
    for note in bad {
        assert!(Note::parse(&note).is_err(), "{note:?}");
    }
}

#[test]
fn limits_of_a_note_hold() {
    let line = "\u{2014} witness.example AAAAAAA=\n";
    let many = |count| format!("text\n\n{}", line.repeat(count));
    assert!(Note::parse(&many(NOTE_SIGNATURES_MAX)).is_ok());
    assert!(matches!(Note::parse(&many(NOTE_SIGNATURES_MAX + 1)), Err(LedgerError::TooMany { .. })));
    assert!(Note::parse(&format!("{}\n\n{line}", "x".repeat(NOTE_BYTES_MAX))).is_err());
}

#[test]
fn a_text_that_a_note_cannot_hold_is_not_signed() {
    for text in ["", "no newline", "tab\t\n"] {
        assert!(sign_note(text, &origin(), &TestSigner::new(1)).is_err(), "{text:?}");
    }
}

#[test]
fn malformed_verifier_keys_are_refused() {
    let good = key(1).to_string();
    assert_eq!(VerifierKey::parse(&good), Ok(key(1)));
    let bad = [
        String::new(),
        good.replace("eu", "us"),
        good.replacen("+", "++", 1),
        format!("{good}A"),
        good.trim_end_matches('=').to_owned() + "A",
        good.replace(&key(1).id_text(), &key(1).id_text().to_uppercase()),
        good.replace(&key(1).id_text(), "00000000"),
        format!("{}+{}+{}", origin(), key(1).id_text(), STANDARD.encode([4; 33])),
        format!("{}+{}+{}", origin(), key(1).id_text(), STANDARD.encode([1; 32])),
    ];
    for text in bad {
        assert!(VerifierKey::parse(&text).is_err(), "{text}");
    }
}

#[test]
fn origins_are_held_to_their_rule() {
    for bad in ["", "a b", "a+b", "a\u{a0}b", "a\nb", "a\u{7f}", &"o".repeat(256)] {
        assert_eq!(Origin::parse(bad), Err(LedgerError::OriginInvalid), "{bad:?}");
    }
    let vault = VaultId::parse("vault.example").unwrap();
    let region = Region::parse("eu").unwrap();
    assert_eq!(Origin::of_region(&vault, &region, NonZeroU32::MIN), origin());
    assert_eq!(Origin::of_node(&vault, "n1").unwrap().as_str(), "vault.example/audit/node/n1");
    assert!(Origin::of_node(&vault, "").is_err());
}
