//! Apache Parquet: what JSON Lines holds, in typed columns, an entry a row.
//!
//! A column lies in one piece in its row group, so that a group is kept until it is full: encoded, where a name that
//! comes again costs a few bits. Nothing is compressed beyond that: what is long, hashes and ids, can't be.

use std::{
    fs::File,
    io::Write as _,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use parquet::{
    column::{
        page::{CompressedPage, PageWriteSpec, PageWriter},
        writer::{ColumnWriter, get_column_writer},
    },
    data_type::{ByteArray, FixedLenByteArray},
    errors::ParquetError,
    file::{
        metadata::ParquetMetaDataReader,
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr},
        writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite},
    },
    schema::{
        parser::parse_message_type,
        types::{ColumnDescPtr, ColumnPath},
    },
};
use vault_engine::Error;
use vault_proto::v1::{AccessLogEntry, AccessLogItems};

use super::json::summary;

/// Entries of one row group.
const GROUP_ROWS_MAX: u64 = 65_536;
/// Bytes of the first row groups before they are encoded, which makes them fewer.
const GROUP_BYTES: usize = 4 << 20;
/// After so many row groups the next ones are larger by as much again: a long file has no more row groups than its end
/// can list, and a short one none that are larger than need be.
const GROUPS_OF_A_SIZE: usize = 128;
/// Bytes, before they are encoded, that wait to be given to the encoders.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Row groups of one file, which then has 68 GiB before they are encoded. Its end lists them all, and is kept until
/// then: some 20 KB each.
const GROUPS_MAX: usize = 2048;
/// Bytes of a dictionary of one column, and of one page.
const PAGE_BYTES_MAX: usize = 256 << 10;

/// Numbers are signed: they stay far below 2^63, and many readers have no others.
const SCHEMA: &str = "message access_log {
    required int64 time (TIMESTAMP(MILLIS,true));
    required int64 wall_time (TIMESTAMP(MILLIS,true));
    required group receipt {
        required binary origin (STRING);
        required int64 index;
        required fixed_len_byte_array(32) leaf_hash;
        required fixed_len_byte_array(32) log_id;
    }
    required binary request_id (STRING);
    required binary tenant (STRING);
    required binary principal (STRING);
    required binary explained_principal (STRING);
    required binary certificate_sha256 (STRING);
    required binary identity_issuer (STRING);
    required binary source (STRING);
    required binary action (STRING);
    required binary decision (STRING);
    required binary reason (STRING);
    required binary purpose (STRING);
    required binary reference (STRING);
    required binary audience (STRING);
    required group policy_ids (LIST) { repeated group list { required binary element (STRING); } }
    required binary policy_version (STRING);
    required group items (LIST) { repeated group list { required group element {
        required binary data_class (STRING);
        required binary outcome (STRING);
        required binary level (STRING);
        required int64 count;
        required group record_numbers (LIST) { repeated group list { required int64 element; } }
        required group token_hashes (LIST) {
            repeated group list { required fixed_len_byte_array(16) element; }
        }
    } } }
    required int64 count;
    required binary summary (STRING);
}";

/// What never comes twice: a dictionary of it would be thrown away again.
const UNIQUE: [&[&str]; 3] = [&["receipt", "leaf_hash"], &["receipt", "index"], &["request_id"]];

/// Rows of a file, how many.
///
/// # Errors
/// When its end is none of Parquet's.
pub fn parquet_rows(file: &File) -> Result<u64, String> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file).map_err(|error| error.to_string())?;
    u64::try_from(metadata.file_metadata().num_rows()).map_err(|_| "it counts less than no rows".to_owned())
}

/// A file that is being written.
pub(crate) struct ParquetFile {
    file: SerializedFileWriter<Vec<u8>>,
    properties: WriterPropertiesPtr,
    columns: Vec<Column>,
    group_rows: u64,
    group_bytes: usize,
    waiting_bytes: usize,
}

