//! `config test` against a running vault: what the table says of a call is what the vault says of it.

use std::{collections::BTreeMap, fs, path::Path};

use vault_domain::{ManualClock, Reason};
use vault_proto::v1;
use vault_tests::{
    issuer::{SigningKey, jwks},
    requests::{self, card, customer, email},
    roles::Role,
    vault::{BEGINNING, TestVault},
};

use crate::shell::{run, tokenvault};

const ISSUERS: &str = r#"
[issuers.idp]
issuer = "https://idp.test.tokenvault"
audiences = ["https://vault.test.tokenvault"]
algorithms = ["ES256"]
jwks_file = "idp.json"
"#;
/// What an account that comes by a token may do, beside others that nobody can come as.
const ACCOUNTS: &str = r#"
[accounts."idp:orders"]
tenant = "acme"
audiences = ["payments", "analytics"]
regions = ["eu", "us"]
grants = [
    { actions = ["detokenize"], purposes = ["settlement"],
      classes = ["email", "customer_id", "salary", "fingerprint", "account"] },
    { actions = ["detokenize"], purposes = ["settlement"], classes = ["card_number"], level = "masked" },
    { actions = ["detokenize"], purposes = ["settlement"], classes = ["card_number"], scopes = ["cards"] },
]

[accounts."gone:orders"]
tenant = "acme"
audiences = ["payments"]
regions = ["eu", "us"]
grants = [{ actions = ["detokenize"], purposes = ["settlement"], classes = ["email"] }]
"#;
const POLICIES: &str = r#"
@id("customers_for_clerks")
forbid(principal == Vault::Service::"idp:orders", action, resource == Vault::DataClass::"customer_id")
unless { context.caller.roles.contains(Vault::Role::"clerk") };
"#;
const CLASSES: [&str; 8] =
    ["email", "salary", "customer_id", "fingerprint", "account", "account_mark", "card_number", "session"];
/// Titles of the table, and one call as a row has it.
const TITLES: [&str; 14] = [
    "principal",
    "action",
    "data_class",
    "audience",
    "region",
    "purpose",
    "level",
    "reference",
    "roles",
    "scopes",
    "clearance",
    "assurance",
    "authenticated_seconds",
    "at",
];
type Row = BTreeMap<&'static str, String>;

async fn vault() -> TestVault {
    let clock = ManualClock::at(BEGINNING);
    let mut vault = TestVault::prepare(Path::new(env!("CARGO_TARGET_TMPDIR")), std::sync::Arc::new(clock));
    vault.set_issuers(ISSUERS);
    let write = |name: &str, text: &str| fs::write(vault.directory().join(name), text).unwrap();
    write("idp.json", &jwks(&[&SigningKey::ec("one")]));
    write("own.cedar", POLICIES);
    vault.edit("vault.toml", "catalog = ", "policies = [\"own.cedar\"]\ncatalog = ");
    vault.add_to_catalog(ACCOUNTS);
    let all = CLASSES.map(|class| format!("{class:?}")).join(", ");
    vault.edit(
        "catalog.toml",
        "classes = [\"email\", \"customer_id\", \"session\", \"salary\"],",
        &format!("classes = [{all}],"),
    );
    vault.edit(
        "catalog.toml",
        "audiences = [\"payments\", \"support\"], purposes",
        "audiences = [\"payments\", \"support\", \"analytics\"], purposes",
    );
    vault.start_again().await;
    vault
}

/// What the table comes to, decision and reason and policies for each row.
fn decided(vault: &TestVault, rows: &[Row]) -> Vec<[String; 3]> {
    let table = vault.directory().join("access.csv");
    let line = |row: &Row| TITLES.map(|title| row.get(title).cloned().unwrap_or_default()).join(",");
    let rows: String = rows.iter().map(|row| format!("{},deny\n", line(row))).collect();
    fs::write(&table, format!("{},decision\n{rows}", TITLES.join(","))).unwrap();
    let mut command = tokenvault(&["config", "test", "--update"]);
    run(command.arg(&table).arg("--config").arg(vault.directory().join("vault.toml")), "").with(0);
    let text = fs::read_to_string(&table).unwrap();
    let decided = text.lines().skip(1).map(|line| {
        let mut cells = line.split(',').skip(TITLES.len());
        [(); 3].map(|()| cells.next().unwrap().to_owned())
    });
    decided.collect()
}

/// A token of each class for each audience in each region, as far as there can be one.
async fn tokens(vault: &TestVault) -> BTreeMap<[&'static str; 3], String> {
    let loader = vault.caller(Role::Loader).await;
    let mut tokens = BTreeMap::new();
    for class in CLASSES {
        for audience in ["payments", "analytics", "support"] {
            for region in ["eu", "us"] {
                let value = match class {
                    "email" | "fingerprint" => email(1),
                    "salary" => "52000".to_owned(),
                    "card_number" => card(1),
                    "session" => "a session".to_owned(),
                    "customer_id" => customer(1),
                    _ => "1234567890".to_owned(),
                };
                let mut request = requests::tokenize(class, [value]);
                (request.audience, request.region) = (audience.to_owned(), region.to_owned());
                let answer = loader.tokenize(request).await.unwrap();
                if let Some(Ok(issued)) = answer.results.first() {
                    tokens.insert([class, audience, region], issued.token.clone());
                }
            }
        }
    }
    tokens
}

