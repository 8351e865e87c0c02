//! The records of a store held against its log: what was removed, put in or exchanged behind the log's back.
//!
//! A record is in the commit of the entry that made it, never written anew, and deleted only in the commit of a
//! `purge` that names it. So each record that an allowed `tokenize` names must have a row unless a `purge` names it
//! too, and each row must be named by the one and not by the other; the time in the row's header lies close to that of
//! the first entry.
//!
//! What changes the life of a record writes its state row and counts in it: each item that is carried out of `renew`,
//! `suspend`, `resume` and `revoke`, and of `detokenize` where uses are counted. So the log says what count each row
//! must have, and a revocation or a use that was undone behind its back is found, be the row an older one or gone.
//!
//! Not seen here, for want of keys or of traces in the log: a changed byte within a record (it does not open any more:
//! docs/CRYPTO.md section 5), rows of `tokens` and `values`, and a record that was exchanged for one that the same
//! vault sealed under the same number within [`CREATED_SLACK`]; for that, somebody must have run a copy of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use vault_domain::{Action, Millis, RecordNumber, limits};
use vault_keys::{Record, RecordState};
use vault_ledger::{Entry, log_time};
use vault_store::{
    Direction, ReadError, Reader, Table,
    table::{Records, States},
    wait,
};

use super::LogAtRest;

/// How far the time in a record may lie from the log time of the entry that made it: no call takes longer, and a clock
/// may be set in between.
pub const CREATED_SLACK: Duration = Duration::from_secs(60);
/// How long after its end a record may still be there: the delay of purges, and what a vault that stood still meanwhile
/// needs to catch up.
const PURGE_SLACK: Duration = Duration::from_secs(limits::PURGE_DELAY.as_secs() + 24 * 3600);
/// Rows of records that are read at once: each has up to 128 KiB.
const ROWS_AT_ONCE: usize = 64;
/// Numbers in a word of a set.
const WORD_BITS: u64 = 64;

/// A check of records under way: to be shown every entry of the log, from the first on. Memory: up to five bits for
/// each record number in use, which are numbers without large gaps, some bytes for each 64 of them, and some for each
/// state row.
#[derive(Debug, Default)]
pub struct RecordCheck {
    /// Named by an allowed `tokenize`.
    made: NumberSet,
    /// Revealed by an entry.
    used: NumberSet,
    /// How often each was changed by what changes lives.
    changes: BTreeMap<u64, u32>,
    /// How often each that has a state row was revealed.
    shown: BTreeMap<u64, u32>,
    /// Those with a state row.
    with_state: NumberSet,
    /// Deleted by a purge.
    purged: NumberSet,
    /// The log time of the last entry.
    until: Millis,
    /// The log time of the first entry that there is, of a log that was pruned.
    kept_from: Option<Millis>,
    first: Option<RecordFault>,
    faults: u64,
}

/// What is wrong with a record.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordFault {
    /// The log says that it was made, and it is not there.
    #[error("record {number} is gone: the log names it, and no entry took it away")]
    Removed {
        /// Its number.
        number: u64,
    },
    /// An entry names more records than any call has.
    #[error("entry {index} names more records than a call can have")]
    TooMany {
        /// The entry.
        index: u64,
    },
    /// It is there, and no entry made it.
    #[error("record {number} was put into the store: no entry made it")]
    Planted {
        /// Its number.
        number: u64,
    },
    /// The log says that it was deleted, and it is there.
    #[error("record {number} is there again: a purge deleted it")]
    Restored {
        /// Its number.
        number: u64,
    },
    /// It is another one than the entry made.
    #[error("record {number} is not the one that entry {index} made: it was made at another time")]
    Exchanged {
        /// Its number.
        number: u64,
        /// The entry.
        index: u64,
    },
    /// Its row is no record of a version that this build knows.
    #[error("record {number} is no record of this version")]
    Unreadable {
        /// Its number.
        number: u64,
    },
    /// Its state is not what the entries made of it.
    #[error(
        "the state of record {number} was changed behind the log: the row counts {found} changes, and the log tells of \
         {told}"
    )]
    StateChanged {
        /// Its number.
        number: u64,
        /// What the row says.
        found: u32,
        /// What the log says.
        told: u32,
    },
    /// It has no state, or none that reads, and entries changed it.
    #[error("the state of record {number} is gone: the log tells of {told} or more changes to it")]
    StateRemoved {
        /// Its number.
        number: u64,
        /// What the log says at least: without the row nothing tells whether reveals were counted in it.
        told: u32,
    },
}

