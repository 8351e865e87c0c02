//! No file, folder or module has a name that hides the missing thought.

use crate::tree::Tree;

const BANNED: [&str; 11] =
    ["utils", "util", "common", "helpers", "helper", "manager", "managers", "core", "types", "misc", "v2"];

/// Files and folders that hold Rust, and modules that are declared in it.
fn names(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.is_rust()) {
        for part in file.path.trim_end_matches(".rs").split('/').filter(|part| BANNED.contains(part)) {
            faults.push(format!("{}: `{part}` does not say what is inside", file.path));
        }
        for (number, line) in file.lines() {
            let Some(name) = declared(line) else { continue };
            if BANNED.contains(&name) {
                faults.push(format!("{}:{number}: `{name}` does not say what is inside", file.path));
            }
        }
    }
    faults
}

/// The name of the module that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let rest = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ").map(|(_, rest)| rest)?,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    rest.strip_prefix("mod ")?.split(['{', ';', ' ']).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::assert_none;

    #[test]
    fn names_say_what_is_inside() {
        assert_none(&names(&Tree::read().unwrap()));
    }

    #[test]
    fn empty_names_are_found() {
        let find = |path, text| names(&Tree::of(&[(path, text)])).len();
        assert_eq!(find("crates/a/src/utils.rs", ""), 1);
        assert_eq!(find("crates/a/src/core/seal.rs", ""), 1);
        assert_eq!(find("crates/a/src/lib.rs", "mod types;\npub(crate) mod common {\n    pub mod helpers;\n}\n"), 3);
        assert_eq!(find("crates/a/src/score.rs", "mod core_count;\n// mod types;\n"), 0);
        assert_eq!(find("docs/core.md", "mod types;"), 0);
    }
}
