//! CSV: where the cells of a row stand (RFC 4180, with a choice of delimiter and of line ends). Nothing is written
//! anew: what is not replaced stays byte for byte as it was.

use std::ops::Range;

use crate::bulk::rows::Fault;

/// A cell that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// From 0.
    pub(crate) index: usize,
    /// With its quotes.
    pub(crate) span: Range<usize>,
    pub(crate) quoted: bool,
}

impl Cell {
    /// What it holds.
    pub(crate) fn decode(&self, row: &[u8]) -> Vec<u8> {
        let raw = row.get(self.span.clone()).unwrap_or_default();
        match raw.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).filter(|_| self.quoted) {
            None => raw.to_vec(),
            Some(inner) => {
                let mut value = Vec::with_capacity(inner.len());
                let mut is_second = false;
                for byte in inner {
                    is_second = *byte == b'"' && !is_second;
                    if *byte != b'"' || is_second {
                        value.push(*byte);
                    }
                }
                value
            }
        }
    }
}

/// Writes a cell; in quotes if it stood in quotes before, or could not be read otherwise.
pub(crate) fn encode(value: &[u8], delimiter: u8, quoted: bool, out: &mut Vec<u8>) {
    let special = |byte: &u8| matches!(*byte, b'"' | b'\r' | b'\n') || *byte == delimiter;
    if !quoted && !value.iter().any(special) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'"');
    for byte in value {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

const BARE_CR: Fault = Fault::malformed("carriage_return", "put the cell that holds a carriage return in quotes");
const BEHIND_QUOTE: Fault =
    Fault::malformed("quote", "end a cell in quotes with its last quote, and double the quotes inside of it");

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first byte of a cell.
    Begin,
    Plain,
    Quoted,
    /// Behind a quote inside of a cell in quotes: it ends there, or the quote is doubled.
    Closed,
}

/// Goes through one row, piece by piece: a row may have several lines.
pub(crate) struct Scan<'a> {
    delimiter: u8,
    /// The cells to be found, rising; `None` for all.
    wanted: Option<&'a [usize]>,
    state: State,
    begin: usize,
    quoted: bool,
    /// Where a carriage return stands outside of quotes.
    carriage_return: Option<usize>,
    /// The cells that were asked for.
    pub(crate) cells: Vec<Cell>,
    /// How many cells there are.
    pub(crate) width: usize,
    /// What is wrong with the row, which is read to its end nevertheless.
    pub(crate) fault: Option<Fault>,
    /// Where the quote stands that is open.
    pub(crate) open_quote: Option<usize>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(delimiter: u8, wanted: Option<&'a [usize]>) -> Self {
        Self {
            delimiter,
            wanted,
            state: State::Begin,
            begin: 0,
            quoted: false,
            carriage_return: None,
            cells: Vec::new(),
            width: 0,
            fault: None,
            open_quote: None,
        }
    }

    /// Goes on with `row` from `from`, which is where the last call ended, up to its end: a line end or the end of the
    /// file. Whether the row ends there.
    pub(crate) fn feed(&mut self, row: &[u8], from: usize) -> bool {
        for (at, byte) in row.iter().copied().enumerate().skip(from) {
            if self.carriage_return.is_some() && byte != b'\n' {
                self.fault.get_or_insert(BARE_CR);
            }
            match (self.state, byte) {
                (State::Begin, b'"') => {
                    self.state = State::Quoted;
                    self.quoted = true;
                    self.open_quote = Some(at);
                }
                (State::Quoted, b'"') => self.state = State::Closed,
                (State::Closed, b'"') => self.state = State::Quoted,
                (State::Quoted, _) => {}
                (_, byte) if byte == self.delimiter => self.end_cell(at),
                (_, b'\n') => {
                    self.end_cell(self.carriage_return.unwrap_or(at));
                    return true;
                }
                (_, b'\r') => self.carriage_return = Some(at),
                (State::Closed, _) => {
                    self.fault.get_or_insert(BEHIND_QUOTE);
                    self.state = State::Plain;
                }
                (State::Begin | State::Plain, _) => self.state = State::Plain,
            }
        }
        false
    }

    /// Ends the row at the end of the file; `false` if a quote is still open.
    pub(crate) fn finish(&mut self, length: usize) -> bool {
        if self.state == State::Quoted {
            return false;
        }
        self.end_cell(self.carriage_return.unwrap_or(length));
        true
    }

    fn end_cell(&mut self, at: usize) {
        if self.wanted.is_none_or(|wanted| wanted.binary_search(&self.width).is_ok()) {
            self.cells.push(Cell { index: self.width, span: self.begin..at, quoted: self.quoted });
        }
        self.width += 1;
        self.begin = at + 1;
        self.state = State::Begin;
        self.quoted = false;
        self.open_quote = None;
    }
}

#[cfg(test)]
mod tests;
