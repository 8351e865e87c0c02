//! Policies and catalog that change while the vault serves: calls go by the rules that hold when they begin, streams by
//! those that hold at each commit, and the log says since when.

use std::{fs, time::Duration};

use tokio::time::timeout;
use tonic::Code;
use vault_catalog::Catalog;
use vault_domain::Action;
use vault_engine::{Applied, ApplyError, PolicySet, PolicySource};
use vault_proto::v1;
use vault_tests::{
    requests::{card, detokenize, detokenize_item, email, tokenize, tokenize_item},
    roles::Role,
    stream::{settling, tokens},
    vault::TestVault,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_denied_is_carried_out_under_the_same_key_once_it_is_allowed_and_only_once() {
    const NO_CARDS: &str = r#"@id("no_cards") forbid(principal, action == Vault::Action::"tokenize",
        resource == Vault::DataClass::"card_number");"#;
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let items = || vec![tokenize_item("email", email(1)), tokenize_item("card_number", card(1))];
    let ask = || v1::TokenizeRequest { items: items(), idempotency_key: "k".to_owned(), ..tokenize("", [""; 0]) };
    apply(&vault, |text| text, NO_CARDS).await.unwrap();
    let first = loader.tokenize(ask()).await.unwrap();
    first.results[1].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let again = loader.tokenize(ask()).await.unwrap();
    again.results[1].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    apply(&vault, |text| text, "").await.unwrap();
    let mailed = first.results[0].as_ref().unwrap();
    let both = loader.tokenize(ask()).await.unwrap();
    let given = both.results[1].as_ref().unwrap();
    assert!(given.created && both.results[0].as_ref().unwrap().token == mailed.token);
    for _ in 0..2 {
        let repeated = loader.tokenize(ask()).await.unwrap().tokens();
        assert_eq!(repeated, [mailed.token.clone(), given.token.clone()], "nothing is made twice");
    }
    vault.finish().await;
}

/// Policies of the vault's catalog, changed by `change`, and `own` beside the built-in ones.
fn rules(vault: &TestVault, change: impl FnOnce(String) -> String, own: &str) -> PolicySet {
    let text = fs::read_to_string(vault.directory().join("catalog.toml")).unwrap();
    let catalog = Catalog::parse(&change(text)).unwrap_or_else(|error| panic!("{error}"));
    let own = (!own.is_empty()).then_some(PolicySource { name: "own.cedar", text: own });
    let sources: Vec<_> = [PolicySource::DEFAULT].into_iter().chain(own).collect();
    PolicySet::load(&sources, &catalog).unwrap_or_else(|error| panic!("{error}"))
}

async fn apply(vault: &TestVault, change: impl FnOnce(String) -> String, own: &str) -> Result<Applied, ApplyError> {
    vault.server().apply(rules(vault, change, own)).await
}

const NO_EMAIL: &str = r#"@id("no_email") forbid(principal, action == Vault::Action::"detokenize",
    resource == Vault::DataClass::"email");"#;

