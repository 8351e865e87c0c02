//! Rows about a span of 65,536 entries, by which a question for something rare skips 256 runs at once.
//!
//! A span is 256 runs, and has four rows; none before it is whole. The row of **places** says for each principal,
//! class, reason and so on in which of the 256 runs it is. The rows of **requests** and **items** say whether one is
//! in the span at all; in which run, the runs' own rows tell. The row of **kinds** says of which kind each of its
//! entries is (see the module `kinds`). Like those of runs they are derived, and may say that a run could match when it
//! does not, never that it can't when it does.
//!
//! # Layout, version 2
//!
//! Places:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version = 2 |
//! | | eight lists: actions, decisions, reasons, tenants, principals, data classes, purposes, audiences |
//!
//! Each list:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 if there were more than [`LISTED_MAX`], and any can be in any run |
//! | 2 | how many; none if there were too many |
//! | 8, 32 each | value, rising, and its runs: bit n mod 8 of byte n / 8 for run n of the span |
//!
//! Requests: 1 byte version = 2, then a Bloom filter like that of items. Items: 1 byte version = 2, then items like
//! those of a run, with a filter of at most 256 KiB. Kinds: 1 byte version = 2, then what the module `kinds` says.
//!
//! 200 principals take 8 KB, a filter 10 bits for each request and each scattered item, kinds one or two bytes for each
//! entry and some 12 for each kind: some 5 to 10 bytes for each entry in all.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    SUMMARY_ENTRIES,
    items::{Filter, ItemCollector, ItemSet},
    kinds::{KindCollector, SpanKinds},
    questions, reasons, request_key, tag_of,
};
use crate::{
    bytes::{Reader, put_count16},
    entry::{Entry, SealedPart},
    error::LedgerError,
    query::Query,
};

/// Runs that the rows of one span are about.
pub const SPAN_RUNS: u16 = 256;
/// Values that one list has; with more, any can be in any run.
const LISTED_MAX: usize = 4096;
/// The longest filter of requests, and the longest of items: 10 bits for each of 209,715 scattered ones.
const REQUESTS_BYTES_MAX: usize = 128 * 1024;
const ITEMS_BYTES_MAX: usize = 256 * 1024;
/// The version that is written, and the only one that is read.
const SPAN_VERSION: u8 = 2;
const LISTS: usize = 8;
const ENTRIES: u32 = SUMMARY_ENTRIES as u32 * SPAN_RUNS as u32;

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "a span's row" };

/// Runs of a span: one bit for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs([u8; 32]);

impl Runs {
    /// None of them.
    pub const NONE: Self = Self([0; 32]);
    /// All of them.
    pub const ALL: Self = Self([0xFF; 32]);

    /// Whether a run is among them, by its place in the span.
    #[must_use]
    pub fn has(&self, run: u8) -> bool {
        self.0.get(usize::from(run / 8)).is_some_and(|byte| byte & (1 << (run % 8)) != 0)
    }

    /// How many they are.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_ones()).sum()
    }

    /// Those that are among the others too.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.iter_mut().zip(others.0).for_each(|(byte, other)| *byte &= other);
        self
    }

    /// Takes a run out, by its place in the span.
    pub fn remove(&mut self, run: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(run / 8)) {
            *byte &= !(1 << (run % 8));
        }
    }

    fn or(mut self, others: Self) -> Self {
        self.0.iter_mut().zip(others.0).for_each(|(byte, other)| *byte |= other);
        self
    }

    fn insert(&mut self, run: u8) {
        if let Some(byte) = self.0.get_mut(usize::from(run / 8)) {
            *byte |= 1 << (run % 8);
        }
    }
}

/// One of the rows of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SpanPart {
    /// In which runs what is.
    Places = 0,
    /// Requests that are in the span.
    Requests = 1,
    /// Items that are in the span.
    Items = 2,
    /// Of which kind each entry is.
    Kinds = 3,
}

