//! Reading: snapshots, and what can be asked of them.

use std::{
    io,
    ops::{Bound, Range, RangeBounds},
    sync::Arc,
};

use rocksdb::{ColumnFamily, DBRawIterator, ErrorKind, ReadOptions};

use crate::{
    engine,
    error::ReadError,
    found::{Found, Rows},
    limits::{GET_KEYS_MAX, SCAN_BYTES_MAX, SCAN_ROWS_MAX},
    space::{self, Space},
    statistics::{self, Statistics},
    store::{Held, Shared},
    table::{Key, Table, TableId},
};

/// A point in the order of changes. Of two commits the later one has the larger number; numbers are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Which way a scan goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key of the range upwards.
    Forward,
    /// From the largest key of the range downwards.
    Backward,
}

/// The reading door of a store. Cheap to clone; the store stays open while one is left.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Held>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Held>) -> Self {
        Self { shared }
    }

    /// The store as it is now: everything committed, nothing that is not durable. Costs about a tenth of a microsecond.
    /// Hold it for one call, not longer: the engine keeps every row that it still shows.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let snapshot = self.shared.db().snapshot();
        let mut options = engine::read_options();
        options.set_snapshot(&snapshot);
        Snapshot { shared: &self.shared, options, snapshot }
    }

    /// The point up to which the oldest open snapshot sees changes; `None` while none is open.
    #[must_use]
    pub fn oldest_snapshot(&self) -> Option<Sequence> {
        let property = self.shared.db().property_int_value("rocksdb.oldest-snapshot-sequence").ok().flatten();
        property.filter(|number| *number != 0).map(Sequence)
    }

    /// Has the engine drop what was deleted of a range of rows, so that its bytes leave the disk now and not some day.
    /// Changes no row. Takes as long as it takes to write what is left of the files concerned.
    pub fn give_back_room<T: Table>(&self, _: T, keys: Range<&T::Key>) {
        let Some(family) = self.shared.family(T::ID) else { return };
        let (from, to) = (keys.start.to_bytes(), keys.end.to_bytes());
        self.shared.db().compact_range_cf(family, Some(from.as_ref()), Some(to.as_ref()));
    }

    /// What the store did and holds.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        statistics::gather(&self.shared)
    }

    /// Room on the store's disk.
    ///
    /// # Errors
    /// When the system can't tell.
    pub fn space(&self) -> io::Result<Space> {
        space::measure(self.shared.path())
    }
}

/// One moment of the store.
pub struct Snapshot<'a> {
    shared: &'a Shared,
    /// Points at `snapshot`, which lives as long.
    options: ReadOptions,
    snapshot: rocksdb::Snapshot<'a>,
}

