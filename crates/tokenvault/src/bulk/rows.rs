//! Rows of a file, in batches whose values fit one call. A row stays as it was read; what is replaced is known by where
//! it stands.

use std::{
    io::{BufRead, BufReader, Chain, Cursor, Read},
    ops::Range,
};

use vault_domain::{DataClass, limits};
use vault_ledger::{TreeHash, leaf_hash, node_hash};
use zeroize::Zeroizing;

use crate::{
    bulk::{
        columns::{self, ColumnRule},
        delimited::{self, Scan},
        encoding,
        json::{self, Found, Pointer},
    },
    exit::{Exit, Failure},
};

/// One row, with its line ends: bounds the memory that a quote takes which is never closed.
pub(crate) const ROW_BYTES_MAX: usize = limits::REQUEST_BYTES_MAX;
/// Bytes of the rows of one batch: far below one request, so that several open calls stay small.
const BATCH_BYTES_MAX: usize = limits::REQUEST_BYTES_MAX / 2;
/// Rows of one batch, for files whose rows have nothing to send.
const BATCH_ROWS_MAX: usize = limits::BATCH_ITEMS_MAX;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Cells with a delimiter between them, behind a row of names
    Csv,
    /// One JSON object a line
    Jsonl,
}

/// Why a row can't be sent. Holds nothing of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) remedy: &'static str,
    /// The index of the rule whose column it is about.
    pub(crate) column: Option<usize>,
}

impl Fault {
    pub(crate) const fn malformed(rule: &'static str, remedy: &'static str) -> Self {
        Self { reason: "ROW_MALFORMED", rule, remedy, column: None }
    }

    fn about(column: usize, reason: &'static str, rule: &'static str, remedy: &'static str) -> Self {
        Self { reason, rule, remedy, column: Some(column) }
    }

    fn missing(column: usize) -> Self {
        Self::about(column, "VALUE_MISSING", "", "give it a value; --keep-empty leaves what is empty as it is")
    }
}

const WIDTH: Fault = Fault::malformed("cells", "give the row as many cells as there are names in the first row");
const NUL: Fault = Fault::malformed("nul", "take the NUL bytes out of the row");

/// A value to be sent.
pub(crate) struct Item {
    pub(crate) class: DataClass,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

/// Where a value stands that is to be replaced.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The index of the rule.
    pub(crate) column: usize,
    /// In the row, with its quotes.
    pub(crate) span: Range<usize>,
    quoted: bool,
}

/// A row as it was read.
pub(crate) struct Row {
    /// From 1, without the row of names. A line without anything has the number of the row before it.
    pub(crate) number: u64,
    /// The line of the file on which it begins, from 1.
    pub(crate) line: u64,
    /// With its line end.
    pub(crate) raw: Zeroizing<Vec<u8>>,
    /// A line without anything: it is written as it is, and is no row.
    pub(crate) blank: bool,
    /// What is to be replaced, in the order of the row; or what is wrong with the row.
    pub(crate) places: Result<Vec<Place>, Fault>,
}

/// Some rows, and their values in order.
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) items: Vec<Item>,
    /// Stands for everything that was read so far, to the end of these rows.
    pub(crate) digest: TreeHash,
    /// Whether nothing follows: it need not be full then, and may be empty.
    pub(crate) is_last: bool,
}

/// What a file is made of.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    /// Between the cells of CSV.
    pub(crate) delimiter: u8,
    pub(crate) keep_empty: bool,
    pub(crate) columns: Vec<ColumnRule>,
}

/// Where the columns are.
enum Layout {
    /// The indexes of cells, rising, and for each that of its rule; how many cells a row has.
    Csv {
        cells: Vec<usize>,
        rules: Vec<usize>,
        width: usize,
    },
    Jsonl(Vec<Pointer>),
}

/// Reads rows.
pub(crate) struct Rows<R> {
    input: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    shape: Shape,
    layout: Layout,
    /// The byte order mark and the row of names, as they were read.
    head: Vec<u8>,
    digest: TreeHash,
    number: u64,
    /// The lines that were read.
    lines: u64,
    /// A row that was read and did not fit into the batch before.
    waiting: Option<Row>,
}

impl<R: Read> Rows<R> {
    /// Looks at how the file begins, and finds the columns.
    pub(crate) fn open(mut input: R, shape: Shape) -> Result<Self, Failure> {
        columns::check_count(&shape.columns)?;
        let mut begin = Vec::new();
        input.by_ref().take(encoding::SIGNATURE_BYTES as u64).read_to_end(&mut begin).map_err(unreadable)?;
        let mark = encoding::recognise(&begin)?;
        let rest = begin.split_off(mark);
        let input = BufReader::with_capacity(READ_BYTES, Cursor::new(rest).chain(input));
        let layout = match shape.format {
            Format::Csv => Layout::Csv { cells: Vec::new(), rules: Vec::new(), width: 0 },
            Format::Jsonl => Layout::Jsonl(columns::pointers(&shape.columns)?),
        };
        let digest = leaf_hash(&[]);
        let mut rows = Self { input, shape, layout, head: begin, digest, number: 0, lines: 0, waiting: None };
        // What is no text may have no line end that we know, and would be read as one long row.
        encoding::check_no_nul(rows.input.fill_buf().map_err(unreadable)?)?;
        if rows.shape.format == Format::Csv {
            rows.read_names()?;
        }
        rows.digest = leaf_hash(&rows.head);
        Ok(rows)
    }

