//! How often each kind of entry is in a run, so that a count need not read it.
//!
//! A **cell** stands for entries that are alike in all that a count can ask about: tenant, principal, action,
//! decision, reason, purpose, audience, hour of the log time, and the pairs of data class and outcome. Only entries
//! that are sealed for a tenant are in a cell: of others nobody asks by a tenant's question. A run of more than
//! [`CELLS_MAX`] kinds, or with a call of more than [`CELL_GROUPS_MAX`] pairs, has no cells and is read.
//!
//! # Layout
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 if there were too many kinds; then nothing follows |
//! | 1 | number of cells |
//! | cells | by rising first entry |
//!
//! Of each cell; `compact` is the number format of the module `bytes`:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | where its first entry stands in the run |
//! | compact | how many entries it stands for, less one |
//! | compact, compact | tenant and principal, by their place in the row's lists |
//! | 1, 1 | action, decision |
//! | compact | reason of the call; 0 for none |
//! | compact, compact | purpose and audience, by their place in the row's lists from 1 on; 0 for none |
//! | compact | hours of log time since 1970, less those of the row's lowest log time |
//! | 1 | number of pairs |
//! | compact, 2 each | data class by its place in the row's list, and outcome; rising |

use std::collections::BTreeMap;

use vault_domain::{Action, Decision, Millis, Reason};

use super::{Summary, class_tag, tag_of};
use crate::{
    bytes::{Reader, put_compact},
    entry::{Entry, Outcome, SealedPart},
    error::LedgerError,
    query::Query,
};

/// Kinds of entries that one row tells apart.
pub(super) const CELLS_MAX: usize = 64;
/// Pairs of data class and outcome that one kind has.
const CELL_GROUPS_MAX: usize = 32;
/// The longest list of cells. Places in lists take at most two bytes, hours of 48-bit times at most four.
pub(super) const CELLS_BYTES_MAX: usize =
    1 + 1 + CELLS_MAX * (1 + 2 + 2 + 2 + 1 + 1 + 3 + 2 + 2 + 4 + 1 + CELL_GROUPS_MAX * (2 + 2));
/// One hour.
const HOUR_MS: u64 = 3_600_000;

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "cells of a summary row" };

/// What entries of one cell have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    tenant: u64,
    principal: u64,
    action: Action,
    decision: Decision,
    reason: Option<Reason>,
    /// Tags of the names.
    purpose: Option<u64>,
    audience: Option<u64>,
    /// Since 1970.
    hour: u64,
    /// Tag of the class, and number of the outcome; rising.
    groups: Vec<(u64, u16)>,
}

/// Entries of one run that a count can't tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Where the first of them stands in the run.
    first: u8,
    /// How many they are.
    entries: u16,
    kind: Kind,
}

impl Cell {
    /// Where the first of them stands in the run.
    #[must_use]
    pub fn first(&self) -> u8 {
        self.first
    }

    /// How many they are.
    #[must_use]
    pub fn entries(&self) -> u16 {
        self.entries
    }

    /// Their action.
    #[must_use]
    pub fn action(&self) -> Action {
        self.kind.action
    }

    /// Their decision.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.kind.decision
    }

    /// The tag of their principal, as a number.
    #[must_use]
    pub fn principal(&self) -> u64 {
        self.kind.principal
    }

    /// The hour of their log time, as its first millisecond.
    #[must_use]
    pub fn hour(&self) -> Millis {
        Millis(self.kind.hour.saturating_mul(HOUR_MS))
    }

    /// The tags of the data classes that they concern ([`class_tag`]), rising; each once.
    pub fn classes(&self) -> impl Iterator<Item = u64> + '_ {
        let tags = self.kind.groups.iter().map(|(class, _)| *class);
        tags.scan(None, |last, tag| Some((last.replace(tag) != Some(tag)).then_some(tag))).flatten()
    }

    /// Whether they are asked for; `None` if the cell can't say, since some may be and others not.
    fn is_asked_for(&self, query: &Query, (first, last): (Millis, Millis)) -> Option<bool> {
        let kind = &self.kind;
        let has = |tags: &[[u8; 8]], tag: u64| tags.contains(&tag.to_be_bytes());
        let tenants = query.tenants.as_ref().map(|tags| tags.iter().map(|tag| tag.0).collect::<Vec<_>>());
        let principals = query.principals.as_ref().map(|tags| tags.iter().map(|tag| tag.0).collect::<Vec<_>>());
        let is_of_kind = tenants.is_none_or(|tags| has(&tags, kind.tenant))
            && principals.is_none_or(|tags| has(&tags, kind.principal))
            && query.action.is_none_or(|action| action == kind.action)
            && query.decision.is_none_or(|decision| decision == kind.decision)
            && query.purpose.as_ref().is_none_or(|purpose| kind.purpose == Some(tag_of(purpose.as_str())))
            && query.audience.as_ref().is_none_or(|audience| kind.audience == Some(tag_of(audience.as_str())))
            && kind.has_groups(query);
        // The row's own bounds are narrower than the hour at both of its ends.
        let from = first.max(self.hour());
        let until = last.min(Millis(self.hour().0.saturating_add(HOUR_MS - 1)));
        if !is_of_kind || !query.overlaps(from, until) {
            return Some(false);
        }
        let whole = query.overlaps(from, from) && query.overlaps(until, until);
        whole.then_some(true)
    }
}