#[tokio::test(flavor = "multi_thread")]
async fn new_rules_hold_from_the_next_call_on_and_can_be_taken_back() {
    let mut vault = vault().await;
    let token = vault.give("email", [&email(1)]).await;
    let payments = vault.caller(Role::Payments).await;
    let reveal = || payments.detokenize(detokenize("email", token.clone()));
    assert_eq!(reveal().await.unwrap().values(), [email(1).into_bytes()]);

    let applied = apply(&vault, |text| text, NO_EMAIL).await.unwrap();
    assert_ne!(applied.before, applied.now);
    reveal().await.unwrap().results[0].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    let same = apply(&vault, |text| text, NO_EMAIL).await.unwrap();
    assert_eq!((&same.before, &same.now), (&applied.now, &applied.now), "nothing changed");
    let back = apply(&vault, |text| text, "").await.unwrap();
    assert_eq!((&back.before, &back.now), (&applied.now, &applied.before), "the old rules are the same as before");
    assert_eq!(reveal().await.unwrap().values(), [email(1).into_bytes()]);

    // Who is added may call, without a restart; who is taken away may not.
    let without =
        |text: String| text.replace("[accounts.\"spiffe://test.tokenvault/payments\"]", "[accounts.\"dns:x\"]");
    apply(&vault, without, "").await.unwrap();
    reveal().await.unwrap_err().is(Code::Unauthenticated, "PRINCIPAL_UNKNOWN");
    apply(&vault, |text| text, "").await.unwrap();
    assert!(reveal().await.is_ok());

    // The log of every region and of the node has each change, under the fingerprint that holds from then on.
    drop(payments);
    vault.stop().await;
    for scope in ["eu", "us", "node"] {
        let entries = vault.stored_log(scope).decoded();
        let fingerprint = |entry: &vault_ledger::Entry| {
            entry.head.policy_set.0.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let of = |action| entries.iter().filter(move |entry| entry.head.action == action);
        let changes: Vec<String> = of(Action::ApplyPolicies).map(fingerprint).collect();
        assert_eq!(changes.len(), 4, "{scope}: one for each change, none where nothing changed");
        assert!(applied.now.starts_with(&changes[0]) && applied.before.starts_with(&changes[1]), "{scope}");
        let starts: Vec<String> = of(Action::Start).map(fingerprint).collect();
        assert!(applied.before.starts_with(&starts[0]), "{scope}: the start says so too");
    }
    vault.start_again().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_goes_by_the_rules_that_hold_at_each_commit() {
    let vault = vault().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    let mut stream = vault.caller(Role::Payments).await.detokenize_stream(None).await.unwrap();
    let mut ask = async |n: u64| {
        let start = (n == 0).then(settling);
        let items = vec![detokenize_item("email", &token)];
        assert!(stream.send(v1::DetokenizeStreamRequest { start, ..tokens(n, items) }).await);
        let (_, answer) = timeout(Duration::from_secs(60), stream.answer()).await.unwrap().unwrap().unwrap();
        answer.results.into_iter().next().unwrap()
    };
    assert!(ask(0).await.is_ok());
    apply(&vault, |text| text, NO_EMAIL).await.unwrap();
    ask(1).await.unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    apply(&vault, |text| text, "").await.unwrap();
    assert!(ask(2).await.is_ok());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_is_added_while_it_serves_keeps_its_settings_from_its_first_token_on() {
    let mut vault = vault().await;
    let class = "[classes.badge]\nrule = \"digits\"\ndigits_min = 6\ndigits_max = 6\npurpose_required = false\n";
    let granted = |text: String| {
        let loader = text.find("[accounts.\"spiffe://test.tokenvault/loader\"]").unwrap();
        let grants = text[loader..].find("grants = [").unwrap() + loader + "grants = [".len();
        let grant = "\n{ actions = [\"tokenize\"], classes = [\"badge\"], audiences = [\"payments\"] },";
        format!("{}{grant}{}\n{class}", &text[..grants], &text[grants..])
    };
    let loader = vault.caller(Role::Loader).await;
    let ask = || loader.tokenize(tokenize("badge", ["123456"]));
    ask().await.unwrap().results[0].as_ref().unwrap_err().is(Code::PermissionDenied, "ACCESS_DENIED");
    apply(&vault, granted, "").await.unwrap();
    assert!(ask().await.unwrap().results[0].is_ok());
    drop(loader);

    // A catalog that gives it another format is refused, while it serves and at the next start.
    let path = vault.directory().join("catalog.toml");
    let changed =
        granted(fs::read_to_string(&path).unwrap()).replace("[classes.badge]", "[classes.badge]\nformat = \"uuid\"");
    let refused = apply(&vault, |_| changed.clone(), "").await.unwrap_err();
    let ApplyError::ClassChanged { class, setting, .. } = &refused else { panic!("{refused}") };
    assert_eq!((class.as_str(), setting.as_str()), ("badge", "format"));
    assert!(refused.to_string().contains("takes a restart"), "{refused}");
    let removed = apply(&vault, |text| text, "").await;
    assert!(removed.is_ok(), "{removed:?}");
    let refused = apply(&vault, |_| changed.clone(), "").await.unwrap_err();
    assert!(refused.to_string().contains("\"badge\" served with format = \"opaque\""), "{refused}");
    vault.still_serves().await;
    vault.stop().await;
    // After a restart its tokens stand against it.
    vault.start_again().await;
    let refused = apply(&vault, |_| changed.clone(), "").await.unwrap_err();
    assert!(refused.to_string().contains("\"badge\" has tokens in region \"eu\""), "{refused}");
    vault.stop().await;
    vault.start_again().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_without_a_region_that_is_served_are_refused_and_the_old_ones_hold() {
    let vault = vault().await;
    let without_us = |text: String| text.replace("[regions.us]\n", "").replace("\"eu\", \"us\"", "\"eu\"");
    let refused = apply(&vault, without_us, "").await.unwrap_err();
    assert!(matches!(&refused, ApplyError::RegionMissing(region) if region.as_str() == "us"), "{refused}");
    vault.still_serves().await;
    vault.finish().await;
}

/// Calls while the rules go to and fro: each is answered by the one or the other, whole, and none fails.
#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_call_goes_by_one_set_of_rules() {
    let vault = vault().await;
    let token = vault.give("email", [&email(1)]).await.remove(0);
    let payments = vault.caller(Role::Payments).await;
    let calling = async {
        let (mut shown, mut refused) = (0, 0);
        while shown < 50 || refused < 50 {
            let items = vec![token.clone(); 20];
            let results = payments.detokenize(detokenize("email", items)).await.unwrap().results;
            match results.iter().filter(|result| result.is_ok()).count() {
                20 => shown += 1,
                0 => refused += 1,
                some => panic!("{some} of 20"),
            }
        }
    };
    let changing = async {
        loop {
            apply(&vault, |text| text, NO_EMAIL).await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
            apply(&vault, |text| text, "").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        () = calling => {}
        () = changing => {}
    }
    drop(payments);
    vault.finish().await;
}
