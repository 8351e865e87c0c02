//! Values in, tokens out.

mod create;
mod find;
mod step;

use std::ops::Range;

use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, DataClass, IdError, LevelAsked, Millis, Plaintext, Purpose, Reason, Reference, Region,
    SubjectName, TokenText, limits,
};
use vault_journal::Receipt;
use vault_keys::Digest16;

use crate::{
    Engine,
    authorize::Permit,
    budget::Allowance,
    call::Call,
    enter::{DataCall, Scope},
    error::Error,
    evidence::Evidence,
    idempotency::{Part, Repeat, RequestHash},
    life::LifeAsked,
    region::RegionVault,
    token,
    tokenize::{
        create::Maker,
        step::{Held, Step, prepare},
    },
};

/// A request to tokenize, parsed.
pub struct TokenizeRequest {
    /// Where the records shall live.
    pub region: Region,
    /// Why.
    pub purpose: Option<Purpose>,
    /// The caller's reference.
    pub reference: Option<Reference>,
    /// Who shall be able to reveal.
    pub audience: Audience,
    /// What was sent together, and what the caller calls it; together all of the items.
    pub parts: Vec<Part>,
    /// The distinct classes named, at most `limits::REQUEST_CLASSES_MAX`; `None` for a text that is no class's name.
    pub classes: Vec<Option<DataClass>>,
    /// The items.
    pub items: Vec<TokenizeItem>,
}

impl TokenizeRequest {
    /// What holds for all of its items.
    fn data(&self, action: Action) -> DataCall<'_> {
        DataCall {
            action,
            region: &self.region,
            purpose: self.purpose.as_ref(),
            reference: self.reference.as_ref(),
            audience: &self.audience,
            level: LevelAsked::FULL,
            classes: &self.classes,
        }
    }
}

/// A value to be tokenized.
pub struct TokenizeItem {
    /// Which of the request's classes.
    pub class: usize,
    /// The value.
    pub value: Plaintext,
    /// The person that it is about, if one is named; an error, if what names one is malformed.
    pub subject: Result<Option<SubjectName>, IdError>,
    /// What is asked of the token's life; where one is given again, it stays as it is.
    pub life: LifeAsked,
}

/// A token that was given.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: TokenText,
    /// Whether it is new.
    pub created: bool,
    /// When it expires; zero for never.
    pub expires: Millis,
}

/// The answer: one result for each item, and where the log holds the call.
pub struct Tokenized {
    /// In the order of the request.
    pub results: Vec<Result<Issued, Error>>,
    /// Where the log holds the entry.
    pub receipt: Receipt,
}

impl Engine {
    /// Tokenizes a batch: one commit, one entry, a result for every item.
    ///
    /// # Errors
    /// When the call as a whole is refused; the refusal is in the log then, if the log takes entries.
    pub async fn tokenize(&self, call: &Call, request: &TokenizeRequest) -> Result<Tokenized, Error> {
        let rules = self.rules();
        let (scope, mut asked, authorized) = self.enter_data(&rules, call, request.data(Action::Tokenize)).await?;
        asked.policies = &authorized.policies;
        let permits = &authorized.permits;
        let allowance = self.charge(&scope, &asked, permits, request.items.iter().map(|item| item.class));
        self.try_in_turn(&scope, &asked, || self.try_tokenize(&scope, &asked, request, permits, &allowance)).await
    }

    async fn try_tokenize(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        request: &TokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
        allowance: &Allowance,
    ) -> Result<Tokenized, Error> {
        let vault = scope.vault;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let (mut draft, snapshot) = scope.draft(&*self.clock, allowance).await?;
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let hash = |items| request_hash(vault, request, items);
        let parts = &request.parts;
        let repeats = Repeat::of_parts(asked.call, scope, "Tokenize", parts, hash, &snapshot, draft.now).await?;
        let known = Repeat::outcomes(&repeats, parts, Millis::default());

        let keys = token::class_keys(&vault.keys, permits);
        let held = Held { vault, keys: &keys, permits, request, snapshot: &snapshot, now: draft.now };
        let mut steps = prepare(&held, &known, allowance).await?;
        let maker = Maker { held: &held, sealing: &sealing };
        maker.create(&mut steps, &mut draft, &mut random).await?;
        drop(snapshot);

        let gives_token =
            |class| steps.iter().zip(&request.items).any(|(step, item)| item.class == class && step.is_token());
        let classes = scope.classes(&request.region)?;
        let first = classes.write(permits, gives_token, &mut draft.batch);
        let evidence: Vec<_> = steps.iter().zip(&request.items).map(|(step, item)| step.evidence(item.class)).collect();
        Repeat::remember_all(&repeats, parts, steps.iter().map(Step::outcome), vault, &mut draft);
        let entry = asked.with(&evidence).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let receipt = draft.commit(&vault.journal, entry).await?;
        vault.keys.committed(&sealing);
        classes.written(&first);
        Ok(Tokenized { results: steps.into_iter().map(Step::finish).collect(), receipt })
    }
}

/// The keyed hash of some items of the request in canonical form.
fn request_hash(vault: &RegionVault, request: &TokenizeRequest, items: Range<usize>) -> Digest16 {
    let items = request.items.get(items).unwrap_or_default();
    let bytes = items.iter().map(|item| item.value.len() + limits::SUBJECT_BYTES_MAX + LIFE_BYTES).sum();
    let mut hash = RequestHash::with_capacity(items.len(), bytes);
    hash.field(request.audience.as_str().as_bytes());
    hash.field(request.purpose.as_ref().map_or("", Purpose::as_str).as_bytes());
    hash.field(request.reference.as_ref().map_or("", Reference::as_str).as_bytes());
    // No class is called so; a request that asks nothing of lives stays what it was before that could be asked.
    let asks = items.iter().any(|item| item.life != LifeAsked::default());
    if asks {
        hash.field(b"lives:1");
    }
    for item in items {
        let class = request.classes.get(item.class).and_then(Option::as_ref);
        hash.field(class.map_or("", DataClass::as_str).as_bytes());
        hash.field(item.value.expose());
        let subject = item.subject.as_ref().ok().and_then(Option::as_ref);
        hash.field(subject.map_or("", SubjectName::expose).as_bytes());
        if asks {
            hash.field(&life_bytes(&item.life));
        }
    }
    hash.finish(&vault.keys)
}

/// Bytes of a [`LifeAsked`] in a request's hash.
const LIFE_BYTES: usize = 20;

/// Lifetime in seconds, 0 for that of the class; time in ms before which it does not begin; uses.
fn life_bytes(life: &LifeAsked) -> [u8; LIFE_BYTES] {
    let ttl = life.ttl.map_or(0, |ttl| ttl.as_secs()).to_be_bytes();
    let (not_before, uses) = (life.not_before.0.to_be_bytes(), life.max_uses.to_be_bytes());
    let mut bytes = [0; LIFE_BYTES];
    for (to, from) in bytes.iter_mut().zip([ttl.as_slice(), &not_before, &uses].into_iter().flatten()) {
        *to = *from;
    }
    bytes
}
