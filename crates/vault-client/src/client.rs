//! The client: a connection, and the way every call takes through it.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tonic::{Request, Response, Status, transport::Channel};
use vault_domain::{Clock, Entropy, Reason, RequestId, limits};

use crate::{
    attempt::Patience,
    call::{Answer, CallMade, Receipt},
    config::{ClientConfig, Endpoint},
    connect::{Link, connect, connect_elsewhere},
    error::{ClientError, request_id},
};

/// The largest answer that is read: as many of the largest values as one request may ask for.
pub const ANSWER_BYTES_MAX: usize = limits::BATCH_ITEMS_MAX * (limits::VALUE_BYTES_MAX + 1024);

/// A client of one vault. Clones share the connection.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    link: Link,
    /// Where the regions are served that the vault has sent us on for; allowed endpoints only.
    elsewhere: Mutex<HashMap<String, Link>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// How a call ended, and what is known of it.
pub(crate) struct Made<A> {
    pub(crate) outcome: Result<A, ClientError>,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) attempts: u32,
    pub(crate) took: Duration,
}

/// A call of a batch, with the results of its items.
pub(crate) type CallOfBatch<T> = (CallMade, Vec<Result<T, ClientError>>);

impl Client {
    /// Connects. Deadlines are measured on `clock`; idempotency keys and the spread of pauses come from `entropy`.
    ///
    /// # Errors
    /// When the vault can't be reached, or its certificate is not trusted. That ours is not shows at the first call:
    /// TLS 1.3 lets a client finish before the server has looked.
    pub async fn connect(
        config: ClientConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ClientError> {
        let link = connect(&config).await?;
        Ok(Self(Arc::new(Shared { config, link, elsewhere: Mutex::default(), clock, entropy })))
    }

    /// Fills `out` from the client's source of randomness.
    pub(crate) fn draw(&self, out: &mut [u8]) -> Result<(), ClientError> {
        Ok(self.0.entropy.fill(out)?)
    }

    /// Makes one logical call for `region`, with its deadline and its repeats.
    pub(crate) async fn unary<Q, A, F, Fut>(&self, region: &str, message: Q, repeatable: bool, send: F) -> Made<A>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let clock = &self.0.clock;
        let begun = clock.monotonic();
        let patience = self.patience();
        let (outcome, attempts) =
            patience.attempt(repeatable, |left| self.attempt(region, message.clone(), left, &send)).await;
        let took = clock.monotonic().saturating_sub(begun);
        let (outcome, request_id) = match outcome {
            Ok(answer) => {
                let id = request_id(answer.metadata());
                (Ok(answer.into_inner()), id)
            }
            Err(error) => {
                let id = error.request_id();
                (Err(error), id)
            }
        };
        Made { outcome, request_id, attempts, took }
    }