impl SpanPart {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Places, Self::Requests, Self::Items, Self::Kinds];

    /// Whether the row is of the version that is written. Rows of older ones are to be built again.
    #[must_use]
    pub fn is_current(row: &[u8]) -> bool {
        row.first() == Some(&SPAN_VERSION)
    }

    /// Whether this row can tell in which runs there is what is asked for.
    #[must_use]
    pub fn is_about(self, query: &Query) -> bool {
        match self {
            Self::Places => asked(query).iter().any(Option::is_some),
            Self::Requests => query.request_id.is_some(),
            Self::Items => query.items.is_some(),
            Self::Kinds => false,
        }
    }

    /// The runs that could hold what is asked for, of rows that tell runs: of others all. That a run is not among them
    /// is certain.
    ///
    /// # Errors
    /// When the row does not decode: it has to be built again.
    pub fn runs(self, row: &[u8], query: &Query) -> Result<Runs, LedgerError> {
        let mut from = Reader::new("a span's row", row);
        from.version(SPAN_VERSION)?;
        let all_if = |may_hold: bool| if may_hold { Runs::ALL } else { Runs::NONE };
        let runs = match self {
            Self::Places => {
                let mut runs = Runs::ALL;
                for asked in asked(query) {
                    let list = read_list(&mut from)?;
                    if let (Some(asked), Some(list)) = (asked, list) {
                        runs = runs.and(asked.into_iter().fold(Runs::NONE, |runs, value| runs.or(find(list, value))));
                    }
                }
                runs
            }
            Self::Requests => {
                let filter = Filter::read(&mut from, REQUESTS_BYTES_MAX)?;
                all_if(query.request_id.is_none_or(|id| filter.may_hold(request_key(id))))
            }
            Self::Items => {
                let set = ItemSet::read(&mut from, ITEMS_BYTES_MAX)?;
                all_if(query.items.as_ref().is_none_or(|items| set.may_hold_any(items)))
            }
            Self::Kinds => {
                SpanKinds::read(&mut from)?;
                Runs::ALL
            }
        };
        from.finish()?;
        Ok(runs)
    }

    /// What the row conceals of an entry of this run of its span: the first field by which a question about the entry
    /// would be led past it. `None` if there is none, as it should be.
    ///
    /// # Errors
    /// When the row does not decode.
    pub fn hides(self, row: &[u8], entry: &Entry, run: u8) -> Result<Option<&'static str>, LedgerError> {
        for (field, query) in questions(entry) {
            if self.is_about(&query) && !self.runs(row, &query)?.has(run) {
                return Ok(Some(field));
            }
        }
        Ok(None)
    }
}

impl SpanKinds {
    /// Reads a span's row of kinds; `None` if there were too many.
    ///
    /// # Errors
    /// When the row does not decode: it has to be built again.
    pub fn decode(row: &[u8]) -> Result<Option<Self>, LedgerError> {
        let mut from = Reader::new("a span's row", row);
        from.version(SPAN_VERSION)?;
        let kinds = Self::read(&mut from)?;
        from.finish()?;
        Ok(kinds)
    }
}

/// The rows of one span, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    rows: [Vec<u8>; 4],
}

impl Span {
    /// One of its rows.
    #[must_use]
    pub fn row(&self, part: SpanPart) -> &[u8] {
        let [places, requests, items, kinds] = &self.rows;
        match part {
            SpanPart::Places => places,
            SpanPart::Requests => requests,
            SpanPart::Items => items,
            SpanPart::Kinds => kinds,
        }
    }
}

/// Takes the entries of a span, in order, and makes its rows.
#[derive(Debug, Default)]
pub struct SpanBuilder {
    entries: u32,
    lists: [List; LISTS],
    requests: BTreeSet<u64>,
    items: ItemCollector,
    kinds: KindCollector,
}

/// Values and their runs.
#[derive(Debug, Default)]
struct List {
    values: BTreeMap<u64, [u8; 32]>,
    overflow: bool,
}

