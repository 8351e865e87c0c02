//! Moments and spans as people write them.

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use vault_domain::Millis;
pub(crate) use vault_server::moment as show;

/// Reads a moment: RFC 3339, a day (`2026-11-22`, its beginning in UTC), or milliseconds since 1970.
pub(crate) fn parse(text: &str) -> Result<Millis, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Millis).map_err(|_| "is too large".to_owned());
    }
    let whole = if text.contains(['T', 't']) { text.to_owned() } else { format!("{text}T00:00:00Z") };
    let date = OffsetDateTime::parse(&whole, &Rfc3339)
        .map_err(|_| "must look like 2026-11-22T10:30:00Z, 2026-11-22 or 1795343400000".to_owned())?;
    let millis = date.unix_timestamp_nanos() / 1_000_000;
    u64::try_from(millis).map(Millis).map_err(|_| "must not lie before 1970".to_owned())
}

/// Reads a span: a number and its unit, `90s`, `15m`, `1h` or `7d`.
pub(crate) fn parse_span(text: &str) -> Result<Duration, String> {
    let refuse = || "must be a number and a unit: 90s, 15m, 1h, 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(refuse)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(refuse()),
    };
    let number: u64 = text.strip_suffix(unit).and_then(|number| number.parse().ok()).ok_or_else(refuse)?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(refuse)
}

/// Reads a lifetime: a span that is not empty.
pub(crate) fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let span = parse_span(text)?;
    if span.is_zero() { Err("must be at least 1s".to_owned()) } else { Ok(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_shown() {
        let moment = Millis(1_795_343_400_123);
        assert_eq!(show(moment), "2026-11-22T10:30:00.123Z");
        assert_eq!(parse(&show(moment)), Ok(moment));
        assert_eq!(parse("1795343400123"), Ok(moment));
        assert_eq!(parse("2026-11-22T12:30:00.123+02:00"), Ok(moment));
        assert_eq!(show(parse("2026-11-22").unwrap()), "2026-11-22T00:00:00.000Z");
        for bad in ["", "yesterday", "2026-13-01", "1960-01-01"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_have_a_number_and_a_unit() {
        assert_eq!(parse_span("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_span("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_span("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse_span("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "h", "1", "1w", "-1h", "1.5h", "99999999999999999999d", "1ä"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}
