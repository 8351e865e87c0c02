//! What every text must be like: an opening that says what it is for, a size that can be read, nothing unfinished.

use crate::tree::{File, Tree};

const FILE_LINES_MAX: usize = 600;
const LINE_CHARS_MAX: usize = 120;

/// Marks of unfinished work, in two halves, so that this file does not hold them.
const LEFTOVERS: [(&str, &str); 7] =
    [("to", "do!"), ("unimple", "mented!"), ("#[ign", "ore"), ("TO", "DO"), ("FIX", "ME"), ("XX", "X"), ("HA", "CK")];

/// Paths that exist on one machine only.
const MACHINE_PATHS: [(&str, &str); 3] = [("/wo", "rk/"), ("/ro", "ot/"), ("/tmp/ba", "sh_jobs")];

/// Where tidy.toml says why a file may break a rule of size.
const EXEMPTIONS: &str = "tests/tidy/tidy.toml";

/// Every Rust file opens with `//!`: the map is in the code.
fn openings(tree: &Tree) -> Vec<String> {
    let opens = |file: &&File| !file.text.starts_with("//! ");
    let fault = |file: &File| format!("{}:1: open it with `//!`: what it is for, what it must never do", file.path);
    tree.files.iter().filter(|file| file.is_rust()).filter(opens).map(fault).collect()
}

