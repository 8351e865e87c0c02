//! Percentiles, medians and spreads. Nothing is thrown away: no outlier, no first run.

use std::time::Duration;

/// The times that single calls took.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    nanos: Vec<u64>,
}

impl Latencies {
    /// With room for so many.
    #[must_use]
    pub fn with_capacity(calls: usize) -> Self {
        Self { nanos: Vec::with_capacity(calls) }
    }

    /// Notes one call.
    pub fn push(&mut self, took: Duration) {
        self.nanos.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes over the calls of another one.
    pub fn append(&mut self, mut other: Self) {
        self.nanos.append(&mut other.nanos);
    }

    /// How many calls there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nanos.len()
    }

    /// All of their times together.
    #[must_use]
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.nanos.iter().sum())
    }

    /// Whether there was none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nanos.is_empty()
    }

    /// The time in microseconds that `percent` of a hundred calls did not pass; zero if there was no call.
    #[must_use]
    pub fn percentile_us(&mut self, percent: usize) -> f64 {
        self.nanos.sort_unstable();
        let last = self.nanos.len().saturating_sub(1);
        let at = (self.nanos.len() * percent / 100).min(last);
        self.nanos.get(at).map_or(0.0, |nanos| *nanos as f64 / 1_000.0)
    }
}

/// The middle of several runs, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of several runs; zeros if there is none.
    #[must_use]
    pub fn of(runs: impl IntoIterator<Item = f64>) -> Self {
        let mut runs: Vec<f64> = runs.into_iter().collect();
        runs.sort_by(f64::total_cmp);
        let (upper, lower) = (runs.len() / 2, runs.len().saturating_sub(1) / 2);
        let at = |place: usize| runs.get(place).copied().unwrap_or(0.0);
        Self { median: f64::midpoint(at(lower), at(upper)), min: at(0), max: at(runs.len().saturating_sub(1)) }
    }
}

/// `count` in each second of `time`.
#[must_use]
pub fn per_second(count: u64, time: Duration) -> f64 {
    ratio(count as f64, time.as_secs_f64())
}

/// Microseconds of `time` for each of `count`.
#[must_use]
pub fn micros_each(time: Duration, count: u64) -> f64 {
    ratio(time.as_secs_f64() * 1e6, count as f64)
}

/// `part / whole`; zero for nothing of nothing.
#[must_use]
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_medians_are_what_their_names_say() {
        let mut calls = Latencies::default();
        assert_eq!(calls.percentile_us(99), 0.0);
        for micros in (1..=200).rev() {
            calls.push(Duration::from_micros(micros));
        }
        assert_eq!((calls.percentile_us(50), calls.percentile_us(99)), (101.0, 199.0));
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0]).median, 2.5);
        assert_eq!(Spread::of([]).median, 0.0);
    }
}
