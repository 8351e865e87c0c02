//! `bulk`: whole files there and back.

use std::fs;

use crate::shell::{DevVault, LOAD, SETTLE, write};

const COLUMNS: &str = "--column card=card_number --column email=email";
const INPUT: &str = "\
id,card,email,note
1,4111111111111111,ada@example.com,\"likes, commas\"
2,5555555555554444,bob@example.com,\"and \"\"quotes\"\"\"
3,4111111111111112,eve@example.com,a digit is wrong
4,378282246310005,no address,an address is wrong
5,6011111111111117,dan@example.com,\"two
lines\"
";

#[test]
fn a_file_goes_there_and_back_and_every_row_is_written_or_rejected() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), INPUT);
    let [tokens, rejects, back] = ["tokens.csv", "rejects.csv", "back.csv"].map(|name| vault.path(name));
    let line = format!("bulk tokenize --in {source} --out {tokens} --rejects {rejects} {COLUMNS} {LOAD}");
    let summary = vault.run("loader", &format!("{line} --output jsonl"), "").with(1).lines().remove(0);
    let counts = ["rows_in", "rows_out", "rows_rejected", "values"].map(|name| summary[name].as_u64());
    assert_eq!(counts, [5, 3, 2, 6].map(Some));
    let rejected = fs::read_to_string(&rejects).unwrap();
    assert!(rejected.contains("luhn") && rejected.lines().count() == 3, "{rejected}");
    let secrets = ["4111111111111112", "eve@example.com", "no address", "ada@example.com"];
    assert!(secrets.iter().all(|secret| !rejected.contains(secret)), "{rejected}");
    let written = fs::read_to_string(&tokens).unwrap();
    assert!(written.contains("\"likes, commas\"") && written.contains("\"two\nlines\""), "{written}");
    assert!(!written.contains("ada@example.com") && !written.contains("4111111111111111"));

    let nothing = vault.path("nothing.csv");
    let line = format!("bulk detokenize --in {tokens} --out {back} --rejects {nothing} {COLUMNS} {SETTLE}");
    vault.run("payments", &line, "").with(0);
    let kept: String = INPUT.split_inclusive('\n').filter(|line| !line.starts_with(['3', '4'])).collect();
    assert_eq!(fs::read_to_string(&back).unwrap(), kept);
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_written() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), INPUT);
    let [out, rejects] = ["out.csv", "rejects.csv"].map(|name| vault.path(name));
    let there = write(&vault.path("there.csv"), "precious");
    let line = |source: &str, out: &str, columns: &str| {
        format!("bulk tokenize --in {source} --out {out} --rejects {rejects} {columns} {LOAD}")
    };
    let rows = [
        (line(&source, &out, "--column iban=card_number"), "iban"),
        (line(&source, &there, COLUMNS), "--overwrite"),
        (line(&source, &source, COLUMNS), "are the same file"),
        (line(&source, &rejects, COLUMNS), "are the same file"),
        (line(&source, &source, COLUMNS) + " --overwrite", "are the same file"),
        (line(&source, "/dev/full", COLUMNS) + " --overwrite", "no regular file"),
        (line(&source, "-", COLUMNS), "--out"),
        (line(&vault.path("missing.csv"), &out, COLUMNS), "missing.csv"),
    ];
    for (line, said) in rows {
        let ended = vault.run("loader", &line, "");
        assert!(ended.code == Some(1) || ended.code == Some(2), "{line}: {ended:?}");
        assert!(ended.err.contains(said), "{line}: {}", ended.err);
        assert!(!fs::exists(&out).unwrap() && !fs::exists(&rejects).unwrap(), "{line}");
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), "precious");
    let line = line(&source, &out, COLUMNS);
    let denied = vault.run("globex-payments", &line, "");
    assert_ne!(denied.code, Some(0), "{denied:?}");
}

#[test]
fn a_summary_comes_in_each_form() {
    let vault = DevVault::start();
    let source = write(&vault.path("in.csv"), "email\nada@example.com\n");
    for form in ["json", "jsonl", "table"] {
        let [out, rejects] = [format!("{form}.csv"), format!("{form}-rejects.csv")].map(|name| vault.path(&name));
        let line = format!("bulk tokenize --in {source} --out {out} --rejects {rejects} --column email=email {LOAD}");
        let ended = vault.run("loader", &format!("{line} --output {form}"), "").with(0);
        assert!(ended.out.contains("rows_out"), "{}", ended.out);
    }
}
