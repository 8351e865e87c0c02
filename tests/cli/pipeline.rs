//! What pipelines rely on that keep catalog and policies as code: the same exit code for the same thing from every
//! command, one JSON document or none, and ids that stay.

use std::fs;

use serde_json::Value;
use vault_tests::issuer::{SigningKey, jwks};

use crate::{
    access::{ORDERS, Place, written},
    shell::{Ended, run, tokenvault},
};

/// More than a version may be, in a comment.
fn long() -> String {
    format!("# {}\n", "x".repeat(3 * 1024 * 1024))
}

/// Every command that reads a configuration, with the configuration that is wrong. Those that would ask a vault get no
/// further than to the file.
fn all(place: &Place, but: &str) -> Vec<(&'static str, Ended)> {
    let (config, good) = (place.path("new.toml"), place.path("vault.toml"));
    let (table, nowhere) = (place.path("access.csv"), place.path("out"));
    fs::write(&table, "principal,action,decision\ndns:a.example,get_checkpoint,deny\n").unwrap();
    let lines = [
        "serve --config NEW",
        "config check --config NEW",
        "config explain --config NEW",
        "config explain --config NEW --token TABLE",
        "config diff GOOD NEW",
        "config diff NEW GOOD",
        "config test TABLE --config NEW",
        "config plan --config NEW",
        "config apply --config NEW",
        "token export-check-keys --config NEW --region eu --out OUT",
    ];
    let ended = lines.into_iter().filter(|line| *line != but).map(|line| {
        let words = line.split(' ').map(|word| match word {
            "NEW" => config.to_str().unwrap(),
            "GOOD" => good.to_str().unwrap(),
            "TABLE" => table.to_str().unwrap(),
            "OUT" => nowhere.to_str().unwrap(),
            word => word,
        });
        let file = |name: &str| place.path(name);
        let mut command = tokenvault(&words.collect::<Vec<_>>());
        command
            .env("TOKENVAULT_ENDPOINT", "https://127.0.0.1:1")
            .env("TOKENVAULT_CA", file("ca.pem"))
            .env("TOKENVAULT_CERT", file("clients/auditor.pem"))
            .env("TOKENVAULT_KEY", file("clients/auditor.key"));
        (line, run(&mut command, ""))
    });
    ended.collect()
}

#[test]
fn what_stands_in_a_file_and_can_not_be_used_is_2_from_every_command() {
    let place = Place::new();
    let identity = format!("\n[identity]\nissuers = {:?}\n", place.path("issuers.toml"));
    let issuers = "[issuers.corp]\nissuer = \"https://login.example.com\"\naudiences = [\"https://v.example.com\"]\n\
                   algorithms = [\"ES256\"]\njwks_file = \"corp.json\"\n";
    fs::write(place.path("issuers.toml"), issuers).unwrap();
    fs::write(place.path("corp.json"), jwks(&[&SigningKey::ec("one")])).unwrap();
    let fresh = |catalog: &[(&str, &str)], policies: &str| {
        place.change(catalog, policies);
        let config = fs::read_to_string(place.path("new.toml")).unwrap();
        fs::write(place.path("new.toml"), config + &identity).unwrap();
    };
    let damage: [(&str, &dyn Fn()); 8] = [
        ("configuration is no TOML", &|| place.edit("new.toml", &[("mode = ", "mode ")])),
        ("a key that is none", &|| place.edit("new.toml", &[("mode = ", "mod = ")])),
        ("no configuration", &|| fs::remove_file(place.path("new.toml")).unwrap()),
        ("catalog is no TOML", &|| fresh(&[("[tenants.acme]", "[tenants.acme")], "")),
        ("catalog with a key that is none", &|| fresh(&[("[tenants.acme]", "[tenant.acme]")], "")),
        ("no catalog", &|| fs::remove_file(place.path("catalog-new.toml")).unwrap()),
        ("policies are no Cedar", &|| fresh(&[], "@id(\"a\") permit(principal")),
        ("a policy of nobody", &|| {
            fresh(&[], "@id(\"a\") forbid(principal == Vault::Service::\"dns:nobody.example\", action, resource);");
        }),
    ];
    for (what, damage) in damage {
        fresh(&[], "");
        damage();
        for (line, ended) in all(&place, "") {
            assert_eq!(ended.code, Some(2), "{what}: {line}: {ended:?}");
        }
    }
    // It is the damage that they speak of.
    fresh(&[], "");
    for (line, ended) in all(&place, "serve --config NEW") {
        assert_ne!(ended.code, Some(2), "{line}: {ended:?}");
    }
}

