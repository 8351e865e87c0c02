//! One call: who makes it, from where, and until when it is wanted.

use std::{net::IpAddr, sync::Arc, time::Duration};

use vault_domain::{Clock, Freshness, Millis, PrincipalId, Reason, RequestId, Session};
use vault_ledger::{CertificateSha256, Issuer, TraceId};
use vault_policy::Circumstances;

use crate::error::Error;

/// What a door knows of a call before it reads the request. The principal is authenticated.
#[derive(Clone, Debug)]
pub struct Call {
    /// The id that log lines, errors and entries share.
    pub request_id: RequestId,
    /// The trace that the call belongs to.
    pub trace_id: Option<TraceId>,
    /// Who calls.
    pub principal: PrincipalId,
    /// What the caller's access token says beside that. None for a caller that is known by its certificate alone.
    pub session: Option<Arc<Session>>,
    /// Who vouched for the principal.
    pub issuer: Option<Issuer>,
    /// The client certificate.
    pub certificate: Option<CertificateSha256>,
    /// Where the call came from.
    pub source: Option<IpAddr>,
    /// What tells it from its own repeat.
    pub freshness: Freshness,
    /// When the answer is not wanted any more, on the monotonic clock.
    pub deadline: Duration,
}

impl Call {
    /// What policies may know of this call beside who makes it and what it is for.
    pub(crate) fn circumstances(&self, now: Millis) -> Circumstances<'_> {
        Circumstances { session: self.session.as_deref(), source: self.source, now }
    }

    /// Refuses when the deadline has passed: before anything is written, and again before anything is released.
    pub(crate) fn check_deadline(&self, clock: &dyn Clock) -> Result<(), Error> {
        if clock.monotonic() >= self.deadline { Err(Error::new(Reason::DeadlineExceeded)) } else { Ok(()) }
    }
}
