//! Numbers that states give to people, each by the rule of its own authority.
//!
//! It judges form and check digits, and where a birthday is part of the number whether there is such a day. It must not
//! guess at what the authorities do not publish (years, places, ranges that are in use): a number that a person has
//! must not fail here.

use crate::{
    mod97,
    rejection::Rejection,
    validate::{
        Canonical,
        compact::{Compact, length_max},
        date,
    },
};

/// What may stand between two characters, one at a time, in all of these numbers.
const SEPARATORS: &[u8] = b" -.";

/// Which number of a person. Letters may have either case; blanks, hyphens and dots may stand singly between the
/// characters. In upper case and without these it counts for equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PersonalId {
    /// Germany, Identifikationsnummer (section 139b of the Abgabenordnung): 11 digits, check digit by ISO 7064
    /// MOD 11,10. Of the ten before it the first is not 0, and one digit alone stands there several times: twice or,
    /// since 2016, three times, but then not all three in a row (Bundeszentralamt für Steuern).
    DeSteuerId,
    /// Spain, DNI of citizens (Real Decreto 1553/2005): 8 digits and a letter; NIE of foreigners (Real Decreto
    /// 557/2011, Orden INT/2058/2008): X, Y or Z, 7 digits and a letter. The letter is the number's remainder by 23,
    /// where X, Y and Z count as 0, 1 and 2.
    EsDniNie,
    /// France, numéro d'inscription au répertoire (décret 82-103, INSEE): 13 characters and a key of two digits, 97
    /// less the remainder by 97. For Corsica 2A and 2B stand in the place of the department and count as 19 and 18.
    FrNir,
    /// The Netherlands, burgerservicenummer (Wet algemene bepalingen burgerservicenummer): 9 digits, leading zeros
    /// written, that pass the eleven-test with the weights 9 to 2 and -1.
    NlBsn,
    /// Poland, PESEL (ustawa o ewidencji ludności, 2010, article 15): birthday, with the century in the month, serial
    /// number, and a check digit with the weights 1, 3, 7, 9.
    PlPesel,
    /// United Kingdom, National Insurance number (HMRC manual NIM39110): two letters, six digits, A to D. There is no
    /// check digit; letters and prefixes that are not given are refused.
    UkNino,
}

impl PersonalId {
    /// Characters, separators not counted.
    pub(super) const fn chars(self) -> usize {
        match self {
            Self::DeSteuerId | Self::PlPesel => 11,
            Self::FrNir => 15,
            Self::EsDniNie | Self::NlBsn | Self::UkNino => 9,
        }
    }

    /// The longest value.
    pub(super) const fn bytes_max(self) -> usize {
        length_max(self.chars())
    }
}

pub(super) fn validate(id: PersonalId, value: &[u8]) -> Result<(), Rejection> {
    compact(id, value).map(drop)
}

pub(super) fn canonical(id: PersonalId, value: &[u8]) -> Canonical<'_> {
    match compact(id, value) {
        Ok(compact) if compact.chars() != value => Canonical::copy(compact.to_vec()),
        _ => Canonical::same(value),
    }
}

fn compact(id: PersonalId, value: &[u8]) -> Result<Compact, Rejection> {
    let compact = Compact::of(value, SEPARATORS)?;
    let chars = compact.chars();
    if chars.len() != id.chars() {
        return Err(Rejection::IdForm);
    }
    match id {
        PersonalId::DeSteuerId => de_steuer_id(chars),
        PersonalId::EsDniNie => es_dni_nie(chars),
        PersonalId::FrNir => fr_nir(chars),
        PersonalId::NlBsn => nl_bsn(chars),
        PersonalId::PlPesel => pl_pesel(chars),
        PersonalId::UkNino => uk_nino(chars),
    }
    .map(|()| compact)
}

fn de_steuer_id(chars: &[u8]) -> Result<(), Rejection> {
    check(is_digits(chars) && !chars.starts_with(b"0"), Rejection::IdForm)?;
    let (check_digit, ten) = chars.split_last().ok_or(Rejection::IdForm)?;
    let times = |digit: u8| ten.iter().filter(|&&byte| byte == digit).count();
    let mut repeated = (b'0'..=b'9').filter(|&digit| times(digit) > 1);
    let one_repeated = match (repeated.next(), repeated.next()) {
        (Some(digit), None) => match times(digit) {
            2 => true,
            3 => !ten.windows(3).any(|three| three == [digit; 3]),
            _ => false,
        },
        _ => false,
    };
    check(one_repeated, Rejection::IdDigits)?;
    // ISO 7064 section 9, hybrid system MOD 11,10.
    let product = ten.iter().fold(10, |product, byte| match (product + number(*byte)) % 10 {
        0 => 10 * 2 % 11,
        sum => sum * 2 % 11,
    });
    check((product + number(*check_digit)) % 10 == 1, Rejection::IdCheck)
}

