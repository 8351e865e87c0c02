//! Random tokens in the format of their value: for columns and checks that take nothing else.
//!
//! Within the part that may change, every ASCII digit becomes a random digit, every lower-case letter a random
//! lower-case letter, every upper-case letter a random upper-case letter; what is none of these (`-`, space, `@`)
//! stays. Letters beyond ASCII become random ones of the same script and case, where the class has an alphabet for
//! them. All characters outside that part stay as they are.
//!
//! What such a token reveals of its value: the kept first and last characters, the length, the class of every
//! character, every character that is no letter and no digit, and that the value is another text than the token. With a
//! prescribed Luhn check or a reserved range it reveals nothing more, for these are properties of every token of the
//! class. The changed characters are independent of the value: there is no key and nothing to reverse but the vault's
//! own record.
//!
//! It must not draw randomness of its own, and must not know which candidates are taken already: the caller inserts a
//! candidate if it is absent, and draws the next one if not.

mod alphabet;
mod draws;
mod reserved;

use std::{fmt, ops::Range};

use rand::CryptoRng;
use vault_domain::{EntropyError, TokenText, limits};
use zeroize::Zeroizing;

use crate::{
    luhn,
    preserve::{
        draws::Draws,
        reserved::{Choices, PLACES_MAX},
    },
    rejection::Rejection,
};

pub use alphabet::Alphabet;
pub use draws::DRAW_TRIES_MAX;
pub use reserved::Reserved;

/// What the Luhn check says about a token. It is computed over all digits of the token, kept ones included; other
/// characters are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LuhnMode {
    /// Every token fails it, so that none can be taken for a card number. What card classes should use.
    Invalid,
    /// Every token passes it, for systems that check. Such a token may be the number of somebody's card.
    Valid,
    /// Tokens pass or fail as it comes.
    Any,
}

/// How a class preserves the format of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Preserving {
    /// Characters that stay at the beginning, whatever they are.
    pub keep_first: usize,
    /// Characters that stay at the end, whatever they are.
    pub keep_last: usize,
    /// The tokens' Luhn check.
    pub luhn: LuhnMode,
    /// The range in which all tokens lie. None: anywhere, where values may lie too. No token has both a range and a
    /// prescribed Luhn check.
    pub reserved: Option<Reserved>,
    /// The letters beyond ASCII that values may hold.
    pub alphabet: Alphabet,
}

impl Preserving {
    /// Keeps so many characters; no prescribed Luhn check, no reserved range, ASCII.
    #[must_use]
    pub const fn keeping(keep_first: usize, keep_last: usize) -> Self {
        Self { keep_first, keep_last, luhn: LuhnMode::Any, reserved: None, alphabet: Alphabet::Ascii }
    }

    /// The least number of digits that a value of digits alone must have for its space to reach
    /// [`limits::FORMAT_PRESERVING_SPACE_MIN`], a reserved range not counted. A catalog can tell by it which lengths a
    /// class will refuse.
    #[must_use]
    pub fn digits_min(&self) -> usize {
        let space_min = u128::from(limits::FORMAT_PRESERVING_SPACE_MIN);
        let too_few = (1..).take_while(|&digits| self.space(digits, 0) < space_min).count();
        self.keep_first.saturating_add(self.keep_last).saturating_add(too_few + 1)
    }

    /// Whether `text` could be a token of this class: a hint for the log why a token is unknown, and no more.
    #[must_use]
    pub fn is_well_formed(&self, text: &str) -> bool {
        let passes_luhn = luhn::passes(text.as_bytes());
        let luhn_fits = match self.luhn {
            LuhnMode::Invalid => !passes_luhn,
            LuhnMode::Valid => passes_luhn,
            LuhnMode::Any => true,
        };
        luhn_fits && Template::for_value(self, text.as_bytes()).is_ok_and(|template| template.is_in_range())
    }

