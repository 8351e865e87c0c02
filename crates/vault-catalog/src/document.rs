//! The catalog's text as TOML sections: `[section.<name>]`, one shape per section, unknown keys refused.
//!
//! Each entry is read on its own, so that a fault in one does not hide the faults of the others. Nothing is judged here
//! but the shape.

use std::{collections::BTreeSet, ops::Range};

use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use crate::{
    CATALOG_BYTES_MAX,
    class::schema as class,
    fault::{Faults, Problem},
    names::{Named, Table, quoted},
    schema,
};

pub(crate) const SECTIONS: [&str; 8] =
    ["tenants", "regions", "audiences", "purposes", "classes", "accounts", "budgets", "rates"];

/// A text that is TOML, by sections.
#[derive(Default)]
pub(crate) struct Document<'t> {
    pub(crate) tenants: Section<'t>,
    pub(crate) regions: Section<'t>,
    pub(crate) audiences: Section<'t>,
    pub(crate) purposes: Section<'t>,
    pub(crate) classes: Section<'t>,
    pub(crate) accounts: Section<'t>,
    pub(crate) budgets: Section<'t>,
    pub(crate) rates: Section<'t>,
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
                "budgets" => &mut document.budgets,
                "rates" => &mut document.rates,
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

// What follows is the schema as well (schema.rs): the comments of its fields are what an editor shows.

/// `[tenants.<name>]`, `[audiences.<name>]`, `[purposes.<name>]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "named")]
pub(crate) struct RawNamed {
    /// What it is, for people.
    pub(crate) description: Option<String>,
}

/// `[regions.<name>]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "region")]
pub(crate) struct RawRegion {
    /// What it is, for people.
    pub(crate) description: Option<String>,
    /// Where it is served, https://host or https://host:port: callers who ask here are told so.
    #[schemars(with = "Option<schema::Endpoint>")]
    pub(crate) endpoint: Option<Spanned<String>>,
}

