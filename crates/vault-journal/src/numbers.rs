//! A bound above every record number that was ever committed, so that no number names two records, not even after the
//! newest ones are erased.
//!
//! The row `numbers` of the table `meta` holds it, 8 bytes, big-endian. The journal raises it ahead of need, in the
//! same write as the first record above it; after a start numbers go on from the bound.

use vault_domain::{RecordNumber, limits};
use vault_store::{
    Batch, Operation, ReadError, Reader, TableId,
    table::{Meta, TextKey},
    wait,
};

const ROW: &str = "numbers";

/// Where record numbers go on after a start.
///
/// # Errors
/// When the store can't be read.
pub fn next_record_number(reader: &Reader) -> Result<u64, ReadError> {
    let Some(key) = TextKey::new(ROW) else { return Ok(0) };
    let row = wait(reader.snapshot().get(Meta, &key))?;
    let bound = row.map(|row| <[u8; 8]>::try_from(row.as_slice()).map(u64::from_be_bytes));
    match bound {
        None => Ok(0),
        Some(Ok(bound)) => Ok(bound),
        Some(Err(_)) => {
            Err(ReadError::Damaged { table: TableId::Meta, detail: format!("the row \"{ROW}\" is not 8 bytes") })
        }
    }
}

/// The bound as it is on disk, and the highest number that waits to be written.
#[derive(Debug)]
pub(crate) struct NumberBound {
    stored: u64,
    highest: Option<u64>,
}

impl NumberBound {
    pub(crate) fn open(reader: &Reader) -> Result<Self, ReadError> {
        let stored = next_record_number(reader)?;
        Ok(Self { stored, highest: None })
    }

    /// Looks at the records that are about to be written.
    pub(crate) fn note<'a>(&mut self, operations: impl Iterator<Item = Operation<'a>>) {
        for operation in operations {
            if let Operation::Put { table: TableId::Records, key, .. } = operation
                && let Ok(key) = key.try_into()
            {
                self.highest = self.highest.max(Some(u64::from_be_bytes(key)));
            }
        }
    }

    /// Raises the bound, if a number reached it, with the batch that this number is written with.
    pub(crate) fn put(&mut self, batch: &mut Batch) {
        let Some(highest) = self.highest.take().filter(|highest| *highest >= self.stored) else { return };
        let Some(key) = TextKey::new(ROW) else { return };
        self.stored = highest.saturating_add(limits::RECORD_NUMBER_BLOCK).min(RecordNumber::MAX.get() + 1);
        batch.put(Meta, &key, &self.stored.to_be_bytes());
    }
}
