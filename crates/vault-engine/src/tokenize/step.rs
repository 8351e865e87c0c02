//! What every item of a request comes to before the commit.

use std::collections::HashMap;

use vault_catalog::{Determinism, Format};
use vault_domain::{Millis, Reason, RecordNumber, SubjectId, TokenText, limits};
use vault_format::{Template, one_way_text};
use vault_keys::{DeterminismScope, Digest16, Way};
use vault_ledger::{Outcome, TokenHash};
use vault_store::{Snapshot, table::Values};

use super::{Issued, TokenizeItem, TokenizeRequest};
use crate::{
    authorize::Permit,
    budget::Allowance,
    error::Error,
    evidence::{About, ItemEvidence},
    idempotency::StoredOutcome,
    region::RegionVault,
    token::{self, ClassKeySet, StoredRecords},
};

/// How far an item has come.
pub(super) enum Step {
    /// Needs a new record; with a blind index if its class is deterministic.
    Fresh(Option<Digest16>),
    /// Has a token.
    Done(Issued, RecordNumber),
    /// Has a token that is computed from the value; the hash is how the log names it.
    Computed(Issued, TokenHash),
    /// The same value of the same class stands earlier in the request.
    SameAs(usize),
    Refused(Error),
}

impl Step {
    pub(super) fn evidence(&self, class: usize) -> ItemEvidence {
        match self {
            Self::Done(_, number) => ItemEvidence { class, outcome: Outcome::Done, about: About::Record(*number) },
            Self::Computed(_, hash) => ItemEvidence { class, outcome: Outcome::Done, about: About::Token(*hash) },
            Self::Refused(error) => {
                ItemEvidence { class, outcome: Outcome::Refused(error.reason()), about: About::Nothing }
            }
            Self::Fresh(_) | Self::SameAs(_) => {
                ItemEvidence { class, outcome: Outcome::Refused(Reason::Internal), about: About::Nothing }
            }
        }
    }

    /// What a repeat of the request will be answered with.
    pub(super) fn outcome(&self) -> StoredOutcome {
        match self {
            Self::Done(issued, number) => StoredOutcome::Record { number: *number, created: issued.created },
            Self::Computed(_, hash) => StoredOutcome::computed(hash),
            Self::Refused(error) => StoredOutcome::Refused(error.reason()),
            Self::Fresh(_) | Self::SameAs(_) => StoredOutcome::Refused(Reason::Internal),
        }
    }

    /// Whether the item gets a token.
    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Done(..) | Self::Computed(..))
    }

    pub(super) fn finish(self) -> Result<Issued, Error> {
        match self {
            Self::Done(issued, _) | Self::Computed(issued, _) => Ok(issued),
            Self::Refused(error) => Err(error),
            Self::Fresh(_) | Self::SameAs(_) => Err(Error::new(Reason::Internal)),
        }
    }
}

/// What the items of a request are held against.
pub(super) struct Held<'a> {
    pub(super) vault: &'a RegionVault,
    pub(super) keys: &'a ClassKeySet,
    pub(super) permits: &'a [Result<Permit<'a>, Reason>],
    pub(super) request: &'a TokenizeRequest,
    pub(super) snapshot: &'a Snapshot<'a>,
    pub(super) now: Millis,
}

/// What every item comes to. Of what was answered before, `known`, the answer is rebuilt; the rest is validated, and
/// the tokens that deterministic classes have already are found.
pub(super) async fn prepare(
    held: &Held<'_>,
    known: &[Option<StoredOutcome>],
    allowance: &Allowance,
) -> Result<Vec<Step>, Error> {
    let mut turn = allowance.turn();
    let mut first_of = HashMap::new();
    let mut steps: Vec<Step> = Vec::with_capacity(held.request.items.len());
    let mut again = Vec::new();
    for (at, item) in held.request.items.iter().enumerate() {
        if let Err(spent) = turn.take(item.class) {
            steps.push(Step::Refused(spent));
            continue;
        }
        if let Some(outcome) = known.get(at).copied().flatten() {
            again.push((at, outcome));
            steps.push(Step::Refused(Error::new(Reason::Internal)));
            continue;
        }
        let step = match validate(held, item) {
            Err(error) => Step::Refused(error),
            Ok(Valid::Computed(issued, hash)) => Step::Computed(issued, hash),
            Ok(Valid::Fresh(None)) => Step::Fresh(None),
            Ok(Valid::Fresh(Some(index))) => match first_of.insert(index, at) {
                None => Step::Fresh(Some(index)),
                Some(first) => {
                    first_of.insert(index, first);
                    Step::SameAs(first)
                }
            },
        };
        steps.push(step);
    }
    find_known(held, &mut steps).await?;
    rebuild(held, &again, &mut steps).await?;
    Ok(steps)
}

