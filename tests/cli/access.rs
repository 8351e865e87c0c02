//! `config diff` and `config test`: who may do what, before it serves; and what `config check` doubts.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::shell::{DevVault, Ended, run, tokenvault};

/// A vault's configuration, and another one beside it.
struct Place {
    vault: DevVault,
}

impl Place {
    fn new() -> Self {
        let mut vault = DevVault::start();
        assert_eq!(vault.stop(), Some(0));
        Self { vault }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.vault.place().join(name)
    }

    /// A second configuration with a catalog that is changed in these places, and with policies of its own.
    fn change(&self, changes: &[(&str, &str)], policies: &str) -> PathBuf {
        let mut catalog = fs::read_to_string(self.path("catalog.toml")).unwrap();
        for (old, new) in changes {
            assert!(catalog.contains(old), "{old}");
            catalog = catalog.replace(old, new);
        }
        fs::write(self.path("catalog-new.toml"), catalog).unwrap();
        fs::write(self.path("own.cedar"), policies).unwrap();
        let config = fs::read_to_string(self.path("vault.toml")).unwrap();
        let own = format!("policies = [{:?}]\n", self.path("own.cedar"));
        let config = config.replace("catalog.toml", "catalog-new.toml");
        fs::write(self.path("new.toml"), own + &config).unwrap();
        self.path("new.toml")
    }

    fn diff(&self, words: &[&str]) -> Ended {
        let mut command = tokenvault(&["config", "diff"]);
        run(command.arg(self.path("vault.toml")).arg(self.path("new.toml")).args(words), "")
    }

    /// Runs a table against the first configuration.
    fn test(&self, table: &str, words: &[&str]) -> Ended {
        fs::write(self.path("access.csv"), table).unwrap();
        let mut command = tokenvault(&["config", "test"]);
        run(command.arg(self.path("access.csv")).arg("--config").arg(self.path("vault.toml")).args(words), "")
    }
}

/// The fields of a change, without its id.
fn change(who: &str, gains: &str, what: [&str; 3], places: &[&str], purposes: &[&str], with: &str) -> Value {
    let [action, class, audience] = what;
    json!({
        "principal": format!("spiffe://dev.tokenvault.internal/{who}"), "change": gains, "action": action,
        "data_class": class, "audience": audience, "places": places, "purposes": purposes, "with": with,
    })
}

fn without_ids(mut changes: Vec<Value>) -> Vec<Value> {
    for change in &mut changes {
        assert!(!change.as_object_mut().unwrap().remove("id").unwrap().as_str().unwrap().is_empty());
        assert_eq!(change.as_object_mut().unwrap().remove("difference").unwrap().as_str().unwrap().len(), 64);
    }
    changes
}

