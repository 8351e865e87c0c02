//! One row about a run of 256 entries, by which a query skips runs that hold nothing it asks for, and a count takes
//! what is in a run without reading it.
//!
//! Rows are derived: they prove nothing, can be dropped and built again, and no entry that is shown rests on one. A row
//! may say that a run could match when it does not; it never says that it can't when it does. What rests on rows is
//! that nothing was left out, and counts: [`Summary::hides`] and [`Summary::counts_like`] hold them against entries.
//!
//! # Layout, version 3
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version = 3 |
//! | 2 | entries, 1 to 256 |
//! | 6, 6 | lowest and highest log time |
//! | 32 | actions: bit n of the 256 (bit n mod 8 of byte n / 8) for the action with number n |
//! | 1 | decisions: bit n for the decision with number n |
//! | 2, 8 each | tenant tags, rising |
//! | 2, 8 each | principal tags, rising |
//! | 1 | 1 if there were too many data classes to list, and any can be there |
//! | 2, 8 each | data classes, as the first 8 bytes of SHA-256(name), rising; none if there were too many |
//! | 2, 8 each | purposes, audiences: two such lists |
//! | 2, 8 each | numbers of reasons, of calls and of items, rising |
//! | 1, 4, n | request ids: a Bloom filter like that of items |
//! | | which items (see the module `items`) |
//! | rest | cells: how often each kind of entry is there (see the module `cells`) |
//!
//! At most [`SUMMARY_BYTES_MAX`] bytes (102 KiB). A run of calls for one scattered item each takes some 800 bytes, its
//! tags, and some 15 for each kind of entry; a run of calls for fresh tokens 400 less, whatever their number.
//!
//! Older versions are not read any more: such rows are built again, and until then their entries are read.

mod cells;
mod items;
mod kind;
mod kinds;
mod span;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use vault_domain::{Action, DataClass, Decision, Millis, Reason, RequestId};

use self::{
    cells::{CELLS_BYTES_MAX, CellCollector, OwnCell},
    items::{FILTER_BYTES_MAX, Filter, ITEMS_BYTES_MAX, ItemCollector, ItemSet},
    kind::Lists,
};
use crate::{
    bytes::{Reader, put_count16, put_u48},
    entry::{Entry, SealedPart},
    error::LedgerError,
    query::{ItemFilter, Query},
};

pub use self::{
    kind::Cell,
    kinds::SpanKinds,
    span::{Runs, SPAN_RUNS, Span, SpanBuilder, SpanPart},
};

/// Entries that one row is about.
pub const SUMMARY_ENTRIES: u16 = 256;
/// The longest row.
pub const SUMMARY_BYTES_MAX: usize = 1
    + 2
    + 12
    + 32
    + 1
    + 4 * (2 + 8 * SUMMARY_ENTRIES as usize)
    + 1
    + (2 + 8 * CLASSES_LISTED_MAX)
    + (2 + 8 * REASONS_MAX)
    + (1 + 4 + REQUESTS_BYTES_MAX)
    + CELLS_BYTES_MAX
    + ITEMS_BYTES_MAX;

/// Data classes that one row lists; a run with more of them can match any.
const CLASSES_LISTED_MAX: usize = 256;
/// Reasons that there can be in a row.
const REASONS_MAX: usize = 256;
/// The filter of the request ids of a whole run.
const REQUESTS_BYTES_MAX: usize = Filter::bytes_for(SUMMARY_ENTRIES as usize, FILTER_BYTES_MAX);
/// The version that is written, and the only one that is read.
const SUMMARY_VERSION: u8 = 3;

const _: () = assert!(Reason::ALL.len() <= REASONS_MAX, "a row can list every reason");

