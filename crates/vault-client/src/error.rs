//! What can go wrong, told apart by what the caller can do about it. Texts never repeat a value, a token or a key.

use std::{collections::BTreeMap, fmt, time::Duration};

use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt};
use vault_domain::{EntropyError, Reason, RequestId};
use vault_ledger::LedgerError;
use vault_proto::google::rpc;

use crate::connect::innermost;

/// The domain of the vault's own ErrorInfo; what bears another one was said by something in between.
const DOMAIN: &str = "tokenvault";
/// The metadata under which every answer of the vault carries its request id.
const REQUEST_ID: &str = "tokenvault-request-id";

/// Why a call, or one item of it, has no result.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// The client is not configured as it must be; nothing was sent.
    #[error("{what} {problem}")]
    Configuration {
        /// What is wrong: `the endpoint`.
        what: &'static str,
        /// How: a sentence's end.
        problem: String,
    },
    /// There is no connection to the vault; nothing was sent.
    #[error("can't connect to {endpoint}: {problem}")]
    Connect {
        /// The vault's endpoint.
        endpoint: String,
        /// The innermost cause.
        problem: String,
    },
    /// The connection broke, or something between us and the vault answered in its place.
    #[error("no answer from the vault: {problem}")]
    Transport {
        /// The innermost cause.
        problem: String,
    },
    /// Nobody has answered there for some attempts; nothing was sent, and nothing is for a while.
    #[error("nobody answered at {endpoint} lately; the next call goes there in {} ms", .after.as_millis())]
    Away {
        /// Where.
        endpoint: String,
        /// When to try again.
        after: Duration,
    },
    /// The vault does not accept our certificate; what was sent was not read.
    #[error(
        "the vault refuses the client certificate (TLS alert {alert}): show one of a client CA that it is \
         configured with"
    )]
    CertificateRefused {
        /// The alert's name (RFC 8446 section 6).
        alert: String,
    },
    /// The call's deadline passed before there was an answer; whether it was carried out is not known.
    #[error("no answer within {} ms; allow more time, and repeat with the same idempotency key", .0.as_millis())]
    Deadline(
        /// The deadline.
        Duration,
    ),
    /// The vault refused the call or the item.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The vault's answer is not one to the request.
    #[error("the answer of the vault makes no sense: {0}; is the client older than the vault?")]
    AnswerMalformed(
        /// What is wrong with it.
        &'static str,
    ),
    /// The log does not hold what it held, or not what a receipt says. Keep receipt and checkpoint: they are evidence.
    #[error("the proof does not verify: {0}")]
    ProofRefuted(
        /// Why not.
        LedgerError,
    ),
    /// The log is not the one that was seen before: it was rolled back, written anew, or another was put in its place.
    #[error("the log {origin} contradicts what was seen of it at size {size}: {problem}; keep both checkpoints")]
    LogContradicted {
        /// The log.
        origin: String,
        /// The size of the newest tree that was seen.
        size: u64,
        /// Why both can't be.
        problem: String,
    },
    /// A checkpoint does not verify. Keep it: it is evidence.
    #[error("the checkpoint does not verify: {0}")]
    CheckpointRefuted(
        /// Why not.
        LedgerError,
    ),
    /// No idempotency key could be drawn; nothing was sent.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// What the vault says when it refuses.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The gRPC code.
    pub code: Code,
    /// The reason's name: what programs match on. Empty if the vault named none.
    pub reason_name: String,
    /// The reason, if this release knows it.
    pub reason: Option<Reason>,
    /// What happened, and what to do about it, for people.
    pub message: String,
    /// The id under which the vault's logs know the call.
    pub request_id: Option<RequestId>,
    /// Which fields break which rules.
    pub violations: Vec<Violation>,
    /// When to try again.
    pub retry_after: Option<Duration>,
    /// What belongs to the reason: `rule` of VALUE_REJECTED, `region` and `endpoint` of WRONG_REGION.
    pub metadata: BTreeMap<String, String>,
}

