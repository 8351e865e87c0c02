//! Changes collected before they are committed: one buffer, built by any thread, without the store.
//!
//! The buffer holds the operations as the engine's own write batch and log encode them (RocksDB, `db/write_batch.cc`),
//! so that the one writer has only bytes to copy:
//!
//! ```text
//! put          0x05 ‖ table ‖ varint(length) ‖ key ‖ varint(length) ‖ value
//! delete       0x04 ‖ table ‖ varint(length) ‖ key
//! delete range 0x0E ‖ table ‖ varint(length) ‖ first key ‖ varint(length) ‖ first key that stays
//! ```
//!
//! A test compares this with what the engine writes for the same operations, byte for byte.

use std::{fmt, ops::Range};

use crate::{
    identity::is_own_row,
    limits::ROW_BYTES_MAX,
    table::{Key, Table, TableId},
};

const PUT: u8 = 0x05;
const DELETE: u8 = 0x04;
const DELETE_RANGE: u8 = 0x0E;
/// Longer than the largest key of any table, and larger than any in every byte.
const AFTER_EVERY_KEY: [u8; 32] = [0xFF; 32];

/// An ordered list of puts and deletes. Later operations win over earlier ones on the same row.
#[derive(Clone, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    operations: u32,
}

/// One operation of a batch, as [`Batch::operations`] lists it. Keys are the bytes on disk
/// ([`Key::from_bytes`] reads them).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// The row has this value afterwards.
    Put {
        /// The table.
        table: TableId,
        /// The row's key.
        key: &'a [u8],
        /// The row's value.
        value: &'a [u8],
    },
    /// The row is gone afterwards.
    Delete {
        /// The table.
        table: TableId,
        /// The row's key.
        key: &'a [u8],
    },
    /// All rows from `from` up to, not including, `to` are gone afterwards.
    DeleteRange {
        /// The table.
        table: TableId,
        /// The first key that goes.
        from: &'a [u8],
        /// The first key that stays.
        to: &'a [u8],
    },
}

impl Batch {
    /// An empty batch with room for `bytes` bytes; a row takes its key and value and about five bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), operations: 0 }
    }

    /// Sets a row, whether it was there or not.
    pub fn put<T: Table>(&mut self, table: T, key: &T::Key, value: &[u8]) {
        self.put_parts(table, key, &[value]);
    }

    /// Sets a row to the concatenation of `parts`.
    pub fn put_parts<T: Table>(&mut self, _: T, key: &T::Key, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len()).sum();
        assert!(length <= ROW_BYTES_MAX, "a row of {length} bytes passes the limit of {ROW_BYTES_MAX}");
        let key = key.to_bytes();
        self.begin(PUT, T::ID, key.as_ref());
        self.push_length(length);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Removes a row, whether it was there or not.
    pub fn delete<T: Table>(&mut self, _: T, key: &T::Key) {
        let key = key.to_bytes();
        self.begin(DELETE, T::ID, key.as_ref());
    }

    /// Removes the rows from `keys.start` up to, not including, `keys.end`; none if the range is empty. Cheap to write,
    /// but every later read of the table pays a little until the engine has cleaned up: for whole days, not for single
    /// rows.
    pub fn delete_range<T: Table>(&mut self, _: T, keys: Range<&T::Key>) {
        let (from, to) = (keys.start.to_bytes(), keys.end.to_bytes());
        if from.as_ref() < to.as_ref() {
            self.push_delete_range(T::ID, from.as_ref(), to.as_ref());
        }
    }

    /// Removes all rows of a table.
    pub(crate) fn clear_table<T: Table>(&mut self, _: T) {
        self.push_delete_range(T::ID, &[], &AFTER_EVERY_KEY);
    }

    /// The number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.operations).unwrap_or(usize::MAX)
    }

    /// Whether there is no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// The bytes that a commit will write for this batch: what to count against
    /// [`COMMIT_BYTES_MAX`](crate::COMMIT_BYTES_MAX).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || next_operation(&mut rest))
    }

    /// The encoded operations, for the writer.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.bytes
    }

    fn begin(&mut self, tag: u8, table: TableId, key: &[u8]) {
        assert!(table != TableId::Meta || !is_own_row(key), "the store's own rows in `meta` are never changed");
        self.operations = self.operations.saturating_add(1);
        self.bytes.extend_from_slice(&[tag, table.number()]);
        self.push_length(key.len());
        self.bytes.extend_from_slice(key);
    }

    fn push_delete_range(&mut self, table: TableId, from: &[u8], to: &[u8]) {
        assert!(table != TableId::Meta, "rows of `meta` are deleted one by one");
        self.begin(DELETE_RANGE, table, from);
        self.push_length(to.len());
        self.bytes.extend_from_slice(to);
    }

    /// A length in seven-bit groups, the lowest first, the high bit on all but the last.
    fn push_length(&mut self, mut length: usize) {
        loop {
            let [low, ..] = length.to_le_bytes();
            length >>= 7;
            if length == 0 {
                return self.bytes.push(low);
            }
            self.bytes.push(low | 0x80);
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} operations, {} bytes)", self.operations, self.bytes.len())
    }
}

/// Takes one operation off the front of `rest`; `None` at its end, and for bytes that this module did not write.
fn next_operation<'a>(rest: &mut &'a [u8]) -> Option<Operation<'a>> {
    let ([tag, table], after) = rest.split_first_chunk()?;
    *rest = after;
    let table = TableId::from_number(*table)?;
    let key = take(rest)?;
    match *tag {
        PUT => Some(Operation::Put { table, key, value: take(rest)? }),
        DELETE => Some(Operation::Delete { table, key }),
        DELETE_RANGE => Some(Operation::DeleteRange { table, from: key, to: take(rest)? }),
        _ => None,
    }
}

/// Takes a length and that many bytes off the front of `rest`.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0usize;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        length |= usize::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            let (bytes, after) = rest.split_at_checked(length)?;
            *rest = after;
            return Some(bytes);
        }
    }
    None
}

#[cfg(test)]
mod tests;
