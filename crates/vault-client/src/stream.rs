//! Streams: many batches over one call, each answered by itself, in order.
//!
//! A task of its own holds the stream. What is handed to it goes out at once, as far as the vault takes it; what was
//! not answered when the stream broke is sent again on a new one, under the same key and numbers, so that no token is
//! made twice. [`ClientConfig`](crate::ClientConfig)'s deadline holds for every batch, its attempts for every stretch
//! without an answer.

use std::{
    collections::VecDeque,
    future::Future,
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, transport::Channel};
use vault_domain::{LevelAsked, Reason, RequestId};
use vault_proto::v1::{self, token_service_client::TokenServiceClient};

use crate::{
    call::{Answer, CallContext, CallMade, Receipt, Said},
    client::{ANSWER_BYTES_MAX, Client},
    connect::Link,
    detokenize::{self, HeldToken, Revealed},
    error::{ClientError, request_id},
    split::{STREAM_MESSAGE_ROOM_BYTES, split},
    tokenize::{self, IssuedToken, NewValue},
};

/// Messages that one batch may be cut into: the numbers of a batch's messages follow each other.
const BATCH_MESSAGES_MAX: u64 = 4096;
/// Messages that may wait for HTTP/2.
const OUTGOING_MAX: usize = 1;

/// A stream of values to tokenize. Dropping it ends the stream.
pub type TokenizeStream = Stream<Tokenizing>;
/// A stream of tokens to reveal. Dropping it ends the stream.
pub type DetokenizeStream = Stream<Detokenizing>;

impl Client {
    /// Opens a stream that tokenizes. It goes to the vault with the first batch.
    ///
    /// # Errors
    /// When no idempotency key can be drawn.
    pub fn tokenize_stream(&self, context: &CallContext) -> Result<TokenizeStream, ClientError> {
        Stream::open(self, context, v1::RevealLevel::Unspecified.into())
    }

    /// Opens a stream that reveals as much of values as is asked for. It goes to the vault with the first batch.
    ///
    /// # Errors
    /// When no idempotency key can be drawn.
    pub fn detokenize_stream(&self, context: &CallContext, level: LevelAsked) -> Result<DetokenizeStream, ClientError> {
        Stream::open(self, context, detokenize::encode_level(level))
    }
}

impl TokenizeStream {
    /// Hands over a batch; the result is a future of its answer. Batches go out in the order in which this is called,
    /// not in which their futures are awaited, so a caller that has several open bounds their number itself.
    ///
    /// `number` is the caller's for this batch: higher than that of the batch before. With an idempotency key of the
    /// caller, the same number means the same batch, also on another stream and after a restart.
    pub fn tokenize(
        &self,
        number: u64,
        items: Vec<NewValue>,
    ) -> impl Future<Output = Result<Answer<IssuedToken>, ClientError>> + Send + use<> {
        self.send(number, items.into_iter().map(tokenize::encode).collect())
    }
}

impl DetokenizeStream {
    /// Hands over a batch; see [`TokenizeStream::tokenize`].
    pub fn detokenize(
        &self,
        number: u64,
        items: Vec<HeldToken>,
    ) -> impl Future<Output = Result<Answer<Revealed>, ClientError>> + Send + use<> {
        self.send(number, items.into_iter().map(detokenize::encode).collect())
    }
}

/// What a stream carries, either way.
pub trait Way: sealed::Way {}

mod sealed {
    use super::*;

    /// The messages of one kind of stream.
    pub trait Way: Send + Sync + 'static {
        type Item: Message + Clone;
        type Request: Send + 'static;
        type Reply: Send + 'static;
        type Result: Send + 'static;
        type Output: Send + 'static;

        fn class(item: &Self::Item) -> &str;
        fn request(start: Option<v1::StreamStart>, sequence: u64, items: Vec<Self::Item>) -> Self::Request;
        fn reply(reply: Self::Reply) -> (u64, Vec<Self::Result>, Option<v1::Receipt>);
        fn result(
            result: Self::Result,
            start: &v1::StreamStart,
            request_id: Option<RequestId>,
        ) -> Result<Result<Self::Output, ClientError>, ClientError>;
        fn open(
            channel: Channel,
            outgoing: Request<ReceiverStream<Self::Request>>,
        ) -> impl Future<Output = Result<Response<Streaming<Self::Reply>>, Status>> + Send;
    }
}

/// Values out, tokens back.
#[derive(Debug)]
pub enum Tokenizing {}

/// Tokens out, values back.
#[derive(Debug)]
pub enum Detokenizing {}

impl Way for Tokenizing {}
impl Way for Detokenizing {}

