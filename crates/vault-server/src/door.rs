//! What every request passes: an id, a caller, a deadline; and what every answer passes that no verb gave.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tonic_health::pb::health_server::{Health, HealthServer};
use tower::Service;
use vault_domain::{Action, Reason, RequestId, limits};
use vault_engine::{Call, Engine, Refusal, TraceId};
use vault_proto::{
    MALFORMED,
    v1::{audit_service_server::AuditServiceServer, token_service_server::TokenServiceServer},
};

use crate::{
    identity::Peer,
    intake::{Intake, Read},
    rpc::{Entered, audit::AuditRpc, token::TokenRpc},
    status::{self, REQUEST_ID},
};

const TOKEN_SERVICE: &str = "/tokenvault.v1.TokenService/";
const AUDIT_SERVICE: &str = "/tokenvault.v1.AuditService/";
/// How much longer than its deadline a call may take to bring its request.
const BODY_GRACE: Duration = Duration::from_millis(200);
/// A question about health names a service.
const HEALTH_BYTES_MAX: usize = 1024;
const HEALTH_SERVICE: &str = "/grpc.health.v1.Health/";

/// The services, behind their door. Clones share the engine.
pub(crate) struct Door<H> {
    engine: Arc<Engine>,
    token: TokenServiceServer<TokenRpc>,
    audit: AuditServiceServer<AuditRpc>,
    health: HealthServer<H>,
    intake: Intake,
}

impl<H> Clone for Door<H> {
    fn clone(&self) -> Self {
        let Self { engine, token, audit, health, intake } = self;
        Self {
            engine: engine.clone(),
            token: token.clone(),
            audit: audit.clone(),
            health: health.clone(),
            intake: intake.clone(),
        }
    }
}

impl<H: Health> Door<H> {
    pub(crate) fn new(engine: Arc<Engine>, health: HealthServer<H>) -> Self {
        let most = limits::REQUEST_BYTES_MAX;
        let token = TokenServiceServer::new(TokenRpc(engine.clone())).max_decoding_message_size(most);
        let audit = AuditServiceServer::new(AuditRpc(engine.clone())).max_decoding_message_size(most);
        // An answer holds at most what 1000 values of 64 KiB are; requests are bounded, answers follow from them.
        let (token, audit) = (token.max_encoding_message_size(usize::MAX), audit.max_encoding_message_size(usize::MAX));
        Self { engine, token, audit, health, intake: Intake::new() }
    }