/// `[classes.<name>]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "class", transform = class::keys_of_rules)]
pub(crate) struct RawClass {
    /// What it is, for people.
    pub(crate) description: Option<String>,
    /// What a value must be, or it is refused before it is stored.
    #[schemars(with = "class::RuleWord")]
    pub(crate) rule: Spanned<String>,
    /// Rule "pattern": the regular expression that a value has to match as a whole (the regex crate, ASCII mode).
    #[schemars(with = "Option<class::Pattern>")]
    pub(crate) pattern: Option<Spanned<String>>,
    /// Rules "pattern", "text" and "bytes": the most bytes that a value may have.
    #[schemars(with = "Option<class::Length>")]
    pub(crate) length_bytes_max: Option<Spanned<usize>>,
    /// Rule "text": the fewest characters (Unicode scalar values).
    #[schemars(with = "Option<class::Length>", extend("default" = 1))]
    pub(crate) length_chars_min: Option<Spanned<usize>>,
    /// Rule "text": the most characters (Unicode scalar values). No bound beside length_bytes_max if left out.
    #[schemars(with = "Option<class::Length>")]
    pub(crate) length_chars_max: Option<Spanned<usize>>,
    /// Rule "text": the control characters that a value may hold; line ends are tab, line feed and carriage return.
    #[schemars(with = "Option<class::ControlsWord>")]
    pub(crate) controls: Option<Spanned<String>>,
    /// Rule "text": what becomes of the ways to write one text in Unicode. All are taken and are equal, only form C is
    /// taken, or all are taken and differ.
    #[schemars(with = "Option<class::SpellingWord>")]
    pub(crate) spelling: Option<Spanned<String>>,
    /// Rule "digits": the fewest digits.
    #[schemars(with = "Option<class::Length>")]
    pub(crate) digits_min: Option<Spanned<usize>>,
    /// Rule "digits": the most digits.
    #[schemars(with = "Option<class::Length>")]
    pub(crate) digits_max: Option<Spanned<usize>>,
    /// Rule "date": the first year.
    #[schemars(with = "Option<class::Year>")]
    pub(crate) year_min: Option<Spanned<u16>>,
    /// Rule "date": the last year.
    #[schemars(with = "Option<class::Year>")]
    pub(crate) year_max: Option<Spanned<u16>>,
    /// Rule "us_ssn": whether a value has its hyphens, as in 123-45-6789.
    #[schemars(with = "Option<class::HyphensWord>")]
    pub(crate) hyphens: Option<Spanned<String>>,
    /// What a token looks like. Fixed once the class is in use.
    #[schemars(with = "Option<class::FormatWord>")]
    pub(crate) format: Option<Spanned<String>>,
    /// Formats "format_preserving" and "ff1": the characters at the beginning that stay. Fixed once in use.
    #[schemars(with = "Option<class::Kept>", extend("default" = 0))]
    pub(crate) keep_first: Option<Spanned<usize>>,
    /// Formats "format_preserving" and "ff1": the characters at the end that stay. Fixed once in use.
    #[schemars(with = "Option<class::Kept>", extend("default" = 0))]
    pub(crate) keep_last: Option<Spanned<usize>>,
    /// What the Luhn check makes of tokens: "invalid" for the rule "pan" if left out, "none" for others.
    #[schemars(with = "Option<class::LuhnWord>")]
    pub(crate) luhn: Option<Spanned<String>>,
    /// Format "format_preserving", for rules whose numbers have a range that is given to nobody: whether tokens lie
    /// there.
    #[schemars(with = "Option<class::RangeWord>")]
    pub(crate) range: Option<Spanned<String>>,
    /// Format "format_preserving": which letters a text may have ("ascii" if left out). Format "ff1": which characters
    /// are permuted ("digits" if left out, where values have no others).
    #[schemars(with = "Option<class::AlphabetWord>")]
    pub(crate) alphabet: Option<Spanned<String>>,
    /// When the same value has the same token again. Fixed once the class is in use.
    #[schemars(with = "Option<class::DeterminismWord>")]
    pub(crate) determinism: Option<Spanned<String>>,
    /// Determinism "per_class": the audiences that share the tokens of this class.
    #[schemars(with = "Option<Vec<String>>")]
    pub(crate) audiences: Option<RawList>,
    /// What of a value is shown to accounts that were granted masks alone; none if left out.
    #[schemars(with = "Option<class::MaskWord>")]
    pub(crate) mask: Option<Spanned<String>>,
    /// Mask "pattern": which characters it shows.
    #[schemars(with = "Option<RawMaskPattern>")]
    pub(crate) mask_pattern: Option<Spanned<RawMaskPattern>>,
    /// Rule "pan", mask "pattern": lets it show more than the first 6 and the last 4 digits (PCI DSS 3.4.1 asks for a
    /// documented need).
    #[schemars(with = "Option<bool>")]
    pub(crate) mask_beyond_pci: Option<Spanned<bool>>,
    /// Whether calls must state a purpose.
    #[schemars(extend("default" = true))]
    pub(crate) purpose_required: Option<bool>,
    /// Whether calls that reveal values must carry a reference, such as the number of a ticket.
    #[schemars(extend("default" = false))]
    pub(crate) reference_required: Option<bool>,
    /// Whoever reveals values must have proven who it is at least this strongly: an Authenticator Assurance Level of
    /// NIST SP 800-63B, 1 to 3, told by its access token. Nobody can by a certificate alone.
    #[schemars(with = "Option<class::Assurance>")]
    pub(crate) step_up_assurance: Option<Spanned<u8>>,
    /// And at most so many seconds ago.
    #[schemars(with = "Option<class::StepUpAge>")]
    pub(crate) step_up_seconds: Option<Spanned<u64>>,
    /// How long a token lives, in seconds; for ever if left out.
    #[schemars(with = "Option<class::Lifetime>")]
    pub(crate) ttl_seconds_default: Option<Spanned<u64>>,
    /// The longest life that a caller may ask for, in seconds.
    #[schemars(with = "Option<class::Lifetime>")]
    pub(crate) ttl_seconds_max: Option<Spanned<u64>>,
}

/// `mask_pattern`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "mask_pattern")]
pub(crate) struct RawMaskPattern {
    /// The characters at the beginning that are shown.
    #[schemars(with = "Option<class::Kept>")]
    pub(crate) keep_first: Option<usize>,
    /// The characters at the end that are shown.
    #[schemars(with = "Option<class::Kept>")]
    pub(crate) keep_last: Option<usize>,
    /// Whether blanks, hyphens, dots, slashes and plus signs are shown wherever they stand, and not counted: true for
    /// numbers and dates if left out, false for addresses and text.
    pub(crate) show_separators: Option<bool>,
}

