//! Clients that keep a number of calls in flight over a few connections, count what comes back, and believe no answer
//! that they have not looked into.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, sync::mpsc, task::JoinSet};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint, Uri},
};
use vault_domain::{Clock, SystemClock};
use vault_proto::v1::{
    DetokenizeItem, DetokenizeRequest, DetokenizeResult, DetokenizeStreamRequest, StreamStart, TokenizeItem,
    TokenizeRequest, TokenizeResult, TokenizeStreamRequest, detokenize_result,
    token_service_client::TokenServiceClient, tokenize_result,
};

use crate::{
    Failure,
    bearing::{Adds, Bearing},
    draw::Draw,
    machine::cpu_time,
    measure::{Latencies, micros_each, per_second},
    site::{AUDIENCE, PURPOSE, REGION, SERVER_NAME, Site},
};

/// Connections that calls are spread over.
pub const CONNECTIONS: usize = 4;

/// What values look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Twelve digits.
    Identifier,
    /// Sixteen digits that pass the Luhn check.
    Card,
}

impl Shape {
    /// The value with this number.
    #[must_use]
    pub fn value(self, number: u64) -> Vec<u8> {
        match self {
            Self::Identifier => format!("{number:012}").into_bytes(),
            Self::Card => {
                let mut digits = format!("4{number:014}").into_bytes();
                // Every second digit from the right counts twice (ISO/IEC 7812-1, annex B), the check digit stands
                // first.
                let sum: u32 = digits
                    .iter()
                    .rev()
                    .enumerate()
                    .map(|(at, digit)| {
                        let digit = u32::from(digit - b'0');
                        if at.is_multiple_of(2) { digit * 2 / 10 + digit * 2 % 10 } else { digit }
                    })
                    .sum();
                digits.extend(format!("{}", (10 - sum % 10) % 10).bytes());
                digits
            }
        }
    }
}

/// A data class that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Class {
    /// Its name in the catalog.
    pub name: &'static str,
    /// What its values look like.
    pub shape: Shape,
}

/// What calls do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Tokenizes values that were never seen before.
    TokenizeFresh,
    /// Tokenizes values that have a token already.
    TokenizeKnown,
    /// Detokenizes tokens from anywhere in the stock.
    Detokenize,
    /// Detokenizes the first thousand tokens of the stock, over and over.
    DetokenizeHot,
}

/// Tokens that were given, by the number of their value.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    tokens: Vec<Box<str>>,
}

impl Stock {
    /// How many.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::try_from(self.tokens.len()).unwrap_or(u64::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn token(&self, number: u64) -> &str {
        usize::try_from(number).ok().and_then(|at| self.tokens.get(at)).map_or("", |token| token)
    }
}

/// One case: what is asked for, and how much of it at once.
#[derive(Clone)]
pub struct Load {
    /// What calls do.
    pub verb: Verb,
    /// With which data class.
    pub class: Class,
    /// Items in each call.
    pub items: usize,
    /// Calls in flight; on streams, messages without an answer.
    pub in_flight: usize,
    /// How many streams carry the items, in messages instead of calls; none for calls.
    pub streams: usize,
    /// Tokens to draw from.
    pub stock: Arc<Stock>,
    /// The number of the next value that was never seen before. All loads on one class share it.
    pub fresh: Arc<AtomicU64>,
    /// Whether the answers are a vault's, and the values in them are to be compared.
    pub checked: bool,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Calls that were answered.
    pub calls: u64,
    /// Items in them.
    pub items: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The time of every call.
    pub latencies: Latencies,
    /// CPU time of this process.
    pub cpu: Duration,
    /// How far the log went on, by the receipts: entries from the first one answered with to the last.
    pub entries: u64,
}

impl Outcome {
    /// Items a second.
    #[must_use]
    pub fn items_per_second(&self) -> f64 {
        per_second(self.items, self.elapsed)
    }