impl Snapshot<'_> {
    /// The newest change that this snapshot shows: a commit with a [`Sequence`] up to this one is visible here, a later
    /// one is not.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        Sequence(self.snapshot.sequence_number())
    }

    /// One row's value.
    ///
    /// # Errors
    /// When the table's files are damaged or can't be read.
    pub async fn get<T: Table>(&self, _: T, key: &T::Key) -> Result<Option<Vec<u8>>, ReadError> {
        let family = self.family(T::ID)?;
        let value = self.shared.db().get_cf_opt(family, key.to_bytes(), &self.options);
        value.map_err(|error| from_engine(T::ID, error))
    }

    /// What is made of one row's value where it lies, for values of which little is looked at.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn look<T: Table, R>(
        &self,
        _: T,
        key: &T::Key,
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, ReadError> {
        let family = self.family(T::ID)?;
        let value = self.shared.db().get_pinned_cf_opt(family, key.to_bytes(), &self.options);
        let value = value.map_err(|error| from_engine(T::ID, error))?;
        Ok(value.map(|value| look(&value)))
    }

    /// Shows the rows of a range of keys where they lie, in order.
    ///
    /// # Errors
    /// As for [`get`](Self::get); some rows were shown then.
    pub async fn walk<T: Table>(
        &self,
        _: T,
        range: impl RangeBounds<T::Key>,
        mut each: impl FnMut(&T::Key, &[u8]),
    ) -> Result<(), ReadError> {
        let Some(mut iterator) = self.iterator::<T>(&range)? else { return Ok(()) };
        iterator.seek_to_first();
        while let Some((key, value)) = iterator.item() {
            each(&decode::<T>(key)?, value);
            iterator.next();
        }
        iterator.status().map_err(|error| from_engine(T::ID, error))
    }

    /// Many rows' values: faster than one by one, most of all where they lie near each other. Keys may repeat and come
    /// in any order.
    ///
    /// # Errors
    /// When there are more than [`GET_KEYS_MAX`] keys, or as for [`get`](Self::get); no answer is given then.
    pub async fn get_many<T: Table>(&self, _: T, keys: &[T::Key]) -> Result<Found, ReadError> {
        if keys.len() > GET_KEYS_MAX {
            return Err(ReadError::TooManyKeys { keys: keys.len() });
        }
        let family = self.family(T::ID)?;
        if let [key] = keys {
            // The engine's way to many keys costs twice as much for one.
            let value = self.shared.db().get_pinned_cf_opt(family, key.to_bytes(), &self.options);
            let value = value.map_err(|error| from_engine(T::ID, error))?;
            let mut found = Found::with_capacity(1, value.as_ref().map_or(0, |value| value.len()));
            found.push(value.as_deref());
            return Ok(found);
        }
        let keys: Vec<_> = keys.iter().map(Key::to_bytes).collect();
        let values = self.shared.db().batched_multi_get_cf_opt(family, &keys, false, &self.options);
        let values: Vec<_> = values.into_iter().collect::<Result<_, _>>().map_err(|error| from_engine(T::ID, error))?;
        let mut found = Found::with_capacity(values.len(), values.iter().flatten().map(|value| value.len()).sum());
        for value in &values {
            found.push(value.as_deref());
        }
        Ok(found)
    }

    /// The rows of a range of keys, at most `limit` (and [`SCAN_ROWS_MAX`]) of them; `..` is the whole table.
    /// [`Rows::more`] tells whether the range goes on.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn scan<T: Table>(
        &self,
        _: T,
        range: impl RangeBounds<T::Key>,
        direction: Direction,
        limit: usize,
    ) -> Result<Rows<T>, ReadError> {
        let mut rows = Rows::new();
        let Some(mut iterator) = self.iterator::<T>(&range)? else { return Ok(rows) };
        match direction {
            Direction::Forward => iterator.seek_to_first(),
            Direction::Backward => iterator.seek_to_last(),
        }
        while let Some((key, value)) = iterator.item() {
            if rows.len() >= limit.min(SCAN_ROWS_MAX) || rows.bytes() >= SCAN_BYTES_MAX {
                rows.set_more();
                return Ok(rows);
            }
            rows.push(decode::<T>(key)?, value);
            match direction {
                Direction::Forward => iterator.next(),
                Direction::Backward => iterator.prev(),
            }
        }
        // The end of the range and an error look alike until asked.
        iterator.status().map_err(|error| from_engine(T::ID, error))?;
        Ok(rows)
    }

    /// The largest key of a table.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub async fn last_key<T: Table>(&self, _: T) -> Result<Option<T::Key>, ReadError> {
        let Some(mut iterator) = self.iterator::<T>(&..)? else { return Ok(None) };
        iterator.seek_to_last();
        iterator.status().map_err(|error| from_engine(T::ID, error))?;
        iterator.key().map(decode::<T>).transpose()
    }

    fn family(&self, table: TableId) -> Result<&ColumnFamily, ReadError> {
        let missing = || ReadError::Damaged { table, detail: "it is not there".to_owned() };
        self.shared.family(table).ok_or_else(missing)
    }

    /// An iterator that stays within `range`; `None` if no key can lie in it.
    fn iterator<T: Table>(&self, range: &impl RangeBounds<T::Key>) -> Result<Option<DBRawIterator<'_>>, ReadError> {
        // The engine's bounds are the first key of the range and the first one behind it.
        let first = match range.start_bound() {
            Bound::Included(key) => Some(key.to_bytes().as_ref().to_vec()),
            Bound::Excluded(key) => Some(successor::<T>(key)),
            Bound::Unbounded => None,
        };
        let end = match range.end_bound() {
            Bound::Included(key) => Some(successor::<T>(key)),
            Bound::Excluded(key) => Some(key.to_bytes().as_ref().to_vec()),
            Bound::Unbounded => None,
        };
        if let (Some(first), Some(end)) = (&first, &end)
            && first >= end
        {
            return Ok(None);
        }
        let mut options = engine::read_options();
        options.set_snapshot(&self.snapshot);
        options.fill_cache(engine::scan_fills_cache(T::ID));
        if let Some(first) = first {
            options.set_iterate_lower_bound(first);
        }
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        Ok(Some(self.shared.db().raw_iterator_cf_opt(self.family(T::ID)?, options)))
    }
}

impl std::fmt::Debug for Snapshot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("sequence", &self.sequence()).finish_non_exhaustive()
    }
}

/// The smallest sequence of bytes behind this key's: the same and a zero.
fn successor<T: Table>(key: &T::Key) -> Vec<u8> {
    [key.to_bytes().as_ref(), &[0]].concat()
}

fn decode<T: Table>(key: &[u8]) -> Result<T::Key, ReadError> {
    let invalid = || ReadError::Damaged { table: T::ID, detail: "a key has no valid form".to_owned() };
    T::Key::from_bytes(key).ok_or_else(invalid)
}

fn from_engine(table: TableId, error: rocksdb::Error) -> ReadError {
    let kind = error.kind();
    let detail = error.into_string();
    match kind {
        ErrorKind::Corruption => ReadError::Damaged { table, detail },
        _ => ReadError::Io { table, detail },
    }
}
