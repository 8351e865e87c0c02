//! What callers may still do: counts of items under the budgets of the catalog.
//!
//! An item is charged before anything of it is looked at, found or not, and a call that is tried again is charged once.
//! What has no room is refused and not charged. Counts stand in memory and, as of the moment of its submission, in the
//! rows of every commit that was charged: queued under one lock with them, so that a later row is never an earlier
//! count. After a crash those charges alone are forgotten that no answer was given for.
//!
//! # Layout of a row of `budgets`, version 1
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version = 1 |
//! | 1 | 8 | minute: number of its newest slot, from 1970 on |
//! | 9 | 84 | items in that slot and the 20 before it, newest first, be32 each |
//! | 93 | 92 | the same for the hour |
//! | 185 | 92 | the same for the day |
//!
//! A slot is a twentieth of its window. The newest of 21 has only begun, so that the 21 together cover the window
//! always: a bound holds in any stretch of that length, and room comes back within a twentieth of it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use vault_catalog::{Budget, BudgetLimit, BudgetWindow, Catalog};
use vault_domain::{Action, DataClass, Millis, PrincipalId, Purpose, Reason};
use vault_keys::{Digest16, RegionKeys};
use vault_store::{Batch, Direction, Reader, table::Budgets};

use crate::{error::Error, open::OpenError};

const VERSION: u8 = 1;
const ROW_BYTES: usize = 1 + WINDOWS * WINDOW_BYTES;
const WINDOW_BYTES: usize = 8 + 4 * SLOTS;
const WINDOWS: usize = BudgetWindow::ALL.len();
/// Slots of a window that are over.
const PARTS: u64 = 20;
/// Those and the one that has begun.
const SLOTS: usize = 21;
/// So many counts are kept, or twice those that counted when it was looked last, before those that are nothing any
/// more are forgotten.
const COUNTS_KEPT: usize = 65_536;

/// What callers spent of their budgets in one region.
pub(crate) struct BudgetBook(Mutex<Book>);

#[derive(Default)]
struct Book {
    counts: HashMap<Digest16, Spent>,
    /// From so many counts on it is looked which are nothing any more.
    crowded: usize,
    /// Rows of more than a day ago, to be deleted.
    stale: Vec<Digest16>,
    /// When an item was last refused.
    refused: Option<Millis>,
    /// How many were since the start.
    refusals: u64,
}

/// What was spent of one budget, by one caller for one class and purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Spent([Window; WINDOWS]);

/// Items by slots of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Window {
    newest: u64,
    /// Of the newest slot and those before it.
    items: [u32; SLOTS],
}

/// Who asks for what.
pub(crate) struct Charged<'a> {
    pub(crate) action: Action,
    pub(crate) principal: &'a PrincipalId,
    pub(crate) purpose: Option<&'a Purpose>,
}

/// What a call may do: how many items of each of its classes.
#[derive(Default)]
pub(crate) struct Allowance {
    /// By the request's classes; without a budget None, and all may go on.
    classes: Vec<Option<Room>>,
    /// The counts that were charged.
    names: Vec<Digest16>,
}

/// Room for items of a class.
struct Room {
    items: usize,
    /// Of what is beyond it: the budget, its bound, and when there is room again.
    beyond: Option<Beyond>,
}

struct Beyond {
    text: String,
    retry_after: Duration,
}

/// The items of one try, in their order.
pub(crate) struct Turn<'a> {
    allowance: &'a Allowance,
    taken: Vec<usize>,
}

impl Turn<'_> {
    /// The next item of a class.
    ///
    /// # Errors
    /// When the budget has no room for it.
    pub(crate) fn take(&mut self, class: usize) -> Result<(), Error> {
        let Some(Some(room)) = self.allowance.classes.get(class) else { return Ok(()) };
        let Some(taken) = self.taken.get_mut(class) else { return Err(Error::new(Reason::Internal)) };
        if *taken < room.items {
            *taken += 1;
            return Ok(());
        }
        let beyond = room.beyond.as_ref().ok_or(Reason::Internal)?;
        Err(Error::new(Reason::BudgetSpent).with_detail(beyond.text.clone()).retry_after(beyond.retry_after))
    }
}