/// A value that meets its rule.
enum Valid {
    /// With its blind index if its class is deterministic.
    Fresh(Option<Digest16>),
    /// With the token that it always has.
    Computed(Issued, TokenHash),
}

/// Checks one item.
fn validate(held: &Held<'_>, item: &TokenizeItem) -> Result<Valid, Error> {
    let Held { vault, keys, permits, .. } = *held;
    let permit = permits.get(item.class).ok_or(Reason::Internal)?.as_ref().map_err(|reason| *reason)?;
    if item.value.len() > limits::VALUE_BYTES_MAX {
        return Err(Error::new(Reason::ValueTooLarge));
    }
    let class = permit.class();
    class.rule().validate(item.value.expose())?;
    item.life.expires(class, held.now)?;
    let keys = keys.get(item.class).and_then(Option::as_ref).ok_or(Reason::Internal)?;
    let canonical = || class.rule().canonical(item.value.expose());
    let scope = DeterminismScope { audience: permit.addressee(), subject: subject(vault, permit, item)? };
    Ok(match (class.format(), class.determinism()) {
        (Format::OneWay, _) => {
            let digest = keys.one_way(&scope, canonical().expose());
            computed(vault, permit, one_way_text(permit.region(), keys.generation(), digest))
        }
        (Format::Ff1(permuted), _) => {
            let mut parts = permuted.of_value(item.value.expose())?;
            token::permute(keys, permit.addressee(), Way::ToToken, permuted.numerals, &mut parts)?;
            computed(vault, permit, parts.into_token())
        }
        (_, Determinism::None) => Valid::Fresh(None),
        (_, Determinism::PerAudience | Determinism::PerSubject | Determinism::PerClass) => {
            Valid::Fresh(Some(keys.blind_index(&scope, canonical().expose())))
        }
    })
}

/// The person that an item is about: named where its class tells persons apart, and nowhere else.
pub(super) fn subject(
    vault: &RegionVault,
    permit: &Permit<'_>,
    item: &TokenizeItem,
) -> Result<Option<SubjectId>, Error> {
    match (permit.class().determinism(), &item.subject) {
        (_, Err(malformed)) => Err(malformed.clone().into()),
        (Determinism::PerSubject, Ok(Some(name))) => Ok(Some(vault.keys.subject(permit.tenant(), name))),
        (Determinism::PerSubject, Ok(None)) => Err(Error::new(Reason::SubjectRequired)),
        (_, Ok(Some(_))) => Err(Error::new(Reason::SubjectUnexpected)),
        (_, Ok(None)) => Ok(None),
    }
}

/// A token that is computed and kept nowhere.
fn computed(vault: &RegionVault, permit: &Permit<'_>, token: TokenText) -> Valid {
    let hash = TokenHash(vault.keys.token_hash(permit.tenant(), token.expose()));
    Valid::Computed(Issued { token, created: false, expires: Millis::default() }, hash)
}

/// Gives live tokens again, as they are, and those whose time is to come or that are suspended; a value whose token has
/// expired or was revoked stays fresh.
async fn find_known(held: &Held<'_>, steps: &mut [Step]) -> Result<(), Error> {
    let Held { request, snapshot, .. } = *held;
    let (places, indexes): (Vec<usize>, Vec<Digest16>) = steps
        .iter()
        .enumerate()
        .filter_map(|(at, step)| match step {
            Step::Fresh(Some(index)) => Some((at, *index)),
            _ => None,
        })
        .unzip();
    if indexes.is_empty() {
        return Ok(());
    }
    let rows = snapshot.get_many(Values, &indexes).await?;
    let (places, numbers): (Vec<usize>, Vec<RecordNumber>) = places
        .into_iter()
        .enumerate()
        .filter_map(|(row, place)| Some((place, token::record_number_row(rows.get(row)?)?)))
        .unzip();
    let stored = StoredRecords::read(snapshot, numbers).await?;
    for (row, place) in places.into_iter().enumerate() {
        let (Some(item), Some(step)) = (request.items.get(place), steps.get_mut(place)) else { continue };
        if let Some(done) = give_again(held, item.class, &stored, row, false)? {
            *step = done;
        }
    }
    Ok(())
}

