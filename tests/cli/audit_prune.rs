//! `tokenvault audit prune` by the real programs: a vault whose entries are two years old by its clock of then serves
//! by the clock of today. What it prunes is gone from the disk, and what it archived verifies by three verifiers.
#![expect(clippy::indexing_slicing, reason = "what is not there fails the test, which is what it is for")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use vault_domain::{Clock, ManualClock, Millis, SystemClock};
use vault_ledger::{Entry, LogProof, VerifierKey, leaf_hash};
use vault_tests::{
    requests::{email, scattered, tokenize},
    roles::Role,
    stored_log,
    vault::{TestVault, VAULT},
};

use crate::{
    audit_tamper::answers,
    audited::{contents, copy, verify},
    served::Served,
    shell::{Ended, run, tokenvault},
};

/// A folder on a real disk.
const DISK: &str = env!("CARGO_TARGET_TMPDIR");
const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

/// A vault at rest, all of whose entries are two years old.
struct Old {
    vault: TestVault,
    folder: TempDir,
}

impl Old {
    async fn with(entries: u64) -> Self {
        let clock = ManualClock::at(Millis(SystemClock::new().wall().0 - 2 * YEAR_MS));
        let mut vault = TestVault::start_by(Path::new(DISK), &clock).await;
        vault.fill(entries, |n| tokenize("email", [email(n)])).await;
        vault.indexed().await;
        vault.stop().await;
        vault.add_to_configuration("[retention]\narchive_directory = \"archive\"");
        let folder = TempDir::new_in(DISK).unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("ca.pem", &vault.authority().certificate_pem());
        write("client.pem", vault.identity(Role::Regional).certificate_pem());
        write("client.key", &vault.identity(Role::Regional).key_pem());
        Self { vault, folder }
    }

    /// The program, serving this vault by the clock of today.
    fn serve(&self) -> Served {
        let config = self.vault.directory().join("vault.toml");
        Served::start(tokenvault(&["serve", "--config", config.to_str().unwrap()]))
    }

    /// `audit prune` of the log of `eu`.
    fn prune(&self, served: &Served, more: &[&str]) -> Command {
        let words = ["audit", "prune", "--region", "eu", "--output", "jsonl"];
        self.command(served, &[&words, more].concat())
    }

    /// A command of the operator, who is an auditor too.
    fn command(&self, served: &Served, words: &[&str]) -> Command {
        let mut command = tokenvault(words);
        let file = |name: &str| self.folder.path().join(name);
        command
            .env("TOKENVAULT_ENDPOINT", served.endpoint().replace("127.0.0.1", "localhost"))
            .env("TOKENVAULT_CA", file("ca.pem"))
            .env("TOKENVAULT_CERT", file("client.pem"))
            .env("TOKENVAULT_KEY", file("client.key"));
        command
    }

    fn data(&self) -> PathBuf {
        self.vault.data_directory()
    }

