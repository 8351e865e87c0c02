//! All witnesses of the policy, asked in rounds: every round takes the newest checkpoint of one log to each witness, so
//! that their cosignatures come together on one and the same.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::task::JoinSet;
use vault_domain::{Clock, limits};
use vault_engine::{
    Note, OutsideLog, SignedCheckpoint, Standing, VerifierKey, WITNESS_POLICY_BYTES_MAX, WitnessPolicy,
};

use super::{
    WitnessesConfig,
    witness::{Outcome, Witness},
};
use crate::{
    config::ConfigError,
    http_client::{Endpoint, tls_by},
    regular_file,
};

/// A witness is asked at least so often, news or not: its cosignature says that this was the newest at a time.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How long to leave a witness alone after a failure: doubled with each, up to the second.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The witnesses, and whose word suffices.
pub(crate) struct Quorum {
    policy: WitnessPolicy,
    /// By their places in the policy.
    witnesses: Vec<Arc<Witness>>,
    required_at_start: bool,
    directory: PathBuf,
    clock: Arc<dyn Clock>,
}

/// One log as its witnesses know it.
pub(crate) struct Watched {
    log: String,
    witnessed: ArcSwapOption<Box<str>>,
    /// Where the newest checkpoint that meets the policy is kept.
    file: PathBuf,
    /// One for each witness, then one for all of them together.
    each: Vec<Arc<Standing>>,
    together: Arc<Standing>,
}

/// How the questions to one witness go.
#[derive(Clone, Copy, Debug, Default)]
struct Course {
    /// How far the witness is.
    known: u64,
    /// Failures in a row.
    failures: u32,
    /// It is not asked before.
    not_before: Duration,
}

impl Quorum {
    /// Reads the policy and the authorities.
    pub(super) fn open(
        config: &WitnessesConfig,
        directory: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let path = &config.policy;
        let file = |source| ConfigError::File { path: path.clone(), source };
        let metadata = regular_file::check(path).map_err(file)?;
        if metadata.len() > u64::try_from(WITNESS_POLICY_BYTES_MAX).unwrap_or(u64::MAX) {
            return Err(file(std::io::ErrorKind::FileTooLarge.into()));
        }
        let refuse = |problem: String| ConfigError::Key { key: "witnesses.policy", problem };
        let text = fs::read_to_string(path).map_err(file)?;
        let fault = |fault| refuse(format!("{}: {fault}", path.display()));
        let policy = WitnessPolicy::parse(&text).map_err(fault)?;
        if policy.witnesses().is_empty() {
            return Err(refuse(format!("{}: names no witness", path.display())));
        }
        let mut witnesses = Vec::new();
        for witness in policy.witnesses() {
            let (name, key) = (witness.name.clone(), witness.key.clone());
            let about = format!("{}: the address of the witness {name}", path.display());
            let url = witness.url.as_deref().ok_or_else(|| refuse(format!("{about} is missing")))?;
            let own = ["http://127.0.0.1:", "http://[::1]:"].iter().any(|own| url.starts_with(own));
            if !own && !url.starts_with("https://") {
                return Err(refuse(format!("{about} must be https, or http on this machine itself")));
            }
            let tls = match (own, config.authorities.is_empty()) {
                (true, _) => None,
                (false, true) => {
                    let problem = "must name the authorities of the witnesses' certificates".to_owned();
                    return Err(ConfigError::Key { key: "witnesses.ca", problem });
                }
                (false, false) => {
                    let authorities = config.authorities.iter().map(PathBuf::as_path);
                    let tls = tls_by("witnesses.ca", authorities);
                    Some(tls.map_err(refuse)?.with_no_client_auth())
                }
            };
            let endpoint = Endpoint::new(&about, url, tls).map_err(refuse)?;
            witnesses.push(Arc::new(Witness { name, key, endpoint }));
        }
        let (required_at_start, clock) = (config.required_at_start, clock.clone());
        Ok(Self { policy, witnesses, required_at_start, directory: directory.to_owned(), clock })
    }

