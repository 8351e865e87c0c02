//! Policies and catalog that operators exchange by a call: planned, applied as a version, listed, taken back.
//!
//! The order of an exchange makes it whole or nothing, whenever it is cut off. Everything that can refuse the new rules
//! is asked first. Then each region's log says that they are coming; no call goes by them yet. Then the version's rows
//! and the entry of the node's log, with who did it and the hash of the difference, become one commit: from there on a
//! start goes by the new version, before it by the old one. What is left is one swap in memory, which can't fail. If a
//! log takes no entry, the regions that were told are told that the old rules stay.

use std::{num::NonZeroU32, sync::Arc};

use vault_crypto::CallRandom;
use vault_domain::{Action, Decision, Reason, Reference, RequestId, RulesDifference, RulesFingerprint, limits};
use vault_journal::Submission;
use vault_ledger::{Matter, People, SealedPart};
use vault_policy::difference;
use vault_store::Batch;

use crate::{
    Engine,
    call::Call,
    error::Error,
    node::plain_entry,
    open::FIRST_VERSION,
    operate::{Deed, Operation},
    region::RegionVault,
    rules::{Rules, Settled},
    versions::{PolicyVersion, RuleTexts, VersionsError, texts},
};

/// What is to serve.
pub enum RulesTarget {
    /// These texts.
    Texts(RuleTexts),
    /// The texts of a version that is kept.
    Version(u64),
}

/// The rules that a request goes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedRules {
    /// Their version. No number comes twice, so that no request counts twice.
    pub version: u64,
    /// Their fingerprint.
    pub fingerprint: RulesFingerprint,
}

/// An exchange, or the plan of one.
pub struct ExchangeRequest {
    /// What is to serve.
    pub target: RulesTarget,
    /// What serves now, as far as the caller knows. None: only a plan is wanted.
    pub expected: Option<ExpectedRules>,
    /// What for.
    pub reference: Option<Reference>,
}

/// What an exchange came to, or would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The fingerprint of the rules before.
    pub before: RulesFingerprint,
    /// The fingerprint of those that serve from now on, or would; the same if nothing changes.
    pub now: RulesFingerprint,
    /// The version that serves now; None if the rules come from files.
    pub version: Option<u64>,
    /// What names the step.
    pub difference: RulesDifference,
}

/// What serves, and a page of the versions that are kept, newest first.
pub struct VersionsPage {
    /// The page.
    pub versions: Vec<PolicyVersion>,
    /// The version that serves; None if the rules come from files.
    pub serving: Option<u64>,
    /// Its fingerprint.
    pub fingerprint: RulesFingerprint,
}

impl ExchangeRequest {
    /// What it needs a grant for.
    #[must_use]
    pub fn action(&self) -> Action {
        if self.expected.is_some() { Action::ApplyPolicies } else { Action::PlanPolicies }
    }
}

impl Engine {
    /// Exchanges policies and catalog, or says what that would come to. The future has to be driven to its end, even if
    /// nobody waits for the answer any more: what is on disk must be what serves.
    ///
    /// # Errors
    /// When the caller may not, the rules can't serve here, or others serve than the caller goes from: nothing has
    /// changed then, and the node's log has the refusal.
    pub async fn exchange_policies(&self, call: &Call, request: ExchangeRequest) -> Result<Exchanged, Error> {
        let (action, asked) = (request.action(), self.rules());
        let mut operation = self.admit_to_node(call, action).await?;
        let mut settled = self.applying.lock().await;
        // If others came first, the rules say anew who may.
        let rules = self.rules();
        let may = if Arc::ptr_eq(&asked, &rules) { Ok(()) } else { self.may(call, action, &rules) };
        let exchanged = match may {
            Ok(()) => self.exchange(call, &mut operation, request, &mut settled).await,
            Err(error) => Err(error),
        };
        match exchanged {
            Ok(exchanged) => Ok(exchanged),
            Err(error) => Err(operation.refuse(error).await),
        }
    }

