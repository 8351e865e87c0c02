//! Every promise in docs/COVERAGE.md, every attack in docs/THREAT_MODEL.md and every missing part in
//! docs/DEGRADATION.md names tests, and the tests are there.
//!
//! The last column of their tables is headed `test`; tests stand under their full names, as `cargo nextest list`
//! prints them behind the binary's name, separated by commas. The sources are scanned, which takes no build;
//! .ci/coverage-ran.py compares the same names with what really ran.

use crate::{
    table,
    tree::{File, Tree},
};

/// A table by its file and heading.
type Table = (&'static str, &'static [&'static str]);

const COVERAGE: Table = ("docs/COVERAGE.md", &["promise", "test"]);
const OTHERS: [Table; 2] = [
    ("docs/THREAT_MODEL.md", &["attack", "answer", "test"]),
    ("docs/DEGRADATION.md", &["broken", "still served", "denied", "what tells", "test"]),
];

/// Each row needs words in every column and a test at least, and each test must be one function of the tree, not none
/// and not two.
fn coverage(tree: &Tree, (name, heading): Table) -> Result<Vec<String>, String> {
    let tests: Vec<String> = tree.files.iter().filter(|file| file.is_rust()).flat_map(tests_of).collect();
    let mut faults = Vec::new();
    for row in table::rows(name, &tree.file(name)?.text, heading)? {
        let Some((cell, words)) = row.cells.split_last() else { continue };
        let named = table::items(cell);
        if words.iter().any(|cell| cell.is_empty()) || named.is_empty() {
            faults.push(format!("{name}:{}: a row needs words in every column and a test", row.line));
        }
        for test in named {
            let tail = format!("::{test}");
            let found: Vec<&String> = tests.iter().filter(|test| test.ends_with(&tail)).collect();
            match found[..] {
                [_] => {}
                [] => faults.push(format!("{name}:{}: there is no test {test}", row.line)),
                _ => faults.push(format!("{name}:{}: {test} is any of {found:?}; say more of it", row.line)),
            }
        }
    }
    Ok(faults)
}

/// The tests of a file, with folders, file and modules that they stand in: `tests::it::api::tokenize::works`.
///
/// It relies on rustfmt: a module's closing brace stands under the beginning of its opening line.
fn tests_of(file: &File) -> Vec<String> {
    let stem = file.path.trim_end_matches(".rs");
    let place: Vec<&str> = stem.split('/').filter(|part| !matches!(*part, "src" | "lib" | "main" | "mod")).collect();
    let mut tests = Vec::new();
    let mut modules: Vec<(usize, &str)> = Vec::new();
    let mut attribute = false;
    for (_, line) in file.lines() {
        let words = line.trim_start();
        let indent = line.len() - words.len();
        if words == "}" && modules.last().is_some_and(|(opened, _)| *opened == indent) {
            modules.pop();
        } else if let Some(name) = words.strip_suffix(" {").and_then(|words| words.strip_prefix("mod ")) {
            modules.push((indent, name));
        } else if is_test_attribute(words) {
            attribute = true;
        } else if let Some(name) = function(words) {
            if attribute {
                let modules = modules.iter().map(|(_, name)| *name);
                tests.push(place.iter().copied().chain(modules).chain([name]).collect::<Vec<_>>().join("::"));
            }
            attribute = false;
        }
    }
    tests
}

/// `#[test]`, and those that end in it, such as `#[tokio::test(start_paused = true)]`.
fn is_test_attribute(words: &str) -> bool {
    let path = words.strip_prefix("#[").and_then(|rest| rest.split(['(', ']']).next()).unwrap_or_default();
    path == "test" || path.ends_with("::test")
}

/// The name of the function that a line declares.
fn function(words: &str) -> Option<&str> {
    let rest = words.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ")?;
    rest.split(['(', '<']).next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::assert_none;

    const SOURCE: &str = "\
//! A.
#[test]
fn top() {}

fn no_test() {}

#[cfg(test)]
mod tests {
    #[tokio::test]
    #[cfg(unix)]
    async fn inner() {
        work();
    }

    proptest! {
        #[test]
        fn drawn(x in 0..9) {}
    }
}

#[test]
fn after() {}
";

    #[test]
    fn every_promise_has_tests() {
        assert_none(&coverage(&Tree::read().unwrap(), COVERAGE).unwrap());
    }

    #[test]
    fn every_attack_and_every_missing_part_has_tests() {
        let tree = Tree::read().unwrap();
        OTHERS.iter().for_each(|table| assert_none(&coverage(&tree, *table).unwrap()));
    }

    #[test]
    fn tests_are_found_with_the_modules_they_stand_in() {
        let file = |path: &str| File { path: path.to_owned(), text: SOURCE.to_owned() };
        let found = tests_of(&file("crates/vault-a/src/b/mod.rs"));
        let expected = ["top", "tests::inner", "tests::drawn", "after"];
        assert_eq!(found, expected.map(|test| format!("crates::vault-a::b::{test}")));
        assert_eq!(tests_of(&file("tests/it/main.rs"))[0], "tests::it::top");
    }

    fn find(cell: &str) -> usize {
        let text = format!("| promise | test |\n|---|---|\n| kept | {cell} |\n");
        let files = [(COVERAGE.0, text.as_str()), ("crates/a/src/b.rs", SOURCE), ("crates/a/src/c.rs", SOURCE)];
        coverage(&Tree::of(&files), COVERAGE).unwrap().len()
    }

    #[test]
    fn a_named_test_must_be_there_and_be_one() {
        assert_eq!(find("`b::tests::inner`, `c::top`"), 0);
        assert_eq!(find("`b::tests::missing`"), 1);
        assert_eq!(find("`no_test`"), 1);
        assert_eq!(find("`tests::inner`"), 1, "two of that name");
        assert_eq!(find("`p`"), 1, "half a name");
        assert_eq!(find(""), 1);
    }

    #[test]
    fn a_missing_table_is_an_error() {
        assert!(coverage(&Tree::of(&[(COVERAGE.0, "# Coverage\n")]), COVERAGE).is_err());
        assert!(coverage(&Tree::of(&[]), COVERAGE).is_err());
    }
}
