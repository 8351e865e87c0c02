//! Calls that come at once.

use std::collections::BTreeSet;

use vault_tests::{
    requests::{card, customer, detokenize, tokenize},
    roles::Role,
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
