//! What stands for a card number: digits in a row, or in groups with single blanks or hyphens between them.

use super::{digits_at, is_edge_before, is_edge_behind};
use crate::validate::{CardBrand, PAN_DIGITS_MAX as DIGITS_MAX, iban};

/// The fewest digits: shorter numbers are too easily something else.
const DIGITS_MIN: usize = 13;
/// The most groups: one more than a number in groups of four has.
const GROUPS_MAX: usize = 7;
/// The fewest digits in a group of an unusual grouping, but for its last.
const UNUSUAL_GROUP_MIN: usize = 3;
/// The longest IBAN, in groups of four.
const IBAN_BYTES_MAX: usize = 42;
/// The usual groupings, the likeliest first. They are found among other groups too; any other grouping only alone.
const USUAL: [&[usize]; 12] = [
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 4, 4, 4, 3],
    &[4, 6, 4],
    &[6, 13],
    &[4, 4, 4, 4, 2],
    &[4, 4, 4, 4, 1],
    &[4, 4, 4, 3],
    &[4, 4, 4, 2],
    &[4, 4, 4, 1],
    &[4, 3, 3, 3],
    &[4, 4, 5],
];

/// A card number among other bytes.
pub(super) struct Card {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) brand: CardBrand,
    pub(super) digits: usize,
}

/// The card number whose digits begin at `at`, before which no digit stands; `run` digits stand there in a row.
pub(super) fn card_at(kept: &[u8], at: usize, run: usize) -> Option<Card> {
    let before = |back: usize| at.checked_sub(back).and_then(|at| kept.get(at)).copied().unwrap_or(b'\n');
    let (start, run) = match (before(2), before(1)) {
        // The digits of an escape as in `%20`.
        (_, b'%') => (at + 2, run.checked_sub(2)?),
        // A telephone number; the digits behind a decimal point.
        (_, b'+') => return None,
        (digit, b'.') if digit.is_ascii_digit() => return None,
        _ if is_edge_before(kept, at) => (at, run),
        _ => return None,
    };
    if !matches!(kept.get(start)?, b'2'..=b'6' | b'8') || run < UNUSUAL_GROUP_MIN {
        return None;
    }
    if run >= DIGITS_MIN {
        return (run <= DIGITS_MAX).then(|| judge(kept, start, start + run)).flatten();
    }
    let separator = *kept.get(start + run).filter(|byte| matches!(byte, b' ' | b'-'))?;
    let groups = Groups::read(kept, start, separator);
    let usual = USUAL.iter().filter(|usual| groups.lengths().starts_with(usual));
    let usual = usual.filter_map(|usual| judge(kept, start, start + span(usual))).next();
    let found = usual.or_else(|| {
        let alone = groups.is_alone(kept, start, separator);
        alone.then(|| judge(kept, start, start + span(groups.lengths()))).flatten()
    });
    found.filter(|_| !is_in_iban(kept, start))
}

/// The bytes of groups, with one separator between each two.
fn span(groups: &[usize]) -> usize {
    groups.iter().sum::<usize>() + groups.len().saturating_sub(1)
}

/// Groups of digits from a place on.
struct Groups {
    lengths: [usize; GROUPS_MAX],
    count: usize,
    /// Whether more groups follow than fit.
    more: bool,
}

impl Groups {
    /// Reads groups until they are too long for a card number.
    fn read(kept: &[u8], start: usize, separator: u8) -> Self {
        let mut groups = Self { lengths: [0; GROUPS_MAX], count: 0, more: false };
        let mut at = start;
        let mut sum = 0;
        for length in &mut groups.lengths {
            // One more than allowed is enough to know.
            *length = digits_at(kept.get(..kept.len().min(at + DIGITS_MAX + 1)).unwrap_or_default(), at);
            groups.count += 1;
            sum += *length;
            at += *length;
            groups.more = kept.get(at) == Some(&separator) && kept.get(at + 1).is_some_and(u8::is_ascii_digit);
            if sum > DIGITS_MAX || !groups.more {
                break;
            }
            at += 1;
        }
        groups
    }

    fn lengths(&self) -> &[usize] {
        self.lengths.get(..self.count).unwrap_or_default()
    }

    /// Whether the groups are all that belongs together there, and can be a card number in an unusual grouping.
    fn is_alone(&self, kept: &[u8], start: usize, separator: u8) -> bool {
        let before = |back: usize| start.checked_sub(back).and_then(|at| kept.get(at)).copied().unwrap_or(b'\n');
        let behind = kept.get(start + span(self.lengths())).copied();
        let joined = match separator {
            // Letters and digits joined by hyphens, as in a UUID.
            b'-' => before(1) == b'-' || behind == Some(b'-'),
            _ => before(1) == separator && before(2).is_ascii_digit(),
        };
        let (last, others) = self.lengths().split_last().unwrap_or((&0, &[]));
        !self.more && !joined && *last > 0 && others.iter().all(|length| *length >= UNUSUAL_GROUP_MIN)
    }
}

/// Whether what stands between two places is a card number, with edges around it.
fn judge(kept: &[u8], start: usize, end: usize) -> Option<Card> {
    let is_decimal = kept.get(end) == Some(&b'.') && kept.get(end + 1).is_some_and(u8::is_ascii_digit);
    if !is_edge_behind(kept, end) || is_decimal {
        return None;
    }
    let mut digits = zeroize::Zeroizing::new([0; DIGITS_MAX]);
    let mut count = 0;
    for byte in kept.get(start..end)?.iter().filter(|byte| byte.is_ascii_digit()) {
        *digits.get_mut(count)? = *byte;
        count += 1;
    }
    let number = digits.get(..count).filter(|number| number.len() >= DIGITS_MIN)?;
    let brand = CardBrand::of_number(number)?;
    Some(Card { start, end, brand, digits: count })
}

/// Whether `start` lies in an IBAN in groups of four: one begins in what stands before, reaches beyond, and is valid.
fn is_in_iban(kept: &[u8], start: usize) -> bool {
    (start.saturating_sub(IBAN_BYTES_MAX)..start).any(|head| {
        let Some([a, b, tens, units, b' ']) = kept.get(head..head + 5) else { return false };
        if !(tens.is_ascii_digit() && units.is_ascii_digit() && is_edge_before(kept, head)) {
            return false;
        }
        let bytes = iban::grouped_bytes([a.to_ascii_uppercase(), b.to_ascii_uppercase()]).unwrap_or_default();
        start < head + bytes && kept.get(head..head + bytes).is_some_and(|text| iban::validate(text).is_ok())
    })
}