impl sealed::Way for Tokenizing {
    type Item = v1::TokenizeItem;
    type Request = v1::TokenizeStreamRequest;
    type Reply = v1::TokenizeStreamResponse;
    type Result = v1::TokenizeResult;
    type Output = IssuedToken;

    fn class(item: &v1::TokenizeItem) -> &str {
        &item.data_class
    }

    fn request(start: Option<v1::StreamStart>, sequence: u64, items: Vec<v1::TokenizeItem>) -> Self::Request {
        v1::TokenizeStreamRequest { start, sequence, items }
    }

    fn reply(reply: Self::Reply) -> (u64, Vec<v1::TokenizeResult>, Option<v1::Receipt>) {
        (reply.sequence, reply.results, reply.receipt)
    }

    fn result(
        result: v1::TokenizeResult,
        _start: &v1::StreamStart,
        request_id: Option<RequestId>,
    ) -> Result<Result<IssuedToken, ClientError>, ClientError> {
        tokenize::decode(result, request_id)
    }

    async fn open(
        channel: Channel,
        outgoing: Request<ReceiverStream<Self::Request>>,
    ) -> Result<Response<Streaming<Self::Reply>>, Status> {
        let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        service.tokenize_stream(outgoing).await
    }
}

impl sealed::Way for Detokenizing {
    type Item = v1::DetokenizeItem;
    type Request = v1::DetokenizeStreamRequest;
    type Reply = v1::DetokenizeStreamResponse;
    type Result = v1::DetokenizeResult;
    type Output = Revealed;

    fn class(item: &v1::DetokenizeItem) -> &str {
        &item.data_class
    }

    fn request(start: Option<v1::StreamStart>, sequence: u64, items: Vec<v1::DetokenizeItem>) -> Self::Request {
        v1::DetokenizeStreamRequest { start, sequence, items }
    }

    fn reply(reply: Self::Reply) -> (u64, Vec<v1::DetokenizeResult>, Option<v1::Receipt>) {
        (reply.sequence, reply.results, reply.receipt)
    }

    fn result(
        result: v1::DetokenizeResult,
        start: &v1::StreamStart,
        request_id: Option<RequestId>,
    ) -> Result<Result<Revealed, ClientError>, ClientError> {
        detokenize::decode(result, start.level, request_id)
    }

    async fn open(
        channel: Channel,
        outgoing: Request<ReceiverStream<Self::Request>>,
    ) -> Result<Response<Streaming<Self::Reply>>, Status> {
        let mut service = TokenServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        service.detokenize_stream(outgoing).await
    }
}

/// An open stream: the handle on the task that holds it.
pub struct Stream<W: Way> {
    client: Client,
    sender: mpsc::UnboundedSender<Sending<W>>,
    last: AtomicU64,
}

impl<W: Way> std::fmt::Debug for Stream<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

/// How one message ended.
type Ended<W> = Result<(Receipt, Vec<Result<<W as sealed::Way>::Output, ClientError>>), ClientError>;

/// A message on its way.
struct Sending<W: Way> {
    sequence: u64,
    items: Vec<W::Item>,
    reply: oneshot::Sender<Sent<W>>,
    /// When it was handed over, on the client's clock.
    since: Duration,
    attempts: u32,
}

/// What became of a message.
struct Sent<W: Way> {
    ended: Ended<W>,
    request_id: Option<RequestId>,
    attempts: u32,
    took: Duration,
}

impl<W: Way> Stream<W> {
    fn open(client: &Client, context: &CallContext, level: i32) -> Result<Self, ClientError> {
        let idempotency_key = client.keys(context, 1)?.pop().unwrap_or_default();
        let Said { region, audience, purpose, reference } = context.said();
        let start = v1::StreamStart { region, purpose, reference, audience, idempotency_key, level };
        let (sender, receiver) = mpsc::unbounded_channel();
        let held = Held { client: client.clone(), start, waiting: receiver, unanswered: VecDeque::new() };
        tokio::spawn(held.run());
        Ok(Self { client: client.clone(), sender, last: AtomicU64::new(0) })
    }

    fn send(
        &self,
        number: u64,
        items: Vec<W::Item>,
    ) -> impl Future<Output = Result<Answer<W::Output>, ClientError>> + Send + use<W> {
        let measured = items.iter().map(|item| (W::class(item), item.encoded_len()));
        let runs = split(measured, STREAM_MESSAGE_ROOM_BYTES);
        let refused = self.refuse(number, runs.len());
        let mut items = items.into_iter();
        let mut open = Vec::with_capacity(runs.len());
        if refused.is_none() {
            for (sequence, run) in (number * BATCH_MESSAGES_MAX..).zip(runs) {
                let (reply, replied) = oneshot::channel();
                let items = items.by_ref().take(run.len()).collect();
                let sending = Sending { sequence, items, reply, since: self.client.monotonic(), attempts: 0 };
                // If the task is gone, so is the other end of `replied`, which tells.
                let _handed_over = self.sender.send(sending);
                open.push((run, replied));
            }
        }
        async move { if let Some(error) = refused { Err(error) } else { answer::<W>(open).await } }
    }

