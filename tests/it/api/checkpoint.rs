//! Signed checkpoints and receipts: what makes the log's answers checkable.

use std::fs;

use tonic::Code;
use vault_ledger::{Checkpoint, VerifierKey};
use vault_tests::{
    requests::{card, detokenize, email, query, tokenize},
    roles::Role,
};

use crate::vault;

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_covers_every_entry_and_verifies_against_the_bytes_on_disk() {
    let mut vault = vault().await;
    for n in 0..3 {
        vault.give("card_number", [card(n)]).await;
    }
    let auditor = vault.caller(Role::Auditor).await;
    let mut seen = Vec::new();
    for (region, origin) in
        [("eu", "vault.test/audit/eu/1"), ("us", "vault.test/audit/us/1"), ("node", "vault.test/audit/node/node-1")]
    {
        let answer = auditor.checkpoint(region).await.unwrap();
        let key = VerifierKey::parse(&answer.verifier_key).unwrap();
        let checkpoint = Checkpoint::open(&answer.checkpoint, &key).unwrap();
        assert_eq!(checkpoint.origin.as_str(), origin);
        seen.push((region, key, checkpoint));
    }
    assert_eq!(seen[0].2.head.size.0, 4, "the start and three calls");
    vault.stop().await;
    for (region, key, checkpoint) in &seen {
        let log = vault.stored_log(region);
        assert_eq!(log.head(checkpoint.head.size.0), checkpoint.head, "{region}");
        // Every checkpoint that was ever signed is one of this log, the last over all of it.
        for (size, note) in &log.checkpoints {
            let stored = Checkpoint::open(note, key).unwrap();
            assert_eq!((stored.head.size.0, stored.head), (*size, log.head(*size)), "{region}");
        }
        assert_eq!(log.checkpoints.last().unwrap().0, log.entries.len() as u64, "{region}");
        let outside = fs::read_to_string(vault.checkpoint_directory().join(format!("{region}.checkpoint"))).unwrap();
        assert_eq!(outside, log.checkpoints.last().unwrap().1, "{region}");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_where_the_entries_are() {
    let mut vault = vault().await;
    let given = vault.caller(Role::Loader).await.tokenize(tokenize("email", [email(1)])).await.unwrap();
    let token = given.tokens().remove(0);
    let revealed = vault.caller(Role::Payments).await.detokenize(detokenize("email", [token])).await.unwrap();
    let asked = vault.caller(Role::Auditor).await.query(query("eu")).await.unwrap();
    let mut receipts = vec![given.receipt, revealed.receipt, asked.receipt.unwrap()];
    receipts.extend(asked.entries.into_iter().filter_map(|entry| entry.receipt));
    vault.stop().await;
    let log = vault.stored_log("eu");
    assert_eq!(receipts.iter().map(|receipt| receipt.index).collect::<Vec<_>>(), [1, 2, 3, 2, 1]);
    for receipt in receipts {
        assert_eq!(receipt.origin, "vault.test/audit/eu/1");
        assert_eq!(receipt.leaf_hash, log.leaf(receipt.index).0);
        assert_eq!(receipt.log_id, log.leaf(0).0, "the log is known by its first entry");
    }
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_log_stays_the_same_and_differs_from_the_others() {
    let mut vault = vault().await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let auditor = vault.caller(Role::Auditor).await;
        for region in ["eu", "us", "node"] {
            keys.push(auditor.checkpoint(region).await.unwrap().verifier_key);
        }
        vault.stop().await;
        vault.start_again().await;
    }
    let public = |key: &String| key.rsplit('+').next().unwrap().to_owned();
    assert_eq!(keys[..3], keys[3..]);
    assert!(public(&keys[0]) != public(&keys[1]) && public(&keys[1]) != public(&keys[2]));
    vault.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_get_a_checkpoint_leaves_no_entry_and_to_be_refused_one_does() {
    let vault = vault().await;
    let mark = vault.mark("eu").await;
    for _ in 0..3 {
        vault.checkpoint("eu").await;
    }
    let refusal = vault.caller(Role::Payments).await.checkpoint("eu").await.unwrap_err();
    refusal.is(Code::PermissionDenied, "ACCESS_DENIED");
    let entry = vault.entry_since(&mark).await;
    assert_eq!((entry.action.as_str(), entry.decision.as_str()), ("get_checkpoint", "denied"));
    assert_eq!(entry.principal, Role::Payments.principal());
    vault.finish().await;
}
