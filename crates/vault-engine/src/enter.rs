//! The way into the engine: is the caller somebody, is the region served here; and the way out when it is not.

use vault_catalog::Account;
use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, Clock, DataClass, LevelAsked, Millis, Purpose, Reason, Reference, Region, limits,
};
use vault_journal::Submission;
use vault_store::{Batch, Snapshot};

use crate::{
    Engine,
    authorize::{Authorized, DataRequest, Permit, account, authorize},
    budget::{Allowance, Charged},
    call::Call,
    classes::ClassesInUse,
    draft::Draft,
    error::Error,
    evidence::Evidence,
    region::RegionVault,
    replay::Once,
    rules::Rules,
};

/// A caller with an account, at a region that is served here.
pub(crate) struct Scope<'a> {
    pub(crate) account: &'a Account,
    pub(crate) vault: &'a RegionVault,
    pub(crate) rules: &'a Rules,
    /// The call's nonce, when it was judged and found in order.
    pub(crate) once: Option<Once<'a>>,
}

/// What a call on data says that holds for all of its items.
pub(crate) struct DataCall<'a> {
    pub(crate) action: Action,
    pub(crate) region: &'a Region,
    pub(crate) purpose: Option<&'a Purpose>,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) audience: &'a Audience,
    /// How much is to be shown; of detokenize.
    pub(crate) level: LevelAsked,
    pub(crate) classes: &'a [Option<DataClass>],
}

impl<'a> Scope<'a> {
    /// The call as the log will see it, as far as it is known by now.
    pub(crate) fn evidence(&self, call: &'a Call, action: Action) -> Evidence<'a> {
        let policy_set = self.rules.policies.fingerprint();
        Evidence { tenant: Some(self.account.tenant()), policy_set, ..Evidence::new(call, action) }
    }

    /// Begins a try at the call.
    ///
    /// # Errors
    /// When its nonce was used before.
    pub(crate) async fn draft(
        &self,
        clock: &dyn Clock,
        allowance: &Allowance,
    ) -> Result<(Draft<'a>, Snapshot<'a>), Error> {
        let vault = self.vault;
        let (mut draft, snapshot) = Draft::begin(&vault.journal, &vault.reader, clock, self.once.as_ref()).await?;
        draft.charged = allowance.charged().map(|names| (&vault.budgets, names.to_vec()));
        Ok((draft, snapshot))
    }

    /// The classes of the catalog in the region.
    pub(crate) fn classes(&self, region: &Region) -> Result<&'a ClassesInUse, Error> {
        self.rules.classes.get(region).ok_or(Error::new(Reason::Internal))
    }
}

