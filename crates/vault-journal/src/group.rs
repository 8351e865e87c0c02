//! The journal's thread: collects a group, commits it, answers it.

use std::{
    sync::{
        Arc, Weak,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use tokio::sync::{oneshot, watch};
use vault_domain::{Clock, LogIndex, Millis, limits};
use vault_ledger::{Frontier, SPAN_RUNS, SUMMARY_ENTRIES, TILE_HASHES};
use vault_store::{
    Batch, Reader, Writer,
    table::{Entries, RunNumber, Summaries},
};

use crate::{
    Life, Shared,
    changes::Changes,
    error::{CommitError, JournalError},
    index::spans_before,
    log::{Log, SignedCheckpoint},
    numbers::NumberBound,
    submission::{Receipt, Submission},
};

/// How long an idle journal sleeps when there is nothing to sign: a message wakes it.
const IDLE_WAIT: Duration = Duration::from_secs(3600);

pub(crate) type Reply<T> = oneshot::Sender<Result<T, CommitError>>;

/// What the thread is sent.
pub(crate) enum Message {
    Commit(Submission, Reply<Receipt>),
    Checkpoint(Reply<Arc<SignedCheckpoint>>),
    /// The growing edge of the log, as far as it is on disk.
    Edge(oneshot::Sender<Frontier>),
    Stop,
}

/// The thread's state.
pub(crate) struct Scribe {
    writer: Writer,
    reader: Reader,
    /// Below this much free space on the store's disk nothing is committed: the log must never meet a full disk.
    free_bytes_min: u64,
    log: Log,
    numbers: NumberBound,
    changes: Changes,
    clock: Arc<dyn Clock>,
    group: u64,
    last_checkpoint: Duration,
    shared: Weak<Shared>,
    life: watch::Sender<Life>,
    checkpoints: watch::Sender<Option<Arc<SignedCheckpoint>>>,
}

/// What is collected for one fsync.
#[derive(Default)]
struct Group {
    batches: Vec<Batch>,
    accepted: Vec<(Receipt, Reply<Receipt>)>,
    /// Who is refused. They are told with the others: who heard of a conflict at once would read what it read before,
    /// as what it conflicts with is not on disk yet, and many who try again at once would keep the group from closing.
    refused: Vec<(CommitError, Reply<Receipt>)>,
    /// A checkpoint over what was on disk before this group; its row is part of it.
    checkpoint: Option<SignedCheckpoint>,
    /// Who wants one over what is on disk after it.
    checkpoint_wanted: Vec<Reply<Arc<SignedCheckpoint>>>,
    /// Who wants the log's edge after it.
    edge_wanted: Vec<oneshot::Sender<Frontier>>,
    bytes: usize,
    /// The minimum index that the newest pruning of this group leaves.
    prune_to: Option<u64>,
    stop: bool,
}

impl Scribe {
    pub(crate) fn new(
        (writer, reader, free_bytes_min): (Writer, Reader, u64),
        log: Log,
        numbers: NumberBound,
        clock: Arc<dyn Clock>,
        shared: Weak<Shared>,
        life: watch::Sender<Life>,
        checkpoints: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    ) -> Self {
        let last_checkpoint = clock.monotonic();
        let changes = Changes::default();
        Self {
            writer,
            reader,
            free_bytes_min,
            log,
            numbers,
            changes,
            clock,
            group: 0,
            last_checkpoint,
            shared,
            life,
            checkpoints,
        }
    }

    /// Runs until it is told to stop, every handle is gone, or a write fails.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let first = match messages.recv_timeout(self.until_checkpoint()) {
                Ok(first) => Some(first),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Message::Stop),
            };
            match self.collect(first, messages).and_then(|group| self.commit(group)) {
                Ok(goes_on) if goes_on => {}
                Ok(_) => return self.close(),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "the journal can't write");
                    // The replies are dropped with the group: everybody who waits is refused.
                    let _nobody_listens = self.life.send(Life::Failed);
                    return;
                }
            }
        }
    }

    /// Leaves the store so that the next opening has nothing to read again, nor needs room on the disk for it.
    fn close(self) {
        if let Err(error) = self.writer.close() {
            // Everything that was answered is durable all the same.
            tracing::warn!(error = &error as &dyn std::error::Error, "the store could not be closed in good order");
        }
        let _nobody_listens = self.life.send(Life::Stopped);
    }

    /// How long to wait for news: until the next checkpoint is due, or long if there is nothing to sign.
    fn until_checkpoint(&self) -> Duration {
        let signed = self.log.newest_checkpoint().map_or(0, |checkpoint| checkpoint.size);
        if signed == self.log.size() {
            return IDLE_WAIT;
        }
        let due = self.last_checkpoint.saturating_add(limits::CHECKPOINT_INTERVAL);
        due.saturating_sub(self.clock.monotonic())
    }

    /// Takes what waits in the queue, without waiting for more.
    fn collect(&mut self, first: Option<Message>, messages: &Receiver<Message>) -> Result<Group, JournalError> {
        let mut group = Group::default();
        let mut own = Batch::default();
        if self.until_checkpoint().is_zero() {
            // Nothing of this group is appended yet: what is signed over is on disk.
            group.checkpoint = self.log.sign(&mut own)?;
        }
        let time = self.log.time(self.clock.wall());
        let low = self.reader.space()?.available_bytes < self.free_bytes_min;
        let mut next = first;
        while let Some(message) = next {
            match message {
                Message::Commit(_, reply) if low => group.refused.push((CommitError::DiskLow, reply)),
                Message::Commit(submission, reply) => self.take(submission, reply, time, &mut own, &mut group)?,
                Message::Checkpoint(reply) => group.checkpoint_wanted.push(reply),
                Message::Edge(reply) => group.edge_wanted.push(reply),
                Message::Stop => {
                    group.stop = true;
                    break;
                }
            }
            next = if group.bytes < limits::JOURNAL_GROUP_BYTES_MAX { messages.try_recv().ok() } else { None };
        }
        self.numbers.put(&mut own);
        group.batches.push(own);
        Ok(group)
    }

    fn take(
        &mut self,
        submission: Submission,
        reply: Reply<Receipt>,
        time: Millis,
        own: &mut Batch,
        group: &mut Group,
    ) -> Result<(), JournalError> {
        if submission.prune_to.is_some_and(|minimum| !self.may_prune(minimum, group)) {
            group.refused.push((CommitError::Conflict, reply));
            return Ok(());
        }
        let expired = submission.valid_until.is_some_and(|until| time >= until);
        if expired || !self.changes.allow(&submission.conditions) {
            group.refused.push((CommitError::Conflict, reply));
            return Ok(());
        }
        self.changes.note(self.group + 1, submission.batch.operations());
        self.numbers.note(submission.batch.operations());
        group.bytes += submission.batch.bytes() + submission.entry.len();
        let receipt = self.log.append(submission.entry, time, own)?;
        group.accepted.push((receipt, reply));
        group.batches.push(submission.batch);
        if let Some(minimum) = submission.prune_to {
            let run = minimum / u64::from(SUMMARY_ENTRIES);
            own.delete_range(Entries, &LogIndex(0)..&LogIndex(minimum));
            own.delete_range(Summaries, &RunNumber(0)..&RunNumber(run));
            // Those of a span that it reaches into could not be held against its entries any more.
            let spans = spans_before(run.div_ceil(SPAN_RUNS.into()));
            own.delete_range(Summaries, &spans.start..&spans.end);
            group.prune_to = Some(minimum);
        }
        Ok(())
    }

    /// Whether entries below this index may go: whole bundles, under a checkpoint on disk and in the index, more than
    /// are gone already, and never the newest.
    fn may_prune(&self, minimum: u64, group: &Group) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let signed = self.log.newest_checkpoint().map_or(0, |checkpoint| checkpoint.size);
        let gone = group.prune_to.unwrap_or(0).max(shared.minimum.load(Ordering::Acquire));
        minimum.is_multiple_of(TILE_HASHES.into())
            && minimum > gone
            && minimum <= signed.min(shared.progress.entries())
            && minimum < self.log.size()
    }

    /// Writes the group with one fsync, then answers it. Returns whether there is more to come.
    fn commit(&mut self, group: Group) -> Result<bool, JournalError> {
        if !group.accepted.is_empty() || group.checkpoint.is_some() {
            self.writer.commit(group.batches.iter())?;
            self.group += 1;
            if let Some(shared) = self.shared.upgrade() {
                shared.position.store(self.group, Ordering::Release);
                shared.size.store(self.log.size(), Ordering::Release);
                shared.log_time.store(self.log.last_time().0, Ordering::Release);
                if let Some(minimum) = group.prune_to {
                    shared.minimum.store(minimum, Ordering::Release);
                }
            }
        }
        for (receipt, reply) in group.accepted {
            let _gone = reply.send(Ok(receipt));
        }
        for (error, reply) in group.refused {
            let _gone = reply.send(Err(error));
        }
        for reply in group.edge_wanted {
            let _gone = reply.send(self.log.edge().clone());
        }
        if let Some(checkpoint) = group.checkpoint {
            self.publish(checkpoint);
        }
        if group.stop || !group.checkpoint_wanted.is_empty() {
            self.sign_now(group.checkpoint_wanted)?;
        }
        Ok(!group.stop)
    }

    /// Signs over everything on disk and stores it with a commit of its own.
    fn sign_now(&mut self, wanted: Vec<Reply<Arc<SignedCheckpoint>>>) -> Result<(), JournalError> {
        let mut batch = Batch::default();
        if let Some(checkpoint) = self.log.sign(&mut batch)? {
            self.writer.commit([&batch])?;
            self.publish(checkpoint);
        }
        if let Some(checkpoint) = self.log.newest_checkpoint() {
            for reply in wanted {
                let _gone = reply.send(Ok(checkpoint.clone()));
            }
        }
        Ok(())
    }

    fn publish(&mut self, checkpoint: SignedCheckpoint) {
        let checkpoint = Arc::new(checkpoint);
        self.log.signed(checkpoint.clone());
        self.last_checkpoint = self.clock.monotonic();
        let _nobody_listens = self.checkpoints.send(Some(checkpoint));
    }
}
