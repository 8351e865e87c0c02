//! Values in, tokens out.

mod create;
mod step;

use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, DataClass, IdempotencyKey, Millis, Plaintext, Purpose, Reason, Reference, Region, TokenText,
    limits,
};
use vault_journal::Receipt;
use vault_keys::Digest16;

use crate::{
    Engine,
    authorize::Permit,
    call::Call,
    draft::Draft,
    enter::Scope,
    error::Error,
    evidence::Evidence,
    idempotency::{Repeat, RequestHash},
    region::RegionVault,
    token,
    tokenize::{
        create::Maker,
        step::{Step, prepare, rebuild},
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
    /// The caller's name for this request.
    pub idempotency_key: Option<IdempotencyKey>,
    /// The distinct classes named, at most `limits::REQUEST_CLASSES_MAX`; `None` for a text that is no class's name.
    pub classes: Vec<Option<DataClass>>,
    /// The items.
    pub items: Vec<TokenizeItem>,
}

/// A value to be tokenized.
pub struct TokenizeItem {
    /// Which of the request's classes.
    pub class: usize,
    /// The value.
    pub value: Plaintext,
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
        let scope = self.enter(call, Action::Tokenize, &request.region).await?;
        let mut asked = scope.evidence(call, Action::Tokenize);
        asked.purpose = request.purpose.as_ref();
        asked.reference = request.reference.as_ref();
        asked.audience = Some(&request.audience);
        asked.classes = &request.classes;
        let authorized = match self.authorize_data(&scope, &asked, &request.region, &request.audience) {
            Ok(authorized) => authorized,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        asked.policies = &authorized.policies;
        for _ in 0..limits::COMMIT_TRIES_MAX {
            if let Err(late) = call.check_deadline(&*self.clock) {
                return Err(self.refuse(&scope, &asked, late).await);
            }
            let tried = self.try_tokenize(&scope, &asked, request, &authorized.permits).await;
            match tried {
                Ok(tokenized) => {
                    call.check_deadline(&*self.clock)?;
                    return Ok(tokenized);
                }
                Err(error) if error.reason() == Reason::CommitConflict => {}
                Err(error) if error.is_unrecorded() => return Err(error),
                Err(error) => return Err(self.refuse(&scope, &asked, error).await),
            }
        }
        Err(self.refuse(&scope, &asked, Error::new(Reason::CommitConflict)).await)
    }

    async fn try_tokenize(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        request: &TokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
    ) -> Result<Tokenized, Error> {
        let vault = scope.vault;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let position = vault.journal.position();
        let snapshot = vault.reader.snapshot();
        let mut draft = Draft::new(position, vault.journal.now(self.clock.wall()));
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let hash = || request_hash(vault, request);
        let key = request.idempotency_key.as_ref();
        let repeat = Repeat::of(asked.call, scope, "Tokenize", key, hash, &snapshot, draft.now).await?;

        let keys = token::class_keys(&vault.keys, permits);
        let mut steps = match repeat.as_ref().and_then(Repeat::outcomes) {
            Some(outcomes) => rebuild(vault, &keys, permits, request, outcomes, &snapshot, draft.now).await?,
            None => prepare(vault, &keys, permits, request, &snapshot, draft.now).await?,
        };
        let maker = Maker { vault, keys: &keys, permits, request, snapshot: &snapshot, sealing: &sealing };
        maker.create(&mut steps, &mut draft, &mut random).await?;
        drop(snapshot);

        let evidence: Vec<_> = steps.iter().zip(&request.items).map(|(step, item)| step.evidence(item.class)).collect();
        if let Some(repeat) = &repeat {
            repeat.remember(steps.iter().map(Step::outcome), vault, &mut draft);
        }
        let entry = asked.with(&evidence).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let receipt = vault.journal.commit(draft.submission(entry)).await?;
        vault.keys.committed(&sealing);
        Ok(Tokenized { results: steps.into_iter().map(Step::finish).collect(), receipt })
    }
}

/// The keyed hash of the request in its canonical form.
fn request_hash(vault: &RegionVault, request: &TokenizeRequest) -> Digest16 {
    let bytes = request.items.iter().map(|item| item.value.len()).sum();
    let mut hash = RequestHash::with_capacity(request.items.len(), bytes);
    hash.field(request.audience.as_str().as_bytes());
    hash.field(request.purpose.as_ref().map_or("", Purpose::as_str).as_bytes());
    hash.field(request.reference.as_ref().map_or("", Reference::as_str).as_bytes());
    for item in &request.items {
        let class = request.classes.get(item.class).and_then(Option::as_ref);
        hash.field(class.map_or("", DataClass::as_str).as_bytes());
        hash.field(item.value.expose());
    }
    hash.finish(&vault.keys)
}
