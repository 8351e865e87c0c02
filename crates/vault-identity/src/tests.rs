//! What needs no key: claims and rules, the file of issuers, sets of keys.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vault_domain::{Millis, Session};

use crate::{Explained, Fault, Issuers, SettingsFault};

const FILE: &str = r#"
dpop_origins = ["https://vault.example.com"]

[issuers.corp]
issuer = "https://login.example.com"
audiences = ["https://vault.example.com"]
algorithms = ["ES256"]
jwks_file = "corp.json"
rules = [
    { gives = "tenant", claim = "org", table = { "Example Inc" = "acme" } },
    { gives = "role", claim = ["realm_access", "roles"], prefix = "vault-" },
    { gives = "scope", claim = "scope" },
    { gives = "clearance", claim = "regions" },
    { gives = "authenticated_at", claim = "auth_time" },
    { gives = "assurance", claim = "acr", table = { "silver" = 2, "gold" = 3 } },
    { gives = "assurance", claim = "amr", table = { "pwd" = 1, "otp+pwd" = 2, "hwk+pin" = 3 } },
]

[issuers.plain]
issuer = "https://plain.example.com"
audiences = ["https://vault.example.com"]
algorithms = ["RS256"]
jwks_file = "plain.json"
"#;

fn read(text: &str) -> Result<Issuers, SettingsFault> {
    Issuers::parse(text, Path::new("/etc"), Millis(0))
}

fn explain(change: impl FnOnce(&mut Value)) -> Explained {
    let mut claims = json!({
        "iss": "https://login.example.com", "sub": "orders", "org": "Example Inc", "regions": ["eu", "us"],
    });
    change(&mut claims);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let token = format!("{}.{}.AAAA", part(&json!({"alg": "ES256"})), part(&claims));
    read(FILE).unwrap().explain(&token).unwrap().1
}

fn session(change: impl FnOnce(&mut Value)) -> Session {
    explain(change).mapped.unwrap().session
}

/// A list as it is written.
fn shown<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn claims_become_what_the_rules_say_and_nothing_else() {
    let all = explain(|claims| {
        claims["realm_access"] = json!({"roles": ["vault-clerk", "admin", "vault-Not A Role", "vault-auditor", 7]});
        claims["scope"] = json!("tokenize detokenize");
        claims["auth_time"] = json!(1_700_000_000.5);
        claims["acr"] = json!("gold");
        claims["roles"] = json!(["vault-root"]);
    });
    let mapped = all.mapped.clone().unwrap();
    let Session { tenant, roles, scopes, clearance, authenticated_at, assurance } = mapped.session;
    assert_eq!(mapped.principal.as_str(), "corp:orders");
    assert_eq!(tenant.unwrap().as_str(), "acme");
    assert_eq!(shown(&roles), ["auditor", "clerk"]);
    assert_eq!(shown(&scopes), ["detokenize", "tokenize"]);
    assert_eq!(shown(&clearance.unwrap()), ["eu", "us"]);
    assert_eq!(authenticated_at, Some(Millis(1_700_000_000_500)));
    assert_eq!(assurance.unwrap().level(), 3);
    assert_eq!(all.ignored, ["roles"]);
    let roles = all.taken.iter().find(|taken| taken.claim == "realm_access/roles").unwrap();
    assert_eq!((roles.rule, roles.passed_over), (2, 2), "{roles:?}");

    // What is missing, of another type or unknown makes nothing wider.
    for org in [json!(null), json!("acme"), json!(["Example Inc"]), json!({"Example Inc": 1})] {
        assert_eq!(explain(|claims| claims["org"] = org).mapped, Err(Fault::Unmapped("tenant")));
    }
    for regions in [json!(null), json!([]), json!("EU"), json!(["node"]), json!({"eu": 1})] {
        assert_eq!(session(|claims| claims["regions"] = regions).clearance, Some(Box::default()));
    }
    for roles in [json!(null), json!("vault-clerk"), json!({"roles": {"vault-clerk": 1}})] {
        assert!(session(|claims| claims["realm_access"] = roles).roles.is_empty());
    }
    let many: Vec<String> = (0..129).map(|number| format!("vault-r{number}")).collect();
    assert!(explain(|claims| claims["realm_access"] = json!({"roles": many})).mapped.is_err());
    for sub in [json!(null), json!(""), json!("a b"), json!(7), json!("s".repeat(252)), json!("ü")] {
        assert_eq!(explain(|claims| claims["sub"] = sub).mapped, Err(Fault::Unmapped("principal")));
    }
}

