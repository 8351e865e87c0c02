//! Calls that come again as they were: a nonce counts once, for its caller, in a window around the vault's time.
//!
//! A call states when it was sent, and a nonce. What was sent too long ago is refused by its timestamp; the nonces of
//! the rest are rows, written in the commit of the call's own entry, so that they are as durable as the evidence of the
//! call. A row is named by a bucket of the time in its timestamp and a hash of tenant, principal and nonce. It is
//! looked for in all buckets of the window, for whoever sends a nonce again may state another time.
//!
//! Nearly every nonce is new, and a look-up would cost each of them more than its row. So a filter in memory, of a
//! fixed size for each log, tells which nonces were surely never used; a call with one of those needs no look-up and no
//! condition, as no other call with its nonce gets past [`NonceBook::claim`] while it is under way. A start fills the
//! filter from the rows. Where the filter is not sure, the rows decide: one in 50 new nonces at 10,000 calls a second.
//!
//! The vault's time is its wall clock, but never before the newest entry: a clock that is set back makes no old call
//! new.

use std::{
    collections::HashSet,
    ops::{Bound, RangeInclusive},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use vault_crypto::sha256;
use vault_domain::{Action, Freshness, Millis, Nonce, Reason, limits};
use vault_journal::Journal;
use vault_keys::Digest16;
use vault_store::{
    Batch, Direction, ReadError, Reader, Snapshot,
    table::{NonceRow, Nonces},
};

use crate::{Engine, call::Call, draft::Draft, enter::Scope, error::Error};

/// Words of 64 bits in one generation of the filter: 4 MiB, so 8 MiB for every log. Five million nonces, those of
/// four minutes at 20,000 calls a second, have seven bits each.
const FILTER_WORDS: usize = 1 << 19;
/// Bits that a nonce sets in its word.
const FILTER_BITS: u32 = 5;
/// Rows that are read at once at a start.
const SCAN_ROWS: usize = 4096;

/// Which calls have to count once, and how old they may be.
#[derive(Clone, Debug)]
pub struct ReplayRules {
    /// The actions that need a nonce. Of others it is honoured where it is sent.
    pub required_for: Vec<Action>,
    /// How far a timestamp may be from the vault's time, before or after.
    pub window: Duration,
}

impl ReplayRules {
    /// The actions that must count once wherever values are real: those that show one, and those that change whether or
    /// to whom one is shown.
    pub const PRIVILEGED: [Action; 7] = [
        Action::Detokenize,
        Action::Renew,
        Action::Suspend,
        Action::Resume,
        Action::Revoke,
        Action::DenyAccessToken,
        Action::ApplyPolicies,
    ];
}

/// The nonces of one log: of calls under way, and of those before.
pub(crate) struct NonceBook {
    window: Duration,
    memory: Mutex<Memory>,
    /// The first bucket whose rows are kept.
    kept: AtomicU32,
}

/// What is known of nonces without looking at rows.
struct Memory {
    /// Of calls that are under way.
    under_way: HashSet<Digest16>,
    /// A Bloom filter of one word a nonce, in two generations: what was used in this one, and in the one before.
    used: [Vec<u64>; 2],
    /// When the younger generation began. It lasts two windows, so that a nonce is forgotten when its timestamp is out.
    since: Millis,
}

/// The nonce of a call, in time and in form: no other call has it while this one is under way.
pub(crate) struct Once<'v> {
    book: &'v NonceBook,
    hash: Digest16,
    sent: Millis,
    /// Surely never used before.
    is_new: bool,
}

/// Buckets whose nonces a commit lets go: they come back if it fails.
#[must_use]
pub(crate) struct LetGo<'v> {
    book: &'v NonceBook,
    change: Option<(u32, u32)>,
}

impl Engine {
    /// Judges what a call to a region says of itself, before anything else is decided.
    ///
    /// # Errors
    /// When it says nothing and should, or what it says is malformed, too far from now, or of a call under way.
    pub(crate) fn judge_freshness(&self, scope: &mut Scope<'_>, call: &Call, action: Action) -> Result<(), Error> {
        if let Some((nonce, sent)) = self.freshness(call, action)? {
            let vault = scope.vault;
            let hash = vault.keys.nonce_name(scope.account.tenant(), &call.principal, &nonce);
            scope.once = Some(vault.nonces.claim_at(&vault.journal, hash, sent, self.clock.wall())?);
        }
        Ok(())
    }

