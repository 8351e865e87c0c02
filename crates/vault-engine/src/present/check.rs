//! Presented tokens held against their records' headers and lives. No record is opened here to be shown.

use std::collections::HashMap;

use vault_domain::{Action, Reason, RecordNumber};
use vault_keys::{ClassKeys, Digest16, Finding, Presented, Record};
use vault_ledger::{Outcome, TokenHash};
use vault_store::table::{Expiry, ExpiryRow, Records, States};

use super::locate::{Located, Seen};
use crate::{
    authorize::Permit,
    detokenize::{DetokenizeRequest, compute},
    draft::Draft,
    error::Error,
    evidence::{About, ItemEvidence},
    idempotency::StoredOutcome,
    life::{Deed, Life},
    reveal::Revealed,
    token::{ClassKeySet, StoredRecords},
};

/// What came of an item.
pub(crate) enum Checked {
    /// The token is that of a record, and the deed can be done to it.
    Found {
        /// The place among the records read.
        row: usize,
        /// The record.
        number: RecordNumber,
        /// Its life after the deed.
        life: Life,
    },
    /// Was computed from its token: what may be shown of it.
    Computed(Revealed),
    /// Could be computed from its token, which nobody asked for.
    Computable,
    /// Refused; the record that it led to, if the token was that record's.
    Refused(Error, Option<RecordNumber>),
}

/// What presented tokens are held against.
pub(super) struct Held<'a> {
    pub(super) keys: &'a ClassKeySet,
    pub(super) permits: &'a [Result<Permit<'a>, Reason>],
    pub(super) request: &'a DetokenizeRequest,
    pub(super) stored: &'a StoredRecords,
    pub(super) deed: Deed,
    /// What became of every item when the request came before, where that counts for the deed.
    pub(super) known: &'a [Option<StoredOutcome>],
}

/// A token that leads to a record.
struct Candidate<'a> {
    permit: &'a Permit<'a>,
    keys: &'a ClassKeys,
    row: usize,
    number: RecordNumber,
    /// Whether the same was done before by this very request.
    again: bool,
}

