//! The journal of a region or node: the one writer, on its own thread.
//!
//! Calls hand it what they want committed: sealed rows, conditions, and the finished body of their entry. It gives log
//! times and indexes, hashes leaves, checks conditions, writes one batch with one fsync, and then answers all of them.
//! The fsync itself is the batching window: whoever comes while it runs is in the next group. Nothing can be written
//! without an entry, because nothing else holds a writer.
//!
//! A failed write or fsync ends the journal: every waiting and later call is refused, [`Journal::failed`] resolves, and
//! the process has to end. An fsync is never tried again: after a failed one the kernel may have dropped the pages.
#![deny(missing_docs)]

mod changes;
mod error;
mod follower;
mod group;
mod index;
mod log;
mod numbers;
mod prove;
mod submission;

use std::{
    fmt,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};

use tokio::sync::{oneshot, watch};
use vault_domain::{Clock, Millis, limits};
use vault_ledger::{ExportManifest, Frontier, LedgerError, Origin, Signer, VerifierKey};
use vault_store::{Reader, SummaryWriter, Writer};

pub use changes::Position;
pub use error::{CommitError, JournalError};
pub use follower::IndexProgress;
pub use index::{IndexBuilder, index_rows, span_row, summarize};
pub use log::{LogReader, SignedCheckpoint, minimum_index};
pub use numbers::next_record_number;
pub use prove::InclusionProof;
pub use submission::{Condition, Receipt, Submission};

use crate::{
    follower::Follower,
    group::{Message, Scribe},
    log::Log,
    numbers::NumberBound,
};

/// What a journal is opened with.
#[expect(missing_debug_implementations, reason = "it holds the key that signs")]
pub struct Parts {
    /// The writer; the journal becomes its only holder.
    pub writer: Writer,
    /// Below this much free space on the store's disk, in bytes, everything that needs an entry is refused.
    pub free_bytes_min: u64,
    /// The writer of the derived index, which needs no evidence.
    pub summaries: SummaryWriter,
    /// A reader of the same store.
    pub reader: Reader,
    /// The name of the log.
    pub origin: Origin,
    /// The key that signs its checkpoints.
    pub signer: Arc<dyn Signer>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The newest checkpoint known outside the store, if there is one: the log must not be behind it.
    pub known_outside: Option<String>,
}

/// How the journal's thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    /// It ended in good order.
    Stopped,
    /// A write or fsync failed.
    Failed,
}

/// A handle on the journal. Clones share it.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: SyncSender<Message>,
    /// The last group that is on disk; groups count from 1.
    position: AtomicU64,
    /// Entries that are on disk.
    size: Arc<AtomicU64>,
    /// The first entry that was not pruned.
    minimum: AtomicU64,
    /// The time of the newest entry, ms since 1970.
    log_time: AtomicU64,
    life: watch::Receiver<Life>,
    checkpoint: watch::Receiver<Option<Arc<SignedCheckpoint>>>,
    progress: Arc<IndexProgress>,
    origin: Origin,
    verifier_key: VerifierKey,
    signer: LogSigner,
}

/// The key of the log, for what is no checkpoint.
struct LogSigner(Arc<dyn Signer>);

impl fmt::Debug for LogSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSigner(…)")
    }
}

/// The threads of a journal. They end with it, whether it is stopped or dropped: none may go on reading or writing a
/// store while the process ends.
#[derive(Debug)]
pub struct Running {
    journal: Journal,
    /// The journal's, then the index's.
    threads: Vec<JoinHandle<()>>,
    stop_follower: Arc<AtomicBool>,
}

impl Journal {
    /// Reads the log's end, holds it against its newest checkpoints, inside and outside the store, and starts the
    /// threads.
    ///
    /// # Errors
    /// When the log does not decode, does not agree with a checkpoint, or is behind the one known outside.
    pub fn open(parts: Parts) -> Result<(Self, Running), JournalError> {
        let Parts { writer, free_bytes_min, summaries, reader, origin, signer, clock, known_outside } = parts;
        let verifier_key = VerifierKey::of(origin.clone(), &*signer)?;
        let log = Log::open(&reader, origin.clone(), signer.clone(), &verifier_key, known_outside.as_deref())?;

        let (queue, messages) = sync_channel(limits::JOURNAL_QUEUE_MAX);
        let (life_sender, life) = watch::channel(Life::Running);
        let (checkpoint_sender, checkpoint) = watch::channel(log.newest_checkpoint());
        let size = Arc::new(AtomicU64::new(log.size()));
        let progress = Arc::new(IndexProgress::default());
        let shared = Arc::new(Shared {
            queue,
            position: AtomicU64::new(0),
            size: size.clone(),
            minimum: AtomicU64::new(log.minimum()),
            log_time: AtomicU64::new(log.last_time().0),
            life,
            checkpoint,
            progress: progress.clone(),
            origin,
            verifier_key,
            signer: LogSigner(signer),
        });
        let stop_follower = Arc::new(AtomicBool::new(false));
        let follower = Follower::new(reader.clone(), summaries, size, progress, stop_follower.clone())?;
        let mut running = Running { journal: Self { shared: shared.clone() }, threads: Vec::new(), stop_follower };
        let scribe = Scribe::new(
            (writer, reader.clone(), free_bytes_min),
            log,
            NumberBound::open(&reader)?,
            clock,
            Arc::downgrade(&shared),
            life_sender,
            checkpoint_sender,
        );
        running.threads.push(spawn("journal", move || scribe.run(&messages))?);
        running.threads.push(spawn("index", move || follower.run())?);
        Ok((Self { shared }, running))
    }

