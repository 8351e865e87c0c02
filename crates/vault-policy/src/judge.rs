//! Whether a call may be made: all that stands against it before a value or a token is looked at. The policies decide;
//! here stands what the catalog asks for beside them.
//!
//! It is the one judgement: the engine makes its permits of it, and whoever asks before rules are served (a review, a
//! table of decisions) asks here too. It must stay free of what one call alone can say: values, tokens, nonces, time
//! left.

use vault_catalog::{Account, Catalog, Class, Format};
use vault_domain::{
    Action, Audience, DataClass, LevelAsked, PrincipalId, Purpose, Reason, Region, RevealLevel, Session,
};

use crate::{
    PolicySet,
    decision::Decision,
    request::{Ask, Circumstances, DataScope, Log, Request},
};

/// What is asked for: what a call says beside its items.
#[derive(Clone, Copy, Debug)]
pub struct DataAsked<'a> {
    /// What is to be done; of data.
    pub action: Action,
    /// Where.
    pub region: &'a Region,
    /// Whom the tokens are for.
    pub audience: &'a Audience,
    /// What for, if the call says so.
    pub purpose: Option<&'a Purpose>,
    /// Whether the call says which order, ticket or the like it is about.
    pub has_reference: bool,
    /// How much is to be shown; of detokenize.
    pub level: LevelAsked,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub struct Judged<T> {
    /// What the policies decided; of two decisions, for all of a value and for its mask, the one that counts.
    pub decision: Decision,
    /// What may be done, or why nothing may, as precisely as the log may say.
    pub outcome: Result<T, Reason>,
}

/// What may be done with a class of data.
#[derive(Clone, Copy, Debug)]
pub struct Permitted<'a> {
    /// The class.
    pub class: &'a Class,
    /// Who tokens are meant for: the audience of the call, or all that share the class as one.
    pub addressee: &'a Audience,
    /// How much is shown; None of what shows no values.
    pub level: Option<RevealLevel>,
}

/// How the policies are asked: from memory, or anew.
type Decide = fn(&PolicySet, &Request<'_>) -> Decision;

impl PolicySet {
    /// The account of a caller that comes as this principal, with this access token or by its certificate alone.
    ///
    /// # Errors
    /// When the catalog has none, or another than the access token speaks of; when the account is not let in without
    /// one; and when nobody can come so: names of certificates come without an access token, names of an issuer with
    /// one.
    pub fn admit(&self, principal: &PrincipalId, session: Option<&Session>) -> Result<&Account, Reason> {
        let account = self.catalog().account(principal.as_str()).ok_or(Reason::PrincipalUnknown)?;
        match session {
            None if account.needs_access_token() || account.issuer().is_some() => Err(Reason::AccessTokenRequired),
            Some(_) if account.issuer().is_none() => Err(Reason::PrincipalUnknown),
            Some(session) if session.tenant.as_ref().is_some_and(|tenant| tenant != account.tenant()) => {
                Err(Reason::PrincipalUnknown)
            }
            _ => Ok(account),
        }
    }

    /// Judges a call on one class, from memory if the same was decided before.
    #[must_use]
    pub fn judge<'a>(
        &'a self,
        account: &Account,
        asked: &DataAsked<'a>,
        class: &DataClass,
        circumstances: Circumstances<'_>,
    ) -> Judged<Permitted<'a>> {
        self.judge_by(Self::decide, account, asked, class, circumstances)
    }

    /// The same without looking at or leaving anything in memory.
    #[must_use]
    pub fn judge_anew<'a>(
        &'a self,
        account: &Account,
        asked: &DataAsked<'a>,
        class: &DataClass,
        circumstances: Circumstances<'_>,
    ) -> Judged<Permitted<'a>> {
        self.judge_by(Self::evaluate, account, asked, class, circumstances)
    }

    fn judge_by<'a>(
        &'a self,
        decide: Decide,
        account: &Account,
        asked: &DataAsked<'a>,
        class: &DataClass,
        circumstances: Circumstances<'_>,
    ) -> Judged<Permitted<'a>> {
        let decide = |ask: Ask<'_>| decide(self, &request(account, asked.purpose, ask, circumstances));
        let known = self.catalog().class(class.as_str());
        let (decision, reason, level) = decided(asked, class, known, decide);
        let lacks_purpose = asked.purpose.is_none() && known.is_some_and(Class::purpose_required);
        let refused = match reason {
            // Who was granted the class for any purpose may know that one is missing.
            Some(_) if lacks_purpose && account.names_class(asked.action, class.as_str()) => {
                Some(Reason::PurposeRequired)
            }
            None if lacks_purpose => Some(Reason::PurposeRequired),
            reason => reason,
        };
        let outcome = refused.map_or_else(|| permitted(asked, known, level), Err);
        Judged { decision, outcome }
    }

    /// Judges a call on a log, or on the node itself, from memory if the same was decided before.
    ///
    /// # Errors
    /// In the outcome, when the stated purpose is not registered, the policies refuse, or the action is no log's.
    #[must_use]
    pub fn judge_log(
        &self,
        account: &Account,
        action: Action,
        log: Log<'_>,
        purpose: Option<&Purpose>,
        circumstances: Circumstances<'_>,
    ) -> Judged<()> {
        let decision = self.decide(&request(account, purpose, Ask::Log(action, log), circumstances));
        let outcome = decision.reason().map_or(Ok(()), Err);
        Judged { decision, outcome }
    }
}