    /// The same for a call to the node, whose store has no keys to name things by: what names a nonce there stands in
    /// the node's log in clear.
    pub(crate) fn claim_at_node(&self, call: &Call, action: Action) -> Result<Option<Once<'_>>, Error> {
        let Some((nonce, sent)) = self.freshness(call, action)? else { return Ok(None) };
        let digest = sha256(&[b"tokenvault/nonce/1\0", call.principal.as_str().as_bytes(), &nonce.0]);
        let hash = std::array::from_fn(|at| digest.get(at).copied().unwrap_or_default());
        self.node.nonces.claim_at(&self.node.journal, hash, sent, self.clock.wall()).map(Some)
    }

    /// The nonce and the timestamp of a call.
    ///
    /// # Errors
    /// When it has none and should, or what it has is malformed.
    pub(crate) fn freshness(&self, call: &Call, action: Action) -> Result<Option<(Nonce, Millis)>, Error> {
        match call.freshness {
            Freshness::Absent if self.replay.required_for.contains(&action) => Err(Error::new(Reason::NonceRequired)),
            Freshness::Absent | Freshness::OfStream => Ok(None),
            Freshness::Malformed => Err(Error::new(Reason::NonceMalformed)),
            Freshness::Stated { nonce, sent } => Ok(Some((nonce, sent))),
        }
    }
}

impl NonceBook {
    /// Reads the nonces that are kept: all of them, for a clock that is wrong at the start may be put right behind it.
    pub(crate) async fn open(reader: &Reader, window: Duration, now: Millis) -> Result<Self, ReadError> {
        let mut memory = Memory::new(now);
        let snapshot = reader.snapshot();
        let mut from = Bound::Unbounded;
        loop {
            let rows = snapshot.scan(Nonces, (from, Bound::Unbounded), Direction::Forward, SCAN_ROWS).await?;
            for (row, _) in rows.iter() {
                memory.note(&row.hash);
                // A wider window than today's may have let it in from as far ahead as its bucket reaches.
                memory.since = memory.since.max(end(row.bucket));
            }
            match rows.last_key() {
                Some(last) if rows.more() => from = Bound::Excluded(*last),
                _ => break,
            }
        }
        Ok(Self { window, memory: Mutex::new(memory), kept: AtomicU32::default() })
    }

    /// The same as [`NonceBook::claim`], in the journal's time.
    fn claim_at(&self, journal: &Journal, hash: Digest16, sent: Millis, wall: Millis) -> Result<Once<'_>, Error> {
        self.claim(hash, sent, journal.now(wall), journal.now(Millis::default()))
    }

    /// Takes the nonce for one call, until what is returned is dropped. `logged` is the time of the newest entry: by it
    /// the filter forgets, for no call can be older than it, whatever the wall clock says later.
    ///
    /// # Errors
    /// When a call with this nonce is under way, or the timestamp is too far from now.
    pub(crate) fn claim(&self, hash: Digest16, sent: Millis, now: Millis, logged: Millis) -> Result<Once<'_>, Error> {
        self.check_time(sent, now)?;
        let mut memory = self.memory();
        if !memory.under_way.insert(hash) {
            return Err(Error::new(Reason::NonceReplayed));
        }
        memory.turn(logged, self.window);
        let is_new = memory.note(&hash);
        Ok(Once { book: self, hash, sent, is_new })
    }

    fn check_time(&self, sent: Millis, now: Millis) -> Result<(), Error> {
        let apart = Duration::from_millis(now.0.abs_diff(sent.0));
        // Of a bucket that was let go nobody knows what was in it.
        if apart > self.window || bucket(sent) < self.kept.load(Ordering::Acquire) {
            return Err(Error::new(Reason::TimestampOutsideWindow));
        }
        Ok(())
    }

    /// The buckets in which the nonce of a call that would be taken now can be.
    fn buckets(&self, now: Millis) -> RangeInclusive<u32> {
        bucket(before(now, self.window))..=bucket(now.saturating_add(self.window))
    }

    /// Puts the end of nonces that are older than two windows, and than the widest that there can be, into a batch:
    /// with one commit of a bucket's time, as one range.
    fn let_go(&self, now: Millis, batch: &mut Batch) -> LetGo<'_> {
        // A window that is configured wider later must not find the nonces of a narrower one gone.
        let first = bucket(before(now, (2 * self.window).max(limits::REPLAY_WINDOW_MAX)));
        let was = self.kept.load(Ordering::Acquire);
        let is_mine =
            was < first && self.kept.compare_exchange(was, first, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_mine {
            let row = |bucket| NonceRow { bucket, hash: [0; 16] };
            batch.delete_range(Nonces, &row(was)..&row(first));
        }
        LetGo { book: self, change: is_mine.then_some((was, first)) }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn new(now: Millis) -> Self {
        let empty = || vec![0; FILTER_WORDS];
        Self { under_way: HashSet::new(), used: [empty(), empty()], since: now }
    }

    /// Forgets the elder generation when the younger one has lasted two windows.
    fn turn(&mut self, logged: Millis, window: Duration) {
        if logged > self.since.saturating_add(2 * window) {
            self.used.swap(0, 1);
            self.used[0].fill(0);
            self.since = logged;
        }
    }

    /// Notes a nonce as used; whether it surely was not before. The hash's bits are as good as drawn, so that they
    /// choose the word and the bits in it.
    fn note(&mut self, hash: &Digest16) -> bool {
        let drawn = u128::from_be_bytes(*hash);
        let at = usize::try_from(drawn % FILTER_WORDS as u128).unwrap_or_default();
        let bits =
            (0..FILTER_BITS).map(|bit| 1 << ((drawn >> (64 + 6 * bit)) & 63)).fold(0_u64, |word, bit| word | bit);
        let [younger, elder] = &mut self.used;
        let is_in = |used: &[u64]| used.get(at).is_some_and(|word| word & bits == bits);
        let was = is_in(younger) || is_in(elder);
        younger.get_mut(at).into_iter().for_each(|word| *word |= bits);
        !was
    }
}

