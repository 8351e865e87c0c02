//! AdminService.

use std::{sync::Arc, time::Duration};

use tonic::{Request, Response, Status};
use vault_domain::{Action, Millis, Reason, Reference, Region};
use vault_engine::{AccessTokenName, Call, Denial, Engine, Error, PruneRequest};
use vault_proto::v1::{
    ApplyPoliciesRequest, ApplyPoliciesResponse, DeniedAccessToken, DenyAccessTokensRequest, DenyAccessTokensResponse,
    GetPolicyVersionRequest, GetPolicyVersionResponse, ListDeniedAccessTokensRequest, ListDeniedAccessTokensResponse,
    ListPolicyVersionsRequest, ListPolicyVersionsResponse, PruneAccessLogRequest, PruneAccessLogResponse,
    admin_service_server::AdminService,
};

use super::{audit::NODE, call, policies, stream::Streams, within_deadline};
use crate::{access_token::AccessTokens, status::status};

/// Tokens in one request to deny.
const TOKENS_MAX: usize = 100;
/// Tokens in one page of the list.
const PAGE_TOKENS: usize = 1000;
/// How long a token is denied unless told otherwise, and at most: no issuer's may live longer, leeway included.
const LONGEST: Duration = Duration::from_secs(25 * 3600);
/// The longest `jti`.
const JTI_BYTES_MAX: usize = 128;

/// AdminService on an engine.
pub(crate) struct AdminRpc {
    pub(crate) engine: Arc<Engine>,
    pub(crate) access_tokens: Option<Arc<AccessTokens>>,
    /// The tasks that the stop waits for.
    pub(crate) streams: Streams,
}

#[tonic::async_trait]
impl AdminService for AdminRpc {
    async fn deny_access_tokens(
        &self,
        request: Request<DenyAccessTokensRequest>,
    ) -> Result<Response<DenyAccessTokensResponse>, Status> {
        let call = call(&request)?;
        let tokens = match self.tokens(request.into_inner().tokens) {
            Ok(tokens) => tokens,
            Err(error) => return Err(self.refuse(&call, Action::DenyAccessToken, error).await),
        };
        // Not cut off with the call: what is on disk must be what is denied.
        let (engine, own) = (self.engine.clone(), call.clone());
        let denying = self.streams.carry_through(async move { engine.deny_access_tokens(&own, tokens).await });
        within_deadline(&self.engine, &call, denying).await?;
        Ok(Response::new(DenyAccessTokensResponse {}))
    }

    async fn list_denied_access_tokens(
        &self,
        request: Request<ListDeniedAccessTokensRequest>,
    ) -> Result<Response<ListDeniedAccessTokensResponse>, Status> {
        let call = call(&request)?;
        let after = match page_token(&request.into_inner().page_token) {
            Ok(after) => after,
            Err(error) => return Err(self.refuse(&call, Action::ListDenied, error).await),
        };
        let listing = self.engine.denied_access_tokens(&call, after, PAGE_TOKENS);
        let listed = within_deadline(&self.engine, &call, listing).await?;
        let last = listed.last().filter(|_| listed.len() == PAGE_TOKENS);
        let next_page_token = last.map(|(name, _)| format!("{} {}", name.issuer, name.jti)).unwrap_or_default();
        let tokens = listed.into_iter().map(|(name, denial)| DeniedAccessToken {
            issuer: name.issuer.into_string(),
            jti: name.jti.into_string(),
            until_ms: denial.until.0,
            reference: denial.reference.map(|reference| reference.to_string()).unwrap_or_default(),
        });
        Ok(Response::new(ListDeniedAccessTokensResponse { tokens: tokens.collect(), next_page_token }))
    }

