//! A patch that breaks the code on purpose is worth nothing once it no longer fits: `make mutants-core` has to be able
//! to apply each of them, and to know what it breaks and which test has to notice.

use std::{path::Path, process::Command};

use crate::tree::{Tree, root, run};

const FOLDER: &str = "tests/mutants/";
const FIELDS: [&str; 3] = ["Breaks: ", "Build: ", "Test: "];

/// What is wrong with the heading of a patch.
fn heading_faults(path: &str, text: &str) -> Vec<String> {
    let heading = text.split("diff --git").next().unwrap_or_default();
    let has = |field: &str| heading.lines().any(|line| line.strip_prefix(field).is_some_and(|rest| !rest.is_empty()));
    let missing = FIELDS.iter().filter(|field| !has(field));
    missing.map(|field| format!("{path}: its heading has no line '{}'", field.trim_end())).collect()
}

/// Whether a patch fits the tree as it is.
fn does_not_apply(root: &Path, path: &str) -> Option<String> {
    let applied = run(Command::new("git").current_dir(root).args(["apply", "--check", path]));
    applied.err().map(|error| format!("{path} no longer applies: {}", error.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_patch_says_what_it_breaks_and_fits() {
        let tree = Tree::read().unwrap();
        let patches = tree.files.iter().filter(|file| file.path.starts_with(FOLDER) && file.extension() == "patch");
        let patches: Vec<_> = patches.collect();
        assert!(patches.len() >= 7, "the promises that have a patch do not get fewer");
        let faults = patches.iter().flat_map(|file| {
            heading_faults(&file.path, &file.text).into_iter().chain(does_not_apply(&root(), &file.path))
        });
        assert_eq!(faults.collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn a_heading_without_its_test_is_a_fault() {
        let faults = heading_faults("x.patch", "Breaks: this\nBuild: -p that\nTest: \n\ndiff --git a/x b/x\nTest: t\n");
        assert_eq!(faults, ["x.patch: its heading has no line 'Test:'"]);
    }

    #[test]
    fn a_patch_for_lines_that_are_not_there_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "one\n").unwrap();
        let patch = "diff --git a/file b/file\n--- a/file\n+++ b/file\n@@ -1 +1 @@\n-two\n+three\n";
        std::fs::write(folder.path().join("x.patch"), patch).unwrap();
        assert!(does_not_apply(folder.path(), "x.patch").unwrap().contains("no longer applies"));
        std::fs::write(folder.path().join("y.patch"), patch.replace("two", "one")).unwrap();
        assert_eq!(does_not_apply(folder.path(), "y.patch"), None);
    }
}
