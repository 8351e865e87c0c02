//! Writing: the one durable writer, and the writer of what can be built again.

use std::sync::Arc;

use rocksdb::{FlushOptions, WriteBatch, WriteOptions};

use crate::{
    batch::Batch,
    engine,
    error::WriteError,
    limits::{COMMIT_BUFFER_KEPT_BYTES_MAX, COMMIT_BYTES_MAX},
    read::Sequence,
    store::Held,
    table::{RunNumber, Summaries, TableId},
};

/// What precedes the operations in the engine's encoding: 8 bytes that it fills itself, and the number of operations,
/// 4 bytes, lowest first.
const HEAD_BYTES: usize = 12;

/// The only way to change a store, and there is one of it.
pub struct Writer {
    shared: Arc<Held>,
    options: WriteOptions,
    buffer: Vec<u8>,
    /// The first failure, for good.
    failed: Option<WriteError>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Held>) -> Self {
        Self { shared, options: engine::durable_writes(), buffer: Vec::new(), failed: None }
    }

    /// Commits `batches`, in order, as one atomic write with one sync. When it returns `Ok`, all of it is on the disk
    /// and visible to every later snapshot: those whose [`sequence`](crate::Snapshot::sequence) reaches the one given
    /// back. Nothing to commit costs nothing.
    ///
    /// # Errors
    /// [`WriteError::TooLarge`] changes nothing; after [`WriteError::Failed`] every later call returns the same error.
    pub fn commit<'a>(&mut self, batches: impl IntoIterator<Item = &'a Batch>) -> Result<Sequence, WriteError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let batch = self.gather(batches)?;
        if !batch.is_empty() {
            self.shared.db().write_opt(batch, &self.options).map_err(|error| self.fail(error))?;
        }
        Ok(Sequence(self.shared.db().latest_sequence_number()))
    }

    /// Moves what only the write-ahead log holds into table files, so that the next opening has nothing to read again,
    /// and gives the writer back. Not needed for durability.
    ///
    /// # Errors
    /// [`WriteError::Failed`], as of [`commit`](Self::commit); what was committed is still durable.
    pub fn close(mut self) -> Result<(), WriteError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let families: Vec<_> = TableId::ALL.iter().filter_map(|table| self.shared.family(*table)).collect();
        let families: Vec<_> = families.iter().collect();
        let flushed = self.shared.db().flush_cfs_opt(&families, &FlushOptions::default());
        flushed.map_err(|error| self.fail(error))
    }

    /// Puts the batches one after the other, as the engine's own write batch.
    fn gather<'a>(&mut self, batches: impl IntoIterator<Item = &'a Batch>) -> Result<WriteBatch, WriteError> {
        self.buffer.clear();
        self.buffer.resize(HEAD_BYTES, 0);
        let mut bytes = 0;
        let mut operations = 0u32;
        for batch in batches {
            bytes += batch.bytes();
            operations = operations.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
            if bytes <= COMMIT_BYTES_MAX {
                self.buffer.extend_from_slice(batch.encoded());
            }
        }
        if let Some(count) = self.buffer.get_mut(HEAD_BYTES - 4..HEAD_BYTES) {
            count.copy_from_slice(&operations.to_le_bytes());
        }
        let gathered = WriteBatch::from_data(&self.buffer);
        if self.buffer.capacity() > COMMIT_BUFFER_KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        if bytes > COMMIT_BYTES_MAX { Err(WriteError::TooLarge { bytes }) } else { Ok(gathered) }
    }

    fn fail(&mut self, error: rocksdb::Error) -> WriteError {
        let error = from_engine(error);
        self.failed = Some(error.clone());
        error
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// Writes the table `summaries`, which is derived from the log, and no other. Nothing is synced for it: a crash may
/// lose the newest rows, never rows before them, so the follower goes on after the last one it finds.
pub struct SummaryWriter {
    shared: Arc<Held>,
    options: WriteOptions,
}

impl SummaryWriter {
    pub(crate) fn new(shared: Arc<Held>) -> Self {
        Self { shared, options: engine::derived_writes() }
    }

    /// Sets the row of one run.
    ///
    /// # Errors
    /// [`WriteError::Failed`] when the engine can't write; the [`Writer`] will meet the same cause.
    pub fn put(&mut self, run: RunNumber, summary: &[u8]) -> Result<(), WriteError> {
        let mut batch = Batch::default();
        batch.put(Summaries, &run, summary);
        self.write(&batch)
    }

    /// Removes all rows, to build them again.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub fn clear(&mut self) -> Result<(), WriteError> {
        let mut batch = Batch::default();
        batch.clear_table(Summaries);
        self.write(&batch)
    }

    fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let mut bytes = vec![0; HEAD_BYTES - 4];
        bytes.extend_from_slice(&1u32.to_le_bytes());
        bytes.extend_from_slice(batch.encoded());
        self.shared.db().write_opt(WriteBatch::from_data(&bytes), &self.options).map_err(from_engine)
    }
}

impl std::fmt::Debug for SummaryWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SummaryWriter").finish_non_exhaustive()
    }
}

fn from_engine(error: rocksdb::Error) -> WriteError {
    WriteError::Failed { detail: error.into_string().into() }
}

#[cfg(test)]
mod tests {
    use rocksdb::{DB, Options as EngineOptions};
    use vault_domain::{LogIndex, VaultId};

    use super::*;
    use crate::{Identity, Memory, Options, Scope, Store, table::Entries, wait};

    /// RocksDB may heal itself, after a full disk for one, and take writes again. The writer must not.
    #[test]
    fn a_writer_that_failed_once_writes_no_more_even_if_the_engine_would() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity { vault: VaultId::parse("acme").unwrap(), scope: Scope::Node };
        let options = Options { create: true, identity, memory: Memory::new(1 << 20, 1 << 20), ballast_bytes: 0 };
        let mut store = Store::open(directory.path(), &options).unwrap();
        let mut batch = Batch::default();
        batch.put(Entries, &LogIndex(0), b"entry");

        let cause = DB::list_cf(&EngineOptions::default(), directory.path().join("missing")).unwrap_err();
        let first = store.writer.fail(cause);
        assert_eq!(store.writer.commit([&batch]), Err(first.clone()));
        assert_eq!(store.writer.commit([&batch]), Err(first.clone()));
        assert_eq!(wait(store.reader.snapshot().get(Entries, &LogIndex(0))).unwrap(), None);
        assert_eq!(store.writer.close(), Err(first));
    }
}