/// Calls of many kinds, all that the table's words can say among them.
fn calls() -> Vec<Row> {
    let of = |pairs: &[(&'static str, &str)]| -> Row {
        pairs.iter().map(|(title, text)| (*title, (*text).to_owned())).collect()
    };
    let services = ["payments", "desk", "support", "analytics", "regional", "careful", "idle", "nobody"];
    let mut callers: Vec<Row> =
        services.iter().map(|name| of(&[("principal", &format!("spiffe://test.tokenvault/{name}"))])).collect();
    let orders = ("principal", "idp:orders");
    callers.extend([
        of(&[("principal", "gone:orders")]),
        of(&[orders]),
        of(&[orders, ("scopes", "cards")]),
        of(&[orders, ("roles", "clerk other")]),
        of(&[orders, ("clearance", "us")]),
        of(&[orders, ("assurance", "2"), ("authenticated_seconds", "900")]),
        of(&[orders, ("assurance", "2"), ("authenticated_seconds", "901")]),
        of(&[orders, ("assurance", "1"), ("authenticated_seconds", "0")]),
    ]);
    let mut calls = Vec::new();
    let mut number = 0;
    for caller in &callers {
        for class in CLASSES {
            // Who asks about a class can't ask for an audience that does not share it.
            let audiences = ["payments", "analytics", "support"].into_iter();
            let is_shared = |audience: &&str| !class.starts_with("account") || *audience != "support";
            for audience in audiences.filter(is_shared) {
                for region in ["eu", "us"] {
                    for purpose in ["", "settlement", "support_case", "curiosity"] {
                        for level in ["full", "masked", "best_permitted"] {
                            for reference in ["", "T-1"] {
                                number += 1;
                                let is_usual = (audience, region, purpose) == ("payments", "eu", "settlement");
                                if !is_usual && !requests::scattered(number).is_multiple_of(12) {
                                    continue;
                                }
                                let mut call = caller.clone();
                                call.extend(of(&[
                                    ("action", "detokenize"),
                                    ("data_class", class),
                                    ("audience", audience),
                                    ("region", region),
                                    ("purpose", purpose),
                                    ("level", level),
                                    ("reference", reference),
                                    ("at", "2026-01-01T00:00:00Z"),
                                ]));
                                calls.push(call);
                            }
                        }
                    }
                }
            }
        }
    }
    calls
}

fn question(call: &Row, token: &str) -> v1::ExplainAccessRequest {
    let text = |title: &str| call.get(title).cloned().unwrap_or_default();
    let list = |title: &str| text(title).split_whitespace().map(str::to_owned).collect();
    let level = match text("level").as_str() {
        "masked" => v1::RevealLevel::Masked,
        "best_permitted" => v1::RevealLevel::BestPermitted,
        _ => v1::RevealLevel::Full,
    };
    let caller = v1::ExplainedCaller {
        access_token: !text("principal").starts_with("spiffe:"),
        principal: text("principal"),
        roles: list("roles"),
        scopes: list("scopes"),
        clearance: list("clearance"),
        assurance: text("assurance").parse().unwrap_or_default(),
        authenticated_seconds: text("authenticated_seconds").parse().ok(),
        source: String::new(),
    };
    let explained = v1::ExplainedCall {
        audience: text("audience"),
        item: Some(requests::detokenize_item(&text("data_class"), token)),
        level: level.into(),
        purpose: text("purpose"),
        reference: text("reference"),
        caller: Some(caller),
    };
    v1::ExplainAccessRequest {
        region: text("region"),
        purpose: "audit".to_owned(),
        explained: Some(explained),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_says_of_reveals_what_the_running_vault_says() {
    let vault = vault().await;
    let (tokens, calls) = (tokens(&vault).await, calls());
    let decided = decided(&vault, &calls);
    let auditor = vault.caller(Role::Auditor).await;
    let (mut seen, mut wrong): (BTreeMap<String, usize>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for (call, [decision, reason, policies]) in calls.iter().zip(&decided) {
        let place = [call["data_class"].as_str(), &call["audience"], &call["region"]];
        // Where there can be no token, none is permitted to be shown: any will do.
        let token = tokens.iter().find(|(key, _)| **key == place).map_or("none", |(_, token)| token.as_str());
        let answer = auditor.explain(question(call, token)).await.unwrap();
        let said = if answer.revealed { "allow" } else { "deny" };
        if (said, answer.reason.as_str(), answer.policies.join(" ").as_str())
            != (decision.as_str(), reason.as_str(), policies.as_str())
        {
            wrong.push(format!("{call:?}: {decision} {reason} {policies}; the vault {answer:?}"));
        }
        *seen.entry(if answer.revealed { "allow".to_owned() } else { answer.reason }).or_default() += 1;
    }
    assert!(wrong.is_empty(), "{} of {}: {:#?}", wrong.len(), calls.len(), wrong.iter().take(5).collect::<Vec<_>>());
    // All that can stand against a reveal before its token is looked at did.
    for outcome in [
        "allow",
        "ACCESS_DENIED",
        "ACCESS_TOKEN_ISSUER_UNKNOWN",
        "ACCESS_TOKEN_REQUIRED",
        "AUDIENCE_NOT_OWN",
        "LEVEL_NOT_PERMITTED",
        "PRINCIPAL_UNKNOWN",
        "PURPOSE_REQUIRED",
        "PURPOSE_UNKNOWN",
        "REFERENCE_REQUIRED",
        "STEP_UP_REQUIRED",
        "TOKEN_ONE_WAY",
    ] {
        assert!(seen.contains_key(outcome), "{outcome}: {seen:?}");
    }
    vault.finish().await;
}

/// The reason of the log as a caller gets to see it; empty for none.
fn outside(name: &str) -> String {
    let known = Reason::ALL.iter().find(|reason| reason.name() == name);
    known.map_or(String::new(), |reason| reason.outside().name().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_says_of_other_calls_what_the_running_vault_answers() {
    let vault = vault().await;
    let tokens = tokens(&vault).await;
    let roles =
        [Role::Loader, Role::Payments, Role::Support, Role::Regional, Role::Idle, Role::Auditor, Role::Stranger];
    let mut rows: Vec<Row> = Vec::new();
    let mut answers = Vec::new();
    let reason = |answer: Result<(), vault_tests::refusal::Refusal>| {
        answer.err().map_or(String::new(), |refused| refused.reason)
    };
    for role in roles {
        let caller = vault.caller(role).await;
        let row = |pairs: &[(&'static str, &str)]| -> Row {
            let who = [("principal", role.principal()), ("at", "2026-01-01T00:00:00Z")];
            who.iter().chain(pairs).map(|(title, text)| (*title, (*text).to_owned())).collect()
        };
        for (class, audience, region, purpose) in [
            ("email", "payments", "eu", "bulk_load"),
            ("email", "payments", "us", "bulk_load"),
            ("email", "payments", "apac", "bulk_load"),
            ("email", "payments", "mars", "bulk_load"),
            ("email", "payments", "eu", ""),
            ("email", "payments", "eu", "settlement"),
            ("email", "nobody", "eu", "bulk_load"),
            ("no_class", "payments", "eu", "bulk_load"),
            ("fingerprint", "payments", "eu", "settlement"),
            ("account", "support", "eu", "bulk_load"),
            ("session", "payments", "eu", ""),
        ] {
            let value = if class == "account" { "1234567890".to_owned() } else { email(1) };
            let about = [("data_class", class), ("audience", audience), ("region", region), ("purpose", purpose)];
            let mut request = requests::tokenize(class, [value]);
            (request.region, request.audience, request.purpose) =
                (region.to_owned(), audience.to_owned(), purpose.to_owned());
            let answer = caller.tokenize(request).await;
            rows.push(row(&[&about[..], &[("action", "tokenize")]].concat()));
            answers.push(match answer {
                Ok(mut answer) => reason(answer.results.remove(0).map(drop)),
                Err(refused) => refused.reason,
            });

            let token = tokens.iter().find(|(key, _)| **key == [class, audience, region]);
            let mut request = requests::describe(class, [token.map_or("none", |(_, token)| token.as_str())]);
            (request.region, request.audience, request.purpose) =
                (region.to_owned(), audience.to_owned(), purpose.to_owned());
            let answer = caller.describe(request).await;
            rows.push(row(&[&about[..], &[("action", "describe")]].concat()));
            answers.push(match answer {
                Ok(mut answer) => reason(answer.remove(0).map(drop)),
                Err(refused) => refused.reason,
            });
        }
        for (region, purpose) in
            [("eu", "audit"), ("us", ""), ("eu", "curiosity"), ("apac", "audit"), ("mars", "audit")]
        {
            rows.push(row(&[("action", "query_access_log"), ("region", region), ("purpose", purpose)]));
            let request = v1::QueryAccessLogRequest { purpose: purpose.to_owned(), ..requests::query(region) };
            answers.push(reason(caller.query(request).await.map(drop)));
        }
        for region in ["eu", "us", "apac", "node"] {
            rows.push(row(&[("action", "get_checkpoint"), ("region", region.trim_start_matches("node"))]));
            answers.push(reason(caller.checkpoint(region).await.map(drop)));
        }
    }
    let decided = decided(&vault, &rows);
    for ((row, [_, reason, _]), answer) in rows.iter().zip(&decided).zip(&answers) {
        assert_eq!(outside(reason), *answer, "{row:?}");
    }
    let allowed = answers.iter().filter(|answer| answer.is_empty()).count();
    assert!(allowed > 10 && allowed < answers.len() / 2, "{allowed} of {}", answers.len());
    vault.finish().await;
}
