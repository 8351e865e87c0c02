//! Which names of certificates are principals.

use std::{path::Path, sync::Arc};

use rcgen::DnType;
use tonic::Code;
use vault_domain::SystemClock;
use vault_tests::{
    certificates::{Identity, Name},
    requests::{detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use super::caller_with;
use crate::DISK;

fn prepared() -> TestVault {
    TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()))
}

async fn is_refused(vault: &TestVault, identity: &Identity, reason: &str) {
    let caller = caller_with(vault, Role::Nameless, identity).await;
    caller.tokenize(tokenize("email", [email(1)])).await.unwrap_err().is(Code::Unauthenticated, reason);
    caller.detokenize(detokenize("email", ["tok_eu_any"])).await.unwrap_err().is(Code::Unauthenticated, reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn spiffe_ids_of_other_trust_domains_are_refused_where_some_are_named() {
    let mut vault = prepared();
    vault.configure("tls", "spiffe_trust_domains = [\"test.tokenvault\", \"spare.example\"]");
    vault.start_again().await;
    vault.still_serves().await;
    let uri = |uri: &str| Name::Uri(uri.to_owned());
    for other in [
        "spiffe://other.example/payments",
        "spiffe://test.tokenvault.example/payments",
        "spiffe://test/payments",
        "spiffe://other.example/test.tokenvault/payments",
    ] {
        is_refused(&vault, &vault.authority().client(&[uri(other)]), "TRUST_DOMAIN_NOT_ALLOWED").await;
    }
    let twice = [uri(Role::Payments.principal()), uri("spiffe://spare.example/payments")];
    is_refused(&vault, &vault.authority().client(&twice), "CERTIFICATE_WITHOUT_IDENTITY").await;
    is_refused(&vault, &vault.authority().client(&[uri("spiffe://spare.example/x")]), "PRINCIPAL_UNKNOWN").await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_names_are_no_principals_where_they_are_switched_off() {
    let mut vault = prepared();
    vault.configure("tls", "dns_principals = \"off\"");
    vault.start_again().await;
    is_refused(&vault, vault.identity(Role::Host), "CERTIFICATE_WITHOUT_IDENTITY").await;
    vault.still_serves().await;
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_a_principal_where_that_is_switched_on_and_no_value_looks_like_another_name() {
    let mut vault = prepared();
    let of = |common, organization| {
        vault.authority().client_called(&[(DnType::OrganizationName, organization), (DnType::CommonName, common)])
    };
    let (good, other) = (of("orders service", "Acme"), of("orders service", "Globex"));
    let alone = vault.authority().client_called(&[(DnType::CommonName, "orders service,O=Acme")]);
    let foreign_kind = vault.authority().client_called(&[
        (DnType::OrganizationName, "Acme"),
        (DnType::CustomDnType(vec![1, 2, 3]), "x"),
        (DnType::CommonName, "orders service"),
    ]);
    let empty = vault.authority().client_called(&[]);
    vault.add_to_catalog(
        "[accounts.'subject:CN=orders\\20service,O=Acme']\n\
         tenant = \"acme\"\nregions = [\"eu\"]\n\
         grants = [{ actions = [\"tokenize\"], purposes = [\"bulk_load\"], audiences = [\"payments\"],\n\
         classes = [\"email\"] }]",
    );
    vault.start_again().await;
    is_refused(&vault, &good, "CERTIFICATE_WITHOUT_IDENTITY").await;
    vault.stop().await;
    vault.configure("tls", "subject_principals = \"on\"");
    vault.start_again().await;
    let mark = vault.mark("eu").await;
    let caller = caller_with(&vault, Role::Nameless, &good).await;
    caller.tokenize(tokenize("email", [email(1)])).await.unwrap();
    assert_eq!(vault.entry_since(&mark).await.principal, "subject:CN=orders\\20service,O=Acme");
    is_refused(&vault, &other, "PRINCIPAL_UNKNOWN").await;
    is_refused(&vault, &alone, "PRINCIPAL_UNKNOWN").await;
    is_refused(&vault, &foreign_kind, "CERTIFICATE_WITHOUT_IDENTITY").await;
    is_refused(&vault, &empty, "CERTIFICATE_WITHOUT_IDENTITY").await;
    // A name of another kind comes first.
    vault.still_serves().await;
    vault.finish().await;
}
