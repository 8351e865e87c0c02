//! Access tokens that the client fetches itself: the grant `client_credentials` (RFC 6749 section 4.4), where the
//! client is known to the issuer by its certificate (RFC 8705 section 2: `tls_client_auth`,
//! `self_signed_tls_client_auth`). There is no secret to keep but the certificate's key, and the tokens are bound to
//! the certificate that the vault sees as well.
//!
//! One task fetches, one token at a time: again after three to four fifths of its life, spread so that clients that
//! began together do not come back together; after a failure with growing pauses, at most [`TOKEN_PAUSE_MAX`]. The
//! token at hand serves until its end, whatever the issuer does. Nothing that the issuer answers is repeated in an
//! error.

mod endpoint;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle};
use vault_domain::{Clock, Entropy, Millis};

pub use endpoint::TokenEndpoint;

use crate::{
    error::ClientError,
    token_source::{Authorization, TokenSource},
};

/// The pause after the first failure; it doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// The longest pause between two questions to an issuer that has not answered.
pub const TOKEN_PAUSE_MAX: Duration = Duration::from_secs(60);
/// How finely pauses are spread.
const SPREAD: u32 = 1024;

/// A source of access tokens of an issuer, kept fresh for as long as it lives.
pub struct ClientCredentials {
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    endpoint: TokenEndpoint,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    held: Mutex<Held>,
    /// Told when a call lacks a token.
    wanted: Notify,
}

struct Held {
    authorization: Authorization,
    /// When it ends, on both clocks: one stands still while the machine sleeps, the other may jump.
    ends: (Duration, Millis),
    /// Why the last attempt to get another one failed.
    problem: Option<ClientError>,
}

/// A token as its issuer gave it.
struct Fetched {
    authorization: Authorization,
    life: Duration,
}

impl ClientCredentials {
    /// Fetches the first token, and keeps it fresh from then on, on the runtime that this is called on.
    ///
    /// # Errors
    /// When there is none: [`ClientError::Connect`] if the issuer could not be asked, did not answer in time or
    /// answered nonsense, [`ClientError::Configuration`] if it refuses the client.
    pub async fn begin(
        endpoint: TokenEndpoint,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ClientError> {
        let first = endpoint.fetch().await?;
        let life = first.life;
        let held = Mutex::new(Held::new(first, &*clock));
        let shared = Arc::new(Shared { endpoint, clock, entropy, held, wanted: Notify::new() });
        let task = tokio::spawn(shared.clone().keep(life)).abort_handle();
        Ok(Self { shared, task })
    }
}

impl TokenSource for ClientCredentials {
    fn authorization(&self) -> Result<Authorization, ClientError> {
        let held = self.shared.held.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_over(&*self.shared.clock) {
            return Ok(held.authorization.clone());
        }
        self.shared.wanted.notify_one();
        Err(held.problem.clone().unwrap_or_else(|| self.shared.endpoint.away("the access token has just ended")))
    }
}

impl Drop for ClientCredentials {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("endpoint", &self.shared.endpoint).finish_non_exhaustive()
    }
}

impl Held {
    fn new(fetched: Fetched, clock: &dyn Clock) -> Self {
        let Fetched { authorization, life } = fetched;
        let ends = (clock.monotonic().saturating_add(life), clock.wall().saturating_add(life));
        Self { authorization, ends, problem: None }
    }

    fn is_over(&self, clock: &dyn Clock) -> bool {
        clock.monotonic() >= self.ends.0 || clock.wall() >= self.ends.1
    }
}

impl Shared {
    async fn keep(self: Arc<Self>, life: Duration) {
        let (mut life, mut failures) = (life, 0);
        loop {
            let pause = if failures == 0 { self.rest(life) } else { self.pause(failures) };
            let least = PAUSE_FIRST.min(pause);
            tokio::time::sleep(least).await;
            tokio::select! {
                () = tokio::time::sleep(pause.saturating_sub(least)) => {}
                () = self.wanted.notified() => {}
            }
            let fetched = self.endpoint.fetch().await;
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            match fetched {
                Ok(fetched) => {
                    (life, failures) = (fetched.life, 0);
                    *held = Held::new(fetched, &*self.clock);
                }
                Err(problem) => {
                    failures = failures.saturating_add(1);
                    held.problem = Some(problem);
                }
            }
        }
    }

    /// How long a good token is left alone: three to four fifths of its life.
    fn rest(&self, life: Duration) -> Duration {
        let fifth = life / 5;
        fifth.saturating_mul(3).saturating_add(self.share_of(fifth))
    }

    /// The pause after this many failures in a row, between half and all of it.
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(16);
        let half = PAUSE_FIRST.saturating_mul(1 << doublings).min(TOKEN_PAUSE_MAX) / 2;
        half.saturating_add(self.share_of(half))
    }

    /// A part of a span, drawn by chance; all of it without randomness.
    fn share_of(&self, span: Duration) -> Duration {
        let mut drawn = [0; 4];
        let share = self.entropy.fill(&mut drawn).map_or(SPREAD, |()| u32::from_be_bytes(drawn) % SPREAD);
        span.saturating_mul(share) / SPREAD
    }
}

#[cfg(test)]
mod tests;