/// What a check of records came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsChecked {
    /// Records in the store.
    pub records: u64,
    /// Rows of states in the store.
    pub states: u64,
    /// Records of before the first entry that there is, of a log that was pruned: of them only the archives tell.
    pub untold: u64,
    /// Records that were deleted by purges.
    pub purged: u64,
    /// Records that ended long enough before the last entry for a purge to have deleted them, and are there. Those that
    /// were revoked or used up are not among them: when that was, only the log tells.
    pub overdue: u64,
    /// How many things are wrong.
    pub faults: u64,
    /// The first of them.
    pub first: Option<RecordFault>,
}

impl RecordCheck {
    /// A check by a log whose entries begin at this minimum index.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn of(log: &LogAtRest) -> Result<Self, ReadError> {
        let minimum = log.minimum_index()?;
        let first = if minimum == 0 { None } else { log.rows(minimum, minimum.saturating_add(1))?.into_iter().next() };
        // What does not decode is told by the log's own check.
        let kept_from = first.and_then(|(_, entry)| log_time(&entry).ok());
        let mut check = Self { kept_from, ..Self::default() };
        each_row(&log.store.reader, States, |number, _| {
            check.with_state.insert(number);
            Ok(())
        })?;
        Ok(check)
    }

    /// Takes an entry into account.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn entry(&mut self, log: &LogAtRest, index: u64, entry: &Entry) -> Result<(), ReadError> {
        let mut new = Vec::new();
        self.until = entry.log_time;
        for group in entry.groups.iter().filter(|group| group.outcome.refused().is_none()) {
            if group.numbers.total() > limits::BATCH_ITEMS_MAX as u64 {
                // No call has so many items; to list them could take all memory there is.
                self.fault(RecordFault::TooMany { index });
                continue;
            }
            for number in group.numbers.numbers() {
                match entry.head.action {
                    Action::Tokenize if self.made.insert(number) => new.push(number),
                    Action::Tokenize => {}
                    Action::Detokenize => {
                        self.used.insert(number);
                        if self.with_state.contains(number) {
                            count(&mut self.shown, number);
                        }
                    }
                    Action::Renew | Action::Suspend | Action::Resume | Action::Revoke => {
                        count(&mut self.changes, number);
                    }
                    Action::Purge => {
                        self.purged.insert(number);
                    }
                    // Nothing else that names records changes them.
                    _ => {}
                }
            }
        }
        for numbers in new.chunks(ROWS_AT_ONCE) {
            let rows = wait(log.store.reader.snapshot().get_many(Records, numbers))?;
            for (number, row) in numbers.iter().zip(rows.iter()) {
                if let Some(fault) = row.and_then(|row| made_elsewhere(*number, row, index, entry.log_time)) {
                    self.fault(fault);
                }
            }
        }
        Ok(())
    }

    /// Goes through the store's rows, once all entries were seen.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn finish(mut self, log: &LogAtRest) -> Result<RecordsChecked, ReadError> {
        let reader = &log.store.reader;
        let (mut records, mut states, mut untold, mut overdue) = (0, 0, 0, 0);
        let ends = self.ends_by_state(reader)?;
        let mut there = NumberSet::default();
        let mut counted = NumberSet::default();
        each_row(reader, Records, |number, row| {
            records += 1;
            there.insert(number);
            let record = Record::parse(number, row);
            if record.is_some_and(|record| record.max_uses() > 0) {
                counted.insert(number);
            }
            if self.purged.contains(number) {
                self.fault(RecordFault::Restored { number: number.get() });
                return Ok(());
            }
            let end = ends.get(&number.get()).copied().or(record.map(|record| record.expires())).unwrap_or_default();
            overdue += u64::from(end != Millis::default() && end.saturating_add(PURGE_SLACK) < self.until);
            if !self.made.contains(number) {
                if self.is_of_before(reader, number)? {
                    untold += 1;
                    return Ok(());
                }
                self.fault(RecordFault::Planted { number: number.get() });
            }
            Ok(())
        })?;
        let gone: Vec<_> = self.made.without(&there).collect();
        for number in gone {
            if RecordNumber::new(number).is_some_and(|number| self.purged.contains(number)) {
                continue;
            }
            self.fault(RecordFault::Removed { number });
        }
        let is_counted = |number| counted.contains(number);
        each_row(reader, States, |number, row| {
            states += 1;
            let told = self.told(number, is_counted(number));
            // What was made before the first entry may have been changed before it too.
            let is_told = self.made.contains(number) || self.kept_from.is_none();
            match RecordState::changes_of(row) {
                None => self.fault(RecordFault::StateRemoved { number: number.get(), told }),
                Some(found) if found < told || found > told && is_told => {
                    self.fault(RecordFault::StateChanged { number: number.get(), found, told });
                }
                Some(_) => {}
            }
            Ok(())
        })?;
        let changed: Vec<_> = self.changes.keys().copied().filter_map(RecordNumber::new).collect();
        let used = counted.shared_with(&self.used).filter_map(RecordNumber::new);
        let stateless: BTreeSet<_> = changed
            .into_iter()
            .chain(used)
            .filter(|number| !self.with_state.contains(*number) && there.contains(*number))
            .collect();
        for number in stateless {
            let told = self.told(number, is_counted(number)).max(1);
            self.fault(RecordFault::StateRemoved { number: number.get(), told });
        }
        let purged = self.purged.len();
        Ok(RecordsChecked { records, states, untold, purged, overdue, faults: self.faults, first: self.first })
    }

    /// When each record ends whose state row says so.
    fn ends_by_state(&self, reader: &Reader) -> Result<BTreeMap<u64, Millis>, ReadError> {
        let mut ends = BTreeMap::new();
        each_row(reader, States, |number, row| {
            ends.extend(RecordState::expires_of(row).map(|end| (number.get(), end)));
            Ok(())
        })?;
        Ok(ends)
    }

    /// How many changes of a record's state the log tells of.
    fn told(&self, number: RecordNumber, is_counted: bool) -> u32 {
        let of = |counts: &BTreeMap<u64, u32>| counts.get(&number.get()).copied().unwrap_or_default();
        of(&self.changes).saturating_add(if is_counted { of(&self.shown) } else { 0 })
    }

    /// Whether a record was made before the first entry that there is, or in the minute behind it, by its own word.
    fn is_of_before(&self, reader: &Reader, number: RecordNumber) -> Result<bool, ReadError> {
        let Some(kept_from) = self.kept_from else { return Ok(false) };
        let row = wait(reader.snapshot().get(Records, &number))?;
        let created = row.as_deref().and_then(|row| Record::parse(number, row)).map(|record| record.created());
        Ok(created.is_some_and(|created| created < kept_from.saturating_add(CREATED_SLACK)))
    }

    fn fault(&mut self, fault: RecordFault) {
        self.faults += 1;
        self.first.get_or_insert(fault);
    }
}

