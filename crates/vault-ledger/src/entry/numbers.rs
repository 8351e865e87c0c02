//! Record numbers in the order of the items, as runs of consecutive numbers.
//!
//! # Layout
//!
//! A 2-byte count of runs, then each run as one or two compact numbers:
//!
//! 1. zigzag(first − expected) × 2 + (1 if the run is longer than one number), where *expected* is the number after the
//!    last one of the run before, or 0 for the first run, and zigzag maps 0, −1, 1, −2, … to 0, 1, 2, 3, …;
//! 2. only for a run longer than one number: its length − 2.
//!
//! Runs are as long as they can be: but for the first run, a difference of 0 is refused. Hence each sequence has
//! exactly one encoding. 1000 fresh numbers of one request take at most 10 bytes; a scattered number takes 5 bytes
//! while the region has fewer than 2^33 records, and never more than 8 (2^56: 57 bits of difference, sign and flag
//! beside).

use vault_domain::RecordNumber;

use crate::{
    bytes::{Reader, put_compact},
    error::LedgerError,
};

/// Consecutive record numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberRun {
    first: u64,
    last: u64,
}

impl NumberRun {
    /// The `length` numbers from `first` on; `None` if there is none or they pass the last number there is.
    #[must_use]
    pub fn new(first: RecordNumber, length: u64) -> Option<Self> {
        let last = first.get().checked_add(length.checked_sub(1)?)?;
        RecordNumber::new(last)?;
        Some(Self { first: first.get(), last })
    }

    /// Just this number.
    #[must_use]
    pub fn single(number: RecordNumber) -> Self {
        Self { first: number.get(), last: number.get() }
    }

    /// The lowest and the highest number.
    pub(crate) fn bounds(self) -> (u64, u64) {
        (self.first, self.last)
    }

    /// How many numbers, at least 1.
    #[must_use]
    pub fn length(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether `number` is one of them.
    #[must_use]
    pub fn contains(self, number: RecordNumber) -> bool {
        (self.first..=self.last).contains(&number.get())
    }

    /// The numbers, rising.
    pub fn numbers(self) -> impl Iterator<Item = RecordNumber> {
        (self.first..=self.last).filter_map(RecordNumber::new)
    }
}

/// A sequence of record numbers, in item order, kept as the longest possible runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NumberRuns(Vec<NumberRun>);

impl NumberRuns {
    /// The runs.
    #[must_use]
    pub fn runs(&self) -> &[NumberRun] {
        &self.0
    }

    /// How many numbers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum, run| sum.saturating_add(run.length()))
    }

    /// Whether `number` is among them.
    #[must_use]
    pub fn contains(&self, number: RecordNumber) -> bool {
        self.0.iter().any(|run| run.contains(number))
    }

    /// The numbers, in item order. A run can be long: take what is needed.
    pub fn numbers(&self) -> impl Iterator<Item = RecordNumber> {
        self.0.iter().flat_map(|run| run.numbers())
    }

    /// Passes over count and runs without looking into them.
    pub(crate) fn skip(from: &mut Reader<'_>) -> Result<(), LedgerError> {
        for _ in 0..from.u16()? {
            let is_long = from.skip_compact()?;
            if is_long {
                from.skip_compact()?;
            }
        }
        Ok(())
    }

    /// Reads count and runs.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, LedgerError> {
        let count = from.u16()?;
        let mut expected = 0;
        let mut runs = Vec::with_capacity(count.into());
        for index in 0..count {
            let run = read_run(from, expected)?;
            if index > 0 && run.first == expected {
                return Err(INVALID);
            }
            expected = run.last + 1;
            runs.push(run);
        }
        Ok(Self(runs))
    }
}

impl FromIterator<RecordNumber> for NumberRuns {
    fn from_iter<I: IntoIterator<Item = RecordNumber>>(numbers: I) -> Self {
        let mut runs: Vec<NumberRun> = Vec::new();
        for number in numbers {
            match runs.last_mut() {
                Some(run) if run.last + 1 == number.get() => run.last += 1,
                _ => runs.push(NumberRun::single(number)),
            }
        }
        Self(runs)
    }
}

const INVALID: LedgerError = LedgerError::FieldInvalid { field: "record numbers" };

fn read_run(from: &mut Reader<'_>, expected: u64) -> Result<NumberRun, LedgerError> {
    let word = from.compact("record numbers")?;
    let zigzag = word >> 1;
    let distance = (zigzag >> 1) + (zigzag & 1);
    let first = if zigzag & 1 == 0 { expected.checked_add(distance) } else { expected.checked_sub(distance) };
    let first = first.and_then(RecordNumber::new).ok_or(INVALID)?;
    let length = if word & 1 == 0 { 1 } else { from.compact("record numbers")? + 2 };
    NumberRun::new(first, length).ok_or(INVALID)
}

/// Writes runs as they come, joining those that follow each other, without keeping them.
#[derive(Default)]
pub(super) struct RunWriter {
    /// The run that may still grow.
    open: Option<NumberRun>,
    /// What the next run's first number is told against.
    expected: u64,
    /// Runs written or open.
    pub(super) runs: usize,
    /// Numbers taken.
    pub(super) total: u64,
}

impl RunWriter {
    pub(super) fn push(&mut self, out: &mut Vec<u8>, run: NumberRun) {
        self.total = self.total.saturating_add(run.length());
        match &mut self.open {
            Some(open) if open.last + 1 == run.first => open.last = run.last,
            _ => {
                self.flush(out);
                self.open = Some(run);
                self.runs += 1;
            }
        }
    }

    /// Writes the run that is still open.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        let Some(run) = self.open.take() else { return };
        let zigzag = if run.first >= self.expected {
            (run.first - self.expected) << 1
        } else {
            ((self.expected - run.first) << 1) - 1
        };
        let length = run.length();
        put_compact(out, zigzag << 1 | u64::from(length > 1));
        if length > 1 {
            put_compact(out, length - 2);
        }
        self.expected = run.last + 1;
    }
}
