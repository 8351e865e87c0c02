//! The remainder by 97 behind the check digits of IBANs (ISO 7064, MOD 97-10) and of the French NIR.

/// The remainder by 97 of the number that `text` writes: digits stand for themselves, letters of either case for two
/// digits, A for 10 to Z for 35 (ISO 13616-1 section 6). Other bytes are skipped, as checkers skip blanks.
pub(crate) fn remainder(text: impl IntoIterator<Item = u8>) -> u32 {
    text.into_iter().fold(0, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
        b'A'..=b'Z' => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
        b'a'..=b'z' => (rest * 100 + u32::from(byte - b'a') + 10) % 97,
        _ => rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_remainders() {
        for (text, rest) in [("", 0), ("97", 0), ("98", 1), ("A", 10), ("z", 35), ("1 0-0", 3)] {
            assert_eq!(remainder(text.bytes()), rest, "{text}");
        }
        // ISO 13616-1 annex A: of BBAN, country code and check digits one remains.
        assert_eq!(remainder("NWBK60161331926819GB29".bytes()), 1);
    }
}
