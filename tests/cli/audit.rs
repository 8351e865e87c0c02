//! `audit query` and `audit checkpoint`.

use serde_json::Value;

use crate::shell::{DevVault, SETTLE};

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
