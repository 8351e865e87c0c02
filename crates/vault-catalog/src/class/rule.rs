//! What makes the rule of a class: the keys that belong to its rule, and no others.

use std::ops::Range;

use toml::Spanned;
use vault_format::{Controls, Hyphens, PersonalId, Rule, RuleError, Spelling, TextLimits};

use super::{RuleName, judge::misplaced};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

/// Words for the hyphens of a Social Security number, the default first.
pub(super) const HYPHENS: [(&str, Hyphens); 3] =
    [("optional", Hyphens::Optional), ("required", Hyphens::Required), ("forbidden", Hyphens::Forbidden)];
/// Words for the control characters that a text may hold, the default first.
pub(super) const CONTROLS: [(&str, Controls); 3] =
    [("line_ends", Controls::LineEnds), ("none", Controls::None), ("any", Controls::Any)];
/// Words for what becomes of the ways to write one text in Unicode, the default first.
pub(super) const SPELLINGS: [(&str, Spelling); 3] =
    [("normalise", Spelling::Normalise), ("nfc_only", Spelling::Require), ("keep", Spelling::Keep)];

/// Makes the rule. Keys that it does not use belong to another one.
pub(super) fn rule(name: RuleName, raw: &mut RawClass, faults: &mut Faults) -> Option<Rule> {
    let mut keys = RuleKeys { rule: raw.rule.span(), faults };
    let made = match name {
        RuleName::Pan => Some(Rule::pan()),
        RuleName::Email => Some(Rule::email()),
        RuleName::Iban => Some(Rule::iban()),
        RuleName::Phone => Some(Rule::phone()),
        RuleName::UsSsn => us_ssn(raw, &mut keys),
        RuleName::DeSteuerId => Some(Rule::personal_id(PersonalId::DeSteuerId)),
        RuleName::EsDniNie => Some(Rule::personal_id(PersonalId::EsDniNie)),
        RuleName::FrNir => Some(Rule::personal_id(PersonalId::FrNir)),
        RuleName::NlBsn => Some(Rule::personal_id(PersonalId::NlBsn)),
        RuleName::PlPesel => Some(Rule::personal_id(PersonalId::PlPesel)),
        RuleName::UkNino => Some(Rule::personal_id(PersonalId::UkNino)),
        RuleName::Date => date(raw, &mut keys),
        RuleName::Digits => digits(raw, &mut keys),
        RuleName::Pattern => pattern(raw, &mut keys),
        RuleName::Text => text(raw, &mut keys),
        RuleName::Bytes => {
            let max = keys.take(&mut raw.length_bytes_max, "length_bytes_max", "the rule \"bytes\" takes at most that");
            max.and_then(|(max, place)| keys.made(Rule::bytes(max), place))
        }
    };
    let because = "it belongs to another rule";
    misplaced(raw.pattern.as_ref(), "pattern", because, faults);
    misplaced(raw.length_bytes_max.as_ref(), "length_bytes_max", because, faults);
    misplaced(raw.length_chars_min.as_ref(), "length_chars_min", because, faults);
    misplaced(raw.length_chars_max.as_ref(), "length_chars_max", because, faults);
    misplaced(raw.controls.as_ref(), "controls", because, faults);
    misplaced(raw.spelling.as_ref(), "spelling", because, faults);
    misplaced(raw.digits_min.as_ref(), "digits_min", because, faults);
    misplaced(raw.digits_max.as_ref(), "digits_max", because, faults);
    misplaced(raw.year_min.as_ref(), "year_min", because, faults);
    misplaced(raw.year_max.as_ref(), "year_max", because, faults);
    misplaced(raw.hyphens.as_ref(), "hyphens", because, faults);
    made
}

fn us_ssn(raw: &mut RawClass, keys: &mut RuleKeys<'_>) -> Option<Rule> {
    keys.choose(&mut raw.hyphens, "choice of hyphens", &HYPHENS).map(Rule::us_ssn)
}

fn date(raw: &mut RawClass, keys: &mut RuleKeys<'_>) -> Option<Rule> {
    let because = "the rule \"date\" takes days of year_min to year_max";
    let min = keys.take(&mut raw.year_min, "year_min", because);
    let max = keys.take(&mut raw.year_max, "year_max", because);
    min.zip(max).and_then(|((min, _), (max, place))| keys.made(Rule::date(min, max), place))
}

fn digits(raw: &mut RawClass, keys: &mut RuleKeys<'_>) -> Option<Rule> {
    let because = "the rule \"digits\" takes digits_min to digits_max digits";
    let min = keys.take(&mut raw.digits_min, "digits_min", because);
    let max = keys.take(&mut raw.digits_max, "digits_max", because);
    min.zip(max).and_then(|((min, _), (max, place))| keys.made(Rule::digits(min, max), place))
}

fn pattern(raw: &mut RawClass, keys: &mut RuleKeys<'_>) -> Option<Rule> {
    let because = "the rule \"pattern\" takes text that pattern matches as a whole, of at most length_bytes_max";
    let pattern = keys.take(&mut raw.pattern, "pattern", because);
    let max = keys.take(&mut raw.length_bytes_max, "length_bytes_max", because);
    pattern.zip(max).and_then(|((pattern, place), (max, max_place))| {
        let rule = Rule::pattern(&pattern, max);
        let place = if matches!(rule, Err(RuleError::Bounds)) { max_place } else { place };
        keys.made(rule, place)
    })
}

fn text(raw: &mut RawClass, keys: &mut RuleKeys<'_>) -> Option<Rule> {
    let controls = keys.choose(&mut raw.controls, "choice of control characters", &CONTROLS);
    let spelling = keys.choose(&mut raw.spelling, "choice of spellings", &SPELLINGS);
    let because = "the rule \"text\" takes at most length_bytes_max";
    let (chars_min, chars_max) = (raw.length_chars_min.take(), raw.length_chars_max.take());
    let (bytes_max, bytes_place) = keys.take(&mut raw.length_bytes_max, "length_bytes_max", because)?;
    let place = chars_max.as_ref().or(chars_min.as_ref()).map_or(bytes_place.clone(), Spanned::span);
    let limits = TextLimits {
        chars_min: chars_min.map_or(1, Spanned::into_inner),
        chars_max: chars_max.map_or(bytes_max, Spanned::into_inner),
        controls: controls?,
        spelling: spelling?,
        ..TextLimits::of_bytes(bytes_max)
    };
    let rule = Rule::text(limits);
    let place = if matches!(rule, Err(RuleError::Bounds)) { bytes_place } else { place };
    keys.made(rule, place)
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

    /// Takes a word of a fixed list, whose first stands for none.
    fn choose<T: Copy>(
        &mut self,
        value: &mut Option<Spanned<String>>,
        kind: &'static str,
        known: &[(&'static str, T)],
    ) -> Option<T> {
        match value.take() {
            Some(written) => word(kind, &written, &known.iter().copied(), self.faults),
            None => known.first().map(|(_, default)| *default),
        }
    }

    fn made(&mut self, rule: Result<Rule, RuleError>, place: Range<usize>) -> Option<Rule> {
        rule.map_err(|error| self.faults.add(place, Problem::Rule(rule_problem(&error)))).ok()
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
        RuleError::Bounds | RuleError::Chars | RuleError::Years | RuleError::PatternLength => error.to_string(),
    }
}
