//! The catalog's text as TOML sections: `[section.<name>]`, one shape per section, unknown keys refused.
//!
//! Each entry is read on its own, so that a fault in one does not hide the faults of the others. Nothing is judged here
//! but the shape.

use std::{collections::BTreeSet, ops::Range};

use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use crate::{
    CATALOG_BYTES_MAX,
    fault::{Faults, Problem},
    names::{Named, Table, quoted},
};

const SECTIONS: [&str; 6] = ["tenants", "regions", "audiences", "purposes", "classes", "accounts"];

/// A text that is TOML, by sections.
#[derive(Default)]
pub(crate) struct Document<'t> {
    pub(crate) tenants: Section<'t>,
    pub(crate) regions: Section<'t>,
    pub(crate) audiences: Section<'t>,
    pub(crate) purposes: Section<'t>,
    pub(crate) classes: Section<'t>,
    pub(crate) accounts: Section<'t>,
}

impl<'t> Document<'t> {
    /// Finds the sections. None if the text is no TOML.
    pub(crate) fn read(text: &'t str, faults: &mut Faults) -> Option<Self> {
        if text.len() > CATALOG_BYTES_MAX {
            faults.add(0..0, Problem::TooLarge);
            return None;
        }
        let (root, errors) = DeTable::parse_recoverable(text);
        errors.iter().for_each(|error| faults.add_toml(0..0, error));
        if !errors.is_empty() {
            return None;
        }
        let mut document = Self::default();
        for (key, value) in root.into_inner() {
            let section = match key.get_ref().as_ref() {
                "tenants" => &mut document.tenants,
                "regions" => &mut document.regions,
                "audiences" => &mut document.audiences,
                "purposes" => &mut document.purposes,
                "classes" => &mut document.classes,
                "accounts" => &mut document.accounts,
                unknown => {
                    let word = unknown.to_owned();
                    let problem = Problem::UnknownWord { kind: "section of a catalog", word, known: quoted(SECTIONS) };
                    faults.add(key.span(), problem);
                    continue;
                }
            };
            section.span = value.span();
            match value.into_inner() {
                DeValue::Table(table) => section.entries = table,
                _ => faults.add(
                    section.span.clone(),
                    Problem::Toml("invalid type: expected a table of entries, [section.<name>]".to_owned()),
                ),
            }
        }
        Some(document)
    }
}

/// One section: entries by name, in order of their names.
pub(crate) struct Section<'t> {
    span: Range<usize>,
    entries: DeTable<'t>,
}

impl Default for Section<'_> {
    fn default() -> Self {
        Self { span: 0..0, entries: DeTable::new() }
    }
}

impl Section<'_> {
    /// The names of all entries whose name is one, whatever else may be wrong with them.
    pub(crate) fn ids<Id: Ord, E: Into<Problem>>(
        &self,
        max: usize,
        parse: impl Fn(&str) -> Result<Id, E>,
        faults: &mut Faults,
    ) -> BTreeSet<Id> {
        if self.entries.len() > max {
            faults.add(self.span.clone(), Problem::TooMany { found: self.entries.len(), max });
        }
        let names = self.entries.keys();
        names
            .filter_map(|name| parse(name.get_ref()).map_err(|error| faults.add(name.span(), error.into())).ok())
            .collect()
    }

    /// Makes the section's table, one entry after the other: `make` gets the name, the entry and the place of the name.
    /// What has not the shape of its section is a fault.
    pub(crate) fn build<Id: Named, Raw: DeserializeOwned, Row>(
        self,
        ids: &BTreeSet<Id>,
        faults: &mut Faults,
        mut make: impl FnMut(Id, Raw, Range<usize>, &mut Faults) -> Option<Row>,
    ) -> Table<Id, Row> {
        Table::new(self.entries.into_iter().filter_map(|(name, value)| {
            let span = value.span();
            let raw = Raw::deserialize(ValueDeserializer::from(value)).map_err(|error| faults.add_toml(span, &error));
            let id = ids.get(name.get_ref().as_ref())?.clone();
            let row = make(id.clone(), raw.ok()?, name.span(), faults)?;
            Some((id, row))
        }))
    }
}

/// `[tenants.<name>]`, `[audiences.<name>]`, `[purposes.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawNamed {
    pub(crate) description: Option<String>,
}

/// `[regions.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRegion {
    pub(crate) description: Option<String>,
    pub(crate) endpoint: Option<Spanned<String>>,
}

/// `[classes.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClass {
    pub(crate) description: Option<String>,
    pub(crate) rule: Spanned<String>,
    pub(crate) pattern: Option<Spanned<String>>,
    pub(crate) length_bytes_max: Option<Spanned<usize>>,
    pub(crate) length_chars_min: Option<Spanned<usize>>,
    pub(crate) length_chars_max: Option<Spanned<usize>>,
    pub(crate) controls: Option<Spanned<String>>,
    pub(crate) spelling: Option<Spanned<String>>,
    pub(crate) digits_min: Option<Spanned<usize>>,
    pub(crate) digits_max: Option<Spanned<usize>>,
    pub(crate) year_min: Option<Spanned<u16>>,
    pub(crate) year_max: Option<Spanned<u16>>,
    pub(crate) hyphens: Option<Spanned<String>>,
    pub(crate) format: Option<Spanned<String>>,
    pub(crate) keep_first: Option<Spanned<usize>>,
    pub(crate) keep_last: Option<Spanned<usize>>,
    pub(crate) luhn: Option<Spanned<String>>,
    pub(crate) range: Option<Spanned<String>>,
    pub(crate) alphabet: Option<Spanned<String>>,
    pub(crate) determinism: Option<Spanned<String>>,
    pub(crate) audiences: Option<RawList>,
    pub(crate) purpose_required: Option<bool>,
    pub(crate) ttl_seconds_default: Option<Spanned<u64>>,
    pub(crate) ttl_seconds_max: Option<Spanned<u64>>,
}

/// `[accounts."<principal>"]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccount {
    pub(crate) description: Option<String>,
    pub(crate) tenant: Spanned<String>,
    #[serde(default)]
    pub(crate) audiences: Vec<Spanned<String>>,
    pub(crate) regions: RawList,
    #[serde(default)]
    pub(crate) grants: Vec<Spanned<RawGrant>>,
}

/// One element of `grants`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGrant {
    pub(crate) actions: RawList,
    pub(crate) classes: Option<RawList>,
    pub(crate) purposes: Option<RawList>,
    pub(crate) audiences: Option<RawList>,
}

/// A list of names, with its own place and theirs.
pub(crate) type RawList = Spanned<Vec<Spanned<String>>>;
