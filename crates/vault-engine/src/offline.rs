//! What can be had from a region's store while no vault serves it.

use vault_domain::{DataClass, Region, Tenant};
use vault_keys::{CheckKeys, RootKey};
use vault_store::{Identity, Options, Recovery, Scope, Store, wait};

use crate::{EngineConfig, OpenError};

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
    let scope = Scope::Region(region.clone());
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
    Ok(wait(CheckKeys::derive(root, &config.vault, region, &store.reader, classes))?)
}
