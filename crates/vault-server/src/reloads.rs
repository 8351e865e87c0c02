//! What became of the times that catalog and policies were read anew from files, for measurements. What serves, and
//! since when, the engine knows.

use std::sync::{Mutex, PoisonError};

/// What was said of reading catalog and policies anew since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reloads {
    /// The fingerprint of the rules that served when the files were refused last, until files are taken or found to be
    /// what serves.
    refused_beside: Option<String>,
    /// How many times they brought something new.
    pub(crate) done: u64,
    /// How many times they were refused.
    pub(crate) refusals: u64,
}

impl Reloads {
    /// Whether the files were refused while the rules with this fingerprint served. Rules that were applied by a call
    /// since then are others: nobody waits for the files any more.
    pub(crate) fn is_refused(&self, serving: &str) -> bool {
        self.refused_beside.as_deref() == Some(serving)
    }
}

/// The same, where it is counted.
#[derive(Debug, Default)]
pub(crate) struct ReloadCount(Mutex<Reloads>);

impl ReloadCount {
    /// The count at this moment.
    pub(crate) fn get(&self) -> Reloads {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files can be used, and brought something new or not.
    pub(crate) fn taken(&self, is_new: bool) {
        let mut reloads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.refused_beside = None;
        reloads.done += u64::from(is_new);
    }

    /// The files can't be used, or may not, while the rules with this fingerprint serve.
    pub(crate) fn refused(&self, serving: String) {
        let mut reloads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reloads.refused_beside = Some(serving);
        reloads.refusals += 1;
    }
}
