//! Epochs: how long one sealing key lives, and why no nonce repeats.
//!
//! A sealing key is derived with the salt of its epoch, 256 bits drawn by this process and never read back for sealing:
//! stored salts only open. A new epoch begins at every start, after 2^32 seals, after a day, and when the clock jumped.
//! Within an epoch the nonce is a 32-bit counter, taken at each seal attempt and never given back, followed by 64 bits
//! drawn once per call; so neither a retry, a restored backup nor a cloned machine can repeat one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use vault_crypto::{CallRandom, NONCE_BYTES, sha256};
use vault_domain::{Clock, Entropy, EntropyError, KeyVersion, Millis, limits};

use crate::error::KeysError;

/// The name of an epoch: the first 8 bytes of SHA-256 of its salt.
pub type EpochId = [u8; 8];

/// Bytes of an epoch's salt.
pub(crate) const SALT_BYTES: usize = 32;

/// An epoch that this process seals in.
pub(crate) struct Epoch {
    pub(crate) id: EpochId,
    pub(crate) version: KeyVersion,
    pub(crate) salt: [u8; SALT_BYTES],
    /// Seals attempted so far. Invariant: only ever rises.
    seals: AtomicU64,
    /// Whether the salt is known to be on disk.
    durable: AtomicBool,
    began_monotonic: Duration,
    began_wall: Millis,
}

impl Epoch {
    pub(crate) fn begin(
        version: KeyVersion,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Arc<Self>, EntropyError> {
        let mut salt = [0; SALT_BYTES];
        entropy.fill(&mut salt)?;
        Ok(Arc::new(Self {
            id: epoch_id(&salt),
            version,
            salt,
            seals: AtomicU64::new(0),
            durable: AtomicBool::new(false),
            began_monotonic: clock.monotonic(),
            began_wall: clock.wall(),
        }))
    }

    /// Whether sealing may go on in this epoch.
    pub(crate) fn fresh(&self, clock: &dyn Clock) -> bool {
        let age = clock.monotonic().saturating_sub(self.began_monotonic);
        let expected = self.began_wall.saturating_add(age).0;
        let step = Duration::from_millis(expected.abs_diff(clock.wall().0));
        age < limits::EPOCH_AGE_MAX
            && step <= limits::CLOCK_STEP_MAX
            && self.seals.load(Ordering::Relaxed) < limits::SEALS_PER_EPOCH_MAX
    }

    /// Takes one number of the counter.
    fn count(&self) -> Result<u32, KeysError> {
        u32::try_from(self.seals.fetch_add(1, Ordering::Relaxed)).map_err(|_| KeysError::EpochUsedUp)
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn mark_durable(&self) {
        self.durable.store(true, Ordering::Release);
    }
}

/// The name of the epoch with this salt.
pub(crate) fn epoch_id(salt: &[u8; SALT_BYTES]) -> EpochId {
    let mut id = EpochId::default();
    id.iter_mut().zip(sha256(&[salt])).for_each(|(to, from)| *to = from);
    id
}

/// The right to seal during one call: the epoch it happens in and the random half of its nonces.
pub struct SealingCall {
    pub(crate) epoch: Arc<Epoch>,
    tail: [u8; 8],
}

impl SealingCall {
    pub(crate) fn new(epoch: Arc<Epoch>, random: &mut CallRandom) -> Self {
        Self { epoch, tail: random.bytes() }
    }

    /// The next nonce: counter ‖ random. Never given back, whether or not the seal is ever stored.
    pub(crate) fn nonce(&self) -> Result<[u8; NONCE_BYTES], KeysError> {
        let mut nonce = [0; NONCE_BYTES];
        let (counter, tail) = nonce.split_at_mut(4);
        counter.copy_from_slice(&self.epoch.count()?.to_be_bytes());
        tail.copy_from_slice(&self.tail);
        Ok(nonce)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use vault_domain::{ManualClock, SystemEntropy};

    use super::*;

    fn epoch(clock: &ManualClock) -> Arc<Epoch> {
        Epoch::begin(KeyVersion(1), clock, &SystemEntropy).unwrap()
    }

    #[test]
    fn nonces_of_one_epoch_never_repeat_even_with_the_same_random_half() {
        let clock = ManualClock::at(Millis(1_000));
        let epoch = epoch(&clock);
        let calls: Vec<_> = (0..4).map(|_| SealingCall { epoch: epoch.clone(), tail: [7; 8] }).collect();
        let seen: HashSet<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = calls
                .iter()
                .map(|call| scope.spawn(|| (0..1000).map(|_| call.nonce().unwrap()).collect::<Vec<_>>()))
                .collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        assert_eq!(seen.len(), 4000);
    }

    #[test]
    fn an_epoch_ends_with_its_counter_its_day_and_a_clock_jump() {
        let clock = ManualClock::at(Millis(1_000_000));
        let day = epoch(&clock);
        assert!(day.fresh(&clock));
        clock.advance(limits::EPOCH_AGE_MAX);
        assert!(!day.fresh(&clock));

        let jump = epoch(&clock);
        clock.set_wall(Millis(clock.wall().0 + 61_000));
        assert!(!jump.fresh(&clock));

        let counter = epoch(&clock);
        counter.seals.store(limits::SEALS_PER_EPOCH_MAX - 1, Ordering::Relaxed);
        assert!(counter.fresh(&clock));
        let call = SealingCall { epoch: counter.clone(), tail: [0; 8] };
        assert!(call.nonce().is_ok());
        assert!(!counter.fresh(&clock));
        assert!(matches!(call.nonce(), Err(KeysError::EpochUsedUp)));
    }
}