#[test]
fn comments_alone_are_a_step_that_is_told_by_record_and_exit_code() {
    let place = Place::new();
    place.change(&[("[tenants.acme]", "# Nothing but a comment.\n[tenants.acme]")], "");
    let ended = place.diff(&["--output", "json"]).with(6);
    let told: Vec<Value> = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(written(&told), [["texts", "rules", "", "changed", "-"].map(str::to_owned)]);
    let field = |name: &str| told[0][name].as_str().unwrap();
    assert_eq!([field("was").len(), field("is").len(), field("difference").len()], [64; 3]);
    assert_ne!(field("was"), field("is"));
    assert!(ended.err.contains("Nobody gains and nobody loses"), "{}", ended.err);
    let table = place.diff(&["--output", "table"]).with(6).out;
    assert!(table.contains("but in comments") && table.contains("texts"), "{table}");
    // Beside what is told of the configuration, too; and of what is the same there is nothing to tell.
    place.edit("new.toml", &[("mode = ", "rules_from = \"applied\"\nmode = ")]);
    let kinds: Vec<_> = place.diff(&["--output", "jsonl"]).with(6).lines();
    let kinds: Vec<_> = kinds.iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["texts", "configuration"]);
    // An empty file of policies is a text, too.
    place.change(&[], "");
    assert_eq!(place.diff(&["--output", "jsonl"]).with(6).lines()[0]["kind"], "texts");
    place.copy();
    assert_eq!(place.diff(&["--output", "json"]).with(0).out, "[]\n");
}

#[test]
fn rules_that_are_too_long_for_a_version_are_found_by_the_check() {
    let place = Place::new();
    let config = place.change(&[("[tenants.acme]", &format!("{}[tenants.acme]", long()))], "");
    let check = |code: i32| {
        let mut command = tokenvault(&["config", "check", "--output", "jsonl", "--config"]);
        let found = run(command.arg(&config), "").with(code).lines();
        let is_long = |finding: &&Value| finding["finding"].as_str().unwrap().contains("3145728");
        found.iter().find(is_long).map(|finding| finding["severity"].as_str().unwrap().to_owned())
    };
    assert_eq!(check(0).as_deref(), Some("warning"), "files may be longer");
    place.edit("new.toml", &[("mode = ", "rules_from = \"applied\"\nmode = ")]);
    assert_eq!(check(2).as_deref(), Some("error"));
    // And so says the start, of a vault that has no version yet.
    let refused =
        run(tokenvault(&["serve", "--config"]).arg(&config).env("TOKENVAULT_LISTEN_ADDRESS", "127.0.0.1:0"), "");
    assert!(refused.code != Some(0) && refused.err.contains("longer than a version may be"), "{refused:?}");
    place.change(&[], "");
    place.edit("new.toml", &[("mode = ", "rules_from = \"applied\"\nmode = ")]);
    assert_eq!(check(0), None);
}

#[test]
fn a_table_with_a_faulty_row_has_no_half_of_a_result() {
    let place = Place::new();
    let wrong = "principal,action,decision\ndns:a.example,get_checkpoint,allow\n";
    let ended = place.test(wrong, &["--output", "json"]).with(1);
    assert_eq!(serde_json::from_str::<Vec<Value>>(&ended.out).unwrap().len(), 1);
    for faulty in ["dns:a.example,reveal,allow", "dns:a.example,get_checkpoint,maybe"] {
        for form in ["json", "jsonl", "table"] {
            let ended = place.test(&format!("{wrong}{faulty}\n"), &["--output", form]).with(2);
            assert!(ended.out.is_empty() && ended.err.contains("line 3"), "{form}: {ended:?}");
        }
    }
}

