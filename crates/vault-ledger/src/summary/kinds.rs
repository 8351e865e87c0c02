//! Of which kind each entry of a span is: what counts 65,536 entries by one row, and leads to single ones.
//!
//! # Layout
//!
//! Behind the version of a span's rows:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | 1 if there were too many kinds, or too much of them; then nothing follows |
//! | 2, 8 each | tags of tenants, principals, data classes, purposes, audiences: five lists, each rising |
//! | 4 | number of hours of log time |
//! | compact, 2 each | hours since 1970, less those of the one before; where its first entry stands; both rising |
//! | 2 | number of kinds, at most [`KINDS_MAX`] |
//! | | the kinds (see the module `kind`), by the first entry of each |
//! | 65,536, once or twice | the number of each entry's kind, in one byte if there are at most 255, else in two |
//!
//! All bits of a number are set for an entry that is of no kind.
//!
//! Log time never runs backwards, so that entries of an hour follow each other.

use std::{collections::HashMap, ops::Range};

use super::{
    kind::{Cell, HOUR_MS, Kind, KindFilter, Lists},
    put_rising, read_rising,
};
use crate::{
    bytes::{Reader, put_compact, put_count16},
    entry::Entry,
    error::LedgerError,
    query::Query,
};

/// Entries of a span.
const ENTRIES: usize = 1 << 16;
/// Kinds that one row tells apart.
const KINDS_MAX: usize = 32_768;
/// Pairs of class and outcome in all kinds of a row.
const GROUPS_MAX: usize = 4 * KINDS_MAX;
/// Kinds whose numbers fit one byte.
const NARROW_MAX: usize = 0xFF;
/// The number of an entry that is of no kind.
const NONE: u16 = u16::MAX;

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "kinds of a span" };

/// Collects the kinds of a span's entries.
#[derive(Debug, Default)]
pub(super) struct KindCollector {
    numbers: HashMap<Kind, u16>,
    groups: usize,
    column: Vec<u16>,
    hours: Vec<(u16, u64)>,
    overflow: bool,
}

impl KindCollector {
    /// Takes the next entry.
    pub(super) fn push(&mut self, entry: &Entry) {
        let Some(at) = u16::try_from(self.column.len()).ok().filter(|_| !self.overflow) else { return };
        let hour = entry.log_time.0 / HOUR_MS;
        if self.hours.last().is_none_or(|(_, last)| *last != hour) {
            self.hours.push((at, hour));
        }
        let Some(kind) = Kind::of(entry) else {
            self.column.push(NONE);
            return;
        };
        let fresh = u16::try_from(self.numbers.len()).unwrap_or(NONE);
        let (groups, is_long) = (kind.groups.len(), kind.is_long());
        let number = *self.numbers.entry(kind).or_insert(fresh);
        self.groups += if number == fresh { groups } else { 0 };
        self.column.push(number);
        self.overflow = is_long || self.numbers.len() > KINDS_MAX || self.groups > GROUPS_MAX;
        if self.overflow {
            *self = Self { overflow: true, ..Self::default() };
        }
    }

    pub(super) fn put(self, out: &mut Vec<u8>) -> Result<(), LedgerError> {
        // Log time that runs backwards is of no log: what is not so is not counted by rows.
        if self.overflow || !self.hours.is_sorted_by(|left, right| left.1 < right.1) {
            out.push(1);
            return Ok(());
        }
        out.push(0);
        let mut kinds: Vec<(Kind, u16)> = self.numbers.into_iter().collect();
        kinds.sort_unstable_by_key(|(_, number)| *number);
        let list = |tags: &mut dyn Iterator<Item = u64>| {
            let mut tags: Vec<u64> = tags.collect();
            tags.sort_unstable();
            tags.dedup();
            tags
        };
        let each = || kinds.iter().map(|(kind, _)| kind);
        let (tenants, principals) = (list(&mut each().map(|it| it.tenant)), list(&mut each().map(|it| it.principal)));
        let classes = list(&mut each().flat_map(|it| it.groups.iter().map(|(class, _)| *class)));
        let purposes = list(&mut each().filter_map(|it| it.purpose));
        let audiences = list(&mut each().filter_map(|it| it.audience));
        for list in [&tenants, &principals, &classes, &purposes, &audiences] {
            put_rising(out, list)?;
        }
        let count = u32::try_from(self.hours.len()).map_err(|_| INVALID)?;
        out.extend_from_slice(&count.to_be_bytes());
        let mut before = 0;
        for (at, hour) in self.hours {
            put_compact(out, hour - before);
            out.extend_from_slice(&at.to_be_bytes());
            before = hour;
        }
        put_count16(out, kinds.len(), "kinds of a span")?;
        let lists = Lists {
            tenants: &tenants,
            principals: &principals,
            classes: &classes,
            purposes: &purposes,
            audiences: &audiences,
        };
        kinds.iter().try_for_each(|(kind, _)| kind.put(lists, out))?;
        let numbers = self.column.into_iter().flat_map(u16::to_be_bytes);
        // Of two bytes the first is that of a number that fits one, or all bits are set in both.
        if kinds.len() <= NARROW_MAX {
            out.extend(numbers.skip(1).step_by(2))
        } else {
            out.extend(numbers)
        }
        Ok(())
    }
}

/// Of which kind each entry of a span is.
#[derive(Debug)]
pub struct SpanKinds {
    kinds: Vec<Kind>,
    /// Where the first entry of an hour stands, and the hour.
    hours: Vec<(u16, u64)>,
    column: Vec<u16>,
}

