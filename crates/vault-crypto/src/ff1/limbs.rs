//! Numbers in limbs of 32 bits, the least significant first. Loops run over all limbs, whatever they hold.

/// The lower 32 bits.
pub(super) fn low32(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

/// Adds `other`; nothing must be carried out of the last limb.
pub(super) fn add(number: &mut [u32], other: &[u32]) {
    add_masked(number, other, u32::MAX);
}

/// Adds `other` where `mask` is all ones, nothing where it is zero. What is carried out of the last limb is dropped.
pub(super) fn add_masked(number: &mut [u32], other: &[u32], mask: u32) {
    let mut carry = 0;
    for (limb, other) in number.iter_mut().zip(other) {
        carry = u64::from(*limb).wrapping_add(u64::from(*other & mask)).wrapping_add(carry);
        *limb = low32(carry);
        carry >>= 32;
    }
}

/// Subtracts `other`. All ones if that went below zero, else zero.
pub(super) fn subtract(number: &mut [u32], other: &[u32]) -> u32 {
    let mut borrow = 0;
    for (limb, other) in number.iter_mut().zip(other) {
        let difference = u64::from(*limb).wrapping_sub(u64::from(*other)).wrapping_sub(borrow);
        *limb = low32(difference);
        borrow = difference >> 63;
    }
    low32(borrow.wrapping_neg())
}

/// Subtracts `factor × other`, which must not be more than the number. The factor is below 2^32.
pub(super) fn subtract_product(number: &mut [u32], factor: u64, other: &[u32]) {
    let (mut carry, mut borrow) = (0, 0);
    for (limb, other) in number.iter_mut().zip(other) {
        carry = factor.wrapping_mul(u64::from(*other)).wrapping_add(carry);
        let difference = u64::from(*limb).wrapping_sub(u64::from(low32(carry))).wrapping_sub(borrow);
        *limb = low32(difference);
        (carry, borrow) = (carry >> 32, difference >> 63);
    }
}

/// 64 bits from bit `from` on.
pub(super) fn window(number: &[u32], from: usize) -> u64 {
    let limb = |at: usize| u128::from(number.get(from / 32 + at).copied().unwrap_or(0)) << (32 * at);
    super::reduce::low64((limb(0) | limb(1) | limb(2)) >> (from % 32))
}

/// Bits of a public number: 0 for 0.
pub(super) fn bits(number: &[u32]) -> usize {
    let top = number.iter().rposition(|limb| *limb != 0);
    top.map_or(0, |at| 32 * at + number.get(at).map_or(0, |limb| 32 - limb.leading_zeros() as usize))
}

/// radix^numerals, in as many limbs as it needs.
pub(super) fn power(radix: u32, numerals: u32) -> Vec<u32> {
    let mut power = vec![1];
    for _ in 0..numerals {
        let mut carry = 0;
        for limb in &mut power {
            carry += u64::from(*limb) * u64::from(radix);
            *limb = low32(carry);
            carry >>= 32;
        }
        if carry != 0 {
            power.push(low32(carry));
        }
    }
    power
}

/// Bits of radix^numerals - 1, in whole numbers: ceil(numerals × log2(radix)), which b is taken from. Floating-point
/// logarithms are wrong where it is close to a multiple of 8.
pub(super) fn bits_of_largest(radix: u32, numerals: u32) -> usize {
    let mut power = power(radix, numerals);
    let mut one = vec![0; power.len()];
    one.iter_mut().take(1).for_each(|limb| *limb = 1);
    subtract(&mut power, &one);
    bits(&power)
}