    /// Asks each witness about the newest checkpoint that is stored of each log.
    pub(super) async fn speaks_against(&self, logs: &[OutsideLog]) -> Result<(), String> {
        let mut asked = JoinSet::new();
        for log in logs {
            let newest = log.checkpoints().borrow().clone();
            // Of a log without a checkpoint no witness can know one: its key was made just now.
            let Some(newest) = newest else { continue };
            for witness in &self.witnesses {
                let (log, newest, witness) = (log.clone(), newest.clone(), witness.clone());
                asked.spawn(async move {
                    let outcome = witness.ask(&log, &newest, &mut 0).await;
                    (witness.name.clone(), log.verifier_key().origin().to_string(), newest.size, outcome)
                });
            }
        }
        // All of them, so that the store is held by nobody here when the start is refused.
        let mut refused = None;
        for (witness, log, size, outcome) in asked.join_all().await {
            let problem = match outcome {
                Outcome::Cosigned(_) => continue,
                Outcome::Ahead(known) => format!(
                    "the witness {witness} has cosigned {known} entries of the log {log}, and the newest checkpoint in \
                     the store covers {size}: the data directory is an old copy; restore the newest one instead of \
                     serving this one"
                ),
                Outcome::Contradicted => format!(
                    "the log {log} does not continue what the witness {witness} has cosigned of it: the data directory \
                     was changed, or belongs to another history; restore the one that the witness knows"
                ),
                Outcome::Failed(problem) if self.required_at_start => format!(
                    "the witness {witness} could not be asked about the log {log}, and witnesses.require_at_start is \
                     \"on\": {problem}"
                ),
                Outcome::Failed(problem) => {
                    tracing::error!(
                        witness,
                        log,
                        problem,
                        "a witness could not be asked at the start: an old copy of the log could not be told from it"
                    );
                    continue;
                }
            };
            refused.get_or_insert(problem);
        }
        refused.map_or(Ok(()), Err)
    }

    /// Takes new checkpoints of a log to the witnesses, until the journal ends.
    pub(super) async fn follow(self: Arc<Self>, log: OutsideLog, watched: Arc<Watched>) {
        let mut checkpoints = log.checkpoints();
        let mut courses = vec![Course::default(); self.witnesses.len()];
        loop {
            let newest = checkpoints.borrow_and_update().clone();
            if let Some(newest) = newest {
                self.round(&log, &newest, &mut courses, &watched).await;
            }
            tokio::time::sleep(limits::CHECKPOINT_INTERVAL).await;
            let now = self.clock.monotonic();
            let pauses = courses.iter().filter(|course| course.failures > 0);
            let next = pauses.map(|course| course.not_before.saturating_sub(now)).min().unwrap_or(HEARTBEAT);
            tokio::select! {
                changed = checkpoints.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(next.min(HEARTBEAT)) => {}
            }
        }
    }