    /// One attempt; where the vault sends it on and that is allowed, one more, there.
    async fn attempt<Q, A, F, Fut>(
        &self,
        region: &str,
        message: Q,
        left: Duration,
        send: &F,
    ) -> Result<Response<A>, ClientError>
    where
        Q: Clone,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let timed = |message: Q| -> Result<Request<Q>, ClientError> {
            let mut request = self.authorized(message)?;
            request.set_timeout(left);
            Ok(request)
        };
        if let Some(link) = self.followed(region) {
            return on(&link, timed(message)?, send).await;
        }
        let error = match on(&self.0.link, timed(message.clone())?, send).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(endpoint) = self.sent_on(region, &error) else { return Err(error) };
        let link = connect_elsewhere(&self.0.config, endpoint).await?;
        self.follow(region, link.clone());
        on(&link, timed(message)?, send).await
    }

    /// A request with the access token, if the client has one.
    pub(crate) fn authorized<Q>(&self, message: Q) -> Result<Request<Q>, ClientError> {
        let mut request = Request::new(message);
        if let Some(tokens) = &self.0.config.tokens {
            request.metadata_mut().insert("authorization", tokens.authorization()?);
        }
        Ok(request)
    }

    /// How long this client waits for a call, and how often it tries.
    pub(crate) fn patience(&self) -> Patience<'_> {
        let Shared { config, clock, entropy, .. } = &*self.0;
        let (deadline, attempts_max) = (config.deadline, config.attempts_max);
        Patience { clock: &**clock, entropy: &**entropy, deadline, attempts_max }
    }

    /// The client's clock.
    pub(crate) fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }

    /// The connection for a stream of `region`.
    pub(crate) fn link_for(&self, region: &str) -> Link {
        self.followed(region).unwrap_or_else(|| self.0.link.clone())
    }

    /// Reads how a stream was opened on `link`. Where the vault sends it on and that is allowed, the next one goes
    /// there, and this one counts as broken.
    pub(crate) async fn follow_or_fail(&self, link: &Link, region: &str, error: ClientError) -> ClientError {
        if let Some(endpoint) = self.sent_on(region, &error) {
            return match connect_elsewhere(&self.0.config, endpoint).await {
                Ok(link) => {
                    self.follow(region, link);
                    ClientError::Transport { problem: "the region is served elsewhere".to_owned() }
                }
                Err(unreachable) => unreachable,
            };
        }
        link.explain(error)
    }

    /// The connection that calls for `region` have been sent on to.
    fn followed(&self, region: &str) -> Option<Link> {
        self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned()
    }

    fn follow(&self, region: &str, link: Link) {
        let mut elsewhere = self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        if elsewhere.len() < limits::REGIONS_MAX {
            elsewhere.insert(region.to_owned(), link);
        }
    }

    /// The allowed endpoint that a refusal sends a call for `region` to.
    fn sent_on(&self, region: &str, error: &ClientError) -> Option<&Endpoint> {
        let refusal = error.refusal().filter(|refusal| refusal.reason == Some(Reason::WrongRegion))?;
        // A token of another region is refused by the same reason; such a call was not meant for there.
        let same = refusal.metadata.get("region").is_some_and(|named| named == region);
        let named = refusal.metadata.get("endpoint").filter(|_| same)?;
        let named = Endpoint::parse(named).ok()?;
        self.0.config.followed.iter().find(|allowed| **allowed == named)
    }

    /// Makes the calls of a batch, several at once, and puts their answers in order.
    ///
    /// # Errors
    /// The first call's error when none has succeeded.
    pub(crate) async fn batch<Q, T, F, Fut>(
        &self,
        mut requests: Vec<(Range<usize>, Q)>,
        call: F,
    ) -> Result<Answer<T>, ClientError>
    where
        T: Send + 'static,
        F: Fn(Self, Range<usize>, Q) -> Fut,
        Fut: Future<Output = CallOfBatch<T>> + Send + 'static,
    {
        let mut made = Vec::with_capacity(requests.len());
        if requests.len() == 1 {
            for (items, request) in requests.drain(..) {
                made.push(call(self.clone(), items, request).await);
            }
        }
        let mut open = JoinSet::new();
        for (items, request) in requests {
            if open.len() >= self.0.config.in_flight_max {
                made.extend(finished(open.join_next().await));
            }
            open.spawn(call(self.clone(), items, request));
        }
        while !open.is_empty() {
            made.extend(finished(open.join_next().await));
        }
        made.sort_by_key(|(call, _)| call.items.start);
        let first_error = made.first().and_then(|(call, _)| call.outcome.as_ref().err());
        if let Some(error) = first_error.filter(|_| made.iter().all(|(call, _)| call.outcome.is_err())) {
            return Err(error.clone());
        }
        let mut answer = Answer { results: Vec::new(), calls: Vec::with_capacity(made.len()) };
        for (call, results) in made {
            answer.results.extend(results);
            answer.calls.push(call);
        }
        Ok(answer)
    }
}

/// One request on one connection.
async fn on<Q, A, F, Fut>(link: &Link, request: Request<Q>, send: &F) -> Result<Response<A>, ClientError>
where
    F: Fn(Channel, Request<Q>) -> Fut,
    Fut: Future<Output = Result<Response<A>, Status>>,
{
    let answer = send(link.channel.clone(), request).await.map_err(|status| ClientError::of_call(&status));
    if !matches!(answer, Err(ClientError::Transport { .. })) {
        link.answered();
    }
    answer.map_err(|error| link.explain(error))
}

/// A call that is finished; a panic in it goes on here.
fn finished<T>(joined: Option<Result<T, tokio::task::JoinError>>) -> Option<T> {
    match joined? {
        Ok(made) => Some(made),
        Err(error) => error.try_into_panic().map_or(None, |panic| std::panic::resume_unwind(panic)),
    }
}

impl<A> Made<A> {
    /// The call as a part of its batch: `read` takes receipt and results out of the answer.
    pub(crate) fn of_batch<T>(
        self,
        items: Range<usize>,
        read: impl FnOnce(A, Option<RequestId>) -> Result<(Receipt, Vec<Result<T, ClientError>>), ClientError>,
    ) -> CallOfBatch<T> {
        let Self { outcome, request_id, attempts, took } = self;
        let read = outcome.and_then(|answer| read(answer, request_id)).and_then(|(receipt, results)| {
            let fits = results.len() == items.len();
            if fits {
                Ok((receipt, results))
            } else {
                Err(ClientError::AnswerMalformed("it has not one result an item"))
            }
        });
        let (outcome, results) = match read {
            Ok((receipt, results)) => (Ok(receipt), results),
            Err(error) => {
                let results = items.clone().map(|_| Err(error.clone())).collect();
                (Err(error), results)
            }
        };
        (CallMade { items, outcome, request_id, attempts, took }, results)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.config.endpoint).finish()
    }
}