    /// Why a batch can't go out under its number.
    fn refuse(&self, number: u64, messages: usize) -> Option<ClientError> {
        let problem = if number >= u64::MAX / BATCH_MESSAGES_MAX - 1 || messages as u64 > BATCH_MESSAGES_MAX {
            "is too large for a stream; cut it"
        } else if self.last.fetch_max(number + 1, Ordering::Relaxed) > number {
            "must have a higher number than the batch before"
        } else {
            return None;
        };
        Some(ClientError::configuration("the batch", problem))
    }
}

/// Puts the answers to the messages of a batch together.
async fn answer<W: Way>(
    open: Vec<(Range<usize>, oneshot::Receiver<Sent<W>>)>,
) -> Result<Answer<W::Output>, ClientError> {
    let mut answer = Answer { results: Vec::new(), calls: Vec::with_capacity(open.len()) };
    for (items, replied) in open {
        let gone = || ClientError::Transport { problem: "the stream's task has ended".to_owned() };
        let Sent { ended, request_id, attempts, took } = replied.await.map_err(|_| gone())?;
        let fits = |results: &Vec<_>| results.len() == items.len();
        let ended = match ended {
            Ok((_, results)) if !fits(&results) => Err(ClientError::AnswerMalformed("it has not one result an item")),
            ended => ended,
        };
        let outcome = match ended {
            Ok((receipt, results)) => {
                answer.results.extend(results);
                Ok(receipt)
            }
            Err(error) => {
                answer.results.extend(items.clone().map(|_| Err(error.clone())));
                Err(error)
            }
        };
        answer.calls.push(CallMade { items, outcome, request_id, attempts, took });
    }
    let first_error = answer.calls.first().and_then(|call| call.outcome.as_ref().err());
    match first_error.filter(|_| answer.calls.iter().all(|call| call.outcome.is_err())) {
        Some(error) => Err(error.clone()),
        None => Ok(answer),
    }
}

/// The task's side of a stream.
struct Held<W: Way> {
    client: Client,
    start: v1::StreamStart,
    waiting: mpsc::UnboundedReceiver<Sending<W>>,
    /// What was handed over and not answered, oldest first.
    unanswered: VecDeque<Sending<W>>,
}

