//! The figures: an aligned table on standard output, and `bench/report.json` in the target folder.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

use crate::{
    Failure,
    arguments::Arguments,
    machine::{Machine, load},
    measure::Spread,
};

/// How commits are made durable, in every benchmark.
const DURABILITY: &str = "every commit: rows and log entry in one write, one fdatasync of the write-ahead log before \
     the answer; no compression";

/// One figure, with what it is compared to.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    floor: Option<f64>,
    ratio: Option<Spread>,
    goal: Option<(String, bool)>,
    details: Vec<(&'static str, f64, &'static str)>,
}

impl Figure {
    /// A figure alone.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, ..Self::default() }
    }

    /// What it is compared to, and how the two relate: the median of the runs' ratios, with their spread.
    #[must_use]
    pub fn against(mut self, floor: f64, ratio: Spread) -> Self {
        (self.floor, self.ratio) = (Some(floor), Some(ratio));
        self
    }

    /// What it should be, in words, and whether it is.
    #[must_use]
    pub fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = Some((goal.into(), met));
        self
    }

    /// Something else that is known of it.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: f64, unit: &'static str) -> Self {
        self.details.push((name, value, unit));
        self
    }

    fn json(&self) -> Vec<Value> {
        let mut figure = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("value".to_owned(), json!(self.value)),
            ("unit".to_owned(), json!(self.unit)),
            ("floor".to_owned(), json!(self.floor)),
            ("ratio".to_owned(), json!(self.ratio.map(|ratio| ratio.median))),
        ]);
        if let Some(ratio) = self.ratio {
            figure.insert("ratio_min".to_owned(), json!(ratio.min));
            figure.insert("ratio_max".to_owned(), json!(ratio.max));
        }
        if let Some((goal, met)) = &self.goal {
            figure.insert("goal".to_owned(), json!(goal));
            figure.insert("goal_met".to_owned(), json!(met));
        }
        let details = self.details.iter().map(|(name, value, unit)| {
            let name = format!("{}, {name}", self.name);
            json!({ "name": name, "value": value, "unit": unit, "floor": null, "ratio": null })
        });
        [Value::Object(figure)].into_iter().chain(details).collect()
    }
}

/// The figures of one benchmark.
pub struct Report {
    bench: &'static str,
    machine: Machine,
    notes: Map<String, Value>,
    figures: Vec<Figure>,
    measured: bool,
    /// Where the report file is; `None` if nothing goes there.
    path: Option<PathBuf>,
}

impl Report {
    /// Begins a report on what will run on the disk of `data`. `target_tmp` is cargo's folder for benchmarks
    /// (`CARGO_TARGET_TMPDIR`).
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn begin(bench: &'static str, arguments: &Arguments, data: &Path, target_tmp: &Path) -> Result<Self, Failure> {
        let machine = Machine::look(data);
        let mut out = io::stdout().lock();
        if arguments.measured {
            writeln!(out, "\n{bench}")?;
            writeln!(out, "  machine     {}, {} GiB, Linux {}", machine.processor, machine.memory_gib, machine.kernel)?;
            writeln!(out, "  disk        {}", machine.disk)?;
            writeln!(out, "  commit      {}", machine.commit)?;
            writeln!(out, "  load        {:.1} at the beginning", machine.load)?;
            writeln!(out, "  durability  {DURABILITY}")?;
        }
        // What was run in part, or against something else, does not take the place of a whole run.
        let whole = arguments.only.is_empty() && !arguments.alone && arguments.against.is_none();
        let path = target_tmp.parent().map(|target| target.join("bench/report.json")).filter(|_| whole);
        let (notes, figures, measured) = (Map::new(), Vec::new(), arguments.measured);
        Ok(Self { bench, machine, notes, figures, measured, path })
    }

