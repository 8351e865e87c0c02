//! Dates: days that there are, in years that are allowed.

use proptest::prelude::*;

use super::*;
use crate::Rule;

fn all() -> Years {
    Years::new(DATE_YEAR_MIN, DATE_YEAR_MAX).unwrap()
}

#[test]
fn days_of_the_gregorian_calendar_are_taken_and_no_others() {
    for day in [
        "1985-04-12", // ISO 8601's own example
        "2000-02-29",
        "2400-02-29",
        "2024-02-29",
        "1900-02-28",
        "1583-01-01",
        "9999-12-31",
        "2023-01-31",
        "2023-04-30",
        "2023-12-31",
    ] {
        assert_eq!(validate(all(), day.as_bytes()), Ok(()), "{day}");
    }
    for not in [
        "1900-02-29",
        "2100-02-29",
        "2023-02-29",
        "2000-02-30",
        "2023-04-31",
        "2023-06-31",
        "2023-09-31",
        "2023-11-31",
        "2023-01-32",
        "2023-01-00",
        "2023-00-01",
        "2023-13-01",
        "0000-00-00",
    ] {
        assert_eq!(validate(all(), not.as_bytes()), Err(Rejection::DateDay), "{not}");
    }
}

#[test]
fn a_date_in_another_form_is_refused() {
    for other in [
        "19850412",
        "1985-102",
        "1985-W15-5",
        "85-04-12",
        "1985-4-12",
        "12.04.1985",
        "04/12/1985",
        "1985/04/12",
        "1985-04-12T10:15:30",
        "1985-04-12Z",
        "+1985-04-12",
        " 1985-04-12",
        "1985-04-12\n",
        "1985-04-1a",
        "198５-04-1",
        "1985–04–12",
    ] {
        assert_eq!(validate(all(), other.as_bytes()), Err(Rejection::DateForm), "{other}");
    }
    assert_eq!(validate(all(), b""), Err(Rejection::Length));
}

#[test]
fn years_are_bounded_on_both_sides() {
    let rule = Rule::date(1900, 2025).unwrap();
    for (day, expected) in [
        ("1900-01-01", Ok(())),
        ("2025-12-31", Ok(())),
        ("1899-12-31", Err(Rejection::DateYear)),
        ("2026-01-01", Err(Rejection::DateYear)),
    ] {
        assert_eq!(rule.validate(day.as_bytes()), expected, "{day}");
    }
    assert!(Rule::date(2000, 2000).is_ok());
    for (min, max) in [(1582, 2000), (2000, 10_000), (2001, 2000), (0, 0), (u16::MAX, u16::MAX)] {
        assert!(matches!(Rule::date(min, max), Err(RuleError::Years)), "{min} {max}");
    }
}

#[test]
fn four_centuries_have_their_days() {
    let days = |years: std::ops::Range<u16>| {
        years.flat_map(|year| (0..20).flat_map(move |month| (0..40).map(move |day| (year, month, day))))
    };
    // The Gregorian calendar repeats after 400 years of 146,097 days.
    assert_eq!(days(1600..2000).filter(|&(year, month, day)| is_day(year, month, day)).count(), 146_097);
}

proptest! {
    #[test]
    fn no_date_like_text_breaks_it(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}") {
        let (year, month, day) = (text[..4].parse().unwrap(), text[5..7].parse().unwrap(), text[8..].parse().unwrap());
        let expected = is_day(year, month, day) && year >= DATE_YEAR_MIN;
        prop_assert_eq!(validate(all(), text.as_bytes()).is_ok(), expected);
    }
}
