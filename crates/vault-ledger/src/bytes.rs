//! Reading and writing fixed-width, length-prefixed and compact fields. All integers are big-endian.
//!
//! The reader must never accept two encodings of the same content, nor leave a byte unread.
//!
//! **Compact number** (0 to 2^61−1), 1 to 8 bytes: the top three bits of the first byte are the number of bytes that
//! follow it; all other bits are the number, big-endian. Only the shortest form is valid. (The scheme of RFC 9000
//! section 16 with three length bits in place of two.)

use crate::error::LedgerError;

/// The largest compact number.
pub(crate) const COMPACT_MAX: u64 = (1 << 61) - 1;
/// Bits of the first byte that tell the length of a compact number.
const COMPACT_LENGTH_BITS: u32 = 3;

/// Takes fields off the front of a byte string.
pub(crate) struct Reader<'a> {
    what: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes`, which errors call `what`.
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// The version byte, which must be `version`.
    pub(crate) fn version(&mut self, version: u8) -> Result<(), LedgerError> {
        self.version_of(&[version]).map(drop)
    }

    /// The version, which must be one of these.
    pub(crate) fn version_of(&mut self, versions: &[u8]) -> Result<u8, LedgerError> {
        match self.u8()? {
            found if versions.contains(&found) => Ok(found),
            found => Err(LedgerError::VersionUnknown { what: self.what, version: found }),
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], LedgerError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(LedgerError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], LedgerError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(LedgerError::Truncated { what: self.what })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, LedgerError> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, LedgerError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LedgerError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u48(&mut self) -> Result<u64, LedgerError> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, LedgerError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A byte that must be 0 or 1.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, LedgerError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(LedgerError::FieldInvalid { field }),
        }
    }

    /// A text behind its length in one byte.
    pub(crate) fn text8(&mut self, field: &'static str) -> Result<&'a str, LedgerError> {
        let length = self.u8()?;
        self.text(length.into(), field)
    }

    /// A text behind its length in two bytes.
    pub(crate) fn text16(&mut self, field: &'static str) -> Result<&'a str, LedgerError> {
        let length = self.u16()?;
        self.text(length.into(), field)
    }

    fn text(&mut self, length: usize, field: &'static str) -> Result<&'a str, LedgerError> {
        std::str::from_utf8(self.take(length)?).map_err(|_| LedgerError::FieldInvalid { field })
    }

    /// A compact number in its shortest form.
    pub(crate) fn compact(&mut self, field: &'static str) -> Result<u64, LedgerError> {
        let first = self.rest.first().ok_or(LedgerError::Truncated { what: self.what })?;
        let length = u32::from(first >> (8 - COMPACT_LENGTH_BITS)) + 1;
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().rev().zip(self.take(length as usize)?.iter().rev()) {
            *to = *from;
        }
        let number = u64::from_be_bytes(word) & payload_mask(length);
        if compact_length(number) == length { Ok(number) } else { Err(LedgerError::FieldInvalid { field }) }
    }

    /// Passes over a compact number, and tells whether it is odd.
    pub(crate) fn skip_compact(&mut self) -> Result<bool, LedgerError> {
        let first = self.rest.first().ok_or(LedgerError::Truncated { what: self.what })?;
        let length = usize::from(first >> (8 - COMPACT_LENGTH_BITS)) + 1;
        Ok(self.take(length)?.last().is_some_and(|last| last & 1 == 1))
    }

    /// Says that nothing may be left.
    pub(crate) fn finish(self) -> Result<(), LedgerError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LedgerError::TrailingBytes { what: self.what }) }
    }
}

/// Appends the low 48 bits; refuses more.
pub(crate) fn put_u48(out: &mut Vec<u8>, number: u64, field: &'static str) -> Result<(), LedgerError> {
    match number.to_be_bytes() {
        [0, 0, rest @ ..] => {
            out.extend_from_slice(&rest);
            Ok(())
        }
        _ => Err(LedgerError::FieldInvalid { field }),
    }
}

/// Appends a text behind its length in one byte.
pub(crate) fn put_text8(out: &mut Vec<u8>, text: &str, field: &'static str) -> Result<(), LedgerError> {
    out.push(u8::try_from(text.len()).map_err(|_| LedgerError::FieldInvalid { field })?);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Appends bytes behind their length in two bytes.
pub(crate) fn put_bytes16(out: &mut Vec<u8>, bytes: &[u8], field: &'static str) -> Result<(), LedgerError> {
    let length = u16::try_from(bytes.len()).map_err(|_| LedgerError::FieldInvalid { field })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends the number of things in a list, in two bytes.
pub(crate) fn put_count16(out: &mut Vec<u8>, count: usize, what: &'static str) -> Result<(), LedgerError> {
    let max = usize::from(u16::MAX);
    let count = u16::try_from(count).map_err(|_| LedgerError::TooMany { what, max })?;
    out.extend_from_slice(&count.to_be_bytes());
    Ok(())
}

/// Appends `number`, which must be at most [`COMPACT_MAX`], as a compact number.
pub(crate) fn put_compact(out: &mut Vec<u8>, number: u64) {
    debug_assert!(number <= COMPACT_MAX, "a compact number has at most 61 bits");
    let length = compact_length(number);
    let tag = u64::from(length - 1) << (8 * length - COMPACT_LENGTH_BITS);
    let word = ((number | tag) << (u64::BITS - 8 * length)).to_be_bytes();
    out.extend_from_slice(word.get(..length as usize).unwrap_or(&word));
}

/// Bytes of the shortest form.
fn compact_length(number: u64) -> u32 {
    let bits = u64::BITS - number.leading_zeros() + COMPACT_LENGTH_BITS;
    bits.div_ceil(8).clamp(1, 8)
}

/// The bits of a compact number of `length` bytes that are not its length.
fn payload_mask(length: u32) -> u64 {
    u64::MAX >> (u64::BITS - (8 * length - COMPACT_LENGTH_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_numbers_have_the_stated_lengths() {
        let cases =
            [(0, 1), (31, 1), (32, 2), (8191, 2), (8192, 3), ((1 << 53) - 1, 7), (1 << 53, 8), (COMPACT_MAX, 8)];
        for (number, length) in cases {
            let mut out = Vec::new();
            put_compact(&mut out, number);
            assert_eq!(out.len(), length, "{number}");
            let mut reader = Reader::new("a test", &out);
            assert_eq!(reader.compact("number"), Ok(number));
            assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn a_longer_form_of_a_compact_number_is_refused() {
        for bytes in [&[0x20, 0x1f][..], &[0x40, 0, 0x20], &[0xe0, 0, 0, 0, 0, 0, 0, 1]] {
            let refused = Reader::new("a test", bytes).compact("number");
            assert_eq!(refused, Err(LedgerError::FieldInvalid { field: "number" }));
        }
    }

    #[test]
    fn what_is_missing_and_what_is_left_are_errors() {
        let mut reader = Reader::new("a test", &[1, 2]);
        assert_eq!(reader.u32(), Err(LedgerError::Truncated { what: "a test" }));
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.finish(), Err(LedgerError::TrailingBytes { what: "a test" }));
    }
}
