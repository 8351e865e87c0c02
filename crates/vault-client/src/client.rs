//! The client: a connection, and the way every call takes through it.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use tonic::{Request, Response, Status, metadata::MetadataValue, transport::Channel};
use vault_domain::{Clock, Entropy, Nonce, Reason, RequestId, limits};
use vault_proto::{NONCE_METADATA, TIMESTAMP_METADATA};

use crate::{
    attempt::Patience,
    call::{Answer, CallMade, Receipt},
    config::{ClientConfig, Endpoint},
    connect::{Link, connect, connect_elsewhere},
    error::{ClientError, request_id},
    seen::Seen,
};

/// The largest answer that is read: as many of the largest values as one request may ask for.
pub const ANSWER_BYTES_MAX: usize = limits::BATCH_ITEMS_MAX * (limits::VALUE_BYTES_MAX + 1024);

/// A client of one vault. Clones share the connection.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    link: Link,
    elsewhere: Mutex<Elsewhere>,
    seen: Seen,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What is known of other endpoints than the first. All of them stand in the configuration, which bounds their number.
#[derive(Default)]
struct Elsewhere {
    /// Where the vault has sent calls for a region on to.
    regions: HashMap<String, Endpoint>,
    /// The connection to each: what is known of one that does not answer outlasts the call that found out.
    links: HashMap<Endpoint, Link>,
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
        let seen = Seen::new(config.checkpoints.clone());
        Ok(Self(Arc::new(Shared { config, link, elsewhere: Mutex::default(), seen, clock, entropy })))
    }

    /// What this client has seen of logs.
    pub(crate) fn seen(&self) -> &Seen {
        &self.0.seen
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
        let timed = |message: Q| {
            let mut request = self.fresh(message)?;
            request.set_timeout(left);
            Ok::<_, ClientError>(request)
        };
        let link = self.link_for(region).await?;
        let error = match self.on(&link, timed(message.clone())?, left, send).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !link.is(&self.0.link) {
            self.doubt(region, &error);
            return Err(error);
        }
        let Some(endpoint) = self.sent_on(region, &error) else { return Err(error) };
        let link = self.follow(region, endpoint).await?;
        let answer = self.on(&link, timed(message)?, left, send).await;
        if let Err(error) = &answer {
            self.doubt(region, error);
        }
        answer
    }

    /// A request that counts once: with a nonce of its own, and the time, and the access token if the client has one.
    /// Every attempt is another request.
    pub(crate) fn fresh<Q>(&self, message: Q) -> Result<Request<Q>, ClientError> {
        let mut nonce = Nonce([0; 16]);
        self.draw(&mut nonce.0)?;
        let mut request = Request::new(message);
        if let Some(tokens) = &self.0.config.tokens {
            request.metadata_mut().insert("authorization", tokens.authorization()?);
        }
        let said = [(NONCE_METADATA, nonce.to_string()), (TIMESTAMP_METADATA, self.0.clock.wall().to_string())];
        for (name, text) in said {
            // Digits are always a value. One that never comes again has no place in the connection's table of headers
            // (RFC 7541 section 7.1.3), where it would push out those that do.
            if let Ok(mut value) = MetadataValue::try_from(text) {
                value.set_sensitive(true);
                request.metadata_mut().insert(name, value);
            }
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

    /// The connection for calls of `region`.
    ///
    /// # Errors
    /// When the region has an endpoint of its own that can't be one.
    pub(crate) async fn link_for(&self, region: &str) -> Result<Link, ClientError> {
        let sent_on = self.elsewhere().regions.get(region).cloned();
        let own = || self.0.config.regions.iter().find(|(own, _)| own.as_str() == region).map(|(_, own)| own.clone());
        match sent_on.or_else(own) {
            Some(endpoint) => self.link_to(&endpoint).await,
            None => Ok(self.0.link.clone()),
        }
    }

    async fn link_to(&self, endpoint: &Endpoint) -> Result<Link, ClientError> {
        if *endpoint == self.0.config.endpoint {
            return Ok(self.0.link.clone());
        }
        let known = self.elsewhere().links.get(endpoint).cloned();
        if let Some(link) = known {
            return Ok(link);
        }
        let link = connect_elsewhere(&self.0.config, endpoint).await?;
        Ok(self.elsewhere().links.entry(endpoint.clone()).or_insert(link).clone())
    }

    /// Remembers where calls for `region` were sent on to.
    async fn follow(&self, region: &str, endpoint: &Endpoint) -> Result<Link, ClientError> {
        let link = self.link_to(endpoint).await?;
        let mut elsewhere = self.elsewhere();
        if elsewhere.regions.len() < limits::REGIONS_MAX {
            elsewhere.regions.insert(region.to_owned(), endpoint.clone());
        }
        Ok(link)
    }

    /// Forgets where calls for `region` were sent on to, if the region is not served there any more, or nobody can be
    /// reached: the next attempt asks where it began.
    fn doubt(&self, region: &str, error: &ClientError) {
        let is_gone = matches!(error, ClientError::Transport { .. } | ClientError::Away { .. });
        if is_gone || error.reason() == Some(Reason::WrongRegion) {
            self.elsewhere().regions.remove(region);
        }
    }

    /// One request on one connection, if the connection's breaker lets it.
    async fn on<Q, A, F, Fut>(
        &self,
        link: &Link,
        request: Request<Q>,
        left: Duration,
        send: &F,
    ) -> Result<Response<A>, ClientError>
    where
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let leave = link.enter(&*self.0.clock, left)?;
        let answer = send(link.channel.clone(), request).await.map_err(|status| ClientError::of_call(&status));
        if matches!(answer, Err(ClientError::Transport { .. })) {
            leave.failed();
        } else {
            leave.answered();
            link.answered();
        }
        answer.map_err(|error| link.explain(error))
    }

    /// Reads how a stream was opened on `link`. Where the vault sends it on and that is allowed, the next one goes
    /// there, and this one counts as broken.
    pub(crate) async fn follow_or_fail(&self, link: &Link, region: &str, error: ClientError) -> ClientError {
        if !link.is(&self.0.link) {
            self.doubt(region, &error);
        } else if let Some(endpoint) = self.sent_on(region, &error) {
            return match self.follow(region, endpoint).await {
                Ok(_) => ClientError::Transport { problem: "the region is served elsewhere".to_owned() },
                Err(unreachable) => unreachable,
            };
        }
        link.explain(error)
    }

    fn elsewhere(&self) -> MutexGuard<'_, Elsewhere> {
        self.0.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
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
