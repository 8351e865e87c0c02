//! Arithmetic without branches and without division, on secret numbers.

/// The upper half of the product.
#[inline(always)]
pub(super) fn high64(left: u64, right: u64) -> u64 {
    (u128::from(left).wrapping_mul(u128::from(right)) >> 64) as u64
}

/// The lower 64 bits.
#[inline(always)]
pub(super) fn low64(number: u128) -> u64 {
    (number & 0xffff_ffff_ffff_ffff) as u64
}

/// The upper half of the product, from four of half the size.
#[inline(always)]
pub(super) fn high128(left: u128, right: u128) -> u128 {
    let (left_high, left_low) = (left >> 64, u128::from(low64(left)));
    let (right_high, right_low) = (right >> 64, u128::from(low64(right)));
    let cross = left_high.wrapping_mul(right_low).wrapping_add(left_low.wrapping_mul(right_low) >> 64);
    let other = left_low.wrapping_mul(right_high).wrapping_add(u128::from(low64(cross)));
    left_high.wrapping_mul(right_high).wrapping_add(cross >> 64).wrapping_add(other >> 64)
}

/// `number - modulus`, or `number` if it is less. Both are below 2^63.
#[inline(always)]
pub(super) fn less_once64(number: u64, modulus: u64) -> u64 {
    let rest = number.wrapping_sub(modulus);
    // The top bit is set just if it went below zero.
    rest.wrapping_add(modulus & (rest >> 63).wrapping_neg())
}

/// `number - modulus`, or `number` if it is less. Both are below 2^127.
#[inline(always)]
pub(super) fn less_once128(number: u128, modulus: u128) -> u128 {
    let rest = number.wrapping_sub(modulus);
    rest.wrapping_add(modulus & (rest >> 127).wrapping_neg())
}

/// 1, or 0 for 0.
#[inline(always)]
pub(super) fn nonzero(number: u64) -> u64 {
    (number | number.wrapping_neg()) >> 63
}