    /// Asks every witness that is not left alone now.
    async fn round(&self, log: &OutsideLog, newest: &Arc<SignedCheckpoint>, courses: &mut [Course], watched: &Watched) {
        let now = self.clock.monotonic();
        let mut asked = JoinSet::new();
        watched.together.offered(newest.size);
        for (at, ((witness, course), standing)) in
            self.witnesses.iter().zip(courses.iter()).zip(&watched.each).enumerate()
        {
            standing.offered(newest.size);
            if course.not_before > now {
                continue;
            }
            let (witness, log, newest, mut known) = (witness.clone(), log.clone(), newest.clone(), course.known);
            asked.spawn(async move {
                let outcome = witness.ask(&log, &newest, &mut known).await;
                (at, known, outcome)
            });
        }
        let (mut cosigned, mut lines) = (Vec::new(), Vec::new());
        while let Some(answered) = asked.join_next().await {
            let Ok((at, known, outcome)) = answered else { continue };
            let (Some(course), Some(standing)) = (courses.get_mut(at), watched.each.get(at)) else { continue };
            course.known = known;
            match outcome {
                Outcome::Cosigned(line) => {
                    (course.failures, course.not_before) = (0, Duration::ZERO);
                    standing.accepted(newest.size);
                    cosigned.push(at);
                    lines.push(line);
                    // What suffices is given out before the slowest has answered.
                    if self.policy.is_met(&cosigned) {
                        watched.keep(newest, &lines).await;
                    }
                    continue;
                }
                Outcome::Ahead(size) => standing.failed(format!(
                    "it has cosigned {size} entries, more than there are: this log is an old copy, or has two histories"
                )),
                Outcome::Contradicted => standing
                    .failed("this log does not continue what it has cosigned: it was changed, or has two histories"),
                Outcome::Failed(problem) => standing.failed(problem),
            }
            course.failures = course.failures.saturating_add(1);
            // 2^6 s is more than a minute.
            let pause = PAUSE.saturating_mul(1 << course.failures.saturating_sub(1).min(6)).min(PAUSE_MAX);
            course.not_before = self.clock.monotonic().saturating_add(pause);
        }
        if cosigned.is_empty() || !self.policy.is_met(&cosigned) {
            watched.together.failed("fewer witnesses than witnesses.policy asks for cosigned the newest checkpoint");
        }
    }
}

impl Watched {
    /// With the checkpoint that was kept before, if it still verifies and meets the policy.
    pub(super) fn open(quorum: &Quorum, log: &OutsideLog) -> Self {
        let file = quorum.directory.join(format!("{}.witnessed", log.name()));
        let kept = match vault_engine::read_note(&file) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(%error, file = %file.display(), "the witnessed checkpoint can't be read");
                None
            }
        };
        let kept = kept.filter(|kept| is_witnessed(kept, &quorum.policy, log.verifier_key()));
        let standing = |kind, place: &str| Arc::new(Standing::new(kind, place, log.name(), quorum.clock.clone()));
        let each = quorum.witnesses.iter().map(|witness| standing("witness", &witness.name)).collect();
        let witnessed = ArcSwapOption::from(kept.map(|kept| Arc::new(kept.into_boxed_str())));
        let together = standing("quorum", "witnesses.policy");
        Self { log: log.name().to_owned(), witnessed, file, each, together }
    }

    pub(super) fn log(&self) -> &str {
        &self.log
    }

    /// The newest checkpoint that meets the policy.
    pub(super) fn witnessed(&self) -> Option<Arc<str>> {
        self.witnessed.load().as_ref().map(|note| Arc::from(&***note))
    }

    pub(super) fn standings(&self) -> impl Iterator<Item = &Arc<Standing>> {
        self.each.iter().chain([&self.together])
    }

    /// Keeps a checkpoint with the cosignatures that meet the policy.
    async fn keep(&self, newest: &SignedCheckpoint, lines: &[String]) {
        let mut note = newest.note.clone();
        for line in lines {
            note.push_str(line);
            note.push('\n');
        }
        self.witnessed.store(Some(Arc::new(note.clone().into_boxed_str())));
        self.together.accepted(newest.size);
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || vault_engine::write_note(&file, &note)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, file = %self.file.display(), "a witnessed checkpoint can't be kept in its file");
        }
    }
}

/// Whether a note is a checkpoint of this log that meets the policy.
fn is_witnessed(note: &str, policy: &WitnessPolicy, log: &VerifierKey) -> bool {
    let Ok(parsed) = Note::parse(note) else { return false };
    let witnesses = policy.witnesses().iter().enumerate();
    let cosigned: Vec<usize> =
        witnesses.filter(|(_, witness)| witness.key.verify(&parsed).is_ok()).map(|(at, _)| at).collect();
    vault_engine::Checkpoint::open(note, log).is_ok() && !cosigned.is_empty() && policy.is_met(&cosigned)
}
