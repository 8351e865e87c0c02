//! What makes the format of a class: the keys that belong to it, and whether any value has room for tokens.

use toml::Spanned;
use vault_format::{
    Alphabet, LuhnMode, Numerals, PERMUTED_BYTES_MAX, Permuted, Preserving, Rejection, Reserved, Template,
};

use super::{Format, RuleName, judge::misplaced};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

/// Words for formats, the default first.
pub(super) const FORMATS: [(&str, Shape); 5] = [
    ("opaque", Shape::None(Format::Opaque)),
    ("uuid", Shape::None(Format::Uuid)),
    ("format_preserving", Shape::Preserved),
    ("ff1", Shape::Permuted),
    ("one_way", Shape::None(Format::OneWay)),
];
/// Words for what the Luhn check makes of tokens.
pub(super) const LUHN: [(&str, LuhnMode); 3] =
    [("invalid", LuhnMode::Invalid), ("valid", LuhnMode::Valid), ("none", LuhnMode::Any)];
/// Words for where tokens lie, the default first.
pub(super) const RANGES: [(&str, bool); 2] = [("reserved", true), ("any", false)];
/// Alphabets of the format `ff1`.
pub(super) const NUMERALS: [(&str, Numerals); 3] =
    [("digits", Numerals::Digits), ("upper_case", Numerals::UpperCase), ("alphanumeric", Numerals::Alphanumeric)];
/// Alphabets of the format `format_preserving`.
pub(super) const ALPHABETS: [(&str, Alphabet); 4] = [
    ("ascii", Alphabet::Ascii),
    ("latin", Alphabet::Latin),
    ("greek", Alphabet::Greek),
    ("cyrillic", Alphabet::Cyrillic),
];

/// Reads the format. Without a rule that is known, what depends on the rule is not judged.
pub(super) fn format(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Format> {
    let shape = match &raw.format {
        Some(written) => word("format", written, &FORMATS.into_iter(), faults)?,
        None => Shape::None(Format::Opaque),
    };
    match shape {
        Shape::None(format) => Some(shapeless(format, raw, faults)),
        Shape::Preserved => preserving(rule, raw, faults).map(Format::FormatPreserving),
        Shape::Permuted => permuted(rule, raw, faults).map(Format::Ff1),
    }
}

/// What a format takes from its values.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Nothing.
    None(Format),
    /// Length and kinds of characters.
    Preserved,
    /// The characters themselves, in another order of all texts.
    Permuted,
}

fn shapeless(format: Format, raw: &RawClass, faults: &mut Faults) -> Format {
    let because = "it belongs to the formats \"format_preserving\" and \"ff1\"";
    misplaced(raw.keep_first.as_ref(), "keep_first", because, faults);
    misplaced(raw.keep_last.as_ref(), "keep_last", because, faults);
    misplaced(raw.luhn.as_ref(), "luhn", because, faults);
    misplaced(raw.range.as_ref(), "range", because, faults);
    misplaced(raw.alphabet.as_ref(), "alphabet", because, faults);
    format
}

fn count(key: Option<&Spanned<usize>>) -> usize {
    key.map_or(0, |count| *count.get_ref())
}

