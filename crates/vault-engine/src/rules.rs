//! What may be done: policies and catalog, and what the tokens of its classes rest on. Exchanged as one, while the
//! vault serves: a call goes by the rules that it began with, from its first decision to its commit.

use std::{collections::HashMap, sync::Arc};

use thiserror::Error;
use vault_catalog::Class;
use vault_domain::{Action, DataClass, Region};
use vault_policy::PolicySet;

use crate::{
    Engine,
    classes::ClassesInUse,
    error::Error as EngineError,
    open::{OpenError, names},
};

/// The rules of a vault.
pub(crate) struct Rules {
    pub(crate) policies: PolicySet,
    /// The classes of the catalog in each region that is served.
    pub(crate) classes: HashMap<Region, ClassesInUse>,
}

/// Why rules are not taken over. The old ones hold on.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The vault would not start with them either.
    #[error(transparent)]
    Refused(#[from] OpenError),
    /// A region that is served is not in the new catalog.
    #[error("{0} is served here, but the catalog does not declare it: put it back, or stop serving it first")]
    RegionMissing(Region),
    /// A class has other settings, which its tokens rest on.
    #[error(
        "the data class \"{0}\" has another format, determinism or rule than the one that serves now: calls that began \
         under the old one may still make tokens, so this takes a restart, or a new class (docs/VALUES.md, Changing a \
         class)"
    )]
    ClassChanged(DataClass),
    /// The change could not be written into every log.
    #[error("the change could not be written into the log: {0}")]
    Log(EngineError),
}

/// Rules that were taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The fingerprint of the rules before, in hex.
    pub before: String,
    /// The fingerprint of the rules now; the same if nothing changed, and then there is no entry.
    pub now: String,
}

impl Engine {
    /// The rules at this moment.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// The fingerprint of policies and catalog at this moment, in hex.
    #[must_use]
    pub fn policies_fingerprint(&self) -> String {
        self.rules.load().policies.fingerprint_hex()
    }

    /// Takes over other policies and another catalog, while calls go on. The change is an entry of every log, which
    /// names the new fingerprint as all entries do, and is on disk before the first call goes by the new rules.
    ///
    /// # Errors
    /// When they can't be taken over; then nothing has changed.
    pub async fn apply(&self, policies: PolicySet) -> Result<Applied, ApplyError> {
        let _one_at_a_time = self.applying.lock().await;
        let old = self.rules();
        let applied = Applied { before: old.policies.fingerprint_hex(), now: policies.fingerprint_hex() };
        if applied.before == applied.now {
            return Ok(applied);
        }
        let settings = |class: &Class| class.fixed_settings().to_string();
        for class in policies.catalog().classes() {
            let before = old.policies.catalog().class(class.id().as_str());
            if before.is_some_and(|before| settings(before) != settings(class)) {
                return Err(ApplyError::ClassChanged(class.id().clone()));
            }
        }
        let mut classes = HashMap::with_capacity(self.regions.len());
        for (region, vault) in &self.regions {
            if policies.catalog().region(region.as_str()).is_none() {
                return Err(ApplyError::RegionMissing(region.clone()));
            }
            if let Some(names) = vault.keys.colliding_names(names(&policies)) {
                return Err(OpenError::NamesCollide(names).into());
            }
            let in_use = ClassesInUse::open(&vault.reader, policies.catalog(), region).await?;
            classes.insert(region.clone(), in_use);
        }
        self.note(Action::ApplyPolicies, policies.fingerprint()).await.map_err(ApplyError::Log)?;
        self.rules.store(Arc::new(Rules { policies, classes }));
        Ok(applied)
    }
}
