//! Calls that present tokens: each token is found, held against its record, and the call is written down. What is made
//! of those that are right is the verb's affair.

mod check;
mod locate;

use std::ops::Range;

use vault_crypto::CallRandom;
use vault_domain::{Action, DataClass, LevelAsked, Purpose, Reason, Reference};
use vault_journal::Receipt;
use vault_keys::{ClassKeys, Digest16};
use vault_ledger::Outcome;

pub(crate) use self::check::Checked;
use self::{
    check::Held,
    locate::{Located, locate},
};
use crate::{
    Engine,
    authorize::Permit,
    budget::Allowance,
    call::Call,
    detokenize::DetokenizeRequest,
    enter::{DataCall, Scope},
    error::Error,
    evidence::Evidence,
    idempotency::{Repeat, RequestHash, StoredOutcome},
    life::{Change, Deed},
    region::RegionVault,
    reveal::Reveal,
    token::{self, StoredRecords},
};

/// A verb that takes tokens.
pub(crate) struct Verb<T> {
    pub(crate) action: Action,
    /// Its name in the names of idempotency rows.
    pub(crate) method: &'static str,
    pub(crate) deed: Deed,
    pub(crate) finish: Finish<T>,
}

/// What is made of an item that was checked.
pub(crate) type Finish<T> = fn(Checked, &Means<'_>) -> Result<T, Error>;

/// What an item can be finished with.
pub(crate) struct Means<'a> {
    /// That of its class, if there is one.
    pub(crate) permit: Option<&'a Permit<'a>>,
    /// Those of its class, where there is a permit.
    pub(crate) keys: Option<&'a ClassKeys>,
    pub(crate) stored: &'a StoredRecords,
}

impl Engine {
    /// Holds tokens against their records, writes the entry, and makes of each that is right what was asked for.
    pub(crate) async fn present<T>(
        &self,
        call: &Call,
        verb: &Verb<T>,
        request: &DetokenizeRequest,
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        let rules = self.rules();
        let data = DataCall {
            action: verb.action,
            region: &request.region,
            purpose: request.purpose.as_ref(),
            reference: request.reference.as_ref(),
            audience: &request.audience,
            level: request.level,
            classes: &request.classes,
        };
        let (scope, mut asked, authorized) = self.enter_data(&rules, call, data).await?;
        asked.policies = &authorized.policies;
        self.present_permitted(&scope, &asked, verb, request, &authorized.permits).await
    }

    /// The same for who is permitted to.
    pub(crate) async fn present_permitted<T>(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        verb: &Verb<T>,
        request: &DetokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        let allowance = self.charge(scope, asked, permits, request.items.iter().map(|item| item.class));
        self.try_in_turn(scope, asked, || self.try_present(scope, asked, verb, request, permits, &allowance)).await
    }

    async fn try_present<T>(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        verb: &Verb<T>,
        request: &DetokenizeRequest,
        permits: &[Result<Permit<'_>, Reason>],
        allowance: &Allowance,
    ) -> Result<(Vec<Result<T, Error>>, Receipt), Error> {
        let vault = scope.vault;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let (mut draft, snapshot) = scope.draft(&*self.clock, allowance).await?;
        let sealing = vault.keys.sealing(&mut random, &mut draft.batch)?;
        let hash = |items| request_hash(vault, request, verb.deed, items);
        let (parts, now) = (&request.parts, draft.now);
        let repeats = Repeat::of_parts(asked.call, scope, verb.method, parts, hash, &snapshot, now).await?;
        let known = verb.deed.counts_since(now).map(|since| Repeat::outcomes(&repeats, parts, since));

        let keys = token::class_keys(&vault.keys, permits);
        let catalog = scope.rules.policies.catalog();
        let located = locate(catalog, &keys, permits, request, allowance, &snapshot).await?;
        let numbers = located.iter().filter_map(Located::number).collect();
        let stored = StoredRecords::read(&snapshot, numbers).await?;
        drop(snapshot);
        let known = known.as_deref().unwrap_or_default();
        let held = Held { keys: &keys, permits, request, stored: &stored, deed: verb.deed, known };
        let mut checked = held.check(located, &mut draft);
        if asked.action == Action::ExplainAccess {
            checked.iter_mut().for_each(Checked::hide_other_tenants);
        }
        let evidence: Vec<_> = checked
            .iter()
            .zip(&request.items)
            .map(|(checked, item)| {
                let permit = permits.get(item.class).and_then(|permit| permit.as_ref().ok());
                let done = permit.and_then(Permit::reveal).map_or(Outcome::Done, Reveal::outcome);
                checked.evidence(item.class, done, || {
                    let format = permit.map(|permit| permit.class().format());
                    vault.keys.token_hash(scope.account.tenant(), &token::as_issued(item.token.expose(), format))
                })
            })
            .collect();
        Repeat::remember_all(&repeats, parts, evidence.iter().map(StoredOutcome::of), vault, &mut draft);
        let entry = asked.with(&evidence).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let commit = draft.commit(&vault.journal, entry);
        // Opened while the entry is on its way to the disk, and released only when it is there.
        let finished: Vec<_> = checked
            .into_iter()
            .zip(&request.items)
            .map(|(checked, item)| {
                let permit = permits.get(item.class).and_then(|permit| permit.as_ref().ok());
                let keys = keys.get(item.class).and_then(Option::as_deref);
                (verb.finish)(checked, &Means { permit, keys, stored: &stored })
            })
            .collect();
        let receipt = commit.await?;
        vault.keys.committed(&sealing);
        Ok((finished, receipt))
    }
}

/// The keyed hash of the request in its canonical form.
fn request_hash(vault: &RegionVault, request: &DetokenizeRequest, deed: Deed, items: Range<usize>) -> Digest16 {
    let items = request.items.get(items).unwrap_or_default();
    let bytes = items.iter().map(|item| item.token.expose().len()).sum();
    let mut hash = RequestHash::with_capacity(items.len(), bytes);
    hash.field(request.audience.as_str().as_bytes());
    hash.field(request.purpose.as_ref().map_or("", Purpose::as_str).as_bytes());
    hash.field(request.reference.as_ref().map_or("", Reference::as_str).as_bytes());
    // Two fields follow for each item: an odd one more can't be taken for another request. A request for all stays what
    // it was before there were levels.
    if request.level != LevelAsked::FULL {
        hash.field(request.level.name().as_bytes());
    }
    if let Deed::Change(Change::Renew(Some(ttl))) = deed {
        hash.field(&ttl.as_secs().to_be_bytes());
    }
    for item in items {
        let class = request.classes.get(item.class).and_then(Option::as_ref);
        hash.field(class.map_or("", DataClass::as_str).as_bytes());
        hash.field(item.token.expose().as_bytes());
    }
    hash.finish(&vault.keys)
}