impl Engine {
    /// Whether the caller has an account, before it is known what it wants.
    ///
    /// # Errors
    /// When it has none: the node's log has the refusal.
    pub async fn admit(&self, call: &Call, action: Action) -> Result<(), Error> {
        match account(&self.rules().policies, call) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.turn_away(call, action, error).await),
        }
    }

    /// Lets a call in, under the rules that it goes by to its end.
    ///
    /// # Errors
    /// When the caller has no account, or the region is not served here: the node's log has the refusal.
    pub(crate) async fn enter<'a>(
        &'a self,
        rules: &'a Rules,
        call: &'a Call,
        action: Action,
        region: &Region,
    ) -> Result<Scope<'a>, Error> {
        let account = match account(&rules.policies, call) {
            Ok(account) => account,
            Err(error) => return Err(self.turn_away(call, action, error).await),
        };
        let Some(vault) = self.regions.get(region) else {
            let error = match rules.policies.catalog().region(region.as_str()) {
                Some(known) => Error::elsewhere(region.clone(), known.endpoint()),
                None => Error::new(Reason::RegionUnknown),
            };
            return Err(self.turn_away(call, action, error).await);
        };
        Ok(Scope { account, vault, once: None, rules })
    }

    /// Tries a call until a commit takes it. What conflicts with others is tried again after those of the region that
    /// have met a conflict before it, one at a time: so that of many that want the same rows each gets its turn.
    ///
    /// # Errors
    /// When it is refused, which the log has then if it takes entries.
    pub(crate) async fn try_in_turn<T, F: Future<Output = Result<T, Error>>>(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        attempt: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut turn = None;
        for _ in 0..limits::COMMIT_TRIES_MAX {
            if let Err(late) = asked.call.check_deadline(&*self.clock) {
                return Err(self.refuse(scope, asked, late).await);
            }
            match attempt().await {
                Ok(done) => {
                    asked.call.check_deadline(&*self.clock)?;
                    return Ok(done);
                }
                Err(error) if error.reason() == Reason::CommitConflict => {
                    if turn.is_none() {
                        turn = Some(scope.vault.turn.lock().await);
                    }
                }
                Err(error) if error.is_unrecorded() => return Err(error),
                Err(error) => return Err(self.refuse(scope, asked, error).await),
            }
        }
        drop(turn);
        Err(self.refuse(scope, asked, Error::new(Reason::CommitConflict)).await)
    }

    /// Writes the refusal of a call that belongs to no region into the node's log, and gives the error back.
    pub(crate) async fn turn_away(&self, call: &Call, action: Action, error: Error) -> Error {
        match Box::pin(self.node.record(call, action, error.reason())).await {
            Ok(()) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    /// Refuses a call whose request could not be read by its door: the region's log has it if a region was named that
    /// is served here and the caller has an account, the node's log otherwise.
    pub async fn refuse_unread(&self, call: &Call, action: Action, region: &str, error: Error) -> Error {
        let rules = self.rules();
        let scope = match Region::parse(region) {
            Ok(region) => self.enter(&rules, call, action, &region).await,
            Err(_) => return self.turn_away(call, action, error).await,
        };
        match scope {
            Ok(scope) => {
                let evidence = scope.evidence(call, action);
                self.refuse(&scope, &evidence, error).await
            }
            Err(error) => error,
        }
    }

    /// Writes the refusal of a whole call into the region's log, and gives the error back: or the log's own, if it does
    /// not take the entry.
    pub(crate) async fn refuse(&self, scope: &Scope<'_>, asked: &Evidence<'_>, error: Error) -> Error {
        // Apart: within every call's own future, which is moved and kept in memory, refusals would take much room.
        match Box::pin(self.record_refusal(scope, asked, error.reason())).await {
            Ok(()) => error,
            Err(unrecorded) => unrecorded,
        }
    }

    async fn record_refusal(&self, scope: &Scope<'_>, asked: &Evidence<'_>, reason: Reason) -> Result<(), Error> {
        let vault = scope.vault;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let mut batch = Batch::default();
        let sealing = vault.keys.sealing(&mut random, &mut batch)?;
        // A nonce is for one attempt, whatever becomes of it. Of one that is used there is a row.
        if let Some(once) = scope.once.as_ref().filter(|_| reason != Reason::NonceReplayed) {
            once.spend(&mut batch);
        }
        let entry = asked.refused(reason).seal(&vault.keys, &sealing, &mut random, &*self.clock)?;
        vault.journal.commit(Submission { batch, entry, ..Submission::default() }).await?;
        vault.keys.committed(&sealing);
        Ok(())
    }

    /// Charges the items of a call, given by the places of their classes, to the caller's budgets: of those classes
    /// that it may do something with.
    pub(crate) fn charge(
        &self,
        scope: &Scope<'_>,
        asked: &Evidence<'_>,
        permits: &[Result<Permit<'_>, Reason>],
        items: impl Iterator<Item = usize>,
    ) -> Allowance {
        let (vault, catalog) = (scope.vault, scope.rules.policies.catalog());
        if catalog.budgets().len() == 0 {
            return Allowance::default();
        }
        let mut counts = vec![0; permits.len()];
        items.for_each(|class| counts.get_mut(class).into_iter().for_each(|count| *count += 1));
        let classes = permits.iter().zip(counts);
        let classes: Vec<_> =
            classes.map(|(permit, count)| Some((permit.as_ref().ok()?.class().id(), count))).collect();
        // Who asks about a call of its own is told what the call would tell.
        let action = match (asked.action, asked.explained) {
            (Action::ExplainAccess, None) => Action::Detokenize,
            (action, _) => action,
        };
        let who = Charged { action, principal: &asked.call.principal, purpose: asked.purpose };
        let now = vault.journal.now(self.clock.wall());
        vault.budgets.charge((catalog, &vault.keys), &who, &classes, now)
    }

    /// How many items were refused in a region for want of budget since the start, and when the last one was; nothing
    /// of a region that is not served here.
    #[must_use]
    pub fn budget_refusals(&self, region: &Region) -> (u64, Option<Millis>) {
        self.regions.get(region).map(|vault| vault.budgets.refusals()).unwrap_or_default()
    }

    /// Lets a call on data in: who makes it is somebody, it was not made before, and it is decided which of its classes
    /// it may do what with. What is given beside that is the call as the log will see it, but for the policies.
    ///
    /// # Errors
    /// When it is refused as a whole; a log has the refusal.
    pub(crate) async fn enter_data<'a>(
        &'a self,
        rules: &'a Rules,
        call: &'a Call,
        data: DataCall<'a>,
    ) -> Result<(Scope<'a>, Evidence<'a>, Authorized<'a>), Error> {
        let DataCall { action, region, purpose, reference, audience, level, classes } = data;
        let mut scope = self.enter(rules, call, action, region).await?;
        let evidence = scope.evidence(call, action);
        let asked = Evidence { purpose, reference, audience: Some(audience), classes, ..evidence };
        if let Err(error) = self.judge_freshness(&mut scope, call, action) {
            return Err(self.refuse(&scope, &asked, error).await);
        }
        let has_reference = reference.is_some();
        let request = DataRequest { action, region, audience, purpose, has_reference, level, classes };
        match authorize(&rules.policies, call, scope.account, &request, self.clock.wall()) {
            Ok(authorized) => Ok((scope, asked, authorized)),
            Err(error) => Err(self.refuse(&scope, &asked, error).await),
        }
    }
}