/// What a run of entries holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    entries: u16,
    first_time: Millis,
    last_time: Millis,
    actions: [u8; 32],
    decisions: u8,
    tenants: Vec<u64>,
    principals: Vec<u64>,
    /// Hashes of the names; `None` if any class can be there.
    classes: Option<Vec<u64>>,
    purposes: Vec<u64>,
    audiences: Vec<u64>,
    /// Their numbers.
    reasons: Vec<u64>,
    requests: Filter,
    /// How often which kind of entry is there; `None` if there were too many kinds.
    cells: Option<Vec<OwnCell>>,
    items: ItemSet,
}

impl Summary {
    /// The version that is written, and the only one that is read.
    pub const VERSION: u8 = SUMMARY_VERSION;

    /// Whether the bytes are a row of the version that is written. Rows of older ones are to be built again.
    #[must_use]
    pub fn is_current(row: &[u8]) -> bool {
        row.first() == Some(&SUMMARY_VERSION)
    }

    /// How many entries the row is about.
    #[must_use]
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Whether one of the entries could be asked for. `false` is certain, `true` is not.
    #[must_use]
    pub fn may_match(&self, query: &Query) -> bool {
        query.overlaps(self.first_time, self.last_time)
            && query.action.is_none_or(|action| self.has_action(action))
            && query.decision.is_none_or(|decision| self.decisions & decision_bit(decision) != 0)
            && query.tenants.as_ref().is_none_or(|tags| has_any(&self.tenants, tags.iter().map(|tag| tag.0)))
            && query.principals.as_ref().is_none_or(|tags| has_any(&self.principals, tags.iter().map(|tag| tag.0)))
            && query.data_class.as_ref().is_none_or(|class| self.may_hold_class(class))
            && query.items.as_ref().is_none_or(|items| self.items.may_hold_any(items))
            && query.purpose.as_ref().is_none_or(|purpose| has(&self.purposes, tag_of(purpose.as_str())))
            && query.audience.as_ref().is_none_or(|audience| has(&self.audiences, tag_of(audience.as_str())))
            && query.reason.is_none_or(|reason| has(&self.reasons, reason as u64))
            && query.request_id.is_none_or(|id| self.requests.may_hold(request_key(id)))
    }

    /// Whether one of the entries of an encoded row could be about what is asked for of single items and requests.
    /// `false` is certain.
    ///
    /// # Errors
    /// When a byte is missing or not canonical up to there, or the version is unknown: the row has to be built again.
    pub fn may_hold_rare(row: &[u8], query: &Query) -> Result<bool, LedgerError> {
        let mut from = Reader::new("a summary row", row);
        from.version(SUMMARY_VERSION)?;
        // Up to the decisions, then tenants and principals.
        from.take(2 + 12 + 32 + 1)?;
        skip_tags(&mut from)?;
        skip_tags(&mut from)?;
        from.flag("any data class")?;
        // Classes, purposes, audiences, reasons.
        (0..4).try_for_each(|_| skip_tags(&mut from))?;
        let requests = Filter::read(&mut from, REQUESTS_BYTES_MAX)?;
        if query.request_id.is_some_and(|id| !requests.may_hold(request_key(id))) {
            return Ok(false);
        }
        let Some(items) = &query.items else { return Ok(true) };
        Ok(ItemSet::read(&mut from, FILTER_BYTES_MAX)?.may_hold_any(items))
    }

