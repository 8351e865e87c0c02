//! Streams of a caller: messages sent one by one, answers taken one by one. Planted and searched as those of calls.

use std::time::Duration;

use http::HeaderMap;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Streaming, metadata::MetadataMap};
use vault_proto::v1;

use crate::{
    caller::{Caller, Detokenized, Tokenized},
    refusal::Refusal,
    requests::{AUDIENCE, REGION},
};

/// What holds for a stream that brings values in.
#[must_use]
pub fn loading() -> v1::StreamStart {
    v1::StreamStart { purpose: "bulk_load".to_owned(), ..settling() }
}

/// What holds for a stream that reveals.
#[must_use]
pub fn settling() -> v1::StreamStart {
    v1::StreamStart {
        region: REGION.to_owned(),
        purpose: "settlement".to_owned(),
        audience: AUDIENCE.to_owned(),
        ..Default::default()
    }
}

/// A message of values.
#[must_use]
pub fn values(sequence: u64, items: Vec<v1::TokenizeItem>) -> v1::TokenizeStreamRequest {
    v1::TokenizeStreamRequest { start: None, sequence, items }
}

/// A message of tokens.
#[must_use]
pub fn tokens(sequence: u64, items: Vec<v1::DetokenizeItem>) -> v1::DetokenizeStreamRequest {
    v1::DetokenizeStreamRequest { start: None, sequence, items }
}

/// An open stream: `Q` goes out, `A` comes back.
#[derive(Debug)]
pub struct Stream<Q, A> {
    caller: Caller,
    sender: Option<mpsc::Sender<Q>>,
    answers: Streaming<A>,
}

/// Values out, tokens back.
pub type TokenizeStream = Stream<v1::TokenizeStreamRequest, v1::TokenizeStreamResponse>;
/// Tokens out, values back.
pub type DetokenizeStream = Stream<v1::DetokenizeStreamRequest, v1::DetokenizeStreamResponse>;

impl Caller {
    /// Opens a stream that tokenizes. Nothing is sent yet.
    ///
    /// # Errors
    /// When the stream is refused.
    pub async fn tokenize_stream(&self, deadline: Option<Duration>) -> Result<TokenizeStream, Refusal> {
        let (sender, request) = outgoing(deadline);
        let opened = self.tokens().tokenize_stream(request).await.map_err(|status| self.refusal(&status))?;
        Ok(Stream { caller: self.clone(), sender: Some(sender), answers: opened.into_inner() })
    }

    /// Opens a stream that detokenizes. Nothing is sent yet.
    ///
    /// # Errors
    /// When the stream is refused.
    pub async fn detokenize_stream(&self, deadline: Option<Duration>) -> Result<DetokenizeStream, Refusal> {
        let (sender, request) = outgoing(deadline);
        self.open_to_detokenize(sender, request).await
    }

    /// The same, with what its opening says of itself.
    ///
    /// # Errors
    /// When the stream is refused.
    pub async fn detokenize_stream_saying(&self, said: HeaderMap) -> Result<DetokenizeStream, Refusal> {
        let (sender, mut request) = outgoing(None);
        *request.metadata_mut() = MetadataMap::from_headers(said);
        self.open_to_detokenize(sender, request).await
    }

    async fn open_to_detokenize(
        &self,
        sender: mpsc::Sender<v1::DetokenizeStreamRequest>,
        request: Request<ReceiverStream<v1::DetokenizeStreamRequest>>,
    ) -> Result<DetokenizeStream, Refusal> {
        let opened = self.tokens().detokenize_stream(request).await.map_err(|status| self.refusal(&status))?;
        Ok(Stream { caller: self.clone(), sender: Some(sender), answers: opened.into_inner() })
    }
}

fn outgoing<Q>(deadline: Option<Duration>) -> (mpsc::Sender<Q>, Request<ReceiverStream<Q>>) {
    let (sender, receiver) = mpsc::channel(1);
    let mut request = Request::new(ReceiverStream::new(receiver));
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    (sender, request)
}

impl<Q, A> Stream<Q, A> {
    /// Half-closes: no message follows.
    pub fn half_close(&mut self) {
        self.sender = None;
    }

    /// A sender of its own, for a task that sends while another takes answers.
    #[must_use]
    pub fn sender(&self) -> mpsc::Sender<Q> {
        self.sender.clone().expect("an open stream")
    }

    async fn next_message(&mut self) -> Result<Option<A>, Refusal> {
        self.answers.message().await.map_err(|status| self.caller.refusal(&status))
    }
}

impl TokenizeStream {
    /// Sends a message; whether the stream took it.
    pub async fn send(&self, message: v1::TokenizeStreamRequest) -> bool {
        self.caller.plant_values(&message.items);
        self.sender.as_ref().expect("an open stream").send(message).await.is_ok()
    }

    /// The next answer, `None` at the good end.
    ///
    /// # Errors
    /// When the stream ends by an error.
    pub async fn answer(&mut self) -> Result<Option<(u64, Tokenized)>, Refusal> {
        let Some(answer) = self.next_message().await? else { return Ok(None) };
        let v1::TokenizeStreamResponse { sequence, results, receipt } = answer;
        Ok(Some((sequence, self.caller.tokenized(v1::TokenizeResponse { results, receipt }))))
    }
}

impl DetokenizeStream {
    /// Sends a message; whether the stream took it.
    pub async fn send(&self, message: v1::DetokenizeStreamRequest) -> bool {
        self.caller.plant_tokens(&message.items);
        self.sender.as_ref().expect("an open stream").send(message).await.is_ok()
    }

    /// The next answer, `None` at the good end.
    ///
    /// # Errors
    /// When the stream ends by an error.
    pub async fn answer(&mut self) -> Result<Option<(u64, Detokenized)>, Refusal> {
        let Some(answer) = self.next_message().await? else { return Ok(None) };
        let v1::DetokenizeStreamResponse { sequence, results, receipt } = answer;
        Ok(Some((sequence, self.caller.detokenized(v1::DetokenizeResponse { results, receipt }))))
    }
}
