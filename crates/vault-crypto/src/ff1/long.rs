//! Halves of more than 96 bits: numbers in limbs of 32 bits, the least significant first.
//!
//! The number of limbs, the blocks of Q and S and every loop's length follow from radix and length alone. No branch and
//! no address depends on a numeral here either.

use aes::cipher::{BlockCipherEncrypt, consts::U16};
use zeroize::Zeroizing;

use super::{
    encrypt, limbs,
    limbs::low32,
    numeral::{Numeral, number, write_fraction},
    reduce::{high64, less_once64, nonzero},
    rounds::Side,
};
use crate::block::BLOCK_BYTES;

/// A number of a fixed count of limbs.
type Number = Zeroizing<Vec<u32>>;

/// What the two halves of a text are reduced by.
#[derive(Clone, Debug)]
pub(super) struct Long {
    radix: u64,
    /// b: bytes of NUM(B).
    bytes: usize,
    /// Limbs of every number here: two more than radix^v has, for 2^32 × radix^v and for sums.
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
    /// floor((2^64 - 1) / (t + 1)), where t are the top 32 bits of the modulus.
    reciprocal: u64,
}

impl Long {
    /// For halves of `left` and `right` numerals, the larger of `bytes` bytes.
    pub(super) fn new(radix: u32, left: u32, right: u32, bytes: usize) -> Self {
        let limbs = limbs::power(radix, right).len() + 2;
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
        let mut halves = (self.read(left), self.read(right));
        for step in 0..10_u8 {
            let round = if BACK { 9 - step } else { step };
            let (side, read, changed) = match round % 2 {
                0 => (Side::Left, &halves.1, &mut halves.0),
                _ => (Side::Right, &halves.0, &mut halves.1),
            };
            let modulus = self.modulus(side);
            let y = modulus.reduce(&self.image(cipher, base, round, read), self.limbs);
            if BACK {
                modulus.subtract(changed, &y);
            } else {
                modulus.add(changed, &y);
            }
        }
        self.write(halves.0, left);
        self.write(halves.1, right);
    }

    /// The numerals of the rest of `image`: a step without a half, for tests.
    #[cfg(test)]
    pub(super) fn write_rest<N: Numeral>(&self, side: Side, image: &[u8], numerals: &mut [N]) {
        self.write(self.modulus(side).reduce(image, self.limbs), numerals);
    }

    fn modulus(&self, side: Side) -> &Modulus {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// S: d bytes, the most significant first.
    fn image<C>(&self, cipher: &C, base: u128, round: u8, half: &[u32]) -> Zeroizing<Vec<u8>>
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        // The tail of Q, round number ‖ NUM(B), at the end of its blocks. What stands before it is in the base already.
        let length = (1 + self.bytes).next_multiple_of(BLOCK_BYTES);
        let mut tail = Zeroizing::new(vec![0_u8; length]);
        let bytes = half.iter().flat_map(|limb| limb.to_le_bytes()).take(self.bytes);
        tail.iter_mut().rev().zip(bytes.chain([round])).for_each(|(to, from)| *to = from);
        let (blocks, _) = tail.as_chunks::<BLOCK_BYTES>();
        let state = Zeroizing::new(
            blocks
                .iter()
                .zip([base].into_iter().chain(std::iter::repeat(0)))
                .fold(0, |state, (block, base)| encrypt(cipher, state ^ base ^ u128::from_be_bytes(*block))),
        );
        let wanted = 4 * self.bytes.div_ceil(4) + 4;
        let mut image = Zeroizing::new(Vec::with_capacity(wanted.next_multiple_of(BLOCK_BYTES)));
        image.extend_from_slice(&state.to_be_bytes());
        for block in (1_u128..).take(wanted.div_ceil(BLOCK_BYTES) - 1) {
            image.extend_from_slice(&encrypt(cipher, *state ^ block).to_be_bytes());
        }
        image.truncate(wanted);
        image
    }

    /// NUM: chunk after chunk from the most significant; the first is what is left over.
    fn read<N: Numeral>(&self, numerals: &[N]) -> Number {
        let mut sum = Zeroizing::new(vec![0; self.limbs]);
        let (first, rest) = numerals.split_at(numerals.len() % self.chunk);
        let size = chunk_size(self.radix, self.chunk);
        for chunk in std::iter::once(first).chain(rest.chunks(self.chunk)) {
            let mut carry = number(chunk, self.radix);
            for limb in sum.iter_mut() {
                // Below 2^64: the limb and the carry are below 2^32, the size is at most 2^32.
                carry = u64::from(*limb).wrapping_mul(size).wrapping_add(carry);
                *limb = low32(carry);
                carry >>= 32;
            }
        }
        sum
    }

    /// STR: chunk after chunk from the least significant, each the rest of a division by its size.
    fn write<N: Numeral>(&self, mut half: Number, numerals: &mut [N]) {
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
        let top = limbs::window(&modulus, bits - 32);
        Self { limbs: modulus, bits, reciprocal: u64::MAX / (top + 1) }
    }

    /// The rest of a big-endian number of whole 32-bit words: long division, word by word.
    fn reduce(&self, image: &[u8], limbs: usize) -> Number {
        let mut rest: Number = Zeroizing::new(vec![0; limbs]);
        // Words that together are below the modulus need no division.
        let (words, _) = image.as_chunks::<4>();
        let (first, more) = words.split_at(((self.bits - 1) / 32).min(words.len()));
        rest.iter_mut().zip(first.iter().rev()).for_each(|(limb, word)| *limb = u32::from_be_bytes(*word));
        for word in more {
            self.shift_in(&mut rest, u32::from_be_bytes(*word));
        }
        rest
    }

    /// `rest × 2^32 + word`, reduced again.
    ///
    /// The quotient is estimated from the top bits: x / 2^s × 1 / (t + 1) with s = bits - 32. It lacks less than 5: 2
    /// for t + 1 in place of the modulus, 1 for the reciprocal's fraction, 1 for its own, a little for the bits below s.
    fn shift_in(&self, rest: &mut [u32], word: u32) {
        rest.rotate_right(1);
        // The top limb was zero: the rest is below the modulus, and there are two limbs more than that has.
        if let Some(lowest) = rest.first_mut() {
            *lowest = word;
        }
        let quotient = high64(limbs::window(rest, self.bits - 32), self.reciprocal);
        limbs::subtract_product(rest, quotient, &self.limbs);
        for _ in 0..4 {
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

/// radix^numerals; more than any chunk may have if it has more than 64 bits.
fn chunk_size(radix: u64, numerals: usize) -> u64 {
    u32::try_from(numerals).map_or(u64::MAX, |numerals| radix.saturating_pow(numerals))
}
