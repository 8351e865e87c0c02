//! How many entries meet a question, and how they divide. Spans are counted by their row of kinds, runs of others by
//! their summaries. Entries are read where those can't tell: where a bound of time cuts an hour of a run, where there
//! are too many kinds, for questions about one token or request, and for what only an opened entry shows.
//!
//! Other than a page of entries, a count rests on the index: `tokenvault audit index check` holds that against the log.

use std::{collections::BTreeMap, ops::Range};

use vault_domain::{Action, CountBy, Decision, LogIndex, Millis, Reason, limits};
use vault_journal::Receipt;
use vault_ledger::{Cell, Entry, EntryOpener, SUMMARY_ENTRIES, SealedPart, class_tag};
use vault_store::{Direction, table::Entries, wait};

use super::{AccessLogQuery, ROW_COST, SPAN, Search, index::KINDS_ROWS, run_end, run_number};
use crate::{Engine, call::Call, error::Error};

/// How many entries of a part of the log meet a question.
#[derive(Debug)]
pub struct AccessLogCounts {
    /// How they divide, by rising name; nothing if that was not asked.
    pub counts: Vec<Count>,
    /// How many they are, each once.
    pub entries: u64,
    /// Entries that were read to tell. All others were counted by the index.
    pub entries_read: u64,
    /// For the next part, whose counts are to be added, if there is one.
    pub next_page_token: Option<String>,
    /// The size of the log that the answer was taken from.
    pub log_size: u64,
    /// Entries below this index were pruned, and are not counted.
    pub minimum_index: u64,
    /// Where the log holds the entry of this question.
    pub receipt: Receipt,
}

/// How many entries have one thing in common.
#[derive(Debug)]
pub struct Count {
    /// What: a decision, a principal, a data class, an action; empty for hours.
    pub name: String,
    /// The beginning of the hour, of counts by hour.
    pub hour: Option<Millis>,
    /// How many.
    pub entries: u64,
}

impl Engine {
    /// Counts entries of a region's log.
    ///
    /// # Errors
    /// When the call is refused; the refusal is in the log then, if the log takes entries.
    pub async fn count_access_log(
        &self,
        call: &Call,
        query: AccessLogQuery,
        by: Option<CountBy>,
    ) -> Result<AccessLogCounts, Error> {
        let region = query.region.clone();
        let (part, receipt) = self.ask_log(call, query, Some(by), move |search| search.count(by)).await?;
        let Part { counts, entries, entries_read, next_page_token, log_size } = part;
        let minimum_index = self.minimum_index(&region);
        Ok(AccessLogCounts { counts, entries, entries_read, next_page_token, log_size, minimum_index, receipt })
    }
}

/// A part before its receipt.
struct Part {
    counts: Vec<Count>,
    entries: u64,
    entries_read: u64,
    next_page_token: Option<String>,
    log_size: u64,
}

/// What was counted so far.
#[derive(Default)]
struct Tally {
    by: Option<CountBy>,
    /// By tag, number or time of what they have in common.
    groups: BTreeMap<u64, Group>,
    entries: u64,
    read: u64,
}

struct Group {
    entries: u64,
    /// One of them, which has the name.
    sample: LogIndex,
}

impl Search {
    fn count(mut self, by: Option<CountBy>) -> Result<Part, Error> {
        self.narrow()?;
        let whole = self.left.clone();
        let mut tally = self.tally(by, true)?;
        let counts = match self.named(&tally)? {
            Some(counts) => counts,
            // A row that names an entry of another kind lies: then nothing is taken from rows.
            None => {
                tracing::error!("the index of the log is not that of its entries: see tokenvault audit index check");
                self.left = whole;
                tally = self.tally(by, false)?;
                self.named(&tally)?.ok_or(Error::new(Reason::Internal))?
            }
        };
        let Tally { entries, read: entries_read, .. } = tally;
        let next_page_token = self.next_page_token();
        Ok(Part { counts, entries, entries_read, next_page_token, log_size: self.size })
    }