impl<'v> Once<'v> {
    /// Takes the nonce for the try that the draft is of: its row goes into the commit.
    ///
    /// # Errors
    /// [`Reason::NonceReplayed`] when it was used.
    pub(crate) async fn take(&self, snapshot: &Snapshot<'_>, draft: &mut Draft<'v>) -> Result<(), Error> {
        self.book.check_time(self.sent, draft.now)?;
        self.look(snapshot, draft.now).await?;
        if !self.is_new {
            // A call that was given up gives its claim back, and may have left its commit in the journal's queue.
            self.rows(draft.now).for_each(|row| draft.must_stay(Nonces, &row));
        }
        self.spend(&mut draft.batch);
        draft.let_go = Some(self.book.let_go(draft.now, &mut draft.batch));
        Ok(())
    }

    /// Looks whether the nonce was used, if that is not known.
    ///
    /// # Errors
    /// [`Reason::NonceReplayed`] when it was.
    pub(crate) async fn look(&self, snapshot: &Snapshot<'_>, now: Millis) -> Result<(), Error> {
        if !self.is_new {
            let rows: Vec<NonceRow> = self.rows(now).collect();
            if snapshot.get_many(Nonces, &rows).await?.iter().any(|row| row.is_some()) {
                return Err(Error::new(Reason::NonceReplayed));
            }
        }
        Ok(())
    }

    /// Where the nonce can be by now.
    fn rows(&self, now: Millis) -> impl Iterator<Item = NonceRow> {
        self.book.buckets(now).map(|bucket| self.row(bucket))
    }

    /// Uses the nonce up, whatever becomes of the call.
    pub(crate) fn spend(&self, batch: &mut Batch) {
        batch.put(Nonces, &self.row(bucket(self.sent)), b"");
    }

    fn row(&self, bucket: u32) -> NonceRow {
        NonceRow { bucket, hash: self.hash }
    }
}

impl Drop for Once<'_> {
    fn drop(&mut self) {
        self.book.memory().under_way.remove(&self.hash);
    }
}

