//! Who saw the values of some tokens. Tokens are named by their places in what was given; none is written anywhere.
//!
//! An entry lists records and keyed hashes, and tokens are neither. Which of an entry's items a token was follows from
//! what all of its entries have in common; where that is more than one item, and these ended differently, a reveal is
//! told as possible.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vault_client::{AccessLogEntry, AccessLogItems};
use vault_domain::{Action, DataClass};

use super::{
    document::{Report, Row},
    facts::{is, reveals},
};
use crate::{items::hex, timestamp};

/// What an entry names an item by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Record(u64),
    Hash(String),
}

/// Each token with its reveals.
pub(crate) fn summary(class: &DataClass, tokens: u64, report: &Report) -> Value {
    let told: Vec<_> = (1..=tokens.min(super::TOKENS_MAX)).map(|token| of_token(class, token, report)).collect();
    let mut seen: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for row in report.rows.iter().filter(|row| reveals(&row.entry)) {
        seen.entry(&row.entry.principal).or_default().extend(&row.tokens);
    }
    let seen = seen.into_iter().map(|(principal, tokens)| {
        let of = |token: &&u64| told.iter().any(|told| is_revealed_to(told, **token, principal));
        json!({"principal": principal, "tokens": tokens.iter().filter(of).collect::<Vec<_>>()})
    });
    let seen = seen.filter(|seen| seen.get("tokens").is_some_and(|tokens| tokens != &json!([])));
    json!({"seen_by": seen.collect::<Vec<_>>(), "tokens": told})
}

fn is_revealed_to(told: &Value, token: u64, principal: &str) -> bool {
    let reveals = told.get("reveals").and_then(Value::as_array);
    told.get("token") == Some(&json!(token))
        && reveals
            .is_some_and(|reveals| reveals.iter().any(|reveal| reveal.get("principal") == Some(&json!(principal))))
}

fn of_token(class: &DataClass, token: u64, report: &Report) -> Value {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.tokens.contains(&token)).collect();
    // Numbers of records and hashes are each region's own.
    let mut common: BTreeMap<&str, BTreeSet<Name>> = BTreeMap::new();
    for row in &rows {
        let named: BTreeSet<Name> = of_class(class, &row.entry).flat_map(names).collect();
        let known = common.entry(row.region.as_str()).or_insert_with(|| named.clone());
        let narrowed: BTreeSet<Name> = known.intersection(&named).cloned().collect();
        // A token can stand as a record here and as a hash there: then nothing is ruled out.
        if !narrowed.is_empty() {
            *known = narrowed;
        }
    }
    let (mut shown, mut refused, mut others) = (Vec::new(), 0_u64, BTreeMap::<&str, u64>::new());
    for row in &rows {
        if !is(&row.entry, Action::Detokenize) {
            *others.entry(&row.entry.action).or_default() += 1;
            continue;
        }
        let mine = common.get(row.region.as_str());
        let is_mine = |items: &&AccessLogItems| {
            let named: Vec<Name> = names(items).collect();
            // Items that are only counted can be any token.
            named.is_empty() || mine.is_none_or(|mine| named.iter().any(|name| mine.contains(name)))
        };
        let (done, not): (Vec<_>, Vec<_>) =
            of_class(class, &row.entry).filter(is_mine).partition(|items| items.outcome == "ok");
        if done.is_empty() || row.entry.decision != "allowed" {
            refused += 1;
            continue;
        }
        shown.push(reveal(row, &done, not.is_empty()));
    }
    json!({"token": token, "reveals": shown, "refused": refused, "other_entries": others})
}

fn reveal(row: &Row, done: &[&AccessLogItems], is_certain: bool) -> Value {
    let entry = &row.entry;
    let levels: BTreeSet<&str> = done.iter().map(|items| items.level.as_str()).collect();
    json!({
        "entry": row.place(),
        "time": timestamp::show(vault_domain::Millis(entry.log_time_ms)),
        "principal": entry.principal,
        "source": entry.source,
        "purpose": entry.purpose,
        "reference": entry.reference,
        "audience": entry.audience,
        "level": levels,
        "certain": is_certain && levels.len() == 1,
    })
}

fn of_class<'e>(class: &DataClass, entry: &'e AccessLogEntry) -> impl Iterator<Item = &'e AccessLogItems> {
    entry.items.iter().filter(move |items| items.data_class == class.as_str())
}

fn names(items: &AccessLogItems) -> impl Iterator<Item = Name> {
    let records = items.record_numbers.iter().map(|number| Name::Record(*number));
    records.chain(items.token_hashes.iter().map(|hash| Name::Hash(hex(hash))))
}
