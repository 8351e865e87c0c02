//! `token explain` and `admin`: who would be shown what, asked of a vault that serves; and access tokens that it
//! denies.

use std::{fs, path::Path};

use serde_json::Value;
use vault_tests::issuer::{SigningKey, jwks};

use crate::shell::{DevVault, SETTLE, run};

const DEV: &str = "spiffe://dev.tokenvault.internal";

/// A vault whose auditor may ask about others and denies access tokens, and which believes an issuer.
fn vault() -> DevVault {
    DevVault::start_with(|place: &Path| {
        let edit = |file: &str, from: &str, to: &str| {
            let text = fs::read_to_string(place.join(file)).unwrap();
            assert!(text.contains(from) || text.contains(to), "{from}");
            fs::write(place.join(file), text.replace(from, to)).unwrap();
        };
        edit(
            "catalog.toml",
            "    { actions = [\"get_checkpoint\"] },\n]\n",
            "    { actions = [\"get_checkpoint\"] },\n    { actions = [\"deny_access_token\", \"list_denied\"] },\n\
             \x20   { actions = [\"explain_access\"], classes = [\"email\"], audiences = [\"payments\"], \
             purposes = [\"audit\"] },\n]\n\n[accounts.\"corp:orders\"]\ntenant = \"acme\"\n\
             audiences = [\"payments\"]\nregions = [\"eu\"]\n\
             grants = [{ actions = [\"detokenize\"], classes = [\"email\"], \
             purposes = [\"settlement\"], scopes = [\"mail\"] }]\n",
        );
        let issuers = "[issuers.corp]\nissuer = \"https://login.example.com\"\n\
                       audiences = [\"https://vault.example.com\"]\nalgorithms = [\"ES256\"]\n\
                       jwks_file = \"corp.json\"\n";
        fs::write(place.join("issuers.toml"), issuers).unwrap();
        fs::write(place.join("corp.json"), jwks(&[&SigningKey::ec("one")])).unwrap();
        let config = fs::read_to_string(place.join("vault.toml")).unwrap();
        fs::write(place.join("vault.toml"), config + "\n[identity]\nissuers = \"issuers.toml\"\n").unwrap();
    })
}

#[test]
fn an_explanation_says_who_would_be_shown_a_value_and_the_log_about_whom_it_was() {
    let vault = vault();
    let token = vault.tokens("email", &["ada@example.com"]).remove(0);
    let base = "token explain --class email --region eu --audience payments --purpose audit";
    let ask = |about: &str, code: i32| {
        let ended = vault.run("auditor", &format!("{base} {about}"), &token).with(code);
        assert!(!ended.out.contains("ada@") && !ended.out.contains(&token));
        ended.lines().remove(0)
    };
    let settle = "--caller-purpose settlement";
    let yes = ask(&format!("--caller {DEV}/payments {settle}"), 0);
    assert_eq!((&yes["shown"], &yes["level"], &yes["policies"][0]), (&true.into(), &"full".into(), &"grant".into()));
    for (about, reason) in [
        (format!("--caller {DEV}/payments"), "PURPOSE_REQUIRED"),
        (format!("--caller {DEV}/support {settle}"), "AUDIENCE_NOT_OWN"),
        (format!("--caller {DEV}/globex-payments {settle}"), "PRINCIPAL_UNKNOWN"),
        (format!("--caller corp:orders {settle}"), "ACCESS_DENIED"),
        (format!("--caller corp:orders {settle} --caller-scope mail --caller-clearance us"), "ACCESS_DENIED"),
    ] {
        let no = ask(&about, 3);
        assert_eq!((&no["shown"], &no["reason"]), (&false.into(), &reason.into()), "{about}");
        assert!(!no["text"].as_str().unwrap().is_empty() && !no["remedy"].as_str().unwrap().is_empty());
    }
    assert_eq!(ask(&format!("--caller corp:orders {settle} --caller-scope mail"), 0)["shown"], true);
    // A name of certificates comes without an access token: such a question has no answer.
    let wrong = vault.run("auditor", &format!("{base} --caller {DEV}/payments --caller-role clerk"), &token).with(1);
    assert!(wrong.err.contains("named by its issuer"), "{}", wrong.err);
    // About one's own call, as a reveal would be answered.
    let own = vault.run("payments", &format!("token explain --class email {SETTLE} --output table"), &token).with(0);
    assert!(own.out.contains("true") && own.out.contains("full"), "{}", own.out);
    let others = vault.run("payments", &format!("{base} --caller {DEV}/support"), &token).with(3);
    assert!(others.out.is_empty(), "{}", others.out);

    let query = "audit query --region eu --purpose audit --action explain_access --output jsonl";
    let entries = vault.run("auditor", query, "").with(0).lines();
    let about: Vec<&Value> = entries.iter().map(|entry| &entry["explained_principal"]).collect();
    let named = |name: &str| about.iter().filter(|about| **about == name).count();
    assert_eq!((named(&format!("{DEV}/payments")), named("corp:orders"), named("")), (2, 3, 2), "{about:?}");
    let table = vault.run("auditor", &query.replace("jsonl", "table"), "").with(0).out;
    assert!(table.contains("about corp:orders"), "{table}");
}

