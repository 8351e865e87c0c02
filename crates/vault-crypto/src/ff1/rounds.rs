//! The ten rounds, on several texts in step, so that the cipher gets several blocks at once.

use aes::{
    Block as CipherBlock,
    cipher::{BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, consts::U16},
};
use zeroize::Zeroize;

use super::numeral::Numeral;
use crate::block::Block;

/// Texts that go through the rounds together.
pub(super) const LANES: usize = 16;

/// The first u numerals, or the last v.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Arithmetic on the halves of a text, where a round is one AES block.
pub(super) trait Halves {
    /// A half as a number, below radix^u or radix^v.
    type Half: Copy + Default + Zeroize;

    /// NUM.
    fn read<N: Numeral>(&self, side: Side, numerals: &[N]) -> Self::Half;
    /// STR.
    fn write<N: Numeral>(&self, side: Side, half: Self::Half, numerals: &mut [N]);
    /// The last block of P ‖ Q, on top of what came before.
    fn block(&self, base: u128, round: u8, half: Self::Half) -> Block;
    /// `half + NUM(S)`, or `half - NUM(S)` on the way back, modulo radix^u or radix^v; S is cut from `image`.
    fn step<const BACK: bool>(&self, side: Side, half: Self::Half, image: &Block) -> Self::Half;
}

/// Texts on their way: one base and two halves each.
pub(super) struct Lanes<H: Zeroize, const L: usize> {
    pub(super) bases: [u128; L],
    pub(super) left: [H; L],
    pub(super) right: [H; L],
}

impl<H: Copy + Default + Zeroize, const L: usize> Lanes<H, L> {
    pub(super) fn new() -> Self {
        Self { bases: [0; L], left: [H::default(); L], right: [H::default(); L] }
    }

    /// All ten rounds, forward or back.
    pub(super) fn run<T: Halves<Half = H>, C, const BACK: bool>(&mut self, tier: &T, cipher: &C)
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        if L == 1 {
            cipher.encrypt_with_backend(Rounds::<T, L, BACK> { tier, lanes: self });
        } else {
            rounds::<_, _, L, BACK>(tier, self, |blocks| cipher.encrypt_blocks(blocks));
        }
    }
}

impl<H: Zeroize, const L: usize> Drop for Lanes<H, L> {
    fn drop(&mut self) {
        self.bases.zeroize();
        self.left.zeroize();
        self.right.zeroize();
    }
}

/// One text runs inside the cipher: the processor's features are looked up once, not ten times, and nothing goes
/// through memory between two rounds (a fifth less time). A batch gains nothing by it.
struct Rounds<'a, T: Halves, const L: usize, const BACK: bool> {
    tier: &'a T,
    lanes: &'a mut Lanes<T::Half, L>,
}

impl<T: Halves, const L: usize, const BACK: bool> BlockSizeUser for Rounds<'_, T, L, BACK> {
    type BlockSize = U16;
}

impl<T: Halves, const L: usize, const BACK: bool> BlockCipherEncClosure for Rounds<'_, T, L, BACK> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        rounds::<_, _, L, BACK>(self.tier, self.lanes, |blocks| {
            for block in blocks {
                backend.encrypt_block_inplace(block);
            }
        });
    }
}

/// A round changes the half on the left if its number is even, else the one on the right, so that nothing is swapped.
/// The way back takes the rounds from the last to the first.
#[inline(always)]
fn rounds<T, E, const L: usize, const BACK: bool>(tier: &T, lanes: &mut Lanes<T::Half, L>, encrypt: E)
where
    T: Halves,
    E: Fn(&mut [CipherBlock; L]),
{
    let Lanes { bases, left, right } = lanes;
    for pair in 0..5_u8 {
        if BACK {
            let even = 8 - 2 * pair;
            turn::<_, _, L, BACK>(tier, &encrypt, even + 1, bases, left, right);
            turn::<_, _, L, BACK>(tier, &encrypt, even, bases, right, left);
        } else {
            turn::<_, _, L, BACK>(tier, &encrypt, 2 * pair, bases, right, left);
            turn::<_, _, L, BACK>(tier, &encrypt, 2 * pair + 1, bases, left, right);
        }
    }
}

/// One round: `changed` by what the cipher makes of `read`.
#[inline(always)]
fn turn<T, E, const L: usize, const BACK: bool>(
    tier: &T,
    encrypt: &E,
    round: u8,
    bases: &[u128; L],
    read: &[T::Half; L],
    changed: &mut [T::Half; L],
) where
    T: Halves,
    E: Fn(&mut [CipherBlock; L]),
{
    let side = if round.is_multiple_of(2) { Side::Left } else { Side::Right };
    let mut blocks = [CipherBlock::default(); L];
    for ((block, base), half) in blocks.iter_mut().zip(bases).zip(read) {
        *block = tier.block(*base, round, *half).into();
    }
    encrypt(&mut blocks);
    for (half, image) in changed.iter_mut().zip(&blocks) {
        *half = tier.step::<BACK>(side, *half, &image.0);
    }
}
