//! What is written where: data to standard output, in the form that was asked for; messages to standard error.
//!
//! Colours are written as escapes and taken out again by anstream where they are not wanted (NO_COLOR, no terminal).

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

pub(crate) const BOLD: &str = "\x1b[1m";
pub(crate) const GREEN: &str = "\x1b[32m";
pub(crate) const YELLOW: &str = "\x1b[33m";
pub(crate) const RED: &str = "\x1b[31m";
pub(crate) const PLAIN: &str = "\x1b[0m";

/// Rows that one table holds; more go into a further table, so that memory stays bounded.
const TABLE_ROWS_MAX: usize = 1000;

/// The form of what goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
}

/// The choice of a form, shared by the commands.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct OutputArguments {
    /// How to write the result [default: table on a terminal, jsonl otherwise]
    #[arg(long, value_enum, env = "TOKENVAULT_OUTPUT", help_heading = "Output")]
    pub(crate) output: Option<Output>,
}

impl OutputArguments {
    pub(crate) fn form(self) -> Output {
        let default = if io::stdout().is_terminal() { Output::Table } else { Output::Jsonl };
        self.output.unwrap_or(default)
    }
}

/// A column of a table: its title, and the JSON pointer of what stands in it.
pub(crate) type Column = (&'static str, &'static str);

/// Writes records one after the other.
pub(crate) struct Records<W: Write> {
    out: W,
    form: Output,
    columns: &'static [Column],
    waiting: Vec<Vec<String>>,
    written: u64,
}

impl<W: Write> Records<W> {
    pub(crate) fn new(out: W, form: Output, columns: &'static [Column]) -> Self {
        Self { out, form, columns, waiting: Vec::new(), written: 0 }
    }

    pub(crate) fn push(&mut self, record: &Value) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match self.form {
            Output::Jsonl => writeln!(self.out, "{record}"),
            Output::Json => write!(self.out, "{}{record}", if first { "[\n" } else { ",\n" }),
            Output::Table => {
                let cell = |pointer: &str| record.pointer(pointer).map(text).unwrap_or_default();
                self.waiting.push(self.columns.iter().map(|(_, pointer)| cell(pointer)).collect());
                if self.waiting.len() >= TABLE_ROWS_MAX { self.write_table() } else { Ok(()) }
            }
        }
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        match self.form {
            Output::Jsonl => {}
            Output::Json if self.written == 0 => writeln!(self.out, "[]")?,
            Output::Json => writeln!(self.out, "\n]")?,
            Output::Table if self.waiting.is_empty() => {}
            Output::Table => self.write_table()?,
        }
        self.out.flush()
    }

    fn write_table(&mut self) -> io::Result<()> {
        let titles = self.columns.iter().map(|(title, _)| *title);
        writeln!(self.out, "{}", table(titles, self.waiting.drain(..)))
    }
}

/// A table for people.
pub(crate) fn table<T: Into<comfy_table::Cell>>(
    titles: impl Iterator<Item = T>,
    rows: impl Iterator<Item = Vec<String>>,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(titles.collect::<Vec<_>>());
    for row in rows {
        table.add_row(row);
    }
    table
}

/// One record of many fields: below each other for people, as an object otherwise.
pub(crate) fn write_summary(mut out: impl Write, form: Output, record: &Value) -> io::Result<()> {
    match form {
        Output::Json => writeln!(out, "{record:#}"),
        Output::Jsonl => writeln!(out, "{record}"),
        Output::Table => {
            let fields = record.as_object().into_iter().flatten();
            let width = fields.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
            fields.into_iter().try_for_each(|(name, value)| writeln!(out, "{name:width$}  {}", text(value)))
        }
    }?;
    // What waits in a buffer that is dropped is lost without a word.
    out.flush()
}

/// Adds a field to a record.
pub(crate) fn add(record: &mut Value, field: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = record {
        fields.insert(field.to_owned(), value.into());
    }
}

/// A value as people read it.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

/// Standard output, buffered; colours go where they are wanted.
pub(crate) fn stdout() -> io::BufWriter<anstream::AutoStream<io::Stdout>> {
    io::BufWriter::new(anstream::stdout())
}

/// Says what is wrong.
pub(crate) fn error(message: &str) {
    say(RED, "error", message);
}

/// Says what should be looked at.
pub(crate) fn warn(message: &str) {
    say(YELLOW, "warning", message);
}

/// Says something by the way.
pub(crate) fn note(message: &str) {
    say("", "note", message);
}

fn say(colour: &str, kind: &str, message: &str) {
    // Where standard error is gone, there is nobody left to tell.
    let _told = writeln!(anstream::stderr(), "{colour}{kind}:{PLAIN} {message}").is_ok();
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[Column] = &[("token", "/token"), ("problem", "/error/reason")];

    fn written(form: Output, records: &[Value]) -> String {
        let mut out = Vec::new();
        let mut writer = Records::new(&mut out, form, COLUMNS);
        records.iter().for_each(|record| writer.push(record).unwrap());
        writer.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn json_is_one_array_and_jsonl_one_object_a_line() {
        let records = [json!({"token": "tok_1"}), json!({"error": {"reason": "BUSY"}})];
        let json: Vec<Value> = serde_json::from_str(&written(Output::Json, &records)).unwrap();
        assert_eq!(json, records);
        assert_eq!(serde_json::from_str::<Vec<Value>>(&written(Output::Json, &[])).unwrap(), Vec::<Value>::new());
        let lines: Vec<Value> =
            written(Output::Jsonl, &records).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, records);
        assert_eq!(written(Output::Jsonl, &[]), "");
    }

    #[test]
    fn tables_show_the_columns_that_were_asked_for() {
        let table =
            written(Output::Table, &[json!({"token": "tok_1", "other": 1}), json!({"error": {"reason": "BUSY"}})]);
        assert!(table.contains("tok_1") && table.contains("BUSY") && table.contains("problem"), "{table}");
        assert!(!table.contains("other"), "{table}");
        assert_eq!(written(Output::Table, &[]), "");
    }

    #[test]
    fn long_tables_go_in_parts() {
        let records = vec![json!({"token": "t"}); TABLE_ROWS_MAX + 1];
        assert_eq!(written(Output::Table, &records).matches("problem").count(), 2);
    }

    #[test]
    fn summaries_line_up() {
        let mut out = Vec::new();
        write_summary(&mut out, Output::Table, &json!({"rows": 3, "longer_name": "x"})).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "rows         3\nlonger_name  x\n");
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0, 999, 1000, 69_659, 1_234_567].map(grouped), ["0", "999", "1,000", "69,659", "1,234,567"]);
    }
}
