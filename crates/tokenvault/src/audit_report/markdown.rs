//! A report for people, as Markdown: made of the document alone, so that it can't say something else.

use std::collections::BTreeSet;

use serde_json::Value;

/// What is left out of the page, for it stands in the document with all its fields.
const ENTRIES: &str = "entries";
/// Columns of the entries that are cited.
const COLUMNS: [&str; 8] = ["time", "principal", "action", "decision", "summary", "purpose", "audience", "reference"];

/// The page.
pub(crate) fn page(document: &Value) -> String {
    let mut page = format!("# Report: {}\n", cell(document.get("report").unwrap_or(&Value::Null)));
    for (name, value) in document.as_object().into_iter().flatten().filter(|(name, _)| *name != ENTRIES) {
        section(&mut page, 2, name, value);
    }
    let entries: Vec<&Value> = document.get(ENTRIES).and_then(Value::as_array).into_iter().flatten().collect();
    page.push_str("\n## entries with proofs\n\n");
    let titles =
        ["entry"].iter().chain(&COLUMNS).chain(&["proof"]).map(|title| (*title).to_owned()).collect::<Vec<_>>();
    let rows = entries.iter().filter(|row| row.get("proof").is_some_and(|proof| !proof.is_null())).map(|row| {
        let field = |pointer: &str| row.pointer(pointer).map(cell).unwrap_or_default();
        let place = format!("{}/{}", field("/region"), field("/index"));
        let fields = COLUMNS.iter().map(|name| field(&format!("/entry/{name}")));
        [place].into_iter().chain(fields).chain([field("/proof")]).collect()
    });
    table(&mut page, &titles, rows);
    page
}

/// A value under its name: a table of what is alike, a list of what is not.
fn section(page: &mut String, depth: usize, name: &str, value: &Value) {
    let title = name.replace('_', " ");
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            page.push_str(&format!("\n{} {title}\n\n", "#".repeat(depth)));
            let fields = items.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys());
            let mut seen = BTreeSet::new();
            let names: Vec<String> = fields.filter(|name| seen.insert(*name)).cloned().collect();
            let rows = items
                .iter()
                .map(|item| names.iter().map(|name| item.get(name).map(cell).unwrap_or_default()).collect());
            table(page, &names, rows);
        }
        Value::Array(items) if items.iter().all(Value::is_string) && items.len() > 1 => {
            page.push_str(&format!("\n{} {title}\n\n", "#".repeat(depth)));
            items.iter().for_each(|item| page.push_str(&format!("- {}\n", cell(item))));
        }
        Value::Object(fields) if !fields.is_empty() => {
            page.push_str(&format!("\n{} {title}\n", "#".repeat(depth)));
            fields.iter().for_each(|(name, value)| section(page, depth + 1, name, value));
        }
        value => page.push_str(&format!("\n**{title}**: {}\n", cell(value))),
    }
}

fn table(page: &mut String, titles: &[String], rows: impl Iterator<Item = Vec<String>>) {
    let titles: Vec<String> = titles.iter().map(|title| title.replace('_', " ")).collect();
    page.push_str(&format!("| {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len())));
    rows.for_each(|row| page.push_str(&format!("| {} |\n", row.join(" | "))));
}

/// A value in a cell. What callers wrote is text: it can make no column, no line, no mark-up.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => return items.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", name.replace('_', " "), cell(value)));
            return fields.collect::<Vec<_>>().join("; ");
        }
        value => value.to_string(),
    };
    let escape = |c: char| match c {
        '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' => format!("\\{c}"),
        c if c.is_control() => char::REPLACEMENT_CHARACTER.to_string(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}
