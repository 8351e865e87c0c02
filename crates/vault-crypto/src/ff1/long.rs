//! Halves of more than 96 bits: numbers in limbs of 32 bits, the least significant first.
//!
//! The number of limbs, the blocks of Q and S and every loop's length follow from radix and length alone. No branch and
//! no address depends on a numeral here either.

use aes::cipher::{BlockCipherEncrypt, consts::U16};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{
    encrypt, limbs,
    limbs::low32,
    numeral::{Numeral, number, write_fraction},
    reduce::{high64, less_once64, low64, nonzero},
};
use crate::block::BLOCK_BYTES;

/// What the two halves of a text are reduced by.
#[derive(Clone, Debug)]
pub(super) struct Long {
    radix: u64,
    /// b: bytes of NUM(B).
    bytes: usize,
    /// Limbs of every number here: one more than radix^v has, for 2^32 × radix^v and for sums.
    limbs: usize,
    /// Numerals that are turned into limbs, and back, together.
    chunk: usize,
    left: Modulus,
    right: Modulus,
}

#[derive(Clone, Debug)]
struct Modulus {
    limbs: Vec<u32>,
    /// Bits of the modulus.
    bits: usize,
    /// floor(2^96 / (t + 1)), where t are the top 64 bits of the modulus: at most 2^33.
    reciprocal: u64,
}

impl Long {
    /// For halves of `left` and `right` numerals, the larger of `bytes` bytes.
    pub(super) fn new(radix: u32, left: u32, right: u32, bytes: usize) -> Self {
        let limbs = limbs::power(radix, right).len() + 1;
        // The most numerals whose number has at most 32 bits.
        let chunk = (1..=32).rev().find(|&numerals| chunk_size(radix.into(), numerals) <= 1 << 32).unwrap_or(1);
        let (left, right) = (Modulus::new(radix, left, limbs), Modulus::new(radix, right, limbs));
        Self { radix: radix.into(), bytes, limbs, chunk, left, right }
    }

    /// All ten rounds on one text, forward or back.
    pub(super) fn run<N: Numeral, C, const BACK: bool>(&self, cipher: &C, base: u128, left: &mut [N], right: &mut [N])
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        let mut work = Work::new(self);
        self.read(left, &mut work.left);
        self.read(right, &mut work.right);
        for step in 0..10_u8 {
            let round = if BACK { 9 - step } else { step };
            let Work { tail, image, rest, left, right } = &mut work;
            let (modulus, read, changed) =
                if round % 2 == 0 { (&self.left, right, left) } else { (&self.right, left, right) };
            self.image(cipher, base, round, read, tail, image);
            modulus.reduce(image.get(..self.image_bytes()).unwrap_or_default(), rest);
            if BACK {
                modulus.subtract(changed, rest);
            } else {
                modulus.add(changed, rest);
            }
        }
        self.write(&mut work.left, left);
        self.write(&mut work.right, right);
    }

    /// d.
    fn image_bytes(&self) -> usize {
        4 * self.bytes.div_ceil(4) + 4
    }

    /// The numerals of the rest of `image`: a step without a half, for tests.
    #[cfg(test)]
    pub(super) fn write_rest<N: Numeral>(&self, side: super::rounds::Side, image: &[u8], numerals: &mut [N]) {
        let mut rest = vec![0; self.limbs];
        match side {
            super::rounds::Side::Left => self.left.reduce(image, &mut rest),
            super::rounds::Side::Right => self.right.reduce(image, &mut rest),
        }
        self.write(&mut rest, numerals);
    }

    /// S before it is cut to d bytes: R ‖ AES(R ^ 1) ‖ AES(R ^ 2) …
    fn image<C>(&self, cipher: &C, base: u128, round: u8, half: &[u32], tail: &mut [u8], image: &mut [u8])
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        // Q ends with round number ‖ NUM(B). What stands before it in the tail's blocks is in the base already, and the
        // limbs hold zeros above b bytes.
        for (to, limb) in tail.rchunks_exact_mut(4).zip(half) {
            to.copy_from_slice(&limb.to_be_bytes());
        }
        if let Some(to) = tail.iter_mut().nth_back(self.bytes) {
            *to = round;
        }
        let (blocks, _) = tail.as_chunks::<BLOCK_BYTES>();
        let mac = blocks.iter().fold(base, |state, block| encrypt(cipher, state ^ u128::from_be_bytes(*block)));
        for (number, to) in (0_u128..).zip(image.chunks_exact_mut(BLOCK_BYTES)) {
            let block = if number == 0 { mac } else { encrypt(cipher, mac ^ number) };
            to.copy_from_slice(&block.to_be_bytes());
        }
    }

    /// NUM: chunk after chunk from the most significant; the first is what is left over.
    fn read<N: Numeral>(&self, numerals: &[N], half: &mut [u32]) {
        let (first, rest) = numerals.split_at(numerals.len() % self.chunk);
        let size = chunk_size(self.radix, self.chunk);
        for chunk in std::iter::once(first).chain(rest.chunks(self.chunk)) {
            let mut carry = number(chunk, self.radix);
            for limb in half.iter_mut() {
                // Below 2^64: the limb and the carry are below 2^32, the size is at most 2^32.
                carry = u64::from(*limb).wrapping_mul(size).wrapping_add(carry);
                *limb = low32(carry);
                carry >>= 32;
            }
        }
    }

    /// STR: chunk after chunk from the least significant, each the rest of a division by its size.
    fn write<N: Numeral>(&self, half: &mut [u32], numerals: &mut [N]) {
        let size = chunk_size(self.radix, self.chunk);
        let reciprocal = u64::MAX / size;
        for to in numerals.rchunks_mut(self.chunk) {
            let mut rest = 0;
            for limb in half.iter_mut().rev() {
                // Below size * 2^32. The quotient is right or one too small.
                let dividend = rest << 32 | u64::from(*limb);
                let quotient = high64(dividend, reciprocal);
                let more = dividend.wrapping_sub(quotient.wrapping_mul(size));
                rest = less_once64(more, size);
                *limb = low32(quotient.wrapping_add(nonzero(more ^ rest)));
            }
            // The chunk is below radix^numerals, which is at most 2^32: the same bound as for narrow halves.
            let fraction = rest.wrapping_mul((u64::MAX / chunk_size(self.radix, to.len())).wrapping_add(1));
            write_fraction(fraction, self.radix, to);
        }
    }
}