    fn archives(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(self.vault.directory().join("archive/eu"));
        let mut paths: Vec<_> = names.into_iter().flatten().map(|name| name.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// `audit export-log` of `eu`.
    fn export(&self, name: &str) -> (PathBuf, Value) {
        let (out, data) = (self.folder.path().join(name), self.data());
        let (out_text, data) = (out.to_str().unwrap(), data.to_str().unwrap());
        let words = ["audit", "export-log", "--data", data, "--region", "eu", "--out", out_text, "--output", "jsonl"];
        let said = run(&mut tokenvault(&words), "").with(0).lines().remove(0);
        (out, said)
    }
}

fn verified(data: &Path, words: &[&str]) -> Value {
    verify(data, words).with(0).lines().remove(0)
}

fn refused(ended: Ended) -> Value {
    ended.with(4).lines().remove(0)
}

/// A change of a file: bytes that take the place of others; with `None` the file is gone.
type Change = (String, usize, Option<usize>, Vec<u8>);

/// What three verifiers say of a folder with changes: `ok ENTRIES`, or `bad INDEX …`.
fn judged(folder: &Path, key: &str, damages: &[Vec<Change>]) -> [Vec<String>; 3] {
    let files: BTreeMap<String, Vec<u8>> = contents(folder)
        .into_iter()
        .map(|(path, bytes, _)| (path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), bytes))
        .collect();
    let ours = |changes: &Vec<Change>| {
        let mut changed = files.clone();
        for (path, offset, remove, insert) in changes {
            match remove {
                None => drop(changed.remove(path)),
                Some(remove) => {
                    let file = changed.entry(path.clone()).or_default();
                    drop(file.splice(*offset..offset + remove, insert.iter().copied()));
                }
            }
        }
        match tokenvault_cli::verify_files(|path| changed.get(path).cloned(), key, &[]) {
            Ok(entries) => format!("ok {entries}"),
            Err((first, problem)) => format!("bad {} {problem}", first.map_or("-".to_owned(), |at| at.to_string())),
        }
    };
    let job = |changes: &Vec<Change>| {
        let change = |(path, offset, remove, insert): &Change| {
            json!({
                "Path": path, "Offset": offset, "Insert": STANDARD.encode(insert),
                "Remove": remove.map_or(-1, |remove| i64::try_from(remove).unwrap()),
            })
        };
        let changes: Vec<_> = changes.iter().map(change).collect();
        json!({"Folder": folder, "Key": key, "Checkpoints": [], "Changes": changes}).to_string()
    };
    let jobs: Vec<_> = damages.iter().map(job).collect();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(tests.join("audit/python.py")).arg(tests.join("../docs/audit/verify.py"));
    let mut go = Command::new(tests.join("audit/go.sh"));
    [damages.iter().map(ours).collect(), answers(&mut python, &jobs), answers(&mut go, &jobs)]
}

/// The entries of a log of three bundles are two years old; two bundles go.
async fn pruned() -> (Old, Vec<u8>) {
    let old = Old::with(600).await;
    let before = old.vault.stored_log("eu");
    let bytes = before.entries[5].clone();
    drop(before);
    let served = old.serve();
    let planned = run(&mut old.prune(&served, &["--dry-run"]), "").with(0).lines().remove(0);
    assert_eq!((&planned["pruned"], &planned["minimum_index"]), (&json!(false), &json!(512)), "{planned}");
    assert!(old.archives().is_empty(), "a plan writes nothing");
    let said = run(&mut old.prune(&served, &["--reference", "OPS-9"]), "").with(0).lines().remove(0);
    assert_eq!((&said["pruned"], &said["entries"], &said["minimum_index"]), (&json!(true), &json!(512), &json!(512)));
    served.stop();
    (old, bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pruned_is_gone_from_the_disk_and_its_archive_and_the_log_verify_by_three_verifiers() {
    let (old, entry) = pruned().await;
    // The salt of an entry stands nowhere else.
    let salt = &entry[13..29];
    let holds = |folder: &Path| contents(folder).iter().any(|(_, bytes, _)| bytes.windows(16).any(|at| at == salt));
    assert!(!holds(&old.data()), "a pruned entry is in no file of the stores");
    let archives = old.archives();
    assert_eq!(archives.len(), 1);
    assert!(holds(&archives[0]), "it is in the archive");

    let store = verified(&old.data(), &["--region", "eu", "--records"]);
    assert_eq!((&store["minimum_index"], &store["minimum_index_is_of_log"]), (&json!(512), &json!(true)), "{store}");
    assert_eq!((&store["record_faults"], &store["untold_records"]), (&json!(0), &json!(512 - 1)), "{store}");
    let archive = verified(&archives[0], &[]);
    assert_eq!(archive["minimum_index"], 0);
    let state = old.folder.path().join("state");
    let state = ["--state", state.to_str().unwrap(), "--region", "eu"];
    verified(&old.data(), &state);
    assert_eq!(verified(&old.data(), &state)["minimum_index_is_of_log"], true, "a state remembers the pruning");
    let index = |what: &str| {
        let data = old.data();
        run(&mut tokenvault(&["audit", "index", what, data.to_str().unwrap(), "--region", "eu"]), "").with(0)
    };
    index("check");
    index("rebuild");
    index("check");

    let (folder, said) = old.export("log");
    let (key, size) = (said["verifier_key"].as_str().unwrap().to_owned(), said["entries"].as_u64().unwrap());
    assert_eq!(said["minimum_index"], 512);
    assert_eq!(fs::read_to_string(folder.join("minimum_index")).unwrap(), "512\n");
    assert!(!folder.join("tile/entries/000").exists() && folder.join("tile/0/000").exists());
    for answers in judged(&folder, &key, &[Vec::new()]) {
        assert_eq!(answers, [format!("ok {size}")]);
    }
    for answers in judged(&archives[0], &key, &[Vec::new()]) {
        assert_eq!(answers, [format!("ok {}", archive["entries"])]);
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/audit/verify.py");
    let said = run(Command::new("python3").arg(python).arg(&folder).args(["--key", &key]), "").with(0);
    assert_eq!(said.out, format!("verified: {size} entries, 512 of them by their hashes\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_a_pruned_log_and_of_its_archive_are_found_by_three_verifiers_that_name_the_same_entry() {
    let (old, _) = pruned().await;
    let (folder, said) = old.export("log");
    let key = said["verifier_key"].as_str().unwrap().to_owned();
    let archive = old.archives().remove(0);
    for (folder, is_pruned) in [(&folder, true), (&archive, false)] {
        let names: Vec<_> = contents(folder)
            .into_iter()
            .map(|(path, bytes, _)| (path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), bytes))
            .filter(|(name, _)| name != "vkey")
            .collect();
        let mut damages: Vec<Vec<Change>> = Vec::new();
        for (name, bytes) in &names {
            damages.push(vec![(name.clone(), 0, None, Vec::new())]);
            damages.push(vec![(name.clone(), bytes.len() - 1, Some(1), Vec::new())]);
            for nth in 0..40 {
                let at = usize::try_from(scattered(nth) % bytes.len() as u64).unwrap();
                damages.push(vec![(name.clone(), at, Some(1), vec![bytes[at] ^ 1 << (nth % 8)])]);
            }
        }
        // It begins elsewhere than it says, or says nothing that counts.
        for stated in ["0\n", "256\n", "255\n", "-256\n", "0512\n", "512", "512\n\n", "65536\n", "x\n"] {
            let length = if is_pruned { 4 } else { 0 };
            damages.push(vec![("minimum_index".to_owned(), 0, Some(length), stated.as_bytes().to_vec())]);
        }
        let [ours, python, go] = judged(folder, &key, &damages);
        for (at, changes) in damages.iter().enumerate() {
            let index = |answer: &str| answer.split(' ').take(2).collect::<Vec<_>>().join(" ");
            let said = [&ours[at], &python[at], &go[at]].map(|answer| index(answer));
            let what = || format!("{:?}: {:?}", changes[0], [&ours[at], &python[at], &go[at]]);
            // A log that is whole may state that it begins where it does, or later.
            let is_stated = changes[0].0 == "minimum_index" && !is_pruned && changes[0].3.ends_with(b"\n");
            if !(is_stated && said[0].starts_with("ok")) {
                assert!(said[0].starts_with("bad "), "{}", what());
            }
            assert!(said.iter().all(|answer| *answer == said[0]), "{}", what());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_somebody_removed_are_told_from_those_that_were_pruned() {
    let (old, _) = pruned().await;
    let data = old.data();
    let keep = old.folder.path().join("kept");
    copy(&data, &keep);
    let check = |removed: std::ops::Range<u64>, first: u64, text: &str| {
        fs::remove_dir_all(&data).unwrap();
        copy(&keep, &data);
        stored_log::remove(&data.join("eu"), VAULT, "eu", removed);
        let said = refused(verify(&data, &["--region", "eu"]));
        assert_eq!(said["first_bad_entry"], first, "{said}");
        assert!(said["problem"].as_str().unwrap().contains(text), "{said}");
    };
    check(512..513, 512, "missing");
    check(540..541, 540, "missing");
    check(512..600, 512, "missing");
    // A log that nobody pruned and whose first bundle is gone.
    let whole = Old::with(600).await;
    stored_log::remove(&whole.data().join("eu"), VAULT, "eu", 0..256);
    let said = refused(verify(&whole.data(), &["--region", "eu"]));
    assert_eq!((&said["first_bad_entry"], &said["last_bad_entry"]), (&json!(0), &json!(255)), "{said}");
    assert!(said["problem"].as_str().unwrap().contains("no entry of a pruning"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_begin_behind_what_went_and_receipts_of_what_went_are_proved_by_their_hashes() {
    let (old, gone) = pruned().await;
    let decoded = Entry::decode(&gone).unwrap();
    let hash = leaf_hash(&gone).0.map(|byte| format!("{byte:02x}")).concat();
    let served = old.serve();
    let checkpoint = ["audit", "checkpoint", "--region", "eu", "--output", "json"];
    let checkpoint = run(&mut old.command(&served, &checkpoint), "").with(0);
    let checkpoint: Value = serde_json::from_str(&checkpoint.out).unwrap();
    assert_eq!(checkpoint["minimum_index"], 512);
    let key = VerifierKey::parse(checkpoint["verifier_key"].as_str().unwrap()).unwrap();
    let receipts = json!({"origin": key.origin().as_str(), "index": 5, "leaf_hash": hash}).to_string();
    let folder = old.folder.path().join("proofs");
    let words = ["audit", "prove", "-", "--with-entries", "--purpose", "audit", "--output", "jsonl", "--out"];
    let words = [&words[..], &[folder.to_str().unwrap()]].concat();
    let proved = run(&mut old.command(&served, &words), &receipts).with(0).lines().remove(0);
    let proof = LogProof::parse(&fs::read_to_string(proved["file"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!((proof.index.0, &proof.entry), (5, &None), "there are no bytes of it any more");
    // Who has the archive, or kept the entry, has its bytes.
    LogProof { entry: Some(gone.clone()), ..proof }.verify(None, &key).unwrap();
    let forged = receipts.replace(&hash, &"ab".repeat(32));
    run(&mut old.command(&served, &["audit", "prove", "-"]), &forged).with(4);

    let out = old.folder.path().join("report");
    let (since, out) = ((decoded.log_time.0 - 1000).to_string(), out.to_str().unwrap());
    let words = ["audit", "report", "pci", "--region", "eu", "--purpose", "audit", "--from", &since, "--out", out];
    let said = run(&mut old.command(&served, &words), "").with(0);
    assert!(said.err.contains("entries below 512 were pruned"), "{said:?}");
    let report: Value = serde_json::from_slice(&fs::read(Path::new(out).join("report.json")).unwrap()).unwrap();
    assert_eq!(report["logs"][0]["first_index"], 512, "{}", report["logs"]);
    let entries = report["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["index"].as_u64().unwrap() >= 512) && entries.len() > 80);
    run(&mut tokenvault(&["audit", "verify-report", out, "--verifier-key", &key.to_string()]), "").with(0);
    served.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruning_that_is_killed_at_any_moment_leaves_the_log_before_or_after_it() {
    let old = Old::with(600).await;
    let places = ["data", "checkpoints", "archive"].map(|name| old.vault.directory().join(name));
    let keep = old.folder.path().join("kept");
    copy(&places[0], &keep.join("data"));
    copy(&places[1], &keep.join("checkpoints"));
    let (mut before, mut after) = (0, 0);
    for round in 0..6_u64 {
        for place in &places {
            // The archive is not there yet.
            let _absent = fs::remove_dir_all(place);
        }
        copy(&keep.join("data"), &places[0]);
        copy(&keep.join("checkpoints"), &places[1]);
        let served = old.serve();
        // Two years lie between the newest checkpoint and the start's entry: a new one is to cover that.
        std::thread::sleep(Duration::from_millis(1500));
        let mut pruning = old.prune(&served, &[]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From before the call has come to after it was answered.
        std::thread::sleep(Duration::from_millis(round * 40));
        drop(served);
        let _answered = pruning.wait().unwrap();
        let store = verified(&places[0], &["--region", "eu"]);
        match store["minimum_index"].as_u64().unwrap() {
            0 => before += 1,
            512 => after += 1,
            other => panic!("{other}"),
        }
        let whole: Vec<_> = old.archives().into_iter().filter(|path| path.extension().is_none()).collect();
        assert!(store["minimum_index"] == 0 || whole.len() == 1, "nothing went before its archive was whole");
        for archive in whole {
            verified(&archive, &[]);
        }
        // It goes on from either.
        let served = old.serve();
        let said = run(&mut old.prune(&served, &[]), "").with(0).lines().remove(0);
        assert_eq!(said["minimum_index"], 512, "{said}");
        served.stop();
        verified(&places[0], &["--records"]);
    }
    println!("result: killed before the commit {before} times, after it {after} times");
    assert!(before > 0, "a kill that always comes too late shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_entry_that_holds_back_those_behind_it() {
    let old = Old::with(300).await;
    // Two years are 730 days; the first entry is that of the start.
    old.vault.edit("vault.toml", "[retention]", "[retention]\nkind_days = [\"tokenize=800\"]");
    let served = old.serve();
    let planned = run(&mut old.prune(&served, &["--dry-run"]), "").with(0).lines().remove(0);
    assert_eq!((&planned["minimum_index"], &planned["entries"]), (&json!(0), &json!(0)), "{planned}");
    assert_eq!((&planned["held_by"], &planned["held_index"]), (&json!("tokenize"), &json!(1)), "{planned}");
    served.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn config_check_refuses_less_than_twelve_months_for_card_numbers() {
    let old = Old::with(1).await;
    old.vault.edit("vault.toml", "[retention]", "[retention]\ndays = 90");
    let config = old.vault.directory().join("vault.toml");
    let said = run(&mut tokenvault(&["config", "check", "--config", config.to_str().unwrap()]), "");
    assert_ne!(said.code, Some(0));
    assert!(format!("{}{}", said.out, said.err).contains("12 months"), "{said:?}");
}