impl<W: Way> Held<W> {
    /// Holds streams, one after the other, until nobody wants any more.
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            if self.unanswered.is_empty() {
                let Some(sending) = self.waiting.recv().await else { return };
                self.unanswered.push_back(sending);
            }
            let before = self.unanswered.front().map(|sending| sending.sequence);
            let Err(error) = self.converse().await else { return };
            if self.unanswered.front().map(|sending| sending.sequence) != before {
                failures = 0;
            }
            failures += 1;
            self.pause_or_give_up(error, failures).await;
        }
    }

    /// After a stream has broken: waits before the next one, or tells all that wait why there is none.
    async fn pause_or_give_up(&mut self, error: ClientError, failures: u32) {
        let patience = self.client.patience();
        let pause = patience.pause(failures, error.retry_after());
        let is_passing = error.is_passing()
            || matches!(error.reason(), Some(Reason::CommitConflict | Reason::DeadlineExceeded | Reason::Cancelled));
        let may_repeat = !self.start.idempotency_key.is_empty();
        if may_repeat && is_passing && failures < patience.attempts_max {
            tokio::time::sleep(pause).await;
            self.give_up_late();
            return;
        }
        let now = self.client.monotonic();
        for sending in self.unanswered.drain(..) {
            sending.end(Err(error.clone()), error.request_id(), now);
        }
    }

    /// Tells those whose time is over.
    fn give_up_late(&mut self) {
        let (now, deadline) = (self.client.monotonic(), self.client.patience().deadline);
        let is_late = |oldest: &mut Sending<W>| now.saturating_sub(oldest.since) >= deadline;
        while let Some(late) = self.unanswered.pop_front_if(is_late) {
            late.end(Err(ClientError::Deadline(deadline)), None, now);
        }
    }

    /// One stream: sends what is unanswered, then what comes, and takes answers. Ends well when nobody wants any more.
    async fn converse(&mut self) -> Result<(), ClientError> {
        let link = self.client.link_for(&self.start.region).await?;
        let patience = self.client.patience();
        let leave = link.enter(patience.clock, patience.deadline)?;
        let (outgoing, requests) = mpsc::channel(OUTGOING_MAX);
        let opened = W::open(link.channel.clone(), self.client.fresh(ReceiverStream::new(requests))?);
        let mut start = Some(self.start.clone());
        let mut sent = 0;
        // The vault says whether it takes the stream before it has read anything.
        let opened = tokio::time::timeout(self.client.patience().deadline, opened).await;
        let opened = opened.map_err(|_| ClientError::Deadline(self.client.patience().deadline))?;
        let opened = match opened {
            Ok(opened) => opened,
            Err(status) => {
                if matches!(ClientError::of_call(&status), ClientError::Transport { .. }) {
                    leave.failed();
                } else {
                    leave.answered();
                }
                return Err(self.broken(&link, &status).await);
            }
        };
        leave.answered();
        link.answered();
        let stream_id = request_id(opened.metadata());
        let mut replies = opened.into_inner();
        let mut outgoing = Some(outgoing);
        let mut wanted = true;
        loop {
            if !wanted && sent == self.unanswered.len() {
                // Nothing follows: the vault answers the rest and ends.
                outgoing = None;
            }
            let late = self.unanswered.front().map(|oldest| self.left(oldest));
            let room = tokio::select! {
                reply = replies.message() => {
                    match reply {
                        Ok(Some(reply)) => self.take(reply, stream_id)?,
                        Ok(None) if self.unanswered.is_empty() && !wanted => return Ok(()),
                        Ok(None) => return Err(ClientError::Transport { problem: "the stream ended early".to_owned() }),
                        Err(status) => return Err(self.broken(&link, &status).await),
                    }
                    sent = sent.saturating_sub(1);
                    continue;
                }
                // What is handed over is not held back here: whoever hands it over bounds it.
                sending = self.waiting.recv(), if wanted => {
                    match sending {
                        Some(sending) => self.unanswered.push_back(sending),
                        None => wanted = false,
                    }
                    continue;
                }
                () = tokio::time::sleep(late.unwrap_or_default()), if late.is_some() => {
                    self.give_up_late();
                    // Its answer would be taken for another's.
                    return Err(ClientError::Transport { problem: "an answer took too long".to_owned() });
                }
                room = reserve(outgoing.as_ref()), if sent < self.unanswered.len() => room,
            };
            match (room, self.unanswered.get_mut(sent)) {
                (Some(room), Some(sending)) => {
                    sending.attempts += 1;
                    room.send(W::request(start.take(), sending.sequence, sending.items.clone()));
                    sent += 1;
                }
                // The stream is broken; its replies tell why.
                _ => sent = self.unanswered.len(),
            }
        }
    }

    /// How long a message may still wait for its answer.
    fn left(&self, sending: &Sending<W>) -> Duration {
        self.client.patience().deadline.saturating_sub(self.client.monotonic().saturating_sub(sending.since))
    }

    /// What the status by which a stream ended means for the next one.
    async fn broken(&self, link: &Link, status: &Status) -> ClientError {
        self.client.follow_or_fail(link, &self.start.region, ClientError::of_call(status)).await
    }

    /// Takes the answer to the oldest message.
    fn take(&mut self, reply: W::Reply, request_id: Option<RequestId>) -> Result<(), ClientError> {
        let (sequence, results, receipt) = W::reply(reply);
        let Some(oldest) = self.unanswered.pop_front_if(|oldest| oldest.sequence == sequence) else {
            return Err(ClientError::AnswerMalformed("it answers no message that was sent"));
        };
        let ended = Receipt::read(receipt.as_ref()).and_then(|receipt| {
            let results = results.into_iter().map(|result| W::result(result, &self.start, request_id));
            let results: Result<Vec<_>, _> = results.collect();
            Ok((receipt, results?))
        });
        oldest.end(ended, request_id, self.client.monotonic());
        Ok(())
    }
}

/// Room for one message, when there is some; `None` if the stream takes none any more.
async fn reserve<T>(outgoing: Option<&mpsc::Sender<T>>) -> Option<mpsc::Permit<'_, T>> {
    outgoing?.reserve().await.ok()
}

impl<W: Way> Sending<W> {
    fn end(self, ended: Ended<W>, request_id: Option<RequestId>, now: Duration) {
        let sent = Sent { ended, request_id, attempts: self.attempts, took: now.saturating_sub(self.since) };
        // Who does not wait any more is told nothing.
        let _told = self.reply.send(sent);
    }
}
