//! `--level`: how much of values is asked for, and what came of it.

use std::fs;

use serde_json::{Value, json};

use crate::shell::{DevVault, run, tokenvault, write};

const CARD: &str = "4111111111111111";
/// For whom and why the support desk reveals.
const SUPPORT: &str = "--audience support --region eu --purpose support_case";

/// Tokens for the support desk.
fn tokens(vault: &DevVault, class: &str, values: &str) -> Vec<String> {
    let line = format!("tokenize --class {class} --audience support --region eu --purpose bulk_load");
    let given = vault.run("loader", &line, values).with(0).lines();
    given.iter().map(|line| line["token"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_command_asks_for_a_level_and_says_which_one_came() {
    let vault = DevVault::start();
    let token = tokens(&vault, "card_number", CARD).remove(0);
    let reveal =
        |level: &str| vault.run("support", &format!("detokenize --class card_number {SUPPORT} {level}"), &token);
    for level in ["--level masked", "--level best"] {
        let masked = reveal(level).with(0);
        assert_eq!(masked.lines(), [json!({"value": "************1111", "level": "masked"})]);
        let table = reveal(&format!("{level} --output table")).with(0).out;
        assert!(table.contains("************1111") && table.contains("masked") && !table.contains(CARD), "{table}");
    }
    for level in ["", "--level full"] {
        let denied = reveal(level).with(3);
        assert_eq!(denied.lines()[0]["error"]["reason"], "LEVEL_NOT_PERMITTED");
        assert!(denied.lines()[0]["error"]["remedy"].as_str().unwrap().contains("masked"));
        assert!(!denied.out.contains("1111") && !denied.err.contains("1111"));
    }
    reveal("--level some").with(2);
    // What others may see in full is whole when the best is asked for.
    let mail = tokens(&vault, "email", "ada@example.com").remove(0);
    let best = vault.run("support", &format!("detokenize --class email {SUPPORT} --level best"), &mail).with(0);
    assert_eq!(best.lines(), [json!({"value": "ada@example.com", "level": "full"})]);

    let query = "audit query --region eu --purpose audit --action detokenize";
    let entries = vault.run("auditor", &format!("{query} --output jsonl"), "").with(0).lines();
    let shown: Vec<_> = entries.iter().map(|entry| (&entry["items"][0]["level"], &entry["summary"])).collect();
    let (denied, masked) = (json!("1 card_number LEVEL_NOT_PERMITTED"), json!("1 card_number masked"));
    let mut expected = vec![(json!("full"), json!("1 email"))];
    expected.extend([(); 2].map(|()| (json!(""), denied.clone())));
    expected.extend([(); 4].map(|()| (json!("masked"), masked.clone())));
    assert_eq!(shown, expected.iter().map(|(level, summary)| (level, summary)).collect::<Vec<_>>());
    let table = vault.run("auditor", &format!("{query} --output table"), "").with(0).out;
    assert!(table.contains("1 card_number masked"), "{table}");
}

#[test]
fn a_file_is_revealed_as_far_as_is_permitted() {
    let vault = DevVault::start();
    let card = tokens(&vault, "card_number", CARD).remove(0);
    let mail = tokens(&vault, "email", "ada@example.com").remove(0);
    let source = write(&vault.path("in.csv"), &format!("id,card,mail\n1,{card},{mail}\n"));
    let bulk = |out: &str, level: &str| {
        let (target, rejects) = (vault.path(out), vault.path(&format!("rejects-{out}")));
        let columns = "--column card=card_number --column mail=email";
        let line = format!("bulk detokenize --in {source} --out {target} --rejects {rejects} {columns} {SUPPORT}");
        (target, vault.run("support", &format!("{line} {level} --output jsonl"), ""))
    };
    let text = |path: &str| fs::read_to_string(path).unwrap();
    let (out, best) = bulk("best.csv", "--level best");
    let summary = best.with(0).lines().remove(0);
    assert_eq!(text(&out), "id,card,mail\n1,************1111,ada@example.com\n");
    let masked: Vec<_> = summary["columns"].as_array().unwrap().iter().map(|column| &column["masked"]).collect();
    assert_eq!(masked, [&json!(1), &json!(0)]);
    let (out, masked) = bulk("masked.csv", "--level masked");
    assert_eq!(masked.with(0).lines()[0]["values"], 2);
    assert_eq!(text(&out), "id,card,mail\n1,************1111,a***@example.com\n");
    let (out, full) = bulk("full.csv", "");
    assert!(full.with(3).err.contains("column card"));
    assert!(fs::read_to_string(out).is_err(), "nothing was written");
}

#[test]
fn config_check_warns_of_masks_that_show_more_of_a_card_than_pci_does() {
    let mut vault = DevVault::start();
    assert_eq!(vault.stop(), Some(0));
    let (config, catalog) = (vault.place().join("vault.toml"), vault.place().join("catalog.toml"));
    let findings = || {
        let mut command = tokenvault(&["config", "check", "--output", "jsonl", "--config"]);
        run(command.arg(&config), "").lines()
    };
    let about_masks = |finding: &&Value| finding["finding"].as_str().unwrap().contains("mask");
    assert!(findings().iter().all(|finding| !about_masks(&finding)));
    let text = fs::read_to_string(&catalog).unwrap();
    let beyond = "mask = \"pattern\"\nmask_pattern = { keep_first = 8, keep_last = 4 }\n";
    fs::write(&catalog, text.replacen("mask = \"last4\"\n", beyond, 1)).unwrap();
    let refused = findings().into_iter().find(|finding| finding["severity"] == "error").unwrap();
    assert!(refused["finding"].as_str().unwrap().contains("PCI DSS 3.4.1"), "{refused}");
    fs::write(&catalog, text.replacen("mask = \"last4\"\n", &format!("{beyond}mask_beyond_pci = true\n"), 1)).unwrap();
    let found = findings();
    let warned: Vec<_> = found.iter().filter(about_masks).collect();
    assert_eq!(warned.len(), 1, "{found:?}");
    assert_eq!((&warned[0]["severity"], &warned[0]["about"]), (&json!("warning"), &json!("catalog")));
    assert!(warned[0]["finding"].as_str().unwrap().contains("card_number"));
}
