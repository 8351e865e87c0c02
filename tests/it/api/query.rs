//! Asking the log: filters, pages, tenants.

use std::{collections::BTreeSet, time::Duration};

use vault_domain::{Clock, ManualClock};
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    requests::{by, card, customer, detokenize, email, query, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::{vault, vault_and_clock};

/// All entries that match, newest first, by as many pages as it takes.
async fn all(caller: &Caller, query: &v1::QueryAccessLogRequest) -> Vec<v1::AccessLogEntry> {
    let (mut entries, mut next) = (Vec::new(), query.clone());
    loop {
        let page = caller.query(next.clone()).await.unwrap();
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        next.page_token = page.next_page_token;
    }
}

/// A history of some hundred calls of every kind, over ten seconds; gives the moments at its beginning, middle and end.
async fn history(vault: &TestVault, clock: &ManualClock, calls: u64) -> [u64; 3] {
    let emails = vault.give("email", (0..10).map(email)).await;
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let (support, idle) = (vault.caller(Role::Support).await, vault.caller(Role::Idle).await);
    let mut moments = [clock.wall().0; 3];
    for step in 0..10 {
        let running: Vec<_> = (0..calls / 10)
            .map(|n| {
                let (loader, payments, support, idle) =
                    (loader.clone(), payments.clone(), support.clone(), idle.clone());
                let token = emails[usize::try_from(n % 10).unwrap()].clone();
                tokio::spawn(async move {
                    match n % 7 {
                        0 => drop(loader.tokenize(tokenize("card_number", [card(n)])).await.unwrap()),
                        1 => {
                            drop(loader.tokenize(tokenize("customer_id", [customer(n), "x".to_owned()])).await.unwrap())
                        }
                        2 => drop(payments.detokenize(detokenize("email", [token])).await.unwrap()),
                        3 => drop(payments.detokenize(detokenize("card_number", [token])).await.unwrap()),
                        4 => drop(support.detokenize(detokenize("email", [token])).await.unwrap()),
                        5 => drop(idle.tokenize(tokenize("email", [email(n)])).await.unwrap()),
                        _ => drop(loader.tokenize(tokenize("email", [""; 0])).await.unwrap_err()),
                    }
                })
            })
            .collect();
        for call in running {
            call.await.unwrap();
        }
        if step == 4 {
            moments[1] = clock.wall().0;
        }
        clock.advance(Duration::from_secs(1));
    }
    moments[2] = clock.wall().0;
    clock.advance(Duration::from_secs(1));
    moments
}

fn matches(query: &v1::QueryAccessLogRequest, entry: &v1::AccessLogEntry) -> bool {
    let query = query.filter.clone().unwrap_or_default();
    let same = |asked: &str, found: &str| asked.is_empty() || asked == found;
    (query.from_ms == 0 || entry.log_time_ms >= query.from_ms)
        && (query.until_ms == 0 || entry.log_time_ms < query.until_ms)
        && same(&query.principal, &entry.principal)
        && same(&query.action, &entry.action)
        && same(&query.decision, &entry.decision)
        && (query.data_class.is_empty() || entry.items.iter().any(|items| items.data_class == query.data_class))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_alone_and_with_the_others_finds_exactly_what_matches() {
    let (vault, clock) = vault_and_clock().await;
    // More than two runs of the derived index, and a tail that it does not cover.
    let moments = history(&vault, &clock, 700).await;
    let auditor = vault.caller(Role::Auditor).await;
    let filter = by(|filter| filter.until_ms = moments[2]);
    let everything = all(&auditor, &v1::QueryAccessLogRequest { filter, page_size: 1000, ..query("eu") }).await;
    assert_eq!(everything.len(), 701);

    let mut asked = 0;
    for (from_ms, until_ms) in [(0, moments[2]), (moments[1], moments[2]), (moments[0], moments[1]), (moments[2], 1)] {
        for principal in ["", Role::Payments.principal(), Role::Idle.principal(), Role::Regional.principal()] {
            for action in ["", "tokenize", "detokenize"] {
                for decision in ["", "allowed", "denied", "failed"] {
                    for data_class in ["", "email", "card_number"] {
                        let query = v1::QueryAccessLogRequest {
                            filter: Some(v1::AccessLogFilter {
                                from_ms,
                                until_ms,
                                principal: principal.to_owned(),
                                action: action.to_owned(),
                                decision: decision.to_owned(),
                                data_class: data_class.to_owned(),
                                ..Default::default()
                            }),
                            page_size: 1000,
                            ..query("eu")
                        };
                        let expected = everything.iter().filter(|entry| matches(&query, entry));
                        let found = all(&auditor, &query).await;
                        assert!(found.iter().eq(expected), "{query:?}");
                        asked += usize::from(!found.is_empty());
                    }
                }
            }
        }
    }
    assert!(asked > 100, "most questions had an answer: {asked}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_complete_and_stay_so_while_the_log_grows() {
    let (vault, clock) = vault_and_clock().await;
    history(&vault, &clock, 300).await;
    let auditor = vault.caller(Role::Auditor).await;
    for action in ["", "detokenize"] {
        let ask = v1::QueryAccessLogRequest {
            filter: by(|filter| filter.action = action.to_owned()),
            page_size: 7,
            ..query("eu")
        };
        let first = auditor.query(ask.clone()).await.unwrap();
        let size = first.log_size;
        let (mut found, mut next) = (first.entries, first.next_page_token);
        while !next.is_empty() {
            vault.give("email", [email(1)]).await;
            let page = auditor.query(v1::QueryAccessLogRequest { page_token: next, ..ask.clone() }).await.unwrap();
            assert!(page.entries.len() <= 7 && page.log_size > size);
            found.extend(page.entries);
            next = page.next_page_token;
        }
        let indexes: Vec<u64> = found.iter().map(|entry| entry.receipt.as_ref().unwrap().index).collect();
        assert!(indexes.windows(2).all(|pair| pair[0] > pair[1]), "newest first, none twice");
        let whole = all(&auditor, &v1::QueryAccessLogRequest { page_size: 1000, ..ask }).await;
        let before = whole.into_iter().filter(|entry| entry.receipt.as_ref().unwrap().index < size);
        assert!(found.into_iter().eq(before), "exactly what was there when the first page was taken");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_holds_a_hundred_entries_unless_asked_otherwise() {
    let (vault, clock) = vault_and_clock().await;
    history(&vault, &clock, 120).await;
    let auditor = vault.caller(Role::Auditor).await;
    for (page_size, expected) in [(0, 100), (1, 1), (1000, 123)] {
        let page = auditor.query(v1::QueryAccessLogRequest { page_size, ..query("eu") }).await.unwrap();
        assert_eq!(page.entries.len(), expected);
        assert_eq!(page.next_page_token.is_empty(), page_size == 1000);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_leads_to_its_whole_history_without_standing_in_the_log() {
    let vault = vault().await;
    let (loader, payments) = (vault.caller(Role::Loader).await, vault.caller(Role::Payments).await);
    let auditor = vault.caller(Role::Auditor).await;
    for (class, value, other) in
        [("card_number", card(1), card(2)), ("email", email(1), email(2)), ("customer_id", customer(1), customer(2))]
    {
        let given = loader.tokenize(tokenize(class, [&other, &value])).await.unwrap();
        let tokens = given.tokens();
        let revealed = payments.detokenize(detokenize(class, [&tokens[1]])).await.unwrap();
        payments.detokenize(detokenize(class, [&tokens[0]])).await.unwrap();
        // The token under a class that it is not of: that too was an attempt on it.
        let filter = by(|filter| (filter.data_class, filter.token) = (class.to_owned(), tokens[1].clone()));
        let ask = v1::QueryAccessLogRequest { filter, ..query("eu") };
        let found: Vec<_> = all(&auditor, &ask).await.into_iter().map(|entry| entry.receipt.unwrap()).collect();
        assert_eq!(found, [revealed.receipt, given.receipt], "{class}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_with_a_token_that_never_was_are_found_by_it() {
    let vault = vault().await;
    let payments = vault.caller(Role::Payments).await;
    let auditor = vault.caller(Role::Auditor).await;
    for (class, token) in [("card_number", "4929831700526640"), ("email", "tok_eu_made_up"), ("email", &made_up())] {
        let tried = payments.detokenize(detokenize(class, [token])).await.unwrap();
        payments.detokenize(detokenize(class, ["4929831700526641"])).await.unwrap();
        let filter = by(|filter| (filter.data_class, filter.token) = (class.to_owned(), token.to_owned()));
        let ask = v1::QueryAccessLogRequest { filter, ..query("eu") };
        let found: Vec<_> = all(&auditor, &ask).await.into_iter().map(|entry| entry.receipt.unwrap()).collect();
        assert_eq!(found, [tried.receipt], "{token}");
    }
    vault.finish().await;
}

/// A token of the right form that nobody was given.
fn made_up() -> String {
    format!("tok_eu_0{}", "0123456789ABCDEFGHIJKLMNOPQR")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_sees_its_own_entries_alone() {
    let vault = vault().await;
    let acme = vault.give("email", [email(1)]).await.remove(0);
    let globex = vault.caller(Role::GlobexLoader).await.tokenize(tokenize("email", [email(2)])).await.unwrap();
    let globex = globex.tokens().remove(0);
    for (role, own, other) in [(Role::Payments, &acme, &globex), (Role::GlobexPayments, &globex, &acme)] {
        vault.caller(role).await.detokenize(detokenize("email", [own])).await.unwrap();
        vault.caller(role).await.detokenize(detokenize("email", [other])).await.unwrap();
    }
    for (role, tenant, principals) in [
        (Role::Auditor, "acme", [Role::Loader, Role::Payments, Role::Auditor]),
        (Role::GlobexAuditor, "globex", [Role::GlobexLoader, Role::GlobexPayments, Role::GlobexAuditor]),
    ] {
        let auditor = vault.caller(role).await;
        auditor.query(query("eu")).await.unwrap();
        let entries = all(&auditor, &query("eu")).await;
        assert_eq!(entries.len(), 4);
        assert!(entries.iter().all(|entry| entry.tenant == tenant));
        let found: BTreeSet<&str> = entries.iter().map(|entry| entry.principal.as_str()).collect();
        assert_eq!(found, principals.iter().map(|role| role.principal()).collect());
        // Nor by naming what is the other's.
        for principal in [Role::Payments, Role::GlobexPayments] {
            let ask = v1::QueryAccessLogRequest {
                filter: by(|filter| filter.principal = principal.principal().to_owned()),
                ..query("eu")
            };
            assert!(all(&auditor, &ask).await.iter().all(|entry| entry.tenant == tenant));
        }
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_ask_the_log_is_itself_in_the_log() {
    let vault = vault().await;
    let auditor = vault.caller(Role::Auditor).await;
    let ask = v1::QueryAccessLogRequest { reference: "AUDIT-2026/1".to_owned(), ..query("eu") };
    let first = auditor.query(ask).await.unwrap();
    let second = auditor.query(query("eu")).await.unwrap();
    let entry = &second.entries[0];
    assert_eq!(entry.receipt, first.receipt);
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("query_access_log", "allowed"));
    assert_eq!((entry.purpose.as_str(), entry.reference.as_str()), ("audit", "AUDIT-2026/1"));
    assert_eq!(entry.principal, Role::Auditor.principal());
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_have_logs_of_their_own() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    for (region, n) in [("eu", 1), ("us", 2), ("us", 3)] {
        let request = v1::TokenizeRequest { region: region.to_owned(), ..tokenize("email", [email(n)]) };
        let receipt = loader.tokenize(request).await.unwrap().receipt;
        assert_eq!(receipt.origin, format!("vault.test/audit/{region}/1"));
    }
    let auditor = vault.caller(Role::Auditor).await;
    for (region, entries) in [("eu", 1), ("us", 2)] {
        let found = all(&auditor, &query(region)).await;
        assert_eq!(found.iter().filter(|entry| entry.action == "tokenize").count(), entries);
    }
    vault.finish().await;
}
