//! Who may do what: the one place where a [`Permit`] is made. Everything that touches data takes one.

use vault_catalog::{Account, Class};
use vault_domain::{Action, Audience, DataClass, LevelAsked, Millis, Purpose, Reason, Region, RevealLevel, Tenant};
use vault_policy::{DataAsked, Decision, Log, Permitted, PolicyId, PolicySet};

use crate::{call::Call, error::Error, reveal::Reveal};

/// The proof that policy allowed this caller an action on one data class, for one audience, purpose and region.
///
/// Its fields are private and only this module makes one: what needs a permit can't be reached around the policies.
#[derive(Clone, Copy)]
pub struct Permit<'a> {
    action: Action,
    class: &'a Class,
    tenant: &'a Tenant,
    addressee: &'a Audience,
    region: &'a Region,
    reveal: Option<Reveal<'a>>,
}

impl<'a> Permit<'a> {
    /// The action allowed.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The data class, with its rules.
    #[must_use]
    pub fn class(&self) -> &'a Class {
        self.class
    }

    /// The tenant, which comes from the principal.
    #[must_use]
    pub fn tenant(&self) -> &'a Tenant {
        self.tenant
    }

    /// Who tokens are meant for: the audience of the request, or all that share the class as one.
    #[must_use]
    pub fn addressee(&self) -> &'a Audience {
        self.addressee
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &'a Region {
        self.region
    }

    /// How much of values may be shown; `None` if nothing may be opened to be shown.
    pub(crate) fn reveal(&self) -> Option<Reveal<'a>> {
        self.reveal
    }
}

/// What data are asked for: the part of a request that authorization looks at.
#[derive(Clone, Copy)]
pub(crate) struct DataRequest<'a> {
    pub(crate) action: Action,
    pub(crate) region: &'a Region,
    pub(crate) audience: &'a Audience,
    pub(crate) purpose: Option<&'a Purpose>,
    /// Whether the caller says which order, ticket or the like it is about.
    pub(crate) has_reference: bool,
    /// How much is to be shown; of detokenize.
    pub(crate) level: LevelAsked,
    /// The distinct classes named; `None` for a text that can't be a class's name.
    pub(crate) classes: &'a [Option<DataClass>],
}

/// The outcome for every distinct class of a request, and the policies that decided.
pub(crate) struct Authorized<'a> {
    pub(crate) permits: Vec<Result<Permit<'a>, Reason>>,
    pub(crate) policies: Vec<PolicyId>,
}

/// The account of a caller.
///
/// # Errors
/// When the catalog has none, or another than the caller's access token speaks of: the caller counts as not
/// authenticated.
pub(crate) fn account<'a>(policies: &'a PolicySet, call: &Call) -> Result<&'a Account, Error> {
    Ok(policies.admit(&call.principal, call.session.as_deref())?)
}

/// Decides once per distinct class.
///
/// # Errors
/// When the stated purpose is not registered: nothing can be decided then.
pub(crate) fn authorize<'a>(
    policies: &'a PolicySet,
    call: &'a Call,
    account: &'a Account,
    request: &DataRequest<'a>,
    now: Millis,
) -> Result<Authorized<'a>, Error> {
    vault_policy::registered(policies.catalog(), request.purpose)?;
    let DataRequest { action, region, audience, purpose, has_reference, level, classes } = *request;
    let asked = DataAsked { action, region, audience, purpose, has_reference, level };
    let mut deciding = Vec::new();
    let permits = classes
        .iter()
        .map(|class| {
            let class = class.as_ref().ok_or(Reason::DataClassUnknown)?;
            let judged = policies.judge(account, &asked, class, call.circumstances(now));
            note(&mut deciding, &judged.decision);
            let Permitted { class, addressee, level } = judged.outcome?;
            let reveal = match level {
                Some(RevealLevel::Full) => Some(Reveal::Full),
                Some(RevealLevel::Masked) => Some(Reveal::Masked(class.mask().ok_or(Reason::MaskUnavailable)?)),
                None => None,
            };
            Ok(Permit { action, class, tenant: account.tenant(), addressee, region, reveal })
        })
        .collect();
    Ok(Authorized { permits, policies: deciding })
}

/// The proof that policy allowed this caller to read a log.
pub struct LogPermit<'a> {
    tenant: &'a Tenant,
}

impl<'a> LogPermit<'a> {
    /// The tenant whose entries may be read.
    #[must_use]
    pub fn tenant(&self) -> &'a Tenant {
        self.tenant
    }
}

/// Decides whether the caller may read a log.
pub(crate) fn authorize_log<'a>(
    policies: &PolicySet,
    call: &Call,
    account: &'a Account,
    action: Action,
    log: Log<'_>,
    purpose: Option<&Purpose>,
    now: Millis,
) -> (Result<LogPermit<'a>, Error>, Vec<PolicyId>) {
    if let Err(unknown) = vault_policy::registered(policies.catalog(), purpose) {
        return (Err(Error::new(unknown)), Vec::new());
    }
    let judged = policies.judge_log(account, action, log, purpose, call.circumstances(now));
    let mut deciding = Vec::new();
    note(&mut deciding, &judged.decision);
    (judged.outcome.map(|()| LogPermit { tenant: account.tenant() }).map_err(Error::new), deciding)
}

/// Collects the policies of a decision, each once, as many as an entry can name.
fn note(deciding: &mut Vec<PolicyId>, decision: &Decision) {
    for policy in decision.policies().iter() {
        if deciding.len() < vault_policy::POLICIES_MAX && !deciding.contains(policy) {
            deciding.push(policy.clone());
        }
    }
}
