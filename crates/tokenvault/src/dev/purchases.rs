//! The tour's input: real purchases, joined with card numbers and addresses that are nobody's.
//!
//! Who bought what and when is real (a music shop's customers of 1997 and 1998). Card numbers and e-mail addresses were
//! never published with it, so each customer gets made-up ones, always the same for the same customer:
//! - a card number of 16 digits that begins with 4000 00, the range that payment processors keep for test cards, with
//!   nine digits made from the customer's number and a valid check digit;
//! - an address under example.com, a name that is reserved for examples (RFC 2606).

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use crate::exit::Failure;

/// The columns of the joined file.
pub(crate) const COLUMNS: [&str; 6] = ["customer_id", "date", "cds", "dollars", "card_number", "email"];
/// What a test card begins with.
const CARD_PREFIX: &str = "400000";
/// Spreads customers over the nine digits: a factor without common divisors with 10^9, so that no two share a number.
const CARD_FACTOR: u64 = 618_033_989;
const CARD_SPACE: u64 = 1_000_000_000;

/// What was joined.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) rows: u64,
    pub(crate) customers: usize,
}

/// Reads the purchases and writes them as CSV, with card numbers and addresses.
pub(crate) fn join(input: &Path, output: &Path) -> Result<Joined, Failure> {
    let refuse = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", input.display()));
    let lines = BufReader::new(File::open(input).map_err(|error| refuse(&error))?).lines();
    let mut writer = csv::Writer::from_path(output).map_err(|error| Failure::file(output, error))?;
    let unwritable = |error: csv::Error| Failure::file(output, error);
    writer.write_record(COLUMNS).map_err(unwritable)?;
    let mut customers = HashSet::new();
    let mut rows = 0;
    // The first line names the columns.
    for (line, number) in lines.zip(1_u64..).skip(1) {
        let line = line.map_err(|error| refuse(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let strange = || refuse(&format!("line {number} is not: customer number, date, number of CDs, dollars"));
        let mut words = line.split_whitespace();
        let (Some(customer), Some(date), Some(cds), Some(dollars), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            return Err(strange());
        };
        let id: u64 = customer.parse().ok().filter(|id| *id < CARD_SPACE).ok_or_else(strange)?;
        let record = [customer, date, cds, dollars, &card_number(id), &format!("customer.{customer}@example.com")];
        writer.write_record(record).map_err(unwritable)?;
        customers.insert(id);
        rows += 1;
    }
    writer.flush().map_err(|error| Failure::file(output, error))?;
    if rows == 0 {
        Err(refuse(&"holds no purchase; `make demo-data` fetches a file that does"))
    } else {
        Ok(Joined { rows, customers: customers.len() })
    }
}

/// A customer's made-up card number.
fn card_number(customer: u64) -> String {
    let spread = u128::from(customer) * u128::from(CARD_FACTOR) % u128::from(CARD_SPACE);
    let body = format!("{CARD_PREFIX}{spread:09}");
    let check = (0..10).find(|check| luhn_holds(&format!("{body}{check}"))).unwrap_or_default();
    format!("{body}{check}")
}

/// Whether the check digit at the end of a card number is right (ISO/IEC 7812-1, annex B).
pub(crate) fn luhn_holds(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .zip(0..)
        .map(|(digit, place)| {
            let digit = u32::from(digit.wrapping_sub(b'0'));
            let doubled = if place % 2 == 1 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_valid_test_numbers_and_each_customers_own() {
        let cards: HashSet<_> = (0..30_000).map(card_number).collect();
        assert_eq!(cards.len(), 30_000);
        for card in &cards {
            assert!(card.len() == 16 && card.starts_with(CARD_PREFIX) && luhn_holds(card), "{card}");
        }
        assert_eq!(card_number(4711), card_number(4711));
        assert!(luhn_holds("4111111111111111") && !luhn_holds("4111111111111112"));
    }

    fn joined(text: &str) -> Result<(Joined, String), Failure> {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        std::fs::write(&input, text).unwrap();
        join(&input, &output).map(|joined| (joined, std::fs::read_to_string(&output).unwrap()))
    }

    #[test]
    fn every_purchase_is_joined() {
        let text = " customer_id  date number_of_cds  dollar_value\r\n 00001 19970101  1   11.77\r\n 00002 19970112 \
          5   \
                    77.00\r\n 00002 19970113  1   12.00\r\n";
        let (counted, csv) = joined(text).unwrap();
        assert_eq!(counted, Joined { rows: 3, customers: 2 });
        assert!(csv.starts_with("customer_id,date,cds,dollars,card_number,email\n00001,19970101,1,11.77,400000"));
        assert_eq!(csv.matches("customer.00002@example.com").count(), 2);
    }

    #[test]
    fn a_file_of_another_kind_is_refused_by_its_line() {
        assert!(joined("heading\n00001 19970101 1\n").unwrap_err().message().contains("line 2"));
        assert!(joined("heading\nabc 19970101 1 1.0\n").is_err());
        assert!(joined("heading\n").is_err());
    }
}
