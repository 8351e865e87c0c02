//! The texts of one radix and length: everything about them that depends on neither key nor tweak.

use aes::cipher::{BlockCipherEncrypt, consts::U16};

use super::{
    DOMAIN_SIZE_MIN, Ff1Error, Item, LENGTH_MAX, Numeral, RADIX_MAX, limbs,
    long::Long,
    narrow::{self, Narrow},
    rounds::{Halves, LANES, Lanes, Side},
    wide::{self, Wide},
};

/// The texts of `length` numerals below `radix`. Make it once: moduli and reciprocals are worked out here.
#[derive(Clone, Debug)]
pub struct Domain {
    radix: u32,
    length: usize,
    /// u: numerals of the left half.
    left: usize,
    /// b: bytes of NUM(B).
    bytes: usize,
    tier: Tier,
}

/// How the halves are computed with: by their size alone.
#[derive(Clone, Debug)]
enum Tier {
    Narrow(Narrow),
    Wide(Wide),
    Long(Long),
}

impl Domain {
    /// A domain.
    ///
    /// # Errors
    /// When the radix is outside of 2 to [`RADIX_MAX`], when there are fewer than [`DOMAIN_SIZE_MIN`] texts, fewer than
    /// 2 numerals (which no radix makes up for) or more than [`LENGTH_MAX`].
    pub fn new(radix: u32, length: usize) -> Result<Self, Ff1Error> {
        Self::at_least(DOMAIN_SIZE_MIN, radix, length)
    }

    /// A domain of at least `size` texts. Tests go below the limit with it, for vectors that do.
    pub(super) fn at_least(size: u32, radix: u32, length: usize) -> Result<Self, Ff1Error> {
        if !(2..=RADIX_MAX).contains(&radix) {
            return Err(Ff1Error::Radix);
        }
        if length > LENGTH_MAX {
            return Err(Ff1Error::DomainTooLong);
        }
        let exponent = u32::try_from(length).map_err(|_| Ff1Error::DomainTooLong)?;
        if length < 2 || u64::from(radix).saturating_pow(exponent) < u64::from(size) {
            return Err(Ff1Error::DomainTooSmall);
        }
        let (left, right) = (exponent / 2, exponent.div_ceil(2));
        let bytes = limbs::bits_of_largest(radix, right).div_ceil(8);
        let tier = if bytes <= narrow::BYTES_MAX {
            Tier::Narrow(Narrow::new(radix, left, right, bytes))
        } else if bytes <= wide::BYTES_MAX {
            Tier::Wide(Wide::new(radix, left, right, bytes))
        } else {
            Tier::Long(Long::new(radix, left, right, bytes))
        };
        Ok(Self { radix, length, left: left as usize, bytes, tier })
    }

    /// The radix.
    #[must_use]
    pub fn radix(&self) -> u32 {
        self.radix
    }

    /// The number of numerals.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// b + 1: bytes of Q from the round number on.
    pub(super) fn tail_bytes(&self) -> usize {
        self.bytes + 1
    }

    /// P, for a tweak of so many bytes.
    pub(super) fn head(&self, tweak_bytes: u32) -> u128 {
        // 1 ‖ 2 ‖ 1, the radix in three bytes, 10 rounds, u mod 256, n and t in four bytes each. n fits: it is at most
        // LENGTH_MAX.
        let left = (self.left & 0xff) as u128;
        (0x0001_0201 << 104)
            | u128::from(self.radix) << 80
            | 10 << 72
            | left << 64
            | (self.length as u128) << 32
            | u128::from(tweak_bytes)
    }

    /// Whether this is a text of the domain.
    #[inline]
    pub(super) fn check<N: Numeral>(&self, text: &[N]) -> Result<(), Ff1Error> {
        if self.radix > N::RADIX_MAX {
            return Err(Ff1Error::NumeralType);
        }
        if text.len() != self.length {
            return Err(Ff1Error::Length);
        }
        // All of them are looked at, wherever the first wrong one stands.
        let wrong = text.iter().fold(false, |wrong, &numeral| wrong | (u32::from(numeral.into()) >= self.radix));
        if wrong { Err(Ff1Error::Numeral) } else { Ok(()) }
    }

