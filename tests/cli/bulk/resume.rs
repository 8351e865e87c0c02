//! Jobs that are cut, by a kill of either side or by a signal, and go on.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use vault_domain::{Clock, SystemClock};

use super::{audited, files, summary};
use crate::shell::{DevVault, Ended, LOAD, SETTLE, write};

/// Rows of the input: enough for a run that can be cut several times.
const ROWS: usize = 40_000;
/// How long a job may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(60);

fn card(number: usize) -> String {
    let digits = format!("4{number:014}");
    let doubled = |(at, digit): (usize, u32)| if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit };
    let sum: u32 = digits.chars().rev().map(|c| c.to_digit(10).unwrap()).enumerate().map(doubled).sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn input() -> String {
    let row = |n: usize| format!("{n},{},\"user{n}@example.com\",\"a, {n}\"\r\n", card(n % 9000));
    format!("id,card,email,note\r\n{}", (0..ROWS).map(row).collect::<String>())
}

/// A job of the loader.
struct Load<'a> {
    vault: &'a DevVault,
    line: String,
    out: String,
}

impl<'a> Load<'a> {
    fn new(vault: &'a DevVault, source: &str, name: &str, columns: &str) -> Self {
        let [out, rejects] = [".csv", "-rejects.csv"].map(|ending| vault.path(&format!("{name}{ending}")));
        let line = format!(
            "bulk tokenize --in {source} --out {out} --rejects {rejects} {columns} {LOAD} --in-flight 1 --output jsonl"
        );
        Self { vault, line, out }
    }

    fn run(&self) -> Ended {
        self.vault.run("loader", &self.line, "")
    }

