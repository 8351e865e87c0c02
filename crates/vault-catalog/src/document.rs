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
pub(crate) struct Document {
    pub(crate) tenants: Section<RawNamed>,
    pub(crate) regions: Section<RawRegion>,
    pub(crate) audiences: Section<RawNamed>,
    pub(crate) purposes: Section<RawNamed>,
    pub(crate) classes: Section<RawClass>,
    pub(crate) accounts: Section<RawAccount>,
}

impl Document {
    /// Reads the shape of all sections. None if the text is no TOML.
    pub(crate) fn read(text: &str, faults: &mut Faults) -> Option<Self> {
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
            match key.get_ref().as_ref() {
                "tenants" => document.tenants = Section::read(value, faults),
                "regions" => document.regions = Section::read(value, faults),
                "audiences" => document.audiences = Section::read(value, faults),
                "purposes" => document.purposes = Section::read(value, faults),
                "classes" => document.classes = Section::read(value, faults),
                "accounts" => document.accounts = Section::read(value, faults),
                unknown => {
                    let word = unknown.to_owned();
                    let problem = Problem::UnknownWord { kind: "section of a catalog", word, known: quoted(SECTIONS) };
                    faults.add(key.span(), problem);
                }
            }
        }
        Some(document)
    }
}

/// One section: entries by name.
pub(crate) struct Section<Raw> {
    span: Range<usize>,
    entries: Vec<Entry<Raw>>,
}

struct Entry<Raw> {
    name: String,
    name_span: Range<usize>,
    /// None if the entry has not the shape of its section.
    raw: Option<Raw>,
}

impl<Raw> Default for Section<Raw> {
    fn default() -> Self {
        Self { span: 0..0, entries: Vec::new() }
    }
}

impl<Raw: DeserializeOwned> Section<Raw> {
    fn read(section: Spanned<DeValue<'_>>, faults: &mut Faults) -> Self {
        let span = section.span();
        let DeValue::Table(table) = section.into_inner() else {
            faults.add(span, Problem::Toml("invalid type: expected a table of entries, [section.<name>]".to_owned()));
            return Self::default();
        };
        let entries = table.into_iter().map(|(key, value)| {
            let (name_span, value_span) = (key.span(), value.span());
            let raw = Raw::deserialize(ValueDeserializer::from(value));
            Entry {
                name: key.into_inner().into_owned(),
                name_span,
                raw: raw.map_err(|error| faults.add_toml(value_span, &error)).ok(),
            }
        });
        Self { entries: entries.collect(), span }
    }

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
        let mut parsed = |entry: &Entry<Raw>| {
            parse(&entry.name).map_err(|error| faults.add(entry.name_span.clone(), error.into())).ok()
        };
        self.entries.iter().filter_map(&mut parsed).collect()
    }

    /// Makes the section's table: `make` gets the name, the entry and the place of the entry's name.
    pub(crate) fn build<Id: Named, Row>(
        self,
        ids: &BTreeSet<Id>,
        mut make: impl FnMut(Id, Raw, Range<usize>) -> Option<Row>,
    ) -> Table<Id, Row> {
        let rows = self.entries.into_iter().filter_map(|entry| {
            let id = ids.get(entry.name.as_str())?.clone();
            let row = make(id.clone(), entry.raw?, entry.name_span)?;
            Some((id, row))
        });
        Table::new(rows)
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
    pub(crate) digits_min: Option<Spanned<usize>>,
    pub(crate) digits_max: Option<Spanned<usize>>,
    pub(crate) format: Option<Spanned<String>>,
    pub(crate) keep_first: Option<Spanned<usize>>,
    pub(crate) keep_last: Option<Spanned<usize>>,
    pub(crate) luhn: Option<Spanned<String>>,
    pub(crate) determinism: Option<Spanned<String>>,
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