impl Allowance {
    /// Begins a try: what may be done does not change from one to the next.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn { allowance: self, taken: vec![0; self.classes.len()] }
    }

    /// The counts that were charged, if any was.
    pub(crate) fn charged(&self) -> Option<&[Digest16]> {
        Some(self.names.as_slice()).filter(|names| !names.is_empty())
    }
}

impl BudgetBook {
    /// Reads what was spent in the last day.
    pub(crate) async fn open(reader: &Reader, now: Millis) -> Result<Self, OpenError> {
        let mut book = Book::default();
        let snapshot = reader.snapshot();
        let mut from = std::ops::Bound::Unbounded;
        loop {
            let range = (from, std::ops::Bound::Unbounded);
            let rows = snapshot.scan(Budgets, range, Direction::Forward, 1024).await?;
            let mut last = None;
            for (name, row) in rows.iter() {
                last = Some(*name);
                match Spent::decode(row) {
                    Some(spent) if spent.is_of_last_day(now) => {
                        book.counts.insert(*name, spent);
                    }
                    Some(_) => book.stale.push(*name),
                    None => return Err(OpenError::BudgetUnreadable),
                }
            }
            match last.filter(|_| rows.more()) {
                Some(last) => from = std::ops::Bound::Excluded(last),
                None => break,
            }
        }
        Ok(Self(Mutex::new(book)))
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Charges the items of a call, so many of each class, as far as there is room. `classes` has those alone that the
    /// call may do something with.
    pub(crate) fn charge(
        &self,
        (catalog, keys): (&Catalog, &RegionKeys),
        who: &Charged<'_>,
        classes: &[Option<(&DataClass, usize)>],
        now: Millis,
    ) -> Allowance {
        let purpose = who.purpose.map(Purpose::as_str);
        let covering: Vec<&Budget> =
            catalog.budgets().filter(|budget| budget.actions().contains(&who.action)).collect();
        if covering.is_empty() {
            return Allowance::default();
        }
        let mut names = Vec::new();
        let mut book = None;
        let rooms = classes.iter().map(|asked| {
            let (class, items) = (*asked)?;
            let covers = |budget: &Budget| budget.covers(who.action, who.principal.as_str(), class.as_str(), purpose);
            let budgets: Vec<(&Budget, Digest16)> = covering
                .iter()
                .filter(|budget| covers(budget))
                .map(|budget| (*budget, keys.budget_name(budget.name(), who.principal, class, who.purpose)))
                .collect();
            if budgets.is_empty() {
                return None;
            }
            names.extend(budgets.iter().map(|(_, name)| *name));
            Some(book.get_or_insert_with(|| self.lock()).charge(&budgets, items, now))
        });
        let classes = rooms.collect();
        Allowance { classes, names }
    }

    /// Puts counts into a batch as they are now. Whoever submits the batch holds on to what is given until it is
    /// queued: so rows are queued in the order of their counts.
    pub(crate) fn put(&self, names: &[Digest16], batch: &mut Batch) -> impl Sized + use<'_> {
        let mut book = self.lock();
        for name in names {
            if let Some(spent) = book.counts.get(name) {
                batch.put(Budgets, name, &spent.encode());
            }
        }
        for name in std::mem::take(&mut book.stale) {
            if !book.counts.contains_key(&name) {
                batch.delete(Budgets, &name);
            }
        }
        book
    }

    /// How many items were refused since the start, and when the last one was.
    pub(crate) fn refusals(&self) -> (u64, Option<Millis>) {
        let book = self.lock();
        (book.refusals, book.refused)
    }
}

