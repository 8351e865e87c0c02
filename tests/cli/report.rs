//! `audit report` and `audit verify-report`: the numbers of every report against what was done, and the offline check
//! against whatever somebody changes in one.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use vault_domain::{Clock, SystemClock};

use crate::shell::{DevVault, Ended, SETTLE, run, tokenvault, write};

const VALUES: [&str; 2] = ["ada@example.com", "bob@example.com"];
const EMAIL: &str = "detokenize --class email";
const PAYMENTS: &str = "spiffe://dev.tokenvault.internal/payments";

/// A vault on which a known number of things was done.
struct Busy {
    vault: DevVault,
    tokens: Vec<String>,
}

impl Busy {
    /// In the log of eu: a start, a Tokenize of two addresses, three reveals by payments (of the first address, of the
    /// first once more, of both), an attempt by support that is denied, and one of another tenant.
    fn start() -> Self {
        let vault = DevVault::start();
        let tokens = vault.tokens("email", &VALUES);
        let both = tokens.join("\n");
        let [first, _] = tokens.as_slice() else { panic!("two tokens") };
        vault.run("payments", &format!("{EMAIL} {SETTLE}"), first).with(0);
        vault.run("payments", &format!("{EMAIL} {SETTLE} --reference CASE-7"), first).with(0);
        vault.run("payments", &format!("{EMAIL} {SETTLE}"), &both).with(0);
        let other = "--audience payments --region eu --purpose support_case";
        vault.run("support", &format!("{EMAIL} {other}"), first).with(3);
        vault.run("globex-payments", &format!("{EMAIL} {SETTLE}"), first).with(1);
        Self { vault, tokens }
    }

    /// Makes a report as the auditor, into a folder of this name, and sees to it that it tells no token and no value.
    fn report(&self, folder: &str, line: &str, input: &str) -> Value {
        self.report_ending(folder, line, input, 0)
    }

    /// The same, of a command that ends with this code.
    fn report_ending(&self, folder: &str, line: &str, input: &str, code: i32) -> Value {
        let ended = self.ask(folder, line, input).with(code);
        let report: Value = serde_json::from_str(&self.text(folder, "report.json")).unwrap();
        let mut head = report.clone();
        head.as_object_mut().unwrap().remove("entries");
        assert_eq!(ended.lines(), [head]);
        let page = self.text(folder, "report.md");
        for text in [&ended.out, &ended.err, &page, &report.to_string()] {
            for secret in self.tokens.iter().map(String::as_str).chain(VALUES) {
                assert!(!text.contains(secret), "{folder} tells a token or a value");
            }
        }
        report
    }

    fn ask(&self, folder: &str, line: &str, input: &str) -> Ended {
        let out = self.vault.path(folder);
        self.vault.run("auditor", &format!("audit report {line} --purpose audit --out {out}"), input)
    }

    /// The verifier key of a region's log.
    fn key(&self, region: &str) -> String {
        let line = format!("audit checkpoint --region {region}");
        let checkpoint = self.vault.run("auditor", &line, "").with(0).lines().remove(0);
        checkpoint.get("verifier_key").and_then(Value::as_str).unwrap().to_owned()
    }

    fn config(&self) -> String {
        self.vault.place().join("vault.toml").to_str().unwrap().to_owned()
    }

    fn file(&self, folder: &str, name: &str) -> PathBuf {
        PathBuf::from(self.vault.path(folder)).join(name)
    }

    fn text(&self, folder: &str, name: &str) -> String {
        fs::read_to_string(self.file(folder, name)).unwrap()
    }

    /// Verifies offline, by these keys.
    fn verify(&self, folder: &str, keys: &[&str]) -> Ended {
        let folder = self.vault.path(folder);
        let keys = keys.iter().flat_map(|key| ["--verifier-key", key]);
        let words: Vec<&str> = ["audit", "verify-report", &folder].into_iter().chain(keys).collect();
        run(&mut tokenvault(&words), "")
    }
}

/// The part of a list that has this value under this name.
fn of<'v>(list: &'v Value, name: &str, value: &str) -> &'v Value {
    list.as_array().unwrap().iter().find(|item| item[name] == value).unwrap()
}

