//! What makes a class of the catalog's text: the keys that belong to its rule and format, and no others.

use std::{ops::Range, time::Duration};

use toml::Spanned;
use vault_domain::DataClass;
use vault_format::{LuhnMode, Preserving, Rule, RuleError, Template};

use super::{Class, Determinism, Format, RuleName, TTL_SECONDS_MAX};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

/// The longest value of the rules that know their own lengths, in bytes.
const PAN_BYTES_MAX: usize = 19;
const EMAIL_BYTES_MAX: usize = 254;

impl Class {
    /// Judges a class, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(id: DataClass, mut raw: RawClass, span: Range<usize>, faults: &mut Faults) -> Option<Self> {
        let determinism = determinism(raw.determinism.as_ref(), faults);
        let ttl = ttl(&raw, faults);
        let rule_name = word("rule", &raw.rule, &RuleName::ALL.iter().map(|rule| (rule.name(), *rule)), &[], faults);
        let made = rule_name.and_then(|name| rule(name, &mut raw, faults));
        let format = format(rule_name, &raw, faults);
        let ((rule_name, rule, longest), format) = made.zip(format)?;
        if let Format::FormatPreserving(preserving) = format
            && !has_room(&preserving, rule_name, longest)
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

/// The rule and the length in bytes of the longest value that it can take. Keys that the rule does not use belong to
/// another one.
fn rule(name: RuleName, raw: &mut RawClass, faults: &mut Faults) -> Option<(RuleName, Rule, usize)> {
    let mut keys = RuleKeys { rule: raw.rule.span(), faults };
    let made = match name {
        RuleName::Pan => Some((Rule::pan(), PAN_BYTES_MAX)),
        RuleName::Email => Some((Rule::email(), EMAIL_BYTES_MAX)),
        RuleName::Digits => {
            let because = "the rule \"digits\" takes digits_min to digits_max digits";
            let min = keys.take(&mut raw.digits_min, "digits_min", because);
            let max = keys.take(&mut raw.digits_max, "digits_max", because);
            min.zip(max).and_then(|((min, _), (max, place))| keys.made(Rule::digits(min, max), max, place))
        }
        RuleName::Pattern => {
            let because =
                "the rule \"pattern\" takes text that pattern matches as a whole, of at most length_bytes_max";
            let pattern = keys.take(&mut raw.pattern, "pattern", because);
            let max = keys.take(&mut raw.length_bytes_max, "length_bytes_max", because);
            pattern.zip(max).and_then(|((pattern, place), (max, max_place))| {
                let rule = Rule::pattern(&pattern, max);
                let place = if matches!(rule, Err(RuleError::Bounds)) { max_place } else { place };
                keys.made(rule, max, place)
            })
        }
        RuleName::Text | RuleName::Bytes => {
            let because = "the rules \"text\" and \"bytes\" take at most length_bytes_max";
            let max = keys.take(&mut raw.length_bytes_max, "length_bytes_max", because);
            let rule = |max| if name == RuleName::Text { Rule::text(max) } else { Rule::bytes(max) };
            max.and_then(|(max, place)| keys.made(rule(max), max, place))
        }
    };
    let because = "it belongs to another rule";
    misplaced(raw.pattern.as_ref(), "pattern", because, faults);
    misplaced(raw.length_bytes_max.as_ref(), "length_bytes_max", because, faults);
    misplaced(raw.digits_min.as_ref(), "digits_min", because, faults);
    misplaced(raw.digits_max.as_ref(), "digits_max", because, faults);
    made.map(|(rule, longest)| (name, rule, longest))
}

/// The keys that a rule asks for.
struct RuleKeys<'f> {
    /// The place of the rule's name, where a missing key is reported.
    rule: Range<usize>,
    faults: &'f mut Faults,
}

impl RuleKeys<'_> {
    /// Takes a key that the rule needs, with its place.
    fn take<T>(
        &mut self,
        value: &mut Option<Spanned<T>>,
        key: &'static str,
        because: &'static str,
    ) -> Option<(T, Range<usize>)> {
        let taken = value.take();
        if taken.is_none() {
            self.faults.add(self.rule.clone(), Problem::Missing { key, because });
        }
        taken.map(|value| {
            let place = value.span();
            (value.into_inner(), place)
        })
    }

    fn made(&mut self, rule: Result<Rule, RuleError>, longest: usize, place: Range<usize>) -> Option<(Rule, usize)> {
        let made = rule.map_err(|error| self.faults.add(place, Problem::Rule(rule_problem(&error))));
        made.ok().map(|rule| (rule, longest))
    }
}

/// A rule's error in one line; of a pattern's error the last line, which says what is wrong.
fn rule_problem(error: &RuleError) -> String {
    match error {
        RuleError::Pattern(cause) => {
            let cause = cause.to_string();
            let said = cause.lines().last().unwrap_or_default();
            format!("{error}: {}", said.strip_prefix("error: ").unwrap_or(said))
        }
        RuleError::Bounds | RuleError::PatternLength => error.to_string(),
    }
}

fn format(rule: Option<RuleName>, raw: &RawClass, faults: &mut Faults) -> Option<Format> {
    let known = [("opaque", Some(Format::Opaque)), ("uuid", Some(Format::Uuid)), ("format_preserving", None)];
    let shapeless = match &raw.format {
        Some(written) => word("format", written, &known.into_iter(), &["ff1", "one_way"], faults)?,
        None => Some(Format::Opaque),
    };
    if let Some(format) = shapeless {
        let because = "it belongs to the format \"format_preserving\"";
        misplaced(raw.keep_first.as_ref(), "keep_first", because, faults);
        misplaced(raw.keep_last.as_ref(), "keep_last", because, faults);
        misplaced(raw.luhn.as_ref(), "luhn", because, faults);
        return Some(format);
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

fn misplaced<T>(key: Option<&Spanned<T>>, name: &'static str, because: &'static str, faults: &mut Faults) {
    if let Some(value) = key {
        faults.add(value.span(), Problem::Misplaced { key: name, because });
    }
}
