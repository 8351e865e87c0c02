//! Social Security numbers: the ones that are given, and the ones that never are.

use super::*;
use crate::Rule;

const ALL: [Hyphens; 3] = [Hyphens::Optional, Hyphens::Required, Hyphens::Forbidden];

#[test]
fn areas_groups_and_serials_that_are_given_are_taken() {
    // 001-01-0001 and 055-09-0001 are the lowest number and the first record in the history of the Social Security
    // Administration; the others stand at the edges of what it gives since 2011.
    for ssn in ["001-01-0001", "055-09-0001", "665-99-9999", "667-01-0001", "734-01-0001", "773-50-1234", "899-99-9999"]
    {
        let digits = ssn.replace('-', "");
        for (hyphens, with, without) in [
            (Hyphens::Optional, Ok(()), Ok(())),
            (Hyphens::Required, Ok(()), Err(Rejection::SsnForm)),
            (Hyphens::Forbidden, Err(Rejection::SsnForm), Ok(())),
        ] {
            assert_eq!(validate(hyphens, ssn.as_bytes()), with, "{ssn} {hyphens:?}");
            assert_eq!(validate(hyphens, digits.as_bytes()), without, "{digits} {hyphens:?}");
        }
    }
}

#[test]
fn a_wrong_social_security_number_names_its_rule() {
    use Rejection::{Length, SsnArea, SsnForm, SsnGroup, SsnSerial};
    let table: [(&str, Rejection); 21] = [
        ("", Length),
        ("000-12-3456", SsnArea),
        ("666-12-3456", SsnArea),
        ("900-12-3456", SsnArea),
        ("987-65-4320", SsnArea), // kept for advertisements
        ("999-99-9999", SsnArea),
        ("000123456", SsnArea),
        ("123-00-4567", SsnGroup),
        ("123-45-0000", SsnSerial),
        ("123450000", SsnSerial),
        ("123-45-678", SsnForm),
        ("12345678", SsnForm),
        ("123-45-67890", SsnForm),
        ("12-345-6789", SsnForm),
        ("123-456789", SsnForm),
        ("123 45 6789", SsnForm),
        ("123-45-678a", SsnForm),
        ("123456789\n", SsnForm),
        ("123-45-67８9", SsnForm),
        (" 123456789", SsnForm),
        ("-12-34-5678", SsnForm),
    ];
    for (value, expected) in table {
        assert_eq!(validate(Hyphens::Optional, value.as_bytes()), Err(expected), "{value}");
    }
}

#[test]
fn every_area_is_judged_by_its_number_alone() {
    for area in 0..1000 {
        let given = area != 0 && area != 666 && area < 900;
        let ssn = format!("{area:03}-01-0001");
        assert_eq!(validate(Hyphens::Required, ssn.as_bytes()).is_ok(), given, "{ssn}");
    }
}

#[test]
fn a_social_security_number_is_equal_with_hyphens_and_without() {
    for hyphens in ALL {
        let rule = Rule::us_ssn(hyphens);
        assert_eq!(rule.canonical(b"055-09-0001").expose(), b"055090001");
        assert_eq!(rule.canonical(b"055090001").expose(), b"055090001");
    }
}