    /// Answers one request of a connection.
    pub(crate) async fn answer(
        mut self,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        if head.uri.path().starts_with(HEALTH_SERVICE) {
            return self.health(head, body).await;
        }
        let mut id = [0; 16];
        if self.engine.entropy().fill(&mut id).is_err() {
            return Ok(Status::internal(Reason::Internal.text()).into_http());
        }
        let id = RequestId(id);
        let call = match self.enter(&peer, id, &head.headers).await {
            Ok(call) => call,
            Err(refused) => return Ok(refused.into_http()),
        };
        let path = head.uri.path();
        let is_token = path.starts_with(TOKEN_SERVICE);
        if !is_token && !path.starts_with(AUDIT_SERVICE) {
            return Ok(self.refuse(&call, Reason::MethodUnknown).await);
        }
        if let Some(http) = not_grpc(&head) {
            let mut refused = self.refuse(&call, Reason::RequestMalformed).await;
            *refused.status_mut() = http;
            return Ok(refused);
        }
        // Its room is kept until the answer is there: in one form or another it is in memory until then.
        let Read { bytes, room } = match self.read(&call, body).await {
            Ok(read) => read,
            Err(reason) => return Ok(self.refuse(&call, reason).await),
        };
        let mut request = Request::from_parts(head, Body::new(Full::new(bytes)));
        request.extensions_mut().insert(Entered(call.clone()));
        let Ok(mut response) = if is_token { self.token.call(request).await } else { self.audit.call(request).await };
        drop(room);
        // An answer of ours carries the request id; what does not was refused by the transport.
        if let Some(reason) = foreign_refusal(response.headers()) {
            return Ok(self.refuse(&call, reason).await);
        }
        if let Ok(id) = HeaderValue::try_from(id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        Ok(response)
    }

    /// Reads a request whole. Who is late here never sent it; from then on the verbs keep the deadline themselves.
    async fn read(&self, call: &Call, body: Incoming) -> Result<Read, Reason> {
        let left = call.deadline.saturating_sub(self.engine.clock().monotonic()).saturating_add(BODY_GRACE);
        let read = tokio::time::timeout(left, self.intake.read(body, limits::REQUEST_BYTES_MAX)).await;
        read.unwrap_or(Err(Reason::DeadlineExceeded))
    }

    /// Answers whoever asks whether the vault serves; nobody needs an account for that.
    async fn health(&mut self, head: Parts, body: Incoming) -> Result<Response<Body>, Infallible> {
        let asked = tokio::time::timeout(limits::CALL_DEADLINE, self.intake.read(body, HEALTH_BYTES_MAX)).await;
        match asked {
            Ok(Ok(read)) => self.health.call(Request::from_parts(head, Body::new(Full::new(read.bytes)))).await,
            Ok(Err(_)) => Ok(Status::resource_exhausted(Reason::RequestTooLarge.text()).into_http()),
            Err(_) => Ok(Status::deadline_exceeded(Reason::DeadlineExceeded.text()).into_http()),
        }
    }

    /// The call that a request begins, if the caller is somebody.
    async fn enter(&self, peer: &Peer, request_id: RequestId, headers: &HeaderMap) -> Result<Arc<Call>, Status> {
        let principal = match &peer.principal {
            Ok(principal) => principal.clone(),
            Err(reason) => {
                let refusal = Refusal {
                    action: Action::Call,
                    reason: *reason,
                    source: Some(peer.source),
                    principal: None,
                    certificate: peer.certificate,
                    request_id,
                };
                let recorded = self.engine.refused_at_the_door(refusal).await;
                return Err(match recorded {
                    Ok(()) => status::bare(*reason, request_id),
                    Err(unrecorded) => status::status(&unrecorded, request_id),
                });
            }
        };
        let wanted = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.as_bytes()));
        let left = wanted.map_or(limits::CALL_DEADLINE, |wanted| wanted.min(limits::CALL_DEADLINE));
        Ok(Arc::new(Call {
            request_id,
            trace_id: headers.get("traceparent").and_then(|value| trace_id(value.as_bytes())),
            principal,
            issuer: peer.issuer.clone(),
            certificate: peer.certificate,
            source: Some(peer.source),
            deadline: self.engine.clock().monotonic().saturating_add(left),
        }))
    }

    /// Refuses a call that never reached a verb.
    async fn refuse(&self, call: &Call, reason: Reason) -> Response<Body> {
        let refusal = Refusal {
            action: Action::Call,
            reason,
            source: call.source,
            principal: Some(call.principal.clone()),
            certificate: call.certificate,
            request_id: call.request_id,
        };
        let status = match self.engine.refused_at_the_door(refusal).await {
            Ok(()) => status::bare(reason, call.request_id),
            Err(unrecorded) => status::status(&unrecorded, call.request_id),
        };
        status.into_http()
    }
}

/// The HTTP status for what is no gRPC request (gRPC over HTTP/2, "Requests"): a browser that holds a certificate can
/// be made to send others.
fn not_grpc(head: &Parts) -> Option<StatusCode> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_grpc =
        kind.strip_prefix("application/grpc").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']));
    match (head.method == Method::POST, is_grpc) {
        (true, true) => None,
        (false, _) => Some(StatusCode::METHOD_NOT_ALLOWED),
        (true, false) => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

/// Why the transport refused a request, if it did.
fn foreign_refusal(headers: &HeaderMap) -> Option<Reason> {
    if headers.contains_key(REQUEST_ID) {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    match status.code() {
        tonic::Code::Ok => None,
        tonic::Code::InvalidArgument if status.message() == MALFORMED => Some(Reason::RequestMalformed),
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => Some(Reason::RequestTooLarge),
        // The services say nothing more of a method that they do not have; a message that is compressed gets a text.
        tonic::Code::Unimplemented if status.message().is_empty() => Some(Reason::MethodUnknown),
        tonic::Code::Cancelled => Some(Reason::Cancelled),
        _ => Some(Reason::RequestMalformed),
    }
}

/// Reads `grpc-timeout`: at most 8 digits and a unit (gRPC over HTTP/2, "Timeout").
fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(amount.saturating_mul(3600))),
        b'M' => Some(Duration::from_secs(amount.saturating_mul(60))),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Reads the trace id of `traceparent` (W3C Trace Context section 3.2).
fn trace_id(value: &[u8]) -> Option<TraceId> {
    let mut parts = std::str::from_utf8(value).ok()?.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    TraceId::new(RequestId::parse(trace)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        assert_eq!(grpc_timeout(b"250m"), Some(Duration::from_millis(250)));
        assert_eq!(grpc_timeout(b"99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for bad in [b"".as_slice(), b"m", b"123456789m", b"-1S", b"1", b"1x", b"1.5S"] {
            assert_eq!(grpc_timeout(bad), None);
        }
    }

    #[test]
    fn a_trace_is_found_in_its_header() {
        let header = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(trace_id(header).map(|trace| trace.get()[0]), Some(0x0A));
        assert!(trace_id(b"00-00000000000000000000000000000000-b7ad6b7169203331-01").is_none());
        assert!(trace_id(b"junk").is_none());
    }
}
