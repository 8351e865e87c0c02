//! The standard, step by step, on strings of numerals and bytes: no number here is larger than a machine word, nothing
//! is computed ahead, nothing is fast. SP 800-38G section 5.1, algorithms 7 and 8.

use aes::cipher::{BlockCipherEncrypt, consts::U16};

use super::Way;

/// FF1.Encrypt and FF1.Decrypt.
pub(super) fn ff1<C>(way: Way, cipher: &C, radix: u32, tweak: &[u8], text: &[u16]) -> Vec<u16>
where
    C: BlockCipherEncrypt<BlockSize = U16>,
{
    let (n, t) = (text.len(), tweak.len());
    // 1 and 2.
    let (u, v) = (n / 2, n - n / 2);
    let (mut a, mut b_half) = (text[..u].to_vec(), text[u..].to_vec());
    // 3 and 4. b is the number of bytes of radix^v - 1, of which every numeral is the largest.
    let b = num(&vec![u16::try_from(radix - 1).unwrap(); v], radix).len();
    let d = 4 * b.div_ceil(4) + 4;
    // 5.
    let mut p = vec![1, 2, 1];
    p.extend_from_slice(&radix.to_be_bytes()[1..]);
    p.extend_from_slice(&[10, u8::try_from(u % 256).unwrap()]);
    p.extend_from_slice(&u32::try_from(n).unwrap().to_be_bytes());
    p.extend_from_slice(&u32::try_from(t).unwrap().to_be_bytes());
    // 6.
    for step in 0..10_u8 {
        let i = if way == Way::Encrypt { step } else { 9 - step };
        let source = if way == Way::Encrypt { &b_half } else { &a };
        // 6i.
        let mut q = tweak.to_vec();
        while !(q.len() + b + 1).is_multiple_of(16) {
            q.push(0);
        }
        q.push(i);
        let number = num(source, radix);
        q.resize(q.len() + b - number.len(), 0);
        q.extend_from_slice(&number);
        // 6ii.
        let r = prf(cipher, &[&p[..], &q].concat());
        // 6iii.
        let mut s = r.to_vec();
        for j in 1_u128.. {
            if s.len() >= d {
                break;
            }
            s.extend_from_slice(&block(cipher, &(u128::from_be_bytes(r) ^ j).to_be_bytes()));
        }
        s.truncate(d);
        // 6iv to 6vii: the last m numerals of y are y modulo radix^m.
        let m = if i % 2 == 0 { u } else { v };
        let y = str_m(s, radix, m);
        let c = match way {
            Way::Encrypt => add(&a, &y, radix),
            Way::Decrypt => subtract(&b_half, &y, radix),
        };
        // 6viii and 6ix.
        match way {
            Way::Encrypt => (a, b_half) = (b_half, c),
            Way::Decrypt => (b_half, a) = (a, c),
        }
    }
    // 7.
    [a, b_half].concat()
}

/// NUM, as bytes without leading zeros.
fn num(numerals: &[u16], radix: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for numeral in numerals {
        let mut carry = u32::from(*numeral);
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * radix;
            *byte = u8::try_from(carry % 256).unwrap();
            carry /= 256;
        }
        while carry > 0 {
            bytes.insert(0, u8::try_from(carry % 256).unwrap());
            carry /= 256;
        }
    }
    bytes
}

/// STR of the number modulo radix^m: m rests of divisions by the radix.
pub(super) fn str_m(mut number: Vec<u8>, radix: u32, m: usize) -> Vec<u16> {
    let mut numerals = vec![0; m];
    for numeral in numerals.iter_mut().rev() {
        let mut rest = 0;
        for byte in &mut number {
            rest = rest * 256 + u32::from(*byte);
            *byte = u8::try_from(rest / radix).unwrap();
            rest %= radix;
        }
        *numeral = u16::try_from(rest).unwrap();
    }
    numerals
}

fn add(left: &[u16], right: &[u16], radix: u32) -> Vec<u16> {
    let (mut sum, mut carry) = (left.to_vec(), 0);
    for (to, other) in sum.iter_mut().zip(right).rev() {
        let digit = u32::from(*to) + u32::from(*other) + carry;
        (*to, carry) = (u16::try_from(digit % radix).unwrap(), digit / radix);
    }
    sum
}

fn subtract(left: &[u16], right: &[u16], radix: u32) -> Vec<u16> {
    let (mut difference, mut borrow) = (left.to_vec(), 0);
    for (to, other) in difference.iter_mut().zip(right).rev() {
        let digit = u32::from(*to) + radix - u32::from(*other) - borrow;
        (*to, borrow) = (u16::try_from(digit % radix).unwrap(), 1 - digit / radix);
    }
    difference
}

/// PRF, algorithm 6: CBC-MAC.
fn prf(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, bytes: &[u8]) -> [u8; 16] {
    let mut state = [0; 16];
    for chunk in bytes.chunks(16) {
        state.iter_mut().zip(chunk).for_each(|(to, from)| *to ^= from);
        state = block(cipher, &state);
    }
    state
}

fn block(cipher: &impl BlockCipherEncrypt<BlockSize = U16>, block: &[u8; 16]) -> [u8; 16] {
    let mut block = (*block).into();
    cipher.encrypt_block(&mut block);
    block.into()
}
