//! TokenService.

use std::{pin::pin, sync::Arc, time::Duration};

use tonic::{Request, Response, Status, Streaming};
use vault_domain::{Action, Reason};
use vault_engine::{Change, Engine, ExplainRequest};
use vault_proto::v1::{
    self, ChangeTokensRequest, ChangeTokensResponse, DescribeTokensRequest, DescribeTokensResponse, DetokenizeRequest,
    DetokenizeResponse, TokenizeRequest, TokenizeResponse, token_service_server::TokenService,
};

use super::{
    call, origin,
    stream::{Answers, Detokenizing, Streams, Tokenizing},
    within_deadline,
};
use crate::{
    access_token::AccessTokens,
    convert::{from_proto, to_proto},
    status::status,
};

/// TokenService on an engine.
pub(crate) struct TokenRpc {
    pub(crate) engine: Arc<Engine>,
    pub(crate) streams: Streams,
    pub(crate) access_tokens: Option<Arc<AccessTokens>>,
}

impl TokenRpc {
    /// The question, with what the door knows of the caller that it is about: whose issuer is not believed here does
    /// not come in.
    fn barring(&self, mut request: ExplainRequest) -> ExplainRequest {
        if let Some(caller) = &mut request.caller
            && let Some(issuer) = vault_catalog::issuer(caller.principal.as_str())
            && caller.session.is_some()
            && !self.access_tokens.as_ref().is_some_and(|tokens| tokens.has_issuer(issuer))
        {
            caller.barred = Some(Reason::AccessTokenIssuerUnknown);
        }
        request
    }
}

impl TokenRpc {
    async fn change(
        &self,
        request: Request<ChangeTokensRequest>,
        change: fn(Option<Duration>) -> Change,
    ) -> Answered<ChangeTokensResponse> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let (change, request) = match from_proto::change(&mut message, change) {
            Ok(asked) => asked,
            Err(error) => {
                let action = change(None).action();
                let refused = self.engine.refuse_unread(&call, action, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.change(&call, change, &request))).await?;
        Ok(Response::new(to_proto::changed(answer, origin(&self.engine, &request.region))))
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl TokenService for TokenRpc {
    async fn tokenize(&self, request: Request<TokenizeRequest>) -> Result<Response<TokenizeResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::tokenize(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::Tokenize, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.tokenize(&call, &request))).await?;
        Ok(Response::new(to_proto::tokenized(answer, origin(&self.engine, &request.region))))
    }

    async fn detokenize(&self, request: Request<DetokenizeRequest>) -> Result<Response<DetokenizeResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::detokenize(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::Detokenize, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.detokenize(&call, &request))).await?;
        Ok(Response::new(to_proto::detokenized(answer, origin(&self.engine, &request.region))))
    }

    async fn describe_tokens(
        &self,
        request: Request<DescribeTokensRequest>,
    ) -> Result<Response<DescribeTokensResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::describe(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::Describe, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.describe(&call, &request))).await?;
        Ok(Response::new(to_proto::described(answer, origin(&self.engine, &request.region))))
    }

    async fn find_tokens(&self, request: Request<v1::FindTokensRequest>) -> Answered<v1::FindTokensResponse> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::find(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::Find, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.find(&call, &request))).await?;
        Ok(Response::new(to_proto::found(answer, origin(&self.engine, &request.region))))
    }

    async fn renew_tokens(&self, request: Request<ChangeTokensRequest>) -> Answered<ChangeTokensResponse> {
        self.change(request, Change::Renew).await
    }

    async fn suspend_tokens(&self, request: Request<ChangeTokensRequest>) -> Answered<ChangeTokensResponse> {
        self.change(request, |_| Change::Suspend).await
    }

    async fn resume_tokens(&self, request: Request<ChangeTokensRequest>) -> Answered<ChangeTokensResponse> {
        self.change(request, |_| Change::Resume).await
    }

    async fn revoke_tokens(&self, request: Request<ChangeTokensRequest>) -> Answered<ChangeTokensResponse> {
        self.change(request, |_| Change::Revoke).await
    }

    async fn explain_access(
        &self,
        request: Request<v1::ExplainAccessRequest>,
    ) -> Result<Response<v1::ExplainAccessResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::explain(&mut message) {
            Ok(request) => self.barring(request),
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::ExplainAccess, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, pin!(self.engine.explain(&call, &request))).await?;
        Ok(Response::new(to_proto::explained(answer, origin(&self.engine, &request.tokens.region))))
    }

    type TokenizeStreamStream = Answers<v1::TokenizeStreamResponse>;

    async fn tokenize_stream(
        &self,
        request: Request<Streaming<v1::TokenizeStreamRequest>>,
    ) -> Result<Response<Self::TokenizeStreamStream>, Status> {
        self.streams.open::<Tokenizing>(&self.engine, request).await
    }

    type DetokenizeStreamStream = Answers<v1::DetokenizeStreamResponse>;

    async fn detokenize_stream(
        &self,
        request: Request<Streaming<v1::DetokenizeStreamRequest>>,
    ) -> Result<Response<Self::DetokenizeStreamStream>, Status> {
        self.streams.open::<Detokenizing>(&self.engine, request).await
    }
}
