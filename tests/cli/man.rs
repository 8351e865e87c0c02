//! `man`: a page for each command, that a manual reader shows without complaint.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::shell::{run, tokenvault};

/// What no finished page holds.
const PLACEHOLDERS: [&str; 5] = ["placeholder", "lorem", "tbd", "fill in", "description here"];

fn pages(folder: &Path) -> Vec<PathBuf> {
    let out = folder.join("man/man1");
    run(&mut tokenvault(&["man", "--out", out.to_str().unwrap()]), "").with(0);
    let mut pages: Vec<PathBuf> = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

fn name(page: &Path) -> String {
    page.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn every_command_has_its_page_and_every_page_its_parts() {
    let folder = tempfile::TempDir::new().unwrap();
    let pages = pages(folder.path());
    let names: Vec<String> = pages.iter().map(|page| name(page)).collect();
    for command in ["", "-serve", "-config", "-config-explain", "-bulk-tokenize", "-audit-checkpoint", "-man"] {
        assert!(names.contains(&format!("tokenvault{command}.1")), "{command}: {names:?}");
    }
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let command = name(page).replace(".1", "");
        assert!(text.contains(&format!(".TH {command} 1 ")), "{command}");
        for part in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(text.contains(&format!(".SH {part}\n")), "{command} has no {part}");
        }
        let about = text.split(".SH NAME\n").nth(1).unwrap().lines().next().unwrap();
        let (_, about) = about.split_once(" \\- ").unwrap();
        assert!(about.len() > 10, "{command}: {about}");
        let lower = text.to_lowercase();
        assert_eq!(PLACEHOLDERS.iter().find(|word| lower.contains(**word)), None, "{command}");
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "{command} holds a path of this machine");
    }
}

#[test]
fn the_pages_show_nothing_of_the_environment() {
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    run(tokenvault(&["man", "--out", out]).env("TOKENVAULT_KEY", "a-value-of-the-environment"), "").with(0);
    let page = fs::read_to_string(folder.path().join("tokenvault-tokenize.1")).unwrap();
    assert!(page.contains("TOKENVAULT_KEY") && !page.contains("a\\-value") && !page.contains("a-value"));
}

#[test]
fn a_manual_reader_shows_every_page_without_complaint() {
    let is_here = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if !is_here("groff") {
        println!("no groff here: the parts of the pages are checked, their look is not");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    for page in pages(folder.path()) {
        let shown =
            run(Command::new("groff").args(["-man", "-Kutf8", "-Tutf8", "-ww", "-rLL=100n", "-P-cbou"]).arg(&page), "");
        let shown = shown.with(0);
        assert_eq!(shown.err, "", "{}", page.display());
        assert!(shown.out.contains("NAME") && shown.out.lines().count() > 10, "{}", page.display());
    }
}