#[test]
fn a_pci_report_counts_what_was_done_clause_by_clause() {
    let busy = Busy::start();
    let report = busy.report("pci", "pci --region eu --all-proofs", "");
    let counted = |clause: &str| of(&report["summary"]["clauses"], "clause", clause);
    // Reading for the report is an entry too: the tail is, and it is in its own range.
    let expected = [
        ("10.2.1.1", json!({"tokenize allowed": 1, "detokenize allowed": 3})),
        ("10.2.1.2", json!({})),
        ("10.2.1.3", json!({"query_access_log allowed": 1})),
        ("10.2.1.4", json!({"detokenize denied": 1})),
        ("10.2.1.5", json!({})),
        ("10.2.1.6", json!({"start allowed": 1})),
        ("10.2.1.7", json!({})),
    ];
    for (clause, by_action) in expected {
        assert_eq!(counted(clause)["by_action"], by_action, "{clause}");
        let entries: u64 = by_action.as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(counted(clause)["entries"], entries, "{clause}");
        assert_eq!(counted(clause)["examples"].as_array().unwrap().len() as u64, entries, "{clause}");
    }
    assert_eq!(counted("10.2.1.7")["evidence"], "this vault has no kind of entry for it");
    assert!(counted("10.2.1.7")["elsewhere"].as_str().unwrap().contains("operating system"));
    let said = |element: &str| of(&report["summary"]["said_of_each_entry"], "element", element);
    for element in ["type of event", "date and time", "success and failure indication"] {
        assert_eq!((&said(element)["said_by"], &said(element)["lacking_in"]), (&json!(7), &json!({})), "{element}");
    }
    // A start has nobody who asked for it: what is lacking is told.
    for element in ["user identification", "origination of event"] {
        assert_eq!(said(element)["lacking_in"], json!({"start allowed": 1}), "{element}");
    }
    let log = &report["logs"][0];
    let entries = |name: &str| log[name].as_u64().unwrap();
    assert_eq!((entries("entries_shown"), entries("entries_of_nobody"), entries("entries_not_shown")), (6, 1, 1));
    assert_eq!((entries("first_index"), entries("end_index")), (0, 8));
    let verified = busy.verify("pci", &[&busy.key("eu")]).with(0).lines().remove(0);
    assert_eq!((&verified["verified"], &verified["entries_proved"]), (&json!(true), &json!(7)));
    assert_eq!(verified["numbers_rest_on_proofs_alone"], true);

    // Examples alone, of one class: the counts stay, and the check says what they rest on.
    let report = busy.report("few", "pci --region eu --examples 1 --class card_number", "");
    assert_eq!(of(&report["summary"]["clauses"], "clause", "10.2.1.1")["entries"], 0);
    assert!(report["entries_proved"].as_u64().unwrap() < report["entries_counted"].as_u64().unwrap());
    let verified = busy.verify("few", &[&busy.key("eu")]).with(0).lines().remove(0);
    assert_eq!(verified["numbers_rest_on_proofs_alone"], false);
}

#[test]
fn a_report_holds_to_the_time_that_it_is_asked_about() {
    let Busy { vault, tokens } = Busy::start();
    // A start that is the last of its time, and of nobody: it belongs there all the same.
    let busy = Busy { vault: vault.again(), tokens };
    // Log time is in milliseconds, and what comes next must lie behind this one.
    let middle = SystemClock::new().wall().0 + 1;
    while SystemClock::new().wall().0 <= middle {
        std::thread::yield_now();
    }
    busy.vault.run("payments", &format!("{EMAIL} {SETTLE}"), &busy.tokens[1]).with(0);
    let access = |folder: &str, bounds: &str| {
        let report = busy.report(folder, &format!("pci --region eu {bounds}"), "");
        busy.verify(folder, &[&busy.key("eu")]).with(0);
        ["10.2.1.1", "10.2.1.6"]
            .map(|clause| of(&report["summary"]["clauses"], "clause", clause)["entries"].as_u64().unwrap())
    };
    assert_eq!(access("before", &format!("--until {middle}")), [4, 2]);
    assert_eq!(access("after", &format!("--from {middle}")), [1, 0]);
    assert_eq!(access("never", "--until 2020-01-01"), [0, 0]);
    assert_eq!(access("all", ""), [5, 2]);
}

