//! A refusal as its caller sees it: what `google.rpc` says beside the code.

use std::{collections::BTreeMap, time::Duration};

use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use vault_proto::google::rpc;

/// The domain of every reason of the vault's.
pub const DOMAIN: &str = "tokenvault";

/// Why a call, or an item of one, was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// gRPC's code.
    pub code: Code,
    /// What happened, in words.
    pub message: String,
    /// The reason that programs match on; empty if the vault did not give one.
    pub reason: String,
    /// What belongs to the reason.
    pub metadata: BTreeMap<String, String>,
    /// The fields that break their rule, and the rules.
    pub fields: Vec<(String, String)>,
    /// Whether the caller is told when to try again (RetryInfo).
    pub may_retry: bool,
    /// After how long.
    pub retry_delay: Option<Duration>,
    /// Whether the caller is told which limit it met (QuotaFailure).
    pub names_limit: bool,
    /// Whether the caller is told what stands in the way (PreconditionFailure).
    pub names_condition: bool,
    /// The id under which the log knows the call.
    pub request_id: Option<String>,
    /// All of it, as it came.
    pub bytes: Vec<u8>,
}

impl Refusal {
    /// The refusal of a call.
    #[must_use]
    pub fn of_call(status: &Status) -> Self {
        let mut bytes = status.details().to_vec();
        bytes.extend_from_slice(status.message().as_bytes());
        bytes.extend_from_slice(format!("{:?}", status.metadata()).as_bytes());
        let refusal = Self::new(status.code(), status.message(), &status.get_error_details(), bytes);
        let header = status.metadata().get("tokenvault-request-id").and_then(|id| id.to_str().ok());
        assert_eq!(header, refusal.request_id.as_deref(), "details and header name one request");
        assert!(header.is_some() || refusal.reason.is_empty(), "every refusal of the vault's names its request");
        refusal
    }

    /// The refusal of an item.
    #[must_use]
    pub fn of_item(status: &rpc::Status) -> Self {
        let bytes = status.encode_to_vec();
        let as_status = Status::with_details(status.code.into(), status.message.clone(), bytes.clone().into());
        Self::new(as_status.code(), as_status.message(), &as_status.get_error_details(), bytes)
    }

    fn new(code: Code, message: &str, details: &ErrorDetails, bytes: Vec<u8>) -> Self {
        let info = details.error_info();
        if let Some(info) = info {
            assert_eq!(info.domain, DOMAIN);
        }
        let fields = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
        Self {
            code,
            message: message.to_owned(),
            reason: info.map(|info| info.reason.clone()).unwrap_or_default(),
            metadata: info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default(),
            fields: fields.iter().map(|field| (field.field.clone(), field.description.clone())).collect(),
            may_retry: details.retry_info().is_some(),
            retry_delay: details.retry_info().and_then(|info| info.retry_delay),
            names_limit: details.quota_failure().is_some(),
            names_condition: details.precondition_failure().is_some(),
            request_id: details.request_info().map(|request| request.request_id.clone()),
            bytes,
        }
    }

    /// Asserts code and reason, and that it carries what every refusal of that kind has to.
    #[track_caller]
    pub fn is(&self, code: Code, reason: &str) -> &Self {
        if (self.code, self.reason.as_str()) != (code, reason) {
            panic!("{reason} ({code:?}) was expected, this came: {self:?}");
        }
        let passes = ["BUDGET_SPENT", "RATE_LIMITED"].contains(&reason);
        assert_eq!(self.may_retry, code == Code::Unavailable || passes, "{self:?}");
        assert_eq!(self.names_limit, code == Code::ResourceExhausted, "{self:?}");
        assert_eq!(self.names_condition, code == Code::FailedPrecondition, "{self:?}");
        assert_eq!(!self.fields.is_empty(), reason == "FIELD_INVALID", "{self:?}");
        assert!(!self.message.is_empty(), "{self:?}");
        self
    }
}
