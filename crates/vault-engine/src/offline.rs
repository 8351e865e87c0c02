//! What can be had from a vault's stores while it does not serve.

use std::path::Path;

use vault_domain::{DataClass, Region, Tenant};
use vault_keys::{CheckKeys, RootKey};
use vault_store::{Identity, Options, Recovery, Scope, Store, wait};

use crate::{EngineConfig, OpenError, RulesFrom, open::load_version, versions::Versions};

/// The check keys of classes of a region, from its store, which must not be open in another process. To be called on a
/// thread that may block.
///
/// # Errors
/// When the store is not there or in use, or its keys can't be had.
pub fn check_keys(
    config: &EngineConfig,
    root: &RootKey,
    region: &Region,
    classes: &[(Tenant, DataClass)],
) -> Result<CheckKeys, OpenError> {
    let store = open(config, Scope::Region(region.clone()))?;
    Ok(wait(CheckKeys::derive(root, &config.vault, region, &store.reader, classes))?)
}

/// Has the configuration go by the version of catalog and policies that the vault would serve by, and gives its number.
/// None: by the files, as it says itself or because there is no version yet. To be called on a thread that may block.
///
/// # Errors
/// When the node's store is in use or damaged, or the version can't serve in this release.
pub fn go_by_applied(config: &mut EngineConfig) -> Result<Option<u64>, OpenError> {
    if !has_started(&config.data_directory) || matches!(config.rules_from, RulesFrom::Files) {
        return Ok(None);
    }
    let store = open(config, Scope::Node)?;
    let Some(newest) = wait(Versions::open(&store.reader))?.newest() else { return Ok(None) };
    config.policies = load_version(config, &store, &newest)?;
    Ok(Some(newest.version))
}

/// Whether a vault with this folder of stores has ever started: then there may be versions of catalog and policies.
#[must_use]
pub fn has_started(data_directory: &Path) -> bool {
    data_directory.join(Scope::Node.as_str()).exists()
}

fn open(config: &EngineConfig, scope: Scope) -> Result<Store, OpenError> {
    let path = config.data_directory.join(scope.as_str());
    let options = Options {
        create: false,
        identity: Identity { vault: config.vault.clone(), scope },
        memory: config.memory.clone(),
        ballast_bytes: config.ballast_bytes,
    };
    let store = Store::open(&path, &options)?;
    if let Recovery::TailDropped { detail } = &store.recovery {
        tracing::warn!(path = %path.display(), detail, "the end of the write-ahead log was torn, as after a crash");
    }
    Ok(store)
}
