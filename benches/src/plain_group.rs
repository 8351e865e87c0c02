//! A journal without evidence: the same queue, the same group commit, the same one sync, and rows alone. It is here to
//! show what evidence costs; the product has no way to leave it out.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;
use vault_domain::limits;
use vault_store::{Batch, WriteError, Writer};

use crate::Failure;

type Message = (Batch, oneshot::Sender<()>);

/// The queue and its thread, which ends when this is dropped.
pub struct PlainGroup {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<Result<(), WriteError>>>,
}

impl PlainGroup {
    /// Starts the thread.
    #[must_use]
    pub fn start(writer: Writer) -> Self {
        let (queue, messages) = sync_channel(limits::JOURNAL_QUEUE_MAX);
        Self { queue: Some(queue), thread: Some(thread::spawn(move || run(writer, &messages))) }
    }

    /// Commits rows, durably.
    ///
    /// # Errors
    /// When the thread has ended.
    pub async fn commit(&self, batch: Batch) -> Result<(), Failure> {
        let (reply, answer) = oneshot::channel();
        self.queue.as_ref().ok_or("it was stopped")?.try_send((batch, reply))?;
        Ok(answer.await?)
    }
}

impl Drop for PlainGroup {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A failed write was told to who waited for it.
        let _ended = self.thread.take().map(JoinHandle::join);
    }
}

fn run(mut writer: Writer, messages: &Receiver<Message>) -> Result<(), WriteError> {
    while let Ok(first) = messages.recv() {
        let (mut batches, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut next = Some(first);
        while let Some((batch, reply)) = next {
            bytes += batch.bytes();
            batches.push(batch);
            replies.push(reply);
            next = if bytes < limits::JOURNAL_GROUP_BYTES_MAX { messages.try_recv().ok() } else { None };
        }
        writer.commit(&batches)?;
        for reply in replies {
            let _gone = reply.send(());
        }
    }
    Ok(())
}
