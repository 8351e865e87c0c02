//! Streams: messages in, answers out, in the same order, as fast as the caller takes them.
//!
//! Each stream is one task. It gathers what has arrived, up to the size of one call, and hands it to the engine as one
//! request; a few of these are under way at once, so that one is decoded while another is on its way to the disk. The
//! task waits wherever its caller does not take answers, and reads nothing meanwhile: HTTP/2's flow control tells the
//! caller to wait. Every commit is authorized anew, so that a change of policy counts for the rest of a stream.
//!
//! Whatever goes wrong with a request as a whole ends the stream, after the answers to all that came before.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle},
    time::Instant,
};
use tokio_stream::Stream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};
use vault_domain::{Action, Freshness, PrincipalId, Reason, limits};
use vault_engine::{Call, Engine, Error};
use vault_proto::v1;

use super::{Shown, call, in_time, origin, standing};
use crate::{
    convert::{
        from_proto::{self, About, check_count},
        to_proto,
    },
    status,
    tls::Standing,
};

/// Runs of answers that wait for the caller, beside those under way.
const ANSWERS_WAITING_MAX: usize = 1;
/// How long a stream waits before it tries again what met a full queue.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// How long a stream that ends by an error may take to bring its last answers to the caller.
const FINISH_DEADLINE: Duration = Duration::from_secs(2);

/// One direction of work on a stream.
pub(crate) trait Verb: Send + Sync + 'static {
    /// What the log calls it.
    const ACTION: Action;
    /// What comes in.
    type Message: Send;
    /// What it brings.
    type Item: Send + Sync;
    /// What goes out.
    type Answer: Send + 'static;

    /// The data class that an item names, and the bytes that it brings.
    fn measure(item: &Self::Item) -> (&str, usize);

    /// The parts of a message.
    fn open(message: Self::Message) -> Opened<Self::Item>;

    /// Carries out some messages as one request.
    fn run(
        engine: Arc<Engine>,
        call: Call,
        about: Arc<About>,
        messages: Vec<(u64, Vec<Self::Item>)>,
    ) -> impl Future<Output = Result<Vec<Self::Answer>, Error>> + Send + 'static;
}

/// A message that was taken apart.
pub(crate) struct Opened<I> {
    start: Option<v1::StreamStart>,
    sequence: u64,
    items: Vec<I>,
}

/// Values in, tokens out.
pub(crate) struct Tokenizing;

impl Verb for Tokenizing {
    const ACTION: Action = Action::Tokenize;
    type Message = v1::TokenizeStreamRequest;
    type Item = v1::TokenizeItem;
    type Answer = v1::TokenizeStreamResponse;

    fn measure(item: &v1::TokenizeItem) -> (&str, usize) {
        (&item.data_class, item.value.len() + item.subject.len())
    }

    fn open(message: v1::TokenizeStreamRequest) -> Opened<v1::TokenizeItem> {
        let v1::TokenizeStreamRequest { start, sequence, items } = message;
        Opened { start, sequence, items }
    }

    async fn run(
        engine: Arc<Engine>,
        call: Call,
        about: Arc<About>,
        messages: Vec<(u64, Vec<v1::TokenizeItem>)>,
    ) -> Result<Vec<v1::TokenizeStreamResponse>, Error> {
        let counts: Vec<_> = messages.iter().map(|(sequence, items)| (*sequence, items.len())).collect();
        let request = about.tokenize(numbered(messages))?;
        let answer = until_not_busy(&engine, &call, || engine.tokenize(&call, &request)).await?;
        let receipt = to_proto::receipt(&answer.receipt, origin(&engine, &request.region));
        let mut results = answer.results.into_iter().map(to_proto::issued);
        let of_message = |(sequence, count)| v1::TokenizeStreamResponse {
            sequence,
            results: results.by_ref().take(count).collect(),
            receipt: Some(receipt.clone()),
        };
        Ok(counts.into_iter().map(of_message).collect())
    }
}

/// Tokens in, values out.
pub(crate) struct Detokenizing;