    /// Counts from where the part begins, as far as one may go.
    fn tally(&mut self, by: Option<CountBy>, use_rows: bool) -> Result<Tally, Error> {
        let mut tally = Tally { by, ..Tally::default() };
        let mut cost = 0;
        while !self.left.is_empty()
            && cost < limits::COUNT_SCAN_ENTRIES_MAX
            && tally.groups.len() < limits::COUNT_GROUPS_MAX
        {
            if self.clock.monotonic() >= self.deadline {
                return Err(Error::new(Reason::DeadlineExceeded));
            }
            if use_rows && let Some(part) = self.tally_span(&mut tally)? {
                cost += KINDS_ROWS * ROW_COST;
                self.looked_at(&part);
                continue;
            }
            let run = self.next_run();
            let is_whole = run.start.is_multiple_of(super::RUN) && run.end == run_end(run.start);
            let counted = if use_rows { self.tally_row(&mut tally, run.start, is_whole)? } else { None };
            if let Some(rows) = counted {
                cost += rows * ROW_COST;
            } else {
                cost += run.end - run.start;
                self.tally_entries(&mut tally, run.start, run.end)?;
            }
            self.looked_at(&run);
        }
        Ok(tally)
    }

    /// Counts what comes next of a span by its row of kinds; `None` if that can't tell. Bounds of time are bounds of
    /// indexes already.
    fn tally_span(&mut self, tally: &mut Tally) -> Result<Option<Range<u64>>, Error> {
        let next = if self.oldest_first { self.left.start } else { self.left.end.saturating_sub(1) };
        let (span, query) = (next / SPAN, &self.finder.query);
        let is_told = self.finder.people.is_empty() && query.items.is_none() && query.request_id.is_none();
        // Of a span that can't tell it is known from its first run on.
        if !is_told || !self.indexed.has_span(span) || self.untold == Some(span) {
            return Ok(None);
        }
        let begin = span.saturating_mul(SPAN);
        let part = begin.max(self.left.start)..begin.saturating_add(SPAN).min(self.left.end);
        let place = |index: u64| u32::try_from(index.saturating_sub(begin)).unwrap_or(u32::MAX);
        self.untold = Some(span);
        let Some(kinds) = self.finder.span_kinds(span)? else { return Ok(None) };
        let cells = kinds.cells(query, place(part.start)..place(part.end), tally.by == Some(CountBy::Hour));
        let mut counted = Tally { by: tally.by, ..Tally::default() };
        cells.into_iter().for_each(|cell| counted.add_cell(cell, begin));
        if counted.groups.len() > limits::COUNT_GROUPS_MAX {
            return Ok(None);
        }
        tally.join(counted);
        Ok(Some(part))
    }

    /// Counts a run by the index and gives the number of rows that were read; `None` if that can't tell.
    fn tally_row(&mut self, tally: &mut Tally, start: u64, is_whole: bool) -> Result<Option<u64>, Error> {
        let run = run_number(start);
        let glance = self.finder.glance(run, self.indexed, &mut self.in_span)?;
        if glance.skips {
            return Ok(Some(glance.rows));
        }
        if !is_whole || !self.finder.people.is_empty() || !self.indexed.has(run) {
            return Ok(None);
        }
        let Some(row) = self.finder.summary(run)? else { return Ok(None) };
        let Some(cells) = row.count(&self.finder.query) else { return Ok(None) };
        cells.into_iter().for_each(|cell| tally.add_cell(cell, start));
        Ok(Some(glance.rows + 1))
    }

    fn tally_entries(&self, tally: &mut Tally, start: u64, end: u64) -> Result<(), Error> {
        let mut next = start;
        // A scan ends early when the entries are large.
        while next < end {
            let snapshot = self.finder.reader.snapshot();
            let range = LogIndex(next)..LogIndex(end);
            let rows = wait(snapshot.scan(Entries, range, Direction::Forward, usize::from(SUMMARY_ENTRIES)))?;
            if rows.is_empty() {
                return Ok(());
            }
            for (index, bytes) in rows.iter() {
                next = index.0.saturating_add(1);
                tally.read += 1;
                if let Some(entry) = self.finder.asked_for(bytes)? {
                    tally.entries += 1;
                    keys(tally.by, &entry).into_iter().for_each(|key| tally.add(key, 1, *index));
                }
            }
        }
        Ok(())
    }

