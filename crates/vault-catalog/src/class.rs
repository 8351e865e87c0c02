//! Data classes: what values of a kind must look like, what their tokens look like and how long they live.

mod fixed;
mod format;
mod judge;
mod rule;
pub(crate) mod schema;

use std::time::Duration;

use vault_domain::{Assurance, Audience, DataClass};
use vault_format::{Permuted, Preserving, Rule};

pub use fixed::{ChangedSetting, FixedSettings};

/// The longest lifetime of a token, 100 years of 365 days: a longer one is a unit mistaken.
pub const TTL_SECONDS_MAX: u64 = 100 * 365 * 24 * 3600;
/// The longest time that an authentication counts as fresh, a day: whoever allows more asks for none.
pub const STEP_UP_SECONDS_MAX: u64 = 24 * 3600;

macro_rules! words {
    ($(#[$enum_doc:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in catalogs and policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

words! {
    /// Which rule the values of a class must meet; the rule itself is [`Class::rule`].
    RuleName {
        /// A card number.
        Pan = "pan",
        /// An e-mail address.
        Email = "email",
        /// An International Bank Account Number.
        Iban = "iban",
        /// A telephone number with country code.
        Phone = "phone",
        /// A Social Security number of the United States, with `hyphens` or without.
        UsSsn = "us_ssn",
        /// A German Identifikationsnummer.
        DeSteuerId = "de_steuer_id",
        /// A Spanish DNI or NIE.
        EsDniNie = "es_dni_nie",
        /// A French numéro d'inscription au répertoire.
        FrNir = "fr_nir",
        /// A Dutch burgerservicenummer.
        NlBsn = "nl_bsn",
        /// A Polish PESEL.
        PlPesel = "pl_pesel",
        /// A National Insurance number of the United Kingdom.
        UkNino = "uk_nino",
        /// A day, in a year of `year_min` to `year_max`.
        Date = "date",
        /// `digits_min` to `digits_max` digits.
        Digits = "digits",
        /// Text that matches `pattern`, at most `length_bytes_max` long.
        Pattern = "pattern",
        /// Text of at most `length_bytes_max`, with choices of `controls` and `spelling`.
        Text = "text",
        /// Any bytes, at most `length_bytes_max`.
        Bytes = "bytes",
    }
}

words! {
    /// When the same value gives the same token again.
    Determinism {
        /// Never: every token is fresh, and nobody can tell from tokens that two values are equal.
        None = "none",
        /// Inside one audience always; tokens of two audiences can't be linked.
        PerAudience = "per_audience",
        /// Inside one audience for one person; tokens of two persons can't be linked.
        PerSubject = "per_subject",
        /// Always, for all audiences that share the class: any of them may be shown the value of any such token.
        PerClass = "per_class",
    }
}

/// What the tokens of a class look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `tok_<region>_…`: needs room, tells nothing.
    Opaque,
    /// A random UUID (RFC 9562, version 4): for columns that hold nothing else.
    Uuid,
    /// Random text in the format of its value.
    FormatPreserving(Preserving),
    /// The value permuted by FF1 (SP 800-38G): reversible by key alone. Nothing is stored.
    Ff1(Permuted),
    /// `one_<region>_…`: a keyed hash, to be compared and never revealed. Nothing is stored.
    OneWay,
}

impl Format {
    /// The word in catalogs and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opaque => "opaque",
            Self::Uuid => "uuid",
            Self::FormatPreserving(_) => "format_preserving",
            Self::OneWay => "one_way",
            Self::Ff1(_) => "ff1",
        }
    }
}

/// The audiences that a class is deterministic for as a whole.
#[derive(Clone, Debug)]
struct Shared {
    /// Sorted.
    audiences: Box<[Audience]>,
    /// What stands for all of them.
    all: Audience,
}

/// How strongly and how lately whoever reveals values must have proven who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The least strength.
    pub assurance: Assurance,
    /// The longest time since then.
    pub age_max: Duration,
}

/// A data class.
#[derive(Clone, Debug)]
pub struct Class {
    id: DataClass,
    description: Option<Box<str>>,
    rule_name: RuleName,
    rule: Rule,
    format: Format,
    determinism: Determinism,
    shared: Option<Shared>,
    fixed: FixedSettings,
    purpose_required: bool,
    reference_required: bool,
    step_up: Option<StepUp>,
    ttl_default: Option<Duration>,
    ttl_max: Option<Duration>,
}

impl Class {
    /// The name.
    #[must_use]
    pub fn id(&self) -> &DataClass {
        &self.id
    }

    /// What it is, in the catalog's own words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The word for the rule.
    #[must_use]
    pub fn rule_name(&self) -> RuleName {
        self.rule_name
    }

    /// What values must meet before they are stored.
    #[must_use]
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// What tokens look like.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// When the same value gives the same token.
    #[must_use]
    pub fn determinism(&self) -> Determinism {
        self.determinism
    }

    /// Who a token is meant for that is made or presented for `audience`: that audience alone; of a class that is
    /// deterministic per class, all that share it as one. None: it does not share this class.
    #[must_use]
    pub fn addressee<'a>(&'a self, audience: &'a Audience) -> Option<&'a Audience> {
        match &self.shared {
            None => Some(audience),
            Some(shared) => shared.audiences.binary_search(audience).is_ok().then_some(&shared.all),
        }
    }

    /// What must not change while there are tokens of this class: with other settings they would not be found, would
    /// be found to lead to other values, or would stand beside other tokens of the same value. In words, sorted by
    /// setting.
    #[must_use]
    pub fn fixed_settings(&self) -> &FixedSettings {
        &self.fixed
    }

    /// Whether calls on this class must state a purpose.
    #[must_use]
    pub fn purpose_required(&self) -> bool {
        self.purpose_required
    }

    /// Whether calls that reveal values of this class must carry a reference.
    #[must_use]
    pub fn reference_required(&self) -> bool {
        self.reference_required
    }

    /// How strongly and how lately whoever reveals values must have proven who it is. None: nothing beyond being let
    /// in.
    #[must_use]
    pub fn step_up(&self) -> Option<StepUp> {
        self.step_up
    }

    /// How long a token lives when its caller asks for nothing else: `ttl_seconds_default`, or the maximum where only
    /// that is given. None: it does not expire.
    #[must_use]
    pub fn ttl_default(&self) -> Option<Duration> {
        self.ttl_default
    }

    /// The longest life that a caller may ask for. None: no bound.
    #[must_use]
    pub fn ttl_max(&self) -> Option<Duration> {
        self.ttl_max
    }
}

#[cfg(test)]
mod tests;
