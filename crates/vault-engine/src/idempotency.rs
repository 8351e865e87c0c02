//! Requests that come again under the same idempotency key.
//!
//! # Layout of an idempotency row, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 6 | when, ms since 1970 |
//! | 7 | 16 | keyed hash of the canonical request |
//! | 23 | 8 each | outcomes in the order of the items: kind, then 7 bytes: a number or a hash's first |
//!
//! Kinds: 1 new record, 2 known record, 3 refused, 4 computed and not stored.
//!
//! The row's key is the day and a keyed hash of tenant, principal, method and key; rows are looked for under today and
//! yesterday. No token and no value is ever kept: an answer is rebuilt from the records, authorized and recorded anew.

use std::{ops::Range, sync::atomic::Ordering};

use vault_domain::{Code, IdempotencyKey, Millis, Reason, RecordNumber, limits};
use vault_keys::{Digest16, RegionKeys};
use vault_ledger::TokenHash;
use vault_store::{
    Snapshot,
    table::{Idempotency, IdempotencyRow},
};

use crate::{
    call::Call,
    draft::Draft,
    enter::Scope,
    error::Error,
    evidence::{About, ItemEvidence},
    region::RegionVault,
};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 23;
const DAY_MS: u64 = 24 * 3600 * 1000;
const NEW_RECORD: u8 = 1;
const KNOWN_RECORD: u8 = 2;
const REFUSED: u8 = 3;
const COMPUTED: u8 = 4;

/// A caller's name for some items, by which a repeat is known.
#[derive(Clone, Debug)]
pub struct RequestName {
    /// The idempotency key.
    pub key: IdempotencyKey,
    /// The number of the message, for items of a stream.
    pub sequence: Option<u64>,
}

/// Items of one request that were sent together, and are known together when they come again: all items of a call, or
/// those of one message of a stream.
#[derive(Clone, Debug)]
pub struct Part {
    /// How many items, after those of the part before.
    pub items: usize,
    /// What the caller calls them.
    pub name: Option<RequestName>,
}

