//! `tokenize` and `detokenize`: forms of output, exit codes, and what is said.

use std::fs;

use serde_json::{Value, json};

use crate::shell::{DevVault, LOAD, SETTLE, write};

const CARD: &str = "4111111111111111";

#[test]
fn values_go_in_and_come_back_in_each_form() {
    let vault = DevVault::start();
    let values = ["ada@example.com", "bob@example.com"];
    let tokens = vault.tokens("email", &values);
    let reveal = |form: &str| {
        let line = format!("detokenize --class email {SETTLE} --output {form}");
        vault.run("payments", &line, &tokens.join("\n")).with(0).out
    };
    let lines: Vec<Value> = reveal("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, values.map(|value| json!({"value": value, "level": "full"})));
    assert_eq!(serde_json::from_str::<Vec<Value>>(&reveal("json")).unwrap(), lines);
    let table = reveal("table");
    assert!(values.iter().all(|value| table.contains(value)) && table.contains("value"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn what_is_known_of_a_token_is_told_without_its_value() {
    let vault = DevVault::start();
    let token = vault.tokens("card_number", &[CARD]).remove(0);
    let line = format!("token describe --class card_number {SETTLE}");
    let told = vault.run("payments", &line, &token).with(0);
    let description = &told.lines()[0];
    assert_eq!((&description["format"], &description["stored"]), (&json!("format_preserving"), &json!(true)));
    assert!(description["created_at"].is_string() && description["expires_at"].is_null(), "{description}");
    assert!(!told.out.contains(CARD) && !told.out.contains(&token), "neither value nor token");
    // Who may tokenize may not ask, and what is no token is not found.
    let denied = vault.run("loader", &line, &token).with(3);
    assert_eq!(denied.lines()[0]["error"]["reason"], "ACCESS_DENIED");
    let unknown = vault.run("payments", &line, "4000000000000002").with(1);
    assert_eq!(unknown.lines()[0]["error"]["reason"], "TOKEN_NOT_FOUND");
}

#[test]
fn the_token_of_a_value_is_found_from_the_command_line() {
    let vault = DevVault::start();
    let token = vault.tokens("card_number", &[CARD]).remove(0);
    let line = format!("token find --class card_number {SETTLE}");
    let found = vault.run("payments", &line, CARD).with(0).lines().remove(0);
    assert_eq!(found, json!({"token": token, "expires_at": null}));
    let both = vault.run("payments", &line, &format!("{CARD}\n4000000000000002")).with(1);
    assert_eq!(both.lines()[0]["token"], token.as_str());
    let error = &both.lines()[1]["error"];
    assert_eq!((&error["reason"], error["remedy"].is_string()), (&json!("VALUE_NOT_FOUND"), true));
    assert!(!both.out.contains("4000000000000002"), "{}", both.out);
    let denied = vault.run("support", &line.replace("payments", "support").replace("settlement", "support_case"), CARD);
    assert_eq!(denied.with(3).lines()[0]["error"]["reason"], "ACCESS_DENIED");
}

#[test]
fn what_is_over_budget_is_told_with_the_time_to_wait_also_after_a_kill_and_bulk_rejects_it() {
    let budget = "\n[budgets.few]\nactions = [\"detokenize\"]\naccounts = \
                  [\"spiffe://dev.tokenvault.internal/payments\"]\nper_day = 5\n";
    let vault = DevVault::start_with(|place| {
        let catalog = place.join("catalog.toml");
        let text = fs::read_to_string(&catalog).unwrap();
        fs::write(catalog, text + budget).unwrap();
    });
    let values: Vec<String> = (0..4).map(|n| format!("{n}@example.com")).collect();
    let tokens = vault.tokens("email", &values.iter().map(String::as_str).collect::<Vec<_>>());
    let reveal = format!("detokenize --class email {SETTLE}");
    assert_eq!(vault.run("payments", &reveal, &tokens.join("\n")).with(0).lines().len(), 4);
    let vault = vault.again();
    // One is left: a file of four has one row revealed, and three that it names.
    let source = write(&vault.path("in.csv"), &format!("email\n{}\n", tokens.join("\n")));
    let [out, rejects] = ["out.csv", "rejects.csv"].map(|name| vault.path(name));
    let line = format!("bulk detokenize --in {source} --out {out} --rejects {rejects} --column email=email {SETTLE}");
    vault.run("payments", &line, "").with(1);
    assert_eq!(fs::read_to_string(&out).unwrap(), format!("email\n{}\n", values[0]));
    assert_eq!(fs::read_to_string(&rejects).unwrap().matches("BUDGET_SPENT").count(), 3);
    let over = vault.run("payments", &reveal, &tokens[0]).with(1).lines().remove(0);
    let (error, day) = (&over["error"], 24 * 3_600_000);
    assert_eq!(
        (&error["reason"], &error["metadata"]["detail"]),
        (&json!("BUDGET_SPENT"), &json!("budget few: 5 per day"))
    );
    let wait = error["retry_after_ms"].as_u64().unwrap();
    assert!(wait > day - 600_000 && wait <= day + day / 20, "{wait}");
}

#[test]
fn the_life_of_a_token_is_changed_from_the_command_line() {
    let vault = DevVault::start();
    let made = vault.run("loader", &format!("tokenize --class email --ttl 1h --max-uses 2 {LOAD}"), "a@example.org");
    let made = made.with(0).lines().remove(0);
    let (token, expires) = (made["token"].as_str().unwrap(), &made["expires_at"]);
    assert!(expires.is_string());
    let care = "--class email --region eu --audience payments --purpose housekeeping";
    let change = |words: &str| vault.run("steward", &format!("token {words} {care}"), token);
    let reveal = || vault.run("payments", &format!("detokenize --class email {SETTLE}"), token);
    reveal().with(0);
    let life = change("suspend").with(0).lines().remove(0);
    assert_eq!(
        (&life["state"], &life["uses"], &life["max_uses"], &life["expires_at"], &life["not_before"]),
        (&json!("suspended"), &json!(1), &json!(2), expires, &json!(null))
    );
    reveal().with(1);
    assert_eq!(change("resume").with(0).lines()[0]["state"], "active");
    let renewed = change("renew --ttl 7d").with(0).lines().remove(0);
    assert!(renewed["expires_at"].as_str().unwrap() > expires.as_str().unwrap(), "{renewed}");
    assert!(change("renew").with(0).lines()[0]["expires_at"].is_null(), "the class says nothing of an end");
    reveal().with(0);
    reveal().with(1);
    assert_eq!(change("revoke --idempotency-key r1").with(0).lines()[0]["state"], "revoked");
    assert_eq!(change("revoke --idempotency-key r1").with(0).lines()[0]["state"], "revoked");
    assert_eq!(change("revoke").with(1).lines()[0]["error"]["reason"], "TOKEN_NOT_FOUND");
    // Who is shown values may not change lives, and the other way round.
    let denied = vault.run("payments", &format!("token revoke {}", care.replace("housekeeping", "settlement")), token);
    assert_eq!(denied.with(3).lines()[0]["error"]["reason"], "ACCESS_DENIED");
    for wrong in ["renew --ttl 0s", "renew --ttl soon", "suspend --ttl 1h"] {
        change(wrong).with(2);
    }
}

#[test]
fn an_item_that_is_refused_stands_in_its_place_and_in_the_exit_code() {
    let vault = DevVault::start();
    let line = format!("tokenize --class card_number {LOAD}");
    let ended = vault.run("loader", &line, &format!("{CARD}\n4111111111111112\n")).with(1);
    let lines = ended.lines();
    assert!(lines[0]["token"].is_string());
    assert_eq!(lines[1]["error"]["reason"], "VALUE_REJECTED");
    assert_eq!(lines[1]["error"]["rule"], "luhn");
    assert!(lines[1]["error"]["remedy"].is_string());
    assert!(!ended.out.contains("4111111111111112") && !ended.err.contains("4111111111111112"));
}

#[test]
fn scripts_can_tell_a_denial_from_wrong_usage_and_from_a_vault_that_is_away() {
    let mut vault = DevVault::start();
    let token = vault.tokens("card_number", &[CARD]).remove(0);
    let line = format!("detokenize --class card_number {SETTLE}");
    let denied = vault.run("loader", &line, &token).with(3);
    assert_eq!(denied.lines()[0]["error"]["reason"], "ACCESS_DENIED", "{denied:?}");

    let usage = [
        ("detokenize --class card_number --audience payments", "--region"),
        ("detokenize --class CARD --audience payments --region eu", "--class"),
        ("detokenize --class card_number --audience payments --region eu --output xml", "--output"),
        ("detokenise", "detokenize"),
    ];
    for (line, said) in usage {
        let ended = vault.run("payments", line, &token).with(2);
        assert!(ended.err.contains(said), "{line}: {}", ended.err);
    }
    let missing = vault.run("nobody", &line, &token).with(2);
    assert!(missing.err.contains("clients/nobody.key"), "{}", missing.err);

    assert_eq!(vault.stop(), Some(0));
    let away = vault.run("payments", &format!("{line} --attempts 1 --deadline 2s"), &token).with(1);
    assert!(away.err.contains("error: "), "{}", away.err);
    assert!(!away.err.contains(&token));
}

#[test]
fn what_was_typed_in_the_wrong_place_is_not_repeated() {
    let vault = DevVault::start();
    let rows = [
        format!("tokenize --class {CARD} {LOAD}"),
        format!("tokenize --class card_number {LOAD} --reference {CARD}"),
        format!("tokenize --class card_number {LOAD} --{CARD}"),
        format!("bulk tokenize {CARD}"),
        format!("audit query --region eu --decision {CARD}"),
        format!("audit query --region eu --page-size {CARD}"),
        CARD.to_owned(),
    ];
    for line in rows {
        let ended = vault.run("loader", &line, "").with(2);
        assert!(ended.err.contains("(not shown)"), "{line}: {}", ended.err);
        assert!(!ended.err.contains(CARD) && !ended.out.contains(CARD), "{}", ended.err);
    }
    let flag = vault.run("loader", "tokenize --clas email", "").with(2);
    assert!(flag.err.contains("--clas") && flag.err.contains("--class"), "{}", flag.err);
}

#[test]
fn the_version_names_the_commit_and_help_names_the_exit_codes() {
    let version = crate::shell::run(&mut crate::shell::tokenvault(&["--version"]), "").with(0).out;
    assert!(version.starts_with("tokenvault 0.") && version.trim_end().ends_with(')'), "{version}");
    let help = crate::shell::run(&mut crate::shell::tokenvault(&["--help"]), "").with(0).out;
    for code in ["0   done", "2   wrong usage", "3   denied", "4   a signature", "70  the access log"] {
        assert!(help.contains(code), "{code}");
    }
}

#[test]
fn receipts_are_kept_where_they_were_asked_for() {
    let vault = DevVault::start();
    let file = vault.path("receipts.jsonl");
    let line = format!("tokenize --class card_number {LOAD} --receipts {file}");
    vault.run("loader", &line, CARD).with(0);
    vault.run("loader", &line, CARD).with(0);
    let receipts = std::fs::read_to_string(&file).unwrap();
    let receipts: Vec<Value> = receipts.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let indexes: Vec<u64> = receipts.iter().map(|receipt| receipt["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes.len(), 2);
    assert!(indexes[0] < indexes[1]);
    assert_eq!(receipts[0]["log_id"].as_str().unwrap().len(), 64);
    assert_eq!(receipts[0]["log_id"], receipts[1]["log_id"]);
}

#[test]
fn an_idempotency_key_makes_a_request_safe_to_repeat() {
    let vault = DevVault::start();
    let line = format!("tokenize --class email {LOAD} --idempotency-key order-7");
    let first = vault.run("loader", &line, "ada@example.com").with(0).lines();
    let again = vault.run("loader", &line, "ada@example.com").with(0).lines();
    assert_eq!(first[0]["token"], again[0]["token"]);
    let other = vault.run("loader", &line, "bob@example.com").with(1);
    assert!(other.err.contains("IDEMPOTENCY_KEY_REUSED"), "{}", other.err);
}
