//! `config diff` and `config test`: who may do what, before it serves; that the vault itself says the same; and what
//! `config check` doubts.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use serde_json::{Value, json};

use crate::shell::{DevVault, Ended, run, tokenvault};

/// A vault's configuration, and another one beside it.
pub(crate) struct Place {
    vault: DevVault,
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut vault = DevVault::start();
        assert_eq!(vault.stop(), Some(0));
        Self { vault }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.vault.place().join(name)
    }

    /// A second configuration with a catalog that is changed in these places, and with policies of its own.
    pub(crate) fn change(&self, changes: &[(&str, &str)], policies: &str) -> PathBuf {
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

    /// A second configuration that is the first once more.
    pub(crate) fn copy(&self) {
        fs::copy(self.path("vault.toml"), self.path("new.toml")).unwrap();
    }

    pub(crate) fn diff(&self, words: &[&str]) -> Ended {
        let mut command = tokenvault(&["config", "diff"]);
        run(command.arg(self.path("vault.toml")).arg(self.path("new.toml")).args(words), "")
    }

    /// Changes the first catalog.
    pub(crate) fn edit(&self, name: &str, changes: &[(&str, &str)]) {
        let mut text = fs::read_to_string(self.path(name)).unwrap();
        for (old, new) in changes {
            assert!(text.contains(old), "{old}");
            text = text.replacen(old, new, 1);
        }
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs a table against the first configuration.
    pub(crate) fn test(&self, table: &str, words: &[&str]) -> Ended {
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

/// The accesses among the changes.
fn accesses(changes: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Value> = changes.into_iter().filter(|change| change["kind"] == "access").collect();
    for change in &mut found {
        let fields = change.as_object_mut().unwrap();
        assert!(!fields.remove("id").unwrap().as_str().unwrap().is_empty());
        fields.remove("kind");
        assert_eq!(fields.remove("difference").unwrap().as_str().unwrap().len(), 64);
        assert_eq!(fields.remove("unchanged_with"), Some(json!([])));
    }
    found
}

/// What is written differently among the changes: kind, section, name, change, setting.
pub(crate) fn written(changes: &[Value]) -> Vec<[String; 5]> {
    let word = |change: &Value, field: &str| change[field].as_str().unwrap_or("-").to_owned();
    let others = changes.iter().filter(|change| change["kind"] != "access");
    others.map(|change| ["kind", "section", "name", "change", "setting"].map(|field| word(change, field))).collect()
}

fn words(change: [&str; 5]) -> [String; 5] {
    change.map(str::to_owned)
}

#[test]
fn a_diff_says_who_gains_and_who_loses_access() {
    let place = Place::new();
    place.copy();
    let same = place.diff(&["--output", "table"]).with(0).out;
    assert!(same.contains("Nothing that is compared differs"), "{same}");
    assert_eq!(place.diff(&["--output", "json"]).with(0).out, "[]\n");
    place.edit(
        "new.toml",
        &[("mode = ", "rules_from = \"applied\"\nmode = "), ("client_ca = [", "client_ca = [\"a.pem\", ")],
    );
    let keys = written(&place.diff(&["--output", "jsonl"]).with(6).lines());
    let settings: Vec<&str> = keys.iter().map(|change| change[4].as_str()).collect();
    assert_eq!(settings, ["rules_from", "tls.client_ca"], "{keys:?}");

    // The support desk may see cards; analytics lose what they had in one region by a policy.
    place.change(
        &[(r#"["detokenize"], classes = ["email"], p"#, r#"["detokenize"], classes = ["email", "card_number"], p"#)],
        r#"@id("not_in_us")
           forbid(principal == Vault::Service::"spiffe://dev.tokenvault.internal/analytics", action, resource)
           when { context has region && context.region == Vault::Region::"us" };"#,
    );
    let any = "certificate";
    let customer = ["detokenize", "customer_id", "analytics"];
    let card = ["detokenize", "card_number", "support"];
    let expected = [
        change("analytics", "loses", customer, &["us"], &["analysis"], any),
        change("support", "gains", card, &["eu", "us"], &["support_case"], any),
    ];
    let ended = place.diff(&["--output", "jsonl"]).with(6);
    assert_eq!(accesses(ended.lines()), expected);
    let support = "spiffe://dev.tokenvault.internal/support";
    assert_eq!(
        written(&ended.lines()),
        [
            words(["catalog", "accounts", support, "removed", "grants"]),
            words(["catalog", "accounts", support, "added", "grants"]),
            words(["policy", "policies", "not_in_us", "added", "-"]),
        ]
    );
    assert_eq!(place.diff(&["--output", "jsonl"]).with(6).out, ended.out, "ids too stay the same");
    let table = place.diff(&["--output", "table"]).with(6).out;
    assert!(table.contains("gains") && table.contains("loses") && table.contains("card_number"), "{table}");
}

pub(crate) const ORDERS: &str = r#"
[accounts."corp:orders"]
tenant = "acme"
audiences = ["support"]
regions = ["eu", "us"]
grants = [
    { actions = ["detokenize"], classes = ["email"], purposes = ["support_case"] },
    { actions = ["detokenize"], classes = ["customer_id"], purposes = ["support_case"], scopes = ["read"] },
]

[tenants.acme]
"#;

#[test]
fn a_diff_asks_about_each_account_as_it_can_come() {
    let place = Place::new();
    place.edit("catalog.toml", &[("[tenants.acme]\n", ORDERS)]);
    let step_up = "[classes.email]\nstep_up_assurance = 2\nstep_up_seconds = 900\n";
    place.change(&[("[classes.email]\n", step_up)], "");
    let lines = accesses(place.diff(&["--output", "jsonl"]).with(6).lines());
    // A certificate proves no strength, so that its account loses what it had; one that comes by a token keeps it.
    let of_support: Vec<_> =
        lines.iter().filter(|line| line["principal"].as_str().unwrap().ends_with("/support")).cloned().collect();
    let email = ["detokenize", "email", "support"];
    assert_eq!(of_support, [change("support", "loses", email, &["eu", "us"], &["support_case"], "certificate")]);
    assert!(lines.iter().all(|line| line["principal"] != "corp:orders"), "{lines:?}");

    // A certificate that lets nobody in any more.
    let payments = "[accounts.\"spiffe://dev.tokenvault.internal/payments\"]\n";
    place.change(&[(payments, &format!("{payments}access_token = \"required\"\n"))], "");
    let lost = place.diff(&["--output", "jsonl"]).with(6).lines();
    let who = "spiffe://dev.tokenvault.internal/payments";
    assert_eq!(written(&lost), [words(["catalog", "accounts", who, "added", "access_token"])]);
    let lost = accesses(lost);
    assert!(
        lost.len() >= 6 && lost.iter().all(|line| line["principal"] == who && line["change"] == "loses"),
        "{lost:?}"
    );
}

#[test]
fn a_diff_sees_roles_and_scopes() {
    let place = Place::new();
    place.edit("catalog.toml", &[("[tenants.acme]\n", ORDERS)]);
    let told = || {
        let lines = place.diff(&["--output", "jsonl"]).with(6).lines();
        let told = lines.iter().filter(|line| line["kind"] == "access").map(|line| {
            let word = |field: &str| line[field].as_str().unwrap().to_owned();
            (word("change"), word("data_class"), word("with"), line["unchanged_with"].clone())
        });
        told.collect::<Vec<_>>()
    };
    let word = |change: &str, class: &str, with: &str, unchanged: &[&str]| {
        (change.to_owned(), class.to_owned(), with.to_owned(), json!(unchanged))
    };
    // From now on a role is needed: whoever has it keeps what it had.
    place.change(
        &[],
        r#"@id("clerks") forbid(principal == Vault::Service::"corp:orders", action,
               resource == Vault::DataClass::"email") unless { context.caller.roles.contains(Vault::Role::"clerk") };"#,
    );
    let clerk = "access token with the role clerk";
    assert_eq!(
        told(),
        [word("loses", "email", "access token", &[clerk]), word("loses", "email", "access token without scopes", &[])]
            [..1]
    );
    // One more scope is needed, which the token of one alone lacks.
    place.change(&[("scopes = [\"read\"]", "scopes = [\"read\", \"customers\"]")], "");
    assert_eq!(told(), [word("loses", "customer_id", "access token of the scope read alone", &[])]);
    // None is needed any more.
    place.change(&[(", scopes = [\"read\"]", "")], "");
    assert_eq!(told(), [word("gains", "customer_id", "access token without scopes", &[])]);
    // A scope closes what it should open.
    place.change(
        &[],
        r#"@id("batch") forbid(principal, action, resource) when { context.caller.scopes.contains("batch") };"#,
    );
    let batch = told();
    assert!(batch.contains(&word("loses", "email", "access token with the scope batch", &[])), "{batch:?}");
    assert!(batch.contains(&word("loses", "email", "access token of the scope batch alone", &[])), "{batch:?}");
}

/// Changes that no question sees, one by one.
#[test]
fn a_diff_tells_every_change_of_what_is_written_though_it_opens_and_closes_nothing() {
    let place = Place::new();
    let who = "spiffe://dev.tokenvault.internal/auditor";
    let auditor = "[accounts.\"spiffe://dev.tokenvault.internal/auditor\"]\n";
    let (tenant, audiences) = (r#"tenant = "acme""#, format!("{auditor}audiences = [\"support\"]\n"));
    let rows: [(&str, &str, [&str; 5]); 12] = [
        ("[tenants.acme]", "[tenants.other]\n[tenants.acme]", ["catalog", "tenants", "other", "added", "-"]),
        ("[audiences.support]", "[audiences.x]\n[audiences.support]", ["catalog", "audiences", "x", "added", "-"]),
        ("vault-apac.example.com", "vault.example.com", ["catalog", "regions", "apac", "changed", "endpoint"]),
        (auditor, &audiences, ["catalog", "accounts", who, "added", "audiences"]),
        ("mask = \"last4\"", "mask = \"first6last4\"", ["catalog", "classes", "card_number", "changed", "mask"]),
        ("keep_last = 4", "keep_last = 3", ["catalog", "classes", "card_number", "changed", "keep_last"]),
        ("luhn = \"invalid\"", "luhn = \"valid\"", ["catalog", "classes", "card_number", "changed", "luhn"]),
        ("{1,12}", "{2,12}", ["catalog", "classes", "customer_id", "changed", "pattern"]),
        (
            "[classes.email]\n",
            "[classes.email]\nttl_seconds_max = 60\n",
            ["catalog", "classes", "email", "added", "ttl_seconds_max"],
        ),
        (
            "[classes.email]\n",
            "[classes.email]\nreference_required = true\n",
            ["catalog", "classes", "email", "added", "reference_required"],
        ),
        (
            "format = \"opaque\"\ndeterminism = \"none\"",
            "format = \"opaque\"\ndeterminism = \"per_audience\"",
            ["catalog", "classes", "email", "added", "determinism"],
        ),
        (
            "[classes.email]\n",
            "[classes.new]\nrule = \"email\"\n[classes.email]\n",
            ["catalog", "classes", "new", "added", "-"],
        ),
    ];
    for (from, to, told) in rows {
        place.change(&[(from, to)], "");
        let ended = place.diff(&["--output", "jsonl"]).with(6);
        assert_eq!(written(&ended.lines()), [words(told)], "{to}");
        let lines = ended.lines();
        assert!(lines.iter().all(|line| line["kind"] != "access"), "{lines:?}");
        assert!(lines[0]["id"].as_str().unwrap().starts_with("catalog|"));
        let table = place.diff(&["--output", "table"]).with(6).out;
        assert!(table.contains(told[2]) && table.contains(told[3]), "{table}");
    }
    // A tenant that changes under an account changes whose data it works on, and no answer.
    place.change(
        &[(
            &format!("{auditor}description = \"asks who saw what; is granted no value at all\"\n{tenant}"),
            &format!("{auditor}tenant = \"globex\""),
        )],
        "",
    );
    let told = written(&place.diff(&["--output", "jsonl"]).with(6).lines());
    assert_eq!(told, [words(["catalog", "accounts", who, "changed", "tenant"])]);
    // A policy that opens and closes nothing is one all the same.
    place.change(
        &[],
        r#"@id("idle") forbid(principal, action, resource) when { context.caller.now < datetime("2020-01-01") };"#,
    );
    assert_eq!(
        written(&place.diff(&["--output", "jsonl"]).with(6).lines()),
        [words(["policy", "policies", "idle", "added", "-"])]
    );
}

#[test]
fn a_diff_tells_what_decides_who_gets_in() {
    let place = Place::new();
    place.copy();
    place.edit("new.toml", &[("regions = [\"eu\", \"us\"]", "regions = [\"eu\"]")]);
    let identity = |config: &str, file: &str| {
        let text = fs::read_to_string(place.path(config)).unwrap();
        fs::write(place.path(config), format!("{text}\n[identity]\nissuers = {:?}\n", place.path(file))).unwrap();
    };
    let told = || written(&place.diff(&["--output", "jsonl"]).with(6).lines());
    assert_eq!(
        told(),
        [words(["configuration", "configuration", "-", "changed", "regions"])].map(|mut words| {
            words[2] = String::new();
            words
        })
    );
    let issuers = "[issuers.corp]\nissuer = \"https://a.example\"\nrules = [{ gives = \"role\", claim = \"r\" }]\n";
    fs::write(place.path("old-issuers.toml"), issuers).unwrap();
    fs::write(place.path("new-issuers.toml"), issuers.replace("claim = \"r\"", "claim = \"groups\"")).unwrap();
    identity("vault.toml", "old-issuers.toml");
    identity("new.toml", "new-issuers.toml");
    assert_eq!(told()[0], words(["issuer", "issuers", "corp", "changed", "rules"]));
}

#[test]
fn a_diff_of_too_many_questions_says_so_and_tells_what_is_written() {
    let place = Place::new();
    let many: String = (0..200)
        .map(|at| format!("[classes.c{at}]\nrule = \"email\"\n[purposes.p{at}]\n[audiences.a{at}]\n"))
        .collect();
    place.change(
        &[("[tenants.acme]\n", &format!("{many}[tenants.acme]\n"))],
        r#"@id("all") permit(principal, action, resource);"#,
    );
    let ended = place.diff(&["--output", "jsonl"]).with(6);
    assert!(ended.err.contains("nothing was asked about") && ended.err.contains("(all)"), "{}", ended.err);
    let told = written(&ended.lines());
    assert!(told.contains(&words(["unasked", "accesses", "nothing was asked about", "not asked", "-"])), "{told:?}");
    assert!(told.contains(&words(["policy", "policies", "all", "added", "-"])), "{told:?}");
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
    let open = place.diff(&["--source", "10.1.2.3"]).with(6).out;
    assert!(!open.contains("loses") && open.contains("office"), "the policy alone is told: {open}");
    assert!(place.diff(&["--source", "10.1.2.3", "--at", "2026-01-05T03:00:00Z"]).with(6).out.contains("loses"));
    assert!(place.diff(&[]).with(6).out.contains("loses"), "from nowhere that is known");
}

const TABLE: &str = "\
principal,action,data_class,audience,region,purpose,decision,reason
spiffe://dev.tokenvault.internal/payments,detokenize,card_number,payments,eu,settlement,allow,
spiffe://dev.tokenvault.internal/payments,detokenize,card_number,support,eu,settlement,deny,AUDIENCE_NOT_OWN
spiffe://dev.tokenvault.internal/support,detokenize,card_number,support,eu,support_case,deny,
spiffe://dev.tokenvault.internal/auditor,query_access_log,,,us,audit,allow,
spiffe://dev.tokenvault.internal/auditor,get_checkpoint,,,,,allow,
spiffe://dev.tokenvault.internal/nobody,query_access_log,,,eu,audit,deny,PRINCIPAL_UNKNOWN
";

#[test]
fn a_table_of_decisions_is_held_against_the_rules() {
    let place = Place::new();
    let ended = place.test(TABLE, &["--output", "jsonl"]).with(0);
    assert!(ended.out.is_empty() && ended.err.contains("6 of 6"), "{} {}", ended.out, ended.err);

    let wrong = TABLE.replace("support_case,deny", "support_case,allow").replace("AUDIENCE_NOT_OWN", "ACCESS_DENIED");
    let lines = place.test(&wrong, &["--output", "jsonl"]).with(1).lines();
    let told: Vec<_> =
        lines.iter().map(|line| (line["line"].as_u64().unwrap(), line["decided"].as_str().unwrap())).collect();
    assert_eq!(told, [(3, "deny AUDIENCE_NOT_OWN own_audience"), (4, "deny LEVEL_NOT_PERMITTED")]);
    assert_eq!(lines[1]["expected"], "allow");

    // What is decided can be taken over, and is then what is expected.
    place.test(&wrong, &["--update"]).with(0);
    let updated = fs::read_to_string(place.path("access.csv")).unwrap();
    assert!(updated.contains("deny,AUDIENCE_NOT_OWN,own_audience") && updated.contains("allow,,grant"), "{updated}");
    place.test(&updated, &[]).with(0);
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
        ("principal,action,decision\ndns:a.example,query_access_log,deny\n", "can't be asked"),
        ("principal,action,decision,level\ndns:a.example,get_checkpoint,deny,best\n", "best_permitted"),
        ("principal,action,decision,roles\ndns:a.example,get_checkpoint,deny,x\n", "named by its issuer"),
        ("principal,action,decision\na,b\n", "record 1"),
        ("principal,action,decision,decision\ndns:a.example,get_checkpoint,allow,deny\n", "is there twice"),
        // What has no titles may be anything.
        ("4111111111111111,ada@example.com\n", "it has no titles"),
        ("fedcba9876543210fedcba9876543210\n", "it has no titles"),
    ] {
        let ended = place.test(table, &[]).with(2);
        assert!(ended.err.contains(words), "{table}: {}", ended.err);
        assert!(["4111", "ada@", "fedcba"].iter().all(|secret| !ended.err.contains(secret)), "{}", ended.err);
    }
    let ended = run(tokenvault(&["config", "test", "/dev/zero", "--config"]).arg(place.path("vault.toml")), "").with(2);
    assert!(ended.err.contains("no regular file"), "{}", ended.err);
}

#[test]
fn a_table_is_updated_where_it_lies_and_keeps_its_mode() {
    let place = Place::new();
    let kept = place.path("kept.csv");
    let row = "spiffe://dev.tokenvault.internal/operator,apply_policies";
    fs::write(&kept, format!("principal,action,decision\n{row},allow\n")).unwrap();
    fs::set_permissions(&kept, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(&kept, place.path("access.csv")).unwrap();
    let mut command = tokenvault(&["config", "test", "--update", "--config"]);
    run(command.arg(place.path("vault.toml")).arg(place.path("access.csv")), "").with(0);
    assert!(fs::symlink_metadata(place.path("access.csv")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o640);
    // The right to exchange rules can be held fast, too: the sample grants it to nobody.
    let text = fs::read_to_string(&kept).unwrap();
    assert!(text.contains(&format!("{row},deny,")), "{text}");
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

#[test]
fn a_check_doubts_what_no_issuer_can_give() {
    let place = Place::new();
    place.edit("catalog.toml", &[("[tenants.acme]\n", ORDERS)]);
    let closed = "[accounts.\"spiffe://dev.tokenvault.internal/payments\"]\n";
    let config = place.change(
        &[(closed, &format!("{closed}access_token = \"required\"\n"))],
        r#"@id("clerks") forbid(principal, action, resource) when {
               context.caller.roles.contains(Vault::Role::"clerk") ||
               context.caller.roles.contains(Vault::Role::"temp") };"#,
    );
    let told = |issuers: &str| {
        let text = fs::read_to_string(place.path("new.toml")).unwrap();
        let text = text.split("\n[identity]").next().unwrap().to_owned();
        let identity = format!("\n[identity]\nissuers = {:?}\n", place.path("issuers.toml"));
        fs::write(place.path("issuers.toml"), issuers).unwrap();
        fs::write(place.path("new.toml"), if issuers.is_empty() { text } else { text + &identity }).unwrap();
        let check = run(tokenvault(&["config", "check", "--output", "jsonl", "--config"]).arg(&config), "").lines();
        let told = check.iter().filter(|finding| finding["about"] == "policies" && finding["severity"] == "warning");
        told.map(|finding| finding["finding"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let without = told("");
    let has = |told: &[String], text: &str| told.iter().any(|told| told.contains(text));
    assert!(has(&without, "nobody can come as corp:orders: the file of issuers"), "{without:?}");
    assert!(has(&without, "nobody can come as spiffe://dev.tokenvault.internal/payments"), "{without:?}");
    assert!(has(&without, "the role clerk, which no issuer's rules give"), "{without:?}");
    let corp = "[issuers.corp]\nissuer = \"https://login.example.com\"\naudiences = [\"https://v.example.com\"]\n\
                algorithms = [\"ES256\"]\njwks_file = \"corp.json\"\n";
    let table = told(&format!(
        "{corp}rules = [{{ gives = \"role\", claim = \"r\", table = {{ a = \"clerk\" }} }},\n\
         {{ gives = \"scope\", claim = \"scope\", table = {{ w = \"write\" }} }}]\n"
    ));
    assert!(has(&table, "grant 2 of corp:orders needs the scope read, which no rule of the issuer"), "{table:?}");
    assert!(has(&table, "the role temp") && !has(&table, "the role clerk"), "{table:?}");
    let any = told(&format!(
        "{corp}rules = [{{ gives = \"role\", claim = \"r\" }}, {{ gives = \"scope\", claim = \"scope\" }}]\n"
    ));
    assert!(!has(&any, "issuer's rules") && !has(&any, "corp:orders"), "{any:?}");
}
