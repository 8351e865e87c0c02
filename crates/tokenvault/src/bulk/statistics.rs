//! What became of a file.

use std::time::Duration;

use serde_json::{Value, json};
use vault_client::CallMade;

use crate::{latency::Latencies, output::grouped};

/// Counts of one run. `rows_in` is the sum of `rows_out` and `rows_rejected`.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) rows_rejected: u64,
    /// Cells that were replaced.
    pub(crate) values: u64,
    /// Tokens that are new; the others were given again.
    pub(crate) created: u64,
    pub(crate) calls: u64,
    /// Attempts of these calls.
    pub(crate) attempts: u64,
    /// Calls that were made again because others got in between; not among `calls`.
    pub(crate) conflicts: u64,
    pub(crate) latencies: Latencies,
    pub(crate) took: Duration,
}

impl Statistics {
    pub(crate) fn count_calls(&mut self, calls: &[CallMade]) {
        for call in calls {
            self.calls += 1;
            self.attempts += u64::from(call.attempts);
            self.latencies.add(call.took);
        }
    }

    pub(crate) fn rows_per_second(&self) -> u64 {
        per_second(self.rows_in, self.took)
    }

    pub(crate) fn values_per_second(&self) -> u64 {
        per_second(self.values, self.took)
    }

    /// For a progress bar.
    pub(crate) fn speed(&self) -> String {
        format!("{} rows/s", grouped(self.rows_per_second()))
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "rows_in": self.rows_in,
            "rows_out": self.rows_out,
            "rows_rejected": self.rows_rejected,
            "values": self.values,
            "tokens_created": self.created,
            "calls": self.calls,
            "attempts": self.attempts,
            "conflicts": self.conflicts,
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
            "rows_per_second": self.rows_per_second(),
            "values_per_second": self.values_per_second(),
            "call_p50_ms": millis(self.latencies.percentile(50)),
            "call_p99_ms": millis(self.latencies.percentile(99)),
        })
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