/// The keys of the format `ff1`.
fn permuted(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Permuted> {
    misplaced(raw.range.as_ref(), "range", "FF1 tokens lie wherever the permutation puts them", faults);
    let numerals = numerals(rule, raw, faults);
    let luhn = match rule {
        Some(RuleName::Pan) | None => luhn(rule, false, raw, faults),
        Some(_) => {
            let because = "with \"ff1\", a check digit is known of the rule \"pan\" alone";
            misplaced(raw.luhn.as_ref(), "luhn", because, faults);
            Some(LuhnMode::Any)
        }
    };
    if luhn.is_some_and(|luhn| luhn != LuhnMode::Any) {
        let because = "the last digit is the check digit, which is made anew (luhn = \"none\" permutes it too)";
        misplaced(raw.keep_last.as_ref(), "keep_last", because, faults);
    }
    let (keep_first, keep_last) = (count(raw.keep_first.as_ref()), count(raw.keep_last.as_ref()));
    Some(Permuted { numerals: numerals?, keep_first, keep_last, luhn: luhn? })
}

/// The characters that FF1 permutes: digits where values of the rule have no others, otherwise to be named.
fn numerals(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Numerals> {
    if let Some(written) = &raw.alphabet {
        return word("alphabet", written, &NUMERALS.into_iter(), faults);
    }
    match rule? {
        RuleName::Pan
        | RuleName::Digits
        | RuleName::Phone
        | RuleName::UsSsn
        | RuleName::Date
        | RuleName::DeSteuerId
        | RuleName::NlBsn
        | RuleName::PlPesel => Some(Numerals::Digits),
        _ => {
            let because = "\"ff1\" permutes the characters of one alphabet: \"digits\" (0-9), \"upper_case\" (0-9 and \
                           A-Z) or \"alphanumeric\" (0-9, A-Z and a-z)";
            let place = raw.format.as_ref().map_or(0..0, Spanned::span);
            faults.add(place, Problem::Missing { key: "alphabet", because });
            None
        }
    }
}

/// The keys of the format `format_preserving`.
fn preserving(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Preserving> {
    let reserved = range(rule, raw, faults);
    let luhn = luhn(rule, reserved.flatten().is_some(), raw, faults);
    let alphabet = alphabet(rule, raw, faults);
    let (keep_first, keep_last) = (count(raw.keep_first.as_ref()), count(raw.keep_last.as_ref()));
    Some(Preserving { keep_first, keep_last, luhn: luhn?, reserved: reserved?, alphabet: alphabet? })
}

fn luhn(rule: Option<RuleName>, in_range: bool, raw: &RawClass, faults: &mut Faults) -> Option<LuhnMode> {
    let luhn = match &raw.luhn {
        Some(written) => word("Luhn mode", written, &LUHN.into_iter(), faults)?,
        // A token of a card class must never be taken for a card number, unless somebody asks for it by name.
        None if rule == Some(RuleName::Pan) => LuhnMode::Invalid,
        None => LuhnMode::Any,
    };
    if in_range && luhn != LuhnMode::Any {
        let because = "tokens of this class lie in a reserved range already (range = \"reserved\")";
        misplaced(raw.luhn.as_ref(), "luhn", because, faults);
        return None;
    }
    Some(luhn)
}

/// The range that no value lies in, where the rule has one: tokens lie there unless somebody asks for the contrary.
fn range(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Option<Reserved>> {
    let wanted = match &raw.range {
        Some(written) => word("range of tokens", written, &RANGES.into_iter(), faults)?,
        None => true,
    };
    let reserved = match rule {
        Some(RuleName::Iban) => Reserved::Iban,
        Some(RuleName::Phone) => Reserved::Phone,
        Some(RuleName::UsSsn) => Reserved::UsSsn,
        Some(RuleName::DeSteuerId) => Reserved::DeSteuerId,
        Some(RuleName::FrNir) => Reserved::FrNir,
        Some(RuleName::PlPesel) => Reserved::PlPesel,
        Some(RuleName::UkNino) => Reserved::UkNino,
        Some(RuleName::Date) => Reserved::Date,
        None => return Some(None),
        Some(
            RuleName::Pan
            | RuleName::Email
            | RuleName::EsDniNie
            | RuleName::NlBsn
            | RuleName::Digits
            | RuleName::Pattern
            | RuleName::Text
            | RuleName::Bytes,
        ) => {
            misplaced(raw.range.as_ref(), "range", "no range is known that values of this rule never lie in", faults);
            return Some(None);
        }
    };
    Some(wanted.then_some(reserved))
}

fn alphabet(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Alphabet> {
    let Some(written) = &raw.alphabet else { return Some(Alphabet::Ascii) };
    let alphabet = word("alphabet", written, &ALPHABETS.into_iter(), faults);
    if rule.is_some_and(|rule| !matches!(rule, RuleName::Text | RuleName::Pattern | RuleName::Bytes)) {
        faults.add(written.span(), Problem::Misplaced { key: "alphabet", because: "values of this rule are ASCII" });
    }
    alphabet
}

/// Whether a value that the rule can take could have tokens enough. Of a pattern only the length counts, so a class may
/// pass whose values are all refused later, one by one; what is refused here could never have worked.
pub(super) fn check_room(preserving: &Preserving, rule: RuleName, longest: usize) -> Result<(), Problem> {
    if matches!(rule, RuleName::Pan | RuleName::Digits) {
        return if longest >= preserving.digits_min() { Ok(()) } else { Err(Problem::TokenSpace) };
    }
    let shape = roomiest(rule, longest).unwrap_or_else(|| letters(preserving, longest));
    match Template::for_value(preserving, &shape) {
        Ok(_) => Ok(()),
        Err(Rejection::ReservedKept) => Err(Problem::ReservedKept),
        Err(_) => Err(Problem::TokenSpace),
    }
}

/// What to say of an alphabet that values of the rule do not keep to.
const LETTERS_TOO: &str = "values of this rule have letters too: write \"upper_case\" or \"alphanumeric\"";

/// The same for FF1.
pub(super) fn check_domain(permuted: &Permuted, rule: RuleName, longest: usize) -> Result<(), Problem> {
    let shape = match rule {
        RuleName::Email => b"a@aaaaaaaa.aaa".to_vec(),
        _ => roomiest(rule, longest).unwrap_or_else(|| vec![b'1'; longest]),
    };
    match permuted.of_value(&shape) {
        Ok(_) => Ok(()),
        Err(Rejection::Length) => Err(Problem::TooLong { max: PERMUTED_BYTES_MAX }),
        Err(Rejection::Characters) => Err(Problem::Rule(LETTERS_TOO.to_owned())),
        Err(_) => Err(Problem::TokenSpace),
    }
}

/// The form of the value with the most room, for rules that prescribe one. Separators stand wherever they may, for they
/// count among the characters that are kept.
fn roomiest(rule: RuleName, longest: usize) -> Option<Vec<u8>> {
    let chars = match rule {
        // Saint Lucia: 32 characters, most of them letters or digits.
        RuleName::Iban => format!("LC11{}", "A".repeat(28)),
        RuleName::Phone => "1".repeat(15),
        RuleName::DeSteuerId | RuleName::PlPesel => "1".repeat(11),
        RuleName::FrNir => format!("111112A{}", "1".repeat(8)),
        RuleName::EsDniNie => "X1111111A".to_owned(),
        RuleName::NlBsn => "1".repeat(9),
        RuleName::UkNino => "AA111111A".to_owned(),
        RuleName::UsSsn if longest > 9 => return Some(b"111-11-1111".to_vec()),
        RuleName::UsSsn => return Some(b"111111111".to_vec()),
        RuleName::Date => return Some(b"1111-11-11".to_vec()),
        RuleName::Pan | RuleName::Email | RuleName::Digits | RuleName::Pattern | RuleName::Text | RuleName::Bytes => {
            return None;
        }
    };
    let spaced = chars.bytes().flat_map(|byte| [byte, b' ']).take(2 * chars.len() - 1);
    let plus = (rule == RuleName::Phone).then_some(b'+');
    Some(plus.into_iter().chain(spaced).collect())
}

/// The most room is in letters of ASCII, with one digit among them where the Luhn check needs one.
fn letters(preserving: &Preserving, longest: usize) -> Vec<u8> {
    let mut value = vec![b'a'; longest];
    if preserving.luhn != LuhnMode::Any
        && let Some(byte) = value.get_mut(preserving.keep_first)
    {
        *byte = b'1';
    }
    value
}
