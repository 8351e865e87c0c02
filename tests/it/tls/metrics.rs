//! Measurements.

use std::{path::Path, sync::Arc};

use vault_domain::{Clock, SystemClock};
use vault_tests::{
    metrics::{ask, value},
    roles::Role,
    vault::TestVault,
};

use super::{LIST, is_heard, reload, today, with_list};
use crate::DISK;

#[tokio::test(flavor = "multi_thread")]
async fn ages_and_ends_of_certificates_and_lists_are_measured_and_so_are_reloads_and_refusals() {
    let vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    vault.configure("listen", "metrics = \"127.0.0.1:0\"");
    let (from, to) = today();
    let vault = with_list(vault, (from, to)).await;
    let address = vault.server().metrics_address().unwrap();
    vault.still_serves().await;
    let text = ask(address, "GET /metrics");
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("application/openmetrics-text"), "{text}");
    assert!(text.trim_end().ends_with("# EOF"), "{text}");
    let list = ["kind=\"tls.client_crl\"", LIST, "number=\"1\""];
    let seconds = |millis: u64| i64::try_from(millis / 1000).unwrap();
    assert_eq!(value(&text, "tokenvault_tls_file_not_before_seconds{", &list), seconds(from.0));
    assert_eq!(value(&text, "tokenvault_tls_file_not_after_seconds{", &list), seconds(to.0));
    let age = value(&text, "tokenvault_tls_file_age_seconds{", &list);
    assert!((3600..3700).contains(&age), "{age}");
    for kind in ["kind=\"tls.certificate\"", "kind=\"tls.client_ca\""] {
        assert!(value(&text, "tokenvault_tls_file_not_after_seconds{", &[kind]) > seconds(to.0));
    }
    let now = seconds(SystemClock::new().wall().0);
    assert!((now - 100..=now).contains(&value(&text, "tokenvault_tls_loaded_timestamp_seconds ", &[])));
    assert_eq!(value(&text, "tokenvault_connections_open ", &[]), 2);
    assert!(text.contains("tokenvault_build_info{version=\""), "{text}");

    reload(&vault, &[(LIST, "broken")]).await;
    let text = ask(address, "GET /metrics");
    assert_eq!(value(&text, "tokenvault_tls_reload_refused ", &[]), 1);
    assert_eq!(value(&text, "tokenvault_tls_reloads_total{", &["refused"]), 1);
    let fresh = vault.authority().revocation_list(&[vault.identity(Role::Idle)], (from, to));
    reload(&vault, &[(LIST, &fresh)]).await;
    assert!(!is_heard(&vault, vault.identity(Role::Idle)).await);
    let text = ask(address, "GET /metrics");
    assert_eq!(value(&text, "tokenvault_tls_reload_refused ", &[]), 0);
    assert_eq!(value(&text, "tokenvault_tls_reloads_total{", &["done"]), 1);
    assert_eq!(value(&text, "tokenvault_handshakes_refused_total{", &["CERTIFICATE_REVOKED"]), 1);
    for (line, status) in [("GET /", "404"), ("POST /metrics", "405"), ("GET /metrics/x", "404")] {
        let answer = ask(address, line);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn measurements_are_for_this_machine_unless_it_is_written_out() {
    let vault = TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()));
    vault.configure("listen", "metrics = \"0.0.0.0:0\"");
    let refused = vault.refused_start().await;
    assert!(refused.contains("listen.metrics") && refused.contains("danger_metrics_everywhere"), "{refused}");
    vault.configure("listen", "danger_metrics_everywhere = \"on\"");
    let server = vault.try_start().await.unwrap();
    assert!(server.metrics_address().is_some_and(|address| address.ip().is_unspecified()));
    server.shutdown().await;
    let nowhere = TestVault::start(Path::new(DISK)).await;
    assert!(nowhere.server().metrics_address().is_none());
    nowhere.finish().await;
}
