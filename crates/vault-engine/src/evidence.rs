//! The entry of a call: what was asked, by whom, how it was decided, and what happened to every item.

use std::num::NonZeroU32;

use vault_crypto::CallRandom;
use vault_domain::{
    Action, Audience, Clock, DataClass, Decision, Millis, PrincipalId, Purpose, Reason, RecordNumber, Reference, Tenant,
};
use vault_keys::{RegionKeys, SealingCall};
use vault_ledger::{
    EntryBuilder, EntryHead, EntrySalt, EntrySealer, LedgerError, Matter, Outcome, People, PolicySetFingerprint,
    SealedPart, TokenHash,
};
use vault_policy::PolicyId;

use crate::{call::Call, error::Error};

/// What the log needs to know of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemEvidence {
    /// Which of the request's classes.
    pub(crate) class: usize,
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// What it was about.
    pub(crate) about: About,
}

/// What an item was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    /// A record.
    Record(RecordNumber),
    /// A token that leads to no record.
    Token(TokenHash),
    /// Neither: a value that got no token, or an item that nobody looked at.
    Nothing,
}

/// A call as the log sees it.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    pub(crate) call: &'a Call,
    pub(crate) tenant: Option<&'a Tenant>,
    pub(crate) action: Action,
    /// Why the call as a whole was refused.
    pub(crate) reason: Option<Reason>,
    pub(crate) purpose: Option<&'a Purpose>,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) audience: Option<&'a Audience>,
    /// The caller that a question is about, if it is not who asks.
    pub(crate) explained: Option<&'a PrincipalId>,
    pub(crate) policies: &'a [PolicyId],
    pub(crate) policy_set: [u8; 8],
    pub(crate) classes: &'a [Option<DataClass>],
    pub(crate) items: &'a [ItemEvidence],
}

/// What stands for a class that the catalog does not have. Its name is never written: it can be a value put in the
/// wrong field.
const UNKNOWN_CLASS: &str = "unknown";

impl<'a> Evidence<'a> {
    /// A call that nothing is known of but who makes it and what for.
    pub(crate) fn new(call: &'a Call, action: Action) -> Self {
        Self {
            call,
            tenant: None,
            action,
            reason: None,
            purpose: None,
            reference: None,
            audience: None,
            explained: None,
            policies: &[],
            policy_set: [0; 8],
            classes: &[],
            items: &[],
        }
    }

    /// The same call with what became of its items.
    pub(crate) fn with(self, items: &'a [ItemEvidence]) -> Self {
        Self { items, ..self }
    }

    /// The same call, refused as a whole.
    pub(crate) fn refused(self, reason: Reason) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// How the call ended: allowed if anything was carried out, denied if nothing was and somebody was kept from
    /// something, failed otherwise.
    fn decision(&self) -> Decision {
        let outcomes = || self.items.iter().map(|item| item.outcome);
        let nothing_asked = self.items.is_empty() && self.reason.is_none();
        if nothing_asked || self.reason.is_none() && outcomes().any(|outcome| outcome.refused().is_none()) {
            Decision::Allowed
        } else if self.reason.into_iter().chain(outcomes().filter_map(Outcome::refused)).any(is_denial) {
            Decision::Denied
        } else {
            Decision::Failed
        }
    }

    /// The entry of a region's log, its people part sealed for the tenant.
    pub(crate) fn seal(
        &self,
        keys: &RegionKeys,
        sealing: &SealingCall,
        random: &mut CallRandom,
        clock: &dyn Clock,
    ) -> Result<Vec<u8>, Error> {
        let salt = EntrySalt(random.bytes());
        let people = match self.tenant {
            Some(tenant) => SealedPart::Sealed(keys.entry_sealer(sealing).seal(tenant, &salt, &self.people())?),
            None => SealedPart::None,
        };
        Ok(self.encode(salt, clock.wall(), &people)?)
    }

    fn people(&self) -> People {
        People {
            tenant: self.tenant.cloned(),
            principal: Some(self.call.principal.clone()),
            issuer: self.call.issuer.clone(),
            certificate: self.call.certificate,
            source: self.call.source,
            reference: self.reference.cloned(),
            subject: None,
            parent: None,
            about: self.explained.cloned().map(Matter::Caller),
        }
    }

    fn encode(&self, salt: EntrySalt, wall_time: Millis, people: &SealedPart) -> Result<Vec<u8>, LedgerError> {
        let head = EntryHead {
            wall_time: wall_time.min(Millis::MAX),
            salt,
            action: self.action,
            decision: self.decision(),
            reason: self.reason,
            request_id: self.call.request_id,
            trace_id: self.call.trace_id,
            count: NonZeroU32::MIN,
            purpose: self.purpose.cloned(),
            audience: self.audience.cloned(),
            policy_set: PolicySetFingerprint(self.policy_set),
        };
        let mut entry = EntryBuilder::new(&head, self.policies.iter().map(PolicyId::as_str))?;
        let unknown = DataClass::parse(UNKNOWN_CLASS).ok();
        for (class, outcome) in self.groups() {
            let alike = || self.items.iter().filter(move |item| (item.class, item.outcome) == (class, outcome));
            let known = outcome != Outcome::Refused(Reason::DataClassUnknown);
            let name = self.classes.get(class).and_then(Option::as_ref).filter(|_| known);
            let Some(name) = name.or(unknown.as_ref()) else { continue };
            let records = alike().filter_map(|item| match item.about {
                About::Record(number) => Some(number),
                About::Token(_) | About::Nothing => None,
            });
            let tokens = alike().filter_map(|item| match item.about {
                About::Token(hash) => Some(hash),
                About::Record(_) | About::Nothing => None,
            });
            let count = u32::try_from(alike().count()).unwrap_or(u32::MAX);
            entry.group(name, outcome, count, records, tokens)?;
        }
        entry.finish(people)
    }

    /// The distinct pairs of class and outcome, in the order in which they first appear.
    fn groups(&self) -> Vec<(usize, Outcome)> {
        let mut groups = Vec::new();
        for item in self.items {
            let group = (item.class, item.outcome);
            // Items of one kind stand together more often than not.
            if groups.last() != Some(&group) && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

/// Whether a reason means that somebody was kept from something that exists.
fn is_denial(reason: Reason) -> bool {
    use vault_domain::Code;
    matches!(reason.code(), Code::Denied | Code::Unauthenticated)
        || matches!(
            reason,
            Reason::TokenOfAnotherAudience
                | Reason::TokenOfAnotherClass
                | Reason::TokenOfAnotherTenant
                | Reason::WrongRegion
                | Reason::TimestampOutsideWindow
                | Reason::NonceReplayed
                | Reason::BudgetSpent
        )
}
