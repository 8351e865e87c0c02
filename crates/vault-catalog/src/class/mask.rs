//! What makes the mask of a class: which mask fits which rule, and what it may show.

use toml::Spanned;
use vault_format::{Bound, Ends, Mask, Rule};

use super::{Format, RuleName, judge::misplaced};
use crate::{
    document::RawClass,
    fault::{Faults, Problem},
    names::word,
};

/// A mask by its word.
#[derive(Clone, Copy)]
pub(super) enum MaskName {
    Last4,
    First6Last4,
    Email,
    Initials,
    DateYear,
    Pattern,
}

/// Words for masks. There is no default: a class without one shows no masks.
pub(super) const MASKS: [(&str, MaskName); 6] = [
    ("last4", MaskName::Last4),
    ("first6last4", MaskName::First6Last4),
    ("email", MaskName::Email),
    ("initials", MaskName::Initials),
    ("date_year", MaskName::DateYear),
    ("pattern", MaskName::Pattern),
];

/// Reads the mask; `None` within if the class has none.
pub(super) fn mask(
    rule: Option<(RuleName, &Rule)>,
    format: Option<Format>,
    raw: &RawClass,
    faults: &mut Faults,
) -> Option<Option<Mask>> {
    let Some(written) = &raw.mask else {
        let because = "the class has no mask";
        misplaced(raw.mask_pattern.as_ref(), "mask_pattern", because, faults);
        misplaced(raw.mask_beyond_pci.as_ref(), "mask_beyond_pci", because, faults);
        return Some(None);
    };
    if format == Some(Format::OneWay) {
        misplaced(Some(written), "mask", "tokens of this format are never revealed", faults);
    }
    let name = word("mask", written, &MASKS.into_iter(), faults)?;
    if !matches!(name, MaskName::Pattern) {
        misplaced(raw.mask_pattern.as_ref(), "mask_pattern", "it belongs to mask = \"pattern\"", faults);
    }
    let (rule_name, rule) = rule?;
    if let Err(problem) = fits(name, rule_name) {
        faults.add(written.span(), Problem::Mask(problem));
        return None;
    }
    let mask = match name {
        MaskName::Last4 => Mask::last4(has_separators(rule_name), bound(rule_name, raw)),
        MaskName::First6Last4 => Mask::first6_last4(),
        MaskName::Email => Mask::Email,
        MaskName::Initials => Mask::Initials,
        MaskName::DateYear => Mask::DateYear,
        MaskName::Pattern => Mask::Ends(pattern(written, rule_name, raw, faults)?),
    };
    check_bound(written, mask, rule_name, rule, raw, faults)?;
    Some(Some(mask))
}

/// Whether values of a rule are what the mask is made for.
fn fits(mask: MaskName, rule: RuleName) -> Result<(), &'static str> {
    use RuleName::{Bytes, Date, Email, Pan, Pattern, Text};
    match (mask, rule) {
        (_, Bytes) => {
            Err("values of the rule \"bytes\" are no text, and have no mask: remove it, or take another rule")
        }
        (MaskName::First6Last4, rule) if rule != Pan => {
            Err("\"first6last4\" is for card numbers (rule \"pan\"): write \"last4\" or \"pattern\"")
        }
        (MaskName::Email, rule) if rule != Email => Err("\"email\" is for the rule \"email\": write another mask"),
        (MaskName::DateYear, rule) if rule != Date => Err("\"date_year\" is for the rule \"date\": write another mask"),
        (MaskName::Initials, rule) if !matches!(rule, Text | Pattern) => {
            Err("\"initials\" is for names, in the rules \"text\" and \"pattern\": write another mask")
        }
        (MaskName::Last4, Email) => Err("\"last4\" is for numbers and text: write \"email\" or \"pattern\""),
        (MaskName::Last4, Date) => Err("\"last4\" is for numbers and text: write \"date_year\" or \"pattern\""),
        _ => Ok(()),
    }
}

/// Whether what stands between letters and digits is the way a number is written, and tells nothing.
fn has_separators(rule: RuleName) -> bool {
    !matches!(rule, RuleName::Email | RuleName::Pattern | RuleName::Text | RuleName::Bytes)
}

fn bound(rule: RuleName, raw: &RawClass) -> Bound {
    match rule {
        RuleName::Pan if is_beyond_pci(raw) => Bound::AllButFour,
        RuleName::Pan => Bound::Pci,
        _ => Bound::Half,
    }
}

fn is_beyond_pci(raw: &RawClass) -> bool {
    raw.mask_beyond_pci.as_ref().is_some_and(|wanted| *wanted.get_ref())
}

fn pattern(written: &Spanned<String>, rule: RuleName, raw: &RawClass, faults: &mut Faults) -> Option<Ends> {
    let Some(pattern) = &raw.mask_pattern else {
        let because = "mask = \"pattern\" shows what mask_pattern says, such as { keep_first = 2, keep_last = 2 }";
        faults.add(written.span(), Problem::Missing { key: "mask_pattern", because });
        return None;
    };
    let pattern = pattern.get_ref();
    Some(Ends {
        first: pattern.keep_first.unwrap_or(0),
        last: pattern.keep_last.unwrap_or(0),
        separators: pattern.show_separators.unwrap_or(has_separators(rule)),
        bound: bound(rule, raw),
    })
}

/// Whether the mask shows no more than it may, and something of some value.
fn check_bound(
    written: &Spanned<String>,
    mask: Mask,
    rule_name: RuleName,
    rule: &Rule,
    raw: &RawClass,
    faults: &mut Faults,
) -> Option<()> {
    let ends = match mask {
        Mask::Ends(ends) => Some(ends),
        Mask::Email | Mask::Initials | Mask::DateYear => None,
    };
    let is_beyond = rule_name == RuleName::Pan && ends.is_some_and(|ends| ends.is_beyond_pci());
    if is_beyond_pci(raw) && !is_beyond {
        let because = "the mask shows no more than the first 6 and the last 4 digits of a card number";
        misplaced(raw.mask_beyond_pci.as_ref(), "mask_beyond_pci", because, faults);
        return None;
    }
    let place = raw.mask_pattern.as_ref().map_or(written.span(), Spanned::span);
    if is_beyond && !is_beyond_pci(raw) {
        faults.add(place, Problem::MaskBeyondPci);
        return None;
    }
    if ends.is_some_and(|ends| !ends.shows_any(rule.bytes_max())) {
        faults.add(place, Problem::MaskTooLong);
        return None;
    }
    Some(())
}

#[cfg(test)]
mod tests;
