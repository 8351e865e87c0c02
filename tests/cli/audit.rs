//! Questions to the log, its checkpoints, proofs and tails.

use serde_json::Value;
use vault_ledger::{LogProof, VerifierKey};

use crate::shell::{DevVault, LOAD, SETTLE};

const QUERY: &str = "audit query --region eu --purpose audit";

#[test]
fn the_log_is_asked_by_every_filter_and_in_each_form() {
    let vault = DevVault::start();
    let token = vault.tokens("email", &["ada@example.com"]).remove(0);
    vault.run("payments", &format!("detokenize --class email {SETTLE}"), &token).with(0);
    vault.run("globex-payments", &format!("detokenize --class email {SETTLE}"), &token).with(1);
    let found = |filters: &str, input: &str| vault.run("auditor", &format!("{QUERY} {filters}"), input).with(0).lines();

    assert_eq!(found("--action tokenize", "").len(), 1);
    let reveal = found("--action detokenize --decision allowed --class email --since 1h", "").remove(0);
    assert_eq!(reveal["purpose"], "settlement");
    assert_eq!(reveal["summary"], "1 email");
    let principal = reveal["principal"].as_str().unwrap();
    assert_eq!(found(&format!("--principal {principal}"), ""), std::slice::from_ref(&reveal));
    // A token is asked for by standard input, and never stands in the log.
    let of_token = found("--class email --token -", &token);
    assert_eq!(of_token.len(), 2);
    assert!(!vault.run("auditor", &format!("{QUERY} --all"), "").with(0).out.contains(&token));
    // Another tenant's attempt is another tenant's entry.
    assert!(found("--action detokenize --decision denied", "").is_empty());
    assert!(found("--until 2020-01-01", "").is_empty());

    let array = vault.run("auditor", &format!("{QUERY} --action tokenize --output json"), "").with(0).out;
    assert_eq!(serde_json::from_str::<Vec<Value>>(&array).unwrap().len(), 1);
    let table = vault.run("auditor", &format!("{QUERY} --action tokenize --output table"), "").with(0).out;
    assert!(table.contains("decision") && table.contains("1 email"), "{table}");

    let denied = vault.run("payments", QUERY, "").with(3);
    assert!(denied.err.contains("ACCESS_DENIED"), "{}", denied.err);
}

