//! What a question matches and what it does not.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{sealed_part, testing::*};

/// A detokenize at time 100 by principal 0x55.. of tenant 0x44..: record 7 done as `card_number`, one token of `iban`
/// without a record.
fn entry() -> Entry {
    let mut entry = detokenize(100, [7, 8]);
    let hash = TokenHash([0xee; 16]);
    let iban = Group {
        class: DataClass::parse("iban").unwrap(),
        outcome: crate::Outcome::Refused(vault_domain::Reason::TokenUnknown),
        items: 2,
        numbers: crate::NumberRuns::default(),
        token_hashes: vec![hash],
    };
    entry.groups.push(iban);
    entry
}

fn class(name: &str) -> Option<DataClass> {
    Some(DataClass::parse(name).unwrap())
}

fn items(numbers: &[u64], hashes: &[u8]) -> Option<ItemFilter> {
    let numbers = numbers.iter().copied().map(number).collect();
    Some(ItemFilter { numbers, token_hashes: hashes.iter().map(|byte| TokenHash([*byte; 16])).collect() })
}

#[test]
fn each_filter_takes_what_it_asks_for_and_nothing_else() {
    let all = Query::default;
    let (tenant, principal) = (TenantTag([0x44; 8]), PrincipalTag([0x55; 8]));
    let met = [
        all(),
        Query { from: Some(Millis(100)), until: Some(Millis(101)), ..all() },
        Query { tenants: Some(vec![tenant]), ..all() },
        Query { principals: Some(vec![PrincipalTag([1; 8]), principal]), ..all() },
        Query { action: Some(Action::Detokenize), decision: Some(Decision::Allowed), ..all() },
        Query { data_class: class("iban"), ..all() },
        Query { items: items(&[9, 8], &[]), ..all() },
        Query { items: items(&[9], &[0xee]), ..all() },
        Query { data_class: class("card_number"), items: items(&[7], &[0xee]), ..all() },
        Query { purpose: Purpose::parse("payment").ok(), audience: Audience::parse("checkout").ok(), ..all() },
        Query { request_id: Some(RequestId([0x11; 16])), ..all() },
        Query { reason: Some(Reason::TokenUnknown), ..all() },
        Query { reason: Some(Reason::TokenUnknown), data_class: class("iban"), ..all() },
    ];
    let unmet = [
        Query { from: Some(Millis(101)), ..all() },
        Query { until: Some(Millis(100)), ..all() },
        Query { tenants: Some(vec![TenantTag([0x55; 8])]), ..all() },
        Query { tenants: Some(vec![]), ..all() },
        Query { principals: Some(vec![PrincipalTag([0x44; 8])]), ..all() },
        Query { tenants: Some(vec![tenant]), principals: Some(vec![]), ..all() },
        Query { action: Some(Action::Tokenize), ..all() },
        Query { decision: Some(Decision::Denied), ..all() },
        Query { data_class: class("ssn"), ..all() },
        Query { items: items(&[9], &[1]), ..all() },
        Query { items: items(&[], &[]), ..all() },
        Query { purpose: Purpose::parse("audit").ok(), ..all() },
        Query { audience: Audience::parse("payment").ok(), ..all() },
        Query { request_id: Some(RequestId([0x12; 16])), ..all() },
        Query { reason: Some(Reason::AccessDenied), ..all() },
        // An item was refused for that, but none of this class.
        Query { reason: Some(Reason::TokenUnknown), data_class: class("card_number"), ..all() },
        // The record is there and the class is there, but not together.
        Query { data_class: class("iban"), items: items(&[7], &[]), ..all() },
    ];
    assert!(met.iter().all(|query| query.matches(&entry())));
    for query in unmet {
        assert!(!query.matches(&entry()), "{query:?}");
    }
}

