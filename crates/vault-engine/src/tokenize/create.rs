//! Making new tokens: minting, drawing, sealing.

use std::collections::HashSet;

use vault_catalog::Format;
use vault_crypto::CallRandom;
use vault_domain::{Millis, Reason, RecordNumber, TokenText, limits};
use vault_format::{Template, UuidToken};
use vault_keys::{ClassKeys, Digest16, MintedToken, NewRecord, SealingCall, TokenForm};
use vault_store::{
    Snapshot,
    table::{Expiry, ExpiryRow, Records, Tokens, Values},
};

use super::{
    Issued, TokenizeItem,
    step::{self, Held, Step},
};
use crate::{draft::Draft, error::Error, token};

/// A token that is about to be stored.
enum NewToken {
    Opaque(MintedToken),
    Drawn(Drawn, Digest16),
}

/// A token that was drawn, and is found by its keyed hash.
enum Drawn {
    Uuid(UuidToken),
    Preserving(TokenText),
}

/// What is drawn.
enum Shape<'a> {
    Uuid,
    Preserving(Template<'a>),
}

impl Shape<'_> {
    fn draw(&self, random: &mut CallRandom) -> Result<Drawn, Error> {
        Ok(match self {
            Self::Uuid => Drawn::Uuid(UuidToken::from_random(random.bytes())),
            Self::Preserving(template) => Drawn::Preserving(template.candidate(random.rng())?),
        })
    }
}

impl Drawn {
    /// The row that it is found by.
    fn name(&self, keys: &ClassKeys) -> Digest16 {
        match self {
            Self::Uuid(uuid) => keys.token_lookup(uuid.to_text().expose()),
            Self::Preserving(text) => keys.token_lookup(text.expose()),
        }
    }

    fn into_text(self) -> TokenText {
        match self {
            Self::Uuid(uuid) => uuid.to_text(),
            Self::Preserving(text) => text,
        }
    }
}

/// What making tokens needs, beside the draft that they go into.
pub(super) struct Maker<'a> {
    pub(super) held: &'a Held<'a>,
    pub(super) sealing: &'a SealingCall,
}

impl Maker<'_> {
    /// Gives a token to every fresh item, puts its rows into the draft, and settles the items that are the same as
    /// another.
    pub(super) async fn create(
        &self,
        steps: &mut [Step],
        draft: &mut Draft<'_>,
        random: &mut CallRandom,
    ) -> Result<(), Error> {
        let fresh: Vec<usize> =
            steps.iter().enumerate().filter(|(_, step)| matches!(step, Step::Fresh(_))).map(|(at, _)| at).collect();
        let numbers = self.held.vault.numbers.take(fresh.len())?;
        let tokens = self.tokens(&fresh, &numbers, random).await?;
        let mut row = Vec::with_capacity(256);
        for ((at, number), token) in fresh.into_iter().zip(numbers).zip(tokens) {
            let Some(step) = steps.get_mut(at) else { continue };
            let Step::Fresh(index) = *step else { continue };
            *step = match token {
                Ok(token) => Step::Done(self.store(at, number, index, token, draft, &mut row)?, number),
                Err(error) => Step::Refused(error),
            };
        }
        settle_same(steps);
        Ok(())
    }

    /// The tokens of the fresh items, in their order.
    async fn tokens(
        &self,
        fresh: &[usize],
        numbers: &[RecordNumber],
        random: &mut CallRandom,
    ) -> Result<Vec<Result<NewToken, Error>>, Error> {
        let mut tokens: Vec<Result<NewToken, Error>> =
            fresh.iter().map(|_| Err(Error::new(Reason::TokenSpaceExhausted))).collect();
        let mut taken = HashSet::new();
        for (class, (permit, keys)) in self.held.permits.iter().zip(self.held.keys).enumerate() {
            let (Ok(permit), Some(keys)) = (permit, keys) else { continue };
            let items =
                fresh.iter().enumerate().filter_map(|(place, at)| Some((place, self.held.request.items.get(*at)?)));
            let items: Vec<(usize, &TokenizeItem)> = items.filter(|(_, item)| item.class == class).collect();
            match permit.class().format() {
                Format::Opaque => {
                    let own: Vec<_> = items.iter().filter_map(|(place, _)| numbers.get(*place).copied()).collect();
                    for ((place, _), token) in items.iter().zip(keys.mint(&own, random)) {
                        set(&mut tokens, *place, Ok(NewToken::Opaque(token)));
                    }
                }
                // Computed before anything is created.
                Format::Ff1(_) | Format::OneWay => {}
                Format::Uuid => {
                    let open = items.into_iter().map(|(place, _)| (place, Shape::Uuid)).collect();
                    draw(keys, open, &mut tokens, &mut taken, self.held.snapshot, random).await?;
                }
                Format::FormatPreserving(config) => {
                    let mut open = Vec::with_capacity(items.len());
                    for (place, item) in items {
                        match Template::for_value(&config, item.value.expose()) {
                            Ok(template) => open.push((place, Shape::Preserving(template))),
                            Err(rejection) => set(&mut tokens, place, Err(rejection.into())),
                        }
                    }
                    draw(keys, open, &mut tokens, &mut taken, self.held.snapshot, random).await?;
                }
            }
        }
        Ok(tokens)
    }

    /// Seals one record and puts its rows into the draft.
    fn store(
        &self,
        at: usize,
        number: RecordNumber,
        index: Option<Digest16>,
        token: NewToken,
        draft: &mut Draft<'_>,
        row: &mut Vec<u8>,
    ) -> Result<Issued, Error> {
        let item = self.held.request.items.get(at).ok_or(Reason::Internal)?;
        let (Some(Ok(permit)), Some(Some(keys))) = (self.held.permits.get(item.class), self.held.keys.get(item.class))
        else {
            return Err(Error::new(Reason::Internal));
        };
        let expires = item.life.expires(permit.class(), draft.now)?;
        let form = match &token {
            NewToken::Opaque(minted) => TokenForm::Block(&minted.block),
            NewToken::Drawn(Drawn::Uuid(uuid), _) => TokenForm::Uuid(uuid.bytes()),
            NewToken::Drawn(Drawn::Preserving(text), _) => TokenForm::Text(text.expose()),
        };
        let record = NewRecord {
            number,
            token: form,
            value: item.value.expose(),
            created: draft.now,
            not_before: item.life.not_before,
            expires,
            max_uses: item.life.max_uses,
            subject: step::subject(self.held.vault, permit, item)?,
            parent: None,
        };
        row.clear();
        keys.seal(self.sealing, permit.addressee(), &record, row)?;
        draft.batch.put(Records, &number, row);
        if expires != Millis::default() {
            draft.batch.put(Expiry, &ExpiryRow { at: expires, number }, &[]);
        }
        let number_row = number.get().to_be_bytes();
        if let Some(index) = index {
            draft.batch.put(Values, &index, &number_row);
            draft.must_stay(Values, &index);
        }
        let token = match token {
            NewToken::Opaque(minted) => token::opaque_text(permit.region(), &minted)?,
            NewToken::Drawn(drawn, name) => {
                draft.batch.put(Tokens, &name, &number_row);
                draft.must_stay(Tokens, &name);
                drawn.into_text()
            }
        };
        Ok(Issued { token, created: true, expires })
    }
}