/// `[accounts."<principal>"]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "account")]
pub(crate) struct RawAccount {
    /// What it is, for people.
    pub(crate) description: Option<String>,
    /// Whose data it works on.
    #[schemars(with = "schema::Name")]
    pub(crate) tenant: Spanned<String>,
    /// The audiences that it is a member of: whose tokens it may be shown the values of.
    #[serde(default)]
    #[schemars(with = "Option<schema::Names>")]
    pub(crate) audiences: Vec<Spanned<String>>,
    /// The regions that it is cleared for.
    #[schemars(with = "schema::RegionNames")]
    pub(crate) regions: RawList,
    /// Whether its certificate alone lets it in ("optional" if left out), or an access token has to come with it.
    #[schemars(with = "Option<schema::AccessToken>")]
    pub(crate) access_token: Option<Spanned<String>>,
    /// What it may do.
    #[serde(default)]
    #[schemars(with = "Option<schema::Grants>")]
    pub(crate) grants: Vec<Spanned<RawGrant>>,
}

/// One element of `grants`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "grant")]
pub(crate) struct RawGrant {
    /// What is granted: on data, or on the log.
    #[schemars(with = "schema::Actions")]
    pub(crate) actions: RawList,
    /// How much of a value detokenize shows at most; detokenize only.
    #[schemars(with = "Option<schema::Level>")]
    pub(crate) level: Option<Spanned<String>>,
    /// With which data classes; data only.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) classes: Option<RawList>,
    /// For which purposes; any if left out, and none stated too.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) purposes: Option<RawList>,
    /// For which audiences; the account's own if left out. Data only.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) audiences: Option<RawList>,
    /// Only with an access token that carries all of these scopes.
    #[schemars(with = "Option<schema::Scopes>")]
    pub(crate) scopes: Option<RawList>,
}

/// `[budgets.<name>]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "budget")]
pub(crate) struct RawBudget {
    /// What it is for, for people.
    pub(crate) description: Option<String>,
    /// The actions on data whose items count, together.
    #[schemars(with = "schema::DataActions")]
    pub(crate) actions: RawList,
    /// The data classes that it is for, each with a count of its own; all if left out.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) classes: Option<RawList>,
    /// The purposes that it is for, each with a count of its own; all if left out, and none stated too.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) purposes: Option<RawList>,
    /// The accounts that it is for, each with a count of its own; all if left out.
    #[schemars(with = "Option<schema::Principals>")]
    pub(crate) accounts: Option<RawList>,
    /// The most items in any 60 seconds.
    #[schemars(with = "Option<schema::BudgetItems>")]
    pub(crate) per_minute: Option<Spanned<u64>>,
    /// The most items in any 60 minutes.
    #[schemars(with = "Option<schema::BudgetItems>")]
    pub(crate) per_hour: Option<Spanned<u64>>,
    /// The most items in any 24 hours.
    #[schemars(with = "Option<schema::BudgetItems>")]
    pub(crate) per_day: Option<Spanned<u64>>,
}

/// `[rates.<name>]`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "rate")]
pub(crate) struct RawRate {
    /// What it is for, for people.
    pub(crate) description: Option<String>,
    /// The accounts that it is for, each by itself; all if accounts and tenants are left out.
    #[schemars(with = "Option<schema::Principals>")]
    pub(crate) accounts: Option<RawList>,
    /// The tenants that it is for, all accounts of each together. Without accounts.
    #[schemars(with = "Option<schema::SomeNames>")]
    pub(crate) tenants: Option<RawList>,
    /// The calls that may come in a second, on average.
    #[schemars(with = "schema::RateCalls")]
    pub(crate) per_second: Spanned<u64>,
    /// The calls that may come at once after a rest; as many as in a second if left out.
    #[schemars(with = "Option<schema::RateCalls>")]
    pub(crate) burst: Option<Spanned<u64>>,
}

/// A list of names, with its own place and theirs.
pub(crate) type RawList = Spanned<Vec<Spanned<String>>>;
