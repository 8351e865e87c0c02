//! What makes a class of the catalog's text: its rule, its format, its determinism and its lifetimes.

use std::{ops::Range, time::Duration};

use toml::Spanned;
use vault_domain::DataClass;

use super::{
    Class, Determinism, Format, RuleName, TTL_SECONDS_MAX,
    format::{check_domain, check_room, format},
    rule::rule,
};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

impl Class {
    /// Judges a class, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(id: DataClass, mut raw: RawClass, span: Range<usize>, faults: &mut Faults) -> Option<Self> {
        let ttl = ttl(&raw, faults);
        let rule_name = word("rule", &raw.rule, &RuleName::ALL.iter().map(|rule| (rule.name(), *rule)), &[], faults);
        let made = rule_name.and_then(|name| rule(name, &mut raw, faults));
        let format = format(rule_name, &raw, faults);
        let determinism = match format {
            Some(Format::OneWay | Format::Ff1(_)) => of_computed(&raw, faults),
            _ => determinism(raw.determinism.as_ref(), faults),
        };
        let ((rule_name, rule), format) = rule_name.zip(made).zip(format)?;
        let room = match format {
            Format::FormatPreserving(preserving) => check_room(&preserving, rule_name, rule.bytes_max()),
            Format::Ff1(permuted) => check_domain(&permuted, rule_name, rule.bytes_max()),
            Format::Opaque | Format::Uuid | Format::OneWay => Ok(()),
        };
        if let Err(problem) = room {
            let about = if matches!(problem, Problem::Rule(_)) { raw.alphabet } else { raw.format };
            faults.add(about.map_or(span, |word| word.span()), problem);
            return None;
        }
        let (ttl_default, ttl_max) = ttl?;
        Some(Self {
            id,
            description: raw.description.map(Into::into),
            rule_name,
            rule,
            format,
            determinism: determinism?,
            purpose_required: raw.purpose_required.unwrap_or(true),
            ttl_default,
            ttl_max,
        })
    }
}

fn determinism(written: Option<&Spanned<String>>, faults: &mut Faults) -> Option<Determinism> {
    let Some(written) = written else { return Some(Determinism::None) };
    let known = Determinism::ALL.iter().map(|determinism| (determinism.name(), *determinism));
    word("determinism", written, &known, &["per_subject", "per_class"], faults)
}

/// What is computed from the value is the same each time, and nothing is kept that could end: keys that say otherwise
/// are misplaced.
fn of_computed(raw: &RawClass, faults: &mut Faults) -> Option<Determinism> {
    let because = "tokens of this format are computed: nothing is stored that could expire";
    misplaced(raw.ttl_seconds_default.as_ref(), "ttl_seconds_default", because, faults);
    misplaced(raw.ttl_seconds_max.as_ref(), "ttl_seconds_max", because, faults);
    if determinism(raw.determinism.as_ref(), faults)? == Determinism::None && raw.determinism.is_some() {
        let because =
            "tokens of this format are computed: the same value always has the same one inside of an audience";
        misplaced(raw.determinism.as_ref(), "determinism", because, faults);
        return None;
    }
    Some(Determinism::PerAudience)
}

/// The default and the longest lifetime.
fn ttl(raw: &RawClass, faults: &mut Faults) -> Option<(Option<Duration>, Option<Duration>)> {
    let mut within = |key: &Option<Spanned<u64>>, max: u64| match key {
        None => Some(None),
        Some(seconds) if (1..=max).contains(seconds.get_ref()) => Some(Some(Duration::from_secs(*seconds.get_ref()))),
        Some(seconds) => {
            faults.add(seconds.span(), Problem::Lifetime { max });
            None
        }
    };
    let max = within(&raw.ttl_seconds_max, TTL_SECONDS_MAX);
    let bound = max.flatten().map_or(TTL_SECONDS_MAX, |max| max.as_secs());
    let default = within(&raw.ttl_seconds_default, bound);
    default.zip(max).map(|(default, max)| (default.or(max), max))
}

/// Reports a key that is there and means nothing.
pub(super) fn misplaced<T>(key: Option<&Spanned<T>>, name: &'static str, because: &'static str, faults: &mut Faults) {
    if let Some(value) = key {
        faults.add(value.span(), Problem::Misplaced { key: name, because });
    }
}