impl Kind {
    /// The kind of an entry; `None` if it is not sealed for a tenant.
    fn of(entry: &Entry) -> Option<Self> {
        let SealedPart::Sealed(people) = &entry.people else { return None };
        let mut groups: Vec<_> =
            entry.groups.iter().map(|group| (class_tag(&group.class), group.outcome.number())).collect();
        groups.sort_unstable();
        groups.dedup();
        let head = &entry.head;
        Some(Self {
            tenant: u64::from_be_bytes(people.tenant_tag.0),
            principal: u64::from_be_bytes(people.principal_tag.0),
            action: head.action,
            decision: head.decision,
            reason: head.reason,
            purpose: head.purpose.as_ref().map(|purpose| tag_of(purpose.as_str())),
            audience: head.audience.as_ref().map(|audience| tag_of(audience.as_str())),
            hour: entry.log_time.0 / HOUR_MS,
            groups,
        })
    }

    /// As `Query::has_items` has it for an entry.
    fn has_groups(&self, query: &Query) -> bool {
        let of_call = query.reason.is_none_or(|reason| self.reason == Some(reason));
        let class = query.data_class.as_ref().map(class_tag);
        if of_call && class.is_none() {
            return true;
        }
        let refused = query.reason.map(|reason| Outcome::Refused(reason).number());
        let mut groups = self.groups.iter();
        groups.any(|(tag, outcome)| (of_call || Some(*outcome) == refused) && class.is_none_or(|class| class == *tag))
    }
}

/// Collects the cells of a run.
#[derive(Debug, Default)]
pub(super) struct CellCollector {
    /// First entry and number.
    cells: BTreeMap<Kind, (u8, u16)>,
    overflow: bool,
}

impl CellCollector {
    /// Takes the entry that stands at this place of the run.
    pub(super) fn push(&mut self, at: u8, entry: &Entry) {
        let Some(kind) = Kind::of(entry).filter(|_| !self.overflow) else { return };
        let is_long = kind.groups.len() > CELL_GROUPS_MAX;
        self.cells.entry(kind).or_insert((at, 0)).1 += 1;
        self.overflow = is_long || self.cells.len() > CELLS_MAX;
    }

    pub(super) fn finish(self) -> Option<Vec<Cell>> {
        let cell = |(kind, (first, entries))| Cell { first, entries, kind };
        let mut cells: Vec<_> = self.cells.into_iter().map(cell).collect();
        cells.sort_unstable_by_key(|cell| cell.first);
        (!self.overflow).then_some(cells)
    }
}

/// The cells that are asked for; `None` if the row can't say.
pub(super) fn asked_for<'a>(summary: &'a Summary, query: &Query) -> Option<Vec<&'a Cell>> {
    // Kinds say nothing about single items and requests.
    let cells = summary.cells.as_ref().filter(|_| query.items.is_none() && query.request_id.is_none())?;
    let times = (summary.first_time, summary.last_time);
    let mut found = Vec::new();
    for cell in cells {
        if cell.is_asked_for(query, times)? {
            found.push(cell);
        }
    }
    Some(found)
}

