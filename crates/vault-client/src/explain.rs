//! Whether a caller would be shown the value of a token, and why not. Nothing is shown of the value.

use std::{net::IpAddr, time::Duration};

use vault_domain::{
    Assurance, Audience, LevelAsked, PrincipalId, Purpose, Reason, Reference, Region, RevealLevel, Role, Scope,
};
use vault_proto::v1::{self, token_service_client::TokenServiceClient};

use crate::{
    call::Receipt,
    client::Client,
    detokenize::{HeldToken, encode, encode_level},
    error::ClientError,
    tokenize::name,
};

/// A question about one token.
#[derive(Debug)]
pub struct AccessQuestion {
    /// Where the record lives.
    pub region: Region,
    /// Why it is asked; of a call of one's own, what the call would state.
    pub purpose: Option<Purpose>,
    /// A free reference for the log; likewise.
    pub reference: Option<Reference>,
    /// The audience that the call would name.
    pub audience: Audience,
    /// How much the call would ask for.
    pub level: LevelAsked,
    /// The token.
    pub token: HeldToken,
    /// Who would make the call; `None` for who asks.
    pub caller: Option<ExplainedCaller>,
}

/// Another caller, as it would come. To ask about one takes a grant for `explain_access`.
#[derive(Clone, Debug)]
pub struct ExplainedCaller {
    /// Its principal, of the tenant of who asks.
    pub principal: PrincipalId,
    /// What its access token would say. Callers that are named by an issuer come with one, others never.
    pub access_token: Option<ExplainedToken>,
    /// The purpose that it would state.
    pub purpose: Option<Purpose>,
    /// The reference that it would carry.
    pub reference: Option<Reference>,
    /// The address that it would come from.
    pub source: Option<IpAddr>,
}

/// What an access token would say.
#[derive(Clone, Debug, Default)]
pub struct ExplainedToken {
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// The regions that it would be for; none: it would not say.
    pub clearance: Vec<Region>,
    /// How strongly its owner would have proven who it is.
    pub assurance: Option<Assurance>,
    /// How long ago.
    pub authenticated: Option<Duration>,
}

/// Whether the value would be shown, and why not.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// How much would be shown, or why nothing would.
    pub outcome: Result<RevealLevel, WhyNot>,
    /// The ids of the policies that decided on the data class; none of a call of one's own.
    pub policies: Vec<String>,
    /// Where the log holds the entry of the question.
    pub receipt: Receipt,
}

/// Why nothing would be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhyNot {
    /// The reason's name.
    pub reason_name: String,
    /// The reason, if this client knows it.
    pub reason: Option<Reason>,
    /// The same in words.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl Client {
    /// Asks whether a caller would be shown the value of a token. The question becomes an entry of the log.
    ///
    /// # Errors
    /// When the question is refused: who asks about others needs a grant for it.
    pub async fn explain_access(&self, question: AccessQuestion) -> Result<Explanation, ClientError> {
        let AccessQuestion { region, purpose, reference, audience, level, token, caller } = question;
        let text = |purpose: Option<&Purpose>| name(purpose.map(Purpose::as_str));
        let said = |reference: Option<&Reference>| name(reference.map(Reference::as_str));
        let explained = v1::ExplainedCall {
            audience: audience.as_str().to_owned(),
            item: Some(encode(token)),
            level: encode_level(level),
            purpose: text(caller.as_ref().and_then(|caller| caller.purpose.as_ref())),
            reference: said(caller.as_ref().and_then(|caller| caller.reference.as_ref())),
            caller: caller.map(encode_caller),
        };
        let message = v1::ExplainAccessRequest {
            region: region.as_str().to_owned(),
            purpose: text(purpose.as_ref()),
            reference: said(reference.as_ref()),
            explained: Some(explained),
        };
        let made = self.unary(region.as_str(), message, true, |channel, request| async move {
            TokenServiceClient::new(channel).explain_access(request).await
        });
        let answer = made.await.outcome?;
        let receipt = Receipt::read(answer.receipt.as_ref())?;
        let outcome = match (answer.revealed, answer.level()) {
            (true, v1::RevealLevel::Full) => Ok(RevealLevel::Full),
            (true, v1::RevealLevel::Masked) => Ok(RevealLevel::Masked),
            (true, _) => return Err(ClientError::AnswerMalformed("it does not say how much would be shown")),
            (false, _) => Err(WhyNot {
                reason: Reason::ALL.iter().copied().find(|reason| reason.name() == answer.reason),
                reason_name: answer.reason,
                text: answer.text,
                remedy: answer.remedy,
            }),
        };
        Ok(Explanation { outcome, policies: answer.policies, receipt })
    }
}

fn encode_caller(caller: ExplainedCaller) -> v1::ExplainedCaller {
    let ExplainedCaller { principal, access_token, source, .. } = caller;
    let has_token = access_token.is_some();
    let ExplainedToken { roles, scopes, clearance, assurance, authenticated } = access_token.unwrap_or_default();
    v1::ExplainedCaller {
        principal: principal.as_str().to_owned(),
        access_token: has_token,
        roles: roles.iter().map(ToString::to_string).collect(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        clearance: clearance.iter().map(ToString::to_string).collect(),
        assurance: assurance.map_or(0, |assurance| assurance.level().into()),
        authenticated_seconds: authenticated.map(|age| age.as_secs()),
        source: source.map(|source| source.to_string()).unwrap_or_default(),
    }
}