proptest! {
    /// Bytes are passed over by the same rule by which entries are: a question about any field of one entry, or of
    /// several at once, is held against another.
    #[test]
    fn bytes_are_passed_over_exactly_where_the_entry_does_not_match(
        entries in vec(any_entry(), 2),
        fields in any::<[bool; 11]>(),
    ) {
        for asked in &entries {
            let query = about(asked, fields);
            for entry in &entries {
                let bytes = entry.encode().unwrap();
                // Bytes don't tell whose tags are zeros: nobody's, or a part's that is not sealed.
                let is_sealed = matches!(entry.people, SealedPart::Sealed(_));
                let expected = query.matches(entry) || (!is_sealed && query.may_match_bytes(&bytes));
                prop_assert_eq!(query.may_match_bytes(&bytes), expected, "{:?}", query);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_sealed_part_lies_where_the_entry_has_it(entry in any_entry()) {
        let bytes = entry.encode().unwrap();
        let lying = sealed_part(&bytes).unwrap();
        match &entry.people {
            SealedPart::Sealed(sealed) => prop_assert_eq!(lying, Some((entry.head.salt, sealed.as_slice()))),
            SealedPart::None | SealedPart::Clear(_) => prop_assert_eq!(lying, None),
        }
    }
}

/// A question by some of the fields of an entry.
fn about(entry: &Entry, fields: [bool; 11]) -> Query {
    let [time, tenant, principal, action, decision, class, items, audience, purpose, reason, request] = fields;
    let sealed = if let SealedPart::Sealed(sealed) = &entry.people { Some(sealed) } else { None };
    let group = entry.groups.last();
    let listed = |group: &Group| ItemFilter {
        numbers: group.numbers.numbers().take(2).collect(),
        token_hashes: group.token_hashes.first().copied().into_iter().collect(),
    };
    let head = &entry.head;
    Query {
        from: time.then_some(entry.log_time),
        until: time.then(|| Millis(entry.log_time.0 + 1)),
        tenants: sealed.filter(|_| tenant).map(|sealed| vec![sealed.tenant_tag]),
        principals: sealed.filter(|_| principal).map(|sealed| vec![sealed.principal_tag]),
        action: action.then_some(head.action),
        decision: decision.then_some(head.decision),
        data_class: group.filter(|_| class).map(|group| group.class.clone()),
        items: group.filter(|_| items).map(listed),
        audience: head.audience.clone().filter(|_| audience),
        purpose: head.purpose.clone().filter(|_| purpose),
        reason: head.reason.or(group.and_then(|group| group.outcome.refused())).filter(|_| reason),
        request_id: request.then_some(head.request_id),
    }
}

#[test]
fn bytes_that_are_no_entry_are_left_to_who_decodes_them() {
    let query = Query { request_id: Some(RequestId([1; 16])), ..Query::default() };
    let bytes = entry().encode().unwrap();
    assert!(!query.may_match_bytes(&bytes));
    for cut in [&bytes[..0], &bytes[..20], &[7; 200]] {
        assert!(query.may_match_bytes(cut) && Entry::decode(cut).is_err());
    }
}

#[test]
fn an_entry_without_a_sealed_part_is_of_nobody() {
    let mut entry = entry();
    entry.people = SealedPart::Clear(Box::new(people()));
    assert!(Query::default().matches(&entry));
    let nobody = Query { tenants: Some(vec![TenantTag([0; 8])]), ..Query::default() };
    assert!(!nobody.matches(&entry));
}

#[test]
fn where_from_and_what_for_are_asked_of_who_is_named() {
    let network = |text: &str| PeopleQuery { source: Network::parse(text).ok(), reference: None };
    let reference = |text: &str| PeopleQuery { source: None, reference: Reference::parse(text).ok() };
    let people = people();
    for met in [PeopleQuery::default(), network("192.0.2.0/24"), reference("CASE-4711")] {
        assert!(met.matches(Some(&people)));
        assert_eq!(met.matches(None), met.is_empty());
        assert_eq!(met.matches_body(&people.encode().unwrap()), Ok(true));
        let nobody = People::default().encode().unwrap();
        assert_eq!(met.matches_body(&nobody), Ok(met.is_empty()));
    }
    for unmet in [network("192.0.2.8"), reference("CASE-4712")] {
        assert!(!unmet.matches(Some(&people)) && !unmet.is_empty());
        assert_eq!(unmet.matches_body(&people.encode().unwrap()), Ok(false));
        assert!(unmet.matches_body(&people.encode().unwrap()[..60]).is_err());
    }
}