impl Held<'_> {
    /// Holds every item against its record, does the deed to its life, and puts conditions and rows into the draft.
    pub(super) fn check(&self, located: Vec<Located>, draft: &mut Draft<'_>) -> Vec<Checked> {
        let mut row = 0;
        let mut changed = HashMap::new();
        let mut checked = Vec::with_capacity(located.len());
        for (at, (located, item)) in located.into_iter().zip(&self.request.items).enumerate() {
            let known = self.known.get(at).copied().flatten();
            let place = (self.permits.get(item.class), self.keys.get(item.class));
            checked.push(match (located, place) {
                (Located::Refused(error), _) => Checked::Refused(error, None),
                (Located::Computed(numerals, parts), (Some(Ok(permit)), Some(Some(keys)))) => match permit.action() {
                    Action::Detokenize => match compute(permit, keys, numerals, parts) {
                        Ok(value) => Checked::Computed(value),
                        Err(error) => Checked::Refused(error, None),
                    },
                    _ => Checked::Computable,
                },
                (Located::At(number, seen), (Some(Ok(permit)), Some(Some(keys)))) => {
                    let again = known.is_some_and(|outcome| outcome.record() == Some(number));
                    let candidate = Candidate { permit, keys, row, number, again };
                    row += 1;
                    let presented = match &seen {
                        Seen::Opaque { block, check } => Presented::Opaque { block, check: *check },
                        Seen::Uuid(uuid) => Presented::Uuid(uuid.bytes()),
                        Seen::Text => Presented::Text(item.token.expose()),
                    };
                    self.check_one(&candidate, presented, known, &mut changed, draft)
                }
                // Only what is permitted was located.
                (Located::At(..) | Located::Computed(..), _) => Checked::Refused(Error::new(Reason::Internal), None),
            });
        }
        checked
    }

    fn check_one(
        &self,
        candidate: &Candidate<'_>,
        presented: Presented<'_>,
        known: Option<StoredOutcome>,
        changed: &mut HashMap<RecordNumber, Life>,
        draft: &mut Draft<'_>,
    ) -> Checked {
        let number = candidate.number;
        let record = match self.record(candidate, presented) {
            Ok(record) => record,
            Err((error, its_own)) => return Checked::Refused(error, its_own.then_some(number)),
        };
        match (known, self.deed) {
            // A change that was refused when it was first asked for is not made by a repeat.
            (Some(StoredOutcome::Refused(reason)), Deed::Change(_)) => {
                Checked::Refused(Error::new(reason), Some(number))
            }
            _ => match self.live(candidate, &record, changed, draft) {
                Ok(life) => Checked::Found { row: candidate.row, number, life },
                Err(error) => Checked::Refused(error, Some(number)),
            },
        }
    }

    /// One item's header checks, in the order of the policy: token, tenant, class, audience. The error comes with
    /// whether the token was the record's.
    fn record(&self, candidate: &Candidate<'_>, presented: Presented<'_>) -> Result<Record<'_>, (Error, bool)> {
        let Candidate { permit, keys, row, .. } = candidate;
        let record = match self.stored.record(*row) {
            Some(record) => record.map_err(|error| (error, false))?,
            None => return Err((Error::new(Reason::TokenUnknown), false)),
        };
        let reason = match keys.check(&record, presented, permit.addressee()) {
            Finding::Matches => return Ok(record),
            Finding::OtherToken => return Err((Error::new(Reason::TokenUnknown), false)),
            Finding::CheckFailed => Reason::TokenCheckFailed,
            Finding::OtherTenant => Reason::TokenOfAnotherTenant,
            Finding::OtherClass => Reason::TokenOfAnotherClass,
            Finding::OtherAudience => Reason::TokenOfAnotherAudience,
            Finding::Corrupt => Reason::RecordCorrupt,
        };
        Err((Error::new(reason), true))
    }

    /// Does the deed to the life of a record whose header was checked. What was read of it must not have changed by the
    /// time of the commit, nor its life have ended.
    fn live(
        &self,
        candidate: &Candidate<'_>,
        record: &Record<'_>,
        changed: &mut HashMap<RecordNumber, Life>,
        draft: &mut Draft<'_>,
    ) -> Result<Life, Error> {
        let Candidate { permit, keys, row, number, again } = *candidate;
        let (addressee, earlier) = (permit.addressee(), changed.get(&number).copied());
        let before = match earlier {
            Some(life) => life,
            None => self.stored.life(row, keys, record, addressee)?,
        };
        // An item that asks for the same change as an earlier one of this request has it already.
        let again = again || earlier.is_some() && matches!(self.deed, Deed::Change(_));
        let after = before.after(self.deed, again, permit.class(), draft.now)?;
        if before.expires() > draft.now {
            draft.must_precede(before.expires());
        }
        draft.must_stay(States, &number);
        draft.must_stay(Records, &number);
        if after != before {
            if earlier.is_none() && !self.stored.has_state(row) {
                // The first state row takes its expiry over from the header, which is believed only once the record
                // has opened under it.
                drop(keys.open(record, addressee)?);
            }
            draft.batch.put(States, &number, &keys.seal_state(record, addressee, after.state())?);
            let (noted, due) = (before.end(draft.now), after.end(draft.now));
            if due != noted {
                noted.into_iter().for_each(|at| draft.batch.delete(Expiry, &ExpiryRow { at, number }));
                due.into_iter().for_each(|at| draft.batch.put(Expiry, &ExpiryRow { at, number }, &[]));
            }
            changed.insert(number, after);
        }
        Ok(after)
    }
}

impl Checked {
    /// Makes of a token of another tenant one that never was, also for the log of who asks.
    pub(super) fn hide_other_tenants(&mut self) {
        if let Self::Refused(error, _) = self
            && error.reason() == Reason::TokenOfAnotherTenant
        {
            *self = Self::Refused(Error::new(Reason::TokenUnknown), None);
        }
    }

    /// What the log says of the item: `done` of one that is carried out.
    pub(super) fn evidence(&self, class: usize, done: Outcome, token_hash: impl FnOnce() -> Digest16) -> ItemEvidence {
        let (outcome, number) = match self {
            Self::Found { number, .. } => (done, Some(*number)),
            Self::Computed(_) | Self::Computable => (done, None),
            Self::Refused(error, number) => (Outcome::Refused(error.reason()), *number),
        };
        let about = match (number, outcome.refused()) {
            (Some(number), _) => About::Record(number),
            // Of an item that was refused before its token was looked at, the log keeps nothing of the token.
            (
                None,
                Some(
                    Reason::AccessDenied
                    | Reason::DataClassUnknown
                    | Reason::PurposeRequired
                    | Reason::LevelNotPermitted
                    | Reason::MaskUnavailable
                    | Reason::TokenNotStored
                    | Reason::BudgetSpent,
                ),
            ) => About::Nothing,
            (None, _) => About::Token(TokenHash(token_hash())),
        };
        ItemEvidence { class, outcome, about }
    }
}
