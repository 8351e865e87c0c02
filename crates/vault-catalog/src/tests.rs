//! What a catalog takes and what it refuses, with the words that its author gets to read.

use std::{fmt::Write as _, time::Duration};

use vault_domain::{Action, RevealLevel, limits};
use vault_format::{LuhnMode, Preserving};

use crate::*;

const BASE: &str = r#"[tenants.acme]
[regions.eu]
[audiences.pay]
[audiences.help]
[purposes.settle]
[purposes.load]
[classes.card]
rule = "pan"
[classes.mail]
rule = "email"
"#;

pub(crate) fn base_with(more: &str) -> Result<Catalog, CatalogError> {
    Catalog::parse(&format!("{BASE}{more}"))
}

fn account_with(grants: &str) -> Result<Catalog, CatalogError> {
    base_with(&format!(
        "[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"pay\"]\n\
         grants = [{grants}]\n"
    ))
}

/// Asserts that `more` is refused for one fault: at this line of `more`, this key, with these words.
pub(crate) fn assert_fault(more: &str, line: usize, path: &str, words: &str) {
    let error = base_with(more).expect_err(more);
    let [fault] = error.faults() else { panic!("{more}\nhas not one fault but:\n{error}") };
    assert_eq!(fault.line, BASE.lines().count() + line, "{more}\n{error}");
    assert_eq!(fault.path, path, "{more}\n{error}");
    assert!(fault.problem.to_string().contains(words), "{more}\n{error}");
}

#[test]
fn the_sample_is_a_catalog() {
    let catalog = Catalog::parse(SAMPLE).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(catalog.classes().len(), 3);
    assert_eq!(catalog.accounts().len(), 7);
    let card = catalog.class("card_number").unwrap();
    assert_eq!(card.id().as_str(), "card_number");
    assert_eq!(card.rule_name(), RuleName::Pan);
    let preserving = Preserving { luhn: LuhnMode::Invalid, ..Preserving::keeping(0, 4) };
    assert_eq!(card.format(), Format::FormatPreserving(preserving));
    assert_eq!(card.determinism(), Determinism::PerAudience);
    assert!(card.purpose_required());
    assert_eq!((card.ttl_default(), card.ttl_max()), (None, None));
    assert!(catalog.class("customer_id").unwrap().rule().validate(b"4711").is_ok());
    assert!(catalog.class("customer_id").unwrap().rule().validate(b"4711x").is_err());
    assert_eq!(catalog.region("apac").unwrap().endpoint(), Some("https://vault-apac.example.com:8443"));
    assert_eq!(catalog.region("eu").unwrap().endpoint(), None);

    let payments = catalog.account("spiffe://dev.tokenvault.internal/payments").unwrap();
    assert_eq!(payments.tenant().as_str(), "acme");
    assert!(payments.is_member("payments") && !payments.is_member("support"));
    assert!(payments.is_cleared("eu") && !payments.is_cleared("apac"));
    let globex = catalog.account("spiffe://dev.tokenvault.internal/globex-payments").unwrap();
    assert_eq!(globex.tenant().as_str(), "globex");
}

#[test]
fn only_what_is_declared_is_found() {
    let catalog = Catalog::parse(SAMPLE).unwrap();
    for unknown in ["", "card_numbe", "CARD_NUMBER", "card_number ", "payments"] {
        assert!(catalog.class(unknown).is_none(), "{unknown}");
    }
    assert!(catalog.account("spiffe://dev.tokenvault.internal/payments/x").is_none());
    assert!(catalog.audience("settlement").is_none() && catalog.audience("payments").is_some());
    assert!(catalog.purpose("payments").is_none() && catalog.purpose("settlement").is_some());
    assert!(catalog.tenant("eu").is_none() && catalog.tenant("acme").is_some());
    assert!(catalog.region("acme").is_none());
}

#[test]
fn names_come_in_order() {
    let catalog = Catalog::parse(SAMPLE).unwrap();
    let names: Vec<_> = catalog.classes().map(|class| class.id().as_str()).collect();
    assert_eq!(names, ["card_number", "customer_id", "email"]);
    let principals: Vec<_> = catalog.accounts().map(|account| account.principal().as_str()).collect();
    assert!(principals.is_sorted());
}

#[test]
fn an_empty_catalog_is_one() {
    assert_eq!(Catalog::parse("").unwrap().classes().len(), 0);
}