    /// Starts it and waits until it has written so many bytes; `None` if it ends before.
    fn until(&self, bytes: u64) -> Option<Child> {
        let mut command = self.vault.command("loader", &self.line.split_whitespace().collect::<Vec<_>>());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let clock = SystemClock::new();
        let partial = format!("{}.partial", self.out);
        while clock.monotonic() < PATIENCE {
            if child.try_wait().unwrap().is_some() {
                child.wait().unwrap();
                return None;
            }
            let written = fs::metadata(&partial).map(|there| there.len()).unwrap_or_default();
            if written > bytes && Path::new(&self.progress()).exists() {
                return Some(child);
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("it does not get to byte {bytes}");
    }

    /// Kills it as soon as it has written so many bytes.
    fn kill_at(&self, bytes: u64) -> bool {
        let Some(mut child) = self.until(bytes) else { return false };
        child.kill().unwrap();
        child.wait().unwrap();
        true
    }

    fn progress(&self) -> String {
        format!("{}.progress", self.out)
    }

    /// The batches that are known to be done.
    fn batches(&self) -> u64 {
        self.kept("batches").as_u64().unwrap()
    }

    /// What the progress says of something.
    fn kept(&self, name: &str) -> Value {
        let progress: Value = serde_json::from_slice(&fs::read(self.progress()).unwrap()).unwrap();
        progress.get(name).unwrap().clone()
    }

    fn output(&self) -> String {
        fs::read_to_string(&self.out).unwrap()
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), &input());
    let cut = Load::new(&vault, &source, "cut", "--column card=card_number");
    let mut kills = 0;
    let mut batches = 0;
    for bytes in [0, 1, 100_000, 500_000, 900_000, 1_200_000, 1_500_000] {
        if cut.kill_at(bytes) {
            kills += 1;
            assert!(cut.batches() >= batches, "it never goes back");
            batches = cut.batches();
        }
    }
    assert!(kills >= 4 && batches > 0, "{kills} kills, {batches} batches");
    let modes = ["cut.csv.partial", "cut.csv.progress", "cut-rejects.csv.partial"].map(|name| vault.path(name));
    for path in &modes {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
    let progress = fs::read_to_string(cut.progress()).unwrap();
    assert!((0..9000).all(|n| !progress.contains(&card(n))) && !progress.contains("@example.com"), "{progress}");
    let ended = cut.run().with(0);
    let rows = summary(&ended)["resumed_from_row"].as_u64().unwrap();
    assert!(rows > 1 && ended.err.contains("going on with a job that was cut"), "{ended:?}");
    assert_eq!(summary(&ended)["rows_out"], ROWS);
    let whole = Load::new(&vault, &source, "whole", "--column card=card_number");
    whole.run().with(0);
    assert!(cut.output() == whole.output(), "the files differ");
    let expected = ["cut-rejects.csv", "cut.csv", "in.csv", "whole-rejects.csv", "whole.csv"];
    assert_eq!(files(&vault), expected, "nothing else is left");
}

#[test]
fn no_value_gets_two_tokens_and_no_row_is_lost_when_either_side_is_killed() {
    let mut vault = DevVault::start();
    let text = input();
    let source = write(&vault.path("in.csv"), &text);
    for (at, bytes) in [200_000, 900_000, 2_000_000].into_iter().enumerate() {
        let cut = Load::new(&vault, &source, "cut", "--column email=email --column card=card_number");
        if at == 1 {
            // The vault goes away below a job.
            let mut child = cut.until(bytes).unwrap();
            let pid = Pid::from_raw(vault.process_id().try_into().unwrap());
            kill(pid, Signal::SIGKILL).unwrap();
            let mut said = String::new();
            std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(1), "{said}");
            assert!(said.contains("the same command goes on") && said.contains("--restart"), "{said}");
            vault = vault.again();
        } else {
            assert!(cut.kill_at(bytes), "it was done before byte {bytes}");
        }
    }
    let cut = Load::new(&vault, &source, "cut", "--column email=email --column card=card_number");
    let end = summary(&cut.run().with(0));
    assert!(end["resumed_from_row"].as_u64() > Some(1), "{end}");
    assert_eq!([&end["rows_in"], &end["rows_out"], &end["columns"][0]["created"]], [ROWS, ROWS, ROWS]);

    // One record a value, whatever was sent twice.
    let query = "audit query --region eu --purpose audit --all --page-size 1000 --output jsonl --action tokenize";
    let mut records = HashSet::new();
    let mut named = 0;
    for entry in vault.run("auditor", query, "").with(0).lines() {
        for items in entry["items"].as_array().unwrap().iter().filter(|items| items["data_class"] == "email") {
            let numbers = items["record_numbers"].as_array().unwrap().iter().map(|number| number.as_u64().unwrap());
            let numbers: Vec<_> = numbers.collect();
            named += numbers.len();
            records.extend(numbers);
        }
    }
    assert_eq!(records.len(), ROWS);
    assert!(named > ROWS, "calls were repeated, or nothing was shown");

    let [back, nothing] = ["back.csv", "nothing.csv"].map(|name| vault.path(name));
    let columns = "--column email=email --column card=card_number";
    let out = &cut.out;
    let line = format!("bulk detokenize --in {out} --out {back} --rejects {nothing} {columns} {SETTLE}");
    vault.run("payments", &line, "").with(0);
    assert!(fs::read_to_string(back).unwrap() == text, "the values are not those of the input");
}

#[test]
fn a_job_that_is_stopped_says_how_to_go_on_and_refuses_what_is_not_the_same() {
    let vault = DevVault::start();
    let text = input();
    let source = write(&vault.path("in.csv"), &text);
    let cut = Load::new(&vault, &source, "cut", "--column email=email");
    let mut child = cut.until(300_000).unwrap();
    let process = Pid::from_raw(child.id().try_into().unwrap());
    kill(process, Signal::SIGSTOP).unwrap();
    let twice = cut.run().with(1);
    assert!(twice.err.contains("another process is at work"), "{twice:?}");
    kill(process, Signal::SIGTERM).unwrap();
    kill(process, Signal::SIGCONT).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(said.contains("stopped; ") && said.contains("the same command goes on behind them until 20"), "{said}");

    let calls = audited(&vault);
    let other = |change: &str| vault.run("loader", &format!("{} {change}", cut.line), "").with(2);
    assert!(other("--keep-empty").err.contains("--keep-empty was false"));
    assert!(other("--column card=card_number").err.contains("--column was [\"email=email\"]"));
    let changed = text.replacen("user3@", "user4@", 1);
    fs::write(&source, changed).unwrap();
    let refused = cut.run().with(2);
    assert!(refused.err.contains("the input is not the one"), "{refused:?}");
    assert!(!refused.err.contains("user"), "{refused:?}");

    // A job of yesterday: the vault has forgotten its calls.
    fs::write(&source, &text).unwrap();
    let mut progress: Value = serde_json::from_slice(&fs::read(cut.progress()).unwrap()).unwrap();
    let since = progress["unwritten_since_ms"].as_u64().unwrap();
    progress["unwritten_since_ms"] = (since - 24 * 3600 * 1000).into();
    fs::write(cut.progress(), progress.to_string()).unwrap();
    let late = cut.run().with(2);
    assert!(late.err.contains("24 hours") && late.err.contains("--danger-resume-late"), "{late:?}");
    assert_eq!(audited(&vault), calls, "nothing was sent");
    let end = vault.run("loader", &format!("{} --danger-resume-late --resume", cut.line), "").with(0);
    assert_eq!(summary(&end)["rows_out"], ROWS);
}

#[test]
fn a_job_goes_on_at_the_vault_where_it_was_begun_and_at_no_other_of_that_name() {
    let (vault, other) = (DevVault::start(), DevVault::start());
    let source = write(&vault.path("in.csv"), &input());
    let cut = Load::new(&vault, &source, "cut", "--column card=card_number");
    assert!(cut.kill_at(600_000));
    let batches = cut.batches();
    assert!(batches > 0);
    let log = cut.kept("log");
    assert_eq!(log.as_str().unwrap().len(), 64);
    let refused = || {
        let elsewhere = other.run("loader", &cut.line, "").with(1);
        assert!(elsewhere.err.contains("another vault of that name"), "{elsewhere:?}");
        assert!(elsewhere.err.contains(log.as_str().unwrap()), "it says which: {elsewhere:?}");
        assert_eq!((cut.batches(), cut.kept("log")), (batches, log.clone()), "nothing of the other one is written");
    };
    refused();
    // Its log is longer than the job's last call then.
    let longer = Load::new(&other, &source, "other", "--column card=card_number");
    longer.run().with(0);
    assert!(audited(&other) > audited(&vault));
    refused();
    // Older versions did not keep which log it is: it is learned from the first answer.
    let mut progress: Value = serde_json::from_slice(&fs::read(cut.progress()).unwrap()).unwrap();
    progress.as_object_mut().unwrap().remove("log");
    fs::write(cut.progress(), progress.to_string()).unwrap();
    assert!(cut.kill_at(900_000));
    assert_eq!(cut.kept("log"), log);
    assert_eq!(summary(&cut.run().with(0))["rows_out"], ROWS);
    let whole = Load::new(&vault, &source, "whole", "--column card=card_number");
    whole.run().with(0);
    assert!(cut.output() == whole.output(), "the files differ");
}

#[test]
fn a_job_for_a_region_that_is_served_elsewhere_leaves_nothing_behind() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), "card\n4111111111111111\n");
    let job = Load::new(&vault, &source, "job", "--column card=card_number");
    let refused = vault.run("loader", &job.line.replace("--region eu", "--region apac"), "").with(1);
    assert!(refused.err.contains("WRONG_REGION") && !refused.err.contains("--restart"), "{refused:?}");
    assert_eq!(files(&vault), ["in.csv"]);
    job.run().with(0);
}