#[test]
fn a_diff_says_who_gains_and_who_loses_access() {
    let place = Place::new();
    place.change(&[("[tenants.acme]", "# Nothing but a comment.\n[tenants.acme]")], "");
    assert!(place.diff(&["--output", "table"]).with(0).out.contains("Nobody gains and nobody loses"));
    assert_eq!(place.diff(&["--output", "json"]).with(0).out, "[]\n");

    // The support desk may see cards; analytics lose what they had in one region by a policy.
    place.change(
        &[(r#"["detokenize"], classes = ["email"], p"#, r#"["detokenize"], classes = ["email", "card_number"], p"#)],
        r#"@id("not_in_us")
           forbid(principal == Vault::Service::"spiffe://dev.tokenvault.internal/analytics", action, resource)
           when { context has region && context.region == Vault::Region::"us" };"#,
    );
    let any = "certificate or access token";
    let customer = ["detokenize", "customer_id", "analytics"];
    let card = ["detokenize", "card_number", "support"];
    let expected = [
        change("analytics", "loses", customer, &["us"], &["analysis"], any),
        change("support", "gains", card, &["eu", "us"], &["support_case"], any),
    ];
    let ended = place.diff(&["--output", "jsonl"]).with(6);
    assert_eq!(without_ids(ended.lines()), expected);
    assert_eq!(place.diff(&["--output", "jsonl"]).with(6).out, ended.out, "ids too stay the same");
    let table = place.diff(&["--output", "table"]).with(6).out;
    assert!(table.contains("gains") && table.contains("loses") && table.contains("card_number"), "{table}");
}

#[test]
fn a_diff_tells_what_needs_an_access_token_from_now_on() {
    let place = Place::new();
    let step_up = "[classes.email]\nstep_up_assurance = 2\nstep_up_seconds = 900\n";
    place.change(&[("[classes.email]\n", step_up)], "");
    let lines = without_ids(place.diff(&["--output", "jsonl"]).with(6).lines());
    let of_support: Vec<_> =
        lines.into_iter().filter(|line| line["principal"].as_str().unwrap().ends_with("/support")).collect();
    let email = ["detokenize", "email", "support"];
    let all = ["eu", "us"];
    assert_eq!(
        of_support,
        [
            change("support", "gains", email, &all, &["support_case"], "access token"),
            change("support", "loses", email, &all, &["support_case"], "certificate or access token"),
        ]
    );
}

#[test]
fn policies_that_look_at_time_and_place_are_asked_at_that_time_and_place() {
    let place = Place::new();
    place.change(
        &[],
        r#"@id("office") forbid(principal, action, resource) unless {
            context.caller.now.toTime() >= duration("9h") &&
            context.caller has source && context.caller.source.isInRange(ip("10.0.0.0/8")) };"#,
    );
    place.diff(&["--source", "10.1.2.3"]).with(0);
    assert!(place.diff(&["--source", "10.1.2.3", "--at", "2026-01-05T03:00:00Z"]).with(6).out.contains("loses"));
    assert!(place.diff(&[]).with(6).out.contains("loses"), "from nowhere that is known");
}

const TABLE: &str = "\
principal,action,data_class,audience,region,purpose,decision,reason
spiffe://dev.tokenvault.internal/payments,detokenize,card_number,payments,eu,settlement,allow,
spiffe://dev.tokenvault.internal/payments,detokenize,card_number,support,eu,settlement,deny,AUDIENCE_NOT_OWN
spiffe://dev.tokenvault.internal/support,detokenize,card_number,support,eu,support_case,deny,
spiffe://dev.tokenvault.internal/auditor,query_access_log,,,,audit,allow,
spiffe://dev.tokenvault.internal/nobody,query_access_log,,,eu,audit,deny,PRINCIPAL_UNKNOWN
";

#[test]
fn a_table_of_decisions_is_held_against_the_policies() {
    let place = Place::new();
    let ended = place.test(TABLE, &["--output", "jsonl"]).with(0);
    assert!(ended.out.is_empty() && ended.err.contains("5 of 5"), "{} {}", ended.out, ended.err);

    let wrong = TABLE.replace("support_case,deny", "support_case,allow").replace("AUDIENCE_NOT_OWN", "ACCESS_DENIED");
    let lines = place.test(&wrong, &["--output", "jsonl"]).with(1).lines();
    let told: Vec<_> =
        lines.iter().map(|line| (line["line"].as_u64().unwrap(), line["decided"].as_str().unwrap())).collect();
    assert_eq!(told, [(3, "deny AUDIENCE_NOT_OWN own_audience"), (4, "deny ACCESS_DENIED")]);
    assert_eq!(lines[1]["expected"], "allow");

    // What is decided can be taken over, and is then what is expected.
    place.test(&wrong, &["--update"]).with(0);
    let updated = fs::read_to_string(place.path("access.csv")).unwrap();
    assert!(updated.contains("deny,AUDIENCE_NOT_OWN,own_audience") && updated.contains("allow,,grant"), "{updated}");
    place.test(&updated, &[]).with(0);
}

#[test]
fn a_row_can_say_what_the_access_token_says() {
    let place = Place::new();
    let catalog = fs::read_to_string(place.path("catalog.toml")).unwrap();
    let step_up = "[classes.email]\nstep_up_assurance = 2\nstep_up_seconds = 900\n";
    fs::write(place.path("catalog.toml"), catalog.replace("[classes.email]\n", step_up)).unwrap();
    let titles =
        "principal,action,data_class,audience,region,purpose,assurance,authenticated_seconds,clearance,decision,reason";
    let support = "spiffe://dev.tokenvault.internal/support,detokenize,email,support,eu,support_case";
    let rows = [
        ",,,deny,STEP_UP_REQUIRED",
        "2,900,,allow,",
        "2,901,,deny,STEP_UP_REQUIRED",
        "1,0,,deny,STEP_UP_REQUIRED",
        "3,0,eu us,allow,",
        "3,0,us,deny,ACCESS_DENIED",
    ];
    let table: String = rows.iter().map(|row| format!("{support},{row}\n")).collect();
    let ended = place.test(&format!("{titles}\n{table}"), &["--output", "jsonl"]);
    assert!(ended.with(0).err.contains("6 of 6"));
}

#[test]
fn a_table_that_can_not_be_read_tests_nothing() {
    let place = Place::new();
    for (table, words) in [
        ("principal,action\n", "\"decision\" is missing"),
        ("principal,action,decision,pupose\n", "no column \"pupose\""),
        ("principal,action,decision\n", "no row"),
        ("principal,action,decision\ndns:a.example,reveal,allow\n", "line 2, column action: there is no such action"),
        ("principal,action,decision\ndns:a.example,detokenize,allow\n", "needs data_class"),
        ("principal,action,decision\ndns:a.example,get_checkpoint,maybe\n", "write allow or deny"),
        ("principal,action,decision,assurance\ndns:a.example,get_checkpoint,deny,4\n", "must be 1, 2 or 3"),
        ("principal,action,decision,at\ndns:a.example,get_checkpoint,deny,noon\n", "column at: must look like"),
        ("principal,action,decision\na,b\n", "record 1"),
    ] {
        let ended = place.test(table, &[]).with(2);
        assert!(ended.err.contains(words), "{table}: {}", ended.err);
    }
}

#[test]
fn a_check_doubts_what_opens_nothing_or_too_much() {
    let place = Place::new();
    let config = place.change(
        &[],
        r#"@id("closed")
           forbid(principal == Vault::Service::"spiffe://dev.tokenvault.internal/analytics", action, resource);
           @id("wide") permit(principal == Vault::Service::"spiffe://dev.tokenvault.internal/support",
               action == Vault::Action::"detokenize", resource == Vault::DataClass::"card_number");"#,
    );
    let check = run(tokenvault(&["config", "check", "--output", "jsonl", "--config"]).arg(config), "").with(0).lines();
    let told: Vec<_> = check
        .iter()
        .filter(|finding| finding["about"] == "policies" && finding["severity"] == "warning")
        .map(|finding| finding["finding"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("grant 1 of spiffe://dev.tokenvault.internal/analytics opens nothing"), "{told:?}");
    assert!(told[1].contains("support may be shown values of card_number without a grant, by wide"), "{told:?}");
}