    /// The entries that are asked for, by their kinds. `None` if the row can't tell: then the run has to be read.
    ///
    /// Names are compared by 64 bits of a hash. Entries that are not sealed for a tenant are not counted.
    #[must_use]
    pub fn count(&self, query: &Query) -> Option<Vec<Cell<'_>>> {
        cells::asked_for(self, query)
    }

    /// What the row conceals of an entry of its run: the first field by which a question about this entry would be led
    /// past it. `None` if there is none, as it should be.
    #[must_use]
    pub fn hides(&self, entry: &Entry) -> Option<&'static str> {
        questions(entry).into_iter().find(|(_, query)| !self.may_match(query)).map(|(field, _)| field)
    }

    /// Whether counts that are taken from this row are those of `truth`, the row that was made of the entries.
    #[must_use]
    pub fn counts_like(&self, truth: &Self) -> bool {
        // A bound of time is held against the row's own: they are part of how it counts.
        self.cells.is_none()
            || (&self.cells, self.first_time, self.last_time) == (&truth.cells, truth.first_time, truth.last_time)
    }

    fn has_action(&self, action: Action) -> bool {
        let (byte, bit) = action_bit(action);
        self.actions.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    fn may_hold_class(&self, class: &DataClass) -> bool {
        self.classes.as_ref().is_none_or(|classes| has(classes, class_tag(class)))
    }

    fn lists(&self) -> Lists<'_> {
        Lists {
            tenants: &self.tenants,
            principals: &self.principals,
            classes: self.classes.as_deref().unwrap_or_default(),
            purposes: &self.purposes,
            audiences: &self.audiences,
        }
    }

    /// Writes the row.
    ///
    /// # Errors
    /// Never for a row that was built or read: all of its lists have limits.
    pub fn encode(&self) -> Result<Vec<u8>, LedgerError> {
        let mut out = vec![SUMMARY_VERSION];
        out.extend_from_slice(&self.entries.to_be_bytes());
        put_u48(&mut out, self.first_time.0, "lowest log time")?;
        put_u48(&mut out, self.last_time.0, "highest log time")?;
        out.extend_from_slice(&self.actions);
        out.push(self.decisions);
        put_rising(&mut out, &self.tenants)?;
        put_rising(&mut out, &self.principals)?;
        out.push(self.classes.is_none().into());
        put_rising(&mut out, self.classes.as_deref().unwrap_or_default())?;
        for list in [&self.purposes, &self.audiences, &self.reasons] {
            put_rising(&mut out, list)?;
        }
        self.requests.put(&mut out)?;
        self.items.put(&mut out)?;
        cells::put(self, &mut out)?;
        Ok(out)
    }

    /// Reads a row.
    ///
    /// # Errors
    /// When a byte is missing, left over or not canonical, or the version is unknown: the row has to be built again.
    pub fn decode(bytes: &[u8]) -> Result<Self, LedgerError> {
        let invalid = |field| LedgerError::FieldInvalid { field };
        let mut from = Reader::new("a summary row", bytes);
        from.version(SUMMARY_VERSION)?;
        let entries = from.u16()?;
        let (first_time, last_time) = (Millis(from.u48()?), Millis(from.u48()?));
        let (actions, decisions) = (from.array()?, from.u8()?);
        let tenants = read_rising(&mut from, SUMMARY_ENTRIES.into(), "tenant tags")?;
        let principals = read_rising(&mut from, SUMMARY_ENTRIES.into(), "principal tags")?;
        let any_class = from.flag("any data class")?;
        let listed = read_rising(&mut from, CLASSES_LISTED_MAX, "data classes")?;
        if !(1..=SUMMARY_ENTRIES).contains(&entries) || first_time > last_time {
            return Err(invalid("entries and their log times"));
        }
        if any_class && !listed.is_empty() {
            return Err(invalid("data classes"));
        }
        let mut row = Self {
            entries,
            first_time,
            last_time,
            actions,
            decisions,
            tenants,
            principals,
            classes: (!any_class).then_some(listed),
            purposes: read_rising(&mut from, SUMMARY_ENTRIES.into(), "purposes")?,
            audiences: read_rising(&mut from, SUMMARY_ENTRIES.into(), "audiences")?,
            reasons: read_rising(&mut from, REASONS_MAX, "reasons")?,
            requests: Filter::read(&mut from, REQUESTS_BYTES_MAX)?.into_owned(),
            items: ItemSet::read(&mut from, FILTER_BYTES_MAX)?.into_owned(),
            cells: None,
        };
        row.cells = cells::read(&row, &mut from)?;
        from.finish()?;
        Ok(row)
    }
}