    /// How many texts there are with so many free digits and letters; `u128::MAX` stands for that many and more.
    fn space(&self, digits: usize, letters: usize) -> u128 {
        let power = |base: u128, count| base.saturating_pow(u32::try_from(count).unwrap_or(u32::MAX));
        let (last_digit, other_digits) = match self.luhn {
            LuhnMode::Invalid => (9, digits.saturating_sub(1)),
            LuhnMode::Valid => (1, digits.saturating_sub(1)),
            LuhnMode::Any => (1, digits),
        };
        power(10, other_digits).saturating_mul(power(26, letters)).saturating_mul(last_digit)
    }
}

/// The format of one value: what stays, what changes, and how many tokens fit.
pub struct Template<'v> {
    // Invariant: ASCII, and letters of the alphabet.
    value: &'v [u8],
    free: Range<usize>,
    luhn: LuhnMode,
    alphabet: Alphabet,
    reserved: Option<Reserved>,
    // Invariant: in the free part, digits where digits may stand, letters where letters may.
    places: [Option<(usize, Choices)>; PLACES_MAX],
    /// Where in the free part the one digit stands that brings the Luhn check out as prescribed: its last digit.
    last_digit: Option<usize>,
    /// Whether the first digit of the free part is one of those that the Luhn check doubles.
    starts_doubled: bool,
    /// The sum of the Luhn terms of all kept digits.
    kept_sum: u64,
    space: u128,
}

impl<'v> Template<'v> {
    /// The format of `value` under `config`.
    ///
    /// # Errors
    /// - [`Rejection::Length`]: more than [`limits::VALUE_BYTES_MAX`] bytes;
    /// - [`Rejection::NotAscii`], or [`Rejection::Utf8`] and [`Rejection::Alphabet`] where the class has an alphabet;
    /// - [`Rejection::LuhnDigit`]: the Luhn check is prescribed and no digit is free to bring it about;
    /// - [`Rejection::ReservedKept`]: what tells tokens of the reserved range from values would have to stay;
    /// - [`Rejection::TokenSpace`]: fewer than [`limits::FORMAT_PRESERVING_SPACE_MIN`] tokens fit; or none can, with a
    ///   reserved range and a prescribed Luhn check together.
    pub fn for_value(config: &Preserving, value: &'v [u8]) -> Result<Self, Rejection> {
        Self::with_space_min(config, value, limits::FORMAT_PRESERVING_SPACE_MIN)
    }

    /// The same with another least space, so that tests can see all of a small one. Two is the least possible: the
    /// value and one token.
    fn with_space_min(config: &Preserving, value: &'v [u8], space_min: u64) -> Result<Self, Rejection> {
        if value.len() > limits::VALUE_BYTES_MAX {
            return Err(Rejection::Length);
        }
        let free = free_part(config, value)?;
        let (first, rest) = value.split_at_checked(free.start).unwrap_or_default();
        let (middle, last) = rest.split_at_checked(free.len()).unwrap_or_default();
        let digits = middle.iter().filter(|byte| byte.is_ascii_digit()).count();
        let letters = middle.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
        if config.luhn != LuhnMode::Any && digits == 0 {
            return Err(Rejection::LuhnDigit);
        }
        let places = reserved_places(config.reserved, value, &free)?;
        let mut space = letters_space(config.alphabet, middle);
        let (mut own_digits, mut own_letters) = (digits, letters);
        for (at, choices) in places.iter().flatten() {
            match value.get(*at).is_some_and(u8::is_ascii_digit) {
                true => own_digits = own_digits.saturating_sub(1),
                false => own_letters = own_letters.saturating_sub(1),
            }
            space = space.saturating_mul(config.reserved.map_or(1, |range| range.free_choices(choices)) as u128);
        }
        let space = space.saturating_mul(config.space(own_digits, own_letters));
        let contradicts = config.reserved.is_some() && config.luhn != LuhnMode::Any;
        if contradicts || space < u128::from(space_min.max(2)) {
            return Err(Rejection::TokenSpace);
        }
        // From the right, every second digit is doubled; the digits of the free part count, but are not known yet.
        let (last_sum, doubled_behind) = luhn::sum(last, false);
        let doubled_before = if digits.is_multiple_of(2) { doubled_behind } else { !doubled_behind };
        let (first_sum, _) = luhn::sum(first, doubled_before);
        Ok(Self {
            value,
            free,
            luhn: config.luhn,
            alphabet: config.alphabet,
            reserved: config.reserved,
            places,
            last_digit: middle.iter().rposition(u8::is_ascii_digit),
            starts_doubled: !doubled_before,
            kept_sum: first_sum + last_sum,
            space,
        })
    }