    /// What stands before the rows, as it was read.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Stands for everything that was handed out so far.
    pub(crate) fn digest(&self) -> TreeHash {
        self.digest
    }

    /// The next rows. The same file is cut the same way each time.
    pub(crate) fn next_batch(&mut self) -> Result<Batch, Failure> {
        let mut batch = Batch { rows: Vec::new(), items: Vec::new(), digest: self.digest, is_last: true };
        let mut bytes = 0_usize;
        while let Some(row) = self.next_row()? {
            let places = row.places.as_deref().unwrap_or_default();
            let full = batch.items.len() + places.len() > limits::BATCH_ITEMS_MAX
                || batch.rows.len() >= BATCH_ROWS_MAX
                || bytes.saturating_add(row.raw.len()) > BATCH_BYTES_MAX;
            if full && !batch.rows.is_empty() {
                self.waiting = Some(row);
                batch.is_last = false;
                break;
            }
            bytes = bytes.saturating_add(row.raw.len());
            for place in places {
                if let Some(rule) = self.shape.columns.get(place.column) {
                    let value = Zeroizing::new(self.decode(&row.raw, place));
                    batch.items.push(Item { class: rule.class.clone(), value });
                }
            }
            self.digest = node_hash(&self.digest, &leaf_hash(&row.raw));
            batch.rows.push(row);
        }
        batch.digest = self.digest;
        Ok(batch)
    }

    fn decode(&self, raw: &[u8], place: &Place) -> Vec<u8> {
        match self.shape.format {
            Format::Csv => delimited::Cell { index: 0, span: place.span.clone(), quoted: place.quoted }.decode(raw),
            Format::Jsonl => json::decode(raw, &place.span).unwrap_or_default().into_bytes(),
        }
    }

    fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        if let Some(row) = self.waiting.take() {
            return Ok(Some(row));
        }
        let line = self.lines + 1;
        let mut raw = Zeroizing::new(Vec::new());
        let (blank, places) = match &self.layout {
            Layout::Jsonl(pointers) => {
                read_line(&mut self.input, &mut raw, &mut self.lines)?;
                let text = raw.trim_ascii();
                (text.is_empty(), json_places(&raw, text.is_empty(), pointers, self.shape.keep_empty))
            }
            Layout::Csv { cells, rules, width } => {
                let mut scan = Scan::new(self.shape.delimiter, Some(cells));
                read_cells(&mut self.input, &mut raw, &mut self.lines, &mut scan)?;
                let blank = raw.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                (blank, csv_places(&raw, &scan, *width, (cells, rules), self.shape.keep_empty))
            }
        };
        if raw.is_empty() {
            return Ok(None);
        }
        self.number += u64::from(!blank);
        let places = if blank { Ok(Vec::new()) } else { places };
        Ok(Some(Row { number: self.number, line, raw, blank, places }))
    }

    /// Reads the row of names of CSV.
    fn read_names(&mut self) -> Result<(), Failure> {
        let mut raw = Vec::new();
        let mut scan = Scan::new(self.shape.delimiter, None);
        read_cells(&mut self.input, &mut raw, &mut self.lines, &mut scan)?;
        encoding::check_names(&raw)?;
        if raw.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Failure::usage("the input has no row of names on its first line"));
        }
        if let Some(fault) = &scan.fault {
            let text = match fault.rule {
                "carriage_return" => "its lines end in CR alone; convert the file first: tr '\\r' '\\n'",
                _ => fault.remedy,
            };
            let unread = || Failure::usage(format!("the input's row of names can't be read: {text}"));
            return Err(columns::wrong_delimiter(&raw, scan.width, self.shape.delimiter).unwrap_or_else(unread));
        }
        let names: Vec<_> = scan.cells.iter().map(|cell| cell.decode(&raw)).collect();
        let located = columns::locate(&self.shape.columns, &names, self.shape.delimiter)?;
        let (cells, rules) = located.into_iter().unzip();
        self.layout = Layout::Csv { cells, rules, width: scan.width };
        self.head.extend_from_slice(&raw);
        Ok(())
    }
}

/// The row with what takes the places; what is wrong with a replacement that the format can't hold.
pub(crate) fn replace<'a>(
    row: &Row,
    shape: &Shape,
    replacements: impl Iterator<Item = (&'a Place, &'a [u8])>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut written = 0;
    for (place, value) in replacements {
        out.extend_from_slice(row.raw.get(written..place.span.start).unwrap_or_default());
        written = place.span.end;
        match shape.format {
            Format::Csv => delimited::encode(value, shape.delimiter, place.quoted, out),
            Format::Jsonl => {
                let text = std::str::from_utf8(value).map_err(|_| {
                    Fault::about(
                        place.column,
                        "VALUE_NOT_TEXT",
                        "utf8",
                        "write it to a CSV file: JSON holds UTF-8 alone",
                    )
                })?;
                json::encode(text, out);
            }
        }
    }
    out.extend_from_slice(row.raw.get(written..).unwrap_or_default());
    Ok(())
}