/// The token of a stored record, if it is one of this class and audience, and alive.
fn give_again(
    held: &Held<'_>,
    class: usize,
    stored: &StoredRecords,
    row: usize,
    created: bool,
) -> Result<Option<Step>, Error> {
    let Held { keys, permits, now, .. } = *held;
    let Some(Ok(permit)) = permits.get(class) else { return Ok(None) };
    let Some(keys) = keys.get(class).and_then(Option::as_ref) else { return Ok(None) };
    let Some(record) = stored.record(row) else { return Ok(None) };
    let record = record?;
    if !keys.is_of(&record, permit.addressee()) {
        return Ok(None);
    }
    let life = stored.life(row, keys, &record, permit.addressee())?;
    match life.allows_showing(now) {
        // Suspended or not yet valid, it is still the token of its value: who could get another one would be past that.
        Ok(()) | Err(Reason::TokenSuspended | Reason::TokenNotYetValid) => {}
        Err(_) => return Ok(None),
    }
    let token = token::text_of(permit.region(), keys, &record, permit.addressee())?;
    Ok(Some(Step::Done(Issued { token, created, expires: life.expires() }, record.number())))
}

/// A refusal as it was the first time: of the value, only the rule that it breaks has to be found out again.
fn refused_again(reason: Reason, permits: &[Result<Permit<'_>, Reason>], item: &TokenizeItem) -> Error {
    let Some(Ok(permit)) = permits.get(item.class) else { return Error::new(reason) };
    let (class, value) = (permit.class(), item.value.expose());
    let broken = class.rule().validate(value).err().or_else(|| match class.format() {
        Format::Opaque | Format::Uuid | Format::OneWay => None,
        Format::FormatPreserving(config) => Template::for_value(&config, value).err(),
        Format::Ff1(permuted) => permuted.of_value(value).err(),
    });
    match broken {
        Some(rejection) if rejection.reason() == reason => rejection.into(),
        _ => Error::new(reason),
    }
}

/// Rebuilds the answers of items that were answered before. What is gone since is not found.
async fn rebuild(held: &Held<'_>, again: &[(usize, StoredOutcome)], steps: &mut [Step]) -> Result<(), Error> {
    let numbers: Vec<RecordNumber> = again.iter().filter_map(|(_, outcome)| outcome.record()).collect();
    let stored = StoredRecords::read(held.snapshot, numbers).await?;
    let mut next_row = 0;
    for (at, outcome) in again {
        let (Some(item), Some(step)) = (held.request.items.get(*at), steps.get_mut(*at)) else { continue };
        let row = next_row;
        next_row += usize::from(outcome.record().is_some());
        *step = match (held.permits.get(item.class), outcome) {
            // A repeat is authorized anew.
            (Some(Err(reason)), _) => Step::Refused(Error::new(*reason)),
            (_, StoredOutcome::Computed(_)) => match validate(held, item) {
                Ok(Valid::Computed(issued, hash)) if StoredOutcome::computed(&hash) == *outcome => {
                    Step::Computed(issued, hash)
                }
                // The class was replaced: what it was is gone.
                Ok(_) => Step::Refused(Error::new(Reason::TokenUnknown)),
                Err(error) => Step::Refused(error),
            },
            (_, StoredOutcome::Refused(reason)) => Step::Refused(refused_again(*reason, held.permits, item)),
            (_, StoredOutcome::Record { created, .. }) => {
                let step = give_again(held, item.class, &stored, row, *created)?;
                step.unwrap_or(Step::Refused(Error::new(Reason::TokenUnknown)))
            }
        };
    }
    Ok(())
}