impl ParquetFile {
    pub(super) fn begin() -> Result<Self, Error> {
        let begun = || {
            let mut properties = WriterProperties::builder()
                .set_created_by(concat!("tokenvault ", env!("CARGO_PKG_VERSION")).to_owned())
                .set_statistics_enabled(EnabledStatistics::Chunk)
                .set_offset_index_disabled(true)
                .set_dictionary_page_size_limit(PAGE_BYTES_MAX)
                .set_data_page_size_limit(PAGE_BYTES_MAX);
            for path in UNIQUE {
                let path = ColumnPath::from(path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
                properties = properties.set_column_dictionary_enabled(path, false);
            }
            let properties = Arc::new(properties.build());
            let schema = Arc::new(parse_message_type(SCHEMA)?);
            let file = SerializedFileWriter::new(Vec::new(), schema, properties.clone())?;
            let columns = file.schema_descr().columns().iter();
            let columns = columns.map(|column| Column::new(column.clone(), &properties)).collect();
            Ok(Self { file, properties, columns, group_rows: 0, group_bytes: 0, waiting_bytes: 0 })
        };
        begun().map_err(broken)
    }

    /// Puts an entry into its row group, and a row group that is full behind what is there.
    pub(super) fn put(&mut self, entry: &AccessLogEntry, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.file.flushed_row_groups().len() >= GROUPS_MAX {
            return Err(Error::field("until_index", "is more than a file of Parquet may hold: export it in parts"));
        }
        let mut put = || {
            let summary = summary(entry);
            let mut columns = self.columns.iter_mut();
            for leaf in leaves(entry, &summary) {
                let column = columns.next().ok_or_else(|| fault("the schema has fewer columns"))?;
                for cell in leaf {
                    self.waiting_bytes += column.put(cell)?;
                }
            }
            if columns.next().is_some() {
                return Err(fault("the schema has more columns"));
            }
            self.group_rows += 1;
            if self.waiting_bytes >= WAITING_BYTES_MAX {
                // Some milliseconds, a row group more: who else is served by this thread goes on elsewhere.
                tokio::task::block_in_place(|| self.encode())?;
            }
            if self.group_rows >= GROUP_ROWS_MAX
                || self.group_bytes >= group_bytes(self.file.flushed_row_groups().len())
            {
                tokio::task::block_in_place(|| self.end_group(out))?;
            }
            Ok(())
        };
        put().map_err(broken)
    }

    /// Puts the rest of the file behind what is there.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut end = || {
            if self.group_rows > 0 {
                self.end_group(out)?;
            }
            self.file.finish()?;
            out.append(self.file.inner_mut());
            Ok(())
        };
        end().map_err(broken)
    }

    fn encode(&mut self) -> Result<(), ParquetError> {
        self.group_bytes += mem::take(&mut self.waiting_bytes);
        self.columns.iter_mut().try_for_each(Column::encode)
    }

    fn end_group(&mut self, out: &mut Vec<u8>) -> Result<(), ParquetError> {
        self.encode()?;
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let fresh = Column::new(column.description.clone(), &self.properties);
            let Column { writer, pages, .. } = mem::replace(column, fresh);
            let closed = writer.close()?;
            let encoded = mem::replace(&mut *pages.lock(), TrackedWrite::new(Vec::new())).into_inner()?;
            group.append_column(&Bytes::from(encoded), closed)?;
        }
        group.close()?;
        (self.group_rows, self.group_bytes) = (0, 0);
        self.file.flush()?;
        out.append(self.file.inner_mut());
        Ok(())
    }
}

/// Bytes of the row group that follows so many.
fn group_bytes(groups: usize) -> usize {
    GROUP_BYTES * (1 + groups / GROUPS_OF_A_SIZE)
}

/// A value on its way into a column.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Text(&'a str),
    Hash(&'a [u8]),
}

/// A value, or where a list is empty none, with its repetition level (which list goes on with it; 0 for a new row) and
/// its definition level (how many of the lists around it have it).
type Cell<'a> = (i16, i16, Option<Value<'a>>);

/// What an entry puts into each column, in the order of the schema.
fn leaves<'a>(entry: &'a AccessLogEntry, summary: &'a str) -> Vec<Vec<Cell<'a>>> {
    let (text, number) = (|text: &'a str| vec![(0, 0, Some(Value::Text(text)))], |n| vec![(0, 0, Some(n))]);
    let (number, hash) = (move |n: u64| number(Value::Number(n)), move |hash| number(Value::Hash(hash)));
    let receipt = entry.receipt.as_ref();
    let items = entry.items.as_slice();
    vec![
        number(entry.log_time_ms),
        number(entry.wall_time_ms),
        text(receipt.map_or("", |receipt| &receipt.origin)),
        number(receipt.map_or(0, |receipt| receipt.index)),
        hash(receipt.map_or(&[], |receipt| &receipt.leaf_hash)),
        hash(receipt.map_or(&[], |receipt| &receipt.log_id)),
        text(&entry.request_id),
        text(&entry.tenant),
        text(&entry.principal),
        text(&entry.explained_principal),
        text(&entry.certificate_sha256),
        text(&entry.identity_issuer),
        text(&entry.source),
        text(&entry.action),
        text(&entry.decision),
        text(&entry.reason),
        text(&entry.purpose),
        text(&entry.reference),
        text(&entry.audience),
        list(entry.policy_ids.iter().map(|id| Value::Text(id))),
        text(&entry.policy_version),
        list(items.iter().map(|run| Value::Text(&run.data_class))),
        list(items.iter().map(|run| Value::Text(&run.outcome))),
        list(items.iter().map(|run| Value::Text(&run.level))),
        list(items.iter().map(|run| Value::Number(run.count.into()))),
        lists(items, |run| run.record_numbers.iter().map(|number| Value::Number(*number)).collect()),
        lists(items, |run| run.token_hashes.iter().map(|hash| Value::Hash(hash)).collect()),
        number(entry.count),
        text(summary),
    ]
}

fn list<'a>(values: impl Iterator<Item = Value<'a>>) -> Vec<Cell<'a>> {
    let cells: Vec<_> = values.enumerate().map(|(at, value)| (i16::from(at > 0), 1, Some(value))).collect();
    if cells.is_empty() { vec![(0, 0, None)] } else { cells }
}

