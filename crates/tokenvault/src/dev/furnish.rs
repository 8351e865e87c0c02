//! The folder of a throwaway vault: configuration, catalog, root key, identities, all readable by their owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use vault_catalog::Catalog;
use vault_client::Endpoint;
use vault_domain::{Clock, Entropy, PrincipalId};
use vault_engine::RootKey;

use crate::{
    connection::Connection,
    dev::identities::{Authority, Identity},
    exit::{Exit, Failure},
};

const CONFIG: &str = "vault.toml";
/// Tells callers where the vault is; there only while it serves.
const CLIENT_ENVIRONMENT: &str = "client.env";
const CONFIG_TEXT: &str = r#"# A throwaway vault, made by `tokenvault dev`. Its keys lie in files: give it no real data.
mode = "dev"
vault = "dev.tokenvault.internal"
node = "dev-1"
data_directory = "vault-data"
regions = ["eu", "us"]
catalog = "catalog.toml"

[listen]
address = "127.0.0.1:8443"

[tls]
certificate = "server.pem"
key = "server.key"
client_ca = ["ca.pem"]

[root_key]
provider = "file"
path = "root.key"

[store]
ballast_bytes = 16777216
free_bytes_min = 67108864

[log]
level = "warn"
format = "text"
"#;
/// How long a call of the tour may take: longer than usual, for small machines that compile something meanwhile.
const DEADLINE: Duration = Duration::from_secs(60);

/// Where it all is.
pub(crate) struct Place {
    folder: PathBuf,
    /// Deletes the folder in the end, if it is nobody's.
    temporary: Option<TempDir>,
    accounts: Vec<Account>,
    /// The configuration, locked: one process at a time has the folder, and a killed one holds nothing.
    held: Option<File>,
}

/// An account of the sample catalog.
pub(crate) struct Account {
    /// The last part of its principal: also the name of its files.
    pub(crate) name: String,
    pub(crate) principal: PrincipalId,
}

