//! What `tokenvault dev --serve` prints to be copied does what it says.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vault_domain::{Clock, SystemClock};

use crate::shell::{DevVault, run, tokenvault};

/// The guide as a script: each command prints what it was, what it ended with, and its output.
fn script(guide: &str) -> String {
    let mut script = String::from("set -u\nshow() { echo \"== $?\"; }\n");
    let guide = guide.replace(" \\\n", " ");
    for line in guide.lines() {
        let line = line.trim();
        if line.starts_with("export ") || line.starts_with("as") && line.contains(['(', ' ']) {
            script += &format!("{line}\n");
        } else if line.contains("tokenvault ") && !line.contains("The vault listens") {
            // The word TOKEN stands for what the first command gave.
            let line = line.replace("echo TOKEN", "echo \"$TOKEN\"");
            script += &format!("OUT=$({line} --output jsonl 2>&1); show\necho \"$OUT\"\n");
            script += "[ -n \"${TOKEN:-}\" ] || TOKEN=$(echo \"$OUT\" | sed -E 's/.*\"token\":\"([^\"]*)\".*/\\1/')\n";
        }
    }
    script
}

#[test]
fn the_commands_of_the_guide_do_what_they_say() {
    let mut vault = DevVault::start();
    let script = script(&vault.guide);
    let mut shell = Command::new("bash");
    shell.current_dir(vault.folder.path()).args(["-c", &script]);
    let ended = run(&mut shell, "").with(0);

    let answers: Vec<(&str, &str)> = ended
        .out
        .split("== ")
        .skip(1)
        .map(|answer| answer.split_once('\n').unwrap())
        .map(|(code, out)| (code, out.trim_end()))
        .collect();
    let codes: Vec<&str> = answers.iter().map(|(code, _)| *code).collect();
    // Tokenize, reveal, be refused as another service, a file, the log, a checkpoint.
    assert_eq!(codes, ["0", "0", "1", "0", "0", "0"], "{}\n{script}", ended.out);
    assert!(answers[0].1.contains("1111\""), "the token keeps the last four: {}", answers[0].1);
    assert!(!answers[0].1.contains("4111111111111111"));
    assert!(answers[1].1.contains("4111111111111111"));
    assert!(answers[2].1.contains("TOKEN_NOT_FOUND") && !answers[2].1.contains("4111111111111111"));
    assert!(answers[3].1.contains("\"rows_out\":3"), "{}", answers[3].1);
    // The questions stand in the log as they are asked, so that the first answer holds all before it.
    let actions: Vec<&str> = answers[4].1.matches("\"action\":\"tokenize\"").collect();
    assert_eq!(actions.len(), 2, "{}", answers[4].1);
    assert!(answers[5].1.contains("/audit/eu/1"));
    let csv = std::fs::read_to_string(vault.place().join("tokens.csv")).unwrap();
    assert!(csv.starts_with("name,card,email\nAda,") && !csv.contains("ada@example.com"), "{csv}");
    assert_eq!(vault.stop(), Some(0));
}

#[test]
fn one_process_at_a_time_serves_a_folder_and_a_closed_terminal_ends_it_well() {
    let mut vault = DevVault::start();
    let place = vault.place();
    let words = ["dev", "--serve", "--directory", place.to_str().unwrap()];
    let ended = run(&mut tokenvault(&words), "").with(1);
    assert!(ended.err.contains("is served by another"), "{ended:?}");
    let environment = place.join("client.env");
    assert!(environment.exists(), "what callers read is still there");
    assert_eq!(vault.tokens("email", &["ada@example.com"]).len(), 1);
    assert_eq!(vault.stop_by(Signal::SIGHUP), Some(0));
    assert!(!environment.exists());
}

#[test]
fn whatever_ends_it_is_named() {
    for signal in [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("vault");
        let mut command = tokenvault(&["dev", "--serve", "--directory", place.to_str().unwrap()]);
        let vault = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let clock = SystemClock::new();
        while !place.join("client.env").exists() {
            assert!(clock.monotonic() < Duration::from_secs(60), "it does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        kill(Pid::from_raw(vault.id().try_into().unwrap()), signal).unwrap();
        let ended = vault.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{said}");
        assert!(said.contains(&format!("stopping on {signal}: ")), "{said}");
    }
}

#[test]
fn a_tour_without_input_says_what_to_do() {
    let ended = run(&mut tokenvault(&["dev"]), "").with(2);
    assert!(ended.err.contains("make demo") && ended.err.contains("--serve"), "{}", ended.err);
}
