//! What every request passes: an id, a caller, a deadline; and what every answer passes that no verb gave.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header::CONTENT_TYPE, request::Parts,
};
use http_body_util::Full;
use hyper::body::Incoming;
use tonic::{Status, body::Body};
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer, Service, util::BoxCloneSyncService};
use vault_domain::{Action, Freshness, Reason, RequestId, limits};
use vault_engine::{Call, Engine, Error, Issuer, Refusal, TraceId};
use vault_identity::{Fault, Verified};
use vault_proto::{
    DESCRIPTORS, NONCE_METADATA, TIMESTAMP_METADATA,
    v1::{
        admin_service_server::AdminServiceServer, audit_service_server::AuditServiceServer,
        token_service_server::TokenServiceServer,
    },
};

use crate::{
    access_token::{self, AccessTokens},
    identity::Peer,
    intake::{Framing, Intake, Read},
    outside::Outside,
    rpc::{Entered, Shown, admin::AdminRpc, audit::AuditRpc, stream::Streams, token::TokenRpc},
    status::{self, REQUEST_ID},
    tls::Standing,
};

const TOKEN_SERVICE: &str = "/tokenvault.v1.TokenService/";
const AUDIT_SERVICE: &str = "/tokenvault.v1.AuditService/";
const ADMIN_SERVICE: &str = "/tokenvault.v1.AdminService/";
const STREAMS: [&str; 2] =
    ["/tokenvault.v1.TokenService/TokenizeStream", "/tokenvault.v1.TokenService/DetokenizeStream"];
/// Streams of answers alone.
const ANSWER_STREAMS: [&str; 2] =
    ["/tokenvault.v1.AuditService/TailAccessLog", "/tokenvault.v1.AuditService/ExportAccessLog"];
/// How much longer than its deadline a call may take to bring its request.
const BODY_GRACE: Duration = Duration::from_millis(200);
/// A question about health names a service.
const HEALTH_BYTES_MAX: usize = 1024;
const REFLECTION_SERVICE: &str = "/grpc.reflection.v1.ServerReflection/";
const HEALTH_SERVICE: &str = "/grpc.health.v1.Health/";

/// The services, behind their door. Requests share one, and clone the one service that they call.
pub(crate) struct Door<H> {
    engine: Arc<Engine>,
    access_tokens: Option<Arc<AccessTokens>>,
    token: TokenServiceServer<TokenRpc>,
    /// The same for gRPC-Web.
    web_token: GrpcWebService<TokenServiceServer<TokenRpc>>,
    /// The same for streams, whose messages are smaller.
    streams: TokenServiceServer<TokenRpc>,
    audit: AuditServiceServer<AuditRpc>,
    web_audit: GrpcWebService<AuditServiceServer<AuditRpc>>,
    /// For operators' tools alone, which speak gRPC.
    admin: AdminServiceServer<AdminRpc>,
    health: HealthServer<H>,
    reflection: Option<Reflection>,
    intake: Intake,
}

/// The service that tells the contract.
type Reflection = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

impl<H: Health> Door<H> {
    pub(crate) fn new(
        engine: Arc<Engine>,
        access_tokens: Option<AccessTokens>,
        health: HealthServer<H>,
        streams: Streams,
        reflects: bool,
        outside: Arc<Outside>,
    ) -> Self {
        let access_tokens = access_tokens.map(Arc::new);
        if let Some(access_tokens) = &access_tokens {
            access_tokens.start();
        }
        let admin = AdminRpc { engine: engine.clone(), access_tokens: access_tokens.clone(), streams: streams.clone() };
        let admin = AdminServiceServer::new(admin).max_decoding_message_size(limits::REQUEST_BYTES_MAX);
        let reflection = reflects.then(reflection).flatten();
        let most = limits::REQUEST_BYTES_MAX;
        let audit = AuditRpc { engine: engine.clone(), streams: streams.clone(), outside };
        let audit = AuditServiceServer::new(audit).max_decoding_message_size(most);
        let rpc = Arc::new(TokenRpc { engine: engine.clone(), streams, access_tokens: access_tokens.clone() });
        let token = TokenServiceServer::from_arc(rpc.clone()).max_decoding_message_size(most);
        let streams = TokenServiceServer::from_arc(rpc).max_decoding_message_size(limits::STREAM_MESSAGE_BYTES_MAX);
        let streams = streams.max_encoding_message_size(usize::MAX);
        // An answer holds at most what 1000 values of 64 KiB are; requests are bounded, answers follow from them.
        let (token, audit) = (token.max_encoding_message_size(usize::MAX), audit.max_encoding_message_size(usize::MAX));
        let web = GrpcWebLayer::new();
        let (web_token, web_audit) = (web.layer(token.clone()), web.layer(audit.clone()));
        Self {
            engine,
            access_tokens,
            admin,
            token,
            web_token,
            streams,
            audit,
            web_audit,
            health,
            reflection,
            intake: Intake::new(),
        }
    }