pub(super) fn put(summary: &Summary, out: &mut Vec<u8>) -> Result<(), LedgerError> {
    let Some(cells) = &summary.cells else {
        out.push(1);
        return Ok(());
    };
    out.push(0);
    out.push(u8::try_from(cells.len()).map_err(|_| INVALID)?);
    let place = |list: &[u64], tag: u64| list.binary_search(&tag).map(|at| at as u64).map_err(|_| INVALID);
    let optional = |list: &[u64], tag: Option<u64>| tag.map_or(Ok(0), |tag| place(list, tag).map(|at| at + 1));
    let classes = summary.classes.as_deref().unwrap_or_default();
    for Cell { first, entries, kind } in cells {
        out.push(*first);
        put_compact(out, u64::from(*entries).checked_sub(1).ok_or(INVALID)?);
        put_compact(out, place(&summary.tenants, kind.tenant)?);
        put_compact(out, place(&summary.principals, kind.principal)?);
        out.extend([kind.action as u8, kind.decision as u8]);
        put_compact(out, kind.reason.map_or(0, |reason| reason as u64));
        put_compact(out, optional(&summary.purposes, kind.purpose)?);
        put_compact(out, optional(&summary.audiences, kind.audience)?);
        put_compact(out, kind.hour.checked_sub(summary.first_time.0 / HOUR_MS).ok_or(INVALID)?);
        out.push(u8::try_from(kind.groups.len()).map_err(|_| INVALID)?);
        for (class, outcome) in &kind.groups {
            put_compact(out, place(classes, *class)?);
            out.extend_from_slice(&outcome.to_be_bytes());
        }
    }
    Ok(())
}

/// Reads the cells of a row whose lists are read already.
pub(super) fn read(row: &Summary, from: &mut Reader<'_>) -> Result<Option<Vec<Cell>>, LedgerError> {
    if from.flag("any kind")? {
        return Ok(None);
    }
    let count = usize::from(from.u8()?);
    if count > CELLS_MAX {
        return Err(INVALID);
    }
    let mut cells: Vec<Cell> = Vec::with_capacity(count);
    for _ in 0..count {
        let cell = read_cell(row, from)?;
        if cells.last().is_some_and(|last| last.first >= cell.first) {
            return Err(INVALID);
        }
        cells.push(cell);
    }
    let total: u64 = cells.iter().map(|cell| u64::from(cell.entries)).sum();
    if total > u64::from(row.entries) { Err(INVALID) } else { Ok(Some(cells)) }
}

fn read_cell(row: &Summary, from: &mut Reader<'_>) -> Result<Cell, LedgerError> {
    const FIELD: &str = "cells of a summary row";
    let tag = |list: &[u64], at: u64| usize::try_from(at).ok().and_then(|at| list.get(at)).copied().ok_or(INVALID);
    let optional = |list: &[u64], at: u64| at.checked_sub(1).map(|at| tag(list, at)).transpose();
    let first = from.u8()?;
    let entries = u16::try_from(from.compact(FIELD)?).ok().and_then(|less| less.checked_add(1)).ok_or(INVALID)?;
    let (tenant, principal) = (tag(&row.tenants, from.compact(FIELD)?)?, tag(&row.principals, from.compact(FIELD)?)?);
    let action = Action::from_number(from.u8()?).ok_or(INVALID)?;
    let decision = Decision::from_number(from.u8()?).ok_or(INVALID)?;
    let reason = match u16::try_from(from.compact(FIELD)?).map_err(|_| INVALID)? {
        0 => None,
        number => Some(Reason::from_number(number).ok_or(INVALID)?),
    };
    let purpose = optional(&row.purposes, from.compact(FIELD)?)?;
    let audience = optional(&row.audiences, from.compact(FIELD)?)?;
    // Each summand is below 2^61.
    let hour = row.first_time.0 / HOUR_MS + from.compact(FIELD)?;
    let classes = row.classes.as_deref().unwrap_or_default();
    let mut groups: Vec<(u64, u16)> = Vec::new();
    for _ in 0..from.u8()? {
        groups.push((tag(classes, from.compact(FIELD)?)?, from.u16()?));
    }
    let valid = u16::from(first) < row.entries
        && hour <= row.last_time.0 / HOUR_MS
        && groups.len() <= CELL_GROUPS_MAX
        && groups.is_sorted_by(|left, right| left < right);
    let kind = Kind { tenant, principal, action, decision, reason, purpose, audience, hour, groups };
    if valid { Ok(Cell { first, entries, kind }) } else { Err(INVALID) }
}
