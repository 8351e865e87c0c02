//! ExportAccessLog: one task a stream, which holds one chunk, one entry and one step's entries, of Parquet also a row
//! group, and waits wherever its caller does not take what is there.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vault_domain::{Action, Reason, limits};
use vault_engine::{Call, Engine, Error, Export, Receipt};
use vault_proto::v1::{ExportAccessLogRequest, ExportAccessLogResponse};

use super::{
    Shown, call, in_time, standing,
    stream::{Purpose, Streams},
};
use crate::{
    convert::{from_proto, to_proto},
    export::Sheet,
    status,
    tls::Standing,
};

/// What the transport sends.
pub(crate) type Answers = ReceiverStream<Result<ExportAccessLogResponse, Status>>;

/// Bytes of the file in one message.
const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// How long a stream stays silent while nothing is found.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Messages that wait for the caller.
const ANSWERS_WAITING_MAX: usize = 1;

/// One stream.
struct Exporting {
    engine: Arc<Engine>,
    call: Arc<Call>,
    /// The caller's certificate, which may be revoked while the stream lasts.
    standing: Arc<Standing>,
    shown: Shown,
    sheet: Sheet,
    export: Export,
    /// What was written and not yet sent.
    waiting: Vec<u8>,
    next_index: u64,
    answers: mpsc::Sender<Result<ExportAccessLogResponse, Status>>,
    sent_at: Instant,
}

/// Begins a stream.
pub(crate) async fn open(
    engine: &Arc<Engine>,
    streams: &Streams,
    request: Request<ExportAccessLogRequest>,
) -> Result<Response<Answers>, Status> {
    let (call, standing) = (call(&request)?, standing(&request)?);
    let shown = request.extensions().get::<Shown>().cloned().unwrap_or_default();
    let mut message = request.into_inner();
    let refuse = async |region: &str, error| {
        let refused = engine.refuse_unread(&call, Action::ExportAccessLog, region, error).await;
        status::status(&refused, call.request_id)
    };
    let (query, range, format) = match from_proto::export(&mut message) {
        Ok(read) => read,
        Err(error) => return Err(refuse(&message.region, error).await),
    };
    let Some(place) = streams.place(Purpose::Tail, &call.principal) else {
        return Err(refuse(&message.region, Error::new(Reason::Busy)).await);
    };
    let begun = in_time(engine, &call, engine.export_access_log(&call, query, range, format)).await;
    let mut waiting = Vec::new();
    let begun = begun.and_then(|begun| Ok((begun, Sheet::begin(format, &mut waiting)?)));
    let ((export, receipt), sheet) = begun.map_err(|error| status::status(&error, call.request_id))?;
    let (answers, receiver) = mpsc::channel(ANSWERS_WAITING_MAX);
    let left = call.deadline.saturating_sub(engine.clock().monotonic());
    let (deadline, mut stopping) = (Instant::now() + left, streams.stopping());
    let (engine, request_id, closed) = (engine.clone(), call.request_id, answers.clone());
    let sent_at = Instant::now();
    let mut exporting =
        Exporting { engine, call, standing, shown, sheet, export, waiting, next_index: 0, answers, sent_at };
    streams.spawn(async move {
        let exported = async {
            exporting.run(receipt).await?;
            exporting.finish().await
        };
        let ended = tokio::select! {
            ended = exported => ended,
            () = closed.closed() => return,
            () = tokio::time::sleep_until(deadline) => Err(Error::new(Reason::DeadlineExceeded)),
            _ = stopping.wait_for(|stop| *stop) => Err(Error::new(Reason::ShuttingDown)),
        };
        drop(place);
        if let Err(error) = ended {
            // Who does not take what waits is told no more; without a manifest an export is known not to be whole.
            let _told = closed.try_send(Err(status::status(&error, request_id)));
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver)))
}

impl Exporting {
    /// Sends everything but the end.
    async fn run(&mut self, receipt: Receipt) -> Result<(), Error> {
        let (origin, log_id) = self.export.log();
        let (origin, log_id) = (origin.to_owned(), *log_id);
        let receipt = Some(to_proto::receipt(&receipt, &origin));
        self.send(ExportAccessLogResponse { receipt, ..ExportAccessLogResponse::default() }).await?;
        loop {
            if let Err(reason) = self.standing.check().and_then(|()| self.shown.check(&self.engine)) {
                // The door has turned others away for the same: the node's log has it.
                let error = Error::new(reason);
                return Err(self.engine.refuse_unread(&self.call, Action::ExportAccessLog, "", error).await);
            }
            let step = self.engine.export_on(&self.call, &mut self.export).await?;
            for found in step.entries {
                let entry = to_proto::entry(found, &origin, &log_id);
                let rows = self.sheet.put(&entry, &mut self.waiting)?;
                self.export.written(rows);
                self.send_full().await?;
            }
            self.next_index = step.next_index;
            if step.is_last {
                self.sheet.end(&mut self.waiting)?;
                self.send_full().await?;
            }
            if step.is_last || self.sent_at.elapsed() >= SILENCE_MAX {
                let data = std::mem::take(&mut self.waiting);
                self.send_data(data).await?;
            }
            if step.is_last {
                return Ok(());
            }
        }
    }

    /// Sends the manifest.
    async fn finish(self) -> Result<(), Error> {
        let Self { export, next_index, answers, .. } = self;
        let signed = export.end()?;
        let (manifest, verifier_key) = (signed.manifest, signed.verifier_key);
        let last = ExportAccessLogResponse { next_index, manifest, verifier_key, ..Default::default() };
        pass(&answers, last).await
    }

    /// Sends what fills a message, as often as there is so much.
    async fn send_full(&mut self) -> Result<(), Error> {
        if self.waiting.len() < CHUNK_BYTES_MAX {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (full, rest) = waiting.as_chunks::<CHUNK_BYTES_MAX>();
        for data in full {
            self.send_data(data.to_vec()).await?;
        }
        self.waiting = rest.to_vec();
        Ok(())
    }

    async fn send_data(&mut self, data: Vec<u8>) -> Result<(), Error> {
        self.export.sent(&data);
        let next_index = self.next_index;
        self.send(ExportAccessLogResponse { data, next_index, ..Default::default() }).await
    }

    async fn send(&mut self, answer: ExportAccessLogResponse) -> Result<(), Error> {
        pass(&self.answers, answer).await?;
        self.sent_at = Instant::now();
        Ok(())
    }
}

async fn pass(
    answers: &mpsc::Sender<Result<ExportAccessLogResponse, Status>>,
    answer: ExportAccessLogResponse,
) -> Result<(), Error> {
    match tokio::time::timeout(limits::STREAM_IDLE, answers.send(Ok(answer))).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Error::new(Reason::Cancelled)),
        // Who takes nothing leaves the place to others.
        Err(_) => Err(Error::new(Reason::DeadlineExceeded)),
    }
}
