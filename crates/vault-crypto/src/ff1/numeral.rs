//! What a numeral is stored in: a byte, or two where the radix is above 256.

use super::RADIX_MAX;

/// A numeral: `u8` for a radix up to 256, `u16` for all. No other type can be one.
pub trait Numeral: Copy + Into<u16> + sealed::Sealed {
    /// The largest radix whose numerals fit.
    const RADIX_MAX: u32;

    /// The numeral of this number, which is below the radix.
    #[doc(hidden)]
    fn of(number: u64) -> Self;
}

impl Numeral for u8 {
    const RADIX_MAX: u32 = 256;

    #[inline(always)]
    fn of(number: u64) -> Self {
        (number & 0xff) as Self
    }
}

impl Numeral for u16 {
    const RADIX_MAX: u32 = RADIX_MAX;

    #[inline(always)]
    fn of(number: u64) -> Self {
        (number & 0xffff) as Self
    }
}

/// NUM: the number that these numerals write, the most significant first. It must fit into 64 bits.
#[inline(always)]
pub(super) fn number<N: Numeral>(numerals: &[N], radix: u64) -> u64 {
    numerals.iter().fold(0, |sum: u64, &numeral| sum.wrapping_mul(radix).wrapping_add(u64::from(numeral.into())))
}

/// STR: writes the numerals of x < radix^k, given `fraction` = a little more than x / radix^k × 2^64.
///
/// Multiplying by the radix moves one numeral after the other in front of the point; they come out right as long as
/// the fraction is not below x / radix^k and below (x + 1) / radix^k.
#[inline(always)]
pub(super) fn write_fraction<N: Numeral>(mut fraction: u64, radix: u64, numerals: &mut [N]) {
    for numeral in numerals {
        let product = u128::from(fraction).wrapping_mul(u128::from(radix));
        *numeral = N::of((product >> 64) as u64);
        fraction = (product & 0xffff_ffff_ffff_ffff) as u64;
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
}