/// Whether tokens of the class are of a format that the action can be done to at all: hashes lead to no value, and what
/// is computed has no life that could be changed.
///
/// # Errors
/// When they are not.
pub fn possible(action: Action, class: &Class) -> Result<(), Reason> {
    match (action, class.format()) {
        (Action::Detokenize | Action::Describe, Format::OneWay) => Err(Reason::TokenOneWay),
        (Action::Renew | Action::Suspend | Action::Resume | Action::Revoke, Format::OneWay | Format::Ff1(_)) => {
            Err(Reason::TokenNotStored)
        }
        _ => Ok(()),
    }
}

/// Whether a stated purpose is registered: about one that is not, nothing can be decided.
///
/// # Errors
/// When it is not.
pub fn registered(catalog: &Catalog, purpose: Option<&Purpose>) -> Result<(), Reason> {
    let unknown = purpose.is_some_and(|purpose| catalog.purpose(purpose.as_str()).is_none());
    if unknown { Err(Reason::PurposeUnknown) } else { Ok(()) }
}

fn request<'a>(
    account: &'a Account,
    purpose: Option<&'a Purpose>,
    ask: Ask<'a>,
    circumstances: Circumstances<'a>,
) -> Request<'a> {
    Request { principal: account.principal(), purpose, ask, circumstances }
}

/// The decision that counts, why it is refused, and how much may be shown.
fn decided(
    asked: &DataAsked<'_>,
    class: &DataClass,
    known: Option<&Class>,
    decide: impl Fn(Ask<'_>) -> Decision,
) -> (Decision, Option<Reason>, Option<RevealLevel>) {
    let scope = DataScope { class, audience: asked.audience, region: asked.region };
    let decided = |ask: Ask<'_>| {
        let decision = decide(ask);
        let reason = decision.reason();
        (decision, reason, ask.level())
    };
    match asked.action {
        Action::Detokenize => {
            let has_mask = known.is_some_and(|class| class.mask().is_some());
            decide_level(asked.level, has_mask, |level| decided(Ask::Detokenize(scope, level)))
        }
        action => decided(Ask::Data(action, scope)),
    }
}

/// What the class itself asks of a call that policies allow.
fn permitted<'a>(
    asked: &DataAsked<'a>,
    known: Option<&'a Class>,
    level: Option<RevealLevel>,
) -> Result<Permitted<'a>, Reason> {
    let class = known.ok_or(Reason::DataClassUnknown)?;
    if asked.action == Action::Detokenize && class.reference_required() && !asked.has_reference {
        return Err(Reason::ReferenceRequired);
    }
    let addressee = class.addressee(asked.audience).ok_or(Reason::AccessDenied)?;
    if level == Some(RevealLevel::Masked) && class.mask().is_none() {
        return Err(Reason::MaskUnavailable);
    }
    Ok(Permitted { class, addressee, level })
}

/// Decides on what is asked for. Who asks for all and may be shown a mask is told so, and is not shown the mask; who
/// asks for the best gets it.
fn decide_level(
    asked: LevelAsked,
    has_mask: bool,
    decide: impl Fn(RevealLevel) -> (Decision, Option<Reason>, Option<RevealLevel>),
) -> (Decision, Option<Reason>, Option<RevealLevel>) {
    if asked == LevelAsked::MASKED {
        return decide(RevealLevel::Masked);
    }
    let full = decide(RevealLevel::Full);
    // Who could be shown all after a step-up is told of that.
    if matches!(full.1, None | Some(Reason::StepUpRequired)) && asked != LevelAsked::BestPermitted
        || full.1.is_none()
        || !has_mask
    {
        return full;
    }
    let masked = decide(RevealLevel::Masked);
    match (masked.1, asked) {
        (Some(_), _) => full,
        (None, LevelAsked::BestPermitted) => masked,
        (None, LevelAsked::Exactly(_)) => (full.0, Some(Reason::LevelNotPermitted), full.2),
    }
}