impl Book {
    fn charge(&mut self, budgets: &[(&Budget, Digest16)], items: usize, now: Millis) -> Room {
        if self.counts.len() >= self.crowded.max(COUNTS_KEPT) {
            self.stale.extend(self.counts.extract_if(|_, spent| !spent.is_of_last_day(now)).map(|(name, _)| name));
            self.crowded = 2 * self.counts.len();
        }
        let mut room = u32::try_from(items).unwrap_or(u32::MAX);
        for (budget, name) in budgets {
            let spent = self.counts.entry(*name).or_default();
            spent.advance(now);
            room = budget.limits().iter().fold(room, |room, limit| room.min(spent.room(*limit)));
        }
        for (_, name) in budgets {
            self.counts.entry(*name).or_default().add(room);
        }
        let room = room as usize;
        let beyond = (room < items).then(|| {
            self.refused = Some(now);
            self.refusals = self.refusals.saturating_add((items - room) as u64);
            let waits = budgets.iter().filter_map(|(budget, name)| {
                let spent = self.counts.get(name)?;
                let waits = budget.limits().iter().filter_map(|limit| Some((spent.wait(*limit, now)?, *limit)));
                waits.max_by_key(|(wait, _)| *wait).map(|(wait, limit)| (wait, limit, *budget))
            });
            let (retry_after, text) = match waits.max_by_key(|(wait, ..)| *wait) {
                Some((wait, BudgetLimit { window, items }, budget)) => {
                    (wait, format!("budget {}: {items} per {}", budget.name(), window.name()))
                }
                None => (Duration::ZERO, String::new()),
            };
            Beyond { text, retry_after }
        });
        Room { items: room, beyond }
    }
}

impl Spent {
    fn window(&self, window: BudgetWindow) -> &Window {
        let Self([minute, hour, day]) = self;
        match window {
            BudgetWindow::Minute => minute,
            BudgetWindow::Hour => hour,
            BudgetWindow::Day => day,
        }
    }

    /// Goes on to this moment.
    fn advance(&mut self, now: Millis) {
        self.0.iter_mut().zip(BudgetWindow::ALL).for_each(|(spent, window)| spent.advance(now.0 / slot_ms(window)));
    }

    fn add(&mut self, items: u32) {
        for window in &mut self.0 {
            let [newest, ..] = &mut window.items;
            *newest = newest.saturating_add(items);
        }
    }

    fn room(&self, limit: BudgetLimit) -> u32 {
        limit.items.saturating_sub(self.window(limit.window).total())
    }

    /// How long there is no room for one more item; None if there is.
    fn wait(&self, limit: BudgetLimit, now: Millis) -> Option<Duration> {
        let window = self.window(limit.window);
        let mut excess = window.total().checked_sub(limit.items)?;
        for (back, items) in window.items.iter().enumerate().rev() {
            // The slot leaves the window when the 21st after it begins.
            match excess.checked_sub(*items) {
                Some(rest) => excess = rest,
                None => {
                    let slot = window.newest.saturating_sub(back as u64);
                    let free = (slot + SLOTS as u64).saturating_mul(slot_ms(limit.window));
                    return Some(Duration::from_millis(free.saturating_sub(now.0)));
                }
            }
        }
        Some(limit.window.length())
    }

    /// Whether anything of it was spent in the last day.
    fn is_of_last_day(mut self, now: Millis) -> bool {
        self.advance(now);
        self.window(BudgetWindow::Day).total() > 0
    }

    fn encode(&self) -> [u8; ROW_BYTES] {
        let mut row = [0; ROW_BYTES];
        let fields = self.0.iter().flat_map(|window| {
            let items = window.items.iter().flat_map(|items| items.to_be_bytes());
            window.newest.to_be_bytes().into_iter().chain(items)
        });
        for (to, from) in row.iter_mut().zip([VERSION].into_iter().chain(fields)) {
            *to = from;
        }
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let (VERSION, windows) = row.split_first().map(|(version, rest)| (*version, rest))? else { return None };
        let (windows, []) = windows.as_chunks::<WINDOW_BYTES>() else { return None };
        let mut spent = Self::default();
        if windows.len() != spent.0.len() {
            return None;
        }
        for (to, from) in spent.0.iter_mut().zip(windows) {
            let (newest, items) = from.split_first_chunk()?;
            to.newest = u64::from_be_bytes(*newest);
            let (items, []) = items.as_chunks::<4>() else { return None };
            to.items.iter_mut().zip(items).for_each(|(to, from)| *to = u32::from_be_bytes(*from));
        }
        Some(spent)
    }
}

