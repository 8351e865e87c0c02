//! `config plan`, `apply`, `history` and `rollback`: the rules of a running vault from a shell, as a program that
//! declares infrastructure calls them.

use std::fs;

use serde_json::Value;
use vault_domain::{Clock, SystemClock};
use vault_tests::issuer::{SigningKey, claims, jwks};

use crate::{
    served::Served,
    shell::{DevVault, Ended, run, tokenvault},
};

/// A vault that goes by what is applied, and whose auditor is its operator too.
struct Place {
    vault: DevVault,
    served: Served,
}

const GRANT: &str = r#"    { actions = ["get_checkpoint"] },"#;
const OPERATOR: &str =
    r#"{ actions = ["apply_policies", "plan_policies", "list_policy_versions", "get_policy_version"] },"#;
/// What the support desk gains by the change that the tests apply.
const GAINED: (&str, &str) =
    (r#"["detokenize"], classes = ["email"], p"#, r#"["detokenize"], classes = ["email", "customer_id"], p"#);

impl Place {
    fn new(rules_from: &str) -> Self {
        let mut vault = DevVault::start();
        assert_eq!(vault.stop(), Some(0));
        let (config, catalog) = (vault.place().join("vault.toml"), vault.place().join("catalog.toml"));
        let text = fs::read_to_string(&catalog).unwrap();
        assert!(text.contains(GRANT));
        fs::write(&catalog, text.replace(GRANT, &format!("{GRANT}\n{OPERATOR}"))).unwrap();
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("rules_from = \"{rules_from}\"\n{text}")).unwrap();
        let served = Self::serve(&vault);
        Self { vault, served }
    }

    fn serve(vault: &DevVault) -> Served {
        let mut command = tokenvault(&["serve", "--config"]);
        command.arg(vault.place().join("vault.toml")).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0");
        Served::start(command)
    }

    /// A second configuration whose catalog is changed.
    fn change(&self, (old, new): (&str, &str)) -> String {
        let catalog = fs::read_to_string(self.vault.place().join("catalog.toml")).unwrap();
        assert!(catalog.contains(old), "{old}");
        fs::write(self.vault.place().join("catalog-new.toml"), catalog.replace(old, new)).unwrap();
        let config = fs::read_to_string(self.vault.place().join("vault.toml")).unwrap();
        let path = self.vault.place().join("new.toml");
        fs::write(&path, config.replace("catalog.toml", "catalog-new.toml")).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run_as(&self, account: &str, line: &str) -> Ended {
        run(&mut self.served.command(&self.vault, account, line), "")
    }

    fn run(&self, line: &str) -> Ended {
        self.run_as("auditor", line)
    }

    /// The one object that a command prints.
    #[track_caller]
    fn told(&self, line: &str, code: i32) -> Value {
        serde_json::from_str(&self.run(&format!("{line} --output json")).with(code).out).unwrap()
    }
}

fn text<'r>(record: &'r Value, field: &str) -> &'r str {
    record[field].as_str().unwrap_or_else(|| panic!("{field}: {record}"))
}

