//! Uniform small numbers out of random 64-bit words, without bias and with few words.
//!
//! The pool holds a number that is uniform below a known bound. Let `whole` be the largest multiple of N not above the
//! bound: below it, the number's remainder by N and its quotient by N are uniform and independent, so the remainder is
//! the draw and the quotient is the next pool. Above it, the pool is thrown away and filled again. No draw is ever
//! taken modulo a bound that does not divide.

use rand::CryptoRng;
use vault_domain::EntropyError;

/// How often a draw is tried again, of a number and of a whole token, before its source counts as broken.
pub const DRAW_TRIES_MAX: usize = 64;

/// Below this bound the pool is filled again, so that a draw below 26 fails at most once in 2,520 times, and one below
/// 94 once in 697.
const BOUND_MIN: u64 = 1 << 16;
/// The bound of a fresh pool: 63 bits of a word.
const BOUND_FRESH: u64 = 1 << 63;

pub(super) struct Draws<'r, R: ?Sized> {
    source: &'r mut R,
    pool: u64,
    // Invariant: pool < bound, or both are 0.
    bound: u64,
}

impl<'r, R: CryptoRng + ?Sized> Draws<'r, R> {
    pub(super) fn new(source: &'r mut R) -> Self {
        Self { source, pool: 0, bound: 0 }
    }

    /// A uniform number below `N`.
    pub(super) fn below<const N: u8>(&mut self) -> Result<u8, EntropyError> {
        self.below_count(N)
    }

    /// A uniform number below `count`, which is not 0. Inlined, so that division by what is known is cheap.
    #[inline(always)]
    pub(super) fn below_count(&mut self, count: u8) -> Result<u8, EntropyError> {
        let n = u64::from(count.max(1));
        for _ in 0..DRAW_TRIES_MAX {
            if self.bound < BOUND_MIN {
                self.pool = self.source.next_u64() >> 1;
                self.bound = BOUND_FRESH;
            }
            let quotients = self.bound / n;
            if self.pool < quotients * n {
                // Less than n, which was a u8: the first byte holds it.
                let [drawn, ..] = (self.pool % n).to_le_bytes();
                self.pool /= n;
                self.bound = quotients;
                return Ok(drawn);
            }
            self.bound = 0;
        }
        Err(EntropyError)
    }
}