#[test]
fn a_job_whose_class_is_mistyped_leaves_nothing_behind_unless_something_was_done() {
    let vault = DevVault::start();
    let rows = |n: usize| format!("{n},{},user{n}@example.com\n", card(n));
    let source = write(&vault.path("in.csv"), &format!("id,card,email\n{}", (0..3000).map(rows).collect::<String>()));
    let good = "--column card=card_number --column email=email";
    let job = Load::new(&vault, &source, "job", good);
    // Several calls would be open at once; the first one is refused as a whole, before there is a second.
    for columns in ["--column card=card_numbr", "--column card=card_numbr --column email=emial"] {
        let line = job.line.replace(good, columns).replace("--in-flight 1", "--in-flight 8");
        let refused = vault.run("loader", &line, "").with(3);
        assert!(refused.err.contains("ACCESS_DENIED") && !refused.err.contains("--restart"), "{refused:?}");
        assert_eq!(files(&vault), ["in.csv"]);
    }
    assert_eq!(audited(&vault), 2, "one call each");
    // Where a class is good its values have tokens: they are not to be made twice, and that is said.
    let half = vault.run("loader", &job.line.replace("email=email", "email=emial"), "").with(3);
    assert!(half.err.contains("--restart begins anew"), "{half:?}");
    assert!(job.run().with(2).err.contains("with other options"));
    let living = vault.run("loader", &format!("{} --ttl 1h", job.line.replace("email=email", "email=emial")), "");
    assert!(living.with(2).err.contains("--ttl was null"), "tokens of one job have one life");
    vault.run("loader", &format!("{} --restart", job.line), "").with(0);

    // A reveal makes nothing: it can be begun anew as it is.
    let [back, nothing] = ["back.csv", "nothing.csv"].map(|name| vault.path(name));
    let line =
        |columns: &str| format!("bulk detokenize --in {} --out {back} --rejects {nothing} {columns} {SETTLE}", job.out);
    vault.run("payments", &line("--column card=card_number --column email=emial"), "").with(3);
    assert_eq!(files(&vault), ["in.csv", "job-rejects.csv", "job.csv"]);
    vault.run("payments", &line(good), "").with(0);
    assert_eq!(fs::read_to_string(back).unwrap(), fs::read_to_string(source).unwrap());
}

