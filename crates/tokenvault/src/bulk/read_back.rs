//! A file read and written again with its own values in their places: what tests hold the readers to.

use std::io::Cursor;

use crate::{
    bulk::rows::{Format, Row, Rows, Shape, replace},
    exit::Failure,
};

use super::ColumnRule;

/// What came of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadBack {
    /// The values of the columns, in the order of the file.
    pub values: Vec<Vec<u8>>,
    /// The rows that could be read, with each value written anew in its place.
    pub written: Vec<u8>,
    /// How many rows could not.
    pub faulty: usize,
}

/// Reads `input` as CSV with this delimiter, or as JSON Lines where there is none, and writes it again.
///
/// # Errors
/// With what a user would be told, if it is no file of that kind or lacks a column.
pub fn read_back(input: &[u8], delimiter: Option<u8>, columns: &[&str]) -> Result<ReadBack, String> {
    let rule = |name: &&str| ColumnRule::parse(&format!("{name}=any"));
    let shape = Shape {
        format: if delimiter.is_some() { Format::Csv } else { Format::Jsonl },
        delimiter: delimiter.unwrap_or(b','),
        keep_empty: true,
        columns: columns.iter().map(rule).collect::<Result<_, _>>()?,
    };
    let said = |failure: Failure| failure.message().to_owned();
    let mut rows = Rows::open(Cursor::new(input), shape.clone()).map_err(said)?;
    let mut back = ReadBack { values: Vec::new(), written: rows.head().to_vec(), faulty: 0 };
    loop {
        let batch = rows.next_batch().map_err(said)?;
        let mut items = batch.items.into_iter().map(|item| item.value.to_vec());
        for row in &batch.rows {
            let of_row: Vec<Vec<u8>> = items.by_ref().take(places(row)).collect();
            let places = row.places.as_deref().unwrap_or_default();
            let replacements = places.iter().zip(of_row.iter().map(Vec::as_slice));
            let before = back.written.len();
            if row.places.is_err() || replace(row, &shape, replacements, &mut back.written).is_err() {
                back.written.truncate(before);
                back.faulty += 1;
            } else {
                back.values.extend(of_row);
            }
        }
        if batch.is_last {
            return Ok(back);
        }
    }
}

fn places(row: &Row) -> usize {
    row.places.as_ref().map_or(0, Vec::len)
}