    async fn exchange(
        &self,
        call: &Call,
        operation: &mut Operation<'_>,
        request: ExchangeRequest,
        settled: &mut Settled,
    ) -> Result<Exchanged, Error> {
        call.check_deadline(&*self.clock)?;
        let (action, old) = (request.action(), self.rules());
        let before = old.policies.rules_fingerprint();
        if let Some(expected) = request.expected {
            let version = old.version.ok_or(Error::new(Reason::RulesFromFiles))?;
            if expected != (ExpectedRules { version, fingerprint: before }) {
                return Err(Error::new(Reason::RulesMovedOn));
            }
        }
        let (texts, again) = match request.target {
            RulesTarget::Texts(texts) => (texts, None),
            RulesTarget::Version(version) => (self.texts_of(version).await?.1, Some(version)),
        };
        let next = old.version.map(|version| version.saturating_add(1));
        let (rules, texts) = self.read_rules(texts, next, settled).await?;
        let now = rules.policies.rules_fingerprint();
        let mut exchanged = Exchanged { before, now, version: old.version, difference: difference(before, now) };
        call.check_deadline(&*self.clock)?;
        let Some(version) = next.filter(|_| action == Action::ApplyPolicies && before != now) else {
            let difference = Some(exchanged.difference).filter(|_| before != now);
            let about = difference.map(Matter::Difference);
            let deed = Deed { reference: request.reference, about, ..Deed::default() };
            operation.note(old.policies.fingerprint(), deed).await?;
            return Ok(exchanged);
        };
        // Who shuts the door behind oneself can't open it again, and perhaps nobody can.
        self.may(call, Action::ApplyPolicies, &rules).map_err(|_| Error::new(Reason::RulesLockOut))?;
        exchanged.version = Some(version);
        let version = PolicyVersion {
            version,
            applied: self.clock.wall(),
            before,
            fingerprint: now,
            again,
            principal: Some(call.principal.clone()),
            reference: request.reference,
            bytes: 0,
        };
        self.carry_out(call, operation, version, &texts, (rules, settled)).await?;
        Ok(exchanged)
    }

    /// Writes a version down, everywhere, and goes by it.
    async fn carry_out(
        &self,
        call: &Call,
        operation: &mut Operation<'_>,
        mut version: PolicyVersion,
        texts: &RuleTexts,
        (rules, settled): (Rules, &mut Settled),
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        self.versions.put(&mut version, texts, &mut batch).ok_or(Error::new(Reason::RulesTooLarge))?;
        let about = Some(Matter::Difference(version.difference()));
        let deed = Deed { reference: version.reference.clone(), about, batch, ..Deed::default() };
        let policy_set = rules.policies.fingerprint();
        let mut told = Vec::new();
        let written = async {
            for vault in self.regions.values() {
                told.push(vault);
                self.tell(vault, call.request_id, policy_set, None).await?;
            }
            operation.note(policy_set, deed).await
        };
        if let Err(error) = written.await {
            let policy_set = self.rules().policies.fingerprint();
            for vault in told {
                if self.tell(vault, call.request_id, policy_set, Some(error.reason())).await.is_err() {
                    tracing::error!("a region's log could not be told that policies and catalog stay as they are");
                }
            }
            return Err(error);
        }
        tracing::info!(
            version = version.version,
            before = %version.before,
            now = %version.fingerprint,
            "policies and catalog were exchanged"
        );
        self.versions.keep(version);
        self.go_by(rules, settled);
        Ok(())
    }

    /// Tells a region's log that other rules are coming or, with the reason, that they are not.
    async fn tell(
        &self,
        vault: &RegionVault,
        request_id: RequestId,
        policy_set: [u8; 8],
        failed: Option<Reason>,
    ) -> Result<(), Error> {
        let decision = if failed.is_some() { Decision::Failed } else { Decision::Allowed };
        let entry = plain_entry(
            &mut CallRandom::seeded(&*self.entropy)?,
            self.clock.wall(),
            (Action::ApplyPolicies, decision, failed),
            policy_set,
            request_id,
            NonZeroU32::MIN,
            &SealedPart::None,
        )?;
        vault.journal.commit(Submission { entry, ..Submission::default() }).await?;
        Ok(())
    }

