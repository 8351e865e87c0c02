//! Rates: how many calls a second an account, or all accounts of a tenant together, may make.

use std::collections::BTreeSet;

use toml::Spanned;
use vault_domain::{PrincipalId, RateName, Tenant};

use crate::{
    account::{Account, holds},
    document::RawRate,
    fault::{Faults, Problem},
    names::{Ids, resolve_some},
};

/// Rates in one catalog.
pub const RATES_MAX: usize = 256;
/// The most calls that a rate can be of.
pub const RATE_CALLS_MAX: u32 = 1_000_000;

/// How many calls may come.
#[derive(Clone, Debug)]
pub struct Rate {
    name: RateName,
    description: Option<Box<str>>,
    who: Who,
    per_second: u32,
    burst: u32,
}

/// Whose calls a rate is about. Lists are sorted.
#[derive(Clone, Debug)]
enum Who {
    /// Each account by itself; None for every account.
    Accounts(Option<Box<[PrincipalId]>>),
    /// All accounts of each tenant together.
    Tenants(Box<[Tenant]>),
}

impl Rate {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &RateName {
        &self.name
    }

    /// What it is for, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Calls a second, on average.
    #[must_use]
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Calls at once, after a rest.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// Whom a call of this account is counted for: the account, or its tenant; None if the rate is not about it.
    #[must_use]
    pub fn counted_for<'a>(&self, account: &'a Account) -> Option<&'a str> {
        let (principal, tenant) = (account.principal().as_str(), account.tenant().as_str());
        match &self.who {
            Who::Accounts(None) => Some(principal),
            Who::Accounts(Some(accounts)) => holds(accounts, principal).then_some(principal),
            Who::Tenants(tenants) => holds(tenants, tenant).then_some(tenant),
        }
    }

    /// Judges a rate, reporting all that is wrong with it.
    pub(crate) fn new(
        name: RateName,
        raw: &RawRate,
        ids: &Ids,
        accounts: &BTreeSet<PrincipalId>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let who = match (&raw.accounts, &raw.tenants) {
            (None, Some(tenants)) => Who::Tenants(resolve_some(tenants, &ids.tenants, faults)),
            (Some(list), None) => Who::Accounts(Some(resolve_some(list, accounts, faults))),
            (None, None) => Who::Accounts(None),
            (Some(_), Some(tenants)) => {
                let because = "the rate names accounts; write another one for tenants";
                faults.add(tenants.span(), Problem::Misplaced { key: "tenants", because });
                return None;
            }
        };
        let mut calls = |written: &Spanned<u64>| {
            let calls = u32::try_from(*written.get_ref()).ok().filter(|calls| (1..=RATE_CALLS_MAX).contains(calls));
            if calls.is_none() {
                faults.add(written.span(), Problem::RateCalls);
            }
            calls
        };
        let per_second = calls(&raw.per_second);
        let burst = raw.burst.as_ref().map_or(per_second, &mut calls);
        let description = raw.description.as_deref().map(Into::into);
        Some(Self { name, description, who, per_second: per_second?, burst: burst? })
    }
}
