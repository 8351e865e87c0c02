//! How often each kind of entry is in a run, so that a count need not read it.
//!
//! A **cell** stands for entries of one kind (see the module `kind`) and one hour of log time. A run of more than
//! [`CELLS_MAX`] of these, or with a call of more pairs of class and outcome than a kind has, has no cells and is read.
//!
//! # Layout
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 if there were too many; then nothing follows |
//! | 1 | number of cells |
//! | cells | by rising first entry |
//!
//! Of each cell:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | where its first entry stands in the run |
//! | compact | how many entries it stands for, less one |
//! | compact | hours of log time since 1970, less those of the row's lowest log time |
//! | | the kind |

use std::collections::BTreeMap;

use vault_domain::Millis;

use super::{
    Summary,
    kind::{Cell, HOUR_MS, KIND_BYTES_MAX, Kind, KindFilter},
};
use crate::{
    bytes::{Reader, put_compact},
    entry::Entry,
    error::LedgerError,
    query::Query,
};

/// Kinds of entries that one row tells apart.
pub(super) const CELLS_MAX: usize = 64;
/// The longest list of cells. Places in lists take at most two bytes, hours of 48-bit times at most four.
pub(super) const CELLS_BYTES_MAX: usize = 1 + 1 + CELLS_MAX * (1 + 2 + 4 + KIND_BYTES_MAX);

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "cells of a summary row" };

/// A cell of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnCell {
    first: u8,
    entries: u16,
    /// Since 1970.
    hour: u64,
    kind: Kind,
}

/// Collects the cells of a run.
#[derive(Debug, Default)]
pub(super) struct CellCollector {
    /// First entry and number.
    cells: BTreeMap<(Kind, u64), (u8, u16)>,
    overflow: bool,
}

impl CellCollector {
    /// Takes the entry that stands at this place of the run.
    pub(super) fn push(&mut self, at: u8, entry: &Entry) {
        let Some(kind) = Kind::of(entry).filter(|_| !self.overflow) else { return };
        let is_long = kind.is_long();
        self.cells.entry((kind, entry.log_time.0 / HOUR_MS)).or_insert((at, 0)).1 += 1;
        self.overflow = is_long || self.cells.len() > CELLS_MAX;
    }

    pub(super) fn finish(self) -> Option<Vec<OwnCell>> {
        let cell = |((kind, hour), (first, entries))| OwnCell { first, entries, hour, kind };
        let mut cells: Vec<_> = self.cells.into_iter().map(cell).collect();
        cells.sort_unstable_by_key(|cell| cell.first);
        (!self.overflow).then_some(cells)
    }
}

/// The cells that are asked for; `None` if the row can't say.
pub(super) fn asked_for<'a>(summary: &'a Summary, query: &Query) -> Option<Vec<Cell<'a>>> {
    // Kinds say nothing about single items and requests.
    let cells = summary.cells.as_ref().filter(|_| query.items.is_none() && query.request_id.is_none())?;
    let filter = KindFilter::of(query);
    let mut found = Vec::new();
    for OwnCell { first, entries, hour, kind } in cells {
        // The row's own bounds are narrower than the hour at both of its ends.
        let from = summary.first_time.max(Millis(hour.saturating_mul(HOUR_MS)));
        let until = summary.last_time.min(Millis(hour.saturating_mul(HOUR_MS).saturating_add(HOUR_MS - 1)));
        if !filter.takes(kind) || !query.overlaps(from, until) {
            continue;
        }
        // Some are asked for and others not.
        if !query.overlaps(from, from) || !query.overlaps(until, until) {
            return None;
        }
        found.push(Cell { first: u16::from(*first), entries: u32::from(*entries), hour: *hour, kind });
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
    for OwnCell { first, entries, hour, kind } in cells {
        out.push(*first);
        put_compact(out, u64::from(*entries).checked_sub(1).ok_or(INVALID)?);
        put_compact(out, hour.checked_sub(summary.first_time.0 / HOUR_MS).ok_or(INVALID)?);
        kind.put(summary.lists(), out)?;
    }
    Ok(())
}

/// Reads the cells of a row whose lists are read already.
pub(super) fn read(row: &Summary, from: &mut Reader<'_>) -> Result<Option<Vec<OwnCell>>, LedgerError> {
    if from.flag("any kind")? {
        return Ok(None);
    }
    let count = usize::from(from.u8()?);
    if count > CELLS_MAX {
        return Err(INVALID);
    }
    let mut cells: Vec<OwnCell> = Vec::with_capacity(count);
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

fn read_cell(row: &Summary, from: &mut Reader<'_>) -> Result<OwnCell, LedgerError> {
    const FIELD: &str = "cells of a summary row";
    let first = from.u8()?;
    let entries = u16::try_from(from.compact(FIELD)?).ok().and_then(|less| less.checked_add(1)).ok_or(INVALID)?;
    // Each summand is below 2^61.
    let hour = row.first_time.0 / HOUR_MS + from.compact(FIELD)?;
    let kind = Kind::read(row.lists(), from)?;
    let valid = u16::from(first) < row.entries && hour <= row.last_time.0 / HOUR_MS;
    if valid { Ok(OwnCell { first, entries, hour, kind }) } else { Err(INVALID) }
}
