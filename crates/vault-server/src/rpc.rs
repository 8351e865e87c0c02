//! The services. A handler decodes, makes one call and encodes.

pub(crate) mod admin;
pub(crate) mod audit;
mod export;
mod policies;
pub(crate) mod stream;
mod tail;
pub(crate) mod token;

use std::{sync::Arc, time::Duration};

use tonic::{Request, Status};
use vault_domain::{Reason, Region};
use vault_engine::{Call, Engine, Error};
use vault_identity::Verified;

use crate::{access_token::AccessTokens, status, tls::Standing};

/// What the door has put beside a request.
#[derive(Clone)]
pub(crate) struct Entered(pub(crate) Arc<Call>);

/// The access token that a stream was opened with, if there was one, and who knows which are denied.
#[derive(Clone, Default)]
pub(crate) struct Shown {
    pub(crate) verified: Option<Arc<Verified>>,
    pub(crate) tokens: Option<Arc<AccessTokens>>,
}

impl Shown {
    /// Refuses when the token was put on a deny-list since.
    pub(crate) fn check(&self, engine: &Engine) -> Result<(), Reason> {
        let Some(verified) = &self.verified else { return Ok(()) };
        let by_file = self.tokens.as_ref().is_some_and(|tokens| tokens.denies(verified));
        let denied = by_file || engine.is_denied(&verified.issuer, &verified.jti);
        if denied { Err(Reason::AccessTokenDenied) } else { Ok(()) }
    }
}

/// The call that a request belongs to.
pub(crate) fn call<T>(request: &Request<T>) -> Result<Arc<Call>, Status> {
    let entered = request.extensions().get::<Entered>();
    entered
        .map(|entered| entered.0.clone())
        .ok_or_else(|| Status::internal("the request did not come through the door"))
}

/// How the caller of a stream stands.
pub(crate) fn standing<T>(request: &Request<T>) -> Result<Arc<Standing>, Status> {
    let standing = request.extensions().get::<Arc<Standing>>();
    standing.cloned().ok_or_else(|| Status::internal("the request did not come through the door"))
}

/// Runs a verb until shortly after the call's deadline. A verb that is cut off has written its entry or nothing.
///
/// Each function on the way would keep room for the verb beside the one that it hands it on to: give it pinned where
/// calls are many.
pub(crate) async fn in_time<T>(
    engine: &Engine,
    call: &Call,
    verb: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let left = call.deadline.saturating_sub(engine.clock().monotonic()).saturating_add(VERB_GRACE);
    let ended = tokio::time::timeout(left.min(LONGEST_WAIT), verb).await;
    ended.unwrap_or(Err(Error::new(Reason::DeadlineExceeded)))
}

/// The same for a call that the verb is all of.
pub(crate) async fn within_deadline<T>(
    engine: &Engine,
    call: &Call,
    verb: impl Future<Output = Result<T, Error>>,
) -> Result<T, Status> {
    in_time(engine, call, verb).await.map_err(|error| status::status(&error, call.request_id))
}

/// How much longer than its deadline a verb may take to say itself that it is late, and to have that in the log.
const VERB_GRACE: Duration = Duration::from_millis(100);
/// Timers do not reach further than this.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The origin of a region's log, as receipts name it.
pub(crate) fn origin<'a>(engine: &'a Engine, region: &Region) -> &'a str {
    engine.origin(region).unwrap_or_default()
}
