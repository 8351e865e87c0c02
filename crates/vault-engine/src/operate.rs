//! What all calls of operators to the node itself have in common: who may make them, and their entry in the node's log.

use std::num::NonZeroU32;

use vault_crypto::CallRandom;
use vault_domain::{Action, Decision, Reason, Reference};
use vault_ledger::{Matter, People, SealedPart};
use vault_policy::Log;
use vault_store::Batch;

use crate::{
    Engine,
    authorize::{account, authorize_log},
    call::Call,
    draft::Draft,
    error::Error,
    node::plain_entry,
    replay::Once,
    rules::Rules,
};

/// What an operator's call leaves behind.
#[derive(Default)]
pub(crate) struct Deed {
    /// What it was about, or what the operator named as the reason.
    pub(crate) reference: Option<Reference>,
    /// What else it was about: the step from one set of rules to another, or a pruning.
    pub(crate) about: Option<Matter>,
    /// The minimum index of the node's log from then on, of a pruning of it.
    pub(crate) prune_to: Option<u64>,
    /// The rows that go with the entry.
    pub(crate) batch: Batch,
}

/// An operator's call that was let in: it ends by an entry in the node's log, either way.
pub(crate) struct Operation<'a> {
    engine: &'a Engine,
    call: &'a Call,
    action: Action,
    /// The call's nonce, and whether a commit has its row.
    once: Option<Once<'a>>,
    is_spent: bool,
}

impl Engine {
    /// Refuses an operator's request that its door could not read.
    pub async fn refuse_unread_operation(&self, call: &Call, action: Action, error: Error) -> Error {
        match self.admit_to_node(call, action).await {
            Ok(operation) => operation.refuse(error).await,
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
    pub(crate) async fn admit_to_node<'a>(&'a self, call: &'a Call, action: Action) -> Result<Operation<'a>, Error> {
        let rules = self.rules();
        // Who may not is one of those whose refusals are counted, and has used no nonce: nobody can fill the log by it.
        let once = match self.may(call, action, &rules).and_then(|()| self.claim_at_node(call, action)) {
            Ok(once) => once,
            Err(error) => return Err(self.turn_away(call, action, error).await),
        };
        let operation = Operation { engine: self, call, action, once, is_spent: false };
        let admitted = match &operation.once {
            Some(once) => once.look(&self.node.reader.snapshot(), self.node.journal.now(self.clock.wall())).await,
            None => Ok(()),
        };
        match admitted.and_then(|()| call.check_deadline(&*self.clock)) {
            Ok(()) => Ok(operation),
            Err(error) => Err(operation.refuse(error).await),
        }
    }
}

impl Operation<'_> {
    /// Writes the refusal of the call, and gives the error back: or the log's own, if it does not take the entry.
    pub(crate) async fn refuse(&self, error: Error) -> Error {
        let Self { engine, call, action, once, is_spent } = self;
        let Some(once) = once.as_ref().filter(|_| !is_spent && error.reason() != Reason::NonceReplayed) else {
            return engine.turn_away(call, *action, error).await;
        };
        // A nonce is for one attempt, whatever becomes of it.
        let mut batch = Batch::default();
        once.spend(&mut batch);
        match engine.node.record_once(call, *action, error.reason(), batch).await {
            Ok(()) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    /// The same as [`Operation::note`] where nothing follows: what keeps the entry out is an entry.
    ///
    /// # Errors
    /// As of [`Operation::note`].
    pub(crate) async fn conclude(&mut self, policy_set: [u8; 8], deed: Deed) -> Result<(), Error> {
        match self.note(policy_set, deed).await {
            Err(error) if !error.is_unrecorded() => Err(self.refuse(error).await),
            concluded => concluded,
        }
    }

    /// Commits what the operator does with the entry that stands for it, under the rules with this fingerprint.
    ///
    /// # Errors
    /// When the call's nonce was used before, or the log takes no entries.
    pub(crate) async fn note(&mut self, policy_set: [u8; 8], deed: Deed) -> Result<(), Error> {
        let Self { engine, call, action, .. } = *self;
        let Deed { reference, about, prune_to, batch } = deed;
        let people = People {
            principal: Some(call.principal.clone()),
            issuer: call.issuer.clone(),
            certificate: call.certificate,
            source: call.source,
            reference,
            about,
            ..People::default()
        };
        let entry = plain_entry(
            &mut CallRandom::seeded(&*engine.entropy)?,
            engine.clock.wall(),
            (action, Decision::Allowed, None),
            policy_set,
            call.request_id,
            NonZeroU32::MIN,
            &SealedPart::Clear(Box::new(people)),
        )?;
        let node = &engine.node;
        let (mut draft, snapshot) = Draft::begin(&node.journal, &node.reader, &*engine.clock, None).await?;
        (draft.batch, draft.prune_to) = (batch, prune_to);
        if let Some(once) = self.once.as_ref().filter(|_| !self.is_spent) {
            once.take(&snapshot, &mut draft).await?;
        }
        drop(snapshot);
        match draft.commit(&node.journal, entry).await {
            // There is no other condition: a call with this nonce came first.
            Err(error) if error.reason() == Reason::CommitConflict => Err(Error::new(Reason::NonceReplayed)),
            Err(error) => Err(error),
            Ok(_) => {
                self.is_spent = true;
                Ok(())
            }
        }
    }
}
