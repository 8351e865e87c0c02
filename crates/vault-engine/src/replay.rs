//! Calls that come again as they were: a nonce counts once, for its caller, in a window around the vault's time.
//!
//! A call states when it was sent, and a nonce. What was sent too long ago is refused by its timestamp; the nonces of
//! the rest are rows, written in the commit of the call's own entry, so that they are as durable as the evidence of the
//! call. A row is named by a bucket of the time in its timestamp and a keyed hash of tenant, principal and nonce. It is
//! looked for in all buckets of the window, for whoever sends a nonce again may state another time.
//!
//! The vault's time is its wall clock, but never before the newest entry: a clock that is set back makes no old call
//! new.

use std::{
    ops::RangeInclusive,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use vault_domain::{Action, Freshness, Millis, Reason, limits};
use vault_keys::Digest16;
use vault_store::{
    Batch, Snapshot,
    table::{NonceRow, Nonces},
};

use crate::{Engine, call::Call, draft::Draft, enter::Scope, error::Error, region::RegionVault};

/// Which calls have to count once, and how old they may be.
#[derive(Clone, Debug)]
pub struct ReplayRules {
    /// The actions that need a nonce. Of others it is honoured where it is sent.
    pub required_for: Vec<Action>,
    /// How far a timestamp may be from the vault's time, before or after.
    pub window: Duration,
}

impl Default for ReplayRules {
    fn default() -> Self {
        Self { required_for: vec![Action::Detokenize], window: limits::REPLAY_WINDOW_DEFAULT }
    }
}

/// The nonce of a call, in time and in form; whether it was used before is not yet known.
pub(crate) struct Once {
    hash: Digest16,
    sent: Millis,
    window: Duration,
}

/// The first bucket whose nonces are still kept.
#[derive(Debug, Default)]
pub(crate) struct Kept(AtomicU32);

/// Buckets whose nonces a commit lets go: they come back if it fails.
#[must_use]
pub(crate) struct LetGo<'a> {
    kept: &'a Kept,
    change: Option<(u32, u32)>,
}

impl Engine {
    /// Judges what a call says of itself, before anything else is decided.
    ///
    /// # Errors
    /// When it says nothing and should, or what it says is malformed or too far from now.
    pub(crate) fn judge_freshness(&self, scope: &mut Scope<'_>, call: &Call, action: Action) -> Result<(), Error> {
        let (nonce, sent) = match call.freshness {
            Freshness::Absent if self.replay.required_for.contains(&action) => {
                return Err(Error::new(Reason::NonceRequired));
            }
            Freshness::Absent | Freshness::OfStream => return Ok(()),
            Freshness::Malformed => return Err(Error::new(Reason::NonceMalformed)),
            Freshness::Stated { nonce, sent } => (nonce, sent),
        };
        let hash = scope.vault.keys.nonce_name(scope.account.tenant(), &call.principal, &nonce);
        let once = Once { hash, sent, window: self.replay.window };
        once.check_time(scope.vault, scope.vault.journal.now(self.clock.wall()))?;
        scope.once = Some(once);
        Ok(())
    }
}

impl Once {
    /// Takes the nonce for the call that the draft is of: its row goes into the commit, which fails if another call
    /// with it is committed before. Whoever tries again then finds that call's row here.
    ///
    /// # Errors
    /// [`Reason::NonceReplayed`] when it was used.
    pub(crate) async fn take<'v>(
        &self,
        vault: &'v RegionVault,
        snapshot: &Snapshot<'_>,
        draft: &mut Draft,
    ) -> Result<LetGo<'v>, Error> {
        self.check_time(vault, draft.now)?;
        let rows: Vec<NonceRow> = self.buckets(draft.now).map(|bucket| self.row(bucket)).collect();
        if snapshot.get_many(Nonces, &rows).await?.iter().any(|row| row.is_some()) {
            return Err(Error::new(Reason::NonceReplayed));
        }
        rows.iter().for_each(|row| draft.must_stay(Nonces, row));
        self.spend(&mut draft.batch);
        Ok(vault.nonces.let_go(draft.now, self.window, &mut draft.batch))
    }

    /// Uses the nonce up, whatever becomes of the call.
    pub(crate) fn spend(&self, batch: &mut Batch) {
        batch.put(Nonces, &self.row(bucket(self.sent)), b"");
    }

    fn check_time(&self, vault: &RegionVault, now: Millis) -> Result<(), Error> {
        let apart = Duration::from_millis(now.0.abs_diff(self.sent.0));
        // Of a bucket that was let go nobody knows what was in it.
        if apart > self.window || bucket(self.sent) < vault.nonces.0.load(Ordering::Acquire) {
            return Err(Error::new(Reason::TimestampOutsideWindow));
        }
        Ok(())
    }

    /// The buckets in which the nonce of a call that would be taken now can be.
    fn buckets(&self, now: Millis) -> RangeInclusive<u32> {
        bucket(before(now, self.window))..=bucket(now.saturating_add(self.window))
    }

    fn row(&self, bucket: u32) -> NonceRow {
        NonceRow { bucket, hash: self.hash }
    }
}

impl Kept {
    /// Puts the end of nonces that are older than two windows, and than the widest that there can be, into a batch:
    /// with one commit of a bucket's time, as one range.
    fn let_go(&self, now: Millis, window: Duration, batch: &mut Batch) -> LetGo<'_> {
        // A window that is configured wider later must not find the nonces of a narrower one gone.
        let first = bucket(before(now, (2 * window).max(limits::REPLAY_WINDOW_MAX)));
        let was = self.0.load(Ordering::Acquire);
        let is_mine = was < first && self.0.compare_exchange(was, first, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_mine {
            let row = |bucket| NonceRow { bucket, hash: [0; 16] };
            batch.delete_range(Nonces, &row(was)..&row(first));
        }
        LetGo { kept: self, change: is_mine.then_some((was, first)) }
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
            let _went_on = self.kept.0.compare_exchange(first, was, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

fn before(now: Millis, by: Duration) -> Millis {
    Millis(now.0.saturating_sub(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
}

fn bucket(time: Millis) -> u32 {
    let bucket = u128::from(time.0) / limits::NONCE_BUCKET.as_millis();
    u32::try_from(bucket).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    #[test]
    fn what_is_let_go_is_older_than_every_window_that_looks_for_it() {
        for window in [limits::REPLAY_WINDOW_MIN, limits::REPLAY_WINDOW_DEFAULT, limits::REPLAY_WINDOW_MAX] {
            let kept = Kept::default();
            let once = Once { hash: [0; 16], sent: Millis(0), window };
            for minute in 0..100 {
                let now = Millis(1_767_225_600_000 + minute * MINUTE_MS);
                kept.let_go(now, window, &mut Batch::default()).done();
                let looked_for = once.buckets(now);
                assert!(kept.0.load(Ordering::Acquire) <= *looked_for.start());
                assert!(looked_for.count() <= 6, "{window:?}");
            }
        }
    }

    #[test]
    fn each_bucket_goes_once_and_comes_back_when_its_commit_fails() {
        let kept = Kept::default();
        let window = limits::REPLAY_WINDOW_DEFAULT;
        let let_go = |minute: u64| {
            let mut batch = Batch::default();
            let gone = kept.let_go(Millis(1_767_225_600_000 + minute * MINUTE_MS), window, &mut batch);
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
}
