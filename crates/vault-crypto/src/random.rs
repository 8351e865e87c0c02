//! Randomness of one call: ChaCha12 (the generator that rand's `StdRng` is), seeded by one 32-byte draw from the
//! kernel.
//!
//! One system call a request instead of one an item; no generator outlives its call or is shared between threads, so
//! that no fork, snapshot or restored machine repeats what another one drew.

use rand::{CryptoRng, Rng, SeedableRng, rngs::ChaCha12Rng};
use vault_domain::{Entropy, EntropyError};
use zeroize::Zeroizing;

/// The generator of one call. Its state is wiped when dropped.
pub struct CallRandom(ChaCha12Rng);

impl CallRandom {
    /// Seeds a generator.
    ///
    /// # Errors
    /// When the source of randomness fails; the call must be refused then.
    pub fn seeded(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut seed = Zeroizing::new([0; 32]);
        entropy.fill(seed.as_mut_slice())?;
        Ok(Self(ChaCha12Rng::from_seed(*seed)))
    }

    /// The next `N` bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.0.fill_bytes(&mut out);
        out
    }

    /// The generator, for drawing from distributions.
    pub fn rng(&mut self) -> &mut (impl CryptoRng + use<>) {
        &mut self.0
    }
}
