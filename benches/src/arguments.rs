//! The command line of a benchmark.
//!
//! `cargo bench -p vault-benches --bench end_to_end -- tokenize --rounds 3` measures the cases whose names hold
//! "tokenize", three rounds of each; `=tokenize` those whose names begin with it. Arguments of cargo's own
//! test harness are passed over.

use std::{path::PathBuf, time::Duration};

use crate::Failure;

/// What a benchmark was asked to do.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Whether to measure; otherwise every part is gone through once.
    pub measured: bool,
    /// Rounds of each case, where the benchmark's own number is not wanted.
    pub rounds: Option<usize>,
    /// How long one run of a case lasts, where the benchmark's own time is not wanted.
    pub run: Option<Duration>,
    /// Runs the vault alone, without its floor: for profiling.
    pub alone: bool,
    /// Sends a bound access token with every call, and not a certificate alone.
    pub bound: bool,
    /// Another build of the same benchmark, whose vault takes the floor's place: two builds compared within one run.
    pub against: Option<PathBuf>,
    /// Entries of the log that is asked, where the benchmark's own number is not wanted.
    pub entries: Option<u64>,
    /// Where such a log is kept, and used again if it is there.
    pub keep: Option<PathBuf>,
    /// Parts of names, or beginnings behind a `=`; a case is run if its name has one of them, or if there are none.
    pub only: Vec<String>,
}

impl Arguments {
    /// Reads the process's arguments.
    ///
    /// # Errors
    /// When a number is none.
    pub fn read() -> Result<Self, Failure> {
        let mut read = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--bench" => read.measured = true,
                "--alone" => read.alone = true,
                "--bound" => read.bound = true,
                "--against" => read.against = Some(value()?.into()),
                "--entries" => read.entries = Some(value()?.parse()?),
                "--keep" => read.keep = Some(value()?.into()),
                "--rounds" => read.rounds = Some(value()?.parse()?),
                "--seconds" => read.run = Some(Duration::try_from_secs_f64(value()?.parse()?)?),
                other if other.starts_with('-') => {}
                other => read.only.push(other.to_owned()),
            }
        }
        Ok(read)
    }

    /// Whether a case is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        let has = |part: &String| match part.strip_prefix('=') {
            Some(beginning) => name.starts_with(beginning),
            None => name.contains(part.as_str()),
        };
        self.only.is_empty() || self.only.iter().any(has)
    }

    /// Rounds of each case.
    #[must_use]
    pub fn rounds(&self, usual: usize) -> usize {
        if self.measured { self.rounds.unwrap_or(usual).max(1) } else { 1 }
    }

    /// How long one run of a case lasts.
    #[must_use]
    pub fn run(&self, usual: Duration) -> Duration {
        if self.measured { self.run.unwrap_or(usual) } else { Duration::from_millis(20) }
    }

    /// `measured` when measuring, `tiny` otherwise.
    #[must_use]
    pub fn size(&self, measured: usize, tiny: usize) -> usize {
        if self.measured { measured } else { tiny }
    }
}
