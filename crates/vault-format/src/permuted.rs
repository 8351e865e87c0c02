//! Which characters of a value FF1 permutes, and what becomes of the others.
//!
//! The characters of the class's alphabet, but for those kept at the ends and for a check digit, become numerals: their
//! places in the alphabet. All else stays where it is and is part of the tweak. With a Luhn mode the last digit is the
//! check digit: it is taken away and made anew, so that every token passes the check, or every token fails it.

use std::fmt;

use vault_domain::TokenText;
use zeroize::Zeroizing;

use crate::{LuhnMode, Rejection, luhn};

/// The characters that are permuted. Their order is their value as numerals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Numerals {
    /// `0-9`.
    Digits,
    /// `0-9A-Z`.
    UpperCase,
    /// `0-9A-Za-z`.
    Alphanumeric,
}

impl Numerals {
    /// How many characters there are.
    #[must_use]
    pub const fn radix(self) -> u32 {
        match self {
            Self::Digits => 10,
            Self::UpperCase => 36,
            Self::Alphanumeric => 62,
        }
    }

    /// The numeral of a character: `None` if it is none of the alphabet. Without tables: a look-up by a secret shows
    /// in the cache.
    fn numeral(self, character: u8) -> Option<u8> {
        let within = |first: u8, count: u8| character.wrapping_sub(first) < count;
        let digit = u8::from(within(b'0', 10)) * character.wrapping_sub(b'0');
        let upper = u8::from(within(b'A', 26)) * character.wrapping_sub(b'A').wrapping_add(10);
        let lower = u8::from(within(b'a', 26)) * character.wrapping_sub(b'a').wrapping_add(36);
        let is_one = match self {
            Self::Digits => within(b'0', 10),
            Self::UpperCase => within(b'0', 10) | within(b'A', 26),
            Self::Alphanumeric => within(b'0', 10) | within(b'A', 26) | within(b'a', 26),
        };
        is_one.then_some(digit | upper | lower)
    }

    /// The character of a numeral below 62.
    fn character(numeral: u8) -> u8 {
        let past = |bound: u8| u8::from(numeral >= bound);
        // 10 is 'A', 7 places behind '9'; 36 is 'a', 6 places behind 'Z'.
        b'0'.wrapping_add(numeral).wrapping_add(past(10) * 7).wrapping_add(past(36) * 6)
    }
}

/// How the tokens of an `ff1` class are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permuted {
    /// What is permuted.
    pub numerals: Numerals,
    /// So many characters at the front stay.
    pub keep_first: usize,
    /// So many at the end. None with a Luhn mode: the last digit is the check digit then.
    pub keep_last: usize,
    /// What the Luhn check makes of tokens. Other than [`LuhnMode::Any`] for values that are digits alone and pass it.
    pub luhn: LuhnMode,
}

/// The fewest texts that a domain may have (SP 800-38G Revision 1, second public draft, section 5).
const SPACE_MIN: u128 = 1_000_000;
/// The longest value: above all that has a format, and short enough that a thousand of them, whose work grows with the
/// square of their length, do not keep a thread from other calls.
pub const PERMUTED_BYTES_MAX: usize = 256;

/// A text taken apart.
pub struct Parts {
    numerals: Zeroizing<Vec<u8>>,
    /// The text, with zeros where characters were taken away.
    kept: Zeroizing<Vec<u8>>,
    rule: Permuted,
}

impl Permuted {
    /// Takes a value apart.
    ///
    /// # Errors
    /// When it is too short or too long, holds letters or digits that are not of the alphabet, or holds what is not
    /// ASCII.
    pub fn of_value(&self, value: &[u8]) -> Result<Parts, Rejection> {
        self.split(value)
    }

    /// Takes a token apart: `None` if this class gives out no such token.
    #[must_use]
    pub fn of_token(&self, token: &str) -> Option<Parts> {
        let fits = match self.luhn {
            LuhnMode::Any => true,
            // The very digit: to the check itself, what is no digit counts for nothing.
            LuhnMode::Valid | LuhnMode::Invalid => self.closing(token.as_bytes()) == token.as_bytes().last().copied(),
        };
        if fits { self.split(token.as_bytes()).ok() } else { None }
    }