impl SpanBuilder {
    /// How many entries it has taken.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// Takes one more entry.
    ///
    /// # Errors
    /// When it has taken all of a span already.
    pub fn push(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let too_many = LedgerError::TooMany { what: "entries of a span", max: 1 << 16 };
        let run = u8::try_from(self.entries / u32::from(SUMMARY_ENTRIES)).map_err(|_| too_many)?;
        self.entries += 1;
        let [actions, decisions, reasons_seen, tenants, principals, classes, purposes, audiences] = &mut self.lists;
        actions.insert(entry.head.action as u64, run);
        decisions.insert(entry.head.decision as u64, run);
        reasons(entry).for_each(|reason| reasons_seen.insert(reason as u64, run));
        if let SealedPart::Sealed(people) = &entry.people {
            tenants.insert(u64::from_be_bytes(people.tenant_tag.0), run);
            principals.insert(u64::from_be_bytes(people.principal_tag.0), run);
        }
        entry.groups.iter().for_each(|group| classes.insert(tag_of(group.class.as_str()), run));
        entry.head.purpose.iter().for_each(|purpose| purposes.insert(tag_of(purpose.as_str()), run));
        entry.head.audience.iter().for_each(|audience| audiences.insert(tag_of(audience.as_str()), run));
        self.requests.insert(request_key(entry.head.request_id));
        entry.groups.iter().for_each(|group| self.items.push(group));
        self.kinds.push(entry);
        Ok(())
    }

    /// The rows, if it has taken all entries of a span.
    ///
    /// # Errors
    /// Never: all of its lists have limits.
    pub fn finish(self) -> Result<Option<Span>, LedgerError> {
        if self.entries != ENTRIES {
            return Ok(None);
        }
        let mut rows = [(); 4].map(|()| vec![SPAN_VERSION]);
        let [places, requests, items, kinds] = &mut rows;
        for list in self.lists {
            list.put(places)?;
        }
        let keys: Vec<_> = self.requests.into_iter().collect();
        Filter::of(&keys, REQUESTS_BYTES_MAX).put(requests)?;
        self.items.finish(ITEMS_BYTES_MAX).put(items)?;
        self.kinds.put(kinds)?;
        Ok(Some(Span { rows }))
    }
}

impl List {
    fn insert(&mut self, value: u64, run: u8) {
        if self.overflow {
            return;
        }
        let mut runs = Runs(self.values.get(&value).copied().unwrap_or_default());
        runs.insert(run);
        self.values.insert(value, runs.0);
        self.overflow = self.values.len() > LISTED_MAX;
        if self.overflow {
            self.values.clear();
        }
    }

    fn put(&self, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        out.push(self.overflow.into());
        put_count16(out, self.values.len(), "values of a span")?;
        for (value, runs) in &self.values {
            out.extend_from_slice(&value.to_be_bytes());
            out.extend_from_slice(runs);
        }
        Ok(())
    }
}

/// What a question asks of each list; any of the values will do.
fn asked(query: &Query) -> [Option<Vec<u64>>; LISTS] {
    let name = |name: Option<&str>| name.map(|name| vec![tag_of(name)]);
    let tags = |tags: Option<Vec<[u8; 8]>>| tags.map(|tags| tags.into_iter().map(u64::from_be_bytes).collect());
    [
        query.action.map(|action| vec![action as u64]),
        query.decision.map(|decision| vec![decision as u64]),
        query.reason.map(|reason| vec![reason as u64]),
        tags(query.tenants.as_ref().map(|tags| tags.iter().map(|tag| tag.0).collect())),
        tags(query.principals.as_ref().map(|tags| tags.iter().map(|tag| tag.0).collect())),
        name(query.data_class.as_ref().map(|class| class.as_str())),
        name(query.purpose.as_ref().map(|purpose| purpose.as_str())),
        name(query.audience.as_ref().map(|audience| audience.as_str())),
    ]
}

/// A list as it lies: value and runs. `None` if there were too many.
type Listed<'a> = Option<&'a [[u8; 40]]>;

fn read_list<'a>(from: &mut Reader<'a>) -> Result<Listed<'a>, LedgerError> {
    let overflow = from.flag("any value")?;
    let count = usize::from(from.u16()?);
    let (list, _) = from.take(count * 40)?.as_chunks();
    let is_valid = count <= LISTED_MAX && !(overflow && count > 0) && list.is_sorted_by(|a, b| value(a) < value(b));
    if is_valid { Ok((!overflow).then_some(list)) } else { Err(INVALID) }
}

fn value(listed: &[u8; 40]) -> u64 {
    listed.first_chunk().map_or(0, |value| u64::from_be_bytes(*value))
}

fn find(list: &[[u8; 40]], asked: u64) -> Runs {
    let found = list.binary_search_by_key(&asked, value).ok().and_then(|at| list.get(at));
    found.and_then(|listed| listed.last_chunk()).map_or(Runs::NONE, |runs| Runs(*runs))
}