    async fn apply_policies(
        &self,
        request: Request<ApplyPoliciesRequest>,
    ) -> Result<Response<ApplyPoliciesResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let action = if message.dry_run { Action::PlanPolicies } else { Action::ApplyPolicies };
        let exchange = match policies::exchange(message) {
            Ok(exchange) => exchange,
            Err(error) => return Err(self.refuse(&call, action, error).await),
        };
        // Not cut off with the call: what is on disk must be what serves.
        let (engine, own) = (self.engine.clone(), call.clone());
        let exchanging = self.streams.carry_through(async move { engine.exchange_policies(&own, exchange).await });
        let exchanged = within_deadline(&self.engine, &call, exchanging).await?;
        Ok(Response::new(policies::exchanged(&exchanged)))
    }

    async fn list_policy_versions(
        &self,
        request: Request<ListPolicyVersionsRequest>,
    ) -> Result<Response<ListPolicyVersionsResponse>, Status> {
        let call = call(&request)?;
        let before = match policies::page_token(&request.into_inner().page_token) {
            Ok(before) => before,
            Err(error) => return Err(self.refuse(&call, Action::ListPolicyVersions, error).await),
        };
        let listing = self.engine.policy_versions(&call, before, policies::PAGE_VERSIONS);
        let page = within_deadline(&self.engine, &call, listing).await?;
        Ok(Response::new(policies::page(&page)))
    }

    async fn get_policy_version(
        &self,
        request: Request<GetPolicyVersionRequest>,
    ) -> Result<Response<GetPolicyVersionResponse>, Status> {
        let call = call(&request)?;
        let version = Some(request.into_inner().version).filter(|version| *version > 0);
        let getting = self.engine.policy_version(&call, version);
        let (version, texts) = within_deadline(&self.engine, &call, getting).await?;
        Ok(Response::new(policies::whole(&version, texts)))
    }

    async fn prune_access_log(
        &self,
        request: Request<PruneAccessLogRequest>,
    ) -> Result<Response<PruneAccessLogResponse>, Status> {
        let call = call(&request)?;
        let request = match pruning(request.into_inner()) {
            Ok(request) => request,
            Err(error) => return Err(self.refuse(&call, Action::PruneAccessLog, error).await),
        };
        // Not cut off with the call: what was archived is to be pruned, and said to be.
        let (engine, own) = (self.engine.clone(), call.clone());
        let pruning = self.streams.carry_through(async move { engine.prune_access_log(&own, request).await });
        let pruned = within_deadline(&self.engine, &call, pruning).await?;
        Ok(Response::new(PruneAccessLogResponse {
            minimum_index_before: pruned.before,
            minimum_index: pruned.minimum_index,
            log_size: pruned.log_size,
            kept_from_ms: pruned.kept_from.0,
            archive: pruned.archive.map(|path| path.display().to_string()).unwrap_or_default(),
            held_by: pruned.held.map(|held| held.kind.name().to_owned()).unwrap_or_default(),
            held_index: pruned.held.map(|held| held.index).unwrap_or_default(),
        }))
    }
}

/// What is to be pruned, and why.
fn pruning(message: PruneAccessLogRequest) -> Result<PruneRequest, Error> {
    let PruneAccessLogRequest { region, dry_run, reference } = message;
    let region = if region == NODE { None } else { Some(Region::parse(&region)?) };
    let reference = if reference.is_empty() { None } else { Some(Reference::parse(&reference)?) };
    Ok(PruneRequest { region, reference, dry_run })
}

impl AdminRpc {
    /// Refuses a request that could not be read.
    async fn refuse(&self, call: &Call, action: Action, error: Error) -> Status {
        let refused = self.engine.refuse_unread_operation(call, action, error).await;
        status(&refused, call.request_id)
    }

    fn tokens(&self, messages: Vec<DeniedAccessToken>) -> Result<Vec<(AccessTokenName, Denial)>, Error> {
        if !(1..=TOKENS_MAX).contains(&messages.len()) {
            return Err(Error::field("tokens", "must be 1 to 100"));
        }
        let now = self.engine.clock().wall();
        let longest = now.saturating_add(LONGEST);
        let token = |message: DeniedAccessToken| {
            // A name that is misspelled would deny nothing, and nobody would know.
            if !self.access_tokens.as_ref().is_some_and(|tokens| tokens.has_issuer(&message.issuer)) {
                return Err(Error::field("issuer", "must be a name in the vault's file of issuers"));
            }
            if !(1..=JTI_BYTES_MAX).contains(&message.jti.len()) {
                return Err(Error::field("jti", "must be 1 to 128 bytes"));
            }
            if message.until_ms != 0 && message.until_ms <= now.0 {
                return Err(Error::field("until_ms", "lies in the past, and would deny nothing: leave it out"));
            }
            let until = if message.until_ms == 0 { longest } else { Millis(message.until_ms).min(longest) };
            let reference = match message.reference.as_str() {
                "" => None,
                reference => Some(Reference::parse(reference)?),
            };
            let name = AccessTokenName { issuer: message.issuer.into(), jti: message.jti.into() };
            Ok((name, Denial { until, reference }))
        };
        messages.into_iter().map(token).collect()
    }
}

fn page_token(text: &str) -> Result<Option<AccessTokenName>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts = text.split_once(' ').filter(|(_, jti)| jti.len() <= JTI_BYTES_MAX);
    let (issuer, jti) = parts.ok_or(Error::new(Reason::PageTokenInvalid))?;
    Ok(Some(AccessTokenName { issuer: issuer.into(), jti: jti.into() }))
}
