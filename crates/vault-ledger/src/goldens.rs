//! Encodings that may never change: what was written once must be read, and proven, for as long as there are logs.
//!
//! Each file under `goldens/` is the hex of one encoding, 32 bytes to a line. `UPDATE_GOLDENS=1` writes them anew,
//! which only a new version of a format can justify.

use std::{fmt::Write, fs, path::PathBuf};

use vault_domain::{Action, DataClass, Decision, Millis, Reason, Region, VaultId};

use crate::{testing::*, *};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("goldens").join(format!("{name}.hex"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(32).fold(String::new(), |mut text, line| {
        line.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
        text
    })
}

/// Compares `bytes` with the golden file.
fn check(name: &str, bytes: &[u8]) {
    let path = path(name);
    if std::env::var("UPDATE_GOLDENS").is_ok_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, hex(bytes)).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(hex(bytes), golden, "the encoding of {name} has changed; see the module doc");
}

fn check_entry(name: &str, entry: &Entry) {
    let bytes = entry.encode().unwrap();
    check(name, &bytes);
    assert_eq!(Entry::decode(&bytes).as_ref(), Ok(entry));
}

fn group(class: &str, outcome: Outcome, items: u32, numbers: &[u64], hashes: &[u8]) -> Group {
    Group {
        class: DataClass::parse(class).unwrap(),
        outcome,
        items,
        numbers: numbers.iter().copied().map(number).collect(),
        token_hashes: hashes.iter().map(|byte| TokenHash([*byte; 16])).collect(),
    }
}

/// Three fresh tokens of one class.
fn tokenize() -> Entry {
    Entry {
        log_time: Millis(1_790_000_000_200),
        head: head(Action::Tokenize, Decision::Allowed),
        policies: vec![PolicyId::parse("checkout-writes-cards").unwrap()],
        groups: vec![group("card_number", Outcome::Done, 3, &[65_536, 65_537, 65_538], &[])],
        people: SealedPart::Sealed(sealed()),
    }
}

/// Two classes: items that were done, an expired one, one of another class, and tokens that led to no record.
fn detokenize_mixed() -> Entry {
    let groups = vec![
        group("card_number", Outcome::Done, 4, &[900, 901, 17, (1 << 56) - 1], &[]),
        group("card_number", Outcome::Refused(Reason::TokenExpired), 1, &[40_000], &[]),
        group("card_number", Outcome::Refused(Reason::TokenUnknown), 2, &[], &[0xc1, 0xc2]),
        group("iban", Outcome::Refused(Reason::TokenCheckFailed), 5, &[], &[]),
        group("iban", Outcome::Refused(Reason::TokenOfAnotherClass), 1, &[18], &[]),
    ];
    Entry { groups, ..detokenize(1_790_000_000_300, [0]) }
}

/// Two classes of one call: masks of the one, all of the other.
fn detokenize_masked() -> Entry {
    let groups =
        vec![group("card_number", Outcome::Masked, 2, &[900, 901], &[]), group("email", Outcome::Done, 1, &[17], &[])];
    Entry { groups, ..detokenize(1_790_000_000_350, [0]) }
}

/// A call that was refused as a whole.
fn refused() -> Entry {
    let mut head = head(Action::Detokenize, Decision::Denied);
    head.reason = Some(Reason::PurposeRequired);
    (head.purpose, head.trace_id) = (None, None);
    Entry {
        log_time: Millis(1_790_000_000_400),
        head,
        policies: vec![],
        groups: vec![],
        people: SealedPart::Sealed(sealed()),
    }
}

/// Handshakes that failed within a minute, in the log of a node.
fn node_aggregated() -> Entry {
    let mut head = head(Action::Connect, Decision::Denied);
    head.reason = Some(Reason::HandshakeRefused);
    head.count = 60.try_into().unwrap();
    (head.purpose, head.audience, head.trace_id) = (None, None, None);
    let people = People { source: Some("2001:db8::7".parse().unwrap()), ..People::default() };
    Entry {
        log_time: Millis(1_790_000_060_000),
        head,
        policies: vec![],
        groups: vec![],
        people: SealedPart::Clear(Box::new(people)),
    }
}

#[test]
fn entries() {
    check_entry("entry-v1-tokenize", &tokenize());
    check_entry("entry-v1-detokenize-mixed", &detokenize_mixed());
    check_entry("entry-v1-detokenize-masked", &detokenize_masked());
    check_entry("entry-v1-refused", &refused());
    check_entry("entry-v1-node-aggregated", &node_aggregated());
}

#[test]
fn people_body() {
    let bytes = people().encode().unwrap();
    check("people-v1", &bytes);
    assert!(People::decode(&bytes).unwrap() == people());
    let caller = vault_domain::PrincipalId::parse("spiffe://prod.example/payments").unwrap();
    let difference = vault_domain::RulesDifference([0xAA; 32]);
    let archive = TreeHead { size: TreeSize(700), root: TreeHash([0xBB; 32]) };
    let pruning = |log| Matter::Pruning(Pruning { log, from: 256, until: 512, archive });
    for (name, about) in [
        ("people-v2-difference", Matter::Difference(difference)),
        ("people-v2-caller", Matter::Caller(caller)),
        ("people-v2-pruning-of-region", pruning(Some(Region::parse("eu").unwrap()))),
        ("people-v2-pruning-of-node", pruning(None)),
    ] {
        let people = People { about: Some(about), ..people() };
        let bytes = people.encode().unwrap();
        check(name, &bytes);
        assert!(People::decode(&bytes).unwrap() == people);
    }
}

#[test]
fn checkpoint() {
    let mut frontier = Frontier::new();
    for entry in [tokenize(), detokenize_mixed(), refused()] {
        frontier.append(leaf_hash(&entry.encode().unwrap()), &mut Vec::new());
    }
    let (vault, region) = (VaultId::parse("vault.example").unwrap(), Region::parse("eu").unwrap());
    let origin = Origin::of_region(&vault, &region, 1.try_into().unwrap());
    let signer = TestSigner::new(1);
    let checkpoint = Checkpoint { origin: origin.clone(), head: frontier.head() };
    let note = checkpoint.sign(&signer).unwrap();
    check("checkpoint", note.as_bytes());
    assert_eq!(Checkpoint::open(&note, &VerifierKey::of(origin, &signer).unwrap()), Ok(checkpoint));
}

#[test]
fn summary_row() {
    let mut builder = SummaryBuilder::new();
    for entry in [tokenize(), detokenize_mixed(), refused(), detokenize(1_790_000_000_500, 5000..5010)] {
        builder.push(&entry).unwrap();
    }
    let summary = builder.finish().unwrap();
    let bytes = summary.encode().unwrap();
    check("summary-v3", &bytes);
    assert_eq!(Summary::decode(&bytes), Ok(summary));
}
