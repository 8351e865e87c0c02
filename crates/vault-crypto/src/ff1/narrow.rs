//! Halves of up to 32 bits (b up to 4, d = 8): up to 18 decimal digits, 12 characters of 36, 10 of 62.

use super::{
    numeral::{Numeral, number, write_fraction},
    reduce::{high64, less_once64},
    rounds::{Halves, Side},
};
use crate::block::Block;

/// The largest b of this tier.
pub(super) const BYTES_MAX: usize = 4;

/// What the two halves of a text are reduced by.
#[derive(Clone, Debug)]
pub(super) struct Narrow {
    radix: u64,
    /// 8b: where the round number stands above NUM(B).
    round_shift: usize,
    left: Modulus,
    right: Modulus,
}

#[derive(Clone, Copy, Debug)]
struct Modulus {
    /// radix^numerals, at most 2^32.
    modulus: u64,
    /// floor((2^64 - 1) / modulus).
    reciprocal: u64,
}

impl Modulus {
    fn new(radix: u32, numerals: u32) -> Self {
        let modulus = u64::from(radix).pow(numerals);
        Self { modulus, reciprocal: u64::MAX / modulus }
    }
}

impl Narrow {
    /// For halves of `left` and `right` numerals, the larger of `bytes` bytes.
    pub(super) fn new(radix: u32, left: u32, right: u32, bytes: usize) -> Self {
        debug_assert!(bytes <= BYTES_MAX);
        let round_shift = 8 * bytes;
        Self { radix: radix.into(), round_shift, left: Modulus::new(radix, left), right: Modulus::new(radix, right) }
    }

    #[inline(always)]
    fn modulus(&self, side: Side) -> Modulus {
        match side {
            Side::Left => self.left,
            Side::Right => self.right,
        }
    }
}

impl Halves for Narrow {
    type Half = u64;

    #[inline(always)]
    fn read<N: Numeral>(&self, _: Side, numerals: &[N]) -> u64 {
        number(numerals, self.radix)
    }

    /// With f = half * ceil(2^64 / m): half / m <= f / 2^64 <= half / m + half / 2^64, and half * m < 2^64.
    #[inline(always)]
    fn write<N: Numeral>(&self, side: Side, half: u64, numerals: &mut [N]) {
        let fraction = half.wrapping_mul(self.modulus(side).reciprocal.wrapping_add(1));
        write_fraction(fraction, self.radix, numerals);
    }

    #[inline(always)]
    fn block(&self, base: u128, round: u8, half: u64) -> Block {
        (base ^ u128::from((u64::from(round) << self.round_shift) ^ half)).to_be_bytes()
    }

    /// Barrett: with y < 2^64 the quotient is right or one too small, so that the rest is below 2m. The sum with the
    /// other half is below 3m.
    #[inline(always)]
    fn step<const BACK: bool>(&self, side: Side, half: u64, image: &Block) -> u64 {
        let Modulus { modulus, reciprocal } = self.modulus(side);
        let y = (u128::from_be_bytes(*image) >> 64) as u64;
        let rest = y.wrapping_sub(high64(y, reciprocal).wrapping_mul(modulus));
        let sum =
            if BACK { half.wrapping_add(modulus.wrapping_mul(2)).wrapping_sub(rest) } else { half.wrapping_add(rest) };
        less_once64(less_once64(sum, modulus), modulus)
    }
}
