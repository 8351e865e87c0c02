//! The keys of issuers kept fresh: one task for each issuer, so that it is never asked twice at once.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use vault_domain::Clock;
use vault_identity::{Issuer, Issuers, JWKS_BYTES_MAX, KeySource};

use super::{fetch::Fetcher, file};

/// The least time between two questions to an issuer that tokens of unknown keys give rise to.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
/// How long a call waits for an answer to such a question.
const ASK_PATIENCE: Duration = Duration::from_secs(6);
/// After so many failures in a row, tokens give rise to no question any more until one succeeds.
const FAILURES_MAX: u32 = 5;
/// How long to wait after a failure: doubled with each, up to the second.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What keeps the keys of all issuers.
pub(super) struct Keepers {
    keepers: HashMap<String, Arc<Keeper>>,
}

/// How the questions to one issuer go.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When tokens last gave rise to one.
    asked: Option<Duration>,
    is_wanted: bool,
    is_under_way: bool,
    finished: u64,
    /// Failures in a row.
    failures: u32,
}

struct Keeper {
    issuer: Arc<Issuer>,
    source: Source,
    clock: Arc<dyn Clock>,
    state: watch::Sender<State>,
}

enum Source {
    File(PathBuf),
    Url { fetcher: Fetcher, refresh: Duration },
}

impl Keepers {
    /// One for each issuer; nothing is asked yet. Fails with the issuer and what is wrong with its settings.
    pub(super) fn prepare(issuers: &Issuers, clock: &Arc<dyn Clock>) -> Result<Self, (String, String)> {
        let mut keepers = HashMap::new();
        for issuer in issuers.all() {
            let source = match issuer.source() {
                KeySource::File(path) => Source::File(path.to_owned()),
                KeySource::Url(url) => {
                    let fetcher = Fetcher::new(url).map_err(|problem| (issuer.name().to_owned(), problem))?;
                    Source::Url { fetcher, refresh: url.refresh }
                }
            };
            let (state, _) = watch::channel(State::default());
            let (issuer, clock) = (issuer.clone(), clock.clone());
            let name = issuer.name().to_owned();
            keepers.insert(name, Arc::new(Keeper { issuer, source, clock, state }));
        }
        Ok(Self { keepers })
    }

    /// Begins to keep them.
    pub(super) fn start(&self, tasks: &mut JoinSet<()>) {
        for keeper in self.keepers.values() {
            tasks.spawn(keeper.clone().run());
        }
    }

    /// Asks an issuer for fresh keys because of a token. Whether an answer came, good or bad.
    pub(super) async fn ask(&self, issuer: &str) -> bool {
        match self.keepers.get(issuer) {
            Some(keeper) => keeper.ask().await,
            None => false,
        }
    }
}

impl Keeper {
    async fn run(self: Arc<Self>) {
        match &self.source {
            Source::File(path) => self.watch(path).await,
            Source::Url { fetcher, refresh } => self.refresh(fetcher, *refresh).await,
        }
    }

    /// Whoever comes while a question is under way waits for its answer; nobody starts a second one.
    async fn ask(&self) -> bool {
        if matches!(self.source, Source::File(_)) {
            return false;
        }
        let mut state = self.state.subscribe();
        let (before, now) = (*state.borrow(), self.clock.monotonic());
        if !before.is_under_way {
            let began = self.state.send_if_modified(|state| {
                let is_soon = state.asked.is_some_and(|asked| now.saturating_sub(asked) < ASK_INTERVAL);
                let may_begin = !is_soon && state.failures < FAILURES_MAX;
                if may_begin {
                    (state.asked, state.is_wanted) = (Some(now), true);
                }
                may_begin
            });
            // Another may have begun one a moment ago.
            let after = *self.state.borrow();
            let is_coming = after.is_wanted || after.is_under_way || after.finished > before.finished;
            if !began && !is_coming {
                return false;
            }
        }
        let answered = state.wait_for(|state| state.finished > before.finished);
        tokio::time::timeout(ASK_PATIENCE, answered).await.is_ok_and(|answered| answered.is_ok())
    }

    async fn refresh(&self, fetcher: &Fetcher, interval: Duration) {
        let mut wanted = self.state.subscribe();
        loop {
            self.state.send_modify(|state| (state.is_wanted, state.is_under_way) = (false, true));
            let taken = match fetcher.fetch().await {
                Ok(bytes) => self.issuer.take_keys(&bytes, self.clock.monotonic()).map_err(|error| error.to_string()),
                Err(problem) => Err(problem),
            };
            let failures = match &taken {
                Ok(_) => 0,
                Err(_) => self.state.borrow().failures.saturating_add(1),
            };
            self.tell(&taken, failures);
            self.state.send_modify(|state| {
                (state.is_under_way, state.finished, state.failures) = (false, state.finished + 1, failures);
            });
            let pause = match failures {
                0 => interval,
                // 2^6 s is more than a minute.
                _ => PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(PAUSE_MAX),
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _wanted = wanted.wait_for(|state| state.is_wanted) => {}
            }
        }
    }

    fn tell(&self, taken: &Result<usize, String>, failures: u32) {
        let (issuer, age) = (self.issuer.name(), self.issuer.keys_age(self.clock.monotonic()));
        match taken {
            Ok(keys) => tracing::debug!(issuer, keys, "an issuer's keys were fetched"),
            Err(problem) => {
                let age_seconds = age.map(|age| age.as_secs());
                tracing::warn!(issuer, failures, age_seconds, problem, "an issuer's keys could not be fetched");
            }
        }
    }

    /// What can't be used leaves the keys as they are.
    async fn watch(&self, path: &Path) {
        file::watch(path.to_owned(), JWKS_BYTES_MAX, |bytes| {
            let (issuer, taken) = (self.issuer.name(), self.issuer.take_keys(&bytes, self.clock.monotonic()));
            match taken {
                Ok(keys) => tracing::info!(issuer, keys, "an issuer's file of keys was read"),
                Err(error) => tracing::warn!(issuer, %error, "an issuer's file of keys can't be used"),
            }
        })
        .await;
    }
}
