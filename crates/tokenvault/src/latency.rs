//! Durations of many calls in little memory: a histogram whose buckets are at most 1/16 wide.

use std::time::Duration;

/// Buckets of one power of two.
const STEPS: u64 = 16;
/// The exponent from which on buckets are wider than a microsecond.
const EXACT_BITS: u32 = 4;
/// Buckets for all of `u64`.
const BUCKETS: usize = 61 * 16;

/// How long calls took.
#[derive(Debug)]
pub(crate) struct Latencies {
    buckets: Vec<u64>,
    count: u64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

impl Latencies {
    /// Counts one call.
    pub(crate) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket(micros)) {
            *bucket += 1;
            self.count += 1;
        }
    }

    /// The duration that `percent` of the calls did not pass; zero if there was none.
    pub(crate) fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(upper(index));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS {
        return usize::try_from(micros).unwrap_or_default();
    }
    let shift = micros.ilog2() - EXACT_BITS;
    let index = u64::from(shift) * STEPS + (micros >> shift);
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The largest duration of a bucket, in microseconds.
fn upper(index: usize) -> u64 {
    let index = u64::try_from(index).unwrap_or(u64::MAX);
    let shift = (index / STEPS).saturating_sub(1);
    let lowest = if index < STEPS { index } else { (index % STEPS + STEPS) << shift };
    lowest + ((1_u64 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_follow_each_other_and_hold_what_is_put_in() {
        for micros in (0..5000).chain([u64::MAX / 2, u64::MAX - 1, u64::MAX]) {
            let index = bucket(micros);
            assert!(index < BUCKETS, "{micros}");
            let (high, low) = (upper(index), if index == 0 { 0 } else { upper(index - 1) + 1 });
            assert!((low..=high).contains(&micros), "{micros} in {low}..={high}");
            assert!((high - low) as f64 <= micros as f64 / 16.0 + 1.0, "{micros}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_calls() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), Duration::ZERO);
        for millis in 1..=100 {
            latencies.add(Duration::from_millis(millis));
        }
        for percent in [1, 50, 99, 100] {
            let found = latencies.percentile(percent).as_secs_f64() * 1000.0;
            let exact = percent as f64;
            assert!(found >= exact && found <= exact * 1.07, "p{percent}: {found}");
        }
    }
}