/// Appends one line with its end; nothing at the end of the file.
fn read_line(input: &mut impl BufRead, raw: &mut Vec<u8>, lines: &mut u64) -> Result<(), Failure> {
    let room = (ROW_BYTES_MAX + 1).saturating_sub(raw.len()) as u64;
    let read = input.take(room).read_until(b'\n', raw).map_err(unreadable)?;
    *lines += u64::from(read > 0);
    if raw.len() > ROW_BYTES_MAX && raw.last() != Some(&b'\n') {
        return Err(Failure::new(
            Exit::Failure,
            format!("line {lines} of the input is longer than {} MiB, which is the most", ROW_BYTES_MAX >> 20),
        ));
    }
    Ok(())
}

/// Reads a row of CSV, which may have several lines; nothing at the end of the file.
fn read_cells(
    input: &mut impl BufRead,
    raw: &mut Vec<u8>,
    lines: &mut u64,
    scan: &mut Scan<'_>,
) -> Result<(), Failure> {
    let first_line = *lines + 1;
    loop {
        let from = raw.len();
        let read = read_line(input, raw, lines);
        let ended = read.is_ok() && scan.feed(raw, from);
        if ended || (read.is_ok() && raw.is_empty()) {
            return Ok(());
        }
        let is_all = raw.len() == from;
        if is_all && scan.finish(raw.len()) {
            return Ok(());
        }
        if is_all || read.is_err() || raw.len() > ROW_BYTES_MAX {
            let Some(at) = scan.open_quote else { return read };
            let before = raw.get(..at).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64;
            let where_to = if is_all {
                "at the end of the file".to_owned()
            } else {
                format!("{} MiB later, which is the longest row", ROW_BYTES_MAX >> 20)
            };
            return Err(Failure::new(
                Exit::Failure,
                format!(
                    "line {} of the input: a quote opens a cell there and is not closed {where_to}; close it, or put \
                     the cell in quotes and double the quotes inside of it",
                    first_line + before
                ),
            ));
        }
    }
}

/// Where the values of a line stand.
fn json_places(raw: &[u8], blank: bool, pointers: &[Pointer], keep_empty: bool) -> Result<Vec<Place>, Fault> {
    if blank {
        return Ok(Vec::new());
    }
    // A list of rows on one line is no row: its values would pass unseen where missing ones are let be.
    if raw.trim_ascii_start().first() != Some(&b'{') {
        return Err(json::NO_OBJECT);
    }
    let mut places = Vec::with_capacity(pointers.len());
    for (column, found) in json::scan(raw, pointers)?.into_iter().enumerate() {
        match found {
            Some(Found::Text(span)) if span.len() > 2 => {
                check_length(column, span.len())?;
                places.push(Place { column, span, quoted: true });
            }
            Some(Found::Other) => {
                let remedy = "make it a string, as a token is one: only strings are replaced";
                return Err(Fault::about(column, "VALUE_NOT_TEXT", "string", remedy));
            }
            None | Some(Found::Text(_) | Found::Null) if keep_empty => {}
            None | Some(Found::Text(_) | Found::Null) => return Err(Fault::missing(column)),
        }
    }
    places.sort_unstable_by_key(|place| place.span.start);
    Ok(places)
}

/// Where the values of a row stand.
fn csv_places(
    raw: &[u8],
    scan: &Scan<'_>,
    width: usize,
    (cells, rules): (&[usize], &[usize]),
    keep_empty: bool,
) -> Result<Vec<Place>, Fault> {
    if let Some(fault) = &scan.fault {
        return Err(fault.clone());
    }
    if raw.contains(&0) {
        return Err(NUL);
    }
    if scan.width != width {
        return Err(WIDTH);
    }
    let mut places = Vec::with_capacity(cells.len());
    for (cell, column) in scan.cells.iter().zip(rules) {
        let empty = cell.span.is_empty() || (cell.quoted && cell.span.len() == 2);
        if !empty {
            check_length(*column, cell.span.len())?;
            places.push(Place { column: *column, span: cell.span.clone(), quoted: cell.quoted });
        } else if !keep_empty {
            return Err(Fault::missing(*column));
        }
    }
    Ok(places)
}

/// Refuses what the vault would refuse together with all that stands in the same call. Written, a value is up to six
/// times as long as it is; the vault looks at the rest.
fn check_length(column: usize, written: usize) -> Result<(), Fault> {
    if written > limits::VALUE_BYTES_MAX * 6 + 2 {
        return Err(Fault::about(column, "VALUE_TOO_LARGE", "", "send at most 64 KiB"));
    }
    Ok(())
}

fn unreadable(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("the input can't be read: {error}"))
}
