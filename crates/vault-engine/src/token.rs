//! What both verbs know of tokens: the keys of permitted classes, a record's life, and how a token is given again.

use std::{borrow::Cow, sync::Arc};

use vault_catalog::Format;
use vault_domain::{Audience, Reason, RecordNumber, Region, TokenText};
use vault_format::{Numerals, OpaqueToken, Parts, UuidToken};
use vault_keys::{ClassKeys, MintedToken, Record, RecordFormat, RegionKeys, Way};
use vault_store::{
    Found, Snapshot,
    table::{Records, States},
};

use crate::{authorize::Permit, error::Error, life::Life};

/// The keys of a request's classes, in their order: a class that is not permitted has none.
pub(crate) type ClassKeySet = Vec<Option<Arc<ClassKeys>>>;

/// The keys of every permitted class.
pub(crate) fn class_keys(keys: &RegionKeys, permits: &[Result<Permit<'_>, Reason>]) -> ClassKeySet {
    permits
        .iter()
        .map(|permit| permit.as_ref().ok().map(|permit| keys.class(permit.tenant(), permit.class().id())))
        .collect()
}

/// A token as it was issued, whatever spelling it came in: a UUID is read in either case, and known in one.
pub(crate) fn as_issued(token: &str, format: Option<Format>) -> Cow<'_, str> {
    if format != Some(Format::Uuid) {
        return Cow::Borrowed(token);
    }
    UuidToken::parse(token).map_or(Cow::Borrowed(token), |uuid| Cow::Owned(uuid.to_text().expose().to_owned()))
}

/// Sends the numerals of a text through FF1, one way or the other.
pub(crate) fn permute(
    keys: &ClassKeys,
    audience: &Audience,
    way: Way,
    numerals: Numerals,
    parts: &mut Parts,
) -> Result<(), Error> {
    let (kept, text) = parts.split();
    // Splitting has refused what FF1 would.
    keys.permute(way, numerals.radix(), text, audience, kept).map_err(|_| Error::new(Reason::Internal))
}

/// The text of an opaque token.
pub(crate) fn opaque_text(region: &Region, token: &MintedToken) -> Result<TokenText, Error> {
    let token = OpaqueToken::new(region, token.generation, token.block, token.check).ok_or(Reason::Internal)?;
    Ok(token.to_text())
}

/// The token of a record of this class and audience, as it was issued.
pub(crate) fn text_of(
    region: &Region,
    keys: &ClassKeys,
    record: &Record<'_>,
    audience: &Audience,
) -> Result<TokenText, Error> {
    match record.format() {
        RecordFormat::Opaque => opaque_text(region, &keys.token_of(record)),
        RecordFormat::Uuid => {
            let uuid = UuidToken::from_bytes(keys.token_of(record).block).ok_or(Error::new(Reason::RecordCorrupt))?;
            Ok(uuid.to_text())
        }
        RecordFormat::FormatPreserving => {
            Ok(keys.open(record, audience)?.token.ok_or(Error::new(Reason::RecordCorrupt))?)
        }
    }
}

/// Records and their state rows, read together from one snapshot.
pub(crate) struct StoredRecords {
    numbers: Vec<RecordNumber>,
    records: Found,
    states: Found,
}

impl StoredRecords {
    pub(crate) async fn read(snapshot: &Snapshot<'_>, numbers: Vec<RecordNumber>) -> Result<Self, Error> {
        let records = snapshot.get_many(Records, &numbers).await?;
        let states = snapshot.get_many(States, &numbers).await?;
        Ok(Self { numbers, records, states })
    }

    /// The record that was asked for at this place; `None` if there is none.
    pub(crate) fn record(&self, at: usize) -> Option<Result<Record<'_>, Error>> {
        let number = *self.numbers.get(at)?;
        let row = self.records.get(at)?;
        Some(Record::parse(number, row).ok_or_else(|| {
            tracing::error!(record = number.get(), "a stored record does not decode");
            Error::new(Reason::RecordCorrupt)
        }))
    }

    /// The record's life.
    pub(crate) fn life(
        &self,
        at: usize,
        keys: &ClassKeys,
        record: &Record<'_>,
        audience: &Audience,
    ) -> Result<Life, Error> {
        let state = self.states.get(at).map(|row| keys.state(record, audience, row)).transpose()?;
        Ok(Life::of(record, state))
    }

    /// Whether the record's life ever changed.
    pub(crate) fn has_state(&self, at: usize) -> bool {
        self.states.get(at).is_some()
    }
}

/// The record number in a row of `values` or `tokens`.
pub(crate) fn record_number_row(row: &[u8]) -> Option<RecordNumber> {
    RecordNumber::new(u64::from_be_bytes(row.try_into().ok()?))
}
