//! Where the record of a presented token would be.

use vault_catalog::{Catalog, Format};
use vault_domain::{Reason, RecordNumber};
use vault_format::{Numerals, OpaqueToken, Parts, UuidToken};
use vault_keys::{ClassKeys, Digest16};
use vault_store::{Snapshot, table::Tokens};

use crate::{
    authorize::Permit,
    budget::Allowance,
    detokenize::DetokenizeRequest,
    error::Error,
    token::{ClassKeySet, record_number_row},
};

/// What is known of an item before its record is read.
pub(super) enum Located {
    /// Where its record would be, and what has to agree with that record's header.
    At(RecordNumber, Seen),
    /// Nowhere: its value is computed from it.
    Computed(Numerals, Parts),
    Refused(Error),
}

/// What the caller presented.
pub(super) enum Seen {
    Opaque { block: [u8; 16], check: u64 },
    Uuid(UuidToken),
    Text,
}
impl Located {
    /// Where its record would be, if it has one.
    pub(super) fn number(&self) -> Option<RecordNumber> {
        match self {
            Self::At(number, _) => Some(*number),
            Self::Computed(..) | Self::Refused(_) => None,
        }
    }
}

/// Finds where every item's record would be: a block for opaque tokens, a look-up for the others.
pub(super) async fn locate(
    catalog: &Catalog,
    keys: &ClassKeySet,
    permits: &[Result<Permit<'_>, Reason>],
    request: &DetokenizeRequest,
    allowance: &Allowance,
    snapshot: &Snapshot<'_>,
) -> Result<Vec<Located>, Error> {
    let mut turn = allowance.turn();
    let mut located: Vec<Located> = Vec::with_capacity(request.items.len());
    let mut look_ups: Vec<(usize, Digest16, Seen)> = Vec::new();
    for (at, item) in request.items.iter().enumerate() {
        let permit = match permits.get(item.class) {
            Some(Ok(permit)) => permit,
            Some(Err(reason)) => {
                located.push(Located::Refused(Error::new(*reason)));
                continue;
            }
            None => return Err(Error::new(Reason::Internal)),
        };
        if let Err(spent) = turn.take(item.class) {
            located.push(Located::Refused(spent));
            continue;
        }
        if let Err(reason) = vault_policy::possible(permit.action(), permit.class()) {
            located.push(Located::Refused(Error::new(reason)));
            continue;
        }
        let keys = keys.get(item.class).and_then(Option::as_ref).ok_or(Reason::Internal)?;
        located.push(match permit.class().format() {
            Format::Opaque => locate_opaque(catalog, keys, permit, item.token.expose()),
            Format::Uuid => match UuidToken::parse(item.token.expose()) {
                Ok(uuid) => {
                    // Whatever case it came in, it is found under the text that it was issued as.
                    look_ups.push((at, keys.token_lookup(uuid.to_text().expose()), Seen::Uuid(uuid)));
                    Located::Refused(Error::new(Reason::TokenUnknown))
                }
                Err(malformed) => Located::Refused(Error::new(malformed.reason())),
            },
            Format::Ff1(permuted) => match permuted.of_token(item.token.expose()) {
                Some(parts) => Located::Computed(permuted.numerals, parts),
                None => Located::Refused(Error::new(Reason::TokenMalformed)),
            },
            // Of these nothing is possible that a token is presented for.
            Format::OneWay => Located::Refused(Error::new(Reason::TokenOneWay)),
            Format::FormatPreserving(config) => {
                let refused = if config.is_well_formed(item.token.expose()) {
                    look_ups.push((at, keys.token_lookup(item.token.expose()), Seen::Text));
                    Reason::TokenUnknown
                } else {
                    Reason::TokenMalformed
                };
                Located::Refused(Error::new(refused))
            }
        });
    }
    if !look_ups.is_empty() {
        let names: Vec<Digest16> = look_ups.iter().map(|(_, name, _)| *name).collect();
        let rows = snapshot.get_many(Tokens, &names).await?;
        for (row, (at, _, seen)) in look_ups.into_iter().enumerate() {
            let number = rows.get(row).and_then(record_number_row);
            if let (Some(number), Some(slot)) = (number, located.get_mut(at)) {
                *slot = Located::At(number, seen);
            }
        }
    }
    Ok(located)
}

fn locate_opaque(catalog: &Catalog, keys: &ClassKeys, permit: &Permit<'_>, text: &str) -> Located {
    let token = match OpaqueToken::parse(text) {
        Ok(token) => token,
        Err(malformed) => return Located::Refused(Error::new(malformed.reason())),
    };
    if token.region() != permit.region().as_str() {
        // The text says where it belongs, to everybody: to repeat it gives nothing away and helps the honest.
        return Located::Refused(match catalog.region(token.region()) {
            Some(region) => Error::elsewhere(region.id().clone(), region.endpoint()),
            None => Error::new(Reason::TokenMalformed),
        });
    }
    if token.generation() != keys.generation() {
        return Located::Refused(Error::new(Reason::TokenUnknown));
    }
    match keys.record_number(token.block()) {
        Some(number) => Located::At(number, Seen::Opaque { block: *token.block(), check: token.check() }),
        None => Located::Refused(Error::new(Reason::TokenUnknown)),
    }
}