#[test]
fn a_plan_is_reviewed_applied_and_rolled_back_and_each_step_says_by_its_exit_code_what_it_did() {
    let place = Place::new("applied");
    let own = place.vault.place().join("vault.toml");
    let own = own.to_str().unwrap();
    let nothing = place.told(&format!("config plan --config {own}"), 0);
    assert_eq!((nothing["changes"].as_bool(), nothing["version"].as_u64()), (Some(false), Some(1)));
    let new = place.change(GAINED);
    let plan = place.told(&format!("config plan --config {new}"), 6);
    assert_eq!(plan["changes"], true);
    assert_eq!(plan["id"], plan["difference"]);
    let access = plan["access"].as_array().unwrap();
    assert_eq!(access.len(), 1, "{access:?}");
    assert_eq!((text(&access[0], "change"), text(&access[0], "data_class")), ("gains", "customer_id"));
    assert!(text(&access[0], "principal").ends_with("/support"));
    // What is reviewed in files has the same name.
    let diff = run(tokenvault(&["config", "diff", own, &new]).args(["--output", "json"]), "").with(6);
    let diff: Vec<Value> = serde_json::from_str(&diff.out).unwrap();
    assert_eq!(diff[0]["difference"], plan["difference"]);

    let other = "0".repeat(64);
    let refused = place.run(&format!("config apply --config {new} --expect-difference {other}")).with(1);
    assert!(refused.err.contains("Nothing has changed") && refused.out.is_empty(), "{refused:?}");
    place.told(&format!("config plan --config {new}"), 6);
    let reviewed = text(&plan, "difference");
    let apply = format!("config apply --config {new} --expect-difference {reviewed} --reference CASE-7");
    let applied = place.told(&apply, 0);
    assert_eq!((applied["changes"].as_bool(), applied["version"].as_u64()), (Some(true), Some(2)));
    assert_eq!((&applied["before"], &applied["now"]), (&plan["before"], &plan["now"]));
    let again = place.told(&apply, 0);
    assert_eq!((again["changes"].as_bool(), again["version"].as_u64()), (Some(false), Some(2)), "nothing to do");
    place.told(&format!("config plan --config {new}"), 0);

    let history = place.run("config history --output jsonl").with(0).lines();
    assert_eq!(history.len(), 2);
    assert_eq!((history[0]["serving"].as_bool(), history[1]["serving"].as_bool()), (Some(true), Some(false)));
    assert_eq!((text(&history[0], "reference"), &history[0]["difference"]), ("CASE-7", &plan["difference"]));
    assert!(text(&history[0], "principal").ends_with("/auditor"));
    let first = place.told("config history 1", 0);
    assert_eq!(text(&first, "catalog"), fs::read_to_string(place.vault.place().join("catalog.toml")).unwrap());
    place.run("config history 7").with(1);
    assert!(place.run("config history --output table").with(0).out.contains("CASE-7"));

    let back = place.told("config rollback 1 --reference CASE-8", 0);
    assert_eq!((back["version"].as_u64(), &back["now"]), (Some(3), &plan["before"]));
    place.told(&format!("config plan --config {own}"), 0);
    assert_eq!(place.run("config history --output jsonl").with(0).lines()[0]["again"], 1);
    place.run("config rollback 9").with(1);

    // What was reviewed before others changed the rules is not applied.
    place.told(&format!("config apply --config {new}"), 0);
    let newer = place.change(("[tenants.acme]", "# A comment is another catalog.\n[tenants.acme]"));
    let refused = place.run(&format!("config apply --config {newer} --expect-difference {reviewed}")).with(1);
    assert!(refused.err.contains("not what was reviewed"), "{refused:?}");
    place.served.stop();
}