/// No Rust file is longer than 600 lines, no line longer than 120 characters, but for those that tidy.toml names.
fn sizes(tree: &Tree) -> Result<Vec<String>, String> {
    let exemptions: toml::Table =
        tree.file(EXEMPTIONS)?.text.parse().map_err(|error| format!("{EXEMPTIONS}: {error}"))?;
    let mut faults = Vec::new();
    let mut check = |section: &str, find: &dyn Fn(&File) -> Option<String>| -> Result<(), String> {
        let missing = || format!("{EXEMPTIONS}: no section [{section}]");
        let exempt = exemptions.get(section).and_then(toml::Value::as_table).ok_or_else(missing)?;
        for file in &tree.files {
            let reason = exempt.get(&file.path).map(|reason| reason.as_str().unwrap_or_default());
            match (find(file), reason) {
                (Some(fault), None) => faults.push(fault),
                (Some(_), Some("")) => faults.push(format!("{EXEMPTIONS}: {} needs a reason", file.path)),
                (None, Some(_)) => faults.push(format!("{EXEMPTIONS}: {} keeps [{section}] by now", file.path)),
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        let gone = exempt.keys().filter(|path| tree.files.iter().all(|file| file.path != **path));
        faults.extend(gone.map(|path| format!("{EXEMPTIONS}: there is no {path}")));
        Ok(())
    };
    check("long_files", &long_file)?;
    check("long_lines", &long_line)?;
    Ok(faults)
}

fn long_file(file: &File) -> Option<String> {
    let lines = file.text.lines().count();
    (file.is_rust() && lines > FILE_LINES_MAX)
        .then(|| format!("{}: {lines} lines, at most {FILE_LINES_MAX}: split it by ideas", file.path))
}

fn long_line(file: &File) -> Option<String> {
    // Tables, data and locked versions have the width that they have.
    if !matches!(file.extension(), "rs" | "proto" | "toml" | "sh" | "py") {
        return None;
    }
    let long = file.lines().filter(|(_, line)| line.chars().count() > LINE_CHARS_MAX);
    let numbers: Vec<String> = long.map(|(number, _)| number.to_string()).collect();
    let fault = || format!("{}:{}: more than {LINE_CHARS_MAX} characters", file.path, numbers.join(","));
    (!numbers.is_empty()).then(fault)
}

/// No line ends in white space; a patch has lines that must.
fn endings(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in tree.files.iter().filter(|file| file.extension() != "patch") {
        let bad = file.text.split_inclusive('\n').zip(1..).filter(|(line, _)| {
            let line = line.strip_suffix('\n').unwrap_or(line);
            line.ends_with(char::is_whitespace)
        });
        faults.extend(bad.map(|(_, number)| format!("{}:{number}: white space at the end", file.path)));
    }
    faults
}

/// Nothing unfinished, no test that is left out, no path of one machine.
fn leftovers(tree: &Tree) -> Vec<String> {
    let mut faults = Vec::new();
    for file in &tree.files {
        for (number, line) in file.lines() {
            for (head, tail) in LEFTOVERS {
                let needle = format!("{head}{tail}");
                if stands_alone(line, &needle) {
                    faults.push(format!("{}:{number}: `{needle}`: finish it, or write down why not", file.path));
                }
            }
            for (head, tail) in MACHINE_PATHS {
                let needle = format!("{head}{tail}");
                if stands_alone(line, &needle) {
                    faults.push(format!("{}:{number}: `{needle}` is a path of one machine", file.path));
                }
            }
        }
    }
    faults
}

/// True if the line holds the needle, and not as a part of a longer word or path.
fn stands_alone(line: &str, needle: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '~' | '}');
    let ends_open = !needle.ends_with(char::is_alphanumeric);
    line.match_indices(needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + needle.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(joins) && (ends_open || !after.is_some_and(|c| c.is_alphanumeric() || c == '_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::assert_none;

    const NO_EXEMPTIONS: (&str, &str) = (EXEMPTIONS, "[long_files]\n[long_lines]\n");

    #[test]
    fn every_rust_file_says_what_it_is_for() {
        assert_none(&openings(&Tree::read().unwrap()));
    }

    #[test]
    fn files_and_lines_can_be_read() {
        assert_none(&sizes(&Tree::read().unwrap()).unwrap());
    }

    #[test]
    fn no_line_ends_in_white_space() {
        assert_none(&endings(&Tree::read().unwrap()));
    }

    #[test]
    fn nothing_unfinished_and_no_path_of_one_machine() {
        assert_none(&leftovers(&Tree::read().unwrap()));
    }

    #[test]
    fn a_missing_opening_is_found() {
        assert_eq!(
            openings(&Tree::of(&[("a.rs", "use b;\n"), ("b.rs", ""), ("c.rs", "//! C.\n"), ("d.md", "")])).len(),
            2
        );
    }

    #[test]
    fn sizes_are_counted_in_lines_and_characters() {
        let find = |path, text: &str| sizes(&Tree::of(&[NO_EXEMPTIONS, (path, text)])).unwrap().len();
        assert_eq!(find("a.rs", &"x\n".repeat(600)), 0);
        assert_eq!(find("a.rs", &"x\n".repeat(601)), 1);
        assert_eq!(find("a.rs", &"ü".repeat(120)), 0);
        assert_eq!(find("a.rs", &"ü".repeat(121)), 1);
        assert_eq!(find("a.md", &"ü".repeat(121)), 0);
    }

    #[test]
    fn an_exemption_needs_a_reason_and_a_use() {
        let exempt = |reason: &str| format!("[long_files]\n\"a.rs\" = \"{reason}\"\n[long_lines]\n");
        let long = "x\n".repeat(601);
        let find =
            |reason, text: &str| sizes(&Tree::of(&[(EXEMPTIONS, &exempt(reason)), ("a.rs", text)])).unwrap().len();
        assert_eq!(find("one table", &long), 0);
        assert_eq!(find("", &long), 1);
        assert_eq!(find("one table", "short\n"), 1);
        assert_eq!(sizes(&Tree::of(&[(EXEMPTIONS, &exempt("one table"))])).unwrap().len(), 1);
        assert!(sizes(&Tree::of(&[])).is_err());
    }

    #[test]
    fn white_space_at_the_end_is_found() {
        assert_eq!(endings(&Tree::of(&[("a.md", "x \ny\t\nz\r\nfine\n"), ("b.patch", " \n")])).len(), 3);
    }

    #[test]
    fn leftovers_are_found_where_they_stand_alone() {
        for (head, tail) in LEFTOVERS.into_iter().chain(MACHINE_PATHS) {
            let text = format!("a {head}{tail} b\n");
            assert_eq!(leftovers(&Tree::of(&[("a.rs", &text)])).len(), 1, "{text}");
            let inside = format!("z{head}{tail}\n");
            assert!(head.starts_with('#') || leftovers(&Tree::of(&[("a.rs", &inside)])).is_empty(), "{inside}");
        }
        assert!(leftovers(&Tree::of(&[("a.sh", "mktemp rocksdb.XXXXXX\n")])).is_empty());
    }
}
