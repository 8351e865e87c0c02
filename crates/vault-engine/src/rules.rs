//! What may be done: policies and catalog, and what the tokens of its classes rest on. Exchanged as one, while the
//! vault serves: a call goes by the rules that it began with, from its first decision to its commit.

use std::{collections::HashMap, sync::Arc};

use thiserror::Error;
use vault_catalog::{Catalog, FixedSettings};
use vault_domain::{Action, DataClass, Millis, Reason, Region, limits};
use vault_policy::PolicySet;

use crate::{
    Engine,
    classes::ClassesInUse,
    error::Error as EngineError,
    open::{OpenError, names, said},
};

/// The rules of a vault.
pub(crate) struct Rules {
    pub(crate) policies: PolicySet,
    /// The classes of the catalog in each region that is served.
    pub(crate) classes: HashMap<Region, ClassesInUse>,
    /// The version that they are; None if they come from files.
    pub(crate) version: Option<u64>,
    /// Since when this process goes by them, on the wall clock.
    pub(crate) since: Millis,
}

/// The settings that the tokens of a class rest on, for every class that served since the start, whether the catalog
/// still has it or not. Calls that began under rules with the class may still make tokens of it: it can't come back as
/// another one before the next start.
pub(crate) struct Settled(HashMap<DataClass, FixedSettings>);

/// Why rules are not taken over. The old ones hold on.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// The vault would not start with them either.
    #[error(transparent)]
    Refused(#[from] OpenError),
    /// The vault goes by versions that were applied, not by its files.
    #[error(
        "this vault goes by the version that was applied last (rules_from = \"applied\"), and the files say something \
         else: `tokenvault config apply` makes them a version"
    )]
    NotFromFiles,
    /// A region that is served is not in the new catalog.
    #[error("{0} is served here, but the catalog does not declare it: put it back, or stop serving it first")]
    RegionMissing(Region),
    /// A class has other settings, which its tokens rest on.
    #[error(
        "the data class \"{class}\" served with {setting} = {was} since the last start, and the catalog says {is}: \
         calls that began before may still make tokens of it. This takes a restart with the new settings in the files, \
         or, of applied versions, without the class and a version with it afterwards; or a new class (docs/VALUES.md, \
         Changing a class)"
    )]
    ClassChanged {
        /// The class.
        class: DataClass,
        /// The first setting that differs.
        setting: String,
        /// What it was.
        was: String,
        /// What the catalog says.
        is: String,
    },
    /// More classes came and went than are kept in mind.
    #[error(
        "more than {} data classes came and went since the last start: this takes a restart",
        limits::RULES_CLASSES_MAX
    )]
    TooManyClasses,
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

impl Settled {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        Self(catalog.classes().map(|class| (class.id().clone(), class.fixed_settings().clone())).collect())
    }

    /// Whether a catalog leaves all classes as they served.
    fn check(&self, catalog: &Catalog) -> Result<(), ApplyError> {
        let mut fresh = 0_usize;
        for class in catalog.classes() {
            let Some(before) = self.0.get(class.id()) else {
                fresh += 1;
                continue;
            };
            if let Some(changed) = class.fixed_settings().changed_since(before) {
                let (class, setting) = (class.id().clone(), changed.name);
                return Err(ApplyError::ClassChanged { class, setting, was: said(changed.was), is: said(changed.is) });
            }
        }
        let fits = self.0.len().saturating_add(fresh) <= limits::RULES_CLASSES_MAX;
        if fits { Ok(()) } else { Err(ApplyError::TooManyClasses) }
    }

    /// Keeps the classes of a catalog that serves from now on in mind.
    fn remember(&mut self, catalog: &Catalog) {
        self.0.extend(Self::of(catalog).0);
    }
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

    /// Since when this process goes by the rules of this moment.
    #[must_use]
    pub fn policies_since(&self) -> Millis {
        self.rules.load().since
    }

    /// Takes over other policies and another catalog, while calls go on. The change is an entry of every log, which
    /// names the new fingerprint as all entries do, and is on disk before the first call goes by the new rules.
    ///
    /// # Errors
    /// When they can't be taken over; then nothing has changed.
    pub async fn apply(&self, policies: PolicySet) -> Result<Applied, ApplyError> {
        let mut settled = self.applying.lock().await;
        let old = self.rules();
        let applied = Applied { before: old.policies.fingerprint_hex(), now: policies.fingerprint_hex() };
        if applied.before == applied.now {
            return Ok(applied);
        }
        if old.version.is_some() {
            return Err(ApplyError::NotFromFiles);
        }
        let rules = self.prepare(policies, None, &settled).await?;
        self.note(Action::ApplyPolicies, rules.policies.fingerprint()).await.map_err(ApplyError::Log)?;
        self.go_by(rules, &mut settled);
        Ok(applied)
    }

    /// Holds rules against all that this vault serves and has stored.
    pub(crate) async fn prepare(
        &self,
        policies: PolicySet,
        version: Option<u64>,
        settled: &Settled,
    ) -> Result<Rules, ApplyError> {
        settled.check(policies.catalog())?;
        self.retention.check(policies.catalog(), self.regions.keys()).map_err(OpenError::from)?;
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
        Ok(Rules { policies, classes, version, since: self.clock.wall() })
    }

    /// Has every call that begins from now on go by these rules.
    pub(crate) fn go_by(&self, rules: Rules, settled: &mut Settled) {
        settled.remember(rules.policies.catalog());
        self.rules.store(Arc::new(rules));
    }
}

impl From<ApplyError> for EngineError {
    fn from(error: ApplyError) -> Self {
        let reason = match error {
            ApplyError::Log(error) => return error,
            ApplyError::NotFromFiles
            | ApplyError::RegionMissing(_)
            | ApplyError::ClassChanged { .. }
            | ApplyError::TooManyClasses
            | ApplyError::Refused(
                OpenError::NamesCollide(_) | OpenError::ClassChanged { .. } | OpenError::Retention(_),
            ) => {
                return Self::new(Reason::RulesNotServable).with_detail(error.to_string());
            }
            ApplyError::Refused(OpenError::ClassUnreadable(_)) => Reason::RecordCorrupt,
            ApplyError::Refused(_) => Reason::Internal,
        };
        Self::because(reason, error)
    }
}
