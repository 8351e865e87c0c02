//! One region at work: its reader, keys, journal and record numbers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use vault_domain::{Clock, Reason, RecordNumber};
use vault_journal::{Journal, next_record_number};
use vault_keys::RegionKeys;
use vault_store::{Reader, wait};

use crate::{budget::BudgetBook, error::Error, open::OpenError, replay::NonceBook};

/// A region that this vault serves.
pub(crate) struct RegionVault {
    pub(crate) reader: Reader,
    pub(crate) keys: Arc<RegionKeys>,
    pub(crate) journal: Journal,
    pub(crate) numbers: Numbers,
    /// The nonces that were used.
    pub(crate) nonces: NonceBook,
    /// What callers spent of their budgets.
    pub(crate) budgets: BudgetBook,
    /// Held by a call that is tried again after a conflict.
    pub(crate) turn: tokio::sync::Mutex<()>,
    /// The last day whose outdated idempotency rows were deleted.
    pub(crate) swept: AtomicU32,
}

impl RegionVault {
    /// Reads where its record numbers go on and which nonces still count.
    pub(crate) fn open(
        reader: Reader,
        keys: Arc<RegionKeys>,
        journal: Journal,
        window: Duration,
        clock: &dyn Clock,
    ) -> Result<Self, OpenError> {
        let numbers = Numbers::from(next_record_number(&reader)?);
        let now = journal.now(clock.wall());
        let nonces = wait(NonceBook::open(&reader, window, now))?;
        let budgets = wait(BudgetBook::open(&reader, now))?;
        Ok(Self {
            reader,
            keys,
            journal,
            numbers,
            nonces,
            budgets,
            turn: tokio::sync::Mutex::default(),
            swept: AtomicU32::new(0),
        })
    }
}

/// Hands out record numbers: rising, none twice. The journal keeps a bound on disk that is above every number in use;
/// after a start they go on from there.
pub(crate) struct Numbers(AtomicU64);

impl Numbers {
    /// Goes on at `next`.
    pub(crate) fn from(next: u64) -> Self {
        Self(AtomicU64::new(next))
    }

    /// Takes `count` numbers in a row.
    pub(crate) fn take(&self, count: usize) -> Result<Vec<RecordNumber>, Error> {
        let count = u64::try_from(count).map_err(|_| Reason::RecordNumbersExhausted)?;
        let room = |next: u64| next.checked_add(count).filter(|end| *end <= RecordNumber::MAX.get());
        let first = self
            .0
            .try_update(Ordering::Relaxed, Ordering::Relaxed, room)
            .map_err(|_| Reason::RecordNumbersExhausted)?;
        (first..first + count)
            .map(|number| RecordNumber::new(number).ok_or(Error::new(Reason::RecordNumbersExhausted)))
            .collect()
    }
}