    /// Answers one request of a connection.
    pub(crate) async fn answer(
        self: Arc<Self>,
        standing: Arc<Standing>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let transport = Transport::of(&head);
        if head.uri.path().starts_with(HEALTH_SERVICE) && transport == Ok(Transport::Grpc) {
            return Box::pin(self.health(head, body)).await;
        }
        let mut id = [0; 16];
        if self.engine.entropy().fill(&mut id).is_err() {
            return Ok(Status::internal(Reason::Internal.text()).into_http());
        }
        let id = RequestId(id);
        let is_stream = STREAMS.contains(&head.uri.path());
        let is_tail = ANSWER_STREAMS.contains(&head.uri.path());
        let longest = if is_stream || is_tail { limits::STREAM_DEADLINE } else { limits::CALL_DEADLINE };
        let (call, verified) = match self.enter(&standing, id, &head, longest).await {
            Ok(entered) => entered,
            Err(refused) => return Ok(answer_of(refused, transport)),
        };
        if let Err(error) = self.engine.pace(&call) {
            return Ok(self.refuse_by(&call, error, transport).await);
        }
        let path = head.uri.path();
        if path.starts_with(REFLECTION_SERVICE)
            && transport == Ok(Transport::Grpc)
            && let Some(reflection) = &self.reflection
        {
            return self.reflect(reflection, &call, Request::from_parts(head, Body::new(body))).await;
        }
        let is_token = path.starts_with(TOKEN_SERVICE);
        let is_admin = path.starts_with(ADMIN_SERVICE) && !matches!(transport, Ok(Transport::Web | Transport::WebText));
        if !is_token && !is_admin && !path.starts_with(AUDIT_SERVICE) {
            return Ok(self.refuse(&call, Reason::MethodUnknown, transport).await);
        }
        let transport = match transport {
            // A stream that goes both ways is more than gRPC-Web has.
            Ok(web @ (Transport::Web | Transport::WebText)) if is_stream => {
                return Ok(self.refuse(&call, Reason::MethodUnknown, Ok(web)).await);
            }
            Ok(transport) => transport,
            Err(http) => return Ok(self.refuse(&call, Reason::RequestMalformed, Err(http)).await),
        };
        if is_stream {
            // Its messages are read one by one, as their answers are taken.
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(Entered(call.clone()));
            request.extensions_mut().insert(standing);
            request.extensions_mut().insert(Shown { verified, tokens: self.access_tokens.clone() });
            let Ok(response) = self.streams.clone().call(request).await;
            return Ok(self.answered(&call, response, transport).await);
        }
        // Its room is kept until the answer is there: in one form or another it is in memory until then.
        let framing = if transport == Transport::WebText { Framing::Base64 } else { Framing::Bytes };
        let Read { bytes, room } = match self.read(&call, body, framing).await {
            Ok(read) => read,
            Err(reason) => return Ok(self.refuse(&call, reason, Ok(transport)).await),
        };
        let mut request = Request::from_parts(head, Body::new(Full::new(bytes)));
        request.extensions_mut().insert(Entered(call.clone()));
        if is_tail {
            request.extensions_mut().insert(standing);
            request.extensions_mut().insert(Shown { verified, tokens: self.access_tokens.clone() });
        }
        let Ok(response) = match (transport, is_token) {
            (Transport::Grpc, _) if is_admin => self.admin.clone().call(request).await,
            (Transport::Grpc, true) => self.token.clone().call(request).await,
            (Transport::Grpc, false) => self.audit.clone().call(request).await,
            (Transport::Web | Transport::WebText, true) => self.web_token.clone().call(request).await,
            (Transport::Web | Transport::WebText, false) => self.web_audit.clone().call(request).await,
        };
        drop(room);
        Ok(self.answered(&call, response, transport).await)
    }

