//! Proof files: written, read, verified, and refused when changed.

use super::*;
use crate::{
    Frontier, Origin, TileMap, TreeSize, prove_inclusion,
    testing::{TestSigner, detokenize},
};

const NAME: &str = "vault.example/audit/eu/1";

fn key() -> VerifierKey {
    VerifierKey::of(Origin::parse(NAME).unwrap(), &TestSigner::new(1)).unwrap()
}

fn entry(index: u64) -> Vec<u8> {
    detokenize(1000 + index, [index * 3]).encode().unwrap()
}

/// The proof of entry 300 of 600.
fn proof(with_entry: bool) -> LogProof {
    let (mut frontier, mut tiles, mut full) = (Frontier::new(), TileMap::default(), Vec::new());
    (0..600).for_each(|index| frontier.append(leaf_hash(&entry(index)), &mut full));
    full.into_iter().for_each(|tile| tiles.insert(tile.level, tile.index, tile.bytes));
    let checkpoint = Checkpoint { origin: Origin::parse(NAME).unwrap(), head: frontier.head() };
    LogProof {
        entry: with_entry.then(|| entry(300)),
        index: LogIndex(300),
        hashes: prove_inclusion(&(&tiles, &frontier), LogIndex(300), TreeSize(600)).unwrap(),
        checkpoint: checkpoint.sign(&TestSigner::new(1)).unwrap(),
    }
}

#[test]
fn a_proof_file_reads_as_it_was_written_and_proves_its_entry() {
    for with_entry in [true, false] {
        let text = proof(with_entry).text();
        let read = LogProof::parse(&text).unwrap();
        assert_eq!(read, proof(with_entry));
        assert_eq!(read.text(), text);
        assert_eq!(read.verify(Some(&entry(300)), &key()).unwrap().head.size, TreeSize(600));
        assert_eq!(read.verify(Some(&entry(301)), &key()), Err(LedgerError::InclusionRefuted));
        assert_eq!(read.verify(None, &key()).is_ok(), with_entry);
    }
}

#[test]
fn every_altered_character_of_a_proof_file_is_noticed() {
    let text = proof(true).text();
    for at in 0..text.len() {
        let mut changed = text.as_bytes().to_vec();
        changed[at] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let verified = LogProof::parse(&changed).and_then(|proof| proof.verify(None, &key()));
        assert!(verified.is_err(), "byte {at}");
    }
}

#[test]
fn malformed_proof_files_are_refused() {
    let good = proof(false).text();
    let hash = "CwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCws=\n";
    let bad = [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("index 300", "index 0300"),
        good.replace("index 300", "300"),
        good.replace("index 300\n", ""),
        good.replace("index 300", "extra *\nindex 300"),
        good.replace("index 300", "extra\nindex 300"),
        good.replace("index 300", "extra AA==\nextra AA==\nindex 300"),
        good.replace("index 300\n", "index 300\nAAAA\n"),
        good.replace("index 300\n", &format!("index 300\n{}", hash.repeat(PROOF_HASHES_MAX + 1))),
        good.split_once("\n\n").unwrap().0.to_owned(),
        format!("{good}{}", "x".repeat(PROOF_TEXT_BYTES_MAX)),
    ];
    for text in bad {
        assert!(LogProof::parse(&text).is_err(), "{text}");
    }
}
