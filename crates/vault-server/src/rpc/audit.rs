//! AuditService.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vault_domain::{Action, Region};
use vault_engine::Engine;
use vault_proto::v1::{
    GetCheckpointRequest, GetCheckpointResponse, QueryAccessLogRequest, QueryAccessLogResponse,
    audit_service_server::AuditService,
};

use super::{call, origin, within_deadline};
use crate::{
    convert::{from_proto, to_proto},
    status::status,
};

/// The name by which the node's own log is asked for; no region can be called so.
const NODE: &str = "node";

/// AuditService on an engine.
pub(crate) struct AuditRpc(pub(crate) Arc<Engine>);

#[tonic::async_trait]
impl AuditService for AuditRpc {
    async fn query_access_log(
        &self,
        request: Request<QueryAccessLogRequest>,
    ) -> Result<Response<QueryAccessLogResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let query = match from_proto::query(&mut message) {
            Ok(query) => query,
            Err(error) => {
                let refused = self.0.refuse_unread(&call, Action::QueryAccessLog, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let region = query.region.clone();
        let answer = within_deadline(&self.0, &call, self.0.query_access_log(&call, query)).await?;
        Ok(Response::new(to_proto::page(answer, origin(&self.0, &region))))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let call = call(&request)?;
        let region = request.into_inner().region;
        let answer = if region == NODE {
            within_deadline(&self.0, &call, self.0.node_checkpoint(&call)).await?
        } else {
            let region = match Region::parse(&region) {
                Ok(region) => region,
                Err(error) => {
                    let refused = self.0.refuse_unread(&call, Action::GetCheckpoint, &region, error.into()).await;
                    return Err(status(&refused, call.request_id));
                }
            };
            within_deadline(&self.0, &call, self.0.checkpoint(&call, &region)).await?
        };
        let (checkpoint, verifier_key) = answer;
        Ok(Response::new(GetCheckpointResponse { checkpoint: checkpoint.note.clone(), verifier_key }))
    }
}