#[test]
fn the_fingerprint_is_the_digest_of_the_text() {
    let catalog = Catalog::parse("").unwrap();
    assert_eq!(catalog.fingerprint(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ne!(Catalog::parse("# a comment\n").unwrap().fingerprint(), catalog.fingerprint());
}

#[test]
fn grants_cover_what_they_name_and_nothing_else() {
    let catalog = account_with(
        r#"{ actions = ["detokenize"], classes = ["card"], purposes = ["settle"] },
           { actions = ["tokenize"], classes = ["mail"], audiences = ["help"] },
           { actions = ["query_access_log"], purposes = ["settle"] }, { actions = ["get_checkpoint"] }"#,
    )
    .unwrap();
    let account = catalog.account("dns:a.example").unwrap();
    let (tokenize, detokenize) = (Action::Tokenize, Action::Detokenize);
    let covered = [
        (detokenize, "card", "pay", Some("settle"), true),
        (tokenize, "card", "pay", Some("settle"), false),
        (detokenize, "mail", "pay", Some("settle"), false),
        (detokenize, "card", "help", Some("settle"), false),
        (detokenize, "card", "pay", Some("load"), false),
        (detokenize, "card", "pay", None, false),
        // No purposes: any, and none. The audience of one grant does not join the class of another.
        (tokenize, "mail", "help", Some("load"), true),
        (tokenize, "mail", "help", None, true),
        (tokenize, "mail", "pay", None, false),
        (tokenize, "card", "help", None, false),
        (Action::QueryAccessLog, "card", "pay", Some("settle"), false),
    ];
    for (action, class, audience, purpose, expected) in covered {
        let is = account.covers_data(action, None, class, audience, purpose, &[]);
        assert_eq!(is, expected, "{action} {class} {audience} {purpose:?}");
    }
    assert!(account.covers_log(Action::QueryAccessLog, Some("settle"), &[]));
    assert!(!account.covers_log(Action::QueryAccessLog, Some("load"), &[]));
    assert!(!account.covers_log(Action::QueryAccessLog, None, &[]));
    assert!(account.covers_log(Action::GetCheckpoint, None, &[]));
    assert!(!account.covers_log(detokenize, Some("settle"), &[]));
    assert!(account.names_class(detokenize, "card") && !account.names_class(tokenize, "card"));
}

#[test]
fn a_grant_of_masks_covers_no_more() {
    let level = |level: &str| {
        let mail = "[classes.masked]\nrule = \"email\"\nmask = \"email\"";
        let account = "[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"pay\"]";
        let grant = format!("actions = [\"tokenize\", \"detokenize\"], classes = [\"masked\"]{level}");
        let catalog = base_with(&format!("{mail}\n{account}\ngrants = [{{ {grant} }}]\n")).unwrap();
        let account = catalog.account("dns:a.example").unwrap();
        let covers = |action, level| account.covers_data(action, level, "masked", "pay", None, &[]);
        assert!(covers(Action::Tokenize, None), "a level is of detokenize alone");
        let [full, masked] =
            [RevealLevel::Full, RevealLevel::Masked].map(|level| covers(Action::Detokenize, Some(level)));
        assert_eq!(covers(Action::Detokenize, None), full, "what is not said is all");
        (full, masked)
    };
    assert_eq!(level(""), (true, true));
    assert_eq!(level(", level = \"full\""), (true, true));
    assert_eq!(level(", level = \"masked\""), (false, true));
}

#[test]
fn faults_of_levels() {
    let fault = |grant: &str, key: &str, words| {
        let account = "[classes.hash]\nrule = \"email\"\nformat = \"one_way\"\n[accounts.\"dns:a.example\"]\n\
                       tenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"pay\"]\n";
        let path = format!("accounts.\"dns:a.example\".grants[0].{key}");
        assert_fault(&format!("{account}grants = [{{ {grant} }}]\n"), 8, &path, words);
    };
    let masks = "level = \"masked\"";
    fault(&format!("actions = [\"detokenize\"], classes = [\"card\"], {masks}"), "classes[0]", "has no mask");
    fault(&format!("actions = [\"detokenize\"], classes = [\"hash\"], {masks}"), "classes[0]", "[classes.hash]");
    fault("actions = [\"detokenize\"], classes = [\"card\"], level = \"some\"", "level", "write \"masked\", \"full\"");
    fault("actions = [\"tokenize\"], classes = [\"card\"], level = \"full\"", "level", "how much \"detokenize\"");
    fault("actions = [\"query_access_log\"], level = \"full\"", "level", "how much \"detokenize\"");
}

#[test]
fn lifetimes_default_to_the_longest() {
    let seconds = |s| Some(Duration::from_secs(s));
    let table = [
        ("", (None, None)),
        ("ttl_seconds_default = 60", (seconds(60), None)),
        ("ttl_seconds_max = 90", (seconds(90), seconds(90))),
        ("ttl_seconds_default = 60\nttl_seconds_max = 90", (seconds(60), seconds(90))),
    ];
    for (keys, expected) in table {
        let catalog = base_with(&format!("[classes.x]\nrule = \"email\"\n{keys}\n")).unwrap();
        let class = catalog.class("x").unwrap();
        assert_eq!((class.ttl_default(), class.ttl_max()), expected, "{keys}");
    }
}

#[test]
fn every_rule_can_be_written() {
    let table = [
        ("pan", "", "4111111111111111", "4111111111111112"),
        ("email", "", "a@b.example", "a"),
        ("digits", "digits_min = 4\ndigits_max = 6", "12345", "123"),
        ("pattern", "pattern = '[A-Z]{2}\\d+'\nlength_bytes_max = 5", "AB123", "AB1234"),
        ("text", "length_bytes_max = 3", "abc", "abcd"),
        ("iban", "", "GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 18"),
        ("phone", "", "+41 22 730 51 11", "022 730 51 11"),
        ("us_ssn", "", "055-09-0001", "955-09-0001"),
        ("de_steuer_id", "", "86 095 742 719", "86 095 742 718"),
        ("es_dni_nie", "", "12345678Z", "12345678A"),
        ("fr_nir", "", "255081416802538", "255081416802539"),
        ("nl_bsn", "", "111222333", "111222334"),
        ("pl_pesel", "", "44051401458", "44051401459"),
        ("uk_nino", "", "AB123456C", "QQ123456C"),
        ("date", "year_min = 1900\nyear_max = 2025", "2000-02-29", "1900-02-29"),
        ("bytes", "length_bytes_max = 3", "\u{1}", "abcd"),
    ];
    assert_eq!(table.len(), RuleName::ALL.len());
    for (rule, keys, good, bad) in table {
        let catalog = base_with(&format!("[classes.x]\nrule = \"{rule}\"\n{keys}\n")).unwrap();
        let class = catalog.class("x").unwrap();
        assert_eq!(class.rule_name().name(), rule);
        assert!(class.rule().validate(good.as_bytes()).is_ok(), "{rule}");
        assert!(class.rule().validate(bad.as_bytes()).is_err(), "{rule}");
    }
}

#[test]
fn tokens_of_card_classes_fail_the_luhn_check_unless_asked_for() {
    let table = [
        ("rule = \"pan\"", LuhnMode::Invalid),
        ("rule = \"pan\"\nluhn = \"valid\"", LuhnMode::Valid),
        ("rule = \"pan\"\nluhn = \"none\"", LuhnMode::Any),
        ("rule = \"digits\"\ndigits_min = 9\ndigits_max = 9", LuhnMode::Any),
    ];
    for (keys, luhn) in table {
        let catalog = base_with(&format!("[classes.x]\nformat = \"format_preserving\"\n{keys}\n")).unwrap();
        let expected = Format::FormatPreserving(Preserving { luhn, ..Preserving::keeping(0, 0) });
        assert_eq!(catalog.class("x").unwrap().format(), expected, "{keys}");
    }
}

#[test]
fn a_preserving_class_is_refused_only_if_no_value_has_room() {
    let accepted = |keys: &str| match base_with(&format!("[classes.x]\nformat = \"format_preserving\"\n{keys}\n")) {
        Ok(_) => true,
        Err(error) => {
            assert!(matches!(error.faults(), [Fault { problem: Problem::TokenSpace, .. }]), "{error}");
            assert_eq!(error.faults()[0].path, "classes.x.format");
            false
        }
    };
    // The longest card number has 19 digits; 7 must be free where the Luhn check takes one.
    assert!(accepted("rule = \"pan\"\nkeep_first = 6\nkeep_last = 4"));
    assert!(accepted("rule = \"pan\"\nkeep_first = 8\nkeep_last = 4"));
    assert!(!accepted("rule = \"pan\"\nkeep_first = 9\nkeep_last = 4"));
    assert!(accepted("rule = \"digits\"\ndigits_min = 1\ndigits_max = 6"));
    assert!(!accepted("rule = \"digits\"\ndigits_min = 1\ndigits_max = 5"));
    assert!(!accepted("rule = \"digits\"\ndigits_min = 6\ndigits_max = 6\nluhn = \"valid\""));
    assert!(accepted("rule = \"digits\"\ndigits_min = 7\ndigits_max = 7\nluhn = \"valid\""));
    // Where separators may stand, they count among what is kept.
    assert!(accepted("rule = \"us_ssn\"\nkeep_last = 1"));
    assert!(accepted("rule = \"us_ssn\"\nkeep_last = 3\nrange = \"any\""));
    assert!(!accepted("rule = \"us_ssn\"\nkeep_last = 4\nrange = \"any\""));
    assert!(accepted("rule = \"iban\"\nkeep_first = 2\nkeep_last = 4"));
    assert!(accepted("rule = \"phone\"\nkeep_first = 1\nkeep_last = 4"));
    assert!(accepted("rule = \"phone\"\nkeep_first = 3\nkeep_last = 4\nrange = \"any\""));
    assert!(accepted("rule = \"uk_nino\"\nkeep_last = 1"));
    // Five letters are enough (26^5), four are not; with a Luhn check one of them is a digit.
    assert!(accepted("rule = \"text\"\nlength_bytes_max = 5"));
    assert!(!accepted("rule = \"text\"\nlength_bytes_max = 4"));
    assert!(!accepted("rule = \"text\"\nlength_bytes_max = 5\nkeep_first = 1"));
    assert!(accepted("rule = \"text\"\nlength_bytes_max = 5\nluhn = \"invalid\""));
    assert!(!accepted("rule = \"text\"\nlength_bytes_max = 5\nluhn = \"valid\""));
    assert!(!accepted("rule = \"text\"\nlength_bytes_max = 5\nkeep_first = 9\nluhn = \"valid\""));
}

#[test]
fn faults_of_sections_and_names() {
    assert_fault("[clases.x]\n", 1, "clases", "write \"tenants\", \"regions\"");
    assert_fault("[audiences.pay]\n", 1, "audiences.pay", "duplicate");
    assert_fault("[audiences.x\n", 1, "audiences.x", "unclosed table");
    assert_fault("[audiences.X]\n", 1, "audiences.X", "audience must match");
    assert_fault("[regions.node]\n", 1, "regions.node", "not be \"node\"");
    assert_fault("[audiences.x]\nmembers = []\n", 2, "audiences.x.members", "unknown field `members`");
    assert_fault("[audiences]\nx = 1\n", 2, "audiences.x", "invalid type");
    assert_fault("[accounts]\n\"dns:a\" = {}\n", 2, "accounts.\"dns:a\"", "missing field `tenant`");
    let account = "tenant = \"acme\"\nregions = [\"eu\"]\n";
    assert_fault(&format!("[accounts.loader]\n{account}"), 1, "accounts.loader", "spiffe://trust-domain/path");
    for bad in ["http://a.example", "https://", "https://a.example/x", "https://a.example:0", "https://u@a.example"] {
        assert_fault(&format!("[regions.us]\nendpoint = \"{bad}\"\n"), 2, "regions.us.endpoint", "https://host");
    }
    let error = Catalog::parse("classes = 3\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1, column 11: classes: invalid type: expected a table of entries, [section.<name>]"
    );
}

#[test]
fn faults_of_classes() {
    let class = |keys: &str, line, key: &str, words| {
        let path = if key.is_empty() { "classes.x".to_owned() } else { format!("classes.x.{key}") };
        assert_fault(&format!("[classes.x]\n{keys}\n"), line, &path, words);
    };
    class("", 1, "", "missing field `rule`");
    class("rule = 3", 2, "rule", "expected a string");
    class("rule = \"cvv\"", 2, "rule", "write \"pan\", \"email\", \"iban\"");
    class("rule = \"pan\"\nformt = \"opaque\"", 3, "formt", "unknown field `formt`");
    class("rule = \"pan\"\nformat = \"hash\"", 3, "format", "write \"opaque\", \"uuid\"");
    class("rule = \"text\"\nlength_bytes_max = 9\nformat = \"ff1\"", 4, "format", "alphabet is missing");
    class("rule = \"iban\"\nformat = \"ff1\"\nalphabet = \"digits\"", 4, "alphabet", "have letters too");
    class("rule = \"email\"\nformat = \"ff1\"\nalphabet = \"digits\"", 4, "alphabet", "have letters too");
    class("rule = \"digits\"\ndigits_min = 9\ndigits_max = 257\nformat = \"ff1\"", 5, "format", "256 bytes");
    class("rule = \"pan\"\nformat = \"ff1\"\nkeep_last = 4", 4, "keep_last", "the check digit");
    class("rule = \"pan\"\nformat = \"ff1\"\nkeep_first = 13", 3, "format", "1000000 tokens");
    class("rule = \"pan\"\nformat = \"ff1\"\nrange = \"any\"", 4, "range", "wherever the permutation");
    class("rule = \"phone\"\nformat = \"ff1\"\nluhn = \"valid\"", 4, "luhn", "the rule \"pan\" alone");
    class("rule = \"pan\"\nformat = \"ff1\"\nttl_seconds_max = 60", 4, "ttl_seconds_max", "nothing is stored");
    for kept in ["ttl_seconds_default = 60", "ttl_seconds_max = 60", "determinism = \"none\"", "keep_last = 4"] {
        let key = kept.split(' ').next().unwrap();
        class(&format!("rule = \"pan\"\nformat = \"one_way\"\n{kept}"), 4, key, "");
    }
    class("rule = \"pan\"\ndeterminism = \"per_person\"", 3, "determinism", "write \"none\", \"per_audience\"");
    class("rule = \"pan\"\ndeterminism = \"per_class\"", 1, "", "audiences is missing");
    class("rule = \"pan\"\ndeterminism = \"per_class\"\naudiences = []", 4, "audiences", "");
    class("rule = \"pan\"\ndeterminism = \"per_class\"\naudiences = [\"a\"]", 4, "audiences[0]", "");
    class("rule = \"pan\"\ndeterminism = \"per_audience\"\naudiences = [\"a\"]", 4, "audiences", "the one audience");
    class("rule = \"pan\"\nformat = \"ff1\"\ndeterminism = \"per_subject\"", 4, "determinism", "whose value");
    class("rule = \"pan\"\nluhn = \"valid\"", 3, "luhn", "the formats \"format_preserving\"");
    class("rule = \"pan\"\nkeep_first = 6", 3, "keep_first", "the formats \"format_preserving\"");
    class("rule = \"pan\"\nformat = \"format_preserving\"\nluhn = \"no\"", 4, "luhn", "write \"invalid\", \"valid\"");
    class("rule = \"pan\"\nformat = \"format_preserving\"\nkeep_last = -1", 4, "keep_last", "invalid value");
    class("rule = \"pan\"\npattern = \"x\"", 3, "pattern", "belongs to another rule");
    class("rule = \"email\"\nlength_bytes_max = 9", 3, "length_bytes_max", "belongs to another rule");
    class("rule = \"text\"", 2, "rule", "length_bytes_max is missing");
    class("rule = \"text\"\nlength_bytes_max = 0", 3, "length_bytes_max", "1 to 65536 bytes");
    class("rule = \"digits\"\ndigits_min = 5\ndigits_max = 4", 4, "digits_max", "the least not above the most");
    class("rule = \"pattern\"\nlength_bytes_max = 5", 2, "rule", "pattern is missing");
    class("rule = \"pattern\"\nlength_bytes_max = 5\npattern = \"[0-9\"", 4, "pattern", "unclosed character class");
    class("rule = \"pan\"\nttl_seconds_default = 0", 3, "ttl_seconds_default", "1 to 3153600000 seconds");
    class("rule = \"pan\"\nttl_seconds_max = 9\nttl_seconds_default = 10", 4, "ttl_seconds_default", "1 to 9 seconds");
    class("rule = \"pan\"\npurpose_required = \"yes\"", 3, "purpose_required", "expected a boolean");
    class("rule = \"pan\"\nreference_required = 1", 3, "reference_required", "expected a boolean");
    class("rule = \"pan\"\nstep_up_assurance = 2", 3, "step_up_assurance", "step_up_seconds is missing");
    class("rule = \"pan\"\nstep_up_seconds = 9", 3, "step_up_seconds", "step_up_assurance is missing");
    class("rule = \"pan\"\nstep_up_assurance = 4\nstep_up_seconds = 9", 3, "step_up_assurance", "is 1, 2 or 3");
    class("rule = \"pan\"\nstep_up_assurance = 1\nstep_up_seconds = 0", 4, "step_up_seconds", "1 to 86400");
    class("rule = \"pan\"\nstep_up_assurance = 1\nstep_up_seconds = 86401", 4, "step_up_seconds", "1 to 86400");
}

#[test]
fn faults_of_accounts() {
    let account = |keys: &str, line, key: &str, words| {
        let dot = if key.is_empty() { "" } else { "." };
        let path = format!("accounts.\"dns:a.example\"{dot}{key}");
        assert_fault(&format!("[accounts.\"dns:a.example\"]\n{keys}\n"), line, &path, words);
    };
    account("tenant = \"acme\"", 1, "", "missing field `regions`");
    account("tenant = \"acme\"\nregions = []", 3, "regions", "this list is empty");
    account("tenant = \"amce\"\nregions = [\"eu\"]", 2, "tenant", "add [tenants.amce]; there is \"acme\"");
    account("tenant = \"acme\"\nregions = [\"eu\", \"us\"]", 3, "regions[1]", "no region \"us\"");
    account("tenant = \"acme\"\nregions = [\"eu\", \"eu\"]", 3, "regions[1]", "\"eu\" stands in this list twice");
    account("tenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"x\"]", 4, "audiences[0]", "add [audiences.x]");
    account("tenant = \"acme\"\nregions = [\"eu\"]\nroles = []", 4, "roles", "unknown field `roles`");
}

#[test]
fn faults_of_grants() {
    let grant = |grant: &str, key: &str, words| {
        let own = "tenant = \"acme\"\nregions = [\"eu\"]\naudiences = [\"pay\"]\ngrants = [\n";
        let path = format!("accounts.\"dns:a.example\".grants[0]{key}");
        assert_fault(&format!("[accounts.\"dns:a.example\"]\n{own}{grant}]\n"), 6, &path, words);
    };
    grant("{ classes = [\"card\"] }", "", "missing field `actions`");
    grant("{ actions = [] }", ".actions", "this list is empty");
    grant("{ actions = [\"reveal\"], classes = [\"card\"] }", ".actions[0]", "write \"tokenize\", \"detokenize\"");
    grant("{ actions = [\"start\"] }", ".actions[0]", "no action that can be granted");
    grant("{ actions = [\"tokenize\", \"tokenize\"], classes = [\"card\"] }", ".actions[1]", "twice");
    grant("{ actions = [\"tokenize\"] }", "", "classes is missing");
    grant("{ actions = [\"tokenize\"], classes = [] }", ".classes", "this list is empty");
    grant("{ actions = [\"tokenize\"], classes = [\"crad\"] }", ".classes[0]", "there is \"card\", \"mail\"");
    grant("{ actions = [\"tokenize\"], classes = [\"card\"], purposes = [] }", ".purposes", "this list is empty");
    grant("{ actions = [\"tokenize\"], classes = [\"card\"], purposes = [\"x\"] }", ".purposes[0]", "no purpose \"x\"");
    grant(
        "{ actions = [\"tokenize\"], classes = [\"card\"], audiences = [\"x\"] }",
        ".audiences[0]",
        "no audience \"x\"",
    );
    grant("{ actions = [\"tokenize\"], classes = [\"card\"], scopes = [] }", ".scopes", "this list is empty");
    grant("{ actions = [\"tokenize\"], classes = [\"card\"], scopes = [\"a b\"] }", ".scopes[0]", "visible ASCII");
    grant("{ actions = [\"tokenize\"], classes = [\"card\"], scopes = [\"a\", \"a\"] }", ".scopes[1]", "twice");
    grant("{ actions = [\"tokenize\"], class = [\"card\"] }", ".class", "unknown field `class`");
    grant("{ actions = [\"detokenize\"], classes = [\"card\"], audiences = [\"help\"] }", ".audiences[0]", "no member");
    grant("{ actions = [\"detokenize\", \"get_checkpoint\"], classes = [\"card\"] }", ".actions", "write two grants");
    grant("{ actions = [\"query_access_log\"], classes = [\"card\"] }", ".classes", "the log holds entries of all");
    grant("{ actions = [\"query_access_log\"], audiences = [\"pay\"] }", ".audiences", "the log is for no audience");
    grant(
        "{ actions = [\"get_checkpoint\"], purposes = [\"load\"] }",
        ".purposes",
        "query_access_log and export_access_log alone state one",
    );
    assert_fault(
        "[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\n[[accounts.\"dns:a.example\".grants]]\n\
         actions = [\"tokenize\"]\nclasses = [\"card\"]\n",
        4,
        "accounts.\"dns:a.example\".grants[0]",
        "the account is a member of no audience",
    );
}

#[test]
fn budgets_cover_what_they_name_and_all_where_they_name_nothing() {
    let account = "[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\n";
    let some = "[budgets.some]\nactions = [\"detokenize\", \"describe\"]\nclasses = [\"card\"]\n\
                purposes = [\"settle\"]\naccounts = [\"dns:a.example\"]\nper_minute = 5\nper_day = 1_000_000_000\n";
    let all = "[budgets.all]\nactions = [\"tokenize\"]\nper_hour = 1\n";
    let catalog = base_with(&format!("{account}{some}{all}")).unwrap();
    let names: Vec<_> = catalog.budgets().map(|budget| budget.name().as_str()).collect();
    assert_eq!(names, ["all", "some"]);
    let (all, some) = (catalog.budgets().next().unwrap(), catalog.budgets().last().unwrap());
    let limit = |window, items| BudgetLimit { window, items };
    assert_eq!(some.limits(), [limit(BudgetWindow::Minute, 5), limit(BudgetWindow::Day, 1_000_000_000)]);
    let (action, settle) = (Action::Detokenize, Some("settle"));
    assert!(some.covers(action, "dns:a.example", "card", settle));
    assert!(some.covers(Action::Describe, "dns:a.example", "card", settle));
    assert!(!some.covers(Action::Tokenize, "dns:a.example", "card", settle));
    assert!(!some.covers(action, "dns:b.example", "card", settle));
    assert!(!some.covers(action, "dns:a.example", "mail", settle));
    assert!(!some.covers(action, "dns:a.example", "card", Some("load")));
    assert!(!some.covers(action, "dns:a.example", "card", None));
    for purpose in [settle, None] {
        assert!(all.covers(Action::Tokenize, "dns:b.example", "mail", purpose));
        assert!(!all.covers(action, "dns:b.example", "mail", purpose));
    }
}

#[test]
fn rates_are_for_accounts_or_for_tenants() {
    let account = "[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\n";
    let rates = "[rates.all]\nper_second = 5\n[rates.one]\naccounts = [\"dns:a.example\"]\nper_second = 1\nburst = 9\n\
                 [rates.tenant]\ntenants = [\"acme\"]\nper_second = 1_000_000\n[rates.other]\ntenants = [\"globex\"]\n\
                 per_second = 1\n[tenants.globex]\n";
    let catalog = base_with(&format!("{account}{rates}")).unwrap();
    let account = catalog.account("dns:a.example").unwrap();
    let told = |rate: &Rate| (rate.name().as_str().to_owned(), rate.per_second(), rate.burst());
    let told: Vec<_> = catalog.rates().map(|rate| (told(rate), rate.counted_for(account))).collect();
    let row = |name: &str, per_second, burst, counted| ((name.to_owned(), per_second, burst), counted);
    assert_eq!(
        told,
        [
            row("all", 5, 5, Some("dns:a.example")),
            row("one", 1, 9, Some("dns:a.example")),
            row("other", 1, 1, None),
            row("tenant", 1_000_000, 1_000_000, Some("acme")),
        ]
    );
    let fault = |lines: &str, line, key: &str, words| {
        let path = if key.is_empty() { "rates.r".to_owned() } else { format!("rates.r.{key}") };
        assert_fault(&format!("[rates.r]\n{lines}\n"), line, &path, words);
    };
    fault("burst = 1", 1, "", "missing field `per_second`");
    fault("per_second = 0", 2, "per_second", "a rate is 1 to 1000000 calls");
    fault("per_second = 1\nburst = 1_000_001", 3, "burst", "a rate is 1 to 1000000 calls");
    fault("per_second = 1\ntenants = []", 3, "tenants", "this list is empty");
    fault("per_second = 1\ntenants = [\"globex\"]", 3, "tenants[0]", "there is no tenant");
    fault("per_second = 1\naccounts = [\"dns:b.example\"]", 3, "accounts[0]", "there is no account");
}

#[test]
fn faults_of_budgets() {
    let fault = |lines: &str, line, key: &str, words| {
        let path = if key.is_empty() { "budgets.b".to_owned() } else { format!("budgets.b.{key}") };
        assert_fault(&format!("[budgets.b]\n{lines}\n"), line, &path, words);
    };
    let reveals = "actions = [\"detokenize\"]";
    fault(reveals, 1, "", "per_minute, per_hour or per_day is missing");
    fault("per_day = 1", 1, "", "missing field `actions`");
    fault("actions = []\nper_day = 1", 2, "actions", "this list is empty");
    fault("actions = [\"get_checkpoint\"]\nper_day = 1", 2, "actions[0]", "is no action on data");
    fault("actions = [\"describe\", \"describe\"]\nper_day = 1", 2, "actions[1]", "twice");
    for number in ["0", "1_000_000_001"] {
        fault(&format!("{reveals}\nper_hour = {number}"), 3, "per_hour", "a budget is 1 to 1000000000 items");
    }
    fault(&format!("{reveals}\nper_minute = 9\nper_day = 8"), 3, "per_minute", "more than per_day allows");
    fault(&format!("{reveals}\nper_day = 1\nclasses = [\"cards\"]"), 4, "classes[0]", "there is no data class");
    fault(&format!("{reveals}\nper_day = 1\npurposes = [\"no\"]"), 4, "purposes[0]", "there is no purpose");
    fault(&format!("{reveals}\nper_day = 1\naccounts = [\"dns:b.example\"]"), 4, "accounts[0]", "there is no account");
    fault(&format!("{reveals}\nper_week = 1"), 3, "per_week", "unknown field");
}

#[test]
fn an_entry_with_a_fault_is_no_second_fault_to_those_who_refer_to_it() {
    let more = "[classes.x]\nrule = \"pna\"\n[accounts.\"dns:a.example\"]\ntenant = \"acme\"\nregions = [\"eu\"]\n\
                grants = [{ actions = [\"tokenize\"], classes = [\"x\"], audiences = [\"pay\"] }]\n";
    assert_fault(more, 2, "classes.x.rule", "no rule");
}

#[test]
fn all_faults_are_told_in_order_and_too_many_are_counted() {
    let error = base_with("[classes.x]\nrule = \"pna\"\nluhn = \"no\"\n[clases]\n[audiences.Y]\n").unwrap_err();
    let told: Vec<_> = error.faults().iter().map(|fault| (fault.line - 10, fault.path.as_str())).collect();
    assert_eq!(told, [(2, "classes.x.rule"), (3, "classes.x.luhn"), (4, "clases"), (5, "audiences.Y")]);
    assert_eq!(error.to_string().lines().count(), 4);

    let many = (0..60).fold(String::new(), |text, n| text + &format!("[audiences.X{n}]\n"));
    let error = Catalog::parse(&many).unwrap_err();
    assert_eq!((error.faults().len(), error.found()), (FAULTS_SHOWN_MAX, 60));
    assert!(error.to_string().ends_with("and 10 more"));
}

#[test]
fn columns_count_characters() {
    let error = Catalog::parse("[tenants.\"zürich\"] #\n").unwrap_err();
    assert_eq!((error.faults()[0].line, error.faults()[0].column), (1, 10));
    let error = Catalog::parse("[tenants.a]\ndescription = \"zürich\" x\n").unwrap_err();
    assert_eq!((error.faults()[0].line, error.faults()[0].column), (2, 24));
}

#[test]
fn limits_are_kept_to_the_last_entry() {
    let classes = |n: usize| (0..n).fold(String::new(), |text, n| text + &format!("[classes.c{n}]\nrule='pan'\n"));
    assert_eq!(Catalog::parse(&classes(limits::CLASSES_MAX)).unwrap().classes().len(), limits::CLASSES_MAX);
    let error = Catalog::parse(&classes(limits::CLASSES_MAX + 1)).unwrap_err();
    let expected = Problem::TooMany { found: limits::CLASSES_MAX + 1, max: limits::CLASSES_MAX };
    assert_eq!(error.faults()[0].problem, expected);

    let names = (0..=NAMES_MAX).fold(String::new(), |text, n| text + &format!("[purposes.p{n}]\n"));
    assert_eq!(Catalog::parse(&names).unwrap_err().found(), 1);
    let grants = "{ actions = [\"get_checkpoint\"] },".repeat(GRANTS_MAX);
    assert!(account_with(&grants).is_ok());
    assert_eq!(account_with(&format!("{grants}{grants}")).unwrap_err().found(), 1);
    let error = Catalog::parse(&" ".repeat(CATALOG_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(error.faults()[0].problem, Problem::TooLarge);
}

#[test]
fn a_hundred_thousand_accounts_fit_and_one_more_does_not() {
    let mut text = BASE.to_owned();
    for n in 0..limits::ACCOUNTS_MAX {
        writeln!(text, "[accounts.\"spiffe://x.example/ns/team/sa/{n:06}\"]\ntenant=\"acme\"\nregions=[\"eu\"]")
            .unwrap();
        writeln!(text, "audiences=[\"pay\"]\ngrants=[{{actions=[\"tokenize\",\"detokenize\"],classes=[\"card\"]}}]")
            .unwrap();
    }
    let catalog = Catalog::parse(&text).unwrap();
    assert_eq!(catalog.accounts().len(), limits::ACCOUNTS_MAX);
    let last = catalog.account("spiffe://x.example/ns/team/sa/099999").unwrap();
    assert!(last.covers_data(Action::Detokenize, None, "card", "pay", None, &[]));
    text.push_str("[accounts.\"dns:a.example\"]\ntenant=\"acme\"\nregions=[\"eu\"]\n");
    assert_eq!(Catalog::parse(&text).unwrap_err().found(), 1);
}
