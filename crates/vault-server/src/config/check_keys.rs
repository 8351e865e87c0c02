//! Check keys from a configuration: which classes have them, and where the store is that knows them.

use vault_catalog::Format;
use vault_domain::{DataClass, Region, Tenant};
use vault_engine::CheckKeys;

use super::{Config, ConfigError, read::refuse};
use crate::server::StartError;

impl Config {
    /// The check keys of a region: of these tenants and classes, or of all of them where none is named; and the version
    /// of catalog and policies that names and classes were taken from, None: from the files. The vault must not serve
    /// meanwhile. Reads files: to be called on a thread that may block.
    ///
    /// # Errors
    /// When a name is none of the catalog's, when a class has no opaque tokens, or when store or root key can't be
    /// opened.
    pub fn check_keys(
        &self,
        region: &Region,
        tenants: &[Tenant],
        classes: &[DataClass],
    ) -> Result<(CheckKeys, Option<u64>), StartError> {
        if !self.regions.contains(region) {
            return Err(refuse("regions", format!("{region} is not served by this vault")).into());
        }
        let mut engine = self.engine()?;
        let version = vault_engine::go_by_applied(&mut engine)?;
        let catalog = engine.policies.catalog();
        for tenant in tenants {
            if catalog.tenant(tenant.as_str()).is_none() {
                return Err(refuse("catalog", format!("there is no tenant {tenant}")).into());
            }
        }
        for class in classes {
            match catalog.class(class.as_str()).map(|class| class.format()) {
                Some(Format::Opaque) => {}
                Some(format) => {
                    let problem = format!("tokens of {class} are {}: opaque ones alone have a check", format.name());
                    return Err(refuse("catalog", problem).into());
                }
                None => return Err(refuse("catalog", format!("there is no data class {class}")).into()),
            }
        }
        let is_wanted = |class: &DataClass| classes.is_empty() || classes.contains(class);
        let opaque = catalog.classes().filter(|class| class.format() == Format::Opaque);
        let opaque: Vec<_> = opaque.map(|class| class.id()).filter(|class| is_wanted(class)).collect();
        let of_catalog = catalog.tenants().map(|tenant| tenant.id());
        let wanted = of_catalog.filter(|tenant| tenants.is_empty() || tenants.contains(tenant));
        let pairs: Vec<_> =
            wanted.flat_map(|tenant| opaque.iter().map(|class| (tenant.clone(), (*class).clone()))).collect();
        if pairs.is_empty() {
            return Err(refuse("catalog", "no class has opaque tokens, so there is no check key").into());
        }
        let none_yet =
            || ConfigError::Key { key: "root_key", problem: "there is no store yet: serve first".to_owned() };
        let root = self.root_key.look()?.ok_or_else(none_yet)?;
        Ok((vault_engine::check_keys(&engine, &root, region, &pairs)?, version))
    }
}