impl Verb for Detokenizing {
    const ACTION: Action = Action::Detokenize;
    type Message = v1::DetokenizeStreamRequest;
    type Item = v1::DetokenizeItem;
    type Answer = v1::DetokenizeStreamResponse;

    fn measure(item: &v1::DetokenizeItem) -> (&str, usize) {
        (&item.data_class, item.token.len())
    }

    fn open(message: v1::DetokenizeStreamRequest) -> Opened<v1::DetokenizeItem> {
        let v1::DetokenizeStreamRequest { start, sequence, items } = message;
        Opened { start, sequence, items }
    }

    async fn run(
        engine: Arc<Engine>,
        call: Call,
        about: Arc<About>,
        messages: Vec<(u64, Vec<v1::DetokenizeItem>)>,
    ) -> Result<Vec<v1::DetokenizeStreamResponse>, Error> {
        let counts: Vec<_> = messages.iter().map(|(sequence, items)| (*sequence, items.len())).collect();
        let request = about.detokenize(numbered(messages))?;
        let answer = until_not_busy(&engine, &call, || engine.detokenize(&call, &request)).await?;
        let receipt = to_proto::receipt(&answer.receipt, origin(&engine, &request.region));
        let mut results = answer.results.into_iter().map(to_proto::revealed);
        let of_message = |(sequence, count)| v1::DetokenizeStreamResponse {
            sequence,
            results: results.by_ref().take(count).collect(),
            receipt: Some(receipt.clone()),
        };
        Ok(counts.into_iter().map(of_message).collect())
    }
}

fn numbered<I>(messages: Vec<(u64, Vec<I>)>) -> Vec<from_proto::Message<I>> {
    messages.into_iter().map(|(sequence, items)| (Some(sequence), items)).collect()
}

/// Makes a call again for as long as the journal's queue is full: a stream can wait, and its caller with it.
async fn until_not_busy<T, Fut>(engine: &Engine, call: &Call, make: impl Fn() -> Fut) -> Result<T, Error>
where
    Fut: Future<Output = Result<T, Error>>,
{
    loop {
        match make().await {
            Err(error) if error.reason() == Reason::Busy && engine.clock().monotonic() < call.deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// The streams that are open.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Open>);

struct Open {
    of_principals: Mutex<Places>,
    tails: Mutex<Places>,
    tasks: TaskTracker,
    stopping: watch::Receiver<bool>,
}

/// How many streams each principal has.
type Places = HashMap<PrincipalId, usize>;

/// What a stream is for: the ones take no place from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Values and tokens.
    Data,
    /// The log as it grows.
    Tail,
}

/// The place of one stream among those that are open.
pub(crate) struct Place {
    open: Arc<Open>,
    purpose: Purpose,
    principal: PrincipalId,
}

impl Streams {
    /// None yet. All end when `stopping` says so.
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Self {
        let (of_principals, tails) = Default::default();
        Self(Arc::new(Open { of_principals, tails, tasks: TaskTracker::new(), stopping }))
    }

    /// Waits until the last one has ended.
    pub(crate) async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A place among the open streams, if there is one for this principal.
    pub(crate) fn place(&self, purpose: Purpose, principal: &PrincipalId) -> Option<Place> {
        Place::take(&self.0, purpose, principal)
    }

    /// Runs a stream among the tasks that the stop waits for.
    pub(crate) fn spawn(&self, stream: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(stream);
    }

    /// Says when all streams have to end.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.clone()
    }

    /// Drives a call to its end among the tasks that the stop waits for, whether somebody waits for its answer or not.
    pub(crate) async fn carry_through<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.0.tasks.spawn(call).await.unwrap_or(Err(Error::new(Reason::Internal)))
    }

    /// Begins a stream.
    pub(crate) async fn open<V: Verb>(
        &self,
        engine: &Arc<Engine>,
        request: Request<Streaming<V::Message>>,
    ) -> Result<Response<Answers<V::Answer>>, Status> {
        let call = call(&request)?;
        let standing = standing(&request)?;
        let shown = request.extensions().get::<Shown>().cloned().unwrap_or_default();
        engine.admit(&call, V::ACTION).await.map_err(|error| status::status(&error, call.request_id))?;
        let Some(place) = self.place(Purpose::Data, &call.principal) else {
            // No region is known yet: the node's log has it.
            let error = engine.refuse_unread(&call, V::ACTION, "", Error::new(Reason::Busy)).await;
            return Err(status::status(&error, call.request_id));
        };
        let (sender, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
        let clock = engine.clock();
        let deadline = Instant::now() + call.deadline.saturating_sub(clock.monotonic());
        let stream = Running::<V> {
            engine: engine.clone(),
            call,
            standing,
            shown,
            messages: request.into_inner(),
            about: None,
            last_sequence: None,
            begun: false,
            gathered: Gathered::new(),
            next: None,
            under_way: VecDeque::new(),
            tasks: self.0.tasks.clone(),
        };
        let stopping = self.0.stopping.clone();
        self.0.tasks.spawn(async move {
            stream.run(sender, deadline, stopping).await;
            drop(place);
        });
        Ok(Response::new(Answers { receiver, run: VecDeque::new() }))
    }
}

impl Open {
    fn places(&self, purpose: Purpose) -> MutexGuard<'_, Places> {
        let places = match purpose {
            Purpose::Data => &self.of_principals,
            Purpose::Tail => &self.tails,
        };
        places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn take(open: &Arc<Open>, purpose: Purpose, principal: &PrincipalId) -> Option<Self> {
        let mut counts = open.places(purpose);
        let own = counts.get(principal).copied().unwrap_or_default();
        if own >= limits::PRINCIPAL_STREAMS_MAX || counts.values().sum::<usize>() >= limits::STREAMS_MAX {
            return None;
        }
        counts.insert(principal.clone(), own + 1);
        Some(Self { open: open.clone(), purpose, principal: principal.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.open.places(self.purpose);
        if let Some(count) = counts.get_mut(&self.principal) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.principal);
            }
        }
    }
}

