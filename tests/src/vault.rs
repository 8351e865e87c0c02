//! A whole vault in this process: two regions on a real disk, mTLS on a free port, a catalog with a caller of every
//! kind.
//!
//! Every value that a test sends and every token that it gets is planted as a secret; [`TestVault::finish`] looks for
//! all of them in the log of the process and in every file, so that each test is also a test of secrecy.

use std::{
    collections::HashMap,
    fmt, fs,
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::sync::Mutex;
use vault_domain::{Clock, Entropy, ManualClock, Millis, SystemClock, SystemEntropy};
use vault_engine::RootKey;
use vault_ledger::{CertificateSha256, Checkpoint, SUMMARY_ENTRIES, VerifierKey};
use vault_proto::v1;
use vault_server::{Config, Environment, Server, StartError};

use crate::{
    caller::Caller,
    certificates::{Authority, Identity},
    connection::{Connection, tls},
    process_log::ProcessLog,
    requests,
    roles::Role,
    secrets::Secrets,
    stored_log::{self, StoredLog, StoredRows},
};

/// The vault's name.
pub const VAULT: &str = "vault.test";
/// This node's name.
pub const NODE: &str = "node-1";
/// The regions that are served.
pub const REGIONS: [&str; 2] = ["eu", "us"];
/// Where a manual clock stands at first: 2026-01-01T00:00:00Z.
pub const BEGINNING: Millis = Millis(1_767_225_600_000);

/// Calls that are under way at once where many are made.
const CALLS_AT_ONCE: u64 = 500;

const CATALOG: &str = include_str!("vault/catalog.toml");

/// A vault that belongs to one test.
pub struct TestVault {
    directory: TempDir,
    authority: Arc<Authority>,
    identities: Arc<HashMap<Role, Identity>>,
    clock: Arc<dyn Clock>,
    callers_clock: Arc<CallersClock>,
    entropy: Arc<dyn Entropy>,
    server: Option<Server>,
    callers: Mutex<HashMap<Role, Caller>>,
    secrets: Secrets,
    log: &'static ProcessLog,
}

impl fmt::Debug for TestVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestVault").field("directory", &self.directory.path()).finish_non_exhaustive()
    }
}

/// What callers tell the time by: the vault's clock, but where that is set back, theirs are not.
#[derive(Debug)]
struct CallersClock {
    vaults: Arc<dyn Clock>,
    newest: AtomicU64,
}

impl Clock for CallersClock {
    fn wall(&self) -> Millis {
        let now = self.vaults.wall();
        Millis(self.newest.fetch_max(now.0, Ordering::SeqCst).max(now.0))
    }

    fn monotonic(&self) -> Duration {
        self.vaults.monotonic()
    }
}

/// How long a log was at some moment.
#[derive(Clone, Debug)]
pub struct Mark {
    region: String,
    size: u64,
}

impl Mark {
    /// The number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl TestVault {
    /// A new vault on the system's clock, its data in a folder of its own below `disk`.
    pub async fn start(disk: &Path) -> Self {
        let mut vault = Self::prepare(disk, Arc::new(SystemClock::new()));
        vault.start_again().await;
        vault
    }

    /// A new vault on a clock that the test moves.
    pub async fn start_by(disk: &Path, clock: &ManualClock) -> Self {
        let mut vault = Self::prepare(disk, Arc::new(clock.clone()));
        vault.start_again().await;
        vault
    }

