//! Summaries never miss a match, and say how often they are wrong the other way.

use proptest::{collection::vec, option, prelude::*, sample::select};
use vault_domain::{Action, Decision, RecordNumber};

use super::*;
use crate::{ItemFilter, NumberRuns, PrincipalTag, SealedPeople, TenantTag, TokenHash, testing::*};

fn summary<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Summary {
    let mut builder = SummaryBuilder::new();
    entries.into_iter().for_each(|entry| builder.push(entry).unwrap());
    builder.finish().unwrap()
}

fn of_number(number: u64) -> Query {
    let numbers = vec![RecordNumber::new(number).unwrap()];
    Query { items: Some(ItemFilter { numbers, token_hashes: Vec::new() }), ..Query::default() }
}

/// A query about something that one of the entries holds, where it asks at all.
fn query_about(entry: Entry, asks: [bool; 8]) -> Query {
    let [from, until, tenant, principal, action, decision, class, items] = asks;
    let (tenants, principals) = match &entry.people {
        SealedPart::Sealed(people) => (vec![people.tenant_tag], vec![people.principal_tag]),
        _ => (vec![], vec![]),
    };
    let group = entry.groups.last();
    let numbers = group.map(|group| group.numbers.numbers().collect()).unwrap_or_default();
    let token_hashes = group.map(|group| group.token_hashes.clone()).unwrap_or_default();
    Query {
        from: from.then_some(entry.log_time),
        until: until.then_some(Millis(entry.log_time.0 + 1)),
        tenants: tenant.then_some(tenants),
        principals: principal.then_some(principals),
        action: action.then_some(entry.head.action),
        decision: decision.then_some(entry.head.decision),
        data_class: group.filter(|_| class).map(|group| group.class.clone()),
        items: items.then_some(ItemFilter { numbers, token_hashes }),
    }
}

fn any_query() -> impl Strategy<Value = Query> {
    let times = (option::of(0..20_u64), option::of(0..20_u64));
    let tags = (option::of(vec(0..4_u8, 0..3)), option::of(vec(0..4_u8, 0..3)));
    let kinds = (option::of(select(Action::ALL)), option::of(select(Decision::ALL)), option::of(name()));
    (times, tags, kinds, option::of((numbers(), token_hashes()))).prop_map(|(times, tags, kinds, items)| Query {
        from: times.0.map(Millis),
        until: times.1.map(Millis),
        tenants: tags.0.map(|tags| tags.into_iter().map(|tag| TenantTag([tag; 8])).collect()),
        principals: tags.1.map(|tags| tags.into_iter().map(|tag| PrincipalTag([tag; 8])).collect()),
        action: kinds.0,
        decision: kinds.1,
        data_class: kinds.2.map(|name| DataClass::parse(&name).unwrap()),
        items: items.map(|(numbers, token_hashes)| ItemFilter {
            numbers: numbers.into_iter().map(number).collect(),
            token_hashes,
        }),
    })
}

