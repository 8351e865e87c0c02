//! Values in, the tokens that they have out: as Tokenize, but nothing is made.

use vault_crypto::CallRandom;
use vault_domain::{Action, Reason};

use super::{
    TokenizeRequest, Tokenized,
    create::settle_same,
    step::{Held, Step, prepare},
};
use crate::{
    Engine, authorize::Permit, budget::Allowance, call::Call, enter::Scope, error::Error, evidence::Evidence, token,
};

impl Engine {
    /// Finds the tokens that values have for an audience, of classes where the same value has the same token: one
    /// commit, one entry, a result for every item. What the request says of lives and repeats is not looked at.
    ///
    /// # Errors
    /// When the call as a whole is refused; the refusal is in the log then, if the log takes entries.
    pub async fn find(&self, call: &Call, request: &TokenizeRequest) -> Result<Tokenized, Error> {
        let rules = self.rules();
        let (scope, mut asked, authorized) = self.enter_data(&rules, call, request.data(Action::Find)).await?;
        asked.policies = &authorized.policies;
        let permits = &authorized.permits;
        let allowance = self.charge(&scope, &asked, permits, request.items.iter().map(|item| item.class));
        self.try_in_turn(&scope, &asked, || self.try_find(&scope, &asked, request, permits, &allowance)).await
    }

    async fn try_find(
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
        let keys = token::class_keys(&vault.keys, permits);
        let held = Held { vault, keys: &keys, permits, request, snapshot: &snapshot, now: draft.now };
        let mut steps = prepare(&held, &[], allowance).await?;
        drop(snapshot);
        for step in &mut steps {
            if let Step::Fresh(index) = step {
                let reason = index.map_or(Reason::ClassNotDeterministic, |_| Reason::ValueNotFound);
                *step = Step::Refused(Error::new(reason));
            }
        }
        settle_same(&mut steps);
        let evidence: Vec<_> = steps.iter().zip(&request.items).map(|(step, item)| step.evidence(item.class)).collect();
        let entry = asked.with(&evidence).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        let receipt = draft.commit(&vault.journal, entry).await?;
        vault.keys.committed(&sealing);
        Ok(Tokenized { results: steps.into_iter().map(Step::finish).collect(), receipt })
    }
}