/// What the transport sends: the answers of one commit after the other, and at last how it ended, if not well.
pub(crate) struct Answers<A> {
    receiver: mpsc::Receiver<Result<Vec<A>, Status>>,
    run: VecDeque<A>,
}

impl<A: Unpin> Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(answer) = self.run.pop_front() {
                return Poll::Ready(Some(Ok(answer)));
            }
            match ready!(self.receiver.poll_recv(context)) {
                Some(Ok(run)) => self.run = run.into(),
                Some(Err(status)) => return Poll::Ready(Some(Err(status))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// One stream.
struct Running<V: Verb> {
    engine: Arc<Engine>,
    call: Arc<Call>,
    /// The caller's certificate, which may be revoked while the stream lasts.
    standing: Arc<Standing>,
    shown: Shown,
    messages: Streaming<V::Message>,
    /// What holds for all of it, when the first message was read.
    about: Option<Arc<About>>,
    last_sequence: Option<u64>,
    /// Whether its first commit is done: what a nonce opens once is open then.
    begun: bool,
    /// What the next commit will hold.
    gathered: Gathered<V>,
    /// A message that did not fit with the others any more.
    next: Option<(u64, Vec<V::Item>)>,
    /// Commits, oldest first.
    under_way: VecDeque<JoinHandle<Result<Vec<V::Answer>, Error>>>,
    tasks: TaskTracker,
}

/// Messages that are to be committed together, within the limits of one call.
struct Gathered<V: Verb> {
    messages: Vec<(u64, Vec<V::Item>)>,
    items: usize,
    bytes: usize,
    classes: Vec<String>,
}

impl<V: Verb> Gathered<V> {
    fn new() -> Self {
        Self { messages: Vec::new(), items: 0, bytes: 0, classes: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn is_full(&self) -> bool {
        self.items >= limits::BATCH_ITEMS_MAX || self.bytes >= limits::STREAM_MESSAGE_BYTES_MAX
    }

    /// Adds a message, or gives it back if it does not fit. The first one fits whatever it holds: what is wrong with it
    /// is for the engine to say.
    fn add(&mut self, sequence: u64, items: Vec<V::Item>) -> Option<(u64, Vec<V::Item>)> {
        let known = self.classes.len();
        for item in &items {
            let (class, bytes) = V::measure(item);
            self.bytes = self.bytes.saturating_add(bytes);
            if !self.classes.iter().any(|known| known == class) {
                self.classes.push(class.to_owned());
            }
        }
        let fits = self.items + items.len() <= limits::BATCH_ITEMS_MAX
            && self.classes.len() <= limits::REQUEST_CLASSES_MAX
            && self.bytes <= 2 * limits::STREAM_MESSAGE_BYTES_MAX;
        if !self.is_empty() && !fits {
            self.classes.truncate(known);
            return Some((sequence, items));
        }
        self.items += items.len();
        self.messages.push((sequence, items));
        None
    }
}

/// What happened next on a stream.
enum Event<V: Verb> {
    /// A message, the end of them, or what was no message.
    Message(Result<Option<V::Message>, Status>),
    /// The oldest commit is done.
    Done(Result<Result<Vec<V::Answer>, Error>, JoinError>),
}

impl<V: Verb> Running<V> {
    /// Works until the caller has ended and everything is answered, or until something ends it before.
    async fn run(
        mut self,
        sender: mpsc::Sender<Result<Vec<V::Answer>, Status>>,
        deadline: Instant,
        mut stopping: watch::Receiver<bool>,
    ) {
        let ended = tokio::select! {
            ended = self.work(&sender) => ended,
            () = sender.closed() => return,
            () = tokio::time::sleep_until(deadline) => Err(Error::new(Reason::DeadlineExceeded)),
            _ = stopping.wait_for(|stop| *stop) => Err(Error::new(Reason::ShuttingDown)),
        };
        let Err(error) = ended else { return };
        let status = status::status(&error, self.call.request_id);
        // Who does not take what waits is told no more: the stream ends with its connection.
        tokio::select! {
            () = self.finish(&sender, status) => {}
            () = sender.closed() => {}
            () = tokio::time::sleep(FINISH_DEADLINE) => {}
        }
    }

    /// Sends the answers to all that is under way, and then how the stream ended.
    async fn finish(&mut self, sender: &mpsc::Sender<Result<Vec<V::Answer>, Status>>, status: Status) {
        while let Some(oldest) = self.under_way.front_mut() {
            let done = oldest.await;
            self.under_way.pop_front();
            let Ok(Ok(answers)) = done else { break };
            if sender.send(Ok(answers)).await.is_err() {
                return;
            }
        }
        // Nobody is there to be told otherwise.
        let _told = sender.send(Err(status)).await;
    }

    async fn work(&mut self, sender: &mpsc::Sender<Result<Vec<V::Answer>, Status>>) -> Result<(), Error> {
        let mut half_closed = false;
        while !half_closed || !self.gathered.is_empty() || !self.under_way.is_empty() {
            // Nothing goes on beside the commit that may find that all of this was sent before.
            let most = if self.begun { limits::STREAM_COMMITS_MAX } else { 1 };
            if !self.gathered.is_empty() && self.under_way.len() < most {
                let read = if half_closed { Ok(true) } else { self.gather().await };
                // What came before a bad message is carried out and answered.
                self.commit();
                half_closed = read?;
                continue;
            }
            let wants_more = !half_closed && self.gathered.is_empty();
            match self.next_event(wants_more).await? {
                Event::Message(Ok(Some(message))) => self.take(message).await?,
                Event::Message(Ok(None)) => half_closed = true,
                Event::Message(Err(status)) => return Err(self.unread(&status).await),
                Event::Done(done) => {
                    self.under_way.pop_front();
                    let answers = done.map_err(|_| Error::new(Reason::Internal))??;
                    self.begun = true;
                    // That the caller is gone is noticed elsewhere.
                    let _sent = sender.send(Ok(answers)).await;
                }
            }
        }
        Ok(())
    }

    /// Waits for a message if `more`, or for the oldest commit; not for ever if there is none.
    async fn next_event(&mut self, more: bool) -> Result<Event<V>, Error> {
        let Self { messages, under_way, .. } = self;
        let is_idle = under_way.is_empty();
        let done = async {
            match under_way.front_mut() {
                Some(oldest) => oldest.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            done = done => Ok(Event::Done(done)),
            message = messages.message(), if more => Ok(Event::Message(message)),
            () = tokio::time::sleep(limits::STREAM_IDLE), if is_idle => Err(Error::new(Reason::DeadlineExceeded)),
        }
    }

    /// Takes what has arrived already, as much as fits one commit, and tells whether the caller has half-closed.
    async fn gather(&mut self) -> Result<bool, Error> {
        while self.next.is_none() && !self.gathered.is_full() {
            // Nothing is waited for. A message that is there in part stays where it is.
            let arrived = {
                let mut message = std::pin::pin!(self.messages.message());
                std::future::poll_fn(|context| match message.as_mut().poll(context) {
                    Poll::Ready(arrived) => Poll::Ready(Some(arrived)),
                    Poll::Pending => Poll::Ready(None),
                })
                .await
            };
            match arrived {
                None => break,
                Some(Ok(None)) => return Ok(true),
                Some(Ok(Some(message))) => self.take(message).await?,
                Some(Err(status)) => return Err(self.unread(&status).await),
            }
        }
        Ok(false)
    }

    /// Checks a message and puts it to those that wait to be committed.
    async fn take(&mut self, message: V::Message) -> Result<(), Error> {
        let Opened { start, sequence, items } = V::open(message);
        let region = start.as_ref().map(|start| start.region.clone());
        let judged = self.standing.check().and_then(|()| self.shown.check(&self.engine)).map_err(Error::new);
        match judged.and_then(|()| self.check(start.as_ref(), sequence, items.len())) {
            Ok(false) => {}
            Ok(true) => {
                self.last_sequence = Some(sequence);
                self.next = self.gathered.add(sequence, items);
            }
            Err(error) => {
                let known = self.about.as_ref().map(|about| about.region().as_str().to_owned());
                let region = known.or(region).unwrap_or_default();
                return Err(self.engine.refuse_unread(&self.call, V::ACTION, &region, error).await);
            }
        }
        Ok(())
    }

    /// Whether a message brings items.
    fn check(&mut self, start: Option<&v1::StreamStart>, sequence: u64, items: usize) -> Result<bool, Error> {
        let is_first = self.about.is_none();
        match (start, is_first) {
            (Some(start), true) => self.about = Some(Arc::new(from_proto::start(start, V::ACTION)?)),
            (None, true) => return Err(Error::field("start", "must stand in the first message of a stream")),
            (Some(_), false) => return Err(Error::field("start", "must stand in the first message alone")),
            (None, false) => {}
        }
        if items == 0 && is_first {
            return Ok(false);
        }
        check_count(items)?;
        if self.last_sequence.is_some_and(|last| sequence <= last) {
            return Err(Error::field("sequence", "must be higher than that of the message before"));
        }
        Ok(true)
    }

    /// Hands what was gathered to the engine, on a task of its own.
    fn commit(&mut self) {
        let Some(about) = self.about.clone() else { return };
        let gathered = std::mem::replace(&mut self.gathered, Gathered::new());
        if let Some((sequence, items)) = self.next.take() {
            self.next = self.gathered.add(sequence, items);
        }
        let engine = self.engine.clone();
        let soon = engine.clock().monotonic().saturating_add(limits::CALL_DEADLINE);
        let freshness = if self.begun { Freshness::OfStream } else { self.call.freshness };
        let call = Call { deadline: self.call.deadline.min(soon), freshness, ..Call::clone(&self.call) };
        self.under_way.push_back(self.tasks.spawn(async move {
            let run = V::run(engine.clone(), call.clone(), about, gathered.messages);
            in_time(&engine, &call, pin!(run)).await
        }));
    }

    /// What was no message of this stream, in the log if its sender is still there.
    async fn unread(&self, status: &Status) -> Error {
        match status::foreign(status).unwrap_or(Reason::Cancelled) {
            Reason::Cancelled => Error::new(Reason::Cancelled),
            reason => {
                let region = self.about.as_ref().map_or("", |about| about.region().as_str());
                self.engine.refuse_unread(&self.call, V::ACTION, region, Error::new(reason)).await
            }
        }
    }
}