    /// Where the journal stands. Taken before rows are read, it makes a [`Condition`] on them.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.shared.position.load(Ordering::Acquire))
    }

    /// Commits one call's rows and entry, durably, or nothing of them. The submission is queued at once; what is
    /// awaited is the answer, so that other work can be done while the fsync runs.
    ///
    /// # Errors
    /// [`CommitError::Conflict`] when a condition does not hold any more: read again and try again.
    /// [`CommitError::Busy`] when the queue is full. [`CommitError::Stopped`] when the journal has ended.
    pub fn commit(&self, submission: Submission) -> impl Future<Output = Result<Receipt, CommitError>> + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.enqueue(Message::Commit(submission, reply));
        async move {
            queued?;
            answer.await.unwrap_or(Err(CommitError::Stopped))
        }
    }

    /// The growing edge of the log, by the thread that has it in memory; `None` when the journal has ended.
    pub(crate) async fn edge(&self) -> Result<Option<Frontier>, JournalError> {
        let (reply, answer) = oneshot::channel();
        match self.enqueue(Message::Edge(reply)) {
            Ok(()) => Ok(answer.await.ok()),
            Err(CommitError::Busy) => Err(JournalError::Busy),
            Err(_) => Ok(None),
        }
    }

    fn enqueue(&self, message: Message) -> Result<(), CommitError> {
        self.shared.queue.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => CommitError::Busy,
            TrySendError::Disconnected(_) => CommitError::Stopped,
        })
    }

    /// Entries that are on disk.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Acquire)
    }

    /// The first entry that was not pruned: those below it have their hashes alone. As of the newest commit.
    #[must_use]
    pub fn minimum_index(&self) -> u64 {
        self.shared.minimum.load(Ordering::Acquire)
    }

    /// The newest signed checkpoint, and every later one.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.shared.checkpoint.clone()
    }

    /// Signs and stores a checkpoint over everything committed so far, now.
    ///
    /// # Errors
    /// When the journal has ended.
    pub async fn checkpoint(&self) -> Result<Arc<SignedCheckpoint>, CommitError> {
        let (reply, answer) = oneshot::channel();
        self.enqueue(Message::Checkpoint(reply))?;
        answer.await.unwrap_or(Err(CommitError::Stopped))
    }

    /// Resolves when a write or fsync has failed, or the journal's thread is gone: the process must stop serving and
    /// end.
    pub async fn failed(&self) {
        let mut life = self.shared.life.clone();
        if life.wait_for(|life| *life == Life::Failed).await.is_err() && *life.borrow() == Life::Stopped {
            // The journal ended in good order: it can't fail any more.
            std::future::pending::<()>().await;
        }
    }

    /// Whether a write or fsync has failed, or the journal's thread is gone.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let life = *self.shared.life.borrow();
        life == Life::Failed || life == Life::Running && self.shared.life.has_changed().is_err()
    }

    /// The time that counts for lifetimes: the wall clock, but never before the newest entry, so that a clock that
    /// steps back gives no token a second life.
    #[must_use]
    pub fn now(&self, wall: Millis) -> Millis {
        wall.max(Millis(self.shared.log_time.load(Ordering::Acquire)))
    }

    /// The name of the log.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.shared.origin
    }

    /// The key that the log's checkpoints verify with.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.shared.verifier_key
    }

    /// Signs what a part of this log was written out as. The text is none that a checkpoint can have, so that it does
    /// not matter that the journal's own thread knows nothing of it.
    ///
    /// # Errors
    /// When the manifest speaks of another log.
    pub fn sign_export(&self, manifest: &ExportManifest) -> Result<String, JournalError> {
        if manifest.origin != self.shared.origin {
            return Err(LedgerError::ManifestMalformed("it is of another log").into());
        }
        Ok(manifest.sign(&*self.shared.signer.0)?)
    }

    /// How far the derived index has come.
    #[must_use]
    pub fn index_progress(&self) -> &IndexProgress {
        &self.shared.progress
    }
}

impl Running {
    /// Commits what is queued, signs a last checkpoint, ends the threads and waits for them.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Full or not, the message goes in: the scribe takes from the queue until it meets it.
        let _already_ended = self.journal.shared.queue.send(Message::Stop);
        self.stop_follower.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a thread of the journal ended by a panic");
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, JournalError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(run).map_err(JournalError::Thread)
}

/// The number of lives of a log, from 1: a restored store goes on under the next one.
pub const FIRST_LIFE: NonZeroU32 = NonZeroU32::MIN;

#[cfg(test)]
mod tests;
