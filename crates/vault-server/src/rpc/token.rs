//! TokenService.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vault_domain::Action;
use vault_engine::Engine;
use vault_proto::v1::{
    DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse, token_service_server::TokenService,
};

use super::{call, origin, within_deadline};
use crate::{
    convert::{from_proto, to_proto},
    status::status,
};

/// TokenService on an engine.
pub(crate) struct TokenRpc(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl TokenService for TokenRpc {
    async fn tokenize(&self, request: Request<TokenizeRequest>) -> Result<Response<TokenizeResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::tokenize(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.0.refuse_unread(&call, Action::Tokenize, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.0, &call, self.0.tokenize(&call, &request)).await?;
        Ok(Response::new(to_proto::tokenized(answer, origin(&self.0, &request.region))))
    }

    async fn detokenize(&self, request: Request<DetokenizeRequest>) -> Result<Response<DetokenizeResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let request = match from_proto::detokenize(&mut message) {
            Ok(request) => request,
            Err(error) => {
                let refused = self.0.refuse_unread(&call, Action::Detokenize, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.0, &call, self.0.detokenize(&call, &request)).await?;
        Ok(Response::new(to_proto::detokenized(answer, origin(&self.0, &request.region))))
    }
}