/// Takes up to 256 entries and makes their row.
#[derive(Debug)]
pub struct SummaryBuilder {
    entries: u16,
    first_time: Millis,
    last_time: Millis,
    actions: [u8; 32],
    decisions: u8,
    tenants: BTreeSet<u64>,
    principals: BTreeSet<u64>,
    classes: BTreeSet<u64>,
    purposes: BTreeSet<u64>,
    audiences: BTreeSet<u64>,
    reasons: BTreeSet<u64>,
    requests: BTreeSet<u64>,
    cells: CellCollector,
    items: ItemCollector,
}

impl Default for SummaryBuilder {
    fn default() -> Self {
        Self {
            entries: 0,
            first_time: Millis::MAX,
            last_time: Millis(0),
            actions: [0; 32],
            decisions: 0,
            tenants: BTreeSet::new(),
            principals: BTreeSet::new(),
            classes: BTreeSet::new(),
            purposes: BTreeSet::new(),
            audiences: BTreeSet::new(),
            reasons: BTreeSet::new(),
            requests: BTreeSet::new(),
            cells: CellCollector::default(),
            items: ItemCollector::default(),
        }
    }
}

impl SummaryBuilder {
    /// A row about nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entries it has taken.
    #[must_use]
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Takes one more entry.
    ///
    /// # Errors
    /// When it has taken [`SUMMARY_ENTRIES`] already.
    pub fn push(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        if self.entries == SUMMARY_ENTRIES {
            return Err(LedgerError::TooMany { what: "entries of a summary row", max: SUMMARY_ENTRIES.into() });
        }
        if let Ok(at) = u8::try_from(self.entries) {
            self.cells.push(at, entry);
        }
        self.entries += 1;
        self.first_time = self.first_time.min(entry.log_time);
        self.last_time = self.last_time.max(entry.log_time);
        let (byte, bit) = action_bit(entry.head.action);
        if let Some(bits) = self.actions.get_mut(byte) {
            *bits |= bit;
        }
        self.decisions |= decision_bit(entry.head.decision);
        if let SealedPart::Sealed(people) = &entry.people {
            self.tenants.insert(u64::from_be_bytes(people.tenant_tag.0));
            self.principals.insert(u64::from_be_bytes(people.principal_tag.0));
        }
        self.purposes.extend(entry.head.purpose.as_ref().map(|purpose| tag_of(purpose.as_str())));
        self.audiences.extend(entry.head.audience.as_ref().map(|audience| tag_of(audience.as_str())));
        self.reasons.extend(reasons(entry).map(|reason| reason as u64));
        self.requests.insert(request_key(entry.head.request_id));
        for group in &entry.groups {
            // One more than can be listed says that there were too many.
            if self.classes.len() <= CLASSES_LISTED_MAX {
                self.classes.insert(class_tag(&group.class));
            }
            self.items.push(group);
        }
        Ok(())
    }

    /// The row; `None` if it has taken no entry.
    #[must_use]
    pub fn finish(self) -> Option<Summary> {
        let classes: Option<Vec<_>> =
            (self.classes.len() <= CLASSES_LISTED_MAX).then(|| self.classes.into_iter().collect());
        // Cells name classes by their place in the list.
        let cells = self.cells.finish().filter(|_| classes.is_some());
        let requests: Vec<_> = self.requests.into_iter().collect();
        (self.entries > 0).then(|| Summary {
            entries: self.entries,
            first_time: self.first_time,
            last_time: self.last_time,
            actions: self.actions,
            decisions: self.decisions,
            tenants: self.tenants.into_iter().collect(),
            principals: self.principals.into_iter().collect(),
            classes,
            purposes: self.purposes.into_iter().collect(),
            audiences: self.audiences.into_iter().collect(),
            reasons: self.reasons.into_iter().collect(),
            requests: Filter::of(&requests, REQUESTS_BYTES_MAX),
            cells,
            items: self.items.finish(FILTER_BYTES_MAX),
        })
    }
}