/// The items of every part, in order.
pub(crate) fn ranges(parts: &[Part]) -> impl Iterator<Item = Range<usize>> {
    parts.iter().scan(0_usize, |next, part| {
        let start = *next;
        *next = start.saturating_add(part.items);
        Some(start..*next)
    })
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredOutcome {
    /// It led to a record.
    Record {
        /// Which.
        number: RecordNumber,
        /// Whether the request made it.
        created: bool,
    },
    /// Its token is computed from the value, and nothing is stored: so it is again. With the beginning of the token's
    /// keyed hash, for the class may be another one by then.
    Computed([u8; 7]),
    /// It was refused.
    Refused(Reason),
}

impl StoredOutcome {
    /// The outcome of an item that makes no record.
    pub(crate) fn of(item: &ItemEvidence) -> Self {
        match (item.outcome.refused(), item.about) {
            (None, About::Record(number)) => Self::Record { number, created: false },
            (Some(reason), _) => Self::Refused(reason),
            (None, About::Token(hash)) => Self::computed(&hash),
            (None, About::Nothing) => Self::Refused(Reason::Internal),
        }
    }

    /// The outcome of an item whose token is computed.
    pub(crate) fn computed(hash: &TokenHash) -> Self {
        let [a, b, c, d, e, f, g, ..] = hash.0;
        Self::Computed([a, b, c, d, e, f, g])
    }

    pub(crate) fn record(&self) -> Option<RecordNumber> {
        match self {
            Self::Record { number, .. } => Some(*number),
            Self::Computed(_) | Self::Refused(_) => None,
        }
    }

    /// Whether it was refused for what the caller may do, or may do so often: that can change, and nothing was done.
    fn is_denial(&self) -> bool {
        let denies = |reason: &Reason| reason.outside().code() == Code::Denied || *reason == Reason::BudgetSpent;
        matches!(self, Self::Refused(reason) if denies(reason))
    }

    fn encode(&self) -> [u8; 8] {
        let (kind, number) = match self {
            Self::Record { number, created: true } => (NEW_RECORD, number.get()),
            Self::Record { number, created: false } => (KNOWN_RECORD, number.get()),
            Self::Computed([a, b, c, d, e, f, g]) => (COMPUTED, u64::from_be_bytes([0, *a, *b, *c, *d, *e, *f, *g])),
            Self::Refused(reason) => (REFUSED, u64::from(*reason as u16)),
        };
        let [_, a, b, c, d, e, f, g] = number.to_be_bytes();
        [kind, a, b, c, d, e, f, g]
    }

    fn decode([kind, a, b, c, d, e, f, g]: [u8; 8]) -> Option<Self> {
        let number = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
        match kind {
            NEW_RECORD => Some(Self::Record { number: RecordNumber::new(number)?, created: true }),
            KNOWN_RECORD => Some(Self::Record { number: RecordNumber::new(number)?, created: false }),
            COMPUTED => Some(Self::Computed([a, b, c, d, e, f, g])),
            REFUSED => Some(Self::Refused(Reason::from_number(u16::try_from(number).ok()?)?)),
            _ => None,
        }
    }
}

/// A request in its canonical form: each field behind its 32-bit length.
pub(crate) struct RequestHash(zeroize::Zeroizing<Vec<u8>>);

impl RequestHash {
    /// Room for a request of so many items, which hold so many bytes of values or tokens: the buffer never grows, so
    /// that no copy of it stays behind unwiped.
    pub(crate) fn with_capacity(items: usize, bytes: usize) -> Self {
        let names = (items + 4) * (4 * size_of::<u32>() + limits::NAME_BYTES_MAX);
        Self(zeroize::Zeroizing::new(Vec::with_capacity(names + bytes)))
    }

    pub(crate) fn field(&mut self, field: &[u8]) {
        self.0.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(field);
    }

    pub(crate) fn finish(self, keys: &RegionKeys) -> Digest16 {
        keys.request_hash(&[&self.0])
    }
}

/// A request that came with an idempotency key.
pub(crate) struct Repeat {
    row: IdempotencyRow,
    hash: Digest16,
    /// When it came first and what became of it, if it was answered before.
    answered: Option<(Millis, Vec<StoredOutcome>)>,
}

impl Repeat {
    /// Looks which parts of a request were answered before; `None` for those that came without a name. `hash` is that
    /// of a part's items.
    ///
    /// # Errors
    /// When a name was used with other items.
    pub(crate) async fn of_parts(
        call: &Call,
        scope: &Scope<'_>,
        method: &'static str,
        parts: &[Part],
        hash: impl Fn(Range<usize>) -> Digest16,
        snapshot: &Snapshot<'_>,
        now: Millis,
    ) -> Result<Vec<Option<Self>>, Error> {
        if parts.iter().all(|part| part.name.is_none()) {
            return Ok(parts.iter().map(|_| None).collect());
        }
        let today = u32::try_from(now.0 / DAY_MS).map_err(|_| Reason::Internal)?;
        let days = [today, today.saturating_sub(1)];
        let named = parts.iter().zip(ranges(parts)).enumerate();
        let named = named.filter_map(|(at, (part, items))| Some((at, part.name.as_ref()?, items)));
        let (keys, tenant) = (&scope.vault.keys, scope.account.tenant());
        let names = named.map(|(at, RequestName { key, sequence }, items)| {
            (at, keys.idempotency_name(tenant, &call.principal, method, key, *sequence), items)
        });
        let names: Vec<(usize, Digest16, Range<usize>)> = names.collect();
        let rows = names.iter().flat_map(|(_, name, _)| days.map(|day| IdempotencyRow { day, hash: *name }));
        let rows = snapshot.get_many(Idempotency, &rows.collect::<Vec<_>>()).await?;
        let mut repeats: Vec<Option<Self>> = parts.iter().map(|_| None).collect();
        for (place, (at, name, items)) in names.into_iter().enumerate() {
            let hash = hash(items);
            let mut repeat = Self { row: IdempotencyRow { day: today, hash: name }, hash, answered: None };
            for (back, day) in days.into_iter().enumerate() {
                let Some(stored) = rows.get(days.len() * place + back) else { continue };
                let (when, stored_hash, outcomes) = decode(stored).ok_or(Reason::RecordCorrupt)?;
                if now >= Millis(when.0).saturating_add(limits::IDEMPOTENCY_WINDOW) {
                    continue;
                }
                if !vault_crypto::same(&stored_hash, &hash) {
                    return Err(Error::new(Reason::IdempotencyKeyReused));
                }
                repeat.row.day = day;
                repeat.answered = Some((when, outcomes));
                break;
            }
            if let Some(slot) = repeats.get_mut(at) {
                *slot = Some(repeat);
            }
        }
        Ok(repeats)
    }

    /// What became of every item the first time that its part came; `None` for one that comes for the first time, or
    /// for the first time `since` then, or that was denied. Nothing at all when no part came before.
    pub(crate) fn outcomes(repeats: &[Option<Self>], parts: &[Part], since: Millis) -> Vec<Option<StoredOutcome>> {
        if !repeats.iter().flatten().any(|repeat| repeat.answered.is_some()) {
            return Vec::new();
        }
        let known = |repeat: &Option<Self>, part: &Part| {
            let answered = repeat.as_ref().and_then(|repeat| repeat.answered.as_ref());
            let answered = answered.filter(|(when, _)| *when >= since);
            let outcomes = answered.map(|(_, outcomes)| outcomes.as_slice()).unwrap_or_default().iter().copied();
            let mut outcomes: Vec<_> = outcomes.map(|outcome| Some(outcome).filter(|it| !it.is_denial())).collect();
            outcomes.resize(part.items, None);
            outcomes
        };
        repeats.iter().zip(parts).flat_map(|(repeat, part)| known(repeat, part)).collect()
    }

    /// Puts the rows of first answers into the draft. `outcomes` are those of all items.
    pub(crate) fn remember_all(
        repeats: &[Option<Self>],
        parts: &[Part],
        outcomes: impl Iterator<Item = StoredOutcome>,
        vault: &RegionVault,
        draft: &mut Draft<'_>,
    ) {
        if repeats.iter().all(Option::is_none) {
            return;
        }
        let mut outcomes = outcomes;
        for (repeat, part) in repeats.iter().zip(parts) {
            let of_part: Vec<_> = outcomes.by_ref().take(part.items).collect();
            if let Some(repeat) = repeat {
                repeat.remember(of_part.into_iter(), vault, draft);
            }
        }
    }

    /// Puts the row of a first answer into the draft, or of one that was denied in part before. Of two that race, the
    /// second finds the first one's.
    fn remember(
        &self,
        outcomes: impl ExactSizeIterator<Item = StoredOutcome>,
        vault: &RegionVault,
        draft: &mut Draft<'_>,
    ) {
        let (first, before) = match &self.answered {
            Some((when, outcomes)) if outcomes.iter().any(StoredOutcome::is_denial) => (*when, outcomes.as_slice()),
            Some(_) => return,
            None => (draft.now, [].as_slice()),
        };
        // What was done stays done, though a repeat be denied it.
        let mut before = before.iter().map(|outcome| Some(*outcome).filter(|it| !it.is_denial()));
        let outcomes: Vec<_> = outcomes.map(|outcome| before.next().flatten().unwrap_or(outcome)).collect();
        let value = encode(first, &self.hash, outcomes.into_iter());
        // Once a day the rows that nobody looks for any more go, with whichever call comes first.
        if vault.swept.fetch_max(self.row.day, Ordering::Relaxed) < self.row.day {
            let row = |day| IdempotencyRow { day, hash: [0; 16] };
            draft.batch.delete_range(Idempotency, &row(0)..&row(self.row.day.saturating_sub(1)));
        }
        draft.batch.put(Idempotency, &self.row, &value);
        draft.must_stay(Idempotency, &self.row);
        // Around midnight another try may be about to write under the day before.
        draft.must_stay(Idempotency, &IdempotencyRow { day: self.row.day.saturating_sub(1), ..self.row });
    }
}

fn encode(when: Millis, hash: &Digest16, outcomes: impl ExactSizeIterator<Item = StoredOutcome>) -> Vec<u8> {
    let mut row = Vec::with_capacity(HEAD_BYTES + 8 * outcomes.len());
    row.push(VERSION);
    let [_, _, when @ ..] = when.min(Millis::MAX).0.to_be_bytes();
    row.extend_from_slice(&when);
    row.extend_from_slice(hash);
    for outcome in outcomes {
        row.extend_from_slice(&outcome.encode());
    }
    row
}

fn decode(row: &[u8]) -> Option<(Millis, Digest16, Vec<StoredOutcome>)> {
    let ([VERSION, a, b, c, d, e, f, hash @ ..], outcomes) = row.split_first_chunk::<HEAD_BYTES>()? else {
        return None;
    };
    let (outcomes, []) = outcomes.as_chunks::<8>() else { return None };
    let when = Millis(u64::from_be_bytes([0, 0, *a, *b, *c, *d, *e, *f]));
    Some((when, *hash, outcomes.iter().map(|outcome| StoredOutcome::decode(*outcome)).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: Digest16 = [0xAB; 16];

    fn outcomes() -> [StoredOutcome; 4] {
        let number = |number| RecordNumber::new(number).unwrap();
        [
            StoredOutcome::Record { number: number(7), created: true },
            StoredOutcome::Record { number: number(0x01_0203_0405_0607), created: false },
            StoredOutcome::Refused(Reason::ValueRejected),
            StoredOutcome::Computed([9, 8, 7, 6, 5, 4, 3]),
        ]
    }

    /// Version 1, which must be read for as long as such rows are looked for.
    const GOLDEN: &str = "01018bcfe56800abababababababababababababababab\
        0100000000000007020102030405060703000000000000070409080706050403";

    #[test]
    fn the_layout_of_a_row_is_pinned() {
        let row = encode(Millis(1_700_000_000_000), &HASH, outcomes().into_iter());
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        let (when, hash, found) = decode(&row).unwrap();
        assert_eq!((when, hash, found.as_slice()), (Millis(1_700_000_000_000), HASH, outcomes().as_slice()));
    }

    #[test]
    fn what_is_no_row_of_this_version_is_not_read() {
        let row = encode(Millis(1), &HASH, outcomes().into_iter());
        let is_cut = |length: &usize| *length < HEAD_BYTES || !(length - HEAD_BYTES).is_multiple_of(8);
        assert!((0..row.len()).filter(is_cut).all(|length| decode(&row[..length]).is_none()));
        let mut newer = row.clone();
        newer[0] = 2;
        assert!(decode(&newer).is_none());
        let mut unknown = row;
        unknown[HEAD_BYTES] = 9;
        assert!(decode(&unknown).is_none());
    }
}
