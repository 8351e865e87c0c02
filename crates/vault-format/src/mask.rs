//! Masks: what of a value is shown to somebody who may not see all of it.
//!
//! A mask is computed from the value alone, shows characters of it where they stand and stars for all others, and has a
//! bound on what it shows that counts the characters of the very value: where a value is too short for the mask, all of
//! it is hidden. It never fails. Nothing here knows who asks.
//!
//! Characters are Unicode scalar values. An accent that stands for itself is a character of its own, and hidden as one.

use vault_domain::Plaintext;

/// What stands for a hidden character.
const HIDDEN: u8 = b'*';
/// The characters between letters and digits that numbers are written with.
const SEPARATORS: [char; 5] = [' ', '-', '.', '/', '+'];
/// What a mask that tells no length shows for what is hidden.
const HIDDEN_RUN: &str = "***";
/// Initials that are shown at most: those of the first words.
const INITIALS_MAX: usize = 4;

/// Digits at the beginning and at the end of a card number that may be shown at most (PCI SSC FAQ 1091, PCI DSS 3.4.1).
pub const PCI_FIRST_MAX: usize = 6;
/// See [`PCI_FIRST_MAX`].
pub const PCI_LAST_MAX: usize = 4;
/// The length of a card number from which on its beginning may be shown: 6 and 4 of 15 leave the 5 hidden digits that
/// FAQ 1091 asks for. Of shorter ones the end alone is shown.
const PCI_FIRST_FROM: usize = 15;
/// Digits that stay hidden of a card number in any case.
const PAN_HIDDEN_MIN: usize = 4;

/// How a class masks its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Characters at both ends stay where they are, each other one becomes a star: as many characters as the value has.
    Ends(Ends),
    /// `j***@example.com`: the first character of the local part if it has at least two, three stars whatever its
    /// length, and the domain.
    Email,
    /// `J. D.`: the first letter of each word that has one, of the first four such words. Words stand between blanks
    /// of any kind. `***` where that would be more than half of the letters, or none.
    Initials,
    /// `1984-**-**`: the year of a date.
    DateYear,
}

/// A mask that shows the ends of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Characters that stay at the beginning.
    pub first: usize,
    /// Characters that stay at the end.
    pub last: usize,
    /// Whether blanks, hyphens, dots, slashes and plus signs stay wherever they stand, and don't count.
    pub separators: bool,
    /// What it may show at most.
    pub bound: Bound,
}

/// What a mask may show of a value at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Half of the characters that count; of a value that is too short for the mask, nothing.
    Half,
    /// Of a card number, the first 6 and the last 4 digits; of one with less than 15 digits, the last 4.
    Pci,
    /// Of a card number, all but 4 digits; of one that is too short for the mask, nothing.
    AllButFour,
}

impl Ends {
    /// Whether this is more of a card number than [`Bound::Pci`] allows.
    #[must_use]
    pub const fn is_beyond_pci(&self) -> bool {
        self.first > PCI_FIRST_MAX || self.last > PCI_LAST_MAX
    }

    /// Whether anything is shown of values of at most so many characters.
    #[must_use]
    pub fn shows_any(&self, chars_max: usize) -> bool {
        self.shown(chars_max).is_some()
    }

    /// How many characters stay at each end, of so many that count; None if the value is too short for the mask.
    fn shown(&self, count: usize) -> Option<(usize, usize)> {
        let (first, last) = match self.bound {
            Bound::Pci if count < PCI_FIRST_FROM => (0, self.last.min(PCI_LAST_MAX)),
            Bound::Pci => (self.first.min(PCI_FIRST_MAX), self.last.min(PCI_LAST_MAX)),
            Bound::Half | Bound::AllButFour => (self.first, self.last),
        };
        let most = match self.bound {
            Bound::Half => count / 2,
            Bound::Pci | Bound::AllButFour => count.saturating_sub(PAN_HIDDEN_MIN),
        };
        (first.saturating_add(last) <= most).then_some((first, last))
    }

    fn apply(&self, text: &str) -> Plaintext {
        let counts = |c: char| !(self.separators && SEPARATORS.contains(&c));
        let count = text.chars().filter(|c| counts(*c)).count();
        let Some((first, last)) = self.shown(count) else { return all_hidden(text) };
        // Room for all of it at once: what grows leaves copies behind.
        let mut masked = Room::new(text.len());
        let mut place = 0;
        for c in text.chars() {
            if !counts(c) {
                masked.show(c);
                continue;
            }
            if place < first || place >= count - last {
                masked.show(c);
            } else {
                masked.hide();
            }
            place += 1;
        }
        masked.finish()
    }
}

impl Mask {
    /// The last four characters that are neither blank nor punctuation, of numbers.
    #[must_use]
    pub const fn last4(separators: bool, bound: Bound) -> Self {
        Self::Ends(Ends { first: 0, last: 4, separators, bound })
    }

    /// The first six and the last four digits of a card number.
    #[must_use]
    pub const fn first6_last4() -> Self {
        Self::Ends(Ends { first: PCI_FIRST_MAX, last: PCI_LAST_MAX, separators: false, bound: Bound::Pci })
    }

    /// What is shown of a value. Of one that is no text, or not of the kind that the mask is for, nothing is shown.
    #[must_use]
    pub fn apply(&self, value: &[u8]) -> Plaintext {
        let Ok(text) = std::str::from_utf8(value) else { return Plaintext::new(HIDDEN_RUN.into()) };
        match self {
            Self::Ends(ends) => ends.apply(text),
            Self::Email => email(text),
            Self::Initials => initials(text),
            Self::DateYear => date_year(text),
        }
    }
}

/// Masked text in the making, in a buffer that never grows.
struct Room(Vec<u8>);

impl Room {
    fn new(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    fn show(&mut self, c: char) {
        self.0.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn hide(&mut self) {
        self.0.push(HIDDEN);
    }

    fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn finish(self) -> Plaintext {
        Plaintext::new(self.0)
    }
}

fn all_hidden(text: &str) -> Plaintext {
    Plaintext::new(vec![HIDDEN; text.chars().count()])
}

fn email(text: &str) -> Plaintext {
    let Some((local, domain)) = text.rsplit_once('@') else { return Plaintext::new(HIDDEN_RUN.into()) };
    let mut masked = Room::new(text.len() + HIDDEN_RUN.len() + 1);
    if let (Some(first), true) = (local.chars().next(), local.chars().nth(1).is_some()) {
        masked.show(first);
    }
    masked.push(HIDDEN_RUN);
    masked.push("@");
    masked.push(domain);
    masked.finish()
}

fn initials(text: &str) -> Plaintext {
    let of_words = || text.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphabetic()));
    let shown = of_words().take(INITIALS_MAX).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if shown == 0 || shown > letters / 2 {
        return Plaintext::new(HIDDEN_RUN.into());
    }
    let mut masked = Room::new(INITIALS_MAX * (4 + 2));
    for (at, initial) in of_words().take(INITIALS_MAX).enumerate() {
        masked.push(if at == 0 { "" } else { " " });
        masked.show(initial);
        masked.push(".");
    }
    masked.finish()
}

fn date_year(text: &str) -> Plaintext {
    match text.as_bytes() {
        [year @ .., b'-', _, _, b'-', _, _] if year.len() == 4 => {
            let mut masked = Room::new(text.len());
            year.iter().for_each(|digit| masked.show(char::from(*digit)));
            masked.push("-**-**");
            masked.finish()
        }
        _ => all_hidden(text),
    }
}

#[cfg(test)]
mod tests;
