//! One issuer at work: its settings, and the keys that it has now.

use std::{path::Path, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::{
    claims::{Explained, Gives},
    fault::Fault,
    keys::{KeySet, KeysFault},
    settings::{JwksUrl, Settings, Source},
    verify::Now,
};

/// Who vouches for callers.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) settings: Settings,
    keys: ArcSwapOption<Held>,
}

/// Where the keys of an issuer come from.
#[derive(Clone, Copy, Debug)]
pub enum KeySource<'a> {
    /// A file, which is read again when it changes.
    File(&'a Path),
    /// An address.
    Url(&'a JwksUrl),
}

/// Keys and when they were had, on the monotonic clock. `since` changes with the keys alone.
#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    had: Duration,
    since: Duration,
}

impl Issuer {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, keys: ArcSwapOption::empty() }
    }

    /// Its name in the vault: what stands before its principals, and in the log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Where its keys come from.
    #[must_use]
    pub fn source(&self) -> KeySource<'_> {
        match &self.settings.source {
            Source::File(path) => KeySource::File(path),
            Source::Url(url) => KeySource::Url(url),
        }
    }

    /// Takes keys that were had at `now`; how many there are.
    ///
    /// # Errors
    /// When they can't be used: those from before stay, as long as they may.
    pub fn take_keys(&self, bytes: &[u8], now: Duration) -> Result<usize, KeysFault> {
        let keys = KeySet::parse(bytes, &self.settings.algorithms)?;
        let count = keys.len();
        let held = match &*self.keys.load() {
            Some(held) if held.keys.same(&keys) => Held { keys: held.keys.clone(), had: now, since: held.since },
            _ => Held { keys: Arc::new(keys), had: now, since: now },
        };
        self.keys.store(Some(Arc::new(held)));
        Ok(count)
    }

    /// How old its keys are. None: it has none.
    #[must_use]
    pub fn keys_age(&self, now: Duration) -> Option<Duration> {
        self.keys.load().as_ref().map(|held| now.saturating_sub(held.had))
    }

    /// The keys that may be used now.
    pub(crate) fn keys(&self, now: Now) -> Result<Arc<KeySet>, Fault> {
        let held = self.keys.load();
        let held = held.as_ref().ok_or(Fault::KeysStale)?;
        let ages = matches!(self.settings.source, Source::Url(_));
        if ages && now.monotonic.saturating_sub(held.had) > self.settings.stale {
            return Err(Fault::KeysStale);
        }
        Ok(held.keys.clone())
    }

    pub(crate) fn key<'k>(&self, keys: &'k KeySet, kid: &str, algorithm: Algorithm) -> Result<&'k DecodingKey, Fault> {
        keys.find(kid, algorithm).ok_or(Fault::KeyUnknown)
    }

    /// Whether its rules can come to give this role or scope: one without a table can give any.
    #[must_use]
    pub fn can_give(&self, gives: Gives, word: &str) -> bool {
        self.settings.rules.can_give(gives, word)
    }

    /// What these claims would become, and why.
    pub(crate) fn explain(&self, claims: &Map<String, Value>) -> Explained {
        self.settings.rules.explain(&self.settings.name, claims)
    }
}
