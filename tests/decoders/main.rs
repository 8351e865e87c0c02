//! What reads bytes or text from outside of a process never panics, whatever it is given: good encodings, damaged at
//! chance. A decoder that takes something has understood it: written again, it is the same.
//!
//! A round is one damaged input. `DECODERS_ROUNDS` and `DECODERS_SEED` are for `make campaign-decoders`.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands; the whole binary is one")]

mod damage;
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};

use vault_catalog::Catalog;
use vault_domain::RecordNumber;
use vault_format::OpaqueToken;
use vault_keys::Record;
use vault_ledger::{Checkpoint, Entry, LogProof, Note, Origin, People, Summary, VerifierKey, leaf_hash};
use vault_policy::{PolicySet, PolicySource};

use crate::damage::Damage;

/// Rounds of each decoder, unless asked for more.
const ROUNDS: u32 = 20_000;
/// Decoders that take long for one input have fewer rounds: one for so many.
const SLOW: u32 = 40;

/// Feeds damaged seeds to a decoder, and says which seed and round it was when that panics.
fn feed(seeds: &[Vec<u8>], slower: u32, decode: impl Fn(&[u8])) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u32>().unwrap());
    let rounds = number("DECODERS_ROUNDS").unwrap_or(ROUNDS) / slower;
    let mut damage = Damage::seeded(number("DECODERS_SEED").unwrap_or(1));
    for seed in seeds {
        decode(seed);
    }
    for round in 0..rounds {
        let input = damage.of(seeds);
        let survived = catch_unwind(AssertUnwindSafe(|| decode(&input)));
        assert!(survived.is_ok(), "in round {round}, by this input: {input:02x?}");
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

#[test]
fn damaged_entries() {
    feed(&seeds::ledger("entry-"), 1, |bytes| {
        if let Ok(entry) = Entry::decode(bytes) {
            assert_ne!(leaf_hash(bytes), leaf_hash(&[]));
            assert!(format!("{entry:?}").len() > 10);
        }
    });
}

#[test]
fn damaged_people_of_entries() {
    feed(&seeds::ledger("people-"), 1, |bytes| drop(People::decode(bytes)));
}

#[test]
fn damaged_summaries() {
    feed(&seeds::ledger("summary-"), 1, |bytes| drop(Summary::decode(bytes)));
}

#[test]
fn damaged_checkpoints_notes_and_proofs() {
    let mut seeds = seeds::ledger("checkpoint");
    seeds.push(seeds::proof());
    feed(&seeds, 1, |bytes| {
        let text = text(bytes);
        drop(Note::parse(&text));
        if let Ok(proof) = LogProof::parse(&text) {
            assert_eq!(proof.text(), text, "one proof has one text");
        }
    });
}

#[test]
fn damaged_names_of_logs_and_their_keys() {
    feed(&seeds::names(), 1, |bytes| {
        let text = text(bytes);
        if let Ok(origin) = Origin::parse(&text) {
            assert_eq!(origin.as_str(), text);
        }
        if let Ok(key) = VerifierKey::parse(&text) {
            // No note of another key passes for one of this key.
            assert!(Checkpoint::open(&seeds::checkpoint(), &key).is_err());
        }
    });
}

#[test]
fn damaged_records() {
    let number = RecordNumber::new(7).unwrap();
    feed(&seeds::keys("record-"), 1, |bytes| {
        if let Some(record) = Record::parse(number, bytes) {
            assert_eq!(record.number(), number);
        }
    });
}

#[test]
fn damaged_tokens() {
    feed(&seeds::tokens(), 1, |bytes| {
        let text = text(bytes);
        if let Ok(token) = OpaqueToken::parse(&text) {
            assert_eq!(token.to_text().expose(), text, "one token has one text");
        }
    });
}

#[test]
fn damaged_catalogs() {
    let seeds = [vault_catalog::SAMPLE.as_bytes().to_vec()];
    feed(&seeds, SLOW, |bytes| drop(Catalog::parse(&text(bytes))));
}

#[test]
fn damaged_policies() {
    let catalog = Catalog::parse(vault_catalog::SAMPLE).unwrap();
    let seeds = [seeds::policies()];
    feed(&seeds, SLOW * 4, |bytes| {
        let text = text(bytes);
        drop(PolicySet::load(&[PolicySource { name: "own.cedar", text: &text }], &catalog));
    });
}
