//! Who may depend on whom: the table in docs/ARCHITECTURE.md against what the manifests say.
//!
//! The table has the heading `| layer | crate | one job | may depend on |`; the last column holds names with or without
//! `vault-`, separated by commas; brackets are notes, `–` is nothing, `any` is every member. Members and rows must be
//! the same set.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use crate::{
    table,
    tree::{Tree, root, run},
};

const TABLE: &str = "docs/ARCHITECTURE.md";
const HEADING: [&str; 4] = ["layer", "crate", "one job", "may depend on"];

/// Each member of the workspace with the members that its manifest names.
type Members = BTreeMap<String, BTreeSet<String>>;

/// What the manifests say, from `cargo metadata`. Tests and build scripts count as well.
fn members() -> Result<Members, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    parse_members(&run(Command::new(cargo).current_dir(root()).args(arguments))?)
}

fn parse_members(metadata: &str) -> Result<Members, String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).map_err(|error| format!("metadata: {error}"))?;
    let list = |value: &serde_json::Value, key: &str| -> Result<Vec<serde_json::Value>, String> {
        value.get(key).and_then(serde_json::Value::as_array).cloned().ok_or_else(|| format!("metadata: no {key}"))
    };
    let name = |value: &serde_json::Value| -> Result<String, String> {
        value.get("name").and_then(serde_json::Value::as_str).map(str::to_owned).ok_or("metadata: no name".to_owned())
    };
    let mut members = Members::new();
    for package in list(&metadata, "packages")? {
        let mut direct = BTreeSet::new();
        for dependency in list(&package, "dependencies")? {
            if dependency.get("path").is_some_and(serde_json::Value::is_string) {
                direct.insert(name(&dependency)?);
            }
        }
        members.insert(name(&package)?, direct);
    }
    Ok(members)
}

/// Compares the table with the manifests.
fn layering(tree: &Tree, members: &Members) -> Result<Vec<String>, String> {
    let full_name = |name: &str| -> Option<String> {
        [name.to_owned(), format!("vault-{name}")].into_iter().find(|name| members.contains_key(name))
    };
    let mut faults = Vec::new();
    let mut rows = BTreeSet::new();
    for row in table::rows(TABLE, &tree.file(TABLE)?.text, &HEADING)? {
        let [_, crate_cell, _, may_cell] = row.cells[..] else { continue };
        let line = row.line;
        let Some(name) = full_name(crate_cell.trim_matches('`')) else {
            faults.push(format!("{TABLE}:{line}: {crate_cell} is no member of the workspace"));
            continue;
        };
        let mut may = BTreeSet::new();
        for item in table::items(may_cell) {
            match full_name(&item) {
                Some(member) => may.extend([member]),
                None if item == "any" => may.extend(members.keys().cloned()),
                None if item == "–" => {}
                None => faults.push(format!("{TABLE}:{line}: {item} is no member of the workspace")),
            }
        }
        let direct = members.get(&name).into_iter().flatten();
        for dependency in direct.filter(|dependency| !may.contains(*dependency)) {
            faults.push(format!("{name} depends on {dependency}, which {TABLE}:{line} does not allow"));
        }
        if !rows.insert(name) {
            faults.push(format!("{TABLE}:{line}: a second row for {crate_cell}"));
        }
    }
    let without = members.keys().filter(|member| !rows.contains(*member));
    faults.extend(without.map(|member| format!("{TABLE}: no row for {member}")));
    Ok(faults)
}

/// Every member in the root manifest stands under a comment that says what it is.
fn comments(tree: &Tree) -> Result<Vec<String>, String> {
    let manifest = tree.file("Cargo.toml")?;
    let mut faults = Vec::new();
    let mut before = "";
    let mut inside = false;
    let mut count = 0_usize;
    for (number, line) in manifest.lines() {
        let line = line.trim();
        inside = (inside && line != "]") || line == "members = [";
        if inside && line.starts_with('"') {
            count += 1;
            if before.trim_start_matches(['#', ' ']).is_empty() || !before.starts_with('#') {
                faults.push(format!("Cargo.toml:{number}: say in a comment above what {line} is"));
            }
        }
        before = line;
    }
    if count == 0 { Err("Cargo.toml: no list of members, one a line".to_owned()) } else { Ok(faults) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::assert_none;

    #[test]
    fn members_depend_on_what_the_architecture_allows() {
        assert_none(&layering(&Tree::read().unwrap(), &members().unwrap()).unwrap());
    }

    #[test]
    fn every_member_is_commented() {
        assert_none(&comments(&Tree::read().unwrap()).unwrap());
    }

    fn two() -> Members {
        parse_members(
            r#"{"packages": [
                {"name": "vault-domain", "dependencies": [{"name": "zeroize", "path": null}]},
                {"name": "vault-store", "dependencies": [{"name": "vault-domain", "path": "/x"}]}]}"#,
        )
        .unwrap()
    }

    fn find(rows: &str) -> Result<Vec<String>, String> {
        let text = format!("| layer | crate | one job | may depend on |\n|---|---|---|---|\n{rows}");
        layering(&Tree::of(&[(TABLE, &text)]), &two())
    }

    const DOMAIN: &str = "| 0 | `vault-domain` | words | – |\n";

    #[test]
    fn what_the_table_allows_passes() {
        for may in ["domain", "`vault-domain` (reading)", "any"] {
            assert_none(&find(&format!("{DOMAIN}| 2 | `vault-store` | tables | {may} |\n")).unwrap());
        }
    }

    #[test]
    fn what_the_table_does_not_allow_is_found() {
        let faults = find(&format!("{DOMAIN}| 2 | `vault-store` | tables | – |\n")).unwrap();
        assert_eq!(faults, ["vault-store depends on vault-domain, which docs/ARCHITECTURE.md:4 does not allow"]);
    }

    #[test]
    fn rows_and_members_are_the_same_set() {
        assert_eq!(find(DOMAIN).unwrap(), ["docs/ARCHITECTURE.md: no row for vault-store"]);
        let store = "| 2 | `vault-store` | tables | domain, nobody |\n";
        assert_eq!(find(&format!("{DOMAIN}{store}")).unwrap().len(), 1, "nobody");
        assert_eq!(find(&format!("{DOMAIN}{DOMAIN}| 2 | `vault-store` | t | domain |\n")).unwrap().len(), 1, "twice");
        let ghost = "| 3 | `vault-ghost` | haunts | – |\n";
        assert_eq!(find(&format!("{DOMAIN}| 2 | `vault-store` | t | domain |\n{ghost}")).unwrap().len(), 1, "ghost");
    }

    #[test]
    fn a_missing_table_is_an_error() {
        assert!(layering(&Tree::of(&[]), &two()).is_err());
        assert!(layering(&Tree::of(&[(TABLE, "# Architecture\n")]), &two()).is_err());
    }

    #[test]
    fn a_member_without_comment_is_found() {
        let find = |text| comments(&Tree::of(&[("Cargo.toml", text)]));
        assert_eq!(find("members = [\n    # words\n    \"a\",\n    \"b\",\n]\n").unwrap().len(), 1);
        assert_eq!(find("members = [\n    #\n    \"a\",\n]\n").unwrap().len(), 1);
        assert_eq!(find("members = [\n    # words\n    \"a\",\n]\n").unwrap().len(), 0);
        assert!(find("[workspace]\n").is_err());
    }
}