#[test]
fn who_may_not_is_denied_and_what_cannot_be_used_is_named() {
    let mut place = Place::new("applied");
    let own = place.vault.place().join("vault.toml").to_str().unwrap().to_owned();
    let new = place.change(GAINED);
    for line in ["config history", "config history 1", "config rollback 1"] {
        place.run_as("support", line).with(3);
    }
    for command in ["plan", "apply"] {
        place.run_as("support", &format!("config {command} --config {new}")).with(3);
        let broken = place.change(("[tenants.acme]", "[tenants.acme"));
        let refused = place.run(&format!("config {command} --config {broken}")).with(2);
        assert!(refused.err.contains("catalog-new.toml"), "{refused:?}");
        place.change(GAINED);
    }
    place.run(&format!("config apply --config {new} --expect-difference 12")).with(2);
    place.run(&format!("config apply --config {new} --reference 4111111111111111")).with(2);
    place.run("config rollback 0").with(2);
    // What this vault could not go by is refused with the setting that stands against it.
    let changed = place.change(("rule = \"email\"\nformat = \"opaque\"", "rule = \"email\"\nformat = \"uuid\""));
    let refused = place.run(&format!("config apply --config {changed}")).with(1);
    assert!(refused.err.contains("RULES_NOT_SERVABLE") && refused.err.contains("format"), "{refused:?}");
    place.told(&format!("config plan --config {own}"), 0);

    // SIGHUP does not exchange what was applied, and says that the files differ.
    place.change(GAINED);
    fs::copy(place.vault.place().join("catalog-new.toml"), place.vault.place().join("catalog.toml")).unwrap();
    place.served.hang_up();
    place.served.says("tokenvault config apply");
    let check = tokenvault(&["config", "check", "--output", "jsonl", "--config", &own]).output().unwrap();
    assert!(String::from_utf8(check.stdout).unwrap().contains("the version that was applied last serves"));
    place.served.stop();
    let served = Place::serve(&place.vault);
    let place = Place { vault: place.vault, served };
    place.told(&format!("config plan --config {own}"), 6);
    place.served.stop();
}

#[test]
fn a_rollback_is_planned_and_held_fast_before_it_is_taken() {
    let place = Place::new("applied");
    let own = place.vault.place().join("vault.toml").to_str().unwrap().to_owned();
    let nothing = place.told("config plan --version 1", 0);
    assert_eq!((nothing["changes"].as_bool(), &nothing["access"]), (Some(false), &Value::Array(Vec::new())));
    let new = place.change(GAINED);
    place.told(&format!("config apply --config {new}"), 0);

    let plan = place.told("config plan --version 1", 6);
    assert_eq!((plan["changes"].as_bool(), plan["version"].as_u64()), (Some(true), Some(2)));
    let access = plan["access"].as_array().unwrap();
    assert_eq!(access.len(), 1, "{access:?}");
    assert_eq!((text(&access[0], "change"), text(&access[0], "data_class")), ("loses", "customer_id"));
    // The step of the same rules from a file is the same.
    assert_eq!(place.told(&format!("config plan --config {own}"), 6)["difference"], plan["difference"]);
    let history = place.run("config history --output jsonl").with(0).lines();
    assert_eq!(history.len(), 2, "a plan is no version");

    let other = "0".repeat(64);
    let refused = place.run(&format!("config rollback 1 --expect-difference {other}")).with(1);
    assert!(refused.err.contains("Nothing has changed"), "{refused:?}");
    let reviewed = text(&plan, "difference");
    let back = place.told(&format!("config rollback 1 --expect-difference {reviewed}"), 0);
    assert_eq!(
        (back["version"].as_u64(), &back["now"], &back["difference"]),
        (Some(3), &plan["now"], &plan["difference"])
    );
    place.told("config plan --version 1", 0);
    place.told("config plan --version 2", 6);

    place.run("config plan --version 9").with(1);
    place.run("config plan --version 0").with(2);
    place.run("config plan").with(2);
    place.run(&format!("config plan --version 1 --config {own}")).with(2);
    place.run_as("support", "config plan --version 1").with(3);
    place.served.stop();
}

#[test]
fn a_plan_and_a_diff_say_the_same_of_comments_alone() {
    let place = Place::new("applied");
    let own = place.vault.place().join("vault.toml").to_str().unwrap().to_owned();
    let new = place.change(("[tenants.acme]", "# Nothing but a comment.\n[tenants.acme]"));
    let plan = place.told(&format!("config plan --config {new}"), 6);
    assert_eq!(plan["access"], Value::Array(Vec::new()));
    let written = plan["written"].as_array().unwrap();
    assert_eq!((written.len(), text(&written[0], "kind")), (1, "texts"), "{written:?}");
    assert_eq!((&written[0]["was"], &written[0]["is"]), (&plan["before"], &plan["now"]));
    let diff = run(tokenvault(&["config", "diff", &own, &new]).args(["--output", "jsonl"]), "").with(6).lines();
    assert_eq!((&diff[0]["id"], &diff[0]["difference"]), (&written[0]["id"], &plan["difference"]));
    place.told(&format!("config apply --config {new} --expect-difference {}", text(&plan, "difference")), 0);
    place.told(&format!("config plan --config {new}"), 0);
    place.served.stop();
}