/// Whether a row is not the record that the entry made.
fn made_elsewhere(number: RecordNumber, row: &[u8], index: u64, log_time: Millis) -> Option<RecordFault> {
    let Some(record) = Record::parse(number, row) else {
        return Some(RecordFault::Unreadable { number: number.get() });
    };
    let slack = u64::try_from(CREATED_SLACK.as_millis()).unwrap_or(u64::MAX);
    let exchanged = record.created().0.abs_diff(log_time.0) > slack;
    exchanged.then_some(RecordFault::Exchanged { number: number.get(), index })
}

fn count(counts: &mut BTreeMap<u64, u32>, number: RecordNumber) {
    let count = counts.entry(number.get()).or_default();
    *count = count.saturating_add(1);
}

/// Shows every row of a table to `each`, in order.
fn each_row<T: Table<Key = RecordNumber>>(
    reader: &Reader,
    table: T,
    mut each: impl FnMut(RecordNumber, &[u8]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut from = RecordNumber::new(0);
    while let Some(first) = from {
        let rows = wait(reader.snapshot().scan(table, first.., Direction::Forward, usize::MAX))?;
        rows.iter().try_for_each(|(number, row)| each(*number, row))?;
        let last = rows.last_key().filter(|_| rows.more());
        from = last.and_then(|last| RecordNumber::new(last.get() + 1));
    }
    Ok(())
}

/// A set of record numbers.
#[derive(Debug, Default)]
struct NumberSet(BTreeMap<u64, u64>);

impl NumberSet {
    /// Adds a number; whether it is new.
    fn insert(&mut self, number: RecordNumber) -> bool {
        let (at, bit) = place(number);
        let word = self.0.entry(at).or_default();
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn contains(&self, number: RecordNumber) -> bool {
        let (at, bit) = place(number);
        self.word(at) & bit != 0
    }

    fn len(&self) -> u64 {
        self.0.values().map(|word| u64::from(word.count_ones())).sum()
    }

    fn word(&self, at: u64) -> u64 {
        self.0.get(&at).copied().unwrap_or_default()
    }

    /// The numbers that are not in another one, in order.
    fn without(&self, other: &Self) -> impl Iterator<Item = u64> {
        self.words(move |at, word| word & !other.word(at))
    }

    /// The numbers that are in another one too, in order.
    fn shared_with(&self, other: &Self) -> impl Iterator<Item = u64> {
        self.words(move |at, word| word & other.word(at))
    }

    /// The numbers of what `keep` leaves of each word.
    fn words(&self, keep: impl Fn(u64, u64) -> u64) -> impl Iterator<Item = u64> {
        self.0.iter().flat_map(move |(at, word)| {
            let left = keep(*at, *word);
            (0..WORD_BITS).filter(move |bit| left & 1 << bit != 0).map(move |bit| at * WORD_BITS + bit)
        })
    }
}

/// Where a number stands in a set.
fn place(number: RecordNumber) -> (u64, u64) {
    (number.get() / WORD_BITS, 1 << (number.get() % WORD_BITS))
}
