//! What every item of a request comes to before the commit.

use std::collections::HashMap;

use vault_catalog::{Determinism, Format};
use vault_domain::{Millis, Reason, RecordNumber, TokenText, limits};
use vault_format::{Template, one_way_text};
use vault_keys::{Digest16, Way};
use vault_ledger::TokenHash;
use vault_store::{Snapshot, table::Values};

use super::{Issued, TokenizeItem, TokenizeRequest};
use crate::{
    authorize::Permit,
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
            Self::Done(_, number) => ItemEvidence { class, outcome: None, about: About::Record(*number) },
            Self::Computed(_, hash) => ItemEvidence { class, outcome: None, about: About::Token(*hash) },
            Self::Refused(error) => ItemEvidence { class, outcome: Some(error.reason()), about: About::Nothing },
            Self::Fresh(_) | Self::SameAs(_) => {
                ItemEvidence { class, outcome: Some(Reason::Internal), about: About::Nothing }
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

    pub(super) fn finish(self) -> Result<Issued, Error> {
        match self {
            Self::Done(issued, _) | Self::Computed(issued, _) => Ok(issued),
            Self::Refused(error) => Err(error),
            Self::Fresh(_) | Self::SameAs(_) => Err(Error::new(Reason::Internal)),
        }
    }
}

/// Validates every item, and finds the tokens that deterministic classes have already.
pub(super) async fn prepare(
    vault: &RegionVault,
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &TokenizeRequest,
    snapshot: &Snapshot<'_>,
    now: Millis,
) -> Result<Vec<Step>, Error> {
    let mut first_of = HashMap::new();
    let mut steps: Vec<Step> = Vec::with_capacity(request.items.len());
    for (at, item) in request.items.iter().enumerate() {
        let step = match validate(vault, keys, permits, item) {
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
    find_known(keys, permits, request, &mut steps, snapshot, now).await?;
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
fn validate(
    vault: &RegionVault,
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    item: &TokenizeItem,
) -> Result<Valid, Error> {
    let permit = permits.get(item.class).ok_or(Reason::Internal)?.as_ref().map_err(|reason| *reason)?;
    if item.value.len() > limits::VALUE_BYTES_MAX {
        return Err(Error::new(Reason::ValueTooLarge));
    }
    let class = permit.class();
    class.rule().validate(item.value.expose())?;
    let keys = keys.get(item.class).and_then(Option::as_ref).ok_or(Reason::Internal)?;
    let canonical = || class.rule().canonical(item.value.expose());
    Ok(match (class.format(), class.determinism()) {
        (Format::OneWay, _) => {
            let digest = keys.one_way(permit.audience(), canonical().expose());
            computed(vault, permit, one_way_text(permit.region(), keys.generation(), digest))
        }
        (Format::Ff1(permuted), _) => {
            let mut parts = permuted.of_value(item.value.expose())?;
            token::permute(keys, permit.audience(), Way::ToToken, permuted.numerals, &mut parts)?;
            computed(vault, permit, parts.into_token())
        }
        (_, Determinism::None) => Valid::Fresh(None),
        (_, Determinism::PerAudience) => Valid::Fresh(Some(keys.blind_index(permit.audience(), canonical().expose()))),
    })
}

/// A token that is computed and kept nowhere.
fn computed(vault: &RegionVault, permit: &Permit<'_>, token: TokenText) -> Valid {
    let hash = TokenHash(vault.keys.token_hash(permit.tenant(), token.expose()));
    Valid::Computed(Issued { token, created: false, expires: Millis::default() }, hash)
}

/// Gives live tokens again, as they are; a value whose token has expired or was revoked stays fresh.
async fn find_known(
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &TokenizeRequest,
    steps: &mut [Step],
    snapshot: &Snapshot<'_>,
    now: Millis,
) -> Result<(), Error> {
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
        if let Some(done) = give_again(keys, permits, item.class, &stored, row, now, false)? {
            *step = done;
        }
    }
    Ok(())
}

/// The token of a stored record, if it is one of this class, its format and audience, and alive.
fn give_again(
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    class: usize,
    stored: &StoredRecords,
    row: usize,
    now: Millis,
    created: bool,
) -> Result<Option<Step>, Error> {
    let Some(Ok(permit)) = permits.get(class) else { return Ok(None) };
    let Some(keys) = keys.get(class).and_then(Option::as_ref) else { return Ok(None) };
    let Some(record) = stored.record(row) else { return Ok(None) };
    let record = record?;
    if !keys.is_of(&record, permit.audience()) || !token::is_of_format(&record, permit.class().format()) {
        return Ok(None);
    }
    match stored.life(row, keys, &record, permit.audience(), now) {
        Ok(expires) => {
            let token = token::text_of(permit.region(), keys, &record, permit.audience())?;
            Ok(Some(Step::Done(Issued { token, created, expires }, record.number())))
        }
        Err(error) if error.outside() == Reason::TokenNotFound => Ok(None),
        Err(error) => Err(error),
    }
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

/// Rebuilds the answer of a request that was answered before. What is gone since is not found.
pub(super) async fn rebuild(
    vault: &RegionVault,
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &TokenizeRequest,
    outcomes: &[StoredOutcome],
    snapshot: &Snapshot<'_>,
    now: Millis,
) -> Result<Vec<Step>, Error> {
    let numbers = outcomes.iter().filter_map(StoredOutcome::record).collect();
    let stored = StoredRecords::read(snapshot, numbers).await?;
    let mut row = 0;
    let mut steps = Vec::with_capacity(outcomes.len());
    for (item, outcome) in request.items.iter().zip(outcomes) {
        if let Some(Err(reason)) = permits.get(item.class) {
            // A repeat is authorized anew.
            row += usize::from(outcome.record().is_some());
            steps.push(Step::Refused(Error::new(*reason)));
            continue;
        }
        steps.push(match outcome {
            StoredOutcome::Computed(_) => match validate(vault, keys, permits, item) {
                Ok(Valid::Computed(issued, hash)) if StoredOutcome::computed(&hash) == *outcome => {
                    Step::Computed(issued, hash)
                }
                // The class is another one by now: what it was is gone.
                Ok(_) => Step::Refused(Error::new(Reason::TokenUnknown)),
                Err(error) => Step::Refused(error),
            },
            StoredOutcome::Refused(reason) => Step::Refused(refused_again(*reason, permits, item)),
            StoredOutcome::Record { created, .. } => {
                let step = give_again(keys, permits, item.class, &stored, row, now, *created)?;
                row += 1;
                step.unwrap_or(Step::Refused(Error::new(Reason::TokenUnknown)))
            }
        });
    }
    Ok(steps)
}