/// A question about each field of an entry, which no row of the index may lead past it.
fn questions(entry: &Entry) -> Vec<(&'static str, Query)> {
    let next = Millis(entry.log_time.0.saturating_add(1));
    let all = Query::default;
    let mut asked = vec![
        ("log time", Query { from: Some(entry.log_time), until: Some(next), ..all() }),
        ("action", Query { action: Some(entry.head.action), ..all() }),
        ("decision", Query { decision: Some(entry.head.decision), ..all() }),
        ("request id", Query { request_id: Some(entry.head.request_id), ..all() }),
    ];
    asked.extend(entry.head.purpose.clone().map(|purpose| ("purpose", Query { purpose: Some(purpose), ..all() })));
    asked.extend(entry.head.audience.clone().map(|name| ("audience", Query { audience: Some(name), ..all() })));
    asked.extend(reasons(entry).map(|reason| ("reason", Query { reason: Some(reason), ..all() })));
    if let SealedPart::Sealed(people) = &entry.people {
        asked.push(("tenant", Query { tenants: Some(vec![people.tenant_tag]), ..all() }));
        asked.push(("principal", Query { principals: Some(vec![people.principal_tag]), ..all() }));
    }
    for group in &entry.groups {
        asked.push(("data class", Query { data_class: Some(group.class.clone()), ..all() }));
    }
    for group in &entry.groups {
        let numbers = group.numbers.numbers().map(|number| ItemFilter { numbers: vec![number], token_hashes: vec![] });
        let hashes = group.token_hashes.iter();
        let hashes = hashes.map(|hash| ItemFilter { numbers: vec![], token_hashes: vec![*hash] });
        asked.extend(numbers.chain(hashes).map(|items| ("token", Query { items: Some(items), ..all() })));
    }
    asked
}

/// Whether one of `tags` is in the rising list.
fn has_any(rising: &[u64], mut tags: impl Iterator<Item = [u8; 8]>) -> bool {
    tags.any(|tag| rising.binary_search(&u64::from_be_bytes(tag)).is_ok())
}

/// Which byte and which bit of it stands for an action.
fn action_bit(action: Action) -> (usize, u8) {
    let number = action as u8;
    (usize::from(number / 8), 1 << (number % 8))
}

fn decision_bit(decision: Decision) -> u8 {
    1 << (decision as u8 % 8)
}

/// Whether a tag is in the rising list.
fn has(rising: &[u64], tag: u64) -> bool {
    rising.binary_search(&tag).is_ok()
}

/// Why an entry's call or its items were refused.
fn reasons(entry: &Entry) -> impl Iterator<Item = Reason> + '_ {
    entry.head.reason.into_iter().chain(entry.groups.iter().filter_map(|group| group.outcome.refused()))
}

/// The number by which rows name a data class.
#[must_use]
pub fn class_tag(class: &DataClass) -> u64 {
    tag_of(class.as_str())
}

/// The first 8 bytes of SHA-256(name).
fn tag_of(name: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(name).into();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// The key of a request id: its first 8 bytes, for it is random.
fn request_key(id: RequestId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn put_rising(out: &mut Vec<u8>, numbers: &[u64]) -> Result<(), LedgerError> {
    put_count16(out, numbers.len(), "tags or classes of a summary row")?;
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    Ok(())
}

/// Passes over a list of tags.
fn skip_tags(from: &mut Reader<'_>) -> Result<(), LedgerError> {
    let count = from.u16()?;
    from.take(8 * usize::from(count)).map(drop)
}

fn read_rising(from: &mut Reader<'_>, max: usize, field: &'static str) -> Result<Vec<u64>, LedgerError> {
    let count = from.u16()?;
    let numbers = (0..count).map(|_| from.u64()).collect::<Result<Vec<_>, _>>()?;
    let valid = numbers.len() <= max && numbers.is_sorted_by(|left, right| left < right);
    if valid { Ok(numbers) } else { Err(LedgerError::FieldInvalid { field }) }
}

#[cfg(test)]
mod tests;