    /// Reads texts as rules and holds them against this vault.
    async fn read_rules(
        &self,
        texts: RuleTexts,
        version: Option<u64>,
        settled: &Settled,
    ) -> Result<(Rules, RuleTexts), Error> {
        if texts.bytes() > limits::RULES_BYTES_MAX {
            return Err(Error::new(Reason::RulesTooLarge));
        }
        let reading = tokio::task::spawn_blocking(move || (texts.load(), texts));
        let (read, texts) = reading.await.map_err(|error| Error::because(Reason::Internal, error))?;
        let policies = read.map_err(|error| Error::because(Reason::RulesInvalid, error))?;
        Ok((self.prepare(policies, version, settled).await?, texts))
    }

    async fn texts_of(&self, version: u64) -> Result<(PolicyVersion, RuleTexts), Error> {
        let known = self.versions.get(version).ok_or(Error::new(Reason::PolicyVersionUnknown))?;
        let texts = texts(&self.node.reader, &known).await?;
        Ok((known, texts))
    }

    /// Lists the versions that are kept, at most `most` that are older than `before`, newest first. To ask is an entry
    /// of the node's log.
    ///
    /// # Errors
    /// When the caller may not, which is in the node's log, or when the log takes no entries.
    pub async fn policy_versions(&self, call: &Call, before: Option<u64>, most: usize) -> Result<VersionsPage, Error> {
        let mut operation = self.admit_to_node(call, Action::ListPolicyVersions).await?;
        // Between the commit of a version and the swap to it, what is kept and what serves are not the same.
        let (rules, versions) = {
            let _settled = self.applying.lock().await;
            (self.rules(), self.versions.list(before, most))
        };
        operation.conclude(rules.policies.fingerprint(), Deed::default()).await?;
        call.check_deadline(&*self.clock)?;
        Ok(VersionsPage { versions, serving: rules.version, fingerprint: rules.policies.rules_fingerprint() })
    }

    /// Gives the texts of a version, or of the one that serves. To ask is an entry of the node's log.
    ///
    /// # Errors
    /// When the caller may not or there is no such version, which is in the node's log, or when the log takes no
    /// entries.
    pub async fn policy_version(&self, call: &Call, version: Option<u64>) -> Result<(PolicyVersion, RuleTexts), Error> {
        let mut operation = self.admit_to_node(call, Action::GetPolicyVersion).await?;
        let rules = self.rules();
        let found = match version.or(rules.version) {
            Some(version) => self.texts_of(version).await,
            None => Err(Error::new(Reason::PolicyVersionUnknown)),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => return Err(operation.refuse(error).await),
        };
        operation.conclude(rules.policies.fingerprint(), Deed::default()).await?;
        call.check_deadline(&*self.clock)?;
        Ok(found)
    }

    /// Makes the rules of the files the first version, in one commit with the entry of the node's log that says so.
    pub(crate) async fn begin_versions(&self, texts: &RuleTexts) -> Result<(), Error> {
        let rules = self.rules();
        let mut first = PolicyVersion {
            version: FIRST_VERSION,
            applied: self.clock.wall(),
            before: RulesFingerprint::NONE,
            fingerprint: rules.policies.rules_fingerprint(),
            again: None,
            principal: None,
            reference: None,
            bytes: 0,
        };
        let mut batch = Batch::default();
        self.versions.put(&mut first, texts, &mut batch).ok_or(Error::new(Reason::RulesTooLarge))?;
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let people = People { about: Some(Matter::Difference(first.difference())), ..People::default() };
        let request_id = RequestId(random.bytes());
        let entry = plain_entry(
            &mut random,
            self.clock.wall(),
            (Action::ApplyPolicies, Decision::Allowed, None),
            rules.policies.fingerprint(),
            request_id,
            NonZeroU32::MIN,
            &SealedPart::Clear(Box::new(people)),
        )?;
        self.node.journal.commit(Submission { batch, entry, ..Submission::default() }).await?;
        self.versions.keep(first);
        Ok(())
    }
}

impl From<VersionsError> for Error {
    fn from(error: VersionsError) -> Self {
        match error {
            VersionsError::Read(error) => error.into(),
            VersionsError::Damaged(_) => Self::because(Reason::RecordCorrupt, error),
        }
    }
}