/// Where versions serve, the files are not what counts: who goes by them says so, who can goes by the version.
#[test]
fn what_goes_by_files_says_so_where_versions_serve_and_check_keys_go_by_the_version() {
    let place = Place::new("applied");
    let folder = place.vault.place();
    let config = folder.join("vault.toml");
    let issuers = "[issuers.corp]\nissuer = \"https://idp.test.tokenvault\"\n\
                   audiences = [\"https://vault.test.tokenvault\"]\nalgorithms = [\"ES256\"]\n\
                   jwks_file = \"corp.json\"\n";
    let key = SigningKey::ec("one");
    fs::write(folder.join("issuers.toml"), issuers).unwrap();
    fs::write(folder.join("corp.json"), jwks(&[&key])).unwrap();
    let bearer = folder.join("token");
    fs::write(&bearer, key.token(&claims("orders", b"a certificate", SystemClock::new().wall()))).unwrap();
    let with_class = place.change(("[classes.email]\n", "[classes.mobile]\nrule = \"email\"\n[classes.email]\n"));
    place.told(&format!("config apply --config {with_class}"), 0);
    place.served.stop();

    let applied = fs::read_to_string(&config).unwrap() + "\n[identity]\nissuers = \"issuers.toml\"\n";
    let files = applied.replace("rules_from = \"applied\"", "rules_from = \"files\"");
    let explain = || {
        let mut command = tokenvault(&["config", "explain", "--output", "jsonl", "--token"]);
        // The catalog has no such account, which is told by this code.
        run(command.arg(&bearer).arg("--config").arg(&config), "").with(1)
    };
    let export = |name: &str, class: &str| {
        let mut command = tokenvault(&["token", "export-check-keys", "--region", "eu", "--output", "jsonl"]);
        command.args(["--class", class, "--config"]).arg(&config).arg("--out").arg(folder.join(name));
        run(&mut command, "")
    };
    fs::write(&config, &applied).unwrap();
    let by_files = explain();
    assert!(by_files.err.contains("this goes by the files") && by_files.err.contains("config history"), "{by_files:?}");
    assert_eq!(
        (&by_files.lines()[0]["what"], &by_files.lines()[0]["value"]),
        (&"catalog".into(), &"by the files".into())
    );
    let exported = export("of-version.toml", "mobile").with(0);
    assert_eq!(exported.lines()[0]["version"], 2);
    assert!(exported.err.contains("version 2") && exported.err.contains("whatever the files say"), "{exported:?}");

    fs::write(&config, &files).unwrap();
    let by_files = explain();
    assert!(!by_files.err.contains("this goes by the files"), "{by_files:?}");
    assert!(by_files.lines().iter().all(|line| line["what"] != "catalog"));
    assert!(export("of-files.toml", "mobile").with(2).err.contains("no data class mobile"));
    assert_eq!(export("of-files.toml", "email").with(0).lines()[0]["version"], Value::Null);
}

#[test]
fn a_vault_that_goes_by_its_files_says_so() {
    let place = Place::new("files");
    let new = place.change(GAINED);
    let plan = place.told(&format!("config plan --config {new}"), 6);
    assert_eq!((&plan["version"], &plan["access"]), (&Value::Null, &Value::Null));
    let refused = place.run(&format!("config apply --config {new}")).with(1);
    assert!(refused.err.contains("RULES_FROM_FILES") && refused.err.contains("rules_from"), "{refused:?}");
    assert_eq!(place.run("config history --output json").with(0).out, "[]\n");
    place.served.stop();
}
