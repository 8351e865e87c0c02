//! Whether a caller would be shown a value, and why not: the way of a reveal, up to where the value would be opened.
//!
//! It must not become an oracle: of a token of another tenant, answer and entry say what they say of one that never
//! was.

use std::{net::IpAddr, sync::Arc, time::Duration};

use vault_domain::{Action, Millis, PrincipalId, Purpose, Reason, Reference, RevealLevel, Session, Tenant};
use vault_journal::Receipt;
use vault_policy::{PolicyId, PolicySet};

use crate::{
    Engine,
    authorize::{Authorized, DataRequest, account, authorize},
    call::Call,
    detokenize::DetokenizeRequest,
    error::Error,
    life::Deed,
    present::{Checked, Verb},
};

const EXPLAIN: Verb<RevealLevel> =
    Verb { action: Action::ExplainAccess, method: "ExplainAccess", deed: Deed::Look, finish: Checked::explain };

/// A question about one token.
pub struct ExplainRequest {
    /// The call that is asked about, with one token; region, purpose and reference are those of the question.
    pub tokens: DetokenizeRequest,
    /// Who would make the call; `None` for who asks.
    pub caller: Option<ExplainedCaller>,
}

/// Another caller, as it would come.
pub struct ExplainedCaller {
    /// Its principal.
    pub principal: PrincipalId,
    /// Why it could not even come here, as far as the door alone knows.
    pub barred: Option<Reason>,
    /// What its access token would say.
    pub session: Option<Arc<Session>>,
    /// How long ago it would have authenticated, if its access token said so.
    pub authenticated: Option<Duration>,
    /// Where it would call from.
    pub source: Option<IpAddr>,
    /// The purpose that it would state.
    pub purpose: Option<Purpose>,
    /// The reference that it would carry.
    pub reference: Option<Reference>,
}

/// The answer: whether the value would be shown, and why not.
pub struct Explained {
    /// How much would be shown, or the reason for nothing, as the asker may know it.
    pub outcome: Result<RevealLevel, Error>,
    /// The policies that decided on the data class; none of a call of one's own.
    pub policies: Vec<PolicyId>,
    /// Where the log holds the entry of the question.
    pub receipt: Receipt,
}

impl Engine {
    /// Tells whether a caller would be shown the value of a token, and why not.
    ///
    /// Of a call of one's own it tells what Detokenize would answer. Of another caller's it tells what the log would
    /// say; who asks needs a permission of its own for the data class and audience, and is told of callers of its own
    /// tenant alone.
    ///
    /// # Errors
    /// When the question is refused; the refusal is in the log then, if the log takes entries.
    pub async fn explain(&self, call: &Call, request: &ExplainRequest) -> Result<Explained, Error> {
        let rules = self.rules();
        let ExplainRequest { tokens, caller } = request;
        let mut scope = self.enter(&rules, call, Action::ExplainAccess, &tokens.region).await?;
        let mut asked = scope.evidence(call, Action::ExplainAccess);
        asked.purpose = tokens.purpose.as_ref();
        asked.reference = tokens.reference.as_ref();
        asked.audience = Some(&tokens.audience);
        asked.classes = &tokens.classes;
        asked.explained = caller.as_ref().map(|caller| &caller.principal);
        if let Err(error) = self.judge_freshness(&mut scope, call, Action::ExplainAccess) {
            return Err(self.refuse(&scope, &asked, error).await);
        }
        let data = DataRequest {
            action: Action::ExplainAccess,
            region: &tokens.region,
            audience: &tokens.audience,
            purpose: tokens.purpose.as_ref(),
            has_reference: tokens.reference.is_some(),
            level: tokens.level,
            classes: &tokens.classes,
        };
        let now = self.clock.wall();
        let Some(caller) = caller else {
            let own = DataRequest { action: Action::Detokenize, ..data };
            let authorized = match authorize(&rules.policies, call, scope.account, &own, now) {
                Ok(authorized) => authorized,
                Err(error) => return Err(self.refuse(&scope, &asked, error).await),
            };
            asked.policies = &authorized.policies;
            let permits = &authorized.permits;
            let (outcomes, receipt) = self.present_permitted(&scope, &asked, &EXPLAIN, tokens, permits).await?;
            let outcome = outcomes.into_iter().next().ok_or(Reason::Internal)?;
            let outcome = outcome.map_err(|error| Error::new(error.outside()));
            return Ok(Explained { outcome, policies: Vec::new(), receipt });
        };
        // Who asks is decided on first, and its refusal is that of the question.
        let asker = match authorize(&rules.policies, call, scope.account, &data, now) {
            Ok(asker) => asker,
            Err(error) => return Err(self.refuse(&scope, &asked, error).await),
        };
        asked.policies = &asker.policies;
        if let Some(refused) = asker.permits.iter().find_map(|permit| permit.as_ref().err()) {
            return Err(self.refuse(&scope, &asked, Error::new(*refused)).await);
        }
        let theirs = caller.call(call, now);
        let authorized = caller.authorized(&rules.policies, &theirs, scope.account.tenant(), data, now);
        let permits = &authorized.permits;
        let (outcomes, receipt) = self.present_permitted(&scope, &asked, &EXPLAIN, tokens, permits).await?;
        let outcome = outcomes.into_iter().next().ok_or(Reason::Internal)?;
        Ok(Explained { outcome, policies: authorized.policies, receipt })
    }
}

impl ExplainedCaller {
    /// The call as this caller would make it.
    fn call(&self, asked: &Call, now: Millis) -> Call {
        let age = self.authenticated.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let session = self.session.as_ref().map(|session| {
            let authenticated_at = age.map(|age| Millis(now.0.saturating_sub(age)));
            Arc::new(Session { authenticated_at, ..Session::clone(session) })
        });
        Call { principal: self.principal.clone(), session, source: self.source, ..asked.clone() }
    }

    /// What would be permitted to this caller. Whatever would stand against the call as a whole stands against each of
    /// its classes; of another tenant than `tenant` nobody is known.
    fn authorized<'a>(
        &'a self,
        policies: &'a PolicySet,
        theirs: &'a Call,
        tenant: &Tenant,
        data: DataRequest<'a>,
        now: Millis,
    ) -> Authorized<'a> {
        let explained = DataRequest {
            action: Action::Detokenize,
            purpose: self.purpose.as_ref(),
            has_reference: self.reference.is_some(),
            ..data
        };
        let known = policies.catalog().account(self.principal.as_str());
        let admitted = match self.barred {
            _ if known.is_none_or(|account| account.tenant() != tenant) => Err(Error::new(Reason::PrincipalUnknown)),
            Some(barred) => Err(Error::new(barred)),
            None => account(policies, theirs),
        };
        let authorized = admitted.and_then(|account| authorize(policies, theirs, account, &explained, now));
        authorized.unwrap_or_else(|error| {
            let permits = explained.classes.iter().map(|_| Err(error.reason())).collect();
            Authorized { permits, policies: Vec::new() }
        })
    }
}