/// Draws tokens that nobody has, a bounded number of times: what is still without one then belongs to
/// a space that is nearly used up.
async fn draw(
    keys: &ClassKeys,
    mut open: Vec<(usize, Shape<'_>)>,
    tokens: &mut [Result<NewToken, Error>],
    taken: &mut HashSet<Digest16>,
    snapshot: &Snapshot<'_>,
    random: &mut CallRandom,
) -> Result<(), Error> {
    for _ in 0..limits::CANDIDATE_DRAWS_MAX {
        if open.is_empty() {
            break;
        }
        let mut drawn = Vec::with_capacity(open.len());
        for (_, shape) in &open {
            let token = shape.draw(random)?;
            let name = token.name(keys);
            drawn.push((token, name));
        }
        let names: Vec<Digest16> = drawn.iter().map(|(_, name)| *name).collect();
        let rows = snapshot.get_many(Tokens, &names).await?;
        let mut next = Vec::new();
        for (row, ((place, shape), (token, name))) in open.into_iter().zip(drawn).enumerate() {
            if rows.get(row).is_none() && taken.insert(name) {
                set(tokens, place, Ok(NewToken::Drawn(token, name)));
            } else {
                next.push((place, shape));
            }
        }
        open = next;
    }
    Ok(())
}

fn set(tokens: &mut [Result<NewToken, Error>], place: usize, token: Result<NewToken, Error>) {
    if let Some(slot) = tokens.get_mut(place) {
        *slot = token;
    }
}

/// Items that are the same as an earlier one share its token, or its refusal.
pub(super) fn settle_same(steps: &mut [Step]) {
    for at in 0..steps.len() {
        let Some(Step::SameAs(first)) = steps.get(at) else { continue };
        let shared = match steps.get(*first) {
            Some(Step::Done(issued, number)) => {
                let token = TokenText::new(issued.token.expose().to_owned());
                Step::Done(Issued { token, created: false, expires: issued.expires }, *number)
            }
            Some(Step::Refused(error)) => Step::Refused(error.repeated()),
            _ => Step::Refused(Error::new(Reason::Internal)),
        };
        if let Some(step) = steps.get_mut(at) {
            *step = shared;
        }
    }
}
