//! The catalog: which data classes there are, who may ask for what, and in which words. One TOML text in, one immutable
//! [`Catalog`] out, or all of its faults at once with line, column and key.
//!
//! It only says what was granted; vault-policy decides. It does no I/O, knows no clock, no key and no secret, and must
//! never take a catalog that it does not understand to the last key: a typo stops the start instead of weakening the
//! vault.
#![deny(missing_docs)]

mod account;
mod budget;
mod class;
mod compare;
mod document;
mod fault;
mod names;
mod principal;
mod rate;
mod schema;

use std::{collections::BTreeSet, fmt, fmt::Write as _, sync::Arc};

use sha2::{Digest as _, Sha256};
use vault_domain::{Audience, BudgetName, DataClass, PrincipalId, Purpose, RateName, Region, Tenant, limits};

use crate::{
    document::Document,
    fault::Faults,
    names::{Ids, Table},
};

pub use account::{Account, DATA_ACTIONS, Grant, LOG_ACTIONS};
pub use budget::{BUDGET_ITEMS_MAX, BUDGETS_MAX, Budget, BudgetLimit, BudgetWindow};
pub use class::{
    ChangedSetting, Class, Determinism, FixedSettings, Format, RuleName, STEP_UP_SECONDS_MAX, StepUp, TTL_SECONDS_MAX,
};
pub use compare::{Difference, differences};
pub use fault::{CatalogError, FAULTS_SHOWN_MAX, Fault, Problem};
pub use names::{Described, RegionEntry};
pub use principal::issuer;
pub use rate::{RATE_CALLS_MAX, RATES_MAX, Rate};
pub use schema::catalog_schema;

/// The sample catalog that `tokenvault dev` runs with; its comments explain every key.
pub const SAMPLE: &str = include_str!("../sample/catalog.toml");

/// The longest catalog: 100,000 accounts of 600 bytes each fit.
pub const CATALOG_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Tenants, audiences, purposes or regions in one catalog, each.
pub const NAMES_MAX: usize = 1024;
/// Grants of one account.
pub const GRANTS_MAX: usize = 256;

/// A catalog without a fault. Clones share it.
#[derive(Clone)]
pub struct Catalog(Arc<Content>);

struct Content {
    classes: Table<DataClass, Class>,
    tenants: Table<Tenant, Described<Tenant>>,
    audiences: Table<Audience, Described<Audience>>,
    purposes: Table<Purpose, Described<Purpose>>,
    regions: Table<Region, RegionEntry>,
    accounts: Table<PrincipalId, Account>,
    budgets: Table<BudgetName, Budget>,
    rates: Table<RateName, Rate>,
    fingerprint: String,
}

impl Catalog {
    /// Reads a catalog.
    ///
    /// # Errors
    /// With every fault that could be told apart, in order of their lines: text that is no TOML stops the reading, all
    /// else is collected.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        let mut faults = Faults::default();
        let content = Content::read(text, &mut faults);
        match content {
            Some(content) if faults.is_empty() => Ok(Self(Arc::new(content))),
            _ => Err(faults.into_error(text)),
        }
    }

    /// The data class with this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&Class> {
        self.0.classes.get(name)
    }

    /// The account of this principal, written as in the log: `spiffe://…` or `dns:…`.
    #[must_use]
    pub fn account(&self, principal: &str) -> Option<&Account> {
        self.0.accounts.get(principal)
    }

    /// The tenant with this name.
    #[must_use]
    pub fn tenant(&self, name: &str) -> Option<&Described<Tenant>> {
        self.0.tenants.get(name)
    }

    /// The audience with this name.
    #[must_use]
    pub fn audience(&self, name: &str) -> Option<&Described<Audience>> {
        self.0.audiences.get(name)
    }

    /// The purpose with this name.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<&Described<Purpose>> {
        self.0.purposes.get(name)
    }

    /// The region with this name, wherever it is served.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&RegionEntry> {
        self.0.regions.get(name)
    }

    /// All data classes, by name.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = &Class> {
        self.0.classes.iter()
    }

    /// All accounts, by principal.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Account> {
        self.0.accounts.iter()
    }

    /// All tenants, by name.
    pub fn tenants(&self) -> impl ExactSizeIterator<Item = &Described<Tenant>> {
        self.0.tenants.iter()
    }

    /// All audiences, by name.
    pub fn audiences(&self) -> impl ExactSizeIterator<Item = &Described<Audience>> {
        self.0.audiences.iter()
    }

    /// All purposes, by name.
    pub fn purposes(&self) -> impl ExactSizeIterator<Item = &Described<Purpose>> {
        self.0.purposes.iter()
    }

    /// All regions, by name.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = &RegionEntry> {
        self.0.regions.iter()
    }

    /// All budgets, by name.
    pub fn budgets(&self) -> impl ExactSizeIterator<Item = &Budget> {
        self.0.budgets.iter()
    }

    /// All rates, by name.
    pub fn rates(&self) -> impl ExactSizeIterator<Item = &Rate> {
        self.0.rates.iter()
    }

    /// SHA-256 of the text as it was given, in lowercase hex: what `sha256sum` says of the file.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog")
            .field("classes", &self.0.classes.iter().len())
            .field("accounts", &self.0.accounts.iter().len())
            .field("fingerprint", &self.0.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// Reads all sections. What has a fault is left out of its table but keeps its name, so that one fault is reported
    /// once and not again by everything that refers to it.
    fn read(text: &str, faults: &mut Faults) -> Option<Self> {
        let document = Document::read(text, faults)?;
        let mut ids = Ids {
            tenants: document.tenants.ids(NAMES_MAX, Tenant::parse, faults),
            classes: document.classes.ids(limits::CLASSES_MAX, DataClass::parse, faults),
            audiences: document.audiences.ids(NAMES_MAX, Audience::parse, faults),
            purposes: document.purposes.ids(NAMES_MAX, Purpose::parse, faults),
            regions: document.regions.ids(NAMES_MAX, Region::parse, faults),
            maskless: BTreeSet::new(),
        };
        let classes = document
            .classes
            .build(&ids.classes, faults, |id, raw, span, faults| Class::new(id, raw, span, &ids.audiences, faults));
        ids.maskless = classes.iter().filter(|class| class.mask().is_none()).map(|class| class.id().clone()).collect();
        let principals = document.accounts.ids(limits::ACCOUNTS_MAX, principal::parse, faults);
        let budgets = document.budgets.ids(BUDGETS_MAX, BudgetName::parse, faults);
        let rates = document.rates.ids(RATES_MAX, RateName::parse, faults);
        Some(Self {
            tenants: document.tenants.build(&ids.tenants, faults, |id, raw, _, _| Some(Described::new(id, raw))),
            audiences: document.audiences.build(&ids.audiences, faults, |id, raw, _, _| Some(Described::new(id, raw))),
            purposes: document.purposes.build(&ids.purposes, faults, |id, raw, _, _| Some(Described::new(id, raw))),
            regions: document
                .regions
                .build(&ids.regions, faults, |id, raw, _, faults| RegionEntry::new(id, raw, faults)),
            classes,
            rates: document
                .rates
                .build(&rates, faults, |id, raw, _, faults| Rate::new(id, &raw, &ids, &principals, faults)),
            budgets: document
                .budgets
                .build(&budgets, faults, |id, raw, span, faults| Budget::new(id, raw, span, &ids, &principals, faults)),
            accounts: document
                .accounts
                .build(&principals, faults, |id, raw, span, faults| Account::new(id, raw, span, &ids, faults)),
            fingerprint: fingerprint(text),
        })
    }
}

fn fingerprint(text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a String can't fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests;
