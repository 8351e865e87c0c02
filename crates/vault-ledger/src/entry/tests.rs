//! Entries as bytes: every field, every limit, every flipped bit.

use std::collections::HashSet;

use proptest::prelude::*;
use vault_domain::{PrincipalId, RecordNumber};

use super::*;
use crate::{leaf_hash, testing::*};

proptest! {
    #[test]
    fn an_entry_reads_as_it_was_written(entry in any_entry()) {
        let bytes = entry.encode().unwrap();
        let decoded = Entry::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &entry);
        prop_assert_eq!(decoded.encode().unwrap(), bytes);
    }

    #[test]
    fn a_cut_or_extended_entry_is_refused(entry in any_entry(), at in any::<prop::sample::Index>()) {
        let mut bytes = entry.encode().unwrap();
        prop_assert!(Entry::decode(&bytes[..at.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert_eq!(Entry::decode(&bytes), Err(LedgerError::TrailingBytes { what: "an entry" }));
    }

    /// Whatever decodes is the one encoding of what it decodes to; random bytes behind a good start find odd forms.
    #[test]
    fn what_decodes_is_canonical(
        entry in any_entry(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 1..4),
    ) {
        let mut bytes = entry.encode().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(decoded) = Entry::decode(&bytes) {
            prop_assert_eq!(decoded.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn people_read_as_they_were_written(people in any_people()) {
        let bytes = people.encode().unwrap();
        prop_assert!(bytes.len() <= PEOPLE_BYTES_MAX);
        prop_assert!(People::decode(&bytes).unwrap() == people);
        prop_assert!(People::decode(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn numbers_keep_their_order(numbers in numbers()) {
        let numbers: Vec<_> = numbers.into_iter().map(number).collect();
        let runs: NumberRuns = numbers.iter().copied().collect();
        prop_assert_eq!(runs.numbers().collect::<Vec<_>>(), numbers.clone());
        prop_assert_eq!(runs.total(), numbers.len() as u64);
        prop_assert!(numbers.iter().all(|&number| runs.contains(number)));
    }

    #[test]
    fn the_builder_writes_what_the_entry_does(entry in any_entry()) {
        let mut builder = EntryBuilder::new(&entry.head, &entry.policies).unwrap();
        for group in &entry.groups {
            let hashes = group.token_hashes.iter().copied();
            builder.group(&group.class, group.outcome, group.items, group.numbers.numbers(), hashes).unwrap();
        }
        let mut bytes = builder.finish(&entry.people).unwrap();
        prop_assert_eq!(log_time(&bytes), Ok(Millis(0)));
        patch_log_time(&mut bytes, entry.log_time).unwrap();
        prop_assert_eq!(log_time(&bytes), Ok(entry.log_time));
        prop_assert_eq!(bytes, entry.encode().unwrap());
    }
}

fn class(name: &str) -> DataClass {
    DataClass::parse(name).unwrap()
}

#[test]
fn every_flipped_bit_changes_the_leaf_and_what_still_decodes_says_something_else() {
    let mut entry = detokenize(7, [4711, 12, 13]);
    entry.groups[0].items = 9;
    entry.groups[0].token_hashes.push(TokenHash([0xee; 16]));
    let bytes = entry.encode().unwrap();
    let leaf = leaf_hash(&bytes);
    let mut refused = 0;
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(leaf_hash(&changed), leaf);
        match Entry::decode(&changed) {
            Ok(decoded) => assert_ne!(decoded, entry, "bit {bit} has no meaning"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 100, "lengths, versions and names are checked: {refused}");
}

#[test]
fn no_reason_has_the_number_of_a_mask() {
    assert!(Reason::ALL.iter().all(|reason| (1..OUTCOME_MASKED).contains(&(*reason as u16))));
    let of_masks = |outcome: [u8; 2]| {
        let mut entry = detokenize(7, [4711]);
        entry.groups[0].outcome = Outcome::Masked;
        let mut bytes = entry.encode().unwrap();
        let class = bytes.windows(11).position(|window| window == b"card_number").unwrap();
        assert_eq!(bytes[class + 11..class + 13], [0x80, 0]);
        bytes[class + 11..class + 13].copy_from_slice(&outcome);
        Entry::decode(&bytes).map(|entry| entry.groups[0].outcome)
    };
    assert_eq!(of_masks([0x80, 0]), Ok(Outcome::Masked));
    assert_eq!(of_masks([0, 0]), Ok(Outcome::Done));
    for unknown in [[0x80, 1], [0xff, 0xff]] {
        assert_eq!(of_masks(unknown), Err(LedgerError::FieldInvalid { field: "outcome" }));
    }
}

#[test]
fn an_unknown_version_is_named() {
    let mut bytes = detokenize(7, [1]).encode().unwrap();
    bytes[0] = 9;
    let unknown = LedgerError::VersionUnknown { what: "an entry", version: 9 };
    assert_eq!(Entry::decode(&bytes), Err(unknown.clone()));
    assert_eq!(log_time(&bytes), Err(unknown.clone()));
    assert_eq!(patch_log_time(&mut bytes, Millis(1)), Err(unknown));
}

#[test]
fn a_time_beyond_48_bits_is_refused() {
    let mut bytes = detokenize(7, [1]).encode().unwrap();
    let too_late = Millis(Millis::MAX.0 + 1);
    assert_eq!(patch_log_time(&mut bytes, too_late), Err(LedgerError::FieldInvalid { field: "log time" }));
    let mut entry = detokenize(7, [1]);
    entry.head.wall_time = too_late;
    assert_eq!(entry.encode(), Err(LedgerError::FieldInvalid { field: "wall time" }));
}

#[test]
fn tags_without_a_sealed_part_are_refused() {
    let mut entry = detokenize(7, [1]);
    entry.people = SealedPart::None;
    let mut bytes = entry.encode().unwrap();
    let tag = bytes.len() - 2;
    bytes[tag] = 1;
    assert_eq!(Entry::decode(&bytes), Err(LedgerError::FieldInvalid { field: "tags without a sealed part" }));
}

#[test]
fn a_run_that_continues_the_one_before_is_refused() {
    let mut entry = detokenize(7, [5, 6, 9]);
    entry.people = SealedPart::None;
    let bytes = entry.encode().unwrap();
    // Two runs behind their count: 5 of length 2, then 2 further on.
    let at = bytes.windows(5).position(|window| window == [0, 2, 21, 0, 8]).unwrap();
    let mut changed = bytes.clone();
    changed[at + 4] = 0;
    assert!(Entry::decode(&bytes).is_ok());
    assert_eq!(Entry::decode(&changed), Err(LedgerError::FieldInvalid { field: "record numbers" }));
}

#[test]
fn more_items_than_are_counted_are_refused() {
    let mut entry = detokenize(7, [5, 6]);
    entry.groups[0].items = 1;
    assert_eq!(entry.encode(), Err(LedgerError::FieldInvalid { field: "items" }));
    entry.groups[0] = Group { items: 0, numbers: NumberRuns::default(), ..entry.groups[0].clone() };
    assert_eq!(entry.encode(), Err(LedgerError::FieldInvalid { field: "items" }));
}

#[test]
fn an_address_in_another_form_is_refused() {
    let mut people = people();
    people.source = Some("2001:db8::7".parse().unwrap());
    let bytes = people.encode().unwrap();
    let at = bytes.windows(11).position(|window| window == b"2001:db8::7").unwrap();
    let mut changed = bytes;
    changed[at..at + 11].copy_from_slice(b"2001:DB8::7");
    assert_eq!(People::decode(&changed).err(), Some(LedgerError::FieldInvalid { field: "source" }));
}

#[test]
fn a_flag_that_is_neither_0_nor_1_is_refused() {
    let mut bytes = people().encode().unwrap();
    // The last field is the parent, 8 bytes behind its flag.
    let flag = bytes.len() - 9;
    bytes[flag] = 2;
    assert_eq!(People::decode(&bytes).err(), Some(LedgerError::FieldInvalid { field: "has parent" }));
}

#[test]
fn a_caller_that_was_asked_about_stands_last_in_a_body_of_version_2() {
    let plain = people().encode().unwrap();
    let about = Matter::Caller(PrincipalId::parse("corp:orders").unwrap());
    let bytes = People { about: Some(about.clone()), ..people() }.encode().unwrap();
    assert_eq!((plain[0], bytes[0]), (1, 2));
    assert_eq!(bytes[1..plain.len()], plain[1..]);
    assert_eq!(bytes[plain.len()..], *b"\x02\x00\x0bcorp:orders");
    assert!(People::decode(&bytes).unwrap().about == Some(about));
    // None at all is version 1.
    let nobody = [&[2], &plain[1..], &[2, 0, 0]].concat();
    assert_eq!(People::decode(&nobody).err(), Some(LedgerError::FieldInvalid { field: "caller" }));
}

#[test]
fn more_bytes_than_an_entry_can_have_are_not_read() {
    let bytes = vec![ENTRY_VERSION; limits::ENTRY_BYTES_MAX + 1];
    assert_eq!(Entry::decode(&bytes), Err(LedgerError::EntryTooLarge));
}

#[test]
fn people_are_not_printed() {
    let text = format!("{:?}", SealedPart::Clear(Box::new(people())));
    assert!(!text.contains("acme") && !text.contains("192.0.2.7"), "{text}");
}

/// The encoded size of an entry with these numbers, less that of one without any.
fn number_bytes(numbers: &[u64]) -> usize {
    let without = detokenize(7, [0]).encode().unwrap().len() - 1;
    detokenize(7, numbers.iter().copied()).encode().unwrap().len() - without
}

/// `count` numbers below `below`, scattered without a pattern.
fn scattered(count: u64, below: u64) -> Vec<u64> {
    (0..count).map(|i| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below).collect()
}

#[test]
fn number_lists_take_the_stated_space() {
    let fresh: Vec<_> = (1 << 55..).take(1000).collect();
    assert!(number_bytes(&fresh) <= 10, "{}", number_bytes(&fresh));
    assert!(number_bytes(&scattered(1000, 1 << 33)) <= 5 * 1000);
    assert!(number_bytes(&scattered(1000, 1 << 56)) <= 8 * 1000);
    // The worst there is: from one end to the other and back.
    let worst: Vec<_> = (0..1000).map(|i| if i % 2 == 0 { RecordNumber::MAX.get() } else { 0 }).collect();
    assert!(number_bytes(&worst) <= 8 * 1000);
}

/// A builder whose head and policies take as much room as they can.
fn largest_head() -> EntryBuilder {
    let longest = "n".repeat(64);
    let mut head = head(Action::Detokenize, Decision::Allowed);
    head.purpose = Some(Purpose::parse(&longest).unwrap());
    head.audience = Some(Audience::parse(&longest).unwrap());
    EntryBuilder::new(&head, vec![longest; 255]).unwrap()
}

fn largest_people() -> SealedPart {
    SealedPart::Sealed(SealedPeople { ciphertext: vec![0; CIPHERTEXT_BYTES_MAX], ..sealed() })
}

/// A class name of 64 bytes.
fn longest_class(index: usize) -> DataClass {
    class(&format!("c{index:063}"))
}

#[test]
fn a_thousand_items_in_400_groups_always_fit() {
    let mut builder = largest_head();
    let mut left = 1000;
    for index in 0..GROUPS_ALWAYS_FIT {
        let items = left / (GROUPS_ALWAYS_FIT - index);
        left -= items;
        let hashes = vec![TokenHash([0xff; 16]); items];
        builder
            .group(
                &longest_class(index),
                Outcome::Refused(Reason::AccessDenied),
                u32::try_from(items).unwrap(),
                [],
                hashes,
            )
            .unwrap();
    }
    assert_eq!(left, 0);
    let bytes = builder.finish(&largest_people()).unwrap();
    let entry = Entry::decode(&bytes).unwrap();
    assert_eq!(entry.groups.len(), GROUPS_ALWAYS_FIT);
}

#[test]
fn what_does_not_fit_is_refused_and_goes_into_another_entry() {
    let hash = TokenHash([0xff; 16]);
    let mut entries = Vec::new();
    let mut builder = largest_head();
    for index in 0..1000 {
        let class = longest_class(index);
        if let Err(refused) = builder.group(&class, Outcome::Done, 1, [], [hash]) {
            assert_eq!(refused, LedgerError::EntryTooLarge);
            entries.push(builder.finish(&largest_people()).unwrap());
            builder = largest_head();
            builder.group(&class, Outcome::Done, 1, [], [hash]).unwrap();
        }
    }
    entries.push(builder.finish(&largest_people()).unwrap());
    assert_eq!(entries.len(), 2, "1000 groups of the longest class names take two entries");
    assert!(entries.iter().all(|entry| entry.len() <= limits::ENTRY_BYTES_MAX));
    let decoded: Vec<_> = entries.iter().map(|entry| Entry::decode(entry).unwrap()).collect();
    let classes: HashSet<_> = decoded.iter().flat_map(|entry| &entry.groups).map(|group| &group.class).collect();
    assert_eq!(classes.len(), 1000);
}

#[test]
fn what_the_builder_took_can_always_be_finished() {
    let mut builder = largest_head();
    let taken =
        (0..1000).take_while(|&index| builder.group(&longest_class(index), Outcome::Done, 1, [], []).is_ok()).count();
    let entry = Entry::decode(&builder.finish(&largest_people()).unwrap()).unwrap();
    assert_eq!(entry.groups.len(), taken);
    assert!((GROUPS_ALWAYS_FIT..1000).contains(&taken), "{taken}");
}

#[test]
fn a_group_that_never_ends_is_stopped_and_leaves_no_trace() {
    let mut builder = EntryBuilder::new(&head(Action::Detokenize, Decision::Allowed), ["p"]).unwrap();
    let endless = (0..).map(|i| number(i * 2));
    assert_eq!(builder.group(&class("a"), Outcome::Done, u32::MAX, endless, []), Err(LedgerError::EntryTooLarge));
    builder.group(&class("b"), Outcome::Done, 1, [number(1)], []).unwrap();
    let entry = Entry::decode(&builder.finish(&SealedPart::None).unwrap()).unwrap();
    assert_eq!(entry.groups.iter().map(|group| group.class.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn too_many_policies_and_policies_without_an_id_are_refused() {
    let head = head(Action::Detokenize, Decision::Allowed);
    let too_many = EntryBuilder::new(&head, vec!["p"; 256]).err();
    assert_eq!(too_many, Some(LedgerError::TooMany { what: "policies", max: 255 }));
    for bad in ["", "a policy", &"p".repeat(65)] {
        assert!(EntryBuilder::new(&head, [bad]).is_err(), "{bad}");
    }
}

#[test]
fn a_ciphertext_beyond_its_limits_is_refused() {
    for length in [0, 15, CIPHERTEXT_BYTES_MAX + 1] {
        let mut entry = detokenize(7, [1]);
        entry.people = SealedPart::Sealed(SealedPeople { ciphertext: vec![0; length], ..sealed() });
        assert_eq!(entry.encode(), Err(LedgerError::FieldInvalid { field: "ciphertext" }));
    }
}