#[test]
fn a_subject_report_tells_every_reveal_of_each_token_and_no_token() {
    let busy = Busy::start();
    let file = write(&busy.vault.path("tokens"), &busy.tokens.join("\n"));
    let report = busy.report("subject", &format!("subject --region eu --class email --tokens {file}"), "");
    let [first, second] = report["summary"]["tokens"].as_array().unwrap().as_slice() else { panic!("two tokens") };
    let reveals = |token: &Value| token["reveals"].as_array().unwrap().clone();
    assert_eq!((reveals(first).len(), reveals(second).len()), (3, 1));
    assert_eq!((&first["refused"], &second["refused"]), (&json!(1), &json!(0)));
    assert_eq!(first["other_entries"], json!({"tokenize": 1}));
    for reveal in reveals(first) {
        assert_eq!((&reveal["principal"], &reveal["purpose"]), (&json!(PAYMENTS), &json!("settlement")));
        assert_eq!((&reveal["level"], &reveal["certain"]), (&json!(["full"]), &json!(true)));
    }
    let references: Vec<_> = reveals(first).iter().map(|reveal| reveal["reference"].clone()).collect();
    assert_eq!(references, ["", "CASE-7", ""]);
    assert_eq!(report["summary"]["seen_by"], json!([{"principal": PAYMENTS, "tokens": [1, 2]}]));
    assert_eq!(report["entries_counted"], report["entries_proved"]);
    busy.verify("subject", &[&busy.key("eu")]).with(0);
    // By standard input the same; a token that nobody made was seen by nobody.
    let report = busy.report("one", "subject --region eu --class email --tokens -", &busy.tokens[1]);
    assert_eq!(report["summary"]["tokens"][0]["reveals"].as_array().unwrap().len(), 1);
    let report = busy.report("none", "subject --region eu --class email --tokens -", "tok_eu_nobody");
    assert_eq!(report["entries_counted"], 0);
    busy.verify("none", &[&busy.key("eu")]).with(0);
    let refused = busy.ask("bad", "subject --region eu --class email --tokens -", &format!("{}\n\n", busy.tokens[0]));
    assert!(refused.err.contains("no empty line") && !refused.err.contains(&busy.tokens[0]), "{}", refused.err);
    assert_eq!(refused.code, Some(2));
}