    /// How many texts have this format and the prescribed Luhn check, the value's own included where it is one of them;
    /// `u128::MAX` stands for that many and more. It depends on what the token reveals and on nothing else.
    #[must_use]
    pub fn space(&self) -> u128 {
        self.space
    }

    /// Draws a token: each text of the space but the value's own is equally likely.
    ///
    /// # Errors
    /// When `source` is broken: what it gave was of no use [`DRAW_TRIES_MAX`] times running, which a working one does
    /// less often than once in 2^64 times.
    pub fn candidate<R: CryptoRng + ?Sized>(&self, source: &mut R) -> Result<TokenText, EntropyError> {
        let mut draws = Draws::new(source);
        let mut text = Zeroizing::new(self.value.to_vec());
        for _ in 0..DRAW_TRIES_MAX {
            let part = text.get_mut(self.free.clone()).unwrap_or_default();
            self.draw(&mut draws, part)?;
            if self.alphabet != Alphabet::Ascii {
                self.draw_beyond_ascii(&mut draws, part)?;
            }
            self.draw_reserved(&mut draws, &mut text)?;
            if *text != self.value {
                // The value is UTF-8, and a letter becomes a letter of as many bytes: there is nothing that could fail.
                let text = String::from_utf8(std::mem::take(&mut text)).map_err(|_| EntropyError)?;
                return Ok(TokenText::new(text));
            }
        }
        Err(EntropyError)
    }

