//! One call: who makes it, from where, and until when it is wanted.

use std::{net::IpAddr, sync::Arc, time::Duration};

use vault_domain::{Clock, Freshness, Millis, PrincipalId, Purpose, Reason, RequestId, Session};
use vault_ledger::{CertificateSha256, Issuer, TraceId};
use vault_policy::{Ask, Circumstances, Request};

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
    /// The question that this call puts to the policies.
    pub(crate) fn asks<'a>(&'a self, ask: Ask<'a>, purpose: Option<&'a Purpose>, now: Millis) -> Request<'a> {
        let circumstances = Circumstances { session: self.session.as_deref(), source: self.source, now };
        Request { principal: &self.principal, purpose, ask, circumstances }
    }

    /// Refuses when the deadline has passed: before anything is written, and again before anything is released.
    pub(crate) fn check_deadline(&self, clock: &dyn Clock) -> Result<(), Error> {
        if clock.monotonic() >= self.deadline { Err(Error::new(Reason::DeadlineExceeded)) } else { Ok(()) }
    }
}