impl SpanKinds {
    /// Reads the row of kinds behind its version; `None` if there were too many kinds.
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Option<Self>, LedgerError> {
        if from.flag("any kind")? {
            return Ok(None);
        }
        let mut list = || read_rising(from, ENTRIES, "tags of a span's kinds");
        let (tenants, principals, classes, purposes, audiences) = (list()?, list()?, list()?, list()?, list()?);
        let lists = Lists {
            tenants: &tenants,
            principals: &principals,
            classes: &classes,
            purposes: &purposes,
            audiences: &audiences,
        };
        let hours = read_hours(from)?;
        let count = usize::from(from.u16()?);
        let kinds = (0..count.min(KINDS_MAX)).map(|_| Kind::read(lists, from)).collect::<Result<Vec<_>, _>>()?;
        let column: Vec<u16> = if count <= NARROW_MAX {
            let narrow = from.take(ENTRIES)?;
            narrow.iter().map(|number| if *number == u8::MAX { NONE } else { u16::from(*number) }).collect()
        } else {
            from.take(ENTRIES * 2)?.as_chunks().0.iter().map(|number| u16::from_be_bytes(*number)).collect()
        };
        let is_kind = |number: &u16| usize::from(*number) < kinds.len() || *number == NONE;
        let valid = count <= KINDS_MAX && column.iter().all(is_kind);
        if valid { Ok(Some(Self { kinds, hours, column })) } else { Err(INVALID) }
    }

    /// Where entries stand that are asked for by all but time, single items and requests, rising. `None` if entries can
    /// be asked for that are of no kind.
    #[must_use]
    pub fn places(&self, query: &Query) -> Option<Vec<u16>> {
        let asked = (query.tenants.is_some() || query.principals.is_some()).then(|| self.asked_for(query))?;
        let places = (0..=u16::MAX).zip(&self.column);
        Some(places.filter(|(_, number)| is_among(&asked, **number)).map(|(place, _)| place).collect())
    }

    /// The entries in a part of the span that are asked for by all but time, single items and requests, by their kinds;
    /// by hours too, if that is wanted. Names are compared by 64 bits of a hash. Entries that are not sealed for a
    /// tenant are not counted.
    #[must_use]
    pub fn cells(&self, query: &Query, part: Range<u32>, by_hour: bool) -> Vec<Cell<'_>> {
        let asked = self.asked_for(query);
        let bounds = self.hours.iter().map(|(at, hour)| (u32::from(*at), *hour));
        let ends = bounds.clone().skip(1).map(|(at, _)| at).chain([1 << 16]);
        let mut cells = Vec::new();
        // How many there are of each kind, and the first of them.
        let mut counted = vec![(0_u32, 0_u16); self.kinds.len()];
        let mut met = Vec::new();
        for ((start, hour), end) in bounds.zip(ends) {
            for place in start.max(part.start)..end.min(part.end) {
                let (Ok(place), Ok(at)) = (u16::try_from(place), usize::try_from(place)) else { continue };
                let number = self.column.get(at).copied().unwrap_or(NONE);
                let counts = counted.get_mut(usize::from(number)).filter(|_| is_among(&asked, number));
                let Some((entries, first)) = counts else { continue };
                if *entries == 0 {
                    *first = place;
                    met.push(number);
                }
                *entries += 1;
            }
            if by_hour {
                self.take_cells(&mut counted, &mut met, hour, &mut cells);
            }
        }
        self.take_cells(&mut counted, &mut met, 0, &mut cells);
        cells
    }

    /// Where the first entry stands that is of another kind or hour than `truth` has it; `None` if there is none.
    #[must_use]
    pub fn first_difference(&self, truth: &Self) -> Option<u16> {
        let hour = |of: &Self, place: u16| {
            let begun = of.hours.partition_point(|(at, _)| *at <= place);
            begun.checked_sub(1).and_then(|at| of.hours.get(at)).map(|(_, hour)| *hour)
        };
        (0..=u16::MAX).find(|&place| self.kind(place) != truth.kind(place) || hour(self, place) != hour(truth, place))
    }

    fn kind(&self, place: u16) -> Option<&Kind> {
        self.column.get(usize::from(place)).and_then(|number| self.kinds.get(usize::from(*number)))
    }

    fn asked_for(&self, query: &Query) -> Vec<bool> {
        let filter = KindFilter::of(query);
        self.kinds.iter().map(|kind| filter.takes(kind)).collect()
    }

    /// Turns what was counted of the kinds that were met into cells.
    fn take_cells<'a>(&'a self, counted: &mut [(u32, u16)], met: &mut Vec<u16>, hour: u64, cells: &mut Vec<Cell<'a>>) {
        for at in met.drain(..).map(usize::from) {
            if let (Some(kind), Some(counts)) = (self.kinds.get(at), counted.get_mut(at)) {
                let (entries, first) = std::mem::take(counts);
                cells.push(Cell { first, entries, hour, kind });
            }
        }
    }
}

fn is_among(asked: &[bool], number: u16) -> bool {
    asked.get(usize::from(number)).copied().unwrap_or(false)
}

fn read_hours(from: &mut Reader<'_>) -> Result<Vec<(u16, u64)>, LedgerError> {
    let count = from.u32()?;
    let mut hours: Vec<(u16, u64)> = Vec::new();
    for _ in 0..count {
        // Each summand is below 2^61, and there are too few bytes for many of them.
        let hour = hours.last().map_or(0, |(_, hour)| *hour).saturating_add(from.compact("hours of a span")?);
        hours.push((from.u16()?, hour));
    }
    let rises = hours.is_sorted_by(|left, right| left.0 < right.0 && left.1 < right.1);
    if rises && hours.first().is_some_and(|(at, _)| *at == 0) { Ok(hours) } else { Err(INVALID) }
}
