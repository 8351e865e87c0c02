//! What all calls of operators to the node itself have in common: who may make them, and their entry in the node's log.

use std::num::NonZeroU32;

use vault_crypto::CallRandom;
use vault_domain::{Action, Decision, Reference, RulesDifference};
use vault_journal::Submission;
use vault_ledger::{Matter, People, SealedPart};
use vault_policy::Log;
use vault_store::Batch;

use crate::{
    Engine,
    authorize::{account, authorize_log},
    call::Call,
    error::Error,
    node::plain_entry,
    rules::Rules,
};

/// What an operator's call leaves behind.
#[derive(Default)]
pub(crate) struct Deed {
    /// What it was about, or what the operator named as the reason.
    pub(crate) reference: Option<Reference>,
    /// The step from one set of rules to another.
    pub(crate) difference: Option<RulesDifference>,
    /// The rows that go with the entry.
    pub(crate) batch: Batch,
}

impl Engine {
    /// Refuses an operator's request that its door could not read.
    pub async fn refuse_unread_operation(&self, call: &Call, action: Action, error: Error) -> Error {
        match self.admit_to_node(call, action).await {
            Ok(()) => self.turn_away(call, action, error).await,
            Err(refused) => refused,
        }
    }

    /// Whether an operator may do this to the node under these rules.
    ///
    /// # Errors
    /// When not.
    pub(crate) fn may(&self, call: &Call, action: Action, rules: &Rules) -> Result<(), Error> {
        let account = account(&rules.policies, call)?;
        let now = self.clock.wall();
        let (permit, _) = authorize_log(&rules.policies, call, account, action, Log::Node, None, now);
        permit.map(drop)
    }

    /// Lets an operator do this to the node.
    ///
    /// # Errors
    /// When the caller may not; the node's log has the refusal.
    pub(crate) async fn admit_to_node(&self, call: &Call, action: Action) -> Result<(), Error> {
        if let Err(error) = self.may(call, action, &self.rules()) {
            return Err(self.turn_away(call, action, error).await);
        }
        if let Err(late) = call.check_deadline(&*self.clock) {
            return Err(self.turn_away(call, action, late).await);
        }
        Ok(())
    }

    /// Commits an operator's deed with the entry that stands for it, under the rules with this fingerprint.
    pub(crate) async fn note_at_node(
        &self,
        call: &Call,
        action: Action,
        policy_set: [u8; 8],
        deed: Deed,
    ) -> Result<(), Error> {
        let Deed { reference, difference, batch } = deed;
        let people = People {
            principal: Some(call.principal.clone()),
            issuer: call.issuer.clone(),
            certificate: call.certificate,
            source: call.source,
            reference,
            about: difference.map(Matter::Difference),
            ..People::default()
        };
        let entry = plain_entry(
            &mut CallRandom::seeded(&*self.entropy)?,
            self.clock.wall(),
            (action, Decision::Allowed, None),
            policy_set,
            call.request_id,
            NonZeroU32::MIN,
            &SealedPart::Clear(Box::new(people)),
        )?;
        self.node.journal.commit(Submission { batch, entry, ..Submission::default() }).await?;
        Ok(())
    }
}