#[test]
fn operators_deny_access_tokens_and_see_which_are_denied() {
    let vault = vault();
    let deny = |account: &str, words: &str| vault.run(account, &format!("admin deny-token {words}"), "");
    let told = deny("auditor", "--issuer corp --reference CASE-1 j-1 j-2").with(0);
    assert!(told.err.contains("2 denied at this node"), "{}", told.err);
    assert!(deny("auditor", "--issuer corp --until 2020-01-01 j-old").with(1).err.contains("lies in the past"));
    assert!(deny("auditor", "--issuer nobody j-3").with(1).err.contains("file of issuers"));
    deny("payments", "--issuer corp j-4").with(3);
    let whole = "eyJhbGciOi.eyJzdWIi.c2ln";
    let quoted = |token: String| {
        let words = ["admin", "deny-token", "--issuer", "corp", &token];
        run(&mut vault.command("auditor", &words), "")
    };
    for before in ["", " ", "Bearer ", "bearer\t", "DPoP ", "Authorization: Bearer ", "authorization:bearer "] {
        let refused = quoted(format!("{before}{whole}")).with(2);
        assert!(refused.err.contains("jti") && !refused.err.contains(whole), "{refused:?}");
    }
    // Behind a scheme stands a token, whatever it looks like.
    assert!(quoted("Bearer a.b.c".to_owned()).with(2).err.contains("jti"));
    assert!(quoted("Bearer 0123".to_owned()).with(2).err.contains("jti"));
    let listed = vault.run("auditor", "admin denied-tokens --output jsonl", "").with(0).lines();
    let names: Vec<_> = listed.iter().map(|token| token["jti"].as_str().unwrap()).collect();
    assert_eq!(names, ["j-1", "j-2"]);
    assert_eq!((&listed[0]["issuer"], &listed[0]["reference"]), (&"corp".into(), &"CASE-1".into()));
    assert!(listed[0]["until"].as_str().unwrap().starts_with("20"));
    vault.run("payments", "admin denied-tokens", "").with(3);
}

#[test]
fn a_name_for_repeats_is_taken_where_it_has_an_effect_and_nowhere_else() {
    let vault = vault();
    let token = vault.tokens("email", &["ada@example.com"]).remove(0);
    let line = |verb: &str| format!("{verb} --class email {SETTLE} --idempotency-key order-1");
    assert!(vault.run("payments", &line("token describe"), &token).with(2).err.contains("--idempotency-key"));
    vault.run("payments", &line("detokenize"), &token).with(0);
    // One name for the best that is permitted, wherever it stands.
    let best = run(
        vault
            .command("payments", &["detokenize", "--class", "email", "--level", "best_permitted"])
            .args(SETTLE.split(' ')),
        &token,
    );
    assert_eq!(best.with(0).lines()[0]["level"], "full");
    let help = run(&mut vault.command("payments", &["detokenize", "--help"]), "").with(0).out;
    assert!(help.contains("best_permitted") && !help.contains("- best:"), "{help}");
}