fn lists<'a>(items: &'a [AccessLogItems], values: fn(&'a AccessLogItems) -> Vec<Value<'a>>) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    for (run, items) in items.iter().enumerate() {
        let (outer, values) = (i16::from(run > 0), values(items));
        if values.is_empty() {
            cells.push((outer, 1, None));
        }
        let repetition = |at| if at == 0 { outer } else { 2 };
        cells.extend(values.into_iter().enumerate().map(|(at, value)| (repetition(at), 2, Some(value))));
    }
    if cells.is_empty() { vec![(0, 0, None)] } else { cells }
}

/// A column of the row group that is being written.
struct Column {
    description: ColumnDescPtr,
    writer: ColumnWriter<'static>,
    pages: Pages,
    values: Values,
    repetitions: Vec<i16>,
    definitions: Vec<i16>,
}

/// Values that wait to be encoded.
enum Values {
    Numbers(Vec<i64>),
    Texts(Vec<ByteArray>),
    Hashes(Vec<FixedLenByteArray>),
}

impl Column {
    fn new(description: ColumnDescPtr, properties: &WriterPropertiesPtr) -> Self {
        let pages = Pages::default();
        let writer = get_column_writer(description.clone(), properties.clone(), Box::new(pages.clone()));
        let values = match &writer {
            ColumnWriter::ByteArrayColumnWriter(_) => Values::Texts(Vec::new()),
            ColumnWriter::FixedLenByteArrayColumnWriter(_) => Values::Hashes(Vec::new()),
            _ => Values::Numbers(Vec::new()),
        };
        Self { description, writer, pages, values, repetitions: Vec::new(), definitions: Vec::new() }
    }

    /// Returns how many bytes it took.
    fn put(&mut self, (repetition, definition, value): Cell<'_>) -> Result<usize, ParquetError> {
        self.repetitions.push(repetition);
        self.definitions.push(definition);
        let levels = 2 * size_of::<i16>();
        let Some(value) = value else { return Ok(levels) };
        match (&mut self.values, value) {
            (Values::Numbers(values), Value::Number(number)) => {
                values.push(i64::try_from(number).map_err(|_| fault("a number is beyond 2^63"))?);
                Ok(levels + size_of::<i64>())
            }
            (Values::Texts(values), Value::Text(text)) => {
                values.push(ByteArray::from(text));
                Ok(levels + size_of::<ByteArray>() + text.len())
            }
            (Values::Hashes(values), Value::Hash(hash)) => {
                if i32::try_from(hash.len()) != Ok(self.description.type_length()) {
                    return Err(fault("a hash has another length"));
                }
                values.push(ByteArray::from(hash.to_vec()).into());
                Ok(levels + size_of::<ByteArray>() + hash.len())
            }
            _ => Err(fault("a column is of another type")),
        }
    }

    fn encode(&mut self) -> Result<(), ParquetError> {
        let levels = |levels: &mut Vec<i16>, max: i16| {
            let levels = mem::take(levels);
            (max > 0).then_some(levels)
        };
        let definitions = levels(&mut self.definitions, self.description.max_def_level());
        let repetitions = levels(&mut self.repetitions, self.description.max_rep_level());
        let (definitions, repetitions) = (definitions.as_deref(), repetitions.as_deref());
        match (&mut self.writer, &mut self.values) {
            (ColumnWriter::Int64ColumnWriter(writer), Values::Numbers(values)) => {
                writer.write_batch(&mem::take(values), definitions, repetitions)?;
            }
            (ColumnWriter::ByteArrayColumnWriter(writer), Values::Texts(values)) => {
                writer.write_batch(&mem::take(values), definitions, repetitions)?;
            }
            (ColumnWriter::FixedLenByteArrayColumnWriter(writer), Values::Hashes(values)) => {
                writer.write_batch(&mem::take(values), definitions, repetitions)?;
            }
            _ => return Err(fault("a column is of another type")),
        }
        Ok(())
    }
}

/// The pages of one column, until its row group is written.
#[derive(Clone)]
struct Pages(Arc<Mutex<TrackedWrite<Vec<u8>>>>);

impl Default for Pages {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(TrackedWrite::new(Vec::new()))))
    }
}

impl Pages {
    fn lock(&self) -> MutexGuard<'_, TrackedWrite<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PageWriter for Pages {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        SerializedPageWriter::new(&mut *self.lock()).write_page(page)
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        Ok(self.lock().flush()?)
    }
}

fn fault(problem: &str) -> ParquetError {
    ParquetError::General(problem.to_owned())
}

/// It speaks of columns and lengths, of nothing that stands in them.
fn broken(error: ParquetError) -> Error {
    Error::because(vault_domain::Reason::Internal, error)
}
