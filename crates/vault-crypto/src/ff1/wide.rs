//! Halves of up to 96 bits (b up to 12, d = 12 or 16): up to 56 decimal digits, 36 characters of 36, 32 of 62.

use super::{
    numeral::{Numeral, number, write_fraction},
    reduce::{high64, high128, less_once64, less_once128, low64, nonzero},
    rounds::{Halves, Side},
};
use crate::block::Block;

/// The largest b of this tier.
pub(super) const BYTES_MAX: usize = 12;

/// What the two halves of a text are reduced by.
#[derive(Clone, Debug)]
pub(super) struct Wide {
    radix: u64,
    /// 8b: where the round number stands above NUM(B).
    round_shift: usize,
    /// 128 - 8d: bits of R that are no part of S.
    unused_bits: u32,
    left: Modulus,
    right: Modulus,
}

#[derive(Clone, Copy, Debug)]
struct Modulus {
    /// radix^numerals, at most 2^96.
    modulus: u128,
    /// floor((2^8d - 1) / modulus) where that is below 2^64, else floor((2^128 - 1) / modulus).
    reciprocal: u128,
    /// Whether the reciprocal has more than 64 bits.
    long: bool,
    split: Split,
}

impl Modulus {
    fn new(radix: u32, numerals: u32, unused_bits: u32) -> Self {
        let modulus = u128::from(radix).pow(numerals);
        let short = (u128::MAX >> unused_bits) / modulus;
        let long = short > u128::from(u64::MAX);
        let reciprocal = if long { u128::MAX / modulus } else { short };
        Self { modulus, reciprocal, long, split: Split::new(radix, numerals, modulus) }
    }
}

impl Wide {
    /// For halves of `left` and `right` numerals, the larger of `bytes` bytes.
    pub(super) fn new(radix: u32, left: u32, right: u32, bytes: usize) -> Self {
        debug_assert!((super::narrow::BYTES_MAX..=BYTES_MAX).contains(&bytes));
        let unused_bits = if bytes > 8 { 0 } else { 32 };
        Self {
            radix: radix.into(),
            round_shift: 8 * bytes,
            unused_bits,
            left: Modulus::new(radix, left, unused_bits),
            right: Modulus::new(radix, right, unused_bits),
        }
    }

    #[inline(always)]
    fn modulus(&self, side: Side) -> &Modulus {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

impl Halves for Wide {
    type Half = u128;

    #[inline(always)]
    fn read<N: Numeral>(&self, side: Side, numerals: &[N]) -> u128 {
        let split = &self.modulus(side).split;
        let (high, low) = numerals.split_at(numerals.len().saturating_sub(split.low_numerals));
        let high = u128::from(number(high, self.radix)).wrapping_mul(u128::from(split.low.size));
        high.wrapping_add(u128::from(number(low, self.radix)))
    }

    #[inline(always)]
    fn write<N: Numeral>(&self, side: Side, half: u128, numerals: &mut [N]) {
        let split = &self.modulus(side).split;
        let (to_high, to_low) = numerals.split_at_mut(numerals.len().saturating_sub(split.low_numerals));
        let (high, low) = split.of(half);
        write_fraction(split.high.fraction(high), self.radix, to_high);
        write_fraction(split.low.fraction(low), self.radix, to_low);
    }

    #[inline(always)]
    fn block(&self, base: u128, round: u8, half: u128) -> Block {
        (base ^ (u128::from(round) << self.round_shift) ^ half).to_be_bytes()
    }

    /// Barrett. With a short reciprocal, the quotient from the upper 64 bits of y lacks less than 2: one by the
    /// reciprocal's fraction, one by what was left out of y. The rest is below 3m, the sum with the other half below
    /// 4m. With a long one the quotient lacks at most 1.
    #[inline(always)]
    fn step<const BACK: bool>(&self, side: Side, half: u128, image: &Block) -> u128 {
        let Modulus { modulus, reciprocal, long, .. } = *self.modulus(side);
        let image = u128::from_be_bytes(*image);
        let y = image >> self.unused_bits;
        // The only branch: it depends on radix and length alone.
        let quotient =
            if long { high128(y, reciprocal) } else { u128::from(high64((image >> 64) as u64, low64(reciprocal))) };
        let rest = y.wrapping_sub(quotient.wrapping_mul(modulus));
        let sum =
            if BACK { half.wrapping_add(modulus.wrapping_mul(3)).wrapping_sub(rest) } else { half.wrapping_add(rest) };
        less_once128(less_once128(sum, modulus.wrapping_mul(2)), modulus)
    }
}

/// How a half is cut in two numbers of at most 56 bits, which numerals are read from one by one.
#[derive(Clone, Copy, Debug)]
struct Split {
    /// ceil(numerals / 2): those of the lower piece.
    low_numerals: usize,
    /// 0, or 32 where the half has more than 64 bits: what is left out when the quotient is estimated.
    skipped_bits: u32,
    /// floor((2^(64 + skipped_bits) - 1) / size of the lower piece).
    reciprocal: u64,
    high: Piece,
    low: Piece,
}

impl Split {
    fn new(radix: u32, numerals: u32, modulus: u128) -> Self {
        let low_numerals = numerals.div_ceil(2);
        let (high, low) = (Piece::new(radix, numerals - low_numerals), Piece::new(radix, low_numerals));
        // Above 2^64, the lower piece has at least 2^32 values, so that the reciprocal has at most 64 bits.
        let skipped_bits = if modulus > 1 << 64 { 32 } else { 0 };
        let reciprocal = low64((u128::MAX >> (64 - skipped_bits)) / u128::from(low.size));
        Self { low_numerals: low_numerals as usize, skipped_bits, reciprocal, high, low }
    }

    /// Quotient and rest by the size of the lower piece: the estimate lacks less than 2, as in `step`. The second
    /// correction is there for that bound; no half is known that needs it.
    #[inline(always)]
    fn of(&self, half: u128) -> (u64, u64) {
        let size = self.low.size;
        let mut quotient = high64(low64(half >> self.skipped_bits), self.reciprocal);
        let mut rest = low64(half).wrapping_sub(quotient.wrapping_mul(size));
        for _ in 0..2 {
            let less = less_once64(rest, size);
            // One more, unless nothing was taken away: sizes are above zero.
            quotient = quotient.wrapping_add(nonzero(rest ^ less));
            rest = less;
        }
        (quotient, rest)
    }
}

/// A run of numerals as one number.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// radix^numerals, at most 2^56.
    size: u64,
    /// The largest s with 2^s < size; 0 for a size of 1.
    scale: u32,
    /// ceil(2^(64 + scale) / size), below 2^64.
    reciprocal: u64,
}

impl Piece {
    fn new(radix: u32, numerals: u32) -> Self {
        let size = u64::from(radix).pow(numerals);
        let scale = (size - 1).checked_ilog2().unwrap_or(0);
        let reciprocal = low64((1_u128 << (64 + scale)).div_ceil(u128::from(size)));
        Self { size, scale, reciprocal }
    }

    /// A little more than `number / size × 2^64`: by at most 3, and 3 × size is below 2^64.
    #[inline(always)]
    fn fraction(&self, number: u64) -> u64 {
        let product = u128::from(number).wrapping_mul(u128::from(self.reciprocal));
        let (high, low) = ((product >> 64) as u64, low64(product));
        // Two shifts: a scale of 0 would ask for one of 64 bits.
        (((high << 1) << (63 - self.scale)) | (low >> self.scale)).wrapping_add(1)
    }
}