fn es_dni_nie(chars: &[u8]) -> Result<(), Rejection> {
    let ([first, middle @ ..], [letter]) = chars.split_at_checked(8).ok_or(Rejection::IdForm)? else {
        return Err(Rejection::IdForm);
    };
    let first = match first {
        b'0'..=b'9' => number(*first),
        b'X'..=b'Z' => u32::from(first - b'X'),
        _ => return Err(Rejection::IdForm),
    };
    check(is_digits(middle) && letter.is_ascii_uppercase(), Rejection::IdForm)?;
    let rest = middle.iter().fold(first, |rest, byte| (rest * 10 + number(*byte)) % 23);
    let letters = b"TRWAGMYFPDXBNJZSQVHLCKE".iter().zip(0..);
    check(letters.clone().any(|(own, at)| own == letter && at == rest), Rejection::IdCheck)
}

fn fr_nir(chars: &[u8]) -> Result<(), Rejection> {
    let (body, key) = chars.split_at_checked(13).ok_or(Rejection::IdForm)?;
    let [sex @ b'1'..=b'8', a, b, c, d, dep_tens, dep_units, rest @ ..] = body else { return Err(Rejection::IdForm) };
    let department = match [*dep_tens, *dep_units] {
        [b'2', b'A'] => *b"19",
        [b'2', b'B'] => *b"18",
        other => other,
    };
    let digits = [*sex, *a, *b, *c, *d].into_iter().chain(department).chain(rest.iter().copied());
    check(digits.clone().chain(key.iter().copied()).all(|byte| byte.is_ascii_digit()), Rejection::IdForm)?;
    let expected = 97 - mod97::remainder(digits);
    check(key.iter().fold(0, |key, byte| key * 10 + number(*byte)) == expected, Rejection::IdCheck)
}

fn nl_bsn(chars: &[u8]) -> Result<(), Rejection> {
    check(is_digits(chars) && chars.iter().any(|byte| *byte != b'0'), Rejection::IdForm)?;
    // -1 is 10 in the arithmetic modulo 11.
    let sum: u32 = chars.iter().zip([9, 8, 7, 6, 5, 4, 3, 2, 10]).map(|(byte, weight)| number(*byte) * weight).sum();
    check(sum.is_multiple_of(11), Rejection::IdCheck)
}

fn pl_pesel(chars: &[u8]) -> Result<(), Rejection> {
    check(is_digits(chars), Rejection::IdForm)?;
    let weights = [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1];
    let sum: u32 = chars.iter().zip(weights).map(|(byte, weight)| number(*byte) * weight).sum();
    check(sum.is_multiple_of(10), Rejection::IdCheck)?;
    let [y, years, m, months, d, days, ..] = chars else { return Err(Rejection::IdForm) };
    let two = |tens: &u8, units: &u8| u16::from(tens - b'0') * 10 + u16::from(units - b'0');
    let month = two(m, months);
    let century = match month / 20 {
        0 => 1900,
        1 => 2000,
        2 => 2100,
        3 => 2200,
        _ => 1800,
    };
    check(date::is_day(century + two(y, years), month % 20, two(d, days)), Rejection::IdBirthday)
}

fn uk_nino(chars: &[u8]) -> Result<(), Rejection> {
    let [first, second, digits @ .., suffix] = chars else { return Err(Rejection::IdForm) };
    let letters = first.is_ascii_uppercase() && second.is_ascii_uppercase() && suffix.is_ascii_uppercase();
    check(letters && is_digits(digits), Rejection::IdForm)?;
    let unused = |letter| b"DFIQUV".contains(letter);
    let withheld: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];
    let given = !unused(first) && !unused(second) && *second != b'O' && !withheld.contains(&&[*first, *second]);
    check(given && (b'A'..=b'D').contains(suffix), Rejection::IdPrefix)
}

fn check(holds: bool, rejection: Rejection) -> Result<(), Rejection> {
    if holds { Ok(()) } else { Err(rejection) }
}

fn is_digits(chars: &[u8]) -> bool {
    chars.iter().all(u8::is_ascii_digit)
}

/// What a digit stands for.
fn number(digit: u8) -> u32 {
    u32::from(digit.saturating_sub(b'0'))
}

#[cfg(test)]
mod tests;
