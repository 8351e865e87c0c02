//! Lines of the file of rejects: where a row stands, why it was refused and what to do. Never anything of the row.

use vault_client::{ClientError, Refusal};

use crate::bulk::{
    columns::ColumnRule,
    rows::{Fault, Row},
};

/// The columns of the file of rejects. `row` counts from 1 without the row of names, `line` is where the row begins.
pub(crate) const REJECT_COLUMNS: [&str; 8] =
    ["row", "line", "column", "reason", "rule", "remedy", "request_id", "others"];

/// One line.
pub(crate) type Reject = [String; 8];

/// A row that was not sent.
pub(crate) fn faulty(row: &Row, fault: &Fault, columns: &[ColumnRule]) -> Reject {
    let column = fault.column.and_then(|column| columns.get(column)).map(|rule| rule.name.clone());
    let [reason, rule, remedy] = [fault.reason, fault.rule, fault.remedy].map(str::to_owned);
    let nothing = String::new;
    let place = (row.number.to_string(), row.line.to_string());
    [place.0, place.1, column.unwrap_or_default(), reason, rule, remedy, nothing(), nothing()]
}

/// A row that was refused: its first refused value in full, the others by column and reason.
pub(crate) fn refused(row: &Row, refusals: &[(usize, ClientError)], columns: &[ColumnRule]) -> Reject {
    let name = |column: &usize| columns.get(*column).map(|rule| rule.name.clone()).unwrap_or_default();
    let others = refusals.iter().skip(1).map(|(column, error)| format!("{}={}", name(column), reason(error)));
    let others = others.collect::<Vec<_>>().join(" ");
    let [number, line] = [row.number, row.line].map(|number| number.to_string());
    let nothing = String::new;
    let Some((column, error)) = refusals.first() else {
        return [number, line, nothing(), nothing(), nothing(), nothing(), nothing(), others];
    };
    let rule = error.refusal().and_then(|refusal| refusal.metadata.get("rule")).cloned().unwrap_or_default();
    let remedy = error.refusal().and_then(Refusal::remedy).map_or_else(|| error.to_string(), str::to_owned);
    let id = error.request_id().map(|id| id.to_string()).unwrap_or_default();
    [number, line, name(column), reason(error), rule, remedy, id, others]
}

/// The name of why a value was refused.
pub(crate) fn reason(error: &ClientError) -> String {
    match error.refusal() {
        Some(refusal) if !refusal.reason_name.is_empty() => refusal.reason_name.clone(),
        _ => "NO_ANSWER".to_owned(),
    }
}
