//! Summaries never miss a match, and say how often they are wrong the other way.

use proptest::{collection::vec, option, prelude::*, sample::select};
use vault_domain::{Action, Audience, Decision, Purpose, Reason, RecordNumber, RequestId};

use super::*;
use crate::{ItemFilter, NumberRuns, Outcome, PrincipalTag, SealedPeople, TenantTag, TokenHash, testing::*};

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
fn query_about(entry: Entry, asks: [bool; 12]) -> Query {
    let [from, until, tenant, principal, action, decision, class, items, purpose, audience, reason, request] = asks;
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
        reason: reasons(&entry).last().filter(|_| reason),
        purpose: entry.head.purpose.filter(|_| purpose),
        audience: entry.head.audience.filter(|_| audience),
        request_id: request.then_some(entry.head.request_id),
    }
}

fn any_query() -> impl Strategy<Value = Query> {
    let times = (option::of(0..20_u64), option::of(0..20_u64));
    let tags = (option::of(vec(0..4_u8, 0..3)), option::of(vec(0..4_u8, 0..3)));
    let kinds = (option::of(select(Action::ALL)), option::of(select(Decision::ALL)), option::of(name()));
    let heads =
        (option::of(name()), option::of(name()), option::of(select(Reason::ALL)), option::of(any::<[u8; 16]>()));
    let items = option::of((numbers(), token_hashes()));
    (times, tags, kinds, items, heads).prop_map(|(times, tags, kinds, items, heads)| Query {
        purpose: heads.0.map(|name| Purpose::parse(&name).unwrap()),
        audience: heads.1.map(|name| Audience::parse(&name).unwrap()),
        reason: heads.2,
        request_id: heads.3.map(RequestId),
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
        asks in any::<[bool; 12]>(),
    ) {
        let summary = summary(&entries);
        let related = query_about(about.get(&entries).clone(), asks);
        for query in [random, related] {
            let matches = entries.iter().any(|entry| query.matches(entry));
            prop_assert!(!matches || summary.may_match(&query), "{query:?}");
            let rare = Query { items: query.items.clone(), request_id: query.request_id, ..Query::default() };
            let told = Summary::may_hold_rare(&summary.encode().unwrap(), &query);
            prop_assert_eq!(told, Ok(summary.may_match(&rare)));
        }
    }

    #[test]
    fn a_count_from_a_row_is_that_of_its_entries(
        entries in vec(any_entry(), 1..24),
        random in any_query(),
        about in any::<prop::sample::Index>(),
        asks in any::<[bool; 12]>(),
    ) {
        let summary = summary(&entries);
        let [from, until, _, principal, action, decision, class, _, purpose, audience, reason, _] = asks;
        // Half of the questions begin and end with an hour, and none is about one item or request.
        let asks = [from, until, true, principal, action, decision, class, false, purpose, audience, reason, false];
        let related = query_about(about.get(&entries).clone(), asks);
        let hours = Query { from: None, until: None, ..related.clone() };
        for query in [Query { items: None, request_id: None, ..random }, related, hours] {
            let sealed = |entry: &&Entry| matches!(entry.people, SealedPart::Sealed(_)) && query.matches(entry);
            let naive = entries.iter().filter(sealed).count();
            if let Some(cells) = summary.count(&query) {
                let counted: u32 = cells.iter().map(Cell::entries).sum();
                prop_assert_eq!(counted as usize, naive, "{:?}", query);
                for cell in cells {
                    let first = &entries[usize::from(cell.first())];
                    prop_assert!(query.matches(first) && first.head.action == cell.action());
                    let classes: BTreeSet<_> = first.groups.iter().map(|group| class_tag(&group.class)).collect();
                    prop_assert!(cell.classes().eq(classes));
                }
            }
        }
    }

    #[test]
    fn a_row_that_was_made_of_entries_hides_none_of_them(entries in vec(any_entry(), 1..24)) {
        let summary = summary(&entries);
        prop_assert!(entries.iter().all(|entry| summary.hides(entry).is_none()));
        prop_assert!(summary.counts_like(&summary));
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
        Query { purpose: Some(Purpose::parse("audit").unwrap()), ..all() },
        Query { audience: Some(Audience::parse("payments").unwrap()), ..all() },
        Query { reason: Some(Reason::TokenUnknown), ..all() },
        Query { request_id: Some(RequestId(0x9e37_79b9_7f4a_7c15_94d0_49bb_1331_11eb_u128.to_be_bytes())), ..all() },
        of_number(8),
        Query { items: Some(ItemFilter { numbers: vec![], token_hashes: vec![TokenHash([9; 16])] }), ..all() },
    ];
    assert!(summary.may_match(&all()) && summary.may_match(&of_number(7)) && summary.may_match(&of_number(900)));
    for query in skipped {
        assert!(!summary.may_match(&query), "{query:?}");
    }
}

#[test]
fn a_row_of_other_entries_hides_what_it_does_not_know() {
    let entries = [detokenize(100, [7]), detokenize(200, [900])];
    let other = |change: fn(&mut Entry)| {
        let mut changed = entries.clone();
        changed.iter_mut().for_each(change);
        summary(&changed).hides(&entries[1])
    };
    assert_eq!(other(|entry| entry.log_time = Millis(10)), Some("log time"));
    assert_eq!(other(|entry| entry.head.action = Action::Tokenize), Some("action"));
    assert_eq!(other(|entry| entry.head.request_id = RequestId([9; 16])), Some("request id"));
    assert_eq!(other(|entry| entry.head.purpose = None), Some("purpose"));
    assert_eq!(other(|entry| entry.people = SealedPart::None), Some("tenant"));
    assert_eq!(other(|entry| entry.groups.clear()), Some("data class"));
    assert_eq!(other(|entry| entry.groups = detokenize(1, [8]).groups), Some("token"));
    // More than there is costs time and hides nothing, but counts what is not there.
    let more = [detokenize(100, [7]), detokenize(200, [900]), detokenize(300, [1])];
    assert_eq!(summary(&more).hides(&entries[1]), None);
    assert!(!summary(&more).counts_like(&summary(&entries)));
}

#[test]
fn a_count_needs_the_entries_where_a_bound_cuts_an_hour_and_where_there_are_too_many_kinds() {
    let hour = 3_600_000;
    let row = summary(&[detokenize(hour - 1, [7]), detokenize(hour, [8]), detokenize(hour + 5, [9])]);
    let count = |query: &Query| {
        row.count(query).map(|cells| cells.iter().map(|cell| (cell.hour().0, cell.entries())).collect::<Vec<_>>())
    };
    assert_eq!(count(&Query::default()), Some(vec![(0, 1), (hour, 2)]));
    assert_eq!(count(&Query { from: Some(Millis(hour)), ..Query::default() }), Some(vec![(hour, 2)]));
    assert_eq!(count(&Query { until: Some(Millis(hour + 6)), ..Query::default() }), Some(vec![(0, 1), (hour, 2)]));
    assert_eq!(count(&Query { until: Some(Millis(hour + 5)), ..Query::default() }), None);
    assert_eq!(count(&of_number(7)), None);
    let many: Vec<_> = (0..256).map(distinct).collect();
    assert!(summary(&many[..64]).count(&Query::default()).is_some_and(|cells| cells.len() == 64));
    assert!(summary(&many).count(&Query::default()).is_none());
}

#[test]
fn a_request_is_told_from_others_at_the_stated_rate() {
    let with_id = |n: u64| {
        let mut entry = detokenize(n, [n]);
        let word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        entry.head.request_id = RequestId([word, word].concat().try_into().unwrap());
        entry
    };
    let row = summary(&(0..256).map(with_id).collect::<Vec<_>>());
    let asked = |n| Query { request_id: Some(with_id(n).head.request_id), ..Query::default() };
    assert!((0..256).all(|n| row.may_match(&asked(n))));
    let wrong = (1000..11_000).filter(|n| row.may_match(&asked(*n))).count();
    assert!(wrong < 150, "{wrong} of 10,000");
}

#[test]
fn fresh_numbers_of_many_calls_are_one_range() {
    let entries: Vec<_> = (0..256).map(|call| detokenize(call, call * 1000..(call + 1) * 1000)).collect();
    let summary = summary(&entries);
    assert!(summary.encode().unwrap().len() < 200);
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
    for (per_entry, rate, bytes) in [(1, 0.012, 600), (20, 0.012, 6700), (205, 0.012, 66_000), (1000, 0.42, 66_000)] {
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

/// Entries of a whole span: entry n of principal n / 300, of a class of each 10,000, about a number and in a request of
/// its own.
fn of_a_span(index: u64) -> Entry {
    let mut entry = detokenize(index, [index << 20]);
    entry.head.request_id = RequestId(u128::from(mixed(index)).to_be_bytes().map(|byte| byte ^ 0x5A));
    entry.head.request_id.0[..8].copy_from_slice(&mixed(index).to_be_bytes());
    entry.groups[0].class = DataClass::parse(&format!("c{}", index / 10_000)).unwrap();
    let people = SealedPeople { principal_tag: PrincipalTag((index / 300).to_be_bytes()), ..sealed() };
    entry.people = SealedPart::Sealed(people);
    entry
}

fn mixed(number: u64) -> u64 {
    (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn span_of(entry: impl Fn(u64) -> Entry) -> Span {
    let mut builder = SpanBuilder::default();
    (0..65_536).for_each(|index| builder.push(&entry(index)).unwrap());
    assert!(builder.push(&entry(0)).is_err(), "a span is full");
    let mut builder = SpanBuilder::default();
    (0..65_536).for_each(|index| builder.push(&entry(index)).unwrap());
    builder.finish().unwrap().unwrap()
}

fn runs_of(span: &Span, part: SpanPart, query: &Query) -> Vec<u8> {
    let runs = part.runs(span.row(part), query).unwrap();
    (0..=u8::MAX).filter(|run| runs.has(*run)).collect()
}

#[test]
fn a_span_leads_to_the_runs_that_hold_a_match_and_to_no_other() {
    let span = span_of(of_a_span);
    let all = Query::default;
    let principal = |tag: u64| Query { principals: Some(vec![PrincipalTag(tag.to_be_bytes())]), ..all() };
    // Entries 3000 to 3299 are in the runs 11 and 12.
    assert_eq!(runs_of(&span, SpanPart::Places, &principal(10)), [11, 12]);
    assert!(runs_of(&span, SpanPart::Places, &principal(300)).is_empty());
    let class = Query { data_class: DataClass::parse("c6").ok(), ..principal(201) };
    assert_eq!(runs_of(&span, SpanPart::Places, &class), [235, 236]);
    assert!(
        runs_of(&span, SpanPart::Places, &Query { data_class: DataClass::parse("c6").ok(), ..principal(10) })
            .is_empty()
    );
    assert_eq!(runs_of(&span, SpanPart::Places, &all()).len(), 256);
    // Requests and items are told to be there or not.
    let request = |id| Query { request_id: Some(id), ..all() };
    assert_eq!(runs_of(&span, SpanPart::Requests, &request(of_a_span(7).head.request_id)).len(), 256);
    assert_eq!(runs_of(&span, SpanPart::Items, &of_number(65_535 << 20)).len(), 256);
    let wrong = (0..10_000_u64).filter(|n| {
        let id = RequestId(u128::from(mixed(n + 1_000_000)).to_le_bytes());
        !runs_of(&span, SpanPart::Requests, &request(id)).is_empty()
    });
    assert!(wrong.count() < 200, "1 in 50 at the most, and 1 in 120 as a rule");
    let wrong = (0..10_000).filter(|n| !runs_of(&span, SpanPart::Items, &of_number((n << 20) + 7)).is_empty());
    assert!(wrong.count() < 200, "1 in 50 at the most, and 1 in 120 as a rule");
    let bytes: usize = SpanPart::ALL.iter().map(|part| span.row(*part).len()).sum();
    assert!(bytes < 5 * 65_536, "{bytes} bytes for a span of calls for one item each");
}

#[test]
fn the_rows_of_a_span_hide_none_of_its_entries_and_those_of_another_do() {
    let (span, other) = (span_of(of_a_span), span_of(|index| of_a_span(index + 65_536)));
    for index in (0..65_536).step_by(997) {
        let (entry, run) = (of_a_span(index), u8::try_from(index / 256).unwrap());
        for part in SpanPart::ALL {
            assert_eq!(part.hides(span.row(part), &entry, run), Ok(None), "{part:?}");
        }
        assert_eq!(SpanPart::Places.hides(other.row(SpanPart::Places), &entry, run), Ok(Some("principal")));
        assert_eq!(SpanPart::Places.hides(span.row(SpanPart::Places), &entry, run ^ 0x80), Ok(Some("principal")));
    }
    let hidden = |part: SpanPart| (0..50).any(|n| part.hides(other.row(part), &of_a_span(n), 0) != Ok(None));
    assert!(hidden(SpanPart::Requests) && hidden(SpanPart::Items));
}

#[test]
fn a_span_of_too_many_principals_can_have_any_in_any_run() {
    let span = span_of(|index| {
        let mut entry = of_a_span(index);
        let people = SealedPeople { principal_tag: PrincipalTag((index / 15).to_be_bytes()), ..sealed() };
        entry.people = SealedPart::Sealed(people);
        entry
    });
    let nobody = Query { principals: Some(vec![PrincipalTag([0xA5; 8])]), ..Query::default() };
    assert_eq!(runs_of(&span, SpanPart::Places, &nobody).len(), 256);
    let nothing = Query { action: Some(Action::Tokenize), ..nobody };
    assert!(runs_of(&span, SpanPart::Places, &nothing).is_empty(), "what else is listed is told as before");
}

#[test]
fn a_span_is_whole_or_has_no_rows_and_damage_is_told() {
    let mut builder = SpanBuilder::default();
    (0..65_535).for_each(|index| builder.push(&of_a_span(index)).unwrap());
    assert_eq!(builder.finish(), Ok(None));
    let span = span_of(of_a_span);
    for part in SpanPart::ALL {
        let row = span.row(part);
        assert!(SpanPart::is_current(row) && !SpanPart::is_current(&[]));
        for cut in [0, 1, 4, row.len() / 2, row.len() - 1] {
            assert!(part.runs(&row[..cut], &Query::default()).is_err(), "{part:?} cut to {cut}");
        }
        let (mut longer, mut newer) = (row.to_vec(), row.to_vec());
        longer.push(0);
        newer[0] = 3;
        assert!(part.runs(&longer, &Query::default()).is_err() && part.runs(&newer, &Query::default()).is_err());
    }
}

/// Entries of a whole span as above, of 19 to an hour, each third refused for all of its items, each 1000th of nobody.
fn of_an_hour(index: u64) -> Entry {
    let mut entry = of_a_span(index);
    entry.log_time = Millis(5 * 3_600_000 + index * 190_000);
    if index.is_multiple_of(3) {
        entry.groups[0].outcome = Outcome::Refused(Reason::TokenUnknown);
    }
    if index.is_multiple_of(1000) {
        entry.people = SealedPart::None;
    }
    entry
}

#[test]
fn a_span_counts_its_entries_by_kind_and_hour_and_leads_to_each() {
    let entries: Vec<_> = (0..65_536).map(of_an_hour).collect();
    let span = span_of(of_an_hour);
    let kinds = SpanKinds::decode(span.row(SpanPart::Kinds)).unwrap().unwrap();
    let tenant = Query { tenants: Some(vec![sealed().tenant_tag]), ..Query::default() };
    let principal = |tag: u64| Some(vec![PrincipalTag(tag.to_be_bytes())]);
    let queries = [
        tenant.clone(),
        Query { principals: principal(10), ..tenant.clone() },
        Query { principals: principal(300), ..tenant.clone() },
        Query { reason: Some(Reason::TokenUnknown), principals: principal(201), ..tenant.clone() },
        Query { data_class: DataClass::parse("c6").ok(), reason: Some(Reason::TokenUnknown), ..tenant.clone() },
        Query { tenants: Some(vec![TenantTag([9; 8])]), ..Query::default() },
        Query { action: Some(Action::Tokenize), ..tenant.clone() },
        Query { purpose: Purpose::parse("audit").ok(), ..tenant.clone() },
    ];
    for query in &queries {
        let matching: Vec<u16> = (0..=u16::MAX).filter(|at| query.matches(&entries[usize::from(*at)])).collect();
        assert_eq!(kinds.places(query), Some(matching.clone()), "{query:?}");
        for part in [0..65_536, 0..0, 0..1, 3000..3300, 65_535..65_536, 17..60_000] {
            let inside: Vec<u16> = matching.iter().copied().filter(|at| part.contains(&u32::from(*at))).collect();
            let mut by_hour: std::collections::BTreeMap<u64, u32> = Default::default();
            for at in &inside {
                *by_hour.entry(entries[usize::from(*at)].log_time.0 / 3_600_000 * 3_600_000).or_default() += 1;
            }
            let mut counted: std::collections::BTreeMap<u64, u32> = Default::default();
            for cell in kinds.cells(query, part.clone(), true) {
                *counted.entry(cell.hour().0).or_default() += cell.entries();
                assert!(inside.contains(&cell.first()), "{query:?} {part:?}");
            }
            assert_eq!(counted, by_hour, "{query:?} {part:?}");
            let cells = kinds.cells(query, part.clone(), false);
            assert_eq!(cells.iter().map(Cell::entries).sum::<u32>() as usize, inside.len());
            assert!(cells.iter().all(|cell| inside.contains(&cell.first()) && cell.entries() > 0));
        }
    }
    assert_eq!(kinds.places(&Query::default()), None, "entries of nobody are of no kind");
}

#[test]
fn kinds_of_few_and_of_many_read_as_they_were_and_too_many_are_not_told() {
    let of = |principals: u64| {
        span_of(move |index| {
            let mut entry = detokenize(7, [index]);
            let tag = PrincipalTag((index % principals).to_be_bytes());
            entry.people = SealedPart::Sealed(SealedPeople { principal_tag: tag, ..sealed() });
            entry
        })
    };
    for (principals, bytes) in [(1, 66_000), (255, 73_000), (256, 140_000), (32_768, 820_000)] {
        let span = of(principals);
        let row = span.row(SpanPart::Kinds);
        assert!(row.len() < bytes, "{} bytes for {principals} kinds", row.len());
        let kinds = SpanKinds::decode(row).unwrap().unwrap();
        let last = Query { principals: Some(vec![PrincipalTag((principals - 1).to_be_bytes())]), ..Query::default() };
        let places = kinds.places(&last).unwrap();
        assert_eq!(places.len() as u64, 65_536 / principals);
        assert_eq!(places.first().map(|at| u64::from(*at)), Some(principals - 1));
    }
    let many = of(32_769);
    assert_eq!(many.row(SpanPart::Kinds).len(), 2);
    assert!(SpanKinds::decode(many.row(SpanPart::Kinds)).unwrap().is_none());
}

#[test]
fn a_row_of_kinds_that_lies_is_told_with_the_first_entry_that_it_is_wrong_about() {
    let truth = span_of(of_an_hour);
    let read = |span: &Span| SpanKinds::decode(span.row(SpanPart::Kinds)).unwrap().unwrap();
    let other = |change: fn(&mut Entry)| {
        let changed = span_of(move |index| {
            let mut entry = of_an_hour(index);
            if index == 40_001 {
                change(&mut entry);
            }
            entry
        });
        read(&changed).first_difference(&read(&truth))
    };
    assert_eq!(read(&truth).first_difference(&read(&truth)), None);
    assert_eq!(other(|entry| entry.head.action = Action::Tokenize), Some(40_001));
    assert_eq!(other(|entry| entry.people = SealedPart::None), Some(40_001));
    assert_eq!(other(|entry| entry.groups.clear()), Some(40_001));
    assert_eq!(other(|entry| entry.head.request_id = RequestId([1; 16])), None, "requests are of no kind");
}