impl Window {
    /// Goes on to this slot. A clock that went back adds to the newest.
    fn advance(&mut self, slot: u64) {
        let steps = usize::try_from(slot.saturating_sub(self.newest)).unwrap_or(usize::MAX).min(SLOTS);
        self.items.rotate_right(steps % SLOTS);
        self.items.iter_mut().take(steps).for_each(|items| *items = 0);
        self.newest = self.newest.max(slot);
    }

    fn total(&self) -> u32 {
        self.items.iter().fold(0, |total, items| total.saturating_add(*items))
    }
}

fn slot_ms(window: BudgetWindow) -> u64 {
    ms(window.length()) / PARTS
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = BudgetWindow::Day.length();

    fn limit(window: BudgetWindow, items: u32) -> BudgetLimit {
        BudgetLimit { window, items }
    }

    proptest! {
        /// Whatever comes when: in no stretch as long as the window there is more than the bound, and what is refused
        /// goes when it was said, and not before.
        #[test]
        fn no_stretch_of_a_windows_length_has_more_than_its_bound(
            steps in prop::collection::vec((0..20_000_u64, 1..5_u32), 1..200),
            window in prop::sample::select(BudgetWindow::ALL.to_vec()),
            items in 1..20_u32,
        ) {
            let (limit, length) = (limit(window, items), ms(window.length()));
            let (mut spent, mut now, mut done) = (Spent::default(), Millis(1_800_000_000_000), Vec::<u64>::new());
            for (pause, asked) in steps {
                now.0 += pause * length / 60_000;
                spent.advance(now);
                let given = asked.min(spent.room(limit));
                spent.add(given);
                done.extend((0..given).map(|_| now.0));
                let recent = done.iter().filter(|at| **at + length > now.0).count();
                prop_assert!(recent <= items as usize);
                if given < asked {
                    let wait = ms(spent.wait(limit, now).unwrap());
                    prop_assert!(wait > 0 && wait <= length + length / PARTS);
                    let mut then = spent;
                    then.advance(Millis(now.0 + wait - 1));
                    prop_assert_eq!(then.room(limit), 0);
                    then.advance(Millis(now.0 + wait));
                    prop_assert!(then.room(limit) > 0);
                    prop_assert_eq!(then.wait(limit, Millis(now.0 + wait)), None);
                }
                prop_assert_eq!(Spent::decode(&spent.encode()), Some(spent));
            }
        }
    }

    #[test]
    fn the_layout_of_a_row_is_pinned() {
        let mut spent = Spent::default();
        spent.advance(Millis(1_800_000_000_000));
        spent.add(7);
        spent.advance(Millis(1_800_000_003_000));
        spent.add(0x0102_0304);
        let row = spent.encode();
        let hex: String = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let zeros = |count: usize| "00000000".repeat(count);
        // Slots of 3 s, 3 min and 72 min: the first items are in an older one of the minute alone.
        let minute = format!("0000000023c34601{}{}{}", "01020304", "00000007", zeros(19));
        let hour = format!("000000000098{}{}{}", "9680", "0102030b", zeros(20));
        let day = format!("00000000{:08x}{}{}", 1_800_000_003_000_u64 / 4_320_000, "0102030b", zeros(20));
        assert_eq!(hex, format!("01{minute}{hour}{day}"));
        assert!((0..row.len()).all(|length| Spent::decode(&row[..length]).is_none()));
        assert!(Spent::decode(&[&row[..], &[0]].concat()).is_none());
        assert!(Spent::decode(&[&[2], &row[1..]].concat()).is_none());
    }

    #[test]
    fn what_is_older_than_a_day_is_nothing_any_more_and_a_clock_that_goes_back_forgets_nothing() {
        let (mut spent, now) = (Spent::default(), Millis(1_800_000_000_000));
        spent.advance(now);
        spent.add(3);
        let a_day = limit(BudgetWindow::Day, 3);
        spent.advance(Millis(now.0 - 10 * 86_400_000));
        assert_eq!(spent.room(a_day), 0);
        assert!(spent.is_of_last_day(now.saturating_add(DAY)));
        assert!(!spent.is_of_last_day(now.saturating_add(DAY + DAY / 10)));
    }
}