    fn split(&self, text: &[u8]) -> Result<Parts, Rejection> {
        if text.len() > PERMUTED_BYTES_MAX {
            return Err(Rejection::Length);
        }
        let end = text.len().saturating_sub(self.keep_last.max(usize::from(self.luhn != LuhnMode::Any)));
        let mut numerals = Zeroizing::new(Vec::with_capacity(text.len()));
        let mut kept = Zeroizing::new(text.to_vec());
        for (at, character) in kept.iter_mut().enumerate() {
            match self.numerals.numeral(*character) {
                Some(numeral) if (self.keep_first..end).contains(&at) => {
                    numerals.push(numeral);
                    *character = 0;
                }
                Some(_) => {}
                // What says something must not stay by mistake; zeros mark what was taken away.
                None if character.is_ascii_punctuation() || *character == b' ' => {}
                None => return Err(Rejection::Characters),
            }
        }
        if self.luhn != LuhnMode::Any
            && let Some(check_digit) = kept.last_mut()
        {
            *check_digit = 0;
        }
        let count = u32::try_from(numerals.len()).unwrap_or(u32::MAX);
        if u128::from(self.numerals.radix()).saturating_pow(count) < SPACE_MIN {
            return Err(Rejection::TokenSpace);
        }
        Ok(Parts { numerals, kept, rule: *self })
    }

    /// The last digit of a token that begins so: the one that passes the Luhn check, or the one behind it.
    fn closing(&self, text: &[u8]) -> Option<u8> {
        let (_, rest) = text.split_last()?;
        let right = luhn_digit(rest);
        Some(match self.luhn {
            LuhnMode::Invalid => b'0' + (right + 1) % 10,
            LuhnMode::Valid | LuhnMode::Any => b'0' + right,
        })
    }
}

/// The digit that makes `rest` and itself pass the Luhn check.
fn luhn_digit(rest: &[u8]) -> u8 {
    // From the right, the check digit itself is not doubled: the last of the rest is.
    let (sum, _) = luhn::sum(rest, true);
    u8::try_from((10 - sum % 10) % 10).unwrap_or_default()
}

impl Parts {
    /// Everything that stays, for the tweak: the text with a zero byte for each character that was taken away; and the
    /// numerals, to be permuted in place.
    pub fn split(&mut self) -> (&[u8], &mut [u8]) {
        (&self.kept, &mut self.numerals)
    }

    /// Puts a token together from the numerals as they are now.
    #[must_use]
    pub fn into_token(self) -> TokenText {
        let mut text = self.join();
        if self.rule.luhn != LuhnMode::Any
            && let Some(digit) = self.rule.closing(&text)
            && let Some(last) = text.last_mut()
        {
            *last = digit;
        }
        // ASCII throughout: splitting refused everything else.
        TokenText::new(String::from_utf8(std::mem::take(&mut *text)).unwrap_or_default())
    }

    /// Puts a value together from the numerals as they are now; its check digit is the right one.
    #[must_use]
    pub fn into_value(self) -> Zeroizing<Vec<u8>> {
        let mut text = self.join();
        if self.rule.luhn != LuhnMode::Any
            && let Some((last, rest)) = text.split_last_mut()
        {
            *last = b'0' + luhn_digit(rest);
        }
        text
    }

