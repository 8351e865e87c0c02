//! Rows of a CSV file, in batches whose cells fit one call.

use std::io::Read;

use csv::ByteRecord;
use vault_domain::{DataClass, limits};

use crate::{bulk::columns::Columns, exit::Failure};

/// Bytes of the cells of one batch: far below one request, so that several open calls stay small.
const BATCH_BYTES_MAX: usize = limits::REQUEST_BYTES_MAX / 2;
/// Rows of one batch, for files whose rows have no cell to send.
const BATCH_ROWS_MAX: usize = limits::BATCH_ITEMS_MAX;

/// A cell to be sent.
pub(crate) struct Item {
    pub(crate) class: DataClass,
    pub(crate) cell: Vec<u8>,
}

/// A row as it was read.
pub(crate) struct Row {
    /// From 1, without the row of names.
    pub(crate) number: u64,
    /// The line of the file on which it begins.
    pub(crate) line: u64,
    pub(crate) cells: ByteRecord,
}

/// Some rows, and their cells in order.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) rows: Vec<Row>,
    pub(crate) items: Vec<Item>,
}

/// Reads rows.
pub(crate) struct Rows<R> {
    reader: csv::Reader<R>,
    header: ByteRecord,
    columns: Columns,
    keep_empty: bool,
    number: u64,
    /// A row that was read and did not fit into the batch before.
    waiting: Option<Row>,
}

impl<R: Read> Rows<R> {
    /// Reads the row of names; `locate` finds the columns in it.
    pub(crate) fn read(
        input: R,
        delimiter: u8,
        keep_empty: bool,
        locate: impl FnOnce(&ByteRecord) -> Result<Columns, Failure>,
    ) -> Result<Self, Failure> {
        // Rows of another length are read, so that they can be rejected one by one.
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(input);
        let header = reader.byte_headers().map_err(unreadable)?.clone();
        let columns = locate(&header)?;
        Ok(Self { reader, header, columns, keep_empty, number: 0, waiting: None })
    }

    pub(crate) fn header(&self) -> &ByteRecord {
        &self.header
    }

    /// The next rows; an empty batch at the end.
    pub(crate) fn next_batch(&mut self) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        let mut bytes = 0_usize;
        while let Some(row) = self.next_row()? {
            let cells = self.sent(&row).count();
            let length = row.cells.as_slice().len();
            let full = batch.items.len() + cells > limits::BATCH_ITEMS_MAX
                || batch.rows.len() >= BATCH_ROWS_MAX
                || bytes.saturating_add(length) > BATCH_BYTES_MAX;
            if full && !batch.rows.is_empty() {
                self.waiting = Some(row);
                break;
            }
            bytes = bytes.saturating_add(length);
            let items = self.sent(&row).map(|(column, cell)| Item { class: column.class.clone(), cell: cell.to_vec() });
            batch.items.extend(items);
            batch.rows.push(row);
        }
        Ok(batch)
    }

    fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        if let Some(row) = self.waiting.take() {
            return Ok(Some(row));
        }
        let mut cells = ByteRecord::new();
        if !self.reader.read_byte_record(&mut cells).map_err(unreadable)? {
            return Ok(None);
        }
        self.number += 1;
        let line = cells.position().map_or(0, csv::Position::line);
        Ok(Some(Row { number: self.number, line, cells }))
    }

    /// Whether the row has as many cells as there are names.
    pub(crate) fn is_whole(&self, row: &Row) -> bool {
        row.cells.len() == self.columns.width()
    }

    /// The cells of a row that are sent, with their columns.
    pub(crate) fn sent<'a>(
        &'a self,
        row: &'a Row,
    ) -> impl Iterator<Item = (&'a crate::bulk::columns::Column, &'a [u8])> {
        let whole = self.is_whole(row);
        let cell = |column: &crate::bulk::columns::Column| row.cells.get(column.index).unwrap_or_default();
        let columns = self.columns.iter().filter(move |column| whole && !(self.keep_empty && cell(column).is_empty()));
        columns.map(move |column| (column, cell(column)))
    }
}

fn unreadable(error: csv::Error) -> Failure {
    Failure::new(crate::exit::Exit::Failure, format!("the input can't be read: {error}"))
}