#[test]
fn a_change_of_a_policy_is_called_by_its_id_and_not_by_its_text() {
    let place = Place::new();
    let policy = |role: &str| {
        format!(
            r#"@id("clerks") forbid(principal, action, resource) when {{
                   context.caller.roles.contains(Vault::Role::"{role}") }};"#
        )
    };
    let told = || {
        let lines = place.diff(&["--output", "jsonl"]).with(6).lines();
        let policies = lines.into_iter().filter(|change| change["kind"] == "policy");
        policies.map(|change| change["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    place.change(&[], &policy("clerk"));
    assert_eq!(told(), ["policy|policies|clerks||added"]);
    place.change(&[], &policy("temp"));
    assert_eq!(told(), ["policy|policies|clerks||added"], "whatever it says");
    fs::write(place.path("old.cedar"), policy("clerk")).unwrap();
    place.edit("vault.toml", &[("mode = ", &format!("policies = [{:?}]\nmode = ", place.path("old.cedar")))]);
    assert_eq!(told(), ["policy|policies|clerks||changed"]);
    fs::write(place.path("own.cedar"), policy("clerk").replace("clerks", "temps")).unwrap();
    assert_eq!(told(), ["policy|policies|clerks||removed", "policy|policies|temps||added"]);
}

/// A policy that needs a role and a scope of the same token.
fn both(role: &str, scope: &str) -> String {
    format!(
        r#"@id("{role}_{scope}") forbid(principal == Vault::Service::"corp:orders", action,
               resource == Vault::DataClass::"email") unless {{
               context.caller.roles.contains(Vault::Role::"{role}") && context.caller.scopes.contains("{scope}") }};"#
    )
}

#[test]
fn a_diff_asks_about_a_role_and_a_scope_at_once_where_a_policy_names_both() {
    let place = Place::new();
    place.edit("catalog.toml", &[("[tenants.acme]\n", ORDERS)]);
    let told = |own: &str| {
        place.change(&[], own);
        let lines = place.diff(&["--output", "jsonl"]).with(6).lines();
        lines.into_iter().filter(|line| line["kind"] == "access").collect::<Vec<_>>()
    };
    let pair = "access token with the role clerk and the scope batch";
    let lost = told(&both("clerk", "batch"));
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!((&lost[0]["change"], &lost[0]["with"]), (&"loses".into(), &"access token".into()));
    assert_eq!(lost[0]["unchanged_with"], serde_json::json!([pair]), "who has both keeps what it had");
    // What both together close, and neither alone.
    let closed = told(&both("clerk", "batch").replace("unless", "when"));
    let with: Vec<_> = closed.iter().map(|line| line["with"].as_str().unwrap()).collect();
    assert_eq!(with, [pair]);
    // What the role alone closes is not told of the pair again.
    let role = both("clerk", "batch").replace("unless", "when").replace("&&", "&& !");
    let with: Vec<_> = told(&role).iter().map(|line| line["with"].as_str().unwrap().to_owned()).collect();
    assert_eq!(with, ["access token with the role clerk"]);
}

#[test]
fn pairs_beyond_the_bound_are_told_as_not_asked_about() {
    let place = Place::new();
    place.edit("catalog.toml", &[("[tenants.acme]\n", ORDERS)]);
    let many = |count: usize| (0..count).map(|at| both("clerk", &format!("s{at}"))).collect::<String>();
    let left_out = |own: &str| {
        place.change(&[], own);
        let ended = place.diff(&["--output", "jsonl"]).with(6);
        let told = written(&ended.lines()).into_iter().find(|change| change[0] == "unasked");
        (told.map(|change| change[2].clone()), ended.err)
    };
    assert_eq!(left_out(&many(64)).0, None);
    let (told, err) = left_out(&many(67));
    assert_eq!(told.as_deref(), Some("3 pairs of a role and a scope were not asked about"));
    assert!(err.contains("3 pairs of a role and a scope") && err.contains("64"), "{err}");
}

#[test]
fn the_log_of_the_node_is_no_place_to_query() {
    let place = Place::new();
    // The auditor is no auditor any more: it loses what there was, which was nothing at the node.
    place.change(&[], r#"@id("closed") forbid(principal, action == Vault::Action::"query_access_log", resource);"#);
    let lines = place.diff(&["--output", "jsonl"]).with(6).lines();
    let lost: Vec<_> = lines.iter().filter(|line| line["action"] == "query_access_log").collect();
    assert!(!lost.is_empty());
    for line in lost {
        let places = line["places"].as_array().unwrap();
        assert!(!places.is_empty() && !places.contains(&"node".into()), "{line}");
    }
    // The node's checkpoint is one that can be asked for.
    place.change(&[], r#"@id("closed") forbid(principal, action == Vault::Action::"get_checkpoint", resource);"#);
    let out = place.diff(&["--output", "jsonl"]).with(6).out;
    assert!(out.contains("\"node\""), "{out}");
}
