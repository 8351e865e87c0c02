//! What the policies answered, and which of them.

use std::{fmt, sync::Arc};

use vault_domain::{Reason, limits};

/// The `@id` of a policy: `[a-z][a-z0-9_-]{0,63}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(Arc<str>);

impl PolicyId {
    /// The id, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_first = |b: u8| b.is_ascii_lowercase();
        let is_next = |b: u8| is_first(b) || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        let valid = text.len() <= limits::NAME_BYTES_MAX
            && text.bytes().next().is_some_and(is_first)
            && text.bytes().all(is_next);
        valid.then(|| Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyId({})", self.0)
    }
}

/// How a decision came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A policy permits it and none forbids it.
    Allowed,
    /// No policy permits it, and none forbids it either.
    NotPermitted,
    /// Policies forbid it.
    Forbidden,
    /// A policy could not be evaluated; what it would have said is not known, so it is denied.
    Failed,
    /// The request names something that the catalog does not have.
    NameUnknown,
}

/// A decision, with what the log needs to explain it. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    verdict: Verdict,
    reason: Option<Reason>,
    policies: Arc<[PolicyId]>,
}

impl Decision {
    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    /// How the decision came about.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why it was denied, as precisely as the log may say; callers get [`Reason::outside`] of it. None if allowed.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The policies that decided, sorted, at most [`crate::POLICIES_MAX`]: those that permit what is allowed, those
    /// that forbid what is forbidden, those that failed, none where none applied.
    #[must_use]
    pub fn policies(&self) -> &Arc<[PolicyId]> {
        &self.policies
    }

    pub(crate) fn allowed(policies: Arc<[PolicyId]>) -> Self {
        Self { verdict: Verdict::Allowed, reason: None, policies }
    }

    pub(crate) fn denied(reason: Option<Reason>, policies: Arc<[PolicyId]>) -> Self {
        let verdict = if policies.is_empty() { Verdict::NotPermitted } else { Verdict::Forbidden };
        Self { verdict, reason: reason.or(Some(Reason::AccessDenied)), policies }
    }

    pub(crate) fn failed(policies: Arc<[PolicyId]>) -> Self {
        Self { verdict: Verdict::Failed, reason: Some(Reason::AccessDenied), policies }
    }

    pub(crate) fn unknown(reason: Reason) -> Self {
        Self { verdict: Verdict::NameUnknown, reason: Some(reason), policies: Arc::default() }
    }
}
