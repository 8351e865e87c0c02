//! `completions`: scripts that their shells really read, and that complete what there is.

use std::process::{Command, Stdio};

use crate::shell::{run, tokenvault, write};

/// The completions of the last of some words, as bash gives them.
fn completed(script: &str, words: &[&str]) -> Vec<String> {
    let last = words.last().unwrap();
    let before = words.iter().rev().nth(1).unwrap();
    let array: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!(
        "source '{script}' && COMP_WORDS=({}) && COMP_CWORD={} && _tokenvault tokenvault '{last}' '{before}' && \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        array.join(" "),
        words.len() - 1,
    );
    let ended = run(Command::new("bash").args(["--norc", "-euo", "pipefail", "-c", &line]), "").with(0);
    assert_eq!(ended.err, "");
    ended.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_reads_the_script_and_completes_commands_and_flags() {
    let folder = tempfile::TempDir::new().unwrap();
    let script = run(&mut tokenvault(&["completions", "bash"]), "").with(0).out;
    let script = write(folder.path().join("tokenvault.bash").to_str().unwrap(), &script);
    assert_eq!(completed(&script, &["tokenvault", "bu"]), ["bulk"]);
    assert_eq!(completed(&script, &["tokenvault", "bulk", "det"]), ["detokenize"]);
    assert_eq!(completed(&script, &["tokenvault", "config", "e"]), ["explain"]);
    assert_eq!(completed(&script, &["tokenvault", "audit", "query", "--prin"]), ["--principal"]);
    assert_eq!(completed(&script, &["tokenvault", "config", "check", "--output", "jsonl"]), ["jsonl"]);
    assert_eq!(completed(&script, &["tokenvault", "no-such"]), [""]);
    let all = completed(&script, &["tokenvault", ""]);
    for command in ["dev", "serve", "config", "tokenize", "detokenize", "bulk", "audit", "completions", "man"] {
        assert!(all.iter().any(|word| word == command), "{command}: {all:?}");
    }
}

#[test]
fn other_shells_have_their_scripts_too_and_read_them_if_they_are_here() {
    let folder = tempfile::TempDir::new().unwrap();
    for (shell, sign) in [
        ("zsh", "#compdef tokenvault"),
        ("fish", "complete -c tokenvault"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let script = run(&mut tokenvault(&["completions", shell]), "").with(0).out;
        assert!(script.contains(sign) && script.contains("detokenize"), "{shell}");
        let path = write(folder.path().join(shell).to_str().unwrap(), &script);
        let is_here = Command::new(shell).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if matches!(shell, "zsh" | "fish") && is_here {
            assert_eq!(run(Command::new(shell).args(["-n", &path]), "").with(0).err, "");
        }
    }
    run(&mut tokenvault(&["completions", "cmd"]), "").with(2);
}