    /// Notes something else that the figures rest on.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn note(&mut self, name: &str, text: String) -> Result<(), Failure> {
        if self.measured {
            writeln!(io::stdout().lock(), "  {name:<10}  {text}")?;
        }
        self.notes.insert(name.to_owned(), Value::String(text));
        Ok(())
    }

    /// Adds a figure, and tells on standard error that it is there.
    pub fn add(&mut self, figure: Figure) {
        if self.measured {
            // Who watches sees that it goes on; if nobody does, no harm is done.
            let _nobody_watches = writeln!(io::stderr(), "  {}: {} {}", figure.name, number(figure.value), figure.unit);
        }
        self.figures.push(figure);
    }

    /// Prints the table and puts the figures into the report file, in place of this benchmark's earlier ones.
    ///
    /// # Errors
    /// When either can't be written.
    pub fn finish(self) -> Result<(), Failure> {
        if !self.measured {
            return Ok(());
        }
        let load_end = load();
        let mut out = io::stdout().lock();
        writeln!(out, "  load        {load_end:.1} at the end\n")?;
        self.print(&mut out)?;
        let Some(path) = &self.path else { return Ok(()) };
        let figures: Vec<Value> = self.figures.iter().flat_map(Figure::json).collect();
        let Machine { processor, memory_gib, kernel, disk, commit, load } = &self.machine;
        let own = json!({
            "machine": { "processor": processor, "memory_gib": memory_gib, "kernel": kernel, "disk": disk },
            "commit": commit,
            "load_begin": load,
            "load_end": load_end,
            "durability": DURABILITY,
            "notes": self.notes,
            "figures": figures,
        });
        let mut all: Map<String, Value> =
            fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        all.insert(self.bench.to_owned(), own);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_vec_pretty(&all)?)?;
        writeln!(out, "\n  all of it in {}", path.display())?;
        Ok(())
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let head = ["", "value", "unit", "floor", "ratio", "lowest – highest", "goal"];
        let mut rows: Vec<([String; 7], String)> = vec![(head.map(str::to_owned), String::new())];
        for figure in &self.figures {
            let details = figure.details.iter().map(|(name, value, unit)| format!("{name} {} {unit}", number(*value)));
            let cells = [
                figure.name.clone(),
                number(figure.value),
                figure.unit.to_owned(),
                figure.floor.map_or_else(String::new, number),
                figure.ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.median)),
                figure.ratio.map_or_else(String::new, |ratio| format!("{:.3} – {:.3}", ratio.min, ratio.max)),
                figure
                    .goal
                    .as_ref()
                    .map_or_else(String::new, |(goal, met)| format!("{goal}: {}", if *met { "pass" } else { "FAIL" })),
            ];
            rows.push((cells, details.collect::<Vec<_>>().join(", ")));
        }
        let mut widths = [0; 7];
        for (row, _) in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for (row, details) in &rows {
            let cells: Vec<String> = row
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    1 | 3 | 4 => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                })
                .collect();
            writeln!(out, "  {}", cells.join("  ").trim_end())?;
            if !details.is_empty() {
                writeln!(out, "      {details}")?;
            }
        }
        Ok(())
    }
}

/// A number as people read it: thousands apart, and no more digits than mean something.
fn number(value: f64) -> String {
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::with_capacity(text.len() + 4);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_rounded_to_what_they_mean() {
        for (value, text) in [
            (0.0, "0"),
            (0.456, "0.46"),
            (12.34, "12.3"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1234.0, "-1,234"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_figure_and_its_details_have_the_five_fields() {
        let ratio = Spread { median: 0.5, min: 0.4, max: 0.6 };
        let figure = Figure::new("a", 1.0, "calls/s").against(2.0, ratio).goal("≥ 0.45", true).with("p50", 3.0, "µs");
        let values = figure.json();
        assert_eq!(values.len(), 2);
        for value in &values {
            for field in ["name", "value", "unit", "floor", "ratio"] {
                assert!(value.get(field).is_some(), "{field}");
            }
        }
        assert_eq!(values[1]["name"], "a, p50");
        assert_eq!((values[0]["ratio"].as_f64(), values[0]["goal_met"].as_bool()), (Some(0.5), Some(true)));
    }
}
