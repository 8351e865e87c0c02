//! New files while the vault serves.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use vault_domain::{Clock, Decision, Millis, SystemClock};
use vault_proto::v1;
use vault_server::{Config, Environment, Severity};
use vault_tests::{
    certificates::{Authority, Name},
    requests::{detokenize, email, tokenize, tokenize_item},
    roles::Role,
    stream::{loading, values},
    vault::TestVault,
};

use super::{LIST, LONG, caller_with, is_heard, leaf_shown, noticed, reload, reloads, today, with_list};
use crate::{DISK, vault};

const DONE: (Decision, Option<&str>) = (Decision::Allowed, None);
const REFUSED: (Decision, Option<&str>) = (Decision::Failed, Some("RELOAD_REFUSED"));

fn prepared() -> TestVault {
    TestVault::prepare(Path::new(DISK), Arc::new(SystemClock::new()))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificate_authorities_and_list_are_swapped_as_one_and_open_connections_go_on() {
    let mut vault = with_list(prepared(), today()).await;
    let payments = vault.identity(Role::Payments);
    let leaf = leaf_shown(&vault, vault.authority(), payments).await;
    let loader = vault.caller(Role::Loader).await;
    let mut stream = loader.tokenize_stream(None).await.unwrap();
    assert!(stream.send(v1::TokenizeStreamRequest { start: Some(loading()), ..Default::default() }).await);
    assert!(stream.send(values(1, vec![tokenize_item("email", email(1))])).await);
    assert_eq!(stream.answer().await.unwrap().unwrap().0, 1);

    let second = Authority::new("the second authority");
    let newcomer = second.client(&Role::Payments.names());
    let revoked = vault.authority().client(&Role::Payments.names());
    assert!(is_heard(&vault, &revoked).await);
    assert!(!is_heard(&vault, &newcomer).await);
    let server = vault.authority().server();
    let authorities = format!("{}{}", vault.authority().certificate_pem(), second.certificate_pem());
    let lists =
        format!("{}{}", vault.authority().revocation_list(&[&revoked], today()), second.revocation_list(&[], today()));
    // The key's file is told by its mode.
    let files =
        [("server.pem", server.certificate_pem()), ("server.key", &server.key_pem()), ("clients.pem", &authorities)];
    reload(&vault, &[&files[..], &[(LIST, &lists)]].concat()).await;

    assert_ne!(leaf_shown(&vault, vault.authority(), vault.identity(Role::Payments)).await, leaf);
    assert_eq!(
        leaf_shown(&vault, vault.authority(), vault.identity(Role::Payments)).await,
        server.certificate().to_vec()
    );
    assert!(is_heard(&vault, &newcomer).await, "the second authority's clients are served");
    assert!(!is_heard(&vault, &revoked).await, "who is in the new list is not");
    // What was open goes on: the stream, and calls on its connection.
    assert!(stream.send(values(2, vec![tokenize_item("email", email(2))])).await);
    assert_eq!(stream.answer().await.unwrap().unwrap().0, 2);
    stream.half_close();
    assert!(stream.answer().await.unwrap().is_none(), "a good end");
    loader.tokenize(tokenize("email", [email(3)])).await.unwrap();
    vault.stop().await;
    assert_eq!(reloads(&vault), [DONE]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_can_not_be_used_are_refused_and_those_from_before_stay() {
    let (before, after) = today();
    let mut vault = with_list(prepared(), (before, after)).await;
    let payments = vault.identity(Role::Payments);
    let leaf = leaf_shown(&vault, vault.authority(), payments).await;
    let old = vault.caller(Role::Loader).await;
    let good = |name: &str| fs::read_to_string(vault.directory().join(name)).unwrap();
    let other = vault.authority().server();
    let expired = vault.authority().server_between(2020, 2021);
    let list = |window| vault.authority().revocation_list(&[payments], window);
    // Of the same name, and another key.
    let foreign = Authority::new("the authority of a test");
    let fresh = list((Millis(before.0 + 60_000), after));
    let rows: Vec<(Vec<(&str, String)>, &str)> = vec![
        (vec![("server.pem", other.certificate_pem().to_owned())], "does not work"),
        (vec![("server.key", other.key_pem())], "does not work"),
        (vec![("server.key", "broken".to_owned())], "the server key"),
        (vec![("server.key", String::new())], "the server key"),
        (vec![("server.pem", String::new())], "holds no certificate"),
        (vec![("server.pem", good("server.pem").replace("-----END", "----END"))], "the server certificate"),
        (vec![("server.pem", expired.certificate_pem().to_owned()), ("server.key", expired.key_pem())], "has expired"),
        (vec![("clients.pem", String::new())], "the client CA"),
        (vec![("clients.pem", foreign.certificate_pem())], "no authority of tls.client_ca has signed"),
        (vec![(LIST, String::new())], "holds no revocation list"),
        (vec![(LIST, fresh[..fresh.len() / 2].to_owned())], "the revocation list"),
        (vec![(LIST, good("clients.pem"))], "holds no revocation list"),
        (
            vec![(LIST, foreign.revocation_list(&[payments], (before, after)))],
            "no authority of tls.client_ca has signed",
        ),
        (vec![(LIST, format!("{fresh}{fresh}"))], "the second one of its authority"),
        (vec![(LIST, list((Millis(before.0 + 60_000), Millis(before.0 + 120_000))))], "has expired"),
        (vec![(LIST, list((Millis(before.0 - 60_000), after)))], "older than the one in use"),
        (vec![(LIST, list((Millis(after.0 - 60_000), after)))], "not valid yet"),
    ];
    let count = rows.len();
    for (files, said) in rows {
        let kept: Vec<(&str, String)> = files.iter().map(|(name, _)| (*name, good(name))).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let logged = vault.process_log().read(<[u8]>::len);
        reload(&vault, &files).await;
        let log = vault.process_log().read(|log| String::from_utf8_lossy(&log[logged..]).into_owned());
        let error = log.lines().find(|line| line.contains("can't be used; those from before stay")).unwrap_or_default();
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(leaf_shown(&vault, vault.authority(), payments).await, leaf, "{said}");
        assert!(is_heard(&vault, payments).await, "{said}");
        old.tokenize(tokenize("email", [email(1)])).await.unwrap();
        // Only a running vault knows what was in use before.
        if !said.contains("in use") {
            let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
            let findings = config.findings(SystemClock::new().wall());
            let of_tls = |subject: &str| subject.starts_with("tls");
            assert!(findings.iter().any(|found| found.severity == Severity::Error && of_tls(found.subject)), "{said}");
        }
        kept.iter().for_each(|(name, text)| vault.replace(name, text));
    }
    vault.stop().await;
    assert_eq!(reloads(&vault), vec![REFUSED; count]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_refused_once_until_it_is_there_again() {
    let mut vault = prepared();
    vault.configure("tls", "reload_seconds = 1");
    vault.start_again().await;
    let mark = vault.mark("node").await;
    let certificate = fs::read(vault.directory().join("server.pem")).unwrap();
    fs::remove_file(vault.directory().join("server.pem")).unwrap();
    noticed(&vault, mark.size()).await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(vault.mark("node").await.size(), mark.size() + 1, "it is said once");
    assert!(is_heard(&vault, vault.identity(Role::Payments)).await);
    vault.replace("server.pem", certificate);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    vault.stop().await;
    assert_eq!(reloads(&vault), [REFUSED]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_elsewhere_is_noticed_as_kubernetes_swaps_it() {
    let mut vault = prepared();
    let place = vault.directory().to_owned();
    let authority = vault.authority();
    let (first, second) = (authority.server(), authority.server());
    for (folder, server) in [("..one", &first), ("..two", &second)] {
        fs::create_dir(place.join(folder)).unwrap();
        fs::write(place.join(folder).join("server.pem"), server.certificate_pem()).unwrap();
        fs::write(place.join(folder).join("server.key"), server.key_pem()).unwrap();
    }
    symlink("..one", place.join("..data")).unwrap();
    for name in ["server.pem", "server.key"] {
        fs::remove_file(place.join(name)).unwrap();
        symlink(format!("..data/{name}"), place.join(name)).unwrap();
    }
    vault.configure("tls", "reload_seconds = 1");
    vault.start_again().await;
    let payments = vault.identity(Role::Payments);
    assert_eq!(leaf_shown(&vault, vault.authority(), payments).await, first.certificate().to_vec());
    let mark = vault.mark("node").await;
    symlink("..two", place.join("..fresh")).unwrap();
    fs::rename(place.join("..fresh"), place.join("..data")).unwrap();
    noticed(&vault, mark.size()).await;
    assert_eq!(leaf_shown(&vault, vault.authority(), payments).await, second.certificate().to_vec());
    vault.stop().await;
    assert_eq!(reloads(&vault), [DONE]);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_of_an_authority_that_was_taken_out_is_refused_on_open_connections_too() {
    let second = Authority::new("the second authority");
    let mut vault = prepared();
    let (one, both) = (
        vault.authority().certificate_pem(),
        format!("{}{}", vault.authority().certificate_pem(), second.certificate_pem()),
    );
    vault.configure("tls", "reload_seconds = 86400");
    vault.replace("clients.pem", &both);
    vault.start_again().await;
    let token = vault.give("email", [email(1)]).await.remove(0);
    let newcomer = second.client(&[Name::Uri(Role::Payments.principal().to_owned())]);
    let payments = caller_with(&vault, Role::Payments, &newcomer).await;
    payments.detokenize(detokenize("email", [token.clone()])).await.unwrap();
    reload(&vault, &[("clients.pem", &one)]).await;
    let refusal = payments.detokenize(detokenize("email", [token.clone()])).await.unwrap_err();
    refusal.is(tonic::Code::Unauthenticated, "CERTIFICATE_NOT_VALID");
    assert!(!is_heard(&vault, &newcomer).await);
    vault.still_serves().await;
    // Its authority comes back, and so does it, on the same connection.
    reload(&vault, &[("clients.pem", &both)]).await;
    payments.detokenize(detokenize("email", [token])).await.unwrap();
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_without_lists_serves_as_before_and_config_check_tells_ages_and_ends() {
    let vault = vault().await;
    let config = Config::load(&vault.directory().join("vault.toml"), &Environment::default()).unwrap();
    let findings = config.findings(SystemClock::new().wall());
    for (subject, said) in [
        ("tls.certificate", "server.pem, number 1 is "),
        ("tls.certificate", " days old and ends in "),
        ("tls.client_ca", "clients.pem, number 1 is "),
        ("tls.client_crl", "counts until it expires"),
        ("tls.spiffe_trust_domains", "any trust domain"),
    ] {
        let found = findings.iter().any(|found| found.subject == subject && found.text.contains(said));
        assert!(found, "{subject} {said}: {findings:?}");
    }
    assert!(findings.iter().all(|found| !found.subject.starts_with("tls") || found.severity == Severity::Note));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_drop_no_call() {
    let mut vault = prepared();
    vault.configure("tls", "reload_seconds = 86400");
    vault.start_again().await;
    let loader = vault.caller(Role::Loader).await;
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    let calling = tokio::spawn(async move {
        let mut calls = 0;
        while !*stopped.borrow_and_update() {
            loader.tokenize(tokenize("email", [email(calls)])).await.unwrap();
            calls += 1;
        }
        calls
    });
    let servers: Vec<_> = (0..2).map(|_| vault.authority().server()).collect();
    for n in 0..100 {
        let server = &servers[n % 2];
        // The two files are not replaced in one step here, but nobody looks in between.
        reload(&vault, &[("server.pem", server.certificate_pem()), ("server.key", &server.key_pem())]).await;
        if n % 10 == 0 {
            assert!(is_heard(&vault, vault.identity(Role::Payments)).await);
        }
    }
    stop.send_replace(true);
    let calls = tokio::time::timeout(LONG, calling).await.unwrap().unwrap();
    assert!(calls > 0);
    vault.stop().await;
    assert_eq!(reloads(&vault), [DONE; 100]);
    vault.finish().await;
}
