//! Calendar dates (ISO 8601-1:2019 section 5.2.2.1, extended format): `YYYY-MM-DD`, and only days that there are.
//!
//! It must not know today: whether a date may lie in the future is said by the class, in years.

use crate::{rejection::Rejection, validate::RuleError};

/// `YYYY-MM-DD`
pub(super) const DATE_BYTES: usize = 10;
/// The first whole year of the Gregorian calendar. ISO 8601-1 section 4.3.1 takes earlier ones by mutual agreement
/// only: whoever wrote them may have meant the Julian calendar.
pub const DATE_YEAR_MIN: u16 = 1583;
/// The last year with four digits.
pub const DATE_YEAR_MAX: u16 = 9999;

/// The first and the last year that a class takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Years {
    min: u16,
    max: u16,
}

impl Years {
    pub(super) fn new(min: u16, max: u16) -> Result<Self, RuleError> {
        let is_range = DATE_YEAR_MIN <= min && min <= max && max <= DATE_YEAR_MAX;
        if is_range { Ok(Self { min, max }) } else { Err(RuleError::Years) }
    }
}

pub(super) fn validate(years: Years, value: &[u8]) -> Result<(), Rejection> {
    if value.is_empty() {
        return Err(Rejection::Length);
    }
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *value else { return Err(Rejection::DateForm) };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_u16, |number, byte| {
            byte.is_ascii_digit().then(|| number * 10 + u16::from(byte - b'0')).ok_or(Rejection::DateForm)
        })
    };
    let (year, month, day) = (number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?);
    if !is_day(year, month, day) {
        return Err(Rejection::DateDay);
    }
    if (years.min..=years.max).contains(&year) { Ok(()) } else { Err(Rejection::DateYear) }
}

/// Whether the Gregorian calendar has this day.
pub(super) fn is_day(year: u16, month: u16, day: u16) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests;
