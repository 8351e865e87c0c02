//! AuditService.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use vault_domain::{Action, LogIndex, Region};
use vault_engine::{Call, Engine};
use vault_proto::v1::{
    CountAccessLogRequest, CountAccessLogResponse, ExportAccessLogRequest, GetCheckpointRequest, GetCheckpointResponse,
    GetConsistencyProofRequest, GetConsistencyProofResponse, GetEntryRequest, GetEntryResponse,
    GetInclusionProofRequest, GetInclusionProofResponse, QueryAccessLogRequest, QueryAccessLogResponse,
    TailAccessLogRequest, audit_service_server::AuditService,
};

use super::{call, export, origin, stream::Streams, tail, within_deadline};
use crate::{
    convert::{from_proto, to_proto},
    outside::Outside,
    status::status,
};

/// The name by which the node's own log is asked for; no region can be called so.
pub(super) const NODE: &str = "node";

/// AuditService on an engine.
pub(crate) struct AuditRpc {
    pub(crate) engine: Arc<Engine>,
    pub(crate) streams: Streams,
    pub(crate) outside: Arc<Outside>,
}

impl AuditRpc {
    /// The log that a question about its tree names; `None` for the node's own.
    async fn log(&self, call: &Call, name: &str) -> Result<Option<Region>, Status> {
        if name == NODE {
            return Ok(None);
        }
        match Region::parse(name) {
            Ok(region) => Ok(Some(region)),
            Err(error) => {
                let refused = self.engine.refuse_unread(call, Action::GetCheckpoint, name, error.into()).await;
                Err(status(&refused, call.request_id))
            }
        }
    }
}

/// A size of a tree; zero for that of the newest checkpoint.
fn size(size: u64) -> Option<u64> {
    (size != 0).then_some(size)
}

#[tonic::async_trait]
impl AuditService for AuditRpc {
    type TailAccessLogStream = tail::Answers;
    type ExportAccessLogStream = export::Answers;

    async fn query_access_log(
        &self,
        request: Request<QueryAccessLogRequest>,
    ) -> Result<Response<QueryAccessLogResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let query = match from_proto::query(&mut message) {
            Ok(query) => query,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::QueryAccessLog, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let region = query.region.clone();
        let answer = within_deadline(&self.engine, &call, self.engine.query_access_log(&call, query)).await?;
        Ok(Response::new(to_proto::page(answer, origin(&self.engine, &region))))
    }

    async fn count_access_log(
        &self,
        request: Request<CountAccessLogRequest>,
    ) -> Result<Response<CountAccessLogResponse>, Status> {
        let call = call(&request)?;
        let mut message = request.into_inner();
        let (query, by) = match from_proto::count(&mut message) {
            Ok(asked) => asked,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::QueryAccessLog, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let region = query.region.clone();
        let answer = within_deadline(&self.engine, &call, self.engine.count_access_log(&call, query, by)).await?;
        Ok(Response::new(to_proto::counts(answer, origin(&self.engine, &region))))
    }

    async fn tail_access_log(&self, request: Request<TailAccessLogRequest>) -> Result<Response<tail::Answers>, Status> {
        tail::open(&self.engine, &self.streams, request).await
    }

    async fn export_access_log(
        &self,
        request: Request<ExportAccessLogRequest>,
    ) -> Result<Response<export::Answers>, Status> {
        export::open(&self.engine, &self.streams, request).await
    }

    async fn get_entry(&self, request: Request<GetEntryRequest>) -> Result<Response<GetEntryResponse>, Status> {
        let call = call(&request)?;
        let message = request.into_inner();
        let query = match from_proto::entry(&message) {
            Ok(query) => query,
            Err(error) => {
                let refused = self.engine.refuse_unread(&call, Action::QueryAccessLog, &message.region, error).await;
                return Err(status(&refused, call.request_id));
            }
        };
        let answer = within_deadline(&self.engine, &call, self.engine.entry(&call, &query)).await?;
        Ok(Response::new(to_proto::single(answer, origin(&self.engine, &query.region))))
    }

    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let call = call(&request)?;
        let log = self.log(&call, &request.into_inner().region).await?;
        let newest = within_deadline(&self.engine, &call, self.engine.checkpoint(&call, log.as_ref())).await?;
        let (checkpoint, verifier_key) = (newest.checkpoint.note.clone(), newest.verifier_key);
        let minimum_index = newest.minimum_index;
        let witnessed = self.outside.witnessed(log.as_ref().map_or(NODE, Region::as_str));
        let witnessed_checkpoint = witnessed.map(|note| note.to_string()).unwrap_or_default();
        Ok(Response::new(GetCheckpointResponse { checkpoint, verifier_key, witnessed_checkpoint, minimum_index }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let call = call(&request)?;
        let GetInclusionProofRequest { region, index, tree_size } = request.into_inner();
        let log = self.log(&call, &region).await?;
        let proved = self.engine.prove_inclusion(&call, log.as_ref(), LogIndex(index), size(tree_size));
        let proved = within_deadline(&self.engine, &call, proved).await?;
        Ok(Response::new(to_proto::inclusion(proved)))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let call = call(&request)?;
        let GetConsistencyProofRequest { region, old_size, new_size } = request.into_inner();
        let log = self.log(&call, &region).await?;
        let proved = self.engine.prove_consistency(&call, log.as_ref(), old_size, size(new_size));
        let proved = within_deadline(&self.engine, &call, proved).await?;
        Ok(Response::new(to_proto::consistency(proved)))
    }
}
