//! Asking the log by everything an entry shows, in both directions: held against a naive walk over all entries.

use std::net::{IpAddr, Ipv4Addr};

use tonic::Code;
use vault_domain::Network;
use vault_proto::v1;
use vault_tests::{
    caller::Caller,
    requests::{by, card, detokenize, email, query, scattered, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::vault;

/// All entries that match, by as many pages as it takes.
pub(crate) async fn all(caller: &Caller, query: &v1::QueryAccessLogRequest) -> Vec<v1::AccessLogEntry> {
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

/// Some hundred calls that differ in everything a question can ask about, from three addresses.
pub(crate) async fn history(vault: &TestVault, calls: u64) {
    let emails = vault.give("email", (0..10).map(email)).await;
    let mut callers = Vec::new();
    for last in 1..=3 {
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, last / 3, last));
        for role in [Role::Loader, Role::Payments, Role::Support, Role::Idle] {
            callers.push(vault.caller_from(role, source).await.unwrap());
        }
    }
    let mut running = Vec::new();
    for n in 0..calls {
        let chance = scattered(n);
        let of = move |shift: u64, count: u64| usize::try_from((chance >> shift) % count).unwrap();
        let at = of(0, 3) * 4;
        let (loader, payments, support) = (callers[at].clone(), callers[at + 1].clone(), callers[at + 2].clone());
        let idle = callers[at + 3].clone();
        let reference = ["", "CASE-1", "CASE-2", "case/1"][of(8, 4)].to_owned();
        let audience = ["payments", "analytics"][of(16, 2)].to_owned();
        let token = if of(24, 4) == 0 { "tok_eu_made_up".to_owned() } else { emails[of(32, 10)].clone() };
        running.push(tokio::spawn(async move {
            let give = |class: &str, value: String| v1::TokenizeRequest {
                reference: reference.clone(),
                audience: audience.clone(),
                ..tokenize(class, [value])
            };
            let reveal = |class: &str, purpose: &str| v1::DetokenizeRequest {
                reference: reference.clone(),
                purpose: purpose.to_owned(),
                ..detokenize(class, [token.clone()])
            };
            match n % 8 {
                0 => drop(loader.tokenize(give("card_number", card(n))).await.unwrap()),
                1 => drop(loader.tokenize(give("email", "none".to_owned())).await.unwrap()),
                2 | 3 => drop(payments.detokenize(reveal("email", "settlement")).await.unwrap()),
                4 => drop(payments.detokenize(reveal("card_number", "settlement")).await.unwrap()),
                5 => drop(payments.detokenize(reveal("email", "analysis")).await.unwrap()),
                6 => drop(support.detokenize(reveal("email", "support_case")).await.unwrap()),
                _ => drop(idle.tokenize(give("email", email(n))).await.unwrap()),
            }
        }));
        if running.len() == 50 {
            for call in running.drain(..) {
                call.await.unwrap();
            }
        }
    }
    for call in running {
        call.await.unwrap();
    }
}

/// Whether an entry is asked for, as somebody would say it who reads the contract and sees the entry.
pub(crate) fn matches(query: &v1::QueryAccessLogRequest, entry: &v1::AccessLogEntry) -> bool {
    let filter = query.filter.clone().unwrap_or_default();
    let same = |asked: &str, found: &str| asked.is_empty() || asked == found;
    let refused = |items: &v1::AccessLogItems| items.outcome == filter.reason;
    let of_class = |items: &v1::AccessLogItems| same(&filter.data_class, &items.data_class);
    let of_call = same(&filter.reason, &entry.reason);
    let source = || entry.source.parse().is_ok_and(|source| Network::parse(&filter.source).unwrap().holds(source));
    (filter.from_ms == 0 || entry.log_time_ms >= filter.from_ms)
        && (filter.until_ms == 0 || entry.log_time_ms < filter.until_ms)
        && same(&filter.principal, &entry.principal)
        && same(&filter.action, &entry.action)
        && same(&filter.decision, &entry.decision)
        && same(&filter.audience, &entry.audience)
        && same(&filter.purpose, &entry.purpose)
        && same(&filter.reference, &entry.reference)
        && same(&filter.request_id, &entry.request_id)
        && (filter.source.is_empty() || source())
        && (filter.data_class.is_empty() || entry.items.iter().any(of_class))
        && (of_call || entry.items.iter().any(|items| of_class(items) && refused(items)))
}

/// The `n`-th of many questions: each filter is there or not, with something that is in the log or not.
pub(crate) fn question(n: u64, entries: &[v1::AccessLogEntry]) -> v1::QueryAccessLogRequest {
    let chance = |salt: u64, count: u64| usize::try_from(scattered(n * 64 + salt) % count).unwrap();
    // About an entry that is there, so that filters that are all there have an answer too.
    let entry = &entries[chance(0, entries.len() as u64)];
    let pick = |salt: u64, of_entry: &str, other: &str| match chance(salt, 8) {
        0 => other.to_owned(),
        1 | 2 => of_entry.to_owned(),
        _ => String::new(),
    };
    let item = entry.items.first().cloned().unwrap_or_default();
    let outcome = Some(&item.outcome).filter(|outcome| *outcome != "ok" && !outcome.is_empty());
    let other_time = entries[chance(1, entries.len() as u64)].log_time_ms;
    let network = ["127.0.0.0/8", "127.0.0.2", "127.0.1.0/24", "192.0.2.0/24"][chance(2, 4)];
    v1::QueryAccessLogRequest {
        filter: Some(v1::AccessLogFilter {
            from_ms: if chance(3, 4) == 0 { entry.log_time_ms.min(other_time) } else { 0 },
            until_ms: if chance(4, 4) == 0 { entry.log_time_ms.max(other_time) } else { 0 },
            principal: pick(5, &entry.principal, Role::Desk.principal()),
            action: pick(6, &entry.action, "describe"),
            decision: pick(7, &entry.decision, "failed"),
            data_class: pick(8, &item.data_class, "card_number"),
            audience: pick(9, &entry.audience, "support"),
            purpose: pick(10, &entry.purpose, "audit"),
            reference: pick(11, &entry.reference, "CASE-9"),
            reason: pick(12, outcome.unwrap_or(&entry.reason), "ACCESS_DENIED"),
            source: pick(13, &entry.source, network),
            request_id: if chance(14, 12) == 0 { entry.request_id.clone() } else { String::new() },
            ..Default::default()
        }),
        ..query("eu")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_what_a_walk_over_all_entries_finds_in_both_directions() {
    let vault = vault().await;
    history(&vault, 700).await;
    let auditor = vault.caller(Role::Auditor).await;
    let whole = v1::QueryAccessLogRequest { page_size: 1000, ..query("eu") };
    let mut known = all(&auditor, &whole).await;
    known.retain(|entry| entry.action != "query_access_log");
    assert!(known.len() > 700);
    let known_until = known[0].receipt.as_ref().unwrap().index;

    let mut answered = 0;
    for n in 0..250 {
        let ask = question(n, &known);
        let expected: Vec<_> = known.iter().filter(|entry| matches(&ask, entry)).cloned().collect();
        let page_size = [1000, 100, 7][usize::try_from(n % 3).unwrap()].max(u32::try_from(expected.len() / 8).unwrap());
        let is_of_history =
            |entry: &v1::AccessLogEntry| entry.receipt.as_ref().is_some_and(|receipt| receipt.index <= known_until);
        let mut newest = all(&auditor, &v1::QueryAccessLogRequest { page_size, ..ask.clone() }).await;
        newest.retain(is_of_history);
        assert_eq!(newest, expected, "{ask:?}");
        let ask = v1::QueryAccessLogRequest { oldest_first: true, page_size, ..ask };
        let mut oldest = all(&auditor, &ask).await;
        oldest.retain(is_of_history);
        oldest.reverse();
        assert_eq!(oldest, expected, "{ask:?}");
        answered += usize::from(!expected.is_empty());
    }
    assert!(answered > 50, "enough questions had an answer: {answered}");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_from_the_oldest_on_are_complete_and_end_where_the_log_ended() {
    let vault = vault().await;
    for n in 0..20 {
        vault.give("email", [email(n)]).await;
    }
    let auditor = vault.caller(Role::Auditor).await;
    let ask = v1::QueryAccessLogRequest { oldest_first: true, page_size: 1, ..query("eu") };
    let first = auditor.query(ask.clone()).await.unwrap();
    let size = first.log_size;
    let (mut found, mut next) = (first.entries, first.next_page_token);
    while !next.is_empty() {
        vault.give("email", [email(1)]).await;
        let page = auditor.query(v1::QueryAccessLogRequest { page_token: next, ..ask.clone() }).await.unwrap();
        assert!(page.log_size > size);
        found.extend(page.entries);
        next = page.next_page_token;
    }
    let indexes: Vec<u64> = found.iter().map(|entry| entry.receipt.as_ref().unwrap().index).collect();
    assert!(indexes.windows(2).all(|pair| pair[0] < pair[1]), "oldest first, none twice");
    assert_eq!(indexes.last(), Some(&(size - 1)), "the entries of its own pages are not chased");
    let newest = all(&auditor, &v1::QueryAccessLogRequest { page_size: 1000, ..query("eu") }).await;
    let before = newest.into_iter().rev().filter(|entry| entry.receipt.as_ref().unwrap().index < size);
    assert!(found.into_iter().eq(before));
    // A place in the one direction is none in the other.
    let token = auditor.query(ask.clone()).await.unwrap().next_page_token;
    let turned = v1::QueryAccessLogRequest { oldest_first: false, page_token: token, ..ask };
    auditor.query(turned).await.unwrap_err().is(Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_asked_of_ones_own_tenant_alone() {
    let vault = vault().await;
    let loader = vault.caller(Role::Loader).await;
    let globex = vault.caller(Role::GlobexLoader).await;
    let mut requests = Vec::new();
    for caller in [&loader, &globex] {
        let ask = v1::TokenizeRequest { reference: "SHARED-1".to_owned(), ..tokenize("email", [email(1)]) };
        let index = caller.tokenize(ask).await.unwrap().receipt.index;
        requests.push(index);
    }
    for (role, tenant, own) in [(Role::Auditor, "acme", requests[0]), (Role::GlobexAuditor, "globex", requests[1])] {
        let auditor = vault.caller(role).await;
        let source =
            v1::QueryAccessLogRequest { filter: by(|filter| filter.source = "127.0.0.0/8".to_owned()), ..query("eu") };
        let reference =
            v1::QueryAccessLogRequest { filter: by(|filter| filter.reference = "SHARED-1".to_owned()), ..query("eu") };
        for ask in [source, reference] {
            let found = all(&auditor, &ask).await;
            assert!(found.iter().all(|entry| entry.tenant == tenant));
            assert!(found.iter().any(|entry| entry.receipt.as_ref().unwrap().index == own));
        }
    }
    // Nor does the other's request lead to its entry.
    let theirs = vault.caller(Role::GlobexAuditor).await.query(query("eu")).await.unwrap().entries;
    let request_id = theirs.last().unwrap().request_id.clone();
    let ask = v1::QueryAccessLogRequest { filter: by(|filter| filter.request_id = request_id), ..query("eu") };
    assert!(vault.caller(Role::Auditor).await.query(ask.clone()).await.unwrap().entries.is_empty());
    assert_eq!(vault.caller(Role::GlobexAuditor).await.query(ask).await.unwrap().entries.len(), 1);
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_shows_what_meets_every_filter() {
    let vault = vault().await;
    history(&vault, 300).await;
    let auditor = vault.caller(Role::Auditor).await;
    let known = all(&auditor, &v1::QueryAccessLogRequest { oldest_first: true, page_size: 1000, ..query("eu") }).await;
    let size = known.last().unwrap().receipt.as_ref().unwrap().index + 1;
    for n in 0..30 {
        // A tail has no end.
        let filter = v1::AccessLogFilter { until_ms: 0, ..question(n, &known).filter.unwrap() };
        let ask = v1::QueryAccessLogRequest { filter: Some(filter), ..query("eu") };
        let (region, purpose, filter) = (ask.region.clone(), ask.purpose.clone(), ask.filter.clone());
        let request = v1::TailAccessLogRequest { region, purpose, filter, from_index: Some(0), ..Default::default() };
        let mut stream = auditor.audit().tail_access_log(request).await.unwrap().into_inner();
        let mut found = Vec::new();
        loop {
            let message = stream.message().await.unwrap().unwrap();
            found.extend(message.entries);
            if message.next_index >= size {
                break;
            }
        }
        found.retain(|entry| entry.receipt.as_ref().unwrap().index < size);
        let expected: Vec<_> = known.iter().filter(|entry| matches(&ask, entry)).cloned().collect();
        assert_eq!(found, expected, "{ask:?}");
    }
    vault.finish().await;
}