    /// Microseconds of the client's CPU for each item.
    #[must_use]
    pub fn cpu_us_per_item(&self) -> f64 {
        micros_each(self.cpu, self.items)
    }
}

/// Open connections to one server.
#[derive(Clone)]
pub struct Connections(Vec<Stub>);

/// A generated client that adds what its calls bear.
type Stub = TokenServiceClient<InterceptedService<Channel, Adds>>;

impl Connections {
    /// Connects [`CONNECTIONS`] times.
    ///
    /// # Errors
    /// When the server does not accept, or a token can't be made.
    pub async fn open(site: &Site, address: SocketAddr, bearing: Bearing) -> Result<Self, Failure> {
        let adds = Adds::new(bearing, site)?;
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(TokenServiceClient::with_interceptor(connect(site, address).await?, adds.clone()));
        }
        Ok(Self(clients))
    }

    /// Keeps the load's calls in flight for `time`.
    ///
    /// # Errors
    /// When a call or an item is refused, or an answer is not what was asked for.
    pub async fn run(&self, load: &Load, time: Duration) -> Result<Outcome, Failure> {
        let clock = Arc::new(SystemClock::new());
        let cpu = cpu_time();
        let mut callers = JoinSet::new();
        let count = if load.streams > 0 { load.streams } else { load.in_flight };
        for (number, client) in (0..count).zip(self.0.iter().cycle()) {
            let caller =
                Caller { client: client.clone(), load: load.clone(), draw: Draw::seeded(number), receipts: None };
            match (load.streams, load.verb) {
                (0, _) => callers.spawn(caller.call_until(clock.clone(), time)),
                (_, Verb::TokenizeFresh | Verb::TokenizeKnown) => {
                    callers.spawn(caller.tokenize_until(clock.clone(), time))
                }
                _ => callers.spawn(caller.detokenize_until(clock.clone(), time)),
            };
        }
        let mut latencies = Latencies::default();
        let mut receipts: Option<(u64, u64)> = None;
        while let Some(ended) = callers.join_next().await {
            let (own, span) = ended??;
            latencies.append(own);
            receipts = merge(receipts, span);
        }
        let elapsed = clock.monotonic();
        let calls = u64::try_from(latencies.len())?;
        let items = calls * u64::try_from(load.items)?;
        let entries = receipts.map_or(0, |(first, last)| last - first + 1);
        Ok(Outcome { calls, items, elapsed, latencies, cpu: cpu_time().saturating_sub(cpu), entries })
    }

    /// Makes the load's calls at a steady rate until it is told to stop: each of its callers one in every `every`.
    ///
    /// # Errors
    /// As of [`Connections::run`].
    pub async fn pace(&self, load: &Load, every: Duration, stop: Arc<AtomicBool>) -> Result<Latencies, Failure> {
        let clock = Arc::new(SystemClock::new());
        let mut callers = JoinSet::new();
        for (number, client) in (0..load.in_flight).zip(self.0.iter().cycle()) {
            let caller =
                Caller { client: client.clone(), load: load.clone(), draw: Draw::seeded(number), receipts: None };
            callers.spawn(caller.call_every(every, clock.clone(), stop.clone()));
        }
        let mut latencies = Latencies::default();
        while let Some(ended) = callers.join_next().await {
            latencies.append(ended??);
        }
        Ok(latencies)
    }

    /// Tokenizes the values from `0` to `count` in batches of a thousand, a few at once, and keeps the tokens.
    ///
    /// # Errors
    /// As of [`Connections::run`].
    pub async fn fill(&self, class: Class, count: u64) -> Result<Stock, Failure> {
        const BATCH: u64 = 1000;
        let next = Arc::new(AtomicU64::new(0));
        let mut callers = JoinSet::new();
        for client in &self.0 {
            let (mut client, next) = (client.clone(), next.clone());
            callers.spawn(async move {
                let mut parts = Vec::new();
                loop {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    if first >= count {
                        return Ok::<_, Failure>(parts);
                    }
                    let request = tokenize_request(class, first..(first + BATCH).min(count));
                    let results = client.tokenize(request).await?.into_inner().results;
                    let tokens = results.into_iter().map(|result| match result.outcome {
                        Some(tokenize_result::Outcome::Issued(issued)) => Ok(issued.token.into_boxed_str()),
                        _ => Err("a value was refused while the stock was filled"),
                    });
                    parts.push((first, tokens.collect::<Result<Vec<_>, _>>()?));
                }
            });
        }
        let mut parts = Vec::new();
        while let Some(ended) = callers.join_next().await {
            parts.extend(ended??);
        }
        parts.sort_unstable_by_key(|(first, _)| *first);
        Ok(Stock { tokens: parts.into_iter().flat_map(|(_, tokens)| tokens).collect() })
    }
}

