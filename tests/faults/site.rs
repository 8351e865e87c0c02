//! Where a vault under test lives: certificates, catalog, root key, configuration, and the directories that outlive it.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;
use vault_domain::{Entropy, SystemEntropy};
use vault_tests::{
    certificates::{Authority, Identity},
    roles::Role,
};

use crate::vault::{Starting, Vault};

/// The vault's name.
pub(crate) const VAULT: &str = "faults.tokenvault.test";
/// The region that it serves.
pub(crate) const REGION: &str = "eu";
/// The logs that it keeps: of the region, and of the node.
pub(crate) const LOGS: [&str; 2] = [REGION, "node"];

/// What a test may set of the configuration.
pub(crate) struct Settings {
    /// Below this much free space, in bytes, what needs an entry is refused.
    pub(crate) free_bytes_min: u64,
    /// Rows kept in memory, in bytes: the less, the more often files are written. It bounds the size of the write-ahead
    /// log's files too.
    pub(crate) memtable_bytes: u64,
    /// The level of the process's log.
    pub(crate) log_level: &'static str,
    /// The port that tells measurements; 0 for none.
    pub(crate) metrics_port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { free_bytes_min: 0, memtable_bytes: 16 << 20, log_level: "info", metrics_port: 0 }
    }
}

/// A vault's surroundings.
pub(crate) struct Site {
    directory: TempDir,
    pub(crate) data: PathBuf,
    pub(crate) authority: Authority,
    settings: Settings,
    starts: AtomicU32,
}

impl Site {
    /// A site with its data beside everything else.
    pub(crate) fn new(settings: Settings) -> Self {
        let directory = TempDir::new().unwrap();
        let data = directory.path().join("data");
        Self::build(directory, data, settings)
    }

    /// A site with its data on another disk.
    pub(crate) fn with_data(data: PathBuf, settings: Settings) -> Self {
        Self::build(TempDir::new().unwrap(), data, settings)
    }

    fn build(directory: TempDir, data: PathBuf, settings: Settings) -> Self {
        let site =
            Self { directory, data, authority: Authority::new("faults"), settings, starts: AtomicU32::default() };
        let server = site.authority.server();
        fs::write(site.path("ca.pem"), site.authority.certificate_pem()).unwrap();
        fs::write(site.path("server.pem"), server.certificate_pem()).unwrap();
        write_secret(&site.path("server.key"), &server.key_pem());
        fs::write(site.path("catalog.toml"), include_str!("../src/vault/catalog.toml")).unwrap();
        let mut root_key = [0; 32];
        SystemEntropy.fill(&mut root_key).unwrap();
        write_secret(&site.path("root.key"), &root_key.map(|byte| format!("{byte:02x}")).concat());
        site.write_configuration();
        site
    }

    fn write_configuration(&self) {
        let Settings { free_bytes_min, memtable_bytes, log_level, metrics_port } = &self.settings;
        let metrics = match metrics_port {
            0 => String::new(),
            port => format!("metrics = \"127.0.0.1:{port}\""),
        };
        let data = self.data.display();
        let text = format!(
            r#"
            mode = "dev"
            vault = "{VAULT}"
            node = "n1"
            data_directory = "{data}"
            checkpoint_directory = "checkpoints"
            regions = ["{REGION}"]
            catalog = "catalog.toml"
            [listen]
            address = "127.0.0.1:0"
            {metrics}
            [tls]
            certificate = "server.pem"
            key = "server.key"
            client_ca = ["ca.pem"]
            [root_key]
            provider = "file"
            path = "root.key"
            [store]
            cache_bytes = 16777216
            memtable_bytes = {memtable_bytes}
            ballast_bytes = 0
            free_bytes_min = {free_bytes_min}
            [log]
            level = "{log_level}"
            "#
        );
        fs::write(self.path("vault.toml"), text).unwrap();
    }

    /// Sends the data elsewhere, as an operator does who moves a disk.
    pub(crate) fn move_data(&mut self, data: PathBuf) {
        self.data = data;
        self.write_configuration();
    }

    /// A file or directory of the site.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The file that holds a log's newest checkpoint.
    pub(crate) fn checkpoint_file(&self, log: &str) -> PathBuf {
        self.path("checkpoints").join(format!("{log}.checkpoint"))
    }

    /// A certificate for a caller.
    pub(crate) fn identity(&self, role: Role) -> Identity {
        self.authority.client(&role.names())
    }

    /// Starts the vault and waits until it serves.
    #[track_caller]
    pub(crate) fn start(&self) -> Vault {
        self.start_under(&[])
    }

    /// Starts the vault under a program that runs it, such as strace, and waits until it serves.
    #[track_caller]
    pub(crate) fn start_under(&self, wrapper: &[String]) -> Vault {
        match self.spawn_under(wrapper).serving() {
            Ok(vault) => vault,
            Err(refused) => panic!("{refused}"),
        }
    }

    /// Starts the vault under a program that runs it, and does not wait.
    #[track_caller]
    pub(crate) fn spawn_under(&self, wrapper: &[String]) -> Starting {
        let count = self.starts.fetch_add(1, Ordering::Relaxed);
        let log = self.path(&format!("vault.{count}.log"));
        let program = program();
        let mut words = wrapper.iter().map(String::as_str).chain([program.to_str().unwrap(), "serve", "--config"]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).arg(self.path("vault.toml")).current_dir(self.directory.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{:?} does not start: {error}", command.get_program()));
        Starting::new(child, log)
    }

    /// What every vault that ran here has logged.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        (0..self.starts.load(Ordering::Relaxed)).map(|count| self.path(&format!("vault.{count}.log"))).collect()
    }
}

fn write_secret(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The program under test: of the same build, two folders above this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("tokenvault");
    assert!(
        program.is_file(),
        "{} is missing: build it first (cargo build --package tokenvault --release)",
        program.display()
    );
    program
}
