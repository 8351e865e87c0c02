//! Where the root key comes from: a file with the key, or a passphrase. Both have one custodian, who is none, and are
//! for `mode = "dev"`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use vault_domain::Entropy;
use vault_engine::{KeysError, Passphrase, RootKey};

use super::{ConfigError, read::refuse};

/// The file in the data directory that says how the root key is derived from a passphrase.
const PARAMETERS: &str = "root-key.toml";
/// The variable that can hold the passphrase.
const VARIABLE: &str = "TOKENVAULT_ROOT_KEY_PASSPHRASE";

/// The provider of the root key.
#[derive(Clone, Debug)]
pub(crate) enum RootKeyProvider {
    /// The key lies in this file.
    File(PathBuf),
    /// The key is derived from a passphrase.
    Passphrase {
        /// Where the passphrase is.
        origin: PassphraseOrigin,
        /// The folder of the stores: the parameters of the derivation stand beside them, and are lost and kept with
        /// them.
        data_directory: PathBuf,
    },
}

/// Where a passphrase is. Never on the command line: others can read that.
#[derive(Clone, Debug)]
pub(crate) enum PassphraseOrigin {
    /// In this file.
    File(PathBuf),
    /// It was in the environment.
    Variable(Arc<Passphrase>),
}

impl PassphraseOrigin {
    /// One of the two. A variable that is set beside a path is a mistake: nobody knows which was meant.
    pub(super) fn choose(path: Option<PathBuf>, variable: Option<String>) -> Result<Self, ConfigError> {
        match (path, variable) {
            (Some(path), None) => Ok(Self::File(path)),
            (None, Some(text)) => Ok(Self::Variable(Arc::new(Passphrase::from_variable(VARIABLE, text)?))),
            (None, None) => Err(refuse(
                "root_key.path",
                format!(
                    "is missing: name the file with the passphrase, or set \
                {VARIABLE}"
                ),
            )),
            (Some(_), Some(_)) => Err(refuse(
                "root_key.path",
                format!(
                    "names a file with the passphrase, and {VARIABLE} \
                is set too: take one away"
                ),
            )),
        }
    }

    fn read(&self) -> Result<Arc<Passphrase>, KeysError> {
        match self {
            Self::File(path) => Passphrase::from_file(path).map(Arc::new),
            Self::Variable(passphrase) => Ok(passphrase.clone()),
        }
    }
}

impl RootKeyProvider {
    /// The root key. For a vault that has no store yet, what a passphrase needs is made.
    pub(super) fn open(&self, entropy: &dyn Entropy) -> Result<RootKey, ConfigError> {
        if let Some(root) = self.look()? {
            return Ok(root);
        }
        let Self::Passphrase { origin, data_directory } = self else {
            return Err(refuse("root_key.provider", "has no key"));
        };
        let made = fs::create_dir_all(data_directory);
        made.map_err(|source| ConfigError::File { path: data_directory.clone(), source })?;
        Ok(RootKey::create_passphrase(&*origin.read()?, &data_directory.join(PARAMETERS), entropy)?)
    }

    /// The root key, if there is one yet: the parameters of a passphrase are made at the first start. Changes nothing.
    pub(super) fn look(&self) -> Result<Option<RootKey>, ConfigError> {
        match self {
            Self::File(path) => Ok(Some(RootKey::from_file(path)?)),
            Self::Passphrase { origin, data_directory } => {
                let passphrase = origin.read()?;
                let parameters = data_directory.join(PARAMETERS);
                // A link that leads nowhere is there: what it stood for is gone, and must not be made anew.
                if parameters.symlink_metadata().is_ok() {
                    return Ok(Some(RootKey::from_passphrase(&passphrase, &parameters)?));
                }
                let there = has_store(data_directory);
                if there.map_err(|source| ConfigError::File { path: data_directory.clone(), source })? {
                    return Err(refuse(
                        "root_key.provider",
                        format!(
                            "is \"passphrase\", and {} has stores, but no {PARAMETERS}: give the provider that this \
                             vault was made with, or put that file back from a backup; without it no passphrase opens \
                             the stores",
                            data_directory.display()
                        ),
                    ));
                }
                Ok(None)
            }
        }
    }

    /// What whoever looks at the configuration should know: how the key can be had by one person.
    pub(super) fn custody(&self) -> &'static str {
        match self {
            Self::File(_) => "its root key lies in a file, and whoever reads that file has every key",
            Self::Passphrase { .. } => {
                "its root key comes from one passphrase, and whoever knows that and reads the disk has every key"
            }
        }
    }
}

/// Whether a store was ever begun there.
fn has_store(data_directory: &Path) -> io::Result<bool> {
    match fs::read_dir(data_directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(mut entries) => entries.try_fold(false, |found, entry| Ok(found || vault_engine::is_store(&entry?.path()))),
    }
}