/// Connects once.
///
/// # Errors
/// When the server does not accept.
pub async fn connect(site: &Site, address: SocketAddr) -> Result<Channel, Failure> {
    let tls = TlsConnector::from(Arc::new(site.client_tls()?));
    let name = ServerName::try_from(SERVER_NAME)?;
    let connector = tower::service_fn(move |_: Uri| {
        let (tls, name) = (tls.clone(), name.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    let origin: Uri = format!("https://{SERVER_NAME}:{}", address.port()).parse()?;
    // tonic is told `http`, for it would ask for TLS of its own otherwise.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.origin(origin);
    Ok(endpoint.connect_with_connector(connector).await?)
}

/// The smallest span that holds both.
fn merge(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (one, other) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (some, None) | (None, some) => some,
    }
}

/// One call after the other.
struct Caller {
    client: Stub,
    load: Load,
    draw: Draw,
    receipts: Option<(u64, u64)>,
}

type Called = (Latencies, Option<(u64, u64)>);

impl Caller {
    async fn call_until(mut self, clock: Arc<SystemClock>, time: Duration) -> Result<Called, Failure> {
        let mut latencies = Latencies::with_capacity(1024);
        let mut start = clock.monotonic();
        while start < time {
            match self.load.verb {
                Verb::TokenizeFresh | Verb::TokenizeKnown => self.tokenize().await?,
                Verb::Detokenize | Verb::DetokenizeHot => self.detokenize().await?,
            }
            let end = clock.monotonic();
            latencies.push(end.saturating_sub(start));
            start = end;
        }
        Ok((latencies, self.receipts))
    }

    /// One call at each turn of a steady beat. A call that comes late because the one before took long counts from
    /// when it was due.
    async fn call_every(
        mut self,
        every: Duration,
        clock: Arc<SystemClock>,
        stop: Arc<AtomicBool>,
    ) -> Result<Latencies, Failure> {
        let mut latencies = Latencies::with_capacity(1024);
        let mut due = clock.monotonic() + every.mul_f64(self.draw.below(1000) as f64 / 1000.0);
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(due.saturating_sub(clock.monotonic())).await;
            match self.load.verb {
                Verb::TokenizeFresh | Verb::TokenizeKnown => self.tokenize().await?,
                Verb::Detokenize | Verb::DetokenizeHot => self.detokenize().await?,
            }
            latencies.push(clock.monotonic().saturating_sub(due));
            due += every;
        }
        Ok(latencies)
    }

    async fn tokenize(&mut self) -> Result<(), Failure> {
        let request = self.tokenize_request()?;
        let answer = self.client.tokenize(request).await?.into_inner();
        self.check_tokens(&answer.results)?;
        self.note(answer.receipt.map(|receipt| receipt.index));
        Ok(())
    }

    fn tokenize_request(&mut self) -> Result<TokenizeRequest, Failure> {
        let Load { items, class, .. } = self.load;
        let count = u64::try_from(items)?;
        Ok(if self.load.verb == Verb::TokenizeFresh {
            let first = self.load.fresh.fetch_add(count, Ordering::Relaxed);
            tokenize_request(class, first..first + count)
        } else {
            let known = self.load.stock.len();
            tokenize_request(class, (0..count).map(|_| self.draw.below(known)))
        })
    }

    fn check_tokens(&self, results: &[TokenizeResult]) -> Result<(), Failure> {
        let fresh = self.load.verb == Verb::TokenizeFresh;
        let issued = |outcome: &Option<_>| match outcome {
            Some(tokenize_result::Outcome::Issued(issued)) => {
                !issued.token.is_empty() && (issued.created == fresh || !self.load.checked)
            }
            _ => false,
        };
        if results.len() != self.load.items || !results.iter().all(|result| issued(&result.outcome)) {
            return Err("a value got no token, or an old one where a new one was due".into());
        }
        Ok(())
    }

    /// Messages that one stream has without an answer.
    fn window(&self) -> usize {
        (self.load.in_flight / self.load.streams.max(1)).max(1)
    }

    /// One stream for `time`, with as many messages on their way as the load says.
    async fn tokenize_until(mut self, clock: Arc<SystemClock>, time: Duration) -> Result<Called, Failure> {
        let mut window = Window::new(self.window(), &clock);
        let (sender, receiver) = mpsc::channel(window.size);
        let mut answers = {
            let items = self.tokenize_request()?.items;
            let message = TokenizeStreamRequest { start: Some(stream_start()), sequence: window.sent(), items };
            sender.send(message).await?;
            self.client.tokenize_stream(ReceiverStream::new(receiver)).await?.into_inner()
        };
        loop {
            while window.has_room(time) {
                let items = self.tokenize_request()?.items;
                sender.send(TokenizeStreamRequest { start: None, sequence: window.sent(), items }).await?;
            }
            if !window.is_open() {
                return Ok((window.latencies, self.receipts));
            }
            let answer = answers.message().await?.ok_or("the stream ended early")?;
            window.answered(answer.sequence)?;
            self.check_tokens(&answer.results)?;
            self.note(answer.receipt.map(|receipt| receipt.index));
        }
    }

    /// The same with tokens.
    async fn detokenize_until(mut self, clock: Arc<SystemClock>, time: Duration) -> Result<Called, Failure> {
        let mut window = Window::new(self.window(), &clock);
        let (sender, receiver) = mpsc::channel(window.size);
        let mut answers = {
            let (numbers, request) = self.detokenize_request();
            let message =
                DetokenizeStreamRequest { start: Some(stream_start()), sequence: window.sent(), items: request.items };
            window.asked.push_back(numbers);
            sender.send(message).await?;
            self.client.detokenize_stream(ReceiverStream::new(receiver)).await?.into_inner()
        };
        loop {
            while window.has_room(time) {
                let (numbers, request) = self.detokenize_request();
                window.asked.push_back(numbers);
                let message = DetokenizeStreamRequest { start: None, sequence: window.sent(), items: request.items };
                sender.send(message).await?;
            }
            if !window.is_open() {
                return Ok((window.latencies, self.receipts));
            }
            let answer = answers.message().await?.ok_or("the stream ended early")?;
            window.answered(answer.sequence)?;
            let numbers = window.asked.pop_front().unwrap_or_default();
            self.check_values(&numbers, &answer.results)?;
            self.note(answer.receipt.map(|receipt| receipt.index));
        }
    }

    async fn detokenize(&mut self) -> Result<(), Failure> {
        let (numbers, request) = self.detokenize_request();
        let answer = self.client.detokenize(request).await?.into_inner();
        self.check_values(&numbers, &answer.results)?;
        self.note(answer.receipt.map(|receipt| receipt.index));
        Ok(())
    }

    /// A request, and the numbers of the values that it asks for.
    fn detokenize_request(&mut self) -> (Vec<u64>, DetokenizeRequest) {
        const HOT: u64 = 1000;
        let Load { items, class, .. } = self.load;
        let stock = self.load.stock.clone();
        let reach = if self.load.verb == Verb::DetokenizeHot { stock.len().min(HOT) } else { stock.len() };
        let numbers: Vec<u64> = (0..items).map(|_| self.draw.below(reach)).collect();
        let item =
            |number: &u64| DetokenizeItem { data_class: class.name.to_owned(), token: stock.token(*number).to_owned() };
        let request = DetokenizeRequest {
            region: REGION.to_owned(),
            purpose: PURPOSE.to_owned(),
            audience: AUDIENCE.to_owned(),
            items: numbers.iter().map(item).collect(),
            ..DetokenizeRequest::default()
        };
        (numbers, request)
    }

    fn check_values(&self, numbers: &[u64], results: &[DetokenizeResult]) -> Result<(), Failure> {
        let Load { items, class, checked, .. } = self.load;
        let revealed = results.iter().map(|result| match &result.outcome {
            Some(detokenize_result::Outcome::Revealed(revealed)) => revealed.value.as_slice(),
            _ => &[],
        });
        let mut all_there = results.len() == items && revealed.clone().all(|value| !value.is_empty());
        // Comparing every value would be work that no client has; the first of each call tells as much.
        if let (true, Some(number), Some(value)) = (checked, numbers.first(), revealed.clone().next()) {
            all_there &= class.shape.value(*number) == value;
        }
        if !all_there {
            return Err("a token did not lead to its value".into());
        }
        Ok(())
    }

    fn note(&mut self, index: Option<u64>) {
        self.receipts = merge(self.receipts, index.map(|index| (index, index)));
    }
}

fn stream_start() -> StreamStart {
    StreamStart {
        region: REGION.to_owned(),
        purpose: PURPOSE.to_owned(),
        audience: AUDIENCE.to_owned(),
        ..StreamStart::default()
    }
}

/// The messages of a stream that have no answer yet.
struct Window {
    size: usize,
    clock: Arc<SystemClock>,
    next: u64,
    /// When each was sent, oldest first.
    open: VecDeque<(u64, Duration)>,
    /// What each asked for, where that is looked at.
    asked: VecDeque<Vec<u64>>,
    latencies: Latencies,
}

impl Window {
    fn new(size: usize, clock: &Arc<SystemClock>) -> Self {
        let latencies = Latencies::with_capacity(1024);
        Self { size, clock: clock.clone(), next: 1, open: VecDeque::new(), asked: VecDeque::new(), latencies }
    }

    /// Whether another message may go out before `time` is over.
    fn has_room(&self, time: Duration) -> bool {
        self.open.len() < self.size && self.clock.monotonic() < time
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The number of the message that is sent now.
    fn sent(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.push_back((number, self.clock.monotonic()));
        number
    }

    fn answered(&mut self, number: u64) -> Result<(), Failure> {
        match self.open.pop_front() {
            Some((oldest, sent)) if oldest == number => {
                self.latencies.push(self.clock.monotonic().saturating_sub(sent));
                Ok(())
            }
            _ => Err("an answer came out of turn".into()),
        }
    }
}

fn tokenize_request(class: Class, numbers: impl Iterator<Item = u64>) -> TokenizeRequest {
    let item = |number| TokenizeItem {
        data_class: class.name.to_owned(),
        value: class.shape.value(number),
        subject: String::new(),
        ttl_seconds: 0,
        not_before_ms: 0,
        max_uses: 0,
    };
    TokenizeRequest {
        region: REGION.to_owned(),
        purpose: PURPOSE.to_owned(),
        audience: AUDIENCE.to_owned(),
        items: numbers.map(item).collect(),
        ..TokenizeRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_pass_the_check_that_their_class_makes() {
        for number in [0, 1, 11_111_111_111, 99_999_999_999_999] {
            let card = Shape::Card.value(number);
            assert_eq!(card.len(), 16);
            assert!(vault_format::Rule::pan().validate(&card).is_ok(), "{number}");
        }
        assert_eq!(Shape::Identifier.value(7), b"000000000007");
    }
}
