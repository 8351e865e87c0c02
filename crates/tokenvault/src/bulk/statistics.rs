//! What became of a file.

use std::{collections::BTreeMap, io::Write, time::Duration};

use serde_json::{Map, Value, json};
use vault_client::CallMade;

use crate::{
    bulk::{Direction, columns::ColumnRule},
    latency::Latencies,
    output::{self, Output, grouped},
};

/// Counts of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnCounts {
    /// Values that were replaced in rows that were written.
    pub(crate) values: u64,
    /// Tokens that are new; the others were given again.
    pub(crate) created: u64,
    /// Values that the vault refused.
    pub(crate) refused: u64,
    /// Values of which a mask was revealed.
    pub(crate) masked: u64,
}

/// Counts of a job, over all its runs but for what is said of a run. `rows_in` is the sum of `rows_out` and
/// `rows_rejected`.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rows_rejected: u64,
    /// Values that were replaced.
    pub(crate) values: u64,
    /// Tokens that are new; the others were given again.
    pub(crate) created: u64,
    /// Tokens that were given for rows that were rejected for another of their values.
    pub(crate) unused: u64,
    /// In the order of the rules.
    pub(crate) columns: Vec<ColumnCounts>,
    /// Rejected rows by their first reason.
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) calls: u64,
    /// Attempts of these calls.
    pub(crate) attempts: u64,
    /// The rows that were done before this run.
    pub(crate) rows_before: u64,
    values_before: u64,
    /// Of this run.
    pub(crate) latencies: Latencies,
    /// Of this run.
    pub(crate) took: Duration,
}

impl Statistics {
    /// What is wrong where rows were let through and a column had no value in any of them: its name is most likely not
    /// the one that the file has, and the values went by in clear.
    pub(crate) fn unseen(&self, rules: &[ColumnRule]) -> Option<String> {
        let counted = rules.iter().zip(&self.columns);
        let unseen = counted.filter(|(_, counts)| counts.values == 0 && counts.refused == 0);
        let names: Vec<String> = unseen.map(|(rule, _)| format!("{:?}", rule.name)).collect();
        (self.rows_in > self.rows_rejected && !names.is_empty()).then(|| {
            format!(
                "no row has a value in {}: nothing was replaced there, and if the name is not the file's, its values \
                 stand in clear; names are compared letter by letter",
                names.join(", ")
            )
        })
    }

    pub(crate) fn of_columns(columns: usize) -> Self {
        Self { columns: vec![ColumnCounts::default(); columns], ..Self::default() }
    }

    pub(crate) fn count_calls(&mut self, calls: &[CallMade]) {
        for call in calls {
            self.calls += 1;
            self.attempts += u64::from(call.attempts);
            self.latencies.add(call.took);
        }
    }

