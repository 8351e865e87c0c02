//! Calls that come at once.

use std::collections::BTreeSet;

use vault_domain::Action;
use vault_proto::v1::{change_token_result, detokenize_result, token_service_client::TokenServiceClient};
use vault_tests::{
    connection::Connection,
    requests::{card, change, customer, detokenize, email, tokenize},
    roles::Role,
    vault::TestVault,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn one_value_brought_by_many_at_once_gets_exactly_one_token() {
    let vault = vault().await;
    for (class, value) in [("card_number", card(1)), ("customer_id", customer(1))] {
        let mark = vault.mark("eu").await;
        let mut calls = Vec::new();
        for _ in 0..32 {
            // Each on a connection of its own, so that they really meet.
            let caller = vault.caller_on(Role::Loader, vault.try_connect(Role::Loader).await.unwrap());
            let request = tokenize(class, [&value]);
            calls.push(tokio::spawn(async move { caller.tokenize(request).await.unwrap().results.remove(0).unwrap() }));
        }
        let (mut tokens, mut created) = (BTreeSet::new(), 0);
        for call in calls {
            let issued = call.await.unwrap();
            created += u32::from(issued.created);
            tokens.insert(issued.token);
        }
        assert_eq!((tokens.len(), created), (1, 1), "{class}");
        let numbers: BTreeSet<u64> = vault
            .entries_since(&mark, 32)
            .await
            .iter()
            .flat_map(|entry| entry.items[0].record_numbers.clone())
            .collect();
        assert_eq!(numbers.len(), 1, "one record");
        let payments = vault.caller(Role::Payments).await;
        let revealed = payments.detokenize(detokenize(class, tokens)).await.unwrap();
        assert_eq!(revealed.values(), [value.into_bytes()]);
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_batches_at_once_agree_on_every_token() {
    let vault = vault().await;
    let mut calls = Vec::new();
    for first in 0..16_u64 {
        let caller = vault.caller(Role::Loader).await;
        let request = tokenize("card_number", (first..first + 16).map(card));
        calls.push((first, tokio::spawn(async move { caller.tokenize(request).await.unwrap().tokens() })));
    }
    let mut of_card = vec![BTreeSet::new(); 32];
    for (first, call) in calls {
        for (card, token) in (usize::try_from(first).unwrap()..).zip(call.await.unwrap()) {
            of_card[card].insert(token);
        }
    }
    assert!(of_card[..31].iter().all(|tokens| tokens.len() == 1));
    let distinct: BTreeSet<_> = of_card.iter().flatten().collect();
    assert_eq!(distinct.len(), 31);
    vault.finish().await;
}

/// The generated client on a connection of its own: thousands of answers are too many to be searched for secrets.
async fn bare(vault: &TestVault, role: Role) -> TokenServiceClient<Connection> {
    let connection = vault.try_connect(role).await.unwrap();
    let origin = connection.origin().clone();
    TokenServiceClient::with_origin(connection, origin)
}

/// Where the log holds a reveal, and whether it showed the value.
async fn is_shown(payments: &TokenServiceClient<Connection>, token: &str) -> (u64, bool) {
    let answer = payments.clone().detokenize(detokenize("email", [token])).await.unwrap().into_inner();
    let is_shown = matches!(answer.results[0].outcome, Some(detokenize_result::Outcome::Revealed(_)));
    (answer.receipt.unwrap().index, is_shown)
}

/// Reveals of one token race a change that stops them, thousands of times, each caller on a connection of its own. The
/// log is the order of things: no reveal stands behind the change.
async fn no_reveal_stands_behind(action: Action) {
    const ROUNDS: usize = 3000;
    const AT_ONCE: usize = 8;
    let vault = vault().await;
    let mut tokens = Vec::new();
    for batch in 0..ROUNDS as u64 / 1000 {
        tokens.extend(vault.give("email", (0..1000).map(|n| email(1000 * batch + n))).await);
    }
    let mut racers = Vec::new();
    for tokens in tokens.chunks(ROUNDS / AT_ONCE) {
        let tokens = tokens.to_vec();
        let steward = bare(&vault, Role::Steward).await;
        let payments = bare(&vault, Role::Payments).await;
        racers.push(tokio::spawn(async move {
            let (mut shown, mut refused) = (0, 0);
            for token in tokens {
                let stop = async {
                    let request = change("email", [&token]);
                    let answer = match action {
                        Action::Revoke => steward.clone().revoke_tokens(request).await,
                        _ => steward.clone().suspend_tokens(request).await,
                    };
                    let answer = answer.unwrap().into_inner();
                    assert!(matches!(answer.results[0].outcome, Some(change_token_result::Outcome::Changed(_))));
                    // After the answer nothing is shown at all.
                    assert!(!is_shown(&payments, &token).await.1, "a reveal after the answer");
                    answer.receipt.unwrap().index
                };
                let (stopped, first, second) =
                    tokio::join!(stop, is_shown(&payments, &token), is_shown(&payments, &token));
                for (index, is_shown) in [first, second] {
                    assert_eq!(is_shown, index < stopped, "a reveal at {index}, stopped at {stopped}");
                    (shown, refused) = (shown + u32::from(is_shown), refused + u32::from(!is_shown));
                }
            }
            (shown, refused)
        }));
    }
    let (mut shown, mut refused) = (0, 0);
    for racer in racers {
        let counts = racer.await.unwrap();
        (shown, refused) = (shown + counts.0, refused + counts.1);
    }
    assert!(shown > 100 && refused > 100, "a race has two sides: {shown} shown, {refused} refused");
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_that_races_a_revocation_loses() {
    no_reveal_stands_behind(Action::Revoke).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_that_races_a_suspension_loses() {
    no_reveal_stands_behind(Action::Suspend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_reveals_at_once_no_more_are_shown_than_a_token_has_uses() {
    const USES: u32 = 40;
    let mut vault = vault().await;
    let mut request = tokenize("email", [email(1)]);
    request.items[0].max_uses = USES;
    let token = vault.caller(Role::Loader).await.tokenize(request).await.unwrap().tokens().remove(0);
    let mut calls = Vec::new();
    for _ in 0..16 {
        let payments = vault.caller_on(Role::Payments, vault.try_connect(Role::Payments).await.unwrap());
        let token = token.clone();
        calls.push(tokio::spawn(async move {
            let (mut shown, mut conflicts) = (0, 0);
            loop {
                // One that many want at once can meet others too often; it is told so, and nothing was used.
                match payments.detokenize(detokenize("email", [&token])).await {
                    Ok(answer) => match &answer.results[0] {
                        Ok(_) => shown += 1,
                        Err(refusal) => {
                            assert_eq!(refusal.reason, "TOKEN_NOT_FOUND");
                            return (shown, conflicts);
                        }
                    },
                    Err(refusal) => {
                        assert_eq!(refusal.reason, "COMMIT_CONFLICT");
                        conflicts += 1;
                    }
                }
            }
        }));
    }
    let (mut shown, mut conflicts) = (0, 0);
    for call in calls {
        let counts: (u32, u32) = call.await.unwrap();
        (shown, conflicts) = (shown + counts.0, conflicts + counts.1);
    }
    assert_eq!(shown, USES, "{conflicts} conflicts");
    assert!(conflicts < USES, "callers wait for one another: {conflicts} conflicts for {USES} uses");
    vault.stop().await;
    let reveals: u32 = vault
        .stored_log("eu")
        .decoded()
        .iter()
        .filter(|entry| entry.head.action == Action::Detokenize)
        .flat_map(|entry| &entry.groups)
        .filter(|group| group.outcome.refused().is_none())
        .map(|group| group.items)
        .sum();
    assert_eq!(reveals, USES, "as many as the log says");
    vault.finish().await;
}