#[test]
fn a_class_report_says_who_can_and_who_did_and_where_these_differ() {
    let busy = Busy::start();
    let config = busy.config();
    let report = busy.report("class", &format!("class email --config {config}"), "");
    let summary = &report["summary"];
    let support = "spiffe://dev.tokenvault.internal/support";
    assert_eq!(summary["can_and_did"], json!([PAYMENTS]));
    assert_eq!(summary["can_but_did_not"], json!([support]));
    assert_eq!(summary["did_but_can_not"], json!([]));
    let did = &summary["did"][0];
    assert_eq!((&did["principal"], &did["region"], &did["level"]), (&json!(PAYMENTS), &json!("eu"), &json!("full")));
    assert_eq!((&did["reveals"], &did["items"]), (&json!(3), &json!(4)));
    assert_eq!(did["permitted_by_these_rules"], true);
    assert_eq!(summary["entries_decided_by_other_rules"], 0);
    // Accounts of another tenant are that tenant's business.
    assert!(!summary["can"].to_string().contains("globex"));
    busy.verify("class", &[&busy.key("eu"), &busy.key("us")]).with(0);
    let folder = busy.vault.path("class");
    let by_rules = || run(&mut tokenvault(&["audit", "verify-report", &folder, "--config", &config]), "");
    assert_eq!(by_rules().with(0).lines()[0]["rules_compared"], true);

    // By rules without that grant, the same reveals were by somebody who can't.
    let catalog = busy.vault.place().join("catalog.toml");
    let rules = fs::read_to_string(&catalog).unwrap();
    let grant = r#"classes = ["card_number", "customer_id", "email"],"#;
    let less = rules.replacen(grant, r#"classes = ["card_number", "customer_id"],"#, 1);
    assert_ne!(less, rules);
    fs::write(&catalog, less).unwrap();
    assert!(by_rules().with(4).out.contains("another catalog"));
    let report = busy.report("less", &format!("class email --config {config} --region eu"), "");
    assert_eq!(report["summary"]["did_but_can_not"], json!([PAYMENTS]));
    assert_eq!(report["summary"]["did"][0]["permitted_by_these_rules"], false);
    assert_eq!(report["summary"]["entries_decided_by_other_rules"], 3);
    busy.verify("less", &[&busy.key("eu")]).with(0);
    assert!(busy.ask("no", &format!("class passport --config {config}"), "").with(2).err.contains("no data class"));
}

#[test]
fn grants_that_nobody_used_are_told_with_the_parts_that_are_left() {
    let busy = Busy::start();
    let report = busy.report("grants", &format!("unused-grants --config {}", busy.config()), "");
    let unused: Vec<_> = report["summary"]["unused"].as_array().unwrap().iter().map(Value::to_string).collect();
    let name = |account: &str, place: u64| {
        json!({"principal": format!("spiffe://dev.tokenvault.internal/{account}"), "grant": place}).to_string()
    };
    let mut expected =
        [name("analytics", 1), name("payments", 2), name("steward", 1), name("support", 1), name("support", 2)];
    expected.sort();
    let mut sorted = unused.clone();
    sorted.sort();
    assert_eq!(sorted, expected);
    let grants = report["summary"]["grants"].as_array().unwrap();
    let state = |account: &str, place: u64| {
        let told = grants.iter().find(|grant| {
            grant["principal"].as_str().unwrap().ends_with(&format!("/{account}")) && grant["grant"] == place
        });
        told.unwrap().clone()
    };
    let payments = state("payments", 1);
    assert_eq!((&payments["state"], &payments["entries"]), (&json!("used in part"), &json!(3)));
    let left = payments["unused_parts"].as_array().unwrap();
    assert!(left.contains(&json!("describe email for payments")), "{payments}");
    assert!(!left.contains(&json!("detokenize email for payments")), "{payments}");
    assert_eq!(state("loader", 1)["state"], "used in part");
    assert_eq!(state("auditor", 1)["state"], "used");
    assert_eq!(state("auditor", 2)["state"], "no region's log tells");
    busy.verify("grants", &[&busy.key("eu"), &busy.key("us")]).with(0);
}

#[test]
fn reveals_outside_of_the_tenants_region_are_found() {
    let busy = Busy::start();
    let line = format!("residency --tenant-region eu --config {}", busy.config());
    let report = busy.report("inside", &line, "");
    assert_eq!(
        (&report["summary"]["revealed_outside"], &report["summary"]["holds_in_what_was_read"]),
        (&json!(0), &json!(true))
    );
    let inside = of(&report["summary"]["logs"], "region", "eu");
    assert_eq!((&inside["reveals"], &inside["items_revealed"]), (&json!(3), &json!(4)));
    assert_eq!(inside["attempts_without_a_reveal"], 1);
    let keys = [busy.key("eu"), busy.key("us")];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    busy.verify("inside", &keys).with(0);
    // Both logs' keys are needed where one is given.
    assert!(busy.verify("inside", &keys[..1]).with(4).out.contains("no key was given"));

    let load = "--audience payments --region us --purpose bulk_load";
    let given = busy.vault.run("loader", &format!("tokenize --class email {load}"), "eve@example.com").with(0).lines();
    let settle = "--audience payments --region us --purpose settlement";
    busy.vault.run("payments", &format!("{EMAIL} {settle}"), given[0]["token"].as_str().unwrap()).with(0);
    let report = busy.report_ending("outside", &line, "", 7);
    assert_eq!(
        (&report["summary"]["revealed_outside"], &report["summary"]["holds_in_what_was_read"]),
        (&json!(1), &json!(false))
    );
    let place = report["summary"]["outside"][0].as_str().unwrap().replace('/', "-");
    assert!(busy.file("outside", &format!("proofs/{place}.tlog-proof")).exists());
    busy.verify("outside", &keys).with(0);
}

/// A report that somebody changes, one thing at a time, each in a copy of its own.
struct Changed {
    busy: Busy,
    report: Value,
    key: String,
    copies: std::cell::Cell<u32>,
}

impl Changed {
    fn start() -> Self {
        let busy = Busy::start();
        let (report, key) = (busy.report("good", "pci --region eu --all-proofs", ""), busy.key("eu"));
        Self { busy, report, key, copies: std::cell::Cell::default() }
    }

    /// Where the first entry of this kind stands in the report.
    fn at(&self, action: &str, decision: &str) -> usize {
        let says = |row: &Value, name: &str, what: &str| {
            row.pointer(&format!("/entry/{name}")).and_then(Value::as_str) == Some(what)
        };
        let rows = self.report.get("entries").and_then(Value::as_array).unwrap();
        rows.iter().position(|row| says(row, "action", action) && says(row, "decision", decision)).unwrap()
    }

    fn proof(&self, row: usize) -> String {
        format!("proofs/{}", self.report.pointer(&format!("/entries/{row}/proof")).and_then(Value::as_str).unwrap())
    }

    #[track_caller]
    fn found(&self, change: &dyn Fn(&str), problem: &str) {
        self.copies.set(self.copies.get() + 1);
        let folder = format!("changed-{}", self.copies.get());
        let place = |name: &str| PathBuf::from(self.busy.vault.path(name));
        crate::audited::copy(&place("good"), &place(&folder));
        change(&folder);
        let refused = self.busy.verify(&folder, &[&self.key]).with(4);
        let line = refused.lines().remove(0);
        let told = line.get("problem").and_then(Value::as_str).unwrap();
        assert!(told.contains(problem), "{problem}: {told}");
    }

    fn rewrite(&self, folder: &str, change: &dyn Fn(&mut Value)) {
        let mut changed = self.report.clone();
        change(&mut changed);
        assert_ne!(changed, self.report);
        fs::write(self.busy.file(folder, "report.json"), format!("{changed:#}\n")).unwrap();
    }

    fn swap(&self, folder: &str, name: &str, from: &str, to: &str) {
        let text = self.busy.text(folder, name);
        assert!(text.contains(from), "{from}");
        fs::write(self.busy.file(folder, name), text.replacen(from, to, 1)).unwrap();
    }
}

#[test]
fn a_report_that_was_changed_does_not_verify() {
    let changed = Changed::start();
    let (busy, reveal, denied) =
        (&changed.busy, changed.at("detokenize", "allowed"), changed.at("detokenize", "denied"));
    // A number.
    changed.found(
        &|at| changed.rewrite(at, &|report| report["summary"]["clauses"][0]["entries"] = json!(3)),
        "clauses/0/entries",
    );
    changed.found(
        &|at| changed.rewrite(at, &|report| report["logs"][0]["entries_not_shown"] = json!(0)),
        "entries_not_shown",
    );
    // A row, its fields, its place; what the numbers don't depend on, too.
    let item = |report: &mut Value| report["entries"][reveal]["entry"]["items"][0]["count"] = json!(2);
    changed.found(&|at| changed.rewrite(at, &item), "no report of this version");
    let purpose = |report: &mut Value| report["entries"][reveal]["entry"]["purpose"] = json!("analysis");
    changed.found(&|at| changed.rewrite(at, &purpose), "says something else than its bytes");
    let decision = |report: &mut Value| report["entries"][denied]["entry"]["decision"] = json!("allowed");
    changed.found(&|at| changed.rewrite(at, &decision), "says something else than its bytes");
    let dropped = |report: &mut Value| drop(report["entries"].as_array_mut().unwrap().remove(reveal));
    changed.found(&|at| changed.rewrite(at, &dropped), "is nothing that the report names");
    changed.found(
        &|at| {
            changed.rewrite(at, &dropped);
            fs::remove_file(busy.file(at, &changed.proof(reveal))).unwrap();
        },
        "don't add up",
    );
    let order = |report: &mut Value| report["entries"].as_array_mut().unwrap().swap(reveal, denied);
    changed.found(&|at| changed.rewrite(at, &order), "out of order");
    let elsewhere = |report: &mut Value| report["entries"][reveal]["index"] = json!(7_000);
    changed.found(&|at| changed.rewrite(at, &elsewhere), "is missing");
    // Who it was is sealed in the bytes, but equal callers are equal: one of three that is renamed is found.
    changed.found(
        &|at| {
            let place = format!("eu/{}", changed.report["entries"][reveal]["index"]);
            let line = busy
                .text(at, "report.md")
                .lines()
                .find(|line| line.starts_with(&format!("| {place} |")))
                .unwrap()
                .to_owned();
            changed.swap(at, "report.md", &line, &line.replace("/payments", "/analytics"));
            let name = "spiffe://dev.tokenvault.internal/analytics";
            changed.rewrite(at, &|report| report["entries"][reveal]["entry"]["principal"] = json!(name));
        },
        "names another caller",
    );
}

#[test]
fn a_report_whose_proofs_page_or_checkpoint_were_changed_does_not_verify() {
    let changed = Changed::start();
    let (busy, reveal, denied) =
        (&changed.busy, changed.at("detokenize", "allowed"), changed.at("detokenize", "denied"));
    let other = busy.key("us");
    // Proofs: taken away with all that names them, gone, of another entry, with another bit, with the entry taken out.
    changed.found(
        &|at| {
            fs::remove_file(busy.file(at, &changed.proof(denied))).unwrap();
            changed.rewrite(at, &|report| report["entries"][denied]["proof"] = Value::Null);
        },
        "no entry of 10.2.1.4 has a proof",
    );
    changed.found(&|at| fs::remove_file(busy.file(at, &changed.proof(reveal))).unwrap(), "is missing");
    changed.found(
        &|at| assert!(fs::copy(busy.file(at, &changed.proof(denied)), busy.file(at, &changed.proof(reveal))).is_ok()),
        "another entry",
    );
    changed.found(&|at| changed.swap(at, &changed.proof(reveal), "extra AQ", "extra AR"), "does not hold");
    changed.found(
        &|at| {
            let extra = busy
                .text(at, &changed.proof(reveal))
                .lines()
                .find(|line| line.starts_with("extra "))
                .unwrap()
                .to_owned();
            changed.swap(at, &changed.proof(reveal), &format!("{extra}\n"), "");
        },
        "holds no entry",
    );
    // The page for people, the checkpoint, the key, a file too many.
    changed.found(&|at| changed.swap(at, "report.md", "denied", "allowed"), "report.md");
    let newest = busy.vault.run("auditor", "audit checkpoint --region eu --output table", "").with(0).out;
    changed.found(&|at| fs::write(busy.file(at, "eu.checkpoint"), &newest).unwrap(), "eu.checkpoint");
    changed.found(&|at| fs::write(busy.file(at, "eu.vkey"), &other).unwrap(), "eu.vkey");
    changed.found(&|at| fs::write(busy.file(at, "proofs/eu-0.txt"), "").unwrap(), "is nothing that the report names");
    changed.found(&|at| fs::write(busy.file(at, "report.json"), "{").unwrap(), "no JSON");
    busy.verify("good", &[&changed.key]).with(0);
}

#[test]
fn a_report_verifies_by_its_own_logs_key_and_by_no_other() {
    let Changed { busy, key, .. } = Changed::start();
    busy.verify("good", &[&key]).with(0);
    assert!(busy.verify("good", &[]).with(0).err.contains("agrees with itself"));
    assert!(busy.verify("good", &[&busy.key("us")]).with(4).out.contains("no key was given"));
    // The same name, another vault's key: neither made nor verified by it.
    let stranger = Busy { vault: DevVault::start(), tokens: Vec::new() }.key("eu");
    assert!(busy.verify("good", &[&stranger]).with(4).out.contains("signed by another key"));
    busy.ask("strange", &format!("pci --region eu --verifier-key {stranger}"), "").with(4);
    assert!(!busy.file("strange", "report.json").exists());
}

#[test]
fn what_can_not_be_reported_leaves_no_report() {
    let busy = Busy::start();
    let out = busy.vault.path("denied");
    let line = format!("audit report pci --region eu --purpose audit --out {out}");
    assert!(busy.vault.run("payments", &line, "").with(3).err.contains("ACCESS_DENIED"));
    assert!(!busy.file("denied", "report.json").exists());
    // What is there already stays as it is.
    busy.report("once", "pci --region eu", "");
    assert!(busy.ask("once", "pci --region eu", "").with(2).err.contains("is not empty"));
    busy.verify("once", &[&busy.key("eu")]).with(0);
    busy.ask("nowhere", "pci --region apac", "").with(1);
    // A key that is not the log's makes no report.
    let line = format!("pci --region eu --verifier-key {}", busy.key("eu").replace("/eu/", "/us/"));
    busy.ask("foreign", &line, "").with(2);
    assert!(busy.verify("nothing", &[]).with(1).out.is_empty());
}

/// What proofs of single entries can't show: a report from which an entry was taken with all that tells of it.
#[test]
fn an_entry_that_was_left_out_is_found_by_the_whole_log() {
    let mut busy = Busy::start();
    let report = busy.report("class", &format!("class email --config {} --region eu", busy.config()), "");
    let pci = busy.report("pci", "pci --region eu", "");
    let key = busy.key("eu");
    assert_eq!(busy.vault.stop(), Some(0));
    let (data, log) = (busy.vault.place().join("vault-data"), busy.vault.path("log"));
    let words = ["audit", "export-log", "--data", data.to_str().unwrap(), "--region", "eu", "--out", &log];
    run(&mut tokenvault(&words), "").with(0);
    let whole = |folder: &str| {
        let folder = busy.vault.path(folder);
        run(&mut tokenvault(&["audit", "verify-report", &folder, "--verifier-key", &key, "--log", &log]), "")
    };
    let held = whole("class").with(0).lines().remove(0);
    assert_eq!(held["nothing_left_out_of"], json!([report["logs"][0]["origin"]]));
    // What the other tenant tried showed it nothing.
    assert_eq!(held["alike_of_other_tenants"], 0);
    assert_eq!(whole("pci").with(0).lines()[0]["alike_of_other_tenants"], pci["logs"][0]["entries_not_shown"]);

    // The reveal of CASE-7 is taken away: the row, the proof, every number, and the page fits.
    let mut less = report.clone();
    let entries = less["entries"].as_array_mut().unwrap();
    let at = entries.iter().position(|row| row["entry"]["reference"] == "CASE-7").unwrap();
    let taken = entries.remove(at);
    (less["entries_counted"], less["entries_proved"]) = (json!(2), json!(2));
    (less["summary"]["did"][0]["reveals"], less["summary"]["did"][0]["items"]) = (json!(2), json!(3));
    let can = less["summary"]["can"].as_array_mut().unwrap();
    can.iter_mut().find(|can| can["reveals"] == 3).unwrap()["reveals"] = json!(2);
    fs::write(busy.file("class", "report.json"), format!("{less:#}\n")).unwrap();
    fs::remove_file(busy.file("class", &format!("proofs/{}", taken["proof"].as_str().unwrap()))).unwrap();
    let page = busy.text("class", "report.md");
    let lines = page.lines().filter(|line| !line.contains("CASE-7")).map(|line| match line {
        "**entries counted**: 3" | "**entries proved**: 3" => line.replace('3', "2"),
        line => {
            line.replace("| certificate | 3 |", "| certificate | 2 |").replace("| 3 | 4 | true |", "| 2 | 3 | true |")
        }
    });
    fs::write(busy.file("class", "report.md"), lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    // By itself it holds: that is said in each report. The log tells.
    busy.verify("class", &[&key]).with(0);
    let found = whole("class").with(4).lines().remove(0);
    let problem = format!("eu/{} is in the log and not in the report", taken["index"]);
    assert_eq!(found["problem"], problem);
}