    pub(crate) fn count_rejected(&mut self, reason: &str) {
        self.rows_rejected += 1;
        *self.refusals.entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn column(&mut self, index: usize, count: impl FnOnce(&mut ColumnCounts)) {
        if let Some(column) = self.columns.get_mut(index) {
            count(column);
        }
    }

    pub(crate) fn rows_per_second(&self) -> u64 {
        per_second(self.rows_in - self.rows_before, self.took)
    }

    pub(crate) fn values_per_second(&self) -> u64 {
        per_second(self.values - self.values_before, self.took)
    }

    /// For a progress bar.
    pub(crate) fn speed(&self) -> String {
        format!("{} rows/s", grouped(self.rows_per_second()))
    }

    /// What the next run of an unfinished job goes on counting from.
    pub(crate) fn keep(&self) -> Value {
        let columns: Vec<_> = self.columns.iter().map(|c| json!([c.values, c.created, c.refused, c.masked])).collect();
        json!({
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_rejected": self.rows_rejected,
            "values": self.values,
            "created": self.created,
            "unused": self.unused,
            "columns": columns,
            "refusals": self.refusals,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "calls": self.calls,
            "attempts": self.attempts,
        })
    }

    /// Reads what was kept.
    pub(crate) fn kept(kept: &Value) -> Option<Self> {
        let number = |name: &str| kept.get(name)?.as_u64();
        let column = |column: &Value| {
            let counts = column.as_array()?.iter().map(Value::as_u64).collect::<Option<Vec<_>>>()?;
            // A job that an older version began counts no masks, and has none.
            let (values, created, refused, masked) = match *counts {
                [values, created, refused] => (values, created, refused, 0),
                [values, created, refused, masked] => (values, created, refused, masked),
                _ => return None,
            };
            Some(ColumnCounts { values, created, refused, masked })
        };
        let refusals = kept.get("refusals")?.as_object()?.iter();
        Some(Self {
            rows_in: number("rows_in")?,
            rows_out: number("rows_out")?,
            rows_rejected: number("rows_rejected")?,
            values: number("values")?,
            created: number("created")?,
            unused: number("unused")?,
            columns: kept.get("columns")?.as_array()?.iter().map(column).collect::<Option<_>>()?,
            refusals: refusals.map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect::<Option<_>>()?,
            bytes_in: number("bytes_in")?,
            bytes_out: number("bytes_out")?,
            calls: number("calls")?,
            attempts: number("attempts")?,
            rows_before: number("rows_in")?,
            values_before: number("values")?,
            ..Self::default()
        })
    }

    /// Writes the counts in the form that was asked for.
    pub(crate) fn write(
        &self,
        mut out: impl Write,
        form: Output,
        direction: Direction,
        rules: &[ColumnRule],
    ) -> std::io::Result<()> {
        let mut summary = self.to_json(direction, rules);
        if form != Output::Table {
            return output::write_summary(out, form, &Value::Object(summary));
        }
        let columns = summary.remove("columns");
        let refusals = self.refusals.iter().map(|(name, count)| format!("{name} {count}"));
        summary.insert("refusals".to_owned(), refusals.collect::<Vec<_>>().join(", ").into());
        output::write_summary(&mut out, form, &Value::Object(summary))?;
        let rows = columns.as_ref().and_then(Value::as_array).into_iter().flatten().map(|column| {
            let cells = column.as_object().into_iter().flatten().map(|(_, cell)| cell);
            cells.map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned)).collect()
        });
        let titles = columns.as_ref().and_then(|columns| columns.get(0)).and_then(Value::as_object);
        let titles = titles.into_iter().flatten().map(|(name, _)| name.as_str());
        writeln!(out, "{}", output::table(titles, rows))?;
        out.flush()
    }

    fn to_json(&self, direction: Direction, rules: &[ColumnRule]) -> Map<String, Value> {
        let columns = rules.iter().zip(&self.columns).map(|(rule, counts)| {
            let mut column = json!({
                "column": rule.name,
                "class": rule.class.as_str(),
                "values": counts.values,
                "refused": counts.refused,
            });
            match (direction, column.as_object_mut()) {
                (Direction::Tokenize, Some(column)) => {
                    column.insert("created".to_owned(), json!(counts.created));
                    column.insert("given_again".to_owned(), json!(counts.values - counts.created));
                }
                (Direction::Detokenize, Some(column)) => {
                    column.insert("masked".to_owned(), json!(counts.masked));
                }
                (_, None) => {}
            }
            column
        });
        let summary = json!({
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_rejected": self.rows_rejected,
            "resumed_from_row": (self.rows_before > 0).then(|| self.rows_before + 1),
            "values": self.values,
            "tokens_created": self.created,
            "tokens_given_again": if direction == Direction::Tokenize { self.values - self.created } else { 0 },
            "tokens_unused": self.unused,
            "columns": columns.collect::<Vec<_>>(),
            "refusals": self.refusals,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "calls": self.calls,
            "attempts": self.attempts,
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "rows_per_second": self.rows_per_second(),
            "values_per_second": self.values_per_second(),
            "call_p50_ms": millis(self.latencies.percentile(50)),
            "call_p99_ms": millis(self.latencies.percentile(99)),
        });
        summary.as_object().cloned().unwrap_or_default()
    }
}

/// Milliseconds with one decimal.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn per_second(count: u64, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_goes_on_counting_where_it_was_cut() {
        let mut counted = Statistics::of_columns(2);
        counted.rows_in = 7;
        counted.values = 12;
        counted.count_rejected("VALUE_REJECTED");
        counted.column(1, |column| *column = ColumnCounts { values: 5, created: 4, refused: 1, masked: 2 });
        counted.column(9, |_| panic!("there is no such column"));
        let read = Statistics::kept(&counted.keep()).unwrap();
        assert_eq!(read.keep(), counted.keep());
        assert_eq!((read.rows_before, read.rows_per_second()), (7, 0));
        assert!(Statistics::kept(&json!({})).is_none());
    }
}