    /// One text, forward or back. It was checked.
    pub(super) fn one<N: Numeral, C, const BACK: bool>(&self, cipher: &C, base: u128, text: &mut [N])
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        let (left, right) = text.split_at_mut(self.left.min(text.len()));
        match &self.tier {
            Tier::Narrow(tier) => one::<_, _, _, BACK>(tier, cipher, base, left, right),
            Tier::Wide(tier) => one::<_, _, _, BACK>(tier, cipher, base, left, right),
            Tier::Long(tier) => tier.run::<_, _, BACK>(cipher, base, left, right),
        }
    }

    /// Many texts, forward or back. They were checked.
    pub(super) fn all<N: Numeral, C, const BACK: bool>(&self, cipher: &C, items: &mut [Item<'_, N>])
    where
        C: BlockCipherEncrypt<BlockSize = U16>,
    {
        match &self.tier {
            Tier::Narrow(tier) => all::<_, _, _, BACK>(tier, cipher, self.left, items),
            Tier::Wide(tier) => all::<_, _, _, BACK>(tier, cipher, self.left, items),
            Tier::Long(_) => {
                items.iter_mut().for_each(|(tweak, text)| self.one::<_, _, BACK>(cipher, tweak.base, text));
            }
        }
    }
}

fn one<T: Halves, N: Numeral, C, const BACK: bool>(tier: &T, cipher: &C, base: u128, left: &mut [N], right: &mut [N])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let mut lanes = Lanes::<T::Half, 1>::new();
    lanes.bases = [base];
    lanes.left = [tier.read(Side::Left, left)];
    lanes.right = [tier.read(Side::Right, right)];
    lanes.run::<_, _, BACK>(tier, cipher);
    let ([left_half], [right_half]) = (lanes.left, lanes.right);
    tier.write(Side::Left, left_half, left);
    tier.write(Side::Right, right_half, right);
}

fn all<T: Halves, N: Numeral, C, const BACK: bool>(tier: &T, cipher: &C, left: usize, items: &mut [Item<'_, N>])
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    for items in items.chunks_mut(LANES) {
        if let [(tweak, text)] = items {
            let (left, right) = text.split_at_mut(left.min(text.len()));
            one::<_, _, _, BACK>(tier, cipher, tweak.base, left, right);
        } else if items.len() <= LANES / 2 {
            several::<_, _, _, { LANES / 2 }, BACK>(tier, cipher, left, items);
        } else {
            several::<_, _, _, LANES, BACK>(tier, cipher, left, items);
        }
    }
}

/// Up to `L` texts; lanes without one compute on zeros.
fn several<T: Halves, N: Numeral, C, const L: usize, const BACK: bool>(
    tier: &T,
    cipher: &C,
    left: usize,
    items: &mut [Item<'_, N>],
) where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let mut lanes = Lanes::<T::Half, L>::new();
    let halves = lanes.left.iter_mut().zip(&mut lanes.right);
    for ((base, (to_left, to_right)), (tweak, text)) in lanes.bases.iter_mut().zip(halves).zip(items.iter()) {
        let (left, right) = text.split_at(left.min(text.len()));
        *base = tweak.base;
        *to_left = tier.read(Side::Left, left);
        *to_right = tier.read(Side::Right, right);
    }
    lanes.run::<_, _, BACK>(tier, cipher);
    for ((left_half, right_half), (_, text)) in lanes.left.iter().zip(&lanes.right).zip(items) {
        let (left, right) = text.split_at_mut(left.min(text.len()));
        tier.write(Side::Left, *left_half, left);
        tier.write(Side::Right, *right_half, right);
    }
}
