//! Putting the engine together: stores, keys, journals, policies; and taking it apart in good order.

use std::{collections::HashMap, fs, io, num::NonZeroU32, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use vault_crypto::CallRandom;
use vault_domain::{
    Action, Clock, DataClass, Decision, Entropy, Reason, Region, RequestId, SteadyTime, VaultId, limits,
};
use vault_journal::{FIRST_LIFE, Journal, JournalError, Parts, Submission};
use vault_keys::{KeysError, NodeKeys, RegionKeys, RootKey};
use vault_ledger::{LedgerError, Origin, SealedPart, Signer};
use vault_policy::PolicySet;
use vault_store::{
    Batch, Identity, Memory, Options, ReadError, Recovery, Scope, Store, WriteError, table::Entries, wait,
};

use crate::{
    Engine, at_rest,
    classes::ClassesInUse,
    deny::DenyList,
    error::Error as EngineError,
    node::{Node, plain_entry},
    outside::{self, OutsideLog, Standing},
    pace::Pacer,
    region::RegionVault,
    replay::{NonceBook, ReplayRules},
    retention::{Retention, RetentionFault},
    rules::{Rules, Settled},
    versions::{self, PolicyVersion, RuleTexts, Versions, VersionsError},
};

/// What an engine is made of.
pub struct EngineConfig {
    /// The vault's name.
    pub vault: VaultId,
    /// This node's name, in the origin of its log.
    pub node: String,
    /// Where the stores are: one folder for each region, one for the node.
    pub data_directory: PathBuf,
    /// Where the newest checkpoints are kept, outside the stores.
    pub checkpoint_directory: PathBuf,
    /// The regions to serve.
    pub regions: Vec<Region>,
    /// The policies, and the catalog they were loaded with.
    pub policies: PolicySet,
    /// Whether these serve, or what was applied since.
    pub rules_from: RulesFrom,
    /// Which calls count once.
    pub replay: ReplayRules,
    /// How long entries are kept.
    pub retention: Retention,
    /// Memory for each region's store.
    pub memory: Memory,
    /// The size of each store's reserve file, in bytes.
    pub ballast_bytes: u64,
    /// Below this much free space, in bytes, everything that needs an entry is refused.
    pub free_bytes_min: u64,
}

/// Where the rules come from.
pub enum RulesFrom {
    /// From files, at start and whenever they are read anew.
    Files,
    /// From the version that was applied last. While there is none these texts, which [`EngineConfig::policies`] were
    /// read from, become the first.
    Applied(RuleTexts),
}

/// Why an engine could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A folder can't be made or read.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A store can't be opened.
    #[error(transparent)]
    Store(#[from] vault_store::OpenError),
    /// A store can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A store can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The keys can't be had.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A store has entries and no keys.
    #[error("{path}: the store has a log and no keys; restore it whole from a backup")]
    KeysGone {
        /// The store.
        path: PathBuf,
    },
    /// Two names of the catalog have the same code in record headers.
    #[error("the names {0} can't be told apart in this region's record headers: rename one of them")]
    NamesCollide(String),
    /// A class with tokens is another one in the catalog.
    #[error(
        "the data class \"{class}\" has tokens in region \"{region}\" that were made with {setting} = {was}, and the \
         catalog says {is}: put it back, or leave the class as it was and give the new rules to a new one \
         (docs/VALUES.md, Changing a class)"
    )]
    ClassChanged {
        /// The class.
        class: DataClass,
        /// Where it has tokens.
        region: Region,
        /// The first setting that differs.
        setting: String,
        /// What it was.
        was: String,
        /// What the catalog says.
        is: String,
    },
    /// Entries would not be kept for as long as the catalog's classes ask for.
    #[error(transparent)]
    Retention(#[from] RetentionFault),
    /// What is written down of a class is not what a vault writes.
    #[error("what the store says of the data class \"{0}\" is damaged: restore the store from a backup")]
    ClassUnreadable(DataClass),
    /// A row of what was spent of budgets is not what a vault writes.
    #[error("what was spent of budgets is damaged in the store: restore the store from a backup")]
    BudgetUnreadable,
    /// A row of the deny-list is not what a vault writes.
    #[error("the deny-list in the node's store is damaged: restore the store from a backup")]
    DenialUnreadable,
    /// The versions of catalog and policies can't be read.
    #[error("{0}; {WAY_OUT}")]
    Versions(#[from] VersionsError),
    /// The version that is to serve can't.
    #[error("version {version} of catalog and policies, which was applied last, can't serve: {problem}; {WAY_OUT}")]
    VersionNotServable {
        /// Its number.
        version: u64,
        /// Why not.
        problem: String,
    },
    /// The files can't become the first version.
    #[error("the files of catalog and policies are longer than a version may be (3 MiB): set rules_from = \"files\"")]
    FilesTooLarge,
    /// A log is not in order.
    #[error("the log of {name}: {source}")]
    Journal {
        /// The region, or `node`.
        name: String,
        /// What is wrong with it.
        source: JournalError,
    },
    /// A name does not fit its place in the log.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What is known outside speaks against the stores.
    #[error("the start is refused: {0}")]
    KnownOutside(String),
    /// The first entry could not be written.
    #[error("the start could not be written into the log: {0}")]
    Start(EngineError),
}

/// What to do when the version that is to serve does not.
const WAY_OUT: &str = "set rules_from = \"files\" to serve by the files that the configuration names, or restore the \
                       node's store from a backup";

/// What has to be ended when the engine is not needed any more.
pub struct Running {
    engine: Arc<Engine>,
    logs: Vec<RunningLog>,
}

/// The threads of one log, and the file of its checkpoints.
struct RunningLog {
    journal: Journal,
    running: vault_journal::Running,
    checkpoint_file: PathBuf,
    follower: JoinHandle<()>,
    standing: Arc<Standing>,
}

impl Engine {
    /// Opens everything and writes the start into every log. Reads and writes files: to be called on a thread that may
    /// block, inside of a runtime.
    ///
    /// # Errors
    /// When anything is not as it must be; nothing is served then.
    pub fn open(
        config: EngineConfig,
        root: &RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Arc<Self>, Running), OpenError> {
        Self::open_unless(config, root, clock, entropy, |_| Ok(()))
    }

    /// The same, unless `speaks_against` knows of something outside that speaks against the stores as they are: it is
    /// asked when all logs are open and no entry was written yet, so that an old copy of a log does not go on as a
    /// second history of it.
    ///
    /// # Errors
    /// When anything is not as it must be; with what `speaks_against` says.
    pub fn open_unless(
        mut config: EngineConfig,
        root: &RootKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        speaks_against: impl FnOnce(&[OutsideLog]) -> Result<(), String>,
    ) -> Result<(Arc<Self>, Running), OpenError> {
        for path in [&config.data_directory, &config.checkpoint_directory] {
            fs::create_dir_all(path).map_err(|source| OpenError::Folder { path: path.clone(), source })?;
        }
        // The node's store knows what serves; a new one is made after all others.
        let node_is_there = config.data_directory.join(Scope::Node.as_str()).exists();
        let node = node_is_there.then(|| open_node(&config, root, &clock, &entropy)).transpose()?;
        let versions = match &node {
            Some(store) => wait(Versions::open(&store.reader))?,
            None => Versions::default(),
        };
        let serving = match (&node, &config.rules_from, versions.newest()) {
            (Some(store), RulesFrom::Applied(_), Some(newest)) => {
                config.policies = load_version(&config, store, &newest)?;
                Some(newest.version)
            }
            _ => None,
        };
        config.retention.check(config.policies.catalog(), config.regions.iter())?;
        let OpenRegions { mut logs, regions, classes } = open_regions(&config, root, &clock, &entropy)?;
        let store = match node {
            Some(store) => store,
            None => open_node(&config, root, &clock, &entropy)?,
        };
        let keys = Arc::new(wait(NodeKeys::open(root, &config.vault, &store.reader))?);
        let origin = Origin::of_node(&config.vault, &config.node)?;
        let (denied, reader) = (wait(DenyList::open(&store.reader))?, store.reader.clone());
        let log = open_log(&config, store, "node", origin, keys, &clock)?;
        let nonces = wait(NonceBook::open(&reader, config.replay.window, log.journal.now(clock.wall())))?;
        let node = Node::new(log.journal.clone(), reader, nonces, clock.clone(), entropy.clone());
        logs.push(log);
        let searches = Arc::new(Semaphore::new(limits::SEARCHES_MAX));
        let (policy_set, replay, retention) = (config.policies.fingerprint(), config.replay, config.retention);
        let applying = tokio::sync::Mutex::new(Settled::of(config.policies.catalog()));
        let first = match config.rules_from {
            RulesFrom::Applied(texts) if serving.is_none() => Some(texts),
            _ => None,
        };
        let version = serving.or(first.is_some().then_some(FIRST_VERSION));
        let rules = ArcSwap::from_pointee(Rules { policies: config.policies, classes, version, since: clock.wall() });
        let checkpoint_files = logs.iter().map(|log| log.standing.clone()).collect();
        let engine = Self {
            rules,
            applying,
            versions,
            denied,
            regions,
            node,
            checkpoint_files,
            searches,
            replay,
            pacer: Pacer::default(),
            retention,
            pruning: tokio::sync::Mutex::default(),
            steady: SteadyTime::from_now(&*clock),
            clock,
            entropy,
        };
        let engine = Arc::new(engine);
        speaks_against(&engine.outside_logs()).map_err(OpenError::KnownOutside)?;
        if let Some(texts) = first {
            wait(engine.begin_versions(&texts)).map_err(|error| match error.reason() {
                Reason::RulesTooLarge => OpenError::FilesTooLarge,
                _ => OpenError::Start(error),
            })?;
        }
        wait(engine.note(Action::Start, policy_set)).map_err(OpenError::Start)?;
        Ok((engine.clone(), Running { engine, logs }))
    }

    /// Writes a start, a stop or a change of the rules into every log, with the fingerprint of the rules that hold from
    /// then on.
    pub(crate) async fn note(&self, action: Action, policy_set: [u8; 8]) -> Result<(), EngineError> {
        let mut random = CallRandom::seeded(&*self.entropy)?;
        let request_id = RequestId(random.bytes());
        let journals = self.regions.values().map(|vault| &vault.journal).chain([&self.node.journal]);
        for journal in journals {
            let what = (action, Decision::Allowed, None);
            let (wall, once) = (self.clock.wall(), NonZeroU32::MIN);
            let entry = plain_entry(&mut random, wall, what, policy_set, request_id, once, &SealedPart::None)?;
            journal.commit(Submission { entry, ..Submission::default() }).await?;
        }
        Ok(())
    }
}

impl Running {
    /// Writes what waits, notes the stop in every log, signs the last checkpoints and ends the threads. Calls that come
    /// now are refused.
    pub async fn stop(self) {
        let policy_set = self.engine.rules().policies.fingerprint();
        for ended in [self.engine.node.flush(true).await, self.engine.note(Action::Stop, policy_set).await] {
            if let Err(error) = ended {
                tracing::error!(reason = error.reason().name(), "the stop could not be written into the log");
            }
        }
        self.abandon().await;
    }

    /// Ends the threads when a log can't be written any more: nothing is noted, as nothing can be.
    pub async fn abandon(self) {
        let Self { engine, logs } = self;
        drop(engine);
        for log in logs {
            log.stop().await;
        }
    }
}

impl RunningLog {
    /// Ends the threads, then the follower of the checkpoints, which ends with them, then writes the last one.
    async fn stop(self) {
        let Self { journal, running, checkpoint_file, follower, .. } = self;
        let stopped = tokio::task::spawn_blocking(move || running.stop()).await;
        if stopped.is_err() || follower.await.is_err() {
            tracing::error!("a journal did not end in good order");
        }
        let newest = journal.checkpoints().borrow().clone();
        let Some(newest) = newest else { return };
        let written = tokio::task::spawn_blocking(move || outside::write(&checkpoint_file, &newest.note)).await;
        if let Ok(Err(error)) = written {
            tracing::error!(error = &error as &dyn std::error::Error, "the last checkpoint can't be written");
        }
    }
}

/// The catalog's names, by kind: what record headers hold codes of.
pub(crate) fn names(policies: &PolicySet) -> [Vec<&str>; 3] {
    let catalog = policies.catalog();
    [
        catalog.tenants().map(|tenant| tenant.id().as_str()).collect(),
        catalog.classes().map(|class| class.id().as_str()).collect(),
        catalog.audiences().map(|audience| audience.id().as_str()).collect(),
    ]
}

/// Opens a store; a new one gets its keys first.
fn open_store(
    config: &EngineConfig,
    scope: Scope,
    new_keys: impl FnOnce() -> Result<Batch, KeysError>,
) -> Result<Store, OpenError> {
    let path = config.data_directory.join(scope.as_str());
    let options = Options {
        create: true,
        identity: Identity { vault: config.vault.clone(), scope },
        memory: config.memory.clone(),
        ballast_bytes: config.ballast_bytes,
    };
    let mut store = Store::open(&path, &options)?;
    if let Recovery::TailDropped { detail } = &store.recovery {
        tracing::warn!(path = %path.display(), detail, "the end of the write-ahead log was torn, as after a crash");
    }
    if wait(RegionKeys::is_new(&store.reader))? {
        if wait(store.reader.snapshot().last_key(Entries))?.is_some() {
            return Err(OpenError::KeysGone { path });
        }
        store.writer.commit([&new_keys()?])?;
    }
    Ok(store)
}

/// The regions of an engine that is being opened.
#[derive(Default)]
struct OpenRegions {
    logs: Vec<RunningLog>,
    regions: HashMap<Region, RegionVault>,
    classes: HashMap<Region, ClassesInUse>,
}

fn open_regions(
    config: &EngineConfig,
    root: &RootKey,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<OpenRegions, OpenError> {
    let vault = &config.vault;
    let mut open = OpenRegions::default();
    // A root key that is not this vault's is told by what it can't unwrap, before anything is made under it.
    let is_there = |region: &&Region| config.data_directory.join(region.as_str()).exists();
    let (there, new): (Vec<&Region>, Vec<&Region>) = config.regions.iter().partition(is_there);
    for region in there.into_iter().chain(new) {
        let store = open_store(config, Scope::Region(region.clone()), || {
            RegionKeys::create(root, vault, region, &**clock, &**entropy)
        })?;
        let keys = RegionKeys::open(root, vault, region, &store.reader, clock.clone(), entropy.clone());
        let keys = Arc::new(wait(keys)?);
        if let Some(names) = keys.colliding_names(names(&config.policies)) {
            return Err(OpenError::NamesCollide(names));
        }
        let reader = store.reader.clone();
        let in_use = wait(ClassesInUse::open(&reader, config.policies.catalog(), region))?;
        open.classes.insert(region.clone(), in_use);
        let origin = Origin::of_region(vault, region, FIRST_LIFE);
        let log = open_log(config, store, region.as_str(), origin, keys.clone(), clock)?;
        let journal = log.journal.clone();
        open.logs.push(log);
        let vault = RegionVault::open(reader, keys, journal, config.replay.window, &**clock)?;
        open.regions.insert(region.clone(), vault);
    }
    Ok(open)
}

fn open_node(
    config: &EngineConfig,
    root: &RootKey,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Store, OpenError> {
    open_store(config, Scope::Node, || NodeKeys::create(root, &config.vault, &**clock, &**entropy))
}

/// Reads the rules that were applied last.
pub(crate) fn load_version(
    config: &EngineConfig,
    node: &Store,
    newest: &PolicyVersion,
) -> Result<PolicySet, OpenError> {
    let version = newest.version;
    let refuse = |problem: String| OpenError::VersionNotServable { version, problem };
    let policies = wait(versions::texts(&node.reader, newest))?.load().map_err(|error| refuse(error.to_string()))?;
    for region in &config.regions {
        if policies.catalog().region(region.as_str()).is_none() {
            return Err(refuse(format!("{region} is served here, but its catalog does not declare it")));
        }
    }
    let now = policies.rules_fingerprint();
    if now != newest.fingerprint {
        tracing::warn!(version, was = %newest.fingerprint, %now, "the version has another fingerprint in this release");
    }
    if now != config.policies.rules_fingerprint() {
        tracing::warn!(
            version,
            "the files of catalog and policies differ from the version that serves: see `config plan`"
        );
    }
    Ok(policies)
}

/// The number of the version that files become.
pub(crate) const FIRST_VERSION: u64 = 1;

/// A setting's value in an error.
pub(crate) fn said(value: Option<String>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"))
}

fn open_log(
    config: &EngineConfig,
    store: Store,
    name: &str,
    origin: Origin,
    signer: Arc<dyn Signer>,
    clock: &Arc<dyn Clock>,
) -> Result<RunningLog, OpenError> {
    let checkpoint_file = outside::path(&config.checkpoint_directory, name);
    let known_outside = outside::read(&checkpoint_file)
        .map_err(|source| OpenError::Folder { path: checkpoint_file.clone(), source })?;
    let Store { reader, mut writer, summaries, .. } = store;
    at_rest::state_verifier_key(&reader, &mut writer, &origin, &*signer)?;
    if known_outside.is_none() && wait(reader.snapshot().last_key(Entries))?.is_some() {
        let file = checkpoint_file.display();
        tracing::warn!(%file, "there is no checkpoint outside the store: an old copy of it could not be told from it");
    }
    let free_bytes_min = config.free_bytes_min;
    let (clock, file_clock) = (clock.clone(), clock.clone());
    let parts = Parts { writer, free_bytes_min, summaries, reader, origin, signer, clock, known_outside };
    let (journal, running) =
        Journal::open(parts).map_err(|source| OpenError::Journal { name: name.to_owned(), source })?;
    let standing = Arc::new(Standing::new("file", "checkpoint_directory", name, file_clock));
    let follower = outside::follow(checkpoint_file.clone(), journal.checkpoints(), standing.clone());
    Ok(RunningLog { journal, running, checkpoint_file, follower, standing })
}
