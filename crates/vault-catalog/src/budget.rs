//! Budgets: how many items of data a caller may send in a time, whatever becomes of them.
//!
//! A budget bounds what can be found out by trying: made-up tokens of a format-preserving class, or values of a class
//! where the same value has the same token. Each caller, data class and purpose has a count of its own under each
//! budget that covers it, and an item needs room under all of them.

use std::{borrow::Borrow, collections::BTreeSet, ops::Range, time::Duration};

use toml::Spanned;
use vault_domain::{Action, BudgetName, DataClass, PrincipalId, Purpose};

use crate::{
    account::{DATA_ACTIONS, holds},
    document::{RawBudget, RawList},
    fault::{Faults, Problem},
    names::{Ids, resolve_some, word},
};

/// Budgets in one catalog.
pub const BUDGETS_MAX: usize = 256;
/// The most items that a budget can be of.
pub const BUDGET_ITEMS_MAX: u32 = 1_000_000_000;

/// The time that a bound of a budget is over. It slides: the bound holds for any stretch of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetWindow {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl BudgetWindow {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3600),
            Self::Day => Duration::from_secs(24 * 3600),
        }
    }

    /// What it is called in texts: "minute".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Minute => "per_minute",
            Self::Hour => "per_hour",
            Self::Day => "per_day",
        }
    }
}

/// A bound of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetLimit {
    /// Over which time.
    pub window: BudgetWindow,
    /// The most items.
    pub items: u32,
}

/// How often somebody may do something. All lists are sorted; None stands for all.
#[derive(Clone, Debug)]
pub struct Budget {
    name: BudgetName,
    description: Option<Box<str>>,
    actions: Box<[Action]>,
    classes: Option<Box<[DataClass]>>,
    purposes: Option<Box<[Purpose]>>,
    accounts: Option<Box<[PrincipalId]>>,
    limits: Box<[BudgetLimit]>,
}

impl Budget {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &BudgetName {
        &self.name
    }

    /// What it is for, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The actions whose items count.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// Its bounds, that over the shortest time first; one at least.
    #[must_use]
    pub fn limits(&self) -> &[BudgetLimit] {
        &self.limits
    }

    /// Whether items of this action, class and purpose count for this caller.
    #[must_use]
    pub fn covers(&self, action: Action, principal: &str, class: &str, purpose: Option<&str>) -> bool {
        self.actions.contains(&action)
            && is_in(self.classes.as_deref(), Some(class))
            && is_in(self.purposes.as_deref(), purpose)
            && is_in(self.accounts.as_deref(), Some(principal))
    }

    /// Judges a budget, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(
        name: BudgetName,
        raw: RawBudget,
        span: Range<usize>,
        ids: &Ids,
        accounts: &BTreeSet<PrincipalId>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let classes = raw.classes.as_ref().map(|list| resolve_some(list, &ids.classes, faults));
        let purposes = raw.purposes.as_ref().map(|list| resolve_some(list, &ids.purposes, faults));
        let accounts = raw.accounts.as_ref().map(|list| resolve_some(list, accounts, faults));
        let actions = actions(&raw.actions, faults);
        let bounds = BudgetWindow::ALL.into_iter().zip([raw.per_minute, raw.per_hour, raw.per_day]);
        let bounds: Vec<(BudgetWindow, Spanned<u64>)> =
            bounds.filter_map(|(window, items)| Some((window, items?))).collect();
        if bounds.is_empty() {
            let because = "a budget has a bound over one of these times at least";
            faults.add(span, Problem::Missing { key: "per_minute, per_hour or per_day", because });
        }
        for pair in bounds.windows(2) {
            let [(_, shorter), (longer, items)] = pair else { continue };
            if shorter.get_ref() > items.get_ref() {
                faults.add(shorter.span(), Problem::BudgetOrder { longer: longer.key() });
            }
        }
        let limits: Vec<BudgetLimit> = bounds
            .iter()
            .filter_map(|(window, written)| {
                let items =
                    u32::try_from(*written.get_ref()).ok().filter(|items| (1..=BUDGET_ITEMS_MAX).contains(items));
                if items.is_none() {
                    faults.add(written.span(), Problem::BudgetItems);
                }
                Some(BudgetLimit { window: *window, items: items? })
            })
            .collect();
        let description = raw.description.map(Into::into);
        Some(Self { name, description, actions, classes, purposes, accounts, limits: limits.into() })
    }
}

fn actions(list: &RawList, faults: &mut Faults) -> Box<[Action]> {
    if list.get_ref().is_empty() {
        faults.add(list.span(), Problem::Empty);
    }
    let known = DATA_ACTIONS.into_iter().map(|action| (action.name(), action));
    let mut actions = BTreeSet::new();
    for written in list.get_ref() {
        if let Some(action) = word("action on data", written, &known, faults)
            && !actions.insert(action)
        {
            faults.add(written.span(), Problem::Twice(written.get_ref().clone()));
        }
    }
    actions.into_iter().collect()
}

/// Whether a list has a name; without a list all do, and what has no name too.
fn is_in<Id: Borrow<str>>(list: Option<&[Id]>, name: Option<&str>) -> bool {
    match (list, name) {
        (None, _) => true,
        (Some(list), Some(name)) => holds(list, name),
        (Some(_), None) => false,
    }
}
