//! TailAccessLog: one task a stream, which waits wherever its caller does not take answers.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vault_domain::{Action, Reason, limits};
use vault_engine::{Call, Engine, Error, Receipt, Tail};
use vault_proto::v1::{TailAccessLogRequest, TailAccessLogResponse};

use super::{
    Shown, call, in_time, origin, standing,
    stream::{Purpose, Streams},
};
use crate::{
    convert::{from_proto, to_proto},
    status,
    tls::Standing,
};

/// What the transport sends.
pub(crate) type Answers = ReceiverStream<Result<TailAccessLogResponse, Status>>;

/// How long a stream without news stays silent.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Messages that wait for the caller.
const ANSWERS_WAITING_MAX: usize = 1;

/// One stream.
struct Following {
    engine: Arc<Engine>,
    call: Arc<Call>,
    /// The caller's certificate, which may be revoked while the stream lasts.
    standing: Arc<Standing>,
    shown: Shown,
    tail: Tail,
    answers: mpsc::Sender<Result<TailAccessLogResponse, Status>>,
}

/// Begins a stream.
pub(crate) async fn open(
    engine: &Arc<Engine>,
    streams: &Streams,
    request: Request<TailAccessLogRequest>,
) -> Result<Response<Answers>, Status> {
    let (call, standing) = (call(&request)?, standing(&request)?);
    let shown = request.extensions().get::<Shown>().cloned().unwrap_or_default();
    let mut message = request.into_inner();
    let from = message.from_index;
    let refuse = async |region: &str, error| {
        let refused = engine.refuse_unread(&call, Action::QueryAccessLog, region, error).await;
        status::status(&refused, call.request_id)
    };
    let query = match from_proto::tail(&mut message) {
        Ok(query) => query,
        Err(error) => return Err(refuse(&message.region, error).await),
    };
    let Some(place) = streams.place(Purpose::Tail, &call.principal) else {
        return Err(refuse(&message.region, Error::new(Reason::Busy)).await);
    };
    let begun = in_time(engine, &call, engine.tail_access_log(&call, query, from)).await;
    let (tail, receipt) = begun.map_err(|error| status::status(&error, call.request_id))?;
    let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
    let left = call.deadline.saturating_sub(engine.clock().monotonic());
    let (deadline, mut stopping) = (Instant::now() + left, streams.stopping());
    let request_id = call.request_id;
    let mut following = Following { engine: engine.clone(), call, standing, shown, tail, answers: answers.clone() };
    streams.spawn(async move {
        let error = tokio::select! {
            error = following.run(receipt) => error,
            () = answers.closed() => return,
            () = tokio::time::sleep_until(deadline) => Error::new(Reason::DeadlineExceeded),
            _ = stopping.wait_for(|stop| *stop) => Error::new(Reason::ShuttingDown),
        };
        drop((following, place));
        // Who does not take what waits is told no more.
        let _told = answers.try_send(Err(status::status(&error, request_id)));
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

impl Following {
    /// Follows the log until something ends it.
    async fn run(&mut self, receipt: Receipt) -> Error {
        let log_id = receipt.log_id;
        let mut receipt = Some(receipt);
        let mut silent_since = Instant::now();
        loop {
            let judged = self.standing.check().and_then(|()| self.shown.check(&self.engine)).map_err(Error::new);
            let step = match judged {
                Ok(()) => self.engine.tail_on(&self.call, &mut self.tail).await,
                // The door has turned others away for the same: the node's log has it.
                Err(error) => Err(self.engine.refuse_unread(&self.call, Action::QueryAccessLog, "", error).await),
            };
            let step = match step {
                Ok(step) => step,
                Err(error) => return error,
            };
            let is_at_end = step.next_index >= step.log_size;
            if !step.entries.is_empty() || receipt.is_some() || silent_since.elapsed() >= SILENCE_MAX {
                let origin = origin(&self.engine, self.tail.region());
                let answer = to_proto::tail(step, receipt.take().as_ref(), (origin, &log_id));
                match tokio::time::timeout(limits::STREAM_IDLE, self.answers.send(Ok(answer))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Error::new(Reason::Cancelled),
                    // Who takes nothing leaves the place to others, and goes on later where it was.
                    Err(_) => return Error::new(Reason::DeadlineExceeded),
                }
                silent_since = Instant::now();
            }
            if is_at_end {
                let silence = SILENCE_MAX.saturating_sub(silent_since.elapsed());
                // Silence is long over when the search was.
                let _news = tokio::time::timeout(silence, self.tail.grown()).await;
            }
        }
    }
}
