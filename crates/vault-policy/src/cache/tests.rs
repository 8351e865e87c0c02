//! The memory for decisions: bounded, and right about whose decision it gives back.

use vault_domain::{Audience, DataClass, PrincipalId, Region};

use super::*;
use crate::{
    decision::PolicyId,
    request::{Circumstances, DataScope, Log},
};

/// The key of a request by this principal, and a decision that no other key gets.
fn entry(n: usize) -> (Key, Decision) {
    let principal = PrincipalId::parse(&format!("dns:a{n}.example")).unwrap();
    let key = Key::of(&Request {
        principal: &principal,
        purpose: None,
        ask: Ask::GetCheckpoint(Log::Node),
        circumstances: Circumstances::default(),
    });
    (key, Decision::allowed([PolicyId::parse(&format!("p{n}")).unwrap()].into()))
}

#[test]
fn what_was_put_in_comes_out() {
    let cache = DecisionCache::new(64);
    assert_eq!(cache.get(&entry(1).0), None);
    for n in 0..8 {
        let (key, decision) = entry(n);
        cache.insert(&key, &decision);
        assert_eq!(cache.get(&key), Some(decision));
    }
}

#[test]
fn it_stays_within_its_capacity_and_never_mixes_decisions_up() {
    let cache = DecisionCache::new(64);
    for n in 0..10_000 {
        let (key, decision) = entry(n);
        cache.insert(&key, &decision);
        assert_eq!(cache.get(&key), Some(decision), "the newest is there");
    }
    assert_eq!(cache.len(), 64);
    let found = (0..10_000).map(entry).filter_map(|(key, decision)| Some((cache.get(&key)?, decision)));
    let found: Vec<_> = found.inspect(|(got, own)| assert_eq!(got, own)).collect();
    assert_eq!(found.len(), 64);
}

#[test]
fn every_field_is_part_of_the_key() {
    let text = ["a", "b"];
    let principals = text.map(|text| PrincipalId::parse(text).unwrap());
    let classes = text.map(|text| DataClass::parse(text).unwrap());
    let audiences = text.map(|text| Audience::parse(text).unwrap());
    let purposes = [None, Some(Purpose::parse("a").unwrap()), Some(Purpose::parse("b").unwrap())];
    let regions = text.map(|text| Region::parse(text).unwrap());
    let mut keys = std::collections::BTreeSet::new();
    let mut made = 0;
    for principal in &principals {
        for purpose in &purposes {
            let mut asks = vec![Ask::QueryAccessLog(Log::Node), Ask::GetCheckpoint(Log::Node)];
            for region in &regions {
                asks.extend([Ask::QueryAccessLog(Log::Region(region)), Ask::GetCheckpoint(Log::Region(region))]);
                for (class, audience) in
                    classes.iter().flat_map(|class| audiences.iter().map(move |audience| (class, audience)))
                {
                    let scope = DataScope { class, audience, region };
                    asks.extend([Ask::Tokenize(scope), Ask::Describe(scope)]);
                    asks.extend(RevealLevel::ALL.iter().map(|level| Ask::Detokenize(scope, *level)));
                }
            }
            for ask in asks {
                made += 1;
                keys.insert(
                    Key::of(&Request {
                        principal,
                        purpose: purpose.as_ref(),
                        ask,
                        circumstances: Circumstances::default(),
                    })
                    .bytes()
                    .to_vec(),
                );
            }
        }
    }
    assert_eq!(keys.len(), made);
}

#[test]
fn the_longest_names_fit() {
    let longest = "a".repeat(limits::NAME_BYTES_MAX);
    let principal = PrincipalId::parse(&"a".repeat(limits::PRINCIPAL_BYTES_MAX)).unwrap();
    let class = DataClass::parse(&longest).unwrap();
    let audience = Audience::parse(&longest).unwrap();
    let purpose = Purpose::parse(&longest).unwrap();
    let region = Region::parse(&"a".repeat(limits::REGION_BYTES_MAX)).unwrap();
    let ask = Ask::Tokenize(DataScope { class: &class, audience: &audience, region: &region });
    let key = Key::of(&Request {
        principal: &principal,
        purpose: Some(&purpose),
        ask,
        circumstances: Circumstances::default(),
    });
    assert_eq!(key.bytes().len(), KEY_BYTES_MAX);
}