proptest! {
    #[test]
    fn a_run_that_holds_a_match_is_never_skipped(
        entries in vec(any_entry(), 1..24),
        random in any_query(),
        about in any::<prop::sample::Index>(),
        asks in any::<[bool; 8]>(),
    ) {
        let summary = summary(&entries);
        let related = query_about(about.get(&entries).clone(), asks);
        for query in [random, related] {
            let matches = entries.iter().any(|entry| query.matches(entry));
            prop_assert!(!matches || summary.may_match(&query), "{query:?}");
        }
    }

    #[test]
    fn a_row_reads_as_it_was_written(entries in vec(any_entry(), 1..24), at in any::<prop::sample::Index>()) {
        let summary = summary(&entries);
        let mut bytes = summary.encode().unwrap();
        prop_assert_eq!(Summary::decode(&bytes).unwrap(), summary.clone());
        prop_assert_eq!(usize::from(summary.entries()), entries.len());
        prop_assert!(Summary::decode(&bytes[..at.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(Summary::decode(&bytes).is_err());
    }

    #[test]
    fn what_decodes_is_canonical(entries in vec(any_entry(), 1..8), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = summary(&entries).encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(decoded) = Summary::decode(&bytes) {
            prop_assert_eq!(decoded.encode().unwrap(), bytes);
        }
    }
}

#[test]
fn a_run_is_skipped_by_every_filter() {
    let summary = summary(&[detokenize(100, [7]), detokenize(200, [900])]);
    let all = Query::default;
    let skipped = [
        Query { from: Some(Millis(201)), ..all() },
        Query { until: Some(Millis(100)), ..all() },
        Query { tenants: Some(vec![TenantTag([0x45; 8])]), ..all() },
        Query { principals: Some(vec![]), ..all() },
        Query { action: Some(Action::Tokenize), ..all() },
        Query { decision: Some(Decision::Denied), ..all() },
        Query { data_class: Some(DataClass::parse("iban").unwrap()), ..all() },
        of_number(8),
        Query { items: Some(ItemFilter { numbers: vec![], token_hashes: vec![TokenHash([9; 16])] }), ..all() },
    ];
    assert!(summary.may_match(&all()) && summary.may_match(&of_number(7)) && summary.may_match(&of_number(900)));
    for query in skipped {
        assert!(!summary.may_match(&query), "{query:?}");
    }
}

#[test]
fn fresh_numbers_of_many_calls_are_one_range() {
    let entries: Vec<_> = (0..256).map(|call| detokenize(call, call * 1000..(call + 1) * 1000)).collect();
    let summary = summary(&entries);
    assert!(summary.encode().unwrap().len() < 100);
    assert!((0..256_000).all(|number| summary.may_match(&of_number(number))));
    assert!(!(256_000..300_000).any(|number| summary.may_match(&of_number(number))));
}

/// `per_entry` scattered numbers in each of 256 entries.
fn scattered_run(per_entry: u64) -> (Vec<u64>, Summary) {
    let spread = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8;
    let numbers: Vec<_> = (0..256 * per_entry).map(spread).collect();
    let entries: Vec<_> =
        numbers.chunks(usize::try_from(per_entry).unwrap()).map(|chunk| detokenize(1, chunk.iter().copied())).collect();
    (numbers, summary(&entries))
}

/// The rate at which numbers that are not there are said to be possible.
fn false_rate(numbers: &[u64], summary: &Summary) -> f64 {
    let absent = (0..100_000_u64).map(|i| i * 7919 + 3).filter(|number| !numbers.contains(number));
    let tried: Vec<_> = absent.take(20_000).collect();
    let wrong = tried.iter().filter(|&&number| summary.may_match(&of_number(number))).count();
    wrong as f64 / tried.len() as f64
}

#[test]
fn scattered_numbers_are_told_apart_at_the_stated_rates_and_sizes() {
    for (per_entry, rate, bytes) in [(1, 0.012, 500), (20, 0.012, 6600), (205, 0.012, 66_000), (1000, 0.42, 66_000)] {
        let (numbers, summary) = scattered_run(per_entry);
        assert!(numbers.iter().step_by(97).all(|&number| summary.may_match(&of_number(number))));
        let (found, size) = (false_rate(&numbers, &summary), summary.encode().unwrap().len());
        assert!(found < rate, "{per_entry} numbers in an entry: rate {found}");
        assert!(size < bytes, "{per_entry} numbers in an entry: {size} bytes");
    }
}

#[test]
fn too_many_ranges_are_joined_across_the_smallest_gaps() {
    // 2000 ranges of 10, in pairs that are 5 apart while the pairs are 1000 apart.
    let first = |i: u64| (i / 2) * 1000 + (i % 2) * 15;
    let entries: Vec<_> = (0..200)
        .map(|call| detokenize(call, (call * 10..(call + 1) * 10).flat_map(|i| first(i)..first(i) + 10)))
        .collect();
    let summary = summary(&entries);
    assert!((0..2000).all(|i| summary.may_match(&of_number(first(i) + 9))));
    assert!(summary.may_match(&of_number(first(0) + 12)), "inside a pair");
    assert!(!summary.may_match(&of_number(first(0) + 500)), "between pairs");
    assert_eq!(Summary::decode(&summary.encode().unwrap()).unwrap(), summary);
}

/// An entry with this class name and principal.
fn distinct(index: u64) -> Entry {
    let mut entry = detokenize(index, [index << 20]);
    entry.groups[0].class = DataClass::parse(&format!("c{index}")).unwrap();
    let tag = index.to_be_bytes();
    let people = SealedPeople { tenant_tag: TenantTag(tag), principal_tag: PrincipalTag(tag), ..sealed() };
    entry.people = SealedPart::Sealed(people);
    entry
}

#[test]
fn a_run_of_too_many_classes_can_hold_any() {
    let mut entries: Vec<_> = (0..256).map(distinct).collect();
    let class = |name: &str| Query { data_class: Some(DataClass::parse(name).unwrap()), ..Query::default() };
    let listed = summary(&entries);
    assert!(listed.may_match(&class("c255")) && !listed.may_match(&class("d")));
    let mut one_more = entries[0].groups[0].clone();
    one_more.class = DataClass::parse("one_more").unwrap();
    entries[0].groups.push(one_more);
    let any = summary(&entries);
    assert!(any.may_match(&class("d")));
    assert_eq!(Summary::decode(&any.encode().unwrap()).unwrap(), any);
}

#[test]
fn a_run_of_too_many_items_can_hold_any() {
    // No vault writes such entries: each lists more than 50,000 numbers.
    let runs: NumberRuns = (0..50_000).map(|i| number(i * 2)).collect();
    let mut entry = detokenize(1, [1]);
    entry.groups[0].items = 50_000;
    entry.groups[0].numbers = runs;
    let any = summary(std::iter::repeat_n(&entry, 6));
    assert!(any.may_match(&of_number(1 << 40)));
    assert_eq!(Summary::decode(&any.encode().unwrap()).unwrap(), any);
}

#[test]
fn a_row_never_passes_its_limit() {
    let spread = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12 << 4;
    let entries: Vec<_> = (0..256)
        .map(|call| {
            let mut entry = distinct(call);
            let singles = (0..500).map(|i| spread(call * 500 + i));
            let ranges = (0..8).flat_map(|i| (spread(1_000_000 + call * 8 + i)..).take(10));
            entry.groups[0].numbers = singles.chain(ranges).map(number).collect();
            entry.groups[0].items = 580;
            entry
        })
        .collect();
    let bytes = summary(&entries).encode().unwrap();
    assert!(bytes.len() > 78_000, "the test reaches for the limit: {}", bytes.len());
    assert!(bytes.len() <= SUMMARY_BYTES_MAX, "{} of {SUMMARY_BYTES_MAX}", bytes.len());
}

#[test]
fn a_row_is_about_1_to_256_entries() {
    assert!(SummaryBuilder::new().finish().is_none());
    let mut builder = SummaryBuilder::new();
    (0..256).for_each(|time| builder.push(&detokenize(time, [time])).unwrap());
    assert_eq!(builder.entries(), SUMMARY_ENTRIES);
    assert!(builder.push(&detokenize(256, [1])).is_err());
    assert_eq!(builder.finish().unwrap().entries(), 256);
}