    /// Everything that a vault needs, but not started.
    #[must_use]
    pub fn prepare(disk: &Path, clock: Arc<dyn Clock>) -> Self {
        let log = ProcessLog::start();
        fs::create_dir_all(disk).expect("a disk");
        let directory = TempDir::new_in(disk).expect("a folder");
        let authority = Arc::new(Authority::new("the authority of a test"));
        let foreign = Authority::new("another authority");
        let identities = Role::ALL
            .into_iter()
            .filter(|role| *role != Role::Anonymous)
            .map(|role| (role, if role == Role::Foreign { &foreign } else { &authority }.client(&role.names())))
            .collect();
        let server = authority.server();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).expect("a file");
        write("catalog.toml", CATALOG);
        write("server.pem", server.certificate_pem());
        write_private(&directory.path().join("server.key"), &server.key_pem());
        write("clients.pem", &authority.certificate_pem());
        write("vault.toml", &config_text(VAULT));
        RootKey::create_file(&directory.path().join("root.key"), &SystemEntropy).expect("a root key");
        let (entropy, secrets) = (Arc::new(SystemEntropy), Secrets::default());
        let callers = Mutex::default();
        let identities = Arc::new(identities);
        let callers_clock = Arc::new(CallersClock { vaults: clock.clone(), newest: AtomicU64::new(0) });
        Self { directory, authority, identities, clock, callers_clock, entropy, server: None, callers, secrets, log }
    }

    /// Where everything of this vault lies.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The folder of the stores.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The folder of the checkpoints outside the stores.
    #[must_use]
    pub fn checkpoint_directory(&self) -> PathBuf {
        self.directory.path().join("checkpoints")
    }

    /// The root key's file.
    #[must_use]
    pub fn root_key_file(&self) -> PathBuf {
        self.directory.path().join("root.key")
    }

    /// Gives a vault that was not started the authority of another one: a caller of the one is a caller of both.
    pub fn join(&mut self, other: &Self) {
        let server = other.authority.server();
        let path = |name: &str| self.directory.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
        write("server.pem", server.certificate_pem());
        write("server.key", &server.key_pem());
        write("clients.pem", &other.authority.certificate_pem());
        self.authority = other.authority.clone();
        self.identities = other.identities.clone();
    }

    /// Changes a text in the configuration or the catalog; counts from the next start.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.directory.path().join(file);
        let text = fs::read_to_string(&path).expect("a file");
        assert!(text.contains(from), "{file} holds what is to be changed");
        fs::write(path, text.replace(from, to)).expect("a file");
    }

    /// Rewrites the configuration for a vault of another name.
    pub fn rename(&self, vault: &str) {
        fs::write(self.directory.path().join("vault.toml"), config_text(vault)).expect("a configuration");
    }

    /// Adds lines to a section of the configuration; counts from the next start.
    pub fn configure(&self, section: &str, lines: &str) {
        let path = self.directory.path().join("vault.toml");
        let text = fs::read_to_string(&path).expect("a configuration");
        let head = format!("[{section}]\n");
        assert!(text.contains(&head), "{section}");
        fs::write(path, text.replace(&head, &format!("{head}{lines}\n"))).expect("a configuration");
    }

    /// Adds to the configuration; counts from the next start.
    pub fn add_to_configuration(&self, text: &str) {
        let path = self.directory.path().join("vault.toml");
        let configuration = fs::read_to_string(&path).expect("a configuration");
        fs::write(path, format!("{configuration}\n{text}\n")).expect("a configuration");
    }

    /// Adds to the catalog; counts from the next start.
    pub fn add_to_catalog(&self, text: &str) {
        let path = self.directory.path().join("catalog.toml");
        let catalog = fs::read_to_string(&path).expect("a catalog");
        fs::write(path, format!("{catalog}\n{text}\n")).expect("a catalog");
    }

    /// Writes one of this vault's files, in one step, as who replaces it while it is in use should.
    pub fn replace(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.directory.path().join(name);
        let fresh = path.with_extension("new");
        fs::write(&fresh, contents).expect("a file");
        fs::rename(fresh, path).expect("a file");
    }

    /// Has it accept access tokens by this file of issuers; counts from the next start.
    pub fn set_issuers(&self, issuers: &str) {
        let write = |name: &str, text: &str| fs::write(self.directory.path().join(name), text).expect("a file");
        write("issuers.toml", issuers);
        write("denied.txt", "");
        let identity = "[identity]\nissuers = \"issuers.toml\"\ndenied_file = \"denied.txt\"\n";
        write("vault.toml", &format!("{}{identity}", config_text(VAULT)));
    }

    /// Replaces the source of randomness; counts from the next start.
    pub fn set_entropy(&mut self, entropy: Arc<dyn Entropy>) {
        self.entropy = entropy;
    }

    /// Starts a server on this vault's files.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn try_start(&self) -> Result<Server, StartError> {
        let config = Config::load(&self.directory.path().join("vault.toml"), &Environment::default())?;
        Server::start(config, self.clock.clone(), self.entropy.clone()).await
    }

    /// Starts it, for the first time or after [`TestVault::stop`].
    pub async fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        self.server = Some(self.try_start().await.expect("a vault that starts"));
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) {
        self.callers.get_mut().clear();
        self.server.take().expect("a running vault").shutdown().await;
    }

    /// The text of the error that keeps the vault from starting, its causes included.
    ///
    /// # Panics
    /// If it starts.
    pub async fn refused_start(&self) -> String {
        let Err(error) = self.try_start().await else { panic!("the vault started") };
        let first: &dyn std::error::Error = &error;
        std::iter::successors(Some(first), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    }

    /// The running server.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("a running vault")
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server().address()
    }

    /// The secrets of this test.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The log of the process.
    #[must_use]
    pub fn process_log(&self) -> &'static ProcessLog {
        self.log
    }

    /// Connects as this role.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn try_connect(&self, role: Role) -> Result<Connection, String> {
        self.try_connect_with(self.identities.get(&role)).await
    }

    /// Connects with any certificate.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn try_connect_with(&self, identity: Option<&Identity>) -> Result<Connection, String> {
        let connection = Connection::open(self.address(), tls(&self.authority, identity)).await?;
        Ok(connection.with_clock(self.callers_clock.clone()))
    }

    /// A caller of this role on a connection of its own, from an address of this machine.
    ///
    /// # Errors
    /// When the connection fails.
    pub async fn caller_from(&self, role: Role, source: IpAddr) -> Result<Caller, String> {
        let config = tls(&self.authority, self.identities.get(&role));
        let connection = Connection::open_from(source, self.address(), config).await?;
        Ok(self.caller_on(role, connection.with_clock(self.callers_clock.clone())))
    }

    /// The certificate of a role.
    #[must_use]
    pub fn identity(&self, role: Role) -> &Identity {
        &self.identities[&role]
    }

    /// The authority that this vault trusts.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// A caller of this role, on the one connection that all callers of a role share.
    pub async fn caller(&self, role: Role) -> Caller {
        let mut callers = self.callers.lock().await;
        if let Some(caller) = callers.get(&role) {
            return caller.clone();
        }
        let connection = self.try_connect(role).await.expect("a connection");
        let caller = Caller::new(role, connection, self.secrets.clone());
        callers.insert(role, caller.clone());
        caller
    }

    /// A caller on a connection of its own.
    #[must_use]
    pub fn caller_on(&self, role: Role, connection: Connection) -> Caller {
        Caller::new(role, connection, self.secrets.clone())
    }

    /// Tokenizes values of one class as the loader does.
    pub async fn give<V: AsRef<[u8]>>(&self, class: &str, values: impl IntoIterator<Item = V>) -> Vec<String> {
        let answer = self.caller(Role::Loader).await.tokenize(requests::tokenize(class, values)).await;
        answer.expect("an answer").tokens()
    }

    /// Makes entries in the log of a region, as many as are asked for, by as many calls of the loader.
    pub async fn fill(&self, entries: u64, request: impl Fn(u64) -> v1::TokenizeRequest) {
        let loader = self.caller(Role::Loader).await;
        let mut begun = 0;
        while begun < entries {
            let some = begun..entries.min(begun + CALLS_AT_ONCE);
            begun = some.end;
            let calls: Vec<_> = some
                .map(|n| {
                    let (loader, request) = (loader.clone(), request(n));
                    tokio::spawn(async move { loader.tokenize(request).await.expect("an answer") })
                })
                .collect();
            for call in calls {
                call.await.expect("a call");
            }
        }
    }

    /// Waits until the index of every region's log covers all of its whole runs: what it does not cover is not pruned.
    pub async fn indexed(&self) {
        while self.server().engine().index_behind().any(|(_, entries)| entries >= u64::from(SUMMARY_ENTRIES)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The checkpoint of a log, its signature verified.
    pub async fn checkpoint(&self, region: &str) -> Checkpoint {
        let answer = self.caller(Role::Auditor).await.checkpoint(region).await.expect("a checkpoint");
        let key = VerifierKey::parse(&answer.verifier_key).expect("a verifier key");
        Checkpoint::open(&answer.checkpoint, &key).expect("a signed checkpoint")
    }

    /// Marks the end of a log. To do so leaves no entry.
    pub async fn mark(&self, region: &str) -> Mark {
        Mark { region: region.to_owned(), size: self.checkpoint(region).await.head.size.0 }
    }

    /// The entries that Acme's log has got since the mark, oldest first.
    ///
    /// # Panics
    /// If there are not as many as expected, of Acme or of anybody.
    pub async fn entries_since(&self, mark: &Mark, expected: u64) -> Vec<v1::AccessLogEntry> {
        let grown = self.mark(&mark.region).await.size - mark.size;
        assert_eq!(grown, expected, "entries since the mark in the log of {}", mark.region);
        if expected == 0 {
            return Vec::new();
        }
        let page_size = u32::try_from(expected).expect("a page");
        let query = v1::QueryAccessLogRequest { page_size, ..requests::query(&mark.region) };
        let answer = self.caller(Role::Auditor).await.query(query).await.expect("entries");
        let mut entries = answer.entries;
        entries.reverse();
        let indexes: Vec<u64> = entries.iter().filter_map(|entry| Some(entry.receipt.as_ref()?.index)).collect();
        assert_eq!(indexes, (mark.size..mark.size + expected).collect::<Vec<_>>(), "they are Acme's");
        entries
    }

    /// The only entry since the mark.
    pub async fn entry_since(&self, mark: &Mark) -> v1::AccessLogEntry {
        self.entries_since(mark, 1).await.remove(0)
    }

    /// SHA-256 of a role's certificate, in hex.
    #[must_use]
    pub fn fingerprint(&self, role: Role) -> String {
        let certificate = self.identities[&role].certificate();
        let hash = CertificateSha256::of(certificate).expect("a hash");
        hash.get().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Asserts that it serves a good caller: a value goes in and comes back.
    pub async fn still_serves(&self) {
        let value = requests::email(0x5E7E);
        let token = self.give("email", [&value]).await;
        let revealed = self.caller(Role::Payments).await.detokenize(requests::detokenize("email", token)).await;
        assert_eq!(revealed.expect("an answer").values(), [value.into_bytes()]);
    }

    /// The log of a region, or `node`, as it lies on the disk. The vault must be stopped.
    #[must_use]
    pub fn stored_log(&self, scope: &str) -> StoredLog {
        assert!(self.server.is_none(), "a running vault holds its stores");
        StoredLog::read(&self.data_directory().join(scope), VAULT, scope)
    }

    /// The rows of the records of a region, as they lie on the disk. The vault must be stopped.
    #[must_use]
    pub fn stored_rows(&self, scope: &str) -> Vec<Vec<u8>> {
        assert!(self.server.is_none(), "a running vault holds its stores");
        stored_log::records(&self.data_directory().join(scope), VAULT, scope)
    }

    /// How many rows of each kind lie in the store of a region for its tokens. The vault must be stopped.
    #[must_use]
    pub fn stored_rows_by_table(&self, scope: &str) -> StoredRows {
        assert!(self.server.is_none(), "a running vault holds its stores");
        StoredRows::read(&self.data_directory().join(scope), VAULT, scope)
    }

    /// Changes a region's first state row behind the vault's back. The vault must be stopped.
    pub fn overwrite_first_state(&self, scope: &str, change: impl FnOnce(&mut [u8])) {
        assert!(self.server.is_none(), "a running vault holds its stores");
        stored_log::overwrite_first_state(&self.data_directory().join(scope), VAULT, scope, change);
    }

    /// How many nonces lie in the store of a region. The vault must be stopped.
    #[must_use]
    pub fn stored_nonces(&self, scope: &str) -> usize {
        assert!(self.server.is_none(), "a running vault holds its stores");
        stored_log::nonces(&self.data_directory().join(scope), VAULT, scope)
    }

    /// Changes an entry behind the vault's back. The vault must be stopped.
    pub fn overwrite_entry(&self, scope: &str, index: u64, entry: &[u8]) {
        assert!(self.server.is_none(), "a running vault holds its stores");
        stored_log::overwrite(&self.data_directory().join(scope), VAULT, scope, index, entry);
    }

    /// Why the store in `directory` can't be opened.
    ///
    /// # Panics
    /// If it can.
    #[must_use]
    pub fn refused_open(directory: &Path, scope: &str) -> String {
        stored_log::open(directory, VAULT, scope).expect_err("a store that does not open").to_string()
    }

    /// Replaces the root key's file.
    pub fn write_root_key(&self, text: &str) {
        let path = self.root_key_file();
        // There may be none.
        let _gone = fs::remove_file(&path);
        write_private(&path, text);
    }

    /// Asserts that no secret is in the log of the process or in any file of this vault.
    pub fn assert_unseen(&self) {
        let search = self.secrets.search();
        let (found, works) = self.log.read(|log| (search.find(log), log.windows(8).any(|part| part == b" serving")));
        assert_eq!(found, None, "the log of the process shows a value or a token");
        assert!(works, "there is a log of the process");
        let (found, read) = search.find_below(self.directory());
        assert_eq!(found, None, "a file shows a value or a token");
        assert!(read > 0, "there are files");
    }

    /// Stops the vault and asserts that nothing was seen that must not be.
    pub async fn finish(mut self) {
        if self.server.is_some() {
            self.assert_unseen();
            self.stop().await;
        }
        self.assert_unseen();
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).expect("a file");
    file.write_all(text.as_bytes()).expect("a file");
}

fn config_text(vault: &str) -> String {
    format!(
        r#"
mode = "dev"
vault = "{vault}"
node = "{NODE}"
data_directory = "data"
checkpoint_directory = "checkpoints"
regions = ["{}", "{}"]
catalog = "catalog.toml"

[listen]
address = "127.0.0.1:0"

[tls]
certificate = "server.pem"
key = "server.key"
client_ca = ["clients.pem"]

[root_key]
provider = "file"
path = "root.key"

[store]
cache_bytes = 8388608
memtable_bytes = 33554432
ballast_bytes = 0
free_bytes_min = 0
"#,
        REGIONS[0], REGIONS[1]
    )
}
