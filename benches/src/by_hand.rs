//! Token vaults as they are written by hand over an engine that is there already: what the vault is compared with.
//!
//! Each does the least that has the same durability: seal the value, one row a token, one audit row a call, both in one
//! synced commit before the answer. A reveal looks up, opens and commits its audit row before the value is handed on.
//! No network door of their own, no identity, no policy, no proof that nobody changed the log, one key for everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vault_crypto::{AeadKey, CallRandom, Key256, NONCE_BYTES, TAG_BYTES};
use vault_domain::{Clock, SystemClock, SystemEntropy};

use crate::{
    Failure,
    draw::Draw,
    load::{Outcome, Shape, Verb},
    measure::Latencies,
    server::Counters,
};

pub mod postgres;
pub mod rocks;

/// Who asks, as the audit rows have it.
const PRINCIPAL: &str = "spiffe://dev.tokenvault.internal/bench";
/// What values look like.
const SHAPE: Shape = Shape::Identifier;
/// Bytes of a sealed value: nonce, ciphertext and tag.
const SEALED_BYTES: usize = NONCE_BYTES + 12 + TAG_BYTES;
/// Items of a call that fills.
const FILL_ITEMS: usize = 1000;

/// What is handed out for a value: 16 bytes without a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 16]);

/// What is asked for, and how much of it at once.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What calls do: [`Verb::TokenizeFresh`] or [`Verb::Detokenize`].
    pub verb: Verb,
    /// Items in each call.
    pub items: usize,
    /// Calls in flight.
    pub in_flight: usize,
    /// For how long.
    pub time: Duration,
}

/// What one run came to, the vault's or another's.
pub struct Run {
    /// What its callers saw. `entries` is what was found in the log, by looking.
    pub outcome: Outcome,
    /// What its engine counted.
    pub counters: Counters,
}

impl Run {
    /// Every answer stood behind a sync, and no sync can have let go more calls than were in flight; and every call
    /// left its row in the log.
    ///
    /// # Errors
    /// When that can't be.
    pub fn check(&self, who: &str, in_flight: usize) -> Result<(), Failure> {
        let Self { outcome: Outcome { calls, entries, .. }, counters: Counters { wal_syncs, .. } } = self;
        if wal_syncs * u64::try_from(in_flight)? < *calls {
            return Err(format!("{who}: {calls} calls were acknowledged by {wal_syncs} syncs").into());
        }
        if entries < calls {
            return Err(format!("{who}: {calls} calls left {entries} entries").into());
        }
        Ok(())
    }
}

/// The one key that values are sealed with.
struct Seals(AeadKey);

impl Seals {
    fn new() -> Result<Self, Failure> {
        Ok(Self(AeadKey::new(&Key256::generate(&SystemEntropy)?)))
    }

    /// nonce ‖ ciphertext ‖ tag, by AES-256-GCM as the vault's records, bound to the token.
    fn seal(&self, random: &mut CallRandom, token: &Token, value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = random.bytes();
        let mut body = value.to_vec();
        let tag = self.0.seal_in_place(&nonce, &token.0, &mut body);
        [nonce.as_slice(), &body, &tag].concat()
    }

    fn open(&self, token: &Token, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
        let parts = sealed.split_first_chunk::<NONCE_BYTES>();
        let parts = parts.and_then(|(nonce, rest)| Some((nonce, rest.split_last_chunk::<TAG_BYTES>()?)));
        let (nonce, (body, tag)) = parts.ok_or("a sealed value is too short")?;
        let mut value = body.to_vec();
        self.0.open_in_place(nonce, &token.0, &mut value, tag)?;
        Ok(value)
    }
}

/// One of those that call one after the other: what it asks for, and what it has to see for an answer.
struct Caller {
    job: Job,
    stock: Arc<Vec<Token>>,
    fresh: Arc<AtomicU64>,
    draw: Draw,
    /// Lives as long as the caller, where the vault seeds one for each call.
    random: CallRandom,
    clock: Arc<SystemClock>,
    latencies: Latencies,
    start: Duration,
}

