//! A dry run: reads the whole input as a job would, sends nothing and writes no file.

use std::collections::HashSet;

use serde_json::json;
use vault_domain::limits;

use crate::{
    bulk::{
        Job,
        files::Files,
        rejects,
        rows::{Batch, Rows},
        statistics::Statistics,
    },
    exit::{Exit, Failure},
    output::{self, Output, grouped},
};

/// Faulty rows that are shown.
const FAULTS_SHOWN_MAX: usize = 10;

/// Counts what a job would send, and says what is wrong with the input.
pub(crate) fn run(job: &Job, files: &Files<'_>, form: Output) -> Result<Exit, Failure> {
    files.check()?;
    files.check_absent(job.overwrite)?;
    let mut rows = Rows::open(files.open()?, job.shape.clone())?;
    let mut statistics = Statistics::of_columns(job.shape.columns.len());
    statistics.bytes_in = rows.head().len() as u64;
    let mut faults = Vec::new();
    loop {
        let batch = rows.next_batch()?;
        count(&batch, job, &mut statistics, &mut faults);
        if batch.is_last {
            break;
        }
    }
    let columns = job
        .shape
        .columns
        .iter()
        .zip(&statistics.columns)
        .map(|(rule, counts)| json!({"column": rule.name, "class": rule.class.as_str(), "values": counts.values}));
    let summary = json!({
        "dry_run": true,
        "rows_in": statistics.rows_in,
        "rows_faulty": statistics.rows_rejected,
        "values": statistics.values,
        "columns": columns.collect::<Vec<_>>(),
        "faults": statistics.refusals,
        "bytes_in": statistics.bytes_in,
        "calls": statistics.calls,
    });
    output::write_summary(output::stdout(), form, &summary)?;
    output::note("nothing was sent and nothing was written: whether the vault takes the values is not known");
    if let Some(unseen) = statistics.unseen(&job.shape.columns) {
        return Err(Failure::new(Exit::Failure, unseen));
    }
    if statistics.rows_rejected == 0 {
        return Ok(Exit::Done);
    }
    let more = statistics.rows_rejected.saturating_sub(faults.len() as u64);
    let more = if more == 0 { String::new() } else { format!("\n  and {} more", grouped(more)) };
    let (count, shown) = (grouped(statistics.rows_rejected), faults.concat());
    Err(Failure::new(Exit::Failure, format!("{count} rows would be rejected for their form:{shown}{more}")))
}

/// Counts one batch.
fn count(batch: &Batch, job: &Job, statistics: &mut Statistics, faults: &mut Vec<String>) {
    let classes: HashSet<_> = batch.items.iter().map(|item| &item.class).collect();
    statistics.calls += classes.len().div_ceil(limits::REQUEST_CLASSES_MAX) as u64;
    statistics.values += batch.items.len() as u64;
    for row in &batch.rows {
        statistics.bytes_in += row.raw.len() as u64;
        statistics.rows_in += u64::from(!row.blank);
        match &row.places {
            Ok(places) => {
                for place in places {
                    statistics.column(place.column, |column| column.values += 1);
                }
            }
            Err(fault) => {
                statistics.count_rejected(fault.reason);
                if faults.len() < FAULTS_SHOWN_MAX {
                    let [_, line, column, reason, rule, remedy, ..] = rejects::faulty(row, fault, &job.shape.columns);
                    let words = [reason, rule, column].into_iter().filter(|word| !word.is_empty());
                    let words = words.collect::<Vec<_>>().join(" ");
                    faults.push(format!("\n  line {line}: {words}: {remedy}"));
                }
            }
        }
    }
}
