//! The memory for decisions: bounded, and right about whose decision it gives back.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use vault_catalog::DATA_ACTIONS;
use vault_domain::{Action, Audience, DataClass, Millis, PrincipalId, Region, Role, Scope};

use super::*;
use crate::{
    decision::PolicyId,
    request::{Circumstances, DataScope, Log},
};

fn key(principal: &PrincipalId, purpose: Option<&Purpose>, ask: Ask<'_>, circumstances: Circumstances<'_>) -> Key {
    Key::of(&Request { principal, purpose, ask, circumstances }, Reads::ALL)
}

/// The key of a request by this principal, and a decision that no other key gets.
fn entry(n: usize) -> (Key, Decision) {
    let principal = PrincipalId::parse(&format!("dns:a{n}.example")).unwrap();
    let key = key(&principal, None, Ask::Log(Action::GetCheckpoint, Log::Node), Circumstances::default());
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
    let mut keys = BTreeSet::new();
    let mut made = 0;
    for principal in &principals {
        for purpose in &purposes {
            let mut asks =
                vec![Ask::Log(Action::QueryAccessLog, Log::Node), Ask::Log(Action::GetCheckpoint, Log::Node)];
            for region in &regions {
                asks.extend([
                    Ask::Log(Action::QueryAccessLog, Log::Region(region)),
                    Ask::Log(Action::GetCheckpoint, Log::Region(region)),
                ]);
                for (class, audience) in
                    classes.iter().flat_map(|class| audiences.iter().map(move |audience| (class, audience)))
                {
                    let scope = DataScope { class, audience, region };
                    let others = DATA_ACTIONS.into_iter().filter(|action| *action != Action::Detokenize);
                    asks.extend(others.map(|action| Ask::Data(action, scope)));
                    asks.extend(RevealLevel::ALL.iter().map(|level| Ask::Detokenize(scope, *level)));
                }
            }
            for ask in asks {
                made += 1;
                keys.insert(key(principal, purpose.as_ref(), ask, Circumstances::default()).bytes().to_vec());
            }
        }
    }
    assert_eq!(keys.len(), made);
}

#[test]
fn all_that_a_session_says_is_part_of_the_key() {
    let role = |name| Role::parse(name).unwrap();
    let scope = |name| Scope::parse(name).unwrap();
    let region = |name| Region::parse(name).unwrap();
    let none = Session::default;
    let sessions = [
        none(),
        Session { tenant: Some(Tenant::parse("a").unwrap()), ..none() },
        Session { roles: [role("a")].into(), ..none() },
        Session { scopes: [scope("a")].into(), ..none() },
        Session { roles: [role("a"), role("b")].into(), ..none() },
        Session { roles: [role("a")].into(), scopes: [scope("b")].into(), ..none() },
        Session { clearance: Some([].into()), ..none() },
        Session { clearance: Some([region("a")].into()), ..none() },
        Session { authenticated_at: Some(Millis(0)), ..none() },
        Session { authenticated_at: Some(Millis(1000)), ..none() },
        Session { assurance: Assurance::new(1), ..none() },
        Session { assurance: Assurance::new(2), ..none() },
    ];
    let principal = PrincipalId::parse("a").unwrap();
    let mut keys = BTreeSet::new();
    for session in [None].into_iter().chain(sessions.iter().map(Some)) {
        let circumstances = Circumstances { session, ..Circumstances::default() };
        let key = key(&principal, None, Ask::Log(Action::GetCheckpoint, Log::Node), circumstances);
        assert!(keys.insert(key.bytes().to_vec()), "{session:?}");
    }
}

#[test]
fn calls_share_a_decision_unless_a_policy_tells_them_apart() {
    let principal = PrincipalId::parse("a").unwrap();
    let session = Session { authenticated_at: Some(Millis(0)), ..Session::default() };
    let key = |reads, session, source: [u8; 4], now| {
        let circumstances = Circumstances { session, source: Some(Ipv4Addr::from(source).into()), now: Millis(now) };
        let request = Request {
            principal: &principal,
            purpose: None,
            ask: Ask::Log(Action::GetCheckpoint, Log::Node),
            circumstances,
        };
        Key::of(&request, reads).bytes().to_vec()
    };
    let [here, there] = [[10, 0, 0, 1], [10, 0, 0, 2]];
    let none = Reads::default();
    assert_eq!(key(none, None, here, 1000), key(none, None, there, 9000));
    let of_source = Reads { source: true, ..none };
    assert_ne!(key(of_source, None, here, 1000), key(of_source, None, there, 1000));
    let of_now = Reads { now: true, ..none };
    assert_eq!(key(of_now, None, here, 1000), key(of_now, None, here, 1999), "within one second");
    assert_ne!(key(of_now, None, here, 1999), key(of_now, None, here, 2000));
    let of_age = Reads { age: true, ..none };
    assert_ne!(key(of_age, Some(&session), here, 1999), key(of_age, Some(&session), here, 2000));
    assert_eq!(key(of_age, None, here, 1999), key(of_age, None, here, 2000), "nobody's age");
}

#[test]
fn the_longest_names_fit() {
    let longest = "a".repeat(limits::NAME_BYTES_MAX);
    let principal = PrincipalId::parse(&"a".repeat(limits::PRINCIPAL_BYTES_MAX)).unwrap();
    let class = DataClass::parse(&longest).unwrap();
    let audience = Audience::parse(&longest).unwrap();
    let purpose = Purpose::parse(&longest).unwrap();
    let region = Region::parse(&"a".repeat(limits::REGION_BYTES_MAX)).unwrap();
    let ask = Ask::Data(Action::Tokenize, DataScope { class: &class, audience: &audience, region: &region });
    let session = Session { authenticated_at: Some(Millis(0)), ..Session::default() };
    let circumstances =
        Circumstances { session: Some(&session), source: Some(Ipv6Addr::LOCALHOST.into()), now: Millis::MAX };
    let key = key(&principal, Some(&purpose), ask, circumstances);
    assert_eq!(key.bytes().len(), KEY_BYTES_MAX);
}
