//! What reads give back: values side by side in one buffer, no allocation per row.

use std::{fmt, ops::Range};

use crate::table::Table;

/// The answers to [`get_many`](crate::Snapshot::get_many), in the order of the keys asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Found {
    bytes: Vec<u8>,
    rows: Vec<Option<Range<usize>>>,
}

impl Found {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), rows: Vec::with_capacity(rows) }
    }

    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        let row = value.map(|value| append(&mut self.bytes, value));
        self.rows.push(row);
    }

    /// The value of the key at `position`; `None` if there is no such row, or no such position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<&[u8]> {
        let row = self.rows.get(position)?.as_ref()?;
        self.bytes.get(row.clone())
    }

    /// The number of keys asked for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no key was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The answers, one for each key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        self.rows.iter().map(|row| row.as_ref().and_then(|row| self.bytes.get(row.clone())))
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.rows.iter().flatten().count();
        write!(f, "Found({there} of {} rows, {} bytes)", self.rows.len(), self.bytes.len())
    }
}

/// The rows that a [`scan`](crate::Snapshot::scan) came by, in its direction.
pub struct Rows<T: Table> {
    bytes: Vec<u8>,
    rows: Vec<(T::Key, Range<usize>)>,
    more: bool,
}

impl<T: Table> Rows<T> {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), rows: Vec::new(), more: false }
    }

    pub(crate) fn push(&mut self, key: T::Key, value: &[u8]) {
        let row = append(&mut self.bytes, value);
        self.rows.push((key, row));
    }

    pub(crate) fn set_more(&mut self) {
        self.more = true;
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the range holds rows beyond the last one here: the limit on rows or
    /// [`SCAN_BYTES_MAX`](crate::SCAN_BYTES_MAX) ended the scan.
    #[must_use]
    pub fn more(&self) -> bool {
        self.more
    }

    /// The rows.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&T::Key, &[u8])> + ExactSizeIterator {
        self.rows.iter().map(|(key, row)| (key, self.bytes.get(row.clone()).unwrap_or_default()))
    }

    /// The key of the last row: where the next scan goes on.
    #[must_use]
    pub fn last_key(&self) -> Option<&T::Key> {
        self.rows.last().map(|(key, _)| key)
    }
}

impl<T: Table> fmt::Debug for Rows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} rows of {}, {} bytes, more: {})", self.rows.len(), T::ID, self.bytes.len(), self.more)
    }
}

fn append(buffer: &mut Vec<u8>, value: &[u8]) -> Range<usize> {
    let start = buffer.len();
    buffer.extend_from_slice(value);
    start..buffer.len()
}
