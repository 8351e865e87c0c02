//! Names of the catalog: tables that are found by name without an allocation, and references that must lead somewhere.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::{BuildHasherDefault, DefaultHasher, Hash},
};

use toml::Spanned;
use vault_domain::{Audience, BudgetName, DataClass, PrincipalId, Purpose, RateName, Region, Tenant};

use crate::{
    document::{RawList, RawNamed, RawRegion},
    fault::{Faults, Problem},
    principal::is_host,
};

/// Names that a fault lists when one was not found; all rules of data classes fit.
const KNOWN_SHOWN_MAX: usize = 24;

/// A tenant, audience or purpose as the catalog declares it.
#[derive(Clone, Debug)]
pub struct Described<Id> {
    id: Id,
    description: Option<Box<str>>,
}

impl<Id> Described<Id> {
    pub(crate) fn new(id: Id, raw: RawNamed) -> Self {
        Self { id, description: raw.description.map(Into::into) }
    }

    /// The name.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What it is, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }
}

/// A region as the catalog declares it. Which regions a vault serves is a matter of its configuration.
#[derive(Clone, Debug)]
pub struct RegionEntry {
    id: Region,
    description: Option<Box<str>>,
    endpoint: Option<Box<str>>,
}

impl RegionEntry {
    pub(crate) fn new(id: Region, raw: RawRegion, faults: &mut Faults) -> Option<Self> {
        if let Some(endpoint) = &raw.endpoint
            && !is_endpoint(endpoint.get_ref())
        {
            faults.add(endpoint.span(), Problem::Endpoint);
            return None;
        }
        let endpoint = raw.endpoint.map(|endpoint| endpoint.into_inner().into());
        Some(Self { id, description: raw.description.map(Into::into), endpoint })
    }

    /// The name.
    #[must_use]
    pub fn id(&self) -> &Region {
        &self.id
    }

    /// What it is, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Where the region is served, `https://host[:port]`: what WRONG_REGION points to.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }
}

fn is_endpoint(text: &str) -> bool {
    text.strip_prefix("https://").is_some_and(|authority| match authority.split_once(':') {
        None => is_host(authority),
        Some((host, port)) => {
            let digits = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
            is_host(host) && digits && port.parse::<u16>().is_ok()
        }
    })
}

/// A name of the catalog that other entries refer to.
pub(crate) trait Named: Clone + Ord + Hash + Borrow<str> {
    /// What it is called in a fault.
    const KIND: &'static str;
    /// Where it is declared.
    const SECTION: &'static str;
}

macro_rules! named {
    ($($id:ident $kind:literal $section:literal),*) => {
        $(impl Named for $id {
            const KIND: &'static str = $kind;
            const SECTION: &'static str = $section;
        })*
    };
}

named!(
    Tenant "tenant" "tenants", Region "region" "regions", Audience "audience" "audiences",
    Purpose "purpose" "purposes", DataClass "data class" "classes", PrincipalId "account" "accounts",
    BudgetName "budget" "budgets", RateName "rate" "rates"
);

/// All names that an account may refer to.
pub(crate) struct Ids {
    pub(crate) tenants: BTreeSet<Tenant>,
    pub(crate) classes: BTreeSet<DataClass>,
    pub(crate) audiences: BTreeSet<Audience>,
    pub(crate) purposes: BTreeSet<Purpose>,
    pub(crate) regions: BTreeSet<Region>,
    /// The classes that values of are never shown as masks.
    pub(crate) maskless: BTreeSet<DataClass>,
}

/// What one name refers to; the id that comes back shares the memory of the declared one.
pub(crate) fn resolve<Id: Named>(name: &Spanned<String>, declared: &BTreeSet<Id>, faults: &mut Faults) -> Option<Id> {
    let found = declared.get(name.get_ref().as_str());
    if found.is_none() {
        let known = match declared.len() {
            0 => "none yet".to_owned(),
            _ => quoted(declared.iter().map(Borrow::<str>::borrow)),
        };
        let name_text = name.get_ref().clone();
        let problem = Problem::NotInCatalog { kind: Id::KIND, section: Id::SECTION, name: name_text, known };
        faults.add(name.span(), problem);
    }
    found.cloned()
}

/// What a list refers to, sorted. Each name may stand in it once.
pub(crate) fn resolve_all<Id: Named>(
    names: &[Spanned<String>],
    declared: &BTreeSet<Id>,
    faults: &mut Faults,
) -> Box<[Id]> {
    let mut found = BTreeSet::new();
    for name in names {
        if let Some(id) = resolve(name, declared, faults)
            && !found.insert(id)
        {
            faults.add(name.span(), Problem::Twice(name.get_ref().clone()));
        }
    }
    found.into_iter().collect()
}

/// What a list refers to that may not be empty.
pub(crate) fn resolve_some<Id: Named>(list: &RawList, declared: &BTreeSet<Id>, faults: &mut Faults) -> Box<[Id]> {
    if list.get_ref().is_empty() {
        faults.add(list.span(), Problem::Empty);
    }
    resolve_all(list.get_ref(), declared, faults)
}

/// What a word of a fixed list stands for.
pub(crate) fn word<T>(
    kind: &'static str,
    written: &Spanned<String>,
    known: &(impl Iterator<Item = (&'static str, T)> + Clone),
    faults: &mut Faults,
) -> Option<T> {
    let text = written.get_ref().as_str();
    let found = known.clone().find(|(name, _)| *name == text);
    if found.is_none() {
        let known = quoted(known.clone().map(|(name, _)| name));
        let problem = Problem::UnknownWord { kind, word: text.to_owned(), known };
        faults.add(written.span(), problem);
    }
    found.map(|(_, meaning)| meaning)
}

/// Names for a fault: in quotes, with commas, the first few.
pub(crate) fn quoted<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<String> = names.by_ref().take(KNOWN_SHOWN_MAX).map(|name| format!("{name:?}")).collect();
    match names.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Rows that are found by name, in order of their names.
pub(crate) struct Table<Id, Row> {
    // The hasher has no key: the names come from the operator's own file, and nothing depends on their order.
    index: HashMap<Id, usize, BuildHasherDefault<DefaultHasher>>,
    rows: Box<[Row]>,
}

impl<Id: Named, Row> Table<Id, Row> {
    /// `rows` by rising name.
    pub(crate) fn new(rows: impl Iterator<Item = (Id, Row)>) -> Self {
        let mut index = HashMap::default();
        let rows = rows.enumerate().map(|(at, (id, row))| {
            index.insert(id, at);
            row
        });
        Self { rows: rows.collect(), index }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Row> {
        self.index.get(name).and_then(|at| self.rows.get(*at))
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Row> {
        self.rows.iter()
    }
}