    /// The groups with their names; `None` if one of them has no such entry.
    fn named(&self, tally: &Tally) -> Result<Option<Vec<Count>>, Error> {
        // Two tags can be of one name: tags change with the generation of their key.
        let mut named: BTreeMap<(Option<Millis>, String), u64> = BTreeMap::new();
        for (&key, group) in &tally.groups {
            let Some(name) = self.name(tally.by, key, group.sample)? else { return Ok(None) };
            *named.entry(name).or_default() += group.entries;
        }
        Ok(Some(named.into_iter().map(|((hour, name), entries)| Count { name, hour, entries }).collect()))
    }

    /// What a group is called. Principals and classes stand in its entry alone.
    fn name(&self, by: Option<CountBy>, key: u64, sample: LogIndex) -> Result<Option<(Option<Millis>, String)>, Error> {
        let number = u8::try_from(key).ok();
        let name = match by {
            None => return Ok(None),
            Some(CountBy::Hour) => return Ok(Some((Some(Millis(key)), String::new()))),
            Some(CountBy::Decision) => number.and_then(Decision::from_number).map(|it| it.name().to_owned()),
            Some(CountBy::Action) => number.and_then(Action::from_number).map(|it| it.name().to_owned()),
            Some(CountBy::Principal | CountBy::DataClass) => self.name_in(by, key, sample)?,
        };
        Ok(name.map(|name| (None, name)))
    }

    fn name_in(&self, by: Option<CountBy>, key: u64, sample: LogIndex) -> Result<Option<String>, Error> {
        let Some(bytes) = wait(self.finder.reader.snapshot().get(Entries, &sample))? else { return Ok(None) };
        let entry = Entry::decode(&bytes)?;
        if !self.finder.query.matches(&entry) || !keys(by, &entry).contains(&key) {
            return Ok(None);
        }
        if by == Some(CountBy::DataClass) {
            let group = entry.groups.iter().find(|group| class_tag(&group.class) == key);
            return Ok(group.map(|group| group.class.to_string()));
        }
        let SealedPart::Sealed(sealed) = &entry.people else { return Ok(None) };
        let people = self.finder.keys.open(&self.finder.tenant, &entry.head.salt, sealed)?;
        Ok(Some(people.principal.map(|principal| principal.to_string()).unwrap_or_default()))
    }
}

impl Tally {
    /// Counts entries that are alike, of which the places count from `begin`.
    fn add_cell(&mut self, cell: Cell<'_>, begin: u64) {
        let (entries, sample) = (u64::from(cell.entries()), LogIndex(begin.saturating_add(cell.first().into())));
        let by = self.by;
        let mut add = |key| self.add(key, entries, sample);
        match by {
            None => {}
            Some(CountBy::Decision) => add(cell.decision() as u64),
            Some(CountBy::Action) => add(cell.action() as u64),
            Some(CountBy::Hour) => add(cell.hour().0),
            Some(CountBy::Principal) => add(cell.principal()),
            Some(CountBy::DataClass) => cell.classes().for_each(add),
        }
        self.entries += entries;
    }

    fn join(&mut self, other: Self) {
        other.groups.into_iter().for_each(|(key, Group { entries, sample })| self.add(key, entries, sample));
        self.entries += other.entries;
        self.read += other.read;
    }

    fn add(&mut self, key: u64, entries: u64, sample: LogIndex) {
        self.groups.entry(key).or_insert(Group { entries: 0, sample }).entries += entries;
    }
}

/// What an entry counts for, as rows have it.
fn keys(by: Option<CountBy>, entry: &Entry) -> Vec<u64> {
    const HOUR_MS: u64 = 3_600_000;
    match by {
        None => vec![],
        Some(CountBy::Decision) => vec![entry.head.decision as u64],
        Some(CountBy::Action) => vec![entry.head.action as u64],
        Some(CountBy::Hour) => vec![entry.log_time.0 / HOUR_MS * HOUR_MS],
        Some(CountBy::Principal) => match &entry.people {
            SealedPart::Sealed(people) => vec![u64::from_be_bytes(people.principal_tag.0)],
            SealedPart::None | SealedPart::Clear(_) => vec![],
        },
        Some(CountBy::DataClass) => {
            let mut tags: Vec<_> = entry.groups.iter().map(|group| class_tag(&group.class)).collect();
            tags.sort_unstable();
            tags.dedup();
            tags
        }
    }
}
