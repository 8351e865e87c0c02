//! Decisions that were made before. Bounded by its construction, read without a lock, and never wrong: it belongs to
//! one immutable set of policies, and its key holds everything that they can read.
//!
//! A decision lies in one of a few slots that its key's hash selects; where they are taken, one is given up. So a read
//! looks at a few slots at most, and a write throws away one decision at most.

use std::{
    hash::{DefaultHasher, Hasher as _},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwapOption;
use sha2::{Digest as _, Sha256};
use vault_domain::{Assurance, Purpose, RevealLevel, Session, Tenant, limits};

use crate::{
    decision::Decision,
    reads::Reads,
    request::{Ask, Circumstances, Request},
    vocabulary::seconds,
};

/// Slots that one key may lie in.
const WAYS: usize = 4;

/// The longest key: the bytes of action and level, and five names, each behind a byte that no name holds; what the
/// access token says, as a hash, and what else policies read, each behind a byte that says whether it is there.
const KEY_BYTES_MAX: usize =
    2 + 5 + limits::PRINCIPAL_BYTES_MAX + 3 * limits::NAME_BYTES_MAX + limits::REGION_BYTES_MAX + 33 + 17 + 9;

/// Everything that a policy can read of a request, in one place on the stack.
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
    hash: u64,
}

impl Key {
    pub(crate) fn of(request: &Request<'_>, reads: Reads) -> Self {
        // Names are not empty, so an empty one stands for none; no region is called as the node's log is.
        let (class, audience, region) = match request.ask {
            Ask::Data(_, scope) | Ask::Detokenize(scope, _) => {
                (scope.class.as_str(), scope.audience.as_str(), scope.region.as_str())
            }
            Ask::Log(_, log) => ("", "", log.name()),
        };
        let purpose = request.purpose.map_or("", Purpose::as_str);
        let mut key = Self { bytes: [0; KEY_BYTES_MAX], length: 0, hash: 0 };
        let level = match request.ask.level() {
            None => 0,
            Some(RevealLevel::Masked) => 1,
            Some(RevealLevel::Full) => 2,
        };
        key.push(&[request.ask.action() as u8, level]);
        for name in [request.principal.as_str(), class, audience, purpose, region] {
            key.push(&[0]);
            key.push(name.as_bytes());
        }
        let Circumstances { session, source, now } = request.circumstances;
        key.push_known(session.map(fingerprint));
        key.push_known(source.filter(|_| reads.source).map(|source| match source {
            IpAddr::V4(source) => source.to_ipv6_mapped().octets(),
            IpAddr::V6(source) => source.octets(),
        }));
        let ages = reads.age && session.is_some_and(|session| session.authenticated_at.is_some());
        key.push_known((reads.now || ages).then(|| seconds(now).to_be_bytes()));
        // The hasher has no secret: only names of the catalog get in, and times and addresses that policies ask for, so
        // nobody outside can choose keys that collide.
        let mut hasher = DefaultHasher::new();
        hasher.write(key.bytes());
        key.hash = hasher.finish();
        key
    }

    /// Something that is there or not: a byte that says which, and the thing.
    fn push_known<const N: usize>(&mut self, part: Option<[u8; N]>) {
        self.push(&[part.is_some().into()]);
        self.push(part.as_ref().map_or(&[], |part| &part[..]));
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length.saturating_add(part.len());
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(part);
            self.length = end;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// SHA-256 over all that a session says, each part behind its length: two sessions that differ never share a decision.
fn fingerprint(session: &Session) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut part = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    let Session { tenant, roles, scopes, clearance, authenticated_at, assurance } = session;
    part(tenant.as_ref().map_or("", Tenant::as_str).as_bytes());
    part(&roles.len().to_be_bytes());
    roles.iter().for_each(|role| part(role.as_str().as_bytes()));
    part(&scopes.len().to_be_bytes());
    scopes.iter().for_each(|scope| part(scope.as_str().as_bytes()));
    part(&clearance.as_ref().map_or([0; 8], |regions| (regions.len() as u64 + 1).to_be_bytes()));
    clearance.iter().flatten().for_each(|region| part(region.as_str().as_bytes()));
    part(&authenticated_at.map_or([0; 8], |then| seconds(then).saturating_add(1).to_be_bytes()));
    part(&[assurance.map_or(0, Assurance::level)]);
    digest.finalize().into()
}

/// A place for one decision.
struct Slot {
    /// The hash of the key whose decision lies here: it saves the look at decisions of other keys. The two are not
    /// changed as one, so a match proves nothing and a mismatch costs an evaluation at worst.
    hash: AtomicU64,
    kept: ArcSwapOption<Kept>,
}

struct Kept {
    key: Box<[u8]>,
    decision: Decision,
}

pub(crate) struct DecisionCache {
    slots: Box<[Slot]>,
}

impl DecisionCache {
    /// A cache of at most `capacity` decisions.
    pub(crate) fn new(capacity: usize) -> Self {
        let slots = (0..capacity / WAYS * WAYS).map(|_| Slot { hash: AtomicU64::new(0), kept: ArcSwapOption::empty() });
        Self { slots: slots.collect() }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Decision> {
        let mut likely = self.set(key).iter().filter(|slot| slot.hash.load(Relaxed) == key.hash);
        likely.find_map(|slot| match &*slot.kept.load() {
            Some(kept) if *kept.key == *key.bytes() => Some(kept.decision.clone()),
            _ => None,
        })
    }

    pub(crate) fn insert(&self, key: &Key, decision: &Decision) {
        let set = self.set(key);
        let free = set.iter().find(|slot| slot.kept.load().is_none());
        // The upper half of the hash did not choose the set, so it spreads the victims within it.
        let victim = || set.get(index(key.hash >> 32, set.len()));
        if let Some(slot) = free.or_else(victim) {
            slot.kept.store(Some(Arc::new(Kept { key: key.bytes().into(), decision: decision.clone() })));
            slot.hash.store(key.hash, Relaxed);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.kept.load().is_some()).count()
    }

    fn set(&self, key: &Key) -> &[Slot] {
        let first = index(key.hash & 0xffff_ffff, self.slots.len() / WAYS) * WAYS;
        self.slots.get(first..first + WAYS).unwrap_or_default()
    }
}

/// A number below `count`, or 0 if there is none.
fn index(hash: u64, count: usize) -> usize {
    usize::try_from(hash).unwrap_or(usize::MAX).checked_rem(count).unwrap_or(0)
}

#[cfg(test)]
mod tests;