impl LetGo<'_> {
    /// The commit is on disk.
    pub(crate) fn done(mut self) {
        self.change = None;
    }
}

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        if let Some((was, first)) = self.change {
            // Somebody else went on from here: the rows before wait for the next start.
            let _went_on = self.book.kept.compare_exchange(first, was, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

fn before(now: Millis, by: Duration) -> Millis {
    Millis(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

/// The end of a bucket.
fn end(bucket: u32) -> Millis {
    let end = (u128::from(bucket) + 1).saturating_mul(limits::NONCE_BUCKET.as_millis());
    Millis(u64::try_from(end).unwrap_or(u64::MAX)).min(Millis::MAX)
}

fn bucket(time: Millis) -> u32 {
    let bucket = u128::from(time.0) / limits::NONCE_BUCKET.as_millis();
    u32::try_from(bucket).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;
    const BEGIN: Millis = Millis(1_767_225_600_000);

    fn book(window: Duration) -> NonceBook {
        NonceBook { window, memory: Mutex::new(Memory::new(BEGIN)), kept: AtomicU32::default() }
    }

    fn hash(number: u64) -> Digest16 {
        let digest = sha256(&[&number.to_be_bytes()]);
        std::array::from_fn(|at| digest[at])
    }

    #[test]
    fn what_is_let_go_is_older_than_every_window_that_looks_for_it() {
        for window in [limits::REPLAY_WINDOW_MIN, limits::REPLAY_WINDOW_DEFAULT, limits::REPLAY_WINDOW_MAX] {
            let book = book(window);
            for minute in 0..100 {
                let now = Millis(BEGIN.0 + minute * MINUTE_MS);
                book.let_go(now, &mut Batch::default()).done();
                let looked_for = book.buckets(now);
                assert!(book.kept.load(Ordering::Acquire) <= *looked_for.start());
                assert!(looked_for.count() <= 6, "{window:?}");
            }
        }
    }

    #[test]
    fn each_bucket_goes_once_and_comes_back_when_its_commit_fails() {
        let book = book(limits::REPLAY_WINDOW_DEFAULT);
        let let_go = |minute: u64| {
            let mut batch = Batch::default();
            let gone = book.let_go(Millis(BEGIN.0 + minute * MINUTE_MS), &mut batch);
            (gone, batch.len())
        };
        let (first, ranges) = let_go(0);
        assert_eq!(ranges, 1);
        drop(first);
        let (again, ranges) = let_go(0);
        assert_eq!(ranges, 1, "its commit failed");
        again.done();
        let ranges: Vec<usize> = (0..60)
            .map(|minute| {
                let (gone, ranges) = let_go(minute);
                gone.done();
                ranges
            })
            .collect();
        assert_eq!(ranges.iter().sum::<usize>(), 11, "one for each five minutes that begin");
    }

    #[test]
    fn a_nonce_is_claimed_by_one_call_at_a_time_and_new_once() {
        let book = book(limits::REPLAY_WINDOW_DEFAULT);
        let first = book.claim(hash(1), BEGIN, BEGIN, BEGIN).unwrap();
        assert!(first.is_new);
        assert_eq!(book.claim(hash(1), BEGIN, BEGIN, BEGIN).err().unwrap().reason(), Reason::NonceReplayed);
        assert!(book.claim(hash(2), BEGIN, BEGIN, BEGIN).unwrap().is_new);
        drop(first);
        assert!(!book.claim(hash(1), BEGIN, BEGIN, BEGIN).unwrap().is_new);
    }

    #[test]
    fn a_nonce_is_remembered_for_as_long_as_its_timestamp_is_in_the_window() {
        let window = limits::REPLAY_WINDOW_DEFAULT;
        let book = book(window);
        let at = |seconds: u64| BEGIN.saturating_add(Duration::from_secs(seconds));
        for used in (0..3600).step_by(7) {
            // As far ahead as it may be: it stays good for two windows.
            let sent = at(used).saturating_add(window);
            assert!(book.claim(hash(used), sent, at(used), at(used)).unwrap().is_new);
            for before in (0..=used).step_by(7) {
                if used - before <= 2 * window.as_secs() {
                    let sent = at(before).saturating_add(window);
                    assert!(!book.claim(hash(before), sent, at(used), at(used)).unwrap().is_new, "{before} at {used}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_runs_ahead_for_a_moment_makes_the_filter_forget_nothing() {
        let book = book(limits::REPLAY_WINDOW_DEFAULT);
        assert!(book.claim(hash(1), BEGIN, BEGIN, BEGIN).unwrap().is_new);
        for hours in 1..9 {
            let ahead = BEGIN.saturating_add(Duration::from_secs(hours * 3600));
            // Nothing is committed by that time.
            assert!(book.claim(hash(hours + 1), ahead, ahead, BEGIN).unwrap().is_new);
        }
        assert!(!book.claim(hash(1), BEGIN, BEGIN, BEGIN).unwrap().is_new);
    }

    #[test]
    fn of_the_new_nonces_of_a_busy_vault_few_have_to_be_looked_up() {
        let mut memory = Memory::new(BEGIN);
        // Four minutes at 10,000 calls a second.
        let nonces = 2_400_000;
        let unsure = (0..nonces).filter(|number| !memory.note(&hash(*number))).count();
        assert!(unsure < 24_000, "{unsure}");
        assert!((0..nonces).all(|number| !memory.note(&hash(number))), "none is forgotten");
        let unsure = (0..100_000).filter(|number| !memory.note(&hash(nonces + *number))).count();
        assert!(unsure < 3_000, "{unsure}");
    }
}
