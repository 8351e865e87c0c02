//! What of a log is to go: a beginning of it, up to the first entry that is still to be kept.

use std::{ops::Range, time::Duration};

use vault_domain::{LogIndex, Millis, Reason};
use vault_ledger::{TILE_HASHES, action_and_decision, log_time};
use vault_store::{Direction, Reader, table::Entries, wait};

use super::{Held, Pruned, archive::Source};
use crate::{
    error::Error,
    retention::{EntryKind, Retention},
};

/// Entries that are looked at in one go.
const ROWS: usize = 4096;

/// What is to go of a log of which so many entries are signed over. A clock that runs ahead takes nothing before its
/// time: what counts is the earlier of wall clock and log time.
pub(super) fn plan(source: &Source, retention: &Retention, signed: u64, wall: Millis) -> Result<Pruned, Error> {
    let Source { journal, reader, name } = source;
    let (before, size) = (journal.minimum_index(), journal.size());
    let time = |index: u64| {
        let entry = wait(reader.snapshot().get(Entries, &LogIndex(index)))?.ok_or(Reason::Internal)?;
        Ok::<_, Error>(log_time(&entry)?)
    };
    let now = wall.min(time(size.saturating_sub(1))?);
    let kept_from = since(now, retention.days_of(name));
    let (mut low, mut high) = (before, size);
    while low < high {
        let middle = low + (high - low) / 2;
        if time(middle)? < kept_from { low = middle + 1 } else { high = middle }
    }
    let indexed = journal.index_progress().entries();
    let end = whole_bundles(low.min(signed).min(indexed).min(size.saturating_sub(1))).max(before);
    let kinds: Vec<_> = retention.kind_days.iter().map(|(kind, days)| (*kind, since(now, *days))).collect();
    let held = if kinds.is_empty() { None } else { first_held(reader, &kinds, before..end)? };
    let minimum_index = held.map_or(end, |held| whole_bundles(held.index)).max(before);
    Ok(Pruned { before, minimum_index, log_size: size, kept_from, held, archive: None })
}

/// The time from which on entries that are kept for so many days are kept.
fn since(now: Millis, days: u32) -> Millis {
    let kept = Duration::from_secs(u64::from(days).saturating_mul(24 * 3600));
    Millis(now.0.saturating_sub(u64::try_from(kept.as_millis()).unwrap_or(u64::MAX)))
}

fn whole_bundles(entries: u64) -> u64 {
    entries - entries % u64::from(TILE_HASHES)
}

/// The first entry of a range that is kept for its kind. It reads them all up to there, each once: no more than the
/// archive of those that go reads, and of the bundle of the one that stays. The index could tell faster, and is not
/// asked: what it is wrong about would be gone.
fn first_held(reader: &Reader, kept_from: &[(EntryKind, Millis)], range: Range<u64>) -> Result<Option<Held>, Error> {
    let mut next = range.start;
    while next < range.end {
        let asked = LogIndex(next)..LogIndex(range.end);
        let rows = wait(reader.snapshot().scan(Entries, asked, Direction::Forward, ROWS))?;
        for (index, entry) in rows.iter() {
            let (action, decision) = action_and_decision(entry)?;
            let (kind, time) = (EntryKind::of(action, decision), log_time(entry)?);
            if kept_from.iter().any(|(kept, from)| *kept == kind && time >= *from) {
                return Ok(Some(Held { kind, index: index.0 }));
            }
        }
        next = rows.last_key().ok_or(Reason::Internal)?.0.saturating_add(1);
    }
    Ok(None)
}