impl Place {
    /// Makes everything, in `folder` if there is one; what is there already from an earlier run is kept.
    pub(crate) fn furnish(folder: Option<&Path>, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<Self, Failure> {
        let catalog =
            Catalog::parse(vault_catalog::SAMPLE).map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
        let accounts = catalog
            .accounts()
            .map(|account| Account { name: short_name(account.principal()), principal: account.principal().clone() });
        let (folder, temporary) = match folder {
            Some(folder) => (folder.to_owned(), None),
            None => {
                let made = tempfile::Builder::new().prefix("tokenvault-dev-").tempdir();
                let temporary = made.map_err(|error| Failure::file(&std::env::temp_dir(), error))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let mut place = Self { folder, temporary, accounts: accounts.collect(), held: None };
        if !place.config().exists() {
            place.fill(clock, entropy)?;
        }
        place.hold()?;
        // Of an earlier run that did not get to delete it.
        place.delete_client_environment()?;
        Ok(place)
    }

    fn fill(&self, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<(), Failure> {
        let mut there = match fs::read_dir(&self.folder) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(&self.folder)?;
                fs::read_dir(&self.folder).map_err(|error| Failure::file(&self.folder, error))?
            }
            Err(error) => return Err(Failure::file(&self.folder, error)),
        };
        if there.next().is_some() {
            let problem = "is neither empty nor from an earlier `tokenvault dev`; name another folder";
            return Err(Failure::usage(format!("{} {problem}", self.folder.display())));
        }
        let authority = Authority::new(clock)?;
        write_private(&self.file("ca.pem"), authority.certificate().as_bytes())?;
        self.write_identity("server", &authority.server()?)?;
        make_folder(&self.file("clients"))?;
        for account in &self.accounts {
            self.write_identity(&format!("clients/{}", account.name), &authority.client(&account.principal)?)?;
        }
        let root_key = self.file("root.key");
        RootKey::create_file(&root_key, entropy).map_err(|error| Failure::file(&root_key, error))?;
        write_private(&self.file("catalog.toml"), vault_catalog::SAMPLE.as_bytes())?;
        // Last: its presence says that all the others are there.
        write_private(&self.config(), CONFIG_TEXT.as_bytes())
    }

    /// Makes sure that no other process has the folder, as long as this one lives.
    fn hold(&mut self) -> Result<(), Failure> {
        let path = self.config();
        let file = File::open(&path).map_err(|error| Failure::file(&path, error))?;
        match file.try_lock() {
            Ok(()) => {
                self.held = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                let problem = "is served by another `tokenvault dev`: stop that one, or name another folder";
                Err(Failure::new(Exit::Failure, format!("{} {problem}", self.folder.display())))
            }
            Err(TryLockError::Error(error)) => Err(Failure::file(&path, error)),
        }
    }

    fn write_identity(&self, name: &str, identity: &Identity) -> Result<(), Failure> {
        write_private(&self.file(&format!("{name}.pem")), identity.certificate.as_bytes())?;
        write_private(&self.file(&format!("{name}.key")), identity.key.as_bytes())
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder, from the root.
    pub(crate) fn absolute(&self) -> Result<PathBuf, Failure> {
        fs::canonicalize(&self.folder).map_err(|error| Failure::file(&self.folder, error))
    }

    /// Writes a file to try things with, if it is not there yet; gives its path from the root.
    pub(crate) fn write_sample(&self, text: &str) -> Result<PathBuf, Failure> {
        let path = self.absolute()?.join("customers.csv");
        if !path.exists() {
            write_private(&path, text.as_bytes())?;
        }
        Ok(path)
    }

    /// Writes the lines that a shell reads to become a caller. The file appears whole, and once the vault listens: a
    /// script that waits for it needs to wait for nothing else.
    pub(crate) fn write_client_environment(&self, lines: &str) -> Result<PathBuf, Failure> {
        let path = self.absolute()?.join(CLIENT_ENVIRONMENT);
        let new = path.with_extension("env.new");
        delete(&new)?;
        write_private(&new, lines.as_bytes())?;
        fs::rename(&new, &path).map_err(|error| Failure::file(&path, error))?;
        Ok(path)
    }

    /// Takes them back: nobody listens there any more.
    pub(crate) fn delete_client_environment(&self) -> Result<(), Failure> {
        delete(&self.file(CLIENT_ENVIRONMENT))
    }

    /// Whether the folder is deleted in the end.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.file(CONFIG)
    }

    /// A file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The principal of the account with this short name.
    pub(crate) fn principal(&self, name: &str) -> Result<PrincipalId, Failure> {
        let found = self.accounts.iter().find(|account| account.name == name);
        let missing = || Failure::new(Exit::Failure, format!("the sample catalog has no account {name}"));
        found.map(|account| account.principal.clone()).ok_or_else(missing)
    }

    /// How the account with this short name connects.
    pub(crate) fn connection(&self, name: &str, address: SocketAddr) -> Result<Connection, Failure> {
        Ok(Connection {
            endpoint: Endpoint::parse(&format!("https://{address}"))?.to_string(),
            ca: self.file("ca.pem"),
            cert: self.file(&format!("clients/{name}.pem")),
            key: self.file(&format!("clients/{name}.key")),
            server_name: None,
            deadline: DEADLINE,
            attempts: vault_client::ATTEMPTS_DEFAULT,
            access_token_file: None,
            token_url: None,
            token_client_id: None,
            token_ca: None,
            token_scope: None,
            token_resource: None,
            checkpoints: None,
            follow: Vec::new(),
        })
    }
}

/// The last part of a principal: `payments` of `spiffe://…/payments`.
fn short_name(principal: &PrincipalId) -> String {
    let text = principal.as_str();
    text.rsplit(['/', ':']).next().unwrap_or(text).to_owned()
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| Failure::file(path, error))
}

/// Deletes a file that need not be there.
fn delete(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::file(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(|error| Failure::file(path, error))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vault_domain::{Clock, SystemClock, SystemEntropy};
    use vault_server::{Config, Environment, Severity};

    use super::*;

    #[test]
    fn a_throwaway_vault_is_complete_private_and_gone_in_the_end() {
        let place = Place::furnish(None, &SystemClock::new(), &SystemEntropy).unwrap();
        let findings =
            Config::load(&place.config(), &Environment::default()).unwrap().findings(SystemClock::new().wall());
        assert!(findings.iter().all(|finding| finding.severity != Severity::Error), "{findings:?}");
        for account in place.accounts() {
            for extension in ["pem", "key"] {
                let file = place.file(&format!("clients/{}.{extension}", account.name));
                assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
            }
        }
        let folder = place.folder().to_owned();
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn a_kept_folder_is_gone_on_with_and_a_strangers_is_refused() {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("vault");
        let furnish = || Place::furnish(Some(&folder), &SystemClock::new(), &SystemEntropy);
        let key = |place: &Place| fs::read(place.file("clients/payments.key")).unwrap();
        let first = key(&furnish().unwrap());
        assert_eq!(key(&furnish().unwrap()), first);
        fs::remove_file(folder.join(CONFIG)).unwrap();
        assert_eq!(furnish().err().unwrap().exit, Exit::Usage);
    }

    #[test]
    fn where_the_vault_is_stands_in_a_file_that_comes_whole_and_goes() {
        let above = TempDir::new().unwrap();
        let folder = above.path().join("vault");
        let furnish = || Place::furnish(Some(&folder), &SystemClock::new(), &SystemEntropy).unwrap();
        let place = furnish();
        let path = place.write_client_environment("export A=1\n").unwrap();
        assert_eq!(path, folder.canonicalize().unwrap().join("client.env"));
        place.write_client_environment("export A=2\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "export A=2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // That of a vault that was killed says nothing about the next one.
        drop(place);
        let next = furnish();
        assert!(!path.exists());
        next.delete_client_environment().unwrap();
    }
}