impl Modulus {
    fn new(radix: u32, numerals: u32, limbs: usize) -> Self {
        let mut modulus = limbs::power(radix, numerals);
        let bits = limbs::bits(&modulus);
        modulus.resize(limbs, 0);
        let top = limbs::window(&modulus, bits - 64);
        Self { limbs: modulus, bits, reciprocal: low64((1 << 96) / (u128::from(top) + 1)) }
    }

    /// The rest of a big-endian number of whole 32-bit words: long division, word by word.
    fn reduce(&self, image: &[u8], rest: &mut [u32]) {
        // Words that together are below the modulus need no division.
        let (words, _) = image.as_chunks::<4>();
        let (first, more) = words.split_at(((self.bits - 1) / 32).min(words.len()));
        rest.fill(0);
        rest.iter_mut().zip(first.iter().rev()).for_each(|(limb, word)| *limb = u32::from_be_bytes(*word));
        for word in more {
            self.shift_in(rest, u32::from_be_bytes(*word));
        }
    }

    /// `rest × 2^32 + word`, reduced again.
    ///
    /// The quotient is estimated as x / 2^(bits - 32) × 2^32 / (t + 1), from the upper 64 bits of x. It lacks less than
    /// 1 by the reciprocal's fraction, less than 1 by its own, and far less than 2^-30 by what was left out of x and of
    /// the modulus: the rest is below 3 times that. The second correction is for that bound; only a modulus whose
    /// upper 30 bits are all ones could come near it.
    fn shift_in(&self, rest: &mut [u32], word: u32) {
        rest.rotate_right(1);
        // The top limb was zero: the rest is below the modulus, and there is one limb more than that has.
        if let Some(lowest) = rest.first_mut() {
            *lowest = word;
        }
        let quotient = high64(limbs::window(rest, self.bits - 32), self.reciprocal);
        limbs::subtract_product(rest, quotient, &self.limbs);
        for _ in 0..2 {
            self.less_once(rest);
        }
    }

    /// `number + other`, both below the modulus.
    fn add(&self, number: &mut [u32], other: &[u32]) {
        limbs::add(number, other);
        self.less_once(number);
    }

    /// `number - other`, both below the modulus.
    fn subtract(&self, number: &mut [u32], other: &[u32]) {
        let below_zero = limbs::subtract(number, other);
        limbs::add_masked(number, &self.limbs, below_zero);
    }

    /// Subtracts the modulus, unless the number is less.
    fn less_once(&self, number: &mut [u32]) {
        let below_zero = limbs::subtract(number, &self.limbs);
        limbs::add_masked(number, &self.limbs, below_zero);
    }
}

/// What one text needs on its way. Wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Work {
    /// Whole blocks that end with round number ‖ NUM(B).
    tail: Vec<u8>,
    /// S, in whole blocks.
    image: Vec<u8>,
    /// S, reduced.
    rest: Vec<u32>,
    left: Vec<u32>,
    right: Vec<u32>,
}

impl Work {
    fn new(tier: &Long) -> Self {
        let number = || vec![0; tier.limbs];
        Self {
            tail: vec![0; (tier.bytes + 1).next_multiple_of(BLOCK_BYTES)],
            image: vec![0; tier.image_bytes().next_multiple_of(BLOCK_BYTES)],
            rest: number(),
            left: number(),
            right: number(),
        }
    }
}

/// radix^numerals; more than any chunk may have if it has more than 64 bits.
fn chunk_size(radix: u64, numerals: usize) -> u64 {
    u32::try_from(numerals).map_or(u64::MAX, |numerals| radix.saturating_pow(numerals))
}
