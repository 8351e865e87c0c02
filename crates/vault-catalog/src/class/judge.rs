//! What makes a class of the catalog's text: its rule, its format, its determinism and its lifetimes.

use std::{collections::BTreeSet, ops::Range, time::Duration};

use toml::Spanned;
use vault_domain::{Assurance, Audience, DataClass};

use super::{
    Class, Determinism, FixedSettings, Format, RuleName, STEP_UP_SECONDS_MAX, Shared, StepUp, TTL_SECONDS_MAX,
    format::{check_domain, check_room, format},
    rule::rule,
};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::{resolve_some, word},
};

impl Class {
    /// Judges a class, reporting all that is wrong with it. `span` is the place of its name.
    pub(crate) fn new(
        id: DataClass,
        mut raw: RawClass,
        span: Range<usize>,
        audiences: &BTreeSet<Audience>,
        faults: &mut Faults,
    ) -> Option<Self> {
        let ttl = ttl(&raw, faults);
        let step_up = step_up(&raw, faults);
        let rule_name = word("rule", &raw.rule, &RuleName::ALL.iter().map(|rule| (rule.name(), *rule)), faults);
        let spelling = raw.spelling.as_ref().map(|spelling| spelling.get_ref().clone());
        let made = rule_name.and_then(|name| rule(name, &mut raw, faults));
        let format = format(rule_name, &raw, faults);
        let determinism = match format {
            Some(format @ (Format::OneWay | Format::Ff1(_))) => of_computed(format, &raw, faults),
            _ => determinism(raw.determinism.as_ref(), faults),
        };
        let shared = determinism.and_then(|determinism| shared(determinism, &raw, &span, audiences, faults));
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
        let determinism = determinism?;
        Some(Self {
            id,
            description: raw.description.map(Into::into),
            rule_name,
            rule,
            format,
            determinism,
            fixed: FixedSettings::new(rule_name, spelling.as_deref(), format, determinism),
            shared: shared?,
            purpose_required: raw.purpose_required.unwrap_or(true),
            reference_required: raw.reference_required.unwrap_or(false),
            step_up: step_up?,
            ttl_default,
            ttl_max,
        })
    }
}

fn determinism(written: Option<&Spanned<String>>, faults: &mut Faults) -> Option<Determinism> {
    let Some(written) = written else { return Some(Determinism::None) };
    let known = Determinism::ALL.iter().map(|determinism| (determinism.name(), *determinism));
    word("determinism", written, &known, faults)
}

/// What is computed from the value is the same each time, and nothing is kept that could end: keys that say otherwise
/// are misplaced.
fn of_computed(format: Format, raw: &RawClass, faults: &mut Faults) -> Option<Determinism> {
    let because = "tokens of this format are computed: nothing is stored that could expire";
    misplaced(raw.ttl_seconds_default.as_ref(), "ttl_seconds_default", because, faults);
    misplaced(raw.ttl_seconds_max.as_ref(), "ttl_seconds_max", because, faults);
    let Some(written) = &raw.determinism else { return Some(Determinism::PerAudience) };
    let because = match determinism(Some(written), faults)? {
        Determinism::None => {
            "tokens of this format are computed: the same value always has the same one inside of an audience"
        }
        Determinism::PerSubject if matches!(format, Format::Ff1(_)) => {
            "nothing is stored that could say whose value it is, and who reveals a token need not know"
        }
        possible => return Some(possible),
    };
    misplaced(Some(written), "determinism", because, faults);
    None
}

/// The audiences that share a class: named where it is deterministic as a whole, and nowhere else.
fn shared(
    determinism: Determinism,
    raw: &RawClass,
    span: &Range<usize>,
    declared: &BTreeSet<Audience>,
    faults: &mut Faults,
) -> Option<Option<Shared>> {
    match (determinism, &raw.audiences) {
        (Determinism::PerClass, Some(list)) => {
            let audiences = resolve_some(list, declared, faults);
            Some(Some(Shared { audiences, all: Audience::all_of_class() }))
        }
        (Determinism::PerClass, None) => {
            let because = "with determinism = \"per_class\" tokens are meant for several audiences: name all that may \
                           be shown values of each other's tokens";
            faults.add(span.clone(), Problem::Missing { key: "audiences", because });
            None
        }
        (_, list) => {
            let because = "a token is meant for the one audience that it was made for, unless determinism = \
                           \"per_class\"";
            misplaced(list.as_ref(), "audiences", because, faults);
            Some(None)
        }
    }
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

/// What a reveal asks of its caller's authentication: both keys, or none.
fn step_up(raw: &RawClass, faults: &mut Faults) -> Option<Option<StepUp>> {
    match (&raw.step_up_assurance, &raw.step_up_seconds) {
        (None, None) => Some(None),
        (Some(level), None) => {
            let because = "an authentication is strong for a time: say for how long after it values may be revealed";
            faults.add(level.span(), Problem::Missing { key: "step_up_seconds", because });
            None
        }
        (None, Some(seconds)) => {
            let because = "say how strong the authentication must have been: 1, 2 or 3";
            faults.add(seconds.span(), Problem::Missing { key: "step_up_assurance", because });
            None
        }
        (Some(level), Some(seconds)) => {
            let assurance = Assurance::new(*level.get_ref());
            if assurance.is_none() {
                faults.add(level.span(), Problem::Assurance);
            }
            let fits = (1..=STEP_UP_SECONDS_MAX).contains(seconds.get_ref());
            if !fits {
                faults.add(seconds.span(), Problem::StepUpAge);
            }
            let age_max = Duration::from_secs(*seconds.get_ref());
            assurance.filter(|_| fits).map(|assurance| Some(StepUp { assurance, age_max }))
        }
    }
}

/// Reports a key that is there and means nothing.
pub(super) fn misplaced<T>(key: Option<&Spanned<T>>, name: &'static str, because: &'static str, faults: &mut Faults) {
    if let Some(value) = key {
        faults.add(value.span(), Problem::Misplaced { key: name, because });
    }
}
