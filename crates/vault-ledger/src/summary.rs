//! One row about a run of 256 entries, by which a query skips runs that hold nothing it asks for.
//!
//! Rows are derived: they prove nothing, can be dropped and built again, and must never be what an answer rests on. A
//! row may say that a run could match when it does not; it never says that it can't when it does.
//!
//! # Layout, version 1
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version = 1 |
//! | 2 | entries, 1 to 256 |
//! | 6, 6 | lowest and highest log time |
//! | 32 | actions: bit n of the 256 (bit n mod 8 of byte n / 8) for the action with number n |
//! | 1 | decisions: bit n for the decision with number n |
//! | 2, 8 each | tenant tags, rising |
//! | 2, 8 each | principal tags, rising |
//! | 1 | 1 if there were too many data classes to list, and any can be there |
//! | 2, 8 each | data classes, as the first 8 bytes of SHA-256(name), rising; none if there were too many |
//! | rest | which items (see the module `items`) |
//!
//! At most [`SUMMARY_BYTES_MAX`] bytes (86 KiB). A run of calls for one scattered item each takes some 400 bytes and
//! its tags, a run of calls for fresh tokens little more than its tags, whatever their number.

mod items;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use vault_domain::{Action, DataClass, Decision, Millis};

use self::items::{ITEMS_BYTES_MAX, ItemCollector, ItemSet};
use crate::{
    bytes::{Reader, put_count16, put_u48},
    entry::{Entry, SealedPart},
    error::LedgerError,
    query::Query,
};

/// Entries that one row is about.
pub const SUMMARY_ENTRIES: u16 = 256;
/// The longest row.
pub const SUMMARY_BYTES_MAX: usize =
    1 + 2 + 12 + 32 + 1 + 2 * (2 + 8 * SUMMARY_ENTRIES as usize) + 1 + (2 + 8 * CLASSES_LISTED_MAX) + ITEMS_BYTES_MAX;

/// Data classes that one row lists; a run with more of them can match any.
const CLASSES_LISTED_MAX: usize = 256;
const SUMMARY_VERSION: u8 = 1;

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
    items: ItemSet,
}

impl Summary {
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
    }

    fn has_action(&self, action: Action) -> bool {
        let (byte, bit) = action_bit(action);
        self.actions.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    fn may_hold_class(&self, class: &DataClass) -> bool {
        self.classes.as_ref().is_none_or(|classes| classes.binary_search(&class_hash(class)).is_ok())
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
        self.items.put(&mut out)?;
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
        let items = ItemSet::read(&mut from)?;
        from.finish()?;
        if !(1..=SUMMARY_ENTRIES).contains(&entries) || first_time > last_time {
            return Err(invalid("entries and their log times"));
        }
        if any_class && !listed.is_empty() {
            return Err(invalid("data classes"));
        }
        let classes = (!any_class).then_some(listed);
        Ok(Self { entries, first_time, last_time, actions, decisions, tenants, principals, classes, items })
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
        for group in &entry.groups {
            // One more than can be listed says that there were too many.
            if self.classes.len() <= CLASSES_LISTED_MAX {
                self.classes.insert(class_hash(&group.class));
            }
            self.items.push(group);
        }
        Ok(())
    }

    /// The row; `None` if it has taken no entry.
    #[must_use]
    pub fn finish(self) -> Option<Summary> {
        let classes = (self.classes.len() <= CLASSES_LISTED_MAX).then(|| self.classes.into_iter().collect());
        (self.entries > 0).then(|| Summary {
            entries: self.entries,
            first_time: self.first_time,
            last_time: self.last_time,
            actions: self.actions,
            decisions: self.decisions,
            tenants: self.tenants.into_iter().collect(),
            principals: self.principals.into_iter().collect(),
            classes,
            items: self.items.finish(),
        })
    }
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

/// The first 8 bytes of SHA-256(name).
fn class_hash(class: &DataClass) -> u64 {
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(class.as_str()).into();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn put_rising(out: &mut Vec<u8>, numbers: &[u64]) -> Result<(), LedgerError> {
    put_count16(out, numbers.len(), "tags or classes of a summary row")?;
    out.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    Ok(())
}

fn read_rising(from: &mut Reader<'_>, max: usize, field: &'static str) -> Result<Vec<u64>, LedgerError> {
    let count = from.u16()?;
    let numbers = (0..count).map(|_| from.u64()).collect::<Result<Vec<_>, _>>()?;
    let valid = numbers.len() <= max && numbers.is_sorted_by(|left, right| left < right);
    if valid { Ok(numbers) } else { Err(LedgerError::FieldInvalid { field }) }
}

#[cfg(test)]
mod tests;
