//! Rows are read as they were written, and what is kept stays within its bounds.

use super::*;

fn version(number: u64, bytes: u32) -> PolicyVersion {
    PolicyVersion {
        version: number,
        applied: Millis(1_790_000_000_000),
        before: RulesFingerprint([1; 32]),
        fingerprint: RulesFingerprint([2; 32]),
        again: Some(3),
        principal: PrincipalId::parse("spiffe://example.org/operator").ok(),
        reference: Reference::parse("CASE-1").ok(),
        bytes,
    }
}

fn texts_of(names: &[&str]) -> RuleTexts {
    let file = |name: &&str| PolicyFile { name: (*name).to_owned(), text: format!("// {name}, ä") };
    RuleTexts { catalog: "# a catalog\n".to_owned(), policies: names.iter().map(file).collect() }
}

#[test]
fn heads_and_texts_are_read_as_they_were_written_and_half_of_them_is_not() {
    let whole = version(7, 20);
    let bare = PolicyVersion { again: None, principal: None, reference: None, ..whole.clone() };
    for head in [whole, bare] {
        let row = head.encode();
        assert_eq!(PolicyVersion::decode(7, &row), Some(head));
        assert!((0..row.len()).all(|length| PolicyVersion::decode(7, &row[..length]).is_none()));
    }
    for texts in [texts_of(&[]), texts_of(&["a.cedar", "b.cedar"])] {
        let bytes = texts.encode().unwrap();
        assert!(RuleTexts::decode(&bytes).unwrap() == texts);
        assert!((0..bytes.len()).all(|length| RuleTexts::decode(&bytes[..length]).is_none()));
    }
}

/// The layout, byte for byte: stored versions must be readable for ever.
#[test]
fn the_layout_is_the_one_that_is_documented() {
    let head = PolicyVersion { reference: None, ..version(7, 20) };
    let hex: String = head.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = [
        "01",
        "000001a0c4506c00",
        &"01".repeat(32),
        &"02".repeat(32),
        "0000000000000003",
        "00000014",
        "001d",
        "7370696666653a2f2f6578616d706c652e6f72672f6f70657261746f72",
        "00",
    ];
    assert_eq!(hex, expected.concat());
    let texts = RuleTexts {
        catalog: "c".to_owned(),
        policies: vec![PolicyFile { name: "n".to_owned(), text: "p".to_owned() }],
    };
    assert_eq!(texts.encode().unwrap(), [0, 0, 0, 1, b'c', 0, 1, 1, b'n', 0, 0, 0, 1, b'p']);
}

#[test]
fn the_oldest_versions_go_by_number_and_by_size_and_the_newest_never() {
    let count = |versions: &Versions| versions.list(None, usize::MAX).len();
    let versions = Versions::default();
    for number in 1..=1002 {
        versions.keep(version(number, 20));
    }
    assert_eq!((count(&versions), versions.list(None, usize::MAX).last().unwrap().version), (1000, 3));
    assert_eq!(versions.list(Some(5), 2).iter().map(|version| version.version).collect::<Vec<_>>(), [4, 3]);
    let large = u32::try_from(limits::RULES_VERSIONS_BYTES_MAX).unwrap();
    versions.keep(version(1003, large - 40));
    assert_eq!(count(&versions), 3, "two of 20 bytes fit beside it");
    versions.keep(version(1004, large + 1));
    assert_eq!((count(&versions), versions.newest().unwrap().version), (1, 1004));
}
