//! What makes a class of the catalog's text: its format, determinism and lifetimes, with the keys that belong to them
//! and no others.

use std::{ops::Range, time::Duration};

use toml::Spanned;
use vault_domain::DataClass;
use vault_format::{LuhnMode, Preserving, Template};

use super::{Class, Determinism, Format, RuleName, TTL_SECONDS_MAX, rule::rule};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

impl Class {
    /// Judges a class, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(id: DataClass, mut raw: RawClass, span: Range<usize>, faults: &mut Faults) -> Option<Self> {
        let determinism = determinism(raw.determinism.as_ref(), faults);
        let ttl = ttl(&raw, faults);
        let rule_name = word("rule", &raw.rule, &RuleName::ALL.iter().map(|rule| (rule.name(), *rule)), &[], faults);
        let made = rule_name.and_then(|name| rule(name, &mut raw, faults));
        let format = format(rule_name, &raw, faults);
        let ((rule_name, rule), format) = rule_name.zip(made).zip(format)?;
        if let Format::FormatPreserving(preserving) = format
            && !has_room(&preserving, rule_name, rule.bytes_max())
        {
            faults.add(raw.format.map_or(span, |word| word.span()), Problem::TokenSpace);
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

fn format(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Format> {
    let known = [("opaque", false), ("format_preserving", true)].into_iter();
    let is_preserving = match &raw.format {
        Some(written) => word("format", written, &known, &["uuid", "ff1", "one_way"], faults)?,
        None => false,
    };
    if !is_preserving {
        let because = "the format is \"opaque\"";
        misplaced(raw.keep_first.as_ref(), "keep_first", because, faults);
        misplaced(raw.keep_last.as_ref(), "keep_last", because, faults);
        misplaced(raw.luhn.as_ref(), "luhn", because, faults);
        return Some(Format::Opaque);
    }
    let known = [("invalid", LuhnMode::Invalid), ("valid", LuhnMode::Valid), ("none", LuhnMode::Any)].into_iter();
    let luhn = match &raw.luhn {
        Some(written) => word("Luhn mode", written, &known, &[], faults)?,
        // A token of a card class must never be taken for a card number, unless somebody asks for it by name.
        None if rule == Some(RuleName::Pan) => LuhnMode::Invalid,
        None => LuhnMode::Any,
    };
    let count = |key: &Option<Spanned<usize>>| key.as_ref().map_or(0, |count| *count.get_ref());
    let (keep_first, keep_last) = (count(&raw.keep_first), count(&raw.keep_last));
    Some(Format::FormatPreserving(Preserving { keep_first, keep_last, luhn }))
}

/// Whether the longest value that the rule can take could have tokens enough. Of a pattern only the length counts, so a
/// class may pass whose values are all refused later, one by one; what is refused here could never have worked.
fn has_room(preserving: &Preserving, rule: RuleName, longest: usize) -> bool {
    if matches!(rule, RuleName::Pan | RuleName::Digits) {
        return longest >= preserving.digits_min();
    }
    // The most room is in letters, with one digit among them where the Luhn check needs one.
    let mut value = vec![b'a'; longest];
    if preserving.luhn != LuhnMode::Any
        && let Some(byte) = value.get_mut(preserving.keep_first)
    {
        *byte = b'1';
    }
    Template::for_value(preserving, &value).is_ok()
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