#[test]
fn links_beside_the_output_are_never_written_through() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), "card\n4111111111111111\n");
    let precious = write(&vault.path("precious"), "precious");
    let job = Load::new(&vault, &source, "job", "--column card=card_number");
    symlink(&precious, format!("{}.progress.new", job.out)).unwrap();
    job.run().with(0);
    assert_eq!(files(&vault), ["in.csv", "job-rejects.csv", "job.csv", "precious"]);
    let again = job.line.clone() + " --overwrite";
    for ending in [".progress", ".partial"] {
        let link = format!("{}{ending}", job.out);
        symlink(&precious, &link).unwrap();
        let refused = vault.run("loader", &again, "").with(2);
        assert!(refused.err.contains("move it away"), "{refused:?}");
        fs::remove_file(link).unwrap();
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    vault.run("loader", &again, "").with(0);
}

#[test]
fn a_job_that_is_begun_anew_forgets_the_one_before() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), &input());
    let cut = Load::new(&vault, &source, "cut", "--column card=card_number");
    assert!(cut.kill_at(300_000));
    let end = summary(&vault.run("loader", &format!("{} --restart", cut.line), "").with(0));
    assert_eq!([&end["rows_out"], &end["resumed_from_row"]], [&ROWS.into(), &Value::Null]);
    // What reads standard input leaves nothing to go on with when it is stopped, and says so when it was killed.
    let [out, rejects] = ["piped.csv", "piped-rejects.csv"].map(|name| vault.path(name));
    let line =
        format!("bulk tokenize --in - --format csv --out {out} --rejects {rejects} {LOAD} --column card=card_number");
    let broken = vault.run("loader", &line, "card\n4111111111111111\n\"4111").with(1);
    assert!(broken.err.contains("a quote opens") && !broken.err.contains("goes on"), "{broken:?}");
    assert_eq!(files(&vault), ["cut-rejects.csv", "cut.csv", "in.csv"]);
    vault.run("loader", &line, "card\n4111111111111111\n").with(0);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 2);
}