#[test]
fn the_lowest_of_what_rules_say_of_assurance_counts() {
    let level = |change: &dyn Fn(&mut Value)| session(change).assurance.map(|assurance| assurance.level());
    assert_eq!(level(&|_| {}), None);
    assert_eq!(level(&|claims| claims["amr"] = json!(["pwd"])), Some(1));
    assert_eq!(level(&|claims| claims["amr"] = json!(["pwd", "otp"])), Some(2));
    assert_eq!(level(&|claims| claims["amr"] = json!(["pin", "hwk", "pwd"])), Some(1));
    assert_eq!(level(&|claims| claims["amr"] = json!(["face"])), None);
    assert_eq!(level(&|claims| claims["acr"] = json!("4")), None);
    assert_eq!(level(&|claims| (claims["acr"], claims["amr"]) = (json!("gold"), json!(["pwd"]))), Some(1));
}

#[test]
fn what_weakens_a_file_of_issuers_is_a_fault() {
    assert!(read(FILE).is_ok());
    let rows = [
        ("[issuers.corp]", "[issuers.spiffe]"),
        ("[issuers.corp]", "[issuers.dns]"),
        ("[issuers.corp]", "[issuers.subject]"),
        ("[issuers.corp]", "[issuers.\"corp:x\"]"),
        ("[issuers.corp]", "[issuers.Corp]"),
        ("https://plain.example.com", "https://login.example.com"),
        ("[\"ES256\"]", "[\"HS256\"]"),
        ("[\"ES256\"]", "[\"none\"]"),
        ("[\"ES256\"]", "[]"),
        ("audiences = [\"https://vault.example.com\"]", "audiences = []"),
        ("jwks_file = \"corp.json\"", ""),
        ("jwks_file = \"corp.json\"", "jwks_url = \"http://login.example.com/jwks\""),
        ("jwks_file = \"corp.json\"", "jwks_url = \"https://login.example.com/jwks\""),
        ("jwks_file = \"corp.json\"", "jwks_file = \"corp.json\"\nbinding = []"),
        ("jwks_file = \"corp.json\"", "jwks_file = \"corp.json\"\nbinding = [\"none\"]"),
        ("jwks_file = \"corp.json\"", "jwks_file = \"corp.json\"\nlifetime_seconds_max = 86401"),
        ("jwks_file = \"corp.json\"", "jwks_file = \"corp.json\"\nleeway_seconds = 301"),
        ("jwks_file = \"corp.json\"", "jwks_file = \"corp.json\"\ntypo = 1"),
        ("\"Example Inc\" = \"acme\"", "\"Example Inc\" = \"Acme\""),
        ("\"gold\" = 3", "\"gold\" = 4"),
        ("claim = \"acr\", table = { \"silver\" = 2, \"gold\" = 3 }", "claim = \"acr\""),
        ("claim = \"scope\"", "claim = []"),
        ("[\"https://vault.example.com\"]\n\n", "[\"https://vault.example.com/x\"]\n\n"),
    ];
    for (from, to) in rows {
        let changed = FILE.replacen(from, to, 1);
        assert_ne!(changed, FILE, "{from}");
        assert!(read(&changed).is_err(), "{to}");
    }
    let without_origins = FILE.replacen("dpop_origins", "#", 1);
    let dpop = "jwks_file = \"corp.json\"\nbinding = [\"dpop\"]";
    assert!(read(&without_origins.replacen("jwks_file = \"corp.json\"", dpop, 1)).is_err());
}

#[test]
fn keys_are_for_their_own_algorithm_or_for_none() {
    let issuers = read(FILE).unwrap();
    let corp = issuers.all().iter().find(|issuer| issuer.name() == "corp").unwrap();
    let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
    let good = json!({"kty": "EC", "crv": "P-256", "kid": "a", "x": coordinate, "y": coordinate});
    let take = |key: &Value| corp.take_keys(json!({"keys": [key]}).to_string().as_bytes(), std::time::Duration::ZERO);
    assert_eq!(take(&good), Ok(1));
    let rows = [
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
        ("alg", json!("HS256")),
        ("alg", json!(1)),
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("kid", json!(null)),
        ("kid", json!("")),
        ("kty", json!("oct")),
        ("crv", json!("P-384")),
        ("d", json!("AAAA")),
        ("x", json!("AAAA")),
    ];
    for (name, value) in rows {
        let mut bad = good.clone();
        bad[name] = value;
        assert!(take(&bad).is_err(), "{bad}");
    }
    let twice = json!({"keys": [good, good]}).to_string();
    assert!(corp.take_keys(twice.as_bytes(), std::time::Duration::ZERO).is_err(), "ambiguous");
}