impl Caller {
    /// As many as are in flight.
    fn all(
        job: Job,
        stock: &Arc<Vec<Token>>,
        fresh: &Arc<AtomicU64>,
    ) -> Result<(Vec<Self>, Arc<SystemClock>), Failure> {
        let clock = Arc::new(SystemClock::new());
        let caller = |number| {
            Ok::<_, Failure>(Self {
                job,
                stock: Arc::clone(stock),
                fresh: Arc::clone(fresh),
                draw: Draw::seeded(number),
                random: CallRandom::seeded(&SystemEntropy)?,
                clock: Arc::clone(&clock),
                latencies: Latencies::with_capacity(1024),
                start: Duration::ZERO,
            })
        };
        let callers = (0..job.in_flight).map(caller).collect::<Result<_, _>>()?;
        Ok((callers, clock))
    }

    fn begin(&mut self) {
        self.start = self.clock.monotonic();
    }

    /// Notes the call that ended, and tells whether another one is due.
    fn goes_on(&mut self) -> bool {
        let end = self.clock.monotonic();
        self.latencies.push(end.saturating_sub(self.start));
        self.start = end;
        end < self.job.time
    }

    /// Values that were never seen before.
    fn fresh_values(&self) -> Result<Vec<Vec<u8>>, Failure> {
        let count = u64::try_from(self.job.items)?;
        let first = self.fresh.fetch_add(count, Ordering::Relaxed);
        Ok((first..first + count).map(|number| SHAPE.value(number)).collect())
    }

    /// Tokens from anywhere in the stock, and the number of the first one's value.
    fn drawn(&mut self) -> Result<(u64, Vec<Token>), Failure> {
        let known = u64::try_from(self.stock.len())?;
        let numbers: Vec<u64> = (0..self.job.items).map(|_| self.draw.below(known)).collect();
        let token = |number: &u64| self.stock.get(usize::try_from(*number).ok()?).copied();
        let tokens = numbers.iter().map(token).collect::<Option<_>>().ok_or("the stock has no such token")?;
        Ok((numbers.first().copied().unwrap_or(0), tokens))
    }

    fn believe_tokens(&self, tokens: &[Token]) -> Result<(), Failure> {
        if tokens.len() == self.job.items { Ok(()) } else { Err("a value got no token".into()) }
    }

    /// As the vault's own answers are looked into: all are there, and the first is compared.
    fn believe_values(&self, first: u64, values: &[Vec<u8>]) -> Result<(), Failure> {
        let all_there = values.len() == self.job.items && values.iter().all(|value| !value.is_empty());
        if all_there && values.first().is_none_or(|value| *value == SHAPE.value(first)) {
            Ok(())
        } else {
            Err("a token did not lead to its value".into())
        }
    }
}

/// The numbers of the values that fill a stock, a call's worth each.
fn fill_calls(count: u64) -> impl Iterator<Item = Vec<Vec<u8>>> {
    let numbers = move |first: u64| (first..count).take(FILL_ITEMS).map(|number| SHAPE.value(number)).collect();
    (0..count).step_by(FILL_ITEMS).map(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(calls: u64, entries: u64, wal_syncs: u64) -> Run {
        let (elapsed, cpu, latencies) = (Duration::ZERO, Duration::ZERO, Latencies::default());
        let outcome = Outcome { calls, items: calls, elapsed, latencies, cpu, entries };
        Run { outcome, counters: Counters { wal_syncs, ..Counters::default() } }
    }

    #[test]
    fn a_run_with_fewer_syncs_or_entries_than_calls_need_is_not_believed() {
        assert!(run(100, 100, 25).check("it", 4).is_ok());
        assert!(run(100, 100, 24).check("it", 4).is_err());
        assert!(run(100, 99, 25).check("it", 4).is_err());
    }

    #[test]
    fn a_value_sealed_by_hand_opens_for_its_token_alone() {
        let (seals, mut random) = (Seals::new().unwrap(), CallRandom::seeded(&SystemEntropy).unwrap());
        let sealed = seals.seal(&mut random, &Token([1; 16]), b"000000000007");
        assert_eq!(sealed.len(), SEALED_BYTES);
        assert_eq!(seals.open(&Token([1; 16]), &sealed).unwrap(), b"000000000007");
        assert!(seals.open(&Token([2; 16]), &sealed).is_err());
        assert!(seals.open(&Token([1; 16]), &sealed[..20]).is_err());
    }
}