    /// Replaces the free part. The Luhn sum is complete but for one term when its last digit comes up.
    fn draw<R: CryptoRng + ?Sized>(&self, draws: &mut Draws<'_, R>, part: &mut [u8]) -> Result<(), EntropyError> {
        let mut sum = self.kept_sum;
        let mut doubled = self.starts_doubled;
        for (at, byte) in part.iter_mut().enumerate() {
            match *byte {
                b'0'..=b'9' => {
                    let digit = match self.last_digit == Some(at) {
                        true => self.draw_last_digit(sum, doubled, draws)?,
                        false => draws.below::<10>()?,
                    };
                    *byte = b'0' + digit;
                    sum += u64::from(luhn::term(digit, doubled));
                    doubled = !doubled;
                }
                b'a'..=b'z' => *byte = b'a' + draws.below::<26>()?,
                b'A'..=b'Z' => *byte = b'A' + draws.below::<26>()?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Replaces the letters beyond ASCII.
    fn draw_beyond_ascii<R: CryptoRng + ?Sized>(
        &self,
        draws: &mut Draws<'_, R>,
        part: &mut [u8],
    ) -> Result<(), EntropyError> {
        let mut bytes = part.iter_mut().filter(|byte| !byte.is_ascii());
        while let (Some(lead), Some(tail)) = (bytes.next(), bytes.next()) {
            let Some(letters) = self.alphabet.class_of(alphabet::decode(*lead, *tail)) else { continue };
            let drawn = letters.nth(draws.below_count(letters.count())?).ok_or(EntropyError)?;
            [*lead, *tail] = alphabet::encode(drawn);
        }
        Ok(())
    }

    /// Writes what tells a token from a value, over what was drawn there.
    fn draw_reserved<R: CryptoRng + ?Sized>(
        &self,
        draws: &mut Draws<'_, R>,
        text: &mut [u8],
    ) -> Result<(), EntropyError> {
        for (at, choices) in self.places.iter().flatten() {
            let count = self.reserved.map_or(1, |range| range.free_choices(choices));
            let drawn = draws.below_count(u8::try_from(count).unwrap_or(1))?;
            let place = text.get_mut(*at).ok_or(EntropyError)?;
            let choice = *choices.get(usize::from(drawn)).ok_or(EntropyError)?;
            *place = if place.is_ascii_lowercase() { choice.to_ascii_lowercase() } else { choice };
        }
        if self.reserved == Some(Reserved::Iban)
            && let [_, Some((at, _))] = self.places
        {
            let digit = reserved::iban_digit(text);
            *text.get_mut(at).ok_or(EntropyError)? = digit;
        }
        Ok(())
    }

    /// Whether the value itself lies in the reserved range, as every token does.
    fn is_in_range(&self) -> bool {
        self.places
            .iter()
            .flatten()
            .all(|(at, choices)| self.value.get(*at).is_some_and(|byte| choices.contains(&byte.to_ascii_uppercase())))
    }

    /// The last free digit: any, the one that closes the Luhn check, or one of the nine that don't.
    fn draw_last_digit<R: CryptoRng + ?Sized>(
        &self,
        sum: u64,
        doubled: bool,
        draws: &mut Draws<'_, R>,
    ) -> Result<u8, EntropyError> {
        match self.luhn {
            LuhnMode::Any => draws.below::<10>(),
            LuhnMode::Valid => Ok(luhn::closing_digit(sum, doubled)),
            LuhnMode::Invalid => {
                let drawn = draws.below::<9>()?;
                Ok(if drawn < luhn::closing_digit(sum, doubled) { drawn } else { drawn + 1 })
            }
        }
    }
}

/// Where the characters stand that change, in bytes.
fn free_part(config: &Preserving, value: &[u8]) -> Result<Range<usize>, Rejection> {
    if value.is_ascii() {
        let end = value.len().saturating_sub(config.keep_last);
        return Ok(config.keep_first.min(end)..end);
    }
    if config.alphabet == Alphabet::Ascii {
        return Err(Rejection::NotAscii);
    }
    let text = str::from_utf8(value).map_err(|_| Rejection::Utf8)?;
    let is_known = |c| u16::try_from(u32::from(c)).is_ok_and(|point| config.alphabet.class_of(point).is_some());
    if text.chars().any(|c: char| !c.is_ascii() && !is_known(c)) {
        return Err(Rejection::Alphabet);
    }
    let count = text.chars().count();
    let end = count.saturating_sub(config.keep_last);
    let bytes = |chars| text.char_indices().nth(chars).map_or(text.len(), |(at, _)| at);
    Ok(bytes(config.keep_first.min(end))..bytes(end))
}

/// How many texts there are of the letters beyond ASCII in `part`, each replaced by one of its list.
fn letters_space(alphabet: Alphabet, part: &[u8]) -> u128 {
    let letters = str::from_utf8(part).unwrap_or_default().chars().filter(|c| !c.is_ascii());
    letters.fold(1, |space: u128, c| {
        let letters = u16::try_from(u32::from(c)).ok().and_then(|point| alphabet.class_of(point));
        space.saturating_mul(letters.map_or(1, |letters| letters.count().into()))
    })
}

/// Where in `value` the reserved range has its places.
fn reserved_places(
    reserved: Option<Reserved>,
    value: &[u8],
    free: &Range<usize>,
) -> Result<[Option<(usize, Choices)>; PLACES_MAX], Rejection> {
    let mut places = [None; PLACES_MAX];
    let wanted = reserved.map_or(&[][..], Reserved::places);
    for (place, (nth, choices)) in places.iter_mut().zip(wanted) {
        let mut chars = value.iter().enumerate().filter(|(_, byte)| byte.is_ascii_alphanumeric());
        let (at, byte) = chars.nth(*nth).ok_or(Rejection::ReservedKept)?;
        let fits = choices.first().is_some_and(|choice| choice.is_ascii_digit() == byte.is_ascii_digit());
        if !fits || !free.contains(&at) {
            return Err(Rejection::ReservedKept);
        }
        *place = Some((at, *choices));
    }
    Ok(places)
}

impl fmt::Debug for Template<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Template(..)")
    }
}

#[cfg(test)]
mod tests;