/// A field of a request that breaks its rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field.
    pub field: String,
    /// The rule.
    pub rule: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (self.reason_name.as_str(), self.request_id) {
            ("", None) => Ok(()),
            ("", Some(id)) => write!(f, " (request {id})"),
            (reason, None) => write!(f, " ({reason})"),
            (reason, Some(id)) => write!(f, " ({reason}, request {id})"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// What to do about it, if this release knows the reason.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        self.reason.map(Reason::remedy)
    }

    fn new(code: Code, message: String, details: &ErrorDetails, request_id: Option<RequestId>) -> Self {
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let reason_name = info.map(|info| info.reason.clone()).unwrap_or_default();
        let violations = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
        let named = details.request_info().and_then(|info| RequestId::parse(&info.request_id));
        Self {
            code,
            reason: Reason::ALL.iter().copied().find(|reason| reason.name() == reason_name),
            reason_name,
            message,
            request_id: named.or(request_id),
            violations: violations
                .map(|violation| Violation { field: violation.field.clone(), rule: violation.description.clone() })
                .collect(),
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
            metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
        }
    }
}

impl ClientError {
    pub(crate) fn configuration(what: &'static str, problem: impl Into<String>) -> Self {
        Self::Configuration { what, problem: problem.into() }
    }

    /// Reads the status of a call.
    pub(crate) fn of_call(status: &Status) -> Self {
        let details = status.get_error_details();
        let request_id = request_id(status.metadata());
        let by_vault = request_id.is_some() || details.error_info().is_some_and(|info| info.domain == DOMAIN);
        if by_vault || !matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) {
            let refusal = Refusal::new(status.code(), status.message().to_owned(), &details, request_id);
            return Self::Refused(Box::new(refusal));
        }
        let cause = std::error::Error::source(status).map(innermost);
        Self::Transport { problem: cause.unwrap_or_else(|| status.message().to_owned()) }
    }

    /// Reads the status of an item in the answer to a call.
    pub(crate) fn of_item(status: rpc::Status, request_id: Option<RequestId>) -> Self {
        let rpc::Status { code, message, details } = status;
        let status = tonic_types::Status { code, message, details };
        let details = status.get_error_details();
        Self::Refused(Box::new(Refusal::new(Code::from_i32(code), status.message, &details, request_id)))
    }

    /// The refusal, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The reason of the refusal, if it is one and this release knows it.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.refusal().and_then(|refusal| refusal.reason)
    }

    /// The id under which the vault's logs know the call, if the vault answered.
    #[must_use]
    pub fn request_id(&self) -> Option<RequestId> {
        self.refusal().and_then(|refusal| refusal.request_id)
    }

    /// Whether the caller is not known, or may not do this.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        let denied = |refusal: &Refusal| matches!(refusal.code, Code::PermissionDenied | Code::Unauthenticated);
        matches!(self, Self::CertificateRefused { .. }) || self.refusal().is_some_and(denied)
    }

    /// Whether it may pass: the same request can succeed a little later.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Connect { .. } | Self::Away { .. } => true,
            Self::Refused(refusal) => refusal.code == Code::Unavailable || refusal.reason == Some(Reason::RateLimited),
            _ => false,
        }
    }

    /// The time that the vault asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Away { after, .. } => Some(*after),
            _ => self.refusal().and_then(|refusal| refusal.retry_after),
        }
    }

    /// Whether nothing was sent, or what was sent was not looked at, so that a repeat can't do anything twice.
    pub(crate) fn was_not_sent(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Away { .. }) || self.reason() == Some(Reason::RateLimited)
    }
}

/// The request id that an answer carries.
pub(crate) fn request_id(metadata: &tonic::metadata::MetadataMap) -> Option<RequestId> {
    metadata.get(REQUEST_ID).and_then(|value| value.to_str().ok()).and_then(RequestId::parse)
}

#[cfg(test)]
mod tests;
