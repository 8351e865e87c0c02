//! What must not change about a class while there are tokens of it.

use std::{collections::BTreeMap, fmt};

use super::{
    Determinism, Format, RuleName,
    format::{ALPHABETS, LUHN, NUMERALS},
};

/// The settings of a class on which its tokens rest: their names as in a catalog, and their values in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedSettings(BTreeMap<String, String>);

/// One setting that two versions of a class disagree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedSetting {
    /// Its name in a catalog.
    pub name: String,
    /// What it was; None: it did not matter then.
    pub was: Option<String>,
    /// What it is now; None: it does not matter any more.
    pub is: Option<String>,
}

impl FixedSettings {
    pub(super) fn new(rule: RuleName, spelling: Option<&str>, format: Format, determinism: Determinism) -> Self {
        let mut settings = BTreeMap::new();
        let mut set = |name: &str, value: &str| settings.insert(name.to_owned(), value.to_owned());
        set("format", format.name());
        set("determinism", determinism.name());
        if determinism != Determinism::None {
            // Which values count as the same.
            set("rule", rule.name());
            if rule == RuleName::Text {
                set("spelling", spelling.unwrap_or("normalise"));
            }
        }
        match format {
            Format::Opaque | Format::Uuid | Format::OneWay => {}
            Format::FormatPreserving(preserving) => {
                set("keep_first", &preserving.keep_first.to_string());
                set("keep_last", &preserving.keep_last.to_string());
                set("luhn", word_of(&LUHN, preserving.luhn));
                set("alphabet", word_of(&ALPHABETS, preserving.alphabet));
                set("range", if preserving.reserved.is_some() { "reserved" } else { "any" });
            }
            Format::Ff1(permuted) => {
                set("keep_first", &permuted.keep_first.to_string());
                set("keep_last", &permuted.keep_last.to_string());
                set("luhn", word_of(&LUHN, permuted.luhn));
                set("alphabet", word_of(&NUMERALS, permuted.numerals));
            }
        }
        Self(settings)
    }

    /// Reads what [`fmt::Display`] has written.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let setting = |line: &str| line.split_once(" = ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        text.lines().map(setting).collect::<Option<_>>().map(Self)
    }

    /// The first setting that is another one than it was.
    #[must_use]
    pub fn changed_since(&self, before: &Self) -> Option<ChangedSetting> {
        let names = before.0.keys().chain(self.0.keys());
        let mut changed = names.filter(|name| before.0.get(*name) != self.0.get(*name));
        changed.next().map(|name| ChangedSetting {
            name: name.clone(),
            was: before.0.get(name).cloned(),
            is: self.0.get(name).cloned(),
        })
    }
}

/// A line for each: `name = value`, sorted by name.
impl fmt::Display for FixedSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, value)| writeln!(f, "{name} = {value}"))
    }
}

fn word_of<T: PartialEq>(words: &[(&'static str, T)], meaning: T) -> &'static str {
    words.iter().find(|(_, known)| *known == meaning).map_or("", |(word, _)| word)
}
