//! Who may do what: the one place where a [`Permit`] is made. Everything that touches data takes one.

use vault_catalog::{Account, Catalog, Class};
use vault_domain::{Action, Audience, DataClass, LevelAsked, Millis, Purpose, Reason, Region, RevealLevel, Tenant};
use vault_policy::{Ask, DataScope, Decision, Log, PolicyId, PolicySet};

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
pub(crate) fn account<'a>(catalog: &'a Catalog, call: &Call) -> Result<&'a Account, Error> {
    let account = catalog.account(call.principal.as_str()).ok_or(Error::new(Reason::PrincipalUnknown))?;
    match &call.session {
        None if account.needs_access_token() => Err(Error::new(Reason::AccessTokenRequired)),
        Some(session) if session.tenant.as_ref().is_some_and(|tenant| tenant != account.tenant()) => {
            Err(Error::new(Reason::PrincipalUnknown))
        }
        _ => Ok(account),
    }
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
    let catalog = policies.catalog();
    if request.purpose.is_some_and(|purpose| catalog.purpose(purpose.as_str()).is_none()) {
        return Err(Error::new(Reason::PurposeUnknown));
    }
    let mut deciding = Vec::new();
    let permits = request
        .classes
        .iter()
        .map(|class| {
            let class = class.as_ref().ok_or(Reason::DataClassUnknown)?;
            let known = catalog.class(class.as_str());
            let decided = decide(policies, call, request, class, now);
            note(&mut deciding, &decided.decision);
            let lacks_purpose = request.purpose.is_none() && known.is_some_and(Class::purpose_required);
            match decided.reason {
                // Who was granted the class for any purpose may know that one is missing.
                Some(_) if lacks_purpose && account.names_class(request.action, class.as_str()) => {
                    return Err(Reason::PurposeRequired);
                }
                Some(reason) => return Err(reason),
                None if lacks_purpose => return Err(Reason::PurposeRequired),
                None => {}
            }
            let class = known.ok_or(Reason::DataClassUnknown)?;
            if request.action == Action::Detokenize && class.reference_required() && !request.has_reference {
                return Err(Reason::ReferenceRequired);
            }
            let addressee = class.addressee(request.audience).ok_or(Reason::AccessDenied)?;
            let reveal = match decided.level {
                Some(RevealLevel::Full) => Some(Reveal::Full),
                Some(RevealLevel::Masked) => Some(Reveal::Masked(class.mask().ok_or(Reason::MaskUnavailable)?)),
                None => None,
            };
            let (action, region) = (request.action, request.region);
            Ok(Permit { action, class, tenant: account.tenant(), addressee, region, reveal })
        })
        .collect();
    Ok(Authorized { permits, policies: deciding })
}

/// The decision that counts for a class, and what follows from it.
struct Decided {
    decision: Decision,
    /// Why it is refused; more than the decision says if less could have been asked for.
    reason: Option<Reason>,
    /// How much may be shown, if anything is.
    level: Option<RevealLevel>,
}

fn decide(policies: &PolicySet, call: &Call, request: &DataRequest<'_>, class: &DataClass, now: Millis) -> Decided {
    let scope = DataScope { class, audience: request.audience, region: request.region };
    let decided = |ask: Ask<'_>| {
        let decision = policies.decide(&call.asks(ask, request.purpose, now));
        Decided { reason: decision.reason(), decision, level: ask.level() }
    };
    match request.action {
        Action::Tokenize => decided(Ask::Tokenize(scope)),
        Action::Describe => decided(Ask::Describe(scope)),
        Action::ExplainAccess => decided(Ask::ExplainAccess(scope)),
        _ => {
            let has_mask = policies.catalog().class(class.as_str()).is_some_and(|class| class.mask().is_some());
            decide_level(request.level, has_mask, |level| decided(Ask::Detokenize(scope, level)))
        }
    }
}

/// Decides on what is asked for. Who asks for all and may be shown a mask is told so, and is not shown the mask; who
/// asks for the best gets it.
fn decide_level(asked: LevelAsked, has_mask: bool, decide: impl Fn(RevealLevel) -> Decided) -> Decided {
    if asked == LevelAsked::MASKED {
        return decide(RevealLevel::Masked);
    }
    let full = decide(RevealLevel::Full);
    // Who could be shown all after a step-up is told of that.
    if matches!(full.reason, None | Some(Reason::StepUpRequired)) && asked != LevelAsked::BestPermitted
        || full.reason.is_none()
        || !has_mask
    {
        return full;
    }
    let masked = decide(RevealLevel::Masked);
    match (masked.reason, asked) {
        (Some(_), _) => full,
        (None, LevelAsked::BestPermitted) => masked,
        (None, LevelAsked::Exactly(_)) => Decided { reason: Some(Reason::LevelNotPermitted), ..full },
    }
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
    if purpose.is_some_and(|purpose| policies.catalog().purpose(purpose.as_str()).is_none()) {
        return (Err(Error::new(Reason::PurposeUnknown)), Vec::new());
    }
    let ask = match action {
        Action::GetCheckpoint => Ask::GetCheckpoint(log),
        Action::DenyAccessToken => Ask::DenyAccessToken(log),
        Action::ListDenied => Ask::ListDenied(log),
        Action::ApplyPolicies => Ask::ApplyPolicies(log),
        Action::PlanPolicies => Ask::PlanPolicies(log),
        Action::ListPolicyVersions => Ask::ListPolicyVersions(log),
        Action::GetPolicyVersion => Ask::GetPolicyVersion(log),
        _ => Ask::QueryAccessLog(log),
    };
    let decision = policies.decide(&call.asks(ask, purpose, now));
    let mut deciding = Vec::new();
    note(&mut deciding, &decision);
    match decision.reason() {
        Some(reason) => (Err(Error::new(reason)), deciding),
        None => (Ok(LogPermit { tenant: account.tenant() }), deciding),
    }
}

/// Collects the policies of a decision, each once, as many as an entry can name.
fn note(deciding: &mut Vec<PolicyId>, decision: &Decision) {
    for policy in decision.policies().iter() {
        if deciding.len() < vault_policy::POLICIES_MAX && !deciding.contains(policy) {
            deciding.push(policy.clone());
        }
    }
}