    fn join(&self) -> Zeroizing<Vec<u8>> {
        let mut text = self.kept.clone();
        let places = text.iter_mut().filter(|character| **character == 0);
        for (place, numeral) in places.zip(self.numerals.iter()) {
            *place = Numerals::character(*numeral);
        }
        text
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("count", &self.numerals.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CARD: Permuted =
        Permuted { numerals: Numerals::Digits, keep_first: 6, keep_last: 0, luhn: LuhnMode::Invalid };
    const ANY: Permuted =
        Permuted { numerals: Numerals::Alphanumeric, keep_first: 0, keep_last: 0, luhn: LuhnMode::Any };

    #[test]
    fn every_character_of_an_alphabet_is_one_numeral_and_nothing_else_is() {
        for numerals in [Numerals::Digits, Numerals::UpperCase, Numerals::Alphanumeric] {
            let mut seen = Vec::new();
            for character in 0..=u8::MAX {
                let Some(numeral) = numerals.numeral(character) else { continue };
                assert_eq!(Numerals::character(numeral), character);
                seen.push(numeral);
            }
            let all: Vec<u8> = (0..u8::try_from(numerals.radix()).unwrap()).collect();
            assert_eq!(seen, all);
        }
    }

    #[test]
    fn a_card_keeps_its_first_digits_and_gets_a_check_digit_that_fails() {
        let value = b"4111111111111111";
        let mut parts = CARD.of_value(value).unwrap();
        let (kept, numerals) = parts.split();
        assert_eq!(kept, b"411111\0\0\0\0\0\0\0\0\0\0");
        numerals.copy_from_slice(&[9, 8, 7, 6, 5, 4, 3, 2, 1]);
        let token = parts.into_token();
        assert!(token.expose().starts_with("411111987654321") && !luhn::passes(token.expose().as_bytes()));
        let mut back = CARD.of_token(token.expose()).unwrap();
        back.split().1.copy_from_slice(&[1; 9]);
        assert_eq!(back.into_value().as_slice(), value);
    }

    #[test]
    fn one_last_character_alone_makes_a_token() {
        for luhn in [LuhnMode::Invalid, LuhnMode::Valid] {
            let rule = Permuted { luhn, ..CARD };
            // Among these are some whose first 15 digits pass the check themselves.
            for n in 0..100 {
                let mut parts = rule.of_value(b"4111111111111111").unwrap();
                parts.split().1.copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, n / 10, n % 10]);
                let token = parts.into_token();
                for last in 0..=0x7F {
                    let other = [&token.expose().as_bytes()[..15], &[last]].concat();
                    let taken = rule.of_token(std::str::from_utf8(&other).unwrap()).is_some();
                    assert_eq!(taken, token.expose().as_bytes() == other, "{luhn:?}: {last}");
                }
            }
        }
    }

    #[test]
    fn what_is_outside_of_the_alphabet_stays_only_if_it_says_nothing() {
        let mut parts = ANY.of_value(b"ab-12 CD.34").unwrap();
        let (kept, numerals) = parts.split();
        assert_eq!((kept, numerals.len()), (b"\0\0-\0\0 \0\0.\0\0".as_slice(), 8));
        assert_eq!(parts.into_value().as_slice(), b"ab-12 CD.34");
        let upper = Permuted { numerals: Numerals::UpperCase, ..ANY };
        for refused in ["ABCDEFg", "ABCDEF\0", "ABCDEFÄ", "ABCDEF\n"] {
            assert_eq!(upper.of_value(refused.as_bytes()).unwrap_err(), Rejection::Characters, "{refused:?}");
        }
    }

    #[test]
    fn a_domain_below_a_million_is_refused() {
        let digits = Permuted { numerals: Numerals::Digits, ..ANY };
        assert_eq!(digits.of_value(b"12345").unwrap_err(), Rejection::TokenSpace);
        assert!(digits.of_value(b"123456").is_ok());
        assert_eq!(ANY.of_value(b"abc").unwrap_err(), Rejection::TokenSpace);
        assert!(ANY.of_value(b"abcd").is_ok());
        assert_eq!(CARD.of_value(b"411111111111").unwrap_err(), Rejection::TokenSpace);
        assert_eq!(ANY.of_value(&[b'a'; PERMUTED_BYTES_MAX + 1]).unwrap_err(), Rejection::Length);
        assert_eq!(ANY.of_value(b"").unwrap_err(), Rejection::TokenSpace);
    }

    proptest! {
        #[test]
        fn what_was_taken_apart_comes_together_again(
            text in "[0-9A-Za-z ./@-]{0,60}", keep_first in 0_usize..8, keep_last in 0_usize..8,
        ) {
            let rule = Permuted { keep_first, keep_last, ..ANY };
            if let Ok(parts) = rule.of_value(text.as_bytes()) {
                let token = parts.into_token();
                prop_assert_eq!(token.expose(), text.as_str());
                let value = rule.of_token(&text).unwrap().into_value();
                prop_assert_eq!(value.as_slice(), text.as_bytes());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text: Vec<u8>, keep_first: usize, keep_last: usize) {
            for luhn in [LuhnMode::Any, LuhnMode::Valid, LuhnMode::Invalid] {
                let rule = Permuted { numerals: Numerals::Digits, keep_first, keep_last, luhn };
                let _either = rule.of_value(&text);
                let _either = rule.of_token(&String::from_utf8_lossy(&text));
            }
        }
    }
}