    /// Tells the contract to whoever has an account.
    async fn reflect(
        &self,
        reflection: &Reflection,
        call: &Call,
        request: Request<Body>,
    ) -> Result<Response<Body>, Infallible> {
        if let Err(unknown) = self.engine.admit(call, Action::Call).await {
            return Ok(status::status(&unknown, call.request_id).into_http());
        }
        reflection.clone().call(request).await
    }

    /// The answer with the request's id; where the transport refused the request, our own refusal.
    async fn answered(&self, call: &Call, mut response: Response<Body>, transport: Transport) -> Response<Body> {
        // An answer of ours carries the request id; what does not was refused by the transport.
        if !response.headers().contains_key(REQUEST_ID)
            && let Some(status) = Status::from_header_map(response.headers())
            && let Some(reason) = status::foreign(&status)
        {
            return self.refuse(call, reason, Ok(transport)).await;
        }
        if let Ok(id) = HeaderValue::try_from(call.request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    /// Reads a request whole. Who is late here never sent it; from then on the verbs keep the deadline themselves.
    async fn read(&self, call: &Call, body: Incoming, framing: Framing) -> Result<Read, Reason> {
        let left = call.deadline.saturating_sub(self.engine.clock().monotonic()).min(limits::CALL_DEADLINE);
        let left = left.saturating_add(BODY_GRACE);
        let read = pin!(self.intake.read(body, limits::REQUEST_BYTES_MAX, framing));
        let read = tokio::time::timeout(left, read).await;
        read.unwrap_or(Err(Reason::DeadlineExceeded))
    }

    /// Answers whoever asks whether the vault serves; nobody needs an account for that.
    async fn health(&self, head: Parts, body: Incoming) -> Result<Response<Body>, Infallible> {
        let asked =
            tokio::time::timeout(limits::CALL_DEADLINE, self.intake.read(body, HEALTH_BYTES_MAX, Framing::Bytes)).await;
        match asked {
            Ok(Ok(read)) => self.health.clone().call(Request::from_parts(head, Body::new(Full::new(read.bytes)))).await,
            Ok(Err(_)) => Ok(Status::resource_exhausted(Reason::RequestTooLarge.text()).into_http()),
            Err(_) => Ok(Status::deadline_exceeded(Reason::DeadlineExceeded.text()).into_http()),
        }
    }

    /// The call that a request begins, if the caller is somebody.
    async fn enter(
        &self,
        standing: &Standing,
        request_id: RequestId,
        head: &Parts,
        longest: Duration,
    ) -> Result<(Arc<Call>, Option<Arc<Verified>>), Status> {
        let (peer, headers) = (&standing.peer, &head.headers);
        let principal = match standing.check().and_then(|()| peer.principal.clone()) {
            Ok(principal) => principal,
            Err(reason) => return Err(self.turn_away(peer, reason, request_id).await),
        };
        let verified = match self.admit(peer, head).await {
            Ok(verified) => verified,
            Err(fault) => {
                tracing::info!(request_id = %request_id, %fault, "an access token was refused");
                return Err(self.turn_away(peer, fault.reason(), request_id).await);
            }
        };
        let wanted = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.as_bytes()));
        let left = wanted.map_or(longest, |wanted| wanted.min(longest));
        let clock = self.engine.clock();
        // A stream does not outlive the token that it was opened with.
        let lasts = |verified: &Verified| Duration::from_millis(verified.expires.0.saturating_sub(clock.wall().0));
        let left = verified.as_ref().map_or(left, |verified| left.min(lasts(verified)));
        let (principal, session, issuer) = match &verified {
            Some(verified) => {
                let issuer = Issuer::parse(&verified.issuer).ok();
                (verified.principal.clone(), Some(verified.session.clone()), issuer)
            }
            None => (principal, None, peer.issuer.clone()),
        };
        let call = Call {
            request_id,
            trace_id: headers.get("traceparent").and_then(|value| trace_id(value.as_bytes())),
            principal,
            session,
            issuer,
            certificate: peer.certificate,
            source: Some(peer.source),
            freshness: freshness(headers),
            deadline: clock.monotonic().saturating_add(left),
        };
        Ok((Arc::new(call), verified))
    }