#[test]
fn the_log_is_asked_by_what_entries_show_from_either_end_and_counted() {
    let vault = DevVault::start();
    let token = vault.tokens("email", &["ada@example.com"]).remove(0);
    for reference in ["CASE-1", "CASE-2"] {
        vault.run("payments", &format!("detokenize --class email {SETTLE} --reference {reference}"), &token).with(0);
    }
    vault.run("payments", &format!("detokenize --class email {SETTLE}"), "tok_eu_nothing").with(1);
    let found = |filters: &str| vault.run("auditor", &format!("{QUERY} {filters}"), "").with(0).lines();
    let case = found("--entry-reference CASE-1").remove(0);
    let request = case["request_id"].as_str().unwrap();
    let audience = case["audience"].as_str().unwrap();
    let one = format!("--request-id {request} --audience {audience} --entry-purpose settlement --source 127.0.0.0/8");
    assert_eq!(found(&one), std::slice::from_ref(&case));
    assert!(found("--entry-reference CASE-1 --source 192.0.2.7").is_empty());
    assert_eq!(found("--reason TOKEN_MALFORMED").len(), 1);
    let mut newest = found("--entry-purpose settlement");
    newest.reverse();
    assert_eq!(newest.len(), 3);
    assert_eq!(found("--entry-purpose settlement --oldest-first"), newest);
    for wrong in ["--source 192.0.2.1/24", "--reason BECAUSE", "--request-id 12", "--by shoe_size"] {
        vault.run("auditor", &format!("{QUERY} {wrong}"), "").with(2);
    }

    let count = |words: &str| {
        let ended = vault.run("auditor", &format!("audit count --region eu --purpose audit {words}"), "").with(0);
        let pair = |line: &Value| (line["what"].as_str().unwrap().to_owned(), line["entries"].as_u64().unwrap());
        ended.lines().iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(count("--entry-purpose settlement"), [("all".to_owned(), 3)]);
    assert_eq!(count("--by action --class email"), [("detokenize".to_owned(), 3), ("tokenize".to_owned(), 1)]);
    let principal = case["principal"].as_str().unwrap().to_owned();
    assert_eq!(count("--by principal --entry-purpose settlement --since 1h"), [(principal, 3)]);
    let hours = count("--by hour --entry-purpose settlement");
    assert!(hours.iter().all(|(hour, _)| hour.ends_with(":00:00.000Z")), "{hours:?}");
    vault.run("payments", "audit count --region eu --purpose audit", "").with(3);
}

#[test]
fn pages_go_on_where_they_ended() {
    let vault = DevVault::start();
    for n in 0..5 {
        vault.tokens("email", &[&format!("user{n}@example.com")]);
    }
    let page = vault.run("auditor", &format!("{QUERY} --action tokenize --page-size 2"), "").with(0);
    assert_eq!(page.lines().len(), 2);
    let (_, token) = page.err.trim().rsplit_once("--page-token ").unwrap();
    let next = vault.run("auditor", &format!("{QUERY} --action tokenize --page-size 2 --page-token {token}"), "");
    let next = next.with(0).lines();
    assert_eq!(next.len(), 2);
    assert!(page.lines().iter().all(|entry| !next.contains(entry)));
    let all = vault.run("auditor", &format!("{QUERY} --action tokenize --page-size 2 --all"), "").with(0);
    assert_eq!(all.lines().len(), 5);
}

#[test]
fn a_checkpoint_verifies_by_its_key_and_by_no_other() {
    let vault = DevVault::start();
    vault.tokens("email", &["ada@example.com"]);
    let own = vault.run("auditor", "audit checkpoint --region eu", "").with(0).lines().remove(0);
    let key = |checkpoint: &Value| checkpoint["verifier_key"].as_str().unwrap().to_owned();
    let line = format!("audit checkpoint --region eu --verifier-key {}", key(&own));
    vault.run("auditor", &line, "").with(0);
    let of_node = vault.run("auditor", "audit checkpoint --region node", "").with(0).lines().remove(0);
    let line = format!("audit checkpoint --region eu --verifier-key {}", key(&of_node));
    let refuted = vault.run("auditor", &line, "").with(4);
    assert!(refuted.out.is_empty(), "{}", refuted.out);
}

#[test]
fn receipts_become_proofs_and_what_is_no_receipt_of_the_log_is_refuted() {
    let vault = DevVault::start();
    let receipts = vault.path("receipts.jsonl");
    for value in ["ada@example.com", "bob@example.com"] {
        vault.run("loader", &format!("tokenize --class email {LOAD} --receipts {receipts}"), value).with(0);
    }
    let folder = vault.path("proofs");
    let line = format!("audit prove {receipts} --out {folder} --with-entries --purpose audit");
    let proved = vault.run("auditor", &line, "").with(0).lines();
    assert_eq!(proved.len(), 2);
    let own = vault.run("auditor", "audit checkpoint --region eu", "").with(0).lines().remove(0);
    let key = VerifierKey::parse(own["verifier_key"].as_str().unwrap()).unwrap();
    let kept = std::fs::read_to_string(&receipts).unwrap();
    for (record, receipt) in proved.iter().zip(kept.lines()) {
        let receipt: Value = serde_json::from_str(receipt).unwrap();
        assert_eq!((&record["proved"], &record["index"]), (&Value::Bool(true), &receipt["index"]));
        let text = std::fs::read_to_string(record["file"].as_str().unwrap()).unwrap();
        let proof = LogProof::parse(&text).unwrap();
        let checkpoint = proof.verify(None, &key).unwrap();
        assert_eq!(checkpoint.origin.as_str(), receipt["origin"].as_str().unwrap());
        assert!(!text.contains("ada@example.com"));
    }
    // A receipt of another history: the same place, another entry.
    let mut forged: Value = serde_json::from_str(kept.lines().next().unwrap()).unwrap();
    forged["leaf_hash"] = Value::String("ab".repeat(32));
    let both = format!("{kept}{forged}\n");
    let refuted = vault.run("auditor", "audit prove -", &both).with(4);
    let records = refuted.lines();
    assert_eq!(records.iter().map(|record| &record["proved"]).collect::<Vec<_>>(), [true, true, false]);
    assert!(refuted.err.contains("1 of 3 receipts"), "{}", refuted.err);
    for bad in ["", "no receipt\n", "{\"origin\":\"x\",\"index\":-1,\"leaf_hash\":\"\"}\n"] {
        assert!(vault.run("auditor", "audit prove -", bad).with(2).out.is_empty());
    }
    let other = kept.lines().next().unwrap().replace("/audit/eu/", "/audit/us/");
    vault.run("auditor", "audit prove -", &other).with(4);
    assert!(vault.run("payments", "audit prove -", &kept).with(3).err.contains("ACCESS_DENIED"));
}

#[test]
fn a_checkpoint_goes_on_from_one_that_was_kept_and_from_no_forged_one() {
    let vault = DevVault::start();
    let kept = vault.path("kept.checkpoint");
    let note = vault.run("auditor", "audit checkpoint --region eu --output table", "").with(0).out;
    std::fs::write(&kept, &note).unwrap();
    vault.tokens("email", &["ada@example.com"]);
    let line = format!("audit checkpoint --region eu --since {kept}");
    let newest = vault.run("auditor", &line, "").with(0);
    assert!(newest.err.contains("goes on from"), "{}", newest.err);
    assert_eq!(newest.lines()[0]["goes_on_from_since"], true);
    let of_us = vault.run("auditor", "audit checkpoint --region us --output table", "").with(0).out;
    for forged in [of_us, note.replace('\n', "\n\n"), note[..note.len() / 2].to_owned()] {
        std::fs::write(&kept, forged).unwrap();
        assert!(vault.run("auditor", &line, "").with(4).out.is_empty());
    }
    assert!(vault.run("auditor", "audit checkpoint --region eu --since nowhere", "").with(1).out.is_empty());
}

#[test]
fn a_tail_from_an_index_ends_where_the_log_ended() {
    let vault = DevVault::start();
    vault.tokens("email", &["ada@example.com", "bob@example.com"]);
    let line = "audit tail --region eu --purpose audit --from-index 0 --until-end";
    let all = vault.run("auditor", line, "").with(0).lines();
    let asked = vault.run("auditor", &format!("{QUERY} --all"), "").with(0).lines();
    let index = |entry: &Value| entry.pointer("/receipt/index").and_then(Value::as_u64).unwrap();
    // The query is newest first, and its own entry is not yet there; the tail's is.
    assert_eq!(all.iter().map(index).collect::<Vec<_>>(), asked.iter().rev().map(index).collect::<Vec<_>>());
    let tokenized = vault.run("auditor", &format!("{line} --action tokenize"), "").with(0).lines();
    assert!(!tokenized.is_empty() && tokenized.iter().all(|entry| entry["action"] == "tokenize"));
    let table = vault.run("auditor", &format!("{line} --action tokenize --output table"), "").with(0).out;
    assert!(table.contains("allowed") && table.contains("2 email"), "{table}");
    // From a time on as well, and nothing is of the future.
    let tail = "audit tail --region eu --purpose audit --until-end";
    let since = vault.run("auditor", &format!("{tail} --since 1h --action tokenize"), "").with(0).lines();
    assert_eq!(since, tokenized);
    assert!(vault.run("auditor", &format!("{tail} --from 2999-01-01"), "").with(0).lines().is_empty());
    assert!(vault.run("auditor", tail, "").with(2).err.contains("--from-index"));
    // A time without a moment in it is refused, for an empty answer would look like an empty log.
    for period in ["--from 2030-01-01 --until 2020-01-01", "--until 0", "--since 1h --until 2020-01-01"] {
        let refused = vault.run("auditor", &format!("audit query --region eu --purpose audit {period}"), "").with(2);
        assert!(refused.err.contains("--until must be later"), "{}", refused.err);
    }
    vault.run("auditor", "audit tail --region eu --purpose audit --from-index 999999 --until-end", "").with(1);
    assert!(vault.run("payments", line, "").with(3).err.contains("ACCESS_DENIED"));
}

#[test]
fn another_log_under_the_name_of_one_that_was_seen_is_refused() {
    let (vault, other) = (DevVault::start(), DevVault::start());
    let line = format!("audit checkpoint --region eu --checkpoints {}", vault.path("seen"));
    for _ in 0..2 {
        vault.tokens("email", &["ada@example.com"]);
        vault.run("auditor", &line, "").with(0);
    }
    let kept = || {
        let file = |name: &str| std::fs::read_to_string(format!("{}/{name}", vault.path("seen"))).unwrap();
        ["eu.checkpoint", "eu.vkey"].map(file)
    };
    let before = kept();
    let refused = other.run("auditor", &line, "").with(4);
    assert!(refused.err.contains("another key") && refused.out.is_empty(), "{}", refused.err);
    assert_eq!(kept(), before);
    // Nor is it asked anything.
    let export = format!("audit export --format jsonl --to {}", other.path("export.jsonl"));
    for asks in ["audit query", "audit count", &export] {
        let asks = format!("{asks} --region eu --purpose audit --checkpoints {}", vault.path("seen"));
        let refused = other.run("auditor", &asks, "").with(4);
        assert!(refused.err.contains("another key") && refused.out.is_empty(), "{}", refused.err);
    }
    vault.run("auditor", &line, "").with(0);
}
