//! The one translation of refusals into gRPC: codes by one exhaustive match, details by google.rpc messages.

use std::time::Duration;

use tonic::{Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};
use vault_domain::{Code, Reason, RequestId};
use vault_engine::Error;
use vault_proto::{MALFORMED, google::rpc};

/// The domain of every ErrorInfo.
pub(crate) const DOMAIN: &str = "tokenvault";
/// The metadata key under which every answer of the vault carries its request id.
pub(crate) const REQUEST_ID: &str = "tokenvault-request-id";
/// How long a caller should wait who met a full queue.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How long a caller should wait when the log takes no entries.
const AUDIT_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The gRPC code of a kind of refusal.
fn code(code: Code) -> tonic::Code {
    match code {
        Code::InvalidArgument => tonic::Code::InvalidArgument,
        Code::NotFound => tonic::Code::NotFound,
        Code::Denied => tonic::Code::PermissionDenied,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Conflict => tonic::Code::Aborted,
        Code::LimitExceeded => tonic::Code::ResourceExhausted,
        Code::Busy | Code::AuditUnavailable => tonic::Code::Unavailable,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::Cancelled => tonic::Code::Cancelled,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Corrupt => tonic::Code::DataLoss,
        Code::Internal => tonic::Code::Internal,
    }
}

/// The status of a refused call.
pub(crate) fn status(error: &Error, request_id: RequestId) -> Status {
    if let Some(cause) = error.cause() {
        let (reason, request_id) = (error.reason().name(), tracing::field::display(request_id));
        tracing::error!(%request_id, reason, cause = cause as &dyn std::error::Error, "a call failed");
    }
    if matches!(error.code(), Code::Busy | Code::AuditUnavailable) {
        let (reason, request_id) = (error.reason().name(), tracing::field::display(request_id));
        tracing::warn!(%request_id, reason, "a call was turned away");
    }
    let mut details = details(error);
    details.set_request_info(request_id.to_string(), "");
    let message = message(error);
    let mut status = Status::with_error_details(code(error.outside().code()), message, details);
    if let Ok(value) = MetadataValue::try_from(request_id.to_string()) {
        status.metadata_mut().insert(REQUEST_ID, value);
    }
    status
}

/// The status of a refused item.
pub(crate) fn item_status(error: &Error) -> rpc::Status {
    if let Some(cause) = error.cause() {
        tracing::error!(reason = error.reason().name(), cause = cause as &dyn std::error::Error, "an item failed");
    }
    let status = Status::with_error_details(code(error.outside().code()), message(error), details(error));
    prost::Message::decode(status.details()).unwrap_or_else(|_| rpc::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// What happened, and what to do about it.
fn message(error: &Error) -> String {
    let outside = error.outside();
    match (error.invalid_field(), error.rule()) {
        (Some((field, rule)), _) => format!("{field} {rule}"),
        (None, Some(rule)) => format!("{} (rule: {rule}): {}", outside.text(), outside.remedy()),
        (None, None) => format!("{}: {}", outside.text(), outside.remedy()),
    }
}

fn details(error: &Error) -> ErrorDetails {
    let outside = error.outside();
    let mut metadata = std::collections::HashMap::new();
    if let Some(rule) = error.rule() {
        metadata.insert("rule".to_owned(), rule.to_owned());
    }
    if let Some(detail) = error.detail() {
        metadata.insert("detail".to_owned(), detail.to_owned());
    }
    if let Some((region, endpoint)) = error.served_by() {
        metadata.insert("region".to_owned(), region.to_string());
        if let Some(endpoint) = endpoint {
            metadata.insert("endpoint".to_owned(), endpoint.to_owned());
        }
    }
    let mut details = ErrorDetails::with_error_info(outside.name(), DOMAIN, metadata);
    if let Some((field, rule)) = error.invalid_field() {
        details.add_bad_request_violation(field, rule);
    }
    match outside.code() {
        Code::Busy => {
            details.set_retry_info(Some(RETRY_DELAY));
        }
        Code::AuditUnavailable => {
            details.set_retry_info(Some(AUDIT_RETRY_DELAY));
        }
        Code::LimitExceeded => {
            details.add_quota_failure_violation("tokenvault", outside.text());
            if let Some(delay) = error.retry_delay() {
                details.set_retry_info(Some(delay));
            }
        }
        Code::FailedPrecondition => {
            details.add_precondition_failure_violation(outside.name(), "tokenvault", outside.text());
        }
        Code::InvalidArgument
        | Code::NotFound
        | Code::Denied
        | Code::Unauthenticated
        | Code::Conflict
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unimplemented
        | Code::Corrupt
        | Code::Internal => {}
    }
    details
}

/// The status of a call that never reached a verb.
pub(crate) fn bare(reason: Reason, request_id: RequestId) -> Status {
    status(&Error::new(reason), request_id)
}

/// Why the transport refused a request or a message, if it did; `None` if it is no refusal.
pub(crate) fn foreign(status: &Status) -> Option<Reason> {
    match status.code() {
        tonic::Code::Ok => None,
        tonic::Code::InvalidArgument if status.message() == MALFORMED => Some(Reason::RequestMalformed),
        tonic::Code::OutOfRange | tonic::Code::ResourceExhausted => Some(Reason::RequestTooLarge),
        // The services say nothing more of a method that they do not have; a message that is compressed gets a text.
        tonic::Code::Unimplemented if status.message().is_empty() => Some(Reason::MethodUnknown),
        // A stream or a connection that its sender took away: what was on its way is no message, and nobody is left to
        // be told so. Errors of sockets have no code of their own in HTTP/2.
        tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::Unavailable => Some(Reason::Cancelled),
        _ => Some(Reason::RequestMalformed),
    }
}
