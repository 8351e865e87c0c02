//! Which entries of an access log are meant, as clients ask and the vault is asked.

use crate::{
    Action, Audience, DataClass, Decision, Millis, Network, PrincipalId, Purpose, Reason, Reference, RequestId,
    TokenText,
};

/// Which entries are meant: those that meet all of it. What is `None` is met by every entry.
#[derive(Debug, Default)]
pub struct AccessLogFilter {
    /// At or after this log time.
    pub from: Option<Millis>,
    /// Before this log time.
    pub until: Option<Millis>,
    /// Of this principal.
    pub principal: Option<PrincipalId>,
    /// Of this action.
    pub action: Option<Action>,
    /// With this decision.
    pub decision: Option<Decision>,
    /// With an item of this data class.
    pub data_class: Option<DataClass>,
    /// About this token; needs the data class.
    pub token: Option<TokenText>,
    /// Of calls in the name of this audience.
    pub audience: Option<Audience>,
    /// Of calls that declared this purpose.
    pub purpose: Option<Purpose>,
    /// Of calls that stated this reference, which only an opened entry shows.
    pub reference: Option<Reference>,
    /// Of calls that were refused for this reason, or with an item that was.
    pub reason: Option<Reason>,
    /// Of calls from this address or network, which only an opened entry shows.
    pub source: Option<Network>,
    /// Of this request.
    pub request_id: Option<RequestId>,
}
