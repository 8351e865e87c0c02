//! Fixed-width base 62: the digits of an opaque token.
//!
//! Alphabet `0-9A-Za-z`, its order is the order of the digits' values, most significant digit first, leading zeros
//! written. Every number has one text and every accepted text one number: decoding refuses any other byte and any
//! number that does not fit. It must stay so, for a token with two texts could be revoked under one and live on under
//! the other.

/// Digits of a 128-bit number: 62^21 < 2^128 < 62^22.
pub(crate) const U128_DIGITS: usize = 22;

/// The digits in the order of their values.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What 5 digits hold, the largest power of 62 below 2^32: the limb of the long division.
const LIMB: u64 = 62_u64.pow(5);
/// What 10 digits hold, the largest power of 62 below 2^64.
const TEN_DIGITS: u64 = 62_u64.pow(10);

/// Marks a byte that is no digit. No digit's value has this bit.
const NO_DIGIT: u8 = 0x80;

/// The value of each byte as a digit, or [`NO_DIGIT`].
const VALUES: [u8; 256] = values();

/// Why digits make no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// A byte is outside the alphabet.
    Digit,
    /// The number does not fit.
    Overflow,
}

/// The digit of `value`, which is below 62.
pub(crate) fn digit(value: u8) -> u8 {
    // A look-up, not a match: the digits of a token are as good as random, so a branch would be foretold badly.
    ALPHABET.get(usize::from(value)).copied().unwrap_or(b'0')
}

/// The value of one digit.
pub(crate) fn value(digit: u8) -> Result<u8, DecodeError> {
    match raw_value(digit) {
        value if value & NO_DIGIT == 0 => Ok(value),
        _ => Err(DecodeError::Digit),
    }
}

/// The 22 digits of `number`.
///
/// Long division of four 32-bit words by 62^5 and not by u128, which the processor can't divide at once: here the steps
/// of one round overlap with those of the next, and the digits of one limb with those of the others.
pub(crate) fn encode_u128(number: u128) -> [u8; U128_DIGITS] {
    let (high, low) = halves(number);
    let mut words = [high >> 32, high & u64::from(u32::MAX), low >> 32, low & u64::from(u32::MAX)];
    let mut text = [0; U128_DIGITS];
    let (top, tail) = text.split_at_mut(2);
    for digits in tail.rchunks_exact_mut(5) {
        let mut rest = 0;
        for word in &mut words {
            // Invariant: rest < LIMB and word < 2^32, so the quotient is below 2^32 again.
            let dividend = rest << 32 | *word;
            *word = dividend / LIMB;
            rest = dividend % LIMB;
        }
        write_digits(rest, digits);
    }
    // 2^128 / 62^20 is below 484: all that is left stands in the last word.
    let [.., last] = words;
    write_digits(last, top);
    text
}

/// The number that 22 digits stand for.
pub(crate) fn decode_u128(text: &[u8; U128_DIGITS]) -> Result<u128, DecodeError> {
    let (top, tail) = text.split_at(2);
    let (left, right) = tail.split_at(10);
    let ten = u128::from(TEN_DIGITS);
    let high = u128::from(read_digits(top)?);
    let low = u128::from(read_digits(left)?) * ten + u128::from(read_digits(right)?);
    high.checked_mul(ten * ten).and_then(|high| high.checked_add(low)).ok_or(DecodeError::Overflow)
}

/// The `N` digits of `number`, which is below 62^N; N is at most 10.
pub(crate) fn encode_u64<const N: usize>(number: u64) -> [u8; N] {
    const { assert!(N <= 10, "62^10 is the largest power of 62 below 2^64") };
    let mut text = [0; N];
    write_digits(number, &mut text);
    text
}

/// The number that `N` digits stand for; N is at most 10, so that any digits fit.
pub(crate) fn decode_u64<const N: usize>(text: &[u8; N]) -> Result<u64, DecodeError> {
    const { assert!(N <= 10, "62^10 is the largest power of 62 below 2^64") };
    read_digits(text)
}

/// Fills `text` with the last digits of `number`.
fn write_digits(mut number: u64, text: &mut [u8]) {
    for place in text.iter_mut().rev() {
        let [value, ..] = (number % 62).to_le_bytes();
        *place = digit(value);
        number /= 62;
    }
}

/// Reads at most 10 digits. Looks at all of them before it refuses, which keeps the loop free of branches.
fn read_digits(text: &[u8]) -> Result<u64, DecodeError> {
    let mut seen = 0;
    let mut number = 0;
    for &byte in text {
        let value = raw_value(byte);
        seen |= value;
        // 10 digits of at most NO_DIGIT each stay below 2^61: no overflow even with bytes that are no digits.
        number = number * 62 + u64::from(value);
    }
    if seen & NO_DIGIT == 0 { Ok(number) } else { Err(DecodeError::Digit) }
}

fn raw_value(byte: u8) -> u8 {
    VALUES.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// The upper and the lower 64 bits.
fn halves(number: u128) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = number.to_be_bytes();
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p]))
}

#[expect(clippy::indexing_slicing, reason = "runs at compile time: an index out of bounds would not compile")]
const fn values() -> [u8; 256] {
    let mut values = [NO_DIGIT; 256];
    let mut value: u8 = 0;
    while value < 62 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_alphabet_is_digits_upper_lower() {
        let alphabet: Vec<u8> = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').collect();
        for (number, text) in (0..).zip(alphabet) {
            assert_eq!(digit(number), text);
            assert_eq!(value(text), Ok(number));
        }
        let digits = (0..=255).filter(|&byte| value(byte).is_ok()).count();
        assert_eq!(digits, 62);
    }

    #[test]
    fn the_ends_of_128_bits() {
        assert_eq!(&encode_u128(0), b"0000000000000000000000");
        assert_eq!(&encode_u128(61), b"000000000000000000000z");
        assert_eq!(&encode_u128(62), b"0000000000000000000010");
        // 2^128 - 1.
        assert_eq!(&encode_u128(u128::MAX), b"7n42DGM5Tflk9n8mt7Fhc7");
        assert_eq!(decode_u128(b"7n42DGM5Tflk9n8mt7Fhc7"), Ok(u128::MAX));
        assert_eq!(decode_u128(b"7n42DGM5Tflk9n8mt7Fhc8"), Err(DecodeError::Overflow));
        assert_eq!(decode_u128(b"zzzzzzzzzzzzzzzzzzzzzz"), Err(DecodeError::Overflow));
    }

    #[test]
    fn a_byte_outside_the_alphabet_is_refused_wherever_it_stands() {
        for at in 0..U128_DIGITS {
            for byte in [b'-', b'_', b' ', b'+', 0, 0x80, 0xff, b'/', b':', b'@', b'[', b'`', b'{'] {
                let mut text = *b"0000000000000000000000";
                text[at] = byte;
                assert_eq!(decode_u128(&text), Err(DecodeError::Digit), "{byte} at {at}");
            }
        }
        assert_eq!(decode_u64(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Err(DecodeError::Digit));
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: u128, small in 0..62_u64.pow(6)) {
            prop_assert_eq!(decode_u128(&encode_u128(number)), Ok(number));
            prop_assert_eq!(decode_u64(&encode_u64::<6>(small)), Ok(small));
        }

        #[test]
        fn the_texts_order_is_the_numbers_order(a: u128, b: u128) {
            prop_assert_eq!(encode_u128(a).cmp(&encode_u128(b)), a.cmp(&b));
        }
    }
}
