//! International Bank Account Numbers (ISO 13616-1): country, check digits, and the country's own form behind them.
//!
//! It must not look into the account number: national check digits are the banks' matter, and some countries have
//! numbers from before theirs.

use crate::{
    mod97,
    rejection::Rejection,
    validate::{
        Canonical,
        compact::{Compact, length_max},
    },
};

/// The most characters of an IBAN, blanks not counted: 34 in ISO 13616-1, of which no country uses more than 33.
const CHARS_MAX: usize = 34;
/// The longest value: single blanks may stand between the characters.
pub(super) const IBAN_BYTES_MAX: usize = length_max(CHARS_MAX);

/// The form of the part behind the check digits, by country: so many digits (n), upper-case letters (a), letters or
/// digits (c). As in the IBAN registry that SWIFT keeps for ISO 13616-2, release 103. In order of the codes.
const REGISTRY: [([u8; 2], &str); 89] = [
    (*b"AD", "8n12c"),
    (*b"AE", "19n"),
    (*b"AL", "8n16c"),
    (*b"AT", "16n"),
    (*b"AZ", "4a20c"),
    (*b"BA", "16n"),
    (*b"BE", "12n"),
    (*b"BG", "4a6n8c"),
    (*b"BH", "4a14c"),
    (*b"BI", "23n"),
    (*b"BR", "8c15n2c"),
    (*b"BY", "4c4n16c"),
    (*b"CH", "5n12c"),
    (*b"CR", "18n"),
    (*b"CY", "8n16c"),
    (*b"CZ", "20n"),
    (*b"DE", "18n"),
    (*b"DJ", "23n"),
    (*b"DK", "14n"),
    (*b"DO", "4c20n"),
    (*b"EE", "16n"),
    (*b"EG", "25n"),
    (*b"ES", "20n"),
    (*b"FI", "14n"),
    (*b"FK", "2a12n"),
    (*b"FO", "14n"),
    (*b"FR", "10n11c2n"),
    (*b"GB", "4a14n"),
    (*b"GE", "2a16n"),
    (*b"GI", "4a15c"),
    (*b"GL", "14n"),
    (*b"GR", "7n16c"),
    (*b"GT", "24c"),
    (*b"HN", "4a20n"),
    (*b"HR", "17n"),
    (*b"HU", "24n"),
    (*b"IE", "4a14n"),
    (*b"IL", "19n"),
    (*b"IQ", "4a15n"),
    (*b"IS", "22n"),
    (*b"IT", "1a10n12c"),
    (*b"JO", "4a4n18c"),
    (*b"KW", "4a22c"),
    (*b"KZ", "3n13c"),
    (*b"LB", "4n20c"),
    (*b"LC", "4a24c"),
    (*b"LI", "5n12c"),
    (*b"LT", "16n"),
    (*b"LU", "3n13c"),
    (*b"LV", "4a13c"),
    (*b"LY", "21n"),
    (*b"MC", "10n11c2n"),
    (*b"MD", "20c"),
    (*b"ME", "18n"),
    (*b"MK", "3n10c2n"),
    (*b"MN", "16n"),
    (*b"MR", "23n"),
    (*b"MT", "4a5n18c"),
    (*b"MU", "4a19n3a"),
    (*b"NI", "4a20n"),
    (*b"NL", "4a10n"),
    (*b"NO", "11n"),
    (*b"OM", "3n16c"),
    (*b"PK", "4a16c"),
    (*b"PL", "24n"),
    (*b"PS", "4a21c"),
    (*b"PT", "21n"),
    (*b"QA", "4a21c"),
    (*b"RO", "4a16c"),
    (*b"RS", "18n"),
    (*b"RU", "14n15c"),
    (*b"SA", "2n18c"),
    (*b"SC", "4a20n3a"),
    (*b"SD", "14n"),
    (*b"SE", "20n"),
    (*b"SI", "15n"),
    (*b"SK", "20n"),
    (*b"SM", "1a10n12c"),
    (*b"SO", "19n"),
    (*b"ST", "21n"),
    (*b"SV", "4a20n"),
    (*b"TL", "19n"),
    (*b"TN", "20n"),
    (*b"TR", "6n16c"),
    (*b"UA", "6n19c"),
    (*b"VA", "18n"),
    (*b"VG", "4a16n"),
    (*b"XK", "16n"),
    (*b"YE", "4a4n18c"),
];

pub(crate) fn validate(value: &[u8]) -> Result<(), Rejection> {
    compact(value).map(drop)
}

/// Upper case, without blanks: the electronic format of ISO 13616-1.
pub(super) fn canonical(value: &[u8]) -> Canonical<'_> {
    match compact(value) {
        Ok(compact) if compact.chars() != value => Canonical::copy(compact.to_vec()),
        _ => Canonical::same(value),
    }
}

fn compact(value: &[u8]) -> Result<Compact, Rejection> {
    let compact = Compact::of(value, b" ")?;
    let ([a, b, tens, units], account) = compact.chars().split_first_chunk().ok_or(Rejection::IbanLength)?;
    let at = REGISTRY.binary_search_by_key(&[*a, *b], |(country, _)| *country).map_err(|_| Rejection::IbanCountry)?;
    let form = REGISTRY.get(at).map_or("", |(_, form)| form);
    check_form(form, account)?;
    // Check digits are 98 less a remainder: 02 to 98. 00, 01 and 99 stand for the same remainders as 97, 98 and 02, so
    // an account would have two numbers if they were taken.
    let possible = tens.is_ascii_digit() && units.is_ascii_digit() && (b"02"..=b"98").contains(&&[*tens, *units]);
    let number = account.iter().chain([a, b, tens, units]).copied();
    if possible && mod97::remainder(number) == 1 { Ok(compact) } else { Err(Rejection::IbanCheck) }
}

/// The bytes of an IBAN of this country in groups of four, as it is printed (ISO 13616-1).
pub(crate) fn grouped_bytes(country: [u8; 2]) -> Option<usize> {
    let at = REGISTRY.binary_search_by_key(&country, |(country, _)| *country).ok()?;
    let chars = 4 + places(REGISTRY.get(at)?.1).count();
    Some(length_grouped(chars))
}

/// So many characters in groups of four, with single blanks between.
fn length_grouped(chars: usize) -> usize {
    chars + (chars - 1) / 4
}

/// Whether the account number has its country's length and form.
fn check_form(form: &str, account: &[u8]) -> Result<(), Rejection> {
    let mut places = places(form);
    let mut fits = true;
    for byte in account {
        let class = places.next().ok_or(Rejection::IbanLength)?;
        fits &= match class {
            b'n' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_uppercase(),
            _ => true,
        };
    }
    match places.next() {
        Some(_) => Err(Rejection::IbanLength),
        None if fits => Ok(()),
        None => Err(Rejection::IbanForm),
    }
}

/// The class of each place: `2n1c` is n, n, c.
fn places(form: &str) -> impl Iterator<Item = u8> {
    form.split_inclusive(|c: char| c.is_ascii_lowercase()).flat_map(|part| {
        let (count, class) = part.split_at_checked(part.len() - 1).unwrap_or_default();
        let class = class.bytes().next().unwrap_or_default();
        std::iter::repeat_n(class, count.parse().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests;