    /// The access token of a call, if it has one.
    async fn admit(&self, peer: &Peer, head: &Parts) -> Result<Option<Arc<Verified>>, Fault> {
        let path = head.uri.path();
        let verified = access_token::admit(self.access_tokens.as_deref(), &head.headers, path, peer).await?;
        match &verified {
            Some(token) if self.engine.is_denied(&token.issuer, &token.jti) => Err(Fault::Denied),
            _ => Ok(verified),
        }
    }

    /// Refuses a caller who could not say who it is: the node's log names its certificate's principal, if it has one.
    async fn turn_away(&self, peer: &Peer, reason: Reason, request_id: RequestId) -> Status {
        let refusal = Refusal {
            action: Action::Call,
            reason,
            source: Some(peer.source),
            principal: peer.principal.as_ref().ok().cloned(),
            certificate: peer.certificate,
            request_id,
        };
        match Box::pin(self.engine.refused_at_the_door(refusal)).await {
            Ok(()) => status::bare(reason, request_id),
            Err(unrecorded) => status::status(&unrecorded, request_id),
        }
    }

    /// Refuses a call that never reached a verb.
    async fn refuse(&self, call: &Call, reason: Reason, transport: Result<Transport, StatusCode>) -> Response<Body> {
        self.refuse_by(call, Error::new(reason), transport).await
    }

    /// The same with what the error says beside its reason.
    async fn refuse_by(&self, call: &Call, error: Error, transport: Result<Transport, StatusCode>) -> Response<Body> {
        let refusal = Refusal {
            action: Action::Call,
            reason: error.reason(),
            source: call.source,
            principal: Some(call.principal.clone()),
            certificate: call.certificate,
            request_id: call.request_id,
        };
        let status = match Box::pin(self.engine.refused_at_the_door(refusal)).await {
            Ok(()) => status::status(&error, call.request_id),
            Err(unrecorded) => status::status(&unrecorded, call.request_id),
        };
        answer_of(status, transport)
    }
}

/// The service that tells the contract; none if the contract can't be told, which is a fault of the build.
fn reflection() -> Option<Reflection> {
    let built = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match built {
        Ok(service) => Some(BoxCloneSyncService::new(service)),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "there is no reflection");
            None
        }
    }
}

/// How a request is put into HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web (PROTOCOL-WEB of grpc/grpc), over HTTP/2 or 1.1: for callers that can't read trailers.
    Web,
    /// The same in base64.
    WebText,
}

impl Transport {
    /// Reads it from a request's head.
    ///
    /// # Errors
    /// With the HTTP status for what is none of them (gRPC over HTTP/2, "Requests"): a browser that holds a certificate
    /// can be made to send others.
    fn of(head: &Parts) -> Result<Self, StatusCode> {
        if head.method != Method::POST {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is =
            |name| kind.strip_prefix(name).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with(['+', ';']));
        if is("application/grpc") && head.version == Version::HTTP_2 {
            Ok(Self::Grpc)
        } else if is("application/grpc-web") {
            Ok(Self::Web)
        } else if is("application/grpc-web-text") {
            Ok(Self::WebText)
        } else {
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        }
    }
}

/// A refusal as the caller's transport has it.
fn answer_of(status: Status, transport: Result<Transport, StatusCode>) -> Response<Body> {
    let mut answer = status.into_http();
    match transport {
        Ok(Transport::Grpc) => {}
        Ok(Transport::Web) => {
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web+proto"));
        }
        Ok(Transport::WebText) => {
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc-web-text+proto"));
        }
        Err(http) => *answer.status_mut() = http,
    }
    answer
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

/// Reads what a call says against its repeat.
fn freshness(headers: &HeaderMap) -> Freshness {
    let said = [NONCE_METADATA, TIMESTAMP_METADATA].map(|name| {
        let mut values = headers.get_all(name).iter();
        // Of two values nobody can say which one was meant: no text stands for them.
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        match (values.next(), values.next()) {
            (Some(value), None) => Some(text(value)),
            (None, _) => None,
            (Some(_), Some(_)) => Some(String::new()),
        }
    });
    let [nonce, timestamp] = &said;
    Freshness::parse(nonce.as_deref(), timestamp.as_deref())
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
